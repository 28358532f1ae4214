//! Files that break one rule each: a test per line of [`hostile!`], which needs a function
//! `problem(file, names)` beside it.

use mantissa::Error;
use mantissa::model::checkpoint::FileProblem;

/// What is wrong with a file called `file`, after checking that the message holds it and all of
/// `names`.
#[track_caller]
pub fn malformed(error: Error, file: &str, names: &[&str]) -> FileProblem {
    let text = error.to_string();
    for name in names.iter().chain(&[file]) {
        assert!(text.contains(name), "{text:?} does not name {name:?}");
    }
    match error {
        Error::Malformed { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

macro_rules! hostile {
    ($($name:ident: $file:expr, $pattern:pat $(if $guard:expr)?, $names:expr;)*) => {$(
        #[test]
        fn $name() {
            let problem = problem(&$file, &$names);
            assert!(matches!(&problem, $pattern $(if $guard)?), "{problem:?}");
        }
    )*};
}
pub(crate) use hostile;

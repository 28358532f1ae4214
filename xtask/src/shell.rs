//! Running other programs.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, for a person.
pub type Result<T> = std::result::Result<T, String>;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Makes every relative path of this program start at the repository's root.
pub fn enter_repository() {
    if let Err(error) = std::env::set_current_dir(root()) {
        eprintln!("error: {}: {error}", root().display());
        std::process::exit(1);
    }
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command of this name or path. It does not see what `cargo run` says of our own package: build
/// scripts that watch those variables would run again, and all that depends on them be compiled again.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if ours.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

/// `cargo` with these words.
pub fn cargo(args: &str) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args.split_whitespace());
    cargo
}

thread_local! {
    /// Where this thread's programs write, if not to our own streams.
    static LOG: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Does `work`; what its programs say is kept in a file of this name and printed at the end, so that
/// it is not mixed with what others say meanwhile. An error quotes what tells most of it.
pub fn in_one_piece<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let folder = target().join("logs");
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path = folder.join(name.chars().map(letter).collect::<String>()).with_extension("txt");
    // Without a file it is mixed.
    let file = std::fs::create_dir_all(&folder).and_then(|()| File::create(&path)).ok();
    LOG.set(file);
    let done = work();
    if LOG.take().is_none() {
        return done;
    }
    let said = std::fs::read(&path).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    eprintln!("{said}");
    done.map_err(|error| format!("{error}\n{}", telling(&said)))
}

/// The lines that name what failed, and the last ones: cargo, pytest and node have words of their own.
fn telling(said: &str) -> String {
    const WORDS: [&str; 7] = ["FAILED", "panicked", "error:", "Error", "not ok", "✖", "signal:"];
    const MOST: usize = 20;
    let lines: Vec<&str> = said.lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(MOST));
    let names = |line: &&&str| WORDS.iter().any(|word| line.contains(word));
    let named = before.iter().filter(names).take(MOST);
    named.chain(last).map(|line| format!("  {line}\n")).collect()
}

/// Runs it with our own streams, or in one piece; an error names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let log = LOG.with_borrow(|log| log.as_ref().map(File::try_clone).transpose());
    match log.map_err(|e| format!("{shown}: {e}"))? {
        None => eprintln!("$ {shown}"),
        Some(mut log) => {
            // A log that cannot be written to is no reason not to run.
            let _ = writeln!(log, "$ {shown}");
            let same = log.try_clone().map_err(|e| format!("{shown}: {e}"))?;
            command.stdin(Stdio::null()).stdout(log).stderr(same);
        }
    }
    let status = command.status().map_err(|e| format!("{shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs it and gives its standard output; standard error stays ours.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("{shown}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether it runs and succeeds; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|s| s.success())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let root = format!("{}/", root().display());
    words.map(|w| w.to_string_lossy().replace(&root, "")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::telling;

    #[test]
    fn an_error_quotes_what_failed_and_the_end() {
        let passed = "test sound ... ok\n".repeat(100);
        let said = format!(
            "{passed}test broken ... FAILED\n{passed}error: 1 target failed:\n    `--test cli`"
        );
        let told = telling(&said);
        assert!(told.contains("broken"), "{told}");
        assert!(told.ends_with("  error: 1 target failed:\n      `--test cli`\n"), "{told}");
        assert_eq!(told.lines().count(), 21, "{told}");
    }
}

//! The cases that fuzzing found worth keeping (`tests/golden/fuzz/TARGET/*`), through the functions
//! that are fuzzed: `fuzz/src/readers.rs`.

use std::path::Path;

#[path = "../fuzz/src/readers.rs"]
mod readers;

fn replay(target: &str, read: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fuzz").join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut cases = 0;
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        // So that a case that ends the program is named.
        eprintln!("{}", path.display());
        read(&std::fs::read(&path).expect("a readable case"));
        cases += 1;
    }
    assert!(cases >= 10, "{}: {cases} cases", folder.display());
}

#[test]
fn gguf() {
    replay("gguf", readers::gguf);
}

#[test]
fn safetensors() {
    replay("safetensors", readers::safetensors);
}

#[test]
fn folder() {
    replay("folder", readers::folder);
}

#[test]
fn blocks() {
    replay("blocks", readers::blocks);
}

//! The house's own rules. Each rule is a function from files to complaints, and is shown a
//! violation too, so that it cannot pass by looking at nothing.

use std::collections::BTreeSet;
use std::path::Path;

/// A file of the repository: its path from the root, with forward slashes, and its text.
struct File {
    path: String,
    text: String,
}

const FOLDERS: [&str; 7] = ["src", "shaders", "tests", "benches", "examples", "xtask", "web"];
const CODE: [&str; 6] = ["rs", "wgsl", "py", "ts", "js", "mjs"];
const MAX_LINES: usize = 600;

fn files() -> Vec<File> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        walk(Path::new(folder), &mut files);
    }
    assert!(files.len() > 20, "only {} files: run from the repository's root", files.len());
    files
}

fn walk(folder: &Path, files: &mut Vec<File>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_made = ["node_modules", "__pycache__", "dist"].contains(&name.as_str());
        if path.is_dir() && !is_made {
            walk(&path, files);
        }
        let is_code = path.extension().is_some_and(|e| CODE.contains(&&*e.to_string_lossy()));
        if is_code && path.is_file() {
            let text = std::fs::read_to_string(&path).expect("code is UTF-8");
            files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// What differs between machines lives in one place.
fn platform_differences_outside_platform(files: &[File]) -> Vec<String> {
    // In two halves, or this file would break its own rule.
    let word = concat!("target", "_arch");
    let elsewhere = |f: &&File| f.path.ends_with(".rs") && !f.path.starts_with("src/platform/");
    let hits = files.iter().filter(elsewhere).filter(|f| f.text.contains(word));
    hits.map(|f| format!("{}: cfg({word}) belongs in src/platform/", f.path)).collect()
}

fn long_files(files: &[File]) -> Vec<String> {
    let lines = files.iter().map(|f| (&f.path, f.text.lines().count()));
    lines
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, more than {MAX_LINES}"))
        .collect()
}

/// Unfinished work, debugging output and tests that do not run.
fn left_behind(files: &[File]) -> Vec<String> {
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("#[", "ignore"),
    ];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|f| f.path.ends_with(".rs")) {
        for word in words.iter().filter(|word| file.text.contains(**word)) {
            complaints.push(format!("{}: {word} is left behind", file.path));
        }
    }
    complaints
}

/// One name from shader to Rust to test: every op, every format.
fn missing_twins(files: &[File]) -> Vec<String> {
    let paths: BTreeSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
    let rules: [(&str, &[&str]); 2] = [
        ("shaders/ops/", &["src/ops/{}.rs", "tests/gpu/{}.rs"]),
        ("shaders/formats/", &["src/formats/{}.rs"]),
    ];
    let mut complaints = Vec::new();
    for (folder, twins) in rules {
        let names = paths.iter().filter_map(|p| p.strip_prefix(folder)?.strip_suffix(".wgsl"));
        for name in names {
            let twins = twins.iter().map(|twin| twin.replace("{}", name));
            let missing = twins.filter(|twin| !paths.contains(twin.as_str()));
            complaints.extend(missing.map(|twin| format!("{folder}{name}.wgsl: no {twin}")));
        }
    }
    complaints
}

/// Every decoder that a format uses is there, and every decoder is used by a format.
fn formats_and_shaders_differ(files: &[File], names: &BTreeSet<&str>) -> Vec<String> {
    let decoder =
        |f: &File| Some(f.path.strip_prefix("shaders/formats/")?.strip_suffix(".wgsl")?.to_owned());
    let decoders: BTreeSet<String> = files.iter().filter_map(decoder).collect();
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let differing = decoders.symmetric_difference(&names);
    differing.map(|n| format!("{n}: a format needs a word in FORMATS and a decoder")).collect()
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_house_is_tidy() {
    let files = files();
    let mut complaints = platform_differences_outside_platform(&files);
    complaints.extend(long_files(&files));
    complaints.extend(left_behind(&files));
    complaints.extend(missing_twins(&files));
    let decoder = |path: &'static str| path.strip_prefix("formats/")?.strip_suffix(".wgsl");
    let formats = mantissa::formats::all()
        .filter_map(|f| f.shader().iter().find_map(|part| decoder(part.path)))
        .collect();
    complaints.extend(formats_and_shaders_differ(&files, &formats));
    assert_none(&complaints);
}

#[test]
fn every_rule_sees_a_violation() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let target = concat!("#[cfg(target", "_arch = \"wasm32\")]");
    let bad = [file("src/a.rs", target), file("src/platform/a.rs", target)];
    assert_eq!(platform_differences_outside_platform(&bad).len(), 1);

    let (long, fits) = ("x\n".repeat(MAX_LINES + 1), "x\n".repeat(MAX_LINES));
    assert_eq!(long_files(&[file("a.wgsl", &long), file("b.wgsl", &fits)]).len(), 1);

    let bad = format!("{}) {})", concat!("todo", "!("), concat!("dbg", "!("));
    assert_eq!(left_behind(&[file("src/a.rs", &bad)]).len(), 2);

    let half = [file("shaders/ops/a.wgsl", ""), file("src/ops/a.rs", "")];
    assert_eq!(missing_twins(&half), ["shaders/ops/a.wgsl: no tests/gpu/a.rs"]);
    let format = [file("shaders/formats/q1.wgsl", "")];
    assert_eq!(missing_twins(&format).len(), 1);
    assert_eq!(formats_and_shaders_differ(&format, &BTreeSet::from(["q2"])).len(), 2);
}

//! The program's faces that need neither a GPU nor a model: exit codes, messages, streams.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn mantissa(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mantissa"));
    command.args(args).stdin(Stdio::null()).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder for one test's files.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder is ours");
    folder
}

fn file(folder: &std::path::Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the target folder is ours");
    path.display().to_string()
}

fn assert_failure(output: &Output, code: i32, says: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(stdout(output).is_empty(), "errors belong on standard error: {}", stdout(output));
    for word in says {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_argument() {
    let cases: &[(&[&str], &str)] = &[
        (&["fly"], "fly"),
        (&["run"], "--prompt"),
        (&["run", "--prompt", "a", "--raw", "--system", "b"], "--system"),
        (&["run", "--prompt", "a", "--temperature", "-1"], "--temperature"),
        (&["run", "--prompt", "a", "--temperature", "nan"], "--temperature"),
        (&["run", "--prompt", "a", "--top-p", "0"], "--top-p"),
        (&["run", "--prompt", "a", "--min-p", "1.5"], "--min-p"),
        (&["run", "--prompt", "a", "--repeat-penalty", "0"], "--repeat-penalty"),
        (&["run", "--prompt", "a", "--seed", "x"], "--seed"),
        (&["run", "--prompt", "a", "--context", "0"], "--context"),
        (&["run", "--prompt", "a", "--chunk", "0"], "--chunk"),
        (&["run", "--prompt", "a", "--without", "f64"], "f64"),
        (&["inspect"], "FILE"),
        (&["logits", "--out", "x.npy"], "--tokens"),
        (&["logits", "--tokens", "1,x", "--out", "x.npy"], "--tokens"),
        (&["logits", "--tokens", "1", "--prompt", "a", "--out", "x.npy"], "--prompt"),
        (&["perplexity"], "--file"),
        (&["perplexity", "--file", "x", "--stride", "0"], "--stride"),
        (&["quantize", "a.gguf", "--format", "q8_0"], "--out"),
        (&["quantize", "a.gguf", "--out", "b.gguf"], "--format"),
        (&["quantize", "a.gguf", "--format", "q9_9", "--out", "b.gguf"], "q9_9"),
        (&["quantize", "a.gguf", "--format", "q8_0", "--only", "(=q8_0", "--out", "b"], "--only"),
        (&["quantize", "a.gguf", "--format", "q8_0", "--only", "x", "--out", "b"], "REGEX=FORMAT"),
        (&["eval", "--file", "x"], "--formats"),
        (&["eval", "--formats", "q8_0,q9_9", "--file", "x"], "q9_9"),
        (&["eval", "--formats", "q8_0", "--file", "x", "--tokens", "1"], "--tokens"),
        (&["bench", "--only", "lunch"], "--only"),
        (&["bench", "--rounds", "0"], "--rounds"),
        (&["bench", "--op", "sort"], "--op"),
        (&["bench", "--format", "q9_9"], "q9_9"),
        (&["bench", "--shape", "576"], "--shape"),
        (&["bench", "--m", "0"], "--m"),
        (&["bench", "--json", "--compare", "old.json"], "--compare"),
        (&["profile", "--rounds", "0"], "--rounds"),
        (&["profile", "--at", "x"], "--at"),
        (&["op"], "softmax"),
        (
            &["op", "matmul", "--format", "q9_9", "--weights", "w", "--in", "x", "--out", "y"],
            "q9_9",
        ),
        (&["op", "softmax", "--in", "x", "--out", "y", "--algorithm", "magic"], "--algorithm"),
    ];
    for (args, says) in cases {
        assert_failure(&mantissa(args), 2, &[says]);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["op", "matmul", "--help"]] {
        let output = mantissa(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn inspect_names_a_file_that_is_no_model() {
    let folder = folder("inspect");
    let missing = folder.join("missing.gguf").display().to_string();
    assert_failure(&mantissa(&["inspect", &missing]), 1, &["error:", "missing.gguf"]);
    let text = file(&folder, "text.gguf", b"this is no model");
    assert_failure(&mantissa(&["inspect", &text]), 1, &["error:", "text.gguf", "GGUF"]);
    let empty = file(&folder, "empty.gguf", b"");
    assert_failure(&mantissa(&["inspect", &empty, "--json"]), 1, &["error:", "empty.gguf"]);
    let here = folder.display().to_string();
    assert_failure(&mantissa(&["inspect", &here]), 1, &["error:"]);
}

#[test]
fn devices_prints_json_even_where_there_is_none() {
    let output = mantissa(&["devices", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for adapter in value.as_array().expect("a list") {
        for key in ["name", "driver", "backend", "features", "limits"] {
            assert!(adapter.get(key).is_some(), "{key} is not in {adapter}");
        }
    }
}

/// A .npy file of version 1 with this header text.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() + 1) as u16;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

#[test]
fn arrays_that_are_not_what_a_kernel_takes_are_refused() {
    let folder = folder("npy");
    let header = |descr: &str, fortran: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
    };
    let good = npy(&header("<f4", "False", "(1, 2)"), &[0; 8]);
    let huge = "(4294967296, 4294967296, 4294967296)";
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", vec![], "not a .npy"),
        ("text", b"hello, this is not an array".to_vec(), "not a .npy"),
        ("header", good[..40].to_vec(), "not a .npy"),
        ("short", good[..good.len() - 1].to_vec(), "short.npy"),
        ("f64", npy(&header("<f8", "False", "(1, 2)"), &[0; 16]), "<f8"),
        ("big_endian", npy(&header(">f4", "False", "(1, 2)"), &[0; 8]), ">f4"),
        ("bytes", npy(&header("|u1", "False", "(1, 2)"), &[0; 2]), "float32 is needed"),
        ("fortran", npy(&header("<f4", "True", "(1, 2)"), &[0; 8]), "Fortran"),
        ("huge", npy(&header("<f4", "False", huge), &[0; 8]), "too large"),
        ("no_elements", npy(&header("<f4", "False", "(0, 2)"), &[]), "no element"),
        ("no_axis", npy(&header("<f4", "False", "()"), &[0; 4]), "no axis"),
        ("negative", npy(&header("<f4", "False", "(-1, 2)"), &[0; 8]), "shape"),
    ];
    let out = folder.join("y.npy").display().to_string();
    for (name, bytes, says) in cases {
        let path = file(&folder, &format!("{name}.npy"), bytes);
        let output = mantissa(&["op", "softmax", "--in", &path, "--out", &out]);
        assert_failure(&output, 1, &["error:", &format!("{name}.npy"), says]);
        assert!(!std::path::Path::new(&out).exists(), "{name}");
    }
    let path = file(&folder, "three.npy", &npy(&header("|u1", "False", "(1, 3)"), &[0; 3]));
    let output = mantissa(&["op", "dequantize", "--format", "q4_1", "--in", &path, "--out", &out]);
    assert_failure(&output, 1, &["three.npy", "3 bytes", "q4_1"]);
}

/// With an empty cache folder, no Python and no hub: what was tried is told, nothing is left.
#[test]
fn a_default_model_that_cannot_be_fetched_says_why() {
    let cache = folder("fetch");
    let output = Command::new(env!("CARGO_BIN_EXE_mantissa"))
        .arg("fetch")
        .env("MANTISSA_CACHE", &cache)
        .env("PATH", "")
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .expect("the program starts");
    assert_failure(&output, 1, &["error:", "--model", "from the package", "from the hub"]);
    assert!(!cache.join("SmolLM2-135M-Instruct.Q4_1.gguf").exists());
}

/// A file of the right name that is not the model is never used, and not overwritten either.
#[test]
fn a_default_model_with_a_wrong_hash_is_refused() {
    let cache = folder("hash");
    let path = file(&cache, "SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF, but not this one");
    for _ in 0..2 {
        let output = Command::new(env!("CARGO_BIN_EXE_mantissa"))
            .arg("fetch")
            .env("MANTISSA_CACHE", &cache)
            .output()
            .expect("the program starts");
        assert_failure(&output, 1, &["error:", &path, "SHA-256", "delete it"]);
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mantissa"))
        .args(["devices", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdout = None;
    let output = child.wait_with_output().expect("it ends");
    // Drivers write to standard error what they like.
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[test]
fn a_comparison_with_what_is_no_report_fails_before_anything_is_measured() {
    let folder = folder("compare");
    let missing = folder.join("missing.json").display().to_string();
    assert_failure(&mantissa(&["bench", "--compare", &missing]), 1, &["error:", "missing.json"]);
    let other = file(&folder, "other.json", b"{\"a\": 1}");
    assert_failure(&mantissa(&["bench", "--compare", &other]), 1, &["other.json", "no report"]);
}

#[test]
fn an_array_that_lies_about_its_shape_is_refused() {
    let folder = folder("npy_shapes");
    let shape =
        |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let twice = shape("(2, 2), 'shape': (9999999999, 9999999999)");
    let cases = [
        // The later of two keys counts, and its product fits no u64.
        ("twice", twice, "a header that numpy.save does not write"),
        ("escaped", shape("(2, 2), 'sh\\x61pe': (9999999999, 9999999999)"), "numpy.save"),
        ("overflow", shape("(9999999999, 9999999999)"), "too large"),
        ("negative", shape("(-1, 4)"), "-1 is no axis's length"),
        ("short", shape("(2, 3)"), "fewer elements than its shape [2, 3]"),
        ("large", shape("(1000000000000,)"), "fewer elements than its shape"),
    ];
    for (name, header, says) in cases {
        let path = file(&folder, &format!("{name}.npy"), &npy(&header, &[0; 16]));
        let out = folder.join("out.npy").display().to_string();
        let output = mantissa(&["op", "softmax", "--in", &path, "--out", &out]);
        assert_failure(&output, 1, &["error:", &path, says]);
    }
}

#[test]
fn two_outputs_in_one_file_are_refused() {
    let folder = folder("npy_outputs");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    let path = file(&folder, "x.npy", &npy(header, &[0; 16]));
    let out = folder.join("out.npy").display().to_string();
    let arguments = ["op", "softmax", "--in", &path, "--out", &out, "--log-sum-exp", &out];
    assert_failure(&mantissa(&arguments), 1, &["error:", "--log-sum-exp", "--out"]);
}

#[test]
fn a_chart_does_not_replace_what_is_no_chart() {
    let folder = folder("charts");
    let model = file(&folder, "model.gguf", b"GGUF\x03\0\0\0");
    let chart = file(&folder, "chart.svg", b"<svg width=\"1\"/>");
    let text = file(&folder, "text.txt", b"");
    for command in [&["bench"][..], &["eval", "--formats", "q8_0", "--file", &text]] {
        let of = |path| [command, &["--svg", path, "--adapter", "no such adapter"]].concat();
        assert_failure(&mantissa(&of(&model)), 2, &["error:", "--svg", &model, "no SVG"]);
        let output = mantissa(&of(&chart));
        assert!(!stderr(&output).contains("no SVG"), "{}", stderr(&output));
    }
    assert_eq!(std::fs::read(&model).expect("it is there"), b"GGUF\x03\0\0\0");
}

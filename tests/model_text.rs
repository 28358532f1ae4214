//! The default model's own vocabulary and template: ids as llama.cpp's for every nasty string and
//! every code point. `cargo xtask test` runs it; by hand:
//! `MANTISSA_MODEL=model.gguf cargo test --test model_text`.

use std::time::Instant;

use mantissa::model::chat::{ChatTemplate, Message};
use mantissa::model::gguf::{Gguf, Metadata};
use mantissa::model::tokenizer::Tokenizer;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Golden {
    rows: Vec<Vec<Vec<u32>>>,
    sweep: Vec<String>,
    ends: Vec<u32>,
}

fn golden<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

fn metadata() -> Metadata {
    let path = std::env::var_os("MANTISSA_MODEL").expect(
        "MANTISSA_MODEL must be the path of SmolLM2-135M-Instruct.Q4_1.gguf; `cargo xtask test` sets it",
    );
    let source = mantissa::platform::open(&path).unwrap();
    pollster::block_on(Gguf::read(source.as_ref())).unwrap().metadata
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_gguf(&metadata()).unwrap()
}

#[test]
fn ids_are_llama_cpps() {
    let golden: Golden = golden("text_model");
    let strings: Vec<String> = self::golden("text_strings");
    assert!(strings.len() == golden.rows.len() && strings.len() >= 400);
    let tokenizer = tokenizer();
    let mut wrong = Vec::new();
    for (text, row) in strings.iter().zip(&golden.rows) {
        for (parse_special, expected) in [(false, &row[0]), (true, &row[row.len() - 1])] {
            // The model adds neither BOS nor EOS.
            let ids = tokenizer.encode(text, true, parse_special).unwrap();
            if ids != *expected {
                wrong.push(format!("{text:?} ({parse_special}): {ids:?}, llama.cpp {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(tokenizer.end_of_generation(), golden.ends);
}

/// FNV-1a over the ids as little-endian u32, as in text.py.
fn fnv(ids: &[u32]) -> String {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[test]
fn every_code_point_is_cut_as_llama_cpp_does() {
    let golden: Golden = golden("text_model");
    let tokenizer = tokenizer();
    assert_eq!(golden.sweep.len(), 0x110000 / 0x400);
    let mut wrong = Vec::new();
    for (block, expected) in (0u32..).zip(&golden.sweep) {
        let chars = (block * 0x400..(block + 1) * 0x400).filter_map(char::from_u32);
        let lines: Vec<_> = chars.map(|c| format!("a{c}b 1{c}2 {c}  {c}{c}'s")).collect();
        if fnv(&tokenizer.encode(&lines.join("\n"), false, false).unwrap()) != *expected {
            wrong.push(format!("U+{:04X}", block * 0x400));
        }
    }
    assert!(wrong.is_empty(), "blocks of 1,024 from {}", wrong.join(", "));
}

#[test]
fn text_comes_back() {
    let strings: Vec<String> = golden("text_strings");
    let tokenizer = tokenizer();
    // Bytes for which the vocabulary has no token; llama.cpp leaves them out too.
    let missing = [0x04, 0x06, 0x13, 0x14, 0x16, 0x1d, 0xf1, 0xf2];
    for text in strings.iter().filter(|s| !s.bytes().any(|b| missing.contains(&b))) {
        let ids = tokenizer.encode(text, true, true).unwrap();
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), *text);
        let mut stream = tokenizer.stream();
        let ids = tokenizer.encode(text, true, false).unwrap();
        let pieces = ids.iter().filter_map(|&id| stream.push(id).unwrap());
        assert_eq!(pieces.collect::<String>(), *text);
    }
}

#[test]
fn the_template_in_the_file_is_the_golden_one() {
    let chat: serde_json::Value = golden("text_chat");
    let metadata = metadata();
    assert_eq!(
        metadata.str("tokenizer.chat_template").unwrap(),
        chat["templates"]["default model"].as_str()
    );
    let template = ChatTemplate::from_gguf(&metadata).unwrap();
    let prompt =
        template.render(&[Message::system("Be brief."), Message::user("Hi")], true).unwrap();
    let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(prompt, expected);
    assert_eq!(tokenizer().encode_chat(&prompt).unwrap()[0], 1);
}

#[test]
fn it_is_built_quickly() {
    let metadata = metadata();
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            Tokenizer::from_gguf(&metadata).unwrap();
            start.elapsed()
        })
        .min();
    // 49,152 tokens and 48,900 merges take 60 ms on an idle core; the limit leaves room for a loaded
    // one, but not for anything quadratic.
    assert!(best.unwrap().as_millis() < 2000, "{best:?}");
}

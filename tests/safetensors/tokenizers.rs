//! `tokenizer.json` of several families, against the ids and texts of Hugging Face's own package
//! (`tests/golden/hugging_face.py`).

use std::collections::BTreeMap;

use ::mantissa::model::gguf::Value;
use ::mantissa::model::{Checkpoint, Tokenizer};
use serde_json::{Value as Json, json};

use crate::support::Folder;

#[derive(serde::Deserialize)]
struct Golden {
    tokenizer: Json,
    /// Of each string: ids with special tokens added and parsed; and without, where they differ.
    rows: Vec<Vec<Vec<u32>>>,
    /// What the former decode to, where it is not the string.
    texts: BTreeMap<usize, String>,
}

const STRINGS: &str = include_str!("../golden/text_strings.json");
const A: &str = include_str!("../golden/hugging_face_a.json");
const B: &str = include_str!("../golden/hugging_face_b.json");

/// The model of each golden tokenizer, and what is right.
fn models() -> Vec<(String, Checkpoint, Golden)> {
    let of = |text: &str| serde_json::from_str::<BTreeMap<String, Golden>>(text).unwrap();
    let model = |(name, golden): (String, Golden)| {
        let ids = golden.tokenizer["model"]["vocab"].as_object().unwrap().len();
        let added = golden.tokenizer["added_tokens"].as_array().unwrap();
        let last = added.iter().map(|t| t["id"].as_u64().unwrap() as usize + 1).max().unwrap_or(0);
        let rows = ids.max(last);
        let mut folder = Folder::right().set("vocab_size", json!(rows));
        folder = folder.tensor("model.embed_tokens.weight", &[rows, 8]);
        folder = folder.set("bos_token_id", golden.tokenizer["added_tokens"][0]["id"].clone());
        if name == "spm" {
            folder = folder.set("bos_token_id", json!(1));
        }
        folder.tokenizer = golden.tokenizer.clone();
        (name, folder.open().unwrap(), golden)
    };
    of(A).into_iter().chain(of(B)).map(model).collect()
}

fn strings() -> Vec<String> {
    serde_json::from_str(STRINGS).unwrap()
}

/// The strings whose ids are not Hugging Face's.
fn mismatches(tokenizer: &Tokenizer, golden: &Golden) -> Vec<String> {
    let mut wrong = Vec::new();
    for (text, row) in strings().iter().zip(&golden.rows) {
        let right = [(true, &row[0]), (false, row.last().unwrap())];
        for (special, right) in right {
            let ids = tokenizer.encode(text, special, special).unwrap();
            if ids != *right {
                wrong.push(format!("{text:?} {special}: {ids:?}, not {right:?}"));
            }
        }
    }
    wrong
}

#[test]
fn ids_are_hugging_faces() {
    let models = models();
    assert_eq!(models.len(), 6);
    for (name, model, golden) in models {
        assert_eq!(golden.rows.len(), strings().len());
        let wrong = mismatches(&Tokenizer::from_checkpoint(&model).unwrap(), &golden);
        assert!(
            wrong.is_empty(),
            "{name}: {} wrong: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(5)]
        );
    }
}

#[test]
fn texts_are_hugging_faces() {
    for (name, model, golden) in models() {
        let tokenizer = Tokenizer::from_checkpoint(&model).unwrap();
        for (i, (text, row)) in strings().iter().zip(&golden.rows).enumerate() {
            let right = golden.texts.get(&i).unwrap_or(text);
            assert_eq!(&tokenizer.decode(&row[0], true).unwrap(), right, "{name} {text:?}");
        }
    }
}

/// What is written into a GGUF is that tokenizer, as far as llama.cpp's rules go. They differ in
/// what they take for a letter (Unicode 15.1 there, and no normal form).
#[test]
fn translations_give_the_same_ids() {
    let mut names = Vec::new();
    for (name, model, golden) in models() {
        let Some(pre) = model.metadata.str("tokenizer.ggml.pre").unwrap() else {
            let json = model.metadata.get("tokenizer.huggingface.json");
            assert!(matches!(json, Some(Value::String(_))), "{name}");
            let kept = Tokenizer::from_gguf(&model.metadata).unwrap();
            assert_eq!(mismatches(&kept, &golden), [""; 0], "{name}");
            continue;
        };
        let wrong = mismatches(&Tokenizer::from_gguf(&model.metadata).unwrap(), &golden);
        // The strings that NFC changes, each twice.
        let expected = if name == "qwen2" { 2 * golden.texts.len() } else { 0 };
        assert_eq!(wrong.len(), expected, "{name}: {wrong:#?}");
        names.push(pre.to_owned());
    }
    assert_eq!(names, ["llama-bpe", "smollm", "gpt-2", "qwen2"]);
}

/// fancy-regex gives up in silence where a look-ahead makes it go back more than a million times.
#[test]
fn a_run_of_white_space_is_right_or_refused() {
    for (name, model, _) in models() {
        let theirs = Tokenizer::from_checkpoint(&model).unwrap();
        let ours = Tokenizer::from_gguf(&model.metadata).unwrap();
        for spaces in [1_000, 100_000] {
            let text = " ".repeat(spaces) + "a";
            let encode = |tokenizer: &Tokenizer| tokenizer.encode(&text, false, true).unwrap();
            assert_eq!(encode(&theirs), encode(&ours), "{name}");
        }
        let error = theirs.encode(&" ".repeat(100_001), false, true).unwrap_err();
        assert!(error.to_string().contains("100001"), "{error}");
    }
}

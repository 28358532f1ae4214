//! What is fuzzed: a function per kind of input, none of which may panic, hang or allocate without
//! end. `tests/fuzz.rs` runs them on the cases that fuzzing found worth keeping.

use std::sync::Arc;

use mantissa::formats;
use mantissa::model::{
    ByteSource, Bytes, ChatTemplate, Checkpoint, Message, ModelConfig, ModelFiles, Tokenizer,
};

/// A GGUF file: header, configuration, tokenizer, chat template.
pub fn gguf(data: &[u8]) {
    file("fuzz.gguf", data);
}

/// A safetensors file: header, Mantissa's own metadata, and what hangs on them.
pub fn safetensors(data: &[u8]) {
    file("fuzz.safetensors", data);
}

/// The three files of a Hugging Face model, separated by zero bytes.
pub fn folder(data: &[u8]) {
    let names = ["config.json", "tokenizer.json", "model.safetensors"];
    let parts = data.splitn(names.len(), |byte| *byte == 0);
    let files =
        names.iter().zip(parts).map(|(name, part)| (String::from(*name), source(name, part)));
    read(ModelFiles::folder("fuzz", files));
}

/// Blocks of any format: decoded, laid out for the GPU and back, encoded again.
pub fn blocks(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let formats: Vec<_> = formats::all().collect();
    let format = formats[usize::from(choice) % formats.len()];
    let rest = data.len().saturating_sub(format.row_scale().bytes());
    let k = (rest / format.block_bytes()).min(64) * format.block_len();
    let Some(bytes) = formats::row_bytes(format, k).filter(|bytes| *bytes <= data.len()) else {
        return;
    };
    let row = &data[..bytes];
    let mut weights = vec![0.0; k];
    formats::decode_row(format, row, &mut weights).expect("a whole row");
    let layout = formats::Layout::new(format, 1, k, 1).expect("a small layout");
    let words = layout.repack(format, row).expect("a whole row");
    let mut back = vec![0; bytes];
    layout.unpack(format, &words, &mut back).expect("the same layout");
    assert_eq!(back, row, "{}", format.name());
    formats::encode_row(format, &weights, &mut back).expect("a whole row");
}

fn file(name: &str, data: &[u8]) {
    read(source(name, data));
}

fn source(name: &str, data: &[u8]) -> Arc<dyn ByteSource> {
    Arc::new(Bytes::new(name, data))
}

fn read(files: impl Into<ModelFiles>) {
    let Ok(checkpoint) = pollster::block_on(Checkpoint::open(files)) else { return };
    let _ = checkpoint.check_supported();
    let _ = ModelConfig::from_checkpoint(&checkpoint);
    if let Ok(tokenizer) = Tokenizer::from_checkpoint(&checkpoint)
        && let Ok(ids) = tokenizer.encode("A <s>line</s>\n of text, 123.", true, true)
    {
        let _ = tokenizer.decode(&ids, true);
    }
    if let Ok(template) = ChatTemplate::from_gguf(&checkpoint.metadata) {
        let message = Message { role: "user".into(), content: "Hi".into() };
        let _ = template.render(&[message], true);
    }
}

//! Random damage to right files: an error or a model, never a panic, never an absurd allocation.

use std::sync::LazyLock;

use ::mantissa::Result;
use ::mantissa::formats;
use ::mantissa::model::safetensors::Writer;
use ::mantissa::model::{Checkpoint, Tokenizer};
use proptest::prelude::*;

use crate::mantissa::zoo;
use crate::memory::peak;
use crate::support::{Folder, open, open_files};

/// A small file of ours with every kind of part.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut writer = Writer::new("small");
    let format = |name: &str| formats::by_name(name).unwrap();
    writer.metadata(&zoo()).unwrap();
    writer.tensor("a", &[32, 2], format("q4_1")).unwrap();
    writer.tensor("b", &[3], format("f32")).unwrap();
    let mut data = writer.begin(Vec::new()).unwrap();
    data.data(&[1; 40]).unwrap();
    data.data(&[2; 12]).unwrap();
    data.finish().unwrap()
});

/// Two bytes of JSON (`1,`) can become a number of ours of at most 32 bytes in a list that doubles;
/// nothing in a file costs more for its length. A message or a small file is below 64 KiB.
fn assert_reasonable(file: &[u8]) -> Result<Checkpoint> {
    let (model, bytes) = peak(|| open(file));
    let limit = 64 * file.len() + 65_536;
    assert!(bytes <= limit, "{bytes} bytes allocated for a file of {}", file.len());
    if let Ok(model) = &model {
        let mut end = 0;
        for tensor in &model.tensors {
            assert!(tensor.offset >= end);
            end = tensor.offset + tensor.bytes;
            assert!(end <= file.len() as u64);
        }
    }
    model
}

#[test]
fn every_truncation_is_noticed() {
    for len in 0..SMALL.len() {
        assert_reasonable(&SMALL[..len]).map(drop).unwrap_err();
    }
}

#[test]
fn every_changed_byte_is_survived() {
    for at in 0..SMALL.len() {
        for byte in [0, b'"', b'9', b'-', b'}', b',', 0x7f, 0xff] {
            let mut file = SMALL.clone();
            file[at] = byte;
            let _ = assert_reasonable(&file);
        }
    }
}

/// Bytes changed, the rest cut off, or a piece left out or doubled.
fn damaged(file: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = file.len();
    let bytes = prop::collection::vec((0..len, any::<u8>()), 0..4);
    (bytes, 0..len, 0..len, 0..4u8).prop_map(move |(bytes, from, to, kind)| {
        let mut file = file.clone();
        bytes.into_iter().for_each(|(at, byte)| file[at] = byte);
        let piece = from.min(to)..from.max(to).min(from.min(to) + 40);
        match kind {
            0 => file.truncate(from),
            1 => drop(file.drain(piece)),
            2 => {
                let copy = file[piece.clone()].to_vec();
                file.splice(piece.start..piece.start, copy);
            }
            _ => {}
        }
        file
    })
}

/// The files of a folder, one of them damaged.
fn damaged_folder() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let files = Folder::right().files();
    (0..files.len()).prop_flat_map(move |i| {
        let files = files.clone();
        damaged(files[i].1.clone()).prop_map(move |bytes| {
            let mut files = files.clone();
            files[i].1 = bytes;
            files
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_files_are_survived(file in damaged(SMALL.clone())) {
        // The header's length stays right, so that damage gets further.
        let _ = assert_reasonable(&file);
    }

    #[test]
    fn damaged_folders_are_survived(files in damaged_folder()) {
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let (model, peak) = peak(|| open_files(files));
        prop_assert!(peak <= 64 * bytes + 65_536, "{peak} bytes for {bytes}");
        if let Ok(tokenizer) = model.and_then(|model| Tokenizer::from_checkpoint(&model)) {
            let _ = tokenizer.encode("Hi 42<|end|>é", true, true);
        }
    }
}

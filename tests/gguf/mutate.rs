//! Random damage to a right file: an error or a file, never a panic, never an absurd allocation.

use std::sync::{Arc, LazyLock};

use mantissa::model::Checkpoint;
use mantissa::model::config::ModelConfig;
use mantissa::model::gguf::Gguf;
use mantissa::model::source::Bytes;
use mantissa::{Error, Result};
use proptest::prelude::*;

use super::memory::peak;
use super::raw::{File, array, string, tensor, value};
use super::{TINY_LLAMA, read};

/// The header of a valid file that has every kind of part, small, so that damage hits all of it.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let strings = [string(b"one"), string(b"two"), string(b"")].concat();
    let nested = [array(0, 2, &[1, 2]), array(7, 2, &[0, 1])].concat();
    File {
        values: vec![
            value("general.architecture", 8, &string(b"llama")),
            value("general.alignment", 4, &32u32.to_le_bytes()),
            value("a.strings", 9, &array(8, 3, &strings)),
            value("a.numbers", 9, &array(5, 2, &[7; 8])),
            value("a.nested", 9, &array(9, 2, &nested)),
            value("a.bool", 7, &[1]),
        ],
        tensors: vec![
            tensor("q", &[64, 2], 3, 0),
            tensor("k", &[256], 12, 96),
            tensor("v", &[4, 2, 2], 0, 256),
        ],
        data: 320,
        ..File::default()
    }
    .build()
});

/// Everything in a file that costs memory takes 8 bytes there at least (a string's length) and,
/// with maps, vectors that double and names that are copied, less than 512 here; a message or a
/// small file is below 64 KiB.
fn assert_reasonable(file: &[u8]) -> Result<Gguf> {
    let source = Bytes::new("test.gguf", file);
    let (gguf, bytes) = peak(|| pollster::block_on(Gguf::read(&source)));
    let limit = 64 * file.len() + 65_536;
    assert!(bytes <= limit, "{bytes} bytes allocated for a file of {}", file.len());
    gguf
}

/// What a reader promises of whatever it accepts.
fn assert_sound(gguf: &Gguf, file_len: u64) {
    let mut end = gguf.data_offset;
    for tensor in &gguf.tensors {
        assert!(tensor.offset >= end && tensor.offset.is_multiple_of(gguf.alignment.into()));
        end = tensor.offset + tensor.bytes;
        assert!(end <= file_len);
    }
}

#[test]
fn the_small_file_is_right() {
    let gguf = assert_reasonable(&SMALL).unwrap();
    assert_eq!((gguf.metadata.len(), gguf.tensors.len()), (6, 3));
    assert_sound(&gguf, SMALL.len() as u64);
}

/// The last tensor's data end with the file, so every shorter file lacks something.
#[test]
fn every_truncation_is_noticed() {
    for len in 0..SMALL.len() {
        let error = assert_reasonable(&SMALL[..len]).map(drop).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{len}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("truncated"), "{len}: {text}");
    }
}

#[test]
fn every_changed_byte_is_survived() {
    for at in 0..SMALL.len() {
        for byte in [0, 1, 3, 8, 9, 0x7f, 0x80, 0xff] {
            let mut file = SMALL.clone();
            file[at] = byte;
            if let Ok(gguf) = assert_reasonable(&file) {
                assert_sound(&gguf, file.len() as u64);
            }
        }
    }
}

fn damaged(file: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let byte = (0..file.len(), any::<u8>());
    let number = (0..file.len().saturating_sub(8), prop_oneof![any::<u64>(), 0..1u64 << 34]);
    let damage = (prop::collection::vec(byte, 0..6), prop::option::of(number), 0..=file.len());
    (damage, any::<bool>()).prop_map(move |((bytes, number, len), cut)| {
        let mut file = file.to_vec();
        bytes.into_iter().for_each(|(at, byte)| file[at] = byte);
        if let Some((at, number)) = number {
            file[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        file.truncate(if cut { len } else { file.len() });
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_headers_are_survived(file in damaged(&SMALL)) {
        if let Ok(gguf) = assert_reasonable(&file) {
            assert_sound(&gguf, file.len() as u64);
        }
    }

    #[test]
    fn damaged_models_are_survived(file in damaged(&TINY_LLAMA[..4096])) {
        // The data behind the header stay, so that damaged headers get as far as the tensors.
        let file = [&file[..], &TINY_LLAMA[4096..]].concat();
        if let Ok(gguf) = assert_reasonable(&file) {
            assert_sound(&gguf, file.len() as u64);
            let model = Checkpoint::from_gguf(gguf, Arc::new(Bytes::new("test.gguf", [])));
            let (_, bytes) = peak(|| ModelConfig::from_checkpoint(&model));
            prop_assert!(bytes <= 64 * file.len(), "{} bytes", bytes);
        }
    }

    #[test]
    fn noise_is_survived(mut file in prop::collection::vec(any::<u8>(), 0..512), right: bool) {
        if right && file.len() > 8 {
            file[..8].copy_from_slice(b"GGUF\x03\0\0\0");
        }
        prop_assert!(assert_reasonable(&file).is_err() || file[8..24].iter().all(|b| *b == 0));
    }
}

#[test]
fn the_golden_header_fits_what_is_damaged() {
    let data_offset = read(TINY_LLAMA).unwrap().data_offset;
    assert!((3500..=4096).contains(&data_offset), "{data_offset}");
}

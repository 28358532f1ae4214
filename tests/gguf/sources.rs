//! Where bytes come from: memory maps, and sources that fetch.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use mantissa::Error;
use mantissa::model::checkpoint::FileProblem;
use mantissa::model::gguf::{Gguf, GgufError};
use mantissa::model::source::{BoxFuture, ByteSource};
use mantissa::platform;

use super::TINY_LLAMA;
use super::raw::{File, array, string, tensor, value};

fn temporary(name: &str, bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_mapped_file_is_read() {
    let path = temporary("tiny_llama.gguf", TINY_LLAMA);
    let source = platform::open(&path).unwrap();
    assert_eq!(source.len(), TINY_LLAMA.len() as u64);
    let gguf = pollster::block_on(Gguf::read(&*source)).unwrap();
    let tensor = gguf.tensor("output_norm.weight").unwrap();
    let read = source.read(tensor.offset, tensor.bytes as usize);
    let bytes = pollster::block_on(read).unwrap();
    assert!(matches!(bytes, Cow::Borrowed(_)));
    assert_eq!(bytes[..], TINY_LLAMA[tensor.offset as usize..][..256]);
}

#[test]
fn an_empty_file_is_truncated() {
    let source = platform::open(temporary("empty.gguf", b"")).unwrap();
    let error = pollster::block_on(Gguf::read(&*source)).map(drop).unwrap_err();
    let Error::Malformed { file, problem: FileProblem::Gguf(problem) } = error else {
        panic!("{error:?}")
    };
    assert!(file.ends_with("empty.gguf"));
    assert!(matches!(problem, GgufError::Truncated { len: 0, .. }), "{problem}");
}

#[test]
fn what_is_no_file_is_named() {
    for (path, kind) in [
        (env!("CARGO_TARGET_TMPDIR"), io::ErrorKind::InvalidInput),
        ("/no/such/model.gguf", io::ErrorKind::NotFound),
        ("", io::ErrorKind::NotFound),
    ] {
        let error = platform::open(path).map(drop).unwrap_err();
        let Error::Io { what, source } = error else { panic!("{error:?}") };
        assert_eq!((what.as_str(), source.kind()), (path, kind));
    }
}

/// A source that fetches ranges, as a page does, and notes which. Behind `bytes` all is zero.
struct Fetched {
    bytes: Vec<u8>,
    len: u64,
    ranges: Mutex<Vec<(u64, usize)>>,
}

impl Fetched {
    fn new(bytes: Vec<u8>, len: u64) -> Self {
        Self { bytes, len, ranges: Mutex::default() }
    }
}

impl ByteSource for Fetched {
    fn name(&self) -> &str {
        "fetched"
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'_, mantissa::Result<Cow<'_, [u8]>>> {
        self.ranges.lock().unwrap().push((offset, len));
        let at = |i: usize| self.bytes.get(offset as usize + i).copied().unwrap_or(0);
        let bytes: Vec<u8> = (0..len).map(at).collect();
        Box::pin(std::future::ready(Ok(Cow::Owned(bytes))))
    }
}

/// A header of some 4 MB: a vocabulary as large as Llama 3's.
fn large_header(tensor_bytes: u64) -> Vec<u8> {
    let words: Vec<u8> = (0..150_000).flat_map(|i| string(format!("word{i}").as_bytes())).collect();
    File {
        values: vec![value("tokenizer.ggml.tokens", 9, &array(8, 150_000, &words))],
        tensors: vec![tensor("large", &[tensor_bytes], 24, 0)],
        ..File::default()
    }
    .build()
}

#[test]
fn only_the_header_is_fetched_and_no_byte_twice() {
    let header = large_header(10 << 30);
    let (header_len, file_len) = (header.len() as u64, header.len() as u64 + (10 << 30));
    let source = Fetched::new(header, file_len);
    let gguf = pollster::block_on(Gguf::read(&source)).unwrap();
    assert_eq!(gguf.tensors[0].bytes, 10 << 30);
    assert_eq!(gguf.metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap().len(), 150_000);
    let mut end = 0;
    for &(offset, len) in source.ranges.lock().unwrap().iter() {
        assert_eq!(offset, end);
        end = offset + len as u64;
    }
    assert!((header_len..=2 * header_len).contains(&end), "{end} of {header_len}");
}

#[test]
fn a_string_as_large_as_the_file_is_not_fetched() {
    let mut file = File::with_values(&[value("key", 8, &(9u64 << 30).to_le_bytes())]);
    file.truncate(4096);
    let source = Fetched::new(file, 10 << 30);
    let error = pollster::block_on(Gguf::read(&source)).map(drop).unwrap_err();
    let Error::Malformed { problem: FileProblem::Gguf(problem), .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(problem, GgufError::HeaderTooLarge { needed, .. } if needed == 9 << 30));
    assert!(problem.to_string().contains("the value of \"key\""), "{problem}");
    let fetched: usize = source.ranges.lock().unwrap().iter().map(|(_, len)| len).sum();
    assert!(fetched <= 1 << 20, "{fetched}");
}

/// A server that ignores ranges, or a file that shrank.
struct Short;

impl ByteSource for Short {
    fn name(&self) -> &str {
        "short"
    }

    fn len(&self) -> u64 {
        1 << 20
    }

    fn read(&self, _: u64, _: usize) -> BoxFuture<'_, mantissa::Result<Cow<'_, [u8]>>> {
        Box::pin(std::future::ready(Ok(Cow::Borrowed(&TINY_LLAMA[..1000]))))
    }
}

#[test]
fn a_source_that_gives_too_little_is_named() {
    let error = pollster::block_on(Gguf::read(&Short)).map(drop).unwrap_err();
    assert!(error.to_string().contains("short: 1048576 bytes were asked for, but only 1000 came"));
}

#[test]
fn a_length_that_no_file_has_is_survived() {
    let file = File::with_tensors(&[tensor("t", &[1 << 62], 24, 0)], 0);
    let gguf = pollster::block_on(Gguf::read(&Fetched::new(file, u64::MAX))).unwrap();
    assert_eq!(gguf.tensors[0].bytes, 1 << 62);
}

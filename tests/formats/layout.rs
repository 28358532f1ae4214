//! Repacking: its inverse, for every format; and, for those that began, a CPU model of what their
//! WGSL parts read (the parts themselves run in tests/gpu).

use mantissa::Error;
use mantissa::formats::{CHUNK, FormatRef, Layout, all, by_name, decode_row, row_bytes};
use proptest::prelude::*;

/// A repacked tensor, addressed as `shaders/lib/layout.wgsl` does.
struct Repacked {
    layout: Layout,
    words: Vec<u32>,
}

impl Repacked {
    fn slot(&self, row: usize, c: usize, n: usize) -> usize {
        let (tile, slots) = (self.layout.tile, self.layout.chunks.div_ceil(n));
        (row / tile * slots + c / n) * tile + row % tile
    }

    /// Word `w` of the slot of (row, c) in plane p, which has `words` words per chunk.
    fn word(&self, p: usize, words: usize, row: usize, c: usize, w: usize) -> u32 {
        self.words[self.layout.bases[p] + self.slot(row, c, 1) * words + w]
    }

    fn code(&self, row: usize, c: usize, j: usize) -> u32 {
        self.word(0, 4, row, c, j / 8) >> (4 * (j % 8)) & 15
    }

    fn five_bit_code(&self, row: usize, c: usize, j: usize) -> u32 {
        self.code(row, c, j) | (self.word(1, 1, row, c, 0) >> j & 1) << 4
    }

    /// The scale of (row, c) in plane p, which has half a word per chunk.
    fn half_word_scale(&self, p: usize, row: usize, c: usize) -> f32 {
        let word = self.words[self.layout.bases[p] + self.slot(row, c, 2)];
        f16(if c.is_multiple_of(2) { word } else { word >> 16 })
    }

    fn scale_and_minimum(&self, p: usize, row: usize, c: usize) -> (f32, f32) {
        let word = self.word(p, 1, row, c, 0);
        (f16(word), f16(word >> 16))
    }

    /// What `shaders/formats/<name>.wgsl` gives for weight j of chunk c.
    fn weight(&self, name: &str, row: usize, c: usize, j: usize) -> f32 {
        match name {
            "f32" => f32::from_bits(self.word(0, 32, row, c, j)),
            "f16" => f16(self.word(0, 16, row, c, j / 2) >> (16 * (j % 2))),
            "bf16" => {
                let word = self.word(0, 16, row, c, j / 2);
                f32::from_bits(if j.is_multiple_of(2) { word << 16 } else { word & 0xffff_0000 })
            }
            "q4_0" => self.half_word_scale(1, row, c) * (self.code(row, c, j) as f32 - 8.0),
            "q4_1" => {
                let (d, m) = self.scale_and_minimum(1, row, c);
                d * self.code(row, c, j) as f32 + m
            }
            "q5_0" => {
                self.half_word_scale(2, row, c) * (self.five_bit_code(row, c, j) as f32 - 16.0)
            }
            "q5_1" => {
                let (d, m) = self.scale_and_minimum(2, row, c);
                d * self.five_bit_code(row, c, j) as f32 + m
            }
            "q8_0" => {
                let byte = self.word(0, 8, row, c, j / 8 * 2 + j % 2).to_le_bytes()[j % 8 / 2];
                self.half_word_scale(1, row, c) * f32::from(byte as i8)
            }
            _ => panic!("{name} has no model here: add one"),
        }
    }
}

fn f16(bits: u32) -> f32 {
    half::f16::from_bits(bits as u16).to_f32()
}

/// Those with a model in [`Repacked::weight`].
fn modelled() -> Vec<FormatRef> {
    let names = ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"];
    names.map(|name| by_name(name).unwrap()).to_vec()
}

/// A format, rows, K, tile, and the bytes of such a tensor.
fn tensor(
    formats: Vec<FormatRef>,
) -> impl Strategy<Value = (FormatRef, usize, usize, usize, Vec<u8>)> {
    let tiles = prop::sample::select(vec![1, 4, 8, 32]);
    (prop::sample::select(formats), 1..40usize, 1..300usize, tiles).prop_flat_map(
        |(format, rows, k, tile)| {
            let k = k.next_multiple_of(format.block_len());
            let bytes = rows * row_bytes(format, k).unwrap();
            (Just(format), Just(rows), Just(k), Just(tile), vec![any::<u8>(); bytes])
        },
    )
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn unpacking_inverts_repacking(
        (format, rows, k, tile, bytes) in tensor(all().collect())
    ) {
        let layout = Layout::new(format, rows, k, tile).unwrap();
        let words = layout.repack(format, &bytes).unwrap();
        prop_assert_eq!(words.len(), layout.words);
        let mut back = vec![0xa5; bytes.len()];
        layout.unpack(format, &words, &mut back).unwrap();
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn repacked_words_decode_to_the_same_weights(
        (format, rows, k, tile, bytes) in tensor(modelled())
    ) {
        let layout = Layout::new(format, rows, k, tile).unwrap();
        prop_assert!(layout.bases.iter().all(|base| base.is_multiple_of(4)));
        let words = layout.repack(format, &bytes).unwrap();
        let repacked = Repacked { layout, words };
        let mut weights = vec![0.0; k];
        for (row, bytes) in bytes.chunks(bytes.len() / rows).enumerate() {
            decode_row(format, bytes, &mut weights).unwrap();
            for (i, &x) in weights.iter().enumerate() {
                let y = repacked.weight(format.name(), row, i / CHUNK, i % CHUNK);
                let same = x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
                prop_assert!(same, "{} [{row}, {i}]: {x} != {y}", format.name());
            }
            // A shader reads whole chunks: what lies behind the row must count for nothing.
            for j in (k - 1) % CHUNK + 1..CHUNK {
                let y = repacked.weight(format.name(), row, repacked.layout.chunks - 1, j);
                prop_assert_eq!(y.to_bits(), 0);
            }
        }
    }
}

#[test]
fn odd_chunks_round_half_word_planes_up() {
    // 5 rows in tiles of 4 make 8; 3 chunks need 2 words of scales.
    let layout = Layout::new(by_name("q4_0").unwrap(), 5, 96, 4).unwrap();
    assert_eq!(layout.bases, [0, 8 * 3 * 4]);
    assert_eq!(layout.words, 8 * 3 * 4 + 8 * 2);
    assert_eq!(layout.row_bytes, 54);
}

#[test]
fn impossible_layouts_are_errors() {
    let (f32, q8_0) = (by_name("f32").unwrap(), by_name("q8_0").unwrap());
    let shape = |k, tile| matches!(Layout::new(q8_0, 1, k, tile), Err(Error::Shape { .. }));
    assert!(shape(33, 1) && shape(32, 0) && shape(usize::MAX, 1));
    for rows in [1 << 32, usize::MAX] {
        let error = Layout::new(f32, rows, 32, 8).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
    assert!(matches!(Layout::new(f32, 8, 1 << 40, 8), Err(Error::Limit { .. })));
}

#[test]
fn empty_tensors_have_no_words() {
    for format in all() {
        for (rows, k) in [(0, format.block_len()), (3, 0), (0, 0)] {
            let layout = Layout::new(format, rows, k, 4).unwrap();
            let bytes = rows * layout.row_bytes;
            // Rows of nothing still have a scale each, where they have any.
            assert_eq!(layout.words, (bytes / 4).next_multiple_of(4));
            let words = layout.repack(format, &vec![0; bytes]).unwrap();
            layout.unpack(format, &words, &mut vec![0; bytes]).unwrap();
        }
    }
}

#[test]
fn buffers_of_the_wrong_length_are_refused() {
    for format in all() {
        let layout = Layout::new(format, 3, 2 * format.block_len(), 1).unwrap();
        let bytes = 3 * layout.row_bytes;
        for wrong in [0, bytes - 1, bytes + 1, bytes + layout.row_bytes] {
            let error = layout.repack(format, &vec![0; wrong]).unwrap_err();
            assert!(matches!(error, Error::Shape { op: "repack", .. }), "{error}");
        }
        let words = vec![0; layout.words];
        let wrong_bytes = layout.unpack(format, &words, &mut vec![0; bytes - 1]);
        let wrong_words = layout.unpack(format, &words[1..], &mut vec![0; bytes]);
        assert!(matches!(wrong_bytes, Err(Error::Shape { op: "unpack", .. })));
        assert!(matches!(wrong_words, Err(Error::Shape { op: "unpack", .. })));
    }
}

//! GGUF IQ1_M: blocks of 256, x = d·(2s + 1)·(point ± 1/8), the points IQ1_S's 2048 of 8 levels
//! among −1, 0, 1, a scale for each 16 weights; 1.75 bits per weight.
//!
//! File: `points: [u8; 32], qh: [u8; 16], scales: [u16; 4]`: for each 8 weights the point's number,
//! and a nibble of `qh`: three upper bits of the number, above them whether the eighth is taken
//! off; for each 16 s in three bits, those of 64 weights in the low 12 bits of a word of `scales`,
//! whose upper 4 bits are d: a binary16, its lowest bits first (ggml-common.h, `block_iq1_m`).
//!
//! GPU layout: plane 0, 1 word per chunk: 4 `points`. Plane 1, 1 word per 2 chunks: `qh` of the
//! even chunk in the low half, of the odd one in the high half. Plane 2, 2 words per 8 chunks:
//! `scales`.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.413 (that of
//! llama.cpp's own quantizer: 0.450, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid, nibble, put_nibble};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock, size};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 1-bit blocks of 256: points of a grid of 2048, shifted by an eighth each, a scale per 16.
#[derive(Debug)]
pub struct Iq1M;

const BYTES: usize = 56;
// Levels with the eighth added, and taken off.
const UP: Grid = Grid { words: &grids::IQ1_S, bits: 2, levels: &[-0.875, 0.125, 1.125] };
const DOWN: Grid = Grid { words: &grids::IQ1_S, bits: 2, levels: &[-1.125, -0.125, 0.875] };
const SCALES: Scales = Scales { first: 1.0, step: 2.0, codes: 8 };
/// The second book's points have numbers from 2048, whose bit 11 is that of `qh`.
static BOOKS: LazyLock<[Book; 2]> = LazyLock::new(|| [Book::new(&UP, 0), Book::new(&DOWN, 2048)]);
// Where the fields of a block begin.
const HIGH: usize = 32;
const SCALE_CODES: usize = 48;

impl Format for Iq1M {
    fn facts(&self) -> Facts {
        Facts::gguf("iq1_m", 29, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let words: [u16; 4] = std::array::from_fn(|i| bits::u16_at(block, SCALE_CODES + 2 * i));
        let d = words.iter().rev().fold(0, |d, word| d << 4 | word >> 12);
        let d = bits::f16_to_f32(d);
        for (g, out) in out.chunks_exact_mut(8).enumerate() {
            let s = words[g / 8] >> (g % 8 / 2 * 3) & 7;
            let high = nibble(&block[HIGH..], g);
            let grid = if high < 8 { UP } else { DOWN };
            let point = usize::from(high & 7) << 8 | usize::from(block[g]);
            grid.decode(point, 0, d * f32::from(2 * s + 1), out);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::Within);
        let subs: Vec<SubBlock> = x.values.chunks_exact(16).map(either).collect();
        let fit = x.fit(&subs, SCALES);
        block.fill(0);
        for (g, point) in fit.points.iter().enumerate() {
            block[g] = *point as u8;
            put_nibble(&mut block[HIGH..], g, (point >> 8) as u8);
        }
        for (i, codes) in fit.codes.chunks_exact(4).enumerate() {
            let codes = codes.iter().rev().fold(0, |word, s| word << 3 | u16::from(*s));
            bits::put_u16(block, SCALE_CODES + 2 * i, codes | fit.d >> (4 * i) << 12);
        }
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 1, chunks: 1 },
            Plane { words: 1, chunks: 2 },
            Plane { words: 2, chunks: 8 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            bits::bytes_to_words(&block[..HIGH], &mut planes[0][8 * b..][..8]);
            bits::bytes_to_words(&block[HIGH..SCALE_CODES], &mut planes[1][4 * b..][..4]);
            bits::bytes_to_words(&block[SCALE_CODES..], &mut planes[2][2 * b..][..2]);
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            bits::words_to_bytes(&planes[0][8 * b..][..8], &mut block[..HIGH]);
            bits::words_to_bytes(&planes[1][4 * b..][..4], &mut block[HIGH..SCALE_CODES]);
            bits::words_to_bytes(&planes[2][2 * b..][..2], &mut block[SCALE_CODES..]);
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ1_S
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq1_m.wgsl")]
    }
}

/// 16 weights, each 8 of which take points of either book.
fn either(x: &[f32]) -> SubBlock {
    let hulls = x.chunks_exact(8).map(|x| BOOKS[0].hull(x).union(BOOKS[1].hull(x)));
    SubBlock { ways: vec![hulls.collect()], size: size(x) }
}

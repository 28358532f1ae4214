//! GGUF IQ1_S: blocks of 256, x = d·(2s + 1)·(point ± 1/8), the points 2048 of 8 levels among −1,
//! 0, 1; 1.5625 bits per weight.
//!
//! File: `d: f16, points: [u8; 32], qh: [u16; 8]`: for each 8 weights the point's number; for each
//! 32 three upper bits of each of the four numbers, above them s in three bits, above that whether
//! the eighth is taken off (ggml-common.h, `block_iq1_s`).
//!
//! GPU layout: plane 0, 1 word per chunk: 4 `points`. Plane 1, 1 word per 2 chunks: `qh` of the
//! even chunk in the low half, of the odd one in the high half. Plane 2, 1 word per 16 chunks: d of
//! the even block in the low half, of the odd one in the high half.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.448 (that of
//! llama.cpp's own quantizer: 0.487, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 1-bit blocks of 256: points of a grid of 2048, shifted by an eighth per 32.
#[derive(Debug)]
pub struct Iq1S;

const BYTES: usize = 50;
// Levels with the eighth added, and taken off.
const UP: Grid = Grid { words: &grids::IQ1_S, bits: 2, levels: &[-0.875, 0.125, 1.125] };
const DOWN: Grid = Grid { words: &grids::IQ1_S, bits: 2, levels: &[-1.125, -0.125, 0.875] };
const SCALES: Scales = Scales { first: 1.0, step: 2.0, codes: 8 };
static BOOKS: LazyLock<[Book; 2]> = LazyLock::new(|| [Book::new(&UP, 0), Book::new(&DOWN, 0)]);
// Where the upper bits of a block begin.
const HIGH: usize = 34;

impl Format for Iq1S {
    fn facts(&self) -> Facts {
        Facts::gguf("iq1_s", 19, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (g, out) in out.chunks_exact_mut(8).enumerate() {
            let high = bits::u16_at(block, HIGH + g / 4 * 2);
            let scale = d * f32::from(2 * (high >> 12 & 7) + 1);
            let grid = if high >> 15 == 0 { UP } else { DOWN };
            let point = usize::from(high >> (g % 4 * 3) & 7) << 8 | usize::from(block[2 + g]);
            grid.decode(point, 0, scale, out);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::Within);
        let books = [&BOOKS[0], &BOOKS[1]];
        let subs: Vec<SubBlock> =
            x.values.chunks_exact(32).map(|x| SubBlock::new(x, 8, &books)).collect();
        let fit = x.fit(&subs, SCALES);
        bits::put_u16(block, 0, fit.d);
        for (c, points) in fit.points.chunks_exact(4).enumerate() {
            let mut high = u16::from(fit.codes[c]) << 12 | (fit.ways[c] as u16) << 15;
            for (g, point) in points.iter().enumerate() {
                block[2 + 4 * c + g] = *point as u8;
                high |= (point >> 8) << (3 * g);
            }
            bits::put_u16(block, HIGH + 2 * c, high);
        }
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 1, chunks: 1 },
            Plane { words: 1, chunks: 2 },
            Plane { words: 1, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            bits::bytes_to_words(&block[2..HIGH], &mut planes[0][8 * b..][..8]);
            bits::bytes_to_words(&block[HIGH..], &mut planes[1][4 * b..][..4]);
            bits::put_half(planes[2], b, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            bits::words_to_bytes(&planes[0][8 * b..][..8], &mut block[2..HIGH]);
            bits::words_to_bytes(&planes[1][4 * b..][..4], &mut block[HIGH..]);
            bits::put_u16(block, 0, bits::half(planes[2], b));
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ1_S
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq1_s.wgsl")]
    }
}

//! GGUF IQ2_XXS: blocks of 256, x = ±d·(2s + 1)/8·point, the points 256 of 8 levels among 8, 25,
//! 43; 2.0625 bits per weight.
//!
//! File: `d: f16`, then for each 32 weights `points: [u8; 4], signs: u32`: seven signs for each 8
//! weights (the eighth makes their number even), s in the upper 4 bits (ggml-common.h,
//! `block_iq2_xxs`).
//!
//! GPU layout: plane 0, 2 words per chunk, as in the file. Plane 1, 1 word per 16 chunks: d of the
//! even block in the low half, of the odd one in the high half.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.331 (that of
//! llama.cpp's own quantizer: 0.349, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid, even_signs};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 2-bit blocks of 256: points of a grid of 256, even signs.
#[derive(Debug)]
pub struct Iq2Xxs;

const BYTES: usize = 66;
const GRID: Grid = Grid { words: &grids::IQ2_XXS, bits: 2, levels: &[8.0, 25.0, 43.0] };
const SCALES: Scales = Scales { first: 0.125, step: 0.25, codes: 16 };
static BOOK: LazyLock<Book> = LazyLock::new(|| Book::new(&GRID, 0));

impl Format for Iq2Xxs {
    fn facts(&self) -> Facts {
        Facts::gguf("iq2_xxs", 16, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (c, out) in out.chunks_exact_mut(32).enumerate() {
            let (points, signs) = (&block[2 + 8 * c..][..4], bits::u32_at(block, 6 + 8 * c));
            let scale = d * (0.5 + (signs >> 28) as f32) * 0.25;
            for (g, out) in out.chunks_exact_mut(8).enumerate() {
                let signs = even_signs(signs >> (7 * g) & 127);
                GRID.decode(usize::from(points[g]), signs, scale, out);
            }
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::Even);
        let subs: Vec<SubBlock> =
            x.values.chunks_exact(32).map(|x| SubBlock::new(x, 8, &[&BOOK])).collect();
        let fit = x.fit(&subs, SCALES);
        bits::put_u16(block, 0, fit.d);
        for (c, bytes) in block[2..].chunks_exact_mut(8).enumerate() {
            let groups = 4 * c..4 * c + 4;
            let points = bytes.iter_mut().zip(&fit.points[groups.clone()]);
            points.for_each(|(byte, point)| *byte = *point as u8);
            let signs = x.signs[groups].iter().rev();
            let signs = signs.fold(0, |word, s| word << 7 | u32::from(s & 127));
            bits::put_u32(bytes, 4, signs | u32::from(fit.codes[c]) << 28);
        }
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 2, chunks: 1 }, Plane { words: 1, chunks: 16 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            bits::bytes_to_words(&block[2..], &mut planes[0][16 * b..][..16]);
            bits::put_half(planes[1], b, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            bits::words_to_bytes(&planes[0][16 * b..][..16], &mut block[2..]);
            bits::put_u16(block, 0, bits::half(planes[1], b));
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ2_XXS
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq2_xxs.wgsl")]
    }
}

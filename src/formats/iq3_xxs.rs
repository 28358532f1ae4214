//! GGUF IQ3_XXS: blocks of 256, x = ±d·(2s + 1)/4·point, the points 256 of 4 levels among 4, 12,
//! 20, 28, 36, 44, 52, 62; 3.0625 bits per weight.
//!
//! File: `d: f16, points: [u8; 64], signs: [u32; 8]`: for each 4 weights the point's number; for
//! each 32 a word with seven signs for each 8 (the eighth makes their number even), s in its upper
//! 4 bits (ggml-common.h, `block_iq3_xxs`).
//!
//! GPU layout: plane 0, 3 words per chunk: 8 `points`, then `signs`. Plane 1, 1 word per 16 chunks:
//! d of the even block in the low half, of the odd one in the high half.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.177 (that of
//! llama.cpp's own quantizer: 0.182, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid, even_signs};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 3-bit blocks of 256: points of a grid of 256, even signs.
#[derive(Debug)]
pub struct Iq3Xxs;

const BYTES: usize = 98;
const LEVELS: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
const GRID: Grid = Grid { words: &grids::IQ3_XXS, bits: 4, levels: &LEVELS };
const SCALES: Scales = Scales { first: 0.25, step: 0.5, codes: 16 };
static BOOK: LazyLock<Book> = LazyLock::new(|| Book::new(&GRID, 0));
// Where the signs of a block begin.
const SIGNS: usize = 66;

impl Format for Iq3Xxs {
    fn facts(&self) -> Facts {
        Facts::gguf("iq3_xxs", 18, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (g, out) in out.chunks_exact_mut(4).enumerate() {
            let word = bits::u32_at(block, SIGNS + g / 8 * 4);
            let scale = d * (0.5 + (word >> 28) as f32) * 0.5;
            let signs = even_signs(word >> (g % 8 / 2 * 7) & 127) >> (g % 2 * 4);
            GRID.decode(usize::from(block[2 + g]), signs, scale, out);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::Even);
        let subs: Vec<SubBlock> =
            x.values.chunks_exact(32).map(|x| SubBlock::new(x, 4, &[&BOOK])).collect();
        let fit = x.fit(&subs, SCALES);
        bits::put_u16(block, 0, fit.d);
        fit.points.iter().zip(&mut block[2..]).for_each(|(point, byte)| *byte = *point as u8);
        for (c, (code, signs)) in fit.codes.iter().zip(x.signs.chunks_exact(4)).enumerate() {
            let signs = signs.iter().rev().fold(0, |word, s| word << 7 | u32::from(s & 127));
            bits::put_u32(block, SIGNS + 4 * c, signs | u32::from(*code) << 28);
        }
    }

    fn planes(&self) -> &[Plane] {
        &[Plane { words: 3, chunks: 1 }, Plane { words: 1, chunks: 16 }]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            for (c, words) in planes[0][24 * b..][..24].chunks_exact_mut(3).enumerate() {
                bits::bytes_to_words(&block[2 + 8 * c..][..8], &mut words[..2]);
                words[2] = bits::u32_at(block, SIGNS + 4 * c);
            }
            bits::put_half(planes[1], b, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            for (c, words) in planes[0][24 * b..][..24].chunks_exact(3).enumerate() {
                bits::words_to_bytes(&words[..2], &mut block[2 + 8 * c..][..8]);
                bits::put_u32(block, SIGNS + 4 * c, words[2]);
            }
            bits::put_u16(block, 0, bits::half(planes[1], b));
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ3_XXS
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq3_xxs.wgsl")]
    }
}

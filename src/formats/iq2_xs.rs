//! GGUF IQ2_XS: blocks of 256, x = ±d·(2s + 1)/8·point, the points 512 of 8 levels among 8, 25, 43,
//! a scale for each 16 weights; 2.3125 bits per weight.
//!
//! File: `d: f16, qs: [u16; 32], scales: [u8; 8]`: for each 8 weights the point's number in 9 bits,
//! above it seven signs (the eighth makes their number even); for each 32 a byte of scales, s of
//! the first 16 in the low nibble (ggml-common.h, `block_iq2_xs`).
//!
//! GPU layout: plane 0, 2 words per chunk: `qs`. Plane 1, 2 words per 8 chunks: `scales`. Plane 2,
//! 1 word per 16 chunks: d of the even block in the low half, of the odd one in the high half.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.287 (that of
//! llama.cpp's own quantizer: 0.301, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid, even_signs, nibble, put_nibble};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 2-bit blocks of 256: points of a grid of 512, even signs, a scale per 16.
#[derive(Debug)]
pub struct Iq2Xs;

const BYTES: usize = 74;
const GRID: Grid = Grid { words: &grids::IQ2_XS, bits: 2, levels: &[8.0, 25.0, 43.0] };
const SCALES: Scales = Scales { first: 0.125, step: 0.25, codes: 16 };
static BOOK: LazyLock<Book> = LazyLock::new(|| Book::new(&GRID, 0));

impl Format for Iq2Xs {
    fn facts(&self) -> Facts {
        Facts::gguf("iq2_xs", 17, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (g, out) in out.chunks_exact_mut(8).enumerate() {
            let scale = d * (0.5 + f32::from(nibble(&block[66..], g / 2))) * 0.25;
            let code = bits::u16_at(block, 2 + 2 * g);
            let signs = even_signs(u32::from(code >> 9));
            GRID.decode(usize::from(code & 511), signs, scale, out);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::Even);
        let subs: Vec<SubBlock> =
            x.values.chunks_exact(16).map(|x| SubBlock::new(x, 8, &[&BOOK])).collect();
        let fit = x.fit(&subs, SCALES);
        block.fill(0);
        bits::put_u16(block, 0, fit.d);
        for (g, (point, signs)) in fit.points.iter().zip(x.signs).enumerate() {
            bits::put_u16(block, 2 + 2 * g, point | u16::from(signs & 127) << 9);
        }
        fit.codes.iter().enumerate().for_each(|(i, s)| put_nibble(&mut block[66..], i, *s));
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 2, chunks: 1 },
            Plane { words: 2, chunks: 8 },
            Plane { words: 1, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            bits::bytes_to_words(&block[2..66], &mut planes[0][16 * b..][..16]);
            bits::bytes_to_words(&block[66..], &mut planes[1][2 * b..][..2]);
            bits::put_half(planes[2], b, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            bits::words_to_bytes(&planes[0][16 * b..][..16], &mut block[2..66]);
            bits::words_to_bytes(&planes[1][2 * b..][..2], &mut block[66..]);
            bits::put_u16(block, 0, bits::half(planes[2], b));
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ2_XS
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq2_xs.wgsl")]
    }
}

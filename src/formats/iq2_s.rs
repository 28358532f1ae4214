//! GGUF IQ2_S: blocks of 256, x = ±d·(2s + 1)/8·point, the points 1024 of 8 levels among 8, 25, 43,
//! a scale for each 16 weights; 2.5625 bits per weight.
//!
//! File: `d: f16, points: [u8; 32], signs: [u8; 32], qh: [u8; 8], scales: [u8; 8]`: for each 8
//! weights the point's number and a byte of signs; for each 32 two upper bits of each of the four
//! numbers, and a byte of scales, s of the first 16 in the low nibble (ggml-common.h,
//! `block_iq2_s`).
//!
//! GPU layout: plane 0, 2 words per chunk: 4 `points`, 4 `signs`. Plane 1, 4 words per 8 chunks: a
//! half for each chunk, `qh` low, `scales` high. Plane 2, 1 word per 16 chunks: d of the even block
//! in the low half, of the odd one in the high half.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.240 (that of
//! llama.cpp's own quantizer: 0.251, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid, nibble, put_nibble};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 2-bit blocks of 256: points of a grid of 1024, all signs, a scale per 16.
#[derive(Debug)]
pub struct Iq2S;

const BYTES: usize = 82;
const GRID: Grid = Grid { words: &grids::IQ2_S, bits: 2, levels: &[8.0, 25.0, 43.0] };
const SCALES: Scales = Scales { first: 0.125, step: 0.25, codes: 16 };
static BOOK: LazyLock<Book> = LazyLock::new(|| Book::new(&GRID, 0));
// Where the fields of a block begin.
const SIGNS: usize = 34;
const HIGH: usize = 66;
const SCALE_CODES: usize = 74;

impl Format for Iq2S {
    fn facts(&self) -> Facts {
        Facts::gguf("iq2_s", 22, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (g, out) in out.chunks_exact_mut(8).enumerate() {
            let scale = d * (0.5 + f32::from(nibble(&block[SCALE_CODES..], g / 2))) * 0.25;
            let high = usize::from(block[HIGH + g / 4] >> (2 * (g % 4)) & 3) << 8;
            let point = usize::from(block[2 + g]) | high;
            GRID.decode(point, u32::from(block[SIGNS + g]), scale, out);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::All);
        let subs: Vec<SubBlock> =
            x.values.chunks_exact(16).map(|x| SubBlock::new(x, 8, &[&BOOK])).collect();
        let fit = x.fit(&subs, SCALES);
        block.fill(0);
        bits::put_u16(block, 0, fit.d);
        block[SIGNS..HIGH].copy_from_slice(&x.signs);
        for (g, point) in fit.points.iter().enumerate() {
            block[2 + g] = *point as u8;
            block[HIGH + g / 4] |= ((point >> 8) << (2 * (g % 4))) as u8;
        }
        let codes = fit.codes.iter().enumerate();
        codes.for_each(|(i, s)| put_nibble(&mut block[SCALE_CODES..], i, *s));
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 2, chunks: 1 },
            Plane { words: 4, chunks: 8 },
            Plane { words: 1, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            for c in 0..8 {
                let at = 2 * (8 * b + c);
                planes[0][at] = bits::u32_at(block, 2 + 4 * c);
                planes[0][at + 1] = bits::u32_at(block, SIGNS + 4 * c);
                let code = u16::from_le_bytes([block[HIGH + c], block[SCALE_CODES + c]]);
                bits::put_half(planes[1], 8 * b + c, code);
            }
            bits::put_half(planes[2], b, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            for c in 0..8 {
                let at = 2 * (8 * b + c);
                bits::put_u32(block, 2 + 4 * c, planes[0][at]);
                bits::put_u32(block, SIGNS + 4 * c, planes[0][at + 1]);
                let code = bits::half(planes[1], 8 * b + c).to_le_bytes();
                [block[HIGH + c], block[SCALE_CODES + c]] = code;
            }
            bits::put_u16(block, 0, bits::half(planes[2], b));
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ2_S
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq2_s.wgsl")]
    }
}

//! GGUF IQ3_S: blocks of 256, x = ±d·(2s + 1)·point, the points 512 of 4 levels among 1, 3, 5 ..
//! 15; 3.4375 bits per weight.
//!
//! File: `d: f16, points: [u8; 64], qh: [u8; 8], signs: [u8; 32], scales: [u8; 4]`: for each 4
//! weights the point's number, its ninth bit in `qh`; for each 8 a byte of signs; for each 32 a
//! nibble s, the even one low (ggml-common.h, `block_iq3_s`).
//!
//! GPU layout: plane 0, 3 words per chunk: 8 `points`, 4 `signs`. Plane 1, 3 words per 8 chunks:
//! `qh`, `scales`. Plane 2, 1 word per 16 chunks: d of the even block in the low half, of the odd
//! one in the high half.
//!
//! Encoder: the search in `grid_search.rs`. Relative RMSE on normal weights: 0.127 (that of
//! llama.cpp's own quantizer: 0.134, with importances of one; `tests/formats/iq.rs`).

use std::sync::LazyLock;

use super::grid::{BLOCK, Grid, nibble, put_nibble};
use super::grid_search::{Block, Book, Scales, Signs, SubBlock};
use super::{Facts, Format, Plane, bits, grids};
use crate::gpu::{Part, part};

/// 3-bit blocks of 256: points of a grid of 512, all signs.
#[derive(Debug)]
pub struct Iq3S;

const BYTES: usize = 110;
const LEVELS: [f32; 8] = [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0];
const GRID: Grid = Grid { words: &grids::IQ3_S, bits: 4, levels: &LEVELS };
const SCALES: Scales = Scales { first: 1.0, step: 2.0, codes: 16 };
static BOOK: LazyLock<Book> = LazyLock::new(|| Book::new(&GRID, 0));
// Where the fields of a block begin.
const HIGH: usize = 66;
const SIGNS: usize = 74;
const SCALE_CODES: usize = 106;

impl Format for Iq3S {
    fn facts(&self) -> Facts {
        Facts::gguf("iq3_s", 21, (BLOCK, BYTES))
    }

    fn decode(&self, block: &[u8], out: &mut [f32]) {
        let d = bits::f16_at(block, 0);
        for (g, out) in out.chunks_exact_mut(4).enumerate() {
            let scale = d * (1.0 + 2.0 * f32::from(nibble(&block[SCALE_CODES..], g / 8)));
            let high = usize::from(block[HIGH + g / 8] >> (g % 8) & 1) << 8;
            let signs = u32::from(block[SIGNS + g / 2]) >> (g % 2 * 4);
            GRID.decode(usize::from(block[2 + g]) | high, signs, scale, out);
        }
    }

    fn encode(&self, weights: &[f32], block: &mut [u8]) {
        let x = Block::new(weights, Signs::All);
        let subs: Vec<SubBlock> =
            x.values.chunks_exact(32).map(|x| SubBlock::new(x, 4, &[&BOOK])).collect();
        let fit = x.fit(&subs, SCALES);
        block.fill(0);
        bits::put_u16(block, 0, fit.d);
        block[SIGNS..SCALE_CODES].copy_from_slice(&x.signs);
        for (g, point) in fit.points.iter().enumerate() {
            block[2 + g] = *point as u8;
            block[HIGH + g / 8] |= ((point >> 8) << (g % 8)) as u8;
        }
        let codes = fit.codes.iter().enumerate();
        codes.for_each(|(i, s)| put_nibble(&mut block[SCALE_CODES..], i, *s));
    }

    fn planes(&self) -> &[Plane] {
        &[
            Plane { words: 3, chunks: 1 },
            Plane { words: 3, chunks: 8 },
            Plane { words: 1, chunks: 16 },
        ]
    }

    fn repack(&self, row: &[u8], planes: &mut [&mut [u32]]) {
        for (b, block) in row.chunks_exact(BYTES).enumerate() {
            for (c, words) in planes[0][24 * b..][..24].chunks_exact_mut(3).enumerate() {
                bits::bytes_to_words(&block[2 + 8 * c..][..8], &mut words[..2]);
                words[2] = bits::u32_at(block, SIGNS + 4 * c);
            }
            let shared = &mut planes[1][3 * b..][..3];
            bits::bytes_to_words(&block[HIGH..SIGNS], &mut shared[..2]);
            shared[2] = bits::u32_at(block, SCALE_CODES);
            bits::put_half(planes[2], b, bits::u16_at(block, 0));
        }
    }

    fn unpack(&self, planes: &[&[u32]], row: &mut [u8]) {
        for (b, block) in row.chunks_exact_mut(BYTES).enumerate() {
            for (c, words) in planes[0][24 * b..][..24].chunks_exact(3).enumerate() {
                bits::words_to_bytes(&words[..2], &mut block[2 + 8 * c..][..8]);
                bits::put_u32(block, SIGNS + 4 * c, words[2]);
            }
            let shared = &planes[1][3 * b..][..3];
            bits::words_to_bytes(&shared[..2], &mut block[HIGH..SIGNS]);
            bits::put_u32(block, SCALE_CODES, shared[2]);
            bits::put_u16(block, 0, bits::half(planes[2], b));
        }
    }

    fn table(&self) -> &'static [u32] {
        &grids::IQ3_S
    }

    fn shader(&self) -> &'static [Part] {
        &[part!("lib/grid.wgsl"), part!("formats/iq3_s.wgsl")]
    }
}

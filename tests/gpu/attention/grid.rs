//! The shapes of ggml's FLASH_ATTN_EXT (tests/test-backend-ops.cpp), with grouping by 3: head sizes ×
//! grouping × context × batch. A set of options and formats falls on each in turn, but for the contexts,
//! which need no pipelines of their own: each head size meets each set.

use mantissa::Gpu;
use mantissa::ops::attention::alibi_slopes;

use super::cases::long_trials;
use super::{Case, check};
use crate::support::{self, Outcome, Random, case};

const HEAD_DIMS: [usize; 8] = [40, 64, 72, 80, 96, 128, 192, 256];
const FORMATS: [(&str, &str); 4] =
    [("f16", "f16"), ("f32", "f32"), ("q8_0", "q8_0"), ("q4_0", "q4_0")];

pub fn trials() -> Vec<(String, support::Case)> {
    let of = |head_dim| case(format!("ggml_grid_{head_dim}"), move |gpu| grid(gpu, head_dim));
    HEAD_DIMS.into_iter().map(of).chain(long_trials()).collect()
}

fn grid(gpu: &Gpu, head_dim: usize) -> Outcome {
    let mut turn = head_dim / 8;
    for group in [1, 3, 4] {
        for rows in [1, 3, 32, 75] {
            turn += 5;
            for context in [113, 512, 1024] {
                let mut case = Case::new(head_dim, group, context - rows, rows);
                case.kv_heads = 1;
                (case.keys, case.values) = FORMATS[turn % 4];
                choose(&mut case, turn % 12);
                let mut random = Random::new((turn + context) as u64);
                case.checked = Some((0..4).map(|_| random.below(rows)).collect());
                check(gpu, &case)?;
            }
        }
    }
    Ok(())
}

/// One of ggml's sets of options: a mask, with it slopes, a cap, sinks; or none of it.
fn choose(case: &mut Case, turn: usize) {
    let heads = case.heads();
    case.options.causal = turn.is_multiple_of(5);
    if !turn.is_multiple_of(3) {
        case.mask = Some(mask(&mut Random::new(turn as u64), case.rows, case.end()));
        case.options.slopes = turn.is_multiple_of(2).then(|| alibi_slopes(heads, 8.0));
    }
    case.options.soft_cap = turn.is_multiple_of(5).then_some(10.0);
    case.options.sinks = turn.is_multiple_of(4).then(|| Random::new(7).normals(heads, 10.0));
}

/// Rows of normal values; a fifth of the blocks of 16 × 16 are −inf, as in ggml's tests, but for the
/// first value of each row.
pub fn mask(random: &mut Random, rows: usize, cols: usize) -> Vec<f32> {
    let mut mask = random.normals(rows * cols, 1.0);
    for row in (0..rows).step_by(16) {
        for col in (0..cols).step_by(16) {
            if random.below(5) > 0 {
                continue;
            }
            for r in row..rows.min(row + 16) {
                mask[r * cols + col..r * cols + cols.min(col + 16)].fill(f32::NEG_INFINITY);
            }
        }
    }
    mask.chunks_exact_mut(cols).for_each(|row| row[0] = row[0].max(-1.0));
    mask
}

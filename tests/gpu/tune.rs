//! Tuning: what is measured on a model, that it is used and by whom, and that it changes no answer.

use std::time::Duration;

use mantissa::formats::{self, F32};
use mantissa::gpu::Gpu;
use mantissa::model::SessionOptions;
use mantissa::ops::matmul::{Share, Tile};
use mantissa::ops::{Matrix, Placement};
use mantissa::tune::{Choice, Class, Options, Rows, Target, Tuning, candidates, measure};
use pollster::block_on;

use crate::model::{MODEL, bytes, load, logits_are_right, own_device};
use crate::support::{Case, Outcome, Random, case, rows_of_bytes};

pub fn trials() -> Vec<(String, Case)> {
    let all: [(&str, fn(&Gpu) -> Outcome); 5] = [
        ("a model's shapes are measured once, and other layouts give its logits", measured),
        ("what was measured elsewhere is refused", foreign),
        ("no time is no choice", no_time),
        ("a wrong answer is not timed", wrong_answer),
        ("rows come back as they went", rows_come_back),
    ];
    all.map(|(name, work)| case(name, work)).into()
}

fn options(seconds: u64) -> Options {
    Options { budget: Duration::from_secs(seconds), rows: vec![1, 3] }
}

fn ensure(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{what:?}").into()) }
}

fn measured(gpu: &Gpu) -> Outcome {
    let gpu = own_device(gpu)?;
    let model = load(&gpu, bytes(MODEL))?;
    let mut heard = Vec::new();
    let mut tuning = block_on(model.tune(&options(300), &mut |p| heard.push((p.done, p.total))))?;
    let classes: Vec<&Class> = tuning.choices.iter().map(|choice| &choice.class).collect();
    ensure(classes.len() >= 4 && heard.last().is_some_and(|(a, b)| a == b), (&classes, &heard))?;
    for (i, class) in classes.iter().enumerate() {
        ensure(!classes[..i].contains(class), class)?;
    }
    // Nothing is used unless it is asked for.
    ensure(gpu.tuning().is_none(), "nothing yet")?;
    // All that there is to choose, whatever was fastest here.
    for (i, choice) in tuning.choices.iter_mut().enumerate() {
        let format = formats::by_name(&choice.class.format)?;
        let shape = (1 << choice.class.log_n, 1 << choice.class.log_k);
        let all = candidates(gpu.caps(), gpu.limits(), format, shape, rows(choice));
        choice.tile = all.get(i % all.len().max(1)).copied();
        ensure(choice.tile.is_some(), &choice)?;
    }
    ensure(gpu.set_tuning(tuning.clone()), "its own device")?;
    for choice in &tuning.choices {
        let shape = (1 << choice.class.log_n, 1 << choice.class.log_k);
        let format = formats::by_name(&choice.class.format)?;
        let taken = Tile::on(&gpu, format, shape, rows(choice));
        ensure(choice.tile == Some(taken), (choice, taken))?;
    }
    let again = block_on(model.tune(&options(300), &mut |_| {}))?;
    ensure(again.choices.is_empty(), again)?;
    for chunk in [1, 3] {
        logits_are_right(&gpu, chunk)?;
    }
    // A new device of the same kind goes on with it.
    let session_options = SessionOptions { context: Some(64), ..Default::default() };
    let mut session = block_on(model.session(&session_options))?;
    let next = own_device(&gpu)?;
    block_on(session.rebuild(&next, &mut |_| {}))?;
    ensure(next.tuning() == gpu.tuning(), next.tuning())
}

/// Rows of x that a choice was measured with.
fn rows(choice: &Choice) -> usize {
    if choice.class.rows == Rows::One { 1 } else { 3 }
}

fn foreign(gpu: &Gpu) -> Outcome {
    let gpu = own_device(gpu)?;
    let class = Class::of(F32, (64, 64), 1);
    let good =
        Tile { lanes: 8, split: 2, rows: 4, m: 1, share: Share::Lane, codes: false, staged: false };
    let with = |tile| Tuning {
        choices: vec![Choice {
            class: class.clone(),
            tile: Some(tile),
            seconds: 1.0,
            default_seconds: 2.0,
        }],
        ..Tuning::new(&gpu)
    };
    let mut other = with(good);
    other.device.driver.push_str(" 2");
    ensure(!gpu.set_tuning(other) && gpu.tuning().is_none(), "another driver's")?;
    // A file may say anything: what no kernel can be is left out.
    ensure(gpu.set_tuning(with(Tile { lanes: 1 << 20, ..good })), "its own key")?;
    let taken = Tile::on(&gpu, F32, (64, 64), 1);
    ensure(taken == Tile::choose(gpu.caps(), F32, (64, 64), 1), taken)?;
    ensure(gpu.set_tuning(with(good)) && Tile::on(&gpu, F32, (64, 64), 1) == good, "a good one")
}

fn no_time(gpu: &Gpu) -> Outcome {
    let model = load(gpu, bytes(MODEL))?;
    let tuning = block_on(model.tune(&options(0), &mut |_| {}))?;
    ensure(tuning.choices.is_empty(), tuning)
}

/// A value that no sum of the operands can be, among rows that are held to f64 and between them.
fn wrong_answer(gpu: &Gpu) -> Outcome {
    let (n, k) = (61, 96);
    let good = Random::new(9).normals(n * k, 1.0);
    for (wrong, choices) in [(None, 1), (Some(2), 0), (Some(12), 0), (Some(60), 0)] {
        let mut weights = good.clone();
        if let Some(row) = wrong {
            weights[row * k + 5] = f32::NAN;
        }
        let bytes: &[u8] = bytemuck::cast_slice(&weights);
        let matrices = vec![block_on(Matrix::upload(gpu, "w", F32, (n, k), bytes))?];
        let targets = [Target { matrices, m: 1 }];
        let budget = Duration::from_secs(300);
        let tuning = block_on(measure(gpu, &targets, budget, &mut |_, _| {}))?;
        ensure(tuning.choices.len() == choices, (wrong, tuning))?;
    }
    Ok(())
}

/// Of formats with one plane and several, with scales of rows and with tables.
fn rows_come_back(gpu: &Gpu) -> Outcome {
    for name in ["q4_1", "q6_k", "int8", "nvfp4", "iq2_xs"] {
        let format = formats::by_name(name)?;
        let (n, k) = (61, 256);
        let blocks = Random::new(7).blocks(format, (n, k))?;
        let row = blocks.len() / n;
        for tile in [1, 8] {
            let (shard_bytes, texels) = (rows_of_bytes(format, 40, k), tile == 8);
            let placement = Placement { tile, shard_bytes, texels };
            let w = Matrix::upload_placed(gpu, "w", format, (n, k), &blocks, placement);
            let w = block_on(w)?;
            ensure(w.shards.len() > 1, (name, w.shards.len()))?;
            for shard in &w.shards {
                let last = shard.layout.rows;
                let ranges = [0..last.min(3), 8..last.min(16), 8..last, 16..last];
                for rows in ranges.into_iter().filter(|rows| !rows.is_empty()) {
                    let got = block_on(shard.download_rows(format, k, rows.clone()))?;
                    let from = (shard.first_row + rows.start) * row;
                    let want = &blocks[from..from + rows.len() * row];
                    ensure(got == want, (name, tile, rows))?;
                }
                let behind = block_on(shard.download_rows(format, k, 0..last + 1));
                ensure(behind.is_err(), (name, last))?;
            }
        }
    }
    Ok(())
}

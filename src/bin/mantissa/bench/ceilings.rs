//! The adapter's own ceilings, by kernels that do nothing else.

use std::time::Instant;

use anyhow::{Result, ensure};
use mantissa::gpu::{Buffer, Class, Gpu, Op, PlanBuilder};
use mantissa::probes::{self, Walk};

use super::clock::median;
use super::report::Ceiling;
use super::timed::Timed;

/// Bytes that are read: more than caches hold, less than the smallest binding.
const BYTES: usize = 64 << 20;
/// Dispatches whose cost is divided among them.
const DISPATCHES: usize = 200;

/// A probe, and how much it does in a run: bytes or operations.
pub struct Probe {
    timed: Timed,
    work: f64,
    layout: String,
}

impl Probe {
    /// One more round.
    pub async fn round(&mut self) -> Result<()> {
        self.timed.round().await
    }

    /// Bytes or operations per second, by the median of the rounds since the last call.
    pub fn take_rate(&mut self) -> f64 {
        self.work / self.timed.take_median().max(1e-12)
    }
}

/// The two ceilings that kernels are held against; they take turns with them.
pub struct Ceilings {
    pub read: Probe,
    pub multiply_add: Probe,
}

/// Measures all, and keeps the best layouts of two.
pub async fn measure(gpu: &Gpu, rounds: u32) -> Result<(Vec<Ceiling>, Ceilings)> {
    let (copy, copied) = best(walks(gpu, &probes::COPY).await?, rounds).await?;
    let (read, reads) = best(walks(gpu, &probes::READ).await?, rounds).await?;
    let (multiply_add, flops) = best(chains(gpu, false).await?, rounds).await?;
    let (dots, int_ops) = best(chains(gpu, true).await?, rounds).await?;
    let (dispatch, submit) = overhead(gpu, rounds).await?;
    let rate = |name: &str, value: f64, unit: &str, probe: &Probe| Ceiling {
        name: name.into(),
        value: value / 1e9,
        unit: unit.into(),
        layout: probe.layout.clone(),
    };
    let cost = |name: &str, seconds: f64| Ceiling {
        name: name.into(),
        value: 1e6 * seconds,
        unit: "µs".into(),
        layout: String::new(),
    };
    let all = vec![
        rate("copy", copied, "GB/s", &copy),
        rate("read", reads, "GB/s", &read),
        rate("multiply_add", flops, "GFLOP/s", &multiply_add),
        rate("dot4i8", int_ops, "Gop/s", &dots),
        cost("dispatch", dispatch),
        cost("submit", submit),
    ];
    Ok((all, Ceilings { read, multiply_add }))
}

/// The fastest of some, which take turns.
async fn best(mut probes: Vec<Probe>, rounds: u32) -> Result<(Probe, f64)> {
    for _ in 0..rounds {
        for probe in &mut probes {
            probe.round().await?;
        }
    }
    let rated = probes.into_iter().map(|mut probe| {
        let rate = probe.take_rate();
        (probe, rate)
    });
    let best = rated.max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.ok_or_else(|| anyhow::anyhow!("no layout fits this adapter"))
}

async fn walks(gpu: &Gpu, op: &'static Op) -> Result<Vec<Probe>> {
    let words = BYTES / 4;
    let values: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    let x = Buffer::from_slice(gpu, "x", &values).await?;
    let y = Buffer::new(gpu, "y", words).await?;
    let mut found = Vec::new();
    for walk in Walk::choices(gpu.caps().class) {
        let groups = walk.groups(words);
        let mut plan = PlanBuilder::new(gpu, op.name);
        walk.record(&mut plan, op, (&x, &y), groups)?;
        let timed = Timed::new(gpu, plan, 1).await?;
        check(op, &walk, &values, &y).await?;
        let moved = walk.bytes(groups) * if op.name == probes::COPY.name { 2 } else { 1 };
        found.push(Probe { timed, work: moved as f64, layout: format!("{walk:?}") });
    }
    Ok(found)
}

/// The first lane's words, or their sum.
async fn check(op: &'static Op, walk: &Walk, x: &[u32], y: &Buffer) -> Result<()> {
    let step = if walk.runs { 1 } else { walk.lanes };
    let mine = (0..walk.count).flat_map(|n| &x[4 * n * step..4 * n * step + 4]);
    let got: Vec<u32> = y.read(0, x.len().min(4)).await?;
    let right = if op.name == probes::COPY.name {
        got == x[..got.len()]
    } else {
        got.first() == Some(&mine.fold(0u32, |sum, word| sum.wrapping_add(*word)))
    };
    ensure!(right, "{} gives a wrong answer: {got:?}", op.name);
    Ok(())
}

/// Multiply-adds, or dot products of bytes.
async fn chains(gpu: &Gpu, dots: bool) -> Result<Vec<Probe>> {
    let layouts: &[(usize, usize, usize)] = match gpu.caps().class {
        Class::Software => &[(8, 512, 1000), (64, 64, 1000)],
        Class::Gpu => &[(256, 4096, 1000), (64, 16_384, 1000)],
    };
    let mut found = Vec::new();
    for &(lanes, groups, count) in layouts {
        let y = Buffer::new(gpu, "y", lanes * groups).await?;
        let mut plan = PlanBuilder::new(gpu, "chains");
        let layout = (lanes, groups, count);
        let each = if dots {
            probes::record_dot4i8(&mut plan, &y, layout)?;
            probes::INT_OPS
        } else {
            probes::record_multiply_add(&mut plan, &y, layout)?;
            probes::FLOPS
        };
        let timed = Timed::new(gpu, plan, 1).await?;
        if !dots {
            // Everything tends to 1, exactly after so many halvings; 32 of them are added.
            let got: Vec<f32> = y.read(0, 1).await?;
            ensure!(got == [32.0], "the multiply-adds give {got:?}, not 32");
        }
        let work = (each * lanes * groups * count) as f64;
        found.push(Probe { timed, work, layout: format!("{lanes} lanes, {groups} groups") });
    }
    Ok(found)
}

/// What a further dispatch costs, and what a submit that is waited for does; by the host's clock.
async fn overhead(gpu: &Gpu, rounds: u32) -> Result<(f64, f64)> {
    let y = Buffer::new(gpu, "y", 1).await?;
    let (mut one, mut many) = (Vec::new(), Vec::new());
    let mut plans = Vec::new();
    for n in [1, DISPATCHES + 1] {
        let mut plan = PlanBuilder::new(gpu, "empty");
        probes::record_empty(&mut plan, &y, n)?;
        let plan = plan.build(&mut |_, _| {}).await?;
        plan.submit()?.finish().await?;
        plans.push(plan);
    }
    for _ in 0..4 * rounds {
        for (plan, seconds) in plans.iter().zip([&mut one, &mut many]) {
            let start = Instant::now();
            plan.submit()?.finish().await?;
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let (one, many) = (median(one), median(many));
    Ok(((many - one).max(0.0) / DISPATCHES as f64, one))
}

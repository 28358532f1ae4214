//! What the trials share: devices, random numbers, sentinel outputs and the comparison.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use libtest_mimic::Failed;
use mantissa::Gpu;
use mantissa::formats::{self, FormatRef};
use mantissa::gpu::{AdapterSummary, Buffer, GpuOptions, PlanBuilder, Texels, Without};
use mantissa::ops::{Span, stage};
use pollster::block_on;

/// What a trial says.
pub type Outcome = Result<(), Failed>;

/// One trial's work on a device.
pub type Case = Box<dyn Fn(&Gpu) -> Outcome + Send + Sync>;

/// What is done with a format.
pub type OfFormat = fn(&Gpu, FormatRef) -> Outcome;

/// Unit roundoff of f32: a correctly rounded operation errs by at most U, relatively.
pub const U: f64 = 1.0 / (1u64 << 24) as f64;

/// WGSL's division is good to 2.5 ulp, an ulp being up to 2·U.
pub const DIVISION: f64 = 5.0 * U;

/// What outputs hold before a kernel runs: a NaN that no kernel writes.
pub const SENTINEL: u32 = 0x7fe5_a5a5;

/// Sentinel words behind the end of every output.
const GUARD: usize = 64;

/// γ(n) = n·U / (1 − n·U) bounds the relative error that n roundings in a row leave (Higham,
/// Accuracy and Stability of Numerical Algorithms, lemma 3.1).
pub fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    nu / (1.0 - nu)
}

/// A device that trials share, opened when the first of them needs it.
#[derive(Clone)]
pub struct Device {
    /// As in the names of trials: `Vulkan/llvmpipe (subgroups off)`.
    pub label: String,
    options: GpuOptions,
    opened: Arc<OnceLock<Result<Gpu, String>>>,
}

impl Device {
    fn new(adapter: &AdapterSummary, mask: &str, without: Without) -> Self {
        let label = format!("{}{mask}", short_name(adapter));
        let adapter_name = Some(adapter.info.name.clone());
        let options = GpuOptions { adapter: adapter_name, without, ..GpuOptions::default() };
        Self { label, options, opened: Arc::default() }
    }

    /// The same, to be opened anew.
    pub fn afresh(&self) -> Self {
        Self { opened: Arc::default(), ..self.clone() }
    }

    /// The capabilities of the adapter that are left unused.
    pub fn without(&self) -> Without {
        self.options.without
    }

    /// The device itself.
    pub fn gpu(&self) -> Result<Gpu, Failed> {
        let open = || block_on(Gpu::request(&self.options)).map_err(|e| e.to_string());
        Ok(self.opened.get_or_init(open).clone()?)
    }
}

/// `Vulkan/llvmpipe` of `llvmpipe (LLVM 15.0.6, 256 bits)`.
pub fn short_name(adapter: &AdapterSummary) -> String {
    let name = adapter.info.name.split(" (").next().unwrap_or_default();
    let name = name.trim_end_matches(" Device");
    format!("{:?}/{name}", adapter.info.backend)
}

/// The adapter under each mask that changes anything on it, and a note for each that does not.
pub fn masked(adapter: &AdapterSummary, notes: &mut Vec<String>) -> Vec<Device> {
    use wgpu::Features;
    let none = Without::default();
    let default = wgpu::Limits::default().or_worse_values_from(&adapter.limits);
    let masks = [
        ("", none, true),
        (
            " (f16 off)",
            Without { f16: true, ..none },
            adapter.features.contains(Features::SHADER_F16),
        ),
        (
            " (subgroups off)",
            Without { subgroups: true, ..none },
            adapter.features.contains(Features::SUBGROUP),
        ),
        (" (default limits)", Without { limits: true, ..none }, default != adapter.limits),
    ];
    for (mask, ..) in masks.iter().filter(|(.., changes)| !changes) {
        notes.push(format!("{}: not tried{mask}, it lacks that anyway", short_name(adapter)));
    }
    let tried = masks.into_iter().filter(|(.., changes)| *changes);
    tried.map(|(mask, without, _)| Device::new(adapter, mask, without)).collect()
}

/// A small generator of random numbers (SplitMix64), the same on every machine.
pub struct Random(u64);

impl Random {
    /// A generator with a seed of one's own.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// Normal, mean 0, variance 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let (a, b) = (1.0 - self.uniform(), self.uniform());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
    }

    /// `n` normal values times `scale`.
    pub fn normals(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.normal() * scale).collect()
    }

    /// Rows of `k` weights in `format`, from normal values.
    pub fn blocks(
        &mut self,
        format: FormatRef,
        (rows, k): (usize, usize),
    ) -> mantissa::Result<Vec<u8>> {
        let values = self.normals(rows * k, 1.0);
        let mut blocks = vec![0; rows * formats::row_bytes(format, k).unwrap_or(0)];
        formats::encode_rows(format, k, &values, &mut blocks)?;
        Ok(blocks)
    }
}

/// What a word of an output must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expect {
    /// A float this close to the value.
    Near(f64, f64),
    /// Exactly these bits.
    Bits(u32),
    /// A NaN, of any payload but the sentinel's.
    Nan,
    /// Written, with anything.
    Written,
    /// Not written.
    Untouched,
}

impl Expect {
    fn holds(self, bits: u32) -> bool {
        let value = f32::from_bits(bits);
        match self {
            Self::Near(want, tolerance) => (f64::from(value) - want).abs() <= tolerance,
            Self::Bits(want) => bits == want,
            Self::Nan => value.is_nan() && bits != SENTINEL,
            Self::Written => bits != SENTINEL,
            Self::Untouched => bits == SENTINEL,
        }
    }
}

/// Holds what a kernel left in a buffer against what it must be; words of `got` behind the end of
/// `want` are guards.
pub fn compare(what: &str, got: &[u32], want: &[Expect]) -> Outcome {
    if got.len() < want.len() {
        return Err(format!("{what}: {} words, {} expected", got.len(), want.len()).into());
    }
    let want_at = |i: usize| want.get(i).copied().unwrap_or(Expect::Untouched);
    let wrong: Vec<usize> = (0..got.len()).filter(|&i| !want_at(i).holds(got[i])).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text = format!("{what}: {} of {} words are wrong", wrong.len(), want.len());
    for &i in wrong.iter().take(6) {
        let place = if i >= want.len() { " (guard)" } else { "" };
        let (got, want) = (got[i], want_at(i));
        let unwritten = if got == SENTINEL { ", unwritten" } else { "" };
        let value = f32::from_bits(got);
        let _ =
            write!(text, "\n  [{i}]{place}: {value:e} ({got:#010x}{unwritten}), want {want:x?}");
    }
    Err(text.into())
}

/// A shard that holds some `rows` rows of this many columns, planes' padding and table included.
pub fn rows_of_bytes(format: FormatRef, rows: usize, cols: usize) -> u64 {
    let row: usize = format.planes().iter().map(|p| p.row_words(cols.div_ceil(32)) * 4).sum();
    let row = row + format.row_scale().bytes();
    (rows * row + format.table().len() * 4) as u64 + 16 * (format.planes().len() as u64 + 2)
}

/// Every format of the table, and of each family the members that take every branch of its part.
pub fn tested_formats() -> Vec<FormatRef> {
    let samples = formats::FAMILIES.iter().flat_map(|f| f.samples);
    let samples = samples.filter_map(|name| formats::by_name(name).ok());
    formats::FORMATS.iter().copied().chain(samples).collect()
}

/// The only size of subgroups that is tried, if one is asked for: all else has been tried already.
pub fn subgroups_asked_for() -> Option<String> {
    std::env::var("MANTISSA_SUBGROUPS").ok()
}

/// Trials of a format, by what each is about.
pub fn of_format(format: FormatRef, all: &[(&str, OfFormat)]) -> Vec<(String, Case)> {
    let named = |&(name, work): &(&str, OfFormat)| {
        case(format!("{}_{name}", format.name()), move |gpu| work(gpu, format))
    };
    all.iter().map(named).collect()
}

/// An output buffer: `words` sentinels and the guards behind them.
pub fn output(gpu: &Gpu, words: usize) -> Result<Buffer, Failed> {
    Ok(block_on(Buffer::from_slice(gpu, "output", &vec![SENTINEL; guarded(words)]))?)
}

/// A buffer that a kernel changes in place, with guards behind its data.
pub fn in_place(gpu: &Gpu, data: &[f32]) -> Result<Buffer, Failed> {
    let mut words: Vec<u32> = data.iter().map(|v| v.to_bits()).collect();
    words.resize(guarded(data.len()), SENTINEL);
    Ok(block_on(Buffer::from_slice(gpu, "in place", &words))?)
}

/// An input buffer.
pub fn input<T: bytemuck::Pod>(gpu: &Gpu, data: &[T]) -> Result<Buffer, Failed> {
    Ok(block_on(Buffer::from_slice(gpu, "input", data))?)
}

/// The `Step` uniform.
pub fn step(gpu: &Gpu, spans: &[Span]) -> Result<Buffer, Failed> {
    // Lanes that have no row must not take these for theirs.
    let stale = Span::alone(0, 1000, 1000);
    let mut all = spans.to_vec();
    all.resize(mantissa::ops::MAX_SEQUENCES, stale);
    Ok(block_on(mantissa::ops::step(gpu, &all))?)
}

/// All words of an output, guards included.
pub fn words(buffer: &Buffer) -> Result<Vec<u32>, Failed> {
    Ok(block_on(buffer.read(0, (buffer.size() / 4) as usize))?)
}

/// Texels that hold what a buffer of whole vec4s does, guards included.
pub fn in_texels(gpu: &Gpu, from: &Buffer) -> Result<Texels, Failed> {
    let words = (from.size() / 4) as usize;
    let to = block_on(Texels::zeros(gpu, "texels", words.div_ceil(4)))?;
    run(gpu, |plan| stage::record(plan, (from, 0, 1), words, None, &to))?;
    Ok(to)
}

/// Records a plan and runs it.
pub fn run(gpu: &Gpu, record: impl FnOnce(&mut PlanBuilder) -> mantissa::Result<()>) -> Outcome {
    let mut plan = PlanBuilder::new(gpu, "trial");
    record(&mut plan)?;
    block_on(plan.run())?;
    Ok(gpu.check()?)
}

fn guarded(words: usize) -> usize {
    (words + GUARD).next_multiple_of(4)
}

/// A named case.
pub fn case(
    name: impl Into<String>,
    work: impl Fn(&Gpu) -> Outcome + Send + Sync + 'static,
) -> (String, Case) {
    (name.into(), Box::new(work))
}

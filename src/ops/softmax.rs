#![doc = include_str!("../../docs/SOFTMAX.md")]

mod layout;
mod reference;

pub use layout::{Layout, Split};
pub use reference::{Answer, reference, reference_of};

use super::EXTEXP;
use crate::error::{Error, Result};
use crate::gpu::{
    Access, Bind, Binding, Buffer, F32_BITS, Gpu, Op, Part, PlanBuilder, VEC8, Variant, params,
    part,
};

params! {
    /// Values in a row.
    cols: u32,
    /// Rows.
    rows: u32,
    /// Values from row to row of x.
    x_stride: u32,
    /// Values from row to row of y.
    y_stride: u32,
    /// Floats from row to row of the mask.
    mask_stride: u32,
    /// Rows of the mask.
    mask_rows: u32,
    /// vec4s in a chunk.
    chunk: u32,
    /// Chunks in a row.
    chunks: u32,
    /// Values that row 0 sees.
    visible: u32,
    /// How many more each row sees than the one before.
    causal: u32,
    /// Magnitudes from these bits on are not surely small once scaled.
    limit: u32,
    /// vec4s that a lane adds in one step.
    step: u32,
    /// Chunks whose sums are added before those of others.
    chunk_run: u32,
    /// Multiplies every value first.
    scale: f32,
}

/// The operation.
pub static OP: Op = Op {
    name: "softmax",
    parts: &[part!("ops/softmax.wgsl"), EXTEXP, part!("lib/ln.wgsl")],
    formats: &[],
    reduces: false,
    bindings: &[
        Binding { name: "x", access: Access::Read },
        Binding { name: "mask", access: Access::Read },
        Binding { name: "before", access: Access::Read },
        Binding { name: "pairs", access: Access::Write },
        Binding { name: "y", access: Access::Write },
    ],
    params: Params::INFO,
};

/// The largest factor that values may be scaled with: 2^60.
pub const MAX_SCALE: f32 = (1u64 << 60) as f32;

/// How the exponentials are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// On (mantissa, exponent) pairs: a pass for the sum, a pass that writes.
    #[default]
    TwoPass,
    /// A pass for the maximum, one for the sum, one that writes.
    ThreePass,
    /// The sum relative to a running maximum, then a pass that writes.
    Online,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TwoPass, Self::ThreePass, Self::Online];

    fn parts(self) -> &'static [Part] {
        const NUMBERS: Part = part!("lib/softmax_numbers.wgsl");
        match self {
            Self::TwoPass => &[part!("lib/softmax_two_pass.wgsl")],
            Self::ThreePass => &[NUMBERS, part!("lib/softmax_three_pass.wgsl")],
            Self::Online => &[NUMBERS, part!("lib/softmax_online.wgsl")],
        }
    }

    /// Passes before the one that writes.
    fn folds(self) -> usize {
        if self == Self::ThreePass { 2 } else { 1 }
    }
}

/// What a row is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Element {
    /// f32.
    #[default]
    F32,
    /// binary16, two to a word, the first in its low half. Each row begins at a whole word; behind
    /// an odd number of values a half is read by nobody and written as zero.
    F16,
}

impl Element {
    fn per_word(self) -> usize {
        if self == Self::F16 { 2 } else { 1 }
    }

    /// The stride of rows of `cols` values without a gap.
    pub fn stride(self, cols: usize) -> usize {
        cols.next_multiple_of(self.per_word())
    }
}

/// What is computed, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How the exponentials are summed.
    pub algorithm: Algorithm,
    /// Multiplies every value first: finite, from 0 to [`MAX_SCALE`].
    pub scale: f32,
    /// Divides every value: finite, above 0.
    pub temperature: f32,
    /// Row i sees its first position + i + 1 values; the others count as −inf.
    pub causal: Option<usize>,
    /// Rows of the mask, if there is one; row r adds its row r mod `mask_rows`.
    pub mask_rows: usize,
    /// ln of the softmax instead.
    pub log: bool,
    /// What x holds.
    pub input: Element,
    /// What y holds.
    pub output: Element,
    /// Values from row to row of x, if not back to back.
    pub x_stride: Option<usize>,
    /// Values from row to row of y, if not back to back.
    pub y_stride: Option<usize>,
    /// The same bits whatever the adapter's number of lanes and workgroups: how a row is cut and in
    /// which order its parts are added then depends on its length alone.
    pub deterministic: bool,
    /// A layout of one's own choice.
    pub layout: Option<Layout>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::TwoPass,
            scale: 1.0,
            temperature: 1.0,
            causal: None,
            mask_rows: 0,
            log: false,
            input: Element::F32,
            output: Element::F32,
            x_stride: None,
            y_stride: None,
            deterministic: false,
            layout: None,
        }
    }
}

/// Where the operands are. x and y may be the same buffer if they hold the same [`Element`] at the
/// same stride.
#[derive(Debug, Clone, Copy)]
pub struct Tensors<'a> {
    /// The rows.
    pub x: &'a Buffer,
    /// f32, `mask_rows` rows of `cols`, added to the scaled rows.
    pub mask: Option<&'a Buffer>,
    /// The results.
    pub y: &'a Buffer,
    /// f32, one a row: ln Σ exp(z) of each row; −inf of an empty one.
    pub log_sum_exp: Option<&'a Buffer>,
}

/// A softmax of a given shape, with the memory in which its workgroups exchange sums.
#[derive(Debug)]
pub struct Softmax {
    rows: usize,
    cols: usize,
    options: Options,
    layout: Layout,
    params: Params,
    /// Sums of chunks, one buffer for each pass that folds.
    sums: Vec<Buffer>,
    /// Stand in for operands that there are not.
    spare: [Buffer; 2],
}

impl Softmax {
    /// Prepares softmax of `rows` rows of `cols` values.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::InvalidOption`] for what the options forbid, [`Error::Limit`]
    /// for a row that is too long; what the device says.
    pub async fn new(gpu: &Gpu, (rows, cols): (usize, usize), options: Options) -> Result<Self> {
        let limits = gpu.limits();
        let most =
            limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let chosen =
            || Layout::choose(gpu.caps().class, most as usize, (rows, cols), options.deterministic);
        let layout = options.layout.unwrap_or_else(chosen);
        if !layout.is_valid(cols) || layout.lanes > most as usize {
            let expected = format!("a layout for rows of {cols} and at most {most} lanes");
            return Err(Error::Shape { op: "softmax", expected, got: format!("{layout:?}") });
        }
        layout.workgroups(rows, cols)?;
        let params = uniforms((rows, cols), &options, &layout)?;
        let cut = matches!(layout.split, Split::Chunks(_));
        let folds = if cut { options.algorithm.folds() } else { 0 };
        let mut sums = Vec::with_capacity(folds);
        for _ in 0..folds {
            sums.push(Buffer::new(gpu, "softmax sums", 4 * rows * layout.chunks(cols)).await?);
        }
        let spare = [
            Buffer::new(gpu, "softmax spare", 4).await?,
            Buffer::new(gpu, "softmax spare", 4).await?,
        ];
        Ok(Self { rows, cols, options, layout, params, sums, spare })
    }

    /// How its rows are laid out.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Records y = softmax(z), z = scale / temperature·x + mask.
    ///
    /// # Errors
    /// [`Error::Shape`] where a buffer is too small, or a mask is there or not against the options.
    pub fn record(&self, plan: &mut PlanBuilder, tensors: &Tensors<'_>) -> Result<()> {
        self.check(tensors)?;
        if self.rows == 0 {
            return Ok(());
        }
        let Tensors { x, mask, y, log_sum_exp } = *tensors;
        let [nothing, waste] = &self.spare;
        let mask = mask.unwrap_or(nothing);
        for (pass, sums) in self.sums.iter().enumerate() {
            let before = if pass == 0 { nothing } else { &self.sums[pass - 1] };
            let stage = [("STAGE", 2.0), ("PASS", pass as f64)];
            self.dispatch(plan, &stage, [x, mask, before, sums, waste])?;
        }
        let in_place = x.raw() == y.raw();
        let stage = [
            (
                "STAGE",
                match self.layout.split {
                    Split::Hold(_) => 0.0,
                    Split::Rows => 1.0,
                    Split::Chunks(_) => 3.0,
                },
            ),
            ("IN_PLACE", flag(in_place)),
            ("LOG", flag(self.options.log)),
            ("LOG_SUM", flag(log_sum_exp.is_some())),
            ("TAIL", flag(!self.cols.is_multiple_of(4))),
        ];
        let x = if in_place { nothing } else { x };
        let before = self.sums.last().unwrap_or(nothing);
        self.dispatch(plan, &stage, [x, mask, before, log_sum_exp.unwrap_or(waste), y])
    }

    fn dispatch(
        &self,
        plan: &mut PlanBuilder,
        stage: &[(&'static str, f64)],
        buffers: [&Buffer; 5],
    ) -> Result<()> {
        let Layout { lanes, team, .. } = self.layout;
        let held = if let Split::Hold(steps) = self.layout.split { steps } else { 1 };
        let sizes = [("LANES", lanes as f64), ("TEAM", team as f64), ("HELD", held as f64)];
        let masked = ("MASKED", flag(self.options.mask_rows > 0));
        let constants: Vec<_> = sizes.iter().chain([&masked]).chain(stage).copied().collect();
        let parts = parts(&self.options, &self.params);
        let grid = self.layout.workgroups(self.rows, self.cols)?;
        let bound = buffers.map(|buffer| buffer as &dyn Bind);
        plan.dispatch(&OP, Variant::of(&constants).with(&parts), &self.params, &bound, grid)
    }

    fn check(&self, tensors: &Tensors<'_>) -> Result<()> {
        let Options { input, output, mask_rows, .. } = self.options;
        let (rows, cols) = (self.rows, self.cols);
        let words = |rows: usize, stride: u32, element: Element| {
            let values =
                rows.saturating_sub(1) as u64 * u64::from(stride) + element.stride(cols) as u64;
            values / element.per_word() as u64
        };
        let x = words(rows, self.params.x_stride, input);
        let y = words(rows, self.params.y_stride, output);
        let mask = words(mask_rows, self.params.mask_stride, Element::F32);
        let needs = [
            (Some(tensors.x), "x", x),
            (Some(tensors.y), "y", y),
            (tensors.mask, "mask", mask),
            (tensors.log_sum_exp, "log-sum-exp", rows as u64),
        ];
        for (buffer, name, words) in needs {
            if buffer.is_some_and(|b| b.size() / 4 < words) {
                return Err(shape(format!("{words} words of {name}"), "a smaller buffer"));
            }
        }
        if tensors.mask.is_some() != (mask_rows > 0) {
            return Err(shape(format!("a mask of {mask_rows} rows"), "another"));
        }
        let same = self.params.x_stride == self.params.y_stride && input == output;
        if tensors.x.raw() == tensors.y.raw() && !same {
            return Err(shape("x and y alike, to work in place".into(), "two types or strides"));
        }
        Ok(())
    }
}

fn shape(expected: String, got: &str) -> Error {
    Error::Shape { op: "softmax", expected, got: got.into() }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// The parts for these options: vec4s where every row begins at one.
fn parts(options: &Options, params: &Params) -> Vec<Part> {
    let whole = |stride: u32| stride.is_multiple_of(4);
    let mut parts = options.algorithm.parts().to_vec();
    if options.input == Element::F16 || options.output == Element::F16 {
        parts.extend([VEC8, F32_BITS, part!("lib/f16_pairs.wgsl")]);
    }
    parts.push(match options.input {
        Element::F16 => part!("lib/softmax_in_f16.wgsl"),
        Element::F32 if whole(params.x_stride) => part!("lib/softmax_in_f32x4.wgsl"),
        Element::F32 => part!("lib/softmax_in_f32.wgsl"),
    });
    parts.push(if whole(params.mask_stride) {
        part!("lib/softmax_mask_f32x4.wgsl")
    } else {
        part!("lib/softmax_mask_f32.wgsl")
    });
    parts.push(match options.output {
        Element::F16 => part!("lib/softmax_out_f16.wgsl"),
        Element::F32 if whole(params.y_stride) => part!("lib/softmax_out_f32x4.wgsl"),
        Element::F32 => part!("lib/softmax_out_f32.wgsl"),
    });
    parts
}

/// One list of parts for each kernel that [`Softmax`] may link, for the tests of shaders.
pub fn part_lists() -> Vec<Vec<Part>> {
    let mut lists = Vec::new();
    for algorithm in Algorithm::ALL {
        for (input, output) in [
            (Element::F32, Element::F32),
            (Element::F16, Element::F16),
            (Element::F16, Element::F32),
            (Element::F32, Element::F16),
        ] {
            for stride in [3, 4] {
                let options = Options { algorithm, input, output, ..Options::default() };
                let params = Params {
                    x_stride: stride,
                    y_stride: stride,
                    mask_stride: stride,
                    ..Params::default()
                };
                lists.push(parts(&options, &params));
            }
        }
    }
    lists
}

fn uniforms((rows, cols): (usize, usize), options: &Options, layout: &Layout) -> Result<Params> {
    if cols == 0 {
        return Err(shape("rows of at least one value".into(), "rows of none"));
    }
    let x_stride = stride_of(options.x_stride, options.input, (rows, cols))?;
    let y_stride = stride_of(options.y_stride, options.output, (rows, cols))?;
    let mask_rows = options.mask_rows.max(1);
    let mask_stride = stride_of(None, Element::F32, (mask_rows, cols))?;
    let visible = options.causal.map_or(cols, |position| position.saturating_add(1).min(cols));
    let scale = effective_scale(options)?;
    // |scale·x| is below 2^13 for |x| below this.
    let limit = if scale > 0.0 { (8192.0 / scale).min(2f32.powi(126)) } else { 2f32.powi(126) };
    Ok(Params {
        cols: cols as u32,
        rows: rows as u32,
        x_stride,
        y_stride,
        mask_stride,
        mask_rows: mask_rows as u32,
        chunk: layout.chunk(cols) as u32,
        chunks: layout.chunks(cols) as u32,
        visible: visible as u32,
        causal: u32::from(options.causal.is_some()),
        limit: limit.to_bits(),
        step: layout::STEP as u32,
        chunk_run: layout.chunk_run(cols) as u32,
        scale,
    })
}

/// Scale over temperature, in f32.
fn effective_scale(options: &Options) -> Result<f32> {
    let Options { scale, temperature, .. } = *options;
    if !(temperature.is_finite() && temperature > 0.0) {
        let value = temperature.to_string();
        return Err(Error::InvalidOption {
            name: "temperature",
            value,
            allowed: "finite and above 0",
        });
    }
    let scale = scale / temperature;
    if !(0.0..=MAX_SCALE).contains(&scale) {
        let (value, allowed) = (scale.to_string(), "from 0 to 2^60, over the temperature");
        return Err(Error::InvalidOption { name: "scale", value, allowed });
    }
    Ok(scale)
}

/// The distance of rows; that of a single row does not matter, so it is whole vec4s.
fn stride_of(asked: Option<usize>, element: Element, (rows, cols): (usize, usize)) -> Result<u32> {
    let tight = element.stride(cols);
    let stride = asked.unwrap_or(if rows == 1 { cols.next_multiple_of(4) } else { tight });
    if stride < tight || !stride.is_multiple_of(element.per_word()) {
        return Err(shape(
            format!("a stride of whole words, at least {tight}"),
            &stride.to_string(),
        ));
    }
    let total = rows.checked_mul(stride).filter(|n| u32::try_from(*n).is_ok());
    if total.is_none() {
        return Err(shape("fewer than 2^32 values".into(), &format!("{rows} rows of {stride}")));
    }
    Ok(stride as u32)
}

/// Softmax of a host slice of rows of `cols` floats.
///
/// # Errors
/// [`Error::Shape`] where x is no whole number of rows; what the device says.
pub async fn softmax(gpu: &Gpu, x: &[f32], cols: usize) -> Result<Vec<f32>> {
    Ok(softmax_with(gpu, x, cols, None, Options::default()).await?.0)
}

/// Softmax and log-sum-exp of a host slice of rows of `cols` floats with any options but other
/// types and strides; `mask` is whole rows, too.
///
/// # Errors
/// As [`Softmax::new`].
pub async fn softmax_with(
    gpu: &Gpu,
    x: &[f32],
    cols: usize,
    mask: Option<&[f32]>,
    options: Options,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let rows = super::rows_of("softmax", x.len(), cols)?;
    let mask_rows =
        mask.map_or(Ok(0), |mask| super::rows_of("softmax's mask", mask.len(), cols))?;
    if mask.is_some() && mask_rows == 0 {
        return Err(shape("a mask of at least one row".into(), "none"));
    }
    if rows == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let (input, output) = (Element::F32, Element::F32);
    let options = Options { mask_rows, input, output, x_stride: None, y_stride: None, ..options };
    let prepared = Softmax::new(gpu, (rows, cols), options).await?;
    let from = Buffer::from_slice(gpu, "x", x).await?;
    let to = Buffer::new(gpu, "y", x.len()).await?;
    let sums = Buffer::new(gpu, "log-sum-exp", rows).await?;
    let mask = match mask {
        Some(mask) => Some(Buffer::from_slice(gpu, "mask", mask).await?),
        None => None,
    };
    let mut plan = PlanBuilder::new(gpu, "softmax");
    let tensors = Tensors { x: &from, mask: mask.as_ref(), y: &to, log_sum_exp: Some(&sums) };
    prepared.record(&mut plan, &tensors)?;
    plan.run().await?;
    Ok((to.read(0, x.len()).await?, sums.read(0, rows).await?))
}

//! Small kernels that show what an adapter can do at best: the ceilings that `mantissa bench` holds
//! the operations against. Their WGSL is in `shaders/probes/`.

use crate::error::Result;
use crate::gpu::{Access, Binding, Buffer, Class, Op, ParamsInfo, PlanBuilder, Variant, part};

/// All of them.
pub static PROBES: &[&Op] = &[&COPY, &READ, &MULTIPLY_ADD, &DOT4I8, &EMPTY];

/// y = x.
pub static COPY: Op = Op {
    name: "probe_copy",
    parts: &[part!("probes/copy.wgsl")],
    formats: &[],
    reduces: false,
    bindings: &[X, Y],
    params: WALK,
};

/// Reads words.
pub static READ: Op = Op { name: "probe_read", parts: &[part!("probes/read.wgsl")], ..COPY };

/// f32 multiply-adds on registers.
pub static MULTIPLY_ADD: Op = Op {
    name: "probe_multiply_add",
    parts: &[part!("probes/multiply_add.wgsl")],
    bindings: &[Y],
    params: ParamsInfo { size: 12, fields: &[("count", 0), ("factor", 4), ("term", 8)] },
    ..COPY
};

/// dot4I8Packed on registers.
pub static DOT4I8: Op = Op {
    name: "probe_dot4i8",
    parts: &[part!("probes/dot4i8.wgsl")],
    bindings: &[Y],
    params: ParamsInfo { size: 8, fields: &[("count", 0), ("change", 4)] },
    ..COPY
};

/// Nothing but a dispatch.
pub static EMPTY: Op = Op {
    name: "probe_empty",
    parts: &[part!("probes/empty.wgsl")],
    bindings: &[Y],
    params: ParamsInfo { size: 4, fields: &[("value", 0)] },
    ..COPY
};

const X: Binding = Binding { name: "x", access: Access::Read };
const Y: Binding = Binding { name: "y", access: Access::Write };
const WALK: ParamsInfo = ParamsInfo {
    size: 16,
    fields: &[("count", 0), ("group_stride", 4), ("lane_stride", 8), ("step", 12)],
};

/// How lanes walk over memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Lanes of a workgroup.
    pub lanes: usize,
    /// vec4s that a lane takes: a multiple of 4.
    pub count: usize,
    /// Whether a lane's vec4s are neighbours of each other, rather than of the other lanes'.
    pub runs: bool,
}

impl Walk {
    /// The walks worth trying on a kind of machine; the best of them is the ceiling.
    pub fn choices(class: Class) -> Vec<Self> {
        let walk = |lanes, count, runs| Self { lanes, count, runs };
        match class {
            Class::Software => {
                vec![walk(8, 512, false), walk(8, 512, true), walk(64, 64, false)]
            }
            Class::Gpu => vec![walk(256, 16, false), walk(128, 32, false), walk(64, 64, false)],
        }
    }

    /// vec4s of a workgroup.
    fn block(&self) -> usize {
        self.lanes * self.count
    }

    /// Whole workgroups that fit in as many words.
    pub fn groups(&self, words: usize) -> usize {
        (words / 4 / self.block()).min(65_535)
    }

    /// Bytes that as many workgroups read.
    pub fn bytes(&self, groups: usize) -> usize {
        16 * groups * self.block()
    }

    /// Records `groups` workgroups of [`COPY`] or [`READ`]. y takes as many words as x for the one,
    /// a word per lane for the other.
    ///
    /// # Errors
    /// What the plan says.
    pub fn record(
        &self,
        plan: &mut PlanBuilder,
        op: &'static Op,
        (x, y): (&Buffer, &Buffer),
        groups: usize,
    ) -> Result<()> {
        let (lane_stride, step) = if self.runs { (self.count, 1) } else { (1, self.lanes) };
        let params = [self.count, self.block(), lane_stride, step].map(|n| n as u32);
        let variant = Variant::of(&[("LANES", self.lanes as f64)]);
        plan.dispatch(op, variant, &params, &[x, y], [groups as u32, 1, 1])
    }
}

/// Floating-point operations of a lane and loop of [`MULTIPLY_ADD`]: 8 chains of 4 steps on vec4s.
pub const FLOPS: usize = 2 * 4 * 4 * 8;

/// Integer operations of a lane and loop of [`DOT4I8`]: 16 products of 4 bytes, each added.
pub const INT_OPS: usize = 8 * 16;

/// Records `groups` workgroups of [`MULTIPLY_ADD`], each lane `count` loops; y takes a word per lane.
///
/// # Errors
/// What the plan says.
pub fn record_multiply_add(
    plan: &mut PlanBuilder,
    y: &Buffer,
    (lanes, groups, count): (usize, usize, usize),
) -> Result<()> {
    // Towards 1, so that nothing overflows and nothing is subnormal.
    let params = [count as u32, 0.5f32.to_bits(), 0.5f32.to_bits()];
    let variant = Variant::of(&[("LANES", lanes as f64)]);
    plan.dispatch(&MULTIPLY_ADD, variant, &params, &[y], [groups as u32, 1, 1])
}

/// The same of [`DOT4I8`].
///
/// # Errors
/// What the plan says.
pub fn record_dot4i8(
    plan: &mut PlanBuilder,
    y: &Buffer,
    (lanes, groups, count): (usize, usize, usize),
) -> Result<()> {
    let variant = Variant::of(&[("LANES", lanes as f64)]);
    plan.dispatch(&DOT4I8, variant, &[count as u32, 1], &[y], [groups as u32, 1, 1])
}

/// Records `dispatches` of [`EMPTY`].
///
/// # Errors
/// What the plan says.
pub fn record_empty(plan: &mut PlanBuilder, y: &Buffer, dispatches: usize) -> Result<()> {
    for n in 0..dispatches {
        plan.dispatch(&EMPTY, Variant::default(), &(n as u32), &[y], [1, 1, 1])?;
    }
    Ok(())
}

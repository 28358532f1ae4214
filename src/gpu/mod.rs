//! All that touches wgpu: adapters and capabilities, shader linking, pipelines, buffers, plans.

mod adapter;
mod buffer;
mod compile;
mod device;
pub mod link;
mod pipeline;
mod plan;
mod scope;
mod texels;
mod timing;

pub use adapter::{AdapterSummary, Class, GpuOptions, Without, adapters};
pub use buffer::Buffer;
pub(crate) use buffer::Mapping;
pub use device::{Caps, Gpu, Sharing, Submission};
pub(crate) use link::part;
pub use link::{Linked, Part};
pub use pipeline::{Access, Binding, Op, ParamsInfo, Variant, link_op, link_parts};
pub(crate) use pipeline::{F32_BITS, VEC8, params};
pub use plan::{Grid, Plan, PlanBuilder};
pub use texels::{Bind, Bound, Fetch, SAMPLER, Slot, TEXEL_ROW, Texel, Texels};
pub use timing::Timed;

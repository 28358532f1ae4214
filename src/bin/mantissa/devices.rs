//! `mantissa devices`: the adapters of this machine.

use std::collections::BTreeMap;

use anyhow::Result;
use mantissa::gpu::{self, AdapterSummary};
use serde::Serialize;

use crate::engine::driver;
use crate::output::{self, table};

/// The flags of `devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Print a JSON array with every feature and the limits that matter here
    #[arg(long)]
    json: bool,
}

/// What `--json` prints of an adapter.
#[derive(Serialize)]
struct Report {
    name: String,
    driver: String,
    backend: String,
    kind: String,
    vendor: u32,
    device: u32,
    subgroup_min_size: u32,
    subgroup_max_size: u32,
    features: Vec<String>,
    limits: BTreeMap<&'static str, u64>,
}

/// Prints the adapters. None at all is an answer too, not a failure.
pub async fn run(args: Args) -> Result<()> {
    if args.json {
        let adapters = gpu::adapters().await;
        return output::json(&adapters.iter().map(report).collect::<Vec<_>>());
    }
    print_table().await
}

/// A block of lines per adapter.
pub async fn print_table() -> Result<()> {
    let adapters = gpu::adapters().await;
    if adapters.is_empty() {
        output::note("no adapter; install a Vulkan driver (software: mesa-vulkan-drivers)");
        return Ok(());
    }
    let reports: Vec<_> = adapters.iter().map(report).collect();
    output::line(overview(&reports))?;
    output::line("")?;
    output::line(limits_table(&reports))?;
    for r in &reports {
        output::line(format_args!("\nfeatures of {}: {}", r.name, r.features.join(", ")))?;
    }
    Ok(())
}

/// A row per adapter.
fn overview(reports: &[Report]) -> String {
    let mut table = table(&["adapter", "kind", "backend", "driver", "f16", "subgroups"], &[]);
    for r in reports {
        let has = |feature: &str| r.features.iter().any(|f| f == feature);
        let f16 = if has("shader-f16") { "yes" } else { "no" };
        let subgroups = match has("subgroup") {
            true => format!("{} to {}", r.subgroup_min_size, r.subgroup_max_size),
            false => "no".into(),
        };
        table.add_row([&r.name, &r.kind, &r.backend, &r.driver, f16, &subgroups]);
    }
    table.trim_fmt()
}

/// A row per limit, a column per adapter.
fn limits_table(reports: &[Report]) -> String {
    let header: Vec<_> = ["limit"].into_iter().chain(reports.iter().map(|r| &*r.name)).collect();
    let mut table = table(&header, &(1..header.len()).collect::<Vec<_>>());
    let names = reports.first().map(|r| r.limits.keys()).into_iter().flatten();
    for name in names {
        let values = reports.iter().map(|r| r.limits.get(name).copied().unwrap_or(0).to_string());
        table.add_row(std::iter::once((*name).to_owned()).chain(values));
    }
    table.trim_fmt()
}

fn report(adapter: &AdapterSummary) -> Report {
    let info = &adapter.info;
    Report {
        name: info.name.clone(),
        driver: driver(info),
        backend: info.backend.to_string(),
        kind: kind(info.device_type).into(),
        vendor: info.vendor,
        device: info.device,
        subgroup_min_size: info.subgroup_min_size,
        subgroup_max_size: info.subgroup_max_size,
        features: adapter.features.iter_names().map(|(name, _)| web_name(name)).collect(),
        limits: limits(&adapter.limits),
    }
}

fn kind(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

/// As WebGPU writes names: `SHADER_F16` is `shader-f16`.
fn web_name(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The limits that decide what fits.
fn limits(limits: &wgpu::Limits) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        (
            "max_storage_buffers_per_shader_stage",
            limits.max_storage_buffers_per_shader_stage.into(),
        ),
        ("max_uniform_buffer_binding_size", limits.max_uniform_buffer_binding_size),
        ("min_storage_buffer_offset_alignment", limits.min_storage_buffer_offset_alignment.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        (
            "max_compute_invocations_per_workgroup",
            limits.max_compute_invocations_per_workgroup.into(),
        ),
        ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x.into()),
        (
            "max_compute_workgroups_per_dimension",
            limits.max_compute_workgroups_per_dimension.into(),
        ),
    ])
}

//! Every kernel against its f64 reference, on every adapter of this machine, with each capability
//! masked off in turn.
//!
//! To meet both software drivers at once, name both in `VK_ICD_FILENAMES` (separated by `:`).
//! `MANTISSA_REQUIRE_ADAPTERS=llvmpipe,SwiftShader` makes an adapter that is missing a failure.
//! Lavapipe has other subgroup sizes under `LP_NATIVE_VECTOR_WIDTH=128|256|512`;
//! `MANTISSA_SUBGROUPS=4` demands that size and tries only what uses subgroups.
//!
//! Outputs start as NaN sentinels with guard words behind their end, so that a word never written
//! and a word written past the end both show; any error of the device fails the trial. Tolerances
//! are derived where they stand, from the roundings of the kernel: nothing is fitted.

mod argmax;
mod attention;
mod attention_combine;
mod conformance;
mod dequantize;
mod faults;
mod glu;
mod kv_append;
mod matmul;
mod matmul_q8;
mod model;
mod net;
mod program;
mod quantize;
mod quantize_q8;
mod rms_norm;
mod rope;
mod sample;
mod softmax;
mod stage;
mod support;
mod times;
mod top_k;
mod tune;

use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use mantissa::formats::FormatRef;
use mantissa::gpu::{self, AdapterSummary, Without};
use support::{Case, Device};

/// The file of an operation's trials.
type Suite = (&'static str, fn() -> Vec<(String, Case)>);

/// One suite for each word in the table of operations.
const SUITES: &[Suite] = &[
    ("argmax", argmax::trials),
    ("attention", attention::trials),
    ("attention_combine", attention_combine::trials),
    ("dequantize", dequantize::trials),
    ("glu", glu::trials),
    ("kv_append", kv_append::trials),
    ("matmul", matmul::trials),
    ("matmul_q8", matmul_q8::trials),
    ("quantize", quantize::trials),
    ("quantize_q8", quantize_q8::trials),
    ("rms_norm", rms_norm::trials),
    ("rope", rope::trials),
    ("sample", sample::trials),
    ("softmax", softmax::trials),
    ("stage", stage::trials),
    ("top_k", top_k::trials),
];

/// What takes long, on devices with nothing masked off.
const LONG_SUITES: &[Suite] = &[
    ("attention", attention::grid_trials),
    ("conformance", conformance::trials),
    ("matmul", matmul::long_trials),
    ("softmax", softmax::long_trials),
    ("tune", tune::trials),
];

/// The file of trials of a number format.
type FormatSuite = (&'static str, fn(FormatRef) -> Vec<(String, Case)>);

/// What runs for every number format, on devices with nothing masked off: what formats are decoded with
/// uses neither f16 nor subgroups, and `tests/shaders.rs` links all with both.
const FORMAT_SUITES: &[FormatSuite] = &[
    ("dequantize", dequantize::format_trials),
    ("matmul", matmul::format_trials),
    ("matmul_q8", matmul_q8::format_trials),
    ("quantize", quantize::format_trials),
    ("kv_append", kv_append::format_trials),
    ("attention", attention::format_trials),
    ("conformance", conformance::format_trials),
];

/// What uses subgroups where a device has them, in all its forms at every size of theirs; all else is
/// the same kernel with them and without (`tests/shaders.rs` knows the parts that name them).
const WITH_SUBGROUPS: [&str; 5] = ["attention", "matmul", "rms_norm", "stage", "model"];

/// What is tried within WebGPU's default limits: what is laid out by a device's limits. That no kernel
/// needs more than these is shown by `tests/shaders.rs`.
const WITH_DEFAULT_LIMITS: [&str; 3] = ["softmax", "model", "program"];

/// What is tried without f16, which no kernel uses beyond the directive (`tests/shaders.rs` again).
const WITHOUT_F16: [&str; 2] = ["softmax", "model"];

fn main() {
    let arguments = Arguments::from_args();
    let adapters = distinct(pollster::block_on(gpu::adapters()));
    let mut notes = Vec::new();
    let mut trials = net::trials();
    trials.push(Trial::test("every operation has a suite", every_operation_has_a_suite));
    trials.extend(required(&adapters));
    if let Some(lanes) = support::subgroups_asked_for() {
        trials.extend(with_subgroups(&adapters, &lanes));
        run(&arguments, trials);
    }
    trials.extend(faults::without_adapter());
    if adapters.is_empty() {
        notes.push("NO ADAPTER: no kernel was tested. Install mesa-vulkan-drivers.".into());
        trials.extend(ignored());
    }
    for adapter in &adapters {
        trials.extend(faults::trials(adapter));
        for device in support::masked(adapter, &mut notes) {
            trials.extend(on_device(&device));
        }
    }
    for note in notes {
        eprintln!("gpu tests: {note}");
    }
    run(&arguments, trials);
}

fn run(arguments: &Arguments, trials: Vec<Trial>) -> ! {
    let conclusion = libtest_mimic::run(arguments, trials);
    times::report();
    conclusion.exit()
}

/// Adapters by different names; a device is asked for by name.
fn distinct(mut adapters: Vec<AdapterSummary>) -> Vec<AdapterSummary> {
    let mut seen = std::collections::HashSet::new();
    adapters.retain(|a| seen.insert(a.info.name.clone()));
    adapters
}

/// The operations, whole models made of them, and what programs need around those.
fn suites() -> impl Iterator<Item = Suite> {
    let models: [Suite; 2] = [("model", model::trials), ("program", program::trials)];
    SUITES.iter().copied().chain(models)
}

/// The same for devices that differ in their kernels from one on which all is tried.
fn of_kernels() -> impl Iterator<Item = Suite> {
    let models: [Suite; 2] = [("model", model::kernel_trials), ("program", program::trials)];
    SUITES.iter().copied().chain(models)
}

fn on_device(device: &Device) -> Vec<Trial> {
    let tried: &[&str] = match device.without() {
        Without { f16: true, .. } => &WITHOUT_F16,
        Without { subgroups: true, .. } => &WITH_SUBGROUPS,
        Without { limits: true, .. } => &WITH_DEFAULT_LIMITS,
        _ => {
            let mut trials = trials_of(device, suites().chain(LONG_SUITES.iter().copied()));
            trials.extend(support::tested_formats().into_iter().flat_map(|f| of_format(device, f)));
            return trials;
        }
    };
    trials_of(device, of_kernels().filter(|(name, _)| tried.contains(name)))
}

/// Subgroups of so many lanes, on devices that use them.
fn with_subgroups(adapters: &[AdapterSummary], lanes: &str) -> Vec<Trial> {
    let mut trials = Vec::new();
    for adapter in adapters {
        let info = &adapter.info;
        let sizes = [info.subgroup_min_size, info.subgroup_max_size].map(|n| n.to_string());
        let all_are = sizes.iter().all(|size| size == lanes);
        let name = format!("subgroups of {} have {lanes} lanes", info.name);
        let said = format!("they have {} to {}", sizes[0], sizes[1]);
        trials.push(Trial::test(name, move || if all_are { Ok(()) } else { Err(said.into()) }));
        let devices = support::masked(adapter, &mut Vec::new()).into_iter();
        for device in devices.filter(|device| device.without() == Without::default()) {
            let used = |(name, _): &Suite| WITH_SUBGROUPS.contains(name);
            let reducing = |(name, trials): Suite| match name {
                "matmul" => (name, matmul::reducing_trials as fn() -> _),
                _ => (name, trials),
            };
            trials.extend(trials_of(&device, of_kernels().filter(used).map(reducing)));
        }
    }
    trials
}

/// Each suite has a device of its own, since what is compiled is kept as long as a device lives.
fn trials_of(device: &Device, suites: impl Iterator<Item = Suite>) -> Vec<Trial> {
    suites.flat_map(|(op, trials)| of_suite(device.afresh(), op, trials())).collect()
}

/// All of a format has one device, since its suites need the same pipelines.
fn of_format(device: &Device, format: FormatRef) -> Vec<Trial> {
    let device = device.afresh();
    let of = |&(op, trials): &FormatSuite| of_suite(device.clone(), op, trials(format));
    FORMAT_SUITES.iter().flat_map(of).collect()
}

fn of_suite(
    device: Device,
    op: &'static str,
    cases: Vec<(String, Case)>,
) -> impl Iterator<Item = Trial> {
    cases.into_iter().map(move |(name, case)| {
        let device = device.clone();
        let name = format!("[{}] {op}::{name}", device.label);
        let run = move |device: Device| {
            let gpu = device.gpu()?;
            case(&gpu)?;
            Ok(gpu.check()?)
        };
        Trial::test(name.clone(), move || times::timed(&name, || run(device)))
    })
}

/// What would run if there were an adapter.
fn ignored() -> Vec<Trial> {
    let name = |op: &str, name: String| format!("[no adapter] {op}::{name}");
    let names = suites()
        .chain(LONG_SUITES.iter().copied())
        .flat_map(|(op, trials)| trials().into_iter().map(move |(trial, _)| name(op, trial)));
    let of_format = |format| {
        let suites = FORMAT_SUITES.iter();
        suites.flat_map(move |(op, of)| of(format).into_iter().map(move |(n, _)| name(op, n)))
    };
    let formats = support::tested_formats().into_iter().flat_map(of_format);
    names.chain(formats).chain(faults::names()).map(absent).collect()
}

/// Ignored; a failure where the ignored are asked for.
fn absent(name: String) -> Trial {
    Trial::test(name, || Err("no adapter".into())).with_ignored_flag(true)
}

/// A trial for each adapter that the environment demands.
fn required(adapters: &[AdapterSummary]) -> Vec<Trial> {
    let wanted = std::env::var("MANTISSA_REQUIRE_ADAPTERS").unwrap_or_default();
    let found: Vec<String> = adapters.iter().map(|a| a.info.name.clone()).collect();
    let found = Arc::new(found);
    let wanted = wanted.split(',').map(str::trim).filter(|w| !w.is_empty()).map(String::from);
    let trial = |wanted: String| {
        let found = found.clone();
        Trial::test(format!("adapter {wanted} is there"), move || {
            if found.iter().any(|name| name.contains(&wanted)) {
                return Ok(());
            }
            Err(format!("no adapter {wanted}; found: {found:?}").into())
        })
    };
    wanted.map(trial).collect()
}

fn every_operation_has_a_suite() -> support::Outcome {
    let suites: Vec<&str> = SUITES.iter().map(|(op, _)| *op).collect();
    let ops: Vec<&str> = mantissa::ops::OPS.iter().map(|op| op.name).collect();
    if suites != ops {
        return Err(format!("{suites:?}, but the table has {ops:?}").into());
    }
    let forgotten = |op: &&&mantissa::gpu::Op| op.reduces && !WITH_SUBGROUPS.contains(&op.name);
    match mantissa::ops::OPS.iter().find(forgotten) {
        Some(op) => Err(format!("{} reduces, but WITH_SUBGROUPS lacks it", op.name).into()),
        None => Ok(()),
    }
}

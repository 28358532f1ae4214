//! The shaders without a GPU: every operation × format × capability is linked, validated, held
//! against what Rust says of it, and translated to every language that a driver takes.
//!
//! Where Tint is on the path it reads them as a browser would; naga does not check that barriers
//! stand in uniform control flow.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mantissa::formats::{FAMILIES, FORMATS, FormatRef, by_name};
use mantissa::gpu::{
    Access, Binding, Caps, Class, Linked, Op, Part, SAMPLER, Variant, link_op, link_parts,
};
use mantissa::ops::sample::Choice;
use mantissa::ops::{self, OPS, STEP_WORDS, Span};
use mantissa::probes::PROBES;
use naga::back::PipelineConstants;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};

/// One kernel's text.
struct Kernel {
    op: &'static Op,
    format: Option<FormatRef>,
    caps: Caps,
    parts: Vec<Part>,
    linked: Linked,
}

impl Kernel {
    fn name(&self) -> String {
        let format = self.format.map_or("", |f| f.name());
        let caps = [(self.caps.f16, " f16"), (self.caps.subgroups, " subgroups")];
        let caps: String = caps.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        format!("{} {format}{caps}", self.op.name)
    }

    /// naga's report on the linked text, as file, line and excerpt.
    fn failure(&self, report: &str) -> String {
        // The place that the report shows; naga's `location` is that of any label.
        let place = report.split_once("wgsl:").and_then(|(_, rest)| rest.split(':').next());
        let line = place.and_then(|line| line.parse().ok()).unwrap_or(0);
        format!("{}: {}", self.name(), self.linked.describe(line, report))
    }

    fn parse(&self) -> Result<Module, String> {
        let text = &self.linked.text;
        naga::front::wgsl::parse_str(text).map_err(|e| self.failure(&e.emit_to_string(text)))
    }

    /// Only what the device offers may be used.
    fn validate(&self, module: &Module) -> Result<ModuleInfo, String> {
        let mut allowed = Capabilities::empty();
        allowed.set(Capabilities::SHADER_FLOAT16, self.caps.f16);
        allowed.set(Capabilities::SUBGROUP, self.caps.subgroups);
        let text = &self.linked.text;
        Validator::new(ValidationFlags::all(), allowed)
            .validate(module)
            .map_err(|e| self.failure(&e.emit_to_string(text)))
    }
}

/// Every operation × format (where it reads packed weights) × capability.
fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for op in OPS.iter().chain(PROBES).copied() {
        let samples = FAMILIES.iter().map(|f| by_name(f.samples[0]).expect("a sample"));
        let formats = FORMATS.iter().copied().chain(samples);
        let usable = |f: &FormatRef| match op.name {
            "quantize" => ops::quantize::can_encode(*f),
            "matmul_q8" => ops::matmul_q8::can_multiply(*f),
            "attention" | "kv_append" => ops::kv::can_hold(*f),
            _ => true,
        };
        let packed: Vec<_> = formats.filter(usable).map(Some).collect();
        for format in if op.formats.is_empty() { vec![None] } else { packed } {
            for (f16, subgroups) in [(false, false), (true, false), (false, true), (true, true)] {
                let caps = Caps { f16, subgroups, ..Caps::plain(Class::Gpu) };
                for parts in part_lists(op, caps) {
                    let formats: Vec<_> = op.formats.iter().filter_map(|_| format).collect();
                    let linked = link_parts(op, &formats, &parts, caps);
                    kernels.push(Kernel { op, format, caps, parts, linked });
                }
            }
        }
    }
    kernels
}

/// The parts that an operation's variants choose.
fn part_lists(op: &Op, caps: Caps) -> Vec<Vec<Part>> {
    match op.name {
        "matmul" => ops::matmul::part_lists(caps),
        "matmul_q8" | "dequantize" => ops::matrix::WORDS.map(|words| vec![words]).into(),
        "attention" => ops::attention::part_lists(caps),
        "attention_combine" => ops::attention_combine::part_lists(),
        "softmax" => ops::softmax::part_lists(),
        _ => vec![Vec::new()],
    }
}

/// Runs a check on every kernel and reports all that fail.
fn on_every_kernel(check: impl Fn(&Kernel) -> Result<(), String> + Sync) {
    on_kernels(&kernels(), check);
}

/// The same on these, on all cores.
fn on_kernels(kernels: &[Kernel], check: impl Fn(&Kernel) -> Result<(), String> + Sync) {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let next = AtomicUsize::new(0);
    let take = || kernels.get(next.fetch_add(1, Ordering::Relaxed));
    let work = || std::iter::from_fn(take).filter_map(|k| check(k).err()).collect::<Vec<_>>();
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a check panics")).collect()
    });
    let (bad, all) = (failures.len(), kernels.len());
    assert!(all > 0, "no kernels");
    assert!(failures.is_empty(), "{bad} of {all} kernels fail:\n{}", failures.join("\n"));
}

/// Each text once, for the least that it asks for: most are the same for every capability, but for the
/// directives.
fn different_kernels() -> Vec<Kernel> {
    let mut seen = HashSet::new();
    let mut is_new = |kernel: &Kernel| {
        let lines = kernel.linked.text.lines().filter(|line| !line.starts_with("enable "));
        seen.insert((kernel.op.name, kernel.format.map(|f| f.name()), lines.collect::<String>()))
    };
    kernels().into_iter().filter(|kernel| is_new(kernel)).collect()
}

#[test]
fn every_kernel_links_and_validates() {
    on_every_kernel(|kernel| kernel.validate(&kernel.parse()?).map(|_| ()));
}

/// A cache may have keys in one format and values in another: each as both, beside some other.
#[test]
fn formats_of_keys_and_values_meet() {
    let samples = FAMILIES.iter().flat_map(|f| f.samples).map(|name| by_name(name).expect(name));
    let all = FORMATS.iter().copied().chain(samples).filter(|f| ops::kv::can_hold(*f));
    let all: Vec<FormatRef> = all.collect();
    let op = OPS.iter().copied().find(|op| op.name == "attention").expect("attention");
    let caps = Caps::plain(Class::Gpu);
    let parts = &part_lists(op, caps)[0];
    for (i, keys) in all.iter().enumerate() {
        let values = all[(i * 7 + 3) % all.len()];
        let linked = link_parts(op, &[*keys, values], parts, caps);
        let kernel = Kernel { op, format: Some(*keys), caps, parts: parts.clone(), linked };
        let met = kernel.parse().and_then(|module| kernel.validate(&module));
        assert!(met.is_ok(), "values in {}: {}", values.name(), met.unwrap_err());
    }
}

/// Group 0, binding 0 is `params`; the others follow in the order of the operation's table.
#[test]
fn bindings_are_what_the_operation_says() {
    on_kernels(&different_kernels(), |kernel| {
        let module = kernel.parse()?;
        let mut found: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(_, v)| Some((v.binding?, v.name.clone()?, v.space)))
            .collect();
        found.sort_by_key(|(at, ..)| (at.group, at.binding));
        let found: Vec<_> = found.into_iter().map(|(b, n, s)| (b.group, b.binding, n, s)).collect();

        // A part that takes a binding from a texture is named after it.
        let textures = kernel.parts.iter().filter_map(|part| {
            let name = part.path.strip_prefix("lib/")?.strip_suffix(".wgsl")?;
            ["_sampled", "_nearest", "_stored", "_texels"]
                .iter()
                .find_map(|way| name.strip_suffix(way))
        });
        let textures: Vec<_> = textures.collect();
        let space = |binding: &Binding| match binding.access {
            _ if textures.contains(&binding.name) => AddressSpace::Handle,
            Access::Read => AddressSpace::Storage { access: StorageAccess::LOAD },
            Access::Write => {
                AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE }
            }
            Access::Uniform => AddressSpace::Uniform,
            Access::Texels(_) | Access::MaybeTexels(_) => AddressSpace::Handle,
        };
        let mut declared = vec![(0, 0, "params".to_string(), AddressSpace::Uniform)];
        let there = |binding: &Binding| {
            !matches!(binding.access, Access::MaybeTexels(_)) || textures.contains(&binding.name)
        };
        let numbered = kernel.op.bindings.iter().zip(1..).filter(|(b, _)| there(b));
        declared.extend(numbered.map(|(b, i)| (0, i, b.name.to_string(), space(b))));
        // Behind them all, the sampler of parts that have one.
        let samples = |part: &Part| part.path.ends_with("_nearest.wgsl");
        if kernel.parts.iter().any(samples) {
            declared.push((0, SAMPLER as u32, "nearest".to_string(), AddressSpace::Handle));
        }
        if found == declared {
            return Ok(());
        }
        Err(format!("{}: WGSL binds {found:?}, Rust {declared:?}", kernel.name()))
    });
}

/// Members (name, offset) and size of the struct behind the global variable of this name.
fn layout(module: &Module, variable: &str) -> Option<Layout> {
    let (_, variable) =
        module.global_variables.iter().find(|(_, v)| v.name.as_deref() == Some(variable))?;
    layout_of(&module.types[variable.ty])
}

type Layout = (Vec<(String, usize)>, usize);

fn layout_of(declared: &naga::Type) -> Option<Layout> {
    let TypeInner::Struct { members, span } = &declared.inner else { return None };
    let member = |m: &naga::StructMember| (m.name.clone().unwrap_or_default(), m.offset as usize);
    Some((members.iter().map(member).collect(), *span as usize))
}

#[test]
fn uniforms_have_the_layout_that_rust_gives_them() {
    on_kernels(&different_kernels(), |kernel| {
        let module = kernel.parse()?;
        let named = |(name, at): &(&str, usize)| (name.to_string(), *at);
        let params = kernel.op.params;
        let declared = (params.fields.iter().map(named).collect(), params.size);
        if layout(&module, "params") != Some(declared) {
            let found = layout(&module, "params");
            return Err(format!("{}: Params is {found:?}, in Rust {params:?}", kernel.name()));
        }
        let choice = layout(&module, "choice").map(|(_, size)| size);
        if choice.is_some_and(|size| size != Choice::WORDS * 4) {
            return Err(format!("{}: Choice takes {choice:?} bytes", kernel.name()));
        }
        let Some(step) = layout(&module, "step") else { return Ok(()) };
        let mut types = module.types.iter().map(|(_, declared)| declared);
        let span = types.find(|t| t.name.as_deref() == Some("Span")).and_then(layout_of);
        let fields = ["position", "rows", "start", "end"].into_iter().map(String::from);
        let expected = (fields.zip((0..).step_by(4)).collect(), size_of::<Span>());
        let whole = (vec![("spans".to_string(), 0)], STEP_WORDS * 4);
        if step != whole || span.as_ref() != Some(&expected) {
            return Err(format!("{}: Step is {step:?} of {span:?}", kernel.name()));
        }
        Ok(())
    });
}

/// Values of the override constants that the operations' `record` functions use, one list per
/// pipeline worth translating; the format's own come on top.
fn pipelines(kernel: &Kernel) -> Vec<Variant> {
    let lists: &[&[(&'static str, f64)]] = match kernel.op.name {
        "attention" => &[
            &[("LANES", 8.0), ("TILE_Q", 3.0), ("SCRATCH", 24.0), ("K_TILE", 8.0), ("SPLIT", 1.0)],
            &[("SLICES", 5.0), ("HALF_SLICE", 1.0), ("MASKED", 1.0), ("SINKS", 1.0)],
            &[("SLICES", 32.0), ("WINDOW", 1.0), ("SOFT_CAP", 1.0), ("ALIBI", 1.0), ("EXACT", 0.0)],
        ],
        "attention_combine" => &[&[("SINKS", 0.0)], &[("SINKS", 1.0)]],
        "dequantize" => &[&[("GATHER", 1.0)], &[("ROW_TILE", 8.0)]],
        "glu" => &[&[("ACT", 0.0)], &[("ACT", 1.0)]],
        "kv_append" => &[
            &[("K_TILE", 8.0), ("TURNS", 16.0)],
            &[("GROUP", 2.0), ("PLANES", 2.0), ("SHARE1", 2.0), ("NEOX", 1.0)],
        ],
        "quantize" => &[
            &[("SCALES", 1.0), ("ROW_MAX", 127.0)],
            &[("GROUP", 2.0), ("PLANES", 2.0), ("SHARE1", 2.0), ("ROW_TILE", 8.0)],
        ],
        "rope" => &[&[("NEOX", 0.0)], &[("NEOX", 1.0)]],
        "softmax" => &[
            &[("STAGE", 0.0), ("TEAM", 1.0), ("HELD", 4.0), ("TAIL", 0.0)],
            &[("STAGE", 1.0), ("MASKED", 1.0), ("LOG", 1.0), ("LOG_SUM", 1.0)],
            &[("STAGE", 2.0), ("PASS", 1.0)],
            &[("STAGE", 3.0), ("IN_PLACE", 1.0)],
        ],
        "matmul" => &[
            &[("LANES", 8.0), ("SPLIT", 1.0), ("TILE_M", 16.0), ("ROW_TILE", 8.0)],
            &[("LANES", 64.0), ("SPLIT", 16.0), ("TILE_M", 1.0), ("BIAS", 1.0)],
            &[
                ("LANES", 64.0),
                ("SPLIT", 4.0),
                ("TILE_M", 16.0),
                ("TAIL", 1.0),
                ("ACCUMULATE", 1.0),
            ],
        ],
        "sample" => &[&[("WIDTH", 64.0)], &[("WIDTH", 256.0)]],
        "top_k" => &[&[("WIDTH", 64.0)], &[("WIDTH", 256.0), ("MERGE", 1.0)]],
        "matmul_q8" => &[
            &[("LANES", 8.0), ("SPLIT", 1.0), ("TILE_M", 16.0), ("ROW_TILE", 8.0), ("EIGHT", 1.0)],
            &[("LANES", 64.0), ("SPLIT", 16.0), ("TILE_M", 1.0), ("BIAS", 1.0)],
            &[("LANES", 64.0), ("SPLIT", 4.0), ("TILE_M", 16.0), ("ACCUMULATE", 1.0)],
        ],
        _ => &[&[]],
    };
    let variant = |list: &&[(&'static str, f64)]| match (kernel.format, kernel.op.formats) {
        (Some(format), [""]) => Variant::of(list).packed(format),
        (Some(format), prefixes) => {
            prefixes.iter().fold(Variant::of(list), |v, prefix| v.packed_as(prefix, format))
        }
        (None, _) => Variant::of(list),
    };
    lists.iter().map(variant).collect()
}

#[test]
fn every_kernel_translates_to_every_shading_language() {
    on_kernels(&different_kernels(), |kernel| {
        let module = kernel.parse()?;
        let info = kernel.validate(&module)?;
        let mut failures = Vec::new();
        for variant in pipelines(kernel) {
            if let Err(e) = translate(kernel, &module, &info, &variant) {
                failures.push(format!("{} {:?}: {e}", kernel.name(), variant.constants));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
    });
}

/// To SPIR-V, MSL, HLSL and GLSL, the overrides resolved first.
fn translate(
    kernel: &Kernel,
    module: &Module,
    info: &ModuleInfo,
    variant: &Variant,
) -> Result<(), String> {
    use naga::back::{glsl, hlsl, msl, pipeline_constants, spv};
    let stage = naga::ShaderStage::Compute;
    let constants: PipelineConstants =
        variant.constants.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let entry = Some((stage, "main"));
    let resolved = pipeline_constants::process_overrides(module, info, entry, &constants);
    let (module, info) = resolved.map_err(|e| format!("overrides: {e}"))?;
    fits_default_limits(&module)?;

    let options = spv::Options { lang_version: (1, 3), ..Default::default() };
    let words =
        spv::write_vec(&module, &info, &options, None).map_err(|e| format!("SPIR-V: {e}"))?;

    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let written = msl::write_string(&module, &info, &options, &Default::default());
    let (metal, _) = written.map_err(|e| format!("MSL: {e}"))?;

    // Shader model 5.1 is FXC's, the oldest that WebGPU meets.
    let newer = kernel.caps.f16 || kernel.caps.subgroups;
    let shader_model = if newer { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V5_1 };
    let options = hlsl::Options { shader_model, ..Default::default() };
    let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
    written.map_err(|e| format!("HLSL: {e}"))?;

    let mut gl = String::new();
    let options = glsl::Options { version: glsl::Version::Desktop(450), ..Default::default() };
    let pipeline =
        glsl::PipelineOptions { shader_stage: stage, entry_point: "main".into(), multiview: None };
    let policies = naga::proc::BoundsCheckPolicies::default();
    glsl::Writer::new(&mut gl, &module, &info, &options, &pipeline, policies)
        .and_then(|mut writer| writer.write())
        .map_err(|e| format!("GLSL: {e}"))?;

    // A writer that drops what it cannot write would say so only by its silence.
    let empty = [words.is_empty(), metal.is_empty(), text.is_empty(), gl.is_empty()];
    if empty.contains(&true) { Err(format!("empty translations: {empty:?}")) } else { Ok(()) }
}

/// Lanes, workgroup memory and storage bindings that every WebGPU device has.
fn fits_default_limits(module: &Module) -> Result<(), String> {
    let limits = wgpu::Limits::default();
    let in_space = |space: fn(&AddressSpace) -> bool| {
        module.global_variables.iter().map(|(_, v)| v).filter(move |v| space(&v.space))
    };
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let of_workgroup = in_space(|space| *space == AddressSpace::WorkGroup);
    let memory: u32 = of_workgroup.map(|v| layouter[v.ty].size).sum();
    let storage = in_space(|space| matches!(space, AddressSpace::Storage { .. })).count();
    let lanes: u32 = module.entry_points.iter().flat_map(|entry| entry.workgroup_size).product();
    let fits = lanes <= limits.max_compute_invocations_per_workgroup
        && memory <= limits.max_compute_workgroup_storage_size
        && storage <= limits.max_storage_buffers_per_shader_stage as usize;
    let told = format!("{lanes} lanes, {memory} bytes, {storage} storage buffers");
    if fits { Ok(()) } else { Err(format!("beyond the default limits: {told}")) }
}

/// Tint also checks that barriers and subgroup operations stand in uniform control flow.
#[test]
fn tint_takes_every_kernel() {
    if Command::new("tint")
        .arg("--help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        // Straight to stderr: the test harness swallows what is printed.
        let note =
            "\nNOT TESTED: no `tint` on the path, so nobody has checked barrier uniformity\n";
        std::io::stderr().write_all(note.as_bytes()).expect("stderr takes a note");
        return;
    }
    on_every_kernel(|kernel| {
        // naga refuses this directive; the browser's platform layer adds it.
        let enable = if kernel.caps.subgroups { "enable subgroups;\n" } else { "" };
        let said = tint(&format!("{enable}{}", kernel.linked.text));
        said.map_err(|said| format!("{}: {said}", kernel.name()))
    });
}

fn tint(text: &str) -> Result<(), String> {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("mantissa-tint-{}-{next}.wgsl", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).map_err(|e| e.to_string())?;
    let ran = Command::new("tint").args(["--format", "wgsl"]).arg(&path).output();
    // A file that stays behind harms nobody.
    let _ = std::fs::remove_file(&path);
    let ran = ran.map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if ran.status.success() { Ok(()) } else { Err(said.into_owned()) }
}

/// The check itself must see what naga does not: a barrier that only some lanes reach.
#[test]
fn the_checkers_refuse_what_is_wrong() {
    let text = "@compute @workgroup_size(8)\nfn main(@builtin(local_invocation_index) i: u32) {\n if i < 4u { workgroupBarrier(); }\n}\n";
    if Command::new("tint").arg("--help").output().is_ok() {
        assert!(tint(text).is_err(), "Tint passes a barrier in varying control flow");
    }
    let caps = Caps::plain(Class::Gpu);
    let mut linked = Linked::default();
    linked.push("ops/x.wgsl", "fn f() -> u32 {\n    return 1.5;\n}\n");
    let kernel = Kernel { op: OPS[0], format: None, caps, parts: Vec::new(), linked };
    let failure = match kernel.parse() {
        Ok(module) => kernel.validate(&module).expect_err("naga passes a float as u32"),
        Err(failure) => failure,
    };
    assert!(failure.contains("shaders/ops/x.wgsl:2"), "{failure}");

    let mut linked = Linked::default();
    linked.push("ops/y.wgsl", "fn f() -> f32 {\n    return subgroupAdd(1.0);\n}\n");
    let kernel = Kernel { linked, ..kernel };
    let module = kernel.parse().expect("naga knows subgroups without a directive");
    assert!(kernel.validate(&module).is_err(), "subgroups pass where the device has none");
    let beyond = [
        "@compute @workgroup_size(16, 32)\nfn main() {}\n",
        "var<workgroup> x: array<vec4<f32>, 1025>;\n@compute @workgroup_size(8)\nfn main() { x[0].x = 1.0; }\n",
    ];
    for text in beyond {
        let module = naga::front::wgsl::parse_str(text).unwrap();
        assert!(fits_default_limits(&module).is_err(), "{text}");
    }
}

/// What `tests/gpu` leaves out on devices without f16 rests on this.
#[test]
fn no_kernel_computes_in_f16() {
    on_kernels(&different_kernels(), |kernel| {
        let half = |ty: &naga::Type| ty.inner.scalar().is_some_and(|scalar| scalar.width == 2);
        match kernel.parse()?.types.iter().any(|(_, ty)| half(ty)) {
            true => Err("has a type of 16 bits".into()),
            false => Ok(()),
        }
    });
}

/// Subgroup operations stand in a few parts, and no number in that which asks for no size is one.
#[test]
fn no_kernel_knows_a_subgroup_size() {
    let mut parts = HashSet::new();
    for kernel in kernels() {
        for (line, text) in kernel.linked.text.lines().enumerate() {
            let code = text.split("//").next().unwrap_or_default();
            if ["subgroup", "quadBroadcast", "quadSwap"].iter().any(|name| code.contains(name)) {
                parts.insert(kernel.linked.locate(line + 1).0.to_string());
            }
        }
    }
    // All but the first ask for eight lanes at least (or four, x_quad) or a whole workgroup, and for no
    // size.
    let of_x = ["x_together", "x_subgroup", "x_quad"];
    let known = [&["reduce_subgroup", "q_subgroup", "tile_subgroup"][..], &of_x].concat();
    assert_eq!(parts, HashSet::from_iter(known.iter().map(|name| format!("lib/{name}.wgsl"))));

    let caps = Caps { subgroups: true, ..Caps::plain(Class::Gpu) };
    let linked = link_op(&ops::rms_norm::OP, None, caps);
    for (line, text) in linked.text.lines().enumerate() {
        if linked.locate(line + 1).0 != "lib/reduce_subgroup.wgsl" {
            continue;
        }
        let code = text.split("//").next().unwrap_or_default();
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '.' && c != '_');
        let numbers = words.filter(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        for number in numbers {
            let fine = ["0u", "1u", "0.0", "0"].contains(&number);
            assert!(fine, "lib/reduce_subgroup.wgsl has the number {number}: {text}");
        }
    }
}

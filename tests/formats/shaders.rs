//! Every WGSL part, joined to a stub of an operation, is valid and needs no capability.

use mantissa::formats::FORMATS;
use naga::valid::{Capabilities, ValidationFlags, Validator};

const LIB: [&str; 2] =
    [include_str!("../../shaders/lib/vec8.wgsl"), include_str!("../../shaders/lib/layout.wgsl")];

/// The least that an operation gives to a format part. A part that names a buffer, or anything
/// else that is not in its contract, does not resolve.
const STUB: &str = "
struct StubParams { chunks: u32, bases: vec4<u32> }
@group(0) @binding(0) var<uniform> params: StubParams;
@group(0) @binding(1) var<storage, read> stub_in: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> stub_out: array<vec4<f32>>;
fn load_vec4(i: u32) -> vec4<u32> { return stub_in[i]; }
fn load_word(i: u32) -> u32 { return stub_in[i / 4u][i % 4u]; }
fn plane(p: u32) -> u32 { return params.bases[p]; }
@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block: Block = load_block(id.x, id.y);
    let weights: Vec8 = decode8(block, id.z);
    stub_out[0] = weights.lo;
    stub_out[1] = weights.hi;
}";

fn check(format: &str, text: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text)
        .map_err(|e| format!("{format}: {}", e.emit_to_string(text)))?;
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|e| format!("{format}: {}", e.emit_to_string(text)))?;
    Ok(())
}

#[test]
fn every_part_links_and_validates() {
    let failures: Vec<String> = FORMATS
        .iter()
        .filter_map(|f| check(f.name(), &[LIB.concat().as_str(), f.shader(), STUB].concat()).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_part_that_names_a_buffer_is_found_out() {
    let part = "struct Block { w: u32 }
        fn load_block(row: u32, c: u32) -> Block { return Block(weights[slot(row, c, 1u)]); }
        fn decode8(b: Block, g: u32) -> Vec8 { return nibbles(b.w); }";
    let link = |part: &str| check("broken", &[LIB.concat().as_str(), part, STUB].concat());
    assert!(link(part).unwrap_err().contains("weights"));
    assert_eq!(
        link(&part.replace("weights[slot(row, c, 1u)]", "load_word(slot(row, c, 1u))")),
        Ok(())
    );
}

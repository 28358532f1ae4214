//! Every WGSL part, joined to a stub of an operation, is valid and needs no capability.

use mantissa::formats::{FAMILIES, FORMATS, FormatRef, by_name};
use mantissa::ops::quantize::{can_encode, group};
use naga::valid::{Capabilities, ValidationFlags, Validator};

const LIB: [&str; 5] = [
    include_str!("../../shaders/lib/vec8.wgsl"),
    include_str!("../../shaders/lib/layout.wgsl"),
    include_str!("../../shaders/lib/f32_bits.wgsl"),
    include_str!("../../shaders/lib/round.wgsl"),
    include_str!("../../shaders/lib/integers.wgsl"),
];

/// The least that an operation gives to a format part. A part that names a buffer, or anything
/// else that is not in its contract, does not resolve.
const STUB: &str = "
struct StubParams { chunks: u32, plane1: u32, plane2: u32, scales: u32, table: u32 }
@group(0) @binding(0) var<uniform> params: StubParams;
@group(0) @binding(1) var<storage, read> stub_in: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> stub_out: array<vec4<f32>>;
fn load_vec4(i: u32) -> vec4<u32> { return stub_in[i]; }
fn load_word(i: u32) -> u32 { return stub_in[i / 4u][i % 4u]; }
@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block: Block = load_block(id.x, id.y);
    let weights: Vec8 = decode8(block, id.z);
    stub_out[0] = weights.lo;
    stub_out[1] = weights.hi;
}";

/// The same for a part that encodes.
const ENCODE_STUB: &str = "
@group(0) @binding(3) var<storage, read_write> stub_words: array<u32>;
@compute @workgroup_size(1)
fn encode_main(@builtin(global_invocation_id) id: vec3<u32>) {
    var x: array<u32, 32>;
    x[id.x] = id.y;
    let words: array<u32, CHUNK_WORDS> = encode32(x, id.y);
    stub_words[0] = words[id.z];
}";

/// Every format of the table, and a member of each family.
fn formats() -> impl Iterator<Item = FormatRef> {
    let members = FAMILIES.iter().map(|f| by_name(f.samples[0]).unwrap());
    FORMATS.iter().copied().chain(members)
}

fn part(format: FormatRef) -> String {
    format.shader().iter().map(|part| part.text).collect()
}

fn check(format: &str, text: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text)
        .map_err(|e| format!("{format}: {}", e.emit_to_string(text)))?;
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|e| format!("{format}: {}", e.emit_to_string(text)))?;
    Ok(())
}

/// What the kernel `quantize` relies on to scatter a chunk's words: each plane's, one after the
/// other; a plane that chunks share gives each an equal part of its one word.
#[test]
fn every_part_encodes_a_chunk_to_the_words_of_its_planes() {
    for format in formats().filter(|f| can_encode(*f)) {
        let (name, planes) = (format.name(), format.planes());
        let text = [LIB.concat().as_str(), &part(format), STUB, ENCODE_STUB].concat();
        assert_eq!(check(name, &text), Ok(()));
        let words: usize = planes.iter().map(|p| p.words).sum();
        // A family's part has room for its widest member.
        let room: usize = text
            .split_once("const CHUNK_WORDS = ")
            .and_then(|(_, rest)| rest.split_once("u;")?.0.parse().ok())
            .expect("CHUNK_WORDS");
        let fixed = FORMATS.iter().any(|f| f.name() == name);
        assert!(if fixed { words == room } else { words <= room }, "{name}: {words} words");
        let group = group(format);
        for plane in planes.iter().filter(|p| p.chunks > 1) {
            assert!(plane.words == 1 && 32 % plane.chunks == 0, "{name}: {plane:?}");
            assert!(group.is_multiple_of(plane.chunks), "{name}: {plane:?} in groups of {group}");
        }
    }
}

#[test]
fn every_part_links_and_validates() {
    let failures: Vec<String> = formats()
        .filter_map(|f| check(f.name(), &[LIB.concat().as_str(), &part(f), STUB].concat()).err())
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

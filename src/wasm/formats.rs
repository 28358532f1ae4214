//! Number formats on the CPU.

use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::{JsResult, to_json};
use crate::formats::{self, FAMILIES, FormatRef, RowScale};
use crate::ops::quantize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FormatInfo {
    name: &'static str,
    family: &'static str,
    block_length: usize,
    block_bytes: usize,
    bits_per_weight: f64,
    gguf: bool,
    row_scale: bool,
    gpu_encode: bool,
}

impl FormatInfo {
    fn new(format: FormatRef) -> Self {
        let facts = format.facts();
        let is_member = |f: &&formats::Family| f.members.iter().any(|m| m.name() == facts.name);
        Self {
            name: facts.name,
            family: FAMILIES.iter().find(is_member).map_or(facts.name, |family| family.name),
            block_length: facts.block_len,
            block_bytes: facts.block_bytes,
            bits_per_weight: facts.block_bytes as f64 * 8.0 / facts.block_len as f64,
            gguf: facts.gguf_type.is_some(),
            row_scale: format.row_scale() != RowScale::None,
            gpu_encode: quantize::can_encode(format),
        }
    }
}

/// Every format, as JSON.
#[wasm_bindgen(js_name = formatList)]
pub fn list() -> JsResult<String> {
    to_json(&formats::all().map(FormatInfo::new).collect::<Vec<_>>())
}

/// A row of whole blocks.
#[wasm_bindgen(js_name = formatEncode)]
pub fn encode(name: &str, values: &[f32]) -> JsResult<Vec<u8>> {
    let format = formats::by_name(name)?;
    Ok(quantize::reference(format, values, values.len().max(1))?)
}

/// The weights of a row of whole blocks.
#[wasm_bindgen(js_name = formatDecode)]
pub fn decode(name: &str, bytes: &[u8]) -> JsResult<Vec<f32>> {
    let format = formats::by_name(name)?;
    let blocks = bytes.len().saturating_sub(format.row_scale().bytes()) / format.block_bytes();
    let mut values = vec![0.0; blocks * format.block_len()];
    formats::decode_row(format, bytes, &mut values)?;
    Ok(values)
}

/// What the format makes of a row; its last block is padded with zeros.
#[wasm_bindgen(js_name = formatRoundTrip)]
pub fn round_trip(name: &str, values: &[f32]) -> JsResult<Vec<f32>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let format = formats::by_name(name)?;
    let mut padded = values.to_vec();
    padded.resize(values.len().next_multiple_of(format.block_len()), 0.0);
    let bytes = quantize::reference(format, &padded, padded.len())?;
    formats::decode_row(format, &bytes, &mut padded)?;
    padded.truncate(values.len());
    Ok(padded)
}

/// What an element can be, ascending, in a block whose largest magnitude is `peak`: the distinct
/// values that a fine sweep from −peak to peak is rounded to, each beside the peak itself.
#[wasm_bindgen(js_name = formatValues)]
pub fn values(name: &str, peak: f32) -> JsResult<Vec<f32>> {
    let format = formats::by_name(name)?;
    let facts = format.facts();
    if facts.block_len == 1 {
        return Ok(half_values(format, peak));
    }
    const STEPS: usize = 4096;
    let mut found = Vec::new();
    for sign in [1.0, -1.0] {
        // Half of the block is swept, the rest holds its scale.
        let swept = facts.block_len / 2;
        for first in (0..=STEPS).step_by(swept.max(1)) {
            let value =
                |i: usize| peak * ((first + i).min(STEPS) as f32 / STEPS as f32 * 2.0 - 1.0);
            let mut block = vec![sign * peak; facts.block_len];
            block[..swept].iter_mut().enumerate().for_each(|(i, x)| *x = value(i));
            found.extend(round_trip(name, &block)?);
        }
    }
    Ok(distinct(found))
}

/// A format without blocks has too many values for a list, but for those of 16 bits or fewer.
fn half_values(format: FormatRef, peak: f32) -> Vec<f32> {
    if format.block_bytes() > 2 {
        return Vec::new();
    }
    let codes = 0..=u16::MAX;
    let decode = |code: u16| {
        let mut out = [0.0];
        format.decode(&code.to_le_bytes()[..format.block_bytes()], &mut out);
        out[0]
    };
    distinct(codes.map(decode).filter(|x| x.abs() <= peak.abs()).collect())
}

fn distinct(mut values: Vec<f32>) -> Vec<f32> {
    values.retain(|x| x.is_finite());
    values.sort_by(f32::total_cmp);
    // −0 and 0 are one value.
    values.dedup_by(|a, b| a == b);
    values
}

//! A device, and single kernels on it.

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::{JsResult, from_json, to_json};
use crate::formats;
use crate::gpu::{Class, Gpu, GpuOptions, Without};
use crate::ops::softmax::{Algorithm, Options, softmax_with};
use crate::ops::{dequantize, matmul, quantize};

/// A device of the page's adapter.
#[wasm_bindgen]
pub struct Device {
    pub(super) gpu: Gpu,
    pub(super) options: GpuOptions,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DeviceOptions {
    without: WithoutOptions,
    memory_limit: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WithoutOptions {
    f16: bool,
    subgroups: bool,
    limits: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdapterInfo<'a> {
    name: &'a str,
    software: bool,
    f16: bool,
    subgroups: bool,
    max_buffer_size: u64,
    max_binding_size: u64,
}

#[wasm_bindgen]
impl Device {
    /// Asks for a device; `options` are `without` and `memoryLimit`.
    pub async fn request(options: String) -> JsResult<Device> {
        let DeviceOptions { without: w, memory_limit } = from_json(&options)?;
        let without = Without { f16: w.f16, subgroups: w.subgroups, limits: w.limits };
        let options = GpuOptions { adapter: None, without, memory_limit };
        Ok(Self { gpu: Gpu::request(&options).await?, options })
    }

    /// What the adapter is and can do, as JSON.
    pub fn info(&self) -> JsResult<String> {
        let (caps, limits) = (self.gpu.caps(), self.gpu.limits());
        to_json(&AdapterInfo {
            name: &self.gpu.info().name,
            software: caps.class == Class::Software,
            f16: caps.f16,
            subgroups: caps.subgroups,
            max_buffer_size: limits.max_buffer_size,
            max_binding_size: limits.max_storage_buffer_binding_size,
        })
    }

    /// Bytes of its live buffers.
    #[wasm_bindgen(js_name = gpuBytes)]
    pub fn gpu_bytes(&self) -> f64 {
        self.gpu.allocated_bytes() as f64
    }

    /// Whether it can be used no more.
    #[wasm_bindgen(js_name = isLost)]
    pub fn is_lost(&self) -> bool {
        self.gpu.check().is_err()
    }

    /// Gives it up.
    pub fn destroy(&self) {
        self.gpu.destroy();
    }

    /// Softmax of rows of `cols`.
    pub async fn softmax(&self, x: Vec<f32>, cols: usize, options: String) -> JsResult<Vec<f32>> {
        let options = from_json::<SoftmaxOptions>(&options)?.into();
        Ok(softmax_with(&self.gpu, &x, cols, None, options).await?.0)
    }

    /// y = x·Wᵀ for W of `n` rows of `k` weights in blocks of `format`.
    pub async fn matmul(
        &self,
        format: String,
        weights: Vec<u8>,
        n: usize,
        k: usize,
        x: Vec<f32>,
    ) -> JsResult<Vec<f32>> {
        let format = formats::by_name(&format)?;
        Ok(matmul::matmul(&self.gpu, format, &weights, (n, k), &x).await?)
    }

    /// The f32 of `rows` rows of `cols` weights.
    pub async fn dequantize(
        &self,
        format: String,
        weights: Vec<u8>,
        rows: usize,
        cols: usize,
    ) -> JsResult<Vec<f32>> {
        let format = formats::by_name(&format)?;
        Ok(dequantize::dequantize(&self.gpu, format, &weights, (rows, cols)).await?)
    }

    /// Blocks of rows of `cols`.
    pub async fn quantize(&self, format: String, x: Vec<f32>, cols: usize) -> JsResult<Vec<u8>> {
        let format = formats::by_name(&format)?;
        Ok(quantize::quantize(&self.gpu, format, &x, cols).await?)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SoftmaxOptions {
    algorithm: AlgorithmName,
    scale: Option<f32>,
    temperature: Option<f32>,
    log: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AlgorithmName {
    #[default]
    TwoPass,
    ThreePass,
    Online,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::TwoPass => Self::TwoPass,
            AlgorithmName::ThreePass => Self::ThreePass,
            AlgorithmName::Online => Self::Online,
        }
    }
}

impl From<SoftmaxOptions> for Options {
    fn from(options: SoftmaxOptions) -> Self {
        Self {
            algorithm: options.algorithm.into(),
            scale: options.scale.unwrap_or(1.0),
            temperature: options.temperature.unwrap_or(1.0),
            log: options.log,
            ..Self::default()
        }
    }
}

//! TEMPORARY, not to be merged: the agreed API with nothing behind it, so that the command line
//! can be built and its faces tested. The "model" says `stub `, `answer ` in turn.
#![allow(missing_docs, clippy::unused_async, clippy::new_without_default, unreachable_pub, reason = "a stub")]

use crate::error::{Error, Result};
use std::path::Path;
use std::sync::Arc;

pub trait Source {
    fn name(&self) -> &str;
    fn len(&self) -> u64;
    fn bytes(&self) -> &[u8];
}
struct Whole(String, Vec<u8>);
impl Source for Whole {
    fn name(&self) -> &str { &self.0 }
    fn len(&self) -> u64 { self.1.len() as u64 }
    fn bytes(&self) -> &[u8] { &self.1 }
}
pub fn open(path: impl AsRef<Path>) -> Result<Arc<dyn Source>> {
    let name = path.as_ref().display().to_string();
    let data = std::fs::read(path).map_err(|e| Error::io(&name, e))?;
    Ok(Arc::new(Whole(name, data)))
}

pub mod gpu {
    use super::*;
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Without { pub f16: bool, pub subgroups: bool, pub limits: bool }
    #[derive(Debug, Clone, Default)]
    pub struct GpuOptions { pub adapter: Option<String>, pub without: Without }
    pub struct AdapterSummary { pub info: wgpu::AdapterInfo, pub features: wgpu::Features, pub limits: wgpu::Limits }
    pub struct Gpu(wgpu::AdapterInfo);
    fn instance() -> wgpu::Instance {
        wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            ..wgpu::InstanceDescriptor::new_without_display_handle_from_env()
        })
    }
    #[cfg(not(target_family = "wasm"))]
    async fn all() -> Vec<wgpu::Adapter> { instance().enumerate_adapters(wgpu::Backends::PRIMARY).await }
    #[cfg(target_family = "wasm")]
    async fn all() -> Vec<wgpu::Adapter> { instance().request_adapter(&Default::default()).await.into_iter().collect() }
    pub async fn adapters() -> Vec<AdapterSummary> {
        all().await.iter().map(|a| AdapterSummary { info: a.get_info(), features: a.features(), limits: a.limits() }).collect()
    }
    impl Gpu {
        pub async fn request(o: &GpuOptions) -> Result<Self> {
            let all = adapters().await;
            let found = all.iter().map(|a| a.info.name.clone()).collect::<Vec<_>>().join(", ");
            let wanted = o.adapter.clone().unwrap_or_default().to_lowercase();
            let hit = all.into_iter().find(|a| a.info.name.to_lowercase().contains(&wanted));
            hit.map(|a| Self(a.info)).ok_or(Error::NoAdapter { wanted, found })
        }
        pub fn info(&self) -> &wgpu::AdapterInfo { &self.0 }
    }
}

pub mod gguf {
    use super::*;
    use crate::model::gguf::GgufError;
    #[derive(Debug, Clone, serde::Serialize)]
    #[serde(untagged)]
    pub enum Value { U32(u32) }
    impl Value { pub fn type_name(&self) -> String { "u32".into() } }
    impl std::fmt::Display for Value {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { let Self::U32(v) = self; v.fmt(f) }
    }
    pub struct Metadata(Vec<(String, Value)>);
    impl Metadata {
        pub fn len(&self) -> usize { self.0.len() }
        pub fn is_empty(&self) -> bool { self.0.is_empty() }
        pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> { self.0.iter().map(|(k, v)| (k.as_str(), v)) }
    }
    pub struct TensorInfo { pub name: String, pub shape: Vec<u64>, pub type_id: u32, pub offset: u64, pub bytes: u64 }
    pub struct Gguf { pub version: u32, pub alignment: u64, pub metadata: Metadata, pub tensors: Vec<TensorInfo>, pub data_offset: u64 }
    impl Gguf {
        pub async fn read(s: &dyn Source) -> Result<Self> {
            let mut found = [0; 4];
            found.iter_mut().zip(s.bytes()).for_each(|(a, b)| *a = *b);
            if &found != b"GGUF" {
                return Err(Error::Malformed { file: s.name().into(), problem: GgufError::Magic { found } });
            }
            let t = TensorInfo { name: "blk.0.attn_q.weight".into(), shape: vec![576, 576], type_id: 3, offset: 4096, bytes: 207_360 };
            let metadata = Metadata(vec![("llama.block_count".into(), Value::U32(30))]);
            Ok(Self { version: 3, alignment: 32, metadata, tensors: vec![t], data_offset: 4096 })
        }
    }
    pub fn type_name(id: u32) -> std::borrow::Cow<'static, str> { format!("number {id}").into() }
}

pub mod ops {
    use crate::{Gpu, error::{Error, Result}, formats::{self, FormatRef}};
    pub mod softmax {
        use super::*;
        #[derive(Debug, Clone, Copy, Default)]
        pub enum Algorithm { #[default] Online }
        impl Algorithm {
            pub fn by_name(name: &str) -> Result<Self> {
                if name == "online" { Ok(Self::Online) } else { Err(Error::config("softmax", "algorithms: online")) }
            }
        }
        pub async fn softmax(_: &Gpu, _: Algorithm, x: &[f32], columns: usize) -> Result<Vec<f32>> {
            Ok(x.chunks(columns).flat_map(|r| {
                let s: f32 = r.iter().map(|x| x.exp()).sum();
                r.iter().map(move |x| x.exp() / s)
            }).collect())
        }
    }
    pub mod dequantize {
        use super::*;
        pub async fn dequantize(_: &Gpu, f: FormatRef, b: &[u8], k: usize) -> Result<Vec<f32>> {
            let rb = formats::row_bytes(f, k).unwrap();
            let mut y = vec![0.0; b.len() / rb * k];
            b.chunks(rb).zip(y.chunks_mut(k)).for_each(|(b, y)| formats::decode_row(f, b, y));
            Ok(y)
        }
    }
    pub mod quantize {
        use super::*;
        pub async fn quantize(_: &Gpu, f: FormatRef, x: &[f32], k: usize) -> Result<Vec<u8>> {
            let rb = formats::row_bytes(f, k).unwrap();
            let mut b = vec![0; x.len() / k * rb];
            b.chunks_mut(rb).zip(x.chunks(k)).for_each(|(b, x)| formats::encode_row(f, x, b));
            Ok(b)
        }
    }
    pub mod matmul {
        use super::*;
        pub async fn matmul(g: &Gpu, f: FormatRef, w: &[u8], x: &[f32], k: usize) -> Result<Vec<f32>> {
            let w = dequantize::dequantize(g, f, w, k).await?;
            Ok(x.chunks(k).flat_map(|x| w.chunks(k).map(move |w| x.iter().zip(w).map(|(a, b)| a * b).sum())).collect())
        }
    }
}

pub mod model {
    use super::*;
    pub struct Config { pub vocabulary: usize }
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Stage { Upload, Compile }
    pub struct Progress { pub stage: Stage, pub done: u64, pub total: u64 }
    #[derive(Debug, Clone)]
    pub struct SessionOptions { pub context: Option<usize>, pub chunk: usize }
    pub struct GenerateOptions { pub max_tokens: usize, pub sampler: sampler::SamplerOptions, pub stop: Vec<u32> }
    pub struct Model { config: Config, tokenizer: tokenizer::Tokenizer, chat: chat::ChatTemplate }
    impl Model {
        pub async fn load(_: &crate::Gpu, s: Arc<dyn Source>, f: &mut dyn FnMut(Progress)) -> Result<Self> {
            super::gguf::Gguf::read(&*s).await?;
            for done in 0..20 {
                f(Progress { stage: if done < 10 { Stage::Upload } else { Stage::Compile }, done, total: 20 });
            }
            Ok(Self { config: Config { vocabulary: 256 }, tokenizer: tokenizer::Tokenizer, chat: chat::ChatTemplate })
        }
        pub fn config(&self) -> &Config { &self.config }
        pub fn tokenizer(&self) -> Result<&tokenizer::Tokenizer> { Ok(&self.tokenizer) }
        pub fn chat_template(&self) -> Result<&chat::ChatTemplate> { Ok(&self.chat) }
        pub async fn session(&self, o: &SessionOptions) -> Result<Session> {
            Ok(Session { tokens: vec![], context: o.context.unwrap_or(8192) })
        }
    }
    pub struct Session { tokens: Vec<u32>, context: usize }
    impl Session {
        pub fn tokens(&self) -> &[u32] { &self.tokens }
        pub fn context(&self) -> usize { self.context }
        pub fn truncate(&mut self, n: usize) { self.tokens.truncate(n) }
        pub async fn logits(&mut self, t: &[u32], f: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
            if t.len() > self.context { return Err(Error::ContextFull { tokens: t.len(), context: self.context }); }
            for i in 0..t.len() { f(i, &[0.0; 256]); }
            Ok(())
        }
        pub fn generate(&mut self, t: &[u32], o: GenerateOptions) -> Generation<'_> {
            self.tokens.extend_from_slice(t);
            Generation { session: self, left: o.max_tokens.min(400) }
        }
    }
    pub struct Generation<'a> { session: &'a mut Session, left: usize }
    impl Generation<'_> {
        pub async fn next(&mut self) -> Result<Option<u32>> {
            if self.session.tokens.len() > self.session.context {
                return Err(Error::ContextFull { tokens: self.session.tokens.len(), context: self.session.context });
            }
            if self.left == 0 { return Ok(None); }
            self.left -= 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            let id = u32::from(b"stub answer "[self.left % 12]);
            self.session.tokens.push(id);
            Ok(Some(id))
        }
    }
    pub mod sampler {
        pub struct SamplerOptions { pub temperature: f32, pub top_k: usize, pub top_p: f32, pub min_p: f32, pub repeat_penalty: f32, pub repeat_last_n: usize, pub seed: u64 }
    }
    pub mod chat {
        use super::*;
        pub struct Message { pub role: String, pub content: String }
        impl Message { pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self { Self { role: role.into(), content: content.into() } } }
        pub struct ChatTemplate;
        impl ChatTemplate {
            pub fn render(&self, m: &[Message], _: bool) -> Result<String> {
                Ok(m.iter().map(|m| format!("{}: {}\n", m.role, m.content)).collect())
            }
        }
    }
    pub mod tokenizer {
        use super::*;
        pub struct Tokenizer;
        pub struct DecodeStream<'a>(std::marker::PhantomData<&'a ()>);
        impl DecodeStream<'_> {
            pub fn push(&mut self, id: u32) -> Result<Option<String>> { Ok(Some(String::from(id as u8 as char))) }
            pub fn finish(self) -> Option<String> { None }
        }
        impl Tokenizer {
            pub fn encode(&self, t: &str, _: bool, _: bool) -> Result<Vec<u32>> { Ok(t.bytes().map(u32::from).collect()) }
            pub fn encode_chat(&self, t: &str) -> Result<Vec<u32>> { self.encode(t, true, true) }
            pub fn stream(&self) -> DecodeStream<'_> { DecodeStream(std::marker::PhantomData) }
            pub fn bos(&self) -> Option<u32> { None }
            pub fn end_of_generation(&self) -> &[u32] { &[] }
        }
    }
}

//! A number format of one's own: BFP(m, N), blocks of N weights that share an exponent and keep m-bit
//! mantissas. What it costs in bits, what it loses, a multiplication in it, and a model in it.
//!
//! `cargo run --release --example custom_format -- M N [MODEL]`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use mantissa::gpu::{Gpu, GpuOptions};
use mantissa::model::{GenerateOptions, Message, Model, SessionOptions};
use mantissa::quantize::Recipe;
use mantissa::{formats, ops, platform};

/// Tries the format that the command line names.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (m, n) = match arguments.as_slice() {
        [m, n, ..] => (m.parse()?, n.parse()?),
        _ => (5, 32),
    };
    pollster::block_on(try_format(m, n, arguments.get(2).map(String::as_str)))
}

/// m is 2 to 8, n is 16, 32, 64 or 128.
pub async fn try_format(
    m: u32,
    n: u32,
    model: Option<&str>,
) -> Result<(), Box<dyn std::error::Error>> {
    let gpu = Gpu::request(&GpuOptions::default()).await?;
    let format = formats::by_name(&format!("bfp:m{m}:n{n}"))?;
    let bits = 8.0 * format.block_bytes() as f64 / format.block_len() as f64;
    println!("{}: {bits} bits per weight", format.name());

    // A matrix is encoded on the GPU, decoded again, and multiplied while it is packed.
    let (rows, k) = (64, 512);
    let weights: Vec<f32> = (0..rows * k).map(|i| (i as f32 * 0.7).sin() * 0.05).collect();
    let blocks = ops::quantize::quantize(&gpu, format, &weights, k).await?;
    let decoded = ops::dequantize::dequantize(&gpu, format, &blocks, (rows, k)).await?;
    let square = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>()
    };
    let lost = square(&mut weights.iter().zip(&decoded).map(|(w, d)| w - d));
    let all = square(&mut weights.iter().copied());
    println!("relative error of the weights: {:.2e}", (lost / all).sqrt());
    let y = ops::matmul::matmul(&gpu, format, &blocks, (rows, k), &weights[..k]).await?;
    let exact = square(&mut weights[..k].iter().copied());
    println!("the first row times itself: {:.5}, exactly {exact:.5}", y[0]);

    // A model's matrices are put into the format on their way to the GPU.
    let Some(path) = model else { return Ok(()) };
    let recipe = Recipe::new(format);
    let files = platform::open_model(path)?;
    let model = Model::load_as(&gpu, files, Some(&recipe), &mut |_| {}).await?;
    let prompt = model.chat_template()?.render(&[Message::user("Name three rivers.")], true)?;
    let mut session = model.session(&SessionOptions::default()).await?;
    let tokenizer = model.tokenizer()?;
    let stop = tokenizer.end_of_generation().to_vec();
    let options = GenerateOptions { max_tokens: 48, stop, ..Default::default() };
    let mut generation = session.generate(&tokenizer.encode_chat(&prompt)?, options);
    let mut text = tokenizer.stream();
    while let Some(token) = generation.next().await? {
        print!("{}", text.push(token)?.unwrap_or_default());
    }
    println!();
    Ok(())
}

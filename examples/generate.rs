//! A model from its files to text.
//!
//! `cargo run --release --example generate -- MODEL "Why is the sky blue?"`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::io::Write;

use mantissa::gpu::{Gpu, GpuOptions};
use mantissa::model::{GenerateOptions, Message, Model, SessionOptions};

/// Answers the question that the command line asks.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate MODEL QUESTION".into());
    };
    Ok(pollster::block_on(answer(&path, &question))?)
}

/// Prints the answer as it comes.
pub async fn answer(path: &str, question: &str) -> mantissa::Result<()> {
    let gpu = Gpu::request(&GpuOptions::default()).await?;
    let model = Model::load(&gpu, mantissa::platform::open_model(path)?, &mut |_| {}).await?;
    let tokenizer = model.tokenizer()?;

    let prompt = model.chat_template()?.render(&[Message::user(question)], true)?;
    let prompt = tokenizer.encode_chat(&prompt)?;
    let mut session = model.session(&SessionOptions::default()).await?;
    let stop = tokenizer.end_of_generation().to_vec();
    let options = GenerateOptions { max_tokens: 200, stop, ..Default::default() };

    let mut text = tokenizer.stream();
    let mut generation = session.generate(&prompt, options);
    while let Some(token) = generation.next().await? {
        print!("{}", text.push(token)?.unwrap_or_default());
        let _ = std::io::stdout().flush();
    }
    let stats = generation.stats();
    println!(
        "\n\n{:.1} tokens/s on {}",
        stats.decoded_tokens as f64 / stats.decode_seconds,
        gpu.info().name
    );
    Ok(())
}

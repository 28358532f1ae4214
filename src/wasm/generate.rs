//! Answers, as a stream of pieces of text.

use js_sys::{Array, Function};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::error::Thrown;
use super::model::{Handle, teller};
use super::{JsResult, from_json, to_json};
use crate::error::{Error, Result};
use crate::model::{Finish, GenerateOptions, Model, SamplerOptions, Session, Stats};

/// Devices that may be lost during one answer. A driver that loses each one would go on for ever.
const MAX_RECOVERIES: usize = 3;

/// Settings of answers, as the page gives them.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Options {
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repeat_penalty: Option<f32>,
    repeat_last_n: Option<usize>,
    seed: Option<u64>,
    /// Numbers, so that what is no count is refused by its name.
    lookup: Option<f64>,
    in_flight: Option<f64>,
}

impl Options {
    fn sampler(&self) -> SamplerOptions {
        let greedy = SamplerOptions::greedy();
        SamplerOptions {
            temperature: self.temperature.unwrap_or(greedy.temperature),
            top_k: self.top_k.unwrap_or(greedy.top_k),
            top_p: self.top_p.unwrap_or(greedy.top_p),
            min_p: self.min_p.unwrap_or(greedy.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(greedy.repeat_penalty),
            repeat_last_n: self.repeat_last_n.unwrap_or(greedy.repeat_last_n),
            seed: self.seed.unwrap_or(greedy.seed),
        }
    }

    /// As the library wants them, without the tokens that end an answer.
    pub(super) fn plain(&self) -> JsResult<GenerateOptions> {
        let default = GenerateOptions::default();
        Ok(GenerateOptions {
            max_tokens: self.max_tokens.unwrap_or(default.max_tokens),
            sampler: self.sampler(),
            lookup: count("lookup", self.lookup, 0)?.unwrap_or(default.lookup),
            // A browser's device is another process, whatever it runs on.
            in_flight: count("inFlight", self.in_flight, 1)?.unwrap_or(2),
            ..default
        })
    }
}

/// A whole number of at least `least`.
fn count(option: &str, value: Option<f64>, least: u32) -> JsResult<Option<usize>> {
    let Some(value) = value else { return Ok(None) };
    let fits = value.fract() == 0.0 && value >= f64::from(least) && value <= f64::from(u32::MAX);
    let problem = || format!("{value}; it must be a whole number, {least} or more");
    if fits { Ok(Some(value as usize)) } else { Err(Thrown::invalid(option, problem())) }
}

/// An answer so far.
#[derive(Default)]
struct Answer {
    ids: Vec<u32>,
    text: String,
    prompt_tokens: usize,
    cached_tokens: usize,
    /// Of generations on devices that are lost.
    before: Stats,
    stats: Stats,
    recoveries: usize,
}

impl Answer {
    fn prefill_seconds(&self) -> f64 {
        // A recovery's prefill is part of decoding: the first token was there already.
        if self.before.prefill_seconds > 0.0 {
            self.before.prefill_seconds
        } else {
            self.stats.prefill_seconds
        }
    }

    fn decode_seconds(&self) -> f64 {
        let all = self.before.prefill_seconds + self.before.decode_seconds;
        all + self.stats.prefill_seconds + self.stats.decode_seconds - self.prefill_seconds()
    }

    fn guessed(&self) -> [usize; 2] {
        let of = |s: &Stats| [s.guessed_tokens, s.confirmed_tokens];
        let ([a, b], [c, d]) = (of(&self.before), of(&self.stats));
        [a + c, b + d]
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    text: &'a str,
    token_ids: &'a [u32],
    tokens: usize,
    prompt_tokens: usize,
    cached_tokens: usize,
    prefill_seconds: f64,
    decode_seconds: f64,
    finish_reason: &'static str,
    recoveries: usize,
    guessed_tokens: usize,
    confirmed_tokens: usize,
}

#[wasm_bindgen(js_class = Model)]
impl Handle {
    /// Answers `prompt`; what the conversation has in common with the last one is kept. `page` is
    /// called with each piece of text, and numbers: tokens, tokens of the prompt, those of them that
    /// were cached, seconds until the first token, seconds after it. A lost device is replaced, told
    /// through `progress`. The result is JSON.
    pub async fn generate(
        &self,
        prompt: Vec<u32>,
        options: String,
        page: Function,
        progress: Function,
    ) -> JsResult<String> {
        let options = from_json::<Options>(&options)?.plain()?;
        self.stop.set(false);
        let taken = self.session.borrow_mut().take();
        // The Worker asks for one answer after the other.
        let busy = || Error::config("session", "another answer is in the making");
        let mut session = taken.ok_or_else(busy)?;
        let mut answer = Answer::default();
        let made =
            self.answer(&mut session, &prompt, &options, &mut answer, &page, &progress).await;
        self.session.replace(Some(session));
        let finish_reason = match made? {
            Some(Finish::Stop) => "stop",
            Some(Finish::Length) => "length",
            Some(Finish::Context) => "context",
            Some(Finish::Failed) | None => "stopped",
        };
        let [guessed_tokens, confirmed_tokens] = answer.guessed();
        to_json(&Report {
            text: &answer.text,
            token_ids: &answer.ids,
            tokens: answer.ids.len(),
            prompt_tokens: answer.prompt_tokens,
            cached_tokens: answer.cached_tokens,
            prefill_seconds: answer.prefill_seconds(),
            decode_seconds: answer.decode_seconds(),
            finish_reason,
            recoveries: answer.recoveries,
            guessed_tokens,
            confirmed_tokens,
        })
    }
}

impl Handle {
    async fn answer(
        &self,
        session: &mut Session,
        prompt: &[u32],
        options: &GenerateOptions,
        answer: &mut Answer,
        page: &Function,
        progress: &Function,
    ) -> Result<Option<Finish>> {
        let mut new = session.keep_prefix(prompt);
        answer.prompt_tokens = prompt.len();
        loop {
            let model = self.model.borrow().clone();
            match self.part(&model, session, new, options, answer, page).await {
                Err(Error::DeviceLost { .. }) if answer.recoveries < MAX_RECOVERIES => {
                    answer.recoveries += 1;
                    answer.before.prefill_seconds = answer.prefill_seconds();
                    answer.before.decode_seconds = answer.decode_seconds();
                    let [guessed, confirmed] = answer.guessed();
                    answer.before.guessed_tokens = guessed;
                    answer.before.confirmed_tokens = confirmed;
                    answer.stats = Stats::default();
                    let gpu = self.new_gpu().await?;
                    session.rebuild(&gpu, &mut teller(progress)).await?;
                    self.model.replace(session.model().clone());
                    // The session holds the prompt and what there is of the answer.
                    new = &[];
                }
                other => return other,
            }
        }
    }

    /// What one device makes of an answer; `None` where it was stopped.
    async fn part(
        &self,
        model: &Model,
        session: &mut Session,
        new: &[u32],
        options: &GenerateOptions,
        answer: &mut Answer,
        page: &Function,
    ) -> Result<Option<Finish>> {
        let tokenizer = model.tokenizer()?;
        let mut stream = tokenizer.stream();
        // Half a character may be held back from before.
        for &id in &answer.ids {
            stream.push(id)?;
        }
        let options = GenerateOptions {
            max_tokens: options.max_tokens.saturating_sub(answer.ids.len()),
            stop: tokenizer.end_of_generation().to_vec(),
            ..options.clone()
        };
        let mut generation = session.generate(new, options);
        while !self.stop.get() && !generation.prepare().await? {}
        while !self.stop.get() {
            let next = generation.next().await;
            answer.stats = generation.stats();
            let Some(id) = next? else { break };
            answer.ids.push(id);
            let piece = stream.push(id)?;
            answer.tell(page, piece.as_deref().unwrap_or_default());
        }
        let finish = generation.finish();
        if let Some(rest) = stream.finish() {
            answer.tell(page, &rest);
        }
        Ok(finish)
    }
}

impl Answer {
    fn tell(&mut self, page: &Function, piece: &str) {
        self.text.push_str(piece);
        if self.recoveries == 0 {
            self.cached_tokens = self.prompt_tokens.saturating_sub(self.stats.prompt_tokens);
        }
        let numbers = [
            self.ids.len() as f64,
            self.prompt_tokens as f64,
            self.cached_tokens as f64,
            self.prefill_seconds(),
            self.decode_seconds(),
        ];
        let numbers: Array = numbers.into_iter().map(JsValue::from).collect();
        // The page's function posts a message, which does not fail.
        let _ = page.call2(&JsValue::NULL, &piece.into(), &numbers);
    }
}

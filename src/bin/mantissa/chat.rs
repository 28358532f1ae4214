//! `mantissa chat`: a conversation whose tokens stay in the KV cache.

use std::io::{BufRead, IsTerminal};

use anyhow::Result;
use mantissa::Error;
use mantissa::model::{GenerateOptions, Message, Session};
use serde::Serialize;

use crate::args::{DecodingArgs, GpuArgs, ModelArgs, SamplingArgs};
use crate::engine::{Answer, Engine, answer};
use crate::{interrupt, output};

const COMMANDS: &str = "\
/system TEXT  begin anew with these instructions
/reset        begin anew
/help         print this
/exit         leave (or end of input)";

const AFTER_HELP: &str = "\
A line is a message; answers go to standard output. Lines that begin with a slash are commands:

/system TEXT  begin anew with these instructions
/reset        begin anew
/help         print the commands
/exit         leave (or end of input)

Ctrl-C stops an answer and keeps what is there of it; at the prompt it leaves.";

/// The flags of `chat`.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Instructions that come before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,

    /// Print a JSON object on a line per answer: text, token_ids, prompt_tokens (processed for this
    /// turn), cached_tokens (kept from before), prefill_seconds, decode_seconds
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gpu: GpuArgs,
}

/// Tokens that a conversation may take, where the user does not say and the model is made for them.
const DEFAULT_CONTEXT: usize = 2048;

impl Args {
    /// As the library wants them, without the tokens that end an answer.
    fn options(&self) -> GenerateOptions {
        self.decoding.apply(GenerateOptions {
            max_tokens: self.max_tokens,
            sampler: self.sampling.options(),
            ..Default::default()
        })
    }
}

/// What `--json` prints per answer.
#[derive(Serialize)]
struct Report<'a> {
    text: &'a str,
    token_ids: &'a [u32],
    prompt_tokens: usize,
    cached_tokens: usize,
    prefill_seconds: f64,
    decode_seconds: f64,
}

/// Converses until the input ends.
pub async fn run(args: Args) -> Result<()> {
    interrupt::install();
    let mut engine = Engine::open(&args.gpu, &args.model).await?;
    let session = engine.session(DEFAULT_CONTEXT, &args.options()).await?;
    let interactive = std::io::stdin().is_terminal();
    let messages = opening(args.system.as_deref());
    let mut chat = Chat { args, engine, session, messages };
    if interactive {
        output::note(format_args!("on {}; /help lists the commands", chat.engine.adapter));
    }
    loop {
        if interactive {
            // Not part of the conversation, so not on standard output.
            eprint!("> ");
        }
        let Some(line) = read_line()? else { return Ok(()) };
        match chat.take(line.trim()).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // A person can shorten a message or reset; a script cannot.
            Err(error) if interactive => output::report(&error),
            Err(error) => return Err(error),
        }
    }
}

/// The next line of standard input, or `None` at its end.
fn read_line() -> Result<Option<String>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_until(b'\n', &mut bytes)?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

fn opening(system: Option<&str>) -> Vec<Message> {
    system.map(Message::system).into_iter().collect()
}

struct Chat {
    args: Args,
    engine: Engine,
    session: Session,
    messages: Vec<Message>,
}

impl Chat {
    /// Obeys or answers one line; `false` to leave.
    async fn take(&mut self, line: &str) -> Result<bool> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" => {}
            "/exit" => return Ok(false),
            "/help" => output::note(COMMANDS),
            "/reset" => self.messages = opening(self.args.system.as_deref()),
            "/system" => {
                self.args.system = Some(rest.trim().to_owned()).filter(|text| !text.is_empty());
                self.messages = opening(self.args.system.as_deref());
            }
            _ if word.starts_with('/') => {
                output::note(format_args!("{word} is no command\n{COMMANDS}"));
            }
            _ => self.reply(line).await?,
        }
        Ok(true)
    }

    /// Adds a message and its answer; on an error the conversation stays as it was.
    async fn reply(&mut self, text: &str) -> Result<()> {
        self.messages.push(Message::user(text));
        let answer = match self.answer().await {
            Err(error) if is_lost(&error) => {
                output::report(&error);
                output::note("opening the device again");
                self.engine.rebuild(&self.args.gpu, &mut self.session).await?;
                self.answer().await
            }
            other => other,
        };
        match answer {
            Ok((tokens, answer)) => {
                self.messages.push(Message::assistant(&answer.text));
                self.print(tokens, &answer)
            }
            Err(error) => {
                self.messages.pop();
                Err(error)
            }
        }
    }

    /// What follows an answer.
    fn print(&self, tokens: usize, answer: &Answer) -> Result<()> {
        if self.args.json {
            return output::json_line(&Report {
                text: &answer.text,
                token_ids: &answer.ids,
                prompt_tokens: answer.stats.prompt_tokens,
                cached_tokens: tokens - answer.stats.prompt_tokens,
                prefill_seconds: answer.stats.prefill_seconds,
                decode_seconds: answer.stats.decode_seconds,
            });
        }
        output::line("")?;
        output::note(answer.summary(&self.engine.adapter));
        Ok(())
    }

    /// Processes only what the KV cache does not hold yet; gives the tokens of the conversation up
    /// to the answer too.
    async fn answer(&mut self) -> Result<(usize, Answer)> {
        let model = &self.engine.model;
        let text = model.chat_template()?.render(&self.messages, true)?;
        let tokenizer = model.tokenizer()?;
        let tokens = tokenizer.encode_chat(&text)?;
        let new = self.session.keep_prefix(&tokens);
        let stop = tokenizer.end_of_generation().to_vec();
        let options = GenerateOptions { stop, ..self.args.options() };
        let json = self.args.json;
        let mut show = |piece: &str| if json { Ok(()) } else { output::print(piece) };
        let answer = answer(tokenizer, &mut self.session, new, options, &mut show).await?;
        Ok((tokens.len(), answer))
    }
}

fn is_lost(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Error>(), Some(Error::DeviceLost { .. }))
}

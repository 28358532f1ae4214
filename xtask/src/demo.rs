//! `cargo xtask demo`: from a fresh machine to a streamed answer, or to a window.

use crate::shell::{self, Result, cargo, command, output, target};
use crate::{desktop, drivers, python};

/// Answers the prompt in `args`; what follows `--` goes to `mantissa run`.
pub fn run(args: &[String]) -> Result<()> {
    if let Some((flag, rest)) = args.split_first()
        && flag == "--desktop"
    {
        return window(rest);
    }
    let mut parts = args.splitn(2, |a| a == "--");
    let prompt = parts.next().unwrap_or_default().join(" ");
    let flags = parts.next().unwrap_or_default();
    let prompt = if prompt.is_empty() { "Why is the sky blue?" } else { &prompt };

    build()?;
    ensure_adapter()?;
    python::ensure_pip();
    let mut mantissa = command(binary());
    // No echo of the command: the answer comes next.
    let status = mantissa.args(["run", "--prompt", prompt]).args(flags).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => Err(format!("{}: {error}", binary().display())),
    }
}

/// The model is fetched before the window opens, unless another is named.
fn window(args: &[String]) -> Result<()> {
    build()?;
    ensure_adapter()?;
    if args.is_empty() {
        python::ensure_pip();
        shell::run(command(binary()).arg("fetch"))?;
    }
    desktop::open(args)
}

fn build() -> Result<()> {
    shell::run(&mut cargo("build --release --bin mantissa"))
}

fn binary() -> std::path::PathBuf {
    target().join("release/mantissa")
}

/// Installs a software Vulkan driver if the machine offers no adapter at all.
fn ensure_adapter() -> Result<()> {
    if has_adapter()? {
        return Ok(());
    }
    eprintln!("no Vulkan adapter here: installing Mesa's software driver");
    drivers::ensure_lavapipe()?;
    if has_adapter()? {
        Ok(())
    } else {
        Err("there is still no Vulkan adapter; run `mantissa devices`".into())
    }
}

fn has_adapter() -> Result<bool> {
    Ok(output(command(binary()).args(["devices", "--json"]))?.contains("\"name\""))
}

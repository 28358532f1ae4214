//! `mantissa fetch`: the default model, for scripts that need its path.

use crate::{default_model, output};

/// Nothing to choose.
#[derive(clap::Args)]
pub struct Args {}

/// Prints the path of the default model, fetched if need be.
pub fn run(_: Args) -> anyhow::Result<()> {
    let path = default_model::path()?;
    output::line(path.display())?;
    Ok(())
}

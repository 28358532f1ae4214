//! What the distribution and rustup provide.

use std::sync::OnceLock;

use crate::shell::{Result, command, output, run, succeeds};

/// Installs packages with apt-get, as root or through sudo.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    if !succeeds(command("apt-get").arg("--version")) {
        return Err(format!(
            "apt-get is not here (is this Debian or Ubuntu?); install by hand what provides: {}",
            packages.join(" ")
        ));
    }
    fetch_lists()?;
    run(apt_get()?.args(["install", "-y", "--no-install-recommends"]).args(packages))
}

/// A fresh image has no package lists, an old one has stale ones, with which a browser of last year is
/// installed: they are fetched before the first package that is missing.
fn fetch_lists() -> Result<()> {
    static FETCHED: OnceLock<Result<()>> = OnceLock::new();
    FETCHED.get_or_init(|| run(apt_get()?.arg("update"))).clone()
}

/// Whether a shared library lies where programs look for it.
pub fn has_library(file: &str) -> bool {
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [multiarch.as_str(), "/usr/lib", "/usr/lib64", "/lib64", "/usr/local/lib"]
        .iter()
        .any(|folder| std::path::Path::new(folder).join(file).exists())
}

fn apt_get() -> Result<std::process::Command> {
    let is_root = output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut apt = if is_root {
        command("env")
    } else if succeeds(command("sudo").arg("--version")) {
        let mut sudo = command("sudo");
        sudo.arg("env");
        sudo
    } else {
        return Err("installing packages needs root or sudo".into());
    };
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    Ok(apt)
}

/// The parts of the Rust toolchain that a minimal installation lacks.
pub fn rust_parts() -> Result<()> {
    if !succeeds(command("rustup").arg("--version")) {
        // A distribution's Rust has no rustup; cargo names what it lacks when it comes to it.
        eprintln!("rustup is not here: clippy, rustfmt and wasm32-unknown-unknown must be");
        return Ok(());
    }
    let components = output(command("rustup").args(["component", "list", "--installed"]))?;
    for part in ["clippy", "rustfmt"] {
        if !components.lines().any(|line| line.starts_with(part)) {
            run(command("rustup").args(["component", "add", part]))?;
        }
    }
    let targets = output(command("rustup").args(["target", "list", "--installed"]))?;
    if !targets.lines().any(|line| line == "wasm32-unknown-unknown") {
        run(command("rustup").args(["target", "add", "wasm32-unknown-unknown"]))?;
    }
    Ok(())
}

//! The npm package and the demo page: browsers, packages, building, serving.

use std::path::Path;

use crate::shell::{Result, command, output, run, succeeds};
use crate::system::apt_install;

const PACKAGE: &str = "web";
const DEMO: &str = "web/demo";

/// Node with npm, at the version that the package asks for or above.
fn ensure_node() -> Result<()> {
    if !succeeds(command("npm").arg("--version")) {
        apt_install(&["nodejs", "npm"])?;
    }
    let check = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    match succeeds(command("node").args(["-e", check])) {
        true => Ok(()),
        false => Err("node is older than 20; install a newer one (nodejs.org)".into()),
    }
}

/// Both browsers that the tests run in, and the first version of each that they are known to run in:
/// Firefox ESR 140 finds no WebGPU adapter on Linux.
const BROWSERS: [(&str, u32); 2] = [("chromium", 148), ("firefox-esr", 153)];

/// Installs what is missing of them or too old.
pub fn ensure_browsers() -> Result<()> {
    ensure_node()?;
    for (package, oldest) in BROWSERS {
        if version(package) < Some(oldest) {
            apt_install(&[package])?;
        }
        match version(package) {
            Some(there) if there >= oldest => {}
            there => {
                return Err(format!("{package} {oldest} is needed; apt-get brought {there:?}"));
            }
        }
    }
    Ok(())
}

/// The major version of a browser from the distribution.
fn version(package: &str) -> Option<u32> {
    let said = output(command(format!("/usr/bin/{package}")).arg("--version")).ok()?;
    said.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())
}

/// `npm ci` in a folder, unless what is there was made from the same list.
fn install(folder: &str) -> Result<()> {
    let lock = format!("{folder}/package-lock.json");
    let stamp = format!("{folder}/node_modules/.installed-from");
    let wanted = std::fs::read_to_string(&lock).map_err(|e| format!("{lock}: {e}"))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    run(command("npm").args(["ci", "--no-audit", "--no-fund", "--prefix", folder]))?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("{stamp}: {e}"))
}

/// The packages that the npm package and the page are built with.
pub fn ensure_packages() -> Result<()> {
    ensure_node()?;
    install(PACKAGE)?;
    install(DEMO)
}

/// Builds the package, then the page.
pub fn build() -> Result<()> {
    ensure_packages()?;
    run(command("npm").args(["run", "build", "--prefix", PACKAGE]))?;
    run(command("npm").args(["run", "build", "--prefix", DEMO]))
}

/// Whether the engine is small enough for a page.
pub fn budget() -> Result<()> {
    run(command("node").arg("web/scripts/budget.mjs"))
}

/// Serves the page until the user ends it; `model` is offered to it besides.
pub fn serve(model: Option<&Path>) -> Result<()> {
    let mut node = command("node");
    node.args(["web/scripts/serve.mjs", &format!("{DEMO}/dist"), "8080"]);
    if let Some(model) = model {
        node.env("MANTISSA_MODEL", model);
    }
    run(&mut node)
}

/// The suites of `web/tests`, by name: one for each file.
pub fn tests() -> Result<Vec<String>> {
    let folder = "web/tests";
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{folder}: {e}"))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            Some(entry.file_name().to_string_lossy().strip_suffix(".test.mjs")?.to_owned())
        })
        .collect();
    names.sort();
    if names.is_empty() { Err(format!("{folder}: no *.test.mjs")) } else { Ok(names) }
}

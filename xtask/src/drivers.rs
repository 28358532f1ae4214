//! The two software Vulkan drivers that the tests run on: Mesa's lavapipe and SwiftShader.
//!
//! The Vulkan loader takes a driver from a JSON file; `VK_ICD_FILENAMES` names the files to use,
//! separated by colons, so both drivers can be offered to one program.

use std::path::{Path, PathBuf};

use crate::shell::{Result, command, run, target};
use crate::system::{apt_install, has_library};

/// Mesa's driver as Debian and Ubuntu install it, or `None` where it is missing.
pub fn find_lavapipe() -> Option<PathBuf> {
    ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"].iter().find_map(|folder| {
        let mut files: Vec<_> =
            std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path()).collect();
        files.sort();
        let name = |p: &PathBuf| Some(p.file_name()?.to_string_lossy().into_owned());
        let lvp =
            |p: &PathBuf| name(p).is_some_and(|n| n.starts_with("lvp_icd") && n.ends_with(".json"));
        files.into_iter().find(|p| lvp(p) && is_for_this_machine(p))
    })
}

/// Multi-arch installations hold a file per architecture, named `lvp_icd.<arch>.json`.
fn is_for_this_machine(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let arch = match std::env::consts::ARCH {
        "x86" => "i686",
        other => other,
    };
    name.ends_with("lvp_icd.json") || name.contains(arch)
}

/// Installs Mesa's driver and the Vulkan loader unless both are there.
pub fn ensure_lavapipe() -> Result<PathBuf> {
    if let Some(file) = find_lavapipe().filter(|_| has_library("libvulkan.so.1")) {
        return Ok(file);
    }
    apt_install(&["mesa-vulkan-drivers", "libvulkan1"])?;
    find_lavapipe().ok_or_else(|| {
        "mesa-vulkan-drivers is installed, but there is no lvp_icd*.json in /usr/share/vulkan/icd.d"
            .into()
    })
}

/// Debian's chromium brings SwiftShader as a Vulkan driver.
const CHROMIUM_ICD: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// An npm package that holds SwiftShader's library: needs neither root nor a browser, and also
/// works on Ubuntu, whose chromium is a snap.
const PACKAGE: &str = "@sparticuz/chromium@147.0.0";
const PACKAGE_FILE: &str = "sparticuz-chromium-147.0.0.tgz";
const LIBRARY_SHA256: &str = "5b9e8591c7c2d1c9618c3ad485d0cdffb81f5f1ffd6a982fdb6578c2d8d3213e";

/// Finds SwiftShader or fetches it.
pub fn ensure_swiftshader() -> Result<PathBuf> {
    let fetched = target().join("drivers/swiftshader/vk_swiftshader_icd.json");
    let found = [PathBuf::from(CHROMIUM_ICD), fetched.clone()].into_iter().find(|p| p.exists());
    if let Some(file) = found {
        return Ok(file);
    }
    if std::env::consts::ARCH != "x86_64" {
        // The npm package is for x86-64; Debian's chromium is for more.
        apt_install(&["chromium"])?;
        let file = PathBuf::from(CHROMIUM_ICD);
        return file.exists().then_some(file).ok_or_else(|| no_chromium_icd().into());
    }
    fetch_swiftshader(&fetched)?;
    Ok(fetched)
}

fn no_chromium_icd() -> &'static str {
    "the chromium package is installed, but has no vk_swiftshader_icd.json; install SwiftShader by hand"
}

/// Unpacks the package beside the final folder and renames it, so that an interrupted run leaves
/// nothing that looks complete.
fn fetch_swiftshader(icd: &Path) -> Result<()> {
    let folder = icd.parent().ok_or("SwiftShader needs a folder")?;
    let work = folder.with_extension("part");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
    let mut npm = command("npm");
    run(npm.args(["pack", "--silent", PACKAGE, "--pack-destination"]).arg(&work))?;
    let archive = "package/bin/swiftshader.tar.br";
    run(command("tar").arg("-xzf").arg(work.join(PACKAGE_FILE)).arg("-C").arg(&work).arg(archive))?;
    let script = "const fs = require('fs'), zlib = require('zlib'); \
                  fs.writeFileSync(process.argv[2], \
                  zlib.brotliDecompressSync(fs.readFileSync(process.argv[1])))";
    let tar = work.join("swiftshader.tar");
    run(command("node").args(["-e", script]).arg(work.join(archive)).arg(&tar))?;
    let done = work.join("done");
    std::fs::create_dir_all(&done).map_err(|e| format!("{}: {e}", done.display()))?;
    let files = ["libvk_swiftshader.so", "vk_swiftshader_icd.json"];
    run(command("tar")
        .args(["--no-same-owner", "-xf"])
        .arg(&tar)
        .arg("-C")
        .arg(&done)
        .args(files))?;
    check_library(&done)?;
    std::fs::rename(&done, folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let _ = std::fs::remove_dir_all(&work);
    Ok(())
}

fn check_library(folder: &Path) -> Result<()> {
    let mut sum = command("sha256sum");
    let text = crate::shell::output(sum.arg(folder.join("libvk_swiftshader.so")))?;
    if text.starts_with(LIBRARY_SHA256) {
        return Ok(());
    }
    Err(format!("{PACKAGE}: SwiftShader's library has SHA-256 {text}, not {LIBRARY_SHA256}"))
}

/// The value of `VK_ICD_FILENAMES` that offers these drivers and no other.
pub fn icd_filenames(files: &[&Path]) -> String {
    files.iter().map(|f| f.to_string_lossy()).collect::<Vec<_>>().join(":")
}

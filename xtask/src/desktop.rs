//! The desktop example: opened for a person, and tried on a screen that nobody sees.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{Result, cargo, command, output, run, succeeds, target};
use crate::system::{apt_install, has_library};

/// What a window loads on X11 while it runs.
const LIBRARIES: [(&str, &str); 5] = [
    ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
    ("libX11-xcb.so.1", "libx11-xcb1"),
    ("libXcursor.so.1", "libxcursor1"),
    ("libXi.so.6", "libxi6"),
    ("libXrandr.so.2", "libxrandr2"),
];

/// A screen in memory, a hand, and an eye.
const TOOLS: [(&str, &str); 3] =
    [("Xvfb", "xvfb"), ("xdotool", "xdotool"), ("import", "imagemagick")];

/// Installs the X libraries that are missing.
pub fn ensure_libraries() -> Result<()> {
    let missing = LIBRARIES.iter().filter(|(file, _)| !has_library(file));
    ensure(missing.map(|(_, package)| *package).collect())
}

/// Installs what the window needs under Xvfb.
pub fn ensure_screen() -> Result<()> {
    ensure_libraries()?;
    let there = |tool: &str| succeeds(command("sh").args(["-c", &format!("command -v {tool}")]));
    let missing = TOOLS.iter().filter(|(tool, _)| !there(tool));
    ensure(missing.map(|(_, package)| *package).collect())
}

fn ensure(packages: Vec<&str>) -> Result<()> {
    if packages.is_empty() { Ok(()) } else { apt_install(&packages) }
}

/// Builds the window and opens it; ends when it is closed.
pub fn open(arguments: &[String]) -> Result<()> {
    if cfg!(target_os = "linux") {
        ensure_libraries()?;
    }
    run(&mut cargo("build --release --example desktop"))?;
    run(command(target().join("release/examples/desktop")).args(arguments))
}

const QUESTION: &str = "Name three rivers.";

/// What is tried: how large everything is, the longest answer, and the picture's name.
const RUNS: [(&str, &str, &str); 2] =
    [("1.0", "24", "window.png"), ("2.0", "8", "window-200-percent.png")];

/// A process that is ended when it is no longer needed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens the window under Xvfb, types a question, waits for the answer, compares it with that of
/// `mantissa run`, and closes the window; the same at twice the size. `target/desktop/*.png` is what
/// there was to see.
pub fn end_to_end(model: &Path, mantissa: &Path, drivers: &dyn Fn(&mut Command)) -> Result<()> {
    run(&mut cargo("build --workspace --examples"))?;
    let folder = target().join("desktop");
    let _ = std::fs::remove_dir_all(&folder);
    let (_screen, display) = screen()?;
    for (scale, max_tokens, picture) in RUNS {
        let data = prepare(&folder, scale, max_tokens)?;
        let mut program = command(target().join("debug/examples/desktop"));
        program.arg(model).env("DISPLAY", &display).env("MANTISSA_DATA", &data);
        // Not the screen of the person at the desk.
        program.env_remove("WAYLAND_DISPLAY").env("WINIT_UNIX_BACKEND", "x11");
        drivers(&mut program);
        let said = converse(&mut program, &display, &data, &folder.join(picture))?;
        let right = answer(model, mantissa, max_tokens, drivers)?;
        if !said.contains(&right) {
            return Err(format!("the window has\n{said}\nthe command line says {right}"));
        }
    }
    Ok(())
}

/// One window from its opening to its end; what was said in it.
fn converse(program: &mut Command, display: &str, data: &Path, picture: &Path) -> Result<String> {
    let mut window = Running(program.spawn().map_err(|e| format!("desktop: {e}"))?);
    let talked = talk(&mut window, display, data);
    // Of what went wrong, too.
    let pictured = run(on(display, "import").args(["-window", "root"]).arg(picture));
    let said = talked?;
    pictured?;
    run(on(display, "xdotool").args(["key", "ctrl+q"]))?;
    let ended = wait(Duration::from_secs(60), "the window's end", || {
        window.0.try_wait().map_err(|e| e.to_string())
    })?;
    if ended.success() { Ok(said) } else { Err(format!("the window ended with {ended}")) }
}

/// An empty data folder, but for settings.
fn prepare(folder: &Path, scale: &str, max_tokens: &str) -> Result<PathBuf> {
    let data = folder.join(format!("data-{scale}"));
    std::fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
    let settings =
        format!("{{\"scale\": {scale}, \"sampling\": {{\"max_tokens\": {max_tokens}}}}}\n");
    let file = data.join("settings.json");
    std::fs::write(&file, settings).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(data)
}

/// Starts Xvfb on a display that is free, which it names once it is ready.
fn screen() -> Result<(Running, String)> {
    let mut xvfb = command("Xvfb");
    xvfb.args(["-displayfd", "1", "-screen", "0", "1160x760x24", "-nolisten", "tcp"]);
    let mut child = xvfb
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("Xvfb: {e}"))?;
    let stdout = child.stdout.take().ok_or("Xvfb has no output")?;
    let running = Running(child);
    let mut number = String::new();
    BufReader::new(stdout).read_line(&mut number).map_err(|e| format!("Xvfb: {e}"))?;
    if number.trim().is_empty() {
        return Err("Xvfb named no display".into());
    }
    Ok((running, format!(":{}", number.trim())))
}

fn on(display: &str, program: &str) -> Command {
    let mut command = command(program);
    command.env("DISPLAY", display);
    command
}

/// Asks the question and gives the conversation's file once the answer is in it.
fn talk(window: &mut Running, display: &str, data: &Path) -> Result<String> {
    let settings = data.join("settings.json");
    let alive = |window: &mut Running| match window.0.try_wait() {
        Ok(Some(status)) => Err(format!("the window ended with {status}")),
        _ => Ok(()),
    };
    wait(Duration::from_secs(300), "the model", || {
        alive(window)?;
        let text = std::fs::read_to_string(&settings).unwrap_or_default();
        Ok(text.contains("\"recent\": [\n").then_some(()))
    })?;
    let found = output(on(display, "xdotool").args(["search", "--name", "^Mantissa$"]))?;
    let id = found.lines().next().ok_or("there is no window called Mantissa")?;
    run(on(display, "xdotool").args(["windowfocus", "--sync", id]))?;
    run(on(display, "xdotool").args(["type", "--delay", "30", QUESTION]))?;
    run(on(display, "xdotool").args(["key", "Return"]))?;
    wait(Duration::from_secs(600), "an answer", || {
        alive(window)?;
        Ok(conversation(data).filter(|text| text.contains("\"assistant\"")))
    })
}

fn conversation(data: &Path) -> Option<String> {
    let file = std::fs::read_dir(data.join("conversations")).ok()?.flatten().next()?.path();
    std::fs::read_to_string(file).ok()
}

fn wait<T>(time: Duration, what: &str, mut so: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = so()? {
            return Ok(value);
        }
        if start.elapsed() > time {
            return Err(format!("{what} did not come within {} s", time.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What the command line answers, which is what the window must say.
fn answer(
    model: &Path,
    mantissa: &Path,
    max_tokens: &str,
    drivers: &dyn Fn(&mut Command),
) -> Result<String> {
    let mut same = command(mantissa);
    same.args(["run", "--json", "--prompt", QUESTION, "--max-tokens", max_tokens, "--chunk", "32"]);
    same.args(["--context", "2048", "--system", "You are a helpful assistant.", "--model"]);
    drivers(same.arg(model));
    let report = output(&mut same)?;
    let text = report.split_once("\"text\":").and_then(|(_, rest)| rest.split_once(",\n"));
    let (text, _) = text.ok_or("`mantissa run --json` gave no text")?;
    Ok(text.trim().to_owned())
}

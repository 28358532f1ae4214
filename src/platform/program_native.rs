//! What the command line needs of the operating system.

/// Calls `f` on another thread each time the user presses Ctrl-C, instead of ending the program.
///
/// # Errors
/// The operating system's reason, or that a handler is there already.
pub fn on_interrupt(f: impl FnMut() + Send + 'static) -> std::io::Result<()> {
    ctrlc::set_handler(f).map_err(std::io::Error::other)
}

/// The most physical memory that this process has held so far, in bytes; `None` where the
/// operating system does not tell (only Linux does, as `VmHWM` in `/proc/self/status`).
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::peak_memory_bytes;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_grows_with_what_is_held() {
        let before = peak_memory_bytes().expect("Linux tells");
        let held = vec![1_u8; 64 << 20];
        let after = peak_memory_bytes().expect("Linux tells");
        assert_eq!(std::hint::black_box(&held).len(), 64 << 20);
        assert!(after >= before + (32 << 20), "{before} -> {after}");
    }
}

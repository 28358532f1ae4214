//! The command line is not for the browser; it only has to compile there, so that one set of
//! lints covers the whole crate.

use std::io::Result;

/// Does nothing: a page has no Ctrl-C.
///
/// # Errors
/// None.
pub fn on_interrupt(_f: impl FnMut() + Send + 'static) -> Result<()> {
    Ok(())
}

/// Always `None`: a page is not told.
pub fn peak_memory_bytes() -> Option<u64> {
    None
}

//! Errors as this window's user needs them: the library names flags of a command line, which are
//! settings here.

use mantissa::Error;

/// What went wrong, and what to do.
pub fn of(error: &Error) -> String {
    match error {
        Error::ContextFull { tokens, context } => format!(
            "This conversation has {tokens} tokens and the context holds {context}. Begin a new chat, or raise Context in the settings."
        ),
        Error::OutOfMemory { what, bytes, .. } => format!(
            "No memory for {what} ({} MB) on this adapter. Lower Context in the settings, or take a smaller model or another adapter.",
            bytes / 1_000_000
        ),
        Error::NoAdapter { wanted, found } => format!(
            "There is no {wanted} adapter (found: {found}). Choose another in the settings, or install a Vulkan driver."
        ),
        Error::DeviceLost { reason } => {
            format!("The GPU device was lost ({reason}). Try again, or choose another adapter.")
        }
        Error::InvalidOption { name, value, allowed } => {
            format!("{name} is {value}; it must be {allowed}. Change it in the settings.")
        }
        Error::Io { .. } => format!("{error}. Is the file still there, and readable?"),
        other => other.to_string(),
    }
}

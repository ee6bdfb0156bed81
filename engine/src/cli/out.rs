//! What a command says on its standard output. A reader that goes away (`bot4 status | head`) ends
//! what is said and nothing else; any other failure, a full disk say, makes the command fail.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use super::exit;

/// The first failure: nothing is written after it.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Says a line, formatted like `format!`.
macro_rules! say {
    ($($text:tt)+) => { $crate::cli::out::line(::std::format_args!($($text)+)) };
}
pub(crate) use say;

/// Says `text` and the end of its line.
pub fn line(text: Arguments<'_>) {
    write(format_args!("{text}\n"));
}

/// Says `text` as it stands: the last of its lines has an end.
pub fn text(text: impl Display) {
    write(format_args!("{text}"));
}

fn write(text: Arguments<'_>) {
    if LOST.get().is_none() {
        keep(io::stdout().lock().write_fmt(text));
    }
}

/// Takes note of the outcome of a command that writes by itself.
pub fn keep(outcome: io::Result<()>) {
    if let Err(e) = outcome {
        // Only the first counts.
        let _ = LOST.set(e);
    }
}

/// The exit code of a command that ended with `code`, after its last words have left.
pub fn code(code: u8) -> u8 {
    keep(io::stdout().flush());
    match LOST.get() {
        Some(e) if e.kind() != ErrorKind::BrokenPipe => {
            crate::tell!(
                "error: standard output: {e}; what was printed is not whole\n\
                 help: print where there is room"
            );
            if code == exit::DONE { exit::FAILED } else { code }
        }
        _ => code,
    }
}

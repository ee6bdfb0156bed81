//! What a command says on its standard output. A reader that goes away (`bot4 status | head`) ends
//! what is said and nothing else; any other failure, a full disk say, makes the command fail.

use std::fmt::{Arguments, Display};
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
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

/// Nobody hears what is said from here on.
pub fn is_lost() -> bool {
    LOST.get().is_some()
}

/// Many lines, gathered.
pub struct Lines(BufWriter<StdoutLock<'static>>);

impl Default for Lines {
    fn default() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }
}

impl Lines {
    /// Writes what is gathered.
    pub fn end(mut self) {
        keep(self.0.flush());
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(note)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(note)
    }
}

/// Takes note of how writing went.
fn keep(outcome: io::Result<()>) {
    let _ = outcome.inspect_err(note);
}

fn note(e: &io::Error) {
    // Only the first counts.
    let _ =
        LOST.set(e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error));
}

/// The exit code of a command that ended with `code`, after its last words have left.
pub fn code(code: u8) -> u8 {
    keep(io::stdout().flush());
    match LOST.get() {
        Some(e) if e.kind() != ErrorKind::BrokenPipe => {
            crate::log::last_words(format_args!(
                "error: standard output: {e}; what was printed is not whole\n\
                 help: print where there is room"
            ));
            if code == exit::DONE { exit::FAILED } else { code }
        }
        _ => code,
    }
}

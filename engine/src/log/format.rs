//! From an event to a line, and from a sentence to an event.

use std::fmt::{self, Write as _};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Format;

/// What stands between a sentence and its mend.
const HELP: &str = "\nhelp: ";

/// A sentence as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// By its first word.
    pub level: Level,
    /// Without that word and the mend.
    pub message: &'a str,
    /// The mend; empty where there is none.
    pub help: &'a str,
}

impl<'a> Told<'a> {
    /// Reads a sentence.
    #[must_use]
    pub fn of(sentence: &'a str) -> Self {
        let levels = [(Level::ERROR, "error: "), (Level::WARN, "warning: ")];
        let found = levels.iter().find_map(|(l, word)| Some((*l, sentence.strip_prefix(word)?)));
        let (level, rest) = found.unwrap_or((Level::INFO, sentence));
        // One mend, at the end: a text with several is one of several refusals.
        let (message, help) = match rest.split_once(HELP) {
            Some((message, help)) if !help.contains('\n') => (message, help),
            _ => (rest, ""),
        };
        Self { level, message, help }
    }
}

/// Writes events as lines of this format.
pub struct Lines(pub Format);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let about = event.metadata();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        match self.0 {
            Format::Plain => writeln!(out, "{}{}", word(about.level()), fields.sentence()),
            Format::Pretty => {
                SystemTime.format_time(&mut out)?;
                writeln!(out, " {:>5} {thread}: {}", about.level(), fields.sentence())
            }
            Format::Json => {
                let mut time = String::new();
                SystemTime.format_time(&mut Writer::new(&mut time))?;
                let level = about.level().as_str().to_ascii_lowercase();
                let mut line = json!({"time": time, "level": level, "target": about.target(),
                                      "thread": thread, "pid": std::process::id(),
                                      "message": fields.message});
                if !fields.help.is_empty() {
                    line["help"] = fields.help.into();
                }
                writeln!(out, "{line}")
            }
        }
    }
}

/// The first word of a sentence of this level.
const fn word(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error: ",
        Level::WARN => "warning: ",
        _ => "",
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    help: String,
}

impl Fields {
    fn sentence(&self) -> String {
        let help = if self.help.is_empty() { "" } else { HELP };
        format!("{}{help}{}", self.message, self.help)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "help" => value.clone_into(&mut self.help),
            _ => value.clone_into(&mut self.message),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing into memory does not fail.
            let _ = write!(self.message, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, sentence: &str) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let lines = tracing_subscriber::fmt()
            .event_format(Lines(format))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(lines, || {
            let Told { level, message, help } = Told::of(sentence);
            match level {
                Level::ERROR => tracing::error!(help, "{message}"),
                Level::WARN => tracing::warn!(help, "{message}"),
                _ => tracing::info!(help, "{message}"),
            }
        });
        let bytes = memory.0.lock().expect("one thread").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn plain_lines_are_the_sentences_themselves() {
        for sentence in [
            "trading goes on: mended",
            "warning: the disk fills\nhelp: remove something",
            "error: a\nerror: b\nhelp: c\nnote: d",
            "FILE was read again; it is refused:\nerror: x\n  |\n1 | \"y\"\nhelp: write z",
            "a \"quoted\" word {braces} %s \u{1F600}",
        ] {
            assert_eq!(written(Format::Plain, sentence), format!("{sentence}\n"));
        }
    }

    #[test]
    fn json_lines_are_objects_with_a_level_and_a_mend() {
        let line = written(Format::Json, "error: a \"b\"\nc\nhelp: d {e}");
        assert_eq!(line.lines().count(), 1, "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["level"], &value["help"]), (&"error".into(), &"d {e}".into()));
        assert_eq!(value["message"], "a \"b\"\nc");
        assert!(value["time"].as_str().is_some_and(|t| t.ends_with('Z')), "{value}");
        assert!(value["target"].as_str().is_some_and(|t| t.contains("log")), "{value}");
        let line = written(Format::Json, "all is well");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert!(value["level"] == "info" && value["help"].is_null(), "{value}");
    }

    #[test]
    fn pretty_lines_begin_with_time_level_and_thread() {
        let line = written(Format::Pretty, "warning: look here");
        assert!(line.ends_with(": look here\n") && line.contains("  WARN "), "{line}");
    }
}

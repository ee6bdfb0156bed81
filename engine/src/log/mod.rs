//! What a running engine tells a person, as structured events.
//!
//! ```text
//! control lane, helper threads --tell!--> tracing --line--> bounded queue --log thread--> stderr
//! ```
//!
//! * Only cold threads tell anything. Hot lanes count, and the control lane tells of the counts;
//!   their crates do not know this module's library at all.
//! * Nobody who tells waits: a queue that is full because standard error takes nothing loses the
//!   line, and the loss is counted and told once there is room.
//! * `plain` writes the sentence as it is, `pretty` puts time and level before it, `json` writes a
//!   line of JSON an event. A sentence says its level by its first word (`error: `, `warning: `),
//!   and a mend behind `help: ` on a line of its own becomes a field.
//!
//! Where no log was started (commands that end at once, tests) a sentence goes to standard error
//! directly. Cost: an allocation and a queue's push, on cold threads.

mod format;
mod queue;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use format::Lines;
pub use format::Told;
use queue::Queue;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The sentence alone.
    #[default]
    Plain,
    /// Time, level and thread before the sentence.
    Pretty,
    /// A JSON object a line.
    Json,
}

/// From which level on lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Trading stops or a promise is broken.
    Error,
    /// Somebody should look.
    Warn,
    /// All that a person is told.
    #[default]
    Info,
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How lines look.
    pub format: Format,
    /// From which level on.
    pub level: Level,
}

/// How long an ending program waits for standard error to take what is queued.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Queue> = OnceLock::new();
/// The live line, past which lines are written.
static LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The started log; its end writes what is queued.
#[must_use]
pub struct Log(());

/// Starts the log of this process, once; a second start changes nothing.
///
/// # Errors
/// When its thread cannot be started.
pub fn start(config: LogConfig) -> std::io::Result<Log> {
    let queue = Queue::start(write_past_the_line)?;
    let level = match config.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(Lines(config.format))
        .with_writer(queue.clone())
        .finish();
    let is_first =
        QUEUE.set(queue).is_ok() && tracing::subscriber::set_global_default(lines).is_ok();
    if is_first && config.format != Format::Plain {
        std::panic::set_hook(Box::new(|info| crate::tell!("error: {info}")));
    }
    Ok(Log(()))
}

impl Log {
    /// Waits until what was told is written, for a second at most.
    pub fn flush(&self) {
        QUEUE.get().map(|queue| queue.flush(FLUSH_WITHIN));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A log was started, so events are written by it.
#[must_use]
pub fn is_started() -> bool {
    QUEUE.get().is_some()
}

/// Says a person why the program ends, whatever the log's level: behind all that was told before,
/// and before this returns.
pub fn last_words(sentence: impl std::fmt::Display) {
    QUEUE.get().map(|queue| queue.flush(FLUSH_WITHIN));
    write_past_the_line(format!("{sentence}\n").as_bytes());
}

/// Lines that found no room.
#[must_use]
pub fn dropped() -> u64 {
    QUEUE.get().map_or(0, Queue::dropped)
}

/// Lines are written past this live line from now on; none: there is none any more.
pub fn beside(line: Option<ProgressBar>) {
    *LINE.lock().unwrap_or_else(PoisonError::into_inner) = line;
}

/// Writes to standard error, past the live line where there is one.
pub fn write_past_the_line(bytes: &[u8]) {
    use std::io::Write as _;
    let line = LINE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Standard error that is gone has nobody to tell.
    let write = || drop(std::io::stderr().lock().write_all(bytes));
    match line {
        Some(line) => line.suspend(write),
        None => write(),
    }
}

/// Tells a person a sentence, formatted like `format!`. Its first word gives the level.
#[macro_export]
macro_rules! tell {
    ($($sentence:tt)+) => {{
        let sentence = ::std::format!($($sentence)+);
        if $crate::log::is_started() {
            let told = $crate::log::Told::of(&sentence);
            let $crate::log::Told { level, message, help } = told;
            match level {
                ::tracing::Level::ERROR => ::tracing::error!(help, "{message}"),
                ::tracing::Level::WARN => ::tracing::warn!(help, "{message}"),
                _ => ::tracing::info!(help, "{message}"),
            }
        } else {
            $crate::log::write_past_the_line(::std::format!("{sentence}\n").as_bytes());
        }
    }};
}

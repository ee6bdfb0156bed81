//! From running engines to readers of their counters: for `bot4 top` and `bot4 watch`.

use bot4_telemetry::shared::{ReadError, Reader};

use super::client::running;
use crate::run::history::EarlierRun;

/// The running engines, or the one called `run`, oldest first, each with its reader or why there
/// is none. Empty when none runs.
#[must_use]
pub fn attach(run: Option<&str>) -> Vec<(EarlierRun, Result<Reader, ReadError>)> {
    let wanted = |e: &EarlierRun| run.is_none_or(|name| name == e.record.id);
    running().into_iter().filter(wanted).map(|e| (e.clone(), reader_of(&e))).collect()
}

/// The reader of `engine`'s counters.
///
/// # Errors
/// When it keeps none, or they cannot be read.
pub fn reader_of(engine: &EarlierRun) -> Result<Reader, ReadError> {
    let Some(path) = &engine.record.counters else {
        return Err(ReadError(format!(
            "error: run {} keeps no counters that others can read\n\
             help: what it said at its start names the reason; `bot4 status` asks it directly",
            engine.record.id
        )));
    };
    Reader::open(path)
}

//! The asking side: which engines run here, and one question to one of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use bot4_lanes::Clock;

use super::helper::has_socket;
use super::message::{Asked, Reply, Request, Stamp};
use super::path::connect;
use super::refusal::Why;
use crate::run::history::{self, EarlierRun};

/// An engine that says nothing for this long does not answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Between two tries at an engine that is asked too much.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Asks the engine whose run lies in `folder`. An act gets a number and its time.
///
/// # Errors
/// When nobody listens or nothing comes within [`ANSWER_WITHIN`].
pub fn ask(folder: &Path, request: &Request) -> std::io::Result<Reply> {
    let mut asked = Asked::of(request.clone());
    let clock = Clock::monotonic();
    if !request.is_read() {
        asked.stamp = Stamp::fresh(clock.wall().unix_ms(clock.now()));
    }
    let mut reply = ask_as(folder, &asked)?;
    // Others ask a lot just now: it is their turn to wait, then ours.
    while reply.refused.as_deref() == Some(Why::TooMany.name())
        && clock.now().0 < ANSWER_WITHIN.as_nanos() as u64
    {
        std::thread::park_timeout(AGAIN_AFTER);
        reply = ask_as(folder, &asked)?;
    }
    Ok(reply)
}

/// The same, in the words of `asked`.
///
/// # Errors
/// As [`ask`].
pub fn ask_as(folder: &Path, asked: &Asked) -> std::io::Result<Reply> {
    let mut stream = connect(folder)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&asked.write()?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Runs of this state folder whose engine lives, oldest first.
#[must_use]
pub fn running() -> Vec<EarlierRun> {
    history::all().into_iter().filter(is_running).collect()
}

/// The run's process lives and is an engine that made a socket: a number may have been given to
/// another process since.
fn is_running(run: &EarlierRun) -> bool {
    let alive = Path::new("/proc").join(run.record.pid.to_string()).exists();
    alive && has_socket(&run.path) && is_ours(run.record.pid)
}

/// The process runs a program of our name.
fn is_ours(pid: u32) -> bool {
    let mine = std::env::current_exe().ok();
    let theirs = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = |p: &std::path::PathBuf| {
        // A binary that was replaced while it runs shows so.
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.trim_end_matches(" (deleted)").to_owned()
    };
    mine.as_ref().map(name) == theirs.as_ref().map(name)
}

//! The asking side: which engines run here, and one question to one of them.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
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
    ask_for(folder, request, None)
}

/// The same for `via`, who cannot ask by itself: the engine keeps the name with the act.
///
/// # Errors
/// As [`ask`].
pub fn ask_for(folder: &Path, request: &Request, via: Option<&str>) -> std::io::Result<Reply> {
    let clock = Clock::monotonic();
    let said = || {
        let stamp = Stamp::fresh(clock.wall().unix_ms(clock.now()));
        let stamp = stamp.filter(|_| !request.is_read());
        Asked { stamp, via: via.map(str::to_owned), ..Asked::of(request.clone()) }
    };
    let mut reply = ask_as(folder, &said())?;
    // Others ask a lot just now: it is their turn to wait, then ours.
    while reply.refused.as_deref() == Some(Why::TooMany.name())
        && clock.now().0 < ANSWER_WITHIN.as_nanos() as u64
    {
        std::thread::park_timeout(AGAIN_AFTER);
        reply = ask_as(folder, &said())?;
    }
    Ok(reply)
}

/// The same, in the words of `asked`.
///
/// # Errors
/// As [`ask`].
pub fn ask_as(folder: &Path, asked: &Asked) -> std::io::Result<Reply> {
    answer(folder, asked).map_err(|e| in_words(&e))
}

/// Why there is no answer, as whoever asked should read it.
fn in_words(e: &std::io::Error) -> std::io::Error {
    let words = match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            "no answer within a second: it hangs, is suspended or waits for its disk; what it has \
             not begun by now is void, and `bot4 status` shows what it did"
        }
        ErrorKind::NotFound => "it has ended meanwhile: its socket is gone",
        ErrorKind::ConnectionRefused => "nobody listens at its socket: it is ending, or was killed",
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "it hung up without an answer: it is ending, or others ask too much; ask again"
        }
        _ => return std::io::Error::other(format!("its socket: {e}")),
    };
    std::io::Error::new(e.kind(), words)
}

fn answer(folder: &Path, asked: &Asked) -> std::io::Result<Reply> {
    let mut stream = connect(folder)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&asked.write()?)?;
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
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

//! What a person asks for by HTTP, done as the commands of the same names do it.
//!
//! Threads of their own, because an engine takes its time to answer and to cancel; the server goes
//! on meanwhile. They run at normal priority: a kill must not wait for who is in no hurry. Nor may
//! it wait for another act, nor an act for those who only ask: stops, acts and questions have a
//! line and a thread each. Few wait in line, and a full line says so at once.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

use mio::Waker;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Kind, Stamp};
use super::http::Response;
use super::server::Ticket;
use crate::cli::{journal, kill, latency, limits, mode, person};
use crate::operator::client::ask_for;
use crate::operator::message::{self, checked_reason};
use crate::run::history::EarlierRun;

/// How the engine's journal names who asked: nobody acts from here without the act token.
const VIA: &str = "bot4 watch, role act";
/// Acts that wait in line.
const LINE: usize = 8;

/// An act.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// As `bot4 kill --run`: also an engine that does not answer is stopped.
    Kill {
        /// Which run.
        run: String,
        /// Why.
        reason: String,
        /// Close what is held, too.
        flatten: bool,
    },
    /// As the command of the same name: what is told is what it came to.
    Command {
        /// Which run.
        run: String,
        /// What.
        command: Command,
    },
    /// A request to the operator's socket of a run, and its answer as it comes.
    Ask {
        /// Which run.
        run: String,
        /// What.
        request: message::Request,
    },
}

/// What is asked for and then looked for until it is seen in the engine's status.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `bot4 mode MODE`
    Mode {
        /// The mode from now on.
        mode: String,
        /// Why.
        reason: String,
    },
    /// `bot4 limits reload`
    LimitsReload {
        /// Why what is looser may hold, too.
        reason: Option<String>,
    },
    /// `bot4 latency dump`
    LatencyDump,
    /// `bot4 journal rotate`
    JournalRotate {
        /// Why.
        reason: String,
    },
}

impl Command {
    fn perform(&self, engine: &EarlierRun) -> Response {
        let told = match self {
            Self::Mode { mode, reason } => mode::tell(engine, mode, reason, Some(VIA)),
            Self::LimitsReload { reason } => limits::tell(engine, reason.as_deref(), Some(VIA)),
            Self::LatencyDump => latency::dump(engine, Some(VIA)),
            Self::JournalRotate { reason } => journal::rotate(engine, reason, Some(VIA)),
        };
        answer(&told)
    }
}

/// 200 says that all of it is done; what the engine refused in whole or in part, or has not done in
/// time, is a conflict. A kill is obeyed as soon as it is heard: its answer is 200, and `clear`
/// tells whether anything is still open.
fn answer(told: &Value) -> Response {
    match told["error"].as_str() {
        Some(why) => Response::error(409, why),
        None if person::is_done(told) => Response::json(200, &json!({"done": true, "told": told})),
        None => {
            let why = "not all of it is done: see `told`";
            Response::json(409, &json!({"done": false, "error": why, "told": told}))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    run: String,
    at_ms: i64,
    nonce: String,
    reason: Option<String>,
    #[serde(default)]
    flatten: bool,
    mode: Option<String>,
    request: Option<message::Request>,
}

impl Act {
    /// The act that a POST to `path` with this `body` asks for, and its stamp.
    ///
    /// # Errors
    /// What is wrong with the body; `None` where nothing is served at `path`.
    pub fn read(path: &str, body: &[u8]) -> Option<Result<(Self, Stamp), String>> {
        let of_body: fn(Body) -> Result<Self, String> = match path {
            "/api/kill" => |b| {
                let reason = reason_of(&b)?;
                Ok(Self::Kill { run: b.run, reason, flatten: b.flatten })
            },
            "/api/resume" => |b| {
                let request = message::Request::Resume { reason: reason_of(&b)? };
                Ok(Self::Ask { run: b.run, request })
            },
            "/api/mode" => |b| {
                let reason = reason_of(&b)?;
                let mode =
                    b.mode.ok_or("mode is missing: emergency, manual, semi_auto, full_auto")?;
                Ok(Self::Command { run: b.run, command: Command::Mode { mode, reason } })
            },
            "/api/limits" => |b| {
                let reason = b.reason.as_deref().map(checked_reason).transpose()?;
                Ok(Self::Command { run: b.run, command: Command::LimitsReload { reason } })
            },
            "/api/dump" => |b| Ok(Self::Command { run: b.run, command: Command::LatencyDump }),
            "/api/rotate" => |b| {
                let command = Command::JournalRotate { reason: reason_of(&b)? };
                Ok(Self::Command { run: b.run, command })
            },
            "/api/status" => |b| Ok(Self::Ask { run: b.run, request: message::Request::Status }),
            "/api/request" => |b| {
                let request = b.request.ok_or("request is missing: {\"do\": \"status\"}")?;
                Ok(Self::Ask { run: b.run, request })
            },
            _ => return None,
        };
        let read = serde_json::from_slice::<Body>(body).map_err(|e| format!("the body: {e}"));
        Some(read.and_then(|body| {
            let stamp = Stamp { at_ms: body.at_ms, nonce: body.nonce.clone() };
            Ok((of_body(body)?, stamp))
        }))
    }

    /// What it is to those who let it in.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Kill { .. } | Self::Ask { request: message::Request::Kill { .. }, .. } => {
                Kind::Stop
            }
            Self::Ask { request, .. } if request.is_read() => Kind::Question,
            _ => Kind::Act,
        }
    }

    fn run(&self) -> &str {
        match self {
            Self::Kill { run, .. } | Self::Command { run, .. } | Self::Ask { run, .. } => run,
        }
    }

    /// Does it. Blocks for as long as the engine takes.
    fn perform(&self) -> Response {
        let engine = match kill::engines(Some(self.run())) {
            Ok(mut engines) => engines.remove(0),
            Err(why) => return Response::error(404, why.trim_start_matches("error: ")),
        };
        match self {
            Self::Kill { reason, flatten, .. } => {
                let (told, clear) = kill::stop(&engine, reason, *flatten, Some(VIA));
                Response::json(200, &json!({"clear": clear, "told": told}))
            }
            Self::Command { command, .. } => command.perform(&engine),
            Self::Ask { request, .. } => match ask_for(&engine.path, request, Some(VIA)) {
                Ok(reply) => match &reply.error {
                    Some(why) => Response::error(409, why),
                    None => Response::json(200, &json!({"told": reply})),
                },
                Err(e) => Response::error(502, &format!("the engine does not answer: {e}")),
            },
        }
    }
}

fn reason_of(body: &Body) -> Result<String, String> {
    checked_reason(body.reason.as_deref().unwrap_or_default())
}

/// Acts in line, each with who asked.
type Line = SyncSender<(Ticket, Act)>;

/// The threads that act, and the lines before them.
pub struct Actor {
    /// By [`Kind`].
    lines: [Line; 3],
    done: Receiver<(Ticket, Response)>,
}

impl Actor {
    /// Starts the threads; `waker` wakes the server when something is done. To be called before the
    /// caller lowers its own priority, which threads inherit.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(waker: Arc<Waker>) -> std::io::Result<Self> {
        let (told, done) = channel();
        let thread = |name: &str| -> std::io::Result<Line> {
            let (line, waiting) = sync_channel(LINE);
            let (told, waker) = (told.clone(), waker.clone());
            let work = move || work(&waiting, &told, &waker);
            std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
            Ok(line)
        };
        Ok(Self { lines: [thread("stop")?, thread("act")?, thread("question")?], done })
    }

    /// Lets `act` be done for `from`.
    ///
    /// # Errors
    /// Why it cannot be taken now.
    pub fn begin(&self, from: Ticket, act: Act) -> Result<(), &'static str> {
        self.lines[act.kind() as usize].try_send((from, act)).map_err(|e| match e {
            TrySendError::Full(_) => "other acts are under way: try again",
            TrySendError::Disconnected(_) => "nothing can be done from here: use bot4 kill",
        })
    }

    /// An act that is done.
    #[must_use]
    pub fn done(&self) -> Option<(Ticket, Response)> {
        self.done.try_recv().ok()
    }
}

fn work(waiting: &Receiver<(Ticket, Act)>, told: &Sender<(Ticket, Response)>, waker: &Waker) {
    for (from, act) in waiting {
        let response = act.perform();
        if told.send((from, response)).is_err() || waker.wake().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = r#""at_ms":5,"nonce":"0123456789abcdef""#;

    fn read(path: &str, rest: &str) -> Result<Act, String> {
        let body = format!("{{\"run\":\"1-2\",{STAMP}{rest}}}");
        Act::read(path, body.as_bytes()).expect("served").map(|(act, stamp)| {
            assert_eq!((stamp.at_ms, stamp.nonce.as_str()), (5, "0123456789abcdef"));
            act
        })
    }

    #[test]
    fn bodies_become_acts() {
        let kill = read("/api/kill", r#","reason":" line cut ","flatten":true"#);
        let reason = "line cut".to_owned();
        assert_eq!(kill, Ok(Act::Kill { run: "1-2".to_owned(), reason, flatten: true }));
        let asked = read("/api/request", r#","request":{"do":"status"}"#);
        let request = message::Request::Status;
        assert_eq!(asked, Ok(Act::Ask { run: "1-2".to_owned(), request }));
        let limits = read("/api/limits", "");
        let command = Command::LimitsReload { reason: None };
        assert_eq!(limits, Ok(Act::Command { run: "1-2".to_owned(), command }));
        let mode = read("/api/mode", r#","mode":"manual","reason":"x""#).expect("an act");
        assert!(matches!(&mode, Act::Command { command: Command::Mode { .. }, .. }), "{mode:?}");
        assert!(Act::read("/api/dance", b"{}").is_none());
    }

    #[test]
    fn only_what_is_done_in_whole_is_answered_with_200() {
        let head = |told: &Value| String::from_utf8(answer(told).bytes(true, true, false));
        for (told, status) in [
            (json!({"limits": {"outcome": "taken"}}), "200 OK"),
            (json!({"limits": {"outcome": "partly"}}), "409 Conflict"),
            (json!({"obeyed": false}), "409 Conflict"),
            (json!({"error": "no"}), "409 Conflict"),
        ] {
            let head = head(&told).expect("text");
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{told}: {head}");
        }
    }

    #[test]
    fn stops_and_questions_are_known_at_every_door() {
        for (path, rest, kind) in [
            ("/api/status", "", Kind::Question),
            ("/api/request", r#","request":{"do":"status"}"#, Kind::Question),
            ("/api/request", r#","request":{"do":"order_list"}"#, Kind::Question),
            ("/api/kill", r#","reason":"x""#, Kind::Stop),
            ("/api/request", r#","request":{"do":"kill","reason":"x"}"#, Kind::Stop),
            ("/api/resume", r#","reason":"x""#, Kind::Act),
            ("/api/mode", r#","mode":"manual","reason":"x""#, Kind::Act),
            ("/api/limits", "", Kind::Act),
            ("/api/dump", "", Kind::Act),
            ("/api/rotate", r#","reason":"x""#, Kind::Act),
            ("/api/request", r#","request":{"do":"latency_dump"}"#, Kind::Act),
        ] {
            assert_eq!(read(path, rest).expect(rest).kind(), kind, "{path} {rest}");
        }
    }

    #[test]
    fn bad_bodies_say_what_is_wrong() {
        for (path, rest, said) in [
            ("/api/resume", "", "reason is empty"),
            ("/api/kill", r#","reason":"x","now":1"#, "unknown field"),
            ("/api/request", "", "request is missing"),
            ("/api/mode", r#","reason":"x""#, "mode is missing"),
            ("/api/mode", r#","mode":"manual""#, "reason is empty"),
            ("/api/limits", r#","reason":" ""#, "reason is empty"),
            ("/api/rotate", "", "reason is empty"),
            ("/api/request", r#","request":{"do":"dance"}"#, "dance"),
        ] {
            let why = read(path, rest).expect_err(rest);
            assert!(why.contains(said), "{why}");
        }
        for body in [b"".as_slice(), b"[]", b"{}", b"\xff", br#"{"run":"1-2","reason":"x"}"#] {
            assert!(Act::read("/api/kill", body).expect("served").is_err());
        }
    }
}

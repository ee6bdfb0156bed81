//! What is served: routes, and who may use them.
//!
//! | path | needs | is |
//! |---|---|---|
//! | `/` and the page's files | nothing | the page, without a figure |
//! | `/healthz` | nothing | `ok` while this process serves |
//! | `/api/state` | read | what the page draws, as JSON |
//! | `/metrics` | read | the same for Prometheus |
//! | `POST /api/status` | read | as `bot4 status --json`, asked of the engine itself |
//! | `POST /api/kill` | act | as `bot4 kill` |
//! | `POST /api/resume` | act | as `bot4 resume` of a running engine |
//! | `POST /api/mode` | act | as `bot4 mode` |
//! | `POST /api/limits` | act | as `bot4 limits reload` |
//! | `POST /api/dump` | act | as `bot4 latency dump` |
//! | `POST /api/rotate` | act | as `bot4 journal rotate` |
//! | `POST /api/request` | act | any request of the operator's socket; read where it only reads |
//!
//! Every POST carries a stamp that is good once; stops, acts and questions have a budget each.

use std::sync::Arc;

use bot4_lanes::Clock;
use bot4_venues::secret_text::SecretText;
use serde_json::json;

use super::access::{Access, Kind, Refused, Role};
use super::act::{Act, Actor, Command};
use super::http::{JSON, Method, Request, Response};
use super::server::{Service, Tally, Ticket};
use super::view::View;
use super::{export, page};

/// What was made of one look at the engine.
#[derive(Default)]
struct Kept {
    version: Option<u64>,
    body: Arc<[u8]>,
}

impl Kept {
    /// What was made of this version, or what `make` makes of it.
    fn of(&mut self, version: u64, make: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        if self.version != Some(version) {
            self.body = make().into();
            self.version = Some(version);
        }
        self.body.clone()
    }
}

/// The service. See the module.
pub struct Watch {
    access: Access,
    view: View,
    actor: Actor,
    clock: Clock,
    state: Kept,
    metrics: Kept,
}

impl Watch {
    /// A service of `view` for those whom `access` lets in.
    #[must_use]
    pub fn new(access: Access, view: View, actor: Actor, clock: Clock) -> Self {
        let (state, metrics) = (Kept::default(), Kept::default());
        Self { access, view, actor, clock, state, metrics }
    }

    fn now_ms(&self) -> i64 {
        self.clock.wall().unix_ms(self.clock.now())
    }

    fn read(&mut self, request: &Request, tally: &Tally) -> Result<Response, Refused> {
        let now = self.clock.now();
        if let Some(file) = page::file(&request.path) {
            return Ok(file);
        }
        if request.path == "/healthz" {
            return Ok(Response::new(200, "text/plain; charset=utf-8", b"ok\n".as_slice()));
        }
        let role = self.access.role(request.authorization.as_ref().map(SecretText::expose), now)?;
        if !matches!(request.path.as_str(), "/api/state" | "/metrics") {
            return Err((404, "there is nothing here".to_owned()));
        }
        if role < Role::Read {
            return Err((401, "reading needs a token here".to_owned()));
        }
        let version = self.view.refresh(|| self.clock.now());
        let now_ms = self.now_ms();
        let view = &self.view;
        if request.path == "/metrics" {
            let text = || export::text(view.seen(), view.is_live(), tally).into_bytes();
            return Ok(Response::new(200, export::CONTENT_TYPE, self.metrics.of(version, text)));
        }
        let text = || view.to_json(now_ms).to_string().into_bytes();
        Ok(Response::new(200, JSON, self.state.of(version, text)))
    }

    fn act(&mut self, request: &Request, from: Ticket) -> Result<(), Refused> {
        let now = self.clock.now();
        Access::check_content(request)?;
        let role = self.access.role(request.authorization.as_ref().map(SecretText::expose), now)?;
        // What is read before the act token was seen is short, and a question needs none.
        let read = Act::read(&request.path, &request.body);
        let read = read.ok_or((404, "there is nothing here".to_owned()))?;
        let kind = read.as_ref().map_or(Kind::Act, |(act, _)| act.kind());
        if role < kind.needs() {
            let which = if kind == Kind::Question { "a" } else { "the act" };
            return Err((401, format!("this needs {which} token")));
        }
        let (act, stamp) = read.map_err(|why| (400, why))?;
        let now_ms = self.now_ms();
        self.access.admit(kind, &stamp, now, now_ms)?;
        let about = summary(&act);
        let begun = self.actor.begin(from, act).map_err(|busy| (503, busy.to_owned()));
        crate::tell!("by HTTP: {about}");
        begun
    }
}

/// What is written down of an act.
fn summary(act: &Act) -> String {
    match act {
        Act::Kill { run, reason, flatten } => {
            format!("kill{} of run {run}: {reason}", if *flatten { " and flatten" } else { "" })
        }
        Act::Command { run, command } => match command {
            Command::Mode { mode, reason } => format!("mode {mode} of run {run}: {reason}"),
            Command::LimitsReload { reason } => {
                let reason = reason.as_deref().unwrap_or("tighter ones only");
                format!("limits reload of run {run}: {reason}")
            }
            Command::LatencyDump => format!("latency dump of run {run}"),
            Command::JournalRotate { reason } => format!("journal rotate of run {run}: {reason}"),
        },
        Act::Ask { run, request } => format!("to run {run}: {}", json!(request)),
    }
}

impl Service for Watch {
    fn answer(&mut self, request: &Request, from: Ticket, tally: &Tally) -> Option<Response> {
        let refused = |(status, what): Refused| Some(Response::error(status, &what));
        if let Err(why) = self.access.check_name(request) {
            return refused(why);
        }
        match request.method {
            Method::Get | Method::Head => self.read(request, tally).map_or_else(refused, Some),
            Method::Post => match self.act(request, from) {
                Ok(()) => None,
                Err(why) => refused(why),
            },
        }
    }

    fn told(&mut self) -> Option<(Ticket, Response)> {
        self.actor.done()
    }
}

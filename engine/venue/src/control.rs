//! The control connection (`/control`): faults on demand, and word when they are over.
//!
//! Each text is one command: a fault as in [`crate::script`] without its time, or `status`.
//!
//! ```text
//! > outage 2s
//! < {"done":"outage 2s","at_ns":1767225600050000000}
//! < {"back":"outage","at_ns":1767225602050000000}        (connections are taken again)
//! > status
//! < {"markets":2,"apis":0,"connected":5,"down":false,"silent":false,"at_ns":...}
//! > explode
//! < {"error":"unknown fault `explode`; one of: ..."}
//! ```
//!
//! Control connections are never pinged, cut or silenced; they survive an outage.

use serde_json::json;

use crate::script::{self, Fault};
use crate::venue::{ConnId, Out, Role, Venue};

/// What the control connection counts and knows.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Connections taken since the start, of any kind.
    pub connected: u64,
    /// Is there a frozen or lagging connection?
    pub has_odd_lines: bool,
}

impl Venue {
    /// One command.
    pub(crate) fn on_control(&mut self, conn: ConnId, text: &str) {
        let command = text.trim();
        let at_ns = self.pulse.now_ns();
        let answer = if command == "status" {
            let count = |wanted: fn(&Role) -> bool| {
                self.conns.values().filter(|at| wanted(&at.role)).count()
            };
            json!({
                "markets": count(|role| matches!(role, Role::Market)),
                "apis": count(|role| matches!(role, Role::Api(_) | Role::Private)),
                "connected": self.control.connected,
                "down": self.pulse.is_down(), "silent": self.pulse.is_silent(), "at_ns": at_ns,
            })
        } else {
            let unknown = |fault: &Fault| {
                fault.market().is_some_and(|symbol| self.exchange.market(symbol).is_none())
            };
            match script::fault(command) {
                Ok(fault) if unknown(&fault) => {
                    json!({"error": format!("no market `{}`", fault.market().unwrap_or_default())})
                }
                Ok(fault) => {
                    self.strike(fault);
                    json!({"done": command, "at_ns": at_ns})
                }
                Err(error) => json!({"error": error}),
            }
        };
        self.out.push_back((conn, Out::Text(answer.to_string().into())));
    }

    /// Tells every control connection that a fault is over.
    pub(crate) fn tell_back(&mut self, fault: &str) {
        let text = json!({"back": fault, "at_ns": self.pulse.now_ns()}).to_string();
        for (&conn, at) in &self.conns {
            if matches!(at.role, Role::Control) {
                self.out.push_back((conn, Out::Text(text.clone().into())));
            }
        }
    }
}

//! What travels over an engine's control socket: one JSON line each way, then the end.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commands::CommandText;
use super::orders::OrderText;

/// Longest request in bytes, its newline included.
pub const REQUEST_LEN_MAX: usize = 4 * 1024;
/// Longest reason in characters: it goes into logs and a file.
pub const REASON_LEN_MAX: usize = 500;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it goes.
    Status,
    /// No new orders, cancel what is open, stay up.
    Kill {
        /// Why, for whoever looks later.
        reason: String,
        /// Close what is held, too.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        flatten: bool,
    },
    /// Trade again.
    Resume {
        /// Why it is safe.
        reason: String,
    },
    /// What the venue says of an instrument's base asset holds: it trades again.
    AcceptBalance {
        /// Which instrument.
        symbol: String,
        /// Why it is safe.
        reason: String,
    },
    /// Another control mode; it outlives the run where it is tighter than the configuration's.
    Mode {
        /// Its name.
        mode: String,
        /// Why.
        reason: String,
    },
    /// Close circuit breakers.
    BreakerReset {
        /// Whose: `all`, `venue`, `strategy:1`, or a symbol.
        scope: String,
        /// Why what opened them is mended.
        reason: String,
    },
    /// Begin a parent order.
    Order {
        /// Which.
        order: Box<OrderText>,
        /// Why.
        reason: String,
    },
    /// Hold, resume or cancel a parent order.
    OrderAct {
        /// Its name.
        id: String,
        /// `pause`, `resume` or `cancel`.
        action: String,
        /// Why.
        reason: String,
    },
    /// A command on orders.
    OrderCommand {
        /// Which.
        command: Box<CommandText>,
        /// Why.
        reason: String,
    },
    /// All parent orders and commands that are known.
    OrderList,
    /// Write the latency histograms now.
    LatencyDump,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What was refused and the mend; absent when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The engine's status after the request.
    pub status: Value,
    /// Parent orders and commands: all of them, or the name of the one that is begun.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub orders: Value,
    /// A dump of the latency histograms: its file and its lines.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub dump: Value,
}

/// `reason` as it is kept: one line, not empty, not longer than [`REASON_LEN_MAX`].
///
/// # Errors
/// What is wrong with it.
pub fn checked_reason(reason: &str) -> Result<String, String> {
    let plain: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    if plain.is_empty() {
        return Err("the reason is empty: say in a few words what you saw".to_owned());
    }
    let length = plain.chars().count();
    if length > REASON_LEN_MAX {
        return Err(format!("the reason has {length} characters; {REASON_LEN_MAX} are enough"));
    }
    Ok(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_and_unknown_ones_do_not() {
        let kill = Request::Kill { reason: "line cut".to_owned(), flatten: false };
        let text = serde_json::to_string(&kill).expect("JSON");
        assert_eq!(text, r#"{"do":"kill","reason":"line cut"}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).expect("read"), kill);
        let flatten = Request::Kill { reason: "line cut".to_owned(), flatten: true };
        let text = serde_json::to_string(&flatten).expect("JSON");
        assert_eq!(serde_json::from_str::<Request>(&text).expect("read"), flatten);
        for bad in [r#"{"do":"dance"}"#, r#"{"do":"kill"}"#, "7", "[]"] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reasons_are_one_short_line() {
        assert_eq!(checked_reason(" a\nb "), Ok("a b".to_owned()));
        assert!(checked_reason(" \t").is_err());
        assert!(checked_reason(&"x".repeat(REASON_LEN_MAX + 1)).is_err());
    }
}

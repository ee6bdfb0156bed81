//! Refusals as the venue words them: status, code and text (protocol sheet, chapter 11).

use crate::limits::Exceeded;

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP-like status of the envelope.
    pub status: u16,
    /// Negative error code.
    pub code: i32,
    /// The text; some cases differ only by it.
    pub msg: String,
    /// `error.data` as JSON, for limits.
    pub data: Option<String>,
}

impl ApiError {
    /// Status 400 with this code and text.
    #[must_use]
    pub fn new(code: i32, msg: &str) -> Self {
        Self { status: 400, code, msg: msg.to_owned(), data: None }
    }

    /// -1102: a parameter is missing.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self::new(
            -1102,
            &format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
        )
    }

    /// -1100: a parameter has characters that it may not have.
    #[must_use]
    pub fn illegal(name: &str, legal: &str) -> Self {
        Self::new(
            -1100,
            &format!("Illegal characters found in parameter '{name}'; legal range is '{legal}'."),
        )
    }

    /// -1013: a filter.
    #[must_use]
    pub fn filter(name: &str) -> Self {
        Self::new(-1013, &format!("Filter failure: {name}"))
    }

    /// The answer to an exceeded limit.
    #[must_use]
    pub fn exceeded(exceeded: Exceeded, weight_limit: u32, now_ms: u64) -> Self {
        let (status, code, msg, until) = match exceeded {
            Exceeded::Weight(until) => {
                let msg = format!(
                    "Too much request weight used; current limit is {weight_limit} request \
                     weight per 1 MINUTE. Please use WebSocket Streams for live updates to \
                     avoid polling the API."
                );
                (429, -1003, msg, until)
            }
            Exceeded::Orders(limit, interval, until) => {
                let msg =
                    format!("Too many new orders; current limit is {limit} orders per {interval}.");
                (429, -1015, msg, until)
            }
            Exceeded::Banned(until) => {
                let msg = format!(
                    "Way too much request weight used; IP banned until {until}. Please use \
                     WebSocket Streams for live updates to avoid bans."
                );
                (418, -1003, msg, until)
            }
        };
        let data = Some(format!(r#"{{"serverTime":{now_ms},"retryAfter":{until}}}"#));
        Self { status, code, msg, data }
    }
}

//! What a refusal of the venue means for an order.
//!
//! Source: the Binance sheet, chapters 4, 10 and 11. The rule that costs money if it is wrong:
//! an answer that does not prove that the request was *not* executed leaves the order's fate
//! unknown.

use bot4_types::DoneReason;

/// The cases that decisions tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The engine did not answer or the server failed: the order may exist.
    OutcomeUnknown,
    /// Overloaded; the request was not executed and may be repeated later.
    Overloaded,
    /// Request weight exceeded (429).
    WeightExceeded,
    /// Too many unfilled orders in the window.
    TooManyOrders,
    /// The address is banned (418); going on prolongs the ban.
    Banned,
    /// Blocked by the web firewall (403).
    Forbidden,
    /// The timestamp lies outside the window: the request came too late or the clock is off.
    Timestamp,
    /// Signature wrong.
    Signature,
    /// Key malformed, unknown, without permission, or the session was revoked.
    Key,
    /// A filter of the instrument refused the order.
    Filter,
    /// Not enough balance.
    Balance,
    /// A post-only order would have taken.
    WouldTake,
    /// A stop price on the wrong side.
    WouldTrigger,
    /// An open order has this client id.
    Duplicate,
    /// The market is closed.
    MarketClosed,
    /// The account may not trade the symbol.
    NotPermitted,
    /// The symbol does not allow this self-trade prevention mode.
    SelfTradeMode,
    /// "Unknown order sent.": not open any more, or never was. Ask for its state.
    UnknownOrder,
    /// "Order does not exist." in a query.
    NotFound,
    /// Cancelled or expired without a fill, long ago.
    Archived,
    /// A cancel was refused for another reason; the order is open.
    CancelRefused,
    /// A parameter is malformed: a bug of ours.
    Parameter,
    /// The user event subscription is active already.
    AlreadySubscribed,
    /// Any other refusal.
    Other,
}

/// A refusal, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The venue's code.
    pub code: i32,
    /// The status of the answer.
    pub status: u16,
    /// What it means.
    pub kind: ErrorKind,
    /// Not before this time (venue Unix ms) the request may be repeated; zero where not said.
    pub retry_after_ms: i64,
}

impl ApiError {
    /// Reads the meaning of status, code and text.
    #[must_use]
    pub fn new(status: u16, code: i32, msg: &str, retry_after_ms: i64) -> Self {
        Self { code, status, kind: kind_of(status, code, msg), retry_after_ms }
    }

    /// The request may have been executed.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        matches!(self.kind, ErrorKind::OutcomeUnknown)
    }

    /// No request may be sent before [`ApiError::retry_after_ms`].
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::WeightExceeded | ErrorKind::TooManyOrders | ErrorKind::Banned
        )
    }

    /// Why an order that was refused with this ended. Meaningless when the outcome is unknown.
    #[must_use]
    pub const fn done_reason(&self) -> DoneReason {
        match self.kind {
            ErrorKind::Filter => DoneReason::Filter,
            ErrorKind::Balance => DoneReason::Balance,
            ErrorKind::WouldTake => DoneReason::WouldTake,
            ErrorKind::WeightExceeded
            | ErrorKind::TooManyOrders
            | ErrorKind::Banned
            | ErrorKind::Overloaded => DoneReason::RateLimit,
            ErrorKind::Timestamp => DoneReason::Window,
            ErrorKind::UnknownOrder | ErrorKind::NotFound | ErrorKind::Archived => {
                DoneReason::NotFound
            }
            ErrorKind::Key | ErrorKind::Signature => DoneReason::NoSession,
            _ => DoneReason::Other,
        }
    }
}

fn kind_of(status: u16, code: i32, msg: &str) -> ErrorKind {
    use ErrorKind as K;
    match code {
        // Proven not executed, although it may come with a 5xx status.
        -1008 => K::Overloaded,
        -1000 | -1001 | -1006 | -1007 => K::OutcomeUnknown,
        _ if status >= 500 => K::OutcomeUnknown,
        _ if status == 418 => K::Banned,
        -1015 => K::TooManyOrders,
        -1003 => K::WeightExceeded,
        -1021 => K::Timestamp,
        -1022 => K::Signature,
        -2014 | -2015 => K::Key,
        -1013 => rule_kind(msg),
        -2010 => order_kind(msg),
        -2011 if msg == "Unknown order sent." => K::UnknownOrder,
        -2011 | -1145 | -2039 => K::CancelRefused,
        -2013 => K::NotFound,
        -2026 => K::Archived,
        -2035 => K::AlreadySubscribed,
        -1135..=-1100 | -1194 => K::Parameter,
        _ if status == 429 => K::WeightExceeded,
        _ if status == 403 => K::Forbidden,
        _ if status == 401 => K::Key,
        _ => K::Other,
    }
}

fn rule_kind(msg: &str) -> ErrorKind {
    const STP: &str = "This symbol does not allow the specified self-trade prevention mode.";
    if msg == STP { ErrorKind::SelfTradeMode } else { ErrorKind::Filter }
}

fn order_kind(msg: &str) -> ErrorKind {
    match msg {
        "Account has insufficient balance for requested action." => ErrorKind::Balance,
        "Order would immediately match and take." => ErrorKind::WouldTake,
        "Order would trigger immediately." => ErrorKind::WouldTrigger,
        "Duplicate order sent." => ErrorKind::Duplicate,
        "Market is closed." => ErrorKind::MarketClosed,
        "This symbol is not permitted for this account." => ErrorKind::NotPermitted,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: i32, msg: &str) -> ErrorKind {
        ApiError::new(status, code, msg, 0).kind
    }

    #[test]
    fn only_proof_of_absence_is_a_refusal() {
        for (status, code) in [(500, 0), (504, -1007), (400, -1006), (400, -1000), (503, -2010)] {
            assert!(ApiError::new(status, code, "", 0).outcome_unknown(), "{status} {code}");
        }
        for (status, code) in [(503, -1008), (400, -2010), (429, -1015), (418, -1003), (400, -1021)]
        {
            assert!(!ApiError::new(status, code, "", 0).outcome_unknown(), "{status} {code}");
        }
    }

    #[test]
    fn texts_separate_what_codes_do_not() {
        let balance = "Account has insufficient balance for requested action.";
        assert_eq!(kind(400, -2010, balance), ErrorKind::Balance);
        let take = "Order would immediately match and take.";
        assert_eq!(kind(400, -2010, take), ErrorKind::WouldTake);
        assert_eq!(kind(400, -2010, "Duplicate order sent."), ErrorKind::Duplicate);
        assert_eq!(kind(400, -1013, "Filter failure: LOT_SIZE"), ErrorKind::Filter);
        assert_eq!(kind(400, -2011, "Unknown order sent."), ErrorKind::UnknownOrder);
        let restricted = "Order was not canceled due to cancel restrictions.";
        assert_eq!(kind(400, -2011, restricted), ErrorKind::CancelRefused);
        assert_eq!(kind(401, -2015, ""), ErrorKind::Key);
        assert_eq!(kind(418, -1003, ""), ErrorKind::Banned);
        assert_eq!(kind(400, -1121, "Invalid symbol."), ErrorKind::Parameter);
    }

    #[test]
    fn reasons_follow_the_kind() {
        let reason = |status, code, msg| ApiError::new(status, code, msg, 0).done_reason();
        assert_eq!(reason(400, -1013, "Filter failure: NOTIONAL"), DoneReason::Filter);
        assert_eq!(reason(429, -1015, ""), DoneReason::RateLimit);
        assert_eq!(reason(400, -1021, ""), DoneReason::Window);
        assert_eq!(reason(400, -2013, ""), DoneReason::NotFound);
        assert!(ApiError::new(429, -1015, "", 5).is_limit());
    }
}

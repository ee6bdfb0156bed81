//! What a refusal of the venue means. Source: the Coinbase sheet, chapter A.7, and the venue's
//! published lists of reasons.
//!
//! The rule that costs money if it is wrong: only a reason that proves that nothing happened ends
//! an order. A reason that is not listed here leaves its fate open.

use bot4_types::DoneReason;

use crate::account::Refusal;

/// Why a new order was refused, by the `error` of its answer.
#[must_use]
pub fn of_order(error: &str) -> Refusal {
    use DoneReason as D;
    Refusal::Refused(match error {
        "INSUFFICIENT_FUND" | "INSUFFICIENT_FUNDS" | "INVALID_LEDGER_BALANCE" => D::Balance,
        "INVALID_LIMIT_PRICE_POST_ONLY" => D::WouldTake,
        "INVALID_SIZE_PRECISION"
        | "INVALID_PRICE_PRECISION"
        | "INVALID_LIMIT_PRICE"
        | "INVALID_PRODUCT_ID"
        | "INVALID_BASE_SIZE_TOO_LARGE"
        | "INVALID_BASE_SIZE_TOO_SMALL"
        | "INVALID_QUOTE_SIZE_TOO_LARGE"
        | "INVALID_QUOTE_SIZE_TOO_SMALL"
        | "UNTRADABLE_PRODUCT"
        | "INELIGIBLE_PAIR" => D::Filter,
        "INVALID_NO_LIQUIDITY"
        | "INVALID_SIDE"
        | "INVALID_REQUEST"
        | "UNSUPPORTED_ORDER_CONFIGURATION"
        | "ORDER_ENTRY_DISABLED"
        | "GEOFENCING_RESTRICTION"
        | "COMMANDER_REJECTED_NEW_ORDER" => D::Other,
        _ => return Refusal::OutcomeUnknown,
    })
}

/// Why an order was refused before it was one, by a reason of the venue's look ahead; `None` for
/// any other text.
#[must_use]
pub fn of_preview(reason: &str) -> Option<Refusal> {
    use DoneReason as D;
    Some(Refusal::Refused(match reason.strip_prefix("PREVIEW_")? {
        "INSUFFICIENT_FUND" | "INSUFFICIENT_FUNDS" => D::Balance,
        "INVALID_STOP_PRICE" | "INVALID_STOP_PRICE_PRECISION" => D::Filter,
        "STOP_PRICE_ABOVE_LIMIT_PRICE" | "STOP_PRICE_BELOW_LIMIT_PRICE" => D::Filter,
        "STOP_PRICE_ABOVE_LAST_TRADE_PRICE" | "STOP_PRICE_BELOW_LAST_TRADE_PRICE" => D::Other,
        _ => return None,
    }))
}

/// Why a cancel was refused, by its `failure_reason`. All but "not known" ask for the order: it
/// may have been filled a moment ago.
#[must_use]
pub fn of_cancel(reason: &str) -> Refusal {
    match reason {
        "UNKNOWN_CANCEL_ORDER" => Refusal::NotFound,
        _ => Refusal::OutcomeUnknown,
    }
}

/// Why an edit was refused, by its `edit_failure_reason`: then the order stays as it is, unless it
/// has ended.
#[must_use]
pub fn of_edit(reason: &str) -> Refusal {
    use DoneReason as D;
    match reason {
        "ORDER_NOT_FOUND" => Refusal::NotFound,
        "INVALID_EDITED_SIZE" | "INVALID_EDITED_PRICE" => Refusal::Refused(D::Filter),
        "CANNOT_EDIT_TO_BELOW_FILLED_SIZE"
        | "ONLY_LIMIT_ORDER_EDITS_SUPPORTED"
        | "COMMANDER_REJECTED_EDIT_ORDER" => Refusal::Refused(D::Other),
        _ => Refusal::OutcomeUnknown,
    }
}

/// What the HTTP status of an answer means, where it says all; `None` where the body does. A 404
/// may be somebody's between us and the venue.
#[must_use]
pub fn of_status(status: u16) -> Option<Refusal> {
    match status {
        200 | 400 => None,
        401 | 403 => Some(Refusal::Session),
        429 => Some(Refusal::Limited { until_ms: 0, orders_only: false }),
        // No answer, or a server that does not know either.
        _ => Some(Refusal::OutcomeUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proof_of_absence_is_a_refusal() {
        for error in ["UNKNOWN_FAILURE_REASON", "", "SOMETHING_NEW"] {
            assert_eq!(of_order(error), Refusal::OutcomeUnknown, "{error}");
        }
        assert_eq!(of_preview("PREVIEW_SOMETHING_NEW"), None);
        let passed = of_preview("PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE");
        assert_eq!(passed, Some(Refusal::Refused(DoneReason::Other)));
        assert_eq!(of_order("INSUFFICIENT_FUND"), Refusal::Refused(DoneReason::Balance));
        for status in [0, 404, 408, 500, 502, 503, 504, 520] {
            assert_eq!(of_status(status), Some(Refusal::OutcomeUnknown), "{status}");
        }
        assert_eq!(of_status(200), None);
        assert_eq!(of_status(401), Some(Refusal::Session));
        assert_eq!(of_edit("UNKNOWN_EDIT_ORDER_FAILURE_REASON"), Refusal::OutcomeUnknown);
        assert_eq!(of_edit("INVALID_EDITED_SIZE"), Refusal::Refused(DoneReason::Filter));
        assert_eq!(of_edit("ORDER_NOT_FOUND"), Refusal::NotFound);
        assert_eq!(of_cancel("UNKNOWN_CANCEL_ORDER"), Refusal::NotFound);
        assert_eq!(of_cancel("COMMANDER_REJECTED_CANCEL_ORDER"), Refusal::OutcomeUnknown);
    }
}

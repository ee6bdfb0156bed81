//! What a refusal of the venue means. Source: the Kraken sheet, chapters 6 and 7. Refusals are
//! texts: `<Severity><Category>:<Message>`, or a sentence of the gateway in front of the engine.
//!
//! The rule that costs money if it is wrong: only a text that proves that nothing happened ends an
//! order. A text that is not listed here leaves its fate open.

use bot4_types::DoneReason;

use crate::account::Refusal;

/// What `text` means.
#[must_use]
pub fn refusal(text: &str) -> Refusal {
    use DoneReason as D;
    use Refusal as R;
    let (category, message) = text.split_once(':').unwrap_or(("", text));
    let message = message.trim_start();
    let begins = |part: &str| message.starts_with(part);
    match category {
        "EOrder" if begins("Insufficient") => R::Refused(D::Balance),
        "EOrder" if begins("Rate limit") => R::Limited { until_ms: 0, orders_only: true },
        "EOrder" if begins("Unknown order") => R::NotFound,
        "EOrder" if begins("Post only") => R::Refused(D::WouldTake),
        "EOrder" if is_filter(message) => R::Refused(D::Filter),
        "EGeneral" if begins("Permission denied") => R::Session,
        // A deadline too near or too far away.
        "EGeneral" if begins("Invalid arguments:deadline") => R::Refused(D::Window),
        "EGeneral" if begins("Invalid arguments") => R::Refused(D::Other),
        "EService" if begins("Deadline elapsed") => R::Refused(D::Window),
        "EService" if begins("Market in") => R::Refused(D::Other),
        "EService" if begins("Throttled") => {
            R::Limited { until_ms: throttled(message), orders_only: false }
        }
        // The key's next request must have a larger nonce: a clock is behind another session's.
        "EAPI" if begins("Invalid nonce") => R::Refused(D::Window),
        "EAPI" if begins("Rate limit") => R::Limited { until_ms: 0, orders_only: false },
        "EAPI" if begins("Invalid key") || begins("Invalid signature") => R::Session,
        "ESession" => R::Session,
        "" if begins("Token(s) not found") => R::Session,
        "" if begins("Already subscribed") => R::Refused(D::None),
        "" if begins("Unsupported") || message.contains(" field must be ") => R::Refused(D::Other),
        // EService:Unavailable, Timeout, Busy and what is not known: it may have happened.
        _ => R::OutcomeUnknown,
    }
}

fn is_filter(message: &str) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "Order minimum not met",
        "Cost minimum not met",
        "Tick size check failed",
        "Invalid price",
        "Orders limit exceeded",
        "Positions limit exceeded",
        "Margin",
    ];
    BEGINNINGS.iter().any(|begins| message.starts_with(begins))
}

/// `Throttled: 1700000000`: until then, Unix s.
fn throttled(message: &str) -> i64 {
    let until = message.rsplit(' ').next().and_then(|text| text.parse::<i64>().ok());
    until.unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proof_of_absence_is_a_refusal() {
        for text in [
            "EService:Unavailable",
            "EService:Timeout",
            "EService:Busy",
            "EOrder:Something new",
            "EGeneral:Internal error",
            "EOrder:Duplicate cl_ord_id",
            "",
        ] {
            assert_eq!(refusal(text), Refusal::OutcomeUnknown, "{text}");
        }
        let refused = [
            ("EOrder:Insufficient funds", DoneReason::Balance),
            ("EOrder:Order minimum not met", DoneReason::Filter),
            ("EOrder:Tick size check failed", DoneReason::Filter),
            ("EOrder:Post only order", DoneReason::WouldTake),
            ("EService:Deadline elapsed", DoneReason::Window),
            ("EService:Market in cancel_only mode", DoneReason::Other),
            ("EGeneral:Invalid arguments:no_mpp", DoneReason::Other),
            ("EAPI:Invalid nonce", DoneReason::Window),
            ("EGeneral:Invalid arguments:deadline", DoneReason::Window),
            ("Limit_price field must be a number_float", DoneReason::Other),
            ("Already subscribed", DoneReason::None),
        ];
        for (text, reason) in refused {
            assert_eq!(refusal(text), Refusal::Refused(reason), "{text}");
        }
        assert_eq!(refusal("EOrder:Unknown order"), Refusal::NotFound);
        assert_eq!(refusal("Token(s) not found"), Refusal::Session);
        let orders = Refusal::Limited { until_ms: 0, orders_only: true };
        assert_eq!(refusal("EOrder:Rate limit exceeded"), orders);
        let all = Refusal::Limited { until_ms: 1_700_000_000_000, orders_only: false };
        assert_eq!(refusal("EService: Throttled: 1700000000"), all);
    }
}

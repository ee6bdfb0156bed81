//! The worst price at which an order of ours can meet another one.

use bot4_types::{OrderIntent, Side};

/// Worst price at which the order of `intent` can trade as it arrives, price units. One that waits
/// for its trigger meets nothing.
#[must_use]
pub const fn match_limit(intent: &OrderIntent) -> i64 {
    match (intent.kind.is_triggered(), intent.side) {
        (true, Side::Buy) => -1,
        (true, Side::Sell) => i64::MAX,
        (false, _) => limit_when_working(intent),
    }
}

/// Worst price at which the order of `intent` can trade once nothing holds it back.
pub(super) const fn limit_when_working(intent: &OrderIntent) -> i64 {
    match (intent.kind.is_market(), intent.side) {
        (true, Side::Buy) => i64::MAX - 1,
        (true, Side::Sell) => 0,
        (false, _) => intent.price.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::intent;
    use bot4_types::OrderKind;

    /// Not even an order at any price meets one that waits.
    #[test]
    fn what_waits_meets_nothing() {
        let of = |kind, side| match_limit(&OrderIntent { kind, side, ..intent() });
        for kind in OrderKind::ALL.iter().copied().filter(|k| k.is_triggered()) {
            assert!(of(OrderKind::Market, Side::Buy) < of(kind, Side::Sell));
            assert!(of(OrderKind::Market, Side::Sell) > of(kind, Side::Buy));
        }
        assert!(of(OrderKind::Market, Side::Buy) > of(OrderKind::Limit, Side::Sell));
    }
}

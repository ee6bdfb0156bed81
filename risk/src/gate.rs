//! The gate: the ordered roster of checks, and the only place that seals an approval.
//!
//! Invariant: an [`ApprovedOrder`] exists only for an [`Approval`], and an [`Approval`] only for
//! an intent that passed its whole roster. Cost: a walk over function pointers, every check O(1).

use bot4_types::{ApprovedOrder, OrderAction, OrderIntent, RefuseReason, Trail};

use crate::checks::{
    CheckInput, balance, book, cancel, collar, correlation, duplicate, expiry, heat, instrument,
    kill, mark_age, notional, open_orders, position, price, rate, self_trade, session, shortfall,
    size, stop, unknown,
};

/// One line of a roster.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, as in `checks/<name>.rs`.
    pub name: &'static str,
    /// The check.
    pub run: fn(&CheckInput<'_>) -> Result<(), RefuseReason>,
}

const fn line(name: &'static str, run: fn(&CheckInput<'_>) -> Result<(), RefuseReason>) -> Check {
    Check { name, run }
}

/// What a new order must pass, in this order.
pub const PLACE_ROSTER: &[Check] = &[
    line("kill", kill::check),
    line("instrument", instrument::check),
    line("session", session::check),
    line("duplicate", duplicate::check),
    line("expiry", expiry::check),
    line("book", book::check),
    line("mark_age", mark_age::check),
    line("price", price::check),
    line("collar", collar::check),
    line("size", size::check),
    line("notional", notional::check),
    line("stop", stop::check),
    line("rate", rate::check),
    line("open_orders", open_orders::check),
    line("unknown", unknown::check),
    line("self_trade", self_trade::check),
    line("position", position::check),
    line("balance", balance::check),
    line("correlation", correlation::check),
    line("shortfall", shortfall::check),
    line("heat", heat::check),
];

/// What a cancel must pass, in this order.
pub const CANCEL_ROSTER: &[Check] =
    &[line("cancel_open", cancel::check_open), line("cancel_rate", cancel::check_rate)];

/// Proof that an intent passed its whole roster. Made here alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    intent: OrderIntent,
}

impl Approval {
    /// What was approved.
    #[must_use]
    pub const fn intent(&self) -> &OrderIntent {
        &self.intent
    }

    /// The same approval with the stamps of `trail`, which no decision reads.
    #[must_use]
    pub const fn stamped(self, trail: Trail) -> Self {
        Self { intent: OrderIntent { trail, ..self.intent } }
    }

    /// Seals the approval; `record` is the log sequence of its record.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the gate is the one place that seals")]
    pub const fn seal(&self, record: u64) -> ApprovedOrder {
        ApprovedOrder::seal(self.intent, record)
    }
}

/// Runs the roster of the intent's action.
///
/// # Errors
/// The reason of the first check that does not hold.
pub fn judge(input: &CheckInput<'_>) -> Result<Approval, RefuseReason> {
    let roster = match input.intent.action {
        OrderAction::Place => PLACE_ROSTER,
        OrderAction::Cancel => CANCEL_ROSTER,
    };
    for check in roster {
        (check.run)(input)?;
    }
    Ok(Approval { intent: *input.intent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
    use bot4_lanes::Phase;
    use bot4_types::{OrderId, Side};

    fn verdict(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
        judge(input).map(|approval| assert_eq!(approval.intent(), input.intent))
    }

    #[test]
    fn the_plain_order_passes_and_the_first_reason_wins() {
        assert_eq!(Fixture::default().run(verdict), Ok(()));
        let much = Fixture::with(|f| {
            f.phase = Phase::Kill;
            f.session_ready = false;
            f.intent.qty.0 = -1;
        });
        assert_eq!(much.run(verdict), Err(RefuseReason::Killed));
    }

    /// Every reason that the roster knows comes out of the gate itself, not only of its check.
    #[test]
    fn each_check_is_on_the_roster() {
        use RefuseReason as R;
        type Spoil = (RefuseReason, fn(&mut Fixture));
        let spoil: &[Spoil] = &[
            (R::Draining, |f| f.phase = Phase::Drain),
            (R::UnknownInstrument, |f| f.intent.instrument.0 = 7),
            (R::NotTradable, |f| f.instrument.tradable = false),
            (R::Session, |f| f.session_ready = false),
            (R::DuplicateId, |f| f.order_last = f.intent.order),
            (R::Expired, |f| f.intent.expires = f.now),
            (R::BookNotLive, |f| f.mark.state = bot4_types::BookState::Stale),
            (R::BookStale, |f| f.mark.at = bot4_types::Nanos(0)),
            (R::Tick, |f| f.intent.price.0 += 1),
            (R::PriceBounds, |f| f.instrument.price_max.0 = 1_000_000),
            (R::PriceCollar, |f| f.intent.price.0 = 104 * crate::checks::fixture::ONE),
            (R::Lot, |f| f.intent.qty.0 += 1),
            (R::SizeMin, |f| f.intent.qty.0 = 0),
            (R::SizeMax, |f| f.limits.order_base_max = 1),
            (R::NotionalMin, |f| f.instrument.notional_min = i128::MAX),
            (R::NotionalMax, |f| f.limits.order_value_max = 1),
            (R::MissingStop, |f| f.intent.stop_ticks = 0),
            (R::Rate, |f| f.orders_taken = 10_000),
            (R::Position, |f| f.equity = None),
            (R::Balance, |f| f.balances.clear()),
            (R::Correlation, |f| {
                f.limits.statistics.correlation_from_e6 = 0;
                f.held = crate::checks::fixture::ONE;
            }),
            (R::Shortfall, |f| f.limits.statistics.shortfall_equity_e6 = 1),
            (R::Heat, |f| f.limits.statistics.heat_equity_e6 = 1),
        ];
        for (reason, change) in spoil {
            assert_eq!(Fixture::with(change).run(verdict), Err(*reason));
        }
    }

    #[test]
    fn own_orders_are_looked_at() {
        let resting = |side| OrderIntent { order: OrderId(1), side, ..intent() };
        let other = Fixture::with(|f| f.resting = vec![resting(Side::Sell)]);
        assert_eq!(other.run(verdict), Err(RefuseReason::SelfTrade));
        let mut same = Fixture::with(|f| f.resting = vec![resting(Side::Buy)]);
        assert_eq!(same.run(verdict), Ok(()));
        same.limits.open_orders_max = 1;
        assert_eq!(same.run(verdict), Err(RefuseReason::OpenOrders));
        same.limits.open_orders_max = 2;
        same.unknown = vec![OrderId(1)];
        assert_eq!(same.run(verdict), Err(RefuseReason::Unknown));
    }

    #[test]
    fn a_cancel_passes_while_everything_else_stands_still() {
        let cancel = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
            f.intent = OrderIntent { action: OrderAction::Cancel, order: OrderId(1), ..intent() };
            f.phase = Phase::Kill;
            f.session_ready = false;
            f.mark = bot4_types::Mark::default();
        });
        assert_eq!(cancel.run(verdict), Ok(()));
    }
}

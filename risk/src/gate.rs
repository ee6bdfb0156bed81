//! The gate: the ordered rosters of checks, and the only place that seals an approval.
//!
//! Invariant: an [`ApprovedOrder`] exists only for an [`Approval`], and an [`Approval`] only for
//! an intent that passed its whole roster: a new order passes the [`PLACE_ROSTER`]; one that can
//! only bring positions nearer to zero ([`CheckInput::reduces`]) passes the shorter
//! [`REDUCE_ROSTER`]; a cancel the [`CANCEL_ROSTER`]. An amend passes what its order would have to
//! pass, for its difference: the [`AMEND_ROSTER`], the [`AMEND_REDUCE_ROSTER`], or, when it only
//! takes quantity away, the [`TRIM_ROSTER`].
//!
//! Cost: every check is O(1); a roster is compiled into one function, so that what several checks
//! look up is looked up once.

use bot4_types::{ApprovedOrder, OrderAction, OrderIntent, RefuseReason, Trail};

use crate::checks::{
    CheckInput, amend, balance, book, breaker, cancel, collar, correlation, daily_loss, drawdown,
    duplicate, expiry, fat_notional, fat_size, gross, heat, instrument, kill, leverage, margin,
    mark_age, mode, net, notional, open_orders, position, price, rate, reduce_only, self_trade,
    session, shed, shortfall, size, stop, trigger, unknown, weight,
};

/// One line of a roster.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, as in `checks/<name>.rs`.
    pub name: &'static str,
    /// The check.
    pub run: fn(&CheckInput<'_>) -> Result<(), RefuseReason>,
}

/// Makes a roster twice from the same lines: a table for those who want to see or measure its
/// checks one by one, and a function that runs them in order without a call between them.
macro_rules! roster {
    ($(#[$about:meta])* $table:ident, $run:ident: $($name:literal => $check:path,)+) => {
        $(#[$about])*
        pub const $table: &[Check] = &[$(Check { name: $name, run: $check },)+];

        #[doc = concat!("Runs [`", stringify!($table), "`].\n\n# Errors\n")]
        /// The reason of the first check that does not hold.
        #[inline]
        pub fn $run(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
            $($check(input)?;)+
            Ok(())
        }
    };
}

roster! {
    /// What a new order must pass, in this order.
    PLACE_ROSTER, judge_place:
    "kill" => kill::check,
    "mode" => mode::check,
    "breaker" => breaker::check,
    "shed" => shed::check,
    "instrument" => instrument::check,
    "session" => session::check,
    "duplicate" => duplicate::check,
    "reduce_only" => reduce_only::check,
    "expiry" => expiry::check,
    "book" => book::check,
    "mark_age" => mark_age::check,
    "price" => price::check,
    "trigger" => trigger::check,
    "collar" => collar::check,
    "size" => size::check,
    "notional" => notional::check,
    "fat_size" => fat_size::check,
    "fat_notional" => fat_notional::check,
    "stop" => stop::check,
    "rate" => rate::check,
    "weight" => weight::check,
    "open_orders" => open_orders::check,
    "unknown" => unknown::check,
    "self_trade" => self_trade::check,
    "position" => position::check,
    "gross" => gross::check,
    "net" => net::check,
    "leverage" => leverage::check,
    "margin" => margin::check,
    "daily_loss" => daily_loss::check,
    "drawdown" => drawdown::check,
    "balance" => balance::check,
    "correlation" => correlation::check,
    "shortfall" => shortfall::check,
    "heat" => heat::check,
}

roster! {
    /// What an order must pass that can only reduce, in this order. What bounds exposure and loss
    /// is not here; a book that is not live stops it only where the market is its cause.
    REDUCE_ROSTER, judge_reduce:
    "kill" => kill::check,
    "mode" => mode::check,
    "instrument" => instrument::check,
    "session" => session::check,
    "duplicate" => duplicate::check,
    "expiry" => expiry::check,
    "book" => book::check,
    "mark_age" => mark_age::check,
    "price" => price::check,
    "trigger" => trigger::check,
    "collar" => collar::check,
    "size" => size::check,
    "notional" => notional::check,
    "fat_size" => fat_size::check,
    "fat_notional" => fat_notional::check,
    "rate" => rate::check,
    "weight" => weight::check,
    "open_orders" => open_orders::check,
    "self_trade" => self_trade::check,
    "balance" => balance::check,
}

roster! {
    /// What an amend must pass that changes the price or adds quantity: the checks of a new order
    /// but for its number and its place among the open ones.
    AMEND_ROSTER, judge_amend:
    "kill" => kill::check,
    "mode" => mode::check,
    "breaker" => breaker::check,
    "shed" => shed::check,
    "instrument" => instrument::check,
    "session" => session::check,
    "amend" => amend::check,
    "reduce_only" => reduce_only::check,
    "expiry" => expiry::check,
    "book" => book::check,
    "mark_age" => mark_age::check,
    "price" => price::check,
    "collar" => collar::check,
    "size" => size::check,
    "notional" => notional::check,
    "fat_size" => fat_size::check,
    "fat_notional" => fat_notional::check,
    "stop" => stop::check,
    "rate" => rate::check,
    "weight" => weight::check,
    "unknown" => unknown::check,
    "self_trade" => self_trade::check,
    "position" => position::check,
    "gross" => gross::check,
    "net" => net::check,
    "leverage" => leverage::check,
    "margin" => margin::check,
    "daily_loss" => daily_loss::check,
    "drawdown" => drawdown::check,
    "balance" => balance::check,
    "correlation" => correlation::check,
    "shortfall" => shortfall::check,
    "heat" => heat::check,
}

roster! {
    /// What such an amend must pass of an order that can only reduce.
    AMEND_REDUCE_ROSTER, judge_amend_reduce:
    "kill" => kill::check,
    "mode" => mode::check,
    "instrument" => instrument::check,
    "session" => session::check,
    "amend" => amend::check,
    "expiry" => expiry::check,
    "book" => book::check,
    "mark_age" => mark_age::check,
    "price" => price::check,
    "collar" => collar::check,
    "size" => size::check,
    "notional" => notional::check,
    "fat_size" => fat_size::check,
    "fat_notional" => fat_notional::check,
    "rate" => rate::check,
    "weight" => weight::check,
    "self_trade" => self_trade::check,
    "balance" => balance::check,
}

roster! {
    /// What an amend must pass that only takes quantity away: it cannot add to any exposure, so
    /// no limit stops it and it has the rate of cancels. While the engine stops, orders are
    /// cancelled, not trimmed.
    TRIM_ROSTER, judge_trim:
    "kill" => kill::check,
    "instrument" => instrument::check,
    "session" => session::check,
    "amend" => amend::check,
    "expiry" => expiry::check,
    "size" => size::check,
    "notional" => notional::check,
    "cancel_rate" => cancel::check_rate,
    "cancel_weight" => cancel::check_weight,
}

roster! {
    /// What a cancel must pass, in this order.
    CANCEL_ROSTER, judge_cancel:
    "cancel_open" => cancel::check_open,
    "cancel_rate" => cancel::check_rate,
    "cancel_weight" => cancel::check_weight,
}

roster! {
    /// The checks of the place roster that hold an order against a limit of ours, by themselves:
    /// what they cost together is a figure of the bench.
    LIMIT_CHECKS, judge_limits:
    "collar" => collar::check,
    "fat_size" => fat_size::check,
    "fat_notional" => fat_notional::check,
    "rate" => rate::check,
    "weight" => weight::check,
    "open_orders" => open_orders::check,
    "position" => position::check,
    "gross" => gross::check,
    "net" => net::check,
    "leverage" => leverage::check,
    "margin" => margin::check,
    "daily_loss" => daily_loss::check,
    "drawdown" => drawdown::check,
}

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
    match input.intent.action {
        OrderAction::Cancel => judge_cancel(input)?,
        OrderAction::Amend if input.trims() => judge_trim(input)?,
        OrderAction::Amend if input.reduces() => judge_amend_reduce(input)?,
        OrderAction::Amend => judge_amend(input)?,
        OrderAction::Place if input.reduces() => judge_reduce(input)?,
        OrderAction::Place => judge_place(input)?,
    }
    Ok(Approval { intent: *input.intent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::BreakerScope;
    use crate::checks::fixture::{Fixture, intent};
    use crate::limits::units;
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
            (R::BreakerVenue, |f| f.tripped = vec![BreakerScope::Venue]),
            (R::Shed, |f| f.shed = true),
            (R::UnknownInstrument, |f| f.intent.instrument.0 = 7),
            (R::InstrumentChanging, |f| f.changing = true),
            (R::InstrumentPaused, |f| f.paused = true),
            (R::NotTradable, |f| f.instrument.tradable = false),
            (R::Session, |f| f.session_ready = false),
            (R::DuplicateId, |f| f.order_last = f.intent.order),
            (R::ReduceOnly, |f| f.intent.reduce_only = true),
            (R::Trigger, |f| f.intent.trigger.0 = 95 * crate::checks::fixture::ONE),
            (R::Expired, |f| f.intent.expires = f.now),
            (R::BookNotLive, |f| f.mark.state = bot4_types::BookState::Stale),
            (R::BookStale, |f| f.mark.at = bot4_types::Nanos(0)),
            (R::Tick, |f| f.intent.price.0 += 1),
            (R::PriceBounds, |f| f.instrument.price_max.0 = 1_000_000),
            (R::PriceCollar, |f| f.intent.price.0 = 104 * crate::checks::fixture::ONE),
            (R::Lot, |f| f.intent.qty.0 += 1),
            (R::SizeMin, |f| f.intent.qty.0 = 0),
            (R::SizeMax, |f| f.instrument.qty_max.0 = 1),
            (R::NotionalMin, |f| f.instrument.notional_min = i128::MAX),
            (R::NotionalMax, |f| f.instrument.notional_max = 1),
            (R::FatSize, |f| f.limits.order_base_max = 1),
            (R::FatNotional, |f| f.limits.order_value_max = 1),
            (R::MissingStop, |f| f.intent.stop_ticks = 0),
            (R::Rate, |f| f.orders_taken = 10_000),
            (R::Weight, |f| f.limits.weight_reserve = f.limits.weight_burst),
            (R::Position, |f| f.equity = None),
            (R::Gross, |f| f.limits.gross_value_max = 1),
            (R::Net, |f| f.limits.net_value_max = 1),
            (R::Leverage, |f| f.limits.leverage_e4 = 1),
            (R::Margin, |f| {
                (f.limits.maintenance_e4, f.limits.margin_distance_e4) = (10_000, 10_000_000_000);
            }),
            (R::DailyLoss, |f| f.day_open = units(200_000)),
            (R::Drawdown, |f| f.peak = units(200_000)),
            (R::Mode, |f| f.mode = bot4_types::ControlMode::Emergency),
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

    fn amend(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
            f.live = vec![OrderId(1)];
            f.intent = OrderIntent { action: OrderAction::Amend, order: OrderId(1), ..intent() };
        });
        change(&mut fixture);
        fixture.run(verdict)
    }

    /// One that adds must pass the limits for what it adds, one that takes away none of them.
    #[test]
    fn an_amend_is_judged_by_its_difference() {
        const ONE: i64 = crate::checks::fixture::ONE;
        let tight = |f: &mut Fixture| f.limits.position_value_max = units(150);
        let to = |qty: i64, price: i64| {
            move |f: &mut Fixture| {
                tight(f);
                (f.intent.qty.0, f.intent.price.0) = (qty, price * ONE);
            }
        };
        assert_eq!(amend(to(ONE + ONE / 2, 100)), Ok(()), "150 in all, not 250");
        assert_eq!(amend(to(ONE + ONE / 2 + ONE / 1_000, 100)), Err(RefuseReason::Position));
        assert_eq!(amend(to(ONE, 101)), Ok(()), "another price");
        assert_eq!(amend(to(ONE / 2, 100)), Ok(()), "less");
        let over = |f: &mut Fixture| {
            to(ONE / 2, 100)(f);
            f.limits.position_value_max = units(1);
            f.equity = None;
            f.mode = bot4_types::ControlMode::Emergency;
            f.tripped = vec![BreakerScope::Venue];
        };
        assert_eq!(amend(over), Ok(()), "no limit holds up what only takes away");
        let more = |f: &mut Fixture| {
            to(ONE, 101)(f);
            f.mode = bot4_types::ControlMode::Emergency;
        };
        assert_eq!(amend(more), Err(RefuseReason::Mode));
        let killed = |f: &mut Fixture| {
            to(ONE / 2, 100)(f);
            f.phase = Phase::Kill;
        };
        assert_eq!(amend(killed), Err(RefuseReason::Killed));
        assert_eq!(amend(|f| f.live.clear()), Err(RefuseReason::AmendBusy));
        assert_eq!(amend(|_| ()), Err(RefuseReason::AmendTerms));
        let poor = |f: &mut Fixture| {
            f.intent.qty.0 = 2 * ONE;
            f.balances[1].1 = units(201);
        };
        assert_eq!(amend(poor), Ok(()), "the part that is reserved is there");
        let poorer = |f: &mut Fixture| {
            poor(f);
            f.balances[1].1 = units(200);
        };
        assert_eq!(amend(poorer), Err(RefuseReason::Balance));
    }
}

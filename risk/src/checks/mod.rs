//! The checks of the gate: one file and one roster line each, pure functions over
//! [`CheckInput`]. A check reads, never writes; the order of the roster is the order of the
//! reasons a person sees when several would apply.

use bot4_lanes::Phase;
use bot4_types::instrument::Amount;
use bot4_types::{
    Cause, ControlMode, Instrument, Mark, Nanos, OrderAction, OrderId, OrderIntent, Price,
    RefuseReason, Side, VenueId,
};

use crate::aggregate::{Aggregate, Part, Worth};
use crate::breaker::Breakers;
use crate::caps::{Caps, OrderCaps};
use crate::changes::Changes;
use crate::exposure::Exposure;
use crate::ledger::Ledger;
use crate::limits::RiskLimits;
use crate::rate::Rates;
use crate::sessions::Sessions;
use crate::statistics::Statistics;
use crate::valuation::{Valuation, mark_price};

pub mod amend;
pub mod balance;
pub mod book;
pub mod breaker;
pub mod cancel;
pub mod collar;
pub mod correlation;
pub mod daily_loss;
pub mod drawdown;
pub mod duplicate;
pub mod expiry;
pub mod fat_notional;
pub mod fat_size;
pub mod gross;
pub mod heat;
pub mod instrument;
pub mod kill;
pub mod leverage;
pub mod margin;
pub mod mark_age;
pub mod mode;
pub mod net;
pub mod notional;
pub mod open_orders;
pub mod position;
pub mod price;
pub mod rate;
pub mod reduce_only;
pub mod self_trade;
pub mod session;
pub mod shed;
pub mod shortfall;
pub mod size;
pub mod stop;
pub mod trigger;
pub mod unknown;
pub mod weight;

#[cfg(test)]
pub(crate) mod fixture;

/// What the gate decides by, apart from the intent: the state of the risk core.
#[derive(Clone, Copy)]
pub struct GateState<'a> {
    /// The turn's time.
    pub now: Nanos,
    /// What the control word allows.
    pub phase: Phase,
    /// Who may increase risk.
    pub mode: ControlMode,
    /// The account's limits as configured.
    pub limits: &'a RiskLimits,
    /// The limits as resolved over scopes, mode and equity.
    pub caps: &'a Caps,
    /// Positions, reservations, orders, instruments.
    pub ledger: &'a Ledger,
    /// Exposure summed over instruments.
    pub aggregate: &'a Aggregate,
    /// Marks and what assets are worth.
    pub valuation: &'a Valuation,
    /// Which instruments are closed.
    pub changes: &'a Changes,
    /// The rate buckets.
    pub rates: &'a Rates,
    /// The circuit breakers.
    pub breakers: &'a Breakers,
    /// What the book can lose.
    pub statistics: &'a Statistics,
    /// Order-entry sessions by venue.
    pub sessions: Sessions,
    /// Highest order number of any intent to place so far.
    pub order_last: OrderId,
}

/// Everything a check may look at: the state, and the rows of its tables that the intent is
/// about, looked up once. A row is `None` where instrument or strategy are not in the run.
#[derive(Clone, Copy)]
pub struct CheckInput<'a> {
    /// The turn's time.
    pub now: Nanos,
    /// What the control word allows.
    pub phase: Phase,
    /// Who may increase risk.
    pub mode: ControlMode,
    /// The intent under judgement.
    pub intent: &'a OrderIntent,
    /// The account's limits as configured.
    pub limits: &'a RiskLimits,
    /// The limits as resolved over scopes, mode and equity.
    pub caps: &'a Caps,
    /// Positions, reservations, orders, instruments.
    pub ledger: &'a Ledger,
    /// Exposure summed over instruments.
    pub aggregate: &'a Aggregate,
    /// Marks and what assets are worth.
    pub valuation: &'a Valuation,
    /// Which instruments are closed.
    pub changes: &'a Changes,
    /// The rate buckets.
    pub rates: &'a Rates,
    /// The circuit breakers.
    pub breakers: &'a Breakers,
    /// What the book can lose.
    pub statistics: &'a Statistics,
    /// The order-entry session of the instrument's venue is ready.
    pub session_ready: bool,
    /// Highest order number of any intent to place so far.
    pub order_last: OrderId,
    /// The limits of one order.
    pub order_caps: Option<&'a OrderCaps>,
    /// The account's exposure in the instrument.
    pub total: Option<&'a Exposure>,
    /// The strategy's exposure in the instrument.
    pub own: Option<&'a Exposure>,
    instrument: Option<&'a Instrument>,
    mark: Option<&'a Mark>,
    worth: Option<&'a Worth>,
    worst_after: i128,
    own_worst_after: i128,
    worths: Worths,
    trims: bool,
}

/// Values of a new order at the dearer of its price and the mark, in the reporting asset; `None`
/// where they cannot be told. Several checks need them; none are made for a cancel.
#[derive(Clone, Copy, Default)]
struct Worths {
    order: Option<Amount>,
    worst: Option<Amount>,
    own_worst: Option<Amount>,
}

/// A sum before an order, and what it would be after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Before.
    pub before: Amount,
    /// After, in the worst case.
    pub after: Amount,
}

impl<'a> CheckInput<'a> {
    /// What the checks look at for `intent`.
    #[must_use]
    #[inline]
    pub fn new(state: &GateState<'a>, intent: &'a OrderIntent) -> Self {
        let (strategy, id) = (intent.strategy, intent.instrument);
        let (total, own) = (state.ledger.total(id), state.ledger.exposure(strategy, id));
        let amended = (intent.action == OrderAction::Amend)
            .then(|| state.ledger.order(intent.order))
            .flatten();
        let grows = i128::from(match amended {
            Some(order) => intent.qty.0.saturating_sub(order.filled).saturating_sub(order.leaves),
            None => intent.qty.0,
        });
        let grows = if amended.is_some() { grows.max(0) } else { grows };
        let worst_after = |exposure: Option<&Exposure>| {
            let worst = exposure.map_or(0, |e| e.worst(intent.side));
            worst.saturating_add(grows)
        };
        let (worst_after, own_worst_after) = (worst_after(total), worst_after(own));
        let instrument = state.ledger.table().get(id);
        let (mark, worth) = (state.valuation.mark(id), state.aggregate.worth(id));
        let mut worths = Worths::default();
        if intent.action != OrderAction::Cancel
            && let Some(worth) = worth
        {
            let price = mark.and_then(mark_price).unwrap_or(Price(0));
            let price = price.max(intent.price).max(intent.trigger);
            let at = |qty| worth.at(qty, price, state.valuation);
            worths.order = at(grows);
            worths.worst = at(worst_after);
            worths.own_worst =
                if own_worst_after == worst_after { worths.worst } else { at(own_worst_after) };
        }
        Self {
            now: state.now,
            phase: state.phase,
            mode: state.mode,
            intent,
            limits: state.limits,
            caps: state.caps,
            ledger: state.ledger,
            aggregate: state.aggregate,
            valuation: state.valuation,
            changes: state.changes,
            rates: state.rates,
            breakers: state.breakers,
            statistics: state.statistics,
            session_ready: state.sessions.is_ready(instrument.map_or(VenueId(0), |i| i.venue)),
            order_last: state.order_last,
            order_caps: state.caps.order(strategy, id),
            total,
            own,
            instrument,
            mark,
            worth,
            worst_after,
            own_worst_after,
            worths,
            trims: amended.is_some_and(|order| {
                // Of a limit order: one at any price has none that could stay.
                let limit = order.own_limit == order.reserve_price;
                limit && intent.price.0 == order.own_limit && intent.qty.0 < order.qty
            }),
        }
    }

    /// The intent only takes quantity away from an order that rests, at its price.
    #[must_use]
    pub const fn trims(&self) -> bool {
        self.trims
    }

    /// The intent's instrument.
    ///
    /// # Errors
    /// [`RefuseReason::UnknownInstrument`].
    pub fn instrument(&self) -> Result<&'a Instrument, RefuseReason> {
        self.instrument.ok_or(RefuseReason::UnknownInstrument)
    }

    /// The newest mark of the intent's instrument.
    ///
    /// # Errors
    /// [`RefuseReason::BookNotLive`] where there is none.
    pub fn mark(&self) -> Result<&'a Mark, RefuseReason> {
        self.mark.ok_or(RefuseReason::BookNotLive)
    }

    /// The account's worst-case position after this intent, positive in the direction of its
    /// side: above zero it increases what may have to be closed again. An amend adds what it
    /// allows beyond the order as it is.
    #[must_use]
    pub const fn worst_after(&self) -> i128 {
        self.worst_after
    }

    /// The same of the strategy.
    #[must_use]
    pub const fn own_worst_after(&self) -> i128 {
        self.own_worst_after
    }

    /// The order can only bring positions nearer to zero, the account's and the strategy's: even
    /// if everything open on its side fills, it does, and nothing on the other side does, neither
    /// crosses zero. In any order of fills, the quantity that is held never grows by it.
    #[must_use]
    pub const fn reduces(&self) -> bool {
        self.worst_after <= 0 && self.own_worst_after <= 0
    }

    /// The order reduces and was not decided on market data: the operator, a timer or a report
    /// caused it. A book that is not live does not hold it up.
    #[must_use]
    pub fn needs_no_book(&self) -> bool {
        self.intent.cause != Cause::Market && self.reduces()
    }

    /// The intent buys.
    #[must_use]
    pub fn is_buy(&self) -> bool {
        self.intent.side == Side::Buy
    }

    /// Value of the order at its own price in the reporting asset; `None` when it cannot be told.
    #[must_use]
    #[inline]
    pub fn intent_worth(&self) -> Option<Amount> {
        self.worth?.at(i128::from(self.intent.qty.0), self.intent.price, self.valuation)
    }

    /// Value of what the intent adds to its side at the dearer of its price and the mark: the
    /// order, or what an amend allows beyond it.
    #[must_use]
    pub const fn order_worth(&self) -> Option<Amount> {
        self.worths.order
    }

    /// Value of the account's worst case after the order, at the dearer of its price and the
    /// mark.
    #[must_use]
    pub const fn worst_worth(&self) -> Option<Amount> {
        self.worths.worst
    }

    /// The same of the strategy.
    #[must_use]
    pub const fn own_worst_worth(&self) -> Option<Amount> {
        self.worths.own_worst
    }

    /// The account's worst-case gross exposure.
    #[must_use]
    #[inline]
    pub fn gross_after(&self) -> Option<Growth> {
        let part = self.aggregate.part(self.intent.instrument)?;
        Some(growth(self.aggregate.account().gross, part, self.worst_worth()?))
    }

    /// The strategy's worst-case gross exposure.
    #[must_use]
    #[inline]
    pub fn own_gross_after(&self) -> Option<Growth> {
        let strategy = self.intent.strategy;
        let part = self.aggregate.cell(strategy, self.intent.instrument)?;
        let before = self.aggregate.strategy(strategy)?.gross;
        Some(growth(before, part, self.own_worst_worth()?))
    }
}

/// One instrument's gross part grows to `worst`, if that is more.
#[inline]
fn growth(before: Amount, part: &Part, worst: Amount) -> Growth {
    Growth { before, after: before + (worst - part.gross()).max(0) }
}

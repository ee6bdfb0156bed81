//! The checks of the gate: one file and one roster line each, pure functions over
//! [`CheckInput`]. A check reads, never writes; the order of the roster is the order of the
//! reasons a person sees when several would apply.

use bot4_lanes::Phase;
use bot4_types::instrument::Amount;
use bot4_types::{Instrument, Mark, Nanos, OrderId, OrderIntent, RefuseReason, Side};

use crate::exposure::Exposure;
use crate::ledger::Ledger;
use crate::limits::RiskLimits;
use crate::money::mul_div;
use crate::rate::Rates;
use crate::statistics::Statistics;
use crate::valuation::Valuation;

pub mod balance;
pub mod book;
pub mod cancel;
pub mod collar;
pub mod correlation;
pub mod duplicate;
pub mod expiry;
pub mod heat;
pub mod instrument;
pub mod kill;
pub mod mark_age;
pub mod notional;
pub mod open_orders;
pub mod position;
pub mod price;
pub mod rate;
pub mod self_trade;
pub mod session;
pub mod shortfall;
pub mod size;
pub mod stop;
pub mod unknown;

#[cfg(test)]
pub(crate) mod fixture;

/// Everything a check may look at.
#[derive(Clone, Copy)]
pub struct CheckInput<'a> {
    /// The turn's time.
    pub now: Nanos,
    /// What the control word allows.
    pub phase: Phase,
    /// The intent under judgement.
    pub intent: &'a OrderIntent,
    /// The limits.
    pub limits: &'a RiskLimits,
    /// Positions, reservations, orders, instruments.
    pub ledger: &'a Ledger,
    /// Marks and what assets are worth.
    pub valuation: &'a Valuation,
    /// The rate buckets.
    pub rates: &'a Rates,
    /// What the book can lose.
    pub statistics: &'a Statistics,
    /// Strategies in this run.
    pub strategies: usize,
    /// The order-entry session is ready.
    pub session_ready: bool,
    /// Value of all balances in the reporting asset, `None` until every held asset has a mark.
    pub equity: Option<Amount>,
    /// Highest order number of any intent to place so far.
    pub order_last: OrderId,
}

impl<'a> CheckInput<'a> {
    /// The intent's instrument.
    ///
    /// # Errors
    /// [`RefuseReason::UnknownInstrument`].
    pub fn instrument(&self) -> Result<&'a Instrument, RefuseReason> {
        let known = self.ledger.table().get(self.intent.instrument);
        known.ok_or(RefuseReason::UnknownInstrument)
    }

    /// The newest mark of the intent's instrument.
    ///
    /// # Errors
    /// [`RefuseReason::BookNotLive`] where there is none.
    pub fn mark(&self) -> Result<&'a Mark, RefuseReason> {
        self.valuation.mark(self.intent.instrument).ok_or(RefuseReason::BookNotLive)
    }

    /// The worst-case position after this intent, positive in the direction of its side: above
    /// zero it increases what may have to be closed again.
    #[must_use]
    pub fn worst_after(&self, exposure: Option<&Exposure>) -> i128 {
        let worst = exposure.map_or(0, |e| e.worst(self.intent.side));
        worst.saturating_add(i128::from(self.intent.qty.0))
    }

    /// The account's exposure in the intent's instrument.
    #[must_use]
    pub fn total(&self) -> Option<&'a Exposure> {
        self.ledger.total(self.intent.instrument)
    }

    /// The largest worst-case position in one instrument, in the reporting asset; `None` while
    /// equity is not known.
    #[must_use]
    pub fn position_limit(&self) -> Option<Amount> {
        let share = mul_div(self.equity?, i128::from(self.limits.position_equity_e4), 10_000);
        Some(match self.limits.position_value_max {
            0 => share,
            absolute => share.min(absolute),
        })
    }

    /// The intent buys.
    #[must_use]
    pub fn is_buy(&self) -> bool {
        self.intent.side == Side::Buy
    }
}

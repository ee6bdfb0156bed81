//! What risk shows of the account in shared memory: exposure against limits, profit. Nothing
//! decides by it.
//!
//! Cost: on a turn that did nothing else, every 50 ms, one block: a position is a few loads and
//! five stores, 13 ns; the account's profit looks at every instrument and asset, 0.45 us for 64
//! instruments (in the caches; EPYC of family 26, 2026-11-30, `latency --only shown`). Under load
//! without a pause a block is a second late before it is written in a turn that worked.

use bot4_lanes::{Block, Metrics};
use bot4_types::instrument::Amount;
use bot4_types::shown::{ACCOUNT_WORDS, AccountShown, POSITION_WORDS, PositionShown};
use bot4_types::{InstrumentId, InstrumentTable, Nanos};

use crate::caps::{CLOSED, UNBOUNDED};
use crate::ledger::clamped;
use crate::risk_core::RiskCore;

/// Between two blocks.
const SHOW_EVERY: Nanos = Nanos::from_millis(50);
/// So late a block is written whatever else there is to do.
const LATE: Nanos = Nanos::from_secs(1);

/// The blocks, in the order in which they are written: the account, then each instrument.
#[derive(Debug)]
pub(super) struct Shown {
    blocks: Box<[Block]>,
    next: usize,
    due: Nanos,
}

impl Shown {
    /// Blocks for the instruments of `table`; none where nobody else can read them.
    pub(super) fn new(table: &InstrumentTable, metrics: &Metrics) -> Self {
        let mut blocks = Vec::new();
        if metrics.is_shared() {
            blocks.push(metrics.block("risk", "account", ACCOUNT_WORDS));
            let position = |label: String| metrics.block("risk", &label, POSITION_WORDS);
            blocks.extend(table.all().iter().map(|i| position(table.label(i))));
        }
        Self { blocks: blocks.into_boxed_slice(), next: 0, due: Nanos::ZERO }
    }

    /// Writes the next block when it is time and the turn was `idle`.
    #[inline]
    pub(super) fn look(&mut self, core: &RiskCore, now: Nanos, idle: bool) {
        if now < self.due || self.blocks.is_empty() || (!idle && now < self.due + LATE) {
            return;
        }
        self.due = now + SHOW_EVERY;
        self.show(core);
    }

    fn show(&mut self, core: &RiskCore) {
        match self.next.checked_sub(1) {
            None => self.blocks[0].write(&account(core).words()),
            Some(at) => {
                let shown = position(core, InstrumentId(at as u16));
                self.blocks[self.next].write(&shown.words());
            }
        }
        self.next = (self.next + 1) % self.blocks.len();
    }
}

/// The account as it is shown.
#[must_use]
pub fn account(core: &RiskCore) -> AccountShown {
    let (sum, caps, pnl) = (core.aggregate().account(), core.caps(), core.pnl());
    let of = caps.account();
    AccountShown {
        gross: [Some(sum.gross), limit(of.gross.min(caps.leverage_value))],
        net: [Some(sum.net[0].max(sum.net[1])), limit(of.net)],
        daily_loss_max: limit(caps.daily_loss_max(core.equity_curve())),
        drawdown_max_e4: caps.drawdown_max_e4(),
        open_orders_max: of.open_orders,
        realized: Some(pnl.realized),
        unrealized: Some(pnl.unrealized),
        fees: Some(pnl.fees),
        funding: Some(pnl.funding),
    }
}

/// The position in `instrument` as it is shown.
#[must_use]
pub fn position(core: &RiskCore, instrument: InstrumentId) -> PositionShown {
    let total = core.ledger().total(instrument);
    PositionShown {
        qty: total.map_or(0, |e| clamped(e.position.qty).0),
        worst: core.aggregate().part(instrument).map(|part| part.gross()),
        worst_max: core.caps().instrument(instrument).and_then(|caps| limit(caps.position)),
    }
}

/// A cap as a limit: none where nothing is bounded, nothing where it is closed.
fn limit(cap: Amount) -> Option<Amount> {
    (cap != UNBOUNDED).then_some(if cap == CLOSED { 0 } else { cap })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_none_and_a_closed_one_is_nothing() {
        assert_eq!(limit(UNBOUNDED), None);
        assert_eq!(limit(CLOSED), Some(0));
        assert_eq!(limit(7), Some(7));
    }
}

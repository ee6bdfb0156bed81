//! What the risk lane shows of itself: gauges that others read. No hot lane decides by them.

use super::RiskAgent;
use crate::breaker::State;
use crate::counters::{
    BREAKER_CAUSES, BREAKER_GLOBAL, BREAKERS_ALL, BREAKERS_HALF_OPEN, BREAKERS_OPEN,
    BREAKERS_OPENED, BREAKERS_UNWELL, COMPARED, DAILY_LOSS, DAY, DAY_OPEN, DIFFERENCES_LATCHED,
    DRAWDOWN, DRIFT, DRIFTED, DUPLICATES, EQUITY, EQUITY_PEAK, FILLS, FOREIGN, FUNDINGS, LATCHED,
    LIMITS, LIMITS_REFUSED, LOTS_MERGED, MEASURES, MEASURES_MAX, MODE, OPEN, SHED, SUSPECTS,
    UNKNOWN, UNVALUED,
};
use crate::equity::in_e8;
use crate::latch::LatchKind;

impl RiskAgent {
    /// Gauges of ledger, latches, breakers and limits.
    pub(super) fn publish(&mut self) {
        let ledger = self.core.ledger();
        let counts = ledger.counts();
        self.counters.set(FILLS, counts.fills);
        self.counters.set(DUPLICATES, counts.duplicates);
        self.counters.set(DRIFT, self.core.drift());
        self.counters.set(OPEN, ledger.open_orders() as u64);
        self.counters.set(UNKNOWN, ledger.unknown_orders() as u64);
        self.counters.set(LOTS_MERGED, ledger.lots_merged());
        self.counters.set(FUNDINGS, counts.fundings);
        let breakers = self.core.breakers();
        let (open, half_open) = breakers.unwell();
        self.counters.set(BREAKERS_OPEN, open as u64);
        self.counters.set(BREAKERS_HALF_OPEN, half_open as u64);
        let counts = breakers.counts();
        let opened = counts.opened.iter().zip(BREAKERS_OPENED..);
        for (count, at) in opened.chain(counts.causes.iter().zip(BREAKER_CAUSES..)) {
            self.counters.set(at, *count);
        }
        self.counters.set(BREAKERS_ALL, breakers.counted() as u64);
        for (word, at) in breakers.unwell_words().into_iter().zip(BREAKERS_UNWELL..) {
            self.counters.set(at, word);
        }
        self.counters.set(BREAKER_GLOBAL, state_raw(breakers.global()));
        let (changed, refused) = self.core.limit_changes();
        self.counters.set(LIMITS, changed);
        self.counters.set(LIMITS_REFUSED, refused);
        self.counters.set(MODE, self.core.mode() as u64);
        self.publish_truth();
        self.publish_latches();
    }

    /// Times that each latch was raised. Last: who sees one finds what it was raised for, and who
    /// reads them in order and sees one finds those behind it that were raised with it.
    fn publish_latches(&mut self) {
        let latches = self.core.latches();
        let raised = LatchKind::ALL.map(|kind| latches.raised(kind));
        let fell = LatchKind::Drawdown as usize;
        if raised[fell] != self.counters.value(LATCHED + fell) {
            self.publish_equity();
        }
        for (n, raised) in raised.into_iter().enumerate().rev() {
            self.counters.set(LATCHED + n, raised);
        }
    }

    /// Gauges of what the venue says of the account; the newest difference before its count.
    fn publish_truth(&self) {
        let (c, f) = (self.core.compared(), self.core.foreign());
        let counted = [c.unexplained, c.followed];
        if counted != [COMPARED + 3, COMPARED + 4].map(|at| self.counters.value(at)) {
            self.differences.write(&self.core.differences().words());
        }
        let compared = [c.compared, c.explained, c.uncertain, c.unexplained, c.followed];
        // The newest order before the counts that speak of it.
        let foreign = [f.orders, f.fills, f.declared, f.newest];
        let foreign = foreign.into_iter().zip(FOREIGN..FOREIGN + 4).rev();
        for (value, at) in compared.into_iter().zip(COMPARED..).chain(foreign) {
            self.counters.set(at, value);
        }
        self.counters.set(SUSPECTS, self.core.suspects() as u64);
        self.counters.set(DRIFTED, self.core.drifted() as u64);
        self.counters.set(SHED, self.core.shed() as u64);
        self.counters.set(DIFFERENCES_LATCHED, self.core.differences_latched());
    }

    /// Gauges of the equity curve and of what the book can lose, once a second.
    pub(super) fn publish_equity(&mut self) {
        let p = self.core.equity_curve();
        self.counters.set(EQUITY, in_e8(p.equity.unwrap_or(0), false));
        self.counters.set(EQUITY_PEAK, in_e8(p.peak, true));
        self.counters.set(DAY_OPEN, in_e8(p.day_open, true));
        self.counters.set(DAY, u64::try_from(p.day).unwrap_or(0));
        self.counters.set(DRAWDOWN, u64::try_from(p.drawdown_e4).unwrap_or(0));
        self.counters.set(DAILY_LOSS, in_e8(p.daily_loss, true));
        self.counters.set(UNVALUED, self.core.unvalued().count() as u64);
        self.publish_measures();
    }

    fn publish_measures(&mut self) {
        let m = self.core.statistics().book().measures();
        let all = [m.volatility, m.value_at_risk, m.shortfall, m.shortfall_worst, m.heat];
        for (n, value) in all.into_iter().enumerate() {
            // Saturates: what is not known is infinite.
            let e8 = (value * 1e8).ceil() as u64;
            self.measures_max[n] = self.measures_max[n].max(e8);
            self.counters.set(MEASURES + n, e8);
            self.counters.set(MEASURES_MAX + n, self.measures_max[n]);
        }
    }
}

/// A state as its gauge numbers it.
const fn state_raw(state: State) -> u64 {
    match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    }
}

//! What a run earned and how it was protected, as the report tells it.

use bot4_lanes::Metrics;
use bot4_risk::latch::LatchKind;
use bot4_risk::{Pnl, RiskCore};
use bot4_telemetry::report;
use bot4_types::InstrumentTable;
use bot4_types::instrument::{AMOUNT_DECIMALS, Amount};

use crate::operator::health;
use crate::operator::status::About;

/// Profit at average cost, fees and funding.
#[must_use]
pub fn pnl(pnl: &Pnl) -> report::Pnl {
    report::Pnl {
        realized: amount_text(pnl.realized),
        unrealized: amount_text(pnl.unrealized),
        fees: amount_text(pnl.fees),
        funding: amount_text(pnl.funding),
    }
}

/// Profit first-in-first-out.
#[must_use]
pub fn fifo(pnl: &Pnl) -> report::Gain {
    report::Gain {
        realized: amount_text(pnl.fifo.realized),
        unrealized: amount_text(pnl.fifo.unrealized),
    }
}

/// Guarded stops by the counters of the signal lane.
#[must_use]
pub fn stops(m: &Metrics) -> report::Stops {
    report::Stops {
        triggered: m.total_of("signal", "stops_triggered"),
        dust: m.total_of("signal", "stops_dust"),
        native: m.total_of("signal", "stops_native"),
        targets: m.total_of("signal", "targets_taken"),
        exits_cut: m.total_of("signal", "exits_cut"),
    }
}

/// How risk was, beside what it judged.
#[must_use]
pub fn risk(core: &RiskCore, about: &About, m: &Metrics) -> report::Risk {
    let raised = |kind: &LatchKind| (kind.name().to_owned(), core.latches().raised(*kind));
    report::Risk {
        mode: core.mode().name().to_owned(),
        commands: m.total_of("risk", "commands"),
        limits_changed: core.limit_changes().0,
        latched: LatchKind::ALL.iter().map(raised).filter(|(_, n)| *n > 0).collect(),
        breakers: health::breakers(about, m),
        loss: health::measures(m, ""),
        loss_max: health::measures(m, "_max"),
        flatten_orders: m.total_of("signal", "flatten_orders"),
        ..report::Risk::default()
    }
}

/// The run's equity by the marks that were handed in last.
#[must_use]
pub fn equity(core: &RiskCore, table: &InstrumentTable) -> report::Equity {
    let (curve, point) = (core.curve(), core.equity_curve());
    report::Equity {
        open: amount_text(curve.open()),
        close: amount_text(point.equity.unwrap_or(0)),
        peak: amount_text(point.peak),
        drawdown_pct: curve.drawdown_e4_max() as f64 / 100.0,
        unvalued: core.unvalued().map(|a| table.asset_name(a).to_owned()).collect(),
    }
}

/// An amount as exact decimal text.
#[must_use]
pub fn amount_text(amount: Amount) -> String {
    let one = 10i128.pow(u32::from(AMOUNT_DECIMALS));
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, rest) = (amount.abs() / one, amount.abs() % one);
    let text = format!("{sign}{whole}.{rest:016}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_text() {
        let one = 10i128.pow(16);
        assert_eq!(amount_text(0), "0");
        assert_eq!(amount_text(12 * one + one / 2), "12.5");
        assert_eq!(amount_text(-one / 8), "-0.125");
        assert_eq!(amount_text(1), "0.0000000000000001");
    }
}

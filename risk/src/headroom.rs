//! What sizing needs of risk, made from the state of the core: a pure function, so that a replay
//! tells the strategies the same.

use bot4_types::{Headroom, InstrumentId, Side};

use crate::checks::GateState;
use crate::equity::EquityPoint;
use crate::limits::units;

/// The room in `instrument`; `None` while equity or the instrument's value is not known.
#[must_use]
pub(crate) fn of(
    state: &GateState<'_>,
    equity: &EquityPoint,
    instrument: InstrumentId,
) -> Option<Headroom> {
    let (statistics, account) = (state.statistics, state.limits);
    let limits = &account.statistics;
    let (whole, unit_value) = (statistics.share(1_000_000), statistics.unit_value(instrument));
    if !(whole.is_finite() && unit_value.is_finite()) {
        return None;
    }
    let (book, exposure) = (statistics.book(), state.ledger.total(instrument)?);
    let measures = book.measures();
    let counts = measures.volatility > statistics.share(limits.correlation_from_e6);
    let bound = limits.correlation_e4 < 10_000 && counts;
    let shortfall = match limits.shortfall_equity_e6 {
        0 => f64::MAX,
        max => statistics.allowed(max, account.share_e4(state.mode)) - measures.shortfall_worst,
    };
    // Gross exposure grows by what the worst case of an instrument does.
    let most = state.caps.account().gross.min(state.caps.leverage_value);
    let gross = most.saturating_sub(state.aggregate.account().gross);
    let (position, gross) = (value(state.caps.instrument(instrument)?.position), value(gross));
    Some(Headroom {
        instrument,
        equity: whole,
        unit_value,
        position: [Side::Buy, Side::Sell]
            .map(|side| gross.min(position - exposure.worst(side) as f64 * unit_value)),
        shortfall,
        unit_shortfall: book.unit_shortfall(instrument),
        correlation: if bound { book.correlation_with_rest(instrument) } else { 0.0 },
        correlation_max: limits.correlation_e4 as f64 / 1e4,
        drawdown_scale: drawdown_scale(equity.drawdown_e4, account.drawdown_e4),
        sigma: book.sigma(instrument),
    })
}

/// In whole units of the reporting asset.
fn value(amount: i128) -> f64 {
    amount as f64 / units(1) as f64
}

/// What a fall of `drawdown_e4` from the highest equity leaves where `max_e4` leaves nothing.
#[must_use]
pub(crate) fn drawdown_scale(drawdown_e4: i64, max_e4: i64) -> f64 {
    if max_e4 <= 0 {
        return 1.0;
    }
    (1.0 - drawdown_e4 as f64 / max_e4 as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawdown_leaves_less_and_its_limit_nothing() {
        assert_eq!(drawdown_scale(0, 1_500), 1.0);
        assert_eq!(drawdown_scale(750, 1_500), 0.5);
        assert_eq!(drawdown_scale(1_500, 1_500), 0.0);
        assert_eq!(drawdown_scale(9_000, 1_500), 0.0);
        assert_eq!(drawdown_scale(9_000, 0), 1.0, "no such limit");
    }
}

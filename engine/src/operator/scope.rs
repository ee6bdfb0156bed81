//! What a person means: the words for breakers and control modes.

use bot4_types::{BreakerScope, ControlMode, InstrumentId, StrategyId};

/// The breakers that `text` names in a run of so many strategies and these `symbols`: `all`,
/// `venue`, `strategy:N` with N counted from 1 as in the configuration, or a symbol.
///
/// # Errors
/// What can be named, as a sentence.
pub fn parse(text: &str, strategies: usize, symbols: &[String]) -> Result<BreakerScope, String> {
    match text {
        "all" => return Ok(BreakerScope::All),
        "venue" => return Ok(BreakerScope::Venue),
        _ => {}
    }
    if let Some(number) = text.strip_prefix("strategy:") {
        let n = number.parse::<usize>().ok().filter(|n| (1..=strategies).contains(n));
        let n = n.ok_or_else(|| {
            format!("no strategy `{number}`: there are {strategies} of them, counted from 1")
        })?;
        return Ok(BreakerScope::Strategy(StrategyId((n - 1) as u8)));
    }
    let symbol = text.strip_prefix("instrument:").unwrap_or(text);
    let at = symbols.iter().position(|s| s == symbol);
    let at = at.ok_or_else(|| {
        format!(
            "`{text}` names no breaker; choose all, venue, strategy:N or one of {}",
            symbols.join(", ")
        )
    })?;
    Ok(BreakerScope::Instrument(InstrumentId(at as u16)))
}

/// The instrument called `symbol`.
///
/// # Errors
/// Which there are, as a sentence.
pub fn instrument(symbol: &str, symbols: &[String]) -> Result<InstrumentId, String> {
    let at = symbols.iter().position(|s| s == symbol);
    let named = || format!("`{symbol}` is not traded here; choose one of {}", symbols.join(", "));
    at.map(|at| InstrumentId(at as u16)).ok_or_else(named)
}

/// Why `text` is no control mode, and which words are.
#[must_use]
pub fn no_mode(text: &str) -> String {
    let names: Vec<_> = ControlMode::ALL.iter().map(|mode| mode.name()).collect();
    format!("`{text}` is no control mode; choose one of {}", names.join(", "))
}

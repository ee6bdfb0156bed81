//! How risk is, from its counters: breakers, equity, what the book can lose. For the status of a
//! running engine and the report of one that has ended.

use bot4_lanes::Metrics;
use serde_json::{Map, Value, json};

use super::status::About;

const STATES: [&str; 3] = ["closed", "half_open", "open"];
const CAUSES: [&str; 5] = ["losses", "loss", "rejects", "errors", "latency"];
const LEVELS: [&str; 3] = ["strategy", "instrument", "venue"];
/// What the book can lose, as counters name it.
const MEASURES: [&str; 5] = ["volatility", "value_at_risk", "shortfall", "shortfall_worst", "heat"];
/// Events of the cold side's breakers.
const COLD: [&str; 4] = ["opened", "half_opened", "closed", "refused"];

/// The circuit breakers: how many are open, which are not closed, what opened them so far, and
/// what those of the cold side did. `reason` says why nothing may increase, where nothing may.
#[must_use]
pub fn breakers(about: &About, m: &Metrics) -> Value {
    let count = |name: &str| m.total_of("risk", name);
    let global = STATES[(count("breaker_global") as usize).min(2)];
    let unwell = unwell(about, m);
    let (open, all) = (count("breakers_open"), count("breakers_all"));
    let causes = counts(&CAUSES, |cause| count(&format!("breaker_cause_{cause}")));
    let reason = (global == "open").then(|| {
        let why: Vec<_> = causes.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        format!(
            "{open} of {all} circuit breakers are open ({}; strategies so far for: {})",
            unwell.join(", "),
            if why.is_empty() { "nothing".to_owned() } else { why.join(", ") }
        )
    });
    json!({
        "global": global, "reason": reason, "all": all, "open": open,
        "half_open": count("breakers_half_open"), "unwell": unwell,
        "opened": counts(&LEVELS, |level| count(&format!("breaker_opened_{level}"))),
        "causes": causes,
        "cold": counts(&COLD, |event| m.total_of("cold", &format!("breaker_{event}"))),
    })
}

/// Equity, its peak and falls, in the reporting asset.
#[must_use]
pub fn equity(m: &Metrics) -> Value {
    let amount = |name| amount(m.total_of("risk", name));
    json!({
        "now": amount("equity_e8"), "peak": amount("equity_peak_e8"),
        "day_open": amount("equity_day_open_e8"), "daily_loss": amount("daily_loss_e8"),
        "drawdown_pct": m.total_of("risk", "drawdown_e4") as f64 / 100.0,
    })
}

/// What the book can lose within an hour, at 99 per cent where that applies, in the reporting
/// asset; null where it is not known. With `which` = `_max`, the highest so far.
#[must_use]
pub fn measures(m: &Metrics, which: &str) -> Value {
    let of = |name: &&str| {
        let value = amount(m.total_of("risk", &format!("{name}{which}_e8")));
        ((*name).to_owned(), value)
    };
    Value::Object(MEASURES.iter().map(of).collect())
}

/// Names of the breakers that are not closed.
fn unwell(about: &About, m: &Metrics) -> Vec<String> {
    let word = |what: &str| m.total_of("risk", &format!("breakers_unwell_{what}"));
    let has = |word: u64, bit: usize| word >> (bit % 64) & 1 == 1;
    let strategies = (0..about.strategies).filter(|s| has(word("strategies"), *s));
    let mut names: Vec<_> = strategies.map(|s| format!("strategy:{}", s + 1)).collect();
    let instruments = about.symbols.iter().enumerate();
    let ill = instruments.filter(|(i, _)| has(word(&(i / 64).to_string()), *i));
    names.extend(ill.map(|(_, symbol)| symbol.clone()));
    let several = about.venues().count() > 1;
    for (_, name) in about.venues().enumerate().filter(|(v, _)| has(word("venue"), *v)) {
        names.push(if several { format!("venue:{name}") } else { "venue".to_owned() });
    }
    names
}

/// Counts by name; what never happened is left out.
fn counts(names: &[&str], count: impl Fn(&str) -> u64) -> Map<String, Value> {
    let each = names.iter().map(|name| ((*name).to_owned(), count(name)));
    each.filter(|(_, n)| *n > 0).map(|(name, n)| (name, json!(n))).collect()
}

fn amount(e8: u64) -> Value {
    if e8 == u64::MAX { Value::Null } else { json!(e8 as f64 / 1e8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            run: "1-2".to_owned(),
            account: "embedded".to_owned(),
            venue: "binance".to_owned(),
            symbols: ["BTCUSDT", "ETHUSDT"].map(str::to_owned).to_vec(),
            strategies: 2,
            ..About::default()
        }
    }

    #[test]
    fn an_open_global_breaker_says_why() {
        const NAMES: &[&str] = &[
            "breaker_global",
            "breakers_all",
            "breakers_open",
            "breakers_unwell_strategies",
            "breakers_unwell_0",
            "breakers_unwell_venue",
            "breaker_cause_rejects",
            "shortfall_e8",
            "heat_e8",
        ];
        let m = Metrics::in_memory();
        let counters = m.counters("risk", NAMES);
        assert_eq!(breakers(&about(), &m)["reason"], Value::Null);
        for (at, value) in [2, 5, 3, 0b10, 0b10, 1, 4, 250_000_000, u64::MAX].iter().enumerate() {
            counters.set(at, *value);
        }
        let told = breakers(&about(), &m);
        assert_eq!(told["unwell"], json!(["strategy:2", "ETHUSDT", "venue"]));
        assert_eq!((&told["global"], &told["causes"]["rejects"]), (&json!("open"), &json!(4)));
        let reason = told["reason"].as_str().expect("a sentence");
        assert!(reason.contains("3 of 5") && reason.contains("rejects 4"), "{reason}");
        let loss = measures(&m, "");
        assert_eq!((&loss["shortfall"], &loss["heat"]), (&json!(2.5), &Value::Null));
    }
}

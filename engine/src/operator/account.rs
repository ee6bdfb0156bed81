//! What the venue says of the account beside our orders, in words: balances that nobody explains,
//! and others who act on it.

use bot4_lanes::Metrics;
use bot4_types::instrument::Amount;
use serde_json::{Value, json};

use super::status::About;
use crate::run::earned::amount_text;

/// The newest difference that nobody explained: asset, ours, the venue's.
fn difference(about: &About, m: &Metrics) -> Option<(String, String, String)> {
    let count = |name: &str| m.total_of("risk", &format!("difference_{name}"));
    let number = usize::try_from(count("asset")).ok()?.checked_sub(1)?;
    let amount = |whose: &str| {
        let half = |which| u128::from(count(&format!("{whose}_{which}")));
        amount_text((half("high") << 64 | half("low")) as Amount)
    };
    let asset = about.assets.get(number).map_or("?", String::as_str);
    Some((asset.to_owned(), amount("ours"), amount("theirs")))
}

/// The account as the status tells it.
#[must_use]
pub fn status(about: &About, m: &Metrics) -> Value {
    let count = |name| m.total_of("risk", name);
    let newest = difference(about, m)
        .map(|(asset, ours, theirs)| json!({"asset": asset, "ours": ours, "theirs": theirs}));
    json!({
        "balances": {"compared": count("balances_compared"),
                     "explained": count("balances_explained"),
                     "uncertain": count("balances_uncertain"),
                     "suspect": count("balances_suspect"),
                     "unexplained": count("balances_unexplained"),
                     "followed": count("balances_followed"),
                     "newest": newest},
        "fills_late": m.total_of("execution", "fills_late"),
        "instruments_stopped": count("instruments_drifted"),
        "foreign": {"orders": count("foreign_orders"), "fills": count("foreign_fills"),
                    "declared": count("foreign_declared"), "newest": count("foreign_newest")},
    })
}

/// Why drift latched, as far as the account says it.
#[must_use]
pub fn reason(about: &About, m: &Metrics) -> Option<String> {
    let (orders, fills) =
        (m.total_of("risk", "foreign_orders"), m.total_of("risk", "foreign_fills"));
    if orders + fills > 0 {
        let newest = m.total_of("risk", "foreign_newest");
        return Some(format!(
            "another program acts on this account ({orders} words about its orders, {fills} of \
             its fills; the newest order is number {newest} of the venue)"
        ));
    }
    let (asset, ours, theirs) = difference(about, m)?;
    Some(format!("the balance of {asset} is {ours} by our fills and {theirs} at the venue"))
}

/// What is new, for a person. Each thing is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    unexplained: u64,
    followed: u64,
    foreign: u64,
    declared: u64,
    stopped: u64,
    exits_cut: u64,
    fills_late: u64,
}

impl News {
    /// Sentences about what has changed since the last look.
    pub fn look(&mut self, about: &About, m: &Metrics) -> Vec<String> {
        let count = |name| m.total_of("risk", name);
        let now = Self {
            unexplained: count("balances_unexplained"),
            followed: count("balances_followed"),
            foreign: count("foreign_orders") + count("foreign_fills"),
            declared: count("foreign_declared"),
            stopped: count("instruments_drifted"),
            exits_cut: m.total_of("signal", "exits_cut"),
            fills_late: m.total_of("execution", "fills_late"),
        };
        let old = std::mem::replace(self, now);
        if old == now {
            return Vec::new();
        }
        let mut told = Vec::new();
        if now.exits_cut > old.exits_cut {
            told.push(format!(
                "a venue refuses the exit of a position for want of balance ({} so far): it is \
                 asked for again with less, and while none rests there the router alone guards \
                 the position, as long as this engine lives",
                now.exits_cut
            ));
        }
        if now.fills_late > old.fills_late {
            told.push(format!(
                "a venue told a fill only after the end of its order, which had counted less; its \
                 list of the order's fills proves it, and it is booked ({} so far)",
                now.fills_late
            ));
        }
        let reason = reason(about, m).unwrap_or_default();
        if now.stopped > old.stopped {
            told.push(format!(
                "error: {reason}, and no fill explains it: the {} instruments with this base \
                 stand still, the others trade on\nhelp: look at deposits, withdrawals and trades \
                 of the account at the venue; `bot4 resume --instrument SYMBOL --reason \"...\"` \
                 accepts the venue's balance",
                now.stopped
            ));
        } else if now.unexplained > old.unexplained && now.followed == old.followed {
            told.push(format!(
                "error: {reason}, and no fill explains it: trading stops\nhelp: look at deposits, \
                 withdrawals and trades of the account at the venue; `bot4 resume --reason \
                 \"...\"` accepts the venue's balance"
            ));
        }
        if now.followed > old.followed {
            let (asset, ours, theirs) = difference(about, m).unwrap_or_default();
            told.push(format!(
                "the ledger follows the venue: {asset} {ours} -> {theirs}; peak and day of the \
                 equity move with it"
            ));
        }
        if old.foreign == 0 && now.foreign > 0 {
            told.push(format!(
                "error: {reason}: trading stops\nhelp: give bot4 an account of its own, or \
                 declare the others with foreign_orders in [account]"
            ));
        }
        if old.declared == 0 && now.declared > 0 {
            told.push("others act on this account, as foreign_orders declares".to_owned());
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "balances_unexplained",
        "difference_asset",
        "difference_ours_low",
        "difference_theirs_low",
        "difference_theirs_high",
        "instruments_drifted",
        "foreign_orders",
        "foreign_newest",
        "balances_followed",
    ];

    #[test]
    fn an_exit_that_does_not_rest_is_told_each_time() {
        let m = Metrics::in_memory();
        let counters = m.counters("signal", &["exits_cut"]);
        let mut news = News::default();
        for cut in 1..=2 {
            counters.set(0, cut);
            let told = news.look(&About::default(), &m);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(&format!("({cut} so far)")), "{told:?}");
            assert!(news.look(&About::default(), &m).is_empty());
        }
    }

    #[test]
    fn a_fill_behind_its_order_s_end_is_told_each_time() {
        let m = Metrics::in_memory();
        let counters = m.counters("execution", &["fills_late"]);
        let mut news = News::default();
        for late in 1..=2 {
            counters.set(0, late);
            let told = news.look(&About::default(), &m);
            assert!(told.len() == 1 && told[0].contains(&format!("({late} so far)")), "{told:?}");
            assert_eq!(status(&About::default(), &m)["fills_late"], late);
        }
    }

    #[test]
    fn what_stops_is_told_once_with_the_amounts() {
        let about = About { assets: vec!["BTC".into(), "USDT".into()], ..About::default() };
        let m = Metrics::in_memory();
        let counters = m.counters("risk", NAMES);
        let mut news = News::default();
        assert!(news.look(&about, &m).is_empty() && reason(&about, &m).is_none());
        let less = -(10i128.pow(16) / 2);
        let halves = [less as u64, (less >> 64) as u64];
        for (at, value) in [1, 2, 30_000_000_000_000_000, halves[0], halves[1]].iter().enumerate() {
            counters.set(at, *value);
        }
        let told = news.look(&about, &m);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("USDT is 3 by our fills and -0.5 at the venue"), "{told:?}");
        assert!(told[0].contains("trading stops") && news.look(&about, &m).is_empty());
        assert_eq!(status(&about, &m)["balances"]["newest"]["theirs"], "-0.5");
        counters.set(0, 2);
        counters.set(5, 1);
        assert!(news.look(&about, &m)[0].contains("--instrument SYMBOL"));
        counters.set(6, 1);
        counters.set(7, 99);
        let told = news.look(&about, &m);
        assert!(told[0].contains("number 99") && told[0].contains("foreign_orders"), "{told:?}");
        counters.set(8, 1);
        assert!(news.look(&about, &m)[0].contains("USDT 3 -> -0.5"));
    }
}

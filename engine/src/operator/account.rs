//! What the venue says of the account beside our orders, in words: balances that nobody explains,
//! and others who act on it.

use bot4_lanes::Metrics;
use bot4_risk::comparison::{DIFFERENCES, DIFFERENCES_WORDS, Difference, Differences};
use serde_json::{Value, json};

use super::status::About;
use crate::run::earned::amount_text;

/// A look at a block that is being written is made again, so often at most: a writing takes a few
/// nanoseconds.
const LOOKS_MAX: usize = 10_000;

/// The newest differences that nobody explained; none where they cannot be read.
fn differences(m: &Metrics) -> Differences {
    let mut words = [0; DIFFERENCES_WORDS];
    let block = m.block_of("risk", DIFFERENCES);
    let whole = block.is_some_and(|block| (0..LOOKS_MAX).any(|_| block.read(&mut words)));
    if whole { Differences::of(&words) } else { Differences::default() }
}

/// A difference as a person reads it: asset, ours, the venue's.
fn parts(about: &About, d: Difference) -> [String; 3] {
    let asset = about.assets.get(usize::from(d.asset.0)).map_or("?", String::as_str);
    [asset.to_owned(), amount_text(d.ours), amount_text(d.theirs)]
}

/// The account as the status tells it.
#[must_use]
pub fn status(about: &About, m: &Metrics) -> Value {
    let count = |name| m.total_of("risk", name);
    // The counts before what they speak of.
    let stopped = count("instruments_drifted");
    let mut told = json!({
        "balances": {"compared": count("balances_compared"),
                     "explained": count("balances_explained"),
                     "uncertain": count("balances_uncertain"),
                     "suspect": count("balances_suspect"),
                     "unexplained": count("balances_unexplained"),
                     "followed": count("balances_followed")},
        "fills_late": m.total_of("execution", "fills_late"),
        "instruments_stopped": stopped,
        "foreign": {"orders": count("foreign_orders"), "fills": count("foreign_fills"),
                    "declared": count("foreign_declared"), "newest": count("foreign_newest")},
    });
    let named = |d| {
        let [asset, ours, theirs] = parts(about, d);
        json!({"asset": asset, "ours": ours, "theirs": theirs})
    };
    let Differences { any, stopped, .. } = differences(m);
    told["balances"]["newest"] = any.map(named).into();
    told["balances"]["newest_stopped"] = stopped.map(named).into();
    told
}

/// What drift has latched for so far: what is new among it is why it latches again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    foreign: u64,
    differences: u64,
}

impl Causes {
    fn of(m: &Metrics) -> Self {
        let count = |name| m.total_of("risk", name);
        let foreign = count("foreign_orders") + count("foreign_fills");
        Self { foreign, differences: count("differences_latched") }
    }

    /// Why drift latched since the last time, as far as the account says it.
    pub fn newest(&mut self, about: &About, m: &Metrics) -> Option<String> {
        let now = Self::of(m);
        let old = std::mem::replace(self, now);
        let latched = || money(about, differences(m).latched);
        let others = (now.foreign > old.foreign).then(|| others(m));
        let money = (now.differences > old.differences).then(latched);
        let all: Vec<_> = others.into_iter().chain(money).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// A person accepts whatever there is.
    pub fn accept(&mut self, m: &Metrics) {
        *self = Self::of(m);
    }
}

/// Others act on the account.
fn others(m: &Metrics) -> String {
    let count = |name| m.total_of("risk", name);
    format!(
        "another program acts on this account ({} words about its orders, {} of its fills; the \
         newest order is number {} of the venue)",
        count("foreign_orders"),
        count("foreign_fills"),
        count("foreign_newest")
    )
}

/// A difference in words.
fn money(about: &About, difference: Option<Difference>) -> String {
    difference.map(|d| parts(about, d)).map_or_else(
        || "a balance at the venue is not what our fills make of it".to_owned(),
        |[asset, ours, theirs]| {
            format!("the balance of {asset} is {ours} by our fills and {theirs} at the venue")
        },
    )
}

/// What is new, for a person. Each thing is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    latched: u64,
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
            latched: count("differences_latched"),
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
        if now.stopped > old.stopped {
            told.push(format!(
                "error: {}, and no fill explains it: the {} instruments with this base stand \
                 still, the others trade on\nhelp: look at deposits, withdrawals and trades \
                 of the account at the venue; `bot4 resume --instrument SYMBOL --reason \"...\"` \
                 accepts the venue's balance",
                money(about, differences(m).stopped),
                now.stopped
            ));
        }
        if now.latched > old.latched {
            told.push(format!(
                "error: {}, and no fill explains it: trading stops\nhelp: look at deposits, \
                 withdrawals and trades of the account at the venue; `bot4 resume --reason \
                 \"...\"` accepts the venue's balance",
                money(about, differences(m).latched)
            ));
        }
        if now.followed > old.followed {
            let how = differences(m).any.map(|d| parts(about, d));
            let how = how.map(|[asset, ours, theirs]| format!(": {asset} {ours} -> {theirs}"));
            told.push(format!(
                "the ledger follows the venue{}; peak and day of the equity move with it",
                how.unwrap_or_default()
            ));
        }
        if old.foreign == 0 && now.foreign > 0 {
            told.push(format!(
                "error: {}: trading stops\nhelp: give bot4 an account of its own, or declare the \
                 others with foreign_orders in [account]",
                others(m)
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
    use bot4_types::AssetId;
    use bot4_types::instrument::Amount;

    use super::*;

    const NAMES: &[&str] = &[
        "differences_latched",
        "instruments_drifted",
        "foreign_orders",
        "foreign_newest",
        "balances_followed",
    ];

    fn about() -> About {
        let assets = ["BTC", "USDT"].map(str::to_owned).to_vec();
        About { assets, ..About::default() }
    }

    /// So much of asset `asset` is at the venue.
    fn difference(asset: u8, ours: Amount, theirs: Amount) -> Option<Difference> {
        Some(Difference { asset: AssetId(asset), ours, theirs })
    }

    /// Risk tells of differences.
    fn tell(m: &Metrics, told: Differences) {
        let block = m.block_of("risk", DIFFERENCES);
        let block = block.unwrap_or_else(|| m.block("risk", DIFFERENCES, DIFFERENCES_WORDS));
        block.write(&told.words());
    }

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
        let (about, m) = (about(), Metrics::in_memory());
        let counters = m.counters("risk", NAMES);
        let mut news = News::default();
        assert!(news.look(&about, &m).is_empty());
        let latched = difference(1, 30_000_000_000_000_000, -(10i128.pow(16) / 2));
        tell(&m, Differences { any: latched, latched, stopped: None });
        counters.set(0, 1);
        let told = news.look(&about, &m);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("USDT is 3 by our fills and -0.5 at the venue"), "{told:?}");
        assert!(told[0].contains("trading stops") && news.look(&about, &m).is_empty());
        assert_eq!(status(&about, &m)["balances"]["newest"]["theirs"], "-0.5");
        // Both at once: each is told of what it is.
        let stopped = difference(0, 10i128.pow(16), 0);
        tell(&m, Differences { any: stopped, latched, stopped });
        counters.set(0, 2);
        counters.set(1, 1);
        let told = news.look(&about, &m);
        assert!(told[0].contains("the balance of BTC is 1 by") && told.len() == 2, "{told:?}");
        assert!(told[0].contains("--instrument SYMBOL"), "{told:?}");
        assert!(told[1].contains("of USDT") && told[1].contains("trading stops"), "{told:?}");
        counters.set(2, 1);
        counters.set(3, 99);
        let told = news.look(&about, &m);
        assert!(told[0].contains("number 99") && told[0].contains("foreign_orders"), "{told:?}");
        counters.set(0, 3);
        let told = news.look(&about, &m);
        assert!(told[0].contains("the balance of USDT") && told.len() == 1, "{told:?}");
        counters.set(4, 1);
        assert!(news.look(&about, &m)[0].contains("BTC 1 -> 0"));
    }

    #[test]
    fn a_latch_is_told_for_what_is_new_and_not_for_what_was_accepted() {
        let (about, m) = (about(), Metrics::in_memory());
        let counters = m.counters("risk", NAMES);
        let mut causes = Causes::default();
        let latched = difference(1, 10i128.pow(16), 0);
        let stopped = difference(0, 5, 7);
        tell(&m, Differences { any: stopped, latched, stopped });
        counters.set(0, 1);
        let first = causes.newest(&about, &m);
        let known = "the balance of USDT is 1 by our fills and 0 at the venue";
        assert_eq!(first.as_deref(), Some(known));
        // What the ledger finds by itself is no word of the venue.
        assert_eq!(causes.newest(&about, &m), None);
        counters.set(2, 1);
        let second = causes.newest(&about, &m).expect("new");
        assert!(second.contains("another program") && !second.contains("balance"), "{second}");
        counters.set(0, 2);
        let third = causes.newest(&about, &m).expect("new");
        assert!(third.contains("balance of USDT") && !third.contains("another"), "{third}");
        counters.set(2, 2);
        counters.set(0, 3);
        let both = causes.newest(&about, &m).expect("new");
        assert!(both.contains("balance of USDT") && both.contains("another"), "{both}");
        // What comes while the stop stands is accepted with it.
        counters.set(2, 3);
        causes.accept(&m);
        assert_eq!(causes.newest(&about, &m), None);
    }

    #[test]
    fn without_the_words_a_stop_is_told_without_amounts() {
        let m = Metrics::in_memory();
        m.counters("risk", NAMES).set(0, 1);
        let told = News::default().look(&About::default(), &m);
        assert!(told[0].contains("is not what our fills make of it"), "{told:?}");
    }
}

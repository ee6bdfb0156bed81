//! What a later reading of the venue's instruments means for the run: which of them risk must be
//! told about, and how.
//!
//! The run keeps the units it started with. A rule that binds orders closes its instrument until
//! what rests is gone; one that binds nobody holds at once. An instrument that the venue trades no
//! more, or whose new rules the run's units cannot hold, is paused; the others go on.

use bot4_types::{
    ChecksumRule, Instrument, InstrumentRules, InstrumentTable, PauseReason, RiskCommand,
};

use super::catalogue::Reading;

/// The instruments as risk was last told.
pub struct Known {
    table: InstrumentTable,
    paused: Vec<Option<PauseReason>>,
    /// The venue's checksum is over texts of exactly the decimals of the start.
    exact_units: bool,
}

/// What one instrument's change leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A sentence for a person.
    pub what: String,
    /// For risk.
    pub command: RiskCommand,
}

impl Known {
    /// What the run started with.
    #[must_use]
    pub fn new(table: InstrumentTable, checksum: ChecksumRule) -> Self {
        let paused = vec![None; table.all().len()];
        Self { table, paused, exact_units: checksum == ChecksumRule::TopTen }
    }

    /// What is new in `reading`; from now on it is known.
    pub fn judge(&mut self, reading: &Reading) -> Vec<Change> {
        let ids: Vec<_> = self.table.own().map(|i| i.id).collect();
        ids.into_iter().filter_map(|id| self.judge_one(id.index(), reading)).collect()
    }

    fn judge_one(&mut self, at: usize, reading: &Reading) -> Option<Change> {
        let old = *self.table.all().get(at)?;
        let rules = match self.fitting(&old, reading) {
            Ok(rules) => rules,
            Err(why) if self.paused[at] == Some(why) => return None,
            Err(why) => {
                self.paused[at] = Some(why);
                let what = format!("{}: {}; it is paused", self.table.label(&old), sentence(why));
                return Some(Change {
                    what,
                    command: RiskCommand::Pause { instrument: old.id, why },
                });
            }
        };
        let mut new = old;
        rules.bind(&mut new);
        let differences = differences(&old, &new);
        let paused = self.paused[at].take().is_some();
        if differences.is_empty() && !paused {
            return None;
        }
        self.table.bind(&rules);
        let resync = paused || differences.iter().any(|d| d.binds);
        let mut names: Vec<_> = differences.iter().map(|d| d.what).collect();
        if paused {
            names.push("listed again");
        }
        let end = match (rules.tradable, resync) {
            (false, _) => "; no new orders of it",
            (true, true) => "; what rests is withdrawn, then it trades on by the new rules",
            (true, false) => "",
        };
        let what = format!("{}: {}{end}", self.table.label(&old), names.join(", "));
        Some(Change { what, command: RiskCommand::Rules { rules, resync } })
    }

    /// The rules of `old` by `reading`, in the run's units.
    fn fitting(&self, old: &Instrument, reading: &Reading) -> Result<InstrumentRules, PauseReason> {
        let symbol = old.symbol.as_bytes();
        let Some(new) = reading.table.find(symbol) else {
            let told = reading.without.iter().find(|(name, _)| name.as_bytes() == symbol);
            return Err(told.map_or(PauseReason::Unlisted, |(_, why)| *why));
        };
        let decimals = |i: &Instrument| (i.price_decimals, i.qty_decimals);
        let asset = |table: &InstrumentTable, i: &Instrument| {
            (table.asset_name(i.base).to_owned(), table.asset_name(i.quote).to_owned())
        };
        let same_assets = asset(&self.table, old) == asset(&reading.table, new);
        if !same_assets || self.exact_units && decimals(old) != decimals(new) {
            return Err(PauseReason::Units);
        }
        InstrumentRules::restated(new, old).ok_or(PauseReason::Units)
    }
}

const fn sentence(why: PauseReason) -> &'static str {
    match why {
        PauseReason::Unlisted => "the venue lists it no more",
        PauseReason::Units => {
            "the venue counts it in other units, which the next start reads (bot4 run again)"
        }
    }
}

/// A rule that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    what: &'static str,
    /// An order that was right before may be wrong now.
    binds: bool,
}

/// What differs between two readings of an instrument. Bounds that were widened bind nobody;
/// those of market orders change daily at some venues and their breach costs a refusal, no more.
fn differences(old: &Instrument, new: &Instrument) -> Vec<Difference> {
    let narrower = |old: i64, new: i64| new > 0 && (old == 0 || new < old);
    let mut found = Vec::new();
    let mut note = |what, differs: bool, binds: bool| {
        if differs {
            found.push(Difference { what, binds });
        }
    };
    note("status", old.tradable != new.tradable, true);
    note("tick", old.tick != new.tick, true);
    note("lot", old.lot != new.lot, true);
    let (low, high) = (old.price_min != new.price_min, old.price_max != new.price_max);
    let tighter = new.price_min.0 > old.price_min.0 || narrower(old.price_max.0, new.price_max.0);
    note("price bounds", low || high, tighter);
    note("smallest order", old.qty_min != new.qty_min, new.qty_min.0 > old.qty_min.0);
    note("largest order", old.qty_max != new.qty_max, narrower(old.qty_max.0, new.qty_max.0));
    note("smallest value", old.notional_min != new.notional_min, true);
    note("largest value", old.notional_max != new.notional_max, true);
    let bands = |i: &Instrument| (i.band_buy, i.band_sell);
    note("price band", bands(old) != bands(new), true);
    let market = |i: &Instrument| {
        let sizes = (i.market_lot, i.market_qty_min, i.market_qty_max);
        (sizes, i.notional_min_market, i.notional_max_market)
    };
    note("market orders' bounds", market(old) != market(new), false);
    let orders = old.orders_open_max != new.orders_open_max;
    note("open orders", orders, orders);
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Qty, Symbol};

    pub fn table(change: impl Fn(&mut Instrument)) -> InstrumentTable {
        let mut table = InstrumentTable::new();
        for name in ["X", "Y"] {
            table.asset(Symbol::new(name).expect("short")).expect("room");
        }
        for name in ["AAA", "BBB"] {
            let symbol = Symbol::new(name).expect("short");
            let mut instrument = Instrument::bare(InstrumentId(0), symbol, 8);
            change(&mut instrument);
            table.push(instrument).expect("room");
        }
        table
    }

    pub fn reading(change: impl Fn(&mut Instrument)) -> Reading {
        Reading { table: table(change), without: Vec::new() }
    }

    fn only(symbol: &'static str, change: fn(&mut Instrument)) -> impl Fn(&mut Instrument) {
        move |i| {
            if i.symbol.as_str() == symbol {
                change(i);
            }
        }
    }

    fn known(checksum: ChecksumRule) -> Known {
        Known::new(table(|_| ()), checksum)
    }

    fn binding(change: fn(&mut Instrument)) -> Vec<(&'static str, bool)> {
        let (old, new) = (table(|_| ()), table(change));
        let found = differences(&old.all()[0], &new.all()[0]);
        found.into_iter().map(|d| (d.what, d.binds)).collect()
    }

    #[test]
    fn what_binds_orders_is_told_apart() {
        assert_eq!(binding(|_| ()), []);
        assert_eq!(binding(|i| i.tradable = false), [("status", true)]);
        assert_eq!(binding(|i| i.tick = 10), [("tick", true)]);
        assert_eq!(binding(|i| i.qty_max = Qty(5)), [("largest order", true)]);
        assert_eq!(binding(|i| i.qty_min = Qty(5)), [("smallest order", true)]);
        assert_eq!(binding(|i| i.market_qty_max = Qty(5)), [("market orders' bounds", false)]);
        let wide = table(|i| i.qty_max = Qty(5));
        let wider = table(|i| i.qty_max = Qty(9));
        assert!(!differences(&wide.all()[0], &wider.all()[0])[0].binds);
    }

    #[test]
    fn a_change_is_one_instrument_s_and_told_once() {
        let mut known = known(ChecksumRule::None);
        assert_eq!(known.judge(&reading(|_| ())), []);
        let changed = reading(only("BBB", |i| i.tick = 5));
        let told = known.judge(&changed);
        let [Change { what, command: RiskCommand::Rules { rules, resync: true } }] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert!(what.starts_with("BBB: tick; what rests is withdrawn"), "{what}");
        assert_eq!((rules.instrument, rules.tick), (InstrumentId(1), 5));
        assert_eq!(known.judge(&changed), []);
        let wider = reading(|i| {
            only("BBB", |i| i.tick = 5)(i);
            i.market_qty_max = Qty(9);
        });
        let told = known.judge(&wider);
        assert_eq!(told.len(), 2);
        let gentle = |c: &Change| matches!(c.command, RiskCommand::Rules { resync: false, .. });
        assert!(told.iter().all(gentle), "{told:?}");
    }

    #[test]
    fn an_instrument_that_is_gone_is_paused_until_it_is_back() {
        let mut known = known(ChecksumRule::None);
        let mut gone = reading(|_| ());
        gone.table = InstrumentTable::new();
        gone.without = vec![("BBB".to_owned(), PauseReason::Units)];
        let told = known.judge(&gone);
        let pause = |at: usize| match told[at].command {
            RiskCommand::Pause { instrument, why } => (instrument.0, why),
            _ => panic!("{told:?}"),
        };
        assert_eq!((pause(0), pause(1)), ((0, PauseReason::Unlisted), (1, PauseReason::Units)));
        assert_eq!(known.judge(&gone), []);
        let back = known.judge(&reading(|_| ()));
        assert!(back.iter().all(|c| matches!(c.command, RiskCommand::Rules { resync: true, .. })));
        assert!(back.len() == 2 && back[0].what.contains("listed again"), "{back:?}");
        assert_eq!(known.judge(&reading(|_| ())), []);
    }

    #[test]
    fn units_stay_those_of_the_start() {
        // Ten times the lot in a tenth of the units is no change; finer units with the same steps
        // neither, unless the venue's checksum counts zeros.
        let coarse = reading(|i| (i.qty_decimals, i.lot) = (7, 10));
        let told = known(ChecksumRule::None).judge(&coarse);
        let RiskCommand::Rules { rules, .. } = told[0].command else { panic!("{told:?}") };
        assert_eq!((rules.lot, rules.qty_decimals), (100, 8));
        let finer = reading(|i| (i.price_decimals, i.qty_decimals, i.lot) = (7, 9, 10));
        let told = known(ChecksumRule::None).judge(&finer);
        assert!(matches!(told[0].command, RiskCommand::Rules { .. }), "{told:?}");
        let told = known(ChecksumRule::TopTen).judge(&finer);
        let units =
            |c: &Change| matches!(c.command, RiskCommand::Pause { why: PauseReason::Units, .. });
        assert!(told.len() == 2 && told.iter().all(units), "{told:?}");
        let finest = reading(|i| (i.price_decimals, i.qty_decimals, i.lot) = (7, 9, 1));
        assert!(known(ChecksumRule::None).judge(&finest).iter().all(units));
    }

    #[test]
    fn other_assets_are_other_units() {
        let mut other = reading(|_| ());
        other.table = InstrumentTable::new();
        for (name, assets) in [("AAA", ["X", "Z"]), ("BBB", ["X", "Y"])] {
            let symbol = |name| Symbol::new(name).expect("short");
            let [base, quote] = assets.map(|a| other.table.asset(symbol(a)).expect("room"));
            let bare = Instrument::bare(InstrumentId(0), symbol(name), 8);
            other.table.push(Instrument { base, quote, ..bare }).expect("room");
        }
        let told = known(ChecksumRule::None).judge(&other);
        assert_eq!(told.len(), 1, "the order of assets says nothing: {told:?}");
        assert!(told[0].what.starts_with("AAA"), "{told:?}");
    }
}

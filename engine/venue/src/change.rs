//! A market's filters and listing while the venue runs: what a script or the control line changes.
//!
//! New orders meet the new filters at once; what rests stays, as at the real venues, whose lists
//! say the same from then on in each venue's own words. A finer or coarser step does not move the
//! levels that are there.

use crate::decimal;
use crate::dialect::text::digits_of;
use crate::symbol::SymbolSpec;

/// Whether a market is listed, and open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// Listed and open.
    #[default]
    Trading,
    /// Listed; takes no new orders, and its crowd rests.
    Halted,
    /// Not listed; else as halted.
    Unlisted,
}

impl Listing {
    /// The listing called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "trading" => Self::Trading,
            "halted" => Self::Halted,
            "unlisted" => Self::Unlisted,
            _ => return None,
        })
    }
}

/// A filter that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Tick,
    Lot,
    PriceMin,
    PriceMax,
    QtyMin,
    QtyMax,
    MarketQtyMax,
    ValueMin,
    ValueMax,
    OrdersMax,
}

const NAMES: [(&str, Filter); 10] = [
    ("tick", Filter::Tick),
    ("lot", Filter::Lot),
    ("price-min", Filter::PriceMin),
    ("price-max", Filter::PriceMax),
    ("qty-min", Filter::QtyMin),
    ("qty-max", Filter::QtyMax),
    ("market-qty-max", Filter::MarketQtyMax),
    ("value-min", Filter::ValueMin),
    ("value-max", Filter::ValueMax),
    ("orders-max", Filter::OrdersMax),
];

/// New filters of a market; what is not named stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChange(Vec<(Filter, i64)>);

impl FilterChange {
    /// Reads words such as `tick=0.05` or `orders-max=20`.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        if words.is_empty() {
            return Err(
                "`filters` needs what changes, for example `filters BTCUSDT tick=0.05`".to_owned()
            );
        }
        words.iter().map(|word| Self::one(word)).collect::<Result<_, _>>().map(Self)
    }

    fn one(word: &str) -> Result<(Filter, i64), String> {
        let known = || NAMES.map(|(name, _)| name).join(", ");
        let (name, text) = word
            .split_once('=')
            .ok_or_else(|| format!("`{word}` is not a filter such as tick=0.05"))?;
        let filter = NAMES.iter().find(|(known, _)| *known == name).map(|(_, filter)| *filter);
        let filter = filter.ok_or_else(|| format!("no filter `{name}`; one of: {}", known()))?;
        let value = match filter {
            Filter::OrdersMax => text.parse().ok(),
            _ => decimal::parse(text).ok(),
        };
        let step = matches!(filter, Filter::Tick | Filter::Lot);
        let value = value.filter(|v| *v >= i64::from(step));
        let value = value.ok_or_else(|| format!("`{text}` is no value for `{name}`"))?;
        Ok((filter, value))
    }

    /// Makes them the filters of `spec`. The least price and quantity follow their steps unless
    /// they are named, too.
    pub fn apply(&self, spec: &mut SymbolSpec) {
        for (filter, value) in &self.0 {
            match filter {
                Filter::Tick => (spec.tick, spec.price_bounds.0) = (*value, *value),
                Filter::Lot => (spec.lot, spec.qty_bounds.0) = (*value, *value),
                _ => {}
            }
        }
        let finer = |new: i64, old: i64| if digits_of(new) > digits_of(old) { new } else { old };
        spec.finest = (finer(spec.tick, spec.finest.0), finer(spec.lot, spec.finest.1));
        for (filter, value) in &self.0 {
            match filter {
                Filter::Tick | Filter::Lot => {}
                Filter::PriceMin => spec.price_bounds.0 = *value,
                Filter::PriceMax => spec.price_bounds.1 = *value,
                Filter::QtyMin => spec.qty_bounds.0 = *value,
                Filter::QtyMax => spec.qty_bounds.1 = *value,
                Filter::MarketQtyMax => spec.market_qty_max = *value,
                Filter::ValueMin => spec.notional_bounds.0 = *value,
                Filter::ValueMax => spec.notional_bounds.1 = *value,
                Filter::OrdersMax => spec.orders_max = usize::try_from(*value).unwrap_or(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::ONE;

    #[test]
    fn named_filters_change_and_the_others_stay() {
        let old = SymbolSpec::defaults().swap_remove(0);
        let changed = |words: &[&str]| {
            let mut spec = old.clone();
            FilterChange::parse(words).expect("a change").apply(&mut spec);
            spec
        };
        let spec = changed(&["qty-min=0.5", "tick=0.5", "lot=0.001", "orders-max=3"]);
        assert_eq!(
            (spec.tick, spec.price_bounds.0, spec.price_bounds.1),
            (ONE / 2, ONE / 2, old.price_bounds.1)
        );
        assert_eq!((spec.lot, spec.qty_bounds.0, spec.orders_max), (ONE / 1_000, ONE / 2, 3));
        assert_eq!(changed(&["value-min=20"]).notional_bounds, (20 * ONE, old.notional_bounds.1));
        assert_eq!(changed(&["value-min=5"]), old);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let error = |words: &[&str]| FilterChange::parse(words).expect_err("no change");
        assert!(error(&[]).contains("needs what changes"));
        assert!(error(&["tick"]).contains("not a filter such as"));
        assert!(error(&["tock=1"]).contains("no filter `tock`; one of: tick, lot"));
        for bad in ["tick=0", "lot=-1", "tick=1e3", "orders-max=0.5", "tick=0.000000001"] {
            assert!(error(&[bad]).contains("is no value"), "{bad}");
        }
        assert_eq!(Listing::from_name("halted"), Some(Listing::Halted));
        assert_eq!(Listing::from_name("open"), None);
    }
}

//! Instruments of different venues that trade the same thing for the same thing, and their units.

use bot4_types::{
    AssetId, Instrument, InstrumentId, InstrumentTable, OrderReport, Price, Qty, Side,
};

/// Which instruments are the same thing. By instrument: the lowest number of its group.
#[derive(Debug, Default)]
pub(crate) struct Groups(Vec<u16>);

impl Groups {
    /// None yet.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The groups of `table`. Allocates.
    pub(crate) fn of(table: &InstrumentTable) -> Self {
        let same = |asset: AssetId| table.namesake(asset);
        let pair = |i: &Instrument| (same(i.base), same(i.quote));
        let first = |i: &Instrument| table.all().iter().find(|o| pair(o) == pair(i));
        Self(table.all().iter().map(|i| first(i).map_or(i.id.0, |o| o.id.0)).collect())
    }

    /// `one` and `other` are the same thing at two venues, or the same instrument.
    pub(crate) fn are_same(&self, one: InstrumentId, other: InstrumentId) -> bool {
        let of = |id: InstrumentId| self.0.get(id.index());
        one == other || (of(one).is_some() && of(one) == of(other))
    }

    /// The instruments that are the same thing as `one`, itself among them, in order.
    pub(crate) fn members(&self, one: InstrumentId) -> impl Iterator<Item = InstrumentId> + '_ {
        let group = self.0.get(one.index());
        let all = self.0.iter().enumerate().filter(move |(_, g)| Some(*g) == group);
        all.map(|(i, _)| InstrumentId(i as u16))
    }
}

/// `value` of `from` decimals in units of `to` decimals, rounded down where these are fewer.
pub(crate) fn scaled_down(value: i64, from: u8, to: u8) -> i64 {
    if to >= from {
        return scaled_up(value, from, to);
    }
    value / power(from - to)
}

/// As [`scaled_down`], rounded up.
pub(crate) fn scaled_up(value: i64, from: u8, to: u8) -> i64 {
    if to >= from {
        return value.saturating_mul(power(to - from));
    }
    let unit = power(from - to);
    value / unit + i64::from(value % unit > 0)
}

fn power(decimals: u8) -> i64 {
    10i64.saturating_pow(u32::from(decimals))
}

/// `price` of `from` in the units of `to`, never to a worse price for an order of `side`.
pub(crate) fn limit_in(price: Price, from: &Instrument, to: &Instrument, side: Side) -> Price {
    let (from, to) = (from.price_decimals, to.price_decimals);
    Price(match side {
        Side::Buy => scaled_down(price.0, from, to),
        Side::Sell => scaled_up(price.0, from, to),
    })
}

/// `report` of an order in `from`, in the units of `to`, whose quantities are not coarser: exact in
/// quantity, prices rounded down where `to` has fewer decimals.
pub(crate) fn report_in(report: &OrderReport, from: &Instrument, to: &Instrument) -> OrderReport {
    let qty = |q: Qty| Qty(scaled_up(q.0, from.qty_decimals, to.qty_decimals));
    let price = |p: Price| Price(scaled_down(p.0, from.price_decimals, to.price_decimals));
    OrderReport {
        price: price(report.price),
        qty: qty(report.qty),
        cum_qty: qty(report.cum_qty),
        last_qty: qty(report.last_qty),
        last_price: price(report.last_price),
        ..*report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::Symbol;

    #[test]
    fn the_same_thing_at_two_venues_is_a_group() {
        let name = |text: &str| Symbol::new(text).expect("short");
        let venue = |pairs: &[(&str, &str, &str)]| {
            let mut table = InstrumentTable::new();
            for (symbol, base, quote) in pairs {
                let base = table.asset(name(base)).expect("room");
                let quote = table.asset(name(quote)).expect("room");
                let bare = Instrument::bare(InstrumentId(0), name(symbol), 8);
                table.push(Instrument { base, quote, ..bare }).expect("room");
            }
            table
        };
        let one = venue(&[("ETHUSDT", "ETH", "USDT"), ("BTCUSDT", "BTC", "USDT")]);
        let two = venue(&[("BTC-USDT", "BTC", "USDT"), ("BTC-EUR", "BTC", "EUR")]);
        let table = InstrumentTable::joined(&[(name("one"), &one), (name("two"), &two)]);
        let groups = Groups::of(&table.expect("room"));
        let members = |i| groups.members(InstrumentId(i)).map(|m| m.0).collect::<Vec<_>>();
        assert_eq!(
            [members(0), members(1), members(2), members(3)],
            [vec![0], vec![1, 2], vec![1, 2], vec![3],]
        );
        assert!(groups.are_same(InstrumentId(1), InstrumentId(2)));
        assert!(!groups.are_same(InstrumentId(1), InstrumentId(3)));
        assert!(members(9).is_empty());
    }

    #[test]
    fn units_are_exact_upwards_and_rounded_as_said_downwards() {
        assert_eq!((scaled_up(7, 2, 4), scaled_down(700, 4, 2)), (700, 7));
        assert_eq!((scaled_up(701, 4, 2), scaled_down(799, 4, 2)), (8, 7));
        assert_eq!(scaled_up(i64::MAX, 0, 8), i64::MAX);
    }
}

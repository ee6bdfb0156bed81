//! Fills between the end of what a run's journal tells and the next start, as rows of the
//! account's state.
//!
//! ```text
//! venue's fills since the run began
//!   - booked by risk, or told to it as another program's     (the journal)
//!   = of an order that the journal approved -> late: booked by the next run for its strategy
//!   + of nobody that is known               -> stray: its instrument stands still
//! ```
//! They lie in the state from the comparison until a later run has a state of its own, so that a
//! start that fails, or is killed, forgets none of them and books none twice.

use bot4_risk::LateFill;
use bot4_types::instrument::Amount;
use bot4_types::{AssetId, InstrumentTable, OrderId, Price, Qty, Side, StrategyId};
use serde::{Deserialize, Serialize};

use crate::replay::shapes::big;

/// Late fills that a run's document holds; more of them are taken over as positions.
pub const LATE_MAX: usize = 256;

/// A fill that no run has booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapRow {
    /// Place and kind of the strategy whose order it was; none: nobody's that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<(u8, String)>,
    /// The order's number in its run; zero where nobody knows it.
    pub order: u64,
    /// The instrument.
    pub symbol: String,
    /// Decimals of price and quantity.
    pub decimals: [u8; 2],
    /// The venue's trade id.
    pub trade_id: u64,
    /// It bought.
    pub buy: bool,
    /// Quantity in the instrument's units.
    pub qty: i64,
    /// Price in the instrument's units.
    pub price: i64,
    /// Fee, 10^-16.
    #[serde(with = "big")]
    pub fee: Amount,
    /// What the fee was paid with; empty when the run has no such asset.
    pub fee_asset: String,
    /// The order rested.
    pub maker: bool,
    /// When, Unix ms of the venue.
    pub at_ms: i64,
}

impl GapRow {
    /// As a fill of `table`, for strategies of these `kinds`; `None` where no strategy takes it
    /// over, or `table` has not its instrument in the same units.
    #[must_use]
    pub fn late(&self, table: &InstrumentTable, kinds: &[&str]) -> Option<LateFill> {
        let (place, kind) = self.holder.as_ref()?;
        let strategy = StrategyId(place_of(*place, kind, kinds)?);
        self.fill(table, strategy)
    }

    /// What it moved of the assets of `table`; nothing where it cannot be told.
    #[must_use]
    pub fn moved(&self, table: &InstrumentTable) -> Vec<(AssetId, Amount)> {
        let fill = self.fill(table, StrategyId(0));
        fill.map(|fill| fill.moved(table).to_vec()).unwrap_or_default()
    }

    fn fill(&self, table: &InstrumentTable, strategy: StrategyId) -> Option<LateFill> {
        let i = table.labelled_as(&self.symbol)?;
        (self.decimals == [i.price_decimals, i.qty_decimals]).then(|| LateFill {
            strategy,
            instrument: i.id,
            order: OrderId(self.order),
            trade_id: self.trade_id,
            side: if self.buy { Side::Buy } else { Side::Sell },
            qty: Qty(self.qty),
            price: Price(self.price),
            fee: self.fee,
            fee_asset: asset_of(table, &self.fee_asset),
            maker: self.maker,
        })
    }

    /// The same fill.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (self.trade_id, &self.symbol) == (other.trade_id, &other.symbol)
    }

    /// For a person: the instrument, the trade, what it did.
    #[must_use]
    pub fn told(&self) -> String {
        let word = if self.buy { "bought" } else { "sold" };
        let [price, qty] = [(self.price, self.decimals[0]), (self.qty, self.decimals[1])]
            .map(|(units, decimals)| plain(units, decimals));
        format!("{}: trade {} {word} {qty} at {price}", self.symbol, self.trade_id)
    }
}

/// Adds those of `more` that are not there.
pub fn add(rows: &mut Vec<GapRow>, more: impl IntoIterator<Item = GapRow>) {
    for row in more {
        if !rows.iter().any(|known| known.is(&row)) {
            rows.push(row);
        }
    }
}

/// The place of the strategy that was of `kind` at `place`, among `kinds`.
#[must_use]
pub fn place_of(place: u8, kind: &str, kinds: &[&str]) -> Option<u8> {
    let same = kinds.get(usize::from(place)).is_some_and(|k| *k == kind);
    let found = if same { Some(usize::from(place)) } else { kinds.iter().position(|k| *k == kind) };
    found.map(|place| place as u8)
}

/// The asset with this label; [`AssetId::NONE`] where `table` has none.
fn asset_of(table: &InstrumentTable, label: &str) -> AssetId {
    let mut all = (0..table.assets_len()).map(|a| AssetId(a as u8));
    all.find(|a| table.asset_label(*a) == label).unwrap_or(AssetId::NONE)
}

/// `units` of 10^-`decimals` as text.
fn plain(units: i64, decimals: u8) -> String {
    let one = 10_u64.pow(u32::from(decimals.min(18)));
    let (whole, part) = (units.unsigned_abs() / one, units.unsigned_abs() % one);
    let text = format!("{whole}.{part:0width$}", width = usize::from(decimals.min(18)));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Instrument, InstrumentId, Symbol};

    fn row() -> GapRow {
        GapRow {
            holder: Some((1, "ema_cross".to_owned())),
            order: 9,
            symbol: "AAAUSDT".to_owned(),
            decimals: [8, 8],
            trade_id: 4,
            buy: false,
            qty: 150_000_000,
            price: 200_000_000,
            fee: 7,
            fee_asset: "USDT".to_owned(),
            maker: true,
            at_ms: 5,
        }
    }

    fn table() -> InstrumentTable {
        let mut table = InstrumentTable::new();
        let name = |s| Symbol::new(s).expect("short");
        let [base, quote] = ["AAA", "USDT"].map(|a| table.asset(name(a)).expect("room"));
        let bare = Instrument::bare(InstrumentId(0), name("AAAUSDT"), 8);
        table.push(Instrument { base, quote, ..bare }).expect("room");
        table
    }

    #[test]
    fn a_fill_finds_its_strategy_and_moves_what_it_moved() {
        let fill = row().late(&table(), &["ema_cross"]).expect("its kind is there");
        assert_eq!(
            (fill.strategy, fill.side, fill.fee_asset),
            (StrategyId(0), Side::Sell, AssetId(1))
        );
        assert_eq!(row().late(&table(), &["market_maker"]), None);
        assert_eq!(GapRow { holder: None, ..row() }.late(&table(), &["ema_cross"]), None);
        assert_eq!(GapRow { decimals: [8, 7], ..row() }.moved(&table()), []);
        let one = 10i128.pow(16);
        let moved = vec![(AssetId(0), -one * 3 / 2), (AssetId(1), 3 * one), (AssetId(1), -7)];
        assert_eq!(GapRow { holder: None, ..row() }.moved(&table()), moved);
        assert_eq!(row().told(), "AAAUSDT: trade 4 sold 1.5 at 2");
    }

    #[test]
    fn a_fill_is_kept_once() {
        let mut rows = vec![row()];
        let other = GapRow { symbol: "BBBUSDT".to_owned(), ..row() };
        add(&mut rows, [row(), other.clone(), other]);
        assert_eq!(rows.len(), 2);
    }
}

//! Worst-case exposure summed over instruments: gross, net both ways, and maintenance margin, of
//! the account and of each strategy.
//!
//! Invariant: every sum equals what adding up all instruments at the marks handed in would give.
//! An instrument's part is worked out again whenever its exposure or its mark changes, and the
//! difference goes into the sums. The worst case of an instrument is the larger of what it is if
//! everything on the one side fills and nothing on the other; net is worst with every instrument
//! at its worst in the same direction. Cost: O(1) a changed exposure, O(strategies) a mark. No
//! allocation after construction.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, Instrument, InstrumentId, InstrumentTable, Price, Side, StrategyId};
use serde::{Deserialize, Serialize};

use crate::exposure::Exposure;
use crate::ledger::Ledger;
use crate::money::{AMOUNT_SANE, quote_amount};
use crate::valuation::{Valuation, mark_price};

/// What notionals of one instrument are worth, without a division where its quote asset is the
/// reporting one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    /// From a notional to an amount of the quote asset.
    scale: i128,
    /// Larger notionals are taken for nonsense.
    notional_sane: i128,
    quote: AssetId,
    is_reporting: bool,
}

impl Worth {
    fn new(instrument: &Instrument, is_reporting: bool) -> Self {
        let scale = quote_amount(instrument, 1).max(1);
        let notional_sane = AMOUNT_SANE / scale;
        Self { scale, notional_sane, quote: instrument.quote, is_reporting }
    }

    /// A notional (price units times quantity units) in the reporting asset; `None` when it
    /// cannot be told or is beyond [`AMOUNT_SANE`].
    #[must_use]
    #[inline]
    pub fn of(&self, notional: i128, valuation: &Valuation) -> Option<Amount> {
        if notional.unsigned_abs() > self.notional_sane.unsigned_abs() {
            return None;
        }
        // The bound just checked keeps the product within 2^110.
        let amount = notional.wrapping_mul(self.scale);
        if self.is_reporting {
            return Some(amount);
        }
        valuation
            .value(self.quote, amount)
            .filter(|v| v.unsigned_abs() <= AMOUNT_SANE.unsigned_abs())
    }

    /// `qty` at `price`; see [`Self::of`].
    #[must_use]
    #[inline]
    pub fn at(&self, qty: i128, price: Price, valuation: &Valuation) -> Option<Amount> {
        let qty = i64::try_from(qty).ok()?;
        self.of(i128::from(qty) * i128::from(price.0), valuation)
    }
}

/// One instrument's part of the sums: its worst case by side, signed in the side's direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Buy, sell.
    pub worst: [Amount; 2],
}

impl Part {
    /// The larger of both sides, at least zero.
    #[must_use]
    #[inline]
    pub fn gross(&self) -> Amount {
        self.worst[0].max(self.worst[1]).max(0)
    }
}

/// The sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Gross.
    pub gross: Amount,
    /// Net, if everything of this side fills and nothing of the other: buy, sell.
    pub net: [Amount; 2],
    /// Maintenance margin of gross, 10^-4 of the reporting asset's unit.
    pub margin_e4: Amount,
}

impl Sum {
    fn replace(&mut self, old: &Part, new: &Part, maintenance_e4: i64) {
        let grown = new.gross() - old.gross();
        self.gross += grown;
        self.margin_e4 += grown * i128::from(maintenance_e4);
        for side in 0..2 {
            self.net[side] += new.worst[side] - old.worst[side];
        }
    }
}

/// All parts and sums. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aggregate {
    worths: Box<[Worth]>,
    maintenance_e4: Box<[i64]>,
    parts: Box<[Part]>,
    cells: Box<[Part]>,
    account: Sum,
    strategies: Box<[Sum]>,
    /// Instruments whose worth depends on another instrument's mark, too.
    routed: Box<[InstrumentId]>,
}

impl Aggregate {
    /// Of nothing, over `table`, told in `reporting`. Allocates once.
    #[must_use]
    pub fn new(table: &InstrumentTable, strategies: usize, reporting: AssetId) -> Self {
        let told_in = |i: &Instrument| table.namesake(i.quote) == table.namesake(reporting);
        let worths: Box<[Worth]> = table.all().iter().map(|i| Worth::new(i, told_in(i))).collect();
        let routed = table.all().iter().filter(|i| !told_in(i)).map(|i| i.id).collect();
        let instruments = worths.len();
        Self {
            worths,
            maintenance_e4: vec![0; instruments].into_boxed_slice(),
            parts: vec![Part::default(); instruments].into_boxed_slice(),
            cells: vec![Part::default(); instruments * strategies].into_boxed_slice(),
            account: Sum::default(),
            strategies: vec![Sum::default(); strategies].into_boxed_slice(),
            routed,
        }
    }

    /// Another maintenance margin for `instrument`, 10^-4 of its exposure.
    pub fn set_maintenance(&mut self, instrument: InstrumentId, maintenance_e4: i64) {
        let at = instrument.index();
        let (Some(held), Some(part)) = (self.maintenance_e4.get_mut(at), self.parts.get(at)) else {
            return;
        };
        let grown = part.gross() * i128::from(maintenance_e4 - *held);
        self.account.margin_e4 += grown;
        *held = maintenance_e4;
    }

    /// The exposure of `strategy` in `instrument` may have changed.
    pub fn on_exposure(
        &mut self,
        strategy: StrategyId,
        instrument: InstrumentId,
        ledger: &Ledger,
        valuation: &Valuation,
    ) {
        self.refresh_total(instrument, ledger, valuation);
        self.refresh_cell(strategy, instrument, ledger, valuation);
    }

    /// The mark of `instrument` has changed.
    pub fn on_mark(&mut self, instrument: InstrumentId, ledger: &Ledger, valuation: &Valuation) {
        self.refresh_all(instrument, ledger, valuation);
        for i in 0..self.routed.len() {
            if self.routed[i] != instrument {
                self.refresh_all(self.routed[i], ledger, valuation);
            }
        }
    }

    /// The account's sums.
    #[must_use]
    pub const fn account(&self) -> &Sum {
        &self.account
    }

    /// The sums of `strategy`.
    #[must_use]
    pub fn strategy(&self, strategy: StrategyId) -> Option<&Sum> {
        self.strategies.get(usize::from(strategy.0))
    }

    /// The account's part in `instrument`.
    #[must_use]
    pub fn part(&self, instrument: InstrumentId) -> Option<&Part> {
        self.parts.get(instrument.index())
    }

    /// The part of `strategy` in `instrument`.
    #[must_use]
    pub fn cell(&self, strategy: StrategyId, instrument: InstrumentId) -> Option<&Part> {
        let instruments = self.parts.len();
        if instrument.index() >= instruments {
            return None;
        }
        self.cells.get(usize::from(strategy.0) * instruments + instrument.index())
    }

    /// What notionals of `instrument` are worth.
    #[must_use]
    pub fn worth(&self, instrument: InstrumentId) -> Option<&Worth> {
        self.worths.get(instrument.index())
    }

    fn refresh_all(&mut self, instrument: InstrumentId, ledger: &Ledger, valuation: &Valuation) {
        self.refresh_total(instrument, ledger, valuation);
        for strategy in 0..self.strategies.len() {
            self.refresh_cell(StrategyId(strategy as u8), instrument, ledger, valuation);
        }
    }

    fn refresh_total(&mut self, instrument: InstrumentId, ledger: &Ledger, valuation: &Valuation) {
        let at = instrument.index();
        let (Some(part), Some(exposure)) = (self.parts.get_mut(at), ledger.total(instrument))
        else {
            return;
        };
        let new = part_of(exposure, &self.worths[at], instrument, valuation);
        if new != *part {
            self.account.replace(part, &new, self.maintenance_e4[at]);
            *part = new;
        }
    }

    fn refresh_cell(
        &mut self,
        strategy: StrategyId,
        instrument: InstrumentId,
        ledger: &Ledger,
        valuation: &Valuation,
    ) {
        let (at, instruments) = (instrument.index(), self.parts.len());
        let row = usize::from(strategy.0);
        let (Some(sum), Some(exposure)) =
            (self.strategies.get_mut(row), ledger.exposure(strategy, instrument))
        else {
            return;
        };
        let part = &mut self.cells[row * instruments + at];
        let new = part_of(exposure, &self.worths[at], instrument, valuation);
        if new != *part {
            sum.replace(part, &new, self.maintenance_e4[at]);
            *part = new;
        }
    }
}

/// What an exposure is worth by side. One that cannot be valued counts as more than any limit.
fn part_of(
    exposure: &Exposure,
    worth: &Worth,
    instrument: InstrumentId,
    valuation: &Valuation,
) -> Part {
    let worst = [Side::Buy, Side::Sell].map(|side| exposure.worst(side));
    if worst == [0, 0] {
        return Part::default();
    }
    let price = valuation.mark(instrument).and_then(mark_price);
    let value = |qty: i128| {
        let told = price.and_then(|p| worth.at(qty, p, valuation));
        told.unwrap_or(if qty > 0 { AMOUNT_SANE } else { 0 })
    };
    Part { worst: worst.map(value) }
}

//! The only owner of positions, cash, profit and reservations.
//!
//! * A **reservation** is made when an order is approved and freed only as its quantity is
//!   filled or ended by a terminal report, `NotSent` included. While an amend is open it is the
//!   larger of what both terms need.
//! * A **fill** is booked once: by order and trade id, and never beyond the venue's cumulative
//!   quantity. What does not fit this is counted ([`Counts`]), never guessed away.
//! * **Exposure is worst case.** Every order that is not proven ended counts in full, an
//!   `Unknown` one too; an ended order whose fills are still to come counts what is missing.
//! * **Balances are exact**: start + fills - fees + funding, per asset, in `i128`.
//!
//! * **Two costs.** Every position is kept at average cost and first-in-first-out; for either,
//!   `realized - cost` is the cash that its fills moved.
//! * **Funding** is booked once by its number, in cash, apart from fills.
//!
//! Reports may come doubled or out of order: what is held, reserved and paid after a set of
//! reports does not depend on their order (the naive twin in [`crate::naive`] proves it), nor
//! does profit at a mark. How profit is split into realised and open does: that is told in the
//! order of booking. Cost: O(1) an approval or report beside the lots that a fill closes, see
//! [`crate::orders`] and [`crate::lots`]. No allocation after construction.

use bot4_types::instrument::Amount;
use bot4_types::limits::ORDERS_OPEN_MAX;
use bot4_types::{
    AssetId, DoneReason, HeldPosition, Instrument, InstrumentId, InstrumentRules, InstrumentTable,
    OrderAction, OrderId, OrderIntent, OrderReport, OrderState, Price, Qty, ReportKind, Side,
    StrategyId, notional,
};
use serde::{Deserialize, Serialize};

use crate::exposure::{Counts, Exposure};
use crate::limits::RiskLimits;
use crate::lots::{Fifo, LOTS_MAX, LotTable};
use crate::money::{AMOUNT_SANE, base_amount, mul_div_up, quote_amount};
use crate::orders::{Chain, OrderSlot, OrderTable};

mod amends;
mod follow;
mod late;
mod match_limit;

use match_limit::limit_when_working;
pub use match_limit::match_limit;

/// What one asset's account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    start: Amount,
    /// The start is known: given, or taken from the venue before anything moved.
    known: bool,
    moved: Amount,
    reserved: Amount,
    fees: Amount,
    funding: Amount,
    venue: Option<(Amount, Amount)>,
}

/// Orphan fills remembered against their own duplicates.
const ORPHANS_KEPT: usize = 256;
/// Funding payments remembered against their own duplicates: venues pay every few hours.
const FUNDINGS_KEPT: usize = 1_024;

/// The ledger. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    table: InstrumentTable,
    allowance_e6: i64,
    slippage_e4: i64,
    orders: OrderTable,
    accounts: Box<[Account]>,
    totals: Box<[Exposure]>,
    cells: Box<[Exposure]>,
    /// Queues in the order of `totals`, then of `cells`.
    lots: LotTable,
    fundings: Box<[(InstrumentId, u64)]>,
    open: usize,
    open_by: Box<[u32]>,
    unknown: usize,
    approved_last: OrderId,
    orphans: Box<[(OrderId, InstrumentId, u64)]>,
    counts: Counts,
}

impl Ledger {
    /// A ledger over `table` that starts with `balances`. Allocates everything it will need.
    #[must_use]
    pub fn new(
        table: &InstrumentTable,
        strategies: usize,
        balances: &[(AssetId, Amount)],
        limits: &RiskLimits,
    ) -> Self {
        let instruments = table.all().len();
        let mut accounts = vec![Account::default(); table.assets_len()].into_boxed_slice();
        for (asset, amount) in balances {
            if let Some(account) = accounts.get_mut(usize::from(asset.0)) {
                account.start = account.start.saturating_add(*amount);
                account.known = true;
            }
        }
        let blank = Exposure::default();
        Self {
            table: table.clone(),
            allowance_e6: limits.fee_allowance_e6,
            slippage_e4: limits.market_slippage_e4,
            orders: OrderTable::new(instruments),
            accounts,
            totals: vec![blank; instruments].into_boxed_slice(),
            cells: vec![blank; instruments * strategies].into_boxed_slice(),
            lots: LotTable::new(instruments * (1 + strategies), LOTS_MAX),
            fundings: vec![(InstrumentId(0), 0); FUNDINGS_KEPT].into_boxed_slice(),
            open: 0,
            open_by: vec![0; strategies].into_boxed_slice(),
            unknown: 0,
            approved_last: OrderId(0),
            orphans: vec![(OrderId(0), InstrumentId(0), 0); ORPHANS_KEPT].into_boxed_slice(),
            counts: Counts::default(),
        }
    }

    /// Begins with what strategies hold from earlier runs of the account, at its cost. The start
    /// balances hold it already.
    pub fn take_over(&mut self, held: &[HeldPosition]) {
        for h in held {
            let total = h.instrument.index();
            let Some(cell) = self.cell(h.strategy, h.instrument) else { continue };
            let Some(own) = self.cells.get_mut(cell) else { continue };
            own.position.take_over(h.qty, h.cost);
            self.totals[total].position.take_over(h.qty, h.cost);
            self.lots.take_over(total, h.qty, h.cost);
            self.lots.take_over(self.totals.len() + cell, h.qty, h.cost);
        }
    }

    /// Room for another order.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.orders.live() < ORDERS_OPEN_MAX
    }

    /// Takes an approved new order into the table and makes its reservation. False, and nothing
    /// done, when the instrument is unknown, the number is used or there is no room: the gate
    /// has checked all three.
    pub fn approve(&mut self, intent: &OrderIntent) -> bool {
        let known = self.table.get(intent.instrument).is_some();
        if !known || intent.qty.0 <= 0 || !self.has_room() {
            return false;
        }
        let mut slot =
            OrderSlot::new(intent.order, intent.instrument, intent.strategy, intent.side);
        slot.limit = match_limit(intent);
        slot.own_limit = slot.limit;
        slot.waits_for = intent.kind.is_triggered().then(|| limit_when_working(intent));
        slot.reduce_only = intent.reduce_only;
        slot.reserve_price = self.reserve_price(intent);
        slot.qty = intent.qty.0;
        let Some(place) = self.orders.insert(slot) else { return false };
        self.open += 1;
        self.count_open(place, true);
        self.settle(place);
        self.approved_last = self.approved_last.max(intent.order);
        true
    }

    /// What approving `intent` would reserve: the asset that its side pays with, and how much. Of
    /// an amend, how much more.
    #[must_use]
    pub fn reservation(&self, intent: &OrderIntent) -> Option<(AssetId, Amount)> {
        let instrument = self.table.get(intent.instrument)?;
        let price = self.reserve_price(intent);
        let of = |qty| reserve(instrument, intent.side, price, qty, self.allowance_e6);
        if intent.action != OrderAction::Amend {
            return Some(of(intent.qty.0));
        }
        let order = self.order(intent.order)?;
        let (asset, needed) = of(intent.qty.0.saturating_sub(order.filled).max(0));
        Some((asset, needed.saturating_sub(order.reserved).max(0)))
    }

    /// Books a report. True when it told something new that the strategies should hear of.
    pub fn on_report(&mut self, report: &OrderReport) -> bool {
        let Some(place) = self.orders.find(report.order) else { return self.on_stray(report) };
        let slot = *self.orders.slot(place);
        let is_fill = report.kind == ReportKind::Fill;
        let matches = report.instrument == slot.instrument && report.side == slot.side;
        if !matches || (is_fill && !self.is_sane(report)) {
            self.counts.invalid += 1;
            return false;
        }
        let news = if is_fill {
            self.book_fill(place, report)
        } else {
            report.seq > slot.seq || (report.state.is_terminal() && !slot.state.is_terminal())
        };
        self.counts.contradicted += u64::from(news && report.kind == ReportKind::Contradicted);
        let slot = self.orders.slot_mut(place);
        slot.cum = slot.cum.max(report.cum_qty.0);
        // An ended order stays ended; a late report of an earlier time changes no state.
        if !slot.state.is_terminal() && (report.state.is_terminal() || report.seq > slot.seq) {
            slot.state = report.state;
            if report.state.is_terminal() {
                self.open -= 1;
                self.count_open(place, false);
            }
        }
        self.take_terms(place, report);
        let slot = self.orders.slot_mut(place);
        if report.kind == ReportKind::Triggered
            && let Some(limit) = slot.waits_for.take()
        {
            slot.own_limit = limit;
        }
        slot.seq = slot.seq.max(report.seq);
        self.settle(place);
        news
    }

    /// Notes a balance that the venue stated. It is the venue's view, compared at the end; only
    /// an asset without a known start begins with it, and only before the first approval: after
    /// that it may hold a fill that is still to be told.
    pub fn on_balance(&mut self, asset: AssetId, free: Amount, locked: Amount) {
        let Some(account) = self.accounts.get_mut(usize::from(asset.0)) else {
            self.counts.invalid += 1;
            return;
        };
        account.venue = Some((free, locked));
        if !account.known && account.moved == 0 && self.approved_last == OrderId(0) {
            account.start = free.saturating_add(locked);
            account.known = true;
        }
    }

    /// Books a funding payment: received (positive) or paid. False when it was booked before or
    /// is none.
    pub fn on_funding(
        &mut self,
        instrument: InstrumentId,
        id: u64,
        asset: AssetId,
        amount: Amount,
    ) -> bool {
        let key = (instrument, id);
        let kept = (self.counts.fundings as usize).min(FUNDINGS_KEPT);
        if self.fundings[..kept].contains(&key) {
            self.counts.fundings_doubled += 1;
            return false;
        }
        let known = self.table.get(instrument).is_some() && self.account(asset).is_some();
        if !known || amount.unsigned_abs() >= AMOUNT_SANE.unsigned_abs() {
            self.counts.invalid += 1;
            return false;
        }
        self.fundings[self.counts.fundings as usize % FUNDINGS_KEPT] = key;
        self.counts.fundings += 1;
        self.shift(asset, amount);
        if let Some(account) = self.accounts.get_mut(usize::from(asset.0)) {
            account.funding = account.funding.saturating_add(amount);
        }
        true
    }

    /// Start + fills - fees + funding.
    #[must_use]
    pub fn expected_balance(&self, asset: AssetId) -> Amount {
        self.account(asset).map_or(0, |a| a.start.saturating_add(a.moved))
    }

    /// The expected balance less what is reserved for open orders.
    #[must_use]
    pub fn free(&self, asset: AssetId) -> Amount {
        self.expected_balance(asset).saturating_sub(self.reserved(asset))
    }

    /// Reserved for open orders.
    #[must_use]
    pub fn reserved(&self, asset: AssetId) -> Amount {
        self.account(asset).map_or(0, |a| a.reserved)
    }

    /// Fees paid in `asset`; a rebate counts negative.
    #[must_use]
    pub fn fees(&self, asset: AssetId) -> Amount {
        self.account(asset).map_or(0, |a| a.fees)
    }

    /// Funding received in `asset`; what was paid counts negative.
    #[must_use]
    pub fn funding(&self, asset: AssetId) -> Amount {
        self.account(asset).map_or(0, |a| a.funding)
    }

    /// Free and locked as the venue last stated them.
    #[must_use]
    pub fn venue_balance(&self, asset: AssetId) -> Option<(Amount, Amount)> {
        self.account(asset).and_then(|a| a.venue)
    }

    /// The account's exposure in `instrument`, all strategies together.
    #[must_use]
    pub fn total(&self, instrument: InstrumentId) -> Option<&Exposure> {
        self.totals.get(instrument.index())
    }

    /// The exposure of `strategy` in `instrument`.
    #[must_use]
    pub fn exposure(&self, strategy: StrategyId, instrument: InstrumentId) -> Option<&Exposure> {
        self.cells.get(self.cell(strategy, instrument)?)
    }

    /// The account's position in `instrument` at first-in-first-out cost.
    #[must_use]
    pub fn fifo(&self, instrument: InstrumentId) -> Option<&Fifo> {
        self.total(instrument).and_then(|_| self.lots.get(instrument.index()))
    }

    /// The position of `strategy` in `instrument` at first-in-first-out cost.
    #[must_use]
    pub fn strategy_fifo(&self, strategy: StrategyId, at: InstrumentId) -> Option<&Fifo> {
        self.lots.get(self.totals.len() + self.cell(strategy, at)?)
    }

    /// Fills that a full queue of lots took at a common average; see [`crate::lots`].
    #[must_use]
    pub const fn lots_merged(&self) -> u64 {
        self.lots.merged()
    }

    /// Net position of `strategy` in `instrument`, by fills (fees are kept apart).
    #[must_use]
    pub fn position(&self, strategy: StrategyId, instrument: InstrumentId) -> Qty {
        self.exposure(strategy, instrument).map_or(Qty(0), |e| clamped(e.position.qty))
    }

    /// The order, while it is remembered.
    #[must_use]
    pub fn order(&self, order: OrderId) -> Option<&OrderSlot> {
        self.orders.find(order).map(|place| self.orders.slot(place))
    }

    /// Our order of `instrument` and `side` that would trade first.
    #[must_use]
    pub fn best(&self, instrument: InstrumentId, side: Side) -> Option<&OrderSlot> {
        self.orders.best(instrument, side)
    }

    /// Orders that are not ended, the unknown ones among them.
    #[must_use]
    pub const fn open_orders(&self) -> usize {
        self.open
    }

    /// Orders of `strategy` that are not ended.
    #[must_use]
    pub fn open_orders_of(&self, strategy: StrategyId) -> u32 {
        self.open_by.get(usize::from(strategy.0)).copied().unwrap_or(0)
    }

    /// Orders of unknown fate.
    #[must_use]
    pub const fn unknown_orders(&self) -> usize {
        self.unknown
    }

    /// Orders that ended while the venue's cumulative quantity says that fills are missing.
    #[must_use]
    pub const fn settling_orders(&self) -> usize {
        self.orders.live().saturating_sub(self.open)
    }

    /// What happened to reports so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Gives an instrument new rules. False when there is none that they fit.
    pub fn bind(&mut self, rules: &InstrumentRules) -> bool {
        self.table.bind(rules)
    }

    /// No order of `instrument` can trade any more.
    #[must_use]
    pub fn is_at_rest(&self, instrument: InstrumentId) -> bool {
        [Side::Buy, Side::Sell].iter().all(|side| self.best(instrument, *side).is_none())
    }

    /// The instruments.
    #[must_use]
    pub const fn table(&self) -> &InstrumentTable {
        &self.table
    }

    fn account(&self, asset: AssetId) -> Option<&Account> {
        self.accounts.get(usize::from(asset.0))
    }

    fn cell(&self, strategy: StrategyId, instrument: InstrumentId) -> Option<usize> {
        let instruments = self.totals.len();
        (instrument.index() < instruments)
            .then(|| usize::from(strategy.0) * instruments + instrument.index())
    }

    /// A market buy pays what the book asks, so its reservation is made above its price.
    fn reserve_price(&self, intent: &OrderIntent) -> i64 {
        if !intent.kind.is_market() {
            return intent.price.0;
        }
        let up = i128::from(10_000 + self.slippage_e4);
        // One that waits trades about its trigger.
        let price = intent.price.0.max(intent.trigger.0).max(0);
        let price = mul_div_up(i128::from(price), up, 10_000);
        i64::try_from(price).unwrap_or(i64::MAX)
    }

    /// Books the fill of `report`, whose numbers are sane, unless it was booked before.
    fn book_fill(&mut self, place: u32, report: &OrderReport) -> bool {
        let slot = *self.orders.slot(place);
        let cum = i128::from(slot.cum.max(report.cum_qty.0));
        let filled = i128::from(slot.filled) + i128::from(report.last_qty.0);
        // The venue's cumulative quantity bounds the sum of fills: a fill beyond it is one that
        // was booked before under another trade id.
        if self.orders.has_fill(place, report.trade_id) || filled > cum {
            self.counts.duplicates += 1;
            return false;
        }
        self.orders.add_fill(place, report.trade_id);
        self.counts.fills += 1;
        self.counts.overfills += u64::from(filled > i128::from(slot.qty_max()));
        let done = u64::from(slot.chain() == Chain::Retired);
        match report.reason {
            DoneReason::Late => self.counts.late_fills += 1,
            _ => self.counts.after_done += done,
        }
        self.orders.slot_mut(place).filled = slot.filled.saturating_add(report.last_qty.0);
        self.book(slot.strategy, report);
        true
    }

    /// The numbers of a fill are positive and far from the ends of `i128`.
    fn is_sane(&self, report: &OrderReport) -> bool {
        let Some(instrument) = self.table.get(report.instrument) else { return false };
        let value = quote_amount(instrument, notional(report.last_price, report.last_qty));
        let base = base_amount(instrument, i128::from(report.last_qty.0));
        report.last_qty.0 > 0
            && report.last_price.0 > 0
            && report.fee.unsigned_abs() < AMOUNT_SANE.unsigned_abs()
            && value < AMOUNT_SANE
            && base < AMOUNT_SANE
    }

    /// Moves position and cash by a fill that is new.
    fn book(&mut self, strategy: StrategyId, report: &OrderReport) {
        let Some(instrument) = self.table.get(report.instrument).copied() else { return };
        let (side, qty, price) = (report.side, report.last_qty, report.last_price);
        self.totals[instrument.id.index()].position.apply(side, qty, price);
        self.lots.apply(instrument.id.index(), side, qty, price);
        if let Some(at) = self.cell(strategy, instrument.id).filter(|at| *at < self.cells.len()) {
            self.cells[at].position.apply(side, qty, price);
            self.lots.apply(self.totals.len() + at, side, qty, price);
        }
        let sign = i128::from(side.sign());
        self.shift(instrument.base, sign * base_amount(&instrument, i128::from(qty.0)));
        self.shift(instrument.quote, -sign * quote_amount(&instrument, notional(price, qty)));
        self.shift(report.fee_asset, -report.fee);
        match self.accounts.get_mut(usize::from(report.fee_asset.0)) {
            Some(account) => account.fees = account.fees.saturating_add(report.fee),
            None => self.counts.fees_elsewhere += u64::from(report.fee != 0),
        }
    }

    fn shift(&mut self, asset: AssetId, amount: Amount) {
        if let Some(account) = self.accounts.get_mut(usize::from(asset.0)) {
            account.moved = account.moved.saturating_add(amount);
        }
    }

    /// Makes everything that is counted of an order agree with what its slot says: leaves,
    /// reservation, unknown mark and chain.
    fn settle(&mut self, place: u32) {
        let old = *self.orders.slot(place);
        let Some(instrument) = self.table.get(old.instrument).copied() else { return };
        let ended = old.state.is_terminal();
        let left = |qty: i64| qty.max(old.cum).saturating_sub(old.filled).max(0);
        let leaves = left(if ended { 0 } else { old.qty_max() });
        let unknown = old.state == OrderState::Unknown;
        let at = |price, qty| reserve(&instrument, old.side, price, qty, self.allowance_e6);
        let (asset, mut reserved) = at(old.reserve_price, left(if ended { 0 } else { old.qty }));
        if let Some(amend) = old.amend.filter(|_| !ended) {
            reserved = reserved.max(at(amend.price, left(amend.qty)).1);
        }
        self.orders.reprice(place, old.worst_limit());
        let slot = self.orders.slot_mut(place);
        (slot.leaves, slot.reserved, slot.unknown) = (leaves, reserved, unknown);
        if let Some(account) = self.accounts.get_mut(usize::from(asset.0)) {
            account.reserved = account.reserved.saturating_add(reserved - old.reserved);
        }
        let side = old.side.index();
        self.unknown = self.unknown + usize::from(unknown) - usize::from(old.unknown);
        self.each_exposure(&old, |exposure| {
            exposure.leaves[side] += i128::from(leaves) - i128::from(old.leaves);
            exposure.unknown[side] =
                exposure.unknown[side] + u32::from(unknown) - u32::from(old.unknown);
        });
        let chain = match (ended, leaves) {
            (false, _) => Chain::Working,
            (true, 0) => Chain::Retired,
            (true, _) => Chain::Settling,
        };
        self.orders.move_to(place, chain);
    }

    fn count_open(&mut self, place: u32, opened: bool) {
        let slot = *self.orders.slot(place);
        let counted = |n: u32| if opened { n + 1 } else { n.saturating_sub(1) };
        self.each_exposure(&slot, |exposure| {
            exposure.open = counted(exposure.open);
            if slot.reduce_only {
                let reducing = &mut exposure.reduce_only[slot.side.index()];
                *reducing = counted(*reducing);
            }
        });
        if let Some(open) = self.open_by.get_mut(usize::from(slot.strategy.0)) {
            *open = counted(*open);
        }
    }

    /// Changes the account's exposure and the strategy's in the instrument of `slot`.
    fn each_exposure(&mut self, slot: &OrderSlot, mut change: impl FnMut(&mut Exposure)) {
        if let Some(total) = self.totals.get_mut(slot.instrument.index()) {
            change(total);
        }
        if let Some(cell) = self.cell_mut(slot.strategy, slot.instrument) {
            change(cell);
        }
    }

    fn cell_mut(&mut self, strategy: StrategyId, at: InstrumentId) -> Option<&mut Exposure> {
        let cell = self.cell(strategy, at)?;
        self.cells.get_mut(cell)
    }
}

/// `qty` clamped into a [`Qty`].
#[must_use]
pub fn clamped(qty: i128) -> Qty {
    Qty(i64::try_from(qty).unwrap_or(if qty < 0 { i64::MIN } else { i64::MAX }))
}

/// The asset that `side` pays with and what to reserve of it for `leaves` at `price`.
fn reserve(
    instrument: &Instrument,
    side: Side,
    price: i64,
    leaves: i64,
    allowance_e6: i64,
) -> (AssetId, Amount) {
    match side {
        Side::Sell => (instrument.base, base_amount(instrument, i128::from(leaves))),
        Side::Buy => {
            let value = quote_amount(instrument, notional(Price(price), Qty(leaves)));
            let with_fee =
                mul_div_up(value.max(0), i128::from(1_000_000 + allowance_e6), 1_000_000);
            (instrument.quote, with_fee)
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

//! The risk gate: the whole decision on an intent, the kill word alone, and what a stamp costs.
//!
//! The small account has two instruments, three assets and one strategy; at most [`ROW`] orders
//! are open at a time, four a side and instrument, as a market maker's are. The large one has 64
//! instruments and 256 open orders, [`ROW`] of which come and go. Every limit is on and wide
//! enough for the orders to pass. A turn begins with every intent.
//!
//! The ledger remembers ended orders until its table is full and recycles the oldest from then
//! on. A run spends its first minutes in the one state and the rest of its life in the other, so
//! both are measured: `young` accounts have never recycled, the others always do.

use std::hint::black_box;

use bot4_lanes::{Clock, Control, Phase};
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::checks::{CheckInput, GateState};
use bot4_risk::limits::RATE_MAX;
use bot4_risk::orders::ORDERS_RETIRED_MAX;
use bot4_risk::{Decision, EquityStart, RiskConfig, RiskCore, RiskLimits, Scopes, units};
use bot4_types::limits::ORDERS_OPEN_MAX;
use bot4_types::{
    AssetId, BookState, Cause, ControlMode, ExecMsg, Instrument, InstrumentId, InstrumentTable,
    Mark, Nanos, OrderAction, OrderId, OrderIntent, OrderKind, OrderReport, OrderState, Price, Qty,
    RefuseReason, ReportKind, Side, StrategyId, Symbol, Tif, Trail,
};

use crate::case::Case;

/// Orders placed in a row, then ended.
pub const ROW: u64 = 16;

/// One unit at eight decimals.
const ONE: i64 = 100_000_000;
const USDT: AssetId = AssetId(0);
/// Instruments of the small and of the large account, and open orders of the large one.
const SMALL: u64 = 2;
const LARGE: u64 = 64;
const OPEN: u64 = 256;
/// Logical time between two intents: below the rates that the limits allow.
const PACE_NS: u64 = 2_000;

/// Orders until the ledger's table is full.
const TABLE: u64 = (ORDERS_OPEN_MAX + ORDERS_RETIRED_MAX) as u64;

/// A core that takes orders, and the run's logical time.
#[derive(Clone)]
pub struct Account {
    core: RiskCore,
    now: Nanos,
    next: u64,
    instruments: u64,
    intents: Vec<OrderIntent>,
    at: usize,
}

impl Account {
    /// An account with balances, marks and a session.
    ///
    /// # Panics
    /// Never: the configuration is valid.
    #[must_use]
    pub fn new() -> Self {
        Self::of(SMALL)
    }

    /// The same with so many instruments.
    fn of(instruments: u64) -> Self {
        let mut core = RiskCore::new(&config(instruments)).expect("a valid configuration");
        let now = Nanos::from_secs(1);
        core.on_turn(now);
        core.on_report(&ExecMsg::Session { at: now, venue: bot4_types::VenueId(0), ready: true });
        for instrument in 0..instruments {
            core.on_mark(&mark(InstrumentId(instrument as u16), now));
        }
        let intents = Vec::with_capacity(ROW as usize);
        Self { core, now, next: 1, instruments, intents, at: 0 }
    }

    /// A large account whose ledger recycles, with all but a row of its orders open.
    #[must_use]
    pub fn large() -> Self {
        let mut account = Self::of(LARGE);
        account.grow_up();
        for _ in 0..(OPEN - ROW) {
            let intent = intent(account.next, LARGE);
            account.must_pass(&intent);
            account.next += 1;
        }
        account
    }

    /// An account that has placed and ended so many orders that its ledger recycles.
    #[must_use]
    pub fn grown_up() -> Self {
        let mut account = Self::new();
        account.grow_up();
        account
    }

    fn grow_up(&mut self) {
        for id in 1..=TABLE + ROW {
            let intent = intent(id, self.instruments);
            self.must_pass(&intent);
            self.end(&intent);
        }
        self.next = TABLE + ROW + 1;
    }

    /// The core, for good: what looks into it lives as long as the program.
    #[must_use]
    pub fn leaked(self) -> (&'static RiskCore, OrderIntent) {
        (Box::leak(Box::new(self.core)), intent(self.next, self.instruments))
    }

    fn decide(&mut self, intent: &OrderIntent) -> Decision {
        self.now = self.now + Nanos(PACE_NS);
        self.core.on_turn(self.now);
        self.core.on_intent(black_box(intent), Phase::Run)
    }

    fn must_pass(&mut self, intent: &OrderIntent) {
        let decision = black_box(self.decide(intent));
        assert!(matches!(decision, Decision::Approved(_)), "the limits allow it: {decision:?}");
    }

    /// Fresh intents for a row.
    fn refill(&mut self, wanted: u64) -> u64 {
        let row = wanted.min(ROW);
        self.intents.clear();
        self.intents.extend((self.next..self.next + row).map(|id| intent(id, self.instruments)));
        self.next += row;
        self.at = 0;
        row
    }

    fn take(&mut self) -> OrderIntent {
        self.at += 1;
        self.intents[self.at - 1]
    }

    fn end(&mut self, intent: &OrderIntent) {
        let done = report(intent, ReportKind::Done, OrderState::Canceled);
        black_box(self.core.on_report(&ExecMsg::Order(done)));
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::new()
    }
}

fn config(instruments: u64) -> RiskConfig {
    let mut table = InstrumentTable::new();
    let name = |s: &str| Symbol::new(s).expect("a short name");
    let usdt = table.asset(name("USDT")).expect("room");
    for i in 0..instruments {
        let base = table.asset(name(&format!("A{i}"))).expect("room");
        let bare = Instrument::bare(InstrumentId(0), name(&format!("A{i}USDT")), 8);
        let instrument = Instrument { base, quote: usdt, lot: 1_000, tick: ONE / 100, ..bare };
        table.push(instrument).expect("room");
    }
    let limits = RiskLimits {
        // Marks are given once; their age is checked all the same.
        mark_age_ns_max: u64::MAX,
        strategy_orders_per_s: RATE_MAX,
        strategy_orders_burst: RATE_MAX,
        orders_per_s: RATE_MAX,
        orders_burst: RATE_MAX,
        cancels_per_s: RATE_MAX,
        cancels_burst: RATE_MAX,
        order_base_max: units(1_000),
        position_value_max: units(100_000),
        gross_value_max: units(1_000_000),
        net_value_max: units(1_000_000),
        daily_loss_value_max: units(100_000),
        // Spot requires none; here its arithmetic is to be measured.
        maintenance_e4: 100,
        weight_per_s: RATE_MAX,
        weight_burst: RATE_MAX,
        // The bench asks as fast as the gate answers.
        runaway_intents_per_s: RATE_MAX,
        ..RiskLimits::default()
    };
    let bases = (1..=instruments).map(|a| (AssetId(a as u8), units(50)));
    let balances = bases.chain([(USDT, units(20_000))]).collect();
    RiskConfig {
        limits,
        scopes: Scopes::default(),
        breakers: BreakerLimits::default(),
        mode: ControlMode::FullAuto,
        table,
        balances,
        quote: USDT,
        operator: false,
        strategies: 1,
        equity: EquityStart::default(),
        held: Vec::new(),
        recovered: bot4_risk::Recovered::default(),
    }
}

fn mark(instrument: InstrumentId, at: Nanos) -> Mark {
    Mark {
        bid: 100 * ONE - ONE / 100,
        ask: 100 * ONE + ONE / 100,
        micro: 100 * ONE,
        last_trade: 100 * ONE,
        at,
        instrument,
        state: BookState::Live,
    }
}

/// Order `id`: sides and instruments in turn, a little away from the market.
fn intent(id: u64, instruments: u64) -> OrderIntent {
    let side = if id & 1 == 0 { Side::Buy } else { Side::Sell };
    let away = side.sign() * (10 + (id >> 2 & 3) as i64) * (ONE / 100);
    OrderIntent {
        trail: Trail::start(Nanos(1)),
        order: OrderId(id),
        price: Price(100 * ONE - away),
        qty: Qty(ONE / 100),
        stop_ticks: 10,
        instrument: InstrumentId(((id >> 1) % instruments) as u16),
        strategy: StrategyId(0),
        cause: Cause::Market,
        expires: Nanos::MAX,
        action: OrderAction::Place,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side,
        parent: bot4_types::ParentId::NONE,
    }
}

/// A report of `intent` without a fill.
#[must_use]
pub fn report(intent: &OrderIntent, kind: ReportKind, state: OrderState) -> OrderReport {
    OrderReport { at: Nanos(1), venue_order: 1, ..OrderReport::first(intent, kind, state) }
}

/// A report for cases that only copy or encode one.
#[must_use]
pub fn report_sample() -> OrderReport {
    report(&intent(7, SMALL), ReportKind::Acked, OrderState::Live)
}

/// The decision on a new order that is approved; what ends the order is not measured.
pub struct Place {
    account: Account,
    /// What a young account goes back to before it is full.
    fresh: Option<Account>,
}

impl Place {
    /// On an account whose ledger recycles.
    #[must_use]
    pub fn grown_up() -> Self {
        Self { account: Account::grown_up(), fresh: None }
    }

    /// On a large account.
    #[must_use]
    pub fn large() -> Self {
        Self { account: Account::large(), fresh: None }
    }

    /// On an account whose ledger never recycles: it is put back to its start in time.
    #[must_use]
    pub fn young() -> Self {
        let account = Account::new();
        Self { fresh: Some(account.clone()), account }
    }
}

impl Case for Place {
    fn ready(&mut self, wanted: u64) -> u64 {
        if let Some(fresh) = &self.fresh
            && self.account.next + ROW > TABLE
        {
            self.account = fresh.clone();
        }
        self.account.refill(wanted)
    }

    fn row_max(&self) -> u64 {
        ROW
    }

    #[inline]
    fn call(&mut self) {
        let intent = self.account.take();
        self.account.must_pass(&intent);
    }

    fn settle(&mut self) {
        // In the order of placing, as most orders end.
        for n in 0..self.account.intents.len() {
            let intent = self.account.intents[n];
            self.account.end(&intent);
        }
    }
}

/// The decision on a new order, then the report that ends it; on an account whose ledger
/// recycles.
pub struct PlaceAndEnd(Account);

impl Default for PlaceAndEnd {
    fn default() -> Self {
        Self(Account::grown_up())
    }
}

impl Case for PlaceAndEnd {
    fn ready(&mut self, wanted: u64) -> u64 {
        self.0.refill(wanted)
    }

    fn row_max(&self) -> u64 {
        ROW
    }

    #[inline]
    fn call(&mut self) {
        let intent = self.0.take();
        self.0.must_pass(&intent);
        self.0.end(&intent);
    }
}

/// The decision on a cancel of an order that stays open.
pub struct Cancel {
    account: Account,
    intent: OrderIntent,
}

impl Default for Cancel {
    fn default() -> Self {
        let mut account = Account::new();
        account.refill(1);
        let placed = account.take();
        account.must_pass(&placed);
        let live = report(&placed, ReportKind::Acked, OrderState::Live);
        account.core.on_report(&ExecMsg::Order(live));
        Self { account, intent: OrderIntent { action: OrderAction::Cancel, ..placed } }
    }
}

impl Case for Cancel {
    #[inline]
    fn call(&mut self) {
        let intent = self.intent;
        self.account.must_pass(&intent);
    }
}

/// A part of the gate on the large account: a check, or a whole roster.
pub struct Part {
    input: CheckInput<'static>,
    run: fn(&CheckInput<'_>) -> Result<(), RefuseReason>,
}

impl Part {
    /// `run` for an order that every check lets pass.
    #[must_use]
    pub fn new(run: fn(&CheckInput<'_>) -> Result<(), RefuseReason>) -> Self {
        let (core, intent) = Account::large().leaked();
        let intent: &OrderIntent = Box::leak(Box::new(intent));
        Self { input: CheckInput::new(&core.gate_state(Phase::Run), intent), run }
    }
}

impl Case for Part {
    #[inline]
    fn call(&mut self) {
        let _ = black_box((self.run)(black_box(&self.input)));
    }
}

/// A check that looks at nothing: what calling one costs.
///
/// # Errors
/// Never.
#[inline(never)]
pub fn no_check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    black_box(input);
    Ok(())
}

/// The rows of the tables that an intent is about, looked up.
pub struct LookUp {
    state: GateState<'static>,
    intent: OrderIntent,
}

impl Default for LookUp {
    fn default() -> Self {
        let (core, intent) = Account::large().leaked();
        Self { state: core.gate_state(Phase::Run), intent }
    }
}

impl Case for LookUp {
    #[inline]
    fn call(&mut self) {
        black_box(CheckInput::new(&self.state, black_box(&self.intent)));
    }
}

/// A mark handed in on the large account: the sums over instruments follow it.
pub struct MarkIn {
    account: Account,
    at: u16,
}

impl Default for MarkIn {
    fn default() -> Self {
        Self { account: Account::large(), at: 0 }
    }
}

impl Case for MarkIn {
    #[inline]
    fn call(&mut self) {
        self.at = (self.at + 1) % LARGE as u16;
        let micro = 100 * ONE + i64::from(self.at);
        let moved = Mark { micro, ..mark(InstrumentId(self.at), self.account.now) };
        self.account.core.on_mark(black_box(&moved));
    }
}

/// The kill word alone.
#[derive(Default)]
pub struct KillWord(Control);

impl Case for KillWord {
    #[inline]
    fn call(&mut self) {
        black_box(self.0.phase());
    }
}

/// `N` stamps of the lanes' clock.
pub struct Stamps<const N: usize>(Clock);

impl<const N: usize> Default for Stamps<N> {
    fn default() -> Self {
        Self(Clock::start())
    }
}

impl<const N: usize> Case for Stamps<N> {
    #[inline]
    fn call(&mut self) {
        for _ in 0..N {
            black_box(self.0.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_pass_and_nothing_stays_open() {
        let clock = Clock::start();
        let (mut young, mut grown_up) = (Place::young(), Place::grown_up());
        let mut both = PlaceAndEnd::default();
        let mut large = Place::large();
        large.spent_ns(1_000, &clock);
        assert_eq!(large.account.core.ledger().open_orders() as u64, OPEN - ROW);
        assert_eq!(large.account.core.placed(), large.account.core.checked());
        young.spent_ns(2 * TABLE, &clock);
        grown_up.spent_ns(1_000, &clock);
        both.spent_ns(1_000, &clock);
        assert!(young.account.core.placed() < TABLE, "it went back to its start");
        for core in [&young.account.core, &grown_up.account.core, &both.0.core] {
            assert_eq!(core.placed(), core.checked());
            for asset in 0..3 {
                assert_eq!(core.ledger().reserved(AssetId(asset)), 0);
            }
        }
    }

    #[test]
    fn every_check_lets_the_measured_order_pass() {
        use bot4_risk::gate::{judge_limits, judge_place};
        for roster in [judge_limits, judge_place] {
            let part = Part::new(roster);
            assert_eq!((part.run)(&part.input), Ok(()));
        }
    }

    #[test]
    fn cancels_pass_again_and_again() {
        let mut cancel = Cancel::default();
        (0..10_000).for_each(|_| cancel.call());
        assert_eq!(cancel.account.core.canceled(), 10_000);
    }
}

//! A world in which a plain buy passes every check; each test spoils one thing.

use bot4_lanes::Phase;
use bot4_types::instrument::PriceBand;
use bot4_types::{
    AssetId, BookState, Cause, ControlMode, Instrument, InstrumentId, InstrumentRules,
    InstrumentTable, Mark, Nanos, OrderAction, OrderId, OrderIntent, OrderKind, PauseReason, Price,
    Qty, RefuseReason, Side, StrategyId, Symbol, Tif, Trail, VenueId,
};

use super::{CheckInput, GateState};
use crate::aggregate::Aggregate;
use crate::breaker::{BreakerLimits, BreakerScope, Breakers};
use crate::caps::Caps;
use crate::changes::Changes;
use crate::equity::EquityPoint;
use crate::ledger::Ledger;
use crate::limits::{RiskLimits, units};
use crate::rate::Rates;
use crate::scopes::{LimitBook, Scopes};
use crate::sessions::Sessions;
use crate::statistics::Statistics;
use crate::valuation::Valuation;

/// One unit at eight decimals.
pub const ONE: i64 = 100_000_000;

pub struct Fixture {
    pub now: Nanos,
    pub phase: Phase,
    pub mode: ControlMode,
    pub intent: OrderIntent,
    pub limits: RiskLimits,
    pub scopes: Scopes,
    pub instrument: Instrument,
    pub mark: Mark,
    pub balances: Vec<(AssetId, i128)>,
    pub session_ready: bool,
    pub equity: Option<i128>,
    /// Equity at the day's start and at its highest; zero: as it is.
    pub day_open: i128,
    pub peak: i128,
    pub order_last: OrderId,
    /// Orders approved before; each then gets the reports of `before`.
    pub resting: Vec<OrderIntent>,
    pub unknown: Vec<OrderId>,
    /// Those of `resting` that the venue accepted.
    pub live: Vec<OrderId>,
    /// Amends approved before.
    pub amended: Vec<OrderIntent>,
    /// Those of `resting` that are filled at their price.
    pub filled: Vec<OrderId>,
    pub orders_taken: u32,
    pub cancels_taken: u32,
    /// Breakers that are open.
    pub tripped: Vec<BreakerScope>,
    /// What the statistics hold of the instrument, quantity units.
    pub held: i64,
    /// The statistics were handed the mark.
    pub statistics_mark: bool,
    /// New rules wait for resting orders to be gone.
    pub changing: bool,
    pub paused: bool,
    /// It is given up under pressure.
    pub shed: bool,
}

pub fn intent() -> OrderIntent {
    OrderIntent {
        trail: Trail::default(),
        order: OrderId(100),
        price: Price(100 * ONE),
        qty: Qty(ONE),
        stop_ticks: 50,
        instrument: InstrumentId(0),
        strategy: StrategyId(0),
        cause: Cause::Market,
        expires: Nanos::from_secs(20),
        action: OrderAction::Place,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side: Side::Buy,
        parent: bot4_types::ParentId::NONE,
    }
}

/// Price 100, tick 0.01, lot 0.001, base asset 0, quote asset 1.
pub fn instrument() -> Instrument {
    let symbol = Symbol::new("ABCUSDT").expect("short");
    Instrument {
        tick: ONE / 100,
        price_min: Price(ONE / 100),
        price_max: Price(100_000 * ONE),
        lot: ONE / 1_000,
        qty_min: Qty(ONE / 1_000),
        qty_max: Qty(9_000 * ONE),
        notional_min: 5 * i128::from(ONE) * i128::from(ONE),
        band_buy: PriceBand { up_e4: 50_000, down_e4: 2_000 },
        band_sell: PriceBand { up_e4: 50_000, down_e4: 2_000 },
        ..Instrument::bare(InstrumentId(0), symbol, 8)
    }
}

impl Default for Fixture {
    fn default() -> Self {
        let now = Nanos::from_secs(10);
        Self {
            now,
            phase: Phase::Run,
            mode: ControlMode::FullAuto,
            intent: intent(),
            limits: RiskLimits::default(),
            scopes: Scopes::default(),
            instrument: instrument(),
            mark: Mark {
                bid: 100 * ONE - ONE / 100,
                ask: 100 * ONE + ONE / 100,
                micro: 100 * ONE,
                last_trade: 100 * ONE,
                at: now,
                instrument: InstrumentId(0),
                state: BookState::Live,
            },
            balances: vec![(AssetId(0), units(100)), (AssetId(1), units(100_000))],
            session_ready: true,
            equity: Some(units(110_000)),
            day_open: 0,
            peak: 0,
            order_last: OrderId(99),
            resting: Vec::new(),
            unknown: Vec::new(),
            live: Vec::new(),
            amended: Vec::new(),
            filled: Vec::new(),
            orders_taken: 0,
            cancels_taken: 0,
            tripped: Vec::new(),
            held: 0,
            statistics_mark: true,
            changing: false,
            paused: false,
            shed: false,
        }
    }
}

impl Fixture {
    /// The default world after `change`.
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut fixture = Self::default();
        change(&mut fixture);
        fixture
    }

    fn changes(&self) -> Changes {
        let mut changes = Changes::new(1);
        if self.changing {
            changes.begin(&InstrumentRules::of(&self.instrument), true);
        }
        if self.paused {
            changes.pause(self.instrument.id, Some(PauseReason::Unlisted));
        }
        changes.set_shed(self.instrument.id, self.shed);
        changes
    }

    /// Builds the world and runs `check` in it.
    pub fn run(
        &self,
        check: fn(&CheckInput<'_>) -> Result<(), RefuseReason>,
    ) -> Result<(), RefuseReason> {
        let mut table = InstrumentTable::new();
        for name in ["ABC", "USDT"] {
            table.asset(Symbol::new(name).expect("short")).expect("room");
        }
        table.push(self.instrument).expect("room");
        let mut ledger = Ledger::new(&table, 2, &self.balances, &self.limits);
        for order in &self.resting {
            assert!(ledger.approve(order), "the fixture's order must fit");
        }
        for order in &self.live {
            let slot = *ledger.order(*order).expect("resting");
            ledger.on_report(&accepted(&slot));
        }
        for amend in &self.amended {
            assert!(ledger.amend(amend), "the fixture's amend must fit");
        }
        for order in &self.unknown {
            let slot = *ledger.order(*order).expect("resting");
            ledger.on_report(&crate::checks::fixture::lost(&slot));
        }
        for order in &self.filled {
            let slot = *ledger.order(*order).expect("resting");
            assert!(ledger.on_report(&filled(&slot)));
        }
        let book = LimitBook::new(&self.limits, &self.scopes, 2, 1);
        let mut rates = Rates::new(&book);
        let take = |rates: &mut Rates| rates.take_order(StrategyId(0), InstrumentId(0), self.now);
        (0..self.orders_taken).for_each(|_| take(&mut rates));
        (0..self.cancels_taken).for_each(|_| rates.take_cancel(self.now));
        let mut breakers = Breakers::new(&BreakerLimits::default(), 2, &[VenueId(0)]);
        breakers.on_turn(self.now);
        self.tripped.iter().for_each(|scope| breakers.trip(*scope));
        let mut valuation = Valuation::new(&table, AssetId(1));
        valuation.on_mark(&self.mark);
        let statistics = self.statistics(&table, &mut ledger, &valuation);
        let mut caps = Caps::new(&book, &table, self.mode);
        caps.on_equity(&self.point());
        let mut aggregate = Aggregate::new(&table, 2, AssetId(1));
        let maintenance_e4 = caps.instrument(InstrumentId(0)).map_or(0, |c| c.maintenance_e4);
        aggregate.set_maintenance(InstrumentId(0), maintenance_e4);
        aggregate.on_mark(InstrumentId(0), &ledger, &valuation);
        let mut sessions = Sessions::default();
        sessions.set(VenueId(0), self.session_ready);
        let state = GateState {
            now: self.now,
            phase: self.phase,
            mode: self.mode,
            limits: &self.limits,
            caps: &caps,
            ledger: &ledger,
            aggregate: &aggregate,
            valuation: &valuation,
            changes: &self.changes(),
            rates: &rates,
            breakers: &breakers,
            statistics: &statistics,
            sessions,
            order_last: self.order_last,
        };
        check(&CheckInput::new(&state, &self.intent))
    }

    fn point(&self) -> EquityPoint {
        let mut point = EquityPoint::default();
        let Some(equity) = self.equity else { return point };
        let or = |given, own| if given == 0 { own } else { given };
        point.take(or(self.day_open, equity));
        point.take(or(self.peak, equity));
        point.take(equity);
        point
    }
}

/// The report that fills the order of `slot`.
pub fn filled(slot: &crate::orders::OrderSlot) -> bot4_types::OrderReport {
    bot4_types::OrderReport {
        cum_qty: Qty(slot.qty),
        last_qty: Qty(slot.qty),
        last_price: Price(slot.limit),
        trade_id: slot.order.0,
        kind: bot4_types::ReportKind::Fill,
        state: bot4_types::OrderState::Filled,
        ..lost(slot)
    }
}

impl Fixture {
    /// The statistics of this world; what is held is bought first.
    fn statistics(
        &self,
        table: &InstrumentTable,
        ledger: &mut Ledger,
        valuation: &Valuation,
    ) -> Statistics {
        let mut statistics = Statistics::new(table, &self.limits.statistics);
        statistics.on_equity(self.equity);
        if self.statistics_mark {
            statistics.on_mark(&self.mark, valuation);
        }
        if self.held != 0 {
            ledger.on_report(&bought(self.held));
        }
        statistics.follow(ledger, InstrumentId(0));
        statistics
    }
}

/// A fill of an order of another run.
fn bought(qty: i64) -> bot4_types::OrderReport {
    let slot =
        crate::orders::OrderSlot::new(OrderId(1_000), InstrumentId(0), StrategyId(1), Side::Buy);
    bot4_types::OrderReport {
        cum_qty: Qty(qty),
        last_qty: Qty(qty),
        last_price: Price(100 * ONE),
        trade_id: 1,
        kind: bot4_types::ReportKind::Fill,
        state: bot4_types::OrderState::Filled,
        ..lost(&slot)
    }
}

/// The report that the order of `slot` was accepted.
fn accepted(slot: &crate::orders::OrderSlot) -> bot4_types::OrderReport {
    bot4_types::OrderReport {
        kind: bot4_types::ReportKind::Acked,
        state: bot4_types::OrderState::Live,
        ..lost(slot)
    }
}

/// The report that makes the order of `slot` unknown.
pub fn lost(slot: &crate::orders::OrderSlot) -> bot4_types::OrderReport {
    bot4_types::OrderReport {
        at: Nanos(0),
        order: slot.order,
        venue_order: 0,
        price: Price(slot.limit),
        qty: Qty(slot.qty),
        cum_qty: Qty(0),
        last_qty: Qty(0),
        last_price: Price(0),
        trade_id: 0,
        fee: 0,
        seq: slot.seq + 1,
        instrument: slot.instrument,
        strategy: slot.strategy,
        fee_asset: AssetId::NONE,
        kind: bot4_types::ReportKind::Lost,
        state: bot4_types::OrderState::Unknown,
        reason: bot4_types::DoneReason::None,
        side: slot.side,
        maker: false,
    }
}

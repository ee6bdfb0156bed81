//! A small run: two instruments, three assets, and lives of orders as a venue would tell them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use bot4_risk::breaker::BreakerLimits;
use bot4_risk::{EquityStart, RiskConfig, RiskLimits, Scopes, units};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AssetId, BookState, Cause, ControlMode, Instrument, InstrumentId, InstrumentTable, Mark, Nanos,
    OrderAction, OrderId, OrderIntent, OrderKind, OrderReport, OrderState, Price, Qty, ReportKind,
    Side, StrategyId, Symbol, Tif, Trail,
};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;

/// `count` cases; a seed that failed is kept in `risk/tests/regressions`.
pub fn cases(count: u32) -> ProptestConfig {
    let kept = FileFailurePersistence::Direct(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/regressions/",
        env!("CARGO_CRATE_NAME"),
        ".txt"
    ));
    ProptestConfig {
        failure_persistence: Some(Box::new(kept)),
        ..ProptestConfig::with_cases(count)
    }
}

/// One unit at eight decimals.
pub const ONE: i64 = 100_000_000;
pub const STRATEGIES: usize = 2;
pub const USDT: AssetId = AssetId(2);

/// AAAUSDT and BBBUSDT, both near price 100.
pub fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let name = |s: &str| Symbol::new(s).expect("short");
    let assets = ["AAA", "BBB", "USDT"].map(|a| table.asset(name(a)).expect("room"));
    for (symbol, base) in [("AAAUSDT", assets[0]), ("BBBUSDT", assets[1])] {
        let bare = Instrument::bare(InstrumentId(0), name(symbol), 8);
        let instrument = Instrument { base, quote: assets[2], lot: 1_000, tick: ONE / 100, ..bare };
        table.push(instrument).expect("room");
    }
    table
}

pub fn balances() -> Vec<(AssetId, i128)> {
    vec![(AssetId(0), units(50)), (AssetId(1), units(50)), (USDT, units(20_000))]
}

pub fn config(limits: RiskLimits) -> RiskConfig {
    RiskConfig {
        limits,
        scopes: Scopes::default(),
        breakers: BreakerLimits::default(),
        mode: ControlMode::FullAuto,
        table: table(),
        balances: balances(),
        quote: USDT,
        operator: false,
        strategies: STRATEGIES,
        equity: EquityStart::default(),
        held: Vec::new(),
        recovered: bot4_risk::Recovered::default(),
    }
}

pub fn mark(instrument: u16, price: i64, at: Nanos) -> Mark {
    Mark {
        bid: price - ONE / 100,
        ask: price + ONE / 100,
        micro: price,
        last_trade: price,
        at,
        instrument: InstrumentId(instrument),
        state: BookState::Live,
    }
}

pub fn place(order: u64, instrument: u16, side: Side, price: i64, qty: i64) -> OrderIntent {
    OrderIntent {
        trail: Trail::default(),
        order: OrderId(order),
        price: Price(price),
        qty: Qty(qty),
        stop_ticks: 10,
        instrument: InstrumentId(instrument),
        strategy: StrategyId((order % STRATEGIES as u64) as u8),
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
pub fn report(
    intent: &OrderIntent,
    seq: u32,
    kind: ReportKind,
    state: OrderState,
    cum: i64,
) -> OrderReport {
    OrderReport {
        venue_order: 1,
        cum_qty: Qty(cum),
        seq,
        ..OrderReport::first(intent, kind, state)
    }
}

/// A fill of `intent` at its price; the fee is 0.1 % of what is received.
pub fn fill(intent: &OrderIntent, seq: u32, last: i64, cum: i64, trade_id: u64) -> OrderReport {
    let state = if cum >= intent.qty.0 { OrderState::Filled } else { OrderState::PartiallyFilled };
    let value = i128::from(last) * i128::from(intent.price.0);
    let (fee_asset, received) = match intent.side {
        Side::Buy => (AssetId(intent.instrument.0 as u8), i128::from(last) * i128::from(ONE)),
        Side::Sell => (USDT, value),
    };
    OrderReport {
        last_qty: Qty(last),
        last_price: intent.price,
        trade_id,
        fee: received / 1_000,
        fee_asset,
        ..report(intent, seq, ReportKind::Fill, state, cum)
    }
}

/// Draws one order's whole life, in the order execution would tell it.
pub struct Life<'a> {
    intent: &'a OrderIntent,
    seq: u32,
    cum: i64,
    out: Vec<OrderReport>,
}

impl<'a> Life<'a> {
    /// The reports of `intent`; trade ids are taken from `trade`.
    pub fn draw(
        intent: &'a OrderIntent,
        rng: &mut SplitMix64,
        trade: &mut u64,
    ) -> Vec<OrderReport> {
        let mut life = Self { intent, seq: 0, cum: 0, out: Vec::new() };
        life.run(rng, trade);
        life.out
    }

    fn tell(&mut self, kind: ReportKind, state: OrderState) {
        self.seq += 1;
        self.out.push(report(self.intent, self.seq, kind, state, self.cum));
    }

    fn run(&mut self, rng: &mut SplitMix64, trade: &mut u64) {
        match rng.below(8) {
            0 => return self.tell(ReportKind::Done, OrderState::NotSent),
            1 => {
                self.tell(ReportKind::Sent, OrderState::Sent);
                return self.tell(ReportKind::Done, OrderState::Rejected);
            }
            _ => {}
        }
        self.tell(ReportKind::Sent, OrderState::Sent);
        if rng.below(4) == 0 {
            self.tell(ReportKind::Lost, OrderState::Unknown);
            if rng.below(3) == 0 {
                return;
            }
            self.tell(ReportKind::Found, self.at_rest());
        } else {
            self.tell(ReportKind::Acked, self.at_rest());
        }
        if self.intent.kind.is_triggered() {
            if rng.below(3) == 0 {
                return self.end(rng);
            }
            self.tell(ReportKind::Triggered, OrderState::Live);
        }
        for _ in 0..rng.below(5) {
            let rest = self.intent.qty.0 - self.cum;
            let last = if rng.below(3) == 0 { rest } else { 1 + rng.below(rest as u64) as i64 };
            self.cum += last;
            self.seq += 1;
            *trade += 1 + rng.below(3);
            self.out.push(fill(self.intent, self.seq, last, self.cum, *trade));
            if self.cum == self.intent.qty.0 {
                return;
            }
        }
        self.end(rng);
    }

    /// The state in which the venue takes it.
    fn at_rest(&self) -> OrderState {
        match self.intent.kind.is_triggered() {
            true => OrderState::Untriggered,
            false => OrderState::Live,
        }
    }

    fn end(&mut self, rng: &mut SplitMix64) {
        if rng.below(3) == 0 {
            self.tell(ReportKind::CancelSent, OrderState::PendingCancel);
        }
        match rng.below(4) {
            0 => self.tell(ReportKind::Done, OrderState::Canceled),
            1 => self.tell(ReportKind::Done, OrderState::Expired),
            2 => self.tell(ReportKind::CancelRejected, OrderState::Live),
            _ => {}
        }
    }
}

/// Moves every report by up to `reach` places and doubles about one in four.
pub fn disturb(reports: &[OrderReport], rng: &mut SplitMix64, reach: u64) -> Vec<OrderReport> {
    let mut keyed: Vec<(u64, OrderReport)> = Vec::new();
    for (i, report) in reports.iter().enumerate() {
        let copies = if rng.below(4) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            keyed.push((i as u64 + rng.below(reach), *report));
        }
    }
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, report)| report).collect()
}

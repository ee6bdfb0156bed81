//! A million random events: after each, the gate's state and answer are those of a gate that
//! works everything out from scratch, and nothing but an approval within the limits has made a
//! worst case larger.
//!
//! Events are intents of every kind, reports doubled and out of order, marks, cancels, changes of
//! limits and of the control mode, kills, pauses and sessions. `GATE_EVENTS` sets how many,
//! `GATE_SEED` which.

mod common;
mod twin;

use std::collections::BTreeMap;

use bot4_lanes::Phase;
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::{
    Decision, LimitBook, RiskConfig, RiskCore, RiskLimits, ScopeLimits, Scopes, StatisticsLimits,
    units,
};
use bot4_types::instrument::Amount;
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AssetId, BookState, Cause, ControlMode, ExecMsg, Instrument, InstrumentId, InstrumentTable,
    Nanos, OrderAction, OrderId, OrderIntent, OrderKind, OrderReport, RefuseReason, Side,
    StrategyId, Symbol,
};
use common::{Life, ONE, disturb, mark, place};
use twin::{NaiveGate, Worst};

/// Events of a whole run, and of one account's life.
const EVENTS: u64 = 1_000_000;
const LIFE: u64 = 250;
const STRATEGIES: usize = 3;

/// AAAUSDT, BBBUSDT, and BBBAAA, which is valued by way of AAAUSDT.
fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let name = |s: &str| Symbol::new(s).expect("short");
    let assets = ["AAA", "BBB", "USDT"].map(|a| table.asset(name(a)).expect("room"));
    for (symbol, base, quote) in [("AAAUSDT", 0, 2), ("BBBUSDT", 1, 2), ("BBBAAA", 1, 0)] {
        let bare = Instrument::bare(InstrumentId(0), name(symbol), 8);
        let (base, quote) = (assets[base], assets[quote]);
        let row = Instrument { base, quote, lot: 1_000, tick: ONE / 100, ..bare };
        table.push(row).expect("room");
    }
    table
}

fn balances() -> Vec<(AssetId, Amount)> {
    vec![(AssetId(0), units(15)), (AssetId(1), units(15)), (AssetId(2), units(5_000))]
}

struct Draw(SplitMix64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0.below(n)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn amount(&mut self, all: &[i64]) -> Amount {
        units(self.pick(all))
    }

    fn limits(&mut self) -> RiskLimits {
        let wide = self.one_in(2);
        let or = |wide_value: i64, value: i64| if wide { wide_value } else { value };
        RiskLimits {
            // Here everybody asks at random.
            runaway_intents_per_s: u32::MAX,
            runaway_refused_row: u32::MAX,
            mark_age_ns_max: self.pick(&[300_000_000, u64::MAX]),
            collar_e4: self.pick(&[100, 300]),
            order_value_max: self.amount(&[300, 1_000, 100_000]),
            order_base_max: self.amount(&[0, 0, 5]),
            position_equity_e4: or(10_000, self.pick(&[100, 500, 2_000])),
            position_value_max: self.amount(&[0, 1_500, 6_000]),
            strategy_orders_per_s: self.pick(&[5, 500]) as u32,
            strategy_orders_burst: self.pick(&[2, 40]) as u32,
            orders_per_s: self.pick(&[60, 1_000]) as u32,
            orders_burst: self.pick(&[8, 100]) as u32,
            cancels_per_s: self.pick(&[20, 2_000]) as u32,
            cancels_burst: self.pick(&[2, 200]) as u32,
            open_orders_instrument_max: self.pick(&[3, 20]) as u32,
            open_orders_max: self.pick(&[6, 60]) as u32,
            equity_age_ns_max: self.pick(&[1, 100_000_000]),
            gross_equity_e4: or(0, self.pick(&[500, 2_000, 0])),
            gross_value_max: self.amount(&[0, 2_500]),
            net_equity_e4: or(0, self.pick(&[300, 1_500, 0])),
            net_value_max: self.amount(&[0, 1_000]),
            leverage_e4: self.pick(&[700, 3_000, 10_000, 30_000]),
            maintenance_e4: self.pick(&[0, 1_000]),
            margin_distance_e4: self.pick(&[15_000, 400_000]),
            daily_loss_e4: self.pick(&[0, 100, 500]),
            daily_loss_value_max: self.amount(&[0, 400]),
            drawdown_e4: self.pick(&[150, 1_500]),
            weight_per_s: self.pick(&[40, 4_000]) as u32,
            weight_burst: self.pick(&[30, 400]) as u32,
            weight_reserve: self.pick(&[5, 20]) as u32,
            weight_place: self.pick(&[1, 3]) as u32,
            weight_cancel: self.pick(&[1, 4]) as u32,
            statistics: StatisticsLimits {
                correlation_e4: 10_000,
                shortfall_equity_e6: 0,
                heat_equity_e6: 0,
                ..StatisticsLimits::default()
            },
            ..RiskLimits::default()
        }
    }

    fn row(&mut self, of_instrument: bool) -> ScopeLimits {
        if self.one_in(2) {
            return ScopeLimits::default();
        }
        let group = |v: i64| if of_instrument { 0 } else { v };
        let gross = self.pick(&[0, 1_500]);
        ScopeLimits {
            order_value_max: self.amount(&[0, 500]),
            order_base_max: self.amount(&[0, 0, 4]),
            collar_e4: self.pick(&[0, 150]),
            position_equity_e4: self.pick(&[0, 0, 400]),
            position_value_max: self.amount(&[0, 900]),
            gross_equity_e4: group(self.pick(&[0, 800])),
            gross_value_max: units(group(gross)),
            net_equity_e4: group(self.pick(&[0, 600])),
            net_value_max: units(group(self.pick(&[0, 700]))),
            open_orders_max: self.pick(&[0, 4]) as u32,
            orders_per_s: self.pick(&[0, 30]) as u32,
            maintenance_e4: if of_instrument { self.pick(&[0, 2_000]) } else { 0 },
        }
    }

    fn book(&mut self) -> LimitBook {
        let scopes = Scopes {
            venue: self.row(false),
            strategies: (0..STRATEGIES).map(|_| self.row(false)).collect(),
            instruments: (0..3).map(|_| self.row(true)).collect(),
        };
        LimitBook::new(&self.limits(), &scopes, STRATEGIES, 3)
    }

    fn intent(&mut self, id: u64, gate: &NaiveGate) -> OrderIntent {
        let instrument = self.below(3) as u16;
        let side = if self.one_in(2) { Side::Buy } else { Side::Sell };
        let around = gate.marks[usize::from(instrument)].micro;
        let price = around / 100 * (98 + self.below(5) as i64) / (ONE / 100) * (ONE / 100);
        let lots = if self.one_in(8) { 2_000_000 } else { 500_000 };
        let qty = (1 + self.below(lots) as i64) * 1_000;
        let qty = if instrument == 2 { qty } else { qty.min(700 * ONE) };
        let mut intent = place(id, instrument, side, price, qty);
        intent.strategy = StrategyId(self.below(STRATEGIES as u64) as u8);
        intent.cause = self.pick(Cause::ALL);
        intent.expires = gate.now + Nanos(self.below(50));
        match self.below(40) {
            0..=3 => intent.kind = OrderKind::Market,
            4 => intent.stop_ticks = 0,
            5 => intent.order = OrderId(1 + self.below(id)),
            6 => intent.qty.0 += 1,
            7 => intent.price.0 += 1,
            8 => intent.qty.0 = self.pick(&[0, -1_000, i64::MAX / 1_000 * 1_000]),
            9 => intent.instrument.0 = 3,
            10 => intent.strategy.0 = STRATEGIES as u8,
            11 => intent.price.0 = self.pick(&[0, i64::MIN, i64::MAX]),
            12..=17 => self.close_something(&mut intent, gate),
            _ => {}
        }
        intent
    }

    /// Makes `intent` one that would close what its strategy holds.
    fn close_something(&mut self, intent: &mut OrderIntent, gate: &NaiveGate) {
        let worst = gate.worst(Some(intent.strategy.0));
        let at = intent.instrument.index();
        let [buy, sell] = worst[at];
        (intent.side, intent.qty.0) = if buy < 0 {
            (Side::Buy, -buy as i64)
        } else {
            (Side::Sell, (-sell).max(1_000) as i64)
        };
        intent.stop_ticks = 0;
        intent.price.0 = gate.marks[at].micro / (ONE / 100) * (ONE / 100);
    }
}

/// One account's life: the gate, its twin, and reports on their way.
struct World {
    draw: Draw,
    core: RiskCore,
    gate: NaiveGate,
    waiting: Vec<OrderReport>,
    next: u64,
    /// What a person has accepted.
    drift: u64,
    trade: u64,
    reasons: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut draw = Draw(SplitMix64::new(seed));
        let book = draw.book();
        let config = RiskConfig {
            limits: book.account,
            scopes: Scopes {
                venue: book.venue,
                strategies: book.strategies.to_vec(),
                instruments: book.instruments.to_vec(),
            },
            balances: balances(),
            strategies: STRATEGIES,
            table: table(),
            // They have a twin of their own; here they would only hide what the limits do.
            breakers: BreakerLimits::off(),
            ..common::config(book.account)
        };
        let core = RiskCore::new(&config).expect("valid");
        let gate = NaiveGate::new(&table(), &book, &balances());
        let reasons = BTreeMap::new();
        let mut world =
            Self { draw, core, gate, waiting: vec![], next: 1, drift: 0, trade: 0, reasons };
        world.turn(1_000_000_000);
        world.session(true);
        for instrument in 0..3 {
            world.mark(instrument, BookState::Live);
        }
        world
    }

    fn turn(&mut self, ns: u64) {
        self.gate.now = self.gate.now + Nanos(ns);
        self.core.on_turn(self.gate.now);
    }

    fn session(&mut self, ready: bool) {
        self.gate.session = ready;
        self.core.on_report(&ExecMsg::Session { at: self.gate.now, ready });
    }

    fn mark(&mut self, instrument: u16, state: BookState) {
        let middle = if instrument == 2 { ONE } else { 100 * ONE };
        let price = middle / 100 * (96 + self.draw.below(9) as i64);
        let mut mark = mark(instrument, price, self.gate.now);
        mark.last_trade = price + self.draw.below(3) as i64 * (middle / 200);
        mark.state = state;
        self.gate.marks[usize::from(instrument)] = mark;
        self.core.on_mark(&mark);
    }

    /// One event. True when it may make a worst case larger: it was an approved order.
    fn step(&mut self) -> Option<OrderIntent> {
        let some = self.draw.below(6_000_000);
        self.turn(some);
        match self.draw.below(100) {
            0..=54 => return self.intent(),
            55..=84 => self.report(),
            85..=93 => {
                let stale = self.draw.one_in(12);
                let instrument = self.draw.below(3) as u16;
                self.mark(instrument, if stale { BookState::Stale } else { BookState::Live });
            }
            94..=95 => {
                let full = self.draw.below(4) > 0;
                let mode =
                    if full { ControlMode::FullAuto } else { self.draw.pick(ControlMode::ALL) };
                self.gate.mode = mode;
                self.core.set_mode(mode);
            }
            96..=97 => {
                let book = self.draw.book();
                self.core.change_limits(&book).expect("valid");
                self.gate.set_book(&book);
            }
            98 => {
                // Closed doors open again soon: what is behind them is to be seen.
                let ready = !self.draw.one_in(6);
                self.session(ready);
            }
            _ => {
                let shut = self.draw.pick(&[Phase::Pause, Phase::Drain, Phase::Kill]);
                self.gate.phase = if self.draw.one_in(6) { shut } else { Phase::Run };
            }
        }
        None
    }

    fn intent(&mut self) -> Option<OrderIntent> {
        if self.gate.latched && self.draw.one_in(20) {
            self.person();
        }
        self.see_phase();
        let mut intent = self.draw.intent(self.next, &self.gate);
        if self.draw.one_in(6) {
            intent.action = OrderAction::Cancel;
            intent.order = OrderId(1 + self.draw.below(self.next));
            if let Some(known) = self.gate.orders.iter().find(|o| o.intent.order == intent.order) {
                intent.instrument = known.intent.instrument;
            }
        } else {
            self.next += 1;
            self.gate.count_equity();
        }
        let wanted = self.gate.judge(&intent);
        let answer = match self.core.on_intent(&intent, self.gate.phase) {
            Decision::Approved(_) => Ok(()),
            Decision::Refused(reason) => Err(reason),
        };
        assert_eq!(answer, wanted, "{intent:?}");
        *self.reasons.entry(answer.err().map_or("approved", RefuseReason::name)).or_default() += 1;
        self.gate.commit(&intent, answer.is_ok());
        let placed = answer.is_ok() && intent.action == OrderAction::Place;
        if placed {
            let life = Life::draw(&intent, &mut self.draw.0, &mut self.trade);
            self.waiting.extend(disturb(&life, &mut self.draw.0, 3));
        }
        placed.then_some(intent)
    }

    /// A person looks at what latched and lets it go on.
    fn person(&mut self) {
        for phase in [Phase::Kill, Phase::Run] {
            self.gate.phase = phase;
            self.see_phase();
            self.core.on_phase(phase);
        }
    }

    fn see_phase(&mut self) {
        if self.gate.see_phase() {
            self.drift = self.core.ledger().counts().drift();
        }
    }

    /// One of the reports on their way, mostly one of the oldest.
    fn report(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let reach =
            if self.draw.one_in(8) { self.waiting.len() } else { self.waiting.len().min(4) };
        let report = self.waiting.remove(self.draw.below(reach as u64) as usize);
        self.gate.on_report(&report);
        self.core.on_report(&ExecMsg::Order(report));
        self.gate.latched |= self.core.ledger().counts().drift() > self.drift;
    }

    /// The core's state is what the whole list says.
    fn compare(&self) -> Vec<Worst> {
        let core = &self.core;
        let mut all = Vec::new();
        for strategy in [None].into_iter().chain((0..STRATEGIES as u8).map(Some)) {
            let worst = self.gate.worst(strategy);
            for (i, sides) in worst.iter().enumerate() {
                let id = InstrumentId(i as u16);
                let exposure = match strategy {
                    None => core.ledger().total(id),
                    Some(s) => core.ledger().exposure(StrategyId(s), id),
                };
                let told = [Side::Buy, Side::Sell].map(|s| exposure.expect("known").worst(s));
                assert_eq!(told, *sides, "instrument {i} of {strategy:?}");
            }
            let sums = self.gate.sums(&worst);
            let told = match strategy {
                None => core.aggregate().account(),
                Some(s) => core.aggregate().strategy(StrategyId(s)).expect("known"),
            };
            assert_eq!((told.gross, told.net), (sums.gross, sums.net), "sums of {strategy:?}");
            if strategy.is_none() {
                assert_eq!(told.margin_e4, sums.margin_e4);
            }
            all.push(worst);
        }
        assert_eq!(core.equity(), self.gate.equity);
        let open = self.gate.orders.iter().filter(|o| !o.standing().ended).count();
        assert_eq!(core.ledger().open_orders(), open);
        all
    }

    /// Only the instrument and side of an approved order got worse, and they are within the limits
    /// unless it could only reduce.
    fn assert_held(&self, before: &[Worst], after: &[Worst], approved: Option<&OrderIntent>) {
        for (who, (old, new)) in before.iter().zip(after).enumerate() {
            for (i, (old, new)) in old.iter().zip(new).enumerate() {
                for side in [Side::Buy, Side::Sell] {
                    let grew = new[side.index()] > old[side.index()];
                    let may = approved.is_some_and(|o| {
                        let whose = who == 0 || who == usize::from(o.strategy.0) + 1;
                        whose && o.instrument.index() == i && o.side == side
                    });
                    assert!(!grew || may, "{side:?} of {i} grew by no approval");
                }
            }
        }
        let Some(intent) = approved else { return };
        let (i, side) = (intent.instrument.index(), intent.side.index());
        let own = usize::from(intent.strategy.0) + 1;
        if after[0][i][side] <= 0 && after[own][i][side] <= 0 {
            return;
        }
        let (a, venue) = (&self.gate.book.account, &self.gate.book.venue);
        let (old, new) = (self.gate.sums(&before[0]), self.gate.sums(&after[0]));
        let gross = self.gate.cap(
            &[a.gross_equity_e4, venue.gross_equity_e4],
            &[a.gross_value_max, venue.gross_value_max],
        );
        let net = self
            .gate
            .cap(&[a.net_equity_e4, venue.net_equity_e4], &[a.net_value_max, venue.net_value_max]);
        let leverage = self.gate.cap(&[a.leverage_e4], &[]);
        assert!(new.gross <= gross.min(leverage).max(old.gross), "gross {}", new.gross);
        assert!(new.net[side] <= net, "net {}", new.net[side]);
        let row = &self.gate.book.instruments[i];
        let position = self.gate.cap(
            &[a.position_equity_e4, venue.position_equity_e4, row.position_equity_e4],
            &[a.position_value_max, venue.position_value_max, row.position_value_max],
        );
        let mut alone = vec![[0; 2]; 3];
        alone[i][side] = after[0][i][side];
        assert!(self.gate.sums(&alone).gross <= position.max(0), "position of {i}");
    }
}

fn run(seed: u64, events: u64) -> BTreeMap<&'static str, u64> {
    let mut reasons = BTreeMap::new();
    for life in 0..events / LIFE {
        let seed = seed.rotate_left(32) ^ life;
        let told = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            let mut before = world.compare();
            for _ in 0..LIFE {
                let approved = world.step();
                let after = world.compare();
                world.assert_held(&before, &after, approved.as_ref());
                before = after;
            }
            assert_eq!(world.core.ledger().counts().drift(), 0);
            world.reasons
        });
        let Ok(told) = told else { panic!("life {seed:#x} of the gate and its twin differ") };
        for (reason, n) in told {
            *reasons.entry(reason).or_default() += n;
        }
    }
    reasons
}

#[test]
fn a_million_events_lead_both_gates_to_the_same_answers() {
    let set = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (events, seed) = (set("GATE_EVENTS").unwrap_or(EVENTS), set("GATE_SEED").unwrap_or(1));
    let mut reasons = BTreeMap::new();
    std::thread::scope(|scope| {
        let halves = [seed, !seed].map(|half| scope.spawn(move || run(half, events / 2)));
        for (reason, n) in halves.into_iter().flat_map(|half| half.join().expect("both agree")) {
            *reasons.entry(reason).or_insert(0) += n;
        }
    });
    println!("{reasons:?}");
    // Every answer that this world can lead to was given, so none was compared in name only.
    let elsewhere = [
        // Circuit breakers have twins of their own.
        RefuseReason::BreakerStrategy,
        RefuseReason::BreakerInstrument,
        RefuseReason::BreakerVenue,
        RefuseReason::BreakerGlobal,
        // Statistics in floats have twins of their own.
        RefuseReason::Correlation,
        RefuseReason::Shortfall,
        RefuseReason::Heat,
        RefuseReason::NotTradable,
        // No instrument changes in this world; `tests/agent.rs` has one that does.
        RefuseReason::InstrumentChanging,
        RefuseReason::InstrumentPaused,
        RefuseReason::SizeMax,
        RefuseReason::NotionalMin,
        RefuseReason::NotionalMax,
        RefuseReason::NoRoom,
    ];
    for reason in RefuseReason::ALL.iter().filter(|r| !elsewhere.contains(r)) {
        assert!(reasons.contains_key(reason.name()), "{} never came", reason.name());
    }
    assert!(reasons["approved"] > events / 50, "{reasons:?}");
}

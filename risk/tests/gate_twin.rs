//! A million random events: after each, the gate's state and answer are those of a gate that
//! works everything out from scratch, and nothing but an approval within the limits has made a
//! worst case larger.
//!
//! Events are intents of every kind, reports doubled and out of order, marks, cancels, changes of
//! limits, of the control mode and of instruments' rules, kills, pauses, shedding, sessions,
//! breakers that open by themselves and are closed by hand, and seconds of the grid of returns.
//! `GATE_EVENTS` sets how many, `GATE_SEED` which.

mod common;
mod twin;

use std::collections::BTreeMap;

use bot4_lanes::Phase;
use bot4_risk::{Decision, RiskConfig, RiskCore, Scopes, Upkeep, reload, units};
use bot4_types::instrument::Amount;
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AssetId, BookState, ControlMode, DoneReason, ExecMsg, Instrument, InstrumentId,
    InstrumentTable, Nanos, OrderAction, OrderId, OrderIntent, OrderKind, OrderReport, OrderState,
    Qty, RefuseReason, ReportKind, RiskCommand, Side, StrategyId, Symbol,
};
use common::{Life, ONE, disturb, mark};
use twin::draw::{Draw, STRATEGIES};
use twin::{Lean, NaiveGate, Worst};

/// Events of a whole run, and of one account's life.
const EVENTS: u64 = 1_000_000;
const LIFE: u64 = 250;
/// How answers are counted that floats cannot decide.
const NEAR: &str = "too near to a limit";

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
    /// Answers that lay too near to a limit in floats to be compared.
    near: u64,
    reasons: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut draw = Draw(SplitMix64::new(seed));
        let (book, breakers) = (draw.book(), draw.breakers());
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
            breakers,
            ..common::config(book.account)
        };
        let core = RiskCore::new(&config).expect("valid");
        let gate = NaiveGate::new(&table(), &book, &breakers, &balances());
        let (waiting, reasons) = (vec![], BTreeMap::new());
        let (next, drift, trade, near) = (1, 0, 0, 0);
        let mut world = Self { draw, core, gate, waiting, next, drift, trade, near, reasons };
        world.turn(1_000_000_000);
        world.session(true);
        for instrument in 0..3 {
            world.mark(instrument, BookState::Live);
        }
        world
    }

    fn turn(&mut self, ns: u64) {
        self.gate.now = self.gate.now + Nanos(ns);
        let now = self.gate.now;
        self.core.on_turn(now);
        let due = self.core.upkeep_due(now, self.draw.one_in(2));
        let sample = due == Some(Upkeep::Sample);
        assert_eq!(sample, self.gate.statistics.is_sample_due(now));
        if let Some(upkeep) = due.filter(|_| !self.draw.one_in(4)) {
            self.core.on_upkeep(upkeep);
            self.gate.on_upkeep(upkeep);
            self.compare_statistics();
        }
    }

    fn command(&mut self, command: &RiskCommand) {
        self.core.on_command(command);
        self.gate.on_command(command);
    }

    fn session(&mut self, ready: bool) {
        self.gate.on_session(ready);
        self.core.on_report(&ExecMsg::Session {
            at: self.gate.now,
            venue: bot4_types::VenueId(0),
            ready,
        });
    }

    fn mark(&mut self, instrument: u16, state: BookState) {
        let middle = if instrument == 2 { ONE } else { 100 * ONE };
        let price = middle / 100 * (96 + self.draw.below(9) as i64);
        let mut mark = mark(instrument, price, self.gate.now);
        mark.last_trade = price + self.draw.below(3) as i64 * (middle / 200);
        mark.state = state;
        self.gate.on_mark(&mark);
        self.core.on_mark(&mark);
    }

    /// One event. True when it may make a worst case larger: it was an approved order.
    fn step(&mut self) -> Option<OrderIntent> {
        let some = self.draw.below(6_000_000);
        self.turn(some);
        match self.draw.below(200) {
            0..=103 => return self.intent(),
            104..=163 => self.report(),
            164..=179 => {
                let stale = self.draw.one_in(12);
                let instrument = self.draw.below(3) as u16;
                self.mark(instrument, if stale { BookState::Stale } else { BookState::Live });
            }
            180..=183 => {
                let full = self.draw.below(4) > 0;
                let mode =
                    if full { ControlMode::FullAuto } else { self.draw.pick(ControlMode::ALL) };
                self.gate.mode = mode;
                self.core.set_mode(mode);
            }
            184..=187 => self.limits(),
            188 => {
                // Closed doors open again soon: what is behind them is to be seen.
                let ready = !self.draw.one_in(6);
                self.session(ready);
            }
            189..=190 => {
                let all = [Phase::Pause, Phase::Drain, Phase::Kill, Phase::Flatten];
                let shut = self.draw.pick(&all);
                self.gate.phase = if self.draw.one_in(6) { shut } else { Phase::Run };
            }
            191..=194 => {
                let plain = table().all()[self.draw.below(3) as usize];
                let news = self.draw.news(&plain);
                self.command(&news);
            }
            195..=196 => {
                let scope = self.draw.scope();
                self.command(&RiskCommand::BreakerReset { scope });
            }
            _ => {
                let rest = 200_000_000 + self.draw.below(900_000_000);
                self.turn(rest);
                for instrument in 0..3 {
                    self.mark(instrument, BookState::Live);
                }
            }
        }
        None
    }

    /// Other limits, breakers' among them or not, as a function call or as the commands that a
    /// reload sends.
    fn limits(&mut self) {
        let mut book = self.draw.book();
        if self.draw.one_in(3) {
            book.breakers = Some(self.draw.breakers());
        }
        if self.draw.one_in(2) {
            self.core.change_limits(&book).expect("valid");
        } else {
            reload::commands(&book).iter().for_each(|command| self.core.on_command(command));
        }
        self.gate.set_book(&book);
    }

    fn intent(&mut self) -> Option<OrderIntent> {
        if self.gate.latched && self.draw.one_in(20) {
            self.person();
        }
        self.see_phase();
        let mut intent = self.draw.intent(self.next, &self.gate);
        let amend = if self.draw.one_in(6) { self.amend_something(&intent) } else { None };
        if let Some(amend) = amend {
            intent = amend;
            self.gate.count_equity();
        } else if self.draw.one_in(6) {
            intent.action = OrderAction::Cancel;
            intent.order = OrderId(1 + self.draw.below(self.next));
            if let Some(known) = self.gate.orders.iter().find(|o| o.intent.order == intent.order) {
                intent.instrument = known.intent.instrument;
            }
        } else {
            self.next += 1;
            self.gate.count_equity();
        }
        let wanted = self.gate.judge(&intent, Lean::Pass);
        let trims = self.gate.trims(&intent);
        let answer = match self.core.on_intent(&intent, self.gate.phase) {
            Decision::Approved(_) => Ok(()),
            Decision::Refused(reason) => Err(reason),
        };
        if answer != wanted {
            let breakers = (
                self.core.breakers().permits(intent.strategy, intent.instrument),
                self.gate.breakers.judge(&intent, self.gate.now),
            );
            let leans = self.gate.judge(&intent, Lean::Refuse);
            assert_eq!(answer, leans, "{wanted:?} {intent:?}, breakers {breakers:?}");
            self.near += 1;
        }
        *self.reasons.entry(answer.err().map_or("approved", RefuseReason::name)).or_default() += 1;
        self.gate.commit(&intent, answer.is_ok());
        let amended = answer.is_ok() && intent.action == OrderAction::Amend;
        if amended {
            self.work_amend(&intent);
        }
        let placed = answer.is_ok() && intent.action == OrderAction::Place;
        if placed {
            let mut life = Life::draw(&intent, &mut self.draw.0, &mut self.trade);
            life.iter_mut().for_each(|report| self.explain(report));
            self.waiting.extend(disturb(&life, &mut self.draw.0, 3));
        }
        (placed || (amended && !trims)).then_some(intent)
    }

    /// An intent to amend one of the orders, mostly one that rests, often to what it may be.
    fn amend_something(&mut self, like: &OrderIntent) -> Option<OrderIntent> {
        let newest = self.gate.orders.len().min(12);
        let back = self.draw.below(newest.max(1) as u64) as usize + 1;
        let order =
            self.gate.orders.len().checked_sub(back).map(|at| self.gate.orders[at].intent)?;
        let (price, qty) = match self.draw.below(8) {
            0..=3 => (order.price, Qty(order.qty.0 / 2_000 * 1_000)),
            4 => (order.price, Qty(order.qty.0 + 1_000)),
            5 => (like.price, order.qty),
            6 => (order.price, order.qty),
            _ => (like.price, like.qty),
        };
        let (cause, expires, stop_ticks) = (like.cause, like.expires, like.stop_ticks);
        let action = OrderAction::Amend;
        let kind = OrderKind::Limit;
        Some(OrderIntent { price, qty, cause, expires, stop_ticks, action, kind, ..order })
    }

    /// The amend is over some reports later. Those that tell of the time before come first.
    fn work_amend(&mut self, amend: &OrderIntent) {
        let known = self.gate.orders.iter().find(|o| o.intent.order == amend.order);
        let newest = known.and_then(|o| o.newest()).copied();
        let Some(newest) = newest else { return };
        let mut kind = self.draw.pick(&[ReportKind::Amended, ReportKind::AmendRejected]);
        // The life that was drawn goes on behind it, with what it fills.
        for report in self.waiting.iter_mut().filter(|r| r.order == amend.order) {
            report.seq += 1_000;
            if report.cum_qty > amend.qty {
                kind = ReportKind::AmendRejected;
            }
        }
        let terms = match kind {
            ReportKind::Amended => (amend.price, amend.qty),
            _ => (newest.price, newest.qty),
        };
        let over = OrderReport {
            price: terms.0,
            qty: terms.1,
            seq: newest.seq + 1,
            kind,
            last_qty: Qty(0),
            ..newest
        };
        let at = self.draw.below(self.waiting.len() as u64 / 8 + 1) as usize;
        self.waiting.insert(at, over);
    }

    /// Why the venue refused, or the order was not sent.
    fn explain(&mut self, report: &mut OrderReport) {
        if matches!(report.state, OrderState::Rejected | OrderState::NotSent) {
            report.reason = self.draw.pick(&[
                DoneReason::None,
                DoneReason::Filter,
                DoneReason::WouldTake,
                DoneReason::RateLimit,
                DoneReason::Window,
                DoneReason::Killed,
                DoneReason::NoSession,
            ]);
        }
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
        let mut report = self.waiting.remove(self.draw.below(reach as u64) as usize);
        report.at = self.gate.now;
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
        self.compare_breakers();
        let open = self.gate.orders.iter().filter(|o| !o.standing().ended).count();
        assert_eq!(core.ledger().open_orders(), open);
        all
    }

    fn compare_breakers(&self) {
        let (breakers, now) = (self.core.breakers(), self.gate.now);
        let of_strategy = (0..STRATEGIES as u8).map(|s| breakers.of_strategy(StrategyId(s)));
        let of_instrument = (0..3).map(|i| breakers.of_instrument(InstrumentId(i)));
        let told: Vec<_> = of_strategy.chain(of_instrument).flatten().collect();
        let told = [told, vec![breakers.of_venue(bot4_types::VenueId(0)).expect("there")]].concat();
        assert_eq!(told, self.gate.breakers.states(now));
    }

    /// After upkeep everything told is exact, but for rounding.
    fn compare_statistics(&self) {
        let (told, plain) =
            (self.core.statistics().book().measures(), self.gate.statistics.book.measures());
        let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-6 * (1.0 + scale);
        let all = [
            (told.volatility, plain.volatility),
            (told.value_at_risk, plain.value_at_risk),
            (told.shortfall, plain.shortfall),
            (told.shortfall_worst, plain.shortfall_worst),
            (told.heat, plain.heat),
        ];
        assert!(all.iter().all(|(a, b)| near(*a, *b, plain.heat)), "{told:?} {plain:?}");
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
            world.reasons.insert(NEAR, world.near);
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
    // A short run is spared this, and a life has fewer orders than there is room for.
    let rare = |reason: &RefuseReason| events < EVENTS || *reason == RefuseReason::NoRoom;
    for reason in RefuseReason::ALL.iter().filter(|reason| !rare(reason)) {
        assert!(reasons.contains_key(reason.name()), "{} never came", reason.name());
    }
    assert!(reasons["approved"] > events / 50, "{reasons:?}");
    assert!(reasons[NEAR] <= events / 20_000, "{reasons:?}");
}

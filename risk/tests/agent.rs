//! The agent over real rings: what goes out, what is recorded, when it waits and when it halts.

mod common;

use bot4_lanes::metrics::Entry;
use bot4_lanes::{Agent, Control, LogTx, Metrics, Probe, Rx, Tx, ring};
use bot4_risk::{
    EquityStart, LimitBook, ReplayError, Replayer, RiskAgent, RiskConfig, RiskCore, RiskLimits,
    RiskPorts, Scopes, reload, units,
};
use bot4_types::log::{Body, Reader, Refusal};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AccountReport, ApprovedOrder, AssetId, ControlMode, ExecMsg, InstrumentRules, LogEntry,
    LogKind, Mark, Nanos, OrderAction, OrderId, OrderIntent, OrderState, PauseReason, RefuseReason,
    ReportKind, RiskCommand, Side, Stage, Trail,
};
use common::{Life, ONE, STRATEGIES, config, disturb, mark, place, report};

struct Bench {
    agent: RiskAgent,
    probe: Probe,
    control: Control,
    marks: Tx<Mark>,
    reports: Tx<ExecMsg>,
    commands: Tx<RiskCommand>,
    intents: Tx<OrderIntent>,
    approved: Rx<ApprovedOrder>,
    account: Rx<AccountReport>,
    log: Rx<LogEntry>,
    metrics: Metrics,
}

fn limits() -> RiskLimits {
    RiskLimits { position_equity_e4: 5_000, ..RiskLimits::default() }
}

impl Bench {
    fn new(approved: usize, account: usize, log: usize) -> Self {
        let (marks_tx, marks_rx) = ring(64);
        let (reports_tx, reports_rx) = ring(256);
        let (commands_tx, commands_rx) = ring(4);
        let (intents_tx, intents_rx) = ring(64);
        let (approved_tx, approved_rx) = ring(approved);
        let (account_tx, account_rx) = ring(account);
        let (log_tx, log_rx) = ring(log);
        let control = Control::new();
        let metrics = Metrics::in_memory();
        let ports = RiskPorts {
            marks: vec![marks_rx],
            reports: vec![reports_rx],
            commands: commands_rx,
            intents: intents_rx,
            approved: vec![approved_tx],
            account: account_tx,
            log: LogTx::new(log_tx, 0),
            control: control.clone(),
        };
        Self {
            agent: RiskAgent::new(config(limits()), ports, &metrics).expect("valid"),
            probe: Probe::logical(),
            control,
            marks: marks_tx,
            reports: reports_tx,
            commands: commands_tx,
            intents: intents_tx,
            approved: approved_rx,
            account: account_rx,
            log: log_rx,
            metrics,
        }
    }

    fn ready(mut self) -> Self {
        let session = ExecMsg::Session { at: Nanos(0), venue: bot4_types::VenueId(0), ready: true };
        self.reports.push(session).expect("room");
        self.quote(1);
        assert_eq!(self.turn(1).expect("no fault"), 3);
        self
    }

    fn quote(&mut self, ms: u64) {
        for instrument in 0..2 {
            let mark = mark(instrument, 100 * ONE, Nanos::from_millis(ms));
            self.marks.push(mark).expect("room");
        }
    }

    fn turn(&mut self, ms: u64) -> Result<usize, bot4_lanes::Fault> {
        let now = Nanos::from_millis(ms);
        self.probe.set(now + Nanos(500));
        self.agent.work(now, &mut self.probe)
    }

    fn counter(&self, name: &str) -> u64 {
        let of = |entry: &Entry| match entry {
            Entry::Counters { role: "risk", names, counters } => {
                names.iter().position(|n| *n == name).map(|i| counters.value(i))
            }
            _ => None,
        };
        self.metrics.entries().iter().find_map(of).expect("a counter of the risk lane")
    }

    fn records(&mut self) -> Vec<LogEntry> {
        std::iter::from_fn(|| self.log.pop()).collect()
    }
}

fn kinds(records: &[LogEntry]) -> Vec<LogKind> {
    records.iter().map(|r| LogKind::from_raw(r.kind).expect("known")).collect()
}

fn buy(id: u64) -> OrderIntent {
    OrderIntent {
        trail: Trail::start(Nanos::from_millis(2)),
        ..place(id, 0, Side::Buy, 100 * ONE, ONE)
    }
}

#[test]
fn an_approval_is_recorded_stamped_and_passed_on() {
    let mut b = Bench::new(8, 8, 64).ready();
    assert_eq!(kinds(&b.records()), [LogKind::Turn, LogKind::Report]);
    b.intents.push(buy(1)).expect("room");
    assert_eq!(b.turn(3), Ok(1));
    let records = b.records();
    use LogKind::{Approved, Intent, Mark as MarkKind, Turn};
    assert_eq!(kinds(&records), [Turn, MarkKind, MarkKind, Intent, Approved]);
    let order = b.approved.pop().expect("approved");
    assert_eq!(order.record(), records[4].seq);
    assert_eq!(order.intent().order, OrderId(1));
    assert_eq!(order.intent().trail.span(Stage::Risk), 1_000_500);
    let recorded = OrderIntent::read(&mut Reader::over(records[4].body()));
    assert_eq!(recorded.as_ref(), Some(order.intent()));
    // The same mark is not recorded twice; nothing to do leaves no record.
    b.intents.push(buy(2)).expect("room");
    assert_eq!(b.turn(4), Ok(1));
    assert_eq!(kinds(&b.records()), [Turn, Intent, Approved]);
    assert_eq!(b.turn(5), Ok(0));
    assert!(b.records().is_empty());
}

#[test]
fn a_kill_stops_orders_within_the_turn_and_lets_cancels_pass() {
    let mut b = Bench::new(8, 8, 64).ready();
    b.intents.push(buy(1)).expect("room");
    assert_eq!(b.turn(2), Ok(1));
    assert!(b.approved.pop().is_some());
    b.records();
    b.account.pop();
    b.control.kill();
    b.intents.push(buy(2)).expect("room");
    b.intents.push(OrderIntent { action: OrderAction::Cancel, ..buy(1) }).expect("room");
    assert_eq!(b.turn(3), Ok(2));
    use LogKind::{Approved, Control, Intent, Refused, Turn};
    assert_eq!(kinds(&b.records()), [Turn, Control, Intent, Refused, Intent, Approved]);
    let refused = b.account.pop();
    assert!(matches!(
        refused,
        Some(AccountReport::Refused { order: OrderId(2), reason: RefuseReason::Killed, .. })
    ));
    let cancel = b.approved.pop().expect("the cancel");
    assert_eq!(cancel.intent().action, OrderAction::Cancel);
    assert_eq!((b.agent.checked(), b.agent.approved()), (3, 2));
    assert_eq!(b.counter("killed"), 1);
    let killed = b.agent.refused().find(|(r, _)| *r == RefuseReason::Killed);
    assert_eq!(killed, Some((RefuseReason::Killed, 1)));
}

/// New rules wait for the orders of their instrument; others trade on, and the journal replays.
#[test]
fn a_change_of_rules_closes_its_instrument_until_its_orders_are_gone() {
    let mut b = Bench::new(8, 8, 256).ready();
    b.account.pop();
    b.intents.push(buy(1)).expect("room");
    assert_eq!(b.turn(2), Ok(1));
    assert!(b.approved.pop().is_some());
    let table = &config(limits()).table;
    let old = InstrumentRules::of(&table.all()[0]);
    let rules = InstrumentRules { tick: 10 * ONE, ..old };
    b.commands.push(RiskCommand::Rules { rules, resync: true }).expect("room");
    // It comes before the intents of its turn.
    b.intents.push(buy(2)).expect("room");
    b.intents.push(place(3, 1, Side::Buy, 100 * ONE, ONE)).expect("room");
    assert_eq!(b.turn(3), Ok(3));
    assert_eq!(b.approved.pop().map(|o| o.intent().order), Some(OrderId(3)), "the other one");
    let refused = |r: Option<AccountReport>| match r {
        Some(AccountReport::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(b.account.pop()), RefuseReason::InstrumentChanging);
    let news = |b: &mut Bench| match b.account.pop() {
        Some(AccountReport::Instrument(news)) => (news.open, news.change, news.rules.tick),
        other => panic!("{other:?}"),
    };
    assert_eq!(b.turn(4), Ok(1));
    assert_eq!(news(&mut b), (false, 1, 10 * ONE));
    assert_eq!(b.agent.core().ledger().table().all()[0].tick, old.tick, "not yet");
    let gone = report(&buy(1), 1, ReportKind::Done, OrderState::Canceled, 0);
    b.reports.push(ExecMsg::Order(gone)).expect("room");
    assert_eq!(b.turn(5), Ok(1));
    assert!(matches!(b.account.pop(), Some(AccountReport::Order { .. })));
    b.intents.push(OrderIntent { price: bot4_types::Price(101 * ONE), ..buy(4) }).expect("room");
    b.intents.push(buy(5)).expect("room");
    assert_eq!(b.turn(6), Ok(3), "the news and two intents");
    assert_eq!(news(&mut b), (true, 1, 10 * ONE));
    assert_eq!(refused(b.account.pop()), RefuseReason::Tick);
    assert_eq!(b.approved.pop().map(|o| o.intent().order), Some(OrderId(5)));
    // Rules for nobody change nothing.
    let lost = InstrumentRules { price_decimals: 1, ..rules };
    b.commands.push(RiskCommand::Rules { rules: lost, resync: true }).expect("room");
    let instrument = rules.instrument;
    b.commands.push(RiskCommand::Pause { instrument, why: PauseReason::Unlisted }).expect("room");
    b.intents.push(buy(6)).expect("room");
    assert_eq!(b.turn(7), Ok(3));
    assert_eq!(refused(b.account.pop()), RefuseReason::InstrumentPaused);
    let records = b.records();
    let mut replay = Replayer::new(&config(limits())).expect("valid");
    records.iter().try_for_each(|entry| replay.feed(entry)).expect("the same");
    assert_eq!(replay.decision_hash(), b.agent.decision_hash());
    // A command that is not the one that was obeyed is found.
    let mut replay = Replayer::new(&config(limits())).expect("valid");
    let altered = records.iter().map(|entry| match LogKind::from_raw(entry.kind) {
        Some(LogKind::Command) if entry.body().len() > 100 => {
            let mut altered = *entry;
            altered.body[60] ^= 1;
            altered
        }
        _ => *entry,
    });
    let found = altered.into_iter().try_for_each(|entry| replay.feed(&entry));
    assert!(found.is_err(), "{found:?}");
}

#[test]
fn reports_are_booked_even_when_execution_takes_no_orders() {
    let mut b = Bench::new(1, 8, 64).ready();
    b.account.pop();
    b.intents.push(buy(1)).expect("room");
    b.intents.push(buy(2)).expect("room");
    assert_eq!(b.turn(2), Ok(1), "the approved link holds one");
    let filled = common::fill(&buy(1), 1, ONE, ONE, 7);
    b.reports.push(ExecMsg::Order(filled)).expect("room");
    b.reports.push(ExecMsg::Order(filled)).expect("room");
    assert_eq!(b.turn(3), Ok(2));
    let Some(AccountReport::Order { position, .. }) = b.account.pop() else {
        panic!("the fill must be told")
    };
    assert_eq!(position.0, ONE);
    assert!(b.account.pop().is_none(), "a doubled fill is not told");
    assert_eq!((b.agent.fills_applied(), b.agent.duplicates_dropped()), (1, 1));
    assert_eq!(b.agent.expected_balance(common::USDT), bot4_risk::units(19_900));
    assert_eq!((b.agent.open_orders(), b.agent.unknown_orders()), (0, 0));
}

#[test]
fn a_link_that_nobody_reads_halts_the_engine() {
    let mut b = Bench::new(1, 8, 64).ready();
    b.intents.push(buy(1)).expect("room");
    assert_eq!(b.turn(10), Ok(1));
    for ms in (20..=110).step_by(10) {
        assert!(b.turn(ms).is_ok());
    }
    let fault = b.turn(111).expect_err("more than 100 ms");
    assert_eq!(fault.role, "risk");
    assert!(fault.what.contains("100 ms"));
}

/// Full at the end of every turn, but the reader takes one order a turn: busy, not dead.
#[test]
fn a_busy_link_does_not_halt_the_engine() {
    let mut b = Bench::new(1, 64, 1_024).ready();
    for id in 1..=40 {
        b.intents.push(buy(id)).expect("room");
    }
    for ms in (10..=400).step_by(10) {
        b.turn(ms).expect("it moves");
        b.approved.pop();
        b.records();
        while b.account.pop().is_some() {}
    }
}

#[test]
fn without_room_for_records_nothing_is_taken() {
    let mut b = Bench::new(8, 8, 16);
    b.quote(1);
    b.reports
        .push(ExecMsg::Session { at: Nanos(0), venue: bot4_types::VenueId(0), ready: true })
        .expect("room");
    b.turn(1).expect("no fault");
    for id in 1..=6 {
        b.intents.push(buy(id)).expect("room");
    }
    // Sixteen records, two used, two kept for reports and cancels: order by order until fewer
    // than five are left.
    let taken = b.turn(2).expect("no fault");
    assert!(taken < 6 && taken > 0);
    assert!(b.turn(3).expect("no fault") == 0, "it waits");
    let seqs: Vec<u64> = b.records().iter().map(|r| r.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(b.turn(4).expect("no fault") > 0, "and goes on");
    for id in 7..=40 {
        b.intents.push(buy(id)).expect("room");
    }
    // A log that nobody reads halts it in the end.
    let stuck = (10..40).map(|i| b.turn(i * 20)).find(Result::is_err);
    assert!(stuck.is_some_and(|f| f.is_err_and(|f| f.what.contains("journal"))));
}

#[test]
fn the_log_may_stall_as_long_as_its_writer_may() {
    let b = Bench::new(8, 8, 16);
    let mut b = Bench { agent: b.agent.with_log_stall(2_000_000_000), ..b }.ready();
    for id in 1..=12 {
        b.intents.push(buy(id)).expect("room");
    }
    let stuck = (1..200).map(|i| (i * 20, b.turn(i * 20))).find(|(_, turn)| turn.is_err());
    let (ms, turn) = stuck.expect("it halts in the end");
    assert!((2_000..2_100).contains(&ms), "after {ms} ms");
    assert!(turn.is_err_and(|fault| fault.what.contains("no record for 2000 ms")));
}

/// Limits hold from the commit on, all at once, and a mode from its command on; both are records
/// that a replay obeys.
#[test]
fn limits_and_mode_change_by_command() {
    let mut b = Bench::new(64, 64, 256).ready();
    let mut journal = b.records();
    let start = LimitBook::new(&limits(), &Scopes::default(), STRATEGIES, 2);
    let tighter = RiskLimits { order_value_max: units(50), ..limits() };
    let mut commands = reload::commands(&LimitBook { account: tighter, ..start.clone() });
    let commit = commands.pop().expect("the last");
    let mut answers = Vec::new();
    let mut ask = |b: &mut Bench, journal: &mut Vec<LogEntry>, id| {
        b.intents.push(buy(id)).expect("room");
        b.turn(id).expect("no fault");
        let records = b.records();
        let refused = records.iter().find(|r| r.kind == LogKind::Refused as u8);
        let reason = refused.map(|r| Refusal::read(&mut Reader::over(r.body())).expect("whole"));
        answers.push(reason.map(|r| r.reason));
        journal.extend(records);
    };
    commands.into_iter().for_each(|part| b.commands.push(part).expect("room"));
    ask(&mut b, &mut journal, 1);
    b.commands.push(commit).expect("room");
    ask(&mut b, &mut journal, 2);
    // The parts are used up: the same word again changes nothing.
    b.commands.push(commit).expect("room");
    b.commands.push(RiskCommand::Mode(ControlMode::Emergency)).expect("room");
    ask(&mut b, &mut journal, 3);
    b.commands.push(RiskCommand::Mode(ControlMode::FullAuto)).expect("room");
    b.turn(4).expect("no fault");
    journal.extend(b.records());
    reload::commands(&start).into_iter().for_each(|c| b.commands.push(c).expect("room"));
    ask(&mut b, &mut journal, 5);
    let wanted = [None, Some(RefuseReason::FatNotional), Some(RefuseReason::Mode), None];
    assert_eq!(answers, wanted);
    assert_eq!(b.agent.core().limit_changes(), (2, 1));
    assert_eq!((b.counter("limits_changed"), b.counter("limits_refused")), (2, 1));
    let mut replay = Replayer::new(&config(limits())).expect("valid");
    journal.iter().for_each(|entry| assert_eq!(replay.feed(entry), Ok(())));
    assert_eq!(replay.decision_hash(), b.agent.decision_hash());
    assert_eq!(replay.core().limit_book(), b.agent.core().limit_book());
}

/// A random run's journal replays to the same decisions, and any change in it is found.
#[test]
fn the_journal_replays_to_the_same_decisions() {
    let mut seen = (0, 0);
    for seed in 0..20 {
        let mut rng = SplitMix64::new(seed);
        let mut b = Bench::new(256, 1_024, 4_096).ready();
        let (mut waiting, mut trade, mut journal) = (Vec::new(), 0, b.records());
        for id in 1..300u64 {
            let side = if rng.below(2) == 0 { Side::Buy } else { Side::Sell };
            let price = 98 * ONE + rng.below(5) as i64 * ONE;
            let qty = (1 + rng.below(3_000) as i64) * ONE / 1_000;
            let intent = place(id, rng.below(2) as u16, side, price, qty);
            let cancel = OrderIntent {
                action: OrderAction::Cancel,
                order: OrderId(1 + rng.below(id)),
                ..intent
            };
            b.intents.push(if rng.below(5) == 0 { cancel } else { intent }).expect("room");
            if rng.below(3) == 0 {
                b.quote(id * 7);
            }
            if rng.below(30) == 0 {
                let all = ControlMode::ALL;
                let mode = all[rng.below(all.len() as u64) as usize];
                b.commands.push(RiskCommand::Mode(mode)).expect("room");
            } else if rng.below(30) == 0 {
                let order_value_max = units(50 + rng.below(1_000) as i64);
                let account = RiskLimits { order_value_max, ..limits() };
                let book = LimitBook::new(&account, &Scopes::default(), STRATEGIES, 2);
                let commands = reload::commands(&book).into_iter();
                commands.for_each(|c| b.commands.push(c).expect("room"));
            }
            if id == 280 {
                b.control.drain();
            }
            b.turn(id * 7 + rng.below(5)).expect("no fault");
            while let Some(order) = b.approved.pop() {
                if order.intent().action == OrderAction::Place {
                    let life = Life::draw(order.intent(), &mut rng, &mut trade);
                    waiting.extend(disturb(&life, &mut rng, 3));
                }
            }
            let now = (rng.below(6) as usize).min(waiting.len());
            for report in waiting.drain(..now) {
                b.reports.push(ExecMsg::Order(report)).expect("room");
            }
            while b.account.pop().is_some() {}
            journal.extend(b.records());
        }
        seen = (seen.0 + b.agent.fills_applied(), seen.1 + b.agent.approved());
        let mut replay = Replayer::new(&config(limits())).expect("valid");
        for entry in &journal {
            assert_eq!(replay.feed(entry), Ok(()));
        }
        assert_eq!(replay.decision_hash(), b.agent.decision_hash());
        assert_eq!(replay.core().pnl(), b.agent.pnl());
        assert_changes_are_found(&journal, &mut rng);
    }
    println!("{} fills, {} approvals", seen.0, seen.1);
    assert!(seen.0 > 100 && seen.1 > 300, "too quiet to mean anything: {seen:?}");
}

fn assert_changes_are_found(journal: &[LogEntry], rng: &mut SplitMix64) {
    let run = |entries: &[LogEntry]| {
        let mut replay = Replayer::new(&config(limits())).expect("valid");
        entries.iter().find_map(|e| replay.feed(e).err())
    };
    let at = 1 + rng.below(journal.len() as u64 - 2) as usize;
    let mut missing = journal.to_vec();
    missing.remove(at);
    assert!(matches!(run(&missing), Some(ReplayError::Gap { .. })));
    let mut turned = journal.to_vec();
    let is_approval = |e: &LogEntry| e.kind == LogKind::Approved as u8;
    let approval = turned.iter().position(is_approval).expect("some were approved");
    turned[approval].body[48] ^= 1;
    assert_eq!(run(&turned), Some(ReplayError::Differs(turned[approval].seq)));
}

#[test]
fn the_end_is_valued_by_the_newest_marks() {
    let mut b = Bench::new(8, 8, 64).ready();
    b.intents.push(buy(1)).expect("room");
    b.turn(2).expect("no fault");
    b.reports.push(ExecMsg::Order(common::fill(&buy(1), 1, ONE, ONE, 7))).expect("room");
    b.turn(3).expect("no fault");
    b.marks.push(mark(0, 103 * ONE, Nanos::from_millis(4))).expect("room");
    b.agent.close(Nanos::from_millis(5));
    let pnl = b.agent.pnl();
    assert_eq!((pnl.realized, pnl.unrealized, pnl.unvalued), (0, bot4_risk::units(3), 0));
    // 0.001 of the base asset at 103.
    assert_eq!(pnl.fees, bot4_risk::units(103) / 1_000);
}

#[test]
fn an_unknown_order_closes_its_side() {
    let mut b = Bench::new(8, 8, 64).ready();
    b.intents.push(buy(1)).expect("room");
    b.turn(2).expect("no fault");
    let lost = report(&buy(1), 1, ReportKind::Lost, OrderState::Unknown, 0);
    b.reports.push(ExecMsg::Order(lost)).expect("room");
    b.intents.push(buy(2)).expect("room");
    b.turn(3).expect("no fault");
    assert_eq!((b.agent.open_orders(), b.agent.unknown_orders()), (1, 1));
    assert_eq!(b.counter("unknown"), 1);
}

/// A fall is seen while nobody trades, and a replay draws the same curve.
#[test]
fn the_curve_is_drawn_each_second_of_a_silent_run() {
    let mut b = Bench::new(8, 8, 64).ready();
    let mut journal = b.records();
    for second in 1..=4u64 {
        b.quote(second * 1_000);
        let mut points = Vec::new();
        for ms in [999, 1_003, 1_004] {
            b.turn((second - 1) * 1_000 + ms).expect("no fault");
            let records = b.records();
            points.push(kinds(&records).iter().filter(|k| **k == LogKind::Equity).count());
            journal.extend(records);
        }
        assert_eq!(points, [0, 1, 0], "once a second");
    }
    for instrument in 0..2 {
        b.marks.push(mark(instrument, 80 * ONE, Nanos::from_millis(5_000))).expect("room");
    }
    b.turn(5_000).expect("no fault");
    journal.extend(b.records());
    // 100 units of base fell from 100 to 80: 28,000 of 30,000.
    let p = *b.agent.core().equity_curve();
    assert_eq!((p.equity, p.peak), (Some(bot4_risk::units(28_000)), bot4_risk::units(30_000)));
    assert_eq!((p.drawdown_e4, p.daily_loss), (667, bot4_risk::units(2_000)));
    assert_eq!(b.agent.core().curve().samples().count(), 5);
    assert_eq!((b.counter("drawdown_e4"), b.counter("equity_e8")), (667, 28_000 * ONE as u64));
    let mut replay = Replayer::new(&config(limits())).expect("valid");
    assert!(journal.iter().all(|entry| replay.feed(entry).is_ok()));
    assert_eq!(replay.core().equity_curve(), &p);
    assert_eq!(replay.decision_hash(), b.agent.decision_hash());
    // A point that is not what the marks lead to is found.
    let mut altered = Replayer::new(&config(limits())).expect("valid");
    let is_point = |e: &LogEntry| e.kind == LogKind::Equity as u8;
    let last = journal.iter().rposition(is_point).expect("points");
    journal[last].body[0] ^= 1;
    let found = journal.iter().find_map(|entry| altered.feed(entry).err());
    assert_eq!(found, Some(ReplayError::EquityDiffers(journal[last].seq)));
}

#[test]
fn what_came_since_the_last_run_is_no_profit() {
    let equity = EquityStart {
        peak: bot4_risk::units(40_000),
        flows: vec![(common::USDT, bot4_risk::units(-9_000)), (AssetId(0), bot4_risk::units(5))],
        ..EquityStart::default()
    };
    let config = RiskConfig { equity, ..config(limits()) };
    let mut core = RiskCore::new(&config).expect("valid");
    core.on_turn(Nanos::from_secs(1));
    core.on_sample();
    assert_eq!(core.equity_curve().equity, None, "no mark yet");
    for instrument in 0..2 {
        core.on_mark(&mark(instrument, 100 * ONE, Nanos::from_secs(1)));
    }
    core.on_sample();
    let p = core.equity_curve();
    assert_eq!((p.equity, p.peak), (Some(bot4_risk::units(30_000)), bot4_risk::units(31_500)));
    assert_eq!(p.drawdown_e4, 477);
}

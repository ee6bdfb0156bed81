//! Statistics in the run: the grid of returns, upkeep as records, what the strategies are told of
//! room; and that a replay of the journal reaches the same numbers to the last bit.

mod common;

use bot4_lanes::{Agent, Control, LogTx, Metrics, Probe, Rx, Tx, ring};
use bot4_risk::{ReplayError, Replayer, RiskAgent, RiskLimits, RiskPorts};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AccountReport, ApprovedOrder, ExecMsg, Headroom, InstrumentId, LogEntry, LogKind, Mark, Nanos,
    OrderIntent, RefuseReason, Side,
};
use common::{ONE, config, fill, mark, place};

/// An agent over its links, with everything it wrote.
struct Run {
    agent: RiskAgent,
    probe: Probe,
    marks: Tx<Mark>,
    reports: Tx<ExecMsg>,
    intents: Tx<OrderIntent>,
    approved: Rx<ApprovedOrder>,
    account: Rx<AccountReport>,
    log: Rx<LogEntry>,
    journal: Vec<LogEntry>,
    told: Vec<Headroom>,
}

fn limits() -> RiskLimits {
    RiskLimits { position_equity_e4: 5_000, ..RiskLimits::default() }
}

impl Run {
    fn new(limits: RiskLimits) -> Self {
        let (marks, marks_rx) = ring(64);
        let (reports, reports_rx) = ring(256);
        let (intents, intents_rx) = ring(64);
        let (approved_tx, approved) = ring(64);
        let (account_tx, account) = ring(64);
        let (log_tx, log) = ring(1_024);
        let (_, commands) = ring(4);
        let ports = RiskPorts {
            marks: vec![marks_rx],
            reports: vec![reports_rx],
            intents: intents_rx,
            approved: vec![approved_tx],
            account: account_tx,
            commands,
            log: LogTx::new(log_tx, 0),
            control: Control::new(),
        };
        let agent = RiskAgent::new(config(limits), ports, &Metrics::in_memory()).expect("valid");
        let (journal, told) = (Vec::new(), Vec::new());
        let probe = Probe::logical();
        let mut run =
            Self { agent, probe, marks, reports, intents, approved, account, log, journal, told };
        run.reports
            .push(ExecMsg::Session { at: Nanos(0), venue: bot4_types::VenueId(0), ready: true })
            .expect("room");
        run
    }

    fn quote(&mut self, ms: u64, prices: [i64; 2]) {
        for (i, price) in prices.into_iter().enumerate() {
            let mark = mark(i as u16, price, Nanos::from_millis(ms));
            self.marks.push(mark).expect("room");
        }
    }

    fn turn(&mut self, ms: u64) {
        let now = Nanos::from_millis(ms);
        self.probe.set(now);
        self.agent.work(now, &mut self.probe).expect("no fault");
        self.journal.extend(std::iter::from_fn(|| self.log.pop()));
        while let Some(report) = self.account.pop() {
            if let AccountReport::Headroom(headroom) = report {
                self.told.push(headroom);
            }
        }
    }

    /// Orders and fills at once.
    fn trade(&mut self, ms: u64, intent: &OrderIntent) -> bool {
        self.intents.push(*intent).expect("room");
        self.turn(ms);
        let placed = self.approved.pop().is_some();
        if placed {
            let filled = fill(intent, 1, intent.qty.0, intent.qty.0, intent.order.0);
            self.reports.push(ExecMsg::Order(filled)).expect("room");
            self.turn(ms);
        }
        placed
    }

    fn count(&self, kind: LogKind, body: u8) -> usize {
        let of = |e: &&LogEntry| e.kind == kind as u8 && e.body() == [body];
        self.journal.iter().filter(of).count()
    }

    fn replayed(&self, journal: &[LogEntry]) -> Result<Replayer, ReplayError> {
        let mut replay = Replayer::new(&config(limits())).expect("valid");
        journal.iter().try_for_each(|entry| replay.feed(entry)).map(|()| replay)
    }
}

/// Half a minute of a market that moves, with an order now and then.
fn lively(seed: u64) -> Run {
    let (mut run, mut rng) = (Run::new(limits()), SplitMix64::new(seed));
    let mut prices = [100 * ONE; 2];
    for step in 1..1_500u64 {
        let ms = step * 20;
        for price in &mut prices {
            *price += rng.below(2 * ONE as u64 / 50) as i64 - ONE / 50;
        }
        run.quote(ms, prices);
        if rng.below(10) == 0 {
            let side = if rng.below(3) == 0 { Side::Sell } else { Side::Buy };
            let (instrument, qty) = (rng.below(2), (1 + rng.below(900)) as i64 * ONE / 1_000);
            let price = prices[instrument as usize] / (ONE / 100) * (ONE / 100);
            let intent = place(step, instrument as u16, side, price, qty);
            run.trade(ms, &intent);
        } else {
            run.turn(ms);
        }
    }
    run
}

#[test]
fn every_second_is_sampled_and_a_replay_reaches_the_same_bits() {
    let run = lively(1);
    let core = run.agent.core();
    let book = core.statistics().book();
    assert_eq!(run.count(LogKind::Statistics, 0), 29, "one sample a second");
    assert_eq!(book.samples(), 28, "the first has no return");
    let refreshed = run.count(LogKind::Statistics, 1);
    assert!(core.placed() > 50 && refreshed > 50, "{} {refreshed}", core.placed());
    assert!(book.measures().volatility > 0.0 && !book.is_due());

    let replay = run.replayed(&run.journal).expect("the same");
    let again = replay.core().statistics().book();
    assert_eq!(again.measures(), book.measures());
    for instrument in [0, 1].map(InstrumentId) {
        assert_eq!(again.sigma(instrument), book.sigma(instrument));
        assert_eq!(replay.core().headroom(instrument), core.headroom(instrument));
    }
}

#[test]
fn a_sample_that_did_something_else_is_found() {
    let run = lively(2);
    let mut turned = run.journal.clone();
    let upkeep = |e: &LogEntry| e.kind == LogKind::Statistics as u8;
    let at = turned.iter().position(upkeep).expect("some upkeep");
    turned[at].body[0] ^= 1;
    assert!(matches!(run.replayed(&turned), Err(ReplayError::InputsDiffer(_))));
    turned[at].body[0] = 9;
    assert_eq!(run.replayed(&turned).err(), Some(ReplayError::Damaged(turned[at].seq)));
}

#[test]
fn room_is_told_ten_times_a_second_and_after_a_fill() {
    let mut run = Run::new(limits());
    for step in 1..=200u64 {
        run.quote(step * 10, [100 * ONE; 2]);
        run.turn(step * 10);
    }
    // From the first equity at one second on: both instruments each 100 ms.
    assert_eq!(run.told.len(), 2 * 11);
    let before = run.told[run.told.len() - 2];
    assert_eq!(before.instrument, InstrumentId(0));
    assert_eq!(before.position, [15_000.0; 2], "half of the equity of 30,000");
    assert!((before.shortfall - 300.0).abs() < 1e-9, "one per cent of it: {}", before.shortfall);
    run.told.clear();
    assert!(run.trade(2_005, &place(1, 0, Side::Buy, 100 * ONE, 10 * ONE)));
    assert_eq!(run.told.len(), 1, "at once, and only where it was filled");
    let after = run.told[0];
    assert_eq!(after.position, [14_000.0, 16_000.0]);
    assert!(after.shortfall < before.shortfall, "{after:?}");
    assert_eq!(after.correlation, 0.0, "too small a book to count");
}

#[test]
fn a_book_that_outgrows_its_tail_or_its_heat_takes_no_more() {
    // Fallback: a unit of value has 2.67 % of shortfall, one of heat. Equity 30,000.
    let first = |change: fn(&mut RiskLimits)| {
        let mut limits = limits();
        limits.statistics.correlation_e4 = 10_000;
        change(&mut limits);
        let mut run = Run::new(limits);
        let mut placed = 0;
        for id in 1..100 {
            run.quote(id, [100 * ONE; 2]);
            let at = (id % 2) as u16;
            placed += u64::from(run.trade(id, &place(id, at, Side::Buy, 100 * ONE, ONE)));
        }
        let core = run.agent.core();
        let told = |reason| core.refused(reason) > 0;
        (placed, [RefuseReason::Shortfall, RefuseReason::Heat].map(told))
    };
    let tail = |l: &mut RiskLimits| l.statistics.shortfall_equity_e6 = 900;
    assert_eq!(first(tail), (10, [true, false]), "27 of 2.67 each");
    let heat = |l: &mut RiskLimits| {
        l.statistics.shortfall_equity_e6 = 0;
        l.statistics.heat_equity_e6 = 400;
    };
    assert_eq!(first(heat), (12, [false, true]), "12 of one each");
}

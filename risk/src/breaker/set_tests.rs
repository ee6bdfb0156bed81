//! The risk lane's set, fed as the risk core feeds it.

use bot4_types::{
    Cause, DoneReason, OrderAction, OrderId, OrderKind, OrderState, Price, Qty, Side, Tif, Trail,
};

use super::*;

const ONE: StrategyId = StrategyId(0);
const TWO: StrategyId = StrategyId(1);
const A: InstrumentId = InstrumentId(0);
const B: InstrumentId = InstrumentId(1);

/// Two strategies, four instruments: seven breakers with the venue's.
struct World {
    set: Breakers,
    next: u64,
}

impl World {
    fn new(change: impl FnOnce(&mut BreakerLimits)) -> Self {
        let mut limits = BreakerLimits { jitter_e4: 0, ..BreakerLimits::default() };
        change(&mut limits);
        limits.validate().expect("valid");
        let mut world = Self { set: Breakers::new(&limits, 2, &[VenueId(0); 4]), next: 0 };
        world.at_ms(1_000);
        world
    }

    fn at_ms(&mut self, ms: u64) {
        self.set.on_turn(Nanos::from_millis(ms));
    }

    fn place(&mut self, strategy: StrategyId, instrument: InstrumentId) -> OrderReport {
        self.next += 1;
        let intent = OrderIntent {
            trail: Trail::default(),
            order: OrderId(self.next),
            price: Price(1),
            qty: Qty(1),
            stop_ticks: 1,
            instrument,
            strategy,
            cause: Cause::Market,
            expires: Nanos::MAX,
            action: OrderAction::Place,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            trigger: bot4_types::Price(0),
            until: bot4_types::Nanos::MAX,
            reduce_only: false,
            side: Side::Buy,
            parent: bot4_types::ParentId::NONE,
        };
        self.set.admit(&intent);
        OrderReport {
            at: self.set.now,
            ..OrderReport::first(&intent, ReportKind::Acked, OrderState::Live)
        }
    }

    fn tell(&mut self, report: OrderReport) {
        self.set.on_report(&report, report.strategy, Booked::default());
    }

    fn ack(&mut self, strategy: StrategyId, instrument: InstrumentId) {
        let report = self.place(strategy, instrument);
        self.tell(report);
    }

    fn done(
        &mut self,
        (strategy, instrument): (StrategyId, InstrumentId),
        state: OrderState,
        reason: DoneReason,
    ) {
        let report = self.place(strategy, instrument);
        self.tell(OrderReport { kind: ReportKind::Done, state, reason, ..report });
    }

    fn lose(&mut self, strategy: StrategyId, instrument: InstrumentId) {
        let report = self.place(strategy, instrument);
        let (kind, state) = (ReportKind::Lost, OrderState::Unknown);
        self.tell(OrderReport { kind, state, ..report });
    }

    /// An order that fills at once and realises `realized`.
    fn fill(&mut self, strategy: StrategyId, realized: Amount) {
        let report = self.place(strategy, A);
        let report = OrderReport { kind: ReportKind::Fill, state: OrderState::Filled, ..report };
        self.set.on_report(&report, strategy, Booked { realized, fee: 0 });
    }

    fn states(&self) -> [State; 5] {
        let strategy = |s| self.set.of_strategy(s).expect("known");
        let instrument = |i| self.set.of_instrument(i).expect("known");
        let venue = self.set.of_venue(VenueId(0)).expect("there");
        [strategy(ONE), strategy(TWO), instrument(A), instrument(B), venue]
    }
}

const C: State = State::Closed;
const O: State = State::Open;
const H: State = State::HalfOpen;

#[test]
fn each_fate_counts_for_whom_it_tells_something() {
    use DoneReason as R;
    let after = |state, reason| {
        // The strategies' own rules are off: what is seen is what reaches the windows.
        let mut world = World::new(|l| (l.reject_e4_max, l.error_e4_max) = (0, 0));
        (0..5).for_each(|_| world.done((ONE, A), state, reason));
        world.states()
    };
    assert_eq!(after(OrderState::Rejected, R::Filter), [C, C, O, C, C]);
    assert_eq!(after(OrderState::Rejected, R::RateLimit), [C, C, C, C, O]);
    assert_eq!(after(OrderState::Rejected, R::WouldTake), [C; 5]);
    assert_eq!(after(OrderState::Canceled, R::None), [C; 5]);
    assert_eq!(after(OrderState::NotSent, R::NoBudget), [C; 5]);
    let mut world = World::new(|l| l.error_e4_max = 0);
    (0..5).for_each(|_| world.lose(TWO, B));
    assert_eq!(world.states(), [C, C, C, O, O]);
    assert_eq!(world.set.counts().opened, [0, 1, 1]);
}

#[test]
fn a_strategy_opens_by_each_of_its_rules() {
    let cause = |world: &World, cause: TripCause| {
        assert_eq!(world.states()[..2], [O, C]);
        let mut causes = [0; 5];
        causes[cause as usize] = 1;
        assert_eq!((world.set.counts().causes, world.set.counts().opened[0]), (causes, 1));
    };
    let mut losses = World::new(|_| ());
    let (loss, small) = (-crate::units(1), 1 - crate::units(1));
    (0..9).for_each(|_| losses.fill(ONE, small));
    (0..4).for_each(|_| losses.fill(ONE, loss));
    losses.fill(TWO, loss);
    assert_eq!(losses.states(), [C; 5]);
    losses.fill(ONE, loss);
    cause(&losses, TripCause::Losses);
    let mut loss = World::new(|l| l.loss_max = 100);
    loss.fill(ONE, -60);
    loss.fill(ONE, 20);
    loss.fill(ONE, -60);
    cause(&loss, TripCause::Loss);
    let mut rejects = World::new(|l| l.errors_max = 0);
    (0..10).for_each(|_| rejects.ack(ONE, A));
    (0..10).for_each(|_| rejects.done((ONE, A), OrderState::Rejected, DoneReason::Balance));
    cause(&rejects, TripCause::Rejects);
    let mut errors = World::new(|l| l.errors_max = 0);
    (0..16).for_each(|_| errors.ack(ONE, A));
    (0..4).for_each(|_| errors.lose(ONE, A));
    cause(&errors, TripCause::Errors);
    let mut latency = World::new(|l| l.ack_p99_ns_max = 1_000_000);
    for n in 0..20 {
        let report = latency.place(ONE, A);
        latency.tell(OrderReport { kind: ReportKind::Sent, state: OrderState::Sent, ..report });
        let slow = Nanos::from_millis(if n == 7 { 2 } else { 1 });
        latency.tell(OrderReport { at: report.at + slow, ..report });
    }
    cause(&latency, TripCause::Latency);
}

#[test]
fn a_trip_heals_by_its_probes_and_a_failed_probe_opens_again() {
    let mut world = World::new(|_| ());
    world.set.trip(BreakerScope::Strategy(ONE));
    let refused = world.set.permits(ONE, A);
    assert_eq!((refused, world.set.permits(TWO, A)), (Err(BreakerLevel::Strategy), Ok(())));
    world.at_ms(6_001);
    assert_eq!((world.states()[0], world.set.unwell()), (H, (0, 1)));
    let probes: Vec<_> = (0..3).map(|_| world.place(ONE, A)).collect();
    assert_eq!(world.set.permits(ONE, A), Err(BreakerLevel::Strategy), "three are out");
    world.tell(probes[0]);
    assert_eq!(world.set.permits(ONE, A), Ok(()));
    world.tell(probes[1]);
    world.tell(OrderReport { kind: ReportKind::Lost, state: OrderState::Unknown, ..probes[2] });
    assert_eq!(world.states()[0], O);
    world.at_ms(12_000);
    (0..3).for_each(|_| world.ack(ONE, A));
    assert_eq!((world.states(), world.set.unwell()), ([C; 5], (0, 0)));
    assert_eq!((world.set.counts().closed, world.set.counts().opened[0]), (1, 1));
}

#[test]
fn an_order_counts_once_and_one_of_before_the_trip_not_at_all() {
    let mut world = World::new(|_| ());
    let report = world.place(ONE, A);
    let reject = OrderReport {
        kind: ReportKind::Done,
        state: OrderState::Rejected,
        reason: DoneReason::Filter,
        ..report
    };
    (0..9).for_each(|_| world.tell(reject));
    assert_eq!(world.states(), [C; 5], "the same order over and over");
    let before = world.place(ONE, A);
    world.set.trip(BreakerScope::Instrument(A));
    world.at_ms(60_000);
    world.tell(OrderReport { kind: ReportKind::Lost, ..before });
    assert_eq!(world.states()[2], H, "a late verdict");
    world.set.reset(BreakerScope::Instrument(A));
    assert_eq!((world.states(), world.set.unwell()), ([C; 5], (0, 0)));
}

#[test]
fn the_global_state_holds_back_the_healthy_and_lets_the_ill_be_tried() {
    let mut world = World::new(|_| ());
    let instrument = |n| BreakerScope::Instrument(InstrumentId(n));
    for scope in [BreakerScope::Strategy(TWO), instrument(1), instrument(2)] {
        world.set.trip(scope);
        assert_eq!((world.set.global(), world.set.permits(ONE, A)), (C, Ok(())));
    }
    world.at_ms(3_000);
    world.set.trip(instrument(3));
    assert_eq!(world.set.global(), O, "four of seven");
    assert_eq!(world.set.permits(ONE, A), Err(BreakerLevel::Global), "its own are all closed");
    world.at_ms(6_001);
    assert_eq!((world.set.global(), world.set.unwell()), (H, (1, 3)), "without being asked");
    assert_eq!(world.set.permits(ONE, A), Ok(()));
    let healthy = [BreakerScope::Strategy(ONE), instrument(0), BreakerScope::Venue];
    healthy.into_iter().for_each(|scope| world.set.trip(scope));
    world.set.reset(instrument(0));
    world.set.reset(BreakerScope::Strategy(ONE));
    world.set.trip(BreakerScope::Strategy(TWO));
    world.set.trip(instrument(2));
    assert_eq!(world.set.global(), O, "four of seven again");
    assert_eq!(world.set.permits(ONE, B), Err(BreakerLevel::Venue));
    world.set.reset(BreakerScope::Venue);
    world.set.trip(instrument(0));
    assert_eq!(world.set.global(), O);
    assert_eq!(world.set.permits(ONE, B), Ok(()), "what recovers may be tried");
    assert_eq!(world.set.permits(ONE, A), Err(BreakerLevel::Instrument));
}

#[test]
fn what_reduces_while_open_holds_no_ticket_and_leaks_none() {
    let mut world = World::new(|l| l.probes_max = 1);
    world.set.trip(BreakerScope::All);
    // The gate lets a reduction pass; its fate says nothing about the open breakers.
    world.lose(ONE, A);
    assert_eq!(world.states(), [O; 5]);
    world.at_ms(60_000);
    let probe = world.place(ONE, A);
    assert!(world.set.permits(ONE, A).is_err(), "its token is taken");
    // As many orders as the table has rows: the probe's row is taken by a later order.
    for _ in 0..bot4_types::limits::ORDERS_OPEN_MAX {
        world.place(TWO, B);
    }
    assert_eq!(world.set.permits(ONE, A), Ok(()), "its token came home");
    world.tell(probe);
    assert_eq!(world.states(), [H; 5]);
}

/// What one venue fails at is held against it and its instruments, and nobody else.
#[test]
fn a_venue_that_fails_leaves_the_others_and_the_strategy_alone() {
    let mut world = World::new(|_| ());
    world.set = Breakers::new(&world.set.limits, 2, &[VenueId(0), VenueId(1)]);
    world.at_ms(1_000);
    (0..50).for_each(|_| world.lose(ONE, B));
    (0..50).for_each(|_| world.done((ONE, B), OrderState::Rejected, DoneReason::RateLimit));
    assert_eq!(world.states(), [C, C, C, O, C]);
    assert_eq!(world.set.of_venue(VenueId(1)), Some(O));
    assert_eq!(world.set.of_venue(VenueId(2)), None);
    assert_eq!(world.set.permits(ONE, A), Ok(()));
    assert!(world.set.permits(ONE, B).is_err());
    assert_eq!(world.set.unwell_words()[1], 0b10);
    world.set.reset(BreakerScope::Venue);
    assert_eq!(world.set.of_venue(VenueId(1)), Some(C));
}

#[test]
fn strangers_are_left_to_other_checks() {
    let mut world = World::new(|_| ());
    world.set.trip(BreakerScope::Strategy(StrategyId(9)));
    world.set.trip(BreakerScope::Strategy(ONE));
    assert_eq!(world.set.permits(StrategyId(9), InstrumentId(9)), Ok(()));
    let report = world.place(StrategyId(9), InstrumentId(9));
    world.tell(report);
    assert!(world.set.of_strategy(StrategyId(9)).is_none());
}

/// The session comes back: what its loss opened is tried at once, and closed by good probes.
#[test]
fn a_session_that_is_back_ends_the_wait() {
    let mut world = World::new(|_| ());
    let at = |world: &mut World, ms, ready: Option<bool>, settled: bool| {
        world.at_ms(ms);
        ready.into_iter().for_each(|ready| world.set.on_session(VenueId(0), ready));
        world.set.heal(|_| settled);
    };
    at(&mut world, 1_000, Some(true), true);
    at(&mut world, 1_100, Some(false), true);
    (0..5).for_each(|_| world.lose(ONE, A));
    assert_eq!(world.states(), [C, C, O, C, O]);
    at(&mut world, 1_900, None, true);
    assert_eq!(world.states(), [C, C, O, C, O], "accounted for, but its session is down");
    at(&mut world, 2_000, Some(true), false);
    assert_eq!(world.states(), [C, C, H, C, H], "1.1 s instead of 5");
    (0..3).for_each(|_| world.ack(ONE, A));
    assert_eq!(world.states(), [C; 5]);
}

/// The session never broke, but its answers did: when none is missing any more, it is tried.
#[test]
fn a_venue_that_has_accounted_for_everything_is_tried() {
    let mut world = World::new(|_| ());
    world.set.on_session(VenueId(0), true);
    world.at_ms(1_200);
    (0..5).for_each(|_| world.lose(ONE, A));
    world.at_ms(1_500);
    world.set.heal(|_| false);
    assert_eq!(world.states(), [C, C, O, C, O]);
    world.set.heal(|_| true);
    assert_eq!(world.states(), [C, C, H, C, H]);
}

/// A probe that is lost in spite of the evidence opens again, and the next one waits its time:
/// ahead of it a breaker is tried once in five seconds.
#[test]
fn what_fails_again_is_not_hammered() {
    let mut world = World::new(|_| ());
    let flap = |world: &mut World, ms| {
        world.at_ms(ms);
        world.set.on_session(VenueId(0), false);
        world.set.on_session(VenueId(0), true);
        world.set.heal(|_| true);
        world.set.of_venue(VenueId(0)).expect("there")
    };
    (0..5).for_each(|_| world.lose(ONE, A));
    assert_eq!(flap(&mut world, 2_000), H);
    world.lose(ONE, A);
    for ms in [2_100, 3_000, 6_900] {
        assert_eq!(flap(&mut world, ms), O, "{ms}");
    }
    world.at_ms(6_999);
    assert_eq!(world.set.of_venue(VenueId(0)), Some(O));
    world.at_ms(7_001);
    assert_eq!(world.set.of_venue(VenueId(0)), Some(H), "five seconds after the last early try");
    world.lose(ONE, A);
    assert_eq!(flap(&mut world, 7_100), O);
    let mut probes = 0;
    for ms in (7_100..67_100).step_by(50) {
        if flap(&mut world, ms) == H {
            probes += 1;
            world.lose(ONE, A);
        }
    }
    assert!((12..=24).contains(&probes), "{probes} in a minute");
}

/// What orders' own terms opened sits out its time, whatever the session does.
#[test]
fn a_session_says_nothing_about_rejects() {
    let mut world = World::new(|_| ());
    let reject = |world: &mut World| world.done((ONE, A), OrderState::Rejected, DoneReason::Filter);
    (0..5).for_each(|_| reject(&mut world));
    world.at_ms(2_000);
    world.set.on_session(VenueId(0), true);
    world.set.heal(|_| true);
    assert_eq!(world.states(), [C, C, O, C, C]);
    world.at_ms(6_001);
    assert_eq!(world.states(), [C, C, H, C, C]);
}

/// Slow answers open a strategy's breaker, which is tried at once; a slow probe opens it again.
#[test]
fn slow_answers_are_tried_and_a_slow_probe_fails() {
    let mut world = World::new(|b| b.calls_min = 3);
    world.set.on_session(VenueId(0), true);
    let answer = |world: &mut World, took_ms: u64| {
        let sent = world.place(ONE, A);
        world.tell(OrderReport { kind: ReportKind::Sent, state: OrderState::Sent, ..sent });
        let at = sent.at + Nanos::from_millis(took_ms);
        world.set.on_turn(at);
        world.tell(OrderReport { at, seq: 2, ..sent });
        world.set.heal(|_| true);
    };
    (0..3).for_each(|_| answer(&mut world, 1_500));
    assert_eq!(world.states()[0], H, "a venue that answers is tried");
    answer(&mut world, 1_500);
    assert_eq!(world.states()[0], O, "and failed");
    let opened = world.set.now;
    world.set.on_turn(opened + Nanos::from_millis(5_001));
    (0..3).for_each(|_| answer(&mut world, 10));
    assert_eq!(world.states()[0], C);
}

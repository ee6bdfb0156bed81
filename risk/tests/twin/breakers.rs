//! Circuit breakers as lists of what happened to them. Each question replays its list from the
//! start: no epochs and no kept sums, only who holds a ticket of the present state.

use bot4_risk::breaker::{BreakerLevel, BreakerLimits, BreakerScope, Jitter, SeededJitter, State};
use bot4_types::instrument::Amount;
use bot4_types::{
    DoneReason, Nanos, OrderId, OrderIntent, OrderReport, OrderState, RefuseReason, ReportKind,
};

use super::{Verdict, ensure};

/// Calls that a window holds, and buckets of a strategy's record.
const WINDOW_CALLS: usize = 128;
const BUCKETS: u64 = 8;

/// Deadlines and windows are counted in units of 2^16 ns: times down, spans up.
fn tick(at: Nanos) -> u64 {
    at.0 >> 16
}

fn ticks(span_ns: u64) -> u64 {
    (span_ns + (1 << 16) - 1) >> 16
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Good,
    Bad,
    Back,
}

#[derive(Clone, Copy)]
enum Event {
    Asked(OrderId),
    /// How it ended; a failure was the venue's trouble, or not.
    Ended(OrderId, Mark, bool),
    /// By its strategy's record; the last straw was the venue's trouble, or not.
    Trip(bool),
    Reset,
    /// The venue takes orders; since when, and whether it has accounted for all of them.
    Well(Nanos, bool),
    Limits(BreakerLimits),
}

enum Mode {
    Closed,
    Open { until: u64 },
    HalfOpen { taken: u16, passed: u16 },
}

/// Where the replay of a list has come to.
struct Era<'a> {
    limits: BreakerLimits,
    log: &'a Log,
    mode: Mode,
    /// The venue's trouble has opened it, and when; when it was last tried ahead of its time.
    ails: bool,
    opened: Nanos,
    tried: Option<Nanos>,
    changes: u32,
    holders: Vec<OrderId>,
    calls: Vec<(u64, bool)>,
}

/// One breaker.
struct Log {
    events: Vec<(Nanos, Event)>,
    /// What it begins with.
    limits: BreakerLimits,
    /// Its place among all.
    at: usize,
    /// Opened by a strategy's record, never by a number of failures.
    by_record: bool,
}

impl Log {
    fn era(&self, now: Nanos) -> Era<'_> {
        let mut era = Era {
            limits: self.limits,
            log: self,
            mode: Mode::Closed,
            ails: false,
            opened: Nanos::ZERO,
            tried: None,
            changes: 0,
            holders: Vec::new(),
            calls: Vec::new(),
        };
        for (at, event) in &self.events {
            era.pass(*at);
            era.see(*at, *event);
        }
        era.pass(now);
        era
    }
}

impl Era<'_> {
    fn pass(&mut self, at: Nanos) {
        if matches!(self.mode, Mode::Open { until } if tick(at) >= until) {
            self.begin(Mode::HalfOpen { taken: 0, passed: 0 });
        }
    }

    fn begin(&mut self, mode: Mode) {
        self.mode = mode;
        self.changes += 1;
        self.holders.clear();
        self.calls.clear();
    }

    fn open(&mut self, at: Nanos, ails: bool) {
        let spread =
            (u128::from(self.limits.open_ns) * u128::from(self.limits.jitter_e4) / 10_000) as u64;
        let jitter = SeededJitter(self.limits.seed).nth(self.log.at as u64);
        let extra = jitter.extra_ns(self.changes, spread);
        (self.ails, self.opened) = (ails, at);
        self.begin(Mode::Open { until: ticks(at.0 + self.limits.open_ns + extra) });
    }

    fn see(&mut self, at: Nanos, event: Event) {
        match (event, &mut self.mode) {
            (Event::Reset, _) => self.begin(Mode::Closed),
            (Event::Limits(limits), _) => self.limits = limits,
            (Event::Well(back, settled), Mode::Open { until }) => {
                let next = self.tried.map_or(Nanos::ZERO, |t| t + Nanos(self.limits.open_ns));
                let try_at = at.max(next);
                if self.ails && (settled || back >= self.opened) && tick(try_at) < *until {
                    *until = tick(try_at);
                    self.tried = Some(try_at);
                }
            }
            (Event::Well(..), _) | (Event::Trip(_), Mode::Open { .. }) => {}
            (Event::Trip(ails), _) => self.open(at, ails),
            (Event::Asked(order), Mode::Closed) => self.holders.push(order),
            (Event::Asked(order), Mode::HalfOpen { taken, .. }) => {
                if *taken < self.limits.probes_max {
                    *taken += 1;
                    self.holders.push(order);
                }
            }
            (Event::Asked(_), Mode::Open { .. }) => {}
            (Event::Ended(order, mark, ails), _) => {
                if self.holders.contains(&order) {
                    self.holders.retain(|held| *held != order);
                    self.end(at, mark, ails);
                }
            }
        }
    }

    fn end(&mut self, at: Nanos, mark: Mark, ails: bool) {
        match (&mut self.mode, mark) {
            (Mode::Open { .. }, _) | (Mode::Closed, Mark::Back) => {}
            (Mode::Closed, _) => {
                self.calls.push((tick(at), mark == Mark::Bad));
                if mark == Mark::Bad && self.is_too_much(at) {
                    self.open(at, ails);
                }
            }
            (Mode::HalfOpen { .. }, Mark::Bad) => self.open(at, ails),
            (Mode::HalfOpen { taken, passed }, _) => {
                *taken -= 1;
                *passed += u16::from(mark == Mark::Good);
                if mark == Mark::Good && *passed >= self.limits.successes_to_close {
                    self.begin(Mode::Closed);
                }
            }
        }
    }

    fn is_too_much(&self, at: Nanos) -> bool {
        let young = |call: &&(u64, bool)| tick(at) - call.0 <= ticks(self.limits.window_ns);
        let last = self.calls.iter().rev().take(WINDOW_CALLS).filter(young);
        let errors = last.filter(|(_, failed)| *failed).count();
        let most = if self.log.by_record { 0 } else { self.limits.errors_max };
        most > 0 && errors >= most as usize
    }

    fn state(&self) -> State {
        match self.mode {
            Mode::Closed => State::Closed,
            Mode::Open { .. } => State::Open,
            Mode::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn lets_pass(&self) -> bool {
        match self.mode {
            Mode::Closed => true,
            Mode::Open { .. } => false,
            Mode::HalfOpen { taken, .. } => taken < self.limits.probes_max,
        }
    }
}

/// Something of a strategy's record, with the bucket that its time lies in.
enum Note {
    Earned(Amount),
    /// An order that closed something ended: a loss that counts, or not.
    Closed(bool),
    Answer {
        ns: u64,
    },
    Fate {
        rejected: bool,
        failed: bool,
    },
}

/// What is known of an order that was approved.
struct Call {
    order: OrderId,
    sent_at: Nanos,
    net: Amount,
    closes: bool,
    judged: bool,
}

pub struct NaiveBreakers {
    limits: BreakerLimits,
    strategies: usize,
    /// Strategies, then instruments, then the venue.
    logs: Vec<Log>,
    notes: Vec<Vec<(u64, Note)>>,
    calls: Vec<Call>,
    ready: bool,
    back: Nanos,
}

impl NaiveBreakers {
    pub fn new(limits: &BreakerLimits, strategies: usize, instruments: usize) -> Self {
        let limits = *limits;
        let log = |at| Log { events: Vec::new(), limits, at, by_record: at < strategies };
        Self {
            limits,
            strategies,
            logs: (0..=strategies + instruments).map(log).collect(),
            notes: (0..strategies).map(|_| Vec::new()).collect(),
            calls: Vec::new(),
            ready: false,
            back: Nanos::ZERO,
        }
    }

    pub fn session(&mut self, ready: bool, now: Nanos) {
        if ready && !self.ready {
            self.back = now;
        }
        self.ready = ready;
    }

    /// Something was heard of the venue; `settled` when no order is of unknown fate.
    pub fn heard(&mut self, settled: bool, now: Nanos) {
        let states = self.states(now);
        let open = |at: usize| matches!(states[at], State::Open);
        if self.ready {
            for log in self.logs.iter_mut().filter(|log| open(log.at)) {
                log.events.push((now, Event::Well(self.back, settled)));
            }
        }
    }

    pub fn reconfigure(&mut self, limits: &BreakerLimits, now: Nanos) {
        let old = std::mem::replace(&mut self.limits, *limits);
        for notes in &mut self.notes {
            if old.window_ns != limits.window_ns {
                notes.clear();
            }
            // What is forgotten still says how far time has come.
            if old.ack_p99_ns_max != limits.ack_p99_ns_max {
                let answers =
                    notes.iter_mut().filter(|(_, note)| matches!(note, Note::Answer { .. }));
                answers.for_each(|(_, note)| *note = Note::Earned(0));
            }
        }
        for log in &mut self.logs {
            log.events.push((now, Event::Limits(*limits)));
        }
    }

    pub fn states(&self, now: Nanos) -> Vec<State> {
        self.logs.iter().map(|log| log.era(now).state()).collect()
    }

    /// Those that an order of `intent` asks, with their level.
    fn asked(&self, intent: &OrderIntent) -> Vec<(BreakerLevel, usize)> {
        let (strategy, venue) = (usize::from(intent.strategy.0), self.logs.len() - 1);
        let instrument = self.strategies + intent.instrument.index();
        let known = [
            (BreakerLevel::Strategy, strategy, strategy < self.strategies),
            (BreakerLevel::Instrument, instrument, instrument < venue),
            (BreakerLevel::Venue, venue, true),
        ];
        known.into_iter().filter(|(.., known)| *known).map(|(level, at, _)| (level, at)).collect()
    }

    pub fn judge(&self, intent: &OrderIntent, now: Nanos) -> Verdict {
        let mut probes = false;
        for (level, at) in self.asked(intent) {
            let era = self.logs[at].era(now);
            let reason = match level {
                BreakerLevel::Strategy => RefuseReason::BreakerStrategy,
                BreakerLevel::Instrument => RefuseReason::BreakerInstrument,
                _ => RefuseReason::BreakerVenue,
            };
            ensure(era.lets_pass(), reason)?;
            probes |= era.state() == State::HalfOpen;
        }
        let open = self.states(now).iter().filter(|state| **state == State::Open).count();
        ensure(probes || open * 2 <= self.logs.len(), RefuseReason::BreakerGlobal)
    }

    pub fn approve(&mut self, intent: &OrderIntent, now: Nanos) {
        for (_, at) in self.asked(intent) {
            self.logs[at].events.push((now, Event::Asked(intent.order)));
        }
        let (order, sent_at) = (intent.order, Nanos::ZERO);
        self.calls.push(Call { order, sent_at, net: 0, closes: false, judged: false });
    }

    /// A report that said something new; what its fill realised, and what it cost.
    pub fn on_report(
        &mut self,
        report: &OrderReport,
        intent: &OrderIntent,
        [realized, fee]: [Amount; 2],
        now: Nanos,
    ) {
        let s = usize::from(intent.strategy.0);
        let bucket = now.0 / (self.limits.window_ns / BUCKETS);
        let notes = &mut self.notes[s];
        let net = realized - fee;
        if net != 0 {
            notes.push((bucket, Note::Earned(net)));
        }
        let call = self.calls.iter_mut().find(|c| c.order == intent.order).expect("approved");
        if report.kind == ReportKind::Sent && call.sent_at == Nanos::ZERO {
            call.sent_at = report.at;
        }
        let mut slow = false;
        if report.kind == ReportKind::Acked && !call.judged && call.sent_at != Nanos::ZERO {
            let (ns, most) = (report.at.since(call.sent_at).0, self.limits.ack_p99_ns_max);
            slow = most > 0 && ns > most;
            notes.push((bucket, Note::Answer { ns }));
        }
        call.net += net;
        call.closes |= realized != 0;
        if report.state.is_terminal() && call.closes {
            call.closes = false;
            let loses = call.net < 0 && call.net <= -self.limits.loss_min;
            notes.push((bucket, Note::Closed(loses)));
        }
        let ails = report.kind == ReportKind::Lost
            || (report.kind == ReportKind::Done
                && report.state == OrderState::Rejected
                && matches!(report.reason, DoneReason::RateLimit | DoneReason::Window));
        if let Some((fate, marks)) = fate(report)
            && !call.judged
        {
            call.judged = true;
            notes.extend(fate.map(|fate| (bucket, fate)));
            for ((level, at), mark) in self.asked(intent).into_iter().zip(marks) {
                let fails = slow && level == BreakerLevel::Strategy;
                let mark = if fails { Mark::Bad } else { mark };
                let before = self.logs[at].era(now).state();
                self.logs[at].events.push((now, Event::Ended(intent.order, mark, ails || slow)));
                let opened = self.logs[at].era(now).state() == State::Open;
                if level == BreakerLevel::Strategy && opened && before != State::Open {
                    self.notes[s].clear();
                }
            }
        }
        let is_open = self.logs[s].era(now).state() == State::Open;
        if self.breaks_a_rule(s) && !is_open {
            self.logs[s].events.push((now, Event::Trip(ails || slow)));
            self.notes[s].clear();
        }
    }

    pub fn reset(&mut self, scope: BreakerScope, now: Nanos) {
        let (strategies, venue) = (self.strategies, self.logs.len() - 1);
        let meant = |at: usize| match scope {
            BreakerScope::All => true,
            BreakerScope::Strategy(s) => at == usize::from(s.0) && at < strategies,
            BreakerScope::Instrument(i) => at == strategies + i.index() && at < venue,
            BreakerScope::Venue => at == venue,
        };
        for at in (0..self.logs.len()).filter(|at| meant(*at)) {
            self.logs[at].events.push((now, Event::Reset));
            if at < strategies {
                self.notes[at].clear();
            }
        }
    }

    /// The record of strategy `s` is too bad.
    fn breaks_a_rule(&self, s: usize) -> bool {
        let (l, notes) = (&self.limits, &self.notes[s]);
        let ends = notes.iter().rev().filter_map(|(_, note)| match note {
            Note::Closed(loses) => Some(*loses),
            _ => None,
        });
        let losses = ends.take_while(|loses| *loses).count();
        let timed = notes.iter().filter(|(_, note)| !matches!(note, Note::Closed(_)));
        let newest = timed.clone().map(|(bucket, _)| *bucket).max().unwrap_or(0);
        let (mut earned, mut calls, mut rejected, mut failed) = (0, 0u64, 0u64, 0u64);
        let mut answers = Vec::new();
        for (_, note) in timed.filter(|(bucket, _)| bucket + BUCKETS > newest) {
            match note {
                Note::Earned(net) => earned += net,
                Note::Answer { ns } => answers.push(*ns),
                Note::Fate { rejected: r, failed: f } => {
                    calls += 1;
                    rejected += u64::from(*r);
                    failed += u64::from(*f);
                }
                Note::Closed(_) => {}
            }
        }
        answers.sort_unstable();
        let enough = |n: u64| n >= u64::from(l.calls_min);
        let share =
            |n: u64, e4: u32| e4 > 0 && enough(calls) && n * 10_000 >= u64::from(e4) * calls;
        let p99 = (answers.len() * 99).div_ceil(100).checked_sub(1).map_or(0, |at| answers[at]);
        let slow = l.ack_p99_ns_max > 0 && enough(answers.len() as u64) && p99 > l.ack_p99_ns_max;
        (l.losses_max > 0 && losses >= l.losses_max as usize)
            || (l.loss_max > 0 && earned <= -l.loss_max)
            || share(rejected, l.reject_e4_max)
            || share(failed, l.error_e4_max)
            || slow
    }
}

/// What a report says about an order, for its strategy; and for the three breakers.
fn fate(report: &OrderReport) -> Option<(Option<Note>, [Mark; 3])> {
    use Mark::{Back, Bad, Good};
    let is = |rejected, failed| Some(Note::Fate { rejected, failed });
    let why = report.reason;
    Some(match (report.kind, report.state) {
        (
            ReportKind::Sent
            | ReportKind::CancelSent
            | ReportKind::CancelRejected
            | ReportKind::AmendSent
            | ReportKind::Amended
            | ReportKind::AmendRejected
            | ReportKind::Triggered
            | ReportKind::Contradicted,
            _,
        ) => {
            return None;
        }
        (ReportKind::Lost, _) => (is(false, true), [Bad, Bad, Bad]),
        (ReportKind::Done, OrderState::Rejected) => match why {
            DoneReason::WouldTake | DoneReason::SelfTrade => (is(false, false), [Good; 3]),
            DoneReason::RateLimit | DoneReason::Window => (is(false, true), [Bad, Back, Bad]),
            _ => (is(true, false), [Bad, Bad, Good]),
        },
        (ReportKind::Done, OrderState::NotSent) => match why {
            DoneReason::Killed | DoneReason::NoSession | DoneReason::Expired => (None, [Back; 3]),
            _ => (is(false, true), [Bad, Back, Back]),
        },
        _ => (is(false, false), [Good; 3]),
    })
}

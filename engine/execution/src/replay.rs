//! Runs the execution lane's journal through a fresh [`Desk`] and compares every report.
//!
//! The records must be those of the execution lane, in sequence. Balances and the session's state
//! do not go through the desk: they are compared with what risk took, not here.

use core::fmt;

use bot4_types::log::{Body, Reader};
use bot4_types::{ClientId, ExecMsg, LogEntry, LogKind, OrderIntent, RunEpoch, SentRecord};

use crate::desk::{Desk, Question};
use crate::desk_input::DeskInput;

/// Orders and instruments that a desk is made for at most; a record may ask for anything.
const SIZE_MAX: u32 = 1 << 16;

/// Why a replay stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// Records are missing before this sequence.
    Gap {
        /// The sequence that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// The record's body is not what its kind says.
    Damaged(u64),
    /// The report recorded here is not the one that the inputs lead to; see
    /// [`Replayer::difference`].
    Differs(u64),
    /// The desk's first record does not say what it was made with, or a later one does.
    OutOfOrder(u64),
    /// So many inputs before this record found no room in the log.
    Unrecorded(u64, u64),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { expected, found } => {
                write!(f, "records {expected} to {} of the execution lane are missing", found - 1)
            }
            Self::Damaged(seq) => write!(f, "record {seq} of the execution lane cannot be read"),
            Self::Differs(seq) => {
                write!(f, "the report in record {seq} of the execution lane comes out differently")
            }
            Self::OutOfOrder(seq) => {
                write!(f, "record {seq} of the execution lane is out of order")
            }
            Self::Unrecorded(seq, count) => {
                write!(f, "{count} inputs before record {seq} of the execution lane were lost")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

/// A report that came out differently; `None`: no report at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// What the journal says.
    pub recorded: ExecMsg,
    /// What the same inputs led to now.
    pub came_out: Option<ExecMsg>,
}

/// Replays one run's execution lane.
#[derive(Debug, Default)]
pub struct Replayer {
    desk: Option<Desk>,
    epoch: RunEpoch,
    seq: u64,
    reports: u64,
    questions: Vec<Question>,
    difference: Option<Difference>,
}

impl Replayer {
    /// A replay; the first record says what the desk is made with.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds the next record of the execution lane. When it took an approved order from risk,
    /// gives that.
    ///
    /// # Errors
    /// See [`ReplayError`]. After an error nothing that follows can be trusted.
    pub fn feed(&mut self, entry: &LogEntry) -> Result<Option<OrderIntent>, ReplayError> {
        let seq = entry.seq;
        if seq != self.seq + 1 {
            return Err(ReplayError::Gap { expected: self.seq + 1, found: seq });
        }
        self.seq = seq;
        let mut body = Reader::over(entry.body());
        match LogKind::from_raw(entry.kind) {
            Some(LogKind::Desk) => {
                let input = DeskInput::read(&mut body).ok_or(ReplayError::Damaged(seq))?;
                self.apply(&input, entry)
            }
            Some(LogKind::Learned | LogKind::Balance) => {
                let recorded = ExecMsg::read(&mut body).ok_or(ReplayError::Damaged(seq))?;
                self.compare(recorded, seq).map(|()| None)
            }
            Some(LogKind::Sent) => {
                let sent = SentRecord::read(&mut body).ok_or(ReplayError::Damaged(seq))?;
                let same = sent.client == ClientId::new(self.epoch, sent.order);
                if same { Ok(None) } else { Err(ReplayError::Damaged(seq)) }
            }
            // When an answer was read decides nothing.
            Some(LogKind::Answered) => Ok(None),
            _ => Err(ReplayError::Damaged(seq)),
        }
    }

    /// What differed, after [`ReplayError::Differs`].
    #[must_use]
    pub const fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }

    /// Reports that came out as recorded.
    #[must_use]
    pub const fn reports(&self) -> u64 {
        self.reports
    }

    /// The desk, once its first record was fed.
    #[must_use]
    pub const fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    fn apply(
        &mut self,
        input: &DeskInput,
        entry: &LogEntry,
    ) -> Result<Option<OrderIntent>, ReplayError> {
        match (*input, &mut self.desk) {
            (
                DeskInput::Start {
                    orders,
                    instruments,
                    epoch,
                    window,
                    declared,
                    venue,
                    tells_time,
                },
                desk @ None,
            ) => {
                if orders > SIZE_MAX {
                    return Err(ReplayError::Damaged(entry.seq));
                }
                self.epoch = epoch;
                let made = Desk::new(orders as usize, instruments.into(), epoch, window);
                *desk = Some(made.declaring(venue, declared).timed(tells_time));
                Ok(None)
            }
            (DeskInput::Unrecorded(count), _) => Err(ReplayError::Unrecorded(entry.seq, count)),
            (DeskInput::Start { .. }, Some(_)) | (_, None) => {
                Err(ReplayError::OutOfOrder(entry.seq))
            }
            (_, Some(desk)) => {
                self.questions.clear();
                desk.apply(input, entry.at, &mut self.questions);
                Ok(match input {
                    DeskInput::Take(intent) => Some(*intent),
                    _ => None,
                })
            }
        }
    }

    fn compare(&mut self, recorded: ExecMsg, seq: u64) -> Result<(), ReplayError> {
        if !matches!(recorded, ExecMsg::Order(_) | ExecMsg::Foreign { .. }) {
            return Ok(());
        }
        let came_out = self.desk.as_mut().and_then(|d| d.outbox().pop_front());
        if came_out == Some(recorded) {
            self.reports += 1;
            return Ok(());
        }
        self.difference = Some(Difference { recorded, came_out });
        Err(ReplayError::Differs(seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::Declared;
    use crate::gateway::{Failure, OrderKey, VenueState};
    use crate::order::FillFact;
    use bot4_types::rng::SplitMix64;
    use bot4_types::{
        AssetId, Cause, DoneReason, InstrumentId, Nanos, OrderAction, OrderId, OrderKind, Price,
        Qty, Side, StrategyId, Tif, Trail, VenueId,
    };

    fn intent(order: u64) -> OrderIntent {
        OrderIntent {
            trail: Trail::default(),
            order: OrderId(order),
            price: Price(100),
            qty: Qty(10),
            stop_ticks: 0,
            instrument: InstrumentId(0),
            strategy: StrategyId(0),
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
        }
    }

    fn input(rng: &mut SplitMix64) -> DeskInput {
        let order = OrderId(1 + rng.below(40));
        let (key, venue_order) = (OrderKey::Own(order), 100 + order.0);
        let (qty, reason) = (Qty(1 + rng.below(4) as i64), DoneReason::None);
        let states = [VenueState::Open, VenueState::Canceled, VenueState::Filled];
        match rng.below(12) {
            0..3 => DeskInput::Take(intent(order.0)),
            3..5 => DeskInput::Sent(order, 0),
            5 => DeskInput::CancelSent(order),
            6 => {
                let (state, cum_qty) = (states[rng.below(3) as usize], qty);
                DeskInput::State { key, venue_order, state, cum_qty, reason }
            }
            7 | 8 => {
                let fee_asset = AssetId(0);
                let (trade_id, price) = (1 + rng.below(200), Price(100));
                let fill = FillFact { trade_id, qty, price, fee: 1, fee_asset, maker: true };
                DeskInput::Fill { key, venue_order, instrument: InstrumentId(0), fill }
            }
            9 => DeskInput::PlaceFailed(order, Failure::OutcomeUnknown),
            10 => DeskInput::Clock(4),
            _ if rng.below(9) == 0 => DeskInput::AllLost,
            _ => DeskInput::Purge,
        }
    }

    /// A lane's log as the agent writes it.
    fn log(seed: u64) -> Vec<LogEntry> {
        let (mut rng, mut log) = (SplitMix64::new(seed), Vec::new());
        let mut desk = Desk::new(32, 1, RunEpoch(7), Nanos::from_secs(1));
        let mut push = |kind, at: u64, fill: &dyn Fn(&mut bot4_types::log::Writer<'_>)| {
            let mut entry = LogEntry::new(kind, Nanos::from_millis(at), |w| fill(w));
            entry.seq = log.len() as u64 + 1;
            log.push(entry);
        };
        let window = Nanos::from_secs(1);
        let (declared, venue) = (Declared::NONE, VenueId(0));
        let (orders, epoch) = (32, RunEpoch(7));
        let (instruments, tells_time) = (1, false);
        let start =
            DeskInput::Start { orders, instruments, epoch, window, declared, venue, tells_time };
        push(LogKind::Desk, 0, &|w| start.write(w));
        for at in 1..800 {
            let input = input(&mut rng);
            desk.apply(&input, Nanos::from_millis(at * 20), &mut Vec::new());
            push(LogKind::Desk, at * 20, &|w| input.write(w));
            for message in desk.outbox().drain(..) {
                push(LogKind::Learned, at * 20 + 1, &|w| message.write(w));
            }
        }
        log
    }

    fn error_of(log: &[LogEntry]) -> Option<ReplayError> {
        let mut replay = Replayer::new();
        log.iter().find_map(|e| replay.feed(e).err())
    }

    #[test]
    fn the_same_inputs_make_the_same_reports_and_any_change_is_named() {
        for seed in 0..20 {
            let log = log(seed);
            let mut replay = Replayer::new();
            log.iter().for_each(|e| assert!(replay.feed(e).is_ok(), "{:?}", replay.difference()));
            assert!(replay.reports() > 100, "{}", replay.reports());

            let mut missing = log.clone();
            missing.remove(300);
            let gap = Some(ReplayError::Gap { expected: 301, found: 302 });
            assert_eq!(error_of(&missing), gap);

            // One more filled in the venue's quantity so far: the report says something else.
            let mut altered = log.clone();
            let is_report = |e: &&mut LogEntry| e.kind == LogKind::Learned as u8 && e.body[0] == 0;
            let report = altered.iter_mut().filter(is_report).nth(50).expect("many");
            let seq = report.seq;
            report.body[41] ^= 1;
            assert_eq!(error_of(&altered), Some(ReplayError::Differs(seq)));
        }
    }

    #[test]
    fn an_input_that_was_not_recorded_ends_the_replay() {
        let mut log = log(3);
        let lost = DeskInput::Unrecorded(2);
        log[9] = LogEntry::new(LogKind::Desk, Nanos(1), |w| lost.write(w));
        log[9].seq = 10;
        assert_eq!(error_of(&log), Some(ReplayError::Unrecorded(10, 2)));
        let mut headless = log.split_off(1);
        headless.iter_mut().for_each(|e| e.seq -= 1);
        assert_eq!(error_of(&headless), Some(ReplayError::OutOfOrder(1)));
    }

    /// What a change of order in a map would look like: two inputs change places.
    #[test]
    fn swapped_inputs_are_found_at_the_first_report_that_differs() {
        let log = log(5);
        let is_fill = |i: &usize| {
            let (fill, next) = (&log[*i], &log[*i + 1]);
            fill.kind == LogKind::Desk as u8
                && fill.body[0] == 6
                && next.kind == LogKind::Learned as u8
        };
        let fills: Vec<usize> = (0..log.len() - 1).filter(is_fill).collect();
        let (a, b) = (fills[1], fills[4]);
        assert_ne!(log[a].body(), log[b].body());
        let mut swapped = log;
        let body = swapped[a].body;
        swapped[a].body = swapped[b].body;
        swapped[b].body = body;
        let Some(ReplayError::Differs(seq)) = error_of(&swapped) else { panic!("not found") };
        assert_eq!(seq, swapped[a].seq + 1);
    }
}

//! The list of instruments is read again while the run goes on. What changed is told, and risk
//! gets a command for each instrument it concerns; the others trade on ([`super::changes`]).
//!
//! A reading comes early when the venue refuses an order by a filter: the rules may be others
//! than we think.
//!
//! A helper thread asks, because asking blocks; the control lane looks for its news and passes
//! the commands on as its link to risk has room.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_lanes::{Counters, Metrics, Tx};
use bot4_types::{Nanos, RiskCommand};

use super::catalogue::Reading;
use super::changes::Known;
use super::cold::ColdError;

/// Counters of the watch, by index.
const COUNTERS: &[&str] = &["instrument_reads", "instrument_read_errors", "instruments_changed"];
const READS: usize = 0;
const ERRORS: usize = 1;
const CHANGED: usize = 2;

/// Shortest time between two early readings: it is a heavy request.
const EARLY_GAP: Nanos = Nanos::from_secs(1);

/// Asks for the instruments once.
pub type Read = Box<dyn FnMut() -> Result<Reading, ColdError> + Send>;

/// Reads now and then, beside the lanes.
pub struct Refresh {
    answers: Receiver<Result<Reading, String>>,
    /// Asks for a reading before its time; dropping it ends the helper.
    early: SyncSender<()>,
    /// Orders refused by a filter when last looked at.
    filtered: u64,
    /// An early reading is wanted.
    wanted: bool,
    /// No early reading before.
    early_at: Nanos,
    known: Known,
    /// For risk, not sent yet.
    commands: VecDeque<RiskCommand>,
    counters: Counters,
    _helper: JoinHandle<()>,
}

impl Refresh {
    /// Reads by `read` each `every`; `known` is what the run started with.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        every: Duration,
        mut read: Read,
        known: Known,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let (answer, answers) = sync_channel(1);
        let (early, due) = sync_channel::<()>(1);
        let work = move || {
            while due.recv_timeout(every) != Err(RecvTimeoutError::Disconnected) {
                if answer.send(read().map_err(|e| e.to_string())).is_err() {
                    return;
                }
            }
        };
        let helper = std::thread::Builder::new().name("instruments".to_owned()).spawn(work)?;
        let counters = metrics.counters("control", COUNTERS);
        let commands = VecDeque::new();
        Ok(Self {
            answers,
            early,
            filtered: 0,
            wanted: false,
            early_at: Nanos::ZERO,
            known,
            commands,
            counters,
            _helper: helper,
        })
    }

    /// What is new since the last look, as a sentence for a person; the same is told once.
    pub fn look(&mut self) -> Option<String> {
        match self.answers.try_recv() {
            Ok(Ok(reading)) => {
                self.counters.add(READS, 1);
                let changes = self.known.judge(&reading);
                self.counters.add(CHANGED, changes.len() as u64);
                self.commands.extend(changes.iter().map(|c| c.command));
                let told: Vec<_> = changes.into_iter().map(|c| c.what).collect();
                (!told.is_empty()).then(|| format!("the venue changed {}", told.join(", and ")))
            }
            Ok(Err(what)) => {
                self.counters.add(ERRORS, 1);
                let first = what.lines().next().unwrap_or_default();
                Some(format!("the instruments could not be read again: {first}"))
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// The venue has refused this many orders by a filter: one more asks for a reading soon.
    pub fn note_filtered(&mut self, orders: u64, now: Nanos) {
        self.wanted |= std::mem::replace(&mut self.filtered, orders) != orders;
        if self.wanted && now >= self.early_at {
            self.wanted = false;
            self.early_at = now + EARLY_GAP;
            // Full: a reading is asked for already.
            let _ = self.early.try_send(());
        }
    }

    /// Sends risk what it must know, as far as there is room.
    pub fn pass_on(&mut self, risk: &mut Tx<RiskCommand>) {
        while let Some(command) = self.commands.front()
            && risk.push(*command).is_ok()
        {
            self.commands.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::changes::tests::{reading, table};
    use super::*;
    use bot4_lanes::ring;
    use bot4_types::ChecksumRule;

    #[test]
    fn a_change_is_told_once_and_an_error_is_no_change() {
        let mut answers = vec![
            Ok(reading(|_| ())),
            Ok(reading(|i| i.lot = 7)),
            Err(ColdError::Timeout("the instruments")),
            Ok(reading(|i| i.lot = 7)),
        ]
        .into_iter();
        let read = move || answers.next().unwrap_or(Err(ColdError::Answer("the end")));
        let metrics = Metrics::in_memory();
        let known = Known::new(table(|_| ()), ChecksumRule::None);
        let every = Duration::from_millis(1);
        let mut watch = Refresh::start(every, Box::new(read), known, &metrics).expect("a thread");
        let (mut risk, mut told) = ring(1);
        let mut news = Vec::new();
        while metrics.total("instrument_reads") < 3 {
            news.extend(watch.look());
            watch.pass_on(&mut risk);
        }
        assert_eq!(news.len(), 2, "{news:?}");
        assert!(news[0].contains("AAA: lot") && news[0].contains("BBB: lot"), "{news:?}");
        assert!(news[1].contains("could not be read"), "{news:?}");
        assert_eq!(metrics.total("instruments_changed"), 2);
        // A full link keeps a command waiting, in order.
        let mut instruments = Vec::new();
        while let Some(command) = told.pop() {
            instruments.extend(command.instrument().map(|i| i.0));
            watch.pass_on(&mut risk);
        }
        assert_eq!(instruments, [0, 1]);
    }

    #[test]
    fn a_refusal_by_a_filter_asks_for_a_reading_at_once_and_not_for_many() {
        let metrics = Metrics::in_memory();
        let known = Known::new(table(|_| ()), ChecksumRule::None);
        let (count, reads) = sync_channel(64);
        let read = move || {
            let _ = count.try_send(());
            Ok(reading(|_| ()))
        };
        let never = Duration::from_secs(3_600);
        let mut watch = Refresh::start(never, Box::new(read), known, &metrics).expect("a thread");
        let read_within = |ms| reads.recv_timeout(Duration::from_millis(ms)).is_ok();
        watch.note_filtered(0, Nanos::from_secs(1));
        assert!(!read_within(20), "nothing was refused");
        watch.note_filtered(1, Nanos::from_secs(1));
        assert!(read_within(5_000));
        watch.note_filtered(9, Nanos::from_millis(1_500));
        assert!(!read_within(20), "too soon");
        watch.note_filtered(9, Nanos::from_secs(2));
        while watch.answers.try_recv().is_ok() {}
        assert!(read_within(5_000), "it was not forgotten");
    }
}

//! The list of instruments is read again while the run goes on. What changed is told, and risk
//! gets a command for each instrument it concerns; the others trade on ([`super::changes`]).
//!
//! A helper thread asks, because asking blocks; the control lane looks for its news and passes
//! the commands on as its link to risk has room.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_lanes::{Counters, Metrics, Tx};
use bot4_types::RiskCommand;

use super::catalogue::Reading;
use super::changes::Known;
use super::cold::ColdError;

/// Counters of the watch, by index.
const COUNTERS: &[&str] = &["instrument_reads", "instrument_read_errors", "instruments_changed"];
const READS: usize = 0;
const ERRORS: usize = 1;
const CHANGED: usize = 2;

/// Asks for the instruments once.
pub type Read = Box<dyn FnMut() -> Result<Reading, ColdError> + Send>;

/// Reads now and then, beside the lanes.
pub struct Refresh {
    answers: Receiver<Result<Reading, String>>,
    /// Dropping it ends the helper.
    _end: SyncSender<()>,
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
        let (end, ended) = sync_channel::<()>(1);
        let work = move || {
            while ended.recv_timeout(every) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                if answer.send(read().map_err(|e| e.to_string())).is_err() {
                    return;
                }
            }
        };
        let helper = std::thread::Builder::new().name("instruments".to_owned()).spawn(work)?;
        let counters = metrics.counters("control", COUNTERS);
        let commands = VecDeque::new();
        Ok(Self { answers, _end: end, known, commands, counters, _helper: helper })
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
            instruments.push(command.instrument().0);
            watch.pass_on(&mut risk);
        }
        assert_eq!(instruments, [0, 1]);
    }
}

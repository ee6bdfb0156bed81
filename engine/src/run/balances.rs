//! The venue's balances are read while the run goes on and go to risk, which compares them with the
//! ledger ([`bot4_risk::comparison`]).
//!
//! A helper thread asks by a cold session of its own, so that no order waits for a question; it
//! opens a new one for each reading, because nobody would answer a venue's pings in between. The
//! control lane holds an answer for a moment, so that fills under way are heard before it is
//! judged, and passes it on. While risk suspects a difference the venue is asked more often.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_lanes::{Clock, Counters, Metrics, Tx};
use bot4_types::instrument::Amount;
use bot4_types::{AssetId, InstrumentTable, Nanos, RiskCommand};
use bot4_venues::account::BalanceRow;

use super::cold::{ColdError, ColdVenue};
use crate::config::account::AccountConfig;

/// Counters, by index.
const COUNTERS: &[&str] = &["balance_reads", "balance_read_errors"];
const READS: usize = 0;
const ERRORS: usize = 1;

/// From an answer to its judgement: what happened before it is heard by then.
const SETTLE: Nanos = Nanos::from_millis(500);
/// Questions within the patience for a difference, beyond the first.
const LOOKS: u32 = 4;
/// Shortest time between two readings, whatever is suspected.
const GAP_MIN: Nanos = Nanos::from_millis(500);

/// What the account holds, by the venue's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// When it was asked.
    pub asked: Nanos,
    /// When it had answered.
    pub answered: Nanos,
    /// Free and locked together, of every asset.
    pub totals: Vec<(AssetId, Amount)>,
}

impl Stated {
    /// Asks `cold` for the balances of its venue's assets in `table`; what it does not list is
    /// nothing.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn ask(
        clock: &Clock,
        cold: &mut dyn ColdVenue,
        table: &InstrumentTable,
    ) -> Result<Self, ColdError> {
        let asked = clock.now();
        let rows = cold.balances(table)?;
        let total = |asset| {
            let own = |b: &&BalanceRow| b.asset == asset;
            (asset, rows.iter().filter(own).map(|b| b.free + b.locked).sum())
        };
        let all = (0..table.assets_len()).map(|a| AssetId(a as u8));
        let here = |asset: &AssetId| table.venue_of(*asset) == Some(table.view());
        let totals = all.filter(here).map(total).collect();
        Ok(Self { asked, answered: clock.now(), totals })
    }
}

/// Asks once.
pub type Ask = Box<dyn FnMut() -> Result<Stated, ColdError> + Send>;

/// Reads now and then, beside the lanes.
pub struct Balances {
    config: AccountConfig,
    answers: Receiver<Result<Stated, String>>,
    /// Asks for a reading before its time; dropping it ends the helper.
    early: SyncSender<()>,
    early_at: Nanos,
    held: Option<Stated>,
    /// For risk, not sent yet.
    commands: VecDeque<RiskCommand>,
    failed: bool,
    counters: Counters,
    _helper: JoinHandle<()>,
}

impl Balances {
    /// Reads by `ask` each `every`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        config: AccountConfig,
        every: Duration,
        mut ask: Ask,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let (answer, answers) = sync_channel(1);
        let (early, due) = sync_channel::<()>(1);
        let work = move || {
            while due.recv_timeout(every) != Err(RecvTimeoutError::Disconnected) {
                if answer.send(ask().map_err(|e| e.to_string())).is_err() {
                    return;
                }
            }
        };
        let helper = std::thread::Builder::new().name("balances".to_owned()).spawn(work)?;
        Ok(Self {
            config,
            answers,
            early,
            early_at: Nanos::ZERO,
            held: None,
            commands: VecDeque::new(),
            failed: false,
            counters: metrics.counters("control", COUNTERS),
            _helper: helper,
        })
    }

    /// Looks for an answer. `suspects`: assets that risk suspects. Gives what a person should know;
    /// of readings that fail one after the other the first is told.
    pub fn look(&mut self, suspects: u64, now: Nanos) -> Option<String> {
        if suspects > 0 && now >= self.early_at {
            let patience = Nanos(self.config.patience.as_nanos() as u64 / u64::from(LOOKS));
            self.early_at = now + patience.max(GAP_MIN);
            // Full: a reading is asked for already.
            let _ = self.early.try_send(());
        }
        self.release(now);
        match self.answers.try_recv() {
            Ok(Ok(stated)) => {
                self.counters.add(READS, 1);
                self.failed = false;
                self.held = Some(stated);
                None
            }
            Ok(Err(what)) => {
                self.counters.add(ERRORS, 1);
                let first = what.lines().next().unwrap_or_default();
                let told = std::mem::replace(&mut self.failed, true);
                (!told).then(|| format!("the account's balances could not be compared: {first}"))
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// What was held for long enough becomes commands.
    fn release(&mut self, now: Nanos) {
        let Some(stated) = self.held.take_if(|held| now.since(held.answered) >= SETTLE) else {
            return;
        };
        let (asked, follow) = (stated.asked, self.config.follow);
        let patience = Nanos(self.config.patience.as_nanos() as u64);
        let command = |&(asset, total): &(AssetId, Amount)| RiskCommand::VenueBalance {
            asset,
            total,
            asked,
            patience,
            follow,
        };
        self.commands.extend(stated.totals.iter().map(command));
    }

    /// Sends risk what the venue said, as far as there is room.
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
    use super::*;
    use crate::config::account::{Account, resolve};
    use bot4_lanes::ring;

    fn config() -> AccountConfig {
        resolve(&Account::default()).expect("all defaults")
    }

    fn stated(at: u64) -> Stated {
        let (asked, answered) = (Nanos::from_millis(at), Nanos::from_millis(at + 20));
        Stated { asked, answered, totals: vec![(AssetId(0), 7), (AssetId(1), 0)] }
    }

    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = look() {
                return found;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_answer_waits_for_what_is_under_way_and_then_goes_to_risk() {
        let metrics = Metrics::in_memory();
        let ask = Box::new(|| Ok(stated(1_000)));
        let never = Duration::from_secs(3_600);
        let mut balances = Balances::start(config(), never, ask, &metrics).expect("a thread");
        let (mut risk, mut told) = ring(4);
        // A suspicion asks before the time.
        let soon = Nanos::from_millis(1_030);
        until(|| {
            assert_eq!(balances.look(1, soon), None);
            balances.held.is_some().then_some(())
        });
        balances.pass_on(&mut risk);
        assert!(told.pop().is_none(), "too early");
        let _ = balances.look(0, Nanos::from_millis(1_520));
        balances.pass_on(&mut risk);
        let all: Vec<_> = std::iter::from_fn(|| told.pop()).collect();
        let command = |asset, total| RiskCommand::VenueBalance {
            asset: AssetId(asset),
            total,
            asked: Nanos::from_millis(1_000),
            patience: Nanos::from_secs(15),
            follow: false,
        };
        assert_eq!(all, [command(0, 7), command(1, 0)]);
    }

    #[test]
    fn failures_in_a_row_are_told_once() {
        let metrics = Metrics::in_memory();
        let mut answers = vec![
            Err(ColdError::Timeout("the balances")),
            Err(ColdError::Timeout("the balances")),
            Ok(stated(0)),
            Err(ColdError::Timeout("the balances")),
        ]
        .into_iter();
        let ask = move || answers.next().unwrap_or(Err(ColdError::Answer("the end")));
        let every = Duration::from_millis(1);
        let mut balances =
            Balances::start(config(), every, Box::new(ask), &metrics).expect("a thread");
        let mut news = Vec::new();
        while metrics.total("balance_read_errors") < 3 {
            news.extend(balances.look(0, Nanos::ZERO));
        }
        assert_eq!(news.len(), 2, "{news:?}");
        assert!(news[0].contains("did not answer"), "{news:?}");
    }
}

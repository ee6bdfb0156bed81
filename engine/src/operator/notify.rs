//! What the service manager is told (`Type=notify`): ready, alive, ending.
//!
//! "Alive" is said only while every lane turns: the control lane counts the looks at which all
//! lanes had beaten lately (`fresh_looks`), and the word goes out when that count has grown since
//! the last one. A lane that hangs, the control lane, or this helper: whichever it is, the word
//! stays away, the manager ends the process, the guard withdraws what is open, and the next start
//! takes over. Without a manager nothing is said and nothing costs anything.

use std::time::Duration;

use bot4_lanes::Phase;
use bot4_types::Nanos;
use sd_notify::NotifyState;

/// What is told of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was.
    pub now: Nanos,
    /// Trading was allowed at some time: books and sessions are there.
    pub ready: bool,
    /// Looks of the control lane at which all lanes were fresh.
    pub fresh_looks: u64,
    /// The kill word.
    pub phase: Phase,
    /// The kill word was raised by a fault: the process ends.
    pub failed: bool,
}

/// The engine's side of the talk with the service manager.
#[derive(Debug, Default)]
pub struct ServiceManager {
    /// Between two words of life; none where nobody waits for them.
    feed_every: Option<Nanos>,
    fed_at: Nanos,
    fresh_looks: u64,
    told: Option<&'static str>,
    ended: bool,
}

impl ServiceManager {
    /// The manager that started this process, if one did and waits for words.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::waiting(sd_notify::watchdog_enabled())
    }

    /// A manager that ends the process after `patience` without a word.
    fn waiting(patience: Option<Duration>) -> Self {
        // A third of its patience: two words may get lost.
        let third = |d: Duration| Nanos((d.as_nanos() / 3) as u64);
        Self { feed_every: patience.map(third), ..Self::default() }
    }

    /// Tells what is new in `seen`.
    pub fn look(&mut self, seen: &Seen) {
        let words = self.words(seen);
        if !words.is_empty() {
            // A manager that cannot hear will find out by itself.
            let _ = sd_notify::notify(&words);
        }
    }

    /// What must be said now.
    fn words(&mut self, seen: &Seen) -> Vec<NotifyState<'static>> {
        let mut words = Vec::new();
        if self.ended {
            return words;
        }
        let state = state_of(seen);
        if self.told != Some(state) {
            if self.told.is_none_or(|told| told == STARTING) && seen.ready {
                words.push(NotifyState::Ready);
            }
            words.push(NotifyState::Status(state));
            self.told = Some(state);
        }
        if state == ENDING {
            // From here on the manager counts its time to stop, not the watchdog's.
            self.ended = true;
            words.push(NotifyState::Stopping);
            return words;
        }
        let due = self.feed_every.is_some_and(|every| seen.now.since(self.fed_at) >= every);
        if due && seen.fresh_looks != self.fresh_looks {
            (self.fed_at, self.fresh_looks) = (seen.now, seen.fresh_looks);
            words.push(NotifyState::Watchdog);
        }
        words
    }
}

const STARTING: &str = "synchronising books and sessions";
const ENDING: &str = "ending: orders are cancelled, the account is compared";

fn state_of(seen: &Seen) -> &'static str {
    match seen.phase {
        _ if seen.failed => ENDING,
        Phase::Drain => ENDING,
        Phase::Kill | Phase::Flatten => {
            "trading is stopped: `bot4 status` says why, `bot4 resume` ends it"
        }
        _ if !seen.ready => STARTING,
        Phase::Pause => "paused: no new orders until disk or memory have room",
        Phase::Run => "trading",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ms: u64, fresh_looks: u64) -> Seen {
        let now = Nanos::from_millis(ms);
        Seen { now, ready: true, fresh_looks, phase: Phase::Run, failed: false }
    }

    fn said(manager: &mut ServiceManager, seen: Seen) -> String {
        let words = manager.words(&seen);
        words.iter().map(|w| format!("{w};")).collect()
    }

    #[test]
    fn ready_is_said_once_and_life_only_while_all_lanes_are_fresh() {
        let mut manager = ServiceManager::waiting(Some(Duration::from_millis(300)));
        let starting = Seen { ready: false, ..seen(100, 1) };
        let words = said(&mut manager, starting);
        assert!(words.contains("synchronising") && !words.contains("READY"), "{words}");
        let words = said(&mut manager, seen(150, 9));
        assert_eq!(words, "READY=1;STATUS=trading;");
        assert_eq!(said(&mut manager, seen(200, 10)), "WATCHDOG=1;");
        assert_eq!(said(&mut manager, seen(250, 11)), "", "not yet");
        assert_eq!(said(&mut manager, seen(300, 12)), "WATCHDOG=1;");
        // A lane hangs: the count of fresh looks stands still.
        for ms in [400, 500, 600, 1_000] {
            assert_eq!(said(&mut manager, seen(ms, 12)), "");
        }
        assert_eq!(said(&mut manager, seen(1_100, 13)), "WATCHDOG=1;", "it turns again");
    }

    #[test]
    fn a_stop_by_a_person_is_alive_and_an_end_is_told_once() {
        let mut manager = ServiceManager::waiting(Some(Duration::from_millis(300)));
        said(&mut manager, seen(0, 1));
        let stopped = Seen { phase: Phase::Kill, ..seen(100, 2) };
        let words = said(&mut manager, stopped);
        assert!(words.contains("bot4 resume") && words.contains("WATCHDOG=1;"), "{words}");
        assert_eq!(said(&mut manager, seen(110, 3)), "STATUS=trading;", "READY is not said again");
        let failed = Seen { phase: Phase::Kill, failed: true, ..seen(300, 4) };
        assert!(said(&mut manager, failed).ends_with("STOPPING=1;"));
        assert_eq!(said(&mut manager, Seen { now: Nanos::from_millis(900), ..failed }), "");
    }

    #[test]
    fn nobody_who_waits_is_fed_nothing() {
        let mut manager = ServiceManager::waiting(None);
        assert_eq!(said(&mut manager, seen(0, 1)), "READY=1;STATUS=trading;");
        assert_eq!(said(&mut manager, seen(60_000, 2)), "");
    }
}

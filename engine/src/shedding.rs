//! What the engine gives up when it cannot keep up, in which order, and how it comes back: one
//! table, like that of the links (`topology`).
//!
//! ```text
//!  rung  name          given up                                   by load   by memory   back after
//!   1    history       captures, histogram dumps, the live line   0.5 s     warning     2 s calm
//!   2    low_priority  instruments of low priority                0.5 s     no orders   2 s calm
//!   3    new_orders    new orders and resting quotes              never     no orders   at once
//!   4    run           everything: cancel all, end with 79        never     ending      a person
//! ```
//! The order path is on no rung that load can reach: sessions, reports, cancels, reductions, risk,
//! execution and the journal's records of them go on while anything is left to give up. Load is
//! told by gauges that lanes keep anyway ([`SIGNALS`]); the third and fourth rung are those of
//! memory (and disk: [`crate::run::memory`], [`crate::run::disk`]).
//!
//! Invariant: one rung at a time, up after its time of pressure without a break, down after its
//! time of calm without a break; between both limits nothing moves. Who falls back soon after a
//! return waits twice as long for the next, up to [`BACK_OFF_MAX`] times. Pure: the same samples
//! at the same times climb the same rungs.

use bot4_alloc::pressure::Level;
use bot4_lanes::Metrics;
use bot4_types::Nanos;

use crate::run::settings::{SLOTS_LARGE, SLOTS_SMALL};
use crate::topology::{WIRE, WIRES_MAX};

/// A rung of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Rung {
    /// Its name in status and report.
    pub name: &'static str,
    /// What is given up on it, as a person reads it.
    pub gives_up: &'static str,
    /// Pressure without a break for so long leads to it; `None`: load alone never does.
    pub after: Option<Nanos>,
    /// Memory this short leads to it at once.
    pub memory: Level,
    /// Calm without a break for so long leads down from it.
    pub back_after: Nanos,
    /// Counts how often it was climbed.
    pub counter: &'static str,
}

/// The rungs, lowest first: rung `n` is row `n - 1`.
pub const RUNGS: [Rung; 4] = [
    Rung {
        name: "history",
        gives_up: "captures, histogram dumps and the live line",
        after: Some(Nanos::from_millis(500)),
        memory: Level::Warn,
        back_after: Nanos::from_secs(2),
        counter: "shed_history",
    },
    Rung {
        name: "low_priority",
        gives_up: "instruments of low priority",
        after: Some(Nanos::from_millis(500)),
        memory: Level::StopNewOrders,
        back_after: Nanos::from_secs(2),
        counter: "shed_low_priority",
    },
    Rung {
        name: "new_orders",
        gives_up: "new orders",
        after: None,
        memory: Level::StopNewOrders,
        back_after: Nanos::ZERO,
        counter: "shed_new_orders",
    },
    Rung {
        name: "run",
        gives_up: "the run",
        after: None,
        memory: Level::CancelAndStop,
        back_after: Nanos::MAX,
        counter: "shed_run",
    },
];

/// The highest rung that load can lead to.
pub const LOAD_MAX: u8 = 2;
/// A rung that is climbed again within so long after it was left has come back too soon.
const TOO_SOON: Nanos = Nanos::from_secs(10);
/// How often the time of calm is doubled at most, as a factor.
pub const BACK_OFF_MAX: u64 = 16;

/// Something that lanes know and that says whether they keep up.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Its name in status and report.
    pub name: &'static str,
    /// From here on it presses.
    pub high: u64,
    /// Up to here it is calm.
    pub calm: u64,
    /// Its present value.
    pub of: fn(&Metrics) -> u64,
}

/// All signals. Any of them presses alone; it is calm when all are.
pub const SIGNALS: [Signal; 3] = [
    // What was received and not read yet: parsers wait for books, too, so this is the age of books.
    Signal { name: "backlog_ms", high: 200, calm: 40, of: backlog_ms },
    // Frames between socket and parser: with no slot left, reading stops.
    Signal { name: "frames_pct", high: 75, calm: 25, of: frames_pct },
    // Risk's records that wait for the journal: at seven eighths new orders wait.
    Signal { name: "log_pct", high: 50, calm: 20, of: |m| m.of_role("risk", "log_used_pct") },
];

fn over_wires(value: impl Fn(&str) -> u64) -> u64 {
    WIRE.iter().take(WIRES_MAX).map(|role| value(role)).max().unwrap_or(0)
}

fn backlog_ms(m: &Metrics) -> u64 {
    over_wires(|role| m.of_role(role, "backlog_us")) / 1_000
}

fn frames_pct(m: &Metrics) -> u64 {
    let all = (SLOTS_SMALL + SLOTS_LARGE) as u64;
    // A wire that has not had its first turn, or is not there, has not counted yet.
    over_wires(|role| match (m.of_role(role, "messages"), m.of_role(role, "slots_free")) {
        (0, _) => 0,
        (_, free) => (all - free.min(all)) * 100 / all,
    })
}

/// One look at all signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Values in the order of [`SIGNALS`].
    pub values: [u64; SIGNALS.len()],
}

impl Sample {
    /// As `m` has it.
    #[must_use]
    pub fn of(m: &Metrics) -> Self {
        Self { values: SIGNALS.map(|signal| (signal.of)(m)) }
    }

    fn presses(&self) -> bool {
        self.values.iter().zip(SIGNALS).any(|(value, signal)| *value >= signal.high)
    }

    fn is_calm(&self) -> bool {
        self.values.iter().zip(SIGNALS).all(|(value, signal)| *value <= signal.calm)
    }
}

/// Where the engine stands on the ladder. See the module.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// The rung that load has led to.
    rung: u8,
    /// Since when it presses, or is calm, without a break.
    since: Option<(bool, Nanos)>,
    left_at: Option<Nanos>,
    back_off: u64,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { rung: 0, since: None, left_at: None, back_off: 1 }
    }
}

impl Ladder {
    /// Takes in a sample at `now`; the rung from now on, memory included.
    pub fn step(&mut self, now: Nanos, sample: &Sample, memory: Level) -> u8 {
        let (presses, calm) = (sample.presses(), sample.is_calm());
        self.since = match self.since {
            _ if !presses && !calm => None,
            Some((pressed, at)) if pressed == presses => Some((pressed, at)),
            _ => Some((presses, now)),
        };
        if let Some((presses, at)) = self.since {
            let lasted = now.since(at);
            if presses {
                self.press(now, lasted);
            } else {
                self.ease(now, lasted);
            }
        }
        self.rung.max(by_memory(memory))
    }

    fn press(&mut self, now: Nanos, lasted: Nanos) {
        let next = RUNGS.get(usize::from(self.rung)).and_then(|rung| rung.after);
        if self.rung < LOAD_MAX && next.is_some_and(|after| lasted >= after) {
            let too_soon = self.left_at.is_some_and(|at| now.since(at) < TOO_SOON);
            self.back_off = if too_soon { (self.back_off * 2).min(BACK_OFF_MAX) } else { 1 };
            self.left_at = None;
            self.rung += 1;
            self.since = Some((true, now));
        }
    }

    fn ease(&mut self, now: Nanos, lasted: Nanos) {
        let Some(at) = self.rung.checked_sub(1) else { return };
        if lasted.0 >= RUNGS[usize::from(at)].back_after.0.saturating_mul(self.back_off) {
            self.rung = at;
            self.left_at = Some(now);
            self.since = Some((false, now));
        }
    }
}

/// The rung that memory alone leads to.
fn by_memory(memory: Level) -> u8 {
    RUNGS.iter().filter(|rung| memory >= rung.memory).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESSED: Sample = Sample { values: [250, 0, 0] };
    const BETWEEN: Sample = Sample { values: [100, 0, 0] };
    const CALM: Sample = Sample { values: [40, 25, 20] };

    /// The rungs after `ms` of `sample`, a sample each 50 ms.
    fn hold(ladder: &mut Ladder, now: &mut u64, ms: u64, sample: &Sample) -> u8 {
        let mut rung = 0;
        for _ in 0..ms / 50 {
            *now += 50;
            rung = ladder.step(Nanos::from_millis(*now), sample, Level::Normal);
        }
        rung
    }

    #[test]
    fn load_climbs_a_rung_at_a_time_and_never_reaches_the_orders() {
        let (mut ladder, mut now) = (Ladder::default(), 0);
        assert_eq!(hold(&mut ladder, &mut now, 450, &PRESSED), 0, "a burst gives nothing up");
        assert_eq!(hold(&mut ladder, &mut now, 50, &BETWEEN), 0);
        assert_eq!(hold(&mut ladder, &mut now, 500, &PRESSED), 0, "it began anew");
        assert_eq!(hold(&mut ladder, &mut now, 50, &PRESSED), 1);
        assert_eq!(hold(&mut ladder, &mut now, 450, &PRESSED), 1);
        assert_eq!(hold(&mut ladder, &mut now, 50, &PRESSED), 2);
        assert_eq!(hold(&mut ladder, &mut now, 60_000, &PRESSED), LOAD_MAX);
        assert!(RUNGS[usize::from(LOAD_MAX)..].iter().all(|rung| rung.after.is_none()));
    }

    #[test]
    fn it_comes_back_a_rung_at_a_time_after_calm_without_a_break() {
        let (mut ladder, mut now) = (Ladder::default(), 0);
        hold(&mut ladder, &mut now, 2_000, &PRESSED);
        assert_eq!(hold(&mut ladder, &mut now, 30_000, &BETWEEN), 2, "nothing moves in between");
        assert_eq!(hold(&mut ladder, &mut now, 2_000, &CALM), 2);
        hold(&mut ladder, &mut now, 50, &BETWEEN);
        assert_eq!(hold(&mut ladder, &mut now, 2_000, &CALM), 2);
        assert_eq!(hold(&mut ladder, &mut now, 50, &CALM), 1);
        assert_eq!(hold(&mut ladder, &mut now, 1_950, &CALM), 1);
        assert_eq!(hold(&mut ladder, &mut now, 50, &CALM), 0);
        assert_eq!(hold(&mut ladder, &mut now, 60_000, &CALM), 0);
    }

    #[test]
    fn who_falls_back_soon_waits_longer_and_not_for_ever() {
        let (mut ladder, mut now) = (Ladder::default(), 0);
        hold(&mut ladder, &mut now, 2_000, &PRESSED);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let began = now;
            while hold(&mut ladder, &mut now, 50, &CALM) == 2 {}
            waits.push((now - began) / 1_000);
            while hold(&mut ladder, &mut now, 50, &PRESSED) < 2 {}
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 32, 32]);
        // A long calm is a fresh start.
        hold(&mut ladder, &mut now, 100_000, &CALM);
        hold(&mut ladder, &mut now, 2_000, &PRESSED);
        let began = now;
        while hold(&mut ladder, &mut now, 50, &CALM) == 2 {}
        assert_eq!((now - began) / 1_000, 2);
    }

    #[test]
    fn memory_leads_to_its_rungs_at_once_and_back() {
        let mut ladder = Ladder::default();
        let mut at = |level| ladder.step(Nanos(1), &CALM, level);
        assert_eq!((at(Level::Normal), at(Level::Warn)), (0, 1));
        assert_eq!((at(Level::StopNewOrders), at(Level::CancelAndStop)), (3, 4));
        assert_eq!(at(Level::Normal), 0);
    }

    /// The table can be climbed, and every row says what a person needs to know.
    #[test]
    fn the_table_makes_sense() {
        assert!(SIGNALS.iter().all(|signal| signal.calm < signal.high));
        assert!(RUNGS.is_sorted_by_key(|rung| rung.memory));
        let load = &RUNGS[..usize::from(LOAD_MAX)];
        assert!(load.iter().all(|rung| rung.after.is_some() && rung.back_after.0 > 0));
        assert!(RUNGS.iter().all(|rung| rung.counter == format!("shed_{}", rung.name)));
        assert_eq!(bot4_lanes::shed::LOW_PRIORITY, LOAD_MAX);
    }
}

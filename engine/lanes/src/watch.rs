//! Notices a lane that does not turn any more.
//!
//! A lane beats at its looks, at least every [`crate::lane::LOOK_NS_MAX`] plus a turn. What makes
//! silence a stall is time in which *the watcher itself* ran: each of its looks adds the time
//! since its last look, but [`STEP_MAX`] at most. When the whole process stood still (SIGSTOP, a
//! paused virtual machine, a host without CPU time for anybody) the watcher stood still with it,
//! sees one long step when it wakes, and counts 50 ms of it; the lanes, awake too, beat within
//! the rest. A lane that hangs while the watcher runs collects silence at the pace of the clock.
//!
//! One CPU may stand still alone: a hypervisor takes it away, a real-time task sits on it. Its
//! lanes are silent and want to run, and they will go on where they were. What tells them from
//! an agent in an endless loop is CPU time: a silent lane that is runnable ([`RunnableFor`]) is
//! stalled once it has burnt [`BURNT_MAX`] more without a beat; one that got none is starved,
//! which shows in its `gap_ns_max` and is no fault of an agent's.

use bot4_types::Nanos;

/// Silence that makes a stall. Far above a turn (microseconds) and a look (10 ms); below the
/// seconds in which a venue would notice.
pub const STALL_AFTER: Nanos = Nanos::from_millis(500);
/// CPU time that a silent, runnable lane may still use before it counts as an endless loop.
pub const BURNT_MAX: Nanos = Nanos::from_millis(500);
/// The most that one look adds: more than this between two looks means that the watcher itself
/// did not run.
pub const STEP_MAX: Nanos = Nanos::from_millis(50);

/// CPU time that a lane's thread has used so far if it is running or waits for a CPU; `None` if it
/// sleeps, is stopped or gone. See [`crate::usage::runnable_for`].
pub type RunnableFor = Option<Nanos>;

/// The watcher's memory of each lane.
#[derive(Debug)]
pub struct StallWatch {
    patience: Nanos,
    looked: Option<Nanos>,
    lanes: Vec<Silence>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    heartbeat: Nanos,
    ns: u64,
    /// CPU time used when the silence was first found too long.
    burnt: Option<Nanos>,
}

impl StallWatch {
    /// A watch over `lanes` lanes.
    #[must_use]
    pub fn new(lanes: usize, patience: Nanos) -> Self {
        Self { patience, looked: None, lanes: vec![Silence::default(); lanes] }
    }

    /// Looks at every lane's heartbeat; `None` for a lane that is not to be watched now (not
    /// running yet, or ended). The index of the first lane that stalled, and for how long.
    /// `runnable` is asked of silent lanes only.
    pub fn look(
        &mut self,
        now: Nanos,
        heartbeats: impl IntoIterator<Item = Option<Nanos>>,
        runnable: impl Fn(usize) -> RunnableFor,
    ) -> Option<(usize, Nanos)> {
        let step = self.looked.map_or(0, |at| now.since(at).0.min(STEP_MAX.0));
        self.looked = Some(now);
        let mut stalled = None;
        for (i, (lane, beat)) in self.lanes.iter_mut().zip(heartbeats).enumerate() {
            match beat {
                Some(beat) if beat == lane.heartbeat => lane.ns += step,
                other => {
                    let heartbeat = other.unwrap_or(Nanos::ZERO);
                    *lane = Silence { heartbeat, ns: 0, burnt: None };
                }
            }
            let silent = beat.is_some() && lane.ns > self.patience.0;
            if silent && stalled.is_none() && lane.is_stalled(runnable(i)) {
                stalled = Some((i, Nanos(lane.ns)));
            }
        }
        stalled
    }
}

impl Silence {
    /// Judges a silence that is too long.
    fn is_stalled(&mut self, runnable: RunnableFor) -> bool {
        let Some(used) = runnable else { return true };
        used.since(*self.burnt.get_or_insert(used)) > BURNT_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Looks every 5 ms from `from` to `to`; lane 1 beats, lane 0 as `beat` says.
    fn looks(
        watch: &mut StallWatch,
        from: u64,
        to: u64,
        beat: impl Fn(u64) -> Option<u64>,
    ) -> Option<u64> {
        (from..=to).step_by(5).find(|ms| {
            let first = beat(*ms).map(|b| Nanos(b * MS));
            watch.look(Nanos(ms * MS), [first, Some(Nanos(ms * MS))], |_| None).is_some()
        })
    }

    #[test]
    fn silence_of_half_a_second_is_a_stall() {
        let mut watch = StallWatch::new(2, STALL_AFTER);
        assert_eq!(looks(&mut watch, 0, 1_000, Some), None, "a beating lane is alive");
        let at = looks(&mut watch, 1_005, 3_000, |_| Some(1_000)).expect("a stall");
        assert!((1_500..=1_515).contains(&at), "{at}");
    }

    #[test]
    fn a_suspended_process_is_not_a_stall() {
        let mut watch = StallWatch::new(2, STALL_AFTER);
        assert_eq!(looks(&mut watch, 0, 1_000, Some), None);
        // Nobody runs for an hour; the lane needs a while to beat again.
        let hour = 3_600_000;
        assert_eq!(looks(&mut watch, hour, hour + 400, |_| Some(1_000)), None);
        assert_eq!(looks(&mut watch, hour + 405, hour + 900, Some), None);
        // Stopped again and again, awake for 5 ms in between: still no stall of the lane.
        for stop in 1..5 {
            let from = (stop + 1) * hour;
            assert_eq!(looks(&mut watch, from, from + 5, |_| Some(from)), None);
        }
        // But one that does not come back is found.
        let last = 10 * hour;
        assert!(looks(&mut watch, last, last + 600, |_| Some(1)).is_some());
    }

    #[test]
    fn an_endless_loop_is_found_and_a_starved_lane_is_not_blamed() {
        // Of each millisecond the lane gets `share` per cent of a CPU, and never beats.
        let found = |share: u64| {
            let mut watch = StallWatch::new(1, STALL_AFTER);
            (0..20_000).step_by(5).find(|ms| {
                let used = |_| Some(Nanos(ms * MS * share / 100));
                watch.look(Nanos(ms * MS), [Some(Nanos(1))], used).is_some()
            })
        };
        assert_eq!(found(0), None);
        assert!(found(100).is_some_and(|ms| (1_000..1_100).contains(&ms)), "{:?}", found(100));
        assert!(found(10).is_some_and(|ms| (5_500..5_700).contains(&ms)), "{:?}", found(10));
    }

    #[test]
    fn lanes_that_do_not_run_are_not_watched() {
        let mut watch = StallWatch::new(2, STALL_AFTER);
        assert_eq!(looks(&mut watch, 0, 5_000, |_| None), None);
        assert_eq!(looks(&mut watch, 5_005, 5_300, |_| Some(0)), None, "silence starts here");
        assert_eq!(looks(&mut watch, 5_305, 9_000, |_| None), None);
    }
}

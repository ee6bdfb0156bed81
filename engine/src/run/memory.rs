//! The memory breaker: looked at by the control lane four times a second.
//!
//! ```text
//!   80 %  a warning
//!   90 %  the reserve goes back to the kernel, the control word pauses new orders; both heal
//!   95 %  new orders end, everything is cancelled, the run ends: a person must give it more
//! ```
//!
//! What is given up, in order (the rungs of [`crate::shedding`]): clean file pages of journal and
//! dumps (the kernel takes them by itself; they do not count as used), history, then the reserve
//! and instruments of low priority, then new orders and with them resting
//! quotes, which could not follow the market any more, then the run. Rings, pools, books and
//! histograms are fixed from the start: they neither grow nor can they shrink.

use bot4_alloc::pressure::{Level, Pressure, Reading, Reserve};
use bot4_lanes::{Counters, Metrics};
use bot4_types::Nanos;

/// Between two looks: four small files, some tens of microseconds.
const LOOK_EVERY: Nanos = Nanos::from_millis(250);
/// What cancelling, the last journal segment and the comparison with the venue need together,
/// with room.
const RESERVE_BYTES: usize = 16 << 20;

/// Level, bytes in use and limit at the last look (gauges); no limit is zero.
const GAUGES: &[&str] = &["memory_level", "memory_used_bytes", "memory_limit_bytes"];

/// Watches the memory of this process's control group.
#[derive(Debug)]
pub struct MemoryWatch {
    pressure: Pressure,
    reserve: Option<Reserve>,
    level: Level,
    look_at: Nanos,
    gauges: Counters,
}

/// What a look found out that the last one had not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryNews {
    /// The level from now on.
    pub level: Level,
    /// New orders must pause, or may go on again; `None` changes nothing.
    pub pause: Option<bool>,
    /// A sentence for a person.
    pub what: String,
}

impl MemoryWatch {
    /// A watch with its reserve; goes on without one where it cannot be had.
    #[must_use]
    pub fn new(pressure: Pressure, metrics: &Metrics) -> Self {
        let reserve = Reserve::new(RESERVE_BYTES).ok();
        let gauges = metrics.counters("control", GAUGES);
        Self { pressure, reserve, level: Level::Normal, look_at: Nanos::ZERO, gauges }
    }

    /// The level at the last look.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Looks when it is time; tells what changed.
    pub fn look(&mut self, now: Nanos) -> Option<MemoryNews> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_EVERY;
        let (level, reading) = self.pressure.look();
        for (at, value) in
            [level as u64, reading.used, reading.limit.unwrap_or(0)].into_iter().enumerate()
        {
            self.gauges.set(at, value);
        }
        self.judge(level, &reading)
    }

    fn judge(&mut self, level: Level, reading: &Reading) -> Option<MemoryNews> {
        let before = std::mem::replace(&mut self.level, level);
        if level == before {
            return None;
        }
        let paused = |level| level >= Level::StopNewOrders;
        let pause = (paused(level) != paused(before)).then_some(paused(level));
        let freed = match (pause, self.reserve.as_mut()) {
            (Some(true), Some(reserve)) => reserve.release() >> 20,
            _ => 0,
        };
        if let (Level::Normal, Some(reserve)) = (level, self.reserve.as_mut()) {
            reserve.refill();
        }
        let what = match level {
            Level::Normal => format!("memory is fine again: {reading}"),
            Level::Warn if level < before => {
                format!("memory eases, orders may be placed again: {reading}")
            }
            Level::Warn => format!("warning: memory gets short: {reading}"),
            Level::StopNewOrders => format!(
                "warning: memory is short, no new orders until it eases, {freed} MiB of reserve \
                 released: {reading}"
            ),
            Level::CancelAndStop => {
                format!("memory runs out, everything is cancelled and the run ended: {reading}")
            }
        };
        Some(MemoryNews { level, pause, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_orders_pause_and_go_on_and_the_reserve_goes_and_comes() {
        let nowhere = Pressure::of_group(std::path::Path::new("/no/such/group"));
        let mut watch = MemoryWatch::new(nowhere, &Metrics::in_memory());
        let held = |w: &MemoryWatch| w.reserve.as_ref().map(Reserve::held_bytes);
        assert_eq!(watch.look(Nanos::from_secs(1)), None, "no limit is no pressure");
        assert_eq!(held(&watch), Some(RESERVE_BYTES));
        let r = Reading::default();
        let mut step = |level| watch.judge(level, &r).map(|news| news.pause);
        assert_eq!(step(Level::Warn), Some(None));
        assert_eq!(step(Level::Warn), None, "news come once");
        assert_eq!(step(Level::StopNewOrders), Some(Some(true)));
        assert_eq!(step(Level::CancelAndStop), Some(None));
        assert_eq!(held(&watch), Some(0));
        let mut step = |level| watch.judge(level, &r).map(|news| news.pause);
        assert_eq!(step(Level::Warn), Some(Some(false)));
        assert_eq!(step(Level::Normal), Some(None));
        assert_eq!(held(&watch), Some(RESERVE_BYTES));
        let what = watch.judge(Level::StopNewOrders, &r).expect("news").what;
        assert!(what.contains("16 MiB of reserve"), "{what}");
    }
}

//! Where the time of a message went.

use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// A stage of the way of a tick, in order. A stage runs from the previous border's stamp to its
/// own, waiting in the ring included, so the stages of one order sum to its tick-to-trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Received by the socket until taken up by the parser.
    WireToParse = 0,
    /// Text to integer events.
    Parse = 1,
    /// Sequence check and book update.
    Book = 2,
    /// Features, strategy, routing.
    Signal = 3,
    /// The gate.
    Risk = 4,
    /// Encoding until the last byte was handed to the kernel.
    OrderEncode = 5,
}

/// Number of stages.
pub const STAGES: usize = 6;
/// Borders that a trail carries: the last stage ends where its time is counted.
pub const BORDERS: usize = STAGES - 1;

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; STAGES] =
        [Self::WireToParse, Self::Parse, Self::Book, Self::Signal, Self::Risk, Self::OrderEncode];

    /// The name used in reports and histogram tags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WireToParse => "wire_to_parse",
            Self::Parse => "parse",
            Self::Book => "book",
            Self::Signal => "signal",
            Self::Risk => "risk",
            Self::OrderEncode => "order_encode",
        }
    }
}

/// The stamps of one message since its bytes were received. Decisions never read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Trail {
    /// When the causing bytes were received: by the kernel where it stamps them, else by the read.
    pub t0: Nanos,
    /// Offsets of the stage borders from `t0`, in nanoseconds; zero where not reached.
    pub border_ns: [u32; BORDERS],
    /// From the kernel's stamp to the read, in nanoseconds, part of the first stage; zero where
    /// `t0` is the read itself, as in journals of earlier versions.
    pub read_ns: u32,
}

impl Trail {
    /// A trail that starts at `t0`.
    #[must_use]
    pub const fn start(t0: Nanos) -> Self {
        Self { t0, border_ns: [0; BORDERS], read_ns: 0 }
    }

    /// A trail of bytes read at `read`, which the kernel had for `kernel_ns` by then.
    #[must_use]
    pub const fn received(read: Nanos, kernel_ns: u32) -> Self {
        let t0 = Nanos(read.0.saturating_sub(kernel_ns as u64));
        Self { read_ns: (read.0 - t0.0) as u32, ..Self::start(t0) }
    }

    /// Marks the end of `stage` at `stamp` and returns the stage's span in nanoseconds. The end of
    /// the last stage is not kept.
    pub fn mark(&mut self, stage: Stage, stamp: Nanos) -> u64 {
        let (i, before) = (stage as usize, self.before(stage));
        let offset = u32::try_from(stamp.since(self.t0).0).unwrap_or(u32::MAX).max(before);
        if i < BORDERS {
            self.border_ns[i] = offset;
        }
        u64::from(offset - before)
    }

    /// The offset of the end of `stage` from `t0` in nanoseconds; zero where it is not kept.
    #[must_use]
    pub fn border(&self, stage: Stage) -> u64 {
        self.border_ns.get(stage as usize).copied().map_or(0, u64::from)
    }

    /// The span of `stage` in nanoseconds; zero where its end is not kept.
    #[must_use]
    pub fn span(&self, stage: Stage) -> u64 {
        self.border(stage).saturating_sub(u64::from(self.before(stage)))
    }

    /// From the receive stamp until `stamp`, in nanoseconds, as far as the borders tell it: what
    /// the spans sum to when `stamp` ends the last stage.
    #[must_use]
    pub fn total(&self, stamp: Nanos) -> u64 {
        let before = u64::from(self.before(Stage::OrderEncode));
        stamp.since(self.t0).0.min(u64::from(u32::MAX)).max(before)
    }

    /// The offset at which `stage` begins.
    fn before(&self, stage: Stage) -> u32 {
        let i = stage as usize;
        if i == 0 { 0 } else { self.border_ns[i - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stages_sum_to_the_total(steps in proptest::array::uniform6(0u64..1_000_000)) {
            let mut trail = Trail::start(Nanos(77));
            let mut at = 77;
            for (stage, step) in Stage::ALL.into_iter().zip(steps) {
                at += step;
                prop_assert_eq!(trail.mark(stage, Nanos(at)), step);
            }
            let kept: u64 = Stage::ALL.into_iter().map(|s| trail.span(s)).sum();
            prop_assert_eq!(kept + steps[5], trail.total(Nanos(at)));
            prop_assert_eq!(trail.total(Nanos(at)), steps.iter().sum::<u64>());
        }

        #[test]
        fn what_the_kernel_held_lies_within_the_first_stage(
            read: u64, kernel_ns: u32, parsed in 0u64..1_000_000,
        ) {
            let read = Nanos(read >> 1);
            let mut trail = Trail::received(read, kernel_ns);
            prop_assert_eq!(trail.t0.0 + u64::from(trail.read_ns), read.0);
            let span = trail.mark(Stage::WireToParse, read + Nanos(parsed));
            let wanted = (u64::from(trail.read_ns) + parsed).min(u64::from(u32::MAX));
            prop_assert_eq!(span, wanted);
        }
    }

    #[test]
    fn stamps_of_another_lane_never_run_backwards() {
        let mut trail = Trail::start(Nanos(100));
        trail.mark(Stage::Parse, Nanos(150));
        assert_eq!(trail.mark(Stage::Book, Nanos(140)), 0);
        assert_eq!(trail.mark(Stage::Risk, Nanos(160)), 60, "the signal was not reached");
        assert_eq!(trail.total(Nanos(155)), 60);
        assert_eq!(trail.total(Nanos(170)), 70);
    }
}

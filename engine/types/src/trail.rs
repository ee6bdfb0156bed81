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
    /// When the causing bytes were received.
    pub t0: Nanos,
    /// Offsets of the stage borders from `t0`, in nanoseconds; zero where not reached.
    pub border_ns: [u32; STAGES],
}

impl Trail {
    /// A trail that starts at `t0`.
    #[must_use]
    pub const fn start(t0: Nanos) -> Self {
        Self { t0, border_ns: [0; STAGES] }
    }

    /// Marks the end of `stage` at `stamp` and returns the stage's span in nanoseconds.
    pub fn mark(&mut self, stage: Stage, stamp: Nanos) -> u64 {
        let i = stage as usize;
        let before = if i == 0 { 0 } else { self.border_ns[i - 1] };
        let offset = u32::try_from(stamp.since(self.t0).0).unwrap_or(u32::MAX).max(before);
        self.border_ns[i] = offset;
        u64::from(offset - before)
    }

    /// The span of `stage` in nanoseconds.
    #[must_use]
    pub fn span(&self, stage: Stage) -> u64 {
        let i = stage as usize;
        let before = if i == 0 { 0 } else { self.border_ns[i - 1] };
        u64::from(self.border_ns[i].saturating_sub(before))
    }

    /// From the receive stamp to the last border, in nanoseconds.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.border_ns[STAGES - 1])
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
            let sum: u64 = Stage::ALL.into_iter().map(|s| trail.span(s)).sum();
            prop_assert_eq!(sum, trail.total());
            prop_assert_eq!(sum, steps.iter().sum::<u64>());
        }
    }
}

//! An order's way, hop by hop: from the kernel's receive stamp of the bytes that caused it to the
//! venue's answer. Each hop ends where the next begins, so they sum to the whole.

use bot4_types::{AnsweredRecord, Nanos, OrderIntent, SentRecord, Stage};

/// A hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// In the kernel and behind other messages of the same read, where the kernel stamps.
    Kernel,
    /// Read until taken up by the parser.
    WireToParse,
    /// Text to integer events.
    Parse,
    /// Book update.
    Book,
    /// Features, strategy, routing.
    Signal,
    /// The gate.
    Risk,
    /// Approved until execution found the approval journaled and began to encode.
    Journal,
    /// Encoding.
    Encode,
    /// Encoded until the kernel had the last byte.
    Socket,
    /// With the venue, and on the way there and back, until its answer was read.
    Venue,
}

/// Number of hops.
pub const HOPS: usize = 10;

impl Hop {
    /// All hops in order.
    pub const ALL: [Self; HOPS] = [
        Self::Kernel,
        Self::WireToParse,
        Self::Parse,
        Self::Book,
        Self::Signal,
        Self::Risk,
        Self::Journal,
        Self::Encode,
        Self::Socket,
        Self::Venue,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::WireToParse => "wire_to_parse",
            Self::Parse => "parse",
            Self::Book => "book",
            Self::Signal => "signal",
            Self::Risk => "risk",
            Self::Journal => "journal",
            Self::Encode => "encode",
            Self::Socket => "socket",
            Self::Venue => "ack",
        }
    }

    /// What a person may make of it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Kernel => "the bytes lay in the kernel before they were read",
            Self::WireToParse => "the message waited for the parser",
            Self::Parse => "parsing",
            Self::Book => "waiting for the book and its update",
            Self::Signal => "waiting for the signal lane, strategy and routing",
            Self::Risk => "waiting for the gate and its checks",
            Self::Journal => "waiting until the approval was journaled",
            Self::Encode => "encoding",
            Self::Socket => "handing it to the kernel",
            Self::Venue => "the venue and the way there and back",
        }
    }
}

/// The hops of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where it begins.
    pub t0: Nanos,
    /// When the kernel had the order's last byte.
    pub handed: Nanos,
    /// The time of each hop, nanoseconds, by [`Hop::ALL`]; the last one is zero without an answer.
    pub ns: [u64; HOPS],
    /// The venue's answer was read.
    pub answered: bool,
}

impl Way {
    /// Of an order approved as `intent` and sent as `sent` says, with the answer to it. `None`
    /// where the journal is of a version that did not keep the stamps of sending.
    #[must_use]
    pub fn of(
        intent: &OrderIntent,
        sent: &SentRecord,
        answer: Option<&AnsweredRecord>,
    ) -> Option<Self> {
        if sent.handed == Nanos::ZERO {
            return None;
        }
        let (t0, trail) = (intent.trail.t0, &intent.trail);
        let border = |stage| t0 + Nanos(trail.border(stage));
        let read = t0 + Nanos(u64::from(trail.read_ns));
        let ends = [
            read,
            border(Stage::WireToParse),
            border(Stage::Parse),
            border(Stage::Book),
            border(Stage::Signal),
            border(Stage::Risk),
            sent.begun,
            sent.encoded,
            sent.handed,
            answer.map_or(sent.handed, |a| a.read),
        ];
        // A border that was not reached (an order that no message caused) takes no time; stamps
        // never run backwards, whichever lane made them.
        let (mut at, mut ns) = (t0, [0; HOPS]);
        for (span, end) in ns.iter_mut().zip(ends) {
            *span = end.since(at).0;
            at = at.max(end);
        }
        Some(Self { t0, handed: sent.handed.max(t0), ns, answered: answer.is_some() })
    }

    /// From t0 to the kernel: what `tick_to_trade` counts.
    #[must_use]
    pub fn to_kernel(&self) -> u64 {
        self.ns[..Hop::Venue as usize].iter().sum()
    }

    /// The venue's part.
    #[must_use]
    pub const fn ack(&self) -> u64 {
        self.ns[Hop::Venue as usize]
    }

    /// From t0 to the answer.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.ns.iter().sum()
    }

    /// The slowest hop of our own, and its share of the way to the kernel in per cent.
    #[must_use]
    pub fn slowest(&self) -> (Hop, f64) {
        let own = Hop::ALL.into_iter().filter(|hop| *hop != Hop::Venue);
        let hop = own.max_by_key(|hop| self.ns[*hop as usize]).unwrap_or(Hop::WireToParse);
        let whole = self.to_kernel().max(1) as f64;
        (hop, self.ns[hop as usize] as f64 * 100.0 / whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::log::{Body, Reader};
    use bot4_types::{ClientId, LogEntry, LogKind, OrderAction, OrderId, RunEpoch, Trail};
    use proptest::prelude::*;

    fn intent(trail: Trail) -> OrderIntent {
        let zero = LogEntry::new(LogKind::Intent, Nanos(0), |w| w.bytes(&[0; 80]));
        let plain = OrderIntent::read(&mut Reader::over(&zero.body()[..76])).expect("zeros read");
        OrderIntent { trail, ..plain }
    }

    fn sent(begun: u64, encoded: u64, handed: u64) -> SentRecord {
        let (order, client) = (OrderId(1), ClientId::new(RunEpoch(1), OrderId(1)));
        let [begun, encoded, handed] = [begun, encoded, handed].map(Nanos);
        SentRecord { order, client, begun, encoded, handed }
    }

    proptest! {
        #[test]
        fn hops_sum_to_the_whole(
            kernel in 0u32..1_000_000,
            steps in proptest::array::uniform9(0u64..1_000_000),
            answered: bool,
        ) {
            let mut at = 77 + u64::from(kernel);
            let mut next = |i: usize| { at += steps[i]; Nanos(at) };
            let mut trail = Trail::received(Nanos(77 + u64::from(kernel)), kernel);
            for (i, stage) in Stage::ALL.into_iter().take(5).enumerate() {
                trail.mark(stage, next(i));
            }
            let [begun, encoded, handed] = [next(5), next(6), next(7)];
            let sent = sent(begun.0, encoded.0, handed.0);
            let (order, action, done) = (OrderId(1), OrderAction::Place, true);
            let answer = AnsweredRecord { order, action, done, read: next(8) };
            let way = Way::of(&intent(trail), &sent, answered.then_some(&answer)).expect("stamped");
            prop_assert_eq!(way.ns[Hop::Kernel as usize], u64::from(kernel));
            prop_assert_eq!(&way.ns[1..9], &steps[..8]);
            prop_assert_eq!(way.to_kernel(), handed.0 - 77);
            prop_assert_eq!(way.ack(), if answered { steps[8] } else { 0 });
            prop_assert_eq!(way.whole(), way.to_kernel() + way.ack());
            let (slowest, share) = way.slowest();
            prop_assert!(way.ns[..9].iter().all(|ns| *ns <= way.ns[slowest as usize]));
            prop_assert!((0.0..=100.0).contains(&share));
        }

        /// Whatever a damaged journal says: a sum, never a panic.
        #[test]
        fn any_stamps_have_a_sum(
            t0: u64, read_ns: u32, border_ns: [u32; 5], stamps: [u64; 4],
        ) {
            let trail = Trail { t0: Nanos(t0 >> 1), border_ns, read_ns };
            let [begun, encoded, handed, read] = stamps.map(|s| s >> 1);
            let (order, action, done) = (OrderId(1), OrderAction::Place, true);
            let answer = AnsweredRecord { order, action, done, read: Nanos(read) };
            let sent = sent(begun, encoded, handed.max(1));
            let way = Way::of(&intent(trail), &sent, Some(&answer)).expect("stamped");
            prop_assert!(way.whole() >= way.to_kernel());
        }
    }

    #[test]
    fn an_order_of_a_timer_has_no_borders_before_the_signal() {
        let mut trail = Trail::start(Nanos(100));
        trail.mark(Stage::Signal, Nanos(150));
        trail.mark(Stage::Risk, Nanos(170));
        let way = Way::of(&intent(trail), &sent(200, 210, 260), None).expect("stamped");
        assert_eq!(way.ns, [0, 0, 0, 0, 50, 20, 30, 10, 50, 0]);
        assert_eq!(way.slowest().0, Hop::Socket, "of equals the later one");
        assert_eq!(Way::of(&intent(trail), &sent(0, 0, 0), None), None, "an old journal");
    }
}

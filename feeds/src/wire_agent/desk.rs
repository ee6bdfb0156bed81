//! Snapshot requests: who waits, who is next, and what the venue's request weight allows. Pure.

use std::collections::VecDeque;

use bot4_types::limits::INSTRUMENTS_MAX;
use bot4_types::{InstrumentId, Nanos, ResyncReason};

/// Between two requests for the same instrument: longer than a round trip, so that a book that
/// asks twice gets one answer.
const SPACING: Nanos = Nanos::from_millis(100);
/// The same after a refused or unusable answer: the venue said no for a reason.
const SPACING_FAILED: Nanos = Nanos::from_millis(1_000);
/// Weight is counted per this span.
const MINUTE: Nanos = Nanos::from_secs(60);
/// "Not one of ours" in the table from instrument to place.
const NONE: u16 = u16::MAX;

/// The waiting line of one wire agent.
#[derive(Debug)]
pub struct SnapshotDesk {
    /// Place in `clients` by instrument.
    places: [u16; INSTRUMENTS_MAX],
    clients: Vec<Client>,
    /// Places of the waiting ones, first come first served.
    line: VecDeque<u16>,
    /// Places of those that were asked and have no answer yet, in that order.
    owed: VecDeque<u16>,
    weight: u32,
    bucket: TokenBucket,
    /// The venue wants none before.
    paused_until: Nanos,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    waiting: bool,
    not_before: Nanos,
    sent_at: Option<Nanos>,
}

impl SnapshotDesk {
    /// A desk for `instruments`; a request costs `weight` of `budget_per_min` (zero: no limit).
    pub fn new(
        instruments: impl Iterator<Item = InstrumentId>,
        weight: u32,
        budget_per_min: u32,
    ) -> Self {
        let mut places = [NONE; INSTRUMENTS_MAX];
        let mut clients = Vec::new();
        for id in instruments {
            if let Some(place) = places.get_mut(id.index()) {
                *place = clients.len() as u16;
                clients.push(Client { waiting: false, not_before: Nanos::ZERO, sent_at: None });
            }
        }
        let [line, owed] = [(); 2].map(|()| VecDeque::with_capacity(clients.len()));
        let (bucket, paused_until) = (TokenBucket::new(budget_per_min), Nanos::ZERO);
        Self { places, clients, line, owed, weight, bucket, paused_until }
    }

    /// A book asks. False when its request waits already, or the instrument is not ours.
    pub fn request(&mut self, instrument: InstrumentId, reason: ResyncReason, now: Nanos) -> bool {
        let place = self.places.get(instrument.index()).copied().unwrap_or(NONE);
        let Some(client) = self.clients.get_mut(usize::from(place)) else { return false };
        let spacing = match reason {
            ResyncReason::SnapshotFailed => SPACING_FAILED,
            _ => SPACING,
        };
        let earliest = client.sent_at.map_or(now, |at| now.max(at + spacing));
        client.not_before = client.not_before.max(earliest);
        if client.waiting {
            return false;
        }
        client.waiting = true;
        self.line.push_back(place);
        true
    }

    /// The place of the next request to send now, if one is due and affordable. It leaves the
    /// line.
    pub fn next(&mut self, now: Nanos) -> Option<usize> {
        if self.line.is_empty() || now < self.paused_until {
            return None;
        }
        let clients = &self.clients;
        let due = self.line.iter().position(|p| clients[usize::from(*p)].not_before <= now)?;
        if !self.bucket.take(now, self.weight) {
            return None;
        }
        let place = usize::from(self.line.remove(due)?);
        let client = &mut self.clients[place];
        client.waiting = false;
        client.sent_at = Some(now);
        // One that was asked twice may be answered twice: the first answer is for both.
        if self.owed.len() < self.clients.len() {
            self.owed.push_back(place as u16);
        }
        Some(place)
    }

    /// The venue wants no request before `until`: whoever goes on is shut out for longer.
    pub fn pause(&mut self, until: Nanos) {
        self.paused_until = self.paused_until.max(until);
    }

    /// The oldest request has its answer.
    pub fn answered(&mut self) {
        self.owed.pop_front();
    }

    /// The connection is gone, and with it what was owed on it: those wait again. Their books would
    /// wait for an answer that cannot come.
    pub fn ask_again(&mut self, now: Nanos) {
        while let Some(place) = self.owed.pop_front() {
            let client = &mut self.clients[usize::from(place)];
            if !client.waiting {
                client.waiting = true;
                client.not_before = now;
                self.line.push_back(place);
            }
        }
    }

    /// A request waits whose time has come; after [`next`](Self::next) gave none, it is the
    /// budget that is missing.
    pub fn is_due(&self, now: Nanos) -> bool {
        self.line.iter().any(|p| self.clients[usize::from(*p)].not_before <= now)
    }

    /// Forgets every waiting request: the line went down, the books ask again when it is up.
    pub fn clear(&mut self) {
        self.line.clear();
        self.owed.clear();
        for client in &mut self.clients {
            *client = Client { waiting: false, not_before: Nanos::ZERO, sent_at: None };
        }
    }

    /// Requests waiting.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }
}

/// Spends at most a budget in any minute: the bucket holds three quarters of it and refills at
/// one quarter a minute. The venue counts clock minutes, whose borders we do not know exactly;
/// this holds for every one of them. The large share in the bucket serves the start, when all
/// books ask at once.
#[derive(Clone, Debug)]
struct TokenBucket {
    /// Weight times nanoseconds of a minute, so that refilling needs no division.
    level: u128,
    capacity: u128,
    refill_per_ns: u128,
    at: Nanos,
}

impl TokenBucket {
    fn new(budget_per_min: u32) -> Self {
        let capacity_weight = u128::from(budget_per_min - budget_per_min / 4);
        let capacity = capacity_weight * u128::from(MINUTE.0);
        let refill_per_ns = u128::from(budget_per_min / 4);
        Self { level: capacity, capacity, refill_per_ns, at: Nanos::ZERO }
    }

    fn take(&mut self, now: Nanos, weight: u32) -> bool {
        if self.capacity == 0 {
            return true;
        }
        let refill = u128::from(now.since(self.at).0) * self.refill_per_ns;
        self.level = (self.level + refill).min(self.capacity);
        self.at = self.at.max(now);
        let cost = u128::from(weight) * u128::from(MINUTE.0);
        if self.level < cost {
            return false;
        }
        self.level -= cost;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn desk(count: u16, weight: u32, budget: u32) -> SnapshotDesk {
        SnapshotDesk::new((0..count).map(|i| InstrumentId(i * 2)), weight, budget)
    }

    #[test]
    fn requests_are_served_once_in_order_and_spaced() {
        let mut desk = desk(3, 50, 6_000);
        let start = ResyncReason::Start;
        assert!(desk.request(InstrumentId(4), start, Nanos(1)));
        assert!(desk.request(InstrumentId(0), start, Nanos(1)));
        assert!(!desk.request(InstrumentId(4), start, Nanos(1)), "asked already");
        assert!(!desk.request(InstrumentId(1), start, Nanos(1)), "not ours");
        assert_eq!(
            (desk.next(Nanos(1)), desk.next(Nanos(1)), desk.next(Nanos(1))),
            (Some(2), Some(0), None)
        );
        assert!(desk.request(InstrumentId(0), ResyncReason::Gap, Nanos(2)));
        assert_eq!(desk.next(Nanos(2)), None, "spaced");
        assert_eq!(desk.next(Nanos(1) + SPACING), Some(0));
        let now = Nanos(1) + SPACING;
        assert!(desk.request(InstrumentId(0), ResyncReason::SnapshotFailed, now));
        assert_eq!(desk.next(now + SPACING), None);
        assert_eq!(desk.next(now + SPACING_FAILED), Some(0));
    }

    #[test]
    fn a_spaced_request_does_not_hold_up_the_others() {
        let mut desk = desk(2, 1, 0);
        desk.request(InstrumentId(0), ResyncReason::Start, Nanos(1));
        assert_eq!(desk.next(Nanos(1)), Some(0));
        desk.request(InstrumentId(0), ResyncReason::Gap, Nanos(2));
        desk.request(InstrumentId(2), ResyncReason::Gap, Nanos(2));
        assert_eq!(desk.next(Nanos(2)), Some(1));
        desk.clear();
        assert_eq!((desk.waiting(), desk.next(Nanos::MAX)), (0, None));
    }

    #[test]
    fn what_a_lost_connection_owed_is_asked_again() {
        let mut desk = desk(3, 1, 0);
        for n in 0..3 {
            desk.request(InstrumentId(2 * n), ResyncReason::Start, Nanos(1));
        }
        assert_eq!([(); 3].map(|()| desk.next(Nanos(1))), [Some(0), Some(1), Some(2)]);
        desk.answered();
        desk.request(InstrumentId(4), ResyncReason::SnapshotTimeout, Nanos(2));
        desk.ask_again(Nanos(3));
        assert_eq!(desk.waiting(), 2, "each once");
        assert_eq!([(); 2].map(|()| desk.next(Nanos(3))), [Some(1), None], "the other is spaced");
        assert_eq!(desk.next(Nanos(1) + SPACING), Some(2));
        desk.clear();
        desk.ask_again(Nanos(4));
        assert_eq!(desk.waiting(), 0, "the stream is lost: its books ask by themselves");
    }

    #[test]
    fn a_pause_that_the_venue_wants_holds_for_all() {
        let mut desk = desk(2, 1, 0);
        desk.pause(Nanos(50));
        desk.pause(Nanos(40));
        desk.request(InstrumentId(2), ResyncReason::Start, Nanos(1));
        desk.clear();
        desk.request(InstrumentId(0), ResyncReason::Start, Nanos(1));
        assert_eq!([49, 50].map(|at| desk.next(Nanos(at))), [None, Some(0)]);
    }

    proptest! {
        /// The naive twin adds up what was spent in every minute.
        #[test]
        fn no_minute_costs_more_than_the_budget(
            weight in 1u32..400, budget in 100u32..3_000,
            steps in proptest::collection::vec(0u64..20_000, 1..300),
        ) {
            let mut bucket = TokenBucket::new(budget);
            let (mut now, mut spent) = (Nanos::ZERO, Vec::new());
            for ms in steps {
                now = now + Nanos::from_millis(ms);
                if bucket.take(now, weight) {
                    spent.push(now);
                }
                let recent = spent.iter().filter(|at| now.since(**at) < MINUTE).count();
                prop_assert!(recent as u64 * u64::from(weight) <= u64::from(budget));
            }
        }
    }
}

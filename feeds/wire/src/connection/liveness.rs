//! Whether the peer still speaks. Pure: times in, verdicts out.

use bot4_types::Nanos;

/// Payload of our pings: their number.
const PING_LEN: usize = 8;

/// Pings and silence of one connection.
#[derive(Clone, Debug)]
pub struct Liveness {
    ping_every: Nanos,
    silent_after: Nanos,
    heard_at: Nanos,
    pinged_at: Nanos,
    /// When the oldest ping without an answer was sent.
    unanswered_since: Option<Nanos>,
    number: u64,
}

impl Liveness {
    /// Pings each `ping_every`; silent after `silent_after` without a byte.
    pub const fn new(ping_every: Nanos, silent_after: Nanos) -> Self {
        Self {
            ping_every,
            silent_after,
            heard_at: Nanos::ZERO,
            pinged_at: Nanos::ZERO,
            unanswered_since: None,
            number: 0,
        }
    }

    /// The connection is open since `now`.
    pub const fn open(&mut self, now: Nanos) {
        self.heard_at = now;
        self.pinged_at = now;
    }

    /// Bytes came.
    pub const fn heard(&mut self, now: Nanos) {
        self.heard_at = now;
        self.unanswered_since = None;
    }

    /// How long nothing came.
    pub const fn quiet_for(&self, now: Nanos) -> Nanos {
        now.since(self.heard_at)
    }

    /// The payload of the ping to send now, if one is due.
    pub fn ping_due(&mut self, now: Nanos) -> Option<[u8; PING_LEN]> {
        if self.ping_every == Nanos::MAX || now.since(self.pinged_at) < self.ping_every {
            return None;
        }
        self.pinged_at = now;
        self.unanswered_since.get_or_insert(now);
        self.number += 1;
        Some(self.number.to_be_bytes())
    }

    /// The round trip of the last ping where `payload` answers it.
    pub fn pong(&self, now: Nanos, payload: &[u8]) -> Option<Nanos> {
        (payload == self.number.to_be_bytes()).then(|| now.since(self.pinged_at))
    }

    /// Nothing was heard for too long, and the peer had its chance: a ping has been waiting for
    /// at least the time between `ping_every` and `silent_after`, so a pause of our own, in
    /// which no ping went out, is not taken for silence.
    pub fn is_silent(&self, now: Nanos) -> bool {
        if now.since(self.heard_at) < self.silent_after {
            return false;
        }
        if self.ping_every == Nanos::MAX {
            return true;
        }
        let chance = self.silent_after.since(self.ping_every);
        self.unanswered_since.is_some_and(|at| now.since(at) >= chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn fresh() -> Liveness {
        let mut liveness = Liveness::new(Nanos::from_secs(1), Nanos::from_secs(2));
        liveness.open(Nanos::ZERO);
        liveness
    }

    #[test]
    fn silence_is_noticed_after_two_seconds() {
        let mut liveness = fresh();
        assert_eq!(liveness.ping_due(Nanos(S - 1)), None);
        assert_eq!(liveness.ping_due(Nanos(S)), Some(1u64.to_be_bytes()));
        assert!(!liveness.is_silent(Nanos(2 * S - 1)));
        assert!(liveness.is_silent(Nanos(2 * S)));
        liveness.heard(Nanos(2 * S));
        assert!(!liveness.is_silent(Nanos(3 * S)));
    }

    #[test]
    fn a_pause_of_our_own_is_not_the_peers_silence() {
        let mut liveness = fresh();
        let resumed = Nanos(10 * S);
        assert!(liveness.ping_due(resumed).is_some());
        assert!(!liveness.is_silent(resumed));
        assert!(!liveness.is_silent(Nanos(11 * S - 1)));
        assert!(liveness.is_silent(Nanos(11 * S)));
    }

    #[test]
    fn round_trips_are_of_the_last_ping() {
        let mut liveness = fresh();
        let ping = liveness.ping_due(Nanos(S)).expect("due");
        assert_eq!(liveness.pong(Nanos(S + 5), &ping), Some(Nanos(5)));
        assert_eq!(liveness.pong(Nanos(S + 5), b"other"), None);
    }
}

//! The venue's clock, followed for as long as the run lasts. Requests carry venue time and a
//! window of one second; a clock measured once would drift out of it within days.

use bot4_types::{Nanos, Wall};

/// Between two questions for the venue's time.
const ASK_EVERY: Nanos = Nanos::from_secs(60);
/// Between two when the venue has just refused a request for its time.
const DOUBT_EVERY: Nanos = Nanos::from_secs(1);
/// Answers that took longer say too little.
const WAY_MAX: Nanos = Nanos::from_millis(200);
/// A stamp from the future is refused, so the clock is kept this much behind.
const BEHIND_NS: i64 = 1_000_000;
/// A jump beyond this is not drift: it is counted, and followed only where the venue refuses
/// requests for their time.
const JUMP_MAX_NS: i64 = 5_000_000_000;

/// The mapping from the lane's time to the venue's.
#[derive(Clone, Copy, Debug)]
pub struct VenueClock {
    wall: Wall,
    asked_at: Nanos,
    doubted: bool,
    /// The venue refused the present mapping, and no answer has corrected it since.
    refused: bool,
    /// Answers that said more than five seconds otherwise.
    pub jumps: u64,
}

impl VenueClock {
    /// A clock that was measured before the run.
    #[must_use]
    pub const fn new(wall: Wall) -> Self {
        Self { wall, asked_at: Nanos::ZERO, doubted: false, refused: false, jumps: 0 }
    }

    /// Venue time at `now`, Unix ms.
    #[must_use]
    pub const fn unix_ms(&self, now: Nanos) -> i64 {
        self.wall.unix_ms(now)
    }

    /// It is time to ask; notes that it is being done.
    pub fn take_due(&mut self, now: Nanos) -> bool {
        let every = if self.doubted { DOUBT_EVERY } else { ASK_EVERY };
        let due = now.since(self.asked_at) >= every;
        if due {
            self.asked_at = now;
            self.doubted = false;
        }
        due
    }

    /// The venue refused a request for its time: a clock has stepped, or this machine stood still
    /// in a way that its clock does not count. Asked again at once, at most every second.
    pub const fn doubt(&mut self) {
        self.doubted = true;
        self.refused = true;
    }

    /// The venue said that it was `venue_ms`; asked at `sent`, heard at `heard`. The stamp is taken
    /// to stand for the middle of the way.
    pub fn learned(&mut self, sent: Nanos, heard: Nanos, venue_ms: i64) {
        let way = heard.since(sent);
        if way > WAY_MAX {
            return;
        }
        let middle = (sent.0 + way.0 / 2) as i64;
        let origin =
            venue_ms.saturating_mul(1_000_000).saturating_sub(middle).saturating_sub(BEHIND_NS);
        if origin.saturating_sub(self.wall.origin_unix_ns).saturating_abs() > JUMP_MAX_NS {
            self.jumps += 1;
            // Two witnesses: the venue's time, and its refusal of ours. Without following, a
            // machine that was suspended could not even cancel.
            if !self.refused {
                return;
            }
        }
        self.refused = false;
        self.wall.origin_unix_ns = origin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: i64 = 1_700_000_000_000_000_000;

    fn clock() -> VenueClock {
        VenueClock::new(Wall { origin_unix_ns: ORIGIN })
    }

    #[test]
    fn drift_is_followed_and_stays_behind_the_venue() {
        let mut clock = clock();
        let (sent, heard) = (Nanos::from_secs(60), Nanos::from_millis(60_010));
        // The venue is 400 ms ahead of what we believe.
        let venue_ms = ORIGIN / 1_000_000 + 60_005 + 400;
        clock.learned(sent, heard, venue_ms);
        let error = clock.unix_ms(Nanos::from_millis(60_005)) - venue_ms;
        assert!((-2..=0).contains(&error), "{error} ms");
    }

    #[test]
    fn a_doubted_clock_is_asked_at_once_and_then_every_minute_again() {
        let mut clock = clock();
        assert!(clock.take_due(Nanos::from_secs(60)) && !clock.take_due(Nanos::from_secs(61)));
        clock.doubt();
        assert!(clock.take_due(Nanos::from_secs(61)) && !clock.take_due(Nanos::from_secs(119)));
        clock.doubt();
        assert!(
            !clock.take_due(Nanos::from_millis(61_999)) && clock.take_due(Nanos::from_secs(62))
        );
        assert!(clock.take_due(Nanos::from_secs(122)));
    }

    #[test]
    fn slow_answers_and_jumps_change_nothing() {
        let mut clock = clock();
        let before = clock.unix_ms(Nanos::ZERO);
        clock.learned(Nanos::ZERO, Nanos::from_millis(300), ORIGIN / 1_000_000 + 450);
        clock.learned(Nanos::ZERO, Nanos::from_millis(10), ORIGIN / 1_000_000 + 60_000);
        assert_eq!((clock.unix_ms(Nanos::ZERO), clock.jumps), (before, 1));
    }

    #[test]
    fn a_jump_is_followed_once_the_venue_refuses_our_time() {
        let (mut clock, later) = (clock(), ORIGIN / 1_000_000 + 60_000);
        let hear = |clock: &mut VenueClock| {
            clock.learned(Nanos::ZERO, Nanos::from_millis(10), later);
            clock.unix_ms(Nanos::from_millis(5)) - later
        };
        clock.doubt();
        // A slow answer corrects nothing, so the next one still may.
        clock.learned(Nanos::ZERO, Nanos::from_millis(300), later);
        assert!((-2..=0).contains(&hear(&mut clock)));
        assert_eq!(clock.jumps, 1);
        // Corrected: without another refusal the next jump is not followed.
        clock.learned(Nanos::ZERO, Nanos::from_millis(10), later + 90_000);
        assert!((-2..=0).contains(&hear(&mut clock)));
        assert_eq!(clock.jumps, 2);
    }

    #[test]
    fn it_asks_once_a_minute() {
        let mut clock = clock();
        assert!(!clock.take_due(Nanos::from_secs(59)));
        assert!(clock.take_due(Nanos::from_secs(61)));
        assert!(!clock.take_due(Nanos::from_secs(62)));
        assert!(clock.take_due(Nanos::from_secs(121)));
    }
}

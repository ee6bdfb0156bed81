//! Telling a dead reader from a busy one.

use bot4_types::Nanos;

/// A stall counts only when it was seen in this many turns: one long turn proves nothing.
const STALL_TURNS_MIN: u32 = 8;

/// How long an output has been full while its reader took nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stall {
    since: Option<Nanos>,
    taken: u64,
    turns: u32,
}

impl Stall {
    /// Notes at `now` whether the output is full, and a number that grows with what its reader
    /// took; true when the reader has been idle before a full link for longer than `max_ns`. A
    /// link that is full at every turn's end but moves is only busy.
    pub fn is_over(&mut self, full: bool, taken: u64, now: Nanos, max_ns: u64) -> bool {
        if !full || taken != self.taken {
            *self = Self { taken, ..Self::default() };
        }
        if !full {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.turns = self.turns.saturating_add(1);
        self.turns >= STALL_TURNS_MIN && now.since(since).0 > max_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_and_turns_without_movement_count() {
        let mut stall = Stall::default();
        let mut over = |full, taken, now| stall.is_over(full, taken, Nanos(now), 100);
        assert!((0..20).all(|now| !over(true, 5, now)), "not long enough");
        assert!(over(true, 5, 101));
        assert!(!over(true, 6, 102), "the reader took one");
        assert!(!over(true, 6, 500), "few turns");
        assert!((501..506).all(|now| !over(true, 6, now)));
        assert!(over(true, 6, 506), "eight turns and long enough");
        assert!(!over(false, 6, 507));
    }
}

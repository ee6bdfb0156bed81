//! Who may ask what, how often, and once only: what is judged before a request is obeyed.
//!
//! * Only the engine's own user (and root, who may do anything) is served.
//! * A request may say that its asker only reads: a page for onlookers passes that on.
//! * Reads and acts have a budget each, so that a flood of one leaves the other alone.
//! * An act carries a number that was never used and its time: one that somebody recorded and says
//!   again is refused, also in a later run of the account. It may say how long its asker waits: who
//!   was told "no answer" by an engine that was suspended does not find it obeyed afterwards.
//!
//! A kill is different, because a stop is safe and a lost stop is not: it needs no stamp and has
//! no budget. Only one that was said before, by its number, is refused: it was obeyed then.
//! Cost: a search among the acts of a minute.

use std::collections::VecDeque;

use bot4_risk::rate::Bucket;
use bot4_types::Nanos;

use super::message::{Asked, Request, Role};
use super::refusal::{Refused, Why};

/// Requests to read in a second, and at once.
const READS: (u32, u32) = (100, 200);
/// Acts in a second, and at once.
const ACTS: (u32, u32) = (10, 40);
/// How far an act's time may lie from the engine's clock, either way.
pub const AGE_MS_MAX: i64 = 30_000;
/// Acts that are remembered: all that the budget lets in while their time is good.
const SEEN_MAX: usize = (ACTS.0 as usize * 2 * AGE_MS_MAX as usize / 1_000) + ACTS.1 as usize;

/// The process at the other end of the socket, by the kernel's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its number.
    pub pid: u32,
}

impl Peer {
    /// Is served by an engine of user `own`.
    ///
    /// # Errors
    /// [`Why::NotOwner`].
    pub fn permit(self, own: u32) -> Result<(), Refused> {
        if self.uid == own || self.uid == 0 {
            return Ok(());
        }
        let text = format!("user {} may not; this engine is user {own}'s: ask as that", self.uid);
        Err(Refused::new(Why::NotOwner, text))
    }
}

/// Judges requests.
pub struct Admission {
    started: Nanos,
    reads: Bucket,
    acts: Bucket,
    seen: VecDeque<u128>,
}

impl Admission {
    /// For an engine that started at `started` of its clock.
    #[must_use]
    pub fn new(started: Nanos) -> Self {
        let [reads, acts] = [READS, ACTS].map(|(per_s, burst)| Bucket::new(per_s, burst));
        Self { started, reads, acts, seen: VecDeque::with_capacity(SEEN_MAX) }
    }

    /// Lets `asked` in at `now`, which is `now_ms` of Unix time. What is let in is remembered.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&mut self, asked: &Asked, now: Nanos, now_ms: i64) -> Result<(), Refused> {
        if asked.request.is_read() {
            return pass(&mut self.reads, READS.0, now);
        }
        if asked.role == Role::Read {
            let text = "this asker may read only: ask with the key or as the user that may act";
            return Err(Refused::new(Why::ReadOnly, text));
        }
        let stop = matches!(asked.request, Request::Kill { .. });
        if asked.stamp.as_ref().is_some_and(|stamp| self.seen.contains(&stamp.nonce)) {
            let text = "an act of this number was said before: give each act a number of its own";
            return Err(Refused::new(Why::Replayed, text));
        }
        if !stop {
            self.fresh(asked, now, now_ms)?;
            pass(&mut self.acts, ACTS.0, now)?;
        }
        if let Some(stamp) = &asked.stamp {
            if self.seen.len() == SEEN_MAX {
                self.seen.pop_front();
            }
            self.seen.push_back(stamp.nonce);
        }
        Ok(())
    }

    fn fresh(&self, asked: &Asked, now: Nanos, now_ms: i64) -> Result<(), Refused> {
        let Some(stamp) = &asked.stamp else {
            let text = "an act needs \"stamp\": {\"nonce\": 16 to 32 hexadecimal digits that were \
                        never used, \"at_ms\": the Unix time in ms}";
            return Err(Refused::new(Why::Unstamped, text));
        };
        let apart = stamp.at_ms.saturating_sub(now_ms);
        // The start by the wall clock of now: where it was set, the time of then means nothing.
        let up_ms = i64::try_from(now.since(self.started).millis()).unwrap_or(i64::MAX);
        let started_ms = now_ms.saturating_sub(up_ms.saturating_add(1));
        if apart.unsigned_abs() > AGE_MS_MAX.unsigned_abs() || stamp.at_ms < started_ms {
            let text = format!(
                "the act says Unix time {} ms, it is {now_ms} ms, and this engine started at \
                 {started_ms} ms: say it anew, and look at the asker's clock",
                stamp.at_ms
            );
            return Err(Refused::new(Why::Stale, text));
        }
        let late_ms = stamp.for_ms.map_or(0, |for_ms| -apart - i64::from(for_ms));
        if late_ms > 0 {
            let text = format!("its asker stopped waiting {late_ms} ms ago: nothing was changed");
            return Err(Refused::new(Why::Stale, text));
        }
        Ok(())
    }
}

fn pass(bucket: &mut Bucket, per_s: u32, now: Nanos) -> Result<(), Refused> {
    if !bucket.is_ready(now) {
        let text = format!("more than {per_s} such requests a second: ask again in a second");
        return Err(Refused::new(Why::TooMany, text));
    }
    bucket.take(now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::message::Stamp;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn act(nonce: u128, at_ms: i64) -> Asked {
        let request = Request::Resume { reason: "x".to_owned() };
        let stamp = Some(Stamp { nonce, at_ms, for_ms: None });
        Asked { stamp, ..Asked::of(request) }
    }

    fn kill(nonce: Option<u128>, at_ms: i64) -> Asked {
        let request = Request::Kill { reason: "x".to_owned(), flatten: false };
        Asked {
            stamp: nonce.map(|nonce| Stamp { nonce, at_ms, for_ms: None }),
            ..Asked::of(request)
        }
    }

    /// `ms` after [`NOW_MS`], when the engine has been up for [`UP`].
    fn why(admission: &mut Admission, asked: &Asked, ms: u64) -> Option<Why> {
        why_by(admission, asked, ms, 0)
    }

    /// The same by a wall clock that was stepped.
    fn why_by(a: &mut Admission, asked: &Asked, ms: u64, step_ms: i64) -> Option<Why> {
        let now = UP + Nanos::from_millis(ms);
        a.admit(asked, now, NOW_MS + ms as i64 + step_ms).err().map(|refused| refused.why)
    }

    const UP: Nanos = Nanos::from_secs(10);

    fn started_before(ms: u64) -> Admission {
        Admission::new(Nanos(UP.0 - Nanos::from_millis(ms).0))
    }

    #[test]
    fn an_act_is_new_and_of_now_and_a_replay_is_none() {
        let mut a = started_before(10_000);
        assert_eq!(why(&mut a, &act(1, NOW_MS), 0), None);
        assert_eq!(why(&mut a, &act(1, NOW_MS), 1), Some(Why::Replayed));
        assert_eq!(why(&mut a, &act(1, NOW_MS + 5), 1), Some(Why::Replayed), "with another time");
        assert_eq!(why(&mut a, &act(2, NOW_MS), 31_000), Some(Why::Stale), "recorded long ago");
        assert_eq!(why(&mut a, &act(3, NOW_MS - 10_002), 0), Some(Why::Stale), "of an earlier run");
        assert_eq!(why(&mut a, &act(4, i64::MIN), 0), Some(Why::Stale));
        assert_eq!(why(&mut a, &act(5, i64::MAX), 0), Some(Why::Stale));
        let bare = Asked::of(Request::Resume { reason: "x".to_owned() });
        assert_eq!(why(&mut a, &bare, 0), Some(Why::Unstamped));
        // What was refused may be said again rightly.
        assert_eq!(why(&mut a, &act(2, NOW_MS + 31_000), 31_000), None);
    }

    #[test]
    fn a_stop_needs_no_stamp_and_has_no_budget() {
        let mut a = started_before(0);
        for _ in 0..1_000 {
            assert_eq!(why(&mut a, &kill(None, 0), 0), None);
        }
        assert_eq!(why(&mut a, &kill(Some(7), NOW_MS - 1_000_000), 0), None, "a clock that lies");
        assert_eq!(why(&mut a, &kill(Some(7), NOW_MS), 0), Some(Why::Replayed));
        let onlooker = Asked { role: Role::Read, ..kill(None, 0) };
        assert_eq!(why(&mut a, &onlooker, 0), Some(Why::ReadOnly));
    }

    /// An engine that was suspended obeys nobody who has gone away, but for a stop.
    #[test]
    fn who_waits_no_more_is_not_obeyed() {
        let mut a = started_before(5_000);
        let late = |nonce, for_ms| {
            let stamp = Some(Stamp { nonce, at_ms: NOW_MS, for_ms: Some(for_ms) });
            Asked { stamp, ..act(nonce, NOW_MS) }
        };
        assert_eq!(why(&mut a, &late(1, 1_000), 1_000), None);
        assert_eq!(why(&mut a, &late(2, 1_000), 1_001), Some(Why::Stale));
        assert_eq!(why(&mut a, &late(2, u32::MAX), 1_001), None);
        let stop = Asked { stamp: late(3, 0).stamp, ..kill(None, 0) };
        assert_eq!(why(&mut a, &stop, 20_000), None);
    }

    #[test]
    fn floods_stop_at_their_own_budget() {
        let mut a = started_before(0);
        let read = Asked { role: Role::Read, ..Asked::of(Request::Status) };
        let passed = (0..1_000).filter(|_| why(&mut a, &read, 0).is_none()).count();
        assert_eq!(passed, READS.1 as usize);
        assert_eq!(why(&mut a, &act(1, NOW_MS), 0), None, "acts have their own");
        let passed = (2..1_000).filter(|n| why(&mut a, &act(*n, NOW_MS), 0).is_none()).count();
        assert_eq!(passed, ACTS.1 as usize - 1);
        assert_eq!(why(&mut a, &act(1_000, NOW_MS), 0), Some(Why::TooMany));
        assert_eq!(why(&mut a, &act(1_000, NOW_MS), 100), None, "it comes back");
        assert_eq!(why(&mut a, &read, 10), None);
    }

    /// Whatever comes within the time that an act is good for, its number is still known.
    #[test]
    fn no_number_is_forgotten_while_it_could_be_replayed() {
        let mut a = started_before(0);
        assert_eq!(why(&mut a, &act(1, NOW_MS + AGE_MS_MAX), 0), None);
        let mut nonce = 2;
        for ms in (0..=2 * AGE_MS_MAX as u64).step_by(100) {
            while why(&mut a, &act(nonce, NOW_MS + ms as i64), ms).is_none() {
                nonce += 1;
            }
        }
        let late = 2 * AGE_MS_MAX as u64;
        assert_eq!(why(&mut a, &act(1, NOW_MS + AGE_MS_MAX), late), Some(Why::Replayed));
        assert!(a.seen.len() <= SEEN_MAX && nonce > 600, "{nonce}");
    }

    /// A clock that is set, back or ahead, by an hour or a day: who asks by it is heard at once,
    /// what was said by it before is not, and a stop is obeyed whatever it says.
    #[test]
    fn a_stepped_clock_shuts_nobody_out() {
        for step_ms in [-86_400_000, -3_600_000, -60_000, 60_000, 3_600_000, 86_400_000] {
            let mut a = started_before(5_000);
            assert_eq!(why(&mut a, &act(1, NOW_MS), 0), None);
            let stepped = |at: u64| NOW_MS + at as i64 + step_ms;
            assert_eq!(why_by(&mut a, &act(2, stepped(100)), 100, step_ms), None, "{step_ms}");
            assert_eq!(why_by(&mut a, &act(3, NOW_MS), 100, step_ms), Some(Why::Stale));
            assert_eq!(why_by(&mut a, &act(1, NOW_MS), 100, step_ms), Some(Why::Replayed));
            assert_eq!(why_by(&mut a, &act(2, stepped(100)), 200, step_ms), Some(Why::Replayed));
            assert_eq!(why_by(&mut a, &kill(Some(4), NOW_MS), 100, step_ms), None);
        }
    }

    #[test]
    fn only_the_owner_and_root_are_served() {
        let peer = |uid| Peer { uid, pid: 1 };
        assert!(peer(1_000).permit(1_000).is_ok() && peer(0).permit(1_000).is_ok());
        let refused = peer(1_001).permit(1_000).expect_err("a stranger");
        assert_eq!(refused.why, Why::NotOwner);
        assert!(refused.text.contains("1001") && refused.text.contains("1000"), "{refused}");
    }
}

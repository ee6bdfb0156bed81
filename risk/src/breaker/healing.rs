//! What a venue's trouble opened is tried as soon as the venue is well, instead of sitting out its
//! time.
//!
//! A breaker's timeout stands for what nobody knows: when it is worth trying again. Of a venue we
//! know better. Its session is logged on and reconciled again (the session came back), or it has
//! accounted for every order that it left without an answer. Either is stronger evidence than five
//! seconds. So a breaker that lost or late answers, limits or a venue's clock have opened turns
//! half-open with the evidence: a few probes go, and the first failure opens it again. One that an
//! order's own terms have opened (rejects, losses) stays open for its time, whatever the session.
//!
//! What fails in spite of the evidence is not hammered: ahead of its time a breaker is tried once
//! in `open_ns`, so at worst twice as often as by its time alone. Trading is therefore never held
//! back for longer than `open_ns` after the venue is well.

use bot4_types::limits::VENUES_MAX;
use bot4_types::{Nanos, VenueId};
use serde::{Deserialize, Serialize};

use super::status::Tick;
use crate::sessions::Sessions;

/// Why one breaker is open.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Ailment {
    /// The venue whose trouble opened it; none: nothing but time heals it.
    venue: Option<VenueId>,
    opened: Nanos,
    /// When it was last to be tried ahead of its time.
    tried: Option<Nanos>,
}

/// What opened each breaker, and how the venues are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Healing {
    ailments: Box<[Ailment]>,
    ready: Sessions,
    /// When each venue's session came back last.
    back: [Nanos; VENUES_MAX],
}

impl Healing {
    pub(super) fn new(breakers: usize) -> Self {
        let ailments = vec![Ailment::default(); breakers].into_boxed_slice();
        Self { ailments, ready: Sessions::default(), back: [Nanos::ZERO; VENUES_MAX] }
    }

    /// Breaker `index` has opened at `now`: by trouble of `venue`, or by something else.
    pub(super) fn opened(&mut self, index: usize, venue: Option<VenueId>, now: Nanos) {
        let ailment = &mut self.ailments[index];
        (ailment.venue, ailment.opened) = (venue, now);
    }

    /// The session of `venue` is ready, or not any more.
    pub(super) fn session(&mut self, venue: VenueId, ready: bool, now: Nanos) {
        if let Some(back) = self.back.get_mut(venue.index())
            && ready
            && !self.ready.is_ready(venue)
        {
            *back = now;
        }
        self.ready.set(venue, ready);
    }

    /// When breaker `index`, open until `until`, should be tried: earlier than that, or none.
    /// `is_settled` says whether a venue has accounted for all orders.
    pub(super) fn try_at(
        &mut self,
        index: usize,
        until: Tick,
        now: Nanos,
        open_ns: u64,
        is_settled: impl Fn(VenueId) -> bool,
    ) -> Option<Tick> {
        let ailment = &mut self.ailments[index];
        let venue = ailment.venue.filter(|venue| self.ready.is_ready(*venue))?;
        let back = self.back.get(venue.index()).copied().unwrap_or(Nanos::ZERO);
        if back < ailment.opened && !is_settled(venue) {
            return None;
        }
        let next = ailment.tried.map_or(Nanos::ZERO, |tried| tried + Nanos(open_ns));
        let at = now.max(next);
        let earlier = Tick::floor(at) < until;
        if earlier {
            ailment.tried = Some(at);
        }
        earlier.then_some(Tick::floor(at))
    }
}

//! How each venue has done of late, as the router hears it: what it takes to answer, and whether it
//! is better left alone for a while. A function of reports alone, so a replay leads to the same.

use bot4_types::limits::VENUES_MAX;
use bot4_types::{DoneReason, InstrumentId, Nanos, RefuseReason, VenueId};

/// After a refusal for its budget, its session or its breaker, a venue is left alone for so long.
const VENUE_PAUSE: Nanos = Nanos::from_millis(250);
/// After a refusal for balance or a filter, an instrument is.
const INSTRUMENT_PAUSE: Nanos = Nanos::from_secs(1);
/// The estimate moves by this part of itself, at least a microsecond.
const STEP: u64 = 64;
const STEP_MIN: u64 = 1_000;

/// What a refusal says about whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// All of the venue.
    Venue,
    /// This instrument there.
    Instrument,
    /// Neither: it was about the order or about us.
    Nobody,
}

/// All venues and instruments.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The 99th percentile of acknowledgements, ns; zero before the first.
    ack_p99: [u64; VENUES_MAX],
    /// Left alone until then, by venue.
    venues: [Nanos; VENUES_MAX],
    /// By instrument.
    instruments: Vec<Nanos>,
}

impl Standing {
    /// Makes the table. Allocates; nothing later does.
    pub(crate) fn reserve(&mut self, instruments: usize) {
        self.instruments = vec![Nanos::ZERO; instruments];
    }

    /// `venue` took `ns` to acknowledge an order. The estimate goes up by 99 parts at a longer
    /// one, and down by one part at a shorter one: it rests where one in a hundred is longer.
    pub(crate) fn acked(&mut self, venue: VenueId, ns: u64) {
        let Some(held) = self.ack_p99.get_mut(venue.index()) else { return };
        if *held == 0 {
            *held = ns.max(1);
            return;
        }
        let step = (*held / STEP).max(STEP_MIN);
        *held = match ns > *held {
            true => held.saturating_add(step * 99 / 100),
            false => held.saturating_sub(step / 100).max(1),
        };
    }

    /// The 99th percentile of acknowledgements; zero before the first.
    pub(crate) fn ack_p99(&self, venue: VenueId) -> Nanos {
        Nanos(self.ack_p99.get(venue.index()).copied().unwrap_or(0))
    }

    /// An order of `instrument` at `venue` was refused.
    pub(crate) fn refused(
        &mut self,
        (venue, instrument): (VenueId, InstrumentId),
        blame: Blame,
        now: Nanos,
    ) {
        let (until, pause) = match blame {
            Blame::Venue => (self.venues.get_mut(venue.index()), VENUE_PAUSE),
            Blame::Instrument => (self.instruments.get_mut(instrument.index()), INSTRUMENT_PAUSE),
            Blame::Nobody => return,
        };
        if let Some(until) = until {
            *until = (*until).max(now + pause);
        }
    }

    /// Neither `venue` nor `instrument` is left alone at `now`.
    pub(crate) fn may_try(&self, venue: VenueId, instrument: InstrumentId, now: Nanos) -> bool {
        let venue = self.venues.get(venue.index());
        let instrument = self.instruments.get(instrument.index());
        venue.is_some_and(|until| now >= *until) && instrument.is_some_and(|until| now >= *until)
    }
}

/// What the gate's refusal says.
pub(crate) const fn by_gate(reason: RefuseReason) -> Blame {
    use RefuseReason as R;
    match reason {
        R::Session | R::BreakerVenue | R::Weight => Blame::Venue,
        R::Balance
        | R::BookNotLive
        | R::BookStale
        | R::NotTradable
        | R::InstrumentChanging
        | R::InstrumentPaused
        | R::Shed
        | R::BreakerInstrument
        | R::Unknown
        | R::Position
        | R::OpenOrders => Blame::Instrument,
        _ => Blame::Nobody,
    }
}

/// What the end of an order that traded nothing says.
pub(crate) const fn by_venue(reason: DoneReason) -> Blame {
    use DoneReason as D;
    match reason {
        D::NoBudget | D::NoSession | D::RateLimit | D::Window => Blame::Venue,
        D::Balance | D::Filter | D::Other => Blame::Instrument,
        _ => Blame::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::rng::SplitMix64;

    #[test]
    fn the_estimate_follows_the_99th_percentile() {
        let mut standing = Standing::default();
        let mut rng = SplitMix64::new(3);
        let mut all = Vec::new();
        for n in 0..200_000 {
            // Mostly 100 to 200 us, one in twenty up to 2 ms.
            let long = rng.next_u64().is_multiple_of(20);
            let ns = 100_000 + rng.next_u64() % if long { 1_900_000 } else { 100_000 };
            standing.acked(VenueId(1), ns);
            if n > 100_000 {
                all.push(ns);
            }
        }
        all.sort_unstable();
        let exact = all[all.len() * 99 / 100];
        let found = standing.ack_p99(VenueId(1)).0;
        assert!(found.abs_diff(exact) < exact / 5, "{found} for {exact}");
        assert_eq!(standing.ack_p99(VenueId(0)), Nanos::ZERO);
    }

    #[test]
    fn who_is_to_blame_is_left_alone_and_nobody_else() {
        let mut standing = Standing::default();
        standing.reserve(3);
        let (here, there) = ((VenueId(0), InstrumentId(0)), (VenueId(1), InstrumentId(2)));
        let at = |ms| Nanos::from_millis(ms);
        standing.refused(here, by_venue(DoneReason::NoBudget), at(0));
        assert!(!standing.may_try(VenueId(0), InstrumentId(1), at(100)));
        assert!(standing.may_try(VenueId(1), InstrumentId(2), at(100)));
        assert!(standing.may_try(VenueId(0), InstrumentId(0), at(250)));
        standing.refused(there, by_gate(RefuseReason::Balance), at(300));
        assert!(!standing.may_try(VenueId(1), InstrumentId(2), at(1_200)));
        assert!(standing.may_try(VenueId(1), InstrumentId(1), at(1_200)));
        standing.refused(there, by_gate(RefuseReason::Killed), at(2_000));
        assert!(standing.may_try(VenueId(1), InstrumentId(2), at(2_000)));
    }
}

//! At which venues an order could leave now: one bit each.

use bot4_types::VenueId;
use bot4_types::limits::VENUES_MAX;
use serde::{Deserialize, Serialize};

/// The venues whose order-entry session is ready. None at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions(u8);

const _: () = assert!(VENUES_MAX <= u8::BITS as usize);

impl Sessions {
    /// That of `venue` is ready from now on, or not; a venue that cannot be changes nothing.
    pub const fn set(&mut self, venue: VenueId, ready: bool) {
        if venue.index() >= VENUES_MAX {
            return;
        }
        let bit = 1 << venue.0;
        self.0 = if ready { self.0 | bit } else { self.0 & !bit };
    }

    /// That of `venue` is ready.
    #[must_use]
    #[inline]
    pub const fn is_ready(self, venue: VenueId) -> bool {
        venue.index() < VENUES_MAX && self.0 >> venue.0 & 1 != 0
    }

    /// Those of the first `venues` all are.
    #[must_use]
    pub const fn are_ready(self, venues: usize) -> bool {
        self.0.trailing_ones() as usize >= venues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_venue_has_its_own() {
        let mut sessions = Sessions::default();
        sessions.set(VenueId(1), true);
        assert!(sessions.is_ready(VenueId(1)) && !sessions.is_ready(VenueId(0)));
        assert!(!sessions.are_ready(2));
        sessions.set(VenueId(0), true);
        sessions.set(VenueId(200), true);
        assert!(sessions.are_ready(2) && !sessions.are_ready(3));
        sessions.set(VenueId(1), false);
        assert!(sessions.are_ready(1) && !sessions.are_ready(2));
        assert!(!sessions.is_ready(VenueId(200)));
    }
}

//! A balance that follows the venue's word: a person or the configuration says that what nobody
//! explains is money that came or went.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, Instrument, InstrumentId, VenueId};

use super::Ledger;

impl Ledger {
    /// So much of `asset` came, or went (negative), without a fill.
    pub fn follow(&mut self, asset: AssetId, came: Amount) {
        if let Some(account) = self.accounts.get_mut(usize::from(asset.0)) {
            account.start = account.start.saturating_add(came);
        }
    }

    /// The fate of every order at `venue` is known and no fill there is known to be missing.
    #[must_use]
    pub fn is_certain_at(&self, venue: VenueId) -> bool {
        let there = |i: InstrumentId| self.table.get(i).is_some_and(|i| i.venue == venue);
        self.is_settled_at(venue) && !self.orders.settling().any(|slot| there(slot.instrument))
    }

    /// The venue has accounted for every order there: none is of unknown fate. Looks at every
    /// instrument.
    #[must_use]
    pub fn is_settled_at(&self, venue: VenueId) -> bool {
        let unknown = |i: &Instrument| self.total(i.id).is_some_and(|e| e.unknown != [0; 2]);
        self.unknown_orders() == 0
            || !self.table.all().iter().any(|i| i.venue == venue && unknown(i))
    }
}

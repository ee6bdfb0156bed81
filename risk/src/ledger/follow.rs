//! A balance that follows the venue's word: a person or the configuration says that what nobody
//! explains is money that came or went.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, Instrument, VenueId};

use super::Ledger;

impl Ledger {
    /// So much of `asset` came, or went (negative), without a fill.
    pub fn follow(&mut self, asset: AssetId, came: Amount) {
        if let Some(account) = self.accounts.get_mut(usize::from(asset.0)) {
            account.start = account.start.saturating_add(came);
        }
    }

    /// Every order's fate is known and no fill is known to be missing.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        self.unknown_orders() == 0 && self.settling_orders() == 0
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

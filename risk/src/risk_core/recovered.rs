//! The account at the start: what is held from earlier runs, and what the start found out.

use bot4_types::{AssetId, HeldPosition, VenueId};

use super::RiskCore;
use super::truth::Truth;
use crate::config::RiskConfig;

impl RiskCore {
    /// Begins with what `config` says of the account's past.
    pub(super) fn begin(&mut self, config: &RiskConfig) {
        let found = &config.recovered;
        self.ledger.take_over(&config.held);
        for fill in &found.late {
            self.ledger.book_late(fill);
        }
        for (asset, came) in &found.doubts {
            self.ledger.follow(*asset, came.saturating_neg());
        }
        let late = found.late.iter().map(|f| (f.strategy, f.instrument));
        let held = config.held.iter().map(|h: &HeldPosition| (h.strategy, h.instrument));
        for (strategy, instrument) in held.chain(late) {
            self.statistics.follow(&self.ledger, instrument);
            self.aggregate.on_exposure(strategy, instrument, &self.ledger, &self.valuation);
        }
        let row = |a: usize| {
            let asset = AssetId(a as u8);
            let venue = config.table.venue_of(asset).unwrap_or(VenueId(0));
            (venue, self.ledger.expected_balance(asset))
        };
        self.truth = Truth::new((0..self.assets).map(row));
        for (asset, came) in &found.doubts {
            self.doubt(*asset, *came);
        }
        for instrument in &found.stopped {
            self.changes.set_drift(*instrument, true);
        }
    }
}

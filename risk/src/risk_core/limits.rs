//! Limits and control mode of a running core: what holds, and how it changes.

use bot4_types::{ControlMode, InstrumentId};

use super::RiskCore;
use crate::caps::Caps;
use crate::limits::LimitError;
use crate::scopes::LimitBook;

impl RiskCore {
    /// Who may increase risk.
    #[must_use]
    pub const fn mode(&self) -> ControlMode {
        self.mode
    }

    /// The mode that a changed configuration asked for last; none while it has not changed.
    #[must_use]
    pub const fn mode_configured(&self) -> Option<ControlMode> {
        self.mode_configured
    }

    /// Changes of limits that were taken, and that were not: sent by halves, or not to be meant.
    #[must_use]
    pub const fn limit_changes(&self) -> (u64, u64) {
        (self.limit_changes, self.limit_changes_refused)
    }

    /// The limits as configured.
    #[must_use]
    pub const fn limit_book(&self) -> &LimitBook {
        &self.book
    }

    /// The limits as resolved over scopes, mode and equity.
    #[must_use]
    pub const fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Another control mode: who may increase risk, and within which share of the limits.
    pub fn set_mode(&mut self, mode: ControlMode) {
        self.mode = mode;
        self.caps.resolve(&self.book, self.ledger.table(), mode, self.curve.point());
    }

    /// Other limits from now on, all at once: `change` makes them of those that hold. What is
    /// above a limit that is tighter now stays as it is, and does not grow.
    ///
    /// # Errors
    /// The first limit that cannot be meant; the old ones stay.
    pub fn change_limits(&mut self, change: &LimitBook) -> Result<(), LimitError> {
        change.validate()?;
        self.book.change_to(change);
        if let Some(breakers) = &change.breakers {
            self.breakers.reconfigure(breakers);
        }
        self.obey_limits();
        Ok(())
    }

    /// Takes the limits that were set aside, if they are those that the commit speaks of.
    pub(super) fn commit_limits(&mut self, len: u32, sum: u64) {
        match self.staging.commit(len, sum) {
            Ok(change) => {
                self.book.change_to(change);
                if let Some(breakers) = &change.breakers {
                    self.breakers.reconfigure(breakers);
                }
                self.limit_changes += 1;
                self.obey_limits();
            }
            Err(_) => self.limit_changes_refused += 1,
        }
    }

    fn obey_limits(&mut self) {
        self.rates.reconfigure(&self.book, self.now);
        self.caps.resolve(&self.book, self.ledger.table(), self.mode, self.curve.point());
        self.spread_margins();
    }

    /// Gives the sums each instrument's maintenance margin.
    pub(super) fn spread_margins(&mut self) {
        for i in 0..self.book.instruments.len() {
            let id = InstrumentId(i as u16);
            let e4 = self.caps.instrument(id).map_or(0, |caps| caps.maintenance_e4);
            self.aggregate.set_maintenance(id, e4);
        }
    }
}

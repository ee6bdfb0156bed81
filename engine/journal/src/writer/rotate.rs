//! A segment that a person ends before it is full.

use bot4_types::Nanos;

use super::{JournalError, JournalWriter};

impl JournalWriter {
    /// Ends the current segment before it is full, where it holds a record and the next one is
    /// ready. False: not now; ask again next turn. A segment without records is left as it is.
    ///
    /// # Errors
    /// When a helper is gone.
    pub fn rotate_now(&mut self, now: Nanos) -> Result<bool, JournalError> {
        let holds = self.current.as_ref().is_some_and(|c| c.records > 0);
        if !holds || self.trouble.is_some() {
            // In trouble the reserve is for what the cancels need.
            return Ok(true);
        }
        if self.spare.is_none() || !self.syncs.has_room() || !self.rotate(now)? {
            return Ok(false);
        }
        self.stats.rotations += 1;
        Ok(true)
    }
}

//! Sizes and pace of the book agent.

use bot4_types::{BookRules, InstrumentId};

use crate::ladder::{FAR_LEVELS, WINDOW_STEPS};
use crate::sync::SyncConfig;

/// Configuration of one book agent.
///
/// Memory an instrument: `2 * (8 * window_steps + 43 * far_levels)` bytes of ladder,
/// 16 bytes a buffered level, 40 a quote and 8 KiB of trade ids; 8.7 MB with the defaults, of
/// which the far stores' share is touched only as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookConfig {
    /// Price steps of each window; see [`crate::Ladder::new`] for the bounds.
    pub window_steps: usize,
    /// Instruments whose window differs from that.
    pub window_steps_for: Vec<(InstrumentId, usize)>,
    /// Levels a side outside the window; one more makes the book stale (`Capacity`).
    pub far_levels: usize,
    /// Best quotes remembered ahead of the book: a burst of 1,300 a second is ten diffs of 130.
    pub quotes_max: usize,
    /// How the venue keeps books in step. Where it cuts its snapshots
    /// ([`BookRules::snapshot_levels`]), a book whose first levels come near the cut starts over
    /// with a fresh one; offline, where nobody trades on the book, that is set to zero.
    pub rules: BookRules,
    /// Instruments whose venue has other rules than that.
    pub rules_for: Vec<(InstrumentId, BookRules)>,
    /// Messages a turn.
    pub batch: usize,
    /// Synchronisation.
    pub sync: SyncConfig,
}

impl Default for BookConfig {
    fn default() -> Self {
        Self {
            window_steps: WINDOW_STEPS,
            window_steps_for: Vec::new(),
            far_levels: FAR_LEVELS,
            quotes_max: 1_024,
            rules: BookRules::default(),
            rules_for: Vec::new(),
            batch: 64,
            sync: SyncConfig::default(),
        }
    }
}

impl BookConfig {
    /// Price steps of the window of `instrument`.
    #[must_use]
    pub fn steps_of(&self, instrument: InstrumentId) -> usize {
        let found = self.window_steps_for.iter().find(|(id, _)| *id == instrument);
        found.map_or(self.window_steps, |(_, steps)| *steps)
    }

    /// The rules of `instrument`.
    #[must_use]
    pub fn rules_of(&self, instrument: InstrumentId) -> BookRules {
        let found = self.rules_for.iter().find(|(id, _)| *id == instrument);
        found.map_or(self.rules, |(_, rules)| *rules)
    }
}

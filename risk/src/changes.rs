//! Instruments that the control lane closed: their rules change, or they are paused.
//!
//! ```text
//! open --Rules--> changing --last resting order gone, new rules bound--> open
//!   '---Rules that need no resync: bound at once--^
//!   '---Pause--> paused --Resume or Rules--^
//!   '---balance in doubt--> drifted --a person accepts--^
//!   '---pressure--> shed --it eases--^
//! ```
//! A change waits for the end of every order of its instrument, because the stages behind shaped
//! those by the old rules. What the stages before must hear is kept as the newest state of each
//! instrument, not as a queue: it needs no room and is never lost. Cost: a branch where nothing
//! changes. No allocation after construction.

use bot4_types::{InstrumentId, InstrumentRules, PauseReason, RefuseReason};
use serde::{Deserialize, Serialize};

/// One instrument.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Row {
    /// Rules that wait for the orders that rest.
    pending: Option<InstrumentRules>,
    /// No new orders while they wait.
    closed: bool,
    paused: Option<PauseReason>,
    /// What the venue says of its base asset is not what we hold.
    drift: bool,
    /// It was given up under pressure.
    shed: bool,
    /// The stages before risk were told last that it is.
    shed_told: bool,
    change: u32,
    untold: bool,
}

/// All instruments. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changes {
    rows: Box<[Row]>,
    /// Rows that are `untold`.
    untold: usize,
}

impl Changes {
    /// Every one of `instruments` is open.
    #[must_use]
    pub fn new(instruments: usize) -> Self {
        Self { rows: vec![Row::default(); instruments].into_boxed_slice(), untold: 0 }
    }

    /// # Errors
    /// Why there are no new orders of `instrument`.
    pub fn check(&self, instrument: InstrumentId) -> Result<(), RefuseReason> {
        match self.rows.get(instrument.index()) {
            Some(Row { paused: Some(_), .. } | Row { drift: true, .. }) => {
                Err(RefuseReason::InstrumentPaused)
            }
            Some(Row { closed: true, .. }) => Err(RefuseReason::InstrumentChanging),
            _ => Ok(()),
        }
    }

    /// Why `instrument` is paused, if it is.
    #[must_use]
    pub fn paused(&self, instrument: InstrumentId) -> Option<PauseReason> {
        self.rows.get(instrument.index())?.paused
    }

    /// The rules that wait for the orders of `instrument`.
    #[must_use]
    pub fn pending(&self, instrument: InstrumentId) -> Option<&InstrumentRules> {
        self.rows.get(instrument.index())?.pending.as_ref()
    }

    /// Changes of `instrument` so far.
    #[must_use]
    pub fn count(&self, instrument: InstrumentId) -> u32 {
        self.rows.get(instrument.index()).map_or(0, |row| row.change)
    }

    /// The instrument is closed for a change.
    #[must_use]
    pub fn is_closed(&self, instrument: InstrumentId) -> bool {
        self.rows.get(instrument.index()).is_some_and(|row| row.closed)
    }

    /// A change begins: pending until [`take_pending`](Self::take_pending). Ends a pause. What
    /// was closed before (or paused) starts over in any case.
    pub fn begin(&mut self, rules: &InstrumentRules, resync: bool) {
        let Some(row) = self.rows.get_mut(rules.instrument.index()) else { return };
        row.pending = Some(*rules);
        row.closed |= resync || row.paused.is_some();
        row.paused = None;
        if row.closed {
            row.change = row.change.wrapping_add(1);
        }
        self.tell(rules.instrument);
    }

    /// The rules that waited hold from now on.
    pub fn take_pending(&mut self, instrument: InstrumentId) -> Option<InstrumentRules> {
        let row = self.rows.get_mut(instrument.index())?;
        let rules = row.pending.take()?;
        row.closed = false;
        self.tell(instrument);
        Some(rules)
    }

    /// `instrument` is paused, or (`None`) not any more.
    pub fn pause(&mut self, instrument: InstrumentId, why: Option<PauseReason>) {
        let Some(row) = self.rows.get_mut(instrument.index()) else { return };
        row.paused = why;
        row.change = row.change.wrapping_add(1);
        self.tell(instrument);
    }

    /// The balance of `instrument`'s base asset is in doubt: no new orders, what rests is
    /// withdrawn, its book goes on; or not any more.
    pub fn set_drift(&mut self, instrument: InstrumentId, drift: bool) {
        let Some(row) = self.rows.get_mut(instrument.index()) else { return };
        if std::mem::replace(&mut row.drift, drift) != drift {
            self.tell(instrument);
        }
    }

    /// `instrument` is given up under pressure: nothing increases by it, what rests is withdrawn,
    /// its book stands still; or it is taken back, and its book starts over.
    pub fn set_shed(&mut self, instrument: InstrumentId, shed: bool) {
        let Some(row) = self.rows.get_mut(instrument.index()) else { return };
        if std::mem::replace(&mut row.shed, shed) != shed {
            row.change = row.change.wrapping_add(1);
            self.tell(instrument);
        }
    }

    /// `instrument` is given up.
    #[must_use]
    #[inline]
    pub fn is_shed(&self, instrument: InstrumentId) -> bool {
        self.rows.get(instrument.index()).is_some_and(|row| row.shed)
    }

    /// Instruments that are given up, and the word of it is on its way to the stages before risk.
    #[must_use]
    pub fn shed(&self) -> usize {
        self.rows.iter().filter(|row| row.shed && row.shed_told).count()
    }

    /// The base asset of `instrument` is in doubt.
    #[must_use]
    pub fn is_drifted(&self, instrument: InstrumentId) -> bool {
        self.rows.get(instrument.index()).is_some_and(|row| row.drift)
    }

    /// Instruments whose base asset is in doubt.
    #[must_use]
    pub fn drifted(&self) -> usize {
        self.rows.iter().filter(|row| row.drift).count()
    }

    /// An instrument that the stages before risk must hear of, the lowest first.
    #[must_use]
    pub fn first_untold(&self) -> Option<InstrumentId> {
        if self.untold == 0 {
            return None;
        }
        self.rows.iter().position(|row| row.untold).map(|i| InstrumentId(i as u16))
    }

    /// They have heard of it.
    pub fn told(&mut self, instrument: InstrumentId) {
        let Some(row) = self.rows.get_mut(instrument.index()) else { return };
        row.shed_told = row.shed;
        self.untold -= usize::from(std::mem::take(&mut row.untold));
    }

    fn tell(&mut self, instrument: InstrumentId) {
        let Some(row) = self.rows.get_mut(instrument.index()) else { return };
        self.untold += usize::from(!std::mem::replace(&mut row.untold, true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Instrument, Symbol};

    #[test]
    fn a_change_closes_and_opens_and_is_told_once_each_time() {
        let id = InstrumentId(1);
        let bare = Instrument::bare(id, Symbol::new("AAA").expect("short"), 8);
        let rules = InstrumentRules::of(&bare);
        let mut changes = Changes::new(2);
        assert_eq!((changes.check(id), changes.first_untold()), (Ok(()), None));
        changes.begin(&rules, true);
        changes.begin(&rules, true);
        assert_eq!(changes.check(id), Err(RefuseReason::InstrumentChanging));
        assert_eq!((changes.first_untold(), changes.count(id)), (Some(id), 2));
        changes.told(id);
        changes.told(id);
        assert_eq!(changes.first_untold(), None);
        assert_eq!(changes.take_pending(id), Some(rules));
        assert_eq!((changes.take_pending(id), changes.first_untold()), (None, Some(id)));
        changes.pause(id, Some(PauseReason::Unlisted));
        assert_eq!(changes.check(id), Err(RefuseReason::InstrumentPaused));
        changes.begin(&rules, false);
        assert_eq!((changes.paused(id), changes.is_closed(id)), (None, true));
        assert_eq!((changes.take_pending(id), changes.count(id)), (Some(rules), 4));
        // What needs no resync closes nothing and is no matter for the book.
        changes.begin(&rules, false);
        assert_eq!((changes.check(id), changes.take_pending(id)), (Ok(()), Some(rules)));
        assert_eq!(changes.count(id), 4);
        changes.told(id);
        changes.set_drift(id, true);
        changes.set_drift(id, true);
        assert_eq!(
            (changes.check(id), changes.drifted()),
            (Err(RefuseReason::InstrumentPaused), 1)
        );
        assert_eq!((changes.paused(id), changes.count(id)), (None, 4), "its book goes on");
        changes.pause(id, None);
        assert_eq!(changes.check(id), Err(RefuseReason::InstrumentPaused), "another matter");
        changes.set_drift(id, false);
        assert_eq!((changes.check(id), changes.first_untold()), (Ok(()), Some(id)));
        changes.told(id);
        changes.set_shed(id, true);
        assert_eq!((changes.is_shed(id), changes.shed()), (true, 0), "nobody has heard of it");
        assert_eq!(changes.check(id), Ok(()), "what reduces may go on");
        changes.told(id);
        changes.set_shed(id, true);
        assert_eq!((changes.first_untold(), changes.shed()), (None, 1));
        changes.set_shed(id, false);
        assert_eq!((changes.is_shed(id), changes.shed()), (false, 0));
        assert_eq!((changes.count(id), changes.first_untold()), (7, Some(id)), "it starts over");
        // One that is not in the table is nobody's business.
        changes.pause(InstrumentId(7), Some(PauseReason::Units));
        assert_eq!(changes.check(InstrumentId(7)), Ok(()));
    }
}

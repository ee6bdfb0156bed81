//! What a start learns from the journal of an earlier run, in one reading that is bounded by
//! snapshots.
//!
//! ```text
//! while it runs:  finished segments --keeper--> Fold --every second or 32,768 records--> snapshot
//! at the start:   snapshot --checksums of its segments are as they were--> Fold + the rest
//!                     '--missing, damaged, of another program or run--> the whole journal
//! ```
//!
//! [`fold`] is the only reader: what it makes of records does not depend on whether they came one
//! after another or by way of a snapshot (`tests/whole/snapshots.rs`: at any record of any run).
//! A snapshot is a shorter way to what the journal says, never a word against it: every byte that
//! it stands for is gone through at the start (`journal/src/prefix.rs`), and a rest that does not
//! lead on from it makes the start read everything.
//!
//! Where to look: [`fold`] orders, fills, parents, risk; [`snapshot`] the file; [`keeper`] the
//! helper thread that writes it; [`parents`] what was left unfinished.

pub mod fold;
pub mod keeper;
pub mod parents;
pub mod snapshot;

use std::path::Path;

use bot4_journal::report::Watch;
use bot4_journal::{JournalError, Reader, Recovery, recover_behind};

pub use fold::Fold;
pub use keeper::Keeper;
pub use snapshot::Snapshot;

/// What was found in a journal.
pub struct Recovered {
    /// The journal as it was found, and what was done to it.
    pub recovery: Recovery,
    /// What its records say; none when that was not wanted.
    pub fold: Option<Fold>,
    /// How it was read, for a person.
    pub told: Option<String>,
    /// Why a snapshot was not relied on.
    pub warned: Option<String>,
}

/// Reads the journal in `dir`, and mends it where that is safe. With `wanted` its records are
/// taken in, too, behind the newest snapshot if that one stands.
///
/// # Errors
/// As [`bot4_journal::recover`].
pub fn recover(dir: &Path, wanted: bool, watch: Watch<'_>) -> Result<Recovered, JournalError> {
    let (base, mut warned) = match Snapshot::standing(dir) {
        Ok(base) => (base, None),
        Err(why) => (None, Some(format!("no snapshot stands, the whole journal is read: {why}"))),
    };
    let (prefix, mut fold) = base.map_or((None, Fold::default()), |s| (Some(s.prefix), s.fold));
    let recovery = recover_behind(dir, prefix.as_ref(), watch, &mut |record| {
        if wanted {
            fold.take(record);
        }
    })?;
    let told = prefix.as_ref().map(|prefix| {
        let (all, before) = (recovery.found.records, prefix.records());
        let behind = all.saturating_sub(before);
        format!("{all} records: a snapshot of the first {before}, {behind} behind it")
    });
    if prefix.is_some() && fold.is_broken() {
        fold = whole(dir).map_err(|e| JournalError::Disk("read the journal", e))?;
        warned =
            Some("its snapshot does not lead on to the rest: the whole journal is read".into());
    }
    Ok(Recovered { recovery, fold: wanted.then_some(fold), told, warned })
}

/// What all records of the journal at `path` say, without any snapshot.
///
/// # Errors
/// When it cannot be read.
pub fn whole(path: &Path) -> std::io::Result<Fold> {
    let mut fold = Fold::default();
    match Reader::open(path) {
        // Its writer died before the first record: it knew nothing.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        reader => reader?.flatten().for_each(|record| fold.take(&record)),
    }
    Ok(fold)
}

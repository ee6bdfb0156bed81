//! Changes of the machine, each with its way back written down first.

use std::io;

use rustix::io::Errno;

use crate::plan::Step;
use crate::root::Root;
use crate::row::Change;
use crate::undo::{self, Outcome, Record, Undo, Undone};

/// Takes back what an earlier writer left that was killed in the middle. To be called before the
/// machine is looked at for a new plan.
///
/// # Errors
/// When the record cannot be read, or something could not be taken back: nothing more is changed.
pub fn recover(root: &Root, undo: &Undo) -> Result<Vec<(Record, Undone)>, String> {
    match undo.read(root)? {
        Some(changes) if !changes.complete => {
            let all = undo::restore(root, undo)?;
            let failed = all.iter().find(|(_, undone)| matches!(undone, Undone::Failed(_)));
            match failed {
                Some((record, undone)) => Err(format!(
                    "error: {}: an earlier change could not be taken back: {}\nhelp: set it by \
                     hand, then `bot4 host restore`",
                    record.change.path(),
                    undone.told().1
                )),
                None => Ok(all),
            }
        }
        _ => Ok(Vec::new()),
    }
}

/// Makes the changes `steps`, on top of those that are in force already.
///
/// # Errors
/// When a way back cannot be written down: what was changed until then is on record.
pub fn apply(root: &Root, undo: &Undo, steps: &[Step]) -> Result<Vec<Record>, String> {
    let mut changes = undo.read(root)?.unwrap_or_default();
    if steps.is_empty() && changes.records.is_empty() {
        return Ok(Vec::new());
    }
    let before = changes.records.len();
    changes.schema = crate::check::SCHEMA;
    changes.boot = undo::boot_of(root);
    changes.complete = false;
    for step in steps {
        changes.records.push(Record {
            row: step.row.to_owned(),
            change: step.change.clone(),
            // The plan may be a moment old. A file of a group that we made goes with the group.
            old: step.now.as_ref().and_then(|_| step.change.now(root)),
            outcome: Outcome::Pending,
        });
        undo.write(&changes)?;
        let outcome = make(root, &step.change);
        if let Some(record) = changes.records.last_mut() {
            record.outcome = outcome;
        }
    }
    changes.complete = true;
    undo.write(&changes)?;
    Ok(changes.records.split_off(before))
}

/// Makes one change and reads it back.
fn make(root: &Root, change: &Change) -> Outcome {
    if let Err(e) = change.put(root, change.value()) {
        return refused(change.path(), &e);
    }
    match change.now(root) {
        Some(now) if !change.style().same(&now, change.value()) => Outcome::Partial(now),
        None => Outcome::Refused("it does not read back".to_owned()),
        Some(_) => Outcome::Applied,
    }
}

fn refused(path: &str, error: &io::Error) -> Outcome {
    let managed = [Errno::PERM, Errno::IO].map(|e| Some(e.raw_os_error()));
    if path.starts_with("/proc/irq/") && managed.contains(&error.raw_os_error()) {
        return Outcome::Managed;
    }
    Outcome::Refused(error.to_string())
}

//! The way back: what was changed, written down and synced before it is changed.
//!
//! ```text
//! apply:   record (old, new) --fsync, rename, fsync--> write --> read back --> record the outcome
//! restore: last record first: still ours? --> old value, read back; else left alone and told
//! ```
//!
//! A record without an outcome is of a writer that was killed: the value is the old one or ours,
//! and `restore` tells which by reading it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::root::Root;
use crate::row::{Change, Style};

/// Where the record lies, below the root.
pub const STATE: &str = "/run/bot4/tune-state.json";
/// Tries to remove a control group: its last process may just be ending.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not known: the writer was killed.
    Pending,
    /// Written, and reads back.
    Applied,
    /// The machine granted less, or another value.
    Partial(String),
    /// Refused with this error; the value is as before.
    Refused(String),
    /// An interrupt that the kernel places by itself.
    Managed,
}

impl Outcome {
    /// In a word, and what is behind it.
    #[must_use]
    pub fn told(&self) -> (&'static str, &str) {
        match self {
            Self::Pending => ("pending", ""),
            Self::Applied => ("applied", ""),
            Self::Partial(found) => ("partial", found),
            Self::Refused(error) => ("refused", error),
            Self::Managed => ("managed", "the kernel places this interrupt"),
        }
    }
}

/// A change and its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The row that asked for it.
    pub row: String,
    /// The change.
    pub change: Change,
    /// What was there; `None` where there was nothing.
    pub old: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// All changes that are in force, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Version of the shape.
    pub schema: u32,
    /// The boot in which they were made: a restart of the machine undoes them all.
    pub boot: String,
    /// The writer came to its end.
    pub complete: bool,
    /// The changes.
    pub records: Vec<Record>,
}

/// The record on disk; held by one process at a time.
#[derive(Debug)]
pub struct Undo {
    path: PathBuf,
    /// Locked while this lives.
    _lock: File,
}

impl Undo {
    /// Takes hold of the record in `path`.
    ///
    /// # Errors
    /// A sentence: another process has it, or the folder cannot be used.
    pub fn hold(path: &Path) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| {
            format!(
                "error: the undo record {}: {e}\nhelp: host settings are root's; `--state FILE` \
                 keeps the record elsewhere",
                path.display()
            )
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(|e| wrong(&e))?;
        let lock = path.with_extension("lock");
        let lock = File::options().create(true).append(true).open(lock).map_err(|e| wrong(&e))?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => wrong(&"another bot4 host changes the machine now"),
            fs::TryLockError::Error(e) => wrong(&e),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The changes in force; `None` where there is none.
    ///
    /// # Errors
    /// A record that cannot be read or understood: nothing is changed then.
    pub fn read(&self, root: &Root) -> Result<Option<Changes>, String> {
        let text = match fs::read_to_string(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| self.damaged(&e))?,
        };
        let changes: Changes = serde_json::from_str(&text).map_err(|e| self.damaged(&e))?;
        if changes.boot != boot_of(root) {
            // The kernel forgot them.
            self.clear()?;
            return Ok(None);
        }
        Ok(Some(changes))
    }

    /// Replaces the record as a whole; on disk when this returns.
    ///
    /// # Errors
    /// What the disk says: the change must not be made then.
    pub fn write(&self, changes: &Changes) -> Result<(), String> {
        let fresh = self.path.with_extension("new");
        let put = || {
            let mut file = File::create(&fresh)?;
            file.write_all(serde_json::to_string_pretty(changes)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            self.sync_folder()
        };
        put().map_err(|e| self.damaged(&e))
    }

    /// Removes the record: nothing is changed any more.
    ///
    /// # Errors
    /// What the disk says.
    pub fn clear(&self) -> Result<(), String> {
        let gone = fs::remove_file(&self.path).and_then(|()| self.sync_folder());
        match gone {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.damaged(&e)),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }

    fn damaged(&self, e: &dyn std::fmt::Display) -> String {
        format!(
            "error: the undo record {}: {e}\nhelp: it is the way back: set by hand what it lists, \
             last entry first, then remove it",
            self.path.display()
        )
    }
}

/// Names the running boot of the machine.
#[must_use]
pub fn boot_of(root: &Root) -> String {
    root.text("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// What `restore` did about a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The old value is back.
    Restored,
    /// The old value was there already.
    Unchanged,
    /// Somebody else set it since; left alone. What is there.
    Foreign(String),
    /// It is not as it was, in spite of us. What is there, or the error.
    Failed(String),
}

impl Undone {
    /// In a word, and what is behind it.
    #[must_use]
    pub fn told(&self) -> (&'static str, &str) {
        match self {
            Self::Restored => ("restored", ""),
            Self::Unchanged => ("unchanged", ""),
            Self::Foreign(now) => ("changed by other", now),
            Self::Failed(now) => ("FAILED", now),
        }
    }
}

/// Takes back what `undo` lists, last change first. The record goes when nothing failed.
///
/// # Errors
/// When the record cannot be read or removed.
pub fn restore(root: &Root, undo: &Undo) -> Result<Vec<(Record, Undone)>, String> {
    let Some(mut changes) = undo.read(root)? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    let mut failed = Vec::new();
    while let Some(record) = changes.records.pop() {
        let undone = take_back(root, &record);
        if matches!(undone, Undone::Failed(_)) {
            failed.push(record.clone());
        }
        all.push((record, undone));
    }
    if failed.is_empty() {
        undo.clear()?;
    } else {
        changes.records = failed.into_iter().rev().collect();
        undo.write(&changes)?;
    }
    Ok(all)
}

fn take_back(root: &Root, record: &Record) -> Undone {
    match &record.change {
        Change::MakeDir { path } => remove(root, path),
        Change::Write { .. } | Change::Card { .. } => put_back(root, record),
    }
}

fn remove(root: &Root, path: &str) -> Undone {
    if !root.has(path) {
        return Undone::Unchanged;
    }
    for _ in 1..TRIES {
        if root.remove_group(path).is_ok() {
            return Undone::Restored;
        }
        std::thread::park_timeout(BETWEEN_TRIES);
    }
    match root.remove_group(path) {
        Ok(()) => Undone::Restored,
        Err(e) => Undone::Failed(e.to_string()),
    }
}

fn put_back(root: &Root, record: &Record) -> Undone {
    let (value, style) = (record.change.value(), record.change.style());
    // A file of a group that we made goes with it.
    let Some(old) = &record.old else { return Undone::Unchanged };
    let Some(now) = record.change.now(root) else { return Undone::Unchanged };
    if style.same(&now, old) {
        return Undone::Unchanged;
    }
    if !is_ours(style, (old, value, &now)) && record.outcome != Outcome::Partial(now.clone()) {
        return Undone::Foreign(now);
    }
    if let Err(e) = record.change.put(root, old) {
        return Undone::Failed(e.to_string());
    }
    match record.change.now(root) {
        Some(back) if style.same(&back, old) => Undone::Restored,
        back => Undone::Failed(back.unwrap_or_default()),
    }
}

/// Whether `now` is what a write of `value` over `old` makes.
fn is_ours(style: Style, (old, value, now): (&str, &str, &str)) -> bool {
    if style.same(now, value) {
        return true;
    }
    // A machine may grant less than was asked for.
    let numbers = || Some((old.parse::<u64>().ok()?, now.parse().ok()?, value.parse().ok()?));
    style == Style::AtMost && numbers().is_some_and(|(old, now, value)| old < now && now < value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_a_restart_forgets() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Root::at(dir.path());
        let path = dir.path().join("bot4/state.json");
        let undo = Undo::hold(&path).expect("held");
        assert!(Undo::hold(&path).expect_err("held already").contains("another bot4 host"));
        let other = Changes { boot: "an earlier boot".into(), ..Changes::default() };
        undo.write(&other).expect("written");
        assert_eq!(undo.read(&root), Ok(None), "the kernel forgot what was set before the restart");
        fs::write(&path, "half a rec").expect("written");
        assert!(undo.read(&root).expect_err("damaged").contains("by hand"));
        drop(undo);
        assert!(Undo::hold(&path).is_ok());
    }

    #[test]
    fn what_is_ours() {
        assert!(is_ours(Style::AtMost, ("0", "256", "100")));
        assert!(!is_ours(Style::AtMost, ("0", "256", "300")));
        assert!(!is_ours(Style::Text, ("0", "256", "100")));
        assert!(is_ours(Style::List, ("0-3", "0,1", "0-1")), "however it is written");
    }
}

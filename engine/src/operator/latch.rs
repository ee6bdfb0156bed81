//! The latch of an account: trading is stopped, since when, by whom and why. It lies in a file of
//! its own beside the runs, so that it outlives every process, and every change is kept in a list.
//!
//! ```text
//! accounts/<account>/latch.json      stands while trading is stopped
//! accounts/<account>/resumed.json    a stop that a person ended while no engine ran: what it
//!                                    stands for is accepted by the next start, which removes it
//! accounts/<account>/latches.jsonl   every latch, every end of one, and what a person said of
//!                                    modes and breakers, oldest first
//! ```

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::run::dirs::state_home;
use crate::run::history;
use crate::run::takeover::PolicyRefusal;

const STANDING: &str = "latch.json";
const RESUMED: &str = "resumed.json";
const HISTORY: &str = "latches.jsonl";

/// Who stopped trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// `bot4 kill`.
    Operator,
    /// SIGUSR1.
    Signal,
    /// The kill file appeared.
    KillFile,
    /// A latch of risk: drawdown, drift, a runaway strategy.
    Risk,
}

/// A standing latch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatchRecord {
    /// Who.
    pub by: By,
    /// Why.
    pub reason: String,
    /// When, Unix ms.
    pub at_ms: i64,
    /// The run that was stopped.
    pub run: String,
    /// What risk latched, by name, also when somebody else had stopped trading before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latched: Vec<String>,
}

/// A stop that a person ended while no engine ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Why it is safe.
    pub reason: String,
    /// When, Unix ms.
    pub at_ms: i64,
    /// What was ended.
    pub latch: LatchRecord,
}

/// The latch of one account.
#[derive(Clone, Debug)]
pub struct Latch {
    /// None where the account ends with its run: nothing is there to protect afterwards.
    folder: Option<PathBuf>,
    account: String,
    standing: Option<LatchRecord>,
}

impl Latch {
    /// The latch of `account` as it lies on the disk.
    ///
    /// # Errors
    /// When it is there and cannot be read: then nobody knows, and nobody may trade.
    pub fn of(account: &str) -> Result<Self, PolicyRefusal> {
        let folder = history::lives_on(account).then(|| folder_of(account));
        let standing = folder.as_deref().map(read).transpose()?.flatten();
        Ok(Self { folder, account: account.to_owned(), standing })
    }

    /// The latches that stand on this machine.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all_standing() -> Result<Vec<Self>, PolicyRefusal> {
        let folders = std::fs::read_dir(state_home().join("accounts"));
        let mut found = Vec::new();
        for folder in folders.into_iter().flatten().flatten().map(|e| e.path()) {
            if let Some(standing) = read(&folder)? {
                let account = account_of(&folder);
                found.push(Self { folder: Some(folder), account, standing: Some(standing) });
            }
        }
        found.sort_by(|a, b| a.account.cmp(&b.account));
        Ok(found)
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What stands.
    #[must_use]
    pub const fn standing(&self) -> Option<&LatchRecord> {
        self.standing.as_ref()
    }

    /// Refuses to trade while the latch stands.
    ///
    /// # Errors
    /// The refusal, with the way out.
    pub fn permit(&self) -> Result<(), PolicyRefusal> {
        let Some(latch) = &self.standing else { return Ok(()) };
        Err(PolicyRefusal(format!(
            "error: trading of this account was stopped in run {} (by {}, Unix ms {}): {}\n\
             help: look at that run; when it is safe, `bot4 resume --reason \"...\"` ends the stop",
            latch.run,
            name_of(latch.by),
            latch.at_ms,
            latch.reason
        )))
    }

    /// Stops trading. The first reason stays; what risk latched is kept beside it.
    ///
    /// # Errors
    /// The disk's; the latch stands in memory all the same.
    pub fn set(&mut self, mut record: LatchRecord) -> std::io::Result<()> {
        if let Some(standing) = &self.standing {
            let known = |name: &String| standing.latched.contains(name);
            let more: Vec<String> = record.latched.into_iter().filter(|n| !known(n)).collect();
            if more.is_empty() {
                return Ok(());
            }
            let latched = standing.latched.iter().cloned().chain(more).collect();
            record = LatchRecord { latched, ..standing.clone() };
        }
        self.standing = Some(record.clone());
        let Some(folder) = &self.folder else { return Ok(()) };
        make_folder(folder)?;
        replace(folder, STANDING, &serde_json::to_string(&record)?)?;
        note(folder, &json!({"set": record}))
    }

    /// Keeps what a person said that is no stop, in the list of latches.
    ///
    /// # Errors
    /// The disk's.
    pub fn note(&self, what: &serde_json::Value) -> std::io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        make_folder(folder)?;
        note(folder, what)
    }

    /// Ends the stop, for `reason`, at `at_ms`.
    ///
    /// # Errors
    /// The disk's: then the latch stands.
    pub fn clear(&mut self, reason: &str, at_ms: i64) -> std::io::Result<()> {
        if let (Some(folder), Some(record)) = (&self.folder, &self.standing) {
            note(folder, &json!({"ended": {"reason": reason, "at_ms": at_ms, "latch": record}}))?;
            match std::fs::remove_file(folder.join(STANDING)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            if let Err(e) = File::open(folder).and_then(|folder| folder.sync_all()) {
                let _ = replace(folder, STANDING, &serde_json::to_string(record)?);
                return Err(e);
            }
        }
        self.standing = None;
        Ok(())
    }

    /// Ends the stop while no engine runs: what it stands for is accepted by the next start.
    ///
    /// # Errors
    /// The disk's: then the latch stands.
    pub fn clear_for_the_next(&mut self, reason: &str, at_ms: i64) -> std::io::Result<()> {
        if let (Some(folder), Some(latch)) = (&self.folder, &self.standing) {
            let resumed = Resumed { reason: reason.to_owned(), at_ms, latch: latch.clone() };
            replace(folder, RESUMED, &serde_json::to_string(&resumed)?)?;
        }
        self.clear(reason, at_ms)
    }

    /// A stop of `account` that was ended while no engine ran, and that no start has taken up.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn resumed(account: &str) -> Result<Option<Resumed>, PolicyRefusal> {
        if !history::lives_on(account) {
            return Ok(None);
        }
        read_json(&folder_of(account), RESUMED, "it says what `bot4 resume` ended: say it again")
    }

    /// The run has begun with what [`resumed`](Self::resumed) told.
    ///
    /// # Errors
    /// The disk's.
    pub fn taken_up(&self) -> std::io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        match std::fs::remove_file(folder.join(RESUMED)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => File::open(folder)?.sync_all(),
        }
    }
}

/// The name of `by` in sentences and JSON.
#[must_use]
pub const fn name_of(by: By) -> &'static str {
    match by {
        By::Operator => "operator",
        By::Signal => "signal",
        By::KillFile => "kill_file",
        By::Risk => "risk",
    }
}

pub(crate) fn folder_of(account: &str) -> PathBuf {
    state_home().join("accounts").join(account.replace(':', "_"))
}

fn account_of(folder: &Path) -> String {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.replace('_', ":")
}

fn read(folder: &Path) -> Result<Option<LatchRecord>, PolicyRefusal> {
    let help = "it says that trading is stopped, and not why: look at the newest run";
    read_json(folder, STANDING, help)
}

/// The file `name` in `folder`; where it cannot be read, `help` says what it is.
fn read_json<T: serde::de::DeserializeOwned>(
    folder: &Path,
    name: &str,
    help: &str,
) -> Result<Option<T>, PolicyRefusal> {
    let path = folder.join(name);
    let unreadable = |what: String| {
        PolicyRefusal(format!(
            "error: {}: {what}\nhelp: {help}, then remove the file",
            path.display()
        ))
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| unreadable(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(e.to_string())),
    }
}

pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes the file `name` in `folder`, whole or not at all.
pub(crate) fn replace(folder: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let part = folder.join(name).with_extension("part");
    write_synced(&part, text.as_bytes())?;
    std::fs::rename(&part, folder.join(name))?;
    File::open(folder)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn note(folder: &Path, what: &serde_json::Value) -> std::io::Result<()> {
    let path = folder.join(HISTORY);
    let mut file = File::options().create(true).append(true).open(path)?;
    writeln!(file, "{what}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reason: &str) -> LatchRecord {
        let (by, reason, run) = (By::Operator, reason.to_owned(), "1-2".to_owned());
        LatchRecord { by, reason, at_ms: 5, run, latched: Vec::new() }
    }

    fn latch(folder: &Path) -> Latch {
        let standing = read(folder).expect("readable");
        Latch { folder: Some(folder.to_owned()), account: "binance:00".to_owned(), standing }
    }

    #[test]
    fn a_latch_outlives_its_process_until_a_person_ends_it() {
        let top = tempfile::tempdir().expect("a folder");
        let folder = top.path().join("binance_00");
        let mut first = latch(&folder);
        assert!(first.permit().is_ok());
        first.set(record("line cut")).expect("written");
        first.set(record("later")).expect("no change");
        let mut second = latch(&folder);
        assert_eq!(second.standing(), Some(&record("line cut")));
        let refusal = second.permit().expect_err("stopped").0;
        assert!(refusal.contains("line cut") && refusal.contains("bot4 resume"), "{refusal}");
        second.clear("line mended", 9).expect("removed");
        assert!(latch(&folder).permit().is_ok());
        let history = std::fs::read_to_string(folder.join(HISTORY)).expect("a list");
        assert_eq!(history.lines().count(), 2, "{history}");
        assert!(history.contains("line mended"), "{history}");
    }

    /// What risk latches under a stop of somebody else is not lost, and a stop that is ended while
    /// no engine runs tells the next start of it.
    #[test]
    fn what_risk_latched_goes_to_the_next_start() {
        let top = tempfile::tempdir().expect("a folder");
        let folder = top.path().join("binance_00");
        let mut first = latch(&folder);
        first.set(record("line cut")).expect("written");
        let latched = vec!["drawdown".to_owned()];
        let by_risk = LatchRecord { by: By::Risk, latched: latched.clone(), ..record("fell") };
        first.set(by_risk).expect("written");
        let mut second = latch(&folder);
        let both = LatchRecord { latched, ..record("line cut") };
        assert_eq!(second.standing(), Some(&both));
        second.clear_for_the_next("looked at it", 9).expect("removed");
        let resumed: Option<Resumed> = read_json(&folder, RESUMED, "").expect("readable");
        let expected = Resumed { reason: "looked at it".to_owned(), at_ms: 9, latch: both };
        assert_eq!(resumed, Some(expected));
        let next = latch(&folder);
        assert!(next.permit().is_ok());
        next.taken_up().expect("removed");
        next.taken_up().expect("nothing to remove");
        assert_eq!(read_json::<Resumed>(&folder, RESUMED, "").expect("readable"), None);
    }

    #[test]
    fn a_damaged_latch_is_a_latch() {
        let top = tempfile::tempdir().expect("a folder");
        std::fs::write(top.path().join(STANDING), "{\"by\":").expect("written");
        let refusal = read(top.path()).expect_err("nobody knows").0;
        assert!(refusal.contains("latch.json"), "{refusal}");
    }

    #[test]
    fn an_account_that_ends_with_its_run_leaves_no_file() {
        let mut latch = Latch { folder: None, account: "embedded".to_owned(), standing: None };
        latch.set(record("test")).expect("in memory");
        assert!(latch.permit().is_err());
        latch.clear("done", 1).expect("in memory");
        assert!(latch.permit().is_ok());
    }
}

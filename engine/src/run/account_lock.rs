//! One engine an account, from before its first look at it until its end: a lock of the kernel,
//! which no killed process leaves behind. Journals have locks of their own, but a start has none
//! until it has asked the venue, and by then another start may have looked.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Failure;
use super::history::{accounts_in, lives_on, share};
use crate::operator::client::running;
use crate::operator::latch::{folder_of, make_folder};

/// The file in an account's folder.
const LOCK: &str = "lock";

/// The accounts of a run are its own until this is dropped.
pub struct AccountLock {
    _held: Vec<File>,
}

impl AccountLock {
    /// Takes every account of `account` that outlives its run.
    ///
    /// # Errors
    /// When another process has one of them, or the disk fails.
    pub fn take(account: &str) -> Result<Self, Failure> {
        Self::take_in(account, folder_of)
    }

    fn take_in(account: &str, folder: impl Fn(&str) -> PathBuf) -> Result<Self, Failure> {
        let lasting = accounts_in(account).filter(|a| lives_on(a));
        let held = lasting.map(|account| lock(&folder(account), account));
        Ok(Self { _held: held.collect::<Result<_, _>>()? })
    }
}

fn lock(folder: &Path, account: &str) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let failed = |e: std::io::Error| format!("error: cannot lock {}: {e}", path.display());
    make_folder(folder).map_err(failed)?;
    let mut options = File::options();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "error: {} trades this account now\nhelp: stop it first; two engines must not share \
             an account",
            who(account)
        )
        .into()),
        Err(TryLockError::Error(e)) => Err(failed(e).into()),
    }
}

/// Who has it, as far as it has begun.
fn who(account: &str) -> String {
    let run = running().into_iter().find(|run| share(&run.record.account, account));
    run.map_or_else(
        || "another process".to_owned(),
        |run| format!("run {} (process {})", run.record.id, run.record.pid),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_one_process_s_and_free_when_it_ends() {
        let state = tempfile::tempdir().expect("a folder");
        let take = |account| AccountLock::take_in(account, |one| state.path().join(one));
        let first = take("binance:00+okx:01").expect("free");
        let told = take("okx:01").err().expect("held").to_string();
        assert!(told.contains("trades this account now"), "{told}");
        assert!(take("okx:02").is_ok(), "another account");
        assert!(take("embedded").is_ok(), "it ends with its run");
        drop(first);
        assert!(take("okx:01").is_ok());
    }
}

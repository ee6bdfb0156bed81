//! What a person says with every act: which engines are meant, how the answer is wanted, and why.

use serde_json::Value;

use super::out::say;
use super::{Outcome, exit};
use crate::operator::message::checked_reason;
use crate::run::history::EarlierRun;

/// Which engines are meant, and how their answers are wanted.
#[derive(clap::Args)]
pub struct Whom {
    /// This run only (its name, as `bot4 status` shows it).
    #[arg(long)]
    pub run: Option<String>,
    /// Print JSON, a line an engine.
    #[arg(long)]
    pub json: bool,
}

/// The same, and why.
#[derive(clap::Args)]
pub struct Why {
    /// Why; kept in the journal and in the account's list.
    #[arg(long)]
    reason: String,
    /// To which engines.
    #[command(flatten)]
    pub whom: Whom,
}

impl Whom {
    /// The running engines that are meant.
    ///
    /// # Errors
    /// When there is none.
    pub fn engines(&self) -> Result<Vec<EarlierRun>, String> {
        super::kill::engines(self.run.as_deref())
    }

    /// Does `act` with each of them and prints what came of it, as `sentence` says it. The exit
    /// code: whether all of it [`is_done`].
    ///
    /// # Errors
    /// When no engine is meant.
    pub fn each(
        &self,
        act: impl Fn(&EarlierRun) -> Value,
        sentence: impl Fn(&Value) -> String,
    ) -> Outcome {
        let mut all = true;
        for engine in &self.engines()? {
            let told = act(engine);
            all &= is_done(&told);
            say!("{}", if self.json { told.to_string() } else { sentence(&told) });
        }
        Ok(if all { exit::DONE } else { exit::FAILED })
    }
}

impl Why {
    /// The reason, if it can be kept.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn reason(&self) -> Result<String, String> {
        reason(&self.reason)
    }
}

/// A reason, if it can be kept.
///
/// # Errors
/// Why it cannot.
pub fn reason(text: &str) -> Result<String, String> {
    checked_reason(text).map_err(|e| format!("error: --reason: {e}"))
}

/// What is told of an act says that all of it is done: no error, the mode obeyed, the segment
/// ended, every limit of the file in force.
#[must_use]
pub fn is_done(told: &Value) -> bool {
    let obeyed = ["obeyed", "rotated"].iter().all(|key| told[*key] != false);
    let limits = told["limits"]["outcome"].as_str();
    told["error"].is_null() && obeyed && limits.is_none_or(|o| o == "taken" || o == "unchanged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_done_in_part_is_not_done() {
        for done in [
            json!({"run": "1-2", "file": "a.hlog", "lines": 3}),
            json!({"run": "1-2", "rotated": true, "segment": 2}),
            json!({"run": "1-2", "obeyed": true, "mode": "manual"}),
            json!({"run": "1-2", "limits": {"outcome": "unchanged"}}),
        ] {
            assert!(is_done(&done), "{done}");
        }
        for not in [
            json!({"run": "1-2", "error": "no"}),
            json!({"run": "1-2", "rotated": false}),
            json!({"run": "1-2", "obeyed": false, "mode": "manual"}),
            json!({"run": "1-2", "limits": {"outcome": "partly"}}),
            json!({"run": "1-2", "limits": {"outcome": "refused"}}),
        ] {
            assert!(!is_done(&not), "{not}");
        }
    }
}

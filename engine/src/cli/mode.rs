//! `bot4 mode`

use serde_json::{Value, json};

use super::Outcome;
use super::person::Why;
use crate::operator::client::{ask, ask_for};
use crate::operator::message::Request;
use crate::operator::scope;
use crate::run::history::EarlierRun;
use crate::run::start_mode;

/// Arguments of `bot4 mode`.
#[derive(clap::Args)]
#[command(after_help = "Modes: emergency (only what reduces), manual, semi_auto, full_auto.\n\
                  A mode tighter than the configuration's outlives the run, until `bot4 mode` or a\n\
                  changed `mode` in the configuration says otherwise. Exit code 0: every engine obeys;\n\
                  1: one does not answer, or does not obey within two seconds.\n\n\
                  Example: bot4 mode emergency --reason \"the venue halts withdrawals\"")]
pub struct Args {
    /// The control mode from now on.
    mode: String,
    #[command(flatten)]
    why: Why,
}

/// How long risk may take to obey.
const OBEY_WITHIN: u32 = 20;

/// Tells the engines another control mode.
///
/// # Errors
/// A mode that is none, a reason that cannot be kept, or no engine that runs.
pub fn run(args: &Args) -> Outcome {
    let reason = args.why.reason()?;
    if start_mode::named(&args.mode).is_none() {
        return Err(format!("error: {}", scope::no_mode(&args.mode)).into());
    }
    args.why.whom.each(|engine| tell(engine, &args.mode, &reason, None), sentence)
}

/// Tells one engine, and looks until its risk lane obeys.
#[must_use]
pub fn tell(engine: &EarlierRun, mode: &str, reason: &str, via: Option<&str>) -> Value {
    let request = Request::Mode { mode: mode.to_owned(), reason: reason.to_owned() };
    let id = &engine.record.id;
    let told = ask_for(&engine.path, &request, via).map_err(|e| e.to_string());
    let seen = told.and_then(|reply| reply.error.map_or(Ok(()), Err)).and_then(|()| {
        let look = || ask(&engine.path, &Request::Status).map(|reply| reply.status);
        super::seen(OBEY_WITHIN, look, |s| s["mode"] == mode).map_err(|e| e.to_string())
    });
    match seen {
        Ok(status) => {
            json!({"run": id, "obeyed": status["mode"] == mode, "mode": status["mode"]})
        }
        Err(e) => json!({"run": id, "obeyed": false, "error": e}),
    }
}

fn sentence(told: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or("?").to_owned();
    match told["error"].as_str() {
        Some(e) => format!("run {}: NOT CHANGED: {e}", text(&told["run"])),
        None => format!("run {}: control mode {}", text(&told["run"]), text(&told["mode"])),
    }
}

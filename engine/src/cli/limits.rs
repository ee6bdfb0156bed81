//! `bot4 limits`

use serde_json::{Value, json};

use super::Outcome;
use super::person::{self, Whom};
use crate::operator::client::{ask, ask_as};
use crate::operator::message::{Asked, Request, Stamp};
use crate::run::history::EarlierRun;

/// Arguments of `bot4 limits`.
#[derive(clap::Args)]
#[command(
    after_help = "Example: bot4 limits reload --reason \"the desk agreed on a larger drawdown\""
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Read the limits of the configuration file again, while the engine runs.
    Reload(Reload),
}

/// Arguments of `bot4 limits reload`.
#[derive(clap::Args)]
#[command(
    after_help = "What is tighter in the file holds at once; what is looser holds only with a\n\
                  reason, which the journal keeps. A file that is refused changes nothing, and what\n\
                  a run cannot change waits for the next start. Exit code 0: the file's limits hold;\n\
                  1: some wait, or the file is refused.\n\n\
                  Example: bot4 limits reload\n\
                  Example: bot4 limits reload --reason \"the desk agreed on a larger drawdown\""
)]
struct Reload {
    /// Why looser limits may hold; kept in the journal.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    whom: Whom,
}

/// How long the control lane may take to read the file, and risk to take its limits.
const READ_WITHIN: u32 = 20;

/// Does what is said about limits.
///
/// # Errors
/// A reason that cannot be kept, or no engine that runs.
pub fn run(args: &Args) -> Outcome {
    let Command::Reload(args) = &args.command;
    let reason = args.reason.as_deref().map(person::reason).transpose()?;
    args.whom.each(|engine| tell(engine, reason.as_deref(), None), sentence)
}

/// Tells one engine, and looks until it says what the reading came to.
#[must_use]
pub fn tell(engine: &EarlierRun, reason: Option<&str>, via: Option<&str>) -> Value {
    let clock = bot4_lanes::Clock::monotonic();
    let stamp = Stamp::fresh(clock.wall().unix_ms(clock.now()));
    let nonce = stamp.map(|stamp| format!("{:032x}", stamp.nonce)).unwrap_or_default();
    let request = Request::LimitsReload { reason: reason.map(str::to_owned) };
    let told =
        ask_as(&engine.path, &Asked { stamp, via: via.map(str::to_owned), ..Asked::of(request) });
    let told = told.map_err(|e| e.to_string());
    let seen = told.and_then(|reply| reply.error.map_or(Ok(()), Err)).and_then(|()| {
        let look = || ask(&engine.path, &Request::Status).map(|reply| reply.status);
        super::seen(READ_WITHIN, look, |s| s["limits"]["nonce"] == nonce.as_str())
            .map_err(|e| e.to_string())
    });
    let id = &engine.record.id;
    match seen {
        Ok(status) if status["limits"]["nonce"] == nonce.as_str() => {
            json!({"run": id, "limits": status["limits"]})
        }
        Ok(_) => json!({"run": id, "error": "the control lane says nothing of it"}),
        Err(e) => json!({"run": id, "error": e}),
    }
}

fn sentence(told: &Value) -> String {
    let run = told["run"].as_str().unwrap_or("?");
    match (told["error"].as_str(), told["limits"]["text"].as_str()) {
        (Some(e), _) => format!("run {run}: NOT READ: {e}"),
        (None, text) => format!("run {run}: {}", text.unwrap_or("?")),
    }
}

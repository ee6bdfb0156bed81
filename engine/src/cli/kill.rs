//! `bot4 kill`

use bot4_types::{Nanos, RunEpoch};
use serde_json::{Value, json};

use super::out::say;
use super::person::{self, Whom};
use super::{LOOK_EVERY, Outcome, exit};
use crate::config;
use crate::operator::client::{ask, ask_for, running};
use crate::operator::counters::reader_of;
use crate::operator::guard::end_process;
use crate::operator::latch::{By, Latch, LatchRecord};
use crate::operator::message::Request;
use crate::operator::{fence, status};
use crate::run::history::{EarlierRun, lives_on};

/// Arguments of `bot4 kill`.
#[derive(clap::Args)]
#[command(
    after_help = "Stops every engine of this user's state folder, or the one named by --run.\n\
                        An engine that within a second neither answers nor stops is ended, and its\n\
                        orders are cancelled by a session of their own; then positions stay as they are.\n\n\
                        Example: bot4 kill --flatten --reason \"the strategy is wrong\"\n\
                        Example: bot4 kill --reason \"the venue halts withdrawals\""
)]
pub struct Args {
    /// Why, for whoever looks later.
    #[arg(long, default_value = "no reason given")]
    reason: String,
    /// Close what is held, too, by orders that only reduce.
    #[arg(long)]
    flatten: bool,
    #[command(flatten)]
    whom: Whom,
}

/// How long a kill waits for the last cancel.
const SETTLE_WITHIN: Nanos = Nanos::from_secs(5);
/// How long it waits until nothing is held any more, and for the answer of an engine that obeys.
const FLATTEN_WITHIN: Nanos = Nanos::from_secs(15);

/// Stops the engines.
///
/// # Errors
/// A reason that cannot be kept, or no engine that runs.
pub fn run(args: &Args) -> Outcome {
    let reason = person::reason(&args.reason)?;
    let engines = args.whom.engines()?;
    let mut all_clear = true;
    // All of them hear it before any is waited for.
    let hear = |engine| (engine, hears(engine, &reason, args.flatten, None));
    let mut all: Vec<_> = engines.iter().map(hear).collect();
    // Those that must be ended do not wait for those that work.
    all.sort_by_key(|(_, heard)| *heard);
    for (engine, heard) in all {
        let (told, clear) = settle(engine, heard, &reason, args.flatten);
        all_clear &= clear;
        if args.whom.json {
            say!("{told}");
        } else {
            say!("{}", sentence(&engine.record.id, &told));
        }
    }
    Ok(if all_clear { exit::DONE } else { exit::FAILED })
}

/// The running engines, or the one called `run`.
///
/// # Errors
/// When there is none.
pub fn engines(run: Option<&str>) -> Result<Vec<EarlierRun>, String> {
    let found: Vec<_> =
        running().into_iter().filter(|e| run.is_none_or(|name| name == e.record.id)).collect();
    if found.is_empty() {
        let which = run.map_or_else(|| "no engine runs".to_owned(), |r| format!("no run `{r}`"));
        return Err(format!(
            "error: {which} in {}\nhelp: `bot4 status` lists the running ones; XDG_STATE_HOME \
             names the state folder",
            crate::run::dirs::state_home().display()
        ));
    }
    Ok(found)
}

/// Stops one engine: by its socket, else from outside; `via`: whom it is passed on for. What was
/// done, and whether nothing of it is open any more.
pub(crate) fn stop(
    engine: &EarlierRun,
    reason: &str,
    flatten: bool,
    via: Option<&str>,
) -> (Value, bool) {
    settle(engine, hears(engine, reason, flatten, via), reason, flatten)
}

/// Says it to one engine; whether it answers.
fn hears(engine: &EarlierRun, reason: &str, flatten: bool, via: Option<&str>) -> bool {
    let request = Request::Kill { reason: reason.to_owned(), flatten };
    ask_for(&engine.path, &request, via).is_ok()
}

/// What becomes of an engine that `heard` it, or did not answer.
fn settle(engine: &EarlierRun, heard: bool, reason: &str, flatten: bool) -> (Value, bool) {
    if let Some(settled) = (heard || obeys(engine)).then(|| settled(engine, flatten)).flatten() {
        return settled;
    }
    end_process(engine.record.pid);
    let latched = latch(engine, reason);
    let fenced = outside(engine);
    // Deeds before words: whoever reads them may be stuck.
    crate::tell!(
        "run {} (process {}) did not answer: it was ended, its orders were cancelled from here",
        engine.record.id,
        engine.record.pid
    );
    let cancelled = fenced.as_ref().is_ok_and(|v| v["left"] == 0) && latched.is_ok();
    // What is held is known to the engine alone.
    let clear = cancelled && !flatten;
    let fenced = fenced.unwrap_or_else(|e| json!({"error": e}));
    let told = json!({"run": engine.record.id, "pid": engine.record.pid, "answered": false,
                      "latched": latched.is_ok(), "outside": fenced, "not_closed": flatten});
    (told, clear)
}

/// The engine is stopped and beats, whether it answers or not: it writes the stop down, and the
/// disk is slow. To end it now would end its cancels, too.
fn obeys(engine: &EarlierRun) -> bool {
    let seen = reader_of(engine).and_then(|reader| reader.snapshot());
    seen.is_ok_and(|seen| seen.kill.stopped && !seen.stale)
}

/// Looks until nothing is open, for a while. None when the engine fell silent over it.
fn settled(engine: &EarlierRun, flatten: bool) -> Option<(Value, bool)> {
    let clock = bot4_lanes::Clock::monotonic();
    let (began, mut status) = (clock.now(), Value::Null);
    let mut closed_at = began;
    loop {
        // What comes with the stop's own answer may be older than the stop.
        std::thread::park_timeout(LOOK_EVERY);
        match ask(&engine.path, &Request::Status) {
            Ok(reply) => status = reply.status,
            Err(_) if !obeys(engine) => return None,
            Err(_) => {}
        }
        let (now, waits) = (clock.now(), is_closing(&status) || status.is_null());
        let late = if waits {
            closed_at = now;
            now.since(began) >= FLATTEN_WITHIN
        } else {
            now.since(closed_at) >= SETTLE_WITHIN
        };
        if late || (status["drained"] == true && !waits) {
            break;
        }
    }
    let told = json!({"run": engine.record.id, "pid": engine.record.pid,
                      "answered": !status.is_null(), "obeys": true,
                      "phase": status["phase"], "open": status["orders"]["open"],
                      "drained": status["drained"], "latch": status["latch"],
                      "flatten": status["flatten"]});
    let closes = !flatten || status["flatten"]["asked"] == true;
    let clear = closes
        && told["open"] == 0
        && told["drained"] == true
        && !is_closing(&status)
        && status["phase"] == status::name_of(bot4_lanes::Phase::Kill);
    Some((told, clear))
}

/// A stop that closes what is held has not come to its end.
fn is_closing(status: &Value) -> bool {
    status["flatten"]["asked"] == true && status["flatten"]["left"] != 0
}

fn latch(engine: &EarlierRun, reason: &str) -> Result<(), String> {
    let clock = bot4_lanes::Clock::monotonic();
    let record = LatchRecord {
        by: By::Operator,
        reason: reason.to_owned(),
        at_ms: clock.wall().unix_ms(clock.now()),
        run: engine.record.id.clone(),
        latched: Vec::new(),
    };
    let mut latch = Latch::of(&engine.record.account).map_err(|e| e.to_string())?;
    latch.set(record).map_err(|e| e.to_string())
}

/// Cancels the orders of an engine that is gone.
fn outside(engine: &EarlierRun) -> Result<Value, String> {
    if !lives_on(&engine.record.account) {
        // Its venue was its own child, or it had no account.
        return Ok(json!({"cancelled": 0, "left": 0}));
    }
    let paths = &engine.record.config;
    if paths.is_empty() {
        return Err("the run does not name its configuration".to_owned());
    }
    let config = config::load(paths).map_err(|e| e.to_string())?;
    let fenced = fence::cancel(&config, RunEpoch(engine.record.epoch));
    fenced.map(fence::Fenced::to_json).map_err(|e| e.to_string())
}

/// What became of positions, as a part of a sentence.
fn positions(flatten: &Value) -> String {
    match (flatten["asked"] == true, flatten["left"].as_u64(), flatten["dust"].as_u64()) {
        (false, ..) => "; positions stay".to_owned(),
        (true, Some(0), None | Some(0)) => "; every position is closed".to_owned(),
        (true, Some(0), Some(dust)) => {
            format!("; positions are closed, but {dust} below what the venue takes back")
        }
        (true, Some(left), _) => format!("; {left} POSITIONS ARE NOT CLOSED YET"),
        (true, None, _) => "; POSITIONS ARE NOT CLOSED YET".to_owned(),
    }
}

fn sentence(run: &str, told: &Value) -> String {
    if told["answered"] == true {
        return format!(
            "run {run}: stopped; {} orders open{}{}; `bot4 resume --reason \"...\"` ends the stop",
            told["open"],
            if told["drained"] == true { "" } else { ", NOT ALL OF THEM PROVEN YET" },
            positions(&told["flatten"])
        );
    }
    if told["obeys"] == true {
        return format!(
            "run {run}: stopped, BUT IT DOES NOT SAY WHAT IS OPEN: it waits for its disk, say; \
             `bot4 status` asks it again"
        );
    }
    match told["outside"]["error"].as_str() {
        Some(e) => format!(
            "run {run}: its process was ended, BUT ITS ORDERS MAY BE OPEN: {e}\nlook at the venue"
        ),
        None => format!(
            "run {run}: its process was ended; {} orders cancelled from here, {} left{}",
            told["outside"]["cancelled"],
            told["outside"]["left"],
            if told["not_closed"] == true { "; POSITIONS ARE NOT CLOSED" } else { "" }
        ),
    }
}

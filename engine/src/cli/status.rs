//! `bot4 status`

use serde_json::{Value, json};

use super::out::say;
use super::{Outcome, exit};
use crate::operator::client::{ask, running};
use crate::operator::latch::{Latch, name_of};
use crate::operator::message::Request;
use crate::operator::orders;

/// Arguments of `bot4 status`.
#[derive(clap::Args)]
#[command(after_help = "Exit code 0: every engine answers and none is stopped; 1: not so.\n\n\
                        Example: bot4 status --json")]
pub struct Args {
    /// Print JSON, one line an engine.
    #[arg(long)]
    json: bool,
}

/// Asks every running engine.
///
/// # Errors
/// A latch that cannot be read.
pub fn run(args: &Args) -> Outcome {
    let mut well = true;
    let engines = running();
    for engine in &engines {
        let status = ask(&engine.path, &Request::Status).map(|reply| reply.status);
        let silent = |e: std::io::Error| {
            json!({"run": engine.record.id, "pid": engine.record.pid, "phase": "silent",
                   "error": e.to_string()})
        };
        let status = status.unwrap_or_else(silent);
        well &= status["phase"] == "run";
        say!("{}", if args.json { status.to_string() } else { sentence(&status) });
        for parent in status["parents"].as_array().into_iter().flatten().filter(|_| !args.json) {
            say!("  {}", orders::sentence(parent));
        }
    }
    let standing = Latch::all_standing()?;
    for latch in &standing {
        let Some(record) = latch.standing() else { continue };
        well = false;
        if args.json {
            say!("{}", json!({"account": latch.account(), "latch": record}));
        } else {
            let by = name_of(record.by);
            say!("{}: stopped by {by}: {}", latch.account(), record.reason);
        }
    }
    if engines.is_empty() && standing.is_empty() && !args.json {
        say!("no engine runs, nothing is stopped");
    }
    Ok(if well { exit::DONE } else { exit::FAILED })
}

fn sentence(s: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or("?").to_owned();
    if s["phase"] == "silent" {
        return format!(
            "run {} (process {}) DOES NOT ANSWER: {}; `bot4 kill` ends it and cancels its orders",
            text(&s["run"]),
            s["pid"],
            text(&s["error"])
        );
    }
    let stopped = match s["latch"]["reason"].as_str() {
        Some(reason) => format!(" (stopped by {}: {reason})", text(&s["latch"]["by"])),
        None => String::new(),
    };
    let ill = match s["breakers"]["reason"].as_str() {
        Some(reason) => format!(" (NO NEW ORDERS: {reason})"),
        None => String::new(),
    };
    let still = match s["truth"]["instruments_stopped"].as_u64() {
        Some(n) if n > 0 => format!(
            " ({n} INSTRUMENTS STAND STILL: the balance of {} is {} by our fills and {} at the venue)",
            text(&s["truth"]["balances"]["newest_stopped"]["asset"]),
            text(&s["truth"]["balances"]["newest_stopped"]["ours"]),
            text(&s["truth"]["balances"]["newest_stopped"]["theirs"]),
        ),
        _ => String::new(),
    };
    let shed = match s["shedding"]["name"].as_str() {
        None | Some("none") => String::new(),
        Some(name) => format!(
            " (UNDER PRESSURE: up to {name} is given up, {} instruments stand still)",
            s["shedding"]["instruments"]
        ),
    };
    let waiting: Vec<_> =
        s["limits"]["looser"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let waiting = match waiting.is_empty() {
        true => String::new(),
        false => format!(" (LOOSER LIMITS WAIT for `bot4 limits reload`: {})", waiting.join(", ")),
    };
    let cut = match s["stops"]["exits_cut"].as_u64() {
        Some(n) if n > 0 => {
            format!(" ({n} EXITS WERE REFUSED at a venue: there the router alone guards)")
        }
        _ => String::new(),
    };
    format!(
        "run {} (process {}) {} at {}{stopped}{ill}{still}{shed}{waiting}{cut}, {}: {} messages, {} orders sent, {} open, {} unknown, \
         {} fills, {} refused, {} drift",
        text(&s["run"]),
        s["pid"],
        text(&s["phase"]),
        text(&s["venue"]),
        text(&s["mode"]),
        s["market"]["messages"],
        s["orders"]["sent"],
        s["orders"]["open"],
        s["orders"]["unknown"],
        s["fills"],
        s["refused"],
        s["drift"],
    )
}

//! `bot4 sim`

use std::path::PathBuf;

use serde_json::json;

use super::{Outcome, Refusal, exit};
use crate::run::dirs::state_home;
use crate::sim::{self, SimEnd};

/// Exit codes of `sim` alone.
const SAFETY: u8 = 10;
const NONDETERMINISM: u8 = 12;
const PANIC: u8 = 13;

/// Arguments of `bot4 sim`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 sim --seed 7 --steps 1000000")]
pub struct Args {
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A range of seeds, like 1..20, instead of one.
    #[arg(long, value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// Steps of each run.
    #[arg(long, default_value_t = 1_000_000)]
    steps: u64,
    /// Run each seed once instead of twice.
    #[arg(long)]
    once: bool,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parts = text
        .split_once("..")
        .and_then(|(a, b)| Some((a.parse().ok()?, b.trim_start_matches('=').parse().ok()?)));
    parts.filter(|(a, b)| a <= b).ok_or_else(|| format!("`{text}` is not a range like 1..20"))
}

/// Runs each seed, by default twice, and compares the journals.
///
/// # Errors
/// A refusal when a run cannot be built.
pub fn run(args: &Args) -> Outcome {
    let (first, last) = args.seeds.unwrap_or((args.seed, args.seed));
    let mut worst = exit::DONE;
    for seed in first..=last {
        let end = one(seed, args.steps)?;
        let again = if args.once { None } else { Some(one(seed, args.steps)?) };
        let equal = again.as_ref().is_none_or(|a| *a == end);
        let code = code_of(&end, equal);
        println!(
            "{}",
            json!({"seed": seed, "steps": end.steps, "sim_ms": end.sim_ms, "orders": end.orders,
                   "fills": end.fills, "open": end.open, "records": end.records,
                   "journal_hash": format!("{:032x}", end.journal_hash),
                   "decision_hash": format!("{:016x}", end.decision_hash),
                   "runs": if args.once { 1 } else { 2 }, "equal": equal,
                   "findings": end.unsafe_findings,
                   "fault": end.fault.as_ref().map(ToString::to_string), "exit": code})
        );
        worst = worst.max(code);
    }
    Ok(worst)
}

fn code_of(end: &SimEnd, equal: bool) -> u8 {
    match (&end.fault, end.unsafe_findings.is_empty(), equal) {
        (Some(_), _, _) => PANIC,
        (None, false, _) => SAFETY,
        (None, true, false) => NONDETERMINISM,
        (None, true, true) => exit::DONE,
    }
}

/// One run in a folder of its own, which is removed afterwards.
fn one(seed: u64, steps: u64) -> Result<SimEnd, Refusal> {
    let dir: PathBuf = state_home().join("sim").join(format!("{}-{seed}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let end = sim::run(seed, steps, &dir);
    let _ = std::fs::remove_dir_all(&dir);
    end
}

//! `bot4 sim`

use serde_json::{Value, json};

use super::out::{self, say};
use super::{Outcome, Refusal, exit, sim_sessions};
use crate::sim::{self, Options, Plant, Runs, SimEnd, Stop};

/// Exit codes of `sim` alone.
const SAFETY: u8 = 10;
const LIVENESS: u8 = 11;
const NONDETERMINISM: u8 = 12;
const PANIC: u8 = 13;
const LEAK: u8 = 14;

/// Arguments of `bot4 sim`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 sim --seed 7 --steps 1000000\n\nExit codes: 0 all \
                        invariants held, 10 safety, 11 liveness, 12 nondeterminism, 13 panic, \
                        14 leak or limit")]
pub struct Args {
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A range of seeds, like 1..20, instead of one.
    #[arg(long, value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// The saved seeds: those that once found something.
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    saved: bool,
    /// So many scripted sessions, from `--seed` on: short runs in which a few mishaps of the
    /// account strike, each held against the venue's own tables; one line for all of them.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "saved", "calm"])]
    sessions: Option<u64>,
    /// Steps of each run's trading phase.
    #[arg(long, default_value_t = 1_000_000)]
    steps: u64,
    /// Run each seed once instead of twice.
    #[arg(long)]
    once: bool,
    /// No faults, real ring sizes, everything traded.
    #[arg(long)]
    calm: bool,
    /// Plants a violation, as proof that it is found.
    #[arg(long, value_parser = plant)]
    plant: Option<Plant>,
    /// Distance of guarded stops in hundredths of a percent, instead of the usual three per cent.
    #[arg(long, value_name = "BPS")]
    stop_bps: Option<u32>,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parts = text
        .split_once("..")
        .and_then(|(a, b)| Some((a.parse().ok()?, b.trim_start_matches('=').parse().ok()?)));
    parts.filter(|(a, b)| a <= b).ok_or_else(|| format!("`{text}` is not a range like 1..20"))
}

fn plant(text: &str) -> Result<Plant, String> {
    let known = || Plant::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = Plant::ALL.iter().find(|(name, _)| *name == text).map(|(_, plant)| *plant);
    found.ok_or_else(|| format!("`{text}` is not one of {}", known()))
}

/// Runs each seed, by default twice, and compares the journals.
///
/// # Errors
/// A refusal when a run cannot be built.
pub fn run(args: &Args) -> Outcome {
    if let Some(count) = args.sessions {
        return sim_sessions::run(args.seed, count, args.plant);
    }
    let (first, last) = args.seeds.unwrap_or((args.seed, args.seed));
    let drawn = |seed| Options {
        seed,
        steps: args.steps,
        kind: if args.calm { Runs::Calm } else { Runs::Swarm },
        plant: args.plant,
        stop_bps: args.stop_bps,
        parents: true,
        kinds: true,
    };
    let runs: Vec<Options> = match args.saved {
        true => sim::saved::seeds(),
        false => (first..=last).map(drawn).collect(),
    };
    let mut worst = exit::DONE;
    for options in &runs {
        if out::is_lost() {
            break;
        }
        worst = worst.max(one(options, args.once)?);
        give_back();
    }
    Ok(worst)
}

/// Gives back the pages of machines that are gone. If that fails the process grows, no more.
pub(super) fn give_back() {
    let _ = bot4_alloc::give_back();
}

/// Runs one seed and prints its line.
fn one(options: &Options, once: bool) -> Result<u8, Refusal> {
    let end = sim::play(options)?;
    let again = if once { None } else { Some(sim::play(options)?) };
    let equal = again.as_ref().is_none_or(|a| *a == end);
    let code = code_of(&end, equal);
    say!("{}", line(&end, once, equal, code));
    if code != exit::DONE {
        let calm = if options.kind == Runs::Calm { " --calm" } else { "" };
        crate::tell!(
            "again: bot4 sim --seed {} --steps {}{calm}  (bot4 {} {})",
            options.seed,
            options.steps,
            env!("CARGO_PKG_VERSION"),
            env!("BOT4_GIT")
        );
    }
    Ok(code)
}

pub(super) fn line(end: &SimEnd, once: bool, equal: bool, code: u8) -> Value {
    let stop = end.stop.as_ref().map(|stop| match stop {
        Stop::Fault(fault) => format!("halt: {fault}"),
        Stop::Panic(role, what) => format!("panic of {role}: {what}"),
    });
    json!({"seed": end.seed, "steps": end.steps, "sim_ms": end.sim_ms, "orders": end.orders,
           "fills": end.fills, "parents": end.parents, "children": end.children,
           "kinds": end.kinds, "open": end.open, "records": end.records,
           "journal_hash": format!("{:032x}", end.journal_hash),
           "decision_hash": format!("{:016x}", end.decision_hash),
           "runs": if once { 1 } else { 2 }, "equal": equal, "looks": end.looks,
           "books_compared": end.books_compared,
           "heal_ms": end.heal_ms, "drain_ms": end.drain_ms, "faults": end.faults,
           "findings": end.unsafe_findings, "late": end.late_findings, "leaks": end.leaks,
           "stop": stop, "exit": code})
}

/// The gravest thing decides.
pub(super) fn code_of(end: &SimEnd, equal: bool) -> u8 {
    let halted = matches!(end.stop, Some(Stop::Fault(_)));
    match end {
        SimEnd { stop: Some(Stop::Panic(..)), .. } => PANIC,
        end if halted || !end.unsafe_findings.is_empty() => SAFETY,
        _ if !equal => NONDETERMINISM,
        end if !end.late_findings.is_empty() => LIVENESS,
        end if !end.leaks.is_empty() => LEAK,
        _ => exit::DONE,
    }
}

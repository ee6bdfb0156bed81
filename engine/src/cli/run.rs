//! `bot4 run`

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::out::say;
use super::{Outcome, exit};
use crate::config::{self, value::Lanes};
use crate::log::{self, last_words};
use crate::offline::Recording;
use crate::run::{self, RunOptions, control::Ending, plant::Plant};

/// Arguments of `bot4 run`.
#[derive(clap::Args, Default)]
#[command(after_help = "Example: bot4 run --for 10s --lanes 12 --report report.json")]
pub struct Args {
    /// The configuration; without it the embedded default on a simulated venue. Given again, each
    /// file is laid over those before it, key by key.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// How long to trade, like 30s or 5m.
    #[arg(long = "for", value_parser = super::duration)]
    length: Option<Duration>,
    /// `auto` or a number of lanes from 1 to 12.
    #[arg(long)]
    lanes: Option<Lanes>,
    /// Write the report as JSON here.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Write latency histograms (.hlog) into this folder.
    #[arg(long)]
    latency_dir: Option<PathBuf>,
    /// Write them this often, like 1s or 5m.
    #[arg(long, value_parser = super::duration)]
    latency_interval: Option<Duration>,
    /// Seed of masks, jitter and the embedded venue's market.
    #[arg(long)]
    seed: Option<u64>,
    /// Serve this recording as the embedded venue's market.
    #[arg(long)]
    market: Option<PathBuf>,
    /// Trade against the recording's levels instead of serving it verbatim.
    #[arg(long, requires = "market")]
    trade: bool,
    /// Write process, threads and CPUs as JSON here once all lanes run.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Test aid: trap system calls of lanes that only compute, after warm-up; a caught call is
    /// a broken promise. For at least ten lanes: with fewer they share threads with sockets.
    #[arg(long, hide = true)]
    seccomp_compute: bool,
    /// Test aid: every strategy depends on something that no journal holds (`clock`, `order`), or
    /// runs away (`runaway`), or an agent does what it must not (`slow_book`, `panic`).
    #[arg(long, hide = true, value_parser = plant)]
    plant: Option<Plant>,
    /// Send no order: cancel what an earlier run left open, compare its journal with the venue,
    /// print what was found. Allows the next start over a damaged journal.
    #[arg(long, conflicts_with_all = ["market", "length"])]
    reconcile_only: bool,
    /// Cancel open orders of bot4 runs that have no record here: after a loss of the state folder,
    /// or from another machine. Only when no other engine trades the account any more.
    #[arg(long)]
    take_over: bool,
    /// A row of `bot4 host check` that may be as it is, and why: ID:reason. May be given again.
    #[arg(long, value_name = "ID:REASON")]
    waive: Vec<String>,
    /// How what the engine tells looks on standard error.
    #[arg(long)]
    log_format: Option<log::Format>,
    /// From which level on it is told.
    #[arg(long)]
    log_level: Option<log::Level>,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Between two dumps of the latency histograms at least.
const LATENCY_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Runs the engine and prints the report.
///
/// # Errors
/// A refusal when the run cannot start.
pub fn run(args: &Args) -> Outcome {
    let mut config = config::load(&args.config)?;
    config.length = args.length.or(config.length);
    config.lanes = args.lanes.unwrap_or(config.lanes);
    config.seed = args.seed.unwrap_or(config.seed);
    config.log.format = args.log_format.unwrap_or(config.log.format);
    config.log.level = args.log_level.unwrap_or(config.log.level);
    let log = log::start(config.log)?;
    if args.reconcile_only {
        return reconcile(&config, args);
    }
    let mut venue_args = Vec::new();
    if let Some(market) = &args.market {
        if !config.further.is_empty() {
            return Err(
                "error: --market: a recording is of one venue\nhelp: name one [venue]".into()
            );
        }
        // The recording says what can be traded.
        let files = std::slice::from_ref(market);
        config.venue.symbols = Recording::read(config.venue.venue, files, None, None)?.symbols();
        venue_args.extend(["--market".to_owned(), market.display().to_string()]);
        if args.trade {
            venue_args.push("--trade".to_owned());
        }
    }
    if args.latency_interval.is_some_and(|every| every < LATENCY_INTERVAL_MIN) {
        return Err("error: --latency-interval: at least 10ms: a dump takes a millisecond".into());
    }
    let options = RunOptions {
        config: args.config.clone(),
        report: args.report.clone(),
        latency_dir: args.latency_dir.clone(),
        latency_every: args.latency_interval,
        ready_file: args.ready_file.clone(),
        trap_syscalls: args.seccomp_compute,
        venue_args,
        plant: args.plant,
        take_over: args.take_over,
        waive: args.waive.clone(),
    };
    let ended = run::run(&config, &options);
    // What the run told stands before what it came to.
    log.flush();
    let end = match ended {
        Err(e) if e.is::<run::Halted>() => {
            last_words(&e);
            return Ok(exit::HALT);
        }
        Err(e) if e.is::<run::takeover::PolicyRefusal>() => {
            last_words(&e);
            return Ok(exit::POLICY);
        }
        other => other?,
    };
    if args.json {
        say!("{}", end.report.to_json());
    } else {
        say!("{}", end.report.to_table());
    }
    crate::tell!("state: {}", end.dir.display());
    for sentence in &end.broken {
        crate::tell!("broken promise: {sentence}");
    }
    Ok(match end.ending {
        Ending::Failed(_) => exit::HALT,
        _ if end.broken.is_empty() => exit::DONE,
        _ => exit::FAILED,
    })
}

fn plant(name: &str) -> Result<Plant, String> {
    Plant::from_name(name).ok_or_else(|| format!("`{name}` cannot be planted"))
}

/// `--reconcile-only`: exit 0 when nothing is open and the venue knows every fill of the journal.
fn reconcile(config: &config::Config, args: &Args) -> Outcome {
    let found = match run::reconcile(config, args.take_over) {
        Err(e) if e.is::<run::takeover::PolicyRefusal>() => {
            last_words(&e);
            return Ok(exit::POLICY);
        }
        other => other?,
    };
    found.notes.iter().for_each(last_words);
    let earlier = &found.settled;
    if args.json {
        let told: Vec<_> = earlier.iter().map(run::settle::Settled::to_json).collect();
        // A list only where several runs left the accounts.
        let told = if let [one] = told.as_slice() { json!(one) } else { json!(told) };
        let told = if earlier.is_empty() { serde_json::Value::Null } else { told };
        say!("{}", json!({"notes": found.notes, "earlier": told}));
    } else {
        earlier.iter().flat_map(|s| s.sentences()).for_each(|s| say!("{s}"));
        if earlier.is_empty() {
            say!("no earlier run of this account has a journal here");
        }
    }
    let explained = earlier.iter().all(run::settle::Settled::is_explained);
    Ok(if explained { exit::DONE } else { exit::FAILED })
}

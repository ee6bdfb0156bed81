//! `bot4 replay`

use std::path::{Path, PathBuf};

use bot4_lanes::Clock;
use serde_json::json;

use super::out::say;
use super::{Outcome, exit};
use crate::offline::Pump;
use crate::replay;

/// Arguments of `bot4 replay`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  bot4 replay --verify ~/.local/state/bot4/runs/ID\n  \
                  bot4 replay --venue binance btcusdt_20240808.gz btcusdt_20240809.gz")]
pub struct Args {
    /// Whose recording it is; a capture says it itself, else `binance`.
    #[arg(long)]
    venue: Option<String>,
    /// REST snapshots, merged by receive time.
    #[arg(long)]
    snapshots: Option<PathBuf>,
    /// `max`, or a factor of real time.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Run it this many times and report each; the first is cold.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// A journal must lead to the decisions it holds, else exit 1 with the first difference.
    #[arg(long)]
    verify: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A run's folder or journal; or recordings and captures in order, one stream.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// How fast a recording is fed.
#[derive(Clone, Copy, Debug)]
enum Speed {
    Max,
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            n => n
                .parse()
                .ok()
                .filter(|x: &f64| x.is_finite() && *x > 0.0)
                .map(Self::Times)
                .ok_or_else(|| format!("`{text}` is not a speed: `max` or a factor like 2")),
        }
    }
}

/// Runs a journal through the cores of risk and execution, or a recording through the parse and
/// book agents, and tells what came out.
///
/// # Errors
/// A refusal when the journal or recording cannot be read.
pub fn run(args: &Args) -> Outcome {
    match args.files.as_slice() {
        [journal] if args.verify || replay::is_journal(journal) => run_journal(args, journal),
        _ if args.verify => {
            Err("error: --verify takes one run or journal\nhelp: give a run's folder".into())
        }
        _ => run_recording(args),
    }
}

/// Replays and compares; without `--verify` only what cannot be read is a failure.
fn run_journal(args: &Args, journal: &Path) -> Outcome {
    let clock = Clock::start();
    let start = clock.now();
    let mut report = replay::verify(journal)?;
    report.seconds = clock.now().since(start).0 as f64 / 1e9;
    if args.json {
        say!("{}", report.to_json());
    } else {
        say!("{}", report.to_string().trim_end());
    }
    Ok(if report.is_same() || !args.verify { exit::DONE } else { exit::FAILED })
}

fn run_recording(args: &Args) -> Outcome {
    let told = args.files.iter().any(|path| bot4_capture::is_capture(path));
    let venue = args.venue.as_deref().or((!told).then_some("binance"));
    let recording = super::recording(venue, &args.files, args.snapshots.as_deref(), None)?;
    let clock = Clock::start();
    for round in 1..=args.rounds.max(1) {
        let mut pump = Pump::new(&recording, 0)?;
        let start = clock.now();
        let mut first = None;
        recording.play(|message| {
            let first = *first.get_or_insert(message.recv_ns);
            if let Speed::Times(factor) = args.speed {
                let due = (message.recv_ns - first).max(0) as f64 / factor;
                let waited = clock.now().since(start).0 as f64;
                if due > waited {
                    pump.settle()?;
                    let pause = std::time::Duration::from_nanos((due - waited) as u64);
                    std::thread::park_timeout(pause);
                }
            }
            pump.feed(message)
        })?;
        pump.settle()?;
        let seconds = clock.now().since(start).0 as f64 / 1e9;
        let messages = pump.stats().messages;
        let levels = pump.metrics().total_of("book.", "levels");
        let (message_rate, level_rate) = (messages as f64 / seconds, levels as f64 / seconds);
        if args.json {
            say!(
                "{}",
                json!({"round": round, "messages": messages, "levels": levels, "seconds": seconds,
                       "messages_per_s": message_rate.round(), "levels_per_s": level_rate.round()})
            );
        } else {
            say!(
                "round {round}: {messages} messages, {levels} levels in {seconds:.3} s: \
                 {message_rate:.0} messages/s, {level_rate:.0} levels/s"
            );
        }
    }
    Ok(exit::DONE)
}

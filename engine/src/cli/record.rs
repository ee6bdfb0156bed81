//! `bot4 record`

use std::path::PathBuf;
use std::time::Duration;

use bot4_capture::CaptureOptions;

use super::out::say;
use super::{Outcome, exit};
use crate::config;
use crate::record::{self, RecordOptions};
use crate::run;

/// Arguments of `bot4 record`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  bot4 record --config observe.toml --out btc --for 10m\n  \
                  bot4 book --json btc\n\nThe configuration is one of `bot4 run`; nothing but its \
                  [venue] is used, and no key is needed (mode = \"observe\"). A folder that holds \
                  a capture is gone on with.")]
pub struct Args {
    /// Whose configuration names the venue and the symbols; several are laid one over the other.
    #[arg(long, required = true)]
    config: Vec<PathBuf>,
    /// The capture's folder.
    #[arg(long)]
    out: PathBuf,
    /// How long, like 30s or 5m; without it until Ctrl-C.
    #[arg(long = "for", value_parser = super::duration)]
    length: Option<Duration>,
    /// How often a snapshot of each instrument is asked for, at venues where one has to ask.
    #[arg(long, value_parser = super::duration, default_value = "10m")]
    snapshots_every: Duration,
    /// Wait for the disk after each block; else power loss may cost what the kernel still holds.
    #[arg(long)]
    sync: bool,
    /// Print the totals as JSON.
    #[arg(long)]
    json: bool,
}

/// Records until its time is over or it is stopped.
///
/// # Errors
/// A refusal when it cannot start.
pub fn run(args: &Args) -> Outcome {
    let config = config::load(&args.config)?;
    let options = RecordOptions {
        out: args.out.clone(),
        length: args.length,
        snapshots_every: args.snapshots_every,
        capture: CaptureOptions { sync: args.sync, ..CaptureOptions::default() },
        stop: run::stop_flag()?,
    };
    let end = record::record(&config, &options)?;
    if args.json {
        say!("{}", end.to_json());
    } else {
        say!("{}", end.to_text());
    }
    end.faults.iter().for_each(|fault| crate::tell!("error: {fault}"));
    let whole = end.faults.is_empty() && end.totals.frames > 0 && end.totals.lost_frames == 0;
    Ok(if whole { exit::DONE } else { exit::FAILED })
}

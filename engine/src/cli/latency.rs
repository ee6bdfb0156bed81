//! `bot4 latency`

use std::path::PathBuf;

use super::{Outcome, exit};

/// Arguments of `bot4 latency`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 latency show latency/bot4.hlog")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// A table of each stage, merged over all intervals of the dumps.
    Show {
        /// Dumps (.hlog) or folders of them.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Two dumps side by side, with ratios.
    Diff {
        /// The baseline.
        a: PathBuf,
        /// What is compared with it.
        b: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Reads histogram dumps.
///
/// # Errors
/// A refusal when a file is not a dump.
pub fn run(args: &Args) -> Outcome {
    let text = match &args.command {
        Command::Show { paths, json } => bot4_telemetry::show::show(paths, *json)?,
        Command::Diff { a, b, json } => bot4_telemetry::show::diff(a, b, *json)?,
    };
    println!("{}", text.trim_end());
    Ok(exit::DONE)
}

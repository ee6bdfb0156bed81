//! `bot4 journal`

use std::path::PathBuf;

use super::{Outcome, exit};

/// Arguments of `bot4 journal`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 journal verify ~/.local/state/bot4/runs/ID/journal")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check every record; exit 1 when any is damaged or missing.
    Verify {
        /// A journal folder or segment.
        path: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print every record as a JSON line.
    Dump {
        /// A journal folder or segment.
        path: PathBuf,
    },
}

/// Reads a journal.
///
/// # Errors
/// A refusal when the path is not a journal.
pub fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Verify { path, json } => {
            let report = bot4_journal::verify(path)?;
            if *json {
                println!("{}", report.to_json());
            } else {
                println!("{report}");
            }
            Ok(if report.is_sound() { exit::DONE } else { exit::FAILED })
        }
        Command::Dump { path } => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            bot4_journal::dump(path, &mut out)?;
            Ok(exit::DONE)
        }
    }
}

//! `bot4 guard`: not for people. See [`crate::operator::guard`].

use std::path::PathBuf;

use bot4_types::RunEpoch;

use super::{Outcome, exit};
use crate::operator::guard::{Post, stand};

/// Arguments of `bot4 guard`; standard input is the engine's pipe.
#[derive(clap::Args)]
pub struct Args {
    /// The files of the engine's configuration.
    #[arg(long, required = true)]
    config: Vec<PathBuf>,
    /// The run's folder.
    #[arg(long)]
    run: PathBuf,
    /// The run's epoch.
    #[arg(long)]
    epoch: u32,
    /// The engine's process.
    #[arg(long)]
    pid: u32,
}

/// Stands guard.
///
/// # Errors
/// When it cannot.
pub fn run(args: &Args) -> Outcome {
    let post = Post {
        config: args.config.clone(),
        folder: args.run.clone(),
        epoch: RunEpoch(args.epoch),
        pid: args.pid,
    };
    Ok(if stand(&post)? { exit::DONE } else { exit::FAILED })
}

//! `bot4 check`

use std::path::PathBuf;

use super::out::{self, say};
use super::{Outcome, exit};
use crate::config;
use crate::run::plan::Plan;

/// Arguments of `bot4 check`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  bot4 check --config deploy/config/demo.toml --lanes 12\n  \
                  bot4 check --config deploy/config/default.toml --config \
                  deploy/config/folded-2.toml")]
pub struct Args {
    /// The configuration; without it the embedded default. Given again, each file is laid over
    /// those before it, key by key.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Lanes to place instead of the configured number.
    #[arg(long)]
    lanes: Option<config::value::Lanes>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Validates and prints; starts nothing.
///
/// # Errors
/// A refusal when the configuration or the placement is impossible.
pub fn run(args: &Args) -> Outcome {
    let mut config = config::load(&args.config)?;
    config.lanes = args.lanes.unwrap_or(config.lanes);
    let plan = Plan::of(&config)?;
    if args.json {
        say!("{}", serde_json::to_string(&plan.to_json())?);
    } else {
        out::text(plan.to_text());
    }
    Ok(exit::DONE)
}

//! `bot4 check`

use std::path::PathBuf;

use super::{Outcome, exit};
use crate::config;
use crate::run::plan::Plan;

/// Arguments of `bot4 check`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 check --config deploy/config/demo.toml --lanes 12")]
pub struct Args {
    /// The configuration; without it the embedded default.
    #[arg(long)]
    config: Option<PathBuf>,
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
    let mut config = match &args.config {
        Some(path) => config::load(path)?,
        None => config::demo()?,
    };
    config.lanes = args.lanes.unwrap_or(config.lanes);
    let plan = Plan::of(&config)?;
    if args.json {
        println!("{}", serde_json::to_string(&plan.to_json())?);
    } else {
        print!("{}", plan.to_text());
    }
    Ok(exit::DONE)
}

//! `bot4 top`

use std::time::Duration;

use super::out::{self, say};
use super::{Outcome, exit};
use crate::top::live;

/// Arguments of `bot4 top`.
#[derive(clap::Args)]
#[command(
    after_help = "Keys: tab and 1 to 7 choose what is shown, s sorts by the next column, r the other \
                        way,\nthe arrows move, n shows the next engine, k stops trading after a \
                        question, q quits.\n\nExit code 0: shown; 2: no engine runs, or its \
                        counters cannot be read.\n\nExample: bot4 top --once"
)]
pub struct Args {
    /// This run only (its name, as `bot4 status` shows it); else the newest.
    #[arg(long)]
    run: Option<String>,
    /// Between two looks, like 500ms.
    #[arg(long, value_parser = super::duration, default_value = "500ms")]
    every: Duration,
    /// Print one look as text, without a terminal.
    #[arg(long)]
    once: bool,
    /// Print one look as JSON.
    #[arg(long)]
    json: bool,
}

/// Shows a running engine.
///
/// # Errors
/// When none runs, its counters cannot be read, or there is no terminal.
pub fn run(args: &Args) -> Outcome {
    let run = args.run.as_deref();
    if args.json {
        say!("{}", serde_json::to_string(&live::once(run)?)?);
    } else if args.once {
        out::text(live::text(live::once(run)?));
    } else {
        live::show(run, args.every)?;
    }
    Ok(exit::DONE)
}

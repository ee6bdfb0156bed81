//! `bot4 host ticks`

use std::path::PathBuf;
use std::time::Duration;

use bot4_host::check::SCHEMA;
use bot4_host::spin::{self, LIMIT_PER_S, Promise, REFERENCE_PER_S, Round, Spin};
use bot4_lanes::{Clock, placement};
use bot4_simd::Kernels;
use serde_json::json;

use super::out::say;
use super::{Outcome, Refusal, exit};
use crate::config::{self, value::Lanes};
use crate::run::plan::Plan;

/// Arguments of `bot4 host ticks`.
#[derive(clap::Args)]
#[command(
    after_help = "Example: bot4 host ticks --lanes 12 --for 2s\n\nEach hot lane in turn spins on \
                  its CPU while the others park. So does the control lane, whose CPU must tick: \
                  it shows that the counter counts. Exit code 1: a lane is interrupted, moved, \
                  faults, or is not pinned."
)]
pub struct Args {
    /// The configuration whose lanes are placed; without it the embedded default. Given again,
    /// each file is laid over those before it, key by key.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Lanes to place instead of the configured number.
    #[arg(long)]
    lanes: Option<Lanes>,
    /// How long each lane spins.
    #[arg(long = "for", default_value = "2s", value_parser = super::duration)]
    length: Duration,
    /// How long the lanes run before it is counted.
    #[arg(long, default_value = "300ms", value_parser = super::duration)]
    warm_up: Duration,
    /// Test aid: the lane that spins is not pinned.
    #[arg(long, hide = true)]
    unpinned: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A round for each hot lane and one for the control lane, printed and judged.
///
/// # Errors
/// A refusal when there is no plan, or the lanes do not run.
pub fn run(args: &Args) -> Outcome {
    let clock = Clock::start();
    let (reference, hot) = rounds(args, &clock)?;
    let all = || [&reference].into_iter().chain(&hot);
    let holds = all().all(|round| round.broken.is_empty());
    if args.json {
        let told = json!({
            "schema": SCHEMA, "holds": holds, "tsc": clock.source().name(),
            "simd": Kernels::best().level().name(), "reference": reference, "hot": hot,
        });
        say!("{told}");
    } else {
        all().for_each(|round| say!("{}", round.to_text()));
        all().flat_map(|round| &round.broken).for_each(|b| crate::tell!("broken promise: {b}"));
    }
    Ok(if holds { exit::DONE } else { exit::FAILED })
}

fn rounds(args: &Args, clock: &Clock) -> Result<(Round, Vec<Round>), Refusal> {
    let mut config = config::load(&args.config)?;
    config.lanes = args.lanes.unwrap_or(config.lanes);
    let plan = Plan::of(&config)?.placement.lanes;
    // This thread stays where the control lane is; lanes pin themselves.
    placement::pin(plan[0].cpu);
    let spin = Spin { window: args.length, warm_up: args.warm_up, unpinned: args.unpinned };
    let round = |at, promise| spin::round(&plan, at, &spin, promise, clock);
    let reference = round(0, Promise::AtLeast(REFERENCE_PER_S))?;
    let hot = (0..plan.len()).filter(|at| !plan[*at].is_cold());
    let hot = hot.map(|at| round(at, Promise::AtMost(LIMIT_PER_S))).collect::<Result<_, _>>()?;
    Ok((reference, hot))
}

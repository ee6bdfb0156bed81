//! Percentiles of single calls, and ratios over interleaved rounds. See the library's text for
//! what the columns mean.

use std::path::PathBuf;
use std::process::ExitCode;

use bot4_bench::machine::Machine;
use bot4_bench::report::Run;
use bot4_bench::runner::{self, Plan};
use bot4_bench::{roster, trip};
use bot4_lanes::Clock;
use clap::Parser;

/// Percentiles of the hot stages beside their baselines.
#[derive(Parser)]
#[command(name = "latency")]
struct Args {
    /// The date to write with the figures, YYYY-MM-DD.
    #[arg(long)]
    date: String,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Milliseconds for a case in a round, once as a loop and once stamped.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    ms: u64,
    /// Only groups whose name starts with this, for example `parse` or `ring/round_trip`.
    #[arg(long, default_value = "")]
    only: String,
    /// JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Also write a record below DIR: a folder for the machine, a file for the date.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// `YYYY-MM-DD`: it becomes a file name.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        })
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !is_date(&args.date) {
        eprintln!("latency: `{}` is not a date such as 2026-01-31", args.date);
        return ExitCode::from(2);
    }
    let run = measured(&args);
    if run.figures.is_empty() {
        eprintln!("latency: no group's name starts with `{}`", args.only);
        return ExitCode::from(2);
    }
    if args.json {
        println!("{:#}", run.json());
    } else {
        print!("{}", run.table());
    }
    let Some(root) = &args.record else { return ExitCode::SUCCESS };
    match run.record(root) {
        Ok(path) => {
            eprintln!("record: {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("latency: no record below {}: {error}", root.display());
            ExitCode::from(1)
        }
    }
}

fn measured(args: &Args) -> Run {
    let machine = Machine::here();
    let mut groups = roster::all();
    groups.retain(|group| group.name.starts_with(&args.only));
    if let Some((here, _)) = trip::cpus() {
        trip::pin(here);
    }
    let clock = Clock::start();
    let plan = Plan { rounds: usize::from(args.rounds), ms: args.ms };
    let floor_ns = runner::floor(plan, &clock);
    let mut run = Run {
        date: args.date.clone(),
        machine,
        plan,
        floor_ns,
        what: groups.iter().map(|g| (g.name.clone(), g.what.clone())).collect(),
        figures: Vec::new(),
    };
    for group in &mut groups {
        eprintln!("{} ...", group.name);
        run.figures.extend(runner::measure(group, plan, &clock));
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_checked() {
        assert!(is_date("2026-11-20"));
        assert!(!is_date("2026-11-2") && !is_date("../../etc/x") && !is_date("2026/11/20"));
    }
}

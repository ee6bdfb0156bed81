//! The order path beside the client that one writes first, in turn, round after round:
//! `cargo run --release -p bot4-rival-orders -- --date D`.
//!
//! Ours: risk, journal and execution of the engine on one pinned lane. The rivals: tokio,
//! tokio-tungstenite, serde_json, the same rustls with ring, one pinned thread; a gate of mutex,
//! hash maps and floats that checks less than ours; a journal in a file. All of them log on once
//! with the same key, send the same order by the same schedule to the same venue, a process on the
//! other CPU, and are measured from the moment an order is due until its bytes are the kernel's.

mod client;
mod report;

use std::process::{Command, ExitCode};

use bot4_bench::machine::Machine;
use bot4_bench::order_path::site::{self, Site};
use bot4_bench::order_path::{self, Load};
use bot4_bench::trip;
use clap::{Parser, Subcommand};
use client::STYLES;
use hdrhistogram::Histogram;
use report::{Row, Table};

/// Our order path beside tokio's.
#[derive(Parser)]
struct Args {
    /// The date to write with the figures, YYYY-MM-DD.
    #[arg(long, default_value = "")]
    date: String,
    /// The revision to write with the figures.
    #[arg(long, default_value = "")]
    revision: String,
    /// Rounds of each.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Orders a second.
    #[arg(long, default_value_t = 1_000)]
    per_second: u32,
    /// Orders in a round.
    #[arg(long, default_value_t = 3_000)]
    orders: u64,
    /// The venue sleeps when there is nothing to do: who sends then pays for waking it.
    #[arg(long)]
    sleepy: bool,
    /// One JSON line instead of the table.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    venue: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The venue's process; started by the other.
    #[command(hide = true)]
    Venue {
        #[arg(long)]
        cpu: Option<usize>,
        #[arg(long)]
        state: std::path::PathBuf,
        #[arg(long)]
        sleepy: bool,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.venue {
        Some(Role::Venue { cpu, state, sleepy }) => {
            site::serve(*cpu, !sleepy, state).map_err(Into::into)
        }
        None => compare(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("orders: {what}");
            ExitCode::from(1)
        }
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let (lane, venue) = trip::cpus().map_or((None, None), |(a, b)| (Some(a), Some(b)));
    let state = tempfile::tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("venue").arg("--state").arg(state.path());
    command.args(venue.map(|cpu| format!("--cpu={cpu}")));
    command.args(args.sleepy.then_some("--sleepy"));
    let site = Site::start(&mut command)?;
    let load = Load { per_second: args.per_second, orders: args.orders, taking: 0 };
    let mut rows: Vec<Row> =
        vec![Row::new("bot4"), Row::new("  of it risk"), Row::new("  of it rest")];
    rows.extend(STYLES.iter().map(|style| Row::new(style.name)));
    for round in 0..args.rounds {
        let epoch = 1 + round * 8;
        let ours = order_path::round(&site, load, epoch, lane)?;
        let mut all: Vec<Histogram<u64>> = vec![ours.total, ours.risk, ours.encode];
        for (n, style) in STYLES.iter().enumerate() {
            all.push(client::round(&site, load, epoch + 1 + n as u32, lane, *style)?);
        }
        rows.iter_mut().zip(all).for_each(|(row, round)| row.add(round));
        eprintln!("round {} of {}", round + 1, args.rounds);
    }
    let table = Table {
        rows,
        load,
        machine: Machine::here().to_string(),
        date: args.date.clone(),
        revision: args.revision.clone(),
        venue: if args.sleepy { "sleeps" } else { "spins" },
    };
    if args.json {
        println!("{}", table.json())
    } else {
        print!("{}", table.text())
    }
    Ok(())
}

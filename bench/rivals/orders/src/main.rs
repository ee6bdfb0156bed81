//! The order path beside the client that one writes first, in turn, round after round:
//! `cargo run --release -p bot4-rival-orders -- --date D`.
//!
//! Ours: risk, journal and execution of the engine on one pinned lane. The rivals: tokio,
//! tokio-tungstenite, serde_json with typed messages, the same rustls with ring, the runtime that
//! `#[tokio::main]` makes and, to be kinder than that, one pinned thread; a gate of mutex, hash
//! maps and floats that checks less than ours; a journal in a file, each record with the kernel
//! before its order (ours is synced to the disk every 5 ms besides). All of them log on once with
//! the same key, send the same order by the same schedule to the same venue and read its answers,
//! and are measured from the moment an order is due until its bytes are the kernel's.
//!
//! One CPU belongs to the client alone; the venue's process, which never sleeps, the main thread
//! and the journal's helpers share the other. The runtime of `#[tokio::main]` may use both. The
//! thread that wakes the client of a channel is on the client's CPU, for waking one that has
//! halted takes far longer: the kinder way.
//!
//! Scenarios: orders one by one at three rates, and bursts at the lowest, as when a maker quotes
//! anew. `send(2) alone` is the same bytes without anything around them: what is below it cannot be
//! had over loopback.

mod client;
mod report;

use std::process::{Command, ExitCode};

use bot4_bench::machine::Machine;
use bot4_bench::order_path::floor::{self, Sink};
use bot4_bench::order_path::site::{self, Site};
use bot4_bench::order_path::{self, Load};
use bot4_bench::trip;
use clap::{Parser, Subcommand};
use client::STYLES;
use report::{About, Row, Table};

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
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// Milliseconds of a client's round.
    #[arg(long, default_value_t = 400)]
    ms: u64,
    /// What is sent: orders a second, or with `xN` in bursts of N.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,10000,1000x20")]
    scenarios: Vec<Scenario>,
    /// The client's CPU; the first allowed one unless given. Take one that serves no disk.
    #[arg(long)]
    lane_cpu: Option<usize>,
    /// The venue sleeps when there is nothing to do: who sends then pays for waking it.
    #[arg(long)]
    sleepy: bool,
    /// One JSON line for each scenario instead of tables.
    #[arg(long)]
    json: bool,
    /// Lines of a record instead of tables.
    #[arg(long)]
    csv: bool,
    #[command(subcommand)]
    venue: Option<Role>,
}

/// How orders come.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    per_second: u32,
    burst: u32,
}

impl std::str::FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, burst) = text.split_once('x').unwrap_or((text, "1"));
        let number = |text: &str| {
            let number = text.parse().ok().filter(|n| (1..=100_000).contains(n));
            number.ok_or_else(|| format!("`{text}` is not a number from 1 to 100000"))
        };
        Ok(Self { per_second: number(rate)?, burst: number(burst)? })
    }
}

impl Scenario {
    /// The load of a round of so many milliseconds, in whole bursts.
    fn load(self, ms: u64) -> Load {
        let Self { per_second, burst } = self;
        let bursts = (u64::from(per_second) * ms / 1_000 / u64::from(burst)).max(1);
        Load { per_second, burst, orders: bursts * u64::from(burst), taking: 0 }
    }
}

#[derive(Subcommand)]
enum Role {
    /// The process that `send` alone reaches; started by the other.
    #[command(hide = true)]
    Sink {
        #[arg(long)]
        cpu: Option<usize>,
    },
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
        Some(Role::Sink { cpu }) => floor::serve(*cpu).map_err(Into::into),
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

type Failure = Box<dyn std::error::Error>;

/// The client's CPU and that of everything else.
fn cpus(args: &Args) -> (Option<usize>, Option<usize>) {
    let Some((last, first)) = trip::cpus() else { return (None, None) };
    let lane = args.lane_cpu.unwrap_or(first);
    (Some(lane), Some(if lane == first { last } else { first }))
}

fn command(role: &str, cpu: Option<usize>) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).args(cpu.map(|cpu| format!("--cpu={cpu}")));
    Ok(command)
}

fn compare(args: &Args) -> Result<(), Failure> {
    let (lane, others) = cpus(args);
    // Helper threads inherit it.
    others.into_iter().for_each(trip::pin);
    let loads: Vec<Load> = args.scenarios.iter().map(|scenario| scenario.load(args.ms)).collect();
    let mut tables: Vec<Vec<Row>> = loads.iter().map(|_| rows()).collect();
    let sink = Sink::start(&mut command("sink", others)?)?;
    for _ in 0..args.rounds {
        for (rows, load) in tables.iter_mut().zip(&loads) {
            rows[FLOOR].add(sink.round(*load, lane)?);
        }
    }
    drop(sink);
    let state = tempfile::tempdir()?;
    let mut venue = command("venue", others)?;
    venue.arg("--state").arg(state.path()).args(args.sleepy.then_some("--sleepy"));
    let site = Site::start(&mut venue)?;
    let mut epoch = 0;
    for round in 0..args.rounds {
        for (rows, load) in tables.iter_mut().zip(&loads) {
            play(&site, *load, &mut epoch, lane, rows)?;
        }
        eprintln!("round {} of {}", round + 1, args.rounds);
    }
    let about = About {
        machine: Machine::here().to_string(),
        date: args.date.clone(),
        revision: args.revision.clone(),
        venue: if args.sleepy { "sleeps" } else { "spins" },
    };
    for (rows, load) in tables.into_iter().zip(loads) {
        let table = Table { rows, load, about: &about };
        match (args.json, args.csv) {
            (true, _) => println!("{}", table.json()),
            (_, true) => print!("{}", table.csv()),
            _ => println!("{}", table.text()),
        }
    }
    Ok(())
}

/// The row of `send` alone.
const FLOOR: usize = 3;

fn rows() -> Vec<Row> {
    let ours = ["bot4", "  of it until approved", "  of it from there on", "  send(2) alone"];
    ours.into_iter().chain(STYLES.iter().map(|style| style.name)).map(Row::new).collect()
}

/// A round of each client.
fn play(
    site: &Site,
    load: Load,
    epoch: &mut u32,
    cpu: Option<usize>,
    rows: &mut [Row],
) -> Result<(), Failure> {
    let mut next = || {
        *epoch += 1;
        *epoch
    };
    let ours = order_path::round(site, load, next(), cpu)?;
    rows[0].add(ours.total);
    rows[1].add(ours.risk);
    rows[2].add(ours.encode);
    for (row, style) in rows[FLOOR + 1..].iter_mut().zip(STYLES) {
        row.add(client::round(site, load, next(), cpu, style)?);
    }
    Ok(())
}

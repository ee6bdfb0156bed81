//! Ten thousand orders a second for a minute through risk, journal, execution and TLS, and the
//! account exact afterwards: `cargo run --profile dist -p bot4-bench --bin sustained`.
//!
//! The agents are the engine's own, the venue is the simulated one with its limits raised, over TLS
//! on loopback, a process of its own; a schedule stands in the place of feeds, books, strategies.
//! The load is open (an order is due at its time, whatever the path does), one order in eight
//! takes and is filled. At the end orders, fills, position and balances are compared with the
//! venue's own log, unit by unit. It ends with 1 when an order did not leave or has not ended, the
//! account differs, or the gate allocated after its warm-up.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use bot4_bench::machine::Machine;
use bot4_bench::order_path::site::{self, Site};
use bot4_bench::order_path::{self, Load};
use bot4_bench::trip;
use clap::{Parser, Subcommand};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: bot4_alloc::seal::SealedAlloc = bot4_alloc::seal::SealedAlloc;

/// Orders at a steady rate, and the account exact afterwards.
#[derive(Parser)]
struct Args {
    /// Orders a second.
    #[arg(long, default_value_t = 10_000)]
    per_second: u32,
    /// Seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// One order in so many takes; 0: none.
    #[arg(long, default_value_t = 8)]
    taking: u64,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The venue's process; started by the other.
    #[command(hide = true)]
    Venue {
        #[arg(long)]
        cpu: Option<usize>,
        #[arg(long)]
        state: PathBuf,
    },
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let held = match &args.role {
        Some(Role::Venue { cpu, state }) => {
            site::serve(*cpu, true, state).map(|()| true).map_err(Failure::from)
        }
        None => sustained(&args),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(what) => {
            eprintln!("sustained: {what}");
            ExitCode::from(1)
        }
    }
}

fn sustained(args: &Args) -> Result<bool, Failure> {
    let machine = Machine::here().to_string();
    // Helper threads inherit it: the first CPU is the lane's alone.
    let (venue, lane) = trip::cpus().map_or((None, None), |(a, b)| (Some(a), Some(b)));
    venue.into_iter().for_each(trip::pin);
    let state = tempfile::tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("venue").arg("--state").arg(state.path());
    command.args(venue.map(|cpu| format!("--cpu={cpu}")));
    let site = Site::start(&mut command)?;
    let orders = u64::from(args.per_second) * args.seconds;
    let load = Load { per_second: args.per_second, orders, burst: 1, taking: args.taking };
    let ended = order_path::play(&site, load, 1, lane)?;
    let settled = site.settled()?;
    let expected = |asset| ended.risk.expected_balance(asset);
    let differ = settled.held.iter().filter(|(asset, held)| expected(*asset) != *held).count();
    let instrument = site.instrument();
    // The venue counts in eight decimals.
    let unit = 10i128.pow(8 - u32::from(instrument.qty_decimals));
    let position = i128::from(ended.risk.position(instrument.id).0) * unit;
    let booked = ended.risk.fills_applied();
    let exact = differ == 0
        && !settled.held.is_empty()
        && booked == settled.fills
        && position == settled.position
        && ended.sent == settled.orders
        && settled.open == 0;
    let all = &ended.round.total;
    let ns = |q: f64| all.value_at_quantile(q);
    let refused: std::collections::BTreeMap<&str, u64> =
        ended.risk.refused().filter(|(_, n)| *n > 0).map(|(r, n)| (r.name(), n)).collect();
    let line = json!({
        "machine": machine, "per_second": args.per_second,
        "seconds": ended.seconds, "orders": orders, "sent": ended.sent,
        "orders_at_venue": settled.orders,
        "refused": ended.refused, "refused_for": refused, "open_at_end": ended.open,
        "reached_per_second": (ended.sent as f64 / ended.seconds).round(),
        "fills": booked, "fills_at_venue": settled.fills, "acks": ended.acks,
        "position": position.to_string(), "position_at_venue": settled.position.to_string(),
        "duplicates_dropped": ended.duplicates,
        "balances_compared": settled.held.len(), "balances_differ": differ, "exact": exact,
        "hot_allocations": ended.hot_allocations,
        "journal": {"records": ended.journal.0, "lost": ended.journal.1},
        "order_path_ns": {"p50": ns(0.5), "p95": ns(0.95), "p99": ns(0.99), "p999": ns(0.999),
                          "max": all.max()},
    });
    println!("{line}");
    let whole = ended.sent == orders && ended.open == 0 && ended.journal.1 == 0;
    Ok(exact && whole && ended.hot_allocations == 0)
}

//! What a person types. One file a subcommand; every one writes results to stdout and everything
//! else to stderr.

pub mod book;
pub mod check;
pub mod guard;
pub mod host;
mod host_hold;
mod host_ticks;
pub mod journal;
pub mod kill;
pub mod latency;
pub mod limits;
pub mod mode;
mod order;
pub mod out;
pub mod person;
pub mod record;
pub mod replay;
pub mod resume;
pub mod run;
pub mod sim;
mod sim_sessions;
pub mod status;
pub mod top;
pub mod venue;
pub mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::offline::Recording;
use crate::record::instruments::CaptureInstruments;

/// Exit codes of the contract.
pub mod exit {
    /// Done and all promises held.
    pub const DONE: u8 = 0;
    /// Ran, but a promise, row or comparison failed.
    pub const FAILED: u8 = 1;
    /// Refused: bad usage, configuration or input.
    pub const REFUSED: u8 = 2;
    /// Refused for live trading by policy.
    pub const POLICY: u8 = 78;
    /// Safety halt: a person must look.
    pub const HALT: u8 = 79;
}

/// A thread-per-core pinned event engine for crypto venues.
#[derive(Parser)]
#[command(name = "bot4", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Trade: by default on a simulated venue on loopback for 30 seconds.
    Run(run::Args),
    /// Validate a configuration and print the resolved topology and placement.
    Check(check::Args),
    /// The simulated venue alone; its first line of output is its endpoints as JSON.
    Venue(venue::Args),
    /// Rebuild order books from recorded frames, offline, through the real agents.
    Book(book::Args),
    /// Capture a venue's market data, with receive times, without an account.
    Record(record::Args),
    /// Run recordings or a journal through the real agents.
    Replay(replay::Args),
    /// Read a journal.
    Journal(journal::Args),
    /// Read latency histograms.
    Latency(latency::Args),
    /// Stop trading now: no new order, everything open is cancelled, until `resume`.
    Kill(kill::Args),
    /// End a stop: only a person may, and says why.
    Resume(resume::Args),
    /// Who may increase risk from now on: emergency, manual, semi_auto, full_auto.
    Mode(mode::Args),
    /// Limits of a running engine: read the configuration's again.
    Limits(limits::Args),
    /// Orders by hand: parents (twap, vwap, pov, iceberg, pegged, best) and commands with undo.
    Order(Box<order::Args>),
    /// How the running engines are doing.
    Status(status::Args),
    /// The machine: what is set, what should be, do it, undo it, prove it.
    Host(host::Args),
    /// A running engine in the terminal: lanes, links, venues, books, risk, orders, latency.
    Top(top::Args),
    /// A web page and a Prometheus endpoint that show a running engine.
    Watch(watch::Args),
    /// The seeded stepper: the same agents on one thread in logical time.
    Sim(sim::Args),
    /// Started by `run` beside an engine that trades: cancels its orders if it dies.
    #[command(hide = true)]
    Guard(guard::Args),
}

/// Parses the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    crate::core_dumps::off();
    let command = Cli::parse().command.unwrap_or_else(|| Command::Run(run::Args::default()));
    let outcome = match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Venue(args) => venue::run(args),
        Command::Book(args) => book::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Latency(args) => latency::run(&args),
        Command::Kill(args) => kill::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Mode(args) => mode::run(&args),
        Command::Limits(args) => limits::run(&args),
        Command::Order(args) => order::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Host(args) => host::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Guard(args) => guard::run(&args),
    };
    match outcome {
        Ok(code) => ExitCode::from(out::code(code)),
        Err(refusal) => {
            crate::log::last_words(refusal);
            ExitCode::from(exit::REFUSED)
        }
    }
}

/// Why a command was refused: a text that names what, where and the mend.
pub type Refusal = Box<dyn std::error::Error>;
/// The outcome of a command: an exit code, or a refusal (exit code 2).
pub type Outcome = Result<u8, Refusal>;

/// Between two looks at what became of a request.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until it is `done`, `looks` times at most. Returns what was seen last.
fn seen<T, E>(
    looks: u32,
    mut look: impl FnMut() -> Result<T, E>,
    done: impl Fn(&T) -> bool,
) -> Result<T, E> {
    let mut last = look()?;
    for _ in 1..looks {
        if done(&last) {
            break;
        }
        std::thread::park_timeout(LOOK_EVERY);
        last = look()?;
    }
    Ok(last)
}

/// A duration argument.
fn duration(text: &str) -> Result<Duration, String> {
    crate::config::value::parse_duration(text)
}

/// The recordings or captures `files`; what a person should know of them goes to stderr. Without
/// `venue`, a capture among the files says whose it is.
fn recording(
    venue: Option<&str>,
    files: &[PathBuf],
    snapshots: Option<&Path>,
    only: Option<&str>,
) -> Result<Recording, Refusal> {
    let venue = match venue {
        Some(name) => venue_of(name)?,
        None => {
            let mut told = files.iter().filter_map(|f| CaptureInstruments::read(f).ok().flatten());
            let venue = told.next().map(|known| known.venue);
            venue_of(venue.ok_or("error: --venue is missing\nhelp: --venue binance")?.name())?
        }
    };
    let recording = Recording::read(venue, files, snapshots, only)?;
    recording.notes().iter().for_each(|note| crate::tell!("warning: {note}"));
    Ok(recording)
}

/// The venue called `name`, which must be in this build.
fn venue_of(name: &str) -> Result<bot4_venues::registry::Venue, Refusal> {
    Ok(crate::config::resolve::known_venue(name)
        .map_err(|what| format!("error: --venue: {what}"))?)
}

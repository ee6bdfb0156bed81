//! `bot4 journal`

use std::io::Write as _;
use std::path::PathBuf;

use bot4_journal::repository::{OrderRow, PositionRow, fill_json};
use bot4_journal::{JournalRepository, Query, Repository};
use bot4_types::{InstrumentId, Nanos, OrderId};
use serde_json::{Value, json};

use super::out::{self, say};
use super::person::Why;
use super::{Outcome, exit};
use crate::operator::client::ask_for;
use crate::operator::message::Request;
use crate::run::history::EarlierRun;
use crate::run::takeover::Bar;

/// Arguments of `bot4 journal`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 journal verify ~/.local/state/bot4/runs/ID/journal")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check every record; exit 1 when any is damaged or missing.
    Verify {
        /// A journal folder or segment.
        path: PathBuf,
    },
    /// Print every record as a JSON line.
    Dump {
        /// A journal folder or segment.
        path: PathBuf,
        /// Only the records of this order.
        #[arg(long)]
        order: Option<u64>,
    },
    /// Print the orders of a run as JSON lines: how far each came.
    Orders(Which),
    /// Print the fills of a run as JSON lines.
    Fills(Which),
    /// Print what each strategy holds by the fills of a run, as JSON lines.
    Positions(Which),
    /// Have a running engine end its segment and begin the next.
    Rotate(Rotate),
    /// Count records; with --order, tell what happened to an order.
    Stat {
        /// A journal folder or segment.
        path: PathBuf,
        /// The engine's order number: tells its whole life with every stamp.
        #[arg(long)]
        order: Option<u64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `bot4 journal rotate`.
#[derive(clap::Args)]
#[command(
    after_help = "The segment is finished between two records; those before it are complete files\n\
                  then, which may be copied away. Exit code 0: so it is; 1: an engine does not answer,\n\
                  or its next segment is not ready within two seconds.\n\n\
                  Example: bot4 journal rotate --reason \"nightly copy\""
)]
struct Rotate {
    #[command(flatten)]
    why: Why,
}

/// How long the journal may take to begin a segment.
const ROTATE_WITHIN: u32 = 20;

impl Rotate {
    fn run(&self) -> Outcome {
        let reason = self.why.reason()?;
        self.why.whom.each(|engine| rotate(engine, &reason, None), rotated)
    }
}

/// Has one engine begin its next segment, and looks until it is there.
#[must_use]
pub fn rotate(engine: &EarlierRun, reason: &str, via: Option<&str>) -> Value {
    let ask = |request| ask_for(&engine.path, &request, via);
    let rotations = |s: &Value| s["journal"]["rotations"].as_u64().unwrap_or(0);
    let rotated = ask(Request::Status).and_then(|reply| {
        let before = rotations(&reply.status);
        let asked = ask(Request::JournalRotate { reason: reason.to_owned() })?;
        asked.error.map_or(Ok(()), |e| Err(std::io::Error::other(e)))?;
        let look = || ask(Request::Status).map(|reply| reply.status);
        let status = super::seen(ROTATE_WITHIN, look, |s| rotations(s) > before)?;
        Ok((rotations(&status) > before, status["journal"]["segments"].clone()))
    });
    let (id, journal) = (&engine.record.id, &engine.record.journal);
    match rotated {
        Ok((true, segment)) => {
            json!({"run": id, "rotated": true, "segment": segment, "journal": journal})
        }
        Ok((false, _)) => json!({"run": id, "rotated": false,
                                 "error": "the next segment is not ready: see `bot4 status`"}),
        Err(e) => json!({"run": id, "rotated": false, "error": e.to_string()}),
    }
}

fn rotated(told: &Value) -> String {
    let text = |key: &str| told[key].as_str().unwrap_or("?");
    match told["error"].as_str() {
        Some(e) => format!("run {}: NOT ROTATED: {e}", text("run")),
        None => format!(
            "run {}: segments before number {} are finished, in {}",
            text("run"),
            told["segment"],
            text("journal")
        ),
    }
}

/// Reads the records of execution's desk.
const DESK: Option<bot4_journal::DeskReader> = Some(crate::journal_desk::line);

/// Which orders, fills or positions.
#[derive(clap::Args)]
struct Which {
    /// A journal folder or segment.
    path: PathBuf,
    /// Only of this order.
    #[arg(long)]
    order: Option<u64>,
    /// Only of this instrument, by its number in the run.
    #[arg(long)]
    instrument: Option<u16>,
    /// Not before this time, seconds since the engine's start.
    #[arg(long, value_name = "SECONDS")]
    from: Option<f64>,
    /// Before this time, seconds since the engine's start.
    #[arg(long, value_name = "SECONDS")]
    to: Option<f64>,
}

impl Which {
    fn query(&self) -> Query {
        let ns = |seconds: f64| Nanos((seconds.max(0.0) * 1e9) as u64);
        Query {
            order: self.order.map(OrderId),
            instrument: self.instrument.map(InstrumentId),
            from: self.from.map_or(Nanos::ZERO, ns),
            to: self.to.map_or(Nanos::MAX, ns),
            synced: false,
        }
    }

    /// Prints the rows that `ask` gives, a line each.
    fn print(
        &self,
        ask: impl FnOnce(&JournalRepository, &Query) -> std::io::Result<Vec<Value>>,
    ) -> Outcome {
        let rows = ask(&JournalRepository::new(&self.path), &self.query());
        let mut lines = out::Lines::default();
        let rows = rows.map_err(|e| refusal(&self.path, &e))?;
        // A failure is the output's, and told at the end.
        let _ = rows.iter().try_for_each(|row| writeln!(lines, "{row}"));
        lines.end();
        Ok(exit::DONE)
    }
}

/// Journals longer than this show their reading on a terminal.
pub(super) const SHOWN_FROM_BYTES: u64 = 32 * 1024 * 1024;

/// Reads a journal, in memory that does not grow with it.
///
/// # Errors
/// A refusal when the path is not a journal.
pub fn run(args: &Args) -> Outcome {
    let bar = Bar::default();
    let watch = &mut |done, total| bar.show("reading", done, total, SHOWN_FROM_BYTES);
    match &args.command {
        Command::Verify { path } => {
            let report =
                bot4_journal::verify_watched(path, watch).map_err(|e| refusal(path, &e))?;
            say!("{}", report.to_json());
            Ok(if report.is_sound() { exit::DONE } else { exit::FAILED })
        }
        Command::Dump { path, order } => {
            let mut lines = out::Lines::default();
            let order = order.map(OrderId);
            let dumped = bot4_journal::dump_watched(path, order, DESK, &mut lines, watch);
            lines.end();
            match dumped {
                // What went wrong is the output, and told at the end.
                Err(_) if out::is_lost() => Ok(exit::DONE),
                Err(e) => Err(refusal(path, &e).into()),
                Ok((_, 0)) => Ok(exit::DONE),
                Ok(_) => Ok(exit::FAILED),
            }
        }
        Command::Rotate(rotate) => rotate.run(),
        Command::Orders(which) => {
            which.print(|r, q| Ok(r.orders(q)?.iter().map(OrderRow::to_json).collect()))
        }
        Command::Fills(which) => {
            which.print(|r, q| Ok(r.fills(q)?.iter().map(fill_json).collect()))
        }
        Command::Positions(which) => {
            which.print(|r, q| Ok(r.positions(q)?.iter().map(PositionRow::to_json).collect()))
        }
        Command::Stat { path, order: Some(n), json } => {
            let life = bot4_journal::OrderLife::read(path, OrderId(*n), DESK, watch);
            let life = life.map_err(|e| refusal(path, &e))?;
            match json {
                true => say!("{}", life.to_json()),
                false => say!("{}", life.to_string().trim_end()),
            }
            Ok(exit::DONE)
        }
        Command::Stat { path, order: None, .. } => {
            let stat = bot4_journal::stat_watched(path, watch).map_err(|e| refusal(path, &e))?;
            say!("{}", stat.to_json());
            Ok(exit::DONE)
        }
    }
}

fn refusal(path: &std::path::Path, error: &std::io::Error) -> String {
    format!(
        "error: cannot read the journal {}: {error}\nhelp: give the journal folder of a run or one \
         of its segments",
        path.display()
    )
}

//! `bot4 latency`

use std::path::{Path, PathBuf};

use bot4_journal::{By, Worst};
use serde_json::{Value, json};

use super::out::say;
use super::person::Whom;
use super::{Outcome, exit};
use crate::operator::client::ask_for;
use crate::operator::message::Request;
use crate::run::dirs::state_home;
use crate::run::history::{self, EarlierRun};
use crate::run::takeover::Bar;

/// Arguments of `bot4 latency`.
#[derive(clap::Args)]
#[command(after_help = "Without a path the newest run is meant.\n\n\
                  Example: bot4 latency show\n\
                  Example: bot4 latency plot --stage risk --stage book -o latency.svg\n\
                  Example: bot4 latency worst -n 20")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// A table of each stage, merged over all intervals of the dumps; the slowest stage by name,
    /// and its histogram.
    Show {
        /// Dumps (.hlog), folders of them, or folders of runs.
        paths: Vec<PathBuf>,
        /// The histogram of this stage instead of the slowest one's; may be repeated.
        #[arg(long)]
        stage: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Two dumps side by side, with ratios.
    Diff {
        /// The baseline.
        a: PathBuf,
        /// What is compared with it.
        b: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Percentile curves as an SVG picture.
    Plot {
        /// Dumps (.hlog), folders of them, or folders of runs.
        paths: Vec<PathBuf>,
        /// The curve of this stage; may be repeated. Without it: the stages of an order and their
        /// sum.
        #[arg(long)]
        stage: Vec<String>,
        /// Where the picture goes; `-` prints it.
        #[arg(long, short, default_value = "latency.svg")]
        output: PathBuf,
    },
    /// The worst orders of a run, hop by hop, and which hop was slow.
    Worst(WorstArgs),
    /// Have running engines write their histograms now.
    Dump(Whom),
}

#[derive(clap::Args)]
struct WorstArgs {
    /// Folders of runs, journal folders or segments of them.
    paths: Vec<PathBuf>,
    /// How many.
    #[arg(short = 'n', long, default_value_t = 10)]
    count: usize,
    /// Those that the venue answered last, instead of those that took longest to the kernel.
    #[arg(long)]
    ack: bool,
    /// Orders that timers, fills or persons caused, instead of market data.
    #[arg(long)]
    others: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads histogram dumps and journals, or asks for a dump.
///
/// # Errors
/// A refusal when a file is not what it should be, or there is no run.
pub fn run(args: &Args) -> Outcome {
    let text = match &args.command {
        Command::Show { paths, stage, json } => {
            bot4_telemetry::show(&dumps_of(paths)?, stage, *json).map_err(refused)?
        }
        Command::Diff { a, b, json } => bot4_telemetry::diff(a, b, *json).map_err(refused)?,
        Command::Plot { paths, stage, output } => plot(&dumps_of(paths)?, stage, output)?,
        Command::Worst(args) => worst(args)?,
        Command::Dump(whom) => return whom.each(|engine| dump(engine, None), dumped),
    };
    say!("{}", text.trim_end());
    Ok(exit::DONE)
}

fn refused(error: bot4_telemetry::ShowError) -> String {
    format!("error: {error}\nhelp: give a dump (.hlog), a folder of dumps or the folder of a run")
}

/// `paths`, or the dumps of the newest run.
fn dumps_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    match paths {
        [] => Ok(vec![newest()?.latency()]),
        given => Ok(given.to_vec()),
    }
}

fn newest() -> Result<EarlierRun, String> {
    history::all().pop().ok_or_else(|| {
        let home = state_home();
        format!("error: no run in {}\nhelp: `bot4 run` makes one, or give a path", home.display())
    })
}

fn plot(paths: &[PathBuf], stages: &[String], output: &Path) -> Result<String, String> {
    let svg = bot4_telemetry::plot(paths, stages).map_err(refused)?;
    if output == Path::new("-") {
        return Ok(svg);
    }
    let place = output.display();
    std::fs::write(output, svg).map_err(|e| {
        format!("error: cannot write {place}: {e}\nhelp: name another place with --output")
    })?;
    Ok(place.to_string())
}

fn worst(args: &WorstArgs) -> Result<String, String> {
    // A run's folder has its journal, or says where it is.
    let meant = |path: &PathBuf| history::of(path).map_or(path.clone(), |run| run.record.journal);
    let paths = match args.paths.as_slice() {
        [] => vec![newest()?.record.journal],
        given => given.iter().map(meant).collect(),
    };
    let by = if args.ack { By::Ack } else { By::TickToTrade };
    let bar = Bar::default();
    let watch =
        &mut |done, total| bar.show("reading", done, total, super::journal::SHOWN_FROM_BYTES);
    let worst = Worst::read(&paths, args.count, by, args.others, watch).map_err(|e| {
        format!(
            "error: {e}\nhelp: give the folder of a run, its journal folder or one of its segments"
        )
    })?;
    Ok(if args.json { worst.to_json().to_string() } else { worst.to_string() })
}

/// Has one engine write its histograms.
#[must_use]
pub fn dump(engine: &EarlierRun, via: Option<&str>) -> Value {
    let id = &engine.record.id;
    let told = ask_for(&engine.path, &Request::LatencyDump, via).map_err(|e| e.to_string());
    match told.and_then(|reply| reply.error.map_or(Ok(reply.dump), Err)) {
        Ok(dump) => json!({"run": id, "file": dump["file"], "lines": dump["lines"]}),
        Err(e) => json!({"run": id, "error": e}),
    }
}

fn dumped(told: &Value) -> String {
    let text = |key: &str| told[key].as_str().unwrap_or("?");
    match told["error"].as_str() {
        Some(e) => format!("run {}: NOT WRITTEN: {e}", text("run")),
        None => {
            format!("run {}: {} histograms written to {}", text("run"), told["lines"], text("file"))
        }
    }
}

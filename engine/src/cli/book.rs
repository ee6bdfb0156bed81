//! `bot4 book`

use std::path::PathBuf;

use bot4_book::BookSummary;
use bot4_venues::DecodeError;
use serde_json::{Value, json};

use super::out::say;
use super::{Outcome, exit};
use crate::offline::Pump;
use crate::offline::pump::PumpError;

/// Arguments of `bot4 book`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  bot4 book --venue binance --json btcusdt_20240808.gz\n  \
                  bot4 book --json CAPTURE_FOLDER\n\nchecksums_ok counts the sums of updates, and \
                  those of snapshots except at Kraken where a snapshot is deeper than the ten \
                  levels under its sum. All are verified: a wrong one counts in checksums_bad and \
                  makes the book stale.")]
pub struct Args {
    /// Whose recording it is; a capture says it itself.
    #[arg(long)]
    venue: Option<String>,
    /// Only this symbol; without it every symbol in the files.
    #[arg(long)]
    symbol: Option<String>,
    /// REST snapshots, merged by receive time.
    #[arg(long)]
    snapshots: Option<PathBuf>,
    /// Print a line after every N applied updates of a symbol too.
    #[arg(long, default_value_t = 0)]
    every: u64,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Recordings or captures in order, one stream.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Rebuilds the books.
///
/// # Errors
/// A refusal when the recording cannot be read.
pub fn run(args: &Args) -> Outcome {
    let (files, only) = (&args.files, args.symbol.as_deref());
    let recording =
        super::recording(args.venue.as_deref(), files, args.snapshots.as_deref(), only)?;
    let venue = recording.venue().name();
    let wanted = |s: &BookSummary| only.is_none_or(|only| only == s.symbol);
    let mut pump = Pump::new(&recording, args.every)?;
    recording.play(|message| {
        pump.feed(message)?;
        if args.every > 0 {
            pump.settle()?;
            let points = pump.take_checkpoints();
            points.iter().filter(|s| wanted(s)).for_each(|s| print(venue, s, args.json));
        }
        Ok::<(), PumpError>(())
    })?;
    pump.settle()?;
    if pump.stats().too_long > 0 {
        crate::tell!("warning: {} messages are longer than a frame", pump.stats().too_long);
    }
    if let Some(unread) = unread(&pump) {
        crate::tell!("warning: {unread}\nhelp: check that --venue matches the recording");
    }
    let summaries: Vec<BookSummary> = pump.summaries().into_iter().filter(wanted).collect();
    summaries.iter().for_each(|s| print(venue, s, args.json));
    let live = summaries.iter().all(|s| s.state == "live");
    Ok(if live { exit::DONE } else { exit::FAILED })
}

/// Messages that are none of the venue's, in words. Those of symbols that nobody asked for are
/// none of these.
fn unread(pump: &Pump) -> Option<String> {
    let count = |name: &str| pump.metrics().total_of("parse.", name);
    let unknown = DecodeError::UnknownSymbol.index();
    let kinds = DecodeError::NAMES
        .iter()
        .enumerate()
        .filter(|(i, name)| *i != unknown && name.starts_with("error_") && count(name) > 0);
    let kinds: Vec<String> = kinds.map(|(_, name)| format!("{name} {}", count(name))).collect();
    let all = count("decode_errors") - count(DecodeError::NAMES[unknown]);
    (all > 0).then(|| format!("{all} messages could not be read ({})", kinds.join(", ")))
}

fn print(venue: &str, s: &BookSummary, as_json: bool) {
    if as_json {
        say!("{}", line_of(venue, s));
        return;
    }
    let side = |best: &Option<[String; 2]>| best.as_ref().map_or("-".to_owned(), |b| b.join(" x "));
    say!(
        "{venue} {:<12} {:<7} {:>28} | {:<28} levels {}/{} applied {} gaps {} trades {}",
        s.symbol,
        s.state,
        side(&s.best_bid),
        side(&s.best_ask),
        s.bid_levels,
        s.ask_levels,
        s.applied,
        s.gaps,
        s.trades
    );
}

/// A book as one line of output: the contract's fields.
#[must_use]
pub fn line_of(venue: &str, s: &BookSummary) -> Value {
    let mut line = json!({
        "venue": venue, "symbol": s.symbol, "snapshot_id": s.snapshot_id,
        "final_update_id": s.final_update_id, "best_bid": s.best_bid, "best_ask": s.best_ask,
        "bid_levels": s.bid_levels, "ask_levels": s.ask_levels, "applied": s.applied,
        "stale_dropped": s.stale_dropped, "duplicates": s.duplicates, "gaps": s.gaps,
        "resyncs": s.resyncs, "checksums_ok": s.checksums_ok, "checksums_bad": s.checksums_bad,
        "crossed": s.crossed, "trades": s.trades, "ticker_equal": s.ticker_equal,
        "ticker_differs": s.ticker_differs, "top20_crc32": s.top20_crc32, "state": s.state,
    });
    if let Some(n) = s.checkpoint {
        line["checkpoint"] = json!(n);
    }
    line
}

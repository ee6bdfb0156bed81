//! `bot4 venue`

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bot4_venue::limits::LimitRules;
use bot4_venue::{MarketChoice, VenueOptions};

use super::out::{self, say};
use super::{Outcome, Refusal, exit};
use crate::offline::export::LinesFile;
use crate::record::instruments::CaptureInstruments;

/// Arguments of `bot4 venue`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  bot4 venue --listen 127.0.0.1:9443 --market btcusdt.gz --trade\n  \
                  bot4 venue --market ws.feed.gz --snapshots rest.jsonl.gz --speed 10"
)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Whose dialect to speak: binance, binance-usdm, kraken, bybit, okx or coinbase.
    /// Without it that of the capture to serve, else binance.
    #[arg(long)]
    venue: Option<String>,
    /// `generated`, or recordings (plain or .gz) and captures in order, one stream.
    #[arg(long, num_args = 1.., default_value = "generated")]
    market: Vec<PathBuf>,
    /// REST snapshots, merged by receive time.
    #[arg(long)]
    snapshots: Option<PathBuf>,
    /// Trade against the recording instead of serving it verbatim.
    #[arg(long)]
    trade: bool,
    /// Pace of a recording; 1 is as recorded.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Timed faults, one a line, such as `5s outage 2s`; without the time they are commands of the
    /// control connection that the first line names.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Close each connection after this long, as venues do once a day.
    #[arg(long, value_parser = super::duration, default_value = "24h")]
    life: Duration,
    /// Seed of the generated market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// OKX: send the checksum that the venue sent until June 2026 instead of 0.
    #[arg(long)]
    old_checksum: bool,
    /// What an account may ask and order: `real`, as the real venue; `high`, the default; `open`,
    /// for ten thousand orders a second.
    #[arg(long, value_parser = limits, default_value = "high")]
    limits: LimitRules,
    /// Never sleep, so that who sends does not pay for waking the venue; needs a CPU of its own.
    #[arg(long)]
    spin: bool,
    /// Folder for keys and account; default: by address, forgotten with port 0.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Forget what the folder holds.
    #[arg(long)]
    fresh: bool,
    /// End when this process, which started it, ends, and leave nothing.
    #[arg(long, hide = true, value_name = "PID")]
    die_with_parent: Option<u32>,
}

/// Runs the venue until it is stopped.
///
/// # Errors
/// A refusal when an option is bad or the address is taken.
pub fn run(args: Args) -> Outcome {
    // Until the venue listens nobody looks at the flag, and a market from a pipe may never come.
    let (stop, waits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, waits.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let (market, venue, _lines) = market_of(&args)?;
    let is_pipe = matches!(&market, MarketChoice::File { path, .. } if is_pipe(path));
    waits.store(is_pipe, Ordering::Relaxed);
    let options = VenueOptions {
        listen: args.listen,
        venue,
        old_checksum: args.old_checksum,
        market,
        speed: args.speed,
        script: args.script,
        life: args.life,
        seed: args.seed,
        state_dir: args.state,
        fresh: args.fresh,
        spin: args.spin,
        limits: args.limits,
        end_with_parent: args.die_with_parent,
        ..VenueOptions::default()
    };
    let announce = |ready: &bot4_venue::Ready| {
        waits.store(false, Ordering::Relaxed);
        say!("{}", serde_json::to_string(ready).unwrap_or_default());
        // Nobody could find it.
        stop.fetch_or(out::is_lost(), Ordering::Relaxed);
    };
    bot4_venue::run(&options, &stop, announce).map_err(|e| format!("error: venue: {e}"))?;
    Ok(exit::DONE)
}

fn limits(text: &str) -> Result<LimitRules, String> {
    match text {
        "real" => Ok(LimitRules::REAL),
        "high" => Ok(LimitRules::HIGH),
        "open" => Ok(LimitRules::OPEN),
        other => Err(format!("`{other}` is not one of real, high, open")),
    }
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

/// The market to serve and its venue. The venue reads one file of lines: captures, several files
/// and snapshots are put into one, which lives as long as the third of what is given back.
fn market_of(args: &Args) -> Result<(MarketChoice, String, Option<LinesFile>), Refusal> {
    let named = args.venue.clone();
    let (files, trade) = (&args.market, args.trade);
    let first = match files.as_slice() {
        [only] if only.as_os_str() == "generated" => {
            if trade || args.snapshots.is_some() {
                let what = "error: --trade and --snapshots need a recording\nhelp: --market FILE";
                return Err(what.into());
            }
            return Ok((MarketChoice::Generated, named.unwrap_or_else(binance), None));
        }
        [only] if args.snapshots.is_none() && !bot4_capture::is_capture(only) => {
            let market = MarketChoice::File { path: only.clone(), trade };
            return Ok((market, named.unwrap_or_else(binance), None));
        }
        files => files.iter().find(|file| bot4_capture::is_capture(file)),
    };
    let recorded = first.map(|path| {
        let known = CaptureInstruments::read(path);
        known.map_err(|e| format!("error: --market {}: {e}", path.display()))
    });
    let recorded = recorded.transpose()?.flatten().map(|known| known.venue.name().to_owned());
    let name = named.or(recorded).unwrap_or_else(binance);
    let venue = super::venue_of(&name)?;
    let lines = LinesFile::of(venue, files, args.snapshots.as_deref())?;
    Ok((MarketChoice::File { path: lines.path(), trade }, name, Some(lines)))
}

fn binance() -> String {
    "binance".to_owned()
}

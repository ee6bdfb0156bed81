//! `bot4 venue`

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bot4_venue::{MarketChoice, VenueOptions};

use super::{Outcome, Refusal, exit};
use crate::offline::export::LinesFile;
use crate::record::instruments::CaptureInstruments;

/// Arguments of `bot4 venue`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 venue --listen 127.0.0.1:9443 --market btcusdt.gz --trade")]
pub struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Whose dialect to speak: binance, binance-usdm, kraken, bybit, okx or coinbase.
    /// Without it that of the capture to serve, else binance.
    #[arg(long)]
    venue: Option<String>,
    /// `generated`, a recording (plain or .gz), or a capture.
    #[arg(long, default_value = "generated")]
    market: String,
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
    /// Seed of the generated market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// OKX: send the checksum that the venue sent until June 2026 instead of 0.
    #[arg(long)]
    old_checksum: bool,
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
    let market = match args.market.as_str() {
        "generated" if args.trade => {
            return Err("error: --trade needs a recording\nhelp: --market FILE --trade".into());
        }
        "generated" => MarketChoice::Generated,
        file => MarketChoice::File { path: file.into(), trade: args.trade },
    };
    let (market, venue, _lines) = as_lines(market, args.venue)?;
    let is_pipe = matches!(&market, MarketChoice::File { path, .. } if is_pipe(path));
    waits.store(is_pipe, Ordering::Relaxed);
    let options = VenueOptions {
        listen: args.listen,
        venue,
        old_checksum: args.old_checksum,
        market,
        speed: args.speed,
        script: args.script,
        seed: args.seed,
        state_dir: args.state,
        fresh: args.fresh,
        end_with_parent: args.die_with_parent,
        ..VenueOptions::default()
    };
    let announce = |ready: &bot4_venue::Ready| {
        waits.store(false, Ordering::Relaxed);
        println!("{}", serde_json::to_string(ready).unwrap_or_default());
    };
    bot4_venue::run(&options, &stop, announce).map_err(|e| format!("error: venue: {e}"))?;
    Ok(exit::DONE)
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

/// The venue reads lines: a capture is put into a file of lines, which lives as long as the third
/// of what is given back.
fn as_lines(
    market: MarketChoice,
    venue: Option<String>,
) -> Result<(MarketChoice, String, Option<LinesFile>), Refusal> {
    let or_binance = |venue: Option<String>| venue.unwrap_or_else(|| "binance".to_owned());
    let (path, trade) = match market {
        MarketChoice::File { path, trade } if bot4_capture::is_capture(&path) => (path, trade),
        other => return Ok((other, or_binance(venue), None)),
    };
    let wrong = |e: std::io::Error| format!("error: --market {}: {e}", path.display());
    let recorded = CaptureInstruments::read(&path).map_err(wrong)?.map(|known| known.venue.name());
    if let (Some(asked), Some(recorded)) = (&venue, recorded)
        && asked != recorded
    {
        let path = path.display();
        return Err(format!(
            "error: --market {path} was recorded at `{recorded}`\nhelp: --venue {recorded}"
        )
        .into());
    }
    let lines = LinesFile::of(&path).map_err(wrong)?;
    let venue = or_binance(venue.or(recorded.map(str::to_owned)));
    Ok((MarketChoice::File { path: lines.path(), trade }, venue, Some(lines)))
}

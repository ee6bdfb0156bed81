//! `bot4 venue`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bot4_venue::{MarketChoice, VenueOptions};

use super::{Outcome, exit};

/// Arguments of `bot4 venue`.
#[derive(clap::Args)]
#[command(after_help = "Example: bot4 venue --listen 127.0.0.1:9443 --market btcusdt.gz --trade")]
pub struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Whose dialect to speak: binance, binance-usdm, kraken, bybit, okx or coinbase.
    #[arg(long, default_value = "binance")]
    venue: String,
    /// `generated`, or a recording (plain or .gz).
    #[arg(long, default_value = "generated")]
    market: String,
    /// Trade against the recording instead of serving it verbatim.
    #[arg(long)]
    trade: bool,
    /// Pace of a recording; 1 is as recorded.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Timed faults, one a line.
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
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let market = match args.market.as_str() {
        "generated" if args.trade => {
            return Err("error: --trade needs a recording\nhelp: --market FILE --trade".into());
        }
        "generated" => MarketChoice::Generated,
        file => MarketChoice::File { path: file.into(), trade: args.trade },
    };
    let options = VenueOptions {
        listen: args.listen,
        venue: args.venue,
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
        println!("{}", serde_json::to_string(ready).unwrap_or_default());
    };
    bot4_venue::run(&options, &stop, announce).map_err(|e| format!("error: venue: {e}"))?;
    Ok(exit::DONE)
}

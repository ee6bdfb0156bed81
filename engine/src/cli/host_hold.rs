//! `bot4 host hold`

use std::path::Path;
use std::time::Duration;

use bot4_host::{Root, latency};
use sd_notify::NotifyState;

use super::{Outcome, exit};
use crate::run::stop_flag;

/// Between two looks whether it was told to end.
const LOOK: Duration = Duration::from_millis(100);

/// Arguments of `bot4 host hold`.
#[derive(clap::Args)]
pub struct Args {
    /// The longest that a CPU may take to wake, microseconds.
    #[arg(long, default_value_t = 0)]
    us: u32,
}

/// Holds the time to wake until SIGTERM or SIGINT. Where the system refuses, it says so and waits
/// all the same: an engine that is started behind it runs without, more slowly.
///
/// # Errors
/// When signals cannot be received.
pub fn run(args: &Args) -> Outcome {
    let stop = stop_flag().map_err(|e| format!("error: signals: {e}"))?;
    let root = Root::at(Path::new("/"));
    let held = latency::Hold::take(&root, args.us);
    let told = match &held {
        Ok(_) => format!("{} is held at {} us", latency::DEVICE, args.us),
        Err(e) => format!("warning: {}: {e}; CPUs may sleep", latency::DEVICE),
    };
    crate::tell!("{told}");
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&told)]);
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        std::thread::park_timeout(LOOK);
    }
    drop(held);
    Ok(exit::DONE)
}

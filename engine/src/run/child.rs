//! The embedded venue: a child process of the same binary that dies with its parent and is
//! started again when it dies alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bot4_types::Nanos;
use serde::Deserialize;

/// The venue's first line of output.
#[derive(Clone, Debug, Deserialize)]
pub struct Endpoints {
    /// Market-data host.
    pub market: String,
    /// WebSocket API.
    pub api: String,
    /// Certificate of its authority.
    pub ca: PathBuf,
    /// Name of the key pair it accepts.
    pub api_key: String,
    /// The private key's file.
    pub private_key: PathBuf,
}

/// A running child.
pub struct VenueChild {
    child: Child,
    state: PathBuf,
    seed: u64,
    extra: Vec<String>,
    /// Where it listens.
    pub endpoints: Endpoints,
    /// Times it was started again.
    pub restarts: u32,
    restart_at: Option<Nanos>,
}

/// How long a dead child stays dead before it is started again.
const RESTART_AFTER: Nanos = Nanos::from_secs(1);

impl VenueChild {
    /// Starts the venue on a free port; its state lies in `state`.
    ///
    /// # Errors
    /// When the process cannot be started or does not say where it listens.
    pub fn start(state: &Path, seed: u64, extra: &[String]) -> std::io::Result<Self> {
        let (child, endpoints) = launch("127.0.0.1:0", state, seed, extra)?;
        let state = state.to_owned();
        let extra = extra.to_vec();
        Ok(Self { child, state, seed, extra, endpoints, restarts: 0, restart_at: None })
    }

    /// Looks after the child: a dead one is started again on its old port with its old state.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub fn supervise(&mut self, now: Nanos) -> std::io::Result<()> {
        match self.restart_at {
            None if self.child.try_wait()?.is_some() => self.restart_at = Some(now + RESTART_AFTER),
            Some(at) if now >= at => {
                let listen = self.endpoints.market.trim_start_matches("wss://").to_owned();
                let (child, endpoints) = launch(&listen, &self.state, self.seed, &self.extra)?;
                self.child = child;
                self.endpoints = endpoints;
                self.restarts += 1;
                self.restart_at = None;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for VenueChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(
    listen: &str,
    state: &Path,
    seed: u64,
    extra: &[String],
) -> std::io::Result<(Child, Endpoints)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["venue", "--die-with-parent", "--listen", listen, "--state"])
        .arg(state)
        .args(["--seed", &seed.to_string()])
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    match serde_json::from_str(&line) {
        Ok(endpoints) => Ok((child, endpoints)),
        Err(e) => {
            let _ = child.kill();
            let _ = child.wait();
            let what =
                format!("the embedded venue did not say where it listens: {e}; got `{line}`");
            Err(std::io::Error::other(what))
        }
    }
}

//! The embedded venue: a child process of the same binary that dies with its parent and is
//! started again when it dies alone.
//!
//! Its folder (keys, account) is of no use without its run. It goes with the orderly end of the
//! run; when the run is killed, with the child, which sees that; when both are killed, at the next
//! start ([`sweep`]).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bot4_types::Nanos;
use bot4_types::limits::VENUES_MAX;
use serde::Deserialize;

/// The venue's first line of output.
#[derive(Clone, Debug, Deserialize)]
pub struct Endpoints {
    /// Market-data host.
    pub market: String,
    /// WebSocket API, where the venue has one.
    #[serde(default)]
    pub api: Option<String>,
    /// REST host, where the venue has one.
    #[serde(default)]
    pub rest: Option<String>,
    /// Certificate of its authority.
    pub ca: PathBuf,
    /// Name of the key pair it accepts, where it takes orders.
    #[serde(default)]
    pub api_key: Option<String>,
    /// The private key's file.
    #[serde(default)]
    pub private_key: Option<PathBuf>,
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
                // Should it not start, it is tried again after a while and not at once.
                self.restart_at = Some(now + RESTART_AFTER);
                let listen = host_of(&self.endpoints.market).to_owned();
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
        // What cannot be removed now, the next start tries again.
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// The folder of the first embedded venue in its run's folder.
pub const FOLDER: &str = "venue";

/// The folder of embedded venue `v` in its run's folder.
#[must_use]
pub fn folder(v: usize) -> String {
    if v == 0 { FOLDER.to_owned() } else { format!("{FOLDER}.{v}") }
}

/// Removes the folders of embedded venues whose engines were killed together with them, and run
/// folders in which nothing else lies: those runs had not begun.
pub fn sweep() {
    for run in super::history::folders() {
        let name = run.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let pid = name.split_once('-').and_then(|(_, pid)| pid.parse::<u32>().ok());
        // An engine that lives may just be starting its child again.
        if pid.is_none_or(|pid| Path::new("/proc").join(pid.to_string()).exists()) {
            continue;
        }
        for folder in (0..VENUES_MAX).map(|v| run.join(folder(v))) {
            if !is_held(&folder) && std::fs::remove_dir_all(folder).is_ok() {
                let _ = std::fs::remove_dir(&run);
            }
        }
    }
}

/// A venue that lives has locked its folder: the engine may run in another container.
fn is_held(folder: &Path) -> bool {
    let lock = std::fs::File::options().write(true).open(folder.join("lock"));
    lock.is_ok_and(|lock| lock.try_lock().is_err())
}

/// Host and port of a market URL, whose path is the venue's own.
fn host_of(market: &str) -> &str {
    let host = market.trim_start_matches("wss://");
    host.split_once('/').map_or(host, |(host, _)| host)
}

fn launch(
    listen: &str,
    state: &Path,
    seed: u64,
    extra: &[String],
) -> std::io::Result<(Child, Endpoints)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["venue", "--die-with-parent", &std::process::id().to_string()])
        .args(["--listen", listen, "--state"])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_listens_again_where_it_did_whatever_the_path_of_its_streams() {
        assert_eq!(host_of("wss://127.0.0.1:1234"), "127.0.0.1:1234");
        assert_eq!(host_of("wss://127.0.0.1:42229/v5/public/spot"), "127.0.0.1:42229");
    }
}

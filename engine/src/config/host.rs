//! `[host]`: how strictly the machine is looked at before a run, and what of it may be otherwise.

use std::path::PathBuf;

use bot4_host::{Mode, Waivers};
use serde::Deserialize;
use toml::Spanned;

use super::error::Issue;
use super::layers::Layers;
use super::resolve::issue;
use super::venue::{VenueAccess, VenueConfig};

/// `[host]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// `live`, `paper` or `ci`.
    pub mode: Option<Spanned<String>>,
    /// Rows that may be as they are: `ID:reason`.
    pub waive: Vec<Spanned<String>>,
    /// What must be rolled out here.
    pub manifest: Option<Spanned<PathBuf>>,
    /// The longest that a CPU may take to wake while the run lasts, microseconds.
    pub cpu_dma_latency_us: Option<Spanned<u32>>,
}

/// `[host]`, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// How strictly: live refuses to trade on a machine with a failed row.
    pub mode: Mode,
    /// Rows that may be as they are, each `ID:reason`.
    pub waive: Vec<String>,
    /// The file of what must be rolled out here.
    pub manifest: Option<PathBuf>,
    /// The longest that a CPU may take to wake while the run lasts, microseconds.
    pub cpu_dma_latency_us: Option<u32>,
}

/// More is no limit, microseconds: a hundred times what the deepest sleep takes.
const LATENCY_MAX_US: u32 = 100_000;

/// Checks `[host]`; without a mode it is live where an order of these `venues` can cost money: a
/// venue that is neither embedded nor on this machine.
///
/// # Errors
/// A mode that is none, a waiver without a row or a reason, a manifest that cannot be read.
pub fn resolve<'a>(
    host: Host,
    layers: &Layers,
    mut venues: impl Iterator<Item = &'a VenueConfig>,
) -> Result<HostConfig, Issue> {
    let mode = match &host.mode {
        Some(name) => Mode::from_name(name.get_ref()).ok_or_else(|| {
            issue(name.span(), "mode", "is no mode of the host", "live, paper or ci")
        })?,
        None if venues.any(costs_money) => Mode::Live,
        None => Mode::Paper,
    };
    for waiver in &host.waive {
        Waivers::parse([waiver.get_ref()]).map_err(|what| {
            let what = what.lines().next().unwrap_or("").trim_start_matches("error: ").to_owned();
            issue(waiver.span(), "waive", what, "write \"ID:reason\", see `bot4 host check`")
        })?;
    }
    let manifest = host.manifest.map(|m| {
        let path = layers.folder_of(&m.span()).join(m.get_ref());
        match path.is_file() {
            true => Ok(path),
            false => {
                let what = format!("{} is no file", path.display());
                Err(issue(m.span(), "manifest", what, "`bot4 host check --json` prints one"))
            }
        }
    });
    let latency = host.cpu_dma_latency_us;
    if let Some(us) = latency.as_ref().filter(|us| *us.get_ref() > LATENCY_MAX_US) {
        let mend = "0 (no sleep) to 100000; leave it out for none";
        return Err(issue(us.span(), "cpu_dma_latency_us", "is no limit", mend));
    }
    Ok(HostConfig {
        cpu_dma_latency_us: latency.map(Spanned::into_inner),
        mode,
        waive: host.waive.into_iter().map(Spanned::into_inner).collect(),
        manifest: manifest.transpose()?,
    })
}

/// An order there can cost money.
fn costs_money(venue: &VenueConfig) -> bool {
    match &venue.access {
        VenueAccess::Embedded => false,
        VenueAccess::Remote(remote) => venue.trades() && !is_here(&remote.market),
    }
}

/// The URL names this machine.
fn is_here(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.", "localhost:", "localhost/", "[::1]"].iter().any(|here| rest.starts_with(here))
        || rest == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_elsewhere() {
        for here in ["wss://127.0.0.1:9", "wss://localhost:9/x", "wss://[::1]:9", "wss://localhost"]
        {
            assert!(is_here(here), "{here}");
        }
        for there in ["wss://stream.venue.example", "wss://localhost.example", "wss://10.0.0.1"] {
            assert!(!is_here(there), "{there}");
        }
    }

    #[test]
    fn the_demo_is_paper_and_mistakes_are_refused() {
        let with = |host: &str| {
            let text = format!("{}\n[host]\n{host}\n", crate::config::DEMO);
            crate::config::parse(&text, std::path::Path::new("demo.toml"))
        };
        assert_eq!(with("").expect("valid").host.mode, Mode::Paper);
        let live = with("mode = \"live\"\nwaive = [\"memory.swap:zram\"]").expect("valid").host;
        assert_eq!((live.mode, live.waive.len()), (Mode::Live, 1));
        assert_eq!(live.cpu_dma_latency_us, None, "nobody asked");
        let held = with("cpu_dma_latency_us = 0").expect("valid").host;
        assert_eq!(held.cpu_dma_latency_us, Some(0));
        for wrong in [
            "mode = \"real\"",
            "waive = [\"memory.swap\"]",
            "waive = [\"memory.nothing:x\"]",
            "manifest = \"nowhere.json\"",
            "cpu_dma_latency_us = 2000000000",
            "cpu_dma_latency_us = -1",
        ] {
            let error = with(wrong).expect_err(wrong).to_string();
            assert!(error.contains("demo.toml"), "{error}");
        }
    }
}

//! A venue of a run, and the way to it: its configuration, its endpoints and keys, its child
//! process where it is embedded. Everything that a run does at a venue it does for each site by
//! itself, so that one venue in trouble leaves the others alone.

use std::path::Path;

use bot4_types::VenueId;
use bot4_venues::registry::Venue;

use super::access::Access;
use super::child::{self, VenueChild};
use super::dirs::RunDir;
use super::history;
use crate::config::resolve::{Keys, Remote};
use crate::config::{Config, VenueAccess, VenueConfig};

type Failure = Box<dyn std::error::Error>;

/// A venue and the way to it.
pub struct Site {
    /// Its index in the run.
    pub id: VenueId,
    /// How it is configured.
    pub config: VenueConfig,
    /// Endpoints, keys and network.
    pub access: Access,
}

impl Site {
    /// Which venue it is.
    #[must_use]
    pub const fn venue(&self) -> Venue {
        self.config.venue
    }
}

/// The embedded venues of `config`, started with the arguments `extra`; all venues with the way to
/// them; and the account.
///
/// # Errors
/// As [`embed`] and [`sites`].
pub fn all(
    config: &Config,
    extra: &[String],
    dir: &RunDir,
) -> Result<(Vec<VenueChild>, Vec<Site>, String), Failure> {
    let children = embed(config, &dir.path, extra)?;
    let remotes = remotes(config, &children);
    let sites = sites(config, &remotes)?;
    Ok((children, sites, history::account_of(config, &remotes)))
}

/// Starts the embedded venues of `config`, each with a folder of its own in `dir`; none where they
/// are somewhere else. `extra` are further arguments of each.
///
/// # Errors
/// When a process cannot be started or does not say where it listens.
pub fn embed(config: &Config, dir: &Path, extra: &[String]) -> Result<Vec<VenueChild>, Failure> {
    let mut children = Vec::new();
    for (v, venue) in config.venues().enumerate() {
        if !matches!(venue.access, VenueAccess::Embedded) {
            continue;
        }
        let mut args = vec!["--venue".to_owned(), venue.venue.name().to_owned()];
        args.extend_from_slice(extra);
        // Each market has its own draw, as real ones have.
        let seed = config.seed.wrapping_add(v as u64);
        children.push(VenueChild::start(&dir.join(child::folder(v)), seed, &args)?);
    }
    Ok(children)
}

/// Hosts and keys of each venue; of an embedded one as its child among `children` tells them.
///
/// # Panics
/// When an embedded venue has no child.
#[must_use]
pub fn remotes(config: &Config, children: &[VenueChild]) -> Vec<Remote> {
    let of = |(v, venue): (usize, &VenueConfig)| match &venue.access {
        VenueAccess::Remote(remote) => remote.clone(),
        VenueAccess::Embedded => remote_of(venue, &children[v]),
    };
    config.venues().enumerate().map(of).collect()
}

fn remote_of(venue: &VenueConfig, child: &VenueChild) -> Remote {
    let e = child.endpoints.clone();
    let keys = e.api_key.zip(e.private_key);
    let keys = keys.map(|(api_key, private_key)| Keys { api_key, private_key });
    Remote {
        market: e.market,
        api: e.api,
        rest: e.rest,
        ca: Some(e.ca),
        keys: venue.trades().then_some(keys).flatten(),
    }
}

/// The sites of `config`, whose hosts and keys are `remotes`.
///
/// # Errors
/// When a key file cannot be read.
pub fn sites(config: &Config, remotes: &[Remote]) -> Result<Vec<Site>, Failure> {
    let mut sites = Vec::new();
    for (v, (venue, remote)) in config.venues().zip(remotes).enumerate() {
        let (id, access) = (VenueId(v as u8), Access::of(remote)?);
        sites.push(Site { id, config: venue.clone(), access });
    }
    Ok(sites)
}

//! Cancels a run's orders from outside it, by a session of its own: for an engine that is gone or
//! does not answer. Only orders that carry the run's epoch are touched; those of a newer run, or
//! of another program, stay.

use bot4_lanes::Clock;
use bot4_types::RunEpoch;
use serde_json::{Value, json};

use crate::config::resolve::Remote;
use crate::config::{Config, VenueAccess, VenueConfig};
use crate::run::access::Access;
use crate::run::cold::{self, ColdError};

/// Rounds of asking and cancelling: an order may be on its way while we ask.
const ROUNDS: usize = 3;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fenced {
    /// Cancels sent.
    pub cancelled: usize,
    /// Orders of the run that were still open at the last look.
    pub left: usize,
}

impl Fenced {
    /// As JSON.
    #[must_use]
    pub fn to_json(self) -> Value {
        json!({"cancelled": self.cancelled, "left": self.left})
    }
}

/// The hosts and keys of the first venue of `config`, where its accounts outlive an engine.
#[must_use]
pub fn remote_of(config: &Config) -> Option<&Remote> {
    remote_at(&config.venue)
}

fn remote_at(venue: &VenueConfig) -> Option<&Remote> {
    match &venue.access {
        VenueAccess::Remote(remote) if venue.trades() => Some(remote),
        _ => None,
    }
}

/// Cancels every open order of the run `epoch` at each venue of `config`, whatever becomes of the
/// one before it.
///
/// # Errors
/// When a venue cannot be asked: then nobody knows what is open there.
pub fn cancel(config: &Config, epoch: RunEpoch) -> Result<Fenced, ColdError> {
    // All at a time: one that hangs must not hold up the others.
    let all = std::thread::scope(|scope| {
        let ask = |venue| scope.spawn(move || cancel_at(venue, config.seed, epoch));
        let asked: Vec<_> = config.venues().map(ask).collect();
        asked.into_iter().map(|one| one.join()).collect::<Vec<_>>()
    });
    all.into_iter()
        .map(|one| one.unwrap_or(Err(ColdError::Answer("a thread that failed"))))
        .try_fold(Fenced::default(), |sum, one| {
            let one = one?;
            Ok(Fenced { cancelled: sum.cancelled + one.cancelled, left: sum.left + one.left })
        })
}

fn cancel_at(venue: &VenueConfig, seed: u64, epoch: RunEpoch) -> Result<Fenced, ColdError> {
    let remote = remote_at(venue).ok_or(ColdError::NoKeys)?;
    let clock = Clock::start();
    let access = Access::of(remote)?;
    // What withdraws orders is never held back by a breaker.
    access.guards.disarm();
    let mut cold = cold::open(&clock, &access, venue.venue, seed)?;
    let table = cold.instruments(&venue.symbols)?.table;
    let mut fenced = Fenced::default();
    for _ in 0..ROUNDS {
        let open = cold.open_orders(&table)?;
        let ours: Vec<_> =
            open.iter().filter(|o| o.client.own().is_some_and(|(e, _)| e == epoch)).collect();
        fenced.left = ours.len();
        if ours.is_empty() {
            return Ok(fenced);
        }
        for order in ours {
            cold.cancel_order(order, &table)?;
            fenced.cancelled += 1;
        }
    }
    fenced.left = cold
        .open_orders(&table)?
        .iter()
        .filter(|o| o.client.own().is_some_and(|(e, _)| e == epoch))
        .count();
    Ok(fenced)
}

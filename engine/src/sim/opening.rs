//! What a simulated run starts from: the twin venue's instruments and balances.

use bot4_types::Wall;

use super::run::{Failure, ORIGIN_UNIX_NS};
use super::swarm::Swarm;
use super::venue_agent::VenueAgent;
use crate::config::Config;
use crate::run::account_state::Past;
use crate::run::outcome::{Opening, VenueOpening};

/// The account before the run, as the venue tells it.
///
/// # Errors
/// When the venue's list is not understood.
pub(super) fn opening(
    config: &Config,
    swarm: &Swarm,
    venue: &VenueAgent,
    wall: Wall,
) -> Result<Opening, Failure> {
    let symbols = &config.venue.symbols;
    let mut info = VenueAgent::exchange_info(config.seed, swarm, symbols, wall)?;
    let equity_asset = config.risk.equity_asset(&info.table).ok_or("no equity asset")?;
    let equity_asset =
        info.table.asset(equity_asset).map_err(|e| format!("equity asset: {e:?}"))?;
    let balances = venue
        .balances()
        .into_iter()
        .filter_map(|(name, amount)| Some((info.table.find_asset(name.as_bytes())?, amount)))
        .collect();
    let start_ms = ORIGIN_UNIX_NS / 1_000_000;
    let venues = vec![VenueOpening::of(&info, wall, start_ms)];
    let (notes, seed) = (Vec::new(), config.seed);
    let past = Past::default();
    Ok(Opening { info, venues, wall, balances, equity_asset, start_ms, notes, seed, past })
}

//! The venues' own accounts against ours at the end of a run, venue by venue.
//!
//! A venue that cannot be asked is told as such and leaves the comparison of the others alone; the
//! run then does not count as compared.

use std::collections::BTreeMap;

use bot4_telemetry::report::{self, VenueLine};
use bot4_types::AssetId;
use bot4_types::instrument::Amount;

use super::cold::{self, ColdError};
use super::earned::amount_text;
use super::leftovers;
use super::opening::{patiently, totals};
use super::outcome::{Closing, Finals};
use super::site::Site;

/// What the comparison gave.
pub struct Compared {
    /// The differences over all venues; none where the run has no accounts, or one could not be
    /// asked.
    pub reconcile: Option<report::Reconcile>,
    /// The same by venue, in a run of several.
    pub venues: Vec<VenueLine>,
    /// What could not be compared, as sentences.
    pub notes: Vec<String>,
    /// When each venue was asked, by its name and clock, Unix ms.
    pub asked_ms: BTreeMap<String, i64>,
}

/// Compares with every venue at which the run traded. `open` has the orders that have not ended by
/// our own count, and those of unknown fate among them, by venue.
pub fn compare(c: &Closing<'_>, finals: &Finals, open: &[(usize, usize)]) -> Compared {
    let (mut sum, mut compared) = (report::Reconcile::default(), c.config.venue.trades());
    let (mut venues, mut notes, mut asked_ms) = (Vec::new(), Vec::new(), BTreeMap::new());
    for site in c.sites.iter().filter(|site| site.config.trades()) {
        let (open, unknown) = open.get(site.id.index()).copied().unwrap_or_default();
        let name = site.venue().name();
        let found = compare_one(c, site, finals, open);
        match &found {
            Ok((found, at_ms)) => {
                asked_ms.insert(name.to_owned(), *at_ms);
                sum.orders_differ += found.orders_differ;
                sum.positions_differ += found.positions_differ;
                sum.balances_differ += found.balances_differ;
            }
            Err(e) => {
                compared = false;
                notes.push(format!("the account at {name} could not be compared with it: {e}"));
            }
        }
        let line = finals.venue_line(site.id.index(), name);
        let (open_at_end, unknown) = (open as u64, unknown as u64);
        venues.push(VenueLine {
            open_at_end,
            unknown,
            reconcile: found.ok().map(|(found, _)| found),
            ..line
        });
    }
    if c.sites.len() == 1 {
        venues.clear();
    }
    Compared { reconcile: compared.then_some(sum), venues, notes, asked_ms }
}

/// Orders, positions and balances of one venue against ours, and when it was asked.
fn compare_one(
    c: &Closing<'_>,
    site: &Site,
    finals: &Finals,
    open: usize,
) -> Result<(report::Reconcile, i64), ColdError> {
    let (seed, access) = (c.opening.seed.wrapping_add(1), &site.access);
    let mut cold = patiently(c.clock, || cold::open(c.clock, access, site.venue(), seed))?;
    let table = &c.opening.info.table.seen_from(site.id);
    let declared = &c.config.account.declared;
    let left = leftovers::open_orders(&mut *cold, table, declared)?;
    let at_venue = left.ours.len();
    if at_venue > 0 {
        // A lane that failed may have left orders: nothing stays open behind the engine's back.
        crate::tell!("{at_venue} orders were open at the end and are cancelled now");
        left.cancel(&mut *cold, table)?;
    }
    if site.config.dead_man && open == 0 {
        // Nothing of ours is left to be cancelled: the timer would strike the orders of others.
        cold.rest_dead_man()?;
    }
    let asked_ms = cold.wall().unix_ms(c.clock.now());
    let start_ms = c.opening.venues[site.id.index()].start_ms;
    let mut positions_differ = 0;
    // Where others may trade, the venue's trades do not tell what is ours.
    let trades = match declared.is_any() {
        true => Vec::new(),
        false => cold.all_trades_since(start_ms, table)?,
    };
    for instrument in table.own().filter(|_| !declared.is_any()) {
        let own = trades.iter().filter(|t| t.instrument == instrument.id);
        let net: i64 = own.map(|t| t.side.sign() * t.qty).sum();
        let past = &c.opening.past;
        let held = past.held.iter().filter(|h| h.instrument == instrument.id).map(|h| h.qty.0);
        let late = past.recovered.late.iter().filter(|f| f.instrument == instrument.id);
        let late = late.map(|f| f.side.sign() * f.qty.0);
        let before: i64 = held.chain(late).sum();
        let ours = finals.risk.position(instrument.id).0 - before;
        if net != ours {
            positions_differ += 1;
            let symbol = table.label(instrument);
            crate::tell!("difference: position of {symbol}: ours {ours}, the venue's trades {net}");
        }
    }
    let mut balances_differ = 0;
    let venue: BTreeMap<AssetId, Amount> = totals(&mut *cold, table)?.into_iter().collect();
    let assets = (0..table.assets_len()).map(|i| AssetId(i as u8));
    for asset in assets.filter(|asset| table.venue_of(*asset) == Some(site.id)) {
        let (theirs, ours) =
            (venue.get(&asset).copied().unwrap_or(0), finals.risk.expected_balance(asset));
        if theirs != ours {
            balances_differ += 1;
            let name = table.asset_label(asset);
            let (ours, theirs) = (amount_text(ours), amount_text(theirs));
            crate::tell!("difference: balance of {name}: ours {ours}, the venue's {theirs}");
        }
    }
    let orders_differ = at_venue.abs_diff(open) as u64 + open as u64;
    Ok((report::Reconcile { orders_differ, positions_differ, balances_differ }, asked_ms))
}

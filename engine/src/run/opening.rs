//! Before the first order: what the venues say, each asked by a cold session of its own.

use std::collections::BTreeSet;

use bot4_execution::foreign::Declared;
use bot4_lanes::Clock;
use bot4_types::instrument::Amount;
use bot4_types::{AssetId, InstrumentTable, Nanos, Symbol, Wall};
use bot4_venues::Venue;
use bot4_venues::binance::instruments::ExchangeInfo;
use bot4_venues::limits::RateLimits;

use super::account_state::Past;
use super::catalogue;
use super::cold::{self, ColdError, ColdVenue};
use super::dirs::state_home;
use super::history;
use super::leftovers::{self, Leftovers};
use super::site::Site;
use super::takeover::PolicyRefusal;
use crate::config::{Config, worked};

/// How long a venue that does not answer is tried again, and orders that were cancelled may last.
const PATIENCE: Nanos = Nanos::from_secs(10);
/// Between two looks at orders that were cancelled.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// A venue before the run.
#[derive(Clone, Debug)]
pub struct VenueOpening {
    /// Its limits.
    pub limits: RateLimits,
    /// Its codes of the instruments by their index in the run, where it has such codes.
    pub codes: Vec<u64>,
    /// The mapping to its clock.
    pub wall: Wall,
    /// When the run began, by its clock, Unix ms.
    pub start_ms: i64,
}

impl VenueOpening {
    /// Of the only venue of a run, whose list is `info`.
    #[must_use]
    pub fn of(info: &ExchangeInfo, wall: Wall, start_ms: i64) -> Self {
        Self { limits: info.limits, codes: info.codes.clone(), wall, start_ms }
    }
}

/// The accounts and the instruments before the run.
pub struct Opening {
    /// The instruments of all venues; limits and codes are the first venue's.
    pub info: ExchangeInfo,
    /// What each venue says of itself.
    pub venues: Vec<VenueOpening>,
    /// The mapping to the first venue's clock, which names the run's times.
    pub wall: Wall,
    /// Free and locked together, per asset of the table.
    pub balances: Vec<(AssetId, Amount)>,
    /// The asset in which equity is counted.
    pub equity_asset: AssetId,
    /// When the run began, venue Unix ms.
    pub start_ms: i64,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Seed of the comparison's connection.
    pub seed: u64,
    /// What the account's earlier runs left.
    pub past: Past,
}

impl Opening {
    /// Asks the venues. Open orders that `claim` covers are cancelled; those of others are refused.
    ///
    /// # Errors
    /// What a venue refused, or a sentence with the mend.
    pub fn take(
        clock: &Clock,
        sites: &[Site],
        config: &Config,
        claim: &Claim,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        if !config.venue.trades() {
            return Self::observed(clock, sites, config);
        }
        let (mut sessions, mut lists, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for site in sites {
            let (venue, access) = (site.venue(), &site.access);
            let mut cold = patiently(clock, || cold::open(clock, access, venue, config.seed))?;
            if site.config.dead_man {
                cold.rest_dead_man()?;
                notes.extend(strikes_others(site, &config.account.declared));
            }
            lists.push(cold.instruments(&site.config.symbols)?);
            sessions.push(cold);
        }
        let (info, venues) = joined(sites, lists)?;
        worked::check(&config.strategies, &info.table)?;
        let mut opening = Self::empty(info, venues, config)?;
        opening.notes = notes;
        for (site, mut cold) in sites.iter().zip(sessions) {
            let table = opening.info.table.seen_from(site.id);
            let whose = (&config.account.declared, claim, site.venue().name());
            opening.notes.extend(cancel_leftovers(clock, &mut *cold, &table, whose)?);
            opening.balances.extend(totals(&mut *cold, &table)?);
            let wall = cold.wall();
            let venue = &mut opening.venues[site.id.index()];
            (venue.wall, venue.start_ms) = (wall, wall.unix_ms(clock.now()));
        }
        (opening.wall, opening.start_ms) = (opening.venues[0].wall, opening.venues[0].start_ms);
        Ok(opening)
    }

    /// Nothing held and nothing told yet.
    fn empty(
        mut info: ExchangeInfo,
        venues: Vec<VenueOpening>,
        config: &Config,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let name = config.risk.equity_asset(&info.table).ok_or("error: no equity asset")?;
        let equity_asset = info.table.asset(name).map_err(|e| {
            format!("error: risk.equity_asset does not enter the asset table: {e:?}")
        })?;
        let (wall, start_ms) = (Wall { origin_unix_ns: 0 }, 0);
        let (balances, notes, past) = (Vec::new(), Vec::new(), Past::default());
        let seed = config.seed;
        Ok(Self { info, venues, wall, balances, equity_asset, start_ms, notes, seed, past })
    }

    /// The opening of a run that only observes: instruments, no account.
    fn observed(
        clock: &Clock,
        sites: &[Site],
        config: &Config,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut lists = Vec::new();
        for site in sites {
            let (access, symbols) = (&site.access, &site.config.symbols);
            let ask = || catalogue::read(clock, access, site.venue(), symbols, config.seed);
            lists.push(patiently(clock, ask)?);
        }
        let (info, venues) = joined(sites, lists)?;
        let wall = clock.wall();
        let start_ms = wall.unix_ms(clock.now());
        Ok(Self { wall, start_ms, ..Self::empty(info, venues, config)? })
    }
}

/// The lists of all venues as one, and what each says of itself; its clock is asked later.
fn joined(
    sites: &[Site],
    lists: Vec<ExchangeInfo>,
) -> Result<(ExchangeInfo, Vec<VenueOpening>), Box<dyn std::error::Error>> {
    let name = |site: &Site| Symbol::new(site.venue().name());
    let names = sites.iter().filter_map(name);
    let parts: Vec<_> = names.zip(lists.iter().map(|list| &list.table)).collect();
    let table = InstrumentTable::joined(&parts)
        .map_err(|e| format!("error: venues.symbols: the instruments make no table: {e:?}"))?;
    let (mut venues, mut first) = (Vec::new(), 0);
    for list in &lists {
        // A venue's codes lie where its instruments do.
        let codes = if list.codes.is_empty() { 0 } else { first };
        let codes = vec![0; codes].into_iter().chain(list.codes.iter().copied()).collect();
        first += list.table.all().len();
        let wall = Wall { origin_unix_ns: 0 };
        venues.push(VenueOpening { limits: list.limits, codes, wall, start_ms: 0 });
    }
    let mut lists = lists.into_iter();
    let info = lists.next().ok_or("error: a run needs a venue")?;
    Ok((ExchangeInfo { table, ..info }, venues))
}

/// Whose open orders a start may cancel.
pub struct Claim {
    account: String,
    /// A person says that no other engine trades the account any more.
    take_over: bool,
}

impl Claim {
    /// Of the runs here on `account`; of any where a person says to `take_over`.
    #[must_use]
    pub fn new(account: &str, take_over: bool) -> Self {
        Self { account: account.to_owned(), take_over }
    }

    /// # Errors
    /// The refusal, when an order is of a run that is not known here.
    fn permit(&self, open: &Leftovers, venue: &str) -> Result<(), PolicyRefusal> {
        if self.take_over || open.ours.is_empty() {
            return Ok(());
        }
        let unknown = open.of_unknown_runs(&history::epochs_of(&self.account));
        let Some(first) = unknown.first() else { return Ok(()) };
        Err(PolicyRefusal(format!(
            "error: {} open orders at {venue} are of a bot4 run that has no record for this API \
             key in {}, the first {} {}\nhelp: another engine trades this account now, or did with \
             another state folder or on another machine: stop it there, and its orders go \
             with it; when it is \
             gone for good, `--take-over` (also with `bot4 run --reconcile-only`) cancels them and \
             starts from the venue's balances",
            unknown.len(),
            state_home().join("runs").display(),
            first.symbol,
            first.client.as_str()
        )))
    }
}

/// What declared programs should know of the dead-man switch of `site`.
fn strikes_others(site: &Site, declared: &Declared) -> Option<String> {
    let account_wide = matches!(site.venue(), Venue::Kraken | Venue::Okx | Venue::Bybit);
    (declared.is_any() && account_wide).then(|| {
        format!(
            "the dead-man switch of {} knows the account only: when this engine is gone without an \
             orderly end, the orders of declared programs are cancelled there, too",
            site.venue().name()
        )
    })
}

/// Cancels what an earlier run left open, until nothing is: a cancel that was accepted may not be
/// done yet, and the order fill meanwhile.
fn cancel_leftovers(
    clock: &Clock,
    cold: &mut dyn ColdVenue,
    table: &InstrumentTable,
    (declared, claim, venue): (&Declared, &Claim, &str),
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let until = clock.now() + PATIENCE;
    let mut cancelled = BTreeSet::new();
    loop {
        let open = leftovers::open_orders(cold, table, declared)?;
        if let Some(foreign) = open.foreign() {
            return Err(format!(
                "error: the account has an open order of another program: {} {}\nhelp: cancel it, \
                 give bot4 an account of its own, or declare it with foreign_orders in [account]",
                foreign.symbol,
                foreign.client.as_str()
            )
            .into());
        }
        claim.permit(&open, venue)?;
        if open.ours.is_empty() {
            break;
        }
        if clock.now() >= until {
            return Err(format!(
                "error: {} orders are still open at {venue} {} s after they were cancelled\nhelp: \
                 cancel them at the venue, then start again",
                open.ours.len(),
                PATIENCE.0 / 1_000_000_000
            )
            .into());
        }
        cancelled.extend(open.ours.iter().map(|o| o.venue_order));
        open.cancel(cold, table)?;
        std::thread::park_timeout(LOOK_AGAIN);
    }
    let note = format!("{} open orders of an earlier run were cancelled", cancelled.len());
    Ok(if cancelled.is_empty() { Vec::new() } else { vec![note] })
}

pub(super) fn totals(
    cold: &mut dyn ColdVenue,
    table: &InstrumentTable,
) -> Result<Vec<(AssetId, Amount)>, ColdError> {
    let balances = cold.balances(table)?;
    let known = balances.iter().filter(|b| b.asset != AssetId::NONE);
    Ok(known.map(|b| (b.asset, b.free + b.locked)).collect())
}

/// Tries `ask` again while its failure may pass.
pub(super) fn patiently<T>(
    clock: &Clock,
    mut ask: impl FnMut() -> Result<T, ColdError>,
) -> Result<T, ColdError> {
    let until = clock.now() + PATIENCE;
    let mut cause = None;
    loop {
        match ask() {
            Err(e) if e.is_passing() && clock.now() < until => {
                // What failed is told in the end, not that it was left alone then.
                if !matches!(e, ColdError::LeftAlone(..)) {
                    cause = Some(e);
                }
                std::thread::park_timeout(std::time::Duration::from_millis(250));
            }
            Err(e @ ColdError::LeftAlone(..)) => return Err(cause.unwrap_or(e)),
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cold_twin::ColdTwin;
    use bot4_types::{ClientId, Instrument, InstrumentId, OrderId, RunEpoch};
    use bot4_venues::account::OrderRow;
    use bot4_venues::client_text::ClientText;

    fn table() -> InstrumentTable {
        let mut table = InstrumentTable::new();
        let name = |s: &str| Symbol::new(s).expect("short");
        let [base, quote] = ["BTC", "USDT"].map(|a| table.asset(name(a)).expect("room"));
        let bare = Instrument::bare(InstrumentId(0), name("BTCUSDT"), 8);
        table.push(Instrument { base, quote, ..bare }).expect("room");
        table
    }

    /// A cancel that was taken is not done yet: until the list is empty, nothing else is asked, for
    /// what fills meanwhile would be missing from the balances. Declared orders stay.
    #[test]
    fn leftovers_are_waited_for_until_none_is_open_and_declared_ones_stay() {
        let (table, clock, web) = (table(), Clock::monotonic(), ClientText::new("web_1"));
        let own = ClientId::new(RunEpoch(1), OrderId(7));
        let order = ColdTwin::order(&table, 71, own, 0);
        let mut cold = ColdTwin { orders: vec![order], cancel_lags: 2, ..ColdTwin::default() };
        let (claim, declared) = (Claim::new("embedded", true), Declared::of(["web_"]));
        let declared = declared.expect("short");
        let whose = (&declared, &claim, "binance");
        let notes = cancel_leftovers(&clock, &mut cold, &table, whose).expect("cancelled");
        assert_eq!(notes, ["1 open orders of an earlier run were cancelled"]);
        let (open, all) = ("open orders", "cancel all of BTCUSDT");
        assert_eq!(cold.asked, [open, all, open, all, open, all, open]);

        let others = OrderRow { client: web.expect("short"), venue_order: 99, ..order };
        let mut cold = ColdTwin { orders: vec![order, others], ..ColdTwin::default() };
        let open = leftovers::open_orders(&mut cold, &table, &declared).expect("listed");
        open.cancel(&mut cold, &table).expect("cancelled");
        assert_eq!(cold.asked, ["open orders", "cancel 71"], "by its id alone");
    }
}

//! What a run's journal knows of its orders and fills against the word of the venues: every order
//! without a known end is asked for by its id, every fill since the run began is listed.

use std::collections::{BTreeMap, BTreeSet};

use bot4_execution::foreign::Declared;
use bot4_journal::repository::OrderRow as Approved;
use bot4_lanes::Clock;
use bot4_types::{ClientId, InstrumentTable, OrderId, RunEpoch, Side, StrategyId};
use bot4_venues::Venue;
use bot4_venues::account::{FillRow, OrderRow};
use serde_json::{Value, json};

use super::cold::{self, ColdError, ColdVenue};
use super::gap::GapRow;
use super::history::RunRecord;
use super::leftovers;
use super::site::Site;
use super::takeover::Takeover;
use crate::recovery::Fold;

/// Fills named one by one; more are counted.
const FILLS_NAMED_MAX: usize = 20;
/// Orders of one run that are asked for by their ids; the list of open orders and the fills tell
/// of the others.
const ASKED_MAX: usize = 512;
/// A venue's list of fills may lag behind what it says of an order: so often it is read again.
const LOOKS: usize = 4;
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

/// A fill: the instrument as `venue:symbol`, and the venue's trade id.
type Fill = (String, u64);

/// When a run wrote the account's state, by venue and its clock, Unix ms; empty where it did not,
/// or that was not equal to what the venues said.
pub type Ends = BTreeMap<String, i64>;

/// A fill at the venue since the run began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueFill {
    /// Index of the instrument in the run; none when it is new since.
    pub instrument: Option<usize>,
    /// Whose order it was, by the run's journal.
    pub strategy: Option<StrategyId>,
    /// The configuration says that it may be another program's.
    pub declared: bool,
    /// It happened before the run wrote the account's state, which holds it.
    pub before_end: bool,
    /// The fill; its holder is not told here.
    pub row: GapRow,
}

/// What a journal knows about orders, and what the venue adds to it.
struct Known<'a> {
    fold: &'a Fold,
    /// The venue's numbers of orders, with their instruments' index.
    numbers: BTreeMap<(usize, u64), OrderId>,
}

impl<'a> Known<'a> {
    fn of(fold: &'a Fold) -> Self {
        let mut known = Self { fold, numbers: BTreeMap::new() };
        for order in fold.orders() {
            known.number(order.instrument.index(), order.venue_order, order.order);
        }
        known
    }

    fn number(&mut self, instrument: usize, venue_order: u64, order: OrderId) {
        if venue_order != 0 {
            self.numbers.insert((instrument, venue_order), order);
        }
    }

    /// Orders of these instruments that may not have ended, oldest first.
    fn unfinished(&self, symbols: &[String]) -> impl Iterator<Item = &'a Approved> {
        let open = self.fold.unfinished();
        open.filter(|o| symbols.get(o.instrument.index()).is_some_and(|s| !s.is_empty()))
    }

    /// The order of a fill: by its client id, else by the venue's number.
    fn order_of(&self, epoch: RunEpoch, at: Option<usize>, fill: &FillRow) -> Option<&'a Approved> {
        let named = match fill.client.own() {
            Some((run, order)) => (run == epoch).then_some(order)?,
            None => *self.numbers.get(&(at?, fill.venue_order))?,
        };
        let order = self.fold.order(named)?;
        // A number may come again elsewhere; an order does not change its instrument or its side.
        (Some(order.instrument.index()) == at && order.side == fill.side).then_some(order)
    }
}

/// One venue's part of the comparison.
struct Part<'a> {
    record: &'a RunRecord,
    declared: &'a Declared,
    table: &'a InstrumentTable,
    venue: &'a str,
    ended_ms: Option<i64>,
}

impl Part<'_> {
    /// Asks for each order without a known end; what the venue executed of it, by order.
    fn ask_orders(
        &self,
        cold: &mut dyn ColdVenue,
        known: &mut Known<'_>,
    ) -> Result<BTreeMap<OrderId, i64>, ColdError> {
        let here = |symbol: &String| match symbol.split_once(':') {
            Some((of, plain)) if of == self.venue => plain.to_owned(),
            _ => String::new(),
        };
        let symbols: Vec<String> = self.record.full_symbols().iter().map(here).collect();
        let asked: Vec<Approved> = known.unfinished(&symbols).take(ASKED_MAX).copied().collect();
        let mut executed = BTreeMap::new();
        let ended = cold.ended_orders(asked.len(), self.table)?;
        let ended: BTreeMap<&[u8], &OrderRow> =
            ended.iter().map(|row| (row.client.as_bytes(), row)).collect();
        // Where an amend cancels and replaces, each replacement has an id of its own. One that was
        // refused or never left leaves a gap in them.
        let replaces = self.venue == Venue::Binance.name();
        let revisions = if replaces { ClientId::REVISIONS_MAX } else { 0 };
        for order in asked {
            let at = order.instrument.index();
            let Some(i) = self.table.find(symbols[at].as_bytes()) else { continue };
            let client = ClientId::new(RunEpoch(self.record.epoch), order.order);
            let amends = known.fold.amends(order.order);
            for revision in 0..=revisions {
                let Some(client) = client.revised(revision) else { break };
                let found = match ended.get(client.0.as_slice()) {
                    Some(row) => Some(**row),
                    None => cold.find_order(&i.symbol, &client, self.table)?,
                };
                let Some(found) = found else {
                    if u32::from(revision) < amends { continue } else { break }
                };
                known.number(at, found.venue_order, order.order);
                *executed.entry(order.order).or_insert(0) += found.executed;
            }
        }
        Ok(executed)
    }

    /// All fills since the run began.
    fn fills(&self, cold: &mut dyn ColdVenue) -> Result<Vec<FillRow>, ColdError> {
        cold.all_trades_since(self.record.start_ms, self.table)
    }

    fn venue_fill(&self, fill: &FillRow, known: &Known<'_>) -> Option<VenueFill> {
        let i = self.table.get(fill.instrument)?;
        let full = format!("{}:{}", self.venue, i.symbol.as_str());
        let instrument = self.record.full_symbols().iter().position(|s| *s == full);
        let order = known.order_of(RunEpoch(self.record.epoch), instrument, fill);
        let fee_asset = match self.table.venue_of(fill.fee_asset) {
            Some(_) => {
                let name = self.table.asset_name(fill.fee_asset);
                self.record.told(&format!("{}:{name}", self.venue))
            }
            None => String::new(),
        };
        let row = GapRow {
            holder: None,
            order: order.map_or(0, |o| o.order.0),
            symbol: self.record.told(&full),
            decimals: [i.price_decimals, i.qty_decimals],
            trade_id: fill.trade_id,
            buy: fill.side == Side::Buy,
            qty: fill.qty,
            price: fill.price,
            fee: fill.fee,
            fee_asset,
            maker: fill.maker,
            at_ms: fill.time_ms,
        };
        // Where others may trade and the venue does not name the order, it may be theirs; an order
        // that looks like one of ours is never theirs.
        let declared = order.is_none()
            && fill.client.own().is_none()
            && self.declared.is_any()
            && (fill.client.is_empty() || self.declared.has(&fill.client));
        let before_end = self.ended_ms.is_some_and(|at_ms| fill.time_ms <= at_ms);
        let strategy = order.map(|o| o.strategy);
        Some(VenueFill { instrument, strategy, declared, before_end, row })
    }
}

/// The venue executed more of an order than its fills tell.
fn short(executed: &BTreeMap<OrderId, i64>, fills: &[VenueFill]) -> Vec<OrderId> {
    let mut told: BTreeMap<OrderId, i64> = BTreeMap::new();
    for fill in fills.iter().filter(|f| f.strategy.is_some()) {
        *told.entry(OrderId(fill.row.order)).or_default() += fill.row.qty;
    }
    let of = |order: &OrderId| told.get(order).copied().unwrap_or(0);
    executed.iter().filter(|(order, qty)| of(order) < **qty).map(|(order, _)| *order).collect()
}

/// `run` ended in order at these times, by venue, and no fill has come since at the venues that it
/// shares with `sites`: its own word about the account holds.
///
/// # Errors
/// When a venue cannot be asked.
pub fn is_quiet(
    run: &Takeover,
    clock: &Clock,
    sites: &[Site],
    table: &InstrumentTable,
    (seed, ends): (u64, &Ends),
) -> Result<bool, ColdError> {
    if !run.ended_in_order() {
        return Ok(false);
    }
    for name in run.record().venues() {
        let Some(site) = sites.iter().find(|site| site.venue().name() == name) else { continue };
        let Some(ended_ms) = ends.get(name).copied() else { return Ok(false) };
        let mut cold = cold::open(clock, &site.access, site.venue(), seed)?;
        let own = table.seen_from(site.id);
        if !cold.all_trades_since(ended_ms, &own)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compares what the journal of `run`, whose own word of the account is of these times, knows with
/// the venues that it shares with `sites`.
///
/// # Errors
/// When a venue cannot be asked or the journal not be read.
pub fn settle(
    run: &Takeover,
    clock: &Clock,
    sites: &[Site],
    table: &InstrumentTable,
    (seed, ends): (u64, &Ends),
    declared: &Declared,
) -> Result<Settled, Box<dyn std::error::Error>> {
    let (record, (id, _), fold) = (run.record(), run.id_and_journal(), run.fold()?);
    let mut known = Known::of(&fold);
    let recovery = run.recovery();
    let mut settled = Settled {
        run: id.to_owned(),
        journal: recovery.found.to_json(),
        cut_at: recovery.cut.as_ref().map(|c| (c.file.display().to_string(), c.offset)),
        approved: fold.approved(),
        unfinished: fold.unfinished().len() as u64,
        ..Settled::default()
    };
    let mut listed: BTreeSet<String> = BTreeSet::new();
    for name in record.venues() {
        let Some(site) = sites.iter().find(|site| site.venue().name() == name) else { continue };
        let mut cold = cold::open(clock, &site.access, site.venue(), seed)?;
        let own = table.seen_from(site.id);
        let ended_ms = ends.get(name).copied();
        let part = Part { record, declared, table: &own, venue: name, ended_ms };
        listed.extend(own.own().map(|i| format!("{name}:{}", i.symbol.as_str())));
        settled.open_orders +=
            leftovers::open_orders(&mut *cold, &own, declared)?.ours.len() as u64;
        let executed = part.ask_orders(&mut *cold, &mut known)?;
        let mut fills: Vec<VenueFill> = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::park_timeout(LOOK_AGAIN);
            }
            let rows = part.fills(&mut *cold)?;
            fills = rows.iter().filter_map(|fill| part.venue_fill(fill, &known)).collect();
            if short(&executed, &fills).is_empty() {
                break;
            }
        }
        settled.asked_by_id += executed.len() as u64;
        settled.short.extend(short(&executed, &fills));
        settled.fills.append(&mut fills);
        settled.asked.push(name.to_owned());
    }
    settled.fills.sort_by_key(|fill| (fill.row.at_ms, fill.row.trade_id));
    let symbols = record.full_symbols();
    let told = fold.fills().filter_map(|(i, id)| Some((symbols.get(i.index())?, id)));
    let told = told.filter(|(symbol, _)| listed.contains(*symbol));
    let journal: BTreeSet<Fill> = told.map(|(symbol, id)| (record.told(symbol), id)).collect();
    let named = |f: &VenueFill| (f.row.symbol.clone(), f.row.trade_id);
    let venue: BTreeSet<Fill> = settled.fills.iter().map(named).collect();
    (settled.fills_journal, settled.fills_venue) = (journal.len() as u64, venue.len() as u64);
    settled.not_in_journal = (&venue - &journal).into_iter().collect();
    settled.not_at_venue = (&journal - &venue).into_iter().collect();
    Ok(settled)
}

/// What the comparison with the venue gave.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    run: String,
    journal: Value,
    cut_at: Option<(String, u64)>,
    approved: u64,
    unfinished: u64,
    asked_by_id: u64,
    fills_journal: u64,
    fills_venue: u64,
    not_in_journal: Vec<Fill>,
    not_at_venue: Vec<Fill>,
    /// Orders of which the venue says more than its fills tell.
    short: Vec<OrderId>,
    open_orders: u64,
    /// The venues that were asked.
    pub asked: Vec<String>,
    /// Their fills since the run began, oldest first.
    pub fills: Vec<VenueFill>,
}

impl Settled {
    /// Nothing is open, every fill of the journal is one of the venue's, and its fills are all
    /// that it executed of our orders.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.open_orders == 0 && self.not_at_venue.is_empty() && self.short.is_empty()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "run": self.run, "journal": self.journal,
            "cut": self.cut_at.as_ref().map(|(f, at)| json!({"file": f, "offset": at})),
            "orders": {"approved": self.approved, "unfinished": self.unfinished,
                       "found_by_id": self.asked_by_id, "short_of_fills": self.short.len(),
                       "open_at_venue": self.open_orders},
            "fills": {"journal": self.fills_journal, "venue": self.fills_venue,
                      "not_in_journal": named(&self.not_in_journal),
                      "not_at_venue": named(&self.not_at_venue)},
            "explained": self.is_explained(),
        })
    }

    /// For a person.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut out = vec![format!(
            "run {}: {} orders approved, {} without a known end, {} of them found at the venue by \
             id; fills: {} in its journal, {} at the venue since it began",
            self.run,
            self.approved,
            self.unfinished,
            self.asked_by_id,
            self.fills_journal,
            self.fills_venue
        )];
        if !self.not_in_journal.is_empty() {
            let n = self.not_in_journal.len();
            out.push(format!("{n} fills at the venue are not in the journal of run {}", self.run));
        }
        if !self.not_at_venue.is_empty() {
            let n = self.not_at_venue.len();
            out.push(format!("{n} fills of the journal are not at the venue: a person must look"));
        }
        for order in &self.short {
            out.push(format!(
                "the venue executed more of order {} of run {} than its fills tell: a person must \
                 look",
                order.0, self.run
            ));
        }
        out
    }
}

fn named(fills: &[Fill]) -> Value {
    let mut by_symbol: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (symbol, id) in fills.iter().take(FILLS_NAMED_MAX) {
        by_symbol.entry(symbol).or_default().push(*id);
    }
    json!({ "count": fills.len(), "trade_ids": by_symbol })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cold_twin::ColdTwin;
    use bot4_journal::Record;
    use bot4_types::log::Body as _;
    use bot4_types::{
        Instrument, InstrumentId, LogEntry, LogKind, Nanos, OrderAction, OrderIntent, Symbol, Wall,
    };
    use bot4_venues::account::{BalanceRow, OrderRow, RowState};
    use bot4_venues::catalogue::Catalogue;
    use bot4_venues::client_text::ClientText;

    const EPOCH: RunEpoch = RunEpoch(9);

    /// A venue that knows these revisions of any order, five units executed of each.
    struct Revisions {
        known: &'static [u8],
        asked: u64,
    }

    impl ColdVenue for Revisions {
        fn wall(&self) -> Wall {
            Wall { origin_unix_ns: 0 }
        }

        fn instruments(&mut self, _: &[String]) -> Result<Catalogue, ColdError> {
            Err(ColdError::NoKeys)
        }

        fn balances(&mut self, _: &InstrumentTable) -> Result<Vec<BalanceRow>, ColdError> {
            Err(ColdError::NoKeys)
        }

        fn open_orders(&mut self, _: &InstrumentTable) -> Result<Vec<OrderRow>, ColdError> {
            Err(ColdError::NoKeys)
        }

        fn find_order(
            &mut self,
            symbol: &Symbol,
            client: &ClientId,
            _: &InstrumentTable,
        ) -> Result<Option<OrderRow>, ColdError> {
            self.asked += 1;
            let is_it = |r: &u8| client.revised(*r) == Some(*client);
            let found = self.known.iter().copied().find(is_it);
            Ok(found.map(|revision| OrderRow {
                instrument: Some(InstrumentId(0)),
                symbol: *symbol,
                venue_order: 100 + u64::from(revision),
                client: ClientText::from(*client),
                state: RowState::Open,
                executed: 5,
                terms: None,
                reason: bot4_types::DoneReason::None,
            }))
        }

        fn cancel_order(&mut self, _: &OrderRow, _: &InstrumentTable) -> Result<(), ColdError> {
            Err(ColdError::NoKeys)
        }

        fn cancel_all(&mut self, _: &Symbol, _: &InstrumentTable) -> Result<(), ColdError> {
            Err(ColdError::NoKeys)
        }

        fn trades_since(
            &mut self,
            _: &Symbol,
            _: i64,
            _: &InstrumentTable,
        ) -> Result<Vec<FillRow>, ColdError> {
            Err(ColdError::NoKeys)
        }
    }

    /// A journal of one order with so many approved amends, and no word of its end.
    fn journal(amends: usize) -> Fold {
        let mut fold = Fold::default();
        let place = crate::sim::check::fixture::intent(1);
        let amend = OrderIntent { action: OrderAction::Amend, ..place };
        for intent in core::iter::once(place).chain(core::iter::repeat_n(amend, amends)) {
            let entry = LogEntry::new(LogKind::Approved, Nanos(1), |w| intent.write(w));
            fold.take(&Record { entry, epoch: EPOCH, segment: 1, offset: 0, synced: true });
        }
        fold
    }

    /// What is found of that order, by the venue's numbers, and what the venue was asked.
    fn found(amends: usize, known: &'static [u8]) -> (Vec<u64>, i64, u64) {
        let (fold, mut venue) = (journal(amends), Revisions { known, asked: 0 });
        let record = RunRecord {
            id: "1-1".to_owned(),
            epoch: EPOCH.0,
            account: "binance:1".to_owned(),
            symbols: vec!["AAAUSDT".to_owned()],
            journal: std::path::PathBuf::new(),
            start_ms: 0,
            pid: 1,
            config: Vec::new(),
            counters: None,
            latency: None,
        };
        let mut table = InstrumentTable::new();
        let name = Symbol::new("AAAUSDT").expect("short");
        table.push(Instrument::bare(InstrumentId(0), name, 8)).expect("room");
        let (declared, table) = (&Declared::NONE, &table);
        let part = Part { record: &record, declared, table, venue: "binance", ended_ms: None };
        let mut numbers = Known::of(&fold);
        let executed = part.ask_orders(&mut venue, &mut numbers).expect("it answers");
        let of = numbers.numbers.keys().map(|(_, number)| *number).collect();
        (of, executed.get(&OrderId(1)).copied().unwrap_or(0), venue.asked)
    }

    #[test]
    fn a_replacement_behind_a_refused_one_is_found() {
        assert_eq!(found(2, &[0, 2]), (vec![100, 102], 10, 4));
        // One was amended in place, or an approved amend did not leave.
        assert_eq!(found(3, &[0, 1]), (vec![100, 101], 10, 4));
        assert_eq!(found(0, &[0]), (vec![100], 5, 2));
        assert_eq!(found(0, &[]), (vec![], 0, 1));
    }

    /// What the venue says it executed and what its fills tell are two words; where they differ a
    /// person must look, and no fill is anybody's but by the order's name or number.
    #[test]
    fn an_order_of_which_fills_are_missing_is_not_explained() {
        let (fold, symbol) = (journal(0), Symbol::new("AAAUSDT").expect("short"));
        let place = crate::sim::check::fixture::intent(1);
        let record = RunRecord {
            id: "1-1".to_owned(),
            epoch: EPOCH.0,
            account: "kraken:1".to_owned(),
            symbols: vec!["AAAUSDT".to_owned()],
            journal: std::path::PathBuf::new(),
            start_ms: 500,
            pid: 1,
            config: Vec::new(),
            counters: None,
            latency: None,
        };
        let mut table = InstrumentTable::new();
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        let (declared, table) = (&Declared::NONE, &table);
        let part = Part { record: &record, declared, table, venue: "kraken", ended_ms: None };
        let order = ColdTwin::order(table, 71, ClientId::new(EPOCH, OrderId(1)), 5);
        for (listed, missing) in [(5, false), (2, true)] {
            // The other is of an order that nobody here placed.
            let fills = [(71, 900, listed), (99, 901, 3)];
            let fill = |(of, id, qty)| ColdTwin::fill(table, of, place.side, id, qty);
            let fills = fills.map(fill).to_vec();
            let mut cold = ColdTwin { orders: vec![order], fills, ..ColdTwin::default() };
            let mut known = Known::of(&fold);
            let executed = part.ask_orders(&mut cold, &mut known).expect("asked");
            assert_eq!(executed, BTreeMap::from([(OrderId(1), 5)]));
            let rows = part.fills(&mut cold).expect("listed");
            let all: Vec<_> = rows.iter().filter_map(|f| part.venue_fill(f, &known)).collect();
            let whose: Vec<_> = all.iter().map(|fill| fill.strategy).collect();
            assert_eq!(whose, [Some(place.strategy), None]);
            let short = short(&executed, &all);
            assert_eq!(short, if missing { vec![OrderId(1)] } else { Vec::new() });
            let settled = Settled { short, ..Settled::default() };
            assert_eq!(settled.is_explained(), !missing);
            let told = settled.sentences().join("\n");
            assert_eq!(told.contains("executed more of order 1"), missing, "{told}");
            assert_eq!(settled.to_json()["explained"], !missing);
        }
    }
}

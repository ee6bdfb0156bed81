//! The account of killed runs, to the unit: what each journal began with and leads to, against the
//! venue's own log of orders and trades. No figure of it comes from a report of the engine, and
//! positions are held against all trades that ever were: what a start took over wrongly does not
//! cancel out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bot4::recovery::{self, Fold};
use bot4_journal::{Reader, repository::approval};
use bot4_risk::RiskConfig;
use bot4_types::{ClientId, RunEpoch, StrategyId};
use serde_json::Value;

/// From the venue's 10^-8 to the ledger's 10^-16.
const E8: i128 = 100_000_000;

/// A trade of the venue's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Trade {
    client: String,
    epoch: RunEpoch,
    buyer: bool,
    /// 10^-8.
    pub qty: i128,
    /// 10^-8.
    price: i128,
    /// 10^-8 of `fee_asset`.
    fee: i128,
    fee_asset: String,
}

impl Trade {
    /// What it moved of `asset` at the instrument called `symbol`, 10^-16.
    fn moved(&self, symbol: &str, asset: &str) -> i128 {
        let sign = if self.buyer { 1 } else { -1 };
        let (base, quote) = symbol.split_at(symbol.len() - "USDT".len());
        let got = if asset == base { sign * self.qty * E8 } else { 0 };
        let paid = if asset == quote { sign * self.qty * self.price } else { 0 };
        let fee = if asset == self.fee_asset { self.fee * E8 } else { 0 };
        got - paid - fee
    }
}

/// What the venue says, over all its lives.
#[derive(Clone, Debug, Default)]
pub struct VenueSays {
    /// Client id and the venue's number of every order that it ever took.
    pub orders: BTreeMap<String, u64>,
    by_id: BTreeMap<u64, String>,
    /// By symbol and number.
    pub trades: BTreeMap<(String, u64), Trade>,
    /// Free and locked together, 10^-8.
    balances: BTreeMap<String, i128>,
    /// Before the first trade, 10^-16.
    opening: BTreeMap<String, i128>,
}

impl VenueSays {
    /// Takes in the log in `state`, which a restart of the venue shortens.
    pub fn read(&mut self, state: &Path) {
        let text = std::fs::read_to_string(state.join("account.log")).expect("the venue's log");
        let records = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        records.for_each(|record| self.take(&record));
        for (asset, total) in &self.balances {
            let moved: i128 = self.trades.iter().map(|((s, _), t)| t.moved(s, asset)).sum();
            let first = *self.opening.entry(asset.clone()).or_insert(total * E8 - moved);
            assert_eq!(first + moved, total * E8, "{asset}: the venue's balance is its trades'");
        }
    }

    fn take(&mut self, record: &Value) {
        let rows = |key: &str| record[key].as_array().cloned().unwrap_or_default();
        for order in rows("orders") {
            let client = text(&order, "client_id");
            let id = order["id"].as_u64().expect("a number");
            let first = *self.orders.entry(client.clone()).or_insert(id);
            assert_eq!(first, id, "two orders of the venue have the client id {client}");
            self.by_id.insert(id, client);
        }
        for trade in rows("trades") {
            let client = self.by_id[&trade["order"].as_u64().expect("an order")].clone();
            let (epoch, _) = ClientId::parse(client.as_bytes()).expect("an order of an engine");
            let integer = |key: &str| i128::from(trade[key].as_i64().expect("an integer"));
            let read = Trade {
                client,
                epoch,
                buyer: trade["buyer"] == true,
                qty: integer("qty"),
                price: integer("price"),
                fee: integer("commission"),
                fee_asset: text(&trade, "commission_asset"),
            };
            let key = (text(&trade, "symbol"), trade["id"].as_u64().expect("a trade id"));
            let first = self.trades.entry(key).or_insert_with(|| read.clone());
            assert_eq!(*first, read, "a trade of the venue does not change");
        }
        for row in rows("balances") {
            let of = |key: &str| i128::from(row[1][key].as_i64().expect("an amount"));
            let asset = row[0].as_str().expect("an asset").to_owned();
            self.balances.insert(asset, of("free") + of("locked"));
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}")).to_owned()
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Amounts: balances at the start and the end of a run, positions of each strategy.
    pub amounts: u64,
    /// Fills of journals, each found at the venue.
    pub fills: u64,
    /// Fills of their orders that came when nobody was there to hear.
    pub unheard: u64,
}

/// What all journals so far say.
#[derive(Clone, Debug, Default)]
pub struct Journals {
    /// Orders that were approved, by client id, and whose they are.
    pub approved: BTreeMap<String, StrategyId>,
    /// Trades that a risk lane took, by symbol and number.
    booked: BTreeSet<(String, u64)>,
}

impl Journals {
    /// Adds what the journal in `dir` says.
    pub fn add(&mut self, dir: &Path) {
        for record in Reader::open(dir).expect("a journal").flatten() {
            if let Some(intent) = approval(&record.entry) {
                let id = ClientId::new(record.epoch, intent.order);
                self.approved.insert(id.as_str().to_owned(), intent.strategy);
            }
        }
        let Some(began) = began_with(dir) else { return };
        let fold = recovery::whole(dir).expect("readable");
        for (instrument, id) in fold.fills().filter(|(i, id)| fold.is_booked(*i, *id)) {
            let i = began.table.get(instrument).expect("an instrument");
            self.booked.insert((i.symbol.to_string(), id));
        }
    }
}

/// A journal beside the venue.
struct Beside<'a> {
    fold: Fold,
    epoch: RunEpoch,
    began: RiskConfig,
    venue: &'a VenueSays,
    journals: &'a Journals,
    seen: Compared,
    wrong: Vec<String>,
}

/// Compares the journal in `dir` with the venue.
///
/// # Errors
/// Each difference, as a sentence.
pub fn compare(
    dir: &Path,
    venue: &VenueSays,
    journals: &Journals,
) -> Result<Compared, Vec<String>> {
    let fold = recovery::whole(dir).expect("readable");
    let mut records = Reader::open(dir).expect("a journal").flatten();
    let (Some(first), Some(began)) = (records.next(), began_with(dir)) else {
        return Ok(Compared::default());
    };
    let (seen, wrong) = (Compared::default(), Vec::new());
    let mut beside = Beside { fold, epoch: first.epoch, began, venue, journals, seen, wrong };
    beside.fills();
    beside.balances();
    beside.positions();
    if beside.wrong.is_empty() { Ok(beside.seen) } else { Err(beside.wrong) }
}

impl Beside<'_> {
    fn own(&self) -> impl Iterator<Item = (&(String, u64), &Trade)> {
        self.venue.trades.iter().filter(|(_, trade)| trade.epoch == self.epoch)
    }

    /// Risk took this trade of the run.
    fn is_booked(&self, symbol: &str, id: u64) -> bool {
        let found = self.began.table.all().iter().find(|i| i.symbol.as_str() == symbol);
        found.is_some_and(|i| self.fold.is_booked(i.id, id))
    }

    fn fills(&mut self) {
        let fills: Vec<_> = self.fold.fills().collect();
        for (instrument, id) in fills {
            let i = self.began.table.get(instrument).expect("an instrument");
            let key = (i.symbol.to_string(), id);
            self.seen.fills += 1;
            if self.venue.trades.get(&key).is_none_or(|trade| trade.epoch != self.epoch) {
                self.wrong.push(format!("the venue has no such fill: {key:?}"));
            }
        }
        self.seen.unheard = (self.own().count() as u64).saturating_sub(self.seen.fills);
    }

    /// It began with what the venue had, and its ledger is that and the fills that it took.
    fn balances(&mut self) {
        let (core, _) = self.fold.risk().expect("it has begun");
        let mut wrong = Vec::new();
        for (asset, started) in &self.began.balances {
            let name = self.began.table.asset_name(*asset);
            // Nobody else trades, and epochs rise: what came before is of earlier ones.
            let before = self.venue.trades.iter().filter(|(_, t)| t.epoch < self.epoch);
            let before: i128 = before.map(|((symbol, _), t)| t.moved(symbol, name)).sum();
            let had = self.venue.opening.get(name).map_or(*started, |opened| opened + before);
            if had != *started {
                wrong.push(format!("{name}: began with {started}, the venue had {had}"));
            }
            let booked = self.own().filter(|((symbol, id), _)| self.is_booked(symbol, *id));
            let moved: i128 = booked.map(|((symbol, _), t)| t.moved(symbol, name)).sum();
            let (ends, due) = (core.ledger().expected_balance(*asset), started + moved);
            if ends != due {
                wrong.push(format!("{name}: the ledger ends at {ends}, not at {due}"));
            }
            self.seen.amounts += 2;
        }
        self.wrong.extend(wrong);
    }

    /// Each strategy holds what all its trades made, those of earlier runs too, heard or not; of
    /// this run's, those that it took.
    fn positions(&mut self) {
        let (core, _) = self.fold.risk().expect("it has begun");
        let mut wrong = Vec::new();
        for i in self.began.table.all() {
            let scale = 10i128.pow(8 - u32::from(i.qty_decimals));
            for s in 0..self.began.strategies {
                let strategy = StrategyId(s as u8);
                let due = self.made(strategy, i.symbol.as_str());
                let held = i128::from(core.ledger().position(strategy, i.id).0) * scale;
                if held != due {
                    let symbol = i.symbol;
                    let told =
                        format!("{symbol}: strategy {s} holds {held}, its trades made {due}");
                    wrong.push(told);
                }
                self.seen.amounts += 1;
            }
        }
        self.wrong.extend(wrong);
    }

    /// What the trades of `strategy` made of its position until this run's end, 10^-8.
    fn made(&self, strategy: StrategyId, symbol: &str) -> i128 {
        let mut made = 0;
        for (key, trade) in self.venue.trades.iter().filter(|((at, _), _)| at == symbol) {
            let booked = self.journals.booked.contains(key);
            let counts = trade.epoch < self.epoch || (trade.epoch == self.epoch && booked);
            if counts && self.journals.approved.get(&trade.client) == Some(&strategy) {
                made += if trade.buyer { trade.qty } else { -trade.qty };
            }
        }
        made
    }
}

/// What the journal says that its run began with.
fn began_with(dir: &Path) -> Option<RiskConfig> {
    let mut text = bot4::replay::inputs::InputsText::default();
    let records = Reader::open(dir).expect("a journal").flatten();
    let mut document = records.filter(|r| r.entry.lane == bot4::topology::LOG_RUN);
    let inputs = document.find_map(|r| text.take(r.entry.body()).expect("readable"));
    inputs.map(|inputs| inputs.risk_config().expect("a table"))
}

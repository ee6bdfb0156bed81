//! What the engine's journal says of every order, against the venue's own log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::venue_log::{VenueLog, Worst, is_own};

/// The figures, summed over rigs.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub orders: u64,
    pub fills: u64,
    pub wrong_endings: u64,
    pub fills_missed: u64,
    pub fills_doubled: u64,
    pub orders_doubled: u64,
    pub exposed: u64,
    pub unknown_ns: Vec<u64>,
    /// What is wrong, in words.
    pub findings: Vec<String>,
}

impl Figures {
    pub fn add(&mut self, other: Self) {
        self.orders += other.orders;
        self.fills += other.fills;
        self.wrong_endings += other.wrong_endings;
        self.fills_missed += other.fills_missed;
        self.fills_doubled += other.fills_doubled;
        self.orders_doubled += other.orders_doubled;
        self.exposed += other.exposed;
        self.unknown_ns.extend(other.unknown_ns);
        self.findings.extend(other.findings);
    }

    /// One line.
    pub fn line(&mut self) -> Value {
        let unknown = self.unknown_ns.len();
        serde_json::json!({
            "orders": self.orders, "fills": self.fills,
            "wrong_terminal_states": self.wrong_endings,
            "fills_doubled_or_missed": self.fills_missed + self.fills_doubled,
            "duplicate_orders": self.orders_doubled, "exposure_above_limit": self.exposed,
            "unknown_orders": unknown,
            "unknown_resolved_ms": percentiles(&mut self.unknown_ns, 1_000_000),
        })
    }

    fn find(&mut self, what: String) {
        self.findings.push(what);
    }
}

/// Median, 99th percentile and maximum.
pub fn percentiles(all: &mut [u64], unit: u64) -> Value {
    all.sort_unstable();
    let at = |p: usize| all.get((all.len() * p).div_ceil(100).max(1) - 1).map(|n| n / unit);
    serde_json::json!({"p50": at(50), "p99": at(99), "max": at(100)})
}

/// The last word on an order.
#[derive(Clone, Debug, Default)]
struct Told {
    state: String,
    cum: i64,
    client_id: String,
    instrument: usize,
    qty: i64,
    reason: String,
}

/// Order, quantity, price, fee in 10^-16.
type Fill = (u64, i64, i64, i128);

#[derive(Default)]
struct Journal {
    told: BTreeMap<u64, Told>,
    /// By instrument and trade.
    fills: BTreeMap<(usize, u64), Vec<Fill>>,
    sent: BTreeMap<u64, u64>,
    unknown_since: BTreeMap<u64, u64>,
    unknown_ns: Vec<u64>,
}

impl Journal {
    fn read(dump: &str) -> Self {
        let mut journal = Self::default();
        for line in dump.lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            let (body, at) = (&record["body"], record["at"].as_u64().unwrap_or(0));
            match record["kind"].as_str() {
                Some("sent") => {
                    let order = body["order"].as_u64().expect("a number");
                    *journal.sent.entry(order).or_default() += 1;
                }
                Some("learned") if body["order"].is_u64() => journal.take(body, at),
                _ => {}
            }
        }
        journal
    }

    fn take(&mut self, body: &Value, at: u64) {
        let integer = |key: &str| body[key].as_i64().unwrap_or_else(|| panic!("{key} in {body}"));
        let (order, state) = (integer("order") as u64, body["state"].as_str().expect("a state"));
        let instrument = integer("instrument") as usize;
        let told = Told {
            state: state.to_owned(),
            cum: integer("cum_qty"),
            client_id: body["client_id"].as_str().expect("an id").to_owned(),
            instrument,
            qty: integer("qty"),
            reason: body["reason"].as_str().unwrap_or_default().to_owned(),
        };
        self.told.insert(order, told);
        if body["what"] == "fill" {
            let fee: i128 = body["fee_e16"].as_str().and_then(|t| t.parse().ok()).expect("a fee");
            let fill = (order, integer("last_qty"), integer("last_price"), fee);
            let trade = integer("trade_id") as u64;
            self.fills.entry((instrument, trade)).or_default().push(fill);
        }
        if state == "unknown" {
            self.unknown_since.entry(order).or_insert(at);
        } else if let Some(since) = self.unknown_since.remove(&order) {
            self.unknown_ns.push(at - since);
        }
    }
}

/// Holds the journal in `dump` against the venue's `log`, for a run of `symbols` whose positions
/// may be worth `limit` each, in 10^-8 of the quote asset.
/// `numbered`: the engine has the venue's own numbers of fills, not names in their place.
pub fn judge(dump: &str, log: &VenueLog, symbols: &[&str], limit: i128, numbered: bool) -> Figures {
    let journal = Journal::read(dump);
    let mut figures = Figures { unknown_ns: journal.unknown_ns.clone(), ..Figures::default() };
    let mut theirs: BTreeMap<String, u64> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (id, order) in log.orders.iter().filter(|(_, o)| is_own(&o.client_id)) {
        if !names.insert(&order.client_id) {
            figures.orders_doubled += 1;
            figures.find(format!("the venue has {} twice", order.client_id));
        }
        // Of an order that was replaced the newest counts; the others ended without a fill.
        if let Some(former) = theirs.insert(first_name(&order.client_id), *id)
            && (log.orders[&former].filled > 0 || log.orders[&former].status != "Canceled")
        {
            figures.orders_doubled += 1;
            figures.find(format!("{} was replaced while it lived", order.client_id));
        }
    }
    for (order, _) in journal.sent.iter().filter(|(_, times)| **times > 1) {
        figures.orders_doubled += 1;
        figures.find(format!("order {order} was sent more than once"));
    }
    judge_endings(&journal, log, &theirs, &mut figures);
    judge_fills(&journal, log, symbols, &theirs, numbered, &mut figures);
    // One per cent: equity and prices move between the approval and the look.
    for (symbol, worst) in log.worst.iter().filter(|(_, w)| w.worth > limit * 101 / 100) {
        figures.exposed += 1;
        let Worst { worth, at_ms, buys, held, open, price } = worst;
        figures.find(format!(
            "{symbol} was worth {worth} at {at_ms}, above {limit}: buys {buys}, held {held}, \
             open {open}, price {price}"
        ));
    }
    figures
}

fn judge_endings(
    journal: &Journal,
    log: &VenueLog,
    theirs: &BTreeMap<String, u64>,
    figures: &mut Figures,
) {
    let known: BTreeSet<&str> = journal.told.values().map(|t| t.client_id.as_str()).collect();
    figures.orders = known.len() as u64;
    for unknown in theirs.keys().filter(|client| !known.contains(client.as_str())) {
        figures.wrong_endings += 1;
        figures.find(format!("the journal does not know {unknown}"));
    }
    for (id, told) in &journal.told {
        let order = theirs.get(told.client_id.as_str()).and_then(|id| log.orders.get(id));
        let same = match (told.state.as_str(), order) {
            ("rejected" | "not_sent", None) => told.cum == 0,
            // Accepted and ended at once where a post-only order would take: such an order is in
            // no table of the simulated venue.
            ("expired", None) => told.cum == 0 && told.reason == "would_take",
            ("filled", Some(o)) => o.status == "Filled",
            ("canceled", Some(o)) => o.status == "Canceled",
            ("expired", Some(o)) => o.status.starts_with("Expired"),
            _ => false,
        };
        let filled = order.map_or(0, |o| o.filled);
        if !same || !scaled(told.qty, order.map_or(told.qty, |o| o.qty), told.cum, filled) {
            figures.wrong_endings += 1;
            figures.find(format!("order {id}: ours {told:?}, theirs {order:?}"));
        }
    }
}

/// The name that the order had before it was replaced by another: its ninth character counts.
fn first_name(client_id: &str) -> String {
    let mut name = client_id.to_owned();
    if is_own(client_id) {
        name.replace_range(8..9, "0");
    }
    name
}

/// Our units and the venue's differ by a power of ten, which the ordered quantity tells: do the
/// filled ones differ by the same?
fn scaled(ours: i64, theirs: i64, our_part: i64, their_part: i64) -> bool {
    i128::from(ours) * i128::from(their_part) == i128::from(theirs) * i128::from(our_part)
}

fn judge_fills(
    journal: &Journal,
    log: &VenueLog,
    symbols: &[&str],
    theirs: &BTreeMap<String, u64>,
    numbered: bool,
    figures: &mut Figures,
) {
    let mut left = journal.fills.clone();
    let client = |order: u64| log.orders.get(&order).map(|o| first_name(&o.client_id));
    for ((symbol, id), trade) in &log.trades {
        let (Some(instrument), Some(own)) =
            (symbols.iter().position(|s| s == symbol), client(trade.order).filter(|c| is_own(c)))
        else {
            continue;
        };
        figures.fills += 1;
        let is_same = |ours: &[Fill]| {
            ours.first().is_some_and(|(order, qty, _, fee)| {
                let told = &journal.told[order];
                let ordered = theirs.get(&own).map_or(0, |id| log.orders[id].qty);
                told.client_id == own
                    && told.instrument == instrument
                    && scaled(told.qty, ordered, *qty, trade.qty)
                    && *fee == trade.fee * 100_000_000
            })
        };
        let key = match numbered {
            true => Some((instrument, *id)),
            false => left.iter().find(|(_, ours)| is_same(ours)).map(|(key, _)| *key),
        };
        let ours = key.and_then(|key| left.remove(&key)).unwrap_or_default();
        figures.fills_doubled += (ours.len() as u64).saturating_sub(1);
        let is_same = is_same(&ours);
        if !is_same {
            figures.fills_missed += 1;
            figures.find(format!("fill {id}: theirs {trade:?}, ours {ours:?}"));
        }
    }
    for (key, fills) in &left {
        figures.fills_doubled += fills.len() as u64;
        figures.find(format!("the venue has no fill {key:?}: {fills:?}"));
    }
}

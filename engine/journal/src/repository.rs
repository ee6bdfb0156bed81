//! Orders, fills and positions of a run, to be asked for: a port, and the journal behind it.
//!
//! What is written is the journal and nothing else; a repository only reads. [`JournalRepository`]
//! is the embedded default: it reads the journal from its beginning for every question, in memory
//! that grows with the answer alone. Another store (a database that a journal was loaded into)
//! implements [`Repository`] over its own tables and takes its place.
//!
//! Orders and fills are those that execution reported or risk took: of a run that was killed, one
//! of both lanes may have come further. A position is the sum of a strategy's fills; what it held
//! before the run is not in the journal's fills.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bot4_types::{
    ExecMsg, InstrumentId, LogEntry, LogKind, Nanos, OrderAction, OrderId, OrderIntent,
    OrderReport, OrderState, Price, Qty, ReportKind, RunEpoch, Side, StrategyId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decode::{Decoded, client, decode, kind_name, side_name};
use crate::reader::{Flaw, Reader};
use crate::report::{Watch, each};

/// Which orders, fills or positions are meant: all that every part allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of this order.
    pub order: Option<OrderId>,
    /// Of this instrument.
    pub instrument: Option<InstrumentId>,
    /// Not before this engine time: an order's approval, a fill's report.
    pub from: Nanos,
    /// Before this engine time. Of an order that was approved before, everything counts.
    pub to: Nanos,
    /// Nothing that lies behind a failed sync.
    pub synced: bool,
}

impl Query {
    /// Everything.
    pub const ALL: Self =
        Self { order: None, instrument: None, from: Nanos::ZERO, to: Nanos::MAX, synced: false };

    fn has(&self, order: OrderId, instrument: InstrumentId, at: Nanos) -> bool {
        self.order.is_none_or(|wanted| wanted == order)
            && self.instrument.is_none_or(|wanted| wanted == instrument)
            && self.from <= at
            && at < self.to
    }
}

/// An order and how far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// Which.
    pub order: OrderId,
    /// The run that approved it.
    pub epoch: RunEpoch,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which strategy.
    pub strategy: StrategyId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price as approved, price units.
    pub price: Price,
    /// Quantity as approved, quantity units.
    pub qty: Qty,
    /// When risk approved it, engine time.
    pub approved: Nanos,
    /// Its state by the newest report.
    pub state: OrderState,
    /// Filled so far.
    pub cum_qty: Qty,
    /// The venue's number; zero while none was told.
    pub venue_order: u64,
    /// When it ended, engine time.
    pub ended: Option<Nanos>,
}

impl OrderRow {
    /// An order that run `epoch` approved, of which nothing was told yet.
    #[must_use]
    pub fn new(intent: &OrderIntent, epoch: RunEpoch, approved: Nanos) -> Self {
        Self {
            order: intent.order,
            epoch,
            instrument: intent.instrument,
            strategy: intent.strategy,
            side: intent.side,
            price: intent.price,
            qty: intent.qty,
            approved,
            state: OrderState::Approved,
            cum_qty: Qty(0),
            venue_order: 0,
            ended: None,
        }
    }

    /// Takes the next report of it in.
    pub fn take(&mut self, report: &OrderReport) {
        self.cum_qty = self.cum_qty.max(report.cum_qty);
        if report.venue_order != 0 {
            self.venue_order = report.venue_order;
        }
        // An ended order stays ended: a late fill is told in the state that it ended in.
        if self.ended.is_none() {
            self.state = report.state;
            self.ended = report.state.is_terminal().then_some(report.at);
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "order": self.order.0, "client_id": client(self.epoch, self.order),
            "instrument": self.instrument.0, "strategy": self.strategy.0,
            "side": side_name(self.side), "price": self.price.0, "qty": self.qty.0,
            "approved_at": self.approved.0, "state": self.state.name(),
            "cum_qty": self.cum_qty.0, "venue_order": self.venue_order,
            "ended_at": self.ended.map(|at| at.0),
        })
    }
}

/// What a strategy holds of an instrument by its fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionRow {
    /// Whose.
    pub strategy: StrategyId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Net quantity; negative is short.
    pub qty: Qty,
    /// Fills that made it.
    pub fills: u64,
}

impl PositionRow {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "strategy": self.strategy.0, "instrument": self.instrument.0, "qty": self.qty.0,
            "fills": self.fills,
        })
    }
}

/// A record about an order, with its stamp.
#[derive(Clone, Debug, PartialEq)]
pub struct LifeRow {
    /// Engine time of the record.
    pub at: Nanos,
    /// The log lane that wrote it.
    pub lane: u8,
    /// Its kind's name.
    pub kind: String,
    /// Its body.
    pub body: Value,
}

/// The port. Rows come in the order of the records behind them.
pub trait Repository {
    /// Orders that were approved, whatever became of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn orders(&self, query: &Query) -> io::Result<Vec<OrderRow>>;

    /// Fills, each once.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn fills(&self, query: &Query) -> io::Result<Vec<OrderReport>>;

    /// What strategies hold by the fills of `query`, by strategy and instrument; what is flat has a
    /// row, too.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn positions(&self, query: &Query) -> io::Result<Vec<PositionRow>> {
        let mut rows: BTreeMap<(StrategyId, InstrumentId), PositionRow> = BTreeMap::new();
        for fill in self.fills(query)? {
            let (strategy, instrument) = (fill.strategy, fill.instrument);
            let fresh = PositionRow { strategy, instrument, ..PositionRow::default() };
            let row = rows.entry((strategy, instrument)).or_insert(fresh);
            row.qty.0 = row.qty.0.saturating_add(fill.side.sign() * fill.last_qty.0);
            row.fills += 1;
        }
        Ok(rows.into_values().collect())
    }

    /// Everything that was recorded about an order, every stamp included; empty when nothing was.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn life(&self, order: OrderId) -> io::Result<Vec<LifeRow>>;
}

/// The journal in a folder, or one of its segments. One that was never begun has no rows.
#[derive(Clone, Debug)]
pub struct JournalRepository {
    path: PathBuf,
}

impl JournalRepository {
    /// The journal at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn each(&self, synced: bool, mut take: impl FnMut(&LogEntry, RunEpoch)) -> io::Result<()> {
        let reader = match Reader::open(&self.path) {
            // Its writer died before the first record: it knew nothing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            reader => reader?,
        };
        for record in reader.flatten().filter(|r| r.synced || !synced) {
            take(&record.entry, record.epoch);
        }
        Ok(())
    }

    /// [`Repository::life`], telling `watch` how far the reading is and `flawed` what cannot be
    /// read.
    ///
    /// # Errors
    /// When there is nothing to read.
    pub fn life_watched(
        &self,
        order: OrderId,
        watch: Watch<'_>,
        flawed: &mut dyn FnMut(&Flaw),
    ) -> io::Result<Vec<LifeRow>> {
        let mut rows = Vec::new();
        each(&self.path, watch, |item| {
            match item {
                Ok(record) => rows.extend(life_row(&record.entry, record.epoch, order)),
                Err(flaw) => flawed(&flaw),
            }
            Ok(())
        })?;
        Ok(rows)
    }
}

/// The record as one of `order`, if it is about it.
fn life_row(entry: &LogEntry, epoch: RunEpoch, order: OrderId) -> Option<LifeRow> {
    let body = decode(entry);
    (body.order() == Some(order)).then(|| LifeRow {
        at: entry.at,
        lane: entry.lane,
        kind: kind_name(entry.kind),
        body: body.to_json(epoch),
    })
}

/// The placement in a record of risk.
#[must_use]
pub fn approval(entry: &LogEntry) -> Option<OrderIntent> {
    match (LogKind::from_raw(entry.kind)?, decode(entry)) {
        (LogKind::Approved, Decoded::Intent(i)) if i.action == OrderAction::Place => Some(i),
        _ => None,
    }
}

/// The report in a record of execution, or in the one of risk that took it.
fn learned(entry: &LogEntry) -> Option<OrderReport> {
    match (LogKind::from_raw(entry.kind)?, decode(entry)) {
        (LogKind::Learned | LogKind::Report, Decoded::Exec(ExecMsg::Order(report))) => Some(report),
        _ => None,
    }
}

impl Repository for JournalRepository {
    /// Lanes are written apart: a report may lie before the approval that it belongs to.
    fn orders(&self, query: &Query) -> io::Result<Vec<OrderRow>> {
        let mut rows: Vec<OrderRow> = Vec::new();
        let mut places: BTreeMap<OrderId, usize> = BTreeMap::new();
        let mut early: BTreeMap<OrderId, Vec<OrderReport>> = BTreeMap::new();
        self.each(query.synced, |entry, epoch| {
            if let Some(intent) = approval(entry) {
                let reports = early.remove(&intent.order).unwrap_or_default();
                if query.has(intent.order, intent.instrument, entry.at) {
                    let mut row = OrderRow::new(&intent, epoch, entry.at);
                    reports.iter().for_each(|report| row.take(report));
                    places.insert(intent.order, rows.len());
                    rows.push(row);
                }
            } else if let Some(report) = learned(entry) {
                match places.get(&report.order) {
                    Some(place) => rows[*place].take(&report),
                    None if query.order.is_none_or(|wanted| wanted == report.order) => {
                        early.entry(report.order).or_default().push(report);
                    }
                    None => {}
                }
            }
        })?;
        Ok(rows)
    }

    fn fills(&self, query: &Query) -> io::Result<Vec<OrderReport>> {
        let (mut rows, mut known) = (Vec::new(), BTreeSet::new());
        self.each(query.synced, |entry, _| {
            let fill = learned(entry).filter(|r| r.kind == ReportKind::Fill);
            let fill = fill.filter(|r| query.has(r.order, r.instrument, r.at));
            rows.extend(fill.filter(|r| known.insert((r.order, r.seq))));
        })?;
        Ok(rows)
    }

    fn life(&self, order: OrderId) -> io::Result<Vec<LifeRow>> {
        self.life_watched(order, &mut |_, _| {}, &mut |_| {})
    }
}

/// A fill as JSON: the report behind it.
#[must_use]
pub fn fill_json(fill: &OrderReport) -> Value {
    json!({
        "at": fill.at.0, "order": fill.order.0, "instrument": fill.instrument.0,
        "strategy": fill.strategy.0, "side": side_name(fill.side), "qty": fill.last_qty.0,
        "price": fill.last_price.0, "trade_id": fill.trade_id, "venue_order": fill.venue_order,
        "fee_e16": fill.fee.to_string(), "fee_asset": fill.fee_asset.0, "maker": fill.maker,
    })
}

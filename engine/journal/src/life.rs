//! The whole life of one order: every stamp from the bytes that caused it to its end, every report
//! and fill, and the records behind them.
//!
//! Lanes are written apart and only the time of their records puts them side by side: a turn's
//! records carry the turn's `now`, the stamps inside them are exact.

use std::fmt;
use std::io;
use std::path::Path;

use bot4_types::{
    AnsweredRecord, ExecMsg, LogEntry, LogKind, Nanos, OrderAction, OrderId, OrderIntent,
    OrderReport, ReportKind, RunEpoch, SentRecord, Stage,
};
use serde_json::{Map, Value, json};

use crate::decode::{
    Decoded, DeskReader, client, decode_with, intent_json, kind_name, report_json,
};
use crate::report::{Watch, each};
use crate::repository::{LifeRow, fill_json};

/// What a journal knows of an order.
#[derive(Clone, Debug, Default)]
pub struct OrderLife {
    /// Which.
    pub order: OrderId,
    epoch: RunEpoch,
    /// The placement as the gate approved it, and when.
    pub approved: Option<(OrderIntent, Nanos)>,
    /// The placement as it came to the gate.
    intent: Option<OrderIntent>,
    /// How it was handed to the socket.
    pub sent: Option<SentRecord>,
    /// Answers to its requests.
    pub answers: Vec<AnsweredRecord>,
    /// Execution's reports, each once, in their order.
    pub reports: Vec<OrderReport>,
    /// All records about it, in the order of the file.
    pub rows: Vec<LifeRow>,
    /// What could not be read.
    pub flaws: Vec<String>,
}

impl OrderLife {
    /// Reads the life of `order` from `path`; `desk` says what execution's inputs are.
    ///
    /// # Errors
    /// When there is nothing to read.
    pub fn read(
        path: &Path,
        order: OrderId,
        desk: Option<DeskReader>,
        watch: Watch<'_>,
    ) -> io::Result<Self> {
        let mut life = Self { order, ..Self::default() };
        each(path, watch, |item| {
            match item {
                Ok(record) => life.take(&record.entry, record.epoch, desk),
                Err(flaw) => life.flaws.push(flaw.to_string()),
            }
            Ok(())
        })?;
        life.reports.sort_by_key(|report| report.seq);
        life.reports.dedup_by_key(|report| report.seq);
        Ok(life)
    }

    /// There is no record about it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn take(&mut self, entry: &LogEntry, epoch: RunEpoch, desk: Option<DeskReader>) {
        let body = decode_with(entry, desk);
        if body.order() != Some(self.order) {
            return;
        }
        self.epoch = epoch;
        match (LogKind::from_raw(entry.kind), &body) {
            (Some(LogKind::Approved), Decoded::Intent(i)) if i.action == OrderAction::Place => {
                self.approved = Some((*i, entry.at));
            }
            (Some(LogKind::Intent), Decoded::Intent(i)) if i.action == OrderAction::Place => {
                self.intent = Some(*i);
            }
            (_, Decoded::Sent(sent)) => self.sent = Some(*sent),
            (_, Decoded::Answered(answered)) => self.answers.push(*answered),
            // Risk's copy stands for one that execution's lane lost.
            (_, Decoded::Exec(ExecMsg::Order(report))) => self.reports.push(*report),
            _ => {}
        }
        let (at, lane, kind) = (entry.at, entry.lane, kind_name(entry.kind));
        self.rows.push(LifeRow { at, lane, kind, body: body.to_json(epoch) });
    }

    /// The stamps from the bytes that caused it to the venue's answer, engine time; `None` where
    /// there is none: an order that no market message caused has no borders before the signal.
    #[must_use]
    pub fn stamps(&self) -> Vec<(&'static str, Option<Nanos>)> {
        let trail = self.approved.map(|(i, _)| i).or(self.intent).map(|i| i.trail);
        let border = |stage: Stage| {
            let trail = trail?;
            let offset = trail.border(stage);
            (offset > 0).then(|| trail.t0 + Nanos(offset))
        };
        let sent =
            |stamp: fn(&SentRecord) -> Nanos| self.sent.as_ref().map(stamp).filter(|s| s.0 > 0);
        // Where t0 is the kernel's stamp, the read came later.
        let read = trail.filter(|t| t.read_ns > 0).map(|t| t.t0 + Nanos(u64::from(t.read_ns)));
        let mut all = vec![("t0", trail.map(|t| t.t0)), ("read", read)];
        let borders = Stage::ALL.iter().filter(|s| **s != Stage::OrderEncode);
        all.extend(borders.map(|stage| (stage.name(), border(*stage))));
        all.push(("approved", self.approved.map(|(_, at)| at)));
        all.push(("journaled", sent(|s| s.begun)));
        all.push(("order_encode", sent(|s| s.encoded)));
        all.push(("handed_to_kernel", sent(|s| s.handed)));
        let placed = self.answers.iter().find(|a| a.action == OrderAction::Place);
        all.push(("answer_read", placed.map(|a| a.read)));
        all
    }

    /// The report that ended it.
    #[must_use]
    pub fn end(&self) -> Option<&OrderReport> {
        let word = |r: &&OrderReport| r.kind != ReportKind::Contradicted;
        self.reports.iter().filter(word).find(|r| r.state.is_terminal())
    }

    /// Its fills.
    pub fn fills(&self) -> impl Iterator<Item = &OrderReport> {
        self.reports.iter().filter(|r| r.kind == ReportKind::Fill)
    }

    /// As JSON: times in ns of the engine's clock.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let stamps: Map<String, Value> = self
            .stamps()
            .into_iter()
            .map(|(n, at)| (n.to_owned(), json!(at.map(|at| at.0))))
            .collect();
        let span = |from: &str, to: &str| {
            let at = |name: &str| stamps[name].as_u64();
            Some(at(to)?.saturating_sub(at(from)?))
        };
        let answer =
            |a: &AnsweredRecord| json!({ "to": a.action.name(), "done": a.done, "read": a.read.0 });
        let row = |row: &LifeRow| json!({ "at": row.at.0, "lane": row.lane, "kind": row.kind, "body": row.body });
        let intent = self.approved.map(|(i, _)| i).or(self.intent);
        json!({
            "order": self.order.0, "client_id": client(self.epoch, self.order),
            "intent": intent.map(|i| intent_json(&i, self.epoch)),
            "spans_ns": {
                "t0_to_kernel": span("t0", "handed_to_kernel"),
                "approved_to_journaled": span("risk", "journaled"),
                "kernel_to_answer": span("handed_to_kernel", "answer_read"),
            },
            "stamps": stamps,
            "answers": self.answers.iter().map(answer).collect::<Vec<_>>(),
            "reports": self.reports.iter().map(|r| report_json(r, self.epoch)).collect::<Vec<_>>(),
            "fills": self.fills().map(fill_json).collect::<Vec<_>>(),
            "end": self.end().map(|r| json!({
                "at": r.at.0, "state": r.state.name(), "reason": r.reason.name(),
                "cum_qty": r.cum_qty.0,
            })),
            "records": self.rows.iter().map(row).collect::<Vec<_>>(),
            "flaws": self.flaws,
        })
    }
}

/// For a person: its stamps with the time since the one before, then every record.
impl fmt::Display for OrderLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(f, "order {} is not in this journal", self.order.0)?;
        } else {
            writeln!(f, "order {}, {}", self.order.0, client(self.epoch, self.order))?;
        }
        let mut before: Option<Nanos> = None;
        for (name, at) in self.stamps().into_iter().filter_map(|(name, at)| Some((name, at?))) {
            let since = before.map_or(0, |before| at.since(before).0);
            before = Some(at);
            writeln!(f, "{:>18.9}  {name:<17} +{since} ns", at.0 as f64 / 1e9)?;
        }
        for row in &self.rows {
            let at = row.at.0 as f64 / 1e9;
            writeln!(f, "{at:>18.9}  lane {}  {:<9} {}", row.lane, row.kind, row.body)?;
        }
        self.flaws.iter().try_for_each(|flaw| writeln!(f, "! {flaw}"))
    }
}

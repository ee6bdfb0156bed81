//! What a record's body says, by its kind. Cold: for dumps and a person's questions.
//!
//! A kind may carry one of several layouts (a record of an order may be the whole intent or just
//! its number); the layout whose bytes fit exactly is meant. What fits none is shown as hex, so
//! a newer version's records are never hidden.

use bot4_types::log::{Body, EquityRecord, Reader, Refusal};
use bot4_types::{
    ActPart, AnsweredRecord, BookState, ClientId, CommandId, ExecMsg, LogEntry, LogKind, Mark,
    Nanos, OrderId, OrderIntent, OrderReport, ParentCommand, ParentId, ParentOrder, ParentReport,
    RefuseReason, RiskCommand, RunEpoch, SentRecord, Side, Terms, WorkReport,
};
use serde_json::{Value, json};

/// A record's body, decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// Text (UTF-8) about the run.
    Text(String),
    /// An intent or an approved one.
    Intent(OrderIntent),
    /// A refusal.
    Refusal(Refusal),
    /// A message from execution.
    Exec(ExecMsg),
    /// A mark.
    Mark(Mark),
    /// A command of the control lane.
    Command(RiskCommand),
    /// A point of the equity curve.
    Equity(EquityRecord),
    /// Where a parent order stands.
    Parent(ParentReport),
    /// An order was handed to the socket.
    Sent(SentRecord),
    /// The venue's answer to a request about an order was read.
    Answered(AnsweredRecord),
    /// What became of a command on orders.
    Work(WorkReport),
    /// A part of what was asked from outside.
    Act(ActPart),
    /// An input of execution's desk, by its own reader.
    Desk(DeskLine),
    /// Just an order's number, and a byte whose meaning the kind gives (zero when absent).
    Order(OrderId, u8),
    /// No body.
    Empty,
    /// Bytes of no known layout.
    Raw(Vec<u8>),
}

/// An input of execution's desk.
#[derive(Clone, Debug, PartialEq)]
pub struct DeskLine {
    /// The order that it is about by its number.
    pub order: Option<OrderId>,
    /// What it is.
    pub body: Value,
}

/// Reads the body of a record of execution's desk, whose codec is execution's own.
pub type DeskReader = fn(&[u8]) -> Option<DeskLine>;

/// `body` as a `T` when it is exactly one.
fn exact<T: Body>(body: &[u8]) -> Option<T> {
    let mut r = Reader::over(body);
    T::read(&mut r).filter(|_| r.rest().is_empty())
}

fn order_number(body: &[u8]) -> Option<Decoded> {
    let mut r = Reader::over(body);
    let order = OrderId(r.u64()?);
    let flag = r.u8().unwrap_or(0);
    r.rest().is_empty().then_some(Decoded::Order(order, flag))
}

/// Decodes the body of `entry`; records of execution's desk stay raw.
#[must_use]
pub fn decode(entry: &LogEntry) -> Decoded {
    decode_with(entry, None)
}

/// Decodes the body of `entry`, records of execution's desk by `desk`.
#[must_use]
pub fn decode_with(entry: &LogEntry, desk: Option<DeskReader>) -> Decoded {
    let body = entry.body();
    if body.is_empty() {
        return Decoded::Empty;
    }
    let intent = || exact(body).map(Decoded::Intent);
    let exec = || exact(body).map(Decoded::Exec);
    let report = || exact::<OrderReport>(body).map(|r| Decoded::Exec(ExecMsg::Order(r)));
    let found = match LogKind::from_raw(entry.kind) {
        Some(LogKind::Run) => {
            core::str::from_utf8(body).ok().map(|text| Decoded::Text(text.to_owned()))
        }
        Some(LogKind::Refused) => exact(body).map(Decoded::Refusal),
        Some(LogKind::Mark) => exact(body).map(Decoded::Mark),
        Some(LogKind::Command) => exact(body).map(Decoded::Command),
        Some(LogKind::Intent | LogKind::Approved) => {
            intent().or_else(report).or_else(exec).or_else(|| order_number(body))
        }
        Some(LogKind::Sent) => exact(body)
            .map(Decoded::Sent)
            .or_else(intent)
            .or_else(report)
            .or_else(exec)
            .or_else(|| order_number(body)),
        Some(LogKind::Answered) => exact(body).map(Decoded::Answered),
        Some(LogKind::OrderCommand) => exact(body).map(Decoded::Work),
        Some(LogKind::Act) => exact(body).map(Decoded::Act),
        Some(LogKind::Desk) => desk.and_then(|read| read(body)).map(Decoded::Desk),
        Some(LogKind::Report | LogKind::Learned | LogKind::Balance) => exec().or_else(report),
        Some(LogKind::Turn | LogKind::Control | LogKind::Turns | LogKind::Statistics) | None => {
            None
        }
        Some(LogKind::Equity) => exact(body).map(Decoded::Equity),
        Some(LogKind::Parent) => exact(body).map(Decoded::Parent),
    };
    found.unwrap_or_else(|| Decoded::Raw(body.to_vec()))
}

impl Decoded {
    /// The order this is about, if it is about one.
    #[must_use]
    pub const fn order(&self) -> Option<OrderId> {
        match self {
            Self::Intent(i) => Some(i.order),
            Self::Refusal(r) => Some(r.order),
            Self::Exec(ExecMsg::Order(r)) => Some(r.order),
            Self::Order(order, _) => Some(*order),
            Self::Sent(sent) => Some(sent.order),
            Self::Answered(answered) => Some(answered.order),
            Self::Work(work) if work.order.0 > 0 => Some(work.order),
            Self::Desk(line) => line.order,
            _ => None,
        }
    }

    /// The body as JSON. Prices and quantities are integers in the instrument's own units,
    /// amounts (128 bits) text in 10^-16 of their asset; enums have their names.
    #[must_use]
    pub fn to_json(&self, epoch: RunEpoch) -> Value {
        match self {
            Self::Text(text) => json!({ "text": text }),
            Self::Intent(i) => intent_json(i, epoch),
            Self::Refusal(r) => json!({
                "order": r.order.0, "client_id": client(epoch, r.order), "reason": r.reason.name(),
            }),
            Self::Exec(ExecMsg::Order(r)) => report_json(r, epoch),
            Self::Exec(ExecMsg::Balance { at, asset, free, locked }) => json!({
                "what": "balance", "learned_at": at.0, "asset": asset.0,
                "free_e16": free.to_string(), "locked_e16": locked.to_string(),
            }),
            Self::Exec(ExecMsg::Funding { at, id, instrument, asset, amount }) => json!({
                "what": "funding", "learned_at": at.0, "id": id, "instrument": instrument.0,
                "asset": asset.0, "amount_e16": amount.to_string(),
            }),
            Self::Exec(ExecMsg::Session { at, venue, ready }) => {
                json!({
                    "what": "session", "learned_at": at.0, "venue": venue.0, "ready": ready,
                })
            }
            Self::Exec(ExecMsg::Foreign { at, venue, venue_order, trade_id, declared }) => json!({
                "what": "foreign", "learned_at": at.0, "venue": venue.0, "venue_order": venue_order,
                "trade_id": trade_id, "declared": declared,
            }),
            Self::Mark(m) => json!({
                "instrument": m.instrument.0, "bid": m.bid, "ask": m.ask, "micro": m.micro,
                "last_trade": m.last_trade, "received_at": m.at.0, "state": state_name(m.state),
            }),
            Self::Command(command) => command_json(command),
            Self::Order(order, flag) => json!({
                "order": order.0, "client_id": client(epoch, *order), "flag": flag,
            }),
            Self::Equity(p) => json!({
                "equity_e16": p.equity.to_string(), "peak_e16": p.peak.to_string(),
                "day_open_e16": p.day_open.to_string(), "day": p.day,
            }),
            Self::Parent(report) => parent_json(report),
            Self::Sent(s) => json!({
                "order": s.order.0, "client_id": s.client.as_str(), "begun": s.begun.0,
                "encoded": s.encoded.0, "handed": s.handed.0,
            }),
            Self::Answered(a) => json!({
                "order": a.order.0, "client_id": client(epoch, a.order), "to": a.action.name(),
                "done": a.done, "read": a.read.0,
            }),
            Self::Work(work) => work_report_json(work),
            Self::Act(part) => act_json(part),
            Self::Desk(line) => line.body.clone(),
            Self::Empty => Value::Null,
            Self::Raw(bytes) => {
                json!({ "hex": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() })
            }
        }
    }
}

fn act_json(part: &ActPart) -> Value {
    let about = &part.about;
    json!({
        "act": about.act_text(), "outcome": about.outcome_text(),
        "nonce": format!("{:032x}", about.nonce), "asked_ms": about.asked_ms,
        "uid": about.uid, "pid": about.pid, "part": part.part, "parts": part.parts,
        "text": part.text(),
    })
}

fn command_json(command: &RiskCommand) -> Value {
    match command {
        RiskCommand::Rules { rules: r, resync } => json!({
            "what": "rules", "instrument": r.instrument.0, "resync": resync,
            "tradable": r.tradable, "tick": r.tick, "price_min": r.price_min.0,
            "price_max": r.price_max.0, "lot": r.lot, "qty_min": r.qty_min.0,
            "qty_max": r.qty_max.0, "notional_min": r.notional_min.to_string(),
            "notional_max": r.notional_max.to_string(), "orders_open_max": r.orders_open_max,
        }),
        RiskCommand::Pause { instrument, why } => json!({
            "what": "pause", "instrument": instrument.0, "reason": why.name(),
        }),
        RiskCommand::Resume { instrument } => {
            json!({ "what": "resume", "instrument": instrument.0 })
        }
        RiskCommand::BreakerReset { scope } => {
            json!({ "what": "breaker_reset", "scope": scope.name(), "number": scope.number() })
        }
        RiskCommand::Mode(mode) => json!({ "what": "mode", "mode": mode.name() }),
        RiskCommand::OperatorMode(mode) => {
            json!({ "what": "mode", "mode": mode.name(), "by": "operator" })
        }
        RiskCommand::Work(w) => json!({
            "what": "order_command", "command": w.id.to_string(), "kind": w.kind.name(),
            "strategy": w.strategy.0, "instrument": w.instrument.0, "side": side_name(w.side),
            "price": w.price.0, "qty": w.qty.0, "trigger": w.trigger.0, "other": w.other.0,
            "other_side": side_name(w.other_side), "of": name_of(w.of),
        }),
        RiskCommand::Parent(ParentCommand::Begin(order)) => parent_order_json(order),
        RiskCommand::Parent(ParentCommand::Act { id, action }) => {
            json!({ "what": "parent", "parent": id.to_string(), "action": action.name() })
        }
        RiskCommand::LimitsPart { at, len, .. } => {
            json!({ "what": "limits_part", "at": at, "bytes": len })
        }
        RiskCommand::LimitsCommit { len, sum } => {
            json!({ "what": "limits", "bytes": len, "sum": format!("{sum:016x}") })
        }
        RiskCommand::VenueBalance { asset, total, asked, patience, follow } => json!({
            "what": "venue_balance", "asset": asset.0, "total_e16": total.to_string(),
            "asked_at": asked.0, "patience_ns": patience.0, "follow": follow,
        }),
        RiskCommand::Shed { instrument, on } => {
            json!({ "what": "shed", "instrument": instrument.0, "on": on })
        }
        RiskCommand::AcceptBalance { instrument } => {
            json!({ "what": "accept_balance", "instrument": instrument.0 })
        }
    }
}

fn parent_order_json(o: &ParentOrder) -> Value {
    json!({
        "what": "parent", "parent": o.id.to_string(), "action": "begin", "strategy": o.strategy.0,
        "instrument": o.instrument.0, "side": side_name(o.side), "algo": o.algo.name(),
        "total": o.total.0, "limit": o.limit.0, "delay_ns": o.delay.0, "over_ns": o.over.0,
        "deadline": o.deadline.name(), "urgency": o.urgency.name(), "slice_min": o.slice_min.0,
        "display": o.display.0, "rate_e4": o.rate_e4, "peg": o.peg.name(),
        "offset_ticks": o.offset_ticks, "amends": o.amends, "curve": o.curve,
    })
}

fn name_of(id: CommandId) -> Option<String> {
    (id != CommandId::NONE).then(|| id.to_string())
}

fn work_report_json(w: &WorkReport) -> Value {
    let terms = |t: Terms| json!({ "price": t.price.0, "qty": t.qty.0 });
    json!({
        "command": w.id.to_string(), "kind": w.kind.name(), "strategy": w.strategy.0,
        "instrument": w.instrument.0, "side": side_name(w.side), "from": w.from.map(terms),
        "to": w.to.map(terms), "trigger": w.trigger.0, "other": w.other.0,
        "outcome": w.state.name(), "refusal": w.refusal.name(),
        "gate": w.gate.map(RefuseReason::name), "reason": w.reason.name(), "order": w.order.0,
        "filled": w.filled.0, "undo_of": name_of(w.undo_of), "can_undo": w.can_undo,
        "began": w.began.0, "at": w.at.0,
    })
}

fn parent_json(p: &ParentReport) -> Value {
    json!({
        "parent": p.id.to_string(), "strategy": p.strategy.0, "instrument": p.instrument.0,
        "side": side_name(p.side), "algo": p.algo.name(), "state": p.state.name(),
        "end": p.end.name(), "refusal": p.refusal.name(), "gate": p.gate.map(RefuseReason::name),
        "at": p.at.0, "began": p.began.0, "until": p.until.0, "total": p.total.0,
        "limit": p.limit.0, "filled": p.filled.0, "open": p.open.0, "left": p.left.0,
        "over": p.over.0, "cost": p.cost.to_string(), "arrival_x2": p.arrival_x2,
        "market_qty": p.market_qty.0, "market_cost": p.market_cost.to_string(),
        "children": p.children, "fills": p.fills, "refused": p.refused, "missed": p.missed,
    })
}

pub(crate) fn client(epoch: RunEpoch, order: OrderId) -> String {
    ClientId::new(epoch, order).as_str().to_owned()
}

pub(crate) fn intent_json(i: &OrderIntent, epoch: RunEpoch) -> Value {
    json!({
        "order": i.order.0, "client_id": client(epoch, i.order), "action": i.action.name(),
        "instrument": i.instrument.0, "strategy": i.strategy.0, "side": side_name(i.side),
        "kind": i.kind.name(), "tif": i.tif.name(), "price": i.price.0, "qty": i.qty.0,
        "trigger": i.trigger.0, "until": (i.until < Nanos::MAX).then_some(i.until.0),
        "reduce_only": i.reduce_only, "stop_ticks": i.stop_ticks, "cause": i.cause.name(), "expires": i.expires.0,
        "parent": (i.parent != ParentId::NONE).then(|| i.parent.to_string()),
        "trail": {
            "t0": i.trail.t0.0, "border_ns": i.trail.border_ns, "read_ns": i.trail.read_ns,
        },
    })
}

pub(crate) fn report_json(r: &OrderReport, epoch: RunEpoch) -> Value {
    json!({
        "what": r.kind.name(), "order": r.order.0, "client_id": client(epoch, r.order),
        "report": r.seq, "learned_at": r.at.0, "venue_order": r.venue_order,
        "instrument": r.instrument.0, "strategy": r.strategy.0, "side": side_name(r.side),
        "state": r.state.name(), "reason": r.reason.name(), "price": r.price.0, "qty": r.qty.0,
        "cum_qty": r.cum_qty.0, "last_qty": r.last_qty.0, "last_price": r.last_price.0,
        "trade_id": r.trade_id, "fee_e16": r.fee.to_string(), "fee_asset": r.fee_asset.0,
        "maker": r.maker,
    })
}

pub(crate) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

const fn state_name(state: BookState) -> &'static str {
    match state {
        BookState::Waiting => "waiting",
        BookState::Syncing => "syncing",
        BookState::Live => "live",
        BookState::Stale => "stale",
    }
}

/// The name of a record's kind in dumps; kinds of newer versions by number.
#[must_use]
pub fn kind_name(kind: u8) -> String {
    LogKind::from_raw(kind).map_or_else(|| format!("kind_{kind}"), |k| k.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Nanos, RefuseReason};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_body_of_any_kind_gives_json(
            kind in any::<u8>(),
            body in proptest::collection::vec(any::<u8>(), 0..232),
        ) {
            let mut entry = LogEntry::raw(LogKind::Run, Nanos(0), &body);
            entry.kind = kind;
            let decoded = decode(&entry);
            prop_assert!(serde_json::to_string(&decoded.to_json(RunEpoch(3))).is_ok());
            if let Decoded::Raw(bytes) = decoded {
                prop_assert_eq!(bytes, body);
            }
        }
    }

    #[test]
    fn bodies_are_told_apart() {
        let refusal = Refusal { order: OrderId(9), reason: RefuseReason::Tick };
        let entry = LogEntry::new(LogKind::Refused, Nanos(1), |w| refusal.write(w));
        let decoded = decode(&entry);
        assert_eq!(
            (decoded.order(), decoded.clone()),
            (Some(OrderId(9)), Decoded::Refusal(refusal))
        );
        assert_eq!(decoded.to_json(RunEpoch(0))["reason"], "tick");
        let sent = LogEntry::new(LogKind::Sent, Nanos(1), |w| w.u64(5));
        assert_eq!(decode(&sent), Decoded::Order(OrderId(5), 0));
        let odd = LogEntry::raw(LogKind::Mark, Nanos(1), &[1, 2, 3]);
        assert_eq!(decode(&odd).to_json(RunEpoch(0))["hex"], "010203");
        assert_eq!(decode(&LogEntry::raw(LogKind::Turn, Nanos(1), b"")), Decoded::Empty);
    }
}

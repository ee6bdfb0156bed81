//! What the account is told, in the venue's words: answers, events, rows.
//!
//! Keys stand in the order of the protocol sheet's samples. Numbers are texts without zeros at the
//! end; what is not there is an empty text.

use std::fmt::Write as _;

use serde_json::Value;

use crate::account::Balance;
use crate::decimal::ONE;
use crate::dialect::text::{quoted, trimmed_text, wide_text};
use crate::error::ApiError;
use crate::exchange::Ticket;
use crate::matching::{Side, Tif};
use crate::orders::{Kind, Order, OwnTrade, Status};
use crate::report::{Event, Report};

use super::account::Denied;

/// The state of the limit of orders.
pub struct Limit {
    pub most: u32,
    pub left: u32,
    pub reset_ms: u64,
}

fn req_id(name: &str, id: Option<&str>) -> String {
    id.map(|id| format!(r#""{name}":{},"#, quoted(id))).unwrap_or_default()
}

/// An answer of the private connection.
pub fn private_answer(
    success: bool,
    msg: &str,
    op: &str,
    id: Option<&str>,
    conn_id: &str,
) -> String {
    let id = id.map(|id| format!(r#","req_id":{}"#, quoted(id))).unwrap_or_default();
    let (msg, op) = (quoted(msg), quoted(op));
    format!(r#"{{"success":{success},"ret_msg":{msg},"op":{op},"conn_id":"{conn_id}"{id}}}"#)
}

/// The answer to a ping on the private connection.
pub fn pong(id: Option<&str>, conn_id: &str, now_ms: u64) -> String {
    let id = req_id("req_id", id);
    format!(r#"{{{id}"op":"pong","args":["{now_ms}"],"conn_id":"{conn_id}"}}"#)
}

/// The answer to a ping on the trade connection.
pub fn trade_pong(conn_id: &str, now_ms: u64) -> String {
    format!(r#"{{"retCode":0,"retMsg":"OK","op":"pong","data":["{now_ms}"],"connId":"{conn_id}"}}"#)
}

/// The answer to a logon on the trade connection.
pub fn trade_logon(id: Option<&str>, refused: Option<Denied>, conn_id: &str) -> String {
    let (code, msg) = refused.unwrap_or((0, "OK"));
    let (id, msg) = (req_id("reqId", id), quoted(msg));
    format!(r#"{{{id}"retCode":{code},"retMsg":{msg},"op":"auth","connId":"{conn_id}"}}"#)
}

/// The answer to a request about an order.
pub fn trade_answer(
    id: &str,
    op: &str,
    outcome: &Result<(String, String), Denied>,
    limit: &Limit,
    now_ms: u64,
    conn_id: &str,
) -> String {
    let (code, msg, data) = match outcome {
        Ok((order, link)) => (0, "OK", format!(r#""orderId":"{order}","orderLinkId":"{link}""#)),
        Err((code, msg)) => (*code, *msg, String::new()),
    };
    let Limit { most, left, reset_ms } = limit;
    let (id, op, msg) = (quoted(id), quoted(op), quoted(msg));
    format!(
        concat!(
            r#"{{"reqId":{},"retCode":{},"retMsg":{},"op":{},"data":{{{}}},"retExtInfo":{{}},"#,
            r#""header":{{"X-Bapi-Limit":"{}","X-Bapi-Limit-Status":"{}","#,
            r#""X-Bapi-Limit-Reset-Timestamp":"{}","Traceid":"{:032x}","Timenow":"{}"}},"#,
            r#""connId":"{}"}}"#
        ),
        id, code, msg, op, data, most, left, reset_ms, now_ms, now_ms, conn_id
    )
}

/// The same answer when the venue does not know what became of the request.
pub fn failed(answer: &str) -> String {
    let mut value: Value = serde_json::from_str(answer).unwrap_or_default();
    value["retCode"] = 10_016.into();
    value["retMsg"] = "Internal server error".into();
    value["data"] = Value::Object(serde_json::Map::new());
    value.to_string()
}

/// What is wrong with the topics of a subscription.
pub fn topics_problem(topics: &[&str]) -> Option<&'static str> {
    let known = |topic: &str| {
        let (kind, category) = topic.split_once('.').map_or((topic, ""), |(k, c)| (k, c));
        match kind {
            "order" | "execution" | "position" => {
                matches!(category, "" | "spot" | "linear" | "inverse" | "option")
            }
            "wallet" | "greeks" => category.is_empty(),
            "dcp" => matches!(category, "spot" | "future" | "option"),
            _ => false,
        }
    };
    if topics.is_empty() {
        return Some("Params Error");
    }
    if !topics.iter().all(|topic| known(topic)) {
        return Some("error:handler not found");
    }
    let both = |kind: &str| {
        let split = topics.iter().any(|t| t.strip_prefix(kind).is_some_and(|t| t.starts_with('.')));
        split && topics.contains(&kind)
    };
    ["order", "execution", "position"].into_iter().any(both).then_some("topic conflict")
}

/// A message of a topic with one row.
pub fn event(number: u64, topic: &str, row: &str, now_ms: u64) -> String {
    format!(
        r#"{{"id":"bot4-{number:016}","topic":"{topic}","creationTime":{now_ms},"data":[{row}]}}"#
    )
}

/// What stands before the fields that name a row's category in events; answers state it once for
/// all rows.
const BEFORE_CATEGORY: &str = r#""isLeverage""#;

/// A row as events have it.
pub fn with_category(row: &str) -> String {
    row.replacen(BEFORE_CATEGORY, &format!(r#""category":"spot",{BEFORE_CATEGORY}"#), 1)
}

/// An order as it is told.
pub struct Row<'a> {
    symbol: &'a str,
    id: u64,
    client: &'a str,
    side: Side,
    kind: Kind,
    tif: Tif,
    price: i64,
    stop: i64,
    qty: i64,
    filled: i64,
    quote: i128,
    status: &'static str,
    reject: &'static str,
    cancel: &'static str,
    created_ms: u64,
    updated_ms: u64,
}

impl<'a> Row<'a> {
    /// An order of the exchange.
    pub fn of(order: &'a Order) -> Self {
        let ended = if order.filled > 0 { "PartiallyFilledCanceled" } else { "Cancelled" };
        let (status, reject, cancel) = match order.status {
            Status::New if order.waiting => ("Untriggered", "", "UNKNOWN"),
            Status::Canceled if order.waiting => {
                ("Deactivated", "EC_PerCancelRequest", "CancelByUser")
            }
            Status::New => ("New", "", "UNKNOWN"),
            Status::PartiallyFilled => ("PartiallyFilled", "", "UNKNOWN"),
            Status::Filled => ("Filled", "", "UNKNOWN"),
            Status::Canceled => (ended, "EC_PerCancelRequest", "CancelByUser"),
            Status::Expired => (ended, "EC_NoImmediateQtyToFill", "CancelByPrepareLiq"),
            Status::ExpiredInMatch => (ended, "EC_SelfMatchPrevention", "CancelBySmp"),
        };
        Self {
            symbol: &order.symbol,
            id: order.id,
            client: &order.client_id,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            price: order.price,
            stop: order.stop,
            qty: order.qty,
            filled: order.filled,
            quote: order.quote,
            status,
            reject,
            cancel,
            created_ms: order.created_ms,
            updated_ms: order.updated_ms,
        }
    }

    /// A post-only order that would have taken.
    pub fn refused(ticket: &'a Ticket, symbol: &'a str, id: u64, now_ms: u64) -> Self {
        Self {
            symbol,
            id,
            client: ticket.client_id.as_deref().unwrap_or(""),
            side: ticket.side,
            kind: ticket.kind,
            tif: ticket.tif,
            price: ticket.price.unwrap_or(0),
            stop: 0,
            qty: ticket.qty,
            filled: 0,
            quote: 0,
            status: "Rejected",
            reject: "EC_PostOnlyWillTakeLiquidity",
            cancel: "UNKNOWN",
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// Its JSON.
    pub fn text(&self) -> String {
        let (price, qty) = (trimmed_text(self.price), trimmed_text(self.qty));
        let (filled, value) = (trimmed_text(self.filled), wide_text(self.quote));
        let average = match self.filled {
            0 => String::new(),
            filled => {
                let average = self.quote * i128::from(ONE) / i128::from(filled);
                wide_text(average)
            }
        };
        // What has not changed yet has no time of a change.
        let updated = match self.status {
            "New" => String::new(),
            _ => self.updated_ms.to_string(),
        };
        let mut out = String::with_capacity(900);
        let _ = write!(
            out,
            concat!(
                r#"{{"symbol":"{}","orderId":"{}","side":"{}","orderType":"{}","#,
                r#""cancelType":"{}","price":"{}","qty":"{}","orderIv":"","timeInForce":"{}","#,
                r#""orderStatus":"{}","orderLinkId":"{}","lastPriceOnCreated":"","#,
                r#""reduceOnly":false,"leavesQty":"","leavesValue":"","cumExecQty":"{}","#,
                r#""cumExecValue":"{}","avgPrice":"{}","blockTradeId":"","positionIdx":0,"#,
                r#""cumExecFee":"0","createdTime":"{}","updatedTime":"{}","rejectReason":"{}","#
            ),
            self.symbol,
            self.id,
            side(self.side),
            kind(self.kind),
            self.cancel,
            price,
            qty,
            life(self.kind, self.tif),
            self.status,
            self.client,
            filled,
            value,
            average,
            self.created_ms,
            updated,
            self.reject
        );
        let (kind, trigger) = match self.stop {
            0 => ("", String::new()),
            stop => ("tpslOrder", trimmed_text(stop)),
        };
        let _ = write!(out, r#""stopOrderType":"{kind}","triggerPrice":"{trigger}","#);
        out.push_str(concat!(
            r#""takeProfit":"","stopLoss":"","#,
            r#""tpTriggerBy":"","slTriggerBy":"","triggerDirection":0,"triggerBy":"","#,
            r#""closeOnTrigger":false,"isLeverage":"0","smpType":"None","smpGroup":0,"#,
            r#""smpOrderId":""}"#
        ));
        out
    }
}

/// The rows that a report becomes: one that is triggered is told so first, for a moment.
pub fn told(report: &Report) -> Vec<String> {
    let order = &report.order;
    let row = Row::of(order);
    let triggered = matches!(report.event, Event::New) && order.stop > 0 && !order.waiting;
    let first = triggered.then(|| Row { status: "Triggered", ..Row::of(order) }.text());
    first.into_iter().chain([row.text()]).collect()
}

/// One fill.
pub fn execution(trade: &OwnTrade, order: &Order, sequence: u64) -> String {
    format!(
        concat!(
            r#"{{"symbol":"{}","execFee":"{}","feeCurrency":"{}","execId":"{}","#,
            r#""execPrice":"{}","execQty":"{}","execType":"Trade","execValue":"{}","#,
            r#""isMaker":{},"feeRate":"","tradeIv":"","markIv":"","blockTradeId":"","#,
            r#""markPrice":"","indexPrice":"","underlyingPrice":"","leavesQty":"{}","#,
            r#""orderId":"{}","orderLinkId":"{}","orderPrice":"{}","orderQty":"{}","#,
            r#""orderType":"{}","stopOrderType":"UNKNOWN","side":"{}","execTime":"{}","#,
            r#""isLeverage":"0","closedSize":"","seq":{}}}"#
        ),
        trade.symbol,
        wide_text(trade.commission),
        trade.commission_asset,
        trade.id,
        trimmed_text(trade.price),
        trimmed_text(trade.qty),
        wide_text(trade.quote),
        trade.maker,
        trimmed_text(order.left()),
        trade.order,
        order.client_id,
        trimmed_text(order.price),
        trimmed_text(order.qty),
        kind(order.kind),
        if trade.buyer { "Buy" } else { "Sell" },
        trade.time_ms,
        sequence
    )
}

/// One asset of a wallet.
pub fn coin(asset: &str, balance: &Balance) -> String {
    let all = wide_text(balance.free + balance.locked);
    let locked = wide_text(balance.locked);
    format!(
        concat!(
            r#"{{"availableToBorrow":"","bonus":"0","accruedInterest":"0","#,
            r#""availableToWithdraw":"","totalOrderIM":"0","equity":"{}","totalPositionMM":"0","#,
            r#""usdValue":"","unrealisedPnl":"0","collateralSwitch":true,"spotHedgingQty":"0","#,
            r#""borrowAmount":"0","totalPositionIM":"0","walletBalance":"{}","#,
            r#""cumRealisedPnl":"0","locked":"{}","marginCollateral":true,"coin":"{}"}}"#
        ),
        all, all, locked, asset
    )
}

/// A wallet of these coins.
pub fn wallet(coins: &str) -> String {
    format!(
        concat!(
            r#"{{"accountType":"UNIFIED","accountIMRate":"0","accountMMRate":"0","#,
            r#""accountLTV":"0","totalEquity":"","totalWalletBalance":"","#,
            r#""totalMarginBalance":"","totalAvailableBalance":"","totalPerpUPL":"0","#,
            r#""totalInitialMargin":"0","totalMaintenanceMargin":"0","coin":[{}]}}"#
        ),
        coins
    )
}

/// A refusal of the exchange in this venue's codes.
pub fn denied(error: &ApiError) -> Denied {
    let has = |part: &str| error.msg.contains(part);
    match error.code {
        -2010 if has("insufficient balance") => (170_131, "Insufficient balance."),
        -2010 if has("Duplicate") => (170_141, "Duplicate clientOrderId"),
        -2010 if has("trigger immediately") => (170_210, "New order rejected."),
        -2010 if has("immediately match") => (170_218, "The post-only price would take."),
        -2038 => (10_001, "The order was not modified."),
        -1121 => (10_029, "The requested symbol is invalid."),
        _ if has("Market is closed") => (10_029, "The requested symbol is not tradable."),
        _ if has("PERCENT_PRICE") => (170_193, "Buy order price is out of the price limit."),
        _ if has("PRICE_FILTER") => (170_134, "Order price decimal is invalid."),
        _ if has("LOT_SIZE") => (170_137, "Order volume decimal is invalid."),
        _ if has("NOTIONAL") => (170_140, "Order value is below the lower limit."),
        _ => (170_210, "New order rejected."),
    }
}

fn side(side: Side) -> &'static str {
    if side == Side::Buy { "Buy" } else { "Sell" }
}

fn kind(kind: Kind) -> &'static str {
    if kind.is_market() { "Market" } else { "Limit" }
}

fn life(kind: Kind, tif: Tif) -> &'static str {
    match (kind, tif) {
        (Kind::LimitMaker, _) => "PostOnly",
        (_, Tif::Gtc) => "GTC",
        (_, Tif::Ioc) => "IOC",
        (_, Tif::Fok) => "FOK",
    }
}

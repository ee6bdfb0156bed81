//! What the account is told, in the venue's words: answers, events, rows.
//!
//! Keys stand in the order of the protocol sheet's samples. Numbers are texts without zeros at the
//! end; what is not there is an empty text. A fee is stated as what the account gets: negative.

use std::fmt::Write as _;

use serde_json::Value;

use crate::account::Balance;
use crate::decimal::ONE;
use crate::dialect::text::{quoted, trimmed_text, wide_text};
use crate::error::ApiError;
use crate::exchange::Ticket;
use crate::matching::{Side, Tif};
use crate::orders::{Kind, Order, OwnTrade, Status};

use super::account::Denied;

/// The answer to a logon.
pub fn login(conn_id: &str) -> String {
    format!(r#"{{"event":"login","code":"0","msg":"","connId":"{conn_id}"}}"#)
}

/// The answer to a request that was refused as a whole.
pub fn refused(id: &str, op: &str, (code, msg): Denied, now_ms: u64) -> String {
    let (id, op, msg) = (quoted(id), quoted(op), quoted(msg));
    format!(
        concat!(
            r#"{{"id":{},"op":{},"data":[],"code":"{}","msg":{},"#,
            r#""inTime":"{}000","outTime":"{}000"}}"#
        ),
        id, op, code, msg, now_ms, now_ms
    )
}

/// The answer to a request whose parts were taken or refused.
pub fn answer(
    id: &str,
    op: &str,
    args: &[Value],
    parts: &[Result<String, Denied>],
    now_ms: u64,
) -> String {
    let mut data = String::new();
    for (n, (arg, part)) in args.iter().zip(parts).enumerate() {
        let client = quoted(arg["clOrdId"].as_str().unwrap_or(""));
        let (order, code, msg) = match part {
            Ok(order) => (order.as_str(), 0, ""),
            Err((code, msg)) => ("", *code, *msg),
        };
        // Cancels have no tag.
        let tag = if op == "order" { r#""tag":"","# } else { "" };
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            data,
            r#"{comma}{{"clOrdId":{client},"ordId":"{order}",{tag}"ts":"{now_ms}","sCode":"{code}","sMsg":{}}}"#,
            quoted(msg)
        );
    }
    let failed = parts.iter().filter(|part| part.is_err()).count();
    let code = if failed == 0 { 0 } else { 1 + u32::from(failed < parts.len()) };
    format!(
        concat!(
            r#"{{"id":{},"op":{},"data":[{}],"code":"{}","msg":"","#,
            r#""inTime":"{}000","outTime":"{}000"}}"#
        ),
        quoted(id),
        quoted(op),
        data,
        code,
        now_ms,
        now_ms
    )
}

/// The same answer when the venue does not know what became of the request.
pub fn failed(answer: &str) -> String {
    let mut value: Value = serde_json::from_str(answer).unwrap_or_default();
    value["code"] = "50004".into();
    value["msg"] = "API endpoint request timeout".into();
    value["data"] = Value::Array(Vec::new());
    value.to_string()
}

/// A message of a channel with one row.
pub fn event(channel: &str, row: &str) -> String {
    let kind = if channel == "orders" { r#","instType":"SPOT""# } else { "" };
    format!(r#"{{"arg":{{"channel":"{channel}"{kind}}},"data":[{row}]}}"#)
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
    qty: i64,
    filled: i64,
    quote: i128,
    state: &'static str,
    source: &'static str,
    /// How an amend ended, and the id of its request.
    pub amend: (&'static str, &'a str),
    created_ms: u64,
    updated_ms: u64,
}

impl<'a> Row<'a> {
    /// An order of the exchange.
    pub fn of(order: &'a Order) -> Self {
        let (state, source) = match order.status {
            Status::New => ("live", ""),
            Status::PartiallyFilled => ("partially_filled", ""),
            Status::Filled => ("filled", ""),
            Status::Canceled => ("canceled", "1"),
            Status::Expired if order.tif == Tif::Fok => ("canceled", "13"),
            Status::Expired => ("canceled", "14"),
            Status::ExpiredInMatch => ("canceled", "32"),
        };
        Self {
            symbol: &order.symbol,
            id: order.id,
            client: &order.client_id,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            price: order.price,
            qty: order.qty,
            filled: order.filled,
            quote: order.quote,
            state,
            source,
            amend: ("", ""),
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
            qty: ticket.qty,
            filled: 0,
            quote: 0,
            state: "canceled",
            source: "31",
            amend: ("", ""),
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// Its JSON, with the fill that it tells.
    pub fn text(&self, fill: Option<&OwnTrade>) -> String {
        let average = match self.filled {
            0 => "0".to_owned(),
            filled => wide_text(self.quote * i128::from(ONE) / i128::from(filled)),
        };
        let of_fill = |text: fn(&OwnTrade) -> String| fill.map(text).unwrap_or_default();
        let fee = fill.map_or_else(|| "0".to_owned(), |t| charged(t.commission));
        let currency = of_fill(|t| t.commission_asset.clone());
        let maker = of_fill(|t| if t.maker { "M" } else { "T" }.to_owned());
        let mut out = String::with_capacity(1_200);
        let _ = write!(
            out,
            concat!(
                r#"{{"accFillSz":"{}","algoClOrdId":"","algoId":"","amendResult":"{}","#,
                r#""amendSource":"","avgPx":"{}","cancelSource":"{}","category":"normal","ccy":"","#,
                r#""clOrdId":"{}","code":"0","cTime":"{}","execType":"{}","fee":"{}","#,
                r#""feeCcy":"{}","fillFee":"{}","fillFeeCcy":"{}","fillNotionalUsd":"","#,
                r#""fillPx":"{}","fillSz":"{}","fillPnl":"0","fillTime":"{}","fillPxVol":"","#,
                r#""fillPxUsd":"","fillMarkVol":"","fillFwdPx":"","fillMarkPx":"","#,
                r#""instId":"{}","instType":"SPOT","lever":"0","msg":"","notionalUsd":"","#,
                r#""ordId":"{}","ordType":"{}","pnl":"0","posSide":"","px":"{}","pxUsd":"","#
            ),
            trimmed_text(self.filled),
            self.amend.0,
            average,
            self.source,
            self.client,
            self.created_ms,
            maker,
            fee,
            currency,
            fee,
            currency,
            of_fill(|t| trimmed_text(t.price)),
            fill.map_or_else(|| "0".to_owned(), |t| trimmed_text(t.qty)),
            of_fill(|t| t.time_ms.to_string()),
            self.symbol,
            self.id,
            kind(self.kind, self.tif),
            trimmed_text(self.price)
        );
        let side = if self.side == Side::Buy { "buy" } else { "sell" };
        let _ = write!(
            out,
            concat!(
                r#""pxVol":"","pxType":"","quickMgnType":"","rebate":"0","rebateCcy":"","#,
                r#""reduceOnly":"false","reqId":"{}","side":"{}","attachAlgoClOrdId":"","#,
                r#""slOrdPx":"","slTriggerPx":"","slTriggerPxType":"","source":"","state":"{}","#,
                r#""stpId":"","stpMode":"","sz":"{}","tag":"","tdMode":"cash","tgtCcy":"","#,
                r#""tpOrdPx":"","tpTriggerPx":"","tpTriggerPxType":"","attachAlgoOrds":[],"#,
                r#""tradeId":"{}","lastPx":"","uTime":"{}","isTpLimit":"false"}}"#
            ),
            self.amend.1,
            side,
            self.state,
            trimmed_text(self.qty),
            of_fill(|t| t.id.to_string()),
            self.updated_ms
        );
        out
    }
}

/// One fill as a page lists it; `bill` is its number among all.
pub fn execution(trade: &OwnTrade, order: &Order, bill: u64) -> String {
    format!(
        concat!(
            r#"{{"instType":"SPOT","instId":"{}","tradeId":"{}","ordId":"{}","clOrdId":"{}","#,
            r#""billId":"{}","tag":"","fillPx":"{}","fillSz":"{}","side":"{}","posSide":"net","#,
            r#""execType":"{}","feeCcy":"{}","fee":"{}","ts":"{}","fillTime":"{}"}}"#
        ),
        trade.symbol,
        trade.id,
        trade.order,
        order.client_id,
        bill,
        trimmed_text(trade.price),
        trimmed_text(trade.qty),
        if trade.buyer { "buy" } else { "sell" },
        if trade.maker { "M" } else { "T" },
        trade.commission_asset,
        charged(trade.commission),
        trade.time_ms,
        trade.time_ms
    )
}

/// A charge as what the account gets.
fn charged(commission: i128) -> String {
    if commission == 0 { "0".to_owned() } else { format!("-{}", wide_text(commission)) }
}

/// One asset of an account.
pub fn detail(asset: &str, balance: &Balance) -> String {
    let all = wide_text(balance.free + balance.locked);
    let (free, locked) = (wide_text(balance.free), wide_text(balance.locked));
    format!(
        concat!(
            r#"{{"availBal":"{}","availEq":"{}","borrowFroz":"","cashBal":"{}","ccy":"{}","#,
            r#""crossLiab":"","disEq":"","eq":"{}","eqUsd":"","fixedBal":"0","#,
            r#""frozenBal":"{}","interest":"","isoEq":"","isoLiab":"","isoUpl":"","liab":"","#,
            r#""maxLoan":"","mgnRatio":"","notionalLever":"","ordFrozen":"{}","#,
            r#""spotInUseAmt":"","stgyEq":"0","twap":"0","uTime":"","upl":"","uplLiab":""}}"#
        ),
        free, free, all, asset, all, locked, locked
    )
}

/// An account of these assets.
pub fn wallet(details: &str, now_ms: u64) -> String {
    format!(
        concat!(
            r#"{{"adjEq":"","borrowFroz":"","details":[{}],"imr":"","isoEq":"","mgnRatio":"","#,
            r#""mmr":"","notionalUsd":"","ordFroz":"","totalEq":"","uTime":"{}","upl":""}}"#
        ),
        details, now_ms
    )
}

/// A refusal of the exchange in this venue's codes.
pub fn denied(error: &ApiError) -> Denied {
    let has = |part: &str| error.msg.contains(part);
    match error.code {
        -2010 if has("insufficient balance") => (51_008, "Order failed. Insufficient balance."),
        -2010 if has("Duplicate") => (51_016, "Duplicated client order ID"),
        -1121 => (51_001, "Instrument ID doesn't exist."),
        _ if has("Market is closed") => (51_001, "Instrument is suspended."),
        _ if has("PRICE") => (51_006, "Order price is not within the price limit"),
        _ if has("LOT_SIZE") => (51_121, "Order quantity must be a multiple of the lot size."),
        _ if has("NOTIONAL") => (51_020, "Your order should meet or exceed the minimum amount."),
        _ => (51_000, "Parameter error"),
    }
}

fn kind(kind: Kind, tif: Tif) -> &'static str {
    match (kind, tif) {
        (Kind::Market, _) => "market",
        (Kind::LimitMaker, _) => "post_only",
        (_, Tif::Gtc) => "limit",
        (_, Tif::Ioc) => "ioc",
        (_, Tif::Fok) => "fok",
    }
}

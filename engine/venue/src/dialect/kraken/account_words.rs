//! What the account is told, in the venue's words: answers, entries of channels, names.
//!
//! Keys stand in the order of the protocol sheet's samples. Numbers are bare; entries behind the
//! first one of an order carry what changed, and its names.

use std::fmt::Write as _;

use crate::account::Balance;
use crate::decimal::ONE;
use crate::dialect::text::{digits_of, fixed_text, quoted, rfc3339, wide_text};
use crate::error::ApiError;
use crate::exchange::{Exchange, Ticket};
use crate::matching::{Side, Tif};
use crate::orders::{Kind, Order, OwnTrade, Status};

use super::QTY_DIGITS;
use super::account::Denied;
use super::words::{id_text, times};

/// Digits of the venue's names of orders and trades.
const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// `OAAAAA-BBBBB-CCCCCC` of a number.
pub fn name(kind: char, mut number: u64) -> String {
    let mut digits = [b'0'; 16];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 36) as usize];
        number /= 36;
    }
    let text = String::from_utf8_lossy(&digits);
    format!("{kind}{}-{}-{}", &text[..5], &text[5..10], &text[10..])
}

/// The number in a name; `None` where it is no name of the venue.
fn number(kind: char, name: &str) -> Option<u64> {
    let digits: String = name.strip_prefix(kind)?.split('-').collect();
    if digits.len() != 16 || name.len() != 19 {
        return None;
    }
    u64::from_str_radix(&digits, 36).ok()
}

/// The order that is called so.
pub fn order_number(name: &str) -> Option<u64> {
    number('O', name)
}

/// The name of a trade, whose numbers begin anew in each market.
pub fn trade_name(market: usize, trade: &OwnTrade) -> String {
    name('T', (market as u64 + 1) << 44 | trade.id)
}

/// Market and number of the trade that is called so.
pub fn trade_number(name: &str) -> Option<(usize, u64)> {
    let number = number('T', name)?;
    let market = usize::try_from(number >> 44).ok()?.checked_sub(1)?;
    Some((market, number & ((1 << 44) - 1)))
}

/// A good answer.
pub fn done(method: &str, id: Option<i64>, result: &str, now_ns: u64) -> String {
    let (id, times) = (id_text(id), times(now_ns));
    format!(r#"{{"method":"{method}"{id},"result":{result},"success":true,{times}}}"#)
}

/// The same answer when the venue does not know what became of the request.
pub fn failed(answer: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    if let Some(root) = value.as_object_mut() {
        root.remove("result");
        root.insert("success".to_owned(), false.into());
        root.insert("error".to_owned(), "EService:Unavailable".into());
    }
    value.to_string()
}

/// The result about one order.
pub fn named(id: u64, client: &str) -> String {
    let client = match client {
        "" => String::new(),
        client => format!(r#","cl_ord_id":{}"#, quoted(client)),
    };
    format!(r#"{{"order_id":"{}"{client}}}"#, name('O', id))
}

/// The result of an amend.
pub fn amended(amend: u64, id: u64, client: &str) -> String {
    let client = quoted(client);
    let (amend, order) = (name('T', amend), name('O', id));
    format!(r#"{{"amend_id":"{amend}","order_id":"{order}","cl_ord_id":{client}}}"#)
}

/// The result of feeding the dead-man switch.
pub fn fed(now_ms: u64, strikes_ns: Option<u64>) -> String {
    let now = rfc3339(now_ms * 1_000_000, 0);
    let strikes = strikes_ns.map_or_else(|| "0".to_owned(), |ns| rfc3339(ns, 0));
    format!(r#"{{"currentTime":"{now}","triggerTime":"{strikes}"}}"#)
}

/// A message of a channel.
pub fn event(channel: &str, kind: &str, entries: &str, sequence: u64) -> String {
    format!(r#"{{"channel":"{channel}","type":"{kind}","data":[{entries}],"sequence":{sequence}}}"#)
}

/// A balance of the snapshot.
pub fn balance(asset: &str, balance: &Balance) -> String {
    let all = wide_text(balance.free + balance.locked);
    format!(
        concat!(
            r#"{{"asset":"{}","asset_class":"currency","balance":{},"#,
            r#""wallets":[{{"type":"spot","id":"main","balance":{}}}]}}"#
        ),
        asset, all, all
    )
}

/// An entry of the ledger.
pub fn ledger(n: u64, asset: &str, change: i128, balance: i128, now_ms: u64) -> String {
    let sign = if change < 0 { "-" } else { "" };
    format!(
        concat!(
            r#"{{"ledger_id":"{}","ref_id":"{}","timestamp":"{}","type":"trade","asset":"{}","#,
            r#""asset_class":"currency","category":"trade","wallet_type":"spot","#,
            r#""wallet_id":"main","amount":{}{},"fee":0.0000,"balance":{}}}"#
        ),
        name('L', n),
        name('T', n),
        rfc3339(now_ms * 1_000_000, 6),
        asset,
        sign,
        wide_text(change.abs()),
        wide_text(balance)
    )
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
    waiting: bool,
    qty: i64,
    filled: i64,
    quote: i128,
    market: usize,
    digits: [u32; 2],
    status: &'static str,
    reason: &'static str,
    created_ms: u64,
    updated_ms: u64,
}

impl<'a> Row<'a> {
    /// An order of the exchange.
    pub fn of(order: &'a Order, exchange: &Exchange) -> Self {
        let (status, reason) = match order.status {
            Status::New if order.stop > 0 && !order.waiting => ("triggered", ""),
            Status::New => ("new", ""),
            Status::PartiallyFilled => ("partially_filled", ""),
            Status::Filled => ("filled", ""),
            Status::Canceled => ("canceled", "User requested"),
            Status::Expired if order.tif == Tif::Fok => ("canceled", "FOK order"),
            Status::Expired => ("canceled", "IOC order"),
            Status::ExpiredInMatch => ("canceled", "Self trade prevention"),
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
            waiting: order.waiting,
            qty: order.qty,
            filled: order.filled,
            quote: order.quote,
            market: order.market,
            digits: digits(exchange, order.market),
            status,
            reason,
            created_ms: order.created_ms,
            updated_ms: order.updated_ms,
        }
    }

    /// A post-only order that would have taken.
    pub fn refused(ticket: &'a Ticket, symbol: &'a str, id: u64, exchange: &Exchange) -> Self {
        Self {
            symbol,
            id,
            client: ticket.client_id.as_deref().unwrap_or(""),
            side: ticket.side,
            kind: ticket.kind,
            tif: ticket.tif,
            price: ticket.price.unwrap_or(0),
            stop: 0,
            waiting: false,
            qty: ticket.qty,
            filled: 0,
            quote: 0,
            market: ticket.market,
            digits: digits(exchange, ticket.market),
            status: "canceled",
            reason: "Post only order",
            created_ms: 0,
            updated_ms: 0,
        }
    }

    /// The market has reached what it waited for.
    pub fn is_triggered(&self) -> bool {
        self.stop > 0 && !self.waiting
    }

    /// The whole order, when it is accepted.
    pub fn pending(&self, now_ms: u64) -> String {
        self.whole("pending_new", "pending_new", now_ms)
    }

    /// The whole order, as it stands.
    pub fn snapshot(&self) -> String {
        let what = if self.filled > 0 { "status" } else { "new" };
        self.whole(what, self.status, self.updated_ms)
    }

    fn whole(&self, what: &str, status: &str, now_ms: u64) -> String {
        let mut out = format!(
            r#"{{"order_id":"{}","symbol":"{}","order_qty":{},"#,
            name('O', self.id),
            self.symbol,
            self.qty_text(self.qty)
        );
        if what != "pending_new" {
            let _ = write!(out, r#""cum_qty":{},"#, self.qty_text(self.filled));
        }
        let _ = write!(
            out,
            concat!(
                r#""cum_cost":{},"time_in_force":"{}","exec_type":"{}","side":"{}","#,
                r#""order_type":"{}","order_userref":0,{}"limit_price_type":"static",{}"#,
                r#""limit_price":{},"stop_price":{},"order_status":"{}","post_only":{},"#,
                r#""fee_usd_equiv":0.0000000,"fee_ccy_pref":"fciq","timestamp":"{}"}}"#
            ),
            wide_text(self.quote),
            self.tif.text(),
            what,
            self.side_text(),
            self.type_text(),
            self.client_text(),
            self.trigger_text(),
            fixed_text(self.price, self.digits[0]),
            fixed_text(self.stop, self.digits[0]),
            status,
            self.kind == Kind::LimitMaker,
            rfc3339(now_ms * 1_000_000, 6)
        );
        out
    }

    /// It is live.
    pub fn is_new(&self, now_ms: u64) -> String {
        let time = rfc3339(now_ms * 1_000_000, 6);
        let names = self.names();
        format!(r#"{{"timestamp":"{time}","order_status":"new","exec_type":"new",{names}}}"#)
    }

    /// The market has reached its stop price: it works from now on.
    pub fn triggered(&self, now_ms: u64) -> String {
        format!(
            concat!(r#"{{"timestamp":"{}","order_status":"triggered","exec_type":"status",{}{}}}"#),
            rfc3339(now_ms * 1_000_000, 6),
            self.trigger_text(),
            self.names()
        )
    }

    /// Its quantity has changed.
    pub fn amended(&self, now_ms: u64) -> String {
        format!(
            concat!(
                r#"{{"timestamp":"{}","exec_type":"amended","order_status":"{}","cum_qty":{},"#,
                r#""reason":"User requested","amended":true,"order_qty":{},"limit_price":{},"#,
                r#""limit_price_type":"static",{}}}"#
            ),
            rfc3339(now_ms * 1_000_000, 6),
            self.status,
            self.qty_text(self.filled),
            self.qty_text(self.qty),
            fixed_text(self.price, self.digits[0]),
            self.names()
        )
    }

    /// A fill. Its word for the state may be of before it: "partially filled" even when nothing is
    /// left.
    pub fn trade(&self, trade: &OwnTrade) -> String {
        format!(
            concat!(
                r#"{{"order_id":"{}",{}"order_userref":0,"exec_id":"{}","exec_type":"trade","#,
                r#""trade_id":{},"symbol":"{}","side":"{}","last_qty":{},"last_price":{},"#,
                r#""liquidity_ind":"{}","cost":{},"order_status":"partially_filled","#,
                r#""order_type":"{}","timestamp":"{}","fee_usd_equiv":{},"#,
                r#""fees":[{{"asset":"{}","qty":{}}}]}}"#
            ),
            name('O', self.id),
            self.client_text(),
            trade_name(self.market, trade),
            trade.id,
            self.symbol,
            self.side_text(),
            self.qty_text(trade.qty),
            fixed_text(trade.price, self.digits[0]),
            if trade.maker { "m" } else { "t" },
            wide_text(trade.quote),
            if self.kind.is_market() { "market" } else { "limit" },
            rfc3339(trade.time_ms * 1_000_000, 6),
            wide_text(trade.commission),
            trade.commission_asset,
            wide_text(trade.commission)
        )
    }

    /// All of it is filled.
    pub fn filled(&self, now_ms: u64) -> String {
        self.ended("filled", "filled", "", now_ms)
    }

    /// It has ended with what it had.
    pub fn canceled(&self, now_ms: u64) -> String {
        let reason = format!(r#""reason":"{}","#, self.reason);
        self.ended("canceled", "canceled", &reason, now_ms)
    }

    fn ended(&self, what: &str, status: &str, reason: &str, now_ms: u64) -> String {
        let average = match self.filled {
            0 => 0,
            filled => self.quote * i128::from(ONE) / i128::from(filled),
        };
        format!(
            concat!(
                r#"{{"timestamp":"{}","order_status":"{}","exec_type":"{}","cum_qty":{},"#,
                r#""cum_cost":{},"fee_usd_equiv":0,"avg_price":{},{}{}}}"#
            ),
            rfc3339(now_ms * 1_000_000, 6),
            status,
            what,
            self.qty_text(self.filled),
            wide_text(self.quote),
            wide_text(average),
            reason,
            self.names()
        )
    }

    /// The order as a member of a page.
    pub fn page(&self, now_ms: u64) -> String {
        let created_ms = if self.created_ms == 0 { now_ms } else { self.created_ms };
        // The first price of an order that waited is its stop price.
        let (price, price2) = match self.stop {
            0 => (self.price, "0".to_owned()),
            stop => (stop, fixed_text(self.price, self.digits[0])),
        };
        let status = match self.status {
            "new" | "partially_filled" | "triggered" => "open",
            "filled" => "closed",
            other => other,
        };
        let ended = match status {
            "open" => String::new(),
            _ => format!(
                r#","reason":"{}","closetm":{}"#,
                self.reason,
                seconds(self.updated_ms.max(created_ms))
            ),
        };
        format!(
            concat!(
                r#""{}":{{"refid":null,"userref":0,"cl_ord_id":"{}","status":"{}","opentm":{},"#,
                r#""starttm":0,"expiretm":0,"descr":{{"pair":"{}","type":"{}","ordertype":"{}","#,
                r#""price":"{}","price2":"{}","leverage":"none"}},"vol":"{}","vol_exec":"{}","#,
                r#""cost":"{}","fee":"0.00000","price":"0.00000","stopprice":"{}","misc":"{}","#,
                r#""oflags":"{}"{}}}"#
            ),
            name('O', self.id),
            self.client,
            status,
            seconds(created_ms),
            old_pair(self.symbol, false),
            self.side_text(),
            self.type_text(),
            fixed_text(price, self.digits[0]),
            price2,
            self.qty_text(self.qty),
            self.qty_text(self.filled),
            wide_text(self.quote),
            fixed_text(self.stop, self.digits[0]),
            self.misc(),
            if self.kind == Kind::LimitMaker { "fciq,post" } else { "fciq" },
            ended
        )
    }

    fn type_text(&self) -> &'static str {
        match self.kind {
            Kind::Limit | Kind::LimitMaker => "limit",
            Kind::Market => "market",
            Kind::StopLoss => "stop-loss",
            Kind::StopLossLimit => "stop-loss-limit",
            Kind::TakeProfit => "take-profit",
            Kind::TakeProfitLimit => "take-profit-limit",
        }
    }

    /// What triggers it, and whether that has happened.
    fn trigger_text(&self) -> String {
        if self.stop == 0 {
            return String::new();
        }
        let status = if self.waiting { "untriggered" } else { "triggered" };
        let price = fixed_text(self.stop, self.digits[0]);
        format!(
            concat!(
                r#""triggers":{{"price":{},"price_type":"static","reference":"last","#,
                r#""status":"{}"}},"trigger":"last","#
            ),
            price, status
        )
    }

    /// How it came to work, of an order that waited for its stop price.
    fn misc(&self) -> &'static str {
        match self.kind {
            Kind::StopLoss | Kind::StopLossLimit if !self.waiting => "stopped",
            Kind::TakeProfit | Kind::TakeProfitLimit if !self.waiting => "touched",
            _ => "",
        }
    }

    fn names(&self) -> String {
        format!(r#"{}"order_userref":0,"order_id":"{}""#, self.client_text(), name('O', self.id))
    }

    fn client_text(&self) -> String {
        match self.client {
            "" => String::new(),
            client => format!(r#""cl_ord_id":"{client}","#),
        }
    }

    fn qty_text(&self, qty: i64) -> String {
        fixed_text(qty, self.digits[1])
    }

    fn side_text(&self) -> &'static str {
        if self.side == Side::Buy { "buy" } else { "sell" }
    }
}

/// A fill as a member of a page.
pub fn execution(trade: &OwnTrade, order: &Order, exchange: &Exchange) -> String {
    let digits = digits(exchange, order.market);
    format!(
        concat!(
            r#""{}":{{"ordertxid":"{}","postxid":"TKH2SE-M7IF5-CFI7LT","pair":"{}","time":{},"#,
            r#""type":"{}","ordertype":"limit","price":"{}","cost":"{}","fee":"{}","vol":"{}","#,
            r#""margin":"0.00000","leverage":"0","misc":"","trade_id":{},"maker":{}}}"#
        ),
        trade_name(order.market, trade),
        name('O', trade.order),
        old_pair(&trade.symbol, true),
        seconds(trade.time_ms),
        if trade.buyer { "buy" } else { "sell" },
        fixed_text(trade.price, digits[0]),
        wide_text(trade.quote),
        wide_text(trade.commission),
        fixed_text(trade.qty, digits[1]),
        trade.id,
        trade.maker
    )
}

/// The older name of an asset.
pub fn old_asset(asset: &str) -> String {
    match asset {
        "BTC" => "XXBT".to_owned(),
        "USD" | "EUR" | "GBP" => format!("Z{asset}"),
        "ETH" | "XRP" | "LTC" => format!("X{asset}"),
        other => other.to_owned(),
    }
}

/// The older name of a pair, the short one or the long one.
fn old_pair(symbol: &str, long: bool) -> String {
    let (base, quote) = symbol.split_once('/').unwrap_or((symbol, ""));
    match long {
        true => format!("{}{}", old_asset(base), old_asset(quote)),
        false => format!("{}{quote}", if base == "BTC" { "XBT" } else { base }),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}0", ms / 1_000, ms % 1_000)
}

fn digits(exchange: &Exchange, market: usize) -> [u32; 2] {
    [digits_of(exchange.markets[market].spec.finest.0), QTY_DIGITS]
}

/// A refusal of the exchange in this venue's words.
pub fn denied(error: &ApiError) -> Denied {
    let has = |part: &str| error.msg.contains(part);
    let text = match error.code {
        -2010 if has("insufficient balance") => "EOrder:Insufficient funds",
        -2010 if has("immediately match") => "EOrder:Post only order",
        _ if has("Market is closed") => "EService:Market in cancel_only mode",
        _ if has("PRICE") => "EOrder:Tick size check failed",
        _ if has("LOT_SIZE") => "EOrder:Order minimum not met",
        _ if has("NOTIONAL") => "EOrder:Cost minimum not met",
        _ if has("MAX_NUM_ORDERS") => "EOrder:Orders limit exceeded",
        _ => "EGeneral:Invalid arguments",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for number in [0, 1, 12_569_099_453, u64::from(u32::MAX) << 20] {
            let text = name('O', number);
            assert_eq!((text.len(), order_number(&text)), (19, Some(number)), "{text}");
        }
        assert_eq!(order_number("b4ABCDEF"), None);
        assert_eq!(order_number("T00000-00000-000000"), None);
        assert_eq!(old_pair("BTC/USD", true), "XXBTZUSD");
        assert_eq!(old_pair("BTC/USD", false), "XBTUSD");
    }
}

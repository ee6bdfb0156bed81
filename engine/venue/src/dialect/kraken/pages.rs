//! Signed requests over REST: the token, orders, fills, balances, cancels, the dead-man switch.
//!
//! Sources: protocol sheet, chapter 4, and the venue's reference of its REST interface. Everything
//! of the account is a POST whose body begins with a nonce that only grows.

use ring::digest;

use crate::dialect::own::fills_by;
use crate::dialect::text::quoted;
use crate::dialect::{Ask, Desk, Page, parameter};
use crate::exchange::Exchange;
use crate::orders::{Order, OwnTrade};

use super::account::{Account, Denied};
use super::account_words::{self as words, Row};

/// Rows of a page.
const ROWS_MAX: usize = 50;
/// What all paths of the account begin with.
const PRIVATE: &str = "/0/private/";

impl Account {
    /// The answer to a request about the account; `None` when it is about something else.
    pub fn page(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        let what = ask.path.strip_prefix(PRIVATE)?;
        let outcome =
            self.permit(ask, desk.now_ms()).and_then(|()| self.answer(desk, what, ask.body));
        let body = match outcome {
            Ok(result) => format!(r#"{{"error":[],"result":{result}}}"#),
            Err(error) => format!(r#"{{"error":[{}]}}"#, quoted(&error)),
        };
        Some(Page::ok(body))
    }

    /// The key, its signature, a fresh nonce, and not too often.
    fn permit(&mut self, ask: &Ask<'_>, now_ms: u64) -> Result<(), Denied> {
        if ask.method != "POST" {
            return Err("EGeneral:Unknown method".to_owned());
        }
        let key = ask.header("api-key");
        if key.is_empty() || key != self.api_key {
            return Err("EAPI:Invalid key".to_owned());
        }
        let nonce = parameter(ask.body, "nonce").unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, format!("{nonce}{}", ask.body).as_bytes());
        let text = [ask.path.as_bytes(), digest.as_ref()].concat();
        if self.secret.base64(&text) != ask.header("api-sign") {
            return Err("EAPI:Invalid signature".to_owned());
        }
        match nonce.parse::<u64>() {
            Ok(nonce) if nonce > self.nonce => self.nonce = nonce,
            _ => return Err("EAPI:Invalid nonce".to_owned()),
        }
        if !self.rates.ask(ask.path, now_ms) {
            return Err("EAPI:Rate limit exceeded".to_owned());
        }
        Ok(())
    }

    fn answer(&mut self, desk: &mut Desk, what: &str, body: &str) -> Result<String, Denied> {
        let now_ms = desk.now_ms();
        match what {
            "GetWebSocketsToken" => {
                let token = self.give_token(desk);
                Ok(format!(r#"{{"token":"{token}","expires":900}}"#))
            }
            "OpenOrders" => {
                let list = self.orders(desk.exchange, body, true, now_ms);
                Ok(format!(r#"{{"open":{{{}}}}}"#, list.join(",")))
            }
            "ClosedOrders" => {
                let list = self.orders(desk.exchange, body, false, now_ms);
                Ok(format!(r#"{{"closed":{{{}}},"count":{}}}"#, list.join(","), list.len()))
            }
            "TradesHistory" => fills(desk.exchange, body),
            "BalanceEx" => {
                let of = |(asset, b): (&String, &crate::account::Balance)| {
                    let (all, held) = (b.free + b.locked, b.locked);
                    let [all, held] = [all, held].map(crate::dialect::text::wide_text);
                    let name = words::old_asset(asset);
                    format!(r#""{name}":{{"balance":"{all}","hold_trade":"{held}"}}"#)
                };
                let list: Vec<String> = desk.exchange.account.assets().iter().map(of).collect();
                Ok(format!("{{{}}}", list.join(",")))
            }
            "CancelOrder" => {
                let name = parameter(body, "txid").or_else(|| parameter(body, "cl_ord_id"));
                self.cancel(desk.exchange, &name.unwrap_or_default(), now_ms)?;
                Ok(r#"{"count":1}"#.to_owned())
            }
            "CancelAllOrdersAfter" => {
                self.feed(parameter(body, "timeout").and_then(|text| text.parse().ok()), now_ms)
            }
            _ => Err("EGeneral:Unknown method".to_owned()),
        }
    }

    /// Orders, open or closed, all or that of a client id; of the closed ones a page, the latest
    /// first, behind `ofs` of them.
    fn orders(&self, exchange: &Exchange, body: &str, open: bool, now_ms: u64) -> Vec<String> {
        let client = parameter(body, "cl_ord_id");
        let wanted = |order: &&Order| {
            order.status.is_open() == open
                && client.as_ref().is_none_or(|client| *client == order.client_id)
        };
        let most = if open { usize::MAX } else { ROWS_MAX };
        let behind = parameter(body, "ofs").filter(|_| !open).and_then(|n| n.parse().ok());
        let found = exchange.orders.all().rev().filter(wanted);
        let found = found.skip(behind.unwrap_or(0)).take(most);
        let mut rows: Vec<String> =
            found.map(|order| Row::of(order, exchange).page(now_ms)).collect();
        if let Some(client) = client.filter(|_| !open && rows.is_empty()) {
            rows.extend(self.refused.by_client(&client).map(|refused| refused.row.clone()));
        }
        rows
    }
}

/// A page of fills, the newest first, from behind a time (in seconds) to a trade, which is part of
/// it, or a time.
fn fills(exchange: &Exchange, body: &str) -> Result<String, Denied> {
    let start_ms = match parameter(body, "start").map(|text| text.parse::<u64>()) {
        None => 0,
        Some(Ok(seconds)) => seconds * 1_000,
        Some(Err(_)) => return Err("EGeneral:Invalid arguments:start".to_owned()),
    };
    let key = |t: &OwnTrade| (t.time_ms, exchange.market(&t.symbol).unwrap_or(0), t.id);
    let end = match parameter(body, "end") {
        None => None,
        Some(end) => {
            let (market, id) = words::trade_number(&end).ok_or("EGeneral:Invalid arguments:end")?;
            let trade = (market < exchange.markets.len())
                .then(|| exchange.orders.trades(market).find(|t| t.id == id))
                .flatten();
            Some(key(trade.ok_or("EGeneral:Invalid arguments:end")?))
        }
    };
    let wanted = |t: &&OwnTrade| t.time_ms > start_ms && end.is_none_or(|end| key(t) <= end);
    let found = fills_by(exchange, wanted, key);
    let rows = found.iter().take(ROWS_MAX).filter_map(|trade| {
        Some(words::execution(trade, exchange.orders.by_id(trade.order)?, exchange))
    });
    let rows: Vec<String> = rows.collect();
    Ok(format!(r#"{{"trades":{{{}}},"count":{}}}"#, rows.join(","), found.len()))
}

/// The venue's clock, in whole seconds.
pub fn time(now_ms: u64) -> String {
    format!(r#"{{"error":[],"result":{{"unixtime":{}}}}}"#, now_ms / 1_000)
}

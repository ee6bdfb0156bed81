//! Signed requests over REST: orders, fills, the wallet, cancels, the dead-man switch.
//!
//! Sources: protocol sheet, chapters 4 to 8, and the samples of answers beside it. Lists come the
//! newest first, page by page.

use serde_json::Value;

use crate::dialect::own::fills_by;
use crate::dialect::{Ask, Desk, Page, parameter};
use crate::exchange::Exchange;
use crate::orders::{Order, OwnTrade};

use super::Product;
use super::account::{
    Account, DEAD_MAN_S, Denied, RECENT_MAX, cancel, cancel_all, in_time, means_waiting,
    spot_market,
};
use super::account_words::{Row, coin, execution, wallet};

/// Rows of a page of orders and of fills at most.
const ORDERS_MAX: usize = 50;
const FILLS_MAX: usize = 100;
/// Time between the first and the last fill of a list at most, ms.
const FILLS_SPAN_MS: u64 = 7 * 86_400_000;

impl Account {
    /// The answer to a request about the account; `None` when it is about something else.
    pub fn page(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        let known = [
            "/v5/order/realtime",
            "/v5/order/history",
            "/v5/execution/list",
            "/v5/account/wallet-balance",
            "/v5/order/cancel",
            "/v5/order/cancel-all",
            "/v5/order/disconnected-cancel-all",
        ];
        if !known.contains(&ask.path) {
            return None;
        }
        let now_ms = desk.now_ms();
        let outcome = self.permit(ask, now_ms).and_then(|()| match ask.method {
            "GET" => self.question(desk.exchange, ask, now_ms),
            "POST" => self.order(desk, ask),
            _ => Err((10_001, "Request method is not supported.")),
        });
        let body = match outcome {
            Ok(result) => format!(
                r#"{{"retCode":0,"retMsg":"OK","result":{result},"retExtInfo":{{}},"time":{now_ms}}}"#
            ),
            Err((code, msg)) => super::words::failure(code.unsigned_abs() as u32, msg, now_ms),
        };
        Some(Page::ok(body))
    }

    fn permit(&self, ask: &Ask<'_>, now_ms: u64) -> Result<(), Denied> {
        let (key, stamp) = (ask.header("x-bapi-api-key"), ask.header("x-bapi-timestamp"));
        let window = Some(ask.header("x-bapi-recv-window")).filter(|w| !w.is_empty());
        let window = window.unwrap_or("5000");
        let signed = if ask.method == "GET" { ask.query } else { ask.body };
        let text = format!("{stamp}{key}{window}{signed}");
        self.check(key, &text, ask.header("x-bapi-sign"))?;
        in_time(stamp, window, now_ms)
    }

    fn question(&self, exchange: &Exchange, ask: &Ask<'_>, now_ms: u64) -> Result<String, Denied> {
        if ask.path == "/v5/account/wallet-balance" {
            if parameter(ask.query, "accountType").as_deref() != Some("UNIFIED") {
                return Err((10_001, "accountType only support UNIFIED."));
            }
            let coins = exchange.account.assets().iter().map(|(asset, b)| coin(asset, b));
            let coins = coins.collect::<Vec<_>>().join(",");
            return Ok(format!(r#"{{"list":[{}]}}"#, wallet(&coins)));
        }
        if parameter(ask.query, "category").as_deref() != Some("spot") {
            return Err((10_001, "Illegal category"));
        }
        match ask.path {
            "/v5/execution/list" => fills(exchange, ask.query, now_ms),
            "/v5/order/history" => self.orders(exchange, ask.query, true),
            "/v5/order/realtime" => self.orders(exchange, ask.query, false),
            _ => Err((10_001, "Request method is not supported.")),
        }
    }

    /// One order by its client id, or a page of the open ones.
    fn orders(&self, exchange: &Exchange, query: &str, history: bool) -> Result<String, Denied> {
        if let Some(link) = parameter(query, "orderLinkId") {
            let order = exchange.orders.by_client(&link).filter(|o| is_spot(&o.symbol));
            let order = order.filter(|o| match history {
                true => !o.status.is_open(),
                false => o.status.is_open() || is_recent(exchange, o),
            });
            let row = order
                .map(|o| Row::of(o).text())
                .or_else(|| self.refused.by_client(&link).map(|refused| refused.row.clone()));
            return Ok(list(row.as_slice(), ""));
        }
        let limit = limit(query, ORDERS_MAX)?;
        let cursor = parameter(query, "cursor").and_then(|c| c.parse::<u64>().ok());
        let wanted = |o: &&Order| {
            is_spot(&o.symbol)
                && o.status.is_open() != history
                && cursor.is_none_or(|cursor| o.id < cursor)
        };
        let found: Vec<&Order> = exchange.orders.all().rev().filter(wanted).take(limit).collect();
        let rows: Vec<String> = found.iter().map(|o| Row::of(o).text()).collect();
        let next = found.last().map(|o| o.id.to_string()).unwrap_or_default();
        Ok(list(&rows, &next))
    }

    fn order(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Result<String, Denied> {
        let body: Value = serde_json::from_str(ask.body).map_err(|_| (10_001, "not json"))?;
        let now_ms = desk.now_ms();
        match ask.path {
            "/v5/order/cancel" => {
                let (id, link) = cancel(desk.exchange, &body, now_ms)?;
                Ok(format!(r#"{{"orderId":"{id}","orderLinkId":"{link}"}}"#))
            }
            "/v5/order/cancel-all" => {
                let market = spot_market(desk.exchange, &body)?;
                let waiting = means_waiting(&body)?;
                let open: Vec<String> = desk
                    .exchange
                    .orders
                    .open(Some(market))
                    .filter(|o| o.waiting == waiting)
                    .map(|o| format!(r#"{{"orderId":"{}","orderLinkId":"{}"}}"#, o.id, o.client_id))
                    .collect();
                cancel_all(desk.exchange, Some(market), |o| o.waiting == waiting, now_ms);
                Ok(format!(r#"{{"list":[{}],"success":"1"}}"#, open.join(",")))
            }
            "/v5/order/disconnected-cancel-all" => {
                let window_s = body["timeWindow"].as_u64().unwrap_or(0);
                if !DEAD_MAN_S.contains(&window_s) || body["product"] != "SPOT" {
                    return Err((10_001, "params error: timeWindow or product invalid"));
                }
                self.window_ns = Some(window_s * 1_000_000_000);
                Ok("{}".to_owned())
            }
            _ => Err((10_001, "Request method is not supported.")),
        }
    }
}

fn is_spot(symbol: &str) -> bool {
    Product::of_market(symbol).0 == Product::Spot
}

/// Among the closed orders that the quick question finds.
fn is_recent(exchange: &Exchange, order: &Order) -> bool {
    let closed = exchange.orders.all().rev().filter(|o| !o.status.is_open());
    closed.take(RECENT_MAX).any(|o| o.id == order.id)
}

fn limit(query: &str, most: usize) -> Result<usize, Denied> {
    match parameter(query, "limit").map(|text| text.parse::<usize>()) {
        None => Ok(20),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err((10_001, "params error: limit invalid")),
    }
}

fn list(rows: &[String], cursor: &str) -> String {
    let rows = rows.join(",");
    format!(r#"{{"nextPageCursor":"{cursor}","category":"spot","list":[{rows}]}}"#)
}

/// First and last time of a list of fills between these, ms; an order's own are told whenever they
/// were.
fn fills_time(start: Option<u64>, end: Option<u64>, now_ms: u64) -> Result<[u64; 2], Denied> {
    match (start, end) {
        (Some(start), Some(end)) if end.saturating_sub(start) > FILLS_SPAN_MS => {
            Err((10_001, "The time range between startTime and endTime cannot exceed 7 days"))
        }
        (Some(start), Some(end)) => Ok([start, end]),
        (Some(start), None) => Ok([start, start + FILLS_SPAN_MS]),
        (None, end) => {
            let end = end.unwrap_or(now_ms);
            Ok([end.saturating_sub(FILLS_SPAN_MS), end])
        }
    }
}

/// A page of fills. The cursor is the time and the number of the last one, as it stands in an
/// address.
fn fills(exchange: &Exchange, query: &str, now_ms: u64) -> Result<String, Denied> {
    let limit = limit(query, FILLS_MAX)?;
    let symbol = parameter(query, "symbol");
    let link = parameter(query, "orderLinkId");
    let number = |name: &str| parameter(query, name).and_then(|text| text.parse::<u64>().ok());
    let [first_ms, last_ms] = match link {
        Some(_) => [0, u64::MAX],
        None => fills_time(number("startTime"), number("endTime"), now_ms)?,
    };
    let cursor = parameter(query, "cursor").map(|text| text.replace("%3A", ":"));
    let cursor = cursor.as_deref().and_then(|text| text.split_once(':'));
    let cursor = cursor.and_then(|(ms, id)| Some((ms.parse::<u64>().ok()?, id.parse().ok()?)));
    let order = link.as_deref().map(|link| exchange.orders.by_client(link).map(|o| o.id));
    let wanted = |t: &&OwnTrade| {
        is_spot(&t.symbol)
            && symbol.as_ref().is_none_or(|symbol| *symbol == t.symbol)
            && order.is_none_or(|order| order == Some(t.order))
            && (first_ms..=last_ms).contains(&t.time_ms)
            && cursor.is_none_or(|cursor| (t.time_ms, t.id) < cursor)
    };
    let mut found = fills_by(exchange, wanted, |t| (t.time_ms, t.id));
    let full = found.len() > limit;
    found.truncate(limit);
    let rows: Vec<String> = found
        .iter()
        .filter_map(|t| Some(execution(t, exchange.orders.by_id(t.order)?, t.id)))
        .collect();
    let next = found.last().filter(|_| full).map(|t| format!("{}%3A{}", t.time_ms, t.id));
    Ok(list(&rows, &next.unwrap_or_default()))
}

//! The account's plain requests: orders, cancels, and pages of orders, fills and balances.
//!
//! Sources: protocol sheet, chapters A.5 and A.7. Lists come the newest first, page by page; a
//! cursor is the last row's place in its list.

use serde_json::Value;

use crate::dialect::own::fills_by;
use crate::dialect::text::unix_ms;
use crate::dialect::{Ask, Desk, Page, parameter};
use crate::exchange::Exchange;
use crate::orders::{Order, OwnTrade};

use super::account::{Account, cancel, edit, place};
use super::account_words::{self as words, order_number};

/// Below it lies all of the account's.
pub const ROOT: &str = "/api/v3/brokerage/";
/// The public part of it.
const PUBLIC: &str = "/api/v3/brokerage/market/";
/// Rows of a page where the request does not say.
const ROWS: usize = 100;
/// Accounts of a page at most.
const ACCOUNTS_MAX: usize = 250;

impl Account {
    /// The answer to a request about the account; `None` when it is about something else.
    pub fn page(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        self.forget_usage();
        let path = ask.path.strip_prefix(ROOT)?;
        if ask.path.starts_with(PUBLIC) {
            return None;
        }
        if (ask.method, path) == ("GET", "time") {
            return Some(Page::ok(time(desk.now_ms())));
        }
        if !self.is_signed(ask, desk.now_ms() / 1_000) {
            return Some(Page { status: 401, body: "Unauthorized\n".to_owned() });
        }
        if !self.count(desk.exchange, desk.now_ms()) {
            return Some(error(429, "RESOURCE_EXHAUSTED"));
        }
        Some(match ask.method {
            "GET" => question(desk.exchange, path, ask.query),
            _ => order(desk, path, ask.body),
        })
    }
}

fn error(status: u16, word: &str) -> Page {
    let body = format!(r#"{{"error":"{word}","error_details":"{word}","message":"{word}"}}"#);
    Page { status, body }
}

fn time(now_ms: u64) -> String {
    let iso = crate::dialect::text::rfc3339(now_ms * 1_000_000, 3);
    let seconds = now_ms / 1_000;
    format!(r#"{{"iso":"{iso}","epochSeconds":"{seconds}","epochMillis":"{now_ms}"}}"#)
}

fn order(desk: &mut Desk, path: &str, body: &str) -> Page {
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        return error(400, "INVALID_ARGUMENT");
    };
    match path {
        "orders" => Page::ok(place(desk, &body)),
        "orders/edit" => Page::ok(edit(desk, &body)),
        "orders/batch_cancel" => {
            cancel(desk, &body).map_or_else(|| error(400, "INVALID_ARGUMENT"), Page::ok)
        }
        _ => error(404, "NOT_FOUND"),
    }
}

fn question(exchange: &Exchange, path: &str, query: &str) -> Page {
    match path {
        "accounts" => Page::ok(accounts(exchange, query)),
        "orders/historical/batch" => Page::ok(orders(exchange, query)),
        "orders/historical/fills" => Page::ok(fills(exchange, query)),
        _ => {
            let one = path.strip_prefix("orders/historical/").and_then(order_number);
            match one.and_then(|number| exchange.orders.by_id(number)) {
                Some(order) => {
                    Page::ok(format!(r#"{{"order":{}}}"#, words::listed(exchange, order)))
                }
                None => error(404, "NOT_FOUND"),
            }
        }
    }
}

/// Every value of a parameter that may be there several times.
fn all(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
}

fn number(query: &str, name: &str) -> Option<usize> {
    parameter(query, name).and_then(|text| text.parse().ok())
}

/// The rows from the cursor on, whether there are more, and where.
fn turn<T>(rows: Vec<T>, query: &str, most: usize) -> (Vec<T>, bool, String) {
    let from = number(query, "cursor").unwrap_or(0);
    let limit = number(query, "limit").unwrap_or(most).clamp(1, most);
    let more = rows.len() > from + limit;
    let cursor = if more { (from + limit).to_string() } else { String::new() };
    (rows.into_iter().skip(from).take(limit).collect(), more, cursor)
}

fn accounts(exchange: &Exchange, query: &str) -> String {
    let all: Vec<_> = exchange.account.assets().iter().collect();
    let (rows, more, cursor) = turn(all, query, ACCOUNTS_MAX);
    let size = rows.len();
    let rows: Vec<String> = rows.into_iter().map(|(a, b)| words::wallet(a, b)).collect();
    let rows = rows.join(",");
    format!(r#"{{"accounts":[{rows}],"has_next":{more},"cursor":"{cursor}","size":{size}}}"#)
}

fn orders(exchange: &Exchange, query: &str) -> String {
    let (ids, products) = (all(query, "order_ids"), all(query, "product_ids"));
    let statuses = all(query, "order_status");
    let numbers: Vec<u64> = ids.iter().filter_map(|id| order_number(id)).collect();
    let wanted = |order: &&Order| {
        (ids.is_empty() || numbers.contains(&order.id))
            && (products.is_empty() || products.contains(&order.symbol))
            && (statuses.is_empty() || order.status.is_open())
    };
    let found: Vec<&Order> = match ids.is_empty() {
        true => exchange.orders.all().rev().filter(wanted).collect(),
        false => numbers.iter().filter_map(|n| exchange.orders.by_id(*n)).filter(wanted).collect(),
    };
    let (rows, more, cursor) = turn(found, query, ROWS);
    let rows: Vec<String> = rows.into_iter().map(|o| words::listed(exchange, o)).collect();
    let rows = rows.join(",");
    format!(r#"{{"orders":[{rows}],"sequence":"0","has_next":{more},"cursor":"{cursor}"}}"#)
}

fn fills(exchange: &Exchange, query: &str) -> String {
    let (ids, products) = (all(query, "order_ids"), all(query, "product_ids"));
    let numbers: Vec<u64> = ids.iter().filter_map(|id| order_number(id)).collect();
    let since = parameter(query, "start_sequence_timestamp");
    let since = since.and_then(|text| unix_ms(&text.replace("%3A", ":"))).unwrap_or(0);
    let wanted = |trade: &&OwnTrade| {
        (ids.is_empty() || numbers.contains(&trade.order))
            && (products.is_empty() || products.contains(&trade.symbol))
            && trade.time_ms >= since
    };
    let found = fills_by(exchange, wanted, |trade| (trade.time_ms, trade.id));
    let (rows, _, cursor) = turn(found, query, ROWS);
    let rows: Vec<String> = rows.into_iter().map(words::fill).collect();
    format!(r#"{{"fills":[{}],"cursor":"{cursor}"}}"#, rows.join(","))
}

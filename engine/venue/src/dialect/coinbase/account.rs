//! The account: who may ask, new orders and cancels, and what the channel `user` begins with.
//!
//! Sources: protocol sheet, chapters A.4, A.5 and A.7. A client id that was there before returns
//! the first order. Refusals come with status 200. Cancels and edits name orders by the venue's ids
//! alone.

use serde_json::Value;

use crate::decimal;
use crate::dialect::{Ask, Desk, Keys};
use crate::exchange::{Exchange, Ticket};
use crate::limits::Window;
use crate::matching::{Side, Stp, Tif};
use crate::orders::Kind;

use super::account_words::{self as words, order_number, uuid};
use super::token;

/// What the channel `user` lists in acknowledgements: an account's id.
pub const CHANNEL: &str = "3e625b74-1c4e-5967-ad38-4d26f30d4439";
/// Orders of one batch of a snapshot.
const BATCH: usize = 50;
/// Orders in one cancel.
const CANCELS_MAX: usize = 100;

/// A refusal of a new order.
pub type Denied = &'static str;

/// The account as this dialect sees it.
pub struct Account {
    keys: Keys,
    used: token::Used,
    /// Requests in a second.
    requests: Window,
    /// What is granted, what of it is used, and when the second ends.
    usage: Option<(u32, u32, u64)>,
}

impl Account {
    pub fn new(keys: Keys) -> Self {
        let used = token::Used::default();
        Self { keys, used, requests: Window::new(1_000), usage: None }
    }

    /// Is this a good token for `uri`, and a new one?
    pub fn permits(&mut self, token: &str, uri: &str, now_s: u64) -> bool {
        token::refusal(token, &self.keys, uri, now_s).is_none() && self.used.note(token, now_s)
    }

    /// Is this request signed for its method, host and path?
    pub fn is_signed(&mut self, ask: &Ask<'_>, now_s: u64) -> bool {
        let token = ask.header("authorization").strip_prefix("Bearer ").unwrap_or("");
        let uri = format!("{} {}{}", ask.method, ask.header("host"), ask.path);
        self.permits(token, &uri, now_s)
    }

    /// Counts a request; false when there were too many. The real venue grants 30 a second; the
    /// generated market more.
    pub fn count(&mut self, exchange: &Exchange, now_ms: u64) -> bool {
        let granted = (exchange.limits.rules().orders_per_10s / 10).max(30);
        let used = self.requests.add(1, now_ms);
        self.usage = Some((granted, used, (now_ms / 1_000 + 1) * 1_000 - now_ms));
        used <= granted
    }

    /// What the last request left of what is granted.
    pub fn headers(&self) -> String {
        let Some((granted, used, _)) = self.usage else { return String::new() };
        let left = granted.saturating_sub(used);
        let mut lines = format!(
            "x-ratelimit-limit: {granted}\r\nx-ratelimit-remaining: {left}\r\n\
             x-ratelimit-reset: 1\r\n"
        );
        if used > granted {
            lines.push_str("Retry-After: 1\r\n");
        }
        lines
    }

    /// The request is not the account's: nothing is counted, nothing told of it.
    pub fn forget_usage(&mut self) {
        self.usage = None;
    }
}

/// The account's open orders in batches; one that is not full is the last.
pub fn snapshots(exchange: &Exchange) -> Vec<String> {
    let open: Vec<String> =
        exchange.orders.open(None).map(|order| words::channel_row(exchange, order)).collect();
    let mut batches: Vec<String> = open
        .chunks(BATCH)
        .map(|batch| format!(r#"{{"type":"snapshot","orders":[{}]}}"#, batch.join(",")))
        .collect();
    if open.len().is_multiple_of(BATCH) {
        batches.push(r#"{"type":"snapshot","orders":[]}"#.to_owned());
    }
    batches
}

/// A new order; the body of its answer.
pub fn place(desk: &mut Desk, body: &Value) -> String {
    let client = body["client_order_id"].as_str().unwrap_or("");
    if let Some(first) = desk.exchange.orders.by_client(client) {
        return words::placed(&uuid(first.id), &first.symbol, first.side, client);
    }
    let outcome = ticket(desk.exchange, body).and_then(|(ticket, stop)| {
        let now_ms = desk.now_ms();
        let (side, rises) = (ticket.side, rises(ticket.side, ticket.kind));
        let placed = match stop {
            Some(stop) => desk.exchange.place_waiting(ticket, stop, now_ms),
            None => desk.exchange.place(ticket, now_ms),
        };
        Ok((placed.map_err(|error| words::denied(&error, rises))?, side))
    });
    match outcome {
        Ok((id, side)) => {
            let symbol = body["product_id"].as_str().unwrap_or("");
            words::placed(&uuid(id), symbol, side, client)
        }
        Err(denied) => words::refused(denied),
    }
}

/// An edit of price and size; the body of its answer. Less size keeps the order's place.
pub fn edit(desk: &mut Desk, body: &Value) -> String {
    let number = |key: &str| body[key].as_str().and_then(|text| decimal::parse(text).ok());
    let id = body["order_id"].as_str().and_then(order_number);
    let order = id.and_then(|id| desk.exchange.orders.by_id(id)).filter(|o| o.status.is_open());
    let outcome = match (order, number("price"), number("size")) {
        (None, ..) => Err("ORDER_NOT_FOUND"),
        (_, None, _) => Err("INVALID_EDITED_PRICE"),
        (_, _, None) => Err("INVALID_EDITED_SIZE"),
        (Some(order), ..) if order.tif != Tif::Gtc => Err("ONLY_LIMIT_ORDER_EDITS_SUPPORTED"),
        (Some(order), _, Some(size)) if size <= order.filled => {
            Err("CANNOT_EDIT_TO_BELOW_FILLED_SIZE")
        }
        (Some(order), Some(price), Some(size)) => {
            let (id, now_ms) = (order.id, desk.now_ms());
            let edited = desk.exchange.amend_terms(id, price, size, now_ms);
            edited.map_err(|error| words::not_edited(&error))
        }
    };
    words::edited(outcome.err())
}

/// Cancels of several orders; `None` when the request is none.
pub fn cancel(desk: &mut Desk, body: &Value) -> Option<String> {
    let ids = body["order_ids"].as_array().filter(|ids| ids.len() <= CANCELS_MAX)?;
    let now_ms = desk.now_ms();
    let mut results = Vec::new();
    for id in ids.iter().filter_map(Value::as_str) {
        let number = order_number(id);
        let done = number.and_then(|n| desk.exchange.cancel(n, None, now_ms)).is_some();
        results.push(words::canceled(id, done));
    }
    Some(format!(r#"{{"results":[{}]}}"#, results.join(",")))
}

/// An order of this kind that waits is triggered by a rise.
fn rises(side: Side, kind: Kind) -> bool {
    (side == Side::Buy) == matches!(kind, Kind::StopLoss | Kind::StopLossLimit)
}

/// The kind of an order that waits, by the way that the market must go. Its limit is not on the
/// better side of its stop price.
fn waiting_kind(side: Side, terms: &Value) -> Result<Kind, Denied> {
    let rises = match terms["stop_direction"].as_str() {
        Some("STOP_DIRECTION_STOP_UP") => true,
        Some("STOP_DIRECTION_STOP_DOWN") => false,
        _ => return Err("INVALID_REQUEST"),
    };
    let number = |key: &str| decimal::parse(terms[key].as_str().unwrap_or("")).ok();
    match (side, number("stop_price").cmp(&number("limit_price"))) {
        (Side::Buy, std::cmp::Ordering::Greater) => Err("PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE"),
        (Side::Sell, std::cmp::Ordering::Less) => Err("PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE"),
        _ if (side == Side::Buy) == rises => Ok(Kind::StopLossLimit),
        _ => Ok(Kind::TakeProfitLimit),
    }
}

/// The order, and what it waits for.
fn ticket(exchange: &Exchange, body: &Value) -> Result<(Ticket, Option<i64>), Denied> {
    let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let client = word(&body["client_order_id"]);
    if client.is_empty() {
        return Err("INVALID_REQUEST");
    }
    let market = exchange.market(&word(&body["product_id"])).ok_or("INVALID_PRODUCT_ID")?;
    let side = match word(&body["side"]).as_str() {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err("INVALID_SIDE"),
    };
    let configuration = body["order_configuration"].as_object().filter(|c| c.len() == 1);
    let (name, terms) = configuration.and_then(|c| c.iter().next()).ok_or("INVALID_REQUEST")?;
    let post_only = terms["post_only"].as_bool().unwrap_or(false);
    let (kind, tif) = match name.as_str() {
        "market_market_ioc" => (Kind::Market, Tif::Ioc),
        "limit_limit_gtc" if post_only => (Kind::LimitMaker, Tif::Gtc),
        "limit_limit_gtc" => (Kind::Limit, Tif::Gtc),
        "sor_limit_ioc" => (Kind::Limit, Tif::Ioc),
        "limit_limit_fok" => (Kind::Limit, Tif::Fok),
        "stop_limit_stop_limit_gtc" => (waiting_kind(side, terms)?, Tif::Gtc),
        _ => return Err("UNSUPPORTED_ORDER_CONFIGURATION"),
    };
    let number = |key: &str, denied: Denied| decimal::parse(&word(&terms[key])).map_err(|_| denied);
    let qty = number("base_size", "INVALID_SIZE_PRECISION")?;
    let price = match kind {
        Kind::Market => None,
        _ => Some(number("limit_price", "INVALID_PRICE_PRECISION")?),
    };
    let stop = match kind.waits() {
        true => Some(number("stop_price", "PREVIEW_INVALID_STOP_PRICE_PRECISION")?),
        false => None,
    };
    let (client_id, stp) = (Some(client), Stp::ExpireMaker);
    Ok((Ticket { market, side, kind, tif, price, qty, client_id, stp }, stop))
}

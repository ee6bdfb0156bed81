//! Requests as text: orders and questions over REST, the account's channel on a connection of its
//! own. Source: the Coinbase sheet, chapters A.2, A.5 and A.7.
//!
//! Every request carries a token for its method and path. Methods and paths are few, for what
//! varies stands in query and body: tokens are kept ready, filled up by [`Encoder::renew`], so that
//! an order is fixed pieces, its digits, and a copy of a token. Allocation: none once the buffers
//! have grown, but for new tokens.

use bot4_types::{Instrument, InstrumentTable, OrderKind, Side, Symbol, Tif};

use super::token::{TokenKeys, TokenStock};
use crate::json::write_text;
use crate::place::Place;
use crate::rest;
use crate::url::percent_encoded;
use crate::write::{decimal, digits, rfc3339};

/// Rows of one page of orders or fills.
pub const PAGE: usize = 100;
/// Accounts of one page: the most the venue gives.
pub const ACCOUNTS_PAGE: usize = 250;
/// Orders that one request cancels at most.
pub const BATCH_MAX: usize = 100;
/// How long a request may be under way before the venue is asked what became of it, ms. The venue
/// has no deadline: silence proves nothing.
pub const WINDOW_MS: u64 = 1_000;

const PLACE_PATH: &str = "/api/v3/brokerage/orders";
const EDIT_PATH: &str = "/api/v3/brokerage/orders/edit";
const CANCEL_PATH: &str = "/api/v3/brokerage/orders/batch_cancel";
const ORDERS_PATH: &str = "/api/v3/brokerage/orders/historical/batch";
const FILLS_PATH: &str = "/api/v3/brokerage/orders/historical/fills";
const ACCOUNTS_PATH: &str = "/api/v3/brokerage/accounts";
const TIME_PATH: &str = "/api/v3/brokerage/time";

/// Which orders are asked for.
#[derive(Clone, Copy, Debug)]
pub enum OrdersOf<'a> {
    /// The order with this id of the venue.
    Id(&'a str),
    /// The latest of an instrument.
    Latest(&'a Symbol),
    /// All that are open.
    Open,
}

/// Which fills are asked for.
#[derive(Clone, Copy, Debug)]
pub enum FillsOf<'a> {
    /// Those of the order with this id of the venue.
    Order(&'a str),
    /// Those of an instrument from a time on, Unix ms.
    Since(&'a Symbol, i64),
}

/// Requests whose tokens are kept ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum For {
    Place = 0,
    Cancel,
    Edit,
    Orders,
    Fills,
    Accounts,
}

/// Method and path of each, and how many tokens are kept: what a burst of orders takes.
const TOKENS: [(&str, &str, usize); 6] = [
    ("POST", PLACE_PATH, 8),
    ("POST", CANCEL_PATH, 8),
    ("POST", EDIT_PATH, 4),
    ("GET", ORDERS_PATH, 4),
    ("GET", FILLS_PATH, 4),
    ("GET", ACCOUNTS_PATH, 1),
];

/// Writes requests.
#[derive(Debug)]
pub struct Encoder {
    keys: TokenKeys,
    tokens: [TokenStock; TOKENS.len()],
    body: Vec<u8>,
    query: String,
}

impl Encoder {
    /// An encoder with these keys for the REST host `host`, as its `Host` header names it.
    #[must_use]
    pub fn new(keys: TokenKeys, host: &str) -> Self {
        let tokens =
            TOKENS.map(|(method, path, wanted)| TokenStock::new(method, host, path, wanted));
        Self { keys, tokens, body: Vec::with_capacity(512), query: String::with_capacity(256) }
    }

    /// Makes one token that is missing or not fresh any more; true when there was one. For moments
    /// in which nothing waits to be sent.
    pub fn renew(&mut self, now_ms: i64) -> bool {
        self.tokens.iter_mut().any(|stock| stock.refill(&self.keys, now_ms))
    }

    /// Tokens that had to be made while a request waited.
    #[must_use]
    pub fn late_tokens(&self) -> u64 {
        self.tokens.iter().map(|stock| stock.late).sum()
    }

    /// On the account's connection: the heartbeats, which keep it open.
    pub fn beats(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"subscribe\",\"channel\":\"heartbeats\",\"jwt\":\"");
        self.keys.write("", now_ms, out);
        out.extend_from_slice(b"\"}");
    }

    /// On the account's connection: its events about the venue's own instruments of `table`.
    pub fn user(&mut self, table: &InstrumentTable, now_ms: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"subscribe\",\"channel\":\"user\",\"product_ids\":[");
        for (n, instrument) in table.own().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            write_text(instrument.symbol.as_str(), out);
        }
        out.extend_from_slice(b"],\"jwt\":\"");
        self.keys.write("", now_ms, out);
        out.extend_from_slice(b"\"}");
    }

    /// A new order.
    pub fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        let (i, body) = (order.instrument, &mut self.body);
        body.clear();
        body.extend_from_slice(b"{\"client_order_id\":\"");
        body.extend_from_slice(&order.client.0);
        body.extend_from_slice(b"\",\"product_id\":\"");
        body.extend_from_slice(i.symbol.as_bytes());
        body.extend_from_slice(match order.side {
            Side::Buy => b"\",\"side\":\"BUY\",\"order_configuration\":{\"",
            Side::Sell => b"\",\"side\":\"SELL\",\"order_configuration\":{\"",
        });
        body.extend_from_slice(kind(order.kind, order.tif));
        body.extend_from_slice(b"\":{\"base_size\":\"");
        decimal(order.qty, i.qty_decimals, body);
        body.push(b'"');
        if order.kind != OrderKind::Market {
            body.extend_from_slice(b",\"limit_price\":\"");
            decimal(order.price, i.price_decimals, body);
            body.push(b'"');
        }
        if order.kind == OrderKind::LimitMaker {
            body.extend_from_slice(b",\"post_only\":true");
        }
        if order.kind.is_triggered() {
            body.extend_from_slice(b",\"stop_price\":\"");
            decimal(order.trigger, i.price_decimals, body);
            body.extend_from_slice(match order.kind.fires_above(order.side) {
                true => b"\",\"stop_direction\":\"STOP_DIRECTION_STOP_UP\"".as_slice(),
                false => b"\",\"stop_direction\":\"STOP_DIRECTION_STOP_DOWN\"",
            });
        }
        body.extend_from_slice(b"}}}");
        self.post(For::Place, order.now_ms, out);
    }

    /// Gives the order with this id of the venue a price and a quantity, what is filled included,
    /// in units of `instrument`.
    pub fn edit(
        &mut self,
        id: &str,
        instrument: &Instrument,
        (price, qty): (i64, i64),
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let body = &mut self.body;
        body.clear();
        body.extend_from_slice(b"{\"order_id\":");
        write_text(id, body);
        body.extend_from_slice(b",\"price\":\"");
        decimal(price, instrument.price_decimals, body);
        body.extend_from_slice(b"\",\"size\":\"");
        decimal(qty, instrument.qty_decimals, body);
        body.extend_from_slice(b"\"}");
        self.post(For::Edit, now_ms, out);
    }

    /// Cancels the orders with these ids of the venue, at most [`BATCH_MAX`].
    pub fn cancel<'a>(
        &mut self,
        ids: impl Iterator<Item = &'a str>,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.body.clear();
        self.body.extend_from_slice(b"{\"order_ids\":[");
        for (n, id) in ids.take(BATCH_MAX).enumerate() {
            if n > 0 {
                self.body.push(b',');
            }
            write_text(id, &mut self.body);
        }
        self.body.extend_from_slice(b"]}");
        self.post(For::Cancel, now_ms, out);
    }

    /// A page of orders, from `cursor` on.
    pub fn orders(&mut self, of: OrdersOf<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.query.clear();
        match of {
            OrdersOf::Id(id) => self.parameter("order_ids", id),
            OrdersOf::Latest(symbol) => {
                self.parameter("product_ids", symbol.as_str());
                self.number("limit", PAGE);
            }
            OrdersOf::Open => {
                self.parameter("order_status", "OPEN");
                self.number("limit", PAGE);
            }
        }
        self.go_on(cursor);
        self.get(For::Orders, now_ms, out);
    }

    /// A page of fills, from `cursor` on.
    pub fn fills(&mut self, of: FillsOf<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.query.clear();
        match of {
            FillsOf::Order(id) => self.parameter("order_ids", id),
            FillsOf::Since(symbol, since_ms) => {
                self.parameter("product_ids", symbol.as_str());
                let mut time = Vec::with_capacity(32);
                rfc3339(since_ms, &mut time);
                let time = core::str::from_utf8(&time).unwrap_or_default();
                self.parameter("start_sequence_timestamp", time);
            }
        }
        self.number("limit", PAGE);
        self.go_on(cursor);
        self.get(For::Fills, now_ms, out);
    }

    /// A page of the account's balances, from `cursor` on.
    pub fn balances(&mut self, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.query.clear();
        self.number("limit", ACCOUNTS_PAGE);
        self.go_on(cursor);
        self.get(For::Accounts, now_ms, out);
    }

    fn parameter(&mut self, name: &str, value: &str) {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(name);
        self.query.push('=');
        percent_encoded(value, &mut self.query);
    }

    fn number(&mut self, name: &str, value: usize) {
        let mut text = Vec::with_capacity(20);
        digits(value as u64, &mut text);
        self.parameter(name, core::str::from_utf8(&text).unwrap_or_default());
    }

    fn go_on(&mut self, cursor: &str) {
        if !cursor.is_empty() {
            self.parameter("cursor", cursor);
        }
    }

    fn get(&mut self, what: For, now_ms: i64, out: &mut Vec<u8>) {
        rest::open("GET", TOKENS[what as usize].1, self.query.as_bytes(), out);
        self.authorize(what, now_ms, out);
        rest::close(b"", out);
    }

    fn post(&mut self, what: For, now_ms: i64, out: &mut Vec<u8>) {
        rest::open("POST", TOKENS[what as usize].1, b"", out);
        self.authorize(what, now_ms, out);
        rest::header("Content-Type", b"application/json", out);
        rest::close(&self.body, out);
    }

    fn authorize(&mut self, what: For, now_ms: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Authorization: Bearer ");
        out.extend_from_slice(self.tokens[what as usize].take(&self.keys, now_ms));
        out.push(b'\n');
    }
}

/// The venue's clock, which anybody may ask for.
pub fn server_time(out: &mut Vec<u8>) {
    rest::open("GET", TIME_PATH, b"", out);
    rest::close(b"", out);
}

/// What waits for a trigger is good till cancelled, for the venue has no other that goes on
/// waiting: whoever wants no rest withdraws it.
const fn kind(kind: OrderKind, tif: Tif) -> &'static [u8] {
    match (kind, tif) {
        (OrderKind::Market, _) => b"market_market_ioc",
        (kind, _) if kind.is_triggered() => b"stop_limit_stop_limit_gtc",
        (OrderKind::LimitMaker, _) | (_, Tif::Gtc | Tif::Gtd) => b"limit_limit_gtc",
        (_, Tif::Ioc) => b"sor_limit_ioc",
        (_, Tif::Fok) => b"limit_limit_fok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::RestRequest;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use bot4_types::{ClientId, Instrument, InstrumentId, OrderId, RunEpoch};

    const NOW_MS: i64 = 1_700_000_000_000;

    fn encoder() -> Encoder {
        let keys = TokenKeys::read("key", &STANDARD.encode([7; 32])).expect("a key");
        Encoder::new(keys, "api.venue.example")
    }

    fn instrument() -> Instrument {
        let symbol = Symbol::new("BTC-USD").expect("short");
        let mut i = Instrument::bare(InstrumentId(0), symbol, 4);
        i.qty_decimals = 10;
        i
    }

    fn limit(instrument: &Instrument) -> Place<'_> {
        Place {
            id: 1,
            now_ms: NOW_MS,
            instrument,
            client: ClientId::new(RunEpoch(1), OrderId(2)),
            side: Side::Buy,
            kind: OrderKind::LimitMaker,
            tif: Tif::Gtc,
            price: 600_001_000,
            trigger: 600_100_000,
            qty: 12_500_000_000,
        }
    }

    /// Path, token's payload and body of what `write` writes.
    fn request(write: impl FnOnce(&mut Vec<u8>)) -> (String, serde_json::Value, serde_json::Value) {
        let mut out = Vec::new();
        write(&mut out);
        let request = RestRequest::parse(&out).expect("a request");
        let token = request.headers.iter().find(|(name, _)| *name == "Authorization");
        let token = token.and_then(|(_, value)| value.strip_prefix("Bearer ")).unwrap_or("..");
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("payload"));
        let payload = serde_json::from_slice(&payload.expect("base64")).unwrap_or_default();
        let body = serde_json::from_str(request.body).unwrap_or_default();
        (format!("{} {}", request.method, request.path), payload, body)
    }

    #[test]
    fn orders_are_written_as_the_sheet_has_them() {
        let (mut encoder, i) = (encoder(), instrument());
        let order = limit(&i);
        let name = core::str::from_utf8(&order.client.0).expect("text");
        let (path, token, body) = request(|out| encoder.place(&order, out));
        assert_eq!(path, "POST /api/v3/brokerage/orders");
        assert_eq!(token["uri"], "POST api.venue.example/api/v3/brokerage/orders");
        assert_eq!(
            body,
            serde_json::json!({
                "client_order_id": name, "product_id": "BTC-USD", "side": "BUY",
                "order_configuration": {"limit_limit_gtc": {
                    "base_size": "1.25", "limit_price": "60000.1", "post_only": true}}
            })
        );
        let mut of = |kind, tif, side| {
            let order = Place { kind, tif, side, ..order };
            request(|out| encoder.place(&order, out)).2
        };
        let ioc = of(OrderKind::Limit, Tif::Ioc, Side::Sell);
        assert_eq!(ioc["side"], "SELL");
        assert_eq!(ioc["order_configuration"]["sor_limit_ioc"]["limit_price"], "60000.1");
        let fok = of(OrderKind::Limit, Tif::Fok, Side::Buy);
        assert!(fok["order_configuration"].get("limit_limit_fok").is_some());
        for (side, direction) in [(Side::Sell, "STOP_DOWN"), (Side::Buy, "STOP_UP")] {
            let stop = of(OrderKind::StopLossLimit, Tif::Ioc, side);
            let direction = format!("STOP_DIRECTION_{direction}");
            let expected = serde_json::json!({"stop_limit_stop_limit_gtc": {"base_size": "1.25",
                "limit_price": "60000.1", "stop_price": "60010", "stop_direction": direction}});
            assert_eq!(stop["order_configuration"], expected);
        }
        let market = of(OrderKind::Market, Tif::Ioc, Side::Buy);
        let expected = serde_json::json!({"market_market_ioc": {"base_size": "1.25"}});
        assert_eq!(market["order_configuration"], expected);
    }

    /// A token names method, host and path alone, so that one serves all requests of its kind.
    #[test]
    fn questions_vary_in_their_query() {
        let mut encoder = encoder();
        let symbol = Symbol::new("BTC-USD").expect("short");
        let (path, token, _) = request(|out| {
            encoder.fills(FillsOf::Since(&symbol, 1_597_026_383_085), "a b=", NOW_MS, out);
        });
        let query = "product_ids=BTC-USD&start_sequence_timestamp=2020-08-10T02%3A26%3A23.085Z&\
                     limit=100&cursor=a%20b%3D";
        assert_eq!(path, format!("GET {FILLS_PATH}?{query}"));
        assert_eq!(token["uri"], format!("GET api.venue.example{FILLS_PATH}"));
        let (path, ..) = request(|out| encoder.orders(OrdersOf::Id("a-1"), "", NOW_MS, out));
        assert_eq!(path, format!("GET {ORDERS_PATH}?order_ids=a-1"));
        let (path, ..) = request(|out| encoder.orders(OrdersOf::Open, "", NOW_MS, out));
        assert_eq!(path, format!("GET {ORDERS_PATH}?order_status=OPEN&limit=100"));
        let (path, ..) = request(|out| encoder.balances("x", NOW_MS, out));
        assert_eq!(path, format!("GET {ACCOUNTS_PATH}?limit=250&cursor=x"));
        let (_, _, body) = request(|out| encoder.cancel(["a", "b\"c"].into_iter(), NOW_MS, out));
        assert_eq!(body, serde_json::json!({"order_ids": ["a", "b\"c"]}));
    }

    #[test]
    fn tokens_are_ready_before_they_are_needed() {
        let (mut encoder, i) = (encoder(), instrument());
        let made = (0..99).filter(|_| encoder.renew(NOW_MS)).count();
        assert_eq!(made, TOKENS.map(|(.., wanted)| wanted).iter().sum::<usize>());
        let mut texts = std::collections::BTreeSet::new();
        for _ in 0..9 {
            let order = Place { now_ms: NOW_MS + 29_000, ..limit(&i) };
            let mut out = Vec::new();
            encoder.place(&order, &mut out);
            texts.insert(out);
        }
        assert_eq!((encoder.late_tokens(), texts.len()), (1, 9), "each has its own");
        let made = (0..99).filter(|_| encoder.renew(NOW_MS + 29_000)).count();
        assert_eq!(made, 8);
    }

    #[test]
    fn the_accounts_channel_carries_a_token_without_a_path() {
        let (mut encoder, mut table) = (encoder(), InstrumentTable::new());
        table.push(instrument()).expect("room");
        let mut out = Vec::new();
        encoder.user(&table, NOW_MS, &mut out);
        let message: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((&message["channel"], &message["type"]), (&"user".into(), &"subscribe".into()));
        assert_eq!(message["product_ids"], serde_json::json!(["BTC-USD"]));
        let token = message["jwt"].as_str().expect("a token").split('.').nth(1).expect("payload");
        let payload = URL_SAFE_NO_PAD.decode(token).expect("base64");
        let payload: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        assert!(payload.get("uri").is_none() && payload["sub"] == "key", "{payload}");
        out.clear();
        encoder.beats(NOW_MS, &mut out);
        let message: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(message["channel"], "heartbeats");
    }
}

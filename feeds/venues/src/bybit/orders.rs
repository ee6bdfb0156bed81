//! Requests as text: order entry on the trade connection, events on the private one, questions
//! over REST. Source: the Bybit sheet, chapters 4 to 8.
//!
//! A connection is logged on once, so that no signature stands in an order's way; what is asked
//! over REST is signed each time. An order is written as fixed pieces with its digits in between.
//! Orders are named by their client id alone, and ask for the maker's side to go where they would
//! meet an order of the same account. Allocation: none once the buffers have grown.

use bot4_types::{ClientId, OrderKind, Side, Symbol, Tif};

use crate::place::{Amend, Place};
use crate::rest;
use crate::secret::SecretKeys;
use crate::write::{decimal, digits, time};

/// How long the venue may hold a request before it must refuse it, in ms. Short: a late order is
/// worse than none, and "not found" after the window proves that it never arrived.
pub const RECV_WINDOW_MS: u32 = 1_000;
/// A logon is good for this long, in ms: more than two clocks differ.
const LOGON_MS: i64 = 10_000;
/// After this long without our private connections the venue's dead-man switch cancels, s; the
/// venue's own default.
pub const DEAD_MAN_S: u64 = 10;
/// Rows of one page; the most that the venue gives of fills, and twice what it gives of orders.
pub const PAGE: usize = 100;
/// A list of fills tells of this much time at most, ms: from its beginning on, not until now.
/// Source: the venue's reference, "Get Trade History".
pub const FILLS_SPAN_MS: i64 = 7 * 86_400_000;
/// Rows of one page of orders.
pub const ORDERS_PAGE: usize = 50;

/// A connection that is logged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Order entry.
    Trade,
    /// The account's events.
    Private,
}

/// Which fills are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillsOf<'a> {
    /// Those of an instrument from this time on, Unix ms, for [`FILLS_SPAN_MS`].
    Since(&'a Symbol, i64),
    /// Those of an instrument from one time to another, both included, Unix ms; no more than
    /// [`FILLS_SPAN_MS`] between them.
    Within(&'a Symbol, i64, i64),
    /// Those of an order.
    Order(&'a [u8]),
}

/// Which of its lists the venue keeps an open order in; it is cancelled there only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Orders that work.
    Active,
    /// Orders that wait for a trigger, with what they need reserved from the start.
    Waiting,
}

impl Kept {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Active => Self::Waiting,
            Self::Waiting => Self::Active,
        }
    }

    /// What names the list in a request; the venue takes the active one where none is named.
    const fn filter(self) -> &'static [u8] {
        match self {
            Self::Active => b"",
            Self::Waiting => b",\"orderFilter\":\"tpslOrder\"",
        }
    }
}

/// Writes requests.
#[derive(Debug)]
pub struct Encoder {
    keys: SecretKeys,
    query: Vec<u8>,
    stamp: Vec<u8>,
    window: Vec<u8>,
    sign: Vec<u8>,
}

impl Encoder {
    /// An encoder with these keys.
    #[must_use]
    pub fn new(keys: SecretKeys) -> Self {
        let mut window = Vec::new();
        digits(u64::from(RECV_WINDOW_MS), &mut window);
        let (query, stamp, sign) =
            (Vec::with_capacity(512), Vec::with_capacity(20), Vec::with_capacity(64));
        Self { keys, query, stamp, window, sign }
    }

    /// Logs a connection on.
    pub fn logon(&mut self, leg: Leg, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.stamp.clear();
        time(now_ms + LOGON_MS, &mut self.stamp);
        out.extend_from_slice(match leg {
            Leg::Trade => b"{\"reqId\":\"",
            Leg::Private => b"{\"req_id\":\"",
        });
        digits(id, out);
        out.extend_from_slice(b"\",\"op\":\"auth\",\"args\":[\"");
        out.extend_from_slice(self.keys.api_key.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(b",\"");
        self.keys.sign(&[b"GET/realtime", &self.stamp], out);
        out.extend_from_slice(b"\"]}");
    }

    /// Subscribes the account's events; with `dead_man` the connection also arms the venue's
    /// dead-man switch for spot.
    pub fn subscribe(&self, id: u64, dead_man: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"req_id\":\"");
        digits(id, out);
        out.extend_from_slice(
            b"\",\"op\":\"subscribe\",\"args\":[\"order\",\"execution\",\"wallet\"",
        );
        if dead_man {
            out.extend_from_slice(b",\"dcp.spot\"");
        }
        out.extend_from_slice(b"]}");
    }

    /// `order.create`.
    pub fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        let i = order.instrument;
        self.open(order.id, b"order.create", &i.symbol, order.now_ms, out);
        out.extend_from_slice(match order.side {
            Side::Buy => b",\"side\":\"Buy\",\"qty\":\"",
            Side::Sell => b",\"side\":\"Sell\",\"qty\":\"",
        });
        decimal(order.qty, i.qty_decimals, out);
        if order.kind.is_triggered() {
            // Which way the market must go is told by where it stands when the order arrives.
            out.extend_from_slice(b"\",\"orderFilter\":\"tpslOrder\",\"triggerPrice\":\"");
            decimal(order.trigger, i.price_decimals, out);
        }
        if order.kind.is_market() {
            out.extend_from_slice(b"\",\"orderType\":\"Market\",\"marketUnit\":\"baseCoin");
        } else {
            out.extend_from_slice(b"\",\"orderType\":\"Limit\",\"price\":\"");
            decimal(order.price, i.price_decimals, out);
            out.extend_from_slice(b"\",\"timeInForce\":\"");
            out.extend_from_slice(life(order.kind, order.tif));
        }
        out.extend_from_slice(b"\",\"smpType\":\"CancelMaker\",\"orderLinkId\":\"");
        out.extend_from_slice(&order.client.0);
        out.extend_from_slice(b"\"}]}");
    }

    /// `order.amend`: another price or whole quantity, what is filled included, for an order that
    /// keeps its number; what is as it was is not named.
    pub fn amend(&mut self, amend: &Amend<'_>, out: &mut Vec<u8>) {
        let i = amend.instrument;
        self.open(amend.id, b"order.amend", &i.symbol, amend.now_ms, out);
        out.extend_from_slice(b",\"orderLinkId\":\"");
        out.extend_from_slice(&amend.client.0);
        if let Some(price) = amend.price {
            out.extend_from_slice(b"\",\"price\":\"");
            decimal(price, i.price_decimals, out);
        }
        if let Some(qty) = amend.qty {
            out.extend_from_slice(b"\",\"qty\":\"");
            decimal(qty, i.qty_decimals, out);
        }
        out.extend_from_slice(b"\"}]}");
    }

    /// `order.cancel` of the order of this name in this list.
    pub fn cancel(
        &mut self,
        id: u64,
        symbol: &Symbol,
        (client, kept): (&ClientId, Kept),
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.open(id, b"order.cancel", symbol, now_ms, out);
        out.extend_from_slice(kept.filter());
        out.extend_from_slice(b",\"orderLinkId\":\"");
        out.extend_from_slice(&client.0);
        out.extend_from_slice(b"\"}]}");
    }

    /// Over REST: the state of an order, among the open and the latest closed ones or, with
    /// `history`, among all older ones.
    pub fn order_status(&mut self, client: &[u8], history: bool, now_ms: i64, out: &mut Vec<u8>) {
        self.begin_query();
        self.parameter(b"orderLinkId", client);
        self.get(if history { "/v5/order/history" } else { "/v5/order/realtime" }, now_ms, out);
    }

    /// Over REST: a page of the open orders of all instruments.
    pub fn open_orders(&mut self, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.begin_query();
        self.page(ORDERS_PAGE, cursor);
        self.get("/v5/order/realtime", now_ms, out);
    }

    /// Over REST: a page of fills, the newest first.
    pub fn fills(&mut self, of: FillsOf<'_>, cursor: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.begin_query();
        match of {
            FillsOf::Order(client) => self.parameter(b"orderLinkId", client),
            FillsOf::Since(symbol, start_ms) => self.fills_from(symbol, start_ms),
            FillsOf::Within(symbol, start_ms, end_ms) => {
                self.fills_from(symbol, start_ms);
                self.query.extend_from_slice(b"&endTime=");
                time(end_ms, &mut self.query);
            }
        }
        self.page(PAGE, cursor);
        self.get("/v5/execution/list", now_ms, out);
    }

    fn fills_from(&mut self, symbol: &Symbol, start_ms: i64) {
        self.parameter(b"symbol", symbol.as_bytes());
        self.query.extend_from_slice(b"&startTime=");
        time(start_ms, &mut self.query);
    }

    /// Over REST: all balances.
    pub fn balances(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.query.clear();
        self.query.extend_from_slice(b"accountType=UNIFIED");
        self.get("/v5/account/wallet-balance", now_ms, out);
    }

    /// Over REST: cancels everything open of an instrument in this list.
    pub fn cancel_all(&mut self, symbol: &Symbol, kept: Kept, now_ms: i64, out: &mut Vec<u8>) {
        self.query.clear();
        self.query.extend_from_slice(b"{\"category\":\"spot\",\"symbol\":\"");
        self.query.extend_from_slice(symbol.as_bytes());
        self.query.push(b'"');
        self.query.extend_from_slice(kept.filter());
        self.query.push(b'}');
        self.post("/v5/order/cancel-all", now_ms, out);
    }

    /// Over REST: cancels the order of this name in this list.
    pub fn cancel_by_rest(
        &mut self,
        symbol: &Symbol,
        (client, kept): (&[u8], Kept),
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.query.clear();
        self.query.extend_from_slice(b"{\"category\":\"spot\",\"symbol\":\"");
        self.query.extend_from_slice(symbol.as_bytes());
        self.query.push(b'"');
        self.query.extend_from_slice(kept.filter());
        self.query.extend_from_slice(b",\"orderLinkId\":\"");
        self.query.extend_from_slice(client);
        self.query.extend_from_slice(b"\"}");
        self.post("/v5/order/cancel", now_ms, out);
    }

    /// Over REST: after how many seconds without our private connections the venue cancels.
    pub fn set_dead_man(&mut self, window_s: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.query.clear();
        self.query.extend_from_slice(b"{\"product\":\"SPOT\",\"timeWindow\":");
        digits(window_s, &mut self.query);
        self.query.push(b'}');
        self.post("/v5/order/disconnected-cancel-all", now_ms, out);
    }

    fn open(&mut self, id: u64, op: &[u8], symbol: &Symbol, now_ms: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"reqId\":\"");
        digits(id, out);
        out.extend_from_slice(b"\",\"header\":{\"X-BAPI-TIMESTAMP\":\"");
        time(now_ms, out);
        out.extend_from_slice(b"\",\"X-BAPI-RECV-WINDOW\":\"");
        out.extend_from_slice(&self.window);
        out.extend_from_slice(b"\"},\"op\":\"");
        out.extend_from_slice(op);
        out.extend_from_slice(b"\",\"args\":[{\"category\":\"spot\",\"symbol\":\"");
        out.extend_from_slice(symbol.as_bytes());
        out.push(b'"');
    }

    fn begin_query(&mut self) {
        self.query.clear();
        self.query.extend_from_slice(b"category=spot");
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) {
        self.query.push(b'&');
        self.query.extend_from_slice(name);
        self.query.push(b'=');
        self.query.extend_from_slice(value);
    }

    fn page(&mut self, rows: usize, cursor: &str) {
        self.query.extend_from_slice(b"&limit=");
        digits(rows as u64, &mut self.query);
        if !cursor.is_empty() {
            self.query.extend_from_slice(b"&cursor=");
            // The venue writes cursors percent-encoded already.
            for byte in cursor.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => self.query.push(byte),
                    b'%' | b'-' | b'_' | b'.' | b'~' => self.query.push(byte),
                    _ => self.query.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                }
            }
        }
    }

    fn get(&mut self, path: &str, now_ms: i64, out: &mut Vec<u8>) {
        rest::open("GET", path, &self.query, out);
        self.signed(now_ms, out);
        rest::close(b"", out);
    }

    fn post(&mut self, path: &str, now_ms: i64, out: &mut Vec<u8>) {
        rest::open("POST", path, b"", out);
        self.signed(now_ms, out);
        rest::header("Content-Type", b"application/json", out);
        rest::close(&self.query, out);
    }

    /// The headers of a signed request; query or body is what is signed.
    fn signed(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        let key = self.keys.api_key.as_bytes();
        self.stamp.clear();
        time(now_ms, &mut self.stamp);
        self.sign.clear();
        self.keys.sign(&[&self.stamp, key, &self.window, &self.query], &mut self.sign);
        rest::header("X-BAPI-API-KEY", key, out);
        rest::header("X-BAPI-TIMESTAMP", &self.stamp, out);
        rest::header("X-BAPI-RECV-WINDOW", &self.window, out);
        rest::header("X-BAPI-SIGN", &self.sign, out);
    }
}

/// Over REST: the venue's clock.
pub fn server_time(out: &mut Vec<u8>) {
    rest::open("GET", "/v5/market/time", b"", out);
    rest::close(b"", out);
}

/// What waits for a trigger is good till cancelled, the one life that the venue is known to take
/// for it: whoever wants no rest withdraws it.
const fn life(kind: OrderKind, tif: Tif) -> &'static [u8] {
    match (kind, tif) {
        (OrderKind::LimitMaker, _) => b"PostOnly",
        (kind, _) if kind.is_triggered() => b"GTC",
        (_, Tif::Gtc | Tif::Gtd) => b"GTC",
        (_, Tif::Ioc) => b"IOC",
        (_, Tif::Fok) => b"FOK",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::RestRequest;
    use crate::secret::Scheme;
    use bot4_types::{Instrument, InstrumentId, OrderId, RunEpoch};

    fn encoder() -> Encoder {
        Encoder::new(SecretKeys::read("key", "testsecret", Scheme::Sha256Hex).expect("keys"))
    }

    fn instrument() -> Instrument {
        let symbol = Symbol::new("BTCUSDT").expect("short");
        let mut i = Instrument::bare(InstrumentId(0), symbol, 2);
        i.qty_decimals = 8;
        i
    }

    fn place(kind: OrderKind, tif: Tif) -> String {
        let (instrument, mut out) = (instrument(), Vec::new());
        let order = Place {
            id: 7,
            instrument: &instrument,
            client: ClientId::new(RunEpoch(1), OrderId(2)),
            side: Side::Buy,
            kind,
            tif,
            price: 5_000_000,
            trigger: 4_999_000,
            qty: 100_000,
            now_ms: 1_711_001_595_207,
        };
        encoder().place(&order, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_amend_names_what_changes_alone() {
        let (instrument, mut out) = (instrument(), Vec::new());
        let amend = Amend {
            id: 8,
            instrument: &instrument,
            client: ClientId::new(RunEpoch(1), OrderId(2)),
            price: Some(4_900_000),
            qty: Some(50_000),
            now_ms: 1_711_001_595_207,
        };
        encoder().amend(&amend, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let arg = &written["args"][0];
        assert_eq!((&written["op"], &written["reqId"]), (&"order.amend".into(), &"8".into()));
        assert_eq!((&arg["price"], &arg["qty"]), (&"49000".into(), &"0.0005".into()));
        assert_eq!(arg["orderLinkId"], core::str::from_utf8(&amend.client.0).expect("text"));
        out.clear();
        encoder().amend(&Amend { price: None, ..amend }, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert!(written["args"][0].get("price").is_none(), "{written}");
    }

    /// The order of the venue's sheet, chapter 6, with our window and without our additions.
    #[test]
    fn an_order_is_written_as_the_sheet_has_it() {
        let sheet = r#"{"reqId":"7","header":{"X-BAPI-TIMESTAMP":"1711001595207","X-BAPI-RECV-WINDOW":"1000"},"op":"order.create","args":[{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"50000","timeInForce":"PostOnly","orderLinkId":"c-1"}]}"#;
        let mut expected: serde_json::Value = serde_json::from_str(sheet).expect("JSON");
        let client = ClientId::new(RunEpoch(1), OrderId(2));
        let client = core::str::from_utf8(&client.0).expect("text");
        expected["args"][0]["orderLinkId"] = client.into();
        expected["args"][0]["smpType"] = "CancelMaker".into();
        let written: serde_json::Value =
            serde_json::from_str(&place(OrderKind::LimitMaker, Tif::Gtc)).expect("JSON");
        assert_eq!(written, expected);
        assert!(place(OrderKind::Limit, Tif::Ioc).contains(r#""timeInForce":"IOC""#));
        let market = place(OrderKind::Market, Tif::Gtc);
        assert!(market.contains(r#""orderType":"Market","marketUnit":"baseCoin""#), "{market}");
        assert!(!market.contains("price"), "{market}");
        let stop = place(OrderKind::StopLossLimit, Tif::Ioc);
        let parts = r#""orderFilter":"tpslOrder","triggerPrice":"49990","orderType":"Limit","price":"50000","timeInForce":"GTC""#;
        assert!(stop.contains(parts), "{stop}");
        let target = place(OrderKind::TakeProfit, Tif::Ioc);
        assert!(target.contains(r#""triggerPrice":"49990","orderType":"Market","#), "{target}");
    }

    #[test]
    fn a_cancel_names_the_list_of_what_waits() {
        let (symbol, mut out) = (instrument().symbol, Vec::new());
        let client = ClientId::new(RunEpoch(1), OrderId(2));
        for (kept, named) in [(Kept::Active, None), (Kept::Waiting, Some("tpslOrder"))] {
            out.clear();
            encoder().cancel(3, &symbol, (&client, kept), 9, &mut out);
            let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            let arg = &written["args"][0];
            assert_eq!(
                (arg["orderFilter"].as_str(), arg["orderLinkId"].as_str()),
                (named, Some(client.as_str()))
            );
            out.clear();
            encoder().cancel_by_rest(&symbol, (&client.0, kept), 9, &mut out);
            let request = RestRequest::parse(&out).expect("a request");
            let body: serde_json::Value = serde_json::from_str(request.body).expect("JSON");
            assert_eq!(
                (body["orderFilter"].as_str(), body["orderLinkId"].as_str()),
                (named, Some(client.as_str()))
            );
        }
    }

    #[test]
    fn logon_and_subscription() {
        let mut out = Vec::new();
        // The sheet's vector: the stamp is the end of the logon's life.
        encoder().logon(Leg::Trade, 1, 1_662_350_390_000, &mut out);
        let expected = concat!(
            r#"{"reqId":"1","op":"auth","args":["key",1662350400000,""#,
            r#"b38c4f23eca76c513b6542823c0882c502bdea24e31f6d6af028af804c5c850a"]}"#
        );
        assert_eq!(core::str::from_utf8(&out), Ok(expected));
        out.clear();
        encoder().subscribe(2, true, &mut out);
        let expected =
            r#"{"req_id":"2","op":"subscribe","args":["order","execution","wallet","dcp.spot"]}"#;
        assert_eq!(core::str::from_utf8(&out), Ok(expected));
    }

    #[test]
    fn questions_are_signed_over_query_or_body() {
        let (mut out, mut encoder) = (Vec::new(), encoder());
        let symbol = instrument().symbol;
        encoder.fills(FillsOf::Since(&symbol, 5), "a:b%2C", 9, &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        let query = "category=spot&symbol=BTCUSDT&startTime=5&limit=100&cursor=a%3Ab%2C";
        assert_eq!(request.path, format!("/v5/execution/list?{query}"));
        let mut expected = Vec::new();
        let keys = SecretKeys::read("key", "testsecret", Scheme::Sha256Hex).expect("keys");
        keys.sign(&[b"9key1000", query.as_bytes()], &mut expected);
        let sign = core::str::from_utf8(&expected).expect("ascii").to_owned();
        assert!(request.headers.contains(&("X-BAPI-SIGN", &sign)), "{request:?}");
        out.clear();
        encoder.fills(FillsOf::Within(&symbol, 5, 7), "", 9, &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        let query = "category=spot&symbol=BTCUSDT&startTime=5&endTime=7&limit=100";
        assert_eq!(request.path, format!("/v5/execution/list?{query}"));
        out.clear();
        encoder.cancel_all(&symbol, Kept::Active, 9, &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        let body = r#"{"category":"spot","symbol":"BTCUSDT"}"#;
        assert_eq!((request.method, request.body), ("POST", body));
        expected.clear();
        keys.sign(&[b"9key1000", body.as_bytes()], &mut expected);
        let sign = core::str::from_utf8(&expected).expect("ascii");
        assert!(request.headers.contains(&("X-BAPI-SIGN", sign)), "{request:?}");
    }
}

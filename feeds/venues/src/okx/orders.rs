//! Requests as text: logon, order entry and events on one connection, questions over REST. Source:
//! the OKX sheet, chapters 5 to 7.
//!
//! The connection is logged on once, so that no signature stands in an order's way; what is asked
//! over REST is signed each time. An order is written as fixed pieces with its digits in between,
//! names its instrument by the venue's code, and carries the time at which the venue must refuse
//! it. Allocation: none once the buffers have grown.

use bot4_types::{ClientId, Instrument, OrderKind, Side, Symbol, Tif};

use crate::place::{Amend, Place};
use crate::rest;
use crate::secret::SecretKeys;
use crate::write::{decimal, digits, rfc3339, time};

/// How long an order may be under way before the venue must refuse it, in ms.
pub const WINDOW_MS: i64 = 1_000;
/// Rows of one page.
pub const PAGE: usize = 100;
/// After this long without being fed the venue's dead-man switch cancels, s; the least it takes.
pub const DEAD_MAN_S: u64 = 10;
/// How far back the list of the newest fills goes, ms; older ones are in an archive. Source: the
/// venue's reference, "Get transaction details (last 3 days)".
pub const FILLS_KEPT_MS: i64 = 3 * 86_400_000;
/// Orders that one message cancels at most.
pub const BATCH_MAX: usize = 20;

/// Writes requests.
#[derive(Debug)]
pub struct Encoder {
    keys: SecretKeys,
    /// The venue's codes of the instruments, by their ids.
    codes: Vec<u64>,
    target: Vec<u8>,
    body: Vec<u8>,
    stamp: Vec<u8>,
    sign: Vec<u8>,
}

impl Encoder {
    /// An encoder with these keys; `codes` are the venue's codes of the instruments, by their ids.
    #[must_use]
    pub fn new(keys: SecretKeys, codes: Vec<u64>) -> Self {
        let (target, body) = (Vec::with_capacity(512), Vec::with_capacity(512));
        let (stamp, sign) = (Vec::with_capacity(32), Vec::with_capacity(64));
        Self { keys, codes, target, body, stamp, sign }
    }

    /// Logs the connection on; its stamp is in seconds.
    pub fn logon(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.stamp.clear();
        time(now_ms / 1_000, &mut self.stamp);
        out.extend_from_slice(b"{\"op\":\"login\",\"args\":[{\"apiKey\":\"");
        out.extend_from_slice(self.keys.api_key.as_bytes());
        out.extend_from_slice(b"\",\"passphrase\":\"");
        out.extend_from_slice(self.keys.passphrase.expose().as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":\"");
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(b"\",\"sign\":\"");
        self.keys.sign(&[&self.stamp, b"GET/users/self/verify"], out);
        out.extend_from_slice(b"\"}]}");
    }

    /// Subscribes the account's events: two channels, each with an answer of its own.
    pub fn subscribe(&self, id: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        digits(id, out);
        out.extend_from_slice(
            b"\",\"op\":\"subscribe\",\"args\":[{\"channel\":\"orders\",\"instType\":\"SPOT\"},\
              {\"channel\":\"account\"}]}",
        );
    }

    /// `order`.
    pub fn place(&self, order: &Place<'_>, out: &mut Vec<u8>) {
        let i = order.instrument;
        open(order.id, b"order", out);
        self.named(i, &order.client, out);
        out.extend_from_slice(match order.side {
            Side::Buy => b",\"tdMode\":\"cash\",\"side\":\"buy\",\"sz\":\"",
            Side::Sell => b",\"tdMode\":\"cash\",\"side\":\"sell\",\"sz\":\"",
        });
        decimal(order.qty, i.qty_decimals, out);
        out.extend_from_slice(b"\",\"stpMode\":\"cancel_maker\",\"ordType\":\"");
        if order.kind == OrderKind::Market {
            out.extend_from_slice(b"market\",\"tgtCcy\":\"base_ccy\"}]");
        } else {
            out.extend_from_slice(kind(order.kind, order.tif));
            out.extend_from_slice(b"\",\"px\":\"");
            decimal(order.price, i.price_decimals, out);
            out.extend_from_slice(b"\"}]");
        }
        close(order.now_ms, out);
    }

    /// `cancel-order`.
    pub fn cancel(
        &self,
        id: u64,
        instrument: &Instrument,
        client: &ClientId,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        open(id, b"cancel-order", out);
        self.named(instrument, client, out);
        out.extend_from_slice(b"}]");
        close(now_ms, out);
    }

    /// `amend-order`: another price or whole quantity, what is filled included, for an order that
    /// keeps its number; what is as it was is not named, so that less quantity keeps its place. An
    /// event tells what came of it, by the request's id.
    pub fn amend(&self, amend: &Amend<'_>, out: &mut Vec<u8>) {
        let i = amend.instrument;
        open(amend.id, b"amend-order", out);
        self.named(i, &amend.client, out);
        out.extend_from_slice(b",\"reqId\":\"");
        digits(amend.id, out);
        if let Some(price) = amend.price {
            out.extend_from_slice(b"\",\"newPx\":\"");
            decimal(price, i.price_decimals, out);
        }
        if let Some(qty) = amend.qty {
            out.extend_from_slice(b"\",\"newSz\":\"");
            decimal(qty, i.qty_decimals, out);
        }
        out.extend_from_slice(b"\"}]");
        close(amend.now_ms, out);
    }

    /// `batch-cancel-orders`: of one instrument, at most [`BATCH_MAX`].
    pub fn cancel_batch<'a>(
        &self,
        id: u64,
        instrument: &Instrument,
        clients: impl Iterator<Item = &'a ClientId>,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        open(id, b"batch-cancel-orders", out);
        for (n, client) in clients.take(BATCH_MAX).enumerate() {
            if n > 0 {
                out.extend_from_slice(b"},{");
            }
            self.named(instrument, client, out);
        }
        out.extend_from_slice(b"}]");
        close(now_ms, out);
    }

    /// Over REST: the state of an order.
    pub fn order_status(&mut self, symbol: &Symbol, client: &[u8], now_ms: i64, out: &mut Vec<u8>) {
        self.begin("/api/v5/trade/order?instId=");
        self.target.extend_from_slice(symbol.as_bytes());
        self.parameter("clOrdId", client);
        self.get(now_ms, out);
    }

    /// Over REST: a page of the open orders of all instruments, behind the order `after`.
    pub fn open_orders(&mut self, after: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.begin("/api/v5/trade/orders-pending?instType=SPOT");
        self.page(after);
        self.get(now_ms, out);
    }

    /// Over REST: a page of the fills of an instrument from a time on, behind the bill `after`;
    /// none that are older than [`FILLS_KEPT_MS`].
    pub fn fills_since(
        &mut self,
        symbol: &Symbol,
        start_ms: i64,
        after: &str,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.begin("/api/v5/trade/fills?instType=SPOT&instId=");
        self.target.extend_from_slice(symbol.as_bytes());
        self.target.extend_from_slice(b"&begin=");
        time(start_ms, &mut self.target);
        self.page(after);
        self.get(now_ms, out);
    }

    /// Over REST: a page of the fills of an instrument from one time to another, behind the bill
    /// `after`, out of the archive that goes back three months.
    pub fn fills_archived(
        &mut self,
        symbol: &Symbol,
        (start_ms, end_ms): (i64, i64),
        after: &str,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.begin("/api/v5/trade/fills-history?instType=SPOT&instId=");
        self.target.extend_from_slice(symbol.as_bytes());
        self.target.extend_from_slice(b"&begin=");
        time(start_ms, &mut self.target);
        self.target.extend_from_slice(b"&end=");
        time(end_ms, &mut self.target);
        self.page(after);
        self.get(now_ms, out);
    }

    /// Over REST: a page of the fills of an order, behind the bill `after`.
    pub fn fills_of(&mut self, venue_order: u64, after: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.begin("/api/v5/trade/fills?instType=SPOT&ordId=");
        digits(venue_order, &mut self.target);
        self.page(after);
        self.get(now_ms, out);
    }

    /// Over REST: all balances.
    pub fn balances(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.begin("/api/v5/account/balance");
        self.get(now_ms, out);
    }

    /// Over REST: cancels one order.
    pub fn cancel_by_rest(
        &mut self,
        symbol: &Symbol,
        venue_order: u64,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.begin("/api/v5/trade/cancel-order");
        self.body.extend_from_slice(b"{\"instId\":\"");
        self.body.extend_from_slice(symbol.as_bytes());
        self.body.extend_from_slice(b"\",\"ordId\":\"");
        digits(venue_order, &mut self.body);
        self.body.extend_from_slice(b"\"}");
        self.post(now_ms, out);
    }

    /// Over REST: feeds the dead-man switch; zero seconds turn it off.
    pub fn dead_man(&mut self, window_s: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.begin("/api/v5/trade/cancel-all-after");
        self.body.extend_from_slice(b"{\"timeOut\":\"");
        digits(window_s, &mut self.body);
        self.body.extend_from_slice(b"\"}");
        self.post(now_ms, out);
    }

    /// The instrument's code and the order's client id.
    fn named(&self, instrument: &Instrument, client: &ClientId, out: &mut Vec<u8>) {
        let code = self.codes.get(instrument.id.index()).copied().unwrap_or(0);
        out.extend_from_slice(b"\"instIdCode\":");
        digits(code, out);
        out.extend_from_slice(b",\"clOrdId\":\"");
        out.extend_from_slice(&client.0);
        out.push(b'"');
    }

    fn begin(&mut self, target: &str) {
        self.body.clear();
        self.target.clear();
        self.target.extend_from_slice(target.as_bytes());
    }

    fn parameter(&mut self, name: &str, value: &[u8]) {
        self.target.push(b'&');
        self.target.extend_from_slice(name.as_bytes());
        self.target.push(b'=');
        self.target.extend_from_slice(value);
    }

    fn page(&mut self, after: &str) {
        self.target.extend_from_slice(b"&limit=");
        digits(PAGE as u64, &mut self.target);
        if !after.is_empty() {
            self.parameter("after", after.as_bytes());
        }
    }

    fn get(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.signed("GET", now_ms, out);
        rest::close(b"", out);
    }

    fn post(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.signed("POST", now_ms, out);
        rest::header("Content-Type", b"application/json", out);
        rest::close(&self.body, out);
    }

    /// The first line and the headers of a signed request.
    fn signed(&mut self, method: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.stamp.clear();
        rfc3339(now_ms, &mut self.stamp);
        self.sign.clear();
        let parts: [&[u8]; 4] = [&self.stamp, method.as_bytes(), &self.target, &self.body];
        self.keys.sign(&parts, &mut self.sign);
        let target = core::str::from_utf8(&self.target).unwrap_or("/");
        rest::open(method, target, b"", out);
        rest::header("OK-ACCESS-KEY", self.keys.api_key.as_bytes(), out);
        rest::header("OK-ACCESS-SIGN", &self.sign, out);
        rest::header("OK-ACCESS-TIMESTAMP", &self.stamp, out);
        rest::header("OK-ACCESS-PASSPHRASE", self.keys.passphrase.expose().as_bytes(), out);
    }
}

/// Over REST: the venue's clock.
pub fn server_time(out: &mut Vec<u8>) {
    rest::open("GET", "/api/v5/public/time", b"", out);
    rest::close(b"", out);
}

fn open(id: u64, op: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    digits(id, out);
    out.extend_from_slice(b"\",\"op\":\"");
    out.extend_from_slice(op);
    out.extend_from_slice(b"\",\"args\":[{");
}

fn close(now_ms: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"expTime\":\"");
    time(now_ms + WINDOW_MS, out);
    out.extend_from_slice(b"\"}");
}

const fn kind(kind: OrderKind, tif: Tif) -> &'static [u8] {
    match (kind, tif) {
        (OrderKind::LimitMaker, _) => b"post_only",
        (_, Tif::Gtc | Tif::Gtd) => b"limit",
        (_, Tif::Ioc) => b"ioc",
        (_, Tif::Fok) => b"fok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::RestRequest;
    use crate::secret::Scheme;
    use bot4_types::{InstrumentId, OrderId, RunEpoch};

    fn keys() -> SecretKeys {
        SecretKeys::read("key", "testsecret\nphrase", Scheme::Sha256Base64).expect("keys")
    }

    fn instrument() -> Instrument {
        let symbol = Symbol::new("BTC-USDT").expect("short");
        let mut i = Instrument::bare(InstrumentId(0), symbol, 2);
        i.qty_decimals = 8;
        i
    }

    /// The order of the venue's sheet, chapter 7.
    #[test]
    fn an_order_is_written_as_the_sheet_has_it() {
        let sheet = r#"{"id":"p1","op":"order","args":[{"instIdCode":1000000,"tdMode":"cash","clOrdId":"b15","side":"buy","ordType":"post_only","px":"2.15","sz":"2"}],"expTime":"1597026383085"}"#;
        let client = ClientId::new(RunEpoch(1), OrderId(2));
        let mut expected: serde_json::Value = serde_json::from_str(sheet).expect("JSON");
        expected["id"] = "7".into();
        let name = core::str::from_utf8(&client.0).expect("text");
        expected["args"][0]["clOrdId"] = name.into();
        expected["args"][0]["stpMode"] = "cancel_maker".into();
        let encoder = Encoder::new(keys(), vec![1_000_000]);
        let (instrument, mut out) = (instrument(), Vec::new());
        let order = Place {
            id: 7,
            instrument: &instrument,
            client,
            side: Side::Buy,
            kind: OrderKind::LimitMaker,
            tif: Tif::Gtc,
            price: 215,
            trigger: 0,
            qty: 200_000_000,
            now_ms: 1_597_026_382_085,
        };
        encoder.place(&order, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(written, expected);
        out.clear();
        encoder.place(&Place { kind: OrderKind::Market, ..order }, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(written["args"][0]["tgtCcy"], "base_ccy");
        assert!(written["args"][0].get("px").is_none(), "{written}");
        out.clear();
        encoder.cancel_batch(9, &instrument, [client, client].iter(), 5, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(written["args"].as_array().map(Vec::len), Some(2), "{written}");
    }

    #[test]
    fn an_amend_names_what_changes_alone() {
        let encoder = Encoder::new(keys(), vec![1_000_000]);
        let (instrument, mut out) = (instrument(), Vec::new());
        let amend = Amend {
            id: 7,
            instrument: &instrument,
            client: ClientId::new(RunEpoch(1), OrderId(2)),
            price: Some(214),
            qty: None,
            now_ms: 1_597_026_382_085,
        };
        encoder.amend(&amend, &mut out);
        let name = core::str::from_utf8(&amend.client.0).expect("text");
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let arg = &written["args"][0];
        assert_eq!((&written["op"], &arg["clOrdId"]), (&"amend-order".into(), &name.into()));
        assert_eq!((&arg["newPx"], &arg["reqId"]), (&"2.14".into(), &"7".into()));
        assert!(arg.get("newSz").is_none() && written.get("expTime").is_some(), "{written}");
        out.clear();
        encoder.amend(&Amend { price: None, qty: Some(100_000_000), ..amend }, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let arg = &written["args"][0];
        assert!(arg["newSz"] == "1" && arg.get("newPx").is_none(), "{written}");
    }

    /// The sheet's vector.
    #[test]
    fn logon_is_signed_in_seconds() {
        let (mut encoder, mut out) = (Encoder::new(keys(), vec![]), Vec::new());
        encoder.logon(1_704_876_947_999, &mut out);
        let text = core::str::from_utf8(&out).expect("text");
        assert!(text.contains(
            r#""timestamp":"1704876947","sign":"Yfm6K+VXZZRVprrQgSTbCQwdP0vaOqR6Sb5WeQpb+xY=""#
        ));
    }

    #[test]
    fn questions_are_signed_over_method_target_and_body() {
        let (mut encoder, mut out) = (Encoder::new(keys(), vec![]), Vec::new());
        encoder.dead_man(10, 1_607_418_537_715, &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        assert_eq!((request.method, request.path), ("POST", "/api/v5/trade/cancel-all-after"));
        let mut expected = Vec::new();
        let text =
            b"2020-12-08T09:08:57.715ZPOST/api/v5/trade/cancel-all-after{\"timeOut\":\"10\"}";
        keys().sign(&[text], &mut expected);
        let sign = core::str::from_utf8(&expected).expect("ascii");
        assert!(request.headers.contains(&("OK-ACCESS-SIGN", sign)), "{request:?}");
        assert!(request.headers.contains(&("OK-ACCESS-PASSPHRASE", "phrase")), "{request:?}");
    }
}

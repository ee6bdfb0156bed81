//! Requests as text: order entry, subscriptions and the dead-man switch on the private connection,
//! questions over REST. Source: the Kraken sheet, chapters 4 to 6.
//!
//! A token that is asked for over REST stands in every request of the connection, so that no
//! signature stands in an order's way; what is asked over REST is signed each time, under a nonce
//! that only grows. Orders are named by their client id alone, carry the time at which the engine
//! must refuse them, and ask for the older side to go where they would meet an order of the same
//! account. Numbers are bare and have a point. Allocation: none once the buffers have grown.

use bot4_types::text::{UNITS_TEXT_MAX, write_units};
use bot4_types::{ClientId, OrderKind, Side, Tif};
use ring::digest;

use crate::json::write_text;
use crate::place::{Amend, Place};
use crate::rest;
use crate::secret::SecretKeys;
use crate::write::{digits, rfc3339, time};

/// How long an order may be under way before the engine must refuse it, in ms.
pub const DEADLINE_MS: i64 = 1_000;
/// After this long without being fed the venue's dead-man switch cancels, s.
pub const DEAD_MAN_S: u64 = 10;
/// Orders that one cancel names at most.
pub const BATCH_MAX: usize = 50;
/// Rows of a page, which the venue sets.
pub const PAGE: usize = 50;

/// Channels of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Orders and fills.
    Executions,
    /// Balances.
    Balances,
}

/// Writes requests.
#[derive(Debug)]
pub struct Encoder {
    keys: SecretKeys,
    /// The session's token; empty before there is one.
    pub token: String,
    body: Vec<u8>,
    sign: Vec<u8>,
}

impl Encoder {
    /// An encoder with these keys.
    #[must_use]
    pub fn new(keys: SecretKeys) -> Self {
        let (body, sign) = (Vec::with_capacity(256), Vec::with_capacity(96));
        Self { keys, token: String::new(), body, sign }
    }

    /// Subscribes a channel. Open orders come first; the latest fills do not, they are asked for.
    pub fn subscribe(&self, channel: Channel, id: u64, out: &mut Vec<u8>) {
        open("subscribe", out);
        out.extend_from_slice(match channel {
            Channel::Executions => {
                b"\"channel\":\"executions\",\"snap_orders\":true,\"snap_trades\":false,"
            }
            Channel::Balances => b"\"channel\":\"balances\",\"snapshot\":true,",
        });
        self.close(id, out);
    }

    /// `add_order`.
    pub fn place(&self, order: &Place<'_>, out: &mut Vec<u8>) {
        let i = order.instrument;
        open("add_order", out);
        out.extend_from_slice(type_of(order.kind));
        if order.kind.is_triggered() {
            out.extend_from_slice(b",\"triggers\":{\"reference\":\"last\",\"price\":");
            number(order.trigger, i.price_decimals, out);
            out.extend_from_slice(b",\"price_type\":\"static\"}");
        }
        if !order.kind.is_market() {
            out.extend_from_slice(b",\"limit_price\":");
            number(order.price, i.price_decimals, out);
            out.extend_from_slice(life(order.kind, order.tif));
        }
        out.extend_from_slice(match order.side {
            Side::Buy => b",\"side\":\"buy\",\"order_qty\":",
            Side::Sell => b",\"side\":\"sell\",\"order_qty\":",
        });
        number(order.qty, i.qty_decimals, out);
        out.extend_from_slice(b",\"symbol\":");
        write_text(i.symbol.as_str(), out);
        out.extend_from_slice(b",\"stp_type\":\"cancel_oldest\",\"cl_ord_id\":\"");
        out.extend_from_slice(&order.client.0);
        out.extend_from_slice(b"\",");
        deadline(order.now_ms, out);
        self.close(order.id, out);
    }

    /// `amend_order`: the order keeps its number. With `post_only` another price must not take.
    pub fn amend(&self, amend: &Amend<'_>, post_only: bool, out: &mut Vec<u8>) {
        let i = amend.instrument;
        open("amend_order", out);
        out.extend_from_slice(b"\"cl_ord_id\":\"");
        out.extend_from_slice(&amend.client.0);
        out.extend_from_slice(b"\",");
        if let Some(price) = amend.price {
            out.extend_from_slice(b"\"limit_price\":");
            number(price, i.price_decimals, out);
            out.extend_from_slice(if post_only { b",\"post_only\":true," } else { b"," });
        }
        if let Some(qty) = amend.qty {
            out.extend_from_slice(b"\"order_qty\":");
            number(qty, i.qty_decimals, out);
            out.push(b',');
        }
        deadline(amend.now_ms, out);
        self.close(amend.id, out);
    }

    /// `cancel_order`, of at most [`BATCH_MAX`]; each gets an answer of its own.
    pub fn cancel<'a>(
        &self,
        id: u64,
        clients: impl Iterator<Item = &'a ClientId>,
        out: &mut Vec<u8>,
    ) {
        open("cancel_order", out);
        out.extend_from_slice(b"\"cl_ord_id\":[");
        for (n, client) in clients.take(BATCH_MAX).enumerate() {
            out.extend_from_slice(if n > 0 { b",\"" } else { b"\"" });
            out.extend_from_slice(&client.0);
            out.push(b'"');
        }
        out.extend_from_slice(b"],");
        self.close(id, out);
    }

    /// `cancel_all_orders_after`; zero seconds turn the switch off.
    pub fn dead_man(&self, id: u64, timeout_s: u64, out: &mut Vec<u8>) {
        open("cancel_all_orders_after", out);
        out.extend_from_slice(b"\"timeout\":");
        digits(timeout_s, out);
        out.push(b',');
        self.close(id, out);
    }

    /// Over REST: asks for a token.
    pub fn ask_token(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.post("/0/private/GetWebSocketsToken", out);
    }

    /// Over REST: the open orders, all or the one of a client id.
    pub fn open_orders(&mut self, client: Option<&[u8]>, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        client.into_iter().for_each(|client| self.parameter(b"cl_ord_id", client));
        self.post("/0/private/OpenOrders", out);
    }

    /// Over REST: the closed order of a client id.
    pub fn closed_order(&mut self, client: &[u8], now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.parameter(b"cl_ord_id", client);
        self.post("/0/private/ClosedOrders", out);
    }

    /// Over REST: a page of the orders that closed last, behind so many of them.
    pub fn closed_orders(&mut self, behind: usize, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.body.extend_from_slice(b"&ofs=");
        digits(behind as u64, &mut self.body);
        self.post("/0/private/ClosedOrders", out);
    }

    /// Over REST: a page of the account's fills from a time on, the newest first, and none that is
    /// newer than the trade `end` where there is one.
    pub fn fills_since(&mut self, start_ms: i64, end: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.body.extend_from_slice(b"&start=");
        // Whole seconds, and what is asked for begins behind them.
        time((start_ms / 1_000 - 1).max(0), &mut self.body);
        if !end.is_empty() {
            self.parameter(b"end", end.as_bytes());
        }
        self.post("/0/private/TradesHistory", out);
    }

    /// Over REST: all balances, and what is held for open orders.
    pub fn balances(&mut self, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.post("/0/private/BalanceEx", out);
    }

    /// Over REST: cancels one order by the venue's name of it.
    pub fn cancel_by_rest(&mut self, order: &str, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.parameter(b"txid", order.as_bytes());
        self.post("/0/private/CancelOrder", out);
    }

    /// Over REST: feeds the dead-man switch.
    pub fn dead_man_by_rest(&mut self, timeout_s: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.begin(now_ms);
        self.body.extend_from_slice(b"&timeout=");
        digits(timeout_s, &mut self.body);
        self.post("/0/private/CancelAllOrdersAfter", out);
    }

    /// The token and the end of a request.
    fn close(&self, id: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"token\":\"");
        out.extend_from_slice(self.token.as_bytes());
        out.extend_from_slice(b"\"},\"req_id\":");
        digits(id, out);
        out.push(b'}');
    }

    /// A body begins with its nonce: the time, so that another process with the same key goes on
    /// from there, and always more than the last one of any session here.
    fn begin(&mut self, now_ms: i64) {
        let now_us = u64::try_from(now_ms).unwrap_or(0) * 1_000;
        let nonce = self.keys.nonces.next(now_us);
        self.body.clear();
        self.body.extend_from_slice(b"nonce=");
        digits(nonce, &mut self.body);
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) {
        self.body.push(b'&');
        self.body.extend_from_slice(name);
        self.body.push(b'=');
        self.body.extend_from_slice(value);
    }

    /// The signature is over the path and the digest of nonce and body.
    fn post(&mut self, path: &str, out: &mut Vec<u8>) {
        let mut hashed = digest::Context::new(&digest::SHA256);
        let nonce = self.body.iter().skip(6).take_while(|b| b.is_ascii_digit()).count();
        hashed.update(&self.body[6..6 + nonce]);
        hashed.update(&self.body);
        self.sign.clear();
        self.keys.sign(&[path.as_bytes(), hashed.finish().as_ref()], &mut self.sign);
        rest::open("POST", path, b"", out);
        rest::header("API-Key", self.keys.api_key.as_bytes(), out);
        rest::header("API-Sign", &self.sign, out);
        rest::header("Content-Type", b"application/x-www-form-urlencoded", out);
        rest::close(&self.body, out);
    }
}

/// Asks for the time on a connection; the answer states when it came in.
pub fn ping(id: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"method\":\"ping\",\"req_id\":");
    digits(id, out);
    out.push(b'}');
}

fn open(method: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":{");
}

fn deadline(now_ms: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"deadline\":\"");
    rfc3339(now_ms + DEADLINE_MS, out);
    out.extend_from_slice(b"\",");
}

/// A number with all its decimals, and with a point where it has none: a whole number is taken for
/// prices only.
fn number(units: i64, decimals: u8, out: &mut Vec<u8>) {
    let mut text = [0; UNITS_TEXT_MAX];
    let n = write_units(units, decimals, &mut text);
    out.extend_from_slice(&text[..n]);
    if decimals == 0 {
        out.extend_from_slice(b".0");
    }
}

const fn type_of(kind: OrderKind) -> &'static [u8] {
    match kind {
        OrderKind::Limit | OrderKind::LimitMaker => b"\"order_type\":\"limit\"",
        OrderKind::Market => b"\"order_type\":\"market\"",
        OrderKind::StopLoss => b"\"order_type\":\"stop-loss\"",
        OrderKind::StopLossLimit => b"\"order_type\":\"stop-loss-limit\"",
        OrderKind::TakeProfit => b"\"order_type\":\"take-profit\"",
        OrderKind::TakeProfitLimit => b"\"order_type\":\"take-profit-limit\"",
    }
}

/// What waits for a trigger is good till cancelled, the one life that the venue is known to take
/// for it: whoever wants no rest withdraws it.
const fn life(kind: OrderKind, tif: Tif) -> &'static [u8] {
    match (kind, tif) {
        (OrderKind::LimitMaker, _) => b",\"time_in_force\":\"gtc\",\"post_only\":true",
        (kind, _) if kind.is_triggered() => b",\"time_in_force\":\"gtc\"",
        (_, Tif::Gtc | Tif::Gtd) => b",\"time_in_force\":\"gtc\"",
        (_, Tif::Ioc) => b",\"time_in_force\":\"ioc\"",
        (_, Tif::Fok) => b",\"time_in_force\":\"fok\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::RestRequest;
    use crate::secret::Scheme;
    use bot4_types::{Instrument, InstrumentId, OrderId, RunEpoch, Symbol};

    /// The secret of the sheet's vector.
    const SECRET: &str =
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

    fn encoder() -> Encoder {
        let keys = SecretKeys::read("key", SECRET, Scheme::Sha512Base64).expect("keys");
        Encoder { token: "T".to_owned(), ..Encoder::new(keys) }
    }

    fn instrument() -> Instrument {
        let mut i = Instrument::bare(InstrumentId(0), Symbol::new("BTC/USD").expect("short"), 1);
        i.qty_decimals = 8;
        i
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_order_has_bare_numbers_a_deadline_and_the_token() {
        let instrument = instrument();
        let client = ClientId::new(RunEpoch(1), OrderId(2));
        let order = Place {
            id: 7,
            instrument: &instrument,
            client,
            side: Side::Buy,
            kind: OrderKind::LimitMaker,
            tif: Tif::Gtc,
            price: 265_004,
            trigger: 0,
            qty: 120_000_000,
            now_ms: 1_597_026_382_085,
        };
        let text = written(|out| encoder().place(&order, out));
        let name = client.as_str();
        let expected = format!(
            r#"{{"method":"add_order","params":{{"order_type":"limit","limit_price":26500.4,"time_in_force":"gtc","post_only":true,"side":"buy","order_qty":1.20000000,"symbol":"BTC/USD","stp_type":"cancel_oldest","cl_ord_id":"{name}","deadline":"2020-08-10T02:26:23.085Z","token":"T"}},"req_id":7}}"#
        );
        assert_eq!(text, expected);
        let market = Place { kind: OrderKind::Market, side: Side::Sell, ..order };
        let text = written(|out| encoder().place(&market, out));
        assert!(text.contains(r#""order_type":"market","side":"sell""#), "{text}");
        assert!(!text.contains("limit_price") && !text.contains("time_in_force"), "{text}");
        let stop =
            Place { kind: OrderKind::StopLossLimit, tif: Tif::Ioc, trigger: 265_010, ..order };
        let text = written(|out| encoder().place(&stop, out));
        let parts = r#"{"order_type":"stop-loss-limit","triggers":{"reference":"last","price":26501.0,"price_type":"static"},"limit_price":26500.4,"time_in_force":"gtc","side""#;
        assert!(text.contains(parts), "{text}");
        let target = Place { kind: OrderKind::TakeProfit, ..stop };
        let text = written(|out| encoder().place(&target, out));
        assert!(text.contains(r#""order_type":"take-profit","triggers":{"#), "{text}");
        assert!(!text.contains("limit_price") && !text.contains("time_in_force"), "{text}");
        let mut whole = instrument;
        whole.qty_decimals = 0;
        let text = written(|out| {
            encoder().place(&Place { instrument: &whole, qty: 5, tif: Tif::Fok, ..order }, out);
        });
        assert!(text.contains(r#""order_qty":5.0,"#), "{text}");
        let (price, qty) = (Some(7), Some(5));
        let amend = Amend { id: 8, instrument: &instrument, client, price, qty, now_ms: 1 };
        let text = written(|out| encoder().amend(&amend, true, out));
        let parts = r#""limit_price":0.7,"post_only":true,"order_qty":0.00000005,"deadline""#;
        assert!(text.contains(parts), "{text}");
        let text = written(|out| encoder().amend(&Amend { price: None, ..amend }, true, out));
        assert!(!text.contains("price") && !text.contains("post_only"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["method"], "amend_order");
        assert_eq!(value["params"]["deadline"], "1970-01-01T00:00:01.001Z");
    }

    #[test]
    fn cancels_name_several_and_the_switch_is_fed_on_the_connection() {
        let names = [1, 2].map(|n| ClientId::new(RunEpoch(1), OrderId(n)));
        let text = written(|out| encoder().cancel(3, names.iter(), out));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["params"]["cl_ord_id"][1], names[1].as_str());
        assert_eq!(
            (value["method"].as_str(), value["req_id"].as_u64()),
            (Some("cancel_order"), Some(3))
        );
        assert_eq!(
            written(|out| encoder().dead_man(4, 10, out)),
            r#"{"method":"cancel_all_orders_after","params":{"timeout":10,"token":"T"},"req_id":4}"#
        );
        assert_eq!(
            written(|out| encoder().subscribe(Channel::Executions, 5, out)),
            r#"{"method":"subscribe","params":{"channel":"executions","snap_orders":true,"snap_trades":false,"token":"T"},"req_id":5}"#
        );
    }

    /// The sheet's vector, its order replaced by the same body.
    #[test]
    fn requests_over_rest_are_signed_as_the_vector_has_it() {
        let mut encoder = encoder();
        encoder.begin(0);
        encoder.body =
            b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
                .to_vec();
        let mut out = Vec::new();
        encoder.post("/0/private/AddOrder", &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        let sign = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==";
        assert!(request.headers.contains(&("API-Sign", sign)), "{request:?}");
    }

    /// Whatever time the venue told each of them.
    #[test]
    fn sessions_of_a_key_share_its_nonces() {
        let (mut ahead, mut behind) = (encoder(), encoder());
        behind.keys.nonces = ahead.keys.nonces.clone();
        let nonce = |encoder: &mut Encoder, now_ms| {
            let text = written(|out| encoder.balances(now_ms, out));
            let (_, body) = text.split_once("\n\n").expect("a body");
            body[6..].split('&').next().expect("first").parse::<u64>().expect("digits")
        };
        assert_eq!(nonce(&mut ahead, 5_000), 5_000_000);
        assert_eq!(nonce(&mut behind, 9), 5_000_001);
        assert_eq!(nonce(&mut ahead, 5_001), 5_001_000);
    }

    #[test]
    fn nonces_grow_even_when_the_clock_does_not() {
        let mut encoder = encoder();
        let mut nonce = |now_ms| {
            let text = written(|out| encoder.fills_since(5_999, "TX", now_ms, out));
            let (_, body) = text.split_once("\n\n").expect("a body");
            assert!(body.ends_with("&start=4&end=TX"), "{body}");
            body[6..].split('&').next().expect("first").parse::<u64>().expect("digits")
        };
        assert_eq!([nonce(9), nonce(9), nonce(8), nonce(10)], [9_000, 9_001, 9_002, 10_000]);
    }
}

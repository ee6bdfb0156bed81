//! Requests of the WebSocket API as text.
//!
//! An [`Encoder`] appends one request to a caller's buffer. With an Ed25519 key the session is
//! logged on once and later requests carry only a timestamp; with an HMAC key every request
//! carries the key and a signature. Parameters are written in byte order of their names, which is
//! the order the signature wants, so request and payload come from one pass.
//!
//! Every order asks for the `FULL` answer: it states the fills with their trade ids, so the
//! answer of an IOC or market order alone is enough to book and close it, and a fill reaches the
//! ledger by two independent ways (answer and user event; the ledger drops the second by trade
//! id). The longer answer costs time only after the order has left.
//!
//! Allocation: none once the buffers have grown to the longest request (about 600 bytes).

use bot4_types::text::{UNITS_TEXT_MAX, write_units};
use bot4_types::{ClientId, Instrument, InstrumentTable, OrderKind, Side, Symbol, Tif};

use super::prepared::Prepared;
use super::sign::Credentials;
use crate::place::Place;

/// How long the venue may hold a request before it must refuse it, in ms. Short: a late order is
/// worse than none, and "not found" after the window proves that it never arrived.
pub const RECV_WINDOW_MS: u32 = 1_000;
/// Bytes to reserve for a request.
pub const REQUEST_LEN_MAX: usize = 1_024;

/// An order that rests at the venue.
#[derive(Clone, Copy, Debug)]
pub struct Resting<'a> {
    /// Of which instrument.
    pub instrument: &'a Instrument,
    /// Its client id.
    pub client: ClientId,
    /// The venue's number.
    pub venue_order: u64,
}

/// Names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// By the venue's number: the fastest way.
    Venue(u64),
    /// By its client id.
    Client(&'a [u8]),
}

/// Where a list of trades starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradesFrom {
    /// At this trade id.
    Id(u64),
    /// At this time, Unix ms.
    Time(i64),
    /// Trades of this order.
    Order(u64),
}

/// What the venue does when an order would trade with an order of the same account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTradeMode {
    /// The resting order expires.
    ExpireMaker,
    /// The incoming order expires.
    ExpireTaker,
    /// Both expire.
    ExpireBoth,
}

impl SelfTradeMode {
    /// The venue's word.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ExpireMaker => "EXPIRE_MAKER",
            Self::ExpireTaker => "EXPIRE_TAKER",
            Self::ExpireBoth => "EXPIRE_BOTH",
        }
    }
}

/// Writes requests.
#[derive(Debug)]
pub struct Encoder {
    credentials: Credentials,
    recv_window_ms: u32,
    self_trade: Option<SelfTradeMode>,
    payload: Vec<u8>,
    prepared: Prepared,
}

impl Encoder {
    /// An encoder with these credentials. `self_trade`: `None` leaves the symbol's default.
    #[must_use]
    pub fn new(credentials: Credentials, self_trade: Option<SelfTradeMode>) -> Self {
        Self {
            credentials,
            recv_window_ms: RECV_WINDOW_MS,
            self_trade,
            payload: Vec::with_capacity(REQUEST_LEN_MAX),
            prepared: Prepared::default(),
        }
    }

    /// The encoder with the text of new orders of these instruments prepared, where requests need
    /// no signature.
    #[must_use]
    pub fn prepared_for(mut self, table: &InstrumentTable) -> Self {
        if self.needs_logon() {
            let prepared = Prepared::of(table, |order, out| self.place_unprepared(order, out));
            self.prepared = prepared;
        }
        self
    }

    /// The session must be opened by [`Encoder::logon`] before other requests; otherwise every
    /// request is signed and there is no logon.
    #[must_use]
    pub const fn needs_logon(&self) -> bool {
        self.credentials.signer.opens_sessions()
    }

    /// Milliseconds that the venue may hold a request.
    #[must_use]
    pub const fn recv_window_ms(&self) -> u32 {
        self.recv_window_ms
    }

    /// `session.logon`. Only for keys that open sessions.
    pub fn logon(&mut self, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        let mut r = self.request(id, b"session.logon", Signing::Always, out);
        r.window();
        r.number("timestamp", now_ms);
        r.finish();
    }

    /// Subscribes the account's events on this connection.
    pub fn subscribe_user_data(&mut self, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        if self.needs_logon() {
            open(id, b"userDataStream.subscribe", out);
            out.extend_from_slice(b"}");
            return;
        }
        let method = b"userDataStream.subscribe.signature";
        let mut r = self.request(id, method, Signing::Always, out);
        r.window();
        r.number("timestamp", now_ms);
        r.finish();
    }

    /// `order.place`.
    pub fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        if !self.prepared.write(order, out) {
            self.place_unprepared(order, out);
        }
    }

    /// `order.place`, piece by piece.
    fn place_unprepared(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        let i = order.instrument;
        let self_trade = self.self_trade;
        let mut r = self.request(order.id, b"order.place", Signing::BySession, out);
        r.text("newClientOrderId", &order.client.0);
        r.text("newOrderRespType", b"FULL");
        if !order.kind.is_market() {
            r.decimal("price", order.price, i.price_decimals);
        }
        r.decimal("quantity", order.qty, i.qty_decimals);
        r.window();
        if let Some(mode) = self_trade {
            r.text("selfTradePreventionMode", mode.text().as_bytes());
        }
        r.text("side", side_text(order.side));
        if order.kind.is_triggered() {
            r.decimal("stopPrice", order.trigger, i.price_decimals);
        }
        r.text("symbol", i.symbol.as_bytes());
        if order.kind == OrderKind::Limit || order.kind.is_triggered() && !order.kind.is_market() {
            r.text("timeInForce", tif_text(order.tif));
        }
        r.number("timestamp", order.now_ms);
        r.text("type", kind_text(order.kind));
        r.finish();
    }

    /// `order.cancel`.
    pub fn cancel(
        &mut self,
        id: u64,
        symbol: &Symbol,
        target: Target<'_>,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.on_order(id, b"order.cancel", symbol, target, now_ms, out);
    }

    /// `order.amend.keepPriority`: less quantity for an order that rests, `qty` in all. It keeps
    /// its number and, because it is passed on, its client id.
    pub fn trim(&mut self, id: u64, order: &Resting<'_>, qty: i64, now_ms: i64, out: &mut Vec<u8>) {
        let i = order.instrument;
        let mut r = self.request(id, b"order.amend.keepPriority", Signing::BySession, out);
        r.text("newClientOrderId", &order.client.0);
        r.decimal("newQty", qty, i.qty_decimals);
        r.unsigned("orderId", order.venue_order);
        r.window();
        r.text("symbol", i.symbol.as_bytes());
        r.number("timestamp", now_ms);
        r.finish();
    }

    /// `order.cancelReplace`: cancels the order with the number `cancels`, and places `order` only
    /// when nothing of the other was filled. The other keeps its own client id.
    pub fn replace(&mut self, cancels: u64, order: &Place<'_>, out: &mut Vec<u8>) {
        let i = order.instrument;
        let self_trade = self.self_trade;
        let mut r = self.request(order.id, b"order.cancelReplace", Signing::BySession, out);
        r.unsigned("cancelOrderId", cancels);
        r.text("cancelReplaceMode", b"STOP_ON_FAILURE");
        r.text("cancelRestrictions", b"ONLY_NEW");
        r.text("newClientOrderId", &order.client.0);
        r.text("newOrderRespType", b"FULL");
        r.decimal("price", order.price, i.price_decimals);
        r.decimal("quantity", order.qty, i.qty_decimals);
        r.window();
        if let Some(mode) = self_trade {
            r.text("selfTradePreventionMode", mode.text().as_bytes());
        }
        r.text("side", side_text(order.side));
        r.text("symbol", i.symbol.as_bytes());
        if order.kind == OrderKind::Limit {
            r.text("timeInForce", tif_text(order.tif));
        }
        r.number("timestamp", order.now_ms);
        r.text("type", kind_text(order.kind));
        r.finish();
    }

    /// `order.status`.
    pub fn order_status(
        &mut self,
        id: u64,
        symbol: &Symbol,
        target: Target<'_>,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.on_order(id, b"order.status", symbol, target, now_ms, out);
    }

    /// `openOrders.status`: of one symbol, or of all (costs more weight).
    pub fn open_orders(
        &mut self,
        id: u64,
        symbol: Option<&Symbol>,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let mut r = self.request(id, b"openOrders.status", Signing::BySession, out);
        r.window();
        if let Some(symbol) = symbol {
            r.text("symbol", symbol.as_bytes());
        }
        r.number("timestamp", now_ms);
        r.finish();
    }

    /// `openOrders.cancelAll`. Without open orders the venue answers "Unknown order sent.".
    pub fn cancel_all(&mut self, id: u64, symbol: &Symbol, now_ms: i64, out: &mut Vec<u8>) {
        let mut r = self.request(id, b"openOrders.cancelAll", Signing::BySession, out);
        r.window();
        r.text("symbol", symbol.as_bytes());
        r.number("timestamp", now_ms);
        r.finish();
    }

    /// `account.status`: balances that are not zero.
    pub fn account(&mut self, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        let mut r = self.request(id, b"account.status", Signing::BySession, out);
        r.raw("omitZeroBalances", b"true");
        r.window();
        r.number("timestamp", now_ms);
        r.finish();
    }

    /// `myTrades` of one symbol, oldest first, at most `limit` (the venue allows 1000).
    pub fn my_trades(
        &mut self,
        id: u64,
        symbol: &Symbol,
        from: TradesFrom,
        limit: u16,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let mut r = self.request(id, b"myTrades", Signing::BySession, out);
        if let TradesFrom::Id(trade) = from {
            r.unsigned("fromId", trade);
        }
        r.unsigned("limit", u64::from(limit));
        if let TradesFrom::Order(order) = from {
            r.unsigned("orderId", order);
        }
        r.window();
        if let TradesFrom::Time(ms) = from {
            r.number("startTime", ms);
        }
        r.text("symbol", symbol.as_bytes());
        r.number("timestamp", now_ms);
        r.finish();
    }

    fn on_order(
        &mut self,
        id: u64,
        method: &[u8],
        symbol: &Symbol,
        target: Target<'_>,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let mut r = self.request(id, method, Signing::BySession, out);
        match target {
            Target::Venue(order) => r.unsigned("orderId", order),
            Target::Client(client) => r.text("origClientOrderId", client),
        }
        r.window();
        r.text("symbol", symbol.as_bytes());
        r.number("timestamp", now_ms);
        r.finish();
    }

    fn request<'a>(
        &'a mut self,
        id: u64,
        method: &[u8],
        signing: Signing,
        out: &'a mut Vec<u8>,
    ) -> Request<'a> {
        let signed = signing == Signing::Always || !self.credentials.signer.opens_sessions();
        open(id, method, out);
        out.extend_from_slice(b",\"params\":{");
        self.payload.clear();
        let mut request = Request {
            out,
            payload: &mut self.payload,
            signed: signed.then_some(&self.credentials),
            recv_window_ms: self.recv_window_ms,
            first: true,
        };
        if signed {
            request.text("apiKey", self.credentials.api_key.as_bytes());
        }
        request
    }
}

/// `exchangeInfo` of these symbols.
pub fn exchange_info(id: u64, symbols: &[&str], out: &mut Vec<u8>) {
    open(id, b"exchangeInfo", out);
    out.extend_from_slice(b",\"params\":{\"symbols\":[");
    for (i, symbol) in symbols.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'"');
        escaped(symbol.as_bytes(), out);
        out.push(b'"');
    }
    out.extend_from_slice(b"]}}");
}

/// `depth`: a snapshot of at most `limit` levels a side.
pub fn depth(id: u64, symbol: &str, limit: u16, out: &mut Vec<u8>) {
    open(id, b"depth", out);
    out.extend_from_slice(b",\"params\":{\"limit\":");
    digits(u64::from(limit), out);
    out.extend_from_slice(b",\"symbol\":\"");
    escaped(symbol.as_bytes(), out);
    out.extend_from_slice(b"\"}}");
}

/// `time`: the venue's clock.
pub fn time(id: u64, out: &mut Vec<u8>) {
    open(id, b"time", out);
    out.push(b'}');
}

/// `ping`: an empty answer.
pub fn ping(id: u64, out: &mut Vec<u8>) {
    open(id, b"ping", out);
    out.push(b'}');
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signing {
    Always,
    BySession,
}

/// A request being written: JSON parameters and, when it is to be signed, the payload.
struct Request<'a> {
    out: &'a mut Vec<u8>,
    payload: &'a mut Vec<u8>,
    signed: Option<&'a Credentials>,
    recv_window_ms: u32,
    first: bool,
}

impl Request<'_> {
    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.push(b'"');
        escaped(value, self.out);
        self.out.push(b'"');
        self.sign_pair(name, value);
    }

    fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
        self.sign_pair(name, value);
    }

    fn decimal(&mut self, name: &str, units: i64, decimals: u8) {
        let mut text = [0; UNITS_TEXT_MAX];
        let n = write_units(units, decimals, &mut text);
        self.text(name, trimmed(&text[..n]));
    }

    fn unsigned(&mut self, name: &str, value: u64) {
        let mut text = [0; 20];
        let at = digits_into(value, &mut text);
        self.raw(name, &text[at..]);
    }

    /// Times and windows; a negative time is a clock fault that the venue will refuse as zero.
    fn number(&mut self, name: &str, value: i64) {
        self.unsigned(name, u64::try_from(value).unwrap_or(0));
    }

    fn window(&mut self) {
        self.unsigned("recvWindow", u64::from(self.recv_window_ms));
    }

    fn finish(self) {
        if let Some(credentials) = self.signed {
            self.out.extend_from_slice(b",\"signature\":\"");
            credentials.signer.sign(self.payload, self.out);
            self.out.push(b'"');
        }
        self.out.extend_from_slice(b"}}");
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn sign_pair(&mut self, name: &str, value: &[u8]) {
        if self.signed.is_none() {
            return;
        }
        if !self.payload.is_empty() {
            self.payload.push(b'&');
        }
        self.payload.extend_from_slice(name.as_bytes());
        self.payload.push(b'=');
        self.payload.extend_from_slice(value);
    }
}

fn open(id: u64, method: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    digits(id, out);
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(method);
    out.push(b'"');
}

fn digits(value: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let at = digits_into(value, &mut text);
    out.extend_from_slice(&text[at..]);
}

/// Writes `value` at the end of `text` and returns where it starts.
fn digits_into(mut value: u64, text: &mut [u8; 20]) -> usize {
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return at;
        }
    }
}

/// Decimal text without zeros behind the last significant decimal.
fn trimmed(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') {
        return text;
    }
    let kept = text.iter().rposition(|c| *c != b'0').map_or(0, |i| i + 1);
    text[..kept].strip_suffix(b".").unwrap_or(&text[..kept])
}

/// JSON string content; symbols and ids come from the venue and are not trusted to be tame.
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    for &c in text {
        match c {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', c]),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(c >> 4)], HEX[usize::from(c & 15)]]);
            }
            _ => out.push(c),
        }
    }
}

const fn side_text(side: Side) -> &'static [u8] {
    match side {
        Side::Buy => b"BUY",
        Side::Sell => b"SELL",
    }
}

const fn tif_text(tif: Tif) -> &'static [u8] {
    match tif {
        // The venue knows no dates: the router withdraws it.
        Tif::Gtc | Tif::Gtd => b"GTC",
        Tif::Ioc => b"IOC",
        Tif::Fok => b"FOK",
    }
}

const fn kind_text(kind: OrderKind) -> &'static [u8] {
    match kind {
        OrderKind::Limit => b"LIMIT",
        OrderKind::Market => b"MARKET",
        OrderKind::LimitMaker => b"LIMIT_MAKER",
        OrderKind::StopLoss => b"STOP_LOSS",
        OrderKind::StopLossLimit => b"STOP_LOSS_LIMIT",
        OrderKind::TakeProfit => b"TAKE_PROFIT",
        OrderKind::TakeProfitLimit => b"TAKE_PROFIT_LIMIT",
    }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;

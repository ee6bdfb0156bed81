//! The Bybit gateway for spot: orders by the trade connection, their events by the private one,
//! questions over HTTPS.
//!
//! The answer to an order says that the request was taken, not that the order stands: it only ends
//! the wait. An order that the venue does not have among the open and the latest closed ones is
//! looked for in its history before it counts as not known.

use bot4_types::{ClientId, Instrument, InstrumentTable, Nanos, OrderKind, RunEpoch};
use bot4_venues::bybit::KEEP_ALIVE_S;
use bot4_venues::bybit::orders::{self, Encoder, FillsOf, Leg};
use bot4_venues::bybit::private::PrivateDecoder;
use bot4_venues::place::Place;
use bot4_venues::secret::SecretKeys;
use bot4_venues::session::KeepAlive;

use crate::gateway::{
    Act, AmendWay, Change, Fact, Gateway, Named, NotUnderstood, OpenLists, Page, Way,
};
use crate::pages::{FillPages, SecondList};
use crate::requests::Purpose;
use crate::rows;
use crate::windows::{Granted, Windows};

mod waiting;

use waiting::Waiting;

/// A third of the dead-man switch's time, s: it is fed by the connection's own pings.
const DEAD_MAN_FEED_S: u64 = orders::DEAD_MAN_S / 3;
/// What the venue grants in a second until it tells more (the Bybit sheet, chapter 7): orders of
/// all instruments together, questions of each kind.
const GRANTED: Granted =
    Granted { window_ms: 1_000, orders: 20, orders_all: 0, questions: 50, balances: 50 };
/// Fills are listed from so long ago at most, ms: the list is to reach beyond now.
const FILLS_BACK_MS: i64 = orders::FILLS_SPAN_MS - 86_400_000;
/// The text ping.
const PING: &[u8] = b"{\"op\":\"ping\"}";

/// Bybit spot.
pub struct BybitGateway {
    encoder: Encoder,
    decoder: PrivateDecoder,
    epoch: RunEpoch,
    /// The account's dead-man switch is armed.
    dead_man: bool,
    /// Where questions for fills begin and go on.
    pages: FillPages,
    /// Orders that are to be looked for in the history.
    older: SecondList,
    /// Orders that wait for a trigger.
    waiting: Waiting,
    windows: Windows,
}

impl BybitGateway {
    /// A gateway with these keys for the instruments of `table` in run `epoch`; with `dead_man` its
    /// events arm the account's dead-man switch.
    #[must_use]
    pub fn new(keys: SecretKeys, table: &InstrumentTable, epoch: RunEpoch, dead_man: bool) -> Self {
        Self {
            encoder: Encoder::new(keys),
            decoder: PrivateDecoder::new(table),
            epoch,
            dead_man,
            pages: FillPages::new(table.all().len()),
            older: SecondList::default(),
            waiting: Waiting::new(),
            windows: Windows::new(&GRANTED, 1),
        }
    }
}

impl Gateway for BybitGateway {
    fn logons(&self) -> &'static [Way] {
        &[Way::Orders, Way::Events]
    }

    fn ways(&self) -> fn(&Purpose) -> Way {
        |purpose| match purpose {
            Purpose::Place(_) | Purpose::Cancel(_) | Purpose::Amend(_) => Way::Orders,
            Purpose::Subscribe => Way::Events,
            _ => Way::Rest,
        }
    }

    fn permits(&mut self, act: &Act<'_>, now_ms: i64) -> bool {
        self.pages.look(now_ms);
        self.windows.permits(act, now_ms)
    }

    fn counts_apart(&self) -> bool {
        true
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        let every = if self.dead_man { DEAD_MAN_FEED_S } else { KEEP_ALIVE_S };
        Some(KeepAlive { every: Nanos::from_secs(every), text: PING })
    }

    fn logon(&mut self, way: Way, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.older.begin();
        self.pages.begin(now_ms);
        let leg = if way == Way::Orders { Leg::Trade } else { Leg::Private };
        self.encoder.logon(leg, id, now_ms, out);
    }

    fn subscribe(&mut self, _: usize, id: u64, _: i64, out: &mut Vec<u8>) {
        self.encoder.subscribe(id, self.dead_man, out);
    }

    fn takes(&self, _: OrderKind) -> bool {
        true
    }

    fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        self.encoder.place(order, out);
        if order.kind.is_triggered() {
            self.waiting.push(order.instrument.id, order.client);
        }
    }

    fn not_placed(&mut self, client: &ClientId) {
        self.waiting.take_back(client);
    }

    /// In place; the venue counts what is filled in the quantity, so that a fill in the meantime
    /// makes it no larger.
    fn amend_way(&self, change: &Change) -> AmendWay {
        change.in_place()
    }

    fn amend(
        &mut self,
        id: u64,
        order: &Named<'_>,
        change: &Change,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        self.encoder.amend(&change.request(id, order, now_ms), out);
    }

    fn cancel(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let kept = self.waiting.list_of(&order.client);
        self.encoder.cancel(id, &order.instrument.symbol, (&order.client, kept), now_ms, out);
    }

    fn status(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let history = self.older.has(&order.client);
        self.encoder.order_status(&order.client.0, history, now_ms, out);
    }

    fn lists_open(&self, _: usize) -> OpenLists {
        OpenLists::OfAccount
    }

    fn list_open(&mut self, _: u64, _: Option<&Instrument>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.open_orders("", now_ms, out);
    }

    fn cancel_all(&mut self, _: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>) {
        let kept = self.waiting.next_list(instrument.id);
        self.encoder.cancel_all(&instrument.symbol, kept, now_ms, out);
    }

    fn time(&mut self, _: u64, out: &mut Vec<u8>) {
        orders::server_time(out);
    }

    fn balances(&mut self, _: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.balances(now_ms, out);
    }

    fn fills_after(
        &mut self,
        _: u64,
        instrument: &Instrument,
        after: u64,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let cursor = self.pages.after(instrument.id, after);
        // The list ends a while after it begins: from long ago on it would not reach until now.
        let since_ms = self.pages.since_ms(instrument.id).max(now_ms - FILLS_BACK_MS);
        let of = FillsOf::Since(&instrument.symbol, since_ms);
        self.encoder.fills(of, &cursor, now_ms, out);
    }

    fn fills_of(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let cursor = self.pages.of_order(&order.client);
        self.encoder.fills(FillsOf::Order(&order.client.0), &cursor, now_ms, out);
    }

    fn window(&self) -> Nanos {
        Nanos::from_millis(u64::from(orders::RECV_WINDOW_MS))
    }

    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let told = self.decoder.decode(text).map_err(|_| NotUnderstood)?;
        if let Some(limit) = self.decoder.limit.take() {
            self.windows.observe(limit.most, limit.left, limit.now_ms);
        }
        self.pages.note(&self.decoder.rows.fills);
        self.waiting.note(&self.decoder.rows.orders);
        rows::tell(&self.decoder.rows, &told, self.epoch, facts);
        Ok(())
    }

    fn decode_page(&mut self, page: &Page<'_>, facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let told = self.decoder.page(page.id, page.status, page.now_ms, page.text);
        let mut told = told.map_err(|_| NotUnderstood)?;
        let rows = &self.decoder.rows;
        self.waiting.note(&rows.orders);
        self.pages.turn(page, rows, &mut told);
        if let Purpose::Status(order) = page.purpose {
            self.older.turn(order, !rows.orders.is_empty(), &mut told);
        }
        rows::tell(rows, &told, self.epoch, facts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Failure;
    use bot4_types::{ClientId, InstrumentId, OrderId, Symbol};
    use bot4_venues::rest::RestRequest;
    use bot4_venues::secret::Scheme;

    const EPOCH: RunEpoch = RunEpoch(3);
    const FILL: &str = r#"{"id":"1","topic":"execution","creationTime":1,"data":[{"category":"spot","symbol":"BTCUSDT","execFee":"0","execId":"5","execPrice":"2","execQty":"1","execType":"Trade","isMaker":true,"orderId":"9","orderLinkId":"","side":"Buy","execTime":"60000"}]}"#;

    fn gateway() -> (BybitGateway, Instrument) {
        let mut table = InstrumentTable::new();
        let symbol = Symbol::new("BTCUSDT").expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        let keys = SecretKeys::read("key", "secret", Scheme::Sha256Hex).expect("keys");
        let instrument = table.all()[0];
        (BybitGateway::new(keys, &table, EPOCH, true), instrument)
    }

    fn path_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        RestRequest::parse(&out).expect("a request").path.to_owned()
    }

    #[test]
    fn not_known_is_an_answer_of_the_history_only() {
        let (mut gateway, instrument) = gateway();
        let (order, client) = (OrderId(7), ClientId::new(EPOCH, OrderId(7)));
        let named = Named { instrument: &instrument, venue_order: 0, client };
        let empty =
            br#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[]},"time":5}"#;
        let told = |gateway: &mut BybitGateway, id| {
            let purpose = Purpose::Status(order);
            let page = Page { id, purpose, status: 200, now_ms: 5, text: empty };
            let mut facts = Vec::new();
            gateway.decode_page(&page, &mut facts).expect("read");
            facts
        };
        for round in [1, 3] {
            let path = path_of(|out| gateway.status(round, &named, 1, out));
            assert!(path.starts_with("/v5/order/realtime?"), "{path}");
            assert_eq!(told(&mut gateway, round), [Fact::More { id: round }]);
            let path = path_of(|out| gateway.status(round + 1, &named, 1, out));
            assert!(path.starts_with("/v5/order/history?"), "{path}");
            let unknown = Fact::Failed { id: round + 1, failure: Failure::NotFound };
            assert_eq!(told(&mut gateway, round + 1), [unknown]);
        }
    }

    #[test]
    fn an_address_that_asked_too_much_is_left_out_for_ten_minutes() {
        let (mut gateway, _) = gateway();
        let now_ms = 1_700_000_000_000;
        let page = Page { id: 3, purpose: Purpose::Balances, status: 403, now_ms, text: b"" };
        let mut facts = Vec::new();
        gateway.decode_page(&page, &mut facts).expect("read");
        let failure = Failure::Limited { until_ms: now_ms + 600_000, orders_only: false };
        assert_eq!(facts, [Fact::Failed { id: 3, failure }]);
    }

    #[test]
    fn what_a_session_hears_does_not_cut_off_what_was_missed_before_it() {
        let (mut gateway, instrument) = gateway();
        let asked_at = |gateway: &mut BybitGateway, now_ms| {
            path_of(|out| gateway.fills_after(1, &instrument, 4, now_ms, out))
        };
        let asked = |gateway: &mut BybitGateway| asked_at(gateway, 61_000);
        gateway.logon(Way::Orders, 1, 60_500, &mut Vec::new());
        let mut facts = Vec::new();
        gateway.decode(FILL.as_bytes(), &mut facts).expect("read");
        assert!(matches!(facts[..], [Fact::Fill { venue_order: 9, .. }]), "{facts:?}");
        assert!(asked(&mut gateway).contains("&startTime=0&"));
        gateway.logon(Way::Orders, 2, 62_000, &mut Vec::new());
        assert!(asked(&mut gateway).contains("&startTime=59000&"));
        // Ten days later the list from there on would not reach until now: it begins later.
        let later = asked_at(&mut gateway, 10 * 86_400_000);
        assert!(later.contains(&format!("&startTime={}&", 4 * 86_400_000)), "{later}");
    }
}

//! The OKX gateway for spot: orders and their events by one connection, questions over HTTPS.
//!
//! The answer to an order says that the request was taken, not that the order stands: it only ends
//! the wait. The venue has no request that cancels everything of an instrument; what is open is
//! known here by its client ids, and cancelled in batches.

use bot4_types::{ClientId, Instrument, InstrumentTable, Nanos, RunEpoch};
use bot4_venues::okx::SILENCE_S_MAX;
use bot4_venues::okx::orders::{self, DEAD_MAN_S, Encoder};
use bot4_venues::okx::private::{PageKind, PrivateDecoder};
use bot4_venues::place::Place;
use bot4_venues::secret::SecretKeys;
use bot4_venues::session::KeepAlive;

use crate::gateway::{
    Act, AmendWay, Change, Fact, Gateway, Named, NotUnderstood, OpenLists, Page, Way,
};
use crate::open_list::OpenList;
use crate::pages::FillPages;
use crate::requests::Purpose;
use crate::rows;
use crate::windows::{Granted, Windows};

/// What the venue grants (the OKX sheet, chapter 2): orders of an instrument, and of the account,
/// in two seconds; each kind of question likewise.
const GRANTED: Granted =
    Granted { window_ms: 2_000, orders: 60, orders_all: 1_000, questions: 60, balances: 10 };
/// The text ping, neither JSON nor a control frame.
const PING: &[u8] = b"ping";

/// OKX spot.
pub struct OkxGateway {
    encoder: Encoder,
    decoder: PrivateDecoder,
    epoch: RunEpoch,
    /// Where questions for fills begin and go on.
    pages: FillPages,
    /// Orders that were placed and not told ended.
    open: OpenList,
    windows: Windows,
}

impl OkxGateway {
    /// A gateway with these keys for the instruments of `table`, whose codes at the venue are
    /// `codes`, in run `epoch`.
    #[must_use]
    pub fn new(
        keys: SecretKeys,
        table: &InstrumentTable,
        codes: Vec<u64>,
        epoch: RunEpoch,
    ) -> Self {
        let instruments = table.all().len();
        Self {
            encoder: Encoder::new(keys, codes),
            decoder: PrivateDecoder::new(table),
            epoch,
            pages: FillPages::new(instruments),
            open: OpenList::default(),
            windows: Windows::new(&GRANTED, instruments),
        }
    }
}

impl Gateway for OkxGateway {
    fn ways(&self) -> fn(&Purpose) -> Way {
        |purpose| match purpose {
            Purpose::Place(_) | Purpose::Cancel(_) | Purpose::Amend(_) => Way::Orders,
            Purpose::CancelAll(_) | Purpose::Subscribe => Way::Orders,
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
        Some(KeepAlive { every: Nanos::from_secs(SILENCE_S_MAX / 2), text: PING })
    }

    fn dead_man_every(&self) -> Option<Nanos> {
        Some(Nanos::from_millis(DEAD_MAN_S * 1_000 / 3))
    }

    fn feed_dead_man(&mut self, _: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.dead_man(DEAD_MAN_S, now_ms, out);
    }

    fn logon(&mut self, _: Way, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.pages.begin(now_ms);
        self.decoder.logon = id;
        self.encoder.logon(now_ms, out);
    }

    fn subscribe(&mut self, _: usize, id: u64, _: i64, out: &mut Vec<u8>) {
        self.decoder.expect_channels(id);
        self.encoder.subscribe(id, out);
    }

    fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        self.encoder.place(order, out);
        self.open.push(order.instrument.id, order.client);
    }

    fn not_placed(&mut self, client: &ClientId) {
        self.open.take_back(client);
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
        self.encoder.cancel(id, order.instrument, &order.client, now_ms, out);
    }

    fn status(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.order_status(&order.instrument.symbol, &order.client.0, now_ms, out);
    }

    fn lists_open(&self, _: usize) -> OpenLists {
        OpenLists::OfAccount
    }

    fn list_open(&mut self, _: u64, _: Option<&Instrument>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.open_orders("", now_ms, out);
    }

    fn cancel_all(&mut self, id: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>) {
        let batch = self.open.batch(instrument.id, orders::BATCH_MAX);
        if !batch.is_empty() {
            self.encoder.cancel_batch(id, instrument, batch.iter(), now_ms, out);
        }
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
        let since_ms = self.pages.since_ms(instrument.id);
        self.encoder.fills_since(&instrument.symbol, since_ms, &cursor, now_ms, out);
    }

    fn fills_of(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let cursor = self.pages.of_order(&order.client);
        self.encoder.fills_of(order.venue_order, &cursor, now_ms, out);
    }

    fn window(&self) -> Nanos {
        Nanos::from_millis(orders::WINDOW_MS.unsigned_abs())
    }

    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let told = self.decoder.decode(text).map_err(|_| NotUnderstood)?;
        self.pages.note(&self.decoder.rows.fills);
        self.open.note(&self.decoder.rows.orders);
        rows::tell(&self.decoder.rows, &told, self.epoch, facts);
        Ok(())
    }

    fn decode_page(&mut self, page: &Page<'_>, facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let kind = match page.purpose {
            Purpose::Status(_) | Purpose::ListOpen(_) => PageKind::Orders,
            Purpose::FillsAfter(..) | Purpose::FillsOf(_) => PageKind::Fills,
            _ => PageKind::Other,
        };
        let told = self.decoder.page(page.id, kind, page.status, page.text);
        let mut told = told.map_err(|_| NotUnderstood)?;
        self.pages.turn(page, &self.decoder.rows, &mut told);
        self.open.note(&self.decoder.rows.orders);
        rows::tell(&self.decoder.rows, &told, self.epoch, facts);
        Ok(())
    }
}

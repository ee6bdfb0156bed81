//! The OKX gateway for spot: orders and their events by one connection, questions over HTTPS.
//!
//! The answer to an order says that the request was taken, not that the order stands: it only ends
//! the wait. The venue has no request that cancels everything of an instrument; what is open is
//! known here by its client ids, and cancelled in batches.

use bot4_types::{
    ClientId, Instrument, InstrumentId, InstrumentTable, Nanos, OrderIntent, RunEpoch,
};
use bot4_venues::account::{OrderRow, RowState};
use bot4_venues::limits::Cost;
use bot4_venues::okx::SILENCE_S_MAX;
use bot4_venues::okx::orders::{self, DEAD_MAN_S, Encoder, Place};
use bot4_venues::okx::private::{PageKind, PrivateDecoder};
use bot4_venues::secret::SecretKeys;
use bot4_venues::session::KeepAlive;

use crate::gateway::{Fact, Gateway, Named, NotUnderstood, Page, Way};
use crate::pages::FillPages;
use crate::requests::Purpose;
use crate::rows;

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
    open: Vec<(InstrumentId, ClientId)>,
    /// How many of them, from the newest on, the last batch of cancels came to.
    canceled: usize,
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
            open: Vec::with_capacity(bot4_types::limits::ORDERS_OPEN_MAX),
            canceled: 0,
        }
    }

    /// Remembers when fills were and which orders have ended.
    fn note_rows(&mut self) {
        self.pages.note(&self.decoder.rows.fills);
        let ended = |row: &&OrderRow| row.state != RowState::Open;
        for row in self.decoder.rows.orders.iter().filter(ended) {
            let at = self.open.iter().position(|(_, client)| client.0 == *row.client.as_bytes());
            if let Some(at) = at {
                self.open.swap_remove(at);
            }
        }
    }
}

impl Gateway for OkxGateway {
    fn needs_logon(&self) -> bool {
        true
    }

    fn ways(&self) -> fn(&Purpose) -> Way {
        |purpose| match purpose {
            Purpose::Place(_) | Purpose::Cancel(_) => Way::Orders,
            Purpose::CancelAll(_) | Purpose::Subscribe => Way::Orders,
            _ => Way::Rest,
        }
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
        self.pages.begin();
        self.decoder.logon = id;
        self.encoder.logon(now_ms, out);
    }

    fn subscribe(&mut self, id: u64, _: i64, out: &mut Vec<u8>) {
        self.decoder.expect_channels(id);
        self.encoder.subscribe(id, out);
    }

    fn place(
        &mut self,
        id: u64,
        instrument: &Instrument,
        client: ClientId,
        intent: &OrderIntent,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let order = Place {
            id,
            instrument,
            client,
            side: intent.side,
            kind: intent.kind,
            tif: intent.tif,
            price: intent.price.0,
            qty: intent.qty.0,
            now_ms,
        };
        self.encoder.place(&order, out);
        // One that is refused at once stays here until its turn to be forgotten: cancelling it is
        // harmless.
        if self.open.len() == self.open.capacity() {
            self.open.remove(0);
        }
        self.open.push((instrument.id, client));
    }

    fn cancel(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.cancel(id, order.instrument, &order.client, now_ms, out);
    }

    fn status(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.order_status(&order.instrument.symbol, &order.client.0, now_ms, out);
    }

    /// A batch, the newest first; the next call goes on behind it, for some of these were refused
    /// at once and hide older ones that rest.
    fn cancel_all(&mut self, id: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>) {
        let of =
            |(i, client): &'_ (InstrumentId, ClientId)| (*i == instrument.id).then_some(*client);
        let all: Vec<ClientId> = self.open.iter().rev().filter_map(of).collect();
        if all.is_empty() {
            return;
        }
        let from = if self.canceled < all.len() { self.canceled } else { 0 };
        let batch = &all[from..all.len().min(from + orders::BATCH_MAX)];
        self.canceled = from + batch.len();
        self.encoder.cancel_batch(id, instrument, batch.iter(), now_ms, out);
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
        let cursor = self.pages.take(Purpose::FillsAfter(instrument.id, after));
        let since_ms = self.pages.since_ms(instrument.id);
        self.encoder.fills_since(&instrument.symbol, since_ms, &cursor, now_ms, out);
    }

    fn fills_of(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let own = ClientId::parse(&order.client.0).map(|(_, order)| Purpose::FillsOf(order));
        let cursor = own.map(|purpose| self.pages.take(purpose)).unwrap_or_default();
        self.encoder.fills_of(order.venue_order, &cursor, now_ms, out);
    }

    fn cost_place(&self) -> Cost {
        Cost { orders: 1, weight: 0 }
    }

    fn cost_cancel(&self) -> Cost {
        Cost::default()
    }

    fn cost_query(&self) -> Cost {
        Cost::default()
    }

    /// Pages go on by their cursor.
    fn fills_limit(&self) -> usize {
        usize::MAX
    }

    fn window(&self) -> Nanos {
        Nanos::from_millis(orders::WINDOW_MS.unsigned_abs())
    }

    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let told = self.decoder.decode(text).map_err(|_| NotUnderstood)?;
        self.note_rows();
        rows::tell(&self.decoder.rows, self.epoch, facts);
        rows::conclude(&told, facts);
        Ok(())
    }

    fn decode_page(&mut self, page: &Page<'_>, facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let kind = match page.purpose {
            Purpose::Status(_) => PageKind::Orders,
            Purpose::FillsAfter(..) | Purpose::FillsOf(_) => PageKind::Fills,
            _ => PageKind::Other,
        };
        let told = self.decoder.page(page.id, kind, page.status, page.text);
        let mut told = told.map_err(|_| NotUnderstood)?;
        // One order is no list that goes on.
        told.more &= kind == PageKind::Fills;
        if told.more {
            self.pages.go_on(page.purpose, self.decoder.cursor.clone());
        }
        if page.purpose != Purpose::Time {
            told.server_ms = None;
        }
        self.note_rows();
        rows::tell(&self.decoder.rows, self.epoch, facts);
        rows::conclude(&told, facts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{
        Cause, Nanos, OrderAction, OrderId, OrderKind, Price, Qty, Side, StrategyId, Symbol, Tif,
        Trail,
    };
    use bot4_venues::secret::Scheme;

    const EPOCH: RunEpoch = RunEpoch(3);

    fn intent(order: u64) -> OrderIntent {
        OrderIntent {
            trail: Trail::default(),
            order: OrderId(order),
            price: Price(7),
            qty: Qty(8),
            stop_ticks: 1,
            instrument: InstrumentId(0),
            strategy: StrategyId(0),
            cause: Cause::Timer,
            expires: Nanos(99),
            action: OrderAction::Place,
            kind: OrderKind::Limit,
            tif: Tif::Gtc,
            side: Side::Sell,
        }
    }

    /// What is open is withdrawn in batches, the newest first, and what has ended is not named.
    #[test]
    fn everything_open_is_withdrawn_in_batches() {
        let mut table = InstrumentTable::new();
        let symbol = Symbol::new("BTC-USDT").expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        let keys = SecretKeys::read("key", "secret\nphrase", Scheme::Sha256Base64).expect("keys");
        let instrument = table.all()[0];
        let mut gateway = OkxGateway::new(keys, &table, vec![5], EPOCH);
        let withdrawn = |gateway: &mut OkxGateway| -> Vec<String> {
            let mut out = Vec::new();
            gateway.cancel_all(1, &instrument, 1, &mut out);
            let text: serde_json::Value = serde_json::from_slice(&out).unwrap_or_default();
            let args = text["args"].as_array().cloned().unwrap_or_default();
            args.iter().filter_map(|a| a["clOrdId"].as_str().map(str::to_owned)).collect()
        };
        assert!(withdrawn(&mut gateway).is_empty(), "nothing is open");
        let name = |order| {
            let client = ClientId::new(EPOCH, OrderId(order));
            String::from_utf8(client.0.to_vec()).expect("ascii")
        };
        for order in 1..=25 {
            let client = ClientId::new(EPOCH, OrderId(order));
            gateway.place(order, &instrument, client, &intent(order), 1, &mut Vec::new());
        }
        let first = withdrawn(&mut gateway);
        assert_eq!((first.len(), first[0].clone()), (orders::BATCH_MAX, name(25)));
        for order in 6..=25 {
            let text = format!(
                r#"{{"arg":{{"channel":"orders"}},"data":[{{"instType":"SPOT","instId":"BTC-USDT","ordId":"{order}","clOrdId":"{}","state":"canceled","accFillSz":"0","cancelSource":"1","tradeId":""}}]}}"#,
                name(order)
            );
            gateway.decode(text.as_bytes(), &mut Vec::new()).expect("read");
        }
        assert_eq!(withdrawn(&mut gateway), [5, 4, 3, 2, 1].map(name));
    }
}

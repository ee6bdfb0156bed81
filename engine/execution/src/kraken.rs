//! The Kraken gateway: orders, their events and the dead-man switch by one connection, the token
//! for it and questions over HTTPS.
//!
//! The answer to an order says that it was accepted; what became of it comes as an event. Cancels
//! of young orders are the dear action at this venue: an order is placed only while there is room
//! left to cancel everything of its pair at once, so that no cancel is ever refused for its rate.

use std::collections::BTreeMap;

use bot4_types::{ClientId, Instrument, InstrumentTable, Nanos, OrderId, OrderKind, RunEpoch};
use bot4_venues::kraken::KEEP_ALIVE_S;
use bot4_venues::kraken::orders::{self, Channel, DEAD_MAN_S, Encoder};
use bot4_venues::kraken::private::{PageKind, PrivateDecoder};
use bot4_venues::limits::Cost;
use bot4_venues::place::Place;
use bot4_venues::secret::SecretKeys;
use bot4_venues::session::KeepAlive;

use crate::gateway::{
    Act, AmendWay, Change, Fact, Gateway, Named, NotUnderstood, OpenLists, Page, Way,
};
use crate::open_list::OpenList;
use crate::pages::{FillPages, LOOK_MS, SecondList};
use crate::requests::Purpose;
use crate::rows;

mod rates;

use rates::Rates;

/// The ping that keeps the connection.
const PING: &[u8] = b"{\"method\":\"ping\"}";
/// Orders whose times are remembered.
const PLACED_MAX: usize = 2 * bot4_types::limits::ORDERS_OPEN_MAX;
/// The venue's clock is known to this much, ms: fills of an order are asked for from so long before
/// it was placed, and fills of so long before the run are still taken for its own.
const CLOCK_MS: i64 = 200;

/// Kraken Spot.
pub struct KrakenGateway {
    encoder: Encoder,
    decoder: PrivateDecoder,
    epoch: RunEpoch,
    /// Where questions for fills begin and go on.
    pages: FillPages,
    /// Orders that are to be looked for among the closed ones.
    closed: SecondList,
    /// Orders that were placed and not told ended.
    open: OpenList,
    /// When orders were placed, venue Unix ms.
    placed: BTreeMap<OrderId, i64>,
    /// When the first session began.
    begun_ms: Option<i64>,
    /// When an order was placed is known to this and [`CLOCK_MS`]: the venue's clock went back.
    unsure_ms: i64,
    rates: Rates,
}

impl KrakenGateway {
    /// A gateway with these keys for the instruments of `table` in run `epoch`.
    #[must_use]
    pub fn new(keys: SecretKeys, table: &InstrumentTable, epoch: RunEpoch) -> Self {
        let instruments = table.all().len();
        Self {
            encoder: Encoder::new(keys),
            decoder: PrivateDecoder::new(table),
            epoch,
            pages: FillPages::new(instruments),
            closed: SecondList::default(),
            open: OpenList::default(),
            placed: BTreeMap::new(),
            begun_ms: None,
            unsure_ms: 0,
            rates: Rates::new(instruments),
        }
    }

    /// A look at the venue's clock. Where it went back, times that are remembered do, too: else
    /// fills of from then on would count as of before the run, or of before their order.
    fn look(&mut self, now_ms: i64) {
        let less = self.pages.look(now_ms);
        if less > 0 {
            self.begun_ms = self.begun_ms.map(|begun| begun - less - LOOK_MS);
            self.placed.values_mut().for_each(|placed| *placed -= less);
            self.unsure_ms = LOOK_MS;
        }
    }

    /// When the order of this name was placed; when the run began where that is forgotten.
    fn placed_ms(&self, client: &ClientId) -> i64 {
        let own = ClientId::parse(&client.0).and_then(|(_, order)| self.placed.get(&order));
        own.copied().or(self.begun_ms).unwrap_or(0)
    }
}

impl Gateway for KrakenGateway {
    /// The token that every request of the connection carries.
    fn logons(&self) -> &'static [Way] {
        &[Way::Rest]
    }

    fn ways(&self) -> fn(&Purpose) -> Way {
        |purpose| match purpose {
            Purpose::Status(_) | Purpose::ListOpen(_) => Way::Rest,
            Purpose::FillsOf(_) | Purpose::FillsAfter(..) => Way::Rest,
            Purpose::Balances => Way::Rest,
            _ => Way::Orders,
        }
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive { every: Nanos::from_secs(KEEP_ALIVE_S), text: PING })
    }

    fn dead_man_every(&self) -> Option<Nanos> {
        Some(Nanos::from_millis(DEAD_MAN_S * 1_000 / 3))
    }

    fn feed_dead_man(&mut self, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.look(now_ms);
        self.encoder.dead_man(id, DEAD_MAN_S, out);
    }

    fn permits(&mut self, act: &Act<'_>, now_ms: i64) -> bool {
        self.look(now_ms);
        let age_ms = |named: &Named<'_>| now_ms - self.placed_ms(&named.client);
        match act {
            Act::Place(instrument) => {
                let open = self.open.count(instrument.id);
                self.rates.place(instrument.id, open, now_ms)
            }
            Act::Amend(named) => {
                let (age_ms, open) = (age_ms(named), self.open.count(named.instrument.id));
                self.rates.amend(named.instrument.id, age_ms, open, now_ms)
            }
            Act::Cancel(named) => {
                let age_ms = age_ms(named);
                self.rates.cancel(named.instrument.id, age_ms, now_ms);
                true
            }
            Act::Ask(purpose, leisure) => self.rates.ask(purpose, *leisure, now_ms),
        }
    }

    fn logon(&mut self, _: Way, _: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.look(now_ms);
        self.begun_ms.get_or_insert(now_ms - CLOCK_MS);
        self.pages.begin(now_ms);
        self.closed.begin();
        self.decoder.begin();
        self.encoder.ask_token(now_ms, out);
    }

    fn subscriptions(&self) -> usize {
        2
    }

    fn subscribe(&mut self, part: usize, id: u64, _: i64, out: &mut Vec<u8>) {
        let channel = if part == 0 { Channel::Executions } else { Channel::Balances };
        self.encoder.subscribe(channel, id, out);
    }

    fn takes(&self, _: OrderKind) -> bool {
        true
    }

    fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        self.encoder.place(order, out);
        self.open.push(order.instrument.id, order.client);
        if let Some((_, own)) = ClientId::parse(&order.client.0) {
            if self.placed.len() == PLACED_MAX {
                self.placed.pop_first();
            }
            self.placed.insert(own, order.now_ms);
        }
    }

    fn not_placed(&mut self, client: &ClientId) {
        self.open.take_back(client);
        if let Some((_, own)) = ClientId::parse(&client.0) {
            self.placed.remove(&own);
        }
    }

    /// In place, which costs less of the counters than a cancel; the venue counts what is filled in
    /// the quantity, so that a fill in the meantime makes it no larger.
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
        let post_only = change.kind == OrderKind::LimitMaker;
        self.encoder.amend(&change.request(id, order, now_ms), post_only, out);
    }

    fn cost_amend(&self, _: AmendWay) -> Cost {
        Cost::default()
    }

    fn cancel(&mut self, id: u64, order: &Named<'_>, _: i64, out: &mut Vec<u8>) {
        self.encoder.cancel(id, core::iter::once(&order.client), out);
    }

    fn status(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let client = &order.client.0;
        if self.closed.has(&order.client) {
            self.encoder.closed_order(client, now_ms, out);
        } else {
            self.encoder.open_orders(Some(client), now_ms, out);
        }
    }

    fn lists_open(&self, _: usize) -> OpenLists {
        OpenLists::OfAccount
    }

    fn list_open(&mut self, _: u64, _: Option<&Instrument>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.open_orders(None, now_ms, out);
    }

    fn cancel_all(&mut self, id: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>) {
        let batch = self.open.batch(instrument.id, orders::BATCH_MAX);
        for client in &batch {
            self.rates.cancel(instrument.id, now_ms - self.placed_ms(client), now_ms);
        }
        if !batch.is_empty() {
            self.encoder.cancel(id, batch.iter(), out);
        }
    }

    fn time(&mut self, id: u64, out: &mut Vec<u8>) {
        orders::ping(id, out);
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
        let since_ms = self.pages.since_ms(instrument.id).max(self.begun_ms.unwrap_or(0));
        self.encoder.fills_since(since_ms, &cursor, now_ms, out);
    }

    /// The venue lists fills by time only.
    fn fills_of(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let cursor = self.pages.of_order(&order.client);
        let since_ms = self.placed_ms(&order.client) - CLOCK_MS - self.unsure_ms;
        self.encoder.fills_since(since_ms, &cursor, now_ms, out);
    }

    fn window(&self) -> Nanos {
        Nanos::from_millis(orders::DEADLINE_MS.unsigned_abs())
    }

    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let told = self.decoder.decode(text).map_err(|_| NotUnderstood)?;
        if let Some(max) = self.decoder.rate_max.take() {
            self.rates.learn(max);
        }
        self.pages.note(&self.decoder.rows.fills);
        self.open.note(&self.decoder.rows.orders);
        rows::tell(&self.decoder.rows, &told, self.epoch, facts);
        Ok(())
    }

    fn decode_page(&mut self, page: &Page<'_>, facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let kind = match page.purpose {
            Purpose::Logon(_) => PageKind::Token,
            Purpose::Status(_) | Purpose::ListOpen(_) => PageKind::Orders,
            Purpose::FillsAfter(..) | Purpose::FillsOf(_) => PageKind::Fills,
            Purpose::Balances => PageKind::Balances,
            _ => PageKind::Other,
        };
        let told = self.decoder.page(page.id, kind, page.status, page.text);
        let mut told = told.map_err(|_| NotUnderstood)?;
        if kind == PageKind::Token {
            self.encoder.token.clone_from(&self.decoder.token);
        }
        // Lists begin at a whole second: what is of before this run is not this run's.
        let begun_ms = self.begun_ms.unwrap_or(0);
        self.decoder.rows.fills.retain(|fill| fill.time_ms >= begun_ms);
        let rows = &self.decoder.rows;
        self.pages.turn(page, rows, &mut told);
        if let Purpose::Status(order) = page.purpose {
            self.closed.turn(order, !rows.orders.is_empty(), &mut told);
        }
        self.open.note(&rows.orders);
        rows::tell(rows, &told, self.epoch, facts);
        Ok(())
    }
}

#[cfg(test)]
#[path = "kraken/tests.rs"]
mod tests;

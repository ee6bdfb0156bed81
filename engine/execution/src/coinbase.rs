//! The Coinbase gateway for spot: orders and questions by requests, the account's events by a
//! connection of its own.
//!
//! **Orders have no deadline here**, so no silence and no "not found" proves that one will not
//! arrive any more. But a client id is used once: repeating it returns the first order. An order
//! whose answer was lost is therefore repeated under its client id, in terms that cannot trade: at
//! a price far on the safe side, to be filled at once or not at all. Either the venue names the
//! first order, or this one takes its place and ends unfilled; in both cases the client id is used
//! up, the venue's id is known, and the order's state can be asked for. Where the repetition is
//! refused, which proves nothing, the order is looked for among the latest of its instrument; so it
//! is where nothing may be placed any more, and where no price is safe enough. For the same reason
//! no list that lacks an order, and no status 404, ever counts as "not found".
//!
//! For want of a deadline an edit is asked for only to take quantity away, at the same price: it
//! keeps the order's place, and if it comes after we have given it up, it takes nothing that was
//! counted on. A price that changes late would be one that nobody reserved for.
//!
//! The venue takes no name but its own for cancels and edits: ids are remembered from answers and
//! events. Fills are told by pages alone; the events count them.

use std::collections::BTreeMap;

use bot4_types::{
    ClientId, DoneReason, Instrument, InstrumentTable, Nanos, OrderId, OrderKind, Qty, RunEpoch,
    Side, Tif, limits,
};
use bot4_venues::account::{Refusal, Told};
use bot4_venues::client_text::ClientText;
use bot4_venues::coinbase::orders::{
    BATCH_MAX, Encoder, FillsOf, OrdersOf, WINDOW_MS, server_time,
};
use bot4_venues::coinbase::private::{PageKind, PrivateDecoder};
use bot4_venues::coinbase::token::TokenKeys;
use bot4_venues::limits::Cost;
use bot4_venues::place::Place;

use crate::gateway::{
    AmendWay, Change, Fact, Gateway, Named, NotUnderstood, OpenLists, OrderKey, Page, VenueState,
    Way,
};
use crate::open_list::OpenList;
use crate::pages::FillPages;
use crate::requests::Purpose;
use crate::rows;

/// Orders whose venue numbers are remembered: the open ones, and as many that have ended.
const NUMBERS_MAX: usize = 2 * limits::ORDERS_OPEN_MAX;
/// Heartbeats come every second; where three are missing nobody speaks on the connection, ms. Its
/// end takes the connections of orders along, which a dead path leaves as dead.
const SILENCE_MS: i64 = 3_000;
/// How far on the safe side of its price an order is repeated, a part in so many.
const SAFE_PART: i64 = 4;
/// And how far at least, where the venue's least value is in the way.
const SAFE_PART_MIN: i64 = 10;

/// What an order was sent with, until the venue has named it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    order: OrderId,
    side: Side,
    price: i64,
    qty: i64,
    /// It waits for a trigger.
    waits: bool,
}

/// How an order's state was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By the venue's id.
    ById,
    /// By repeating it.
    Repeated,
    /// Among the latest of its instrument.
    Latest,
}

/// Coinbase spot.
pub struct CoinbaseGateway {
    encoder: Encoder,
    decoder: PrivateDecoder,
    table: InstrumentTable,
    epoch: RunEpoch,
    /// Where questions for fills begin and go on.
    pages: FillPages,
    /// Where the page of balances goes on.
    balances: String,
    /// Orders that were placed and not told ended.
    open: OpenList,
    /// Orders that the venue has not named, oldest first.
    sent: Vec<Sent>,
    /// The venue's numbers of own orders, and back.
    numbers: BTreeMap<OrderId, u64>,
    own: BTreeMap<u64, OrderId>,
    /// States that are being asked for.
    asked: Vec<(OrderId, Form)>,
    /// Orders whose repetition was refused.
    refused: Vec<OrderId>,
    /// No order may be placed, not even one that cannot trade.
    held: bool,
    /// Heartbeats heard at the last look, and when one was new, venue ms.
    beats: (u64, i64),
}

impl CoinbaseGateway {
    /// A gateway with these keys for the REST host `host`, as its `Host` header names it, and the
    /// instruments of `table` in run `epoch`.
    #[must_use]
    pub fn new(keys: TokenKeys, host: &str, table: &InstrumentTable, epoch: RunEpoch) -> Self {
        Self {
            encoder: Encoder::new(keys, host),
            decoder: PrivateDecoder::new(table),
            table: table.clone(),
            epoch,
            pages: FillPages::new(table.all().len()),
            balances: String::new(),
            open: OpenList::default(),
            sent: Vec::with_capacity(limits::ORDERS_OPEN_MAX),
            numbers: BTreeMap::new(),
            own: BTreeMap::new(),
            asked: Vec::new(),
            refused: Vec::new(),
            held: false,
            beats: (0, 0),
        }
    }

    /// The venue's id of an order, where it is known.
    fn id_of(&self, order: &Named<'_>) -> Option<&str> {
        let number = match order.venue_order {
            0 => *self.numbers.get(&own(&order.client)?)?,
            number => number,
        };
        self.decoder.ids.of(number)
    }

    /// The venue has named an order of this run.
    fn named(&mut self, order: OrderId, number: u64) {
        self.sent.retain(|sent| sent.order != order);
        self.refused.retain(|refused| *refused != order);
        self.numbers.insert(order, number);
        self.own.insert(number, order);
        if self.numbers.len() > NUMBERS_MAX
            && let Some((_, oldest)) = self.numbers.pop_first()
        {
            self.own.remove(&oldest);
        }
    }

    /// Takes in the rows of a message or page.
    fn note_rows(&mut self) {
        for n in 0..self.decoder.rows.orders.len() {
            let row = self.decoder.rows.orders[n];
            if let Some((epoch, order)) = row.client.own()
                && epoch == self.epoch
            {
                self.named(order, row.venue_order);
            }
        }
        // Fills name their order by the venue's id alone.
        for fill in &mut self.decoder.rows.fills {
            if let Some(order) = self.own.get(&fill.venue_order) {
                fill.client = ClientText::from(ClientId::new(self.epoch, *order));
            }
        }
        self.pages.note(&self.decoder.rows.fills);
        self.open.note(&self.decoder.rows.orders);
    }

    /// The answer to a new order: where it was taken, it is open, or waits. Nothing new where an
    /// event has told of it already, which knows more.
    fn placed(&mut self, order: OrderId, told: &Told, facts: &mut Vec<Fact>) {
        match self.decoder.placed {
            Some((number, _)) => {
                if self.numbers.contains_key(&order) {
                    return;
                }
                let waits = self.sent.iter().any(|sent| sent.order == order && sent.waits);
                self.named(order, number);
                facts.push(Fact::Order {
                    key: OrderKey::Own(order),
                    venue_order: number,
                    state: if waits { VenueState::Untriggered } else { VenueState::Open },
                    cum_qty: Qty(0),
                    reason: DoneReason::None,
                });
            }
            None => {
                let unknown = matches!(told.answer, Some((_, Some(Refusal::OutcomeUnknown))));
                if !unknown {
                    self.sent.retain(|sent| sent.order != order);
                }
            }
        }
    }

    /// The answer to a question for an order's state.
    fn state_told(&mut self, order: OrderId, told: &mut Told) {
        let at = self.asked.iter().position(|(asked, _)| *asked == order);
        let form = at.map_or(Form::ById, |at| self.asked.swap_remove(at).1);
        let refused = told.answer.and_then(|(_, refused)| refused);
        match form {
            Form::Repeated => {
                if let Some((number, _)) = self.decoder.placed {
                    self.named(order, number);
                    told.more = true;
                } else if matches!(refused, Some(Refusal::Refused(_))) {
                    self.refused.push(order);
                    told.answer = told.answer.map(|(id, _)| (id, None));
                    told.more = true;
                }
            }
            Form::Latest => {
                self.refused.retain(|refused| *refused != order);
                let epoch = self.epoch;
                let rows = &mut self.decoder.rows.orders;
                rows.retain(|row| row.client.own() == Some((epoch, order)));
                told.more = false;
            }
            // A list that lacks it is one that lags.
            Form::ById => told.more = false,
        }
        if refused == Some(Refusal::NotFound) {
            told.answer = told.answer.map(|(id, _)| (id, Some(Refusal::OutcomeUnknown)));
        }
    }
}

/// The number of an order of ours.
fn own(client: &ClientId) -> Option<OrderId> {
    ClientId::parse(&client.0).map(|(_, order)| order)
}

/// A price at which an order cannot trade: a quarter on the safe side, less where the venue's least
/// value asks for more, but a tenth at least; `None` where that is too little.
fn safe_price(instrument: &Instrument, sent: &Sent) -> Option<i64> {
    let tick = instrument.tick.max(1);
    let part = sent.price / SAFE_PART;
    match sent.side {
        Side::Sell => (sent.price.checked_add(part)? / tick).checked_add(1)?.checked_mul(tick),
        Side::Buy => {
            let least = instrument.notional_min / i128::from(sent.qty.max(1));
            let least = i64::try_from(least).ok()? / tick + 1;
            let safe = ((sent.price - part) / tick).max(least).checked_mul(tick)?;
            let most = sent.price - sent.price / SAFE_PART_MIN;
            (safe > 0 && safe <= most).then_some(safe)
        }
    }
}

impl Gateway for CoinbaseGateway {
    fn logons(&self) -> &'static [Way] {
        &[]
    }

    fn ways(&self) -> fn(&Purpose) -> Way {
        |purpose| match purpose {
            Purpose::Place(_) | Purpose::Amend(_) => Way::Orders,
            Purpose::Cancel(_) | Purpose::CancelAll(_) => Way::Orders,
            Purpose::Subscribe => Way::Events,
            _ => Way::Rest,
        }
    }

    fn idle(&mut self, now_ms: i64) {
        self.pages.look(now_ms);
        self.encoder.renew(now_ms);
    }

    fn is_silent(&mut self, now_ms: i64) -> bool {
        let (heard, at_ms) = self.beats;
        if self.decoder.beats != heard || now_ms < at_ms {
            self.beats = (self.decoder.beats, now_ms);
            return false;
        }
        now_ms - at_ms > SILENCE_MS
    }

    fn hold(&mut self, held: bool) {
        self.held = held;
    }

    fn asks_for_fills(&self) -> bool {
        true
    }

    fn logon(&mut self, _: Way, _: u64, _: i64, _: &mut Vec<u8>) {}

    /// The heartbeats, which keep the connection open, and the account's channel.
    fn subscriptions(&self) -> usize {
        2
    }

    fn subscribe(&mut self, part: usize, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.decoder.expect(part, id);
        if part == 0 {
            self.pages.begin(now_ms);
            self.asked.clear();
            self.balances.clear();
            self.beats = (self.decoder.beats, now_ms);
            self.encoder.beats(now_ms, out);
        } else {
            self.encoder.user(&self.table, now_ms, out);
        }
    }

    /// Stops have a limit here, and no others wait.
    fn takes(&self, kind: OrderKind) -> bool {
        !kind.is_triggered() || kind == OrderKind::StopLossLimit
    }

    fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        self.encoder.place(order, out);
        self.open.push(order.instrument.id, order.client);
        if self.sent.len() == limits::ORDERS_OPEN_MAX {
            self.sent.remove(0);
        }
        if let Some(id) = own(&order.client) {
            let (side, price, qty) = (order.side, order.price, order.qty);
            let waits = order.kind.is_triggered();
            self.sent.push(Sent { order: id, side, price, qty, waits });
        }
    }

    fn not_placed(&mut self, client: &ClientId) {
        self.open.take_back(client);
        if let Some(id) = own(client) {
            self.sent.retain(|sent| sent.order != id);
        }
    }

    fn amend_way(&self, change: &Change) -> AmendWay {
        let trims = change.to.price == change.from.price && change.to.qty < change.from.qty;
        if trims { change.in_place() } else { AmendWay::None }
    }

    fn amend(
        &mut self,
        _: u64,
        order: &Named<'_>,
        change: &Change,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        if let Some(id) = self.id_of(order).map(str::to_owned) {
            let terms = (change.to.price.0, change.to.qty.0);
            self.encoder.edit(&id, order.instrument, terms, now_ms, out);
        }
    }

    fn cancel(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        if let Some(id) = self.id_of(order).map(str::to_owned) {
            self.encoder.cancel(core::iter::once(id.as_str()), now_ms, out);
        }
    }

    fn status(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let Some(id) = own(&order.client) else { return };
        let (instrument, number) = (order.instrument, self.id_of(order).map(str::to_owned));
        let sent = self.sent.iter().find(|sent| sent.order == id).copied();
        let may_repeat = !self.held && !self.refused.contains(&id);
        let safe = |sent: Sent| safe_price(instrument, &sent).map(|price| (sent, price));
        let again = sent.filter(|_| may_repeat).and_then(safe);
        let form = match (number, again) {
            (Some(number), _) => {
                self.encoder.orders(OrdersOf::Id(&number), "", now_ms, out);
                Form::ById
            }
            (None, Some((sent, price))) => {
                let again = Place {
                    id: 0,
                    instrument,
                    client: order.client,
                    side: sent.side,
                    kind: OrderKind::Limit,
                    tif: Tif::Ioc,
                    price,
                    trigger: 0,
                    qty: sent.qty,
                    now_ms,
                };
                self.encoder.place(&again, out);
                Form::Repeated
            }
            _ => {
                self.encoder.orders(OrdersOf::Latest(&instrument.symbol), "", now_ms, out);
                Form::Latest
            }
        };
        self.asked.retain(|(asked, _)| *asked != id);
        self.asked.push((id, form));
    }

    /// Fills name their order by the venue's id alone.
    fn whose(&mut self, _: u64, _: &Instrument, number: u64, now_ms: i64, out: &mut Vec<u8>) {
        if let Some(id) = self.decoder.ids.of(number) {
            self.encoder.orders(OrdersOf::Id(id), "", now_ms, out);
        }
    }

    fn lists_open(&self, _: usize) -> OpenLists {
        OpenLists::OfAccount
    }

    fn list_open(&mut self, _: u64, _: Option<&Instrument>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.orders(OrdersOf::Open, "", now_ms, out);
    }

    fn cancel_all(&mut self, _: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>) {
        let batch = self.open.batch(instrument.id, BATCH_MAX);
        let number = |client: &ClientId| self.numbers.get(&own(client)?).copied();
        let ids = batch.iter().filter_map(number).filter_map(|n| self.decoder.ids.of(n));
        let ids: Vec<String> = ids.map(str::to_owned).collect();
        if !ids.is_empty() {
            self.encoder.cancel(ids.iter().map(String::as_str), now_ms, out);
        }
    }

    fn time(&mut self, _: u64, out: &mut Vec<u8>) {
        server_time(out);
    }

    fn balances(&mut self, _: u64, now_ms: i64, out: &mut Vec<u8>) {
        let cursor = core::mem::take(&mut self.balances);
        self.encoder.balances(&cursor, now_ms, out);
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
        let since = FillsOf::Since(&instrument.symbol, self.pages.since_ms(instrument.id));
        self.encoder.fills(since, &cursor, now_ms, out);
    }

    fn fills_of(&mut self, _: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let cursor = self.pages.of_order(&order.client);
        match self.id_of(order).map(str::to_owned) {
            Some(id) => self.encoder.fills(FillsOf::Order(&id), &cursor, now_ms, out),
            // Forgotten long ago: its fills are among those of the instrument.
            None => {
                let since_ms = self.pages.since_ms(order.instrument.id);
                let since = FillsOf::Since(&order.instrument.symbol, since_ms);
                self.encoder.fills(since, &cursor, now_ms, out);
            }
        }
    }

    fn cost_place(&self) -> Cost {
        Cost { orders: 1, weight: 1 }
    }

    fn cost_cancel(&self) -> Cost {
        Cost { orders: 0, weight: 1 }
    }

    fn cost_query(&self) -> Cost {
        Cost { orders: 0, weight: 1 }
    }

    fn window(&self) -> Nanos {
        Nanos::from_millis(WINDOW_MS)
    }

    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let told = self.decoder.decode(text).map_err(|_| NotUnderstood)?;
        self.note_rows();
        rows::tell(&self.decoder.rows, &told, self.epoch, facts);
        Ok(())
    }

    fn decode_page(&mut self, page: &Page<'_>, facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let form = |order: &OrderId| self.asked.iter().find(|(asked, _)| asked == order);
        let kind = match page.purpose {
            Purpose::Place(_) => PageKind::Placed,
            Purpose::Amend(_) => PageKind::Edited,
            Purpose::Cancel(_) | Purpose::CancelAll(_) => PageKind::Canceled,
            Purpose::Status(order) if form(&order).is_some_and(|(_, f)| *f == Form::Repeated) => {
                PageKind::Placed
            }
            Purpose::FillsAfter(..) | Purpose::FillsOf(_) => PageKind::Fills,
            Purpose::Balances => PageKind::Accounts,
            Purpose::Time => PageKind::Time,
            _ => PageKind::Orders,
        };
        let told = self.decoder.page(page.id, kind, page.status, page.text);
        let mut told = told.map_err(|_| NotUnderstood)?;
        match page.purpose {
            Purpose::Place(order) => self.placed(order, &told, facts),
            Purpose::Status(order) => self.state_told(order, &mut told),
            Purpose::Balances => self.balances.clone_from(&self.decoder.rows.cursor),
            _ => self.pages.turn(page, &self.decoder.rows, &mut told),
        }
        self.note_rows();
        rows::tell(&self.decoder.rows, &told, self.epoch, facts);
        Ok(())
    }
}

#[cfg(test)]
#[path = "coinbase_tests.rs"]
mod tests;

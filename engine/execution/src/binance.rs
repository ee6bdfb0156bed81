//! The Binance Spot gateway: the dialect's requests and messages as execution's own.

use bot4_types::{
    AssetId, DoneReason, Instrument, InstrumentTable, Nanos, OrderKind, Price, Qty, RunEpoch,
};
use bot4_venues::binance::orders::{self, Encoder, Resting, Target, TradesFrom};
use bot4_venues::binance::private::{
    AccountTrade, ApiDecoder, ApiError, ApiMessage, ApiResult, Balance, ErrorKind, Execution,
    ExecutionReport, Fill, OrderView, Response, VenueStatus,
};
use bot4_venues::binance::sign::Credentials;
use bot4_venues::client_text::ClientText;
use bot4_venues::limits::Cost;
use bot4_venues::place::Place;

use crate::gateway::{
    AmendWay, Change, Fact, Failure, Gateway, Named, NotUnderstood, OpenLists, OrderKey,
    VenueState, Way,
};
use crate::order::{FillFact, Terms};
use crate::requests::Purpose;

/// Trades asked for in one answer; the venue allows this many.
const TRADES_LIMIT: u16 = 1_000;
/// Weight of `myTrades`, the dearest question asked here (the venue's sheet, chapter 7).
const QUERY_WEIGHT: u32 = 20;
/// Weight of `order.status`.
const STATUS_WEIGHT: u32 = 4;
/// Weight of `openOrders.status` of a symbol.
const LIST_WEIGHT: u32 = 6;
/// Weight of `openOrders.status` of the account.
const LIST_ALL_WEIGHT: u32 = 80;
/// Weight of `order.amend.keepPriority`.
const TRIM_WEIGHT: u32 = 4;

/// Binance Spot over its WebSocket API.
pub struct BinanceGateway {
    encoder: Encoder,
    decoder: ApiDecoder,
    epoch: RunEpoch,
    /// Questions and events have a connection of their own.
    apart: bool,
}

impl BinanceGateway {
    /// A gateway with these credentials for the instruments of `table` in run `epoch`.
    #[must_use]
    pub fn new(credentials: Credentials, table: &InstrumentTable, epoch: RunEpoch) -> Self {
        let encoder = Encoder::new(credentials, None).prepared_for(table);
        Self { encoder, decoder: ApiDecoder::new(table), epoch, apart: false }
    }

    /// Questions and the account's events have a connection of their own, which speaks the same
    /// API: the other one carries orders and their answers alone, and nothing stands in their way.
    #[must_use]
    pub fn with_questions_apart(mut self) -> Self {
        self.apart = true;
        self
    }
}

impl Gateway for BinanceGateway {
    fn logons(&self) -> &'static [Way] {
        match (self.encoder.needs_logon(), self.apart) {
            (false, _) => &[],
            (true, false) => &[Way::Orders],
            (true, true) => &[Way::Orders, Way::Events],
        }
    }

    fn ways(&self) -> fn(&Purpose) -> Way {
        if !self.apart {
            return |_| Way::Orders;
        }
        |purpose| match purpose {
            Purpose::Place(_) | Purpose::Cancel(_) | Purpose::Amend(_) => Way::Orders,
            Purpose::CancelAll(_) => Way::Orders,
            _ => Way::Events,
        }
    }

    fn logon(&mut self, _: Way, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.logon(id, now_ms, out);
    }

    fn subscribe(&mut self, _: usize, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.subscribe_user_data(id, now_ms, out);
    }

    fn takes(&self, _: OrderKind) -> bool {
        true
    }

    fn place(&mut self, order: &Place<'_>, out: &mut Vec<u8>) {
        self.encoder.place(order, out);
    }

    /// Less quantity in place; anything else by cancel and replace, and that only while nothing is
    /// filled: a fill between both halves would otherwise let them fill more than was approved.
    fn amend_way(&self, change: &Change) -> AmendWay {
        let trims = change.to.price == change.from.price && change.to.qty < change.from.qty;
        match change.kind {
            // What was triggered is about to trade: there is nothing to keep.
            kind if kind.is_triggered() => AmendWay::None,
            _ if trims && change.to.qty > change.filled => AmendWay::InPlace,
            OrderKind::Limit | OrderKind::LimitMaker if !trims && change.filled.0 == 0 => {
                AmendWay::Replace
            }
            _ => AmendWay::None,
        }
    }

    fn amend(
        &mut self,
        id: u64,
        order: &Named<'_>,
        change: &Change,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let (instrument, client) = (order.instrument, order.client);
        if self.amend_way(change) == AmendWay::InPlace {
            let resting = Resting { instrument, client, venue_order: order.venue_order };
            return self.encoder.trim(id, &resting, change.to.qty.0, now_ms, out);
        }
        let placed = Place {
            id,
            instrument,
            client,
            side: change.side,
            kind: change.kind,
            tif: change.tif,
            price: change.to.price.0,
            trigger: 0,
            qty: change.to.qty.0,
            now_ms,
        };
        self.encoder.replace(order.venue_order, &placed, out);
    }

    fn cost_amend(&self, way: AmendWay) -> Cost {
        match way {
            AmendWay::InPlace => Cost { orders: 0, weight: TRIM_WEIGHT },
            _ => self.cost_place(),
        }
    }

    fn cancel(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let symbol = order.instrument.symbol;
        match order.venue_order {
            0 => {
                let target = Target::Client(&order.client.0);
                self.encoder.cancel(id, &symbol, target, now_ms, out);
            }
            n => self.encoder.cancel(id, &symbol, Target::Venue(n), now_ms, out),
        }
    }

    fn status(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let target = Target::Client(&order.client.0);
        self.encoder.order_status(id, &order.instrument.symbol, target, now_ms, out);
    }

    /// Trades name their order by number alone.
    fn whose(&mut self, id: u64, of: &Instrument, number: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.order_status(id, &of.symbol, Target::Venue(number), now_ms, out);
    }

    fn lists_open(&self, instruments: usize) -> OpenLists {
        let each = instruments as u32 * LIST_WEIGHT <= LIST_ALL_WEIGHT;
        if each { OpenLists::OfEach } else { OpenLists::OfAccount }
    }

    fn list_open(&mut self, id: u64, of: Option<&Instrument>, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.open_orders(id, of.map(|i| &i.symbol), now_ms, out);
    }

    fn cost_list(&self, of: OpenLists) -> Cost {
        let weight = if of == OpenLists::OfEach { LIST_WEIGHT } else { LIST_ALL_WEIGHT };
        Cost { orders: 0, weight }
    }

    fn cancel_all(&mut self, id: u64, instrument: &Instrument, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.cancel_all(id, &instrument.symbol, now_ms, out);
    }

    fn time(&mut self, id: u64, out: &mut Vec<u8>) {
        orders::time(id, out);
    }

    fn balances(&mut self, id: u64, now_ms: i64, out: &mut Vec<u8>) {
        self.encoder.account(id, now_ms, out);
    }

    fn fills_after(
        &mut self,
        id: u64,
        instrument: &Instrument,
        after: u64,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let from = TradesFrom::Id(after.saturating_add(1));
        self.encoder.my_trades(id, &instrument.symbol, from, TRADES_LIMIT, now_ms, out);
    }

    fn fills_of(&mut self, id: u64, order: &Named<'_>, now_ms: i64, out: &mut Vec<u8>) {
        let from = TradesFrom::Order(order.venue_order);
        self.encoder.my_trades(id, &order.instrument.symbol, from, TRADES_LIMIT, now_ms, out);
    }

    fn cost_place(&self) -> Cost {
        Cost { orders: 1, weight: 1 }
    }

    fn cost_cancel(&self) -> Cost {
        Cost { orders: 0, weight: 1 }
    }

    fn cost_query(&self) -> Cost {
        Cost { orders: 0, weight: QUERY_WEIGHT }
    }

    fn cost_status(&self) -> Cost {
        Cost { orders: 0, weight: STATUS_WEIGHT }
    }

    fn fills_limit(&self) -> usize {
        usize::from(TRADES_LIMIT)
    }

    fn window(&self) -> Nanos {
        Nanos::from_millis(u64::from(self.encoder.recv_window_ms()))
    }

    fn decode(&mut self, text: &[u8], facts: &mut Vec<Fact>) -> Result<(), NotUnderstood> {
        let epoch = self.epoch;
        match self.decoder.decode(text).map_err(|_| NotUnderstood)? {
            ApiMessage::Response(response) => answered(&response, epoch, facts),
            ApiMessage::Execution(report) => executed(&report, epoch, facts),
            ApiMessage::AccountPosition { balances, .. } => balanced(balances, facts),
            ApiMessage::Terminated | ApiMessage::ServerShutdown => facts.push(Fact::Leaving),
            ApiMessage::BalanceUpdate { .. } | ApiMessage::Other => {}
        }
        Ok(())
    }
}

fn key_of(client: &ClientText, epoch: RunEpoch) -> OrderKey {
    match client.own() {
        Some((run, order)) if run == epoch => OrderKey::Own(order),
        _ => OrderKey::Foreign(*client),
    }
}

/// `waits`: its trigger was not reached yet.
const fn state_of(status: VenueStatus, waits: bool) -> Option<VenueState> {
    Some(match status {
        VenueStatus::New if waits => VenueState::Untriggered,
        VenueStatus::New | VenueStatus::PendingNew | VenueStatus::PartiallyFilled => {
            VenueState::Open
        }
        VenueStatus::Filled => VenueState::Filled,
        VenueStatus::Canceled => VenueState::Canceled,
        VenueStatus::Rejected => VenueState::Rejected,
        VenueStatus::Expired | VenueStatus::ExpiredInMatch => VenueState::Expired,
        VenueStatus::Unknown => return None,
    })
}

fn answered(response: &Response<'_>, epoch: RunEpoch, facts: &mut Vec<Fact>) {
    facts.push(Fact::Usage(response.usage));
    match &response.outcome {
        Ok(ApiResult::HalfReplaced(old, error)) => {
            viewed(old, epoch, facts);
            let failed = |id| Fact::Failed { id, failure: failure_of(error) };
            facts.push(response.id.map_or(Fact::Leaving, failed));
        }
        Ok(result) => {
            told(result, epoch, facts);
            if let Some(id) = response.id {
                facts.push(Fact::Answered { id });
            }
        }
        Err(error) => match response.id {
            Some(id) => facts.push(Fact::Failed { id, failure: failure_of(error) }),
            None => facts.push(Fact::Leaving),
        },
    }
}

fn failure_of(error: &ApiError) -> Failure {
    match error.kind {
        ErrorKind::OutcomeUnknown => Failure::OutcomeUnknown,
        ErrorKind::UnknownOrder | ErrorKind::NotFound | ErrorKind::Archived => Failure::NotFound,
        ErrorKind::Key | ErrorKind::Signature => Failure::Session,
        // Repeating an active subscription is what was wanted.
        ErrorKind::AlreadySubscribed => Failure::Refused(DoneReason::None),
        _ if error.is_limit() => Failure::Limited {
            until_ms: error.retry_after_ms,
            orders_only: error.kind == ErrorKind::TooManyOrders,
        },
        _ => Failure::Refused(error.done_reason()),
    }
}

fn told(result: &ApiResult<'_>, epoch: RunEpoch, facts: &mut Vec<Fact>) {
    match result {
        ApiResult::Placed(view, fills) => placed(view, fills, epoch, facts),
        ApiResult::Replaced(old, new, fills) => {
            viewed(old, epoch, facts);
            placed(new, fills, epoch, facts);
        }
        ApiResult::Canceled(view) | ApiResult::OrderStatus(view) | ApiResult::Amended(view) => {
            viewed(view, epoch, facts);
        }
        ApiResult::OpenOrders(views) | ApiResult::CanceledAll(views) => {
            views.iter().for_each(|view| viewed(view, epoch, facts));
        }
        ApiResult::Account(balances) => balanced(balances, facts),
        ApiResult::Trades(trades) => trades.iter().for_each(|trade| traded(trade, facts)),
        ApiResult::ServerTime(ms) => facts.push(Fact::Time(*ms)),
        ApiResult::EmptyList
        | ApiResult::Session { .. }
        | ApiResult::Subscribed { .. }
        | ApiResult::HalfReplaced(..)
        | ApiResult::Other => {}
    }
}

fn placed(view: &OrderView, fills: &[Fill], epoch: RunEpoch, facts: &mut Vec<Fact>) {
    viewed(view, epoch, facts);
    let Some(instrument) = view.instrument else { return };
    for f in fills {
        let fill = FillFact {
            trade_id: f.trade_id,
            qty: Qty(f.qty),
            price: Price(f.price),
            fee: f.fee,
            fee_asset: f.fee_asset,
            maker: false,
        };
        let key = key_of(&view.client, epoch);
        facts.push(Fact::Fill { key, venue_order: view.venue_order, instrument, fill });
    }
}

/// The terms of an order, where the message states them.
fn termed(key: OrderKey, venue_order: u64, price: i64, qty: i64, facts: &mut Vec<Fact>) {
    if price > 0 && qty > 0 {
        let terms = Terms { price: Price(price), qty: Qty(qty) };
        facts.push(Fact::Terms { key, venue_order, terms });
    }
}

fn viewed(view: &OrderView, epoch: RunEpoch, facts: &mut Vec<Fact>) {
    let Some(state) = state_of(view.status, view.waits) else { return };
    let reason = match view.status {
        VenueStatus::ExpiredInMatch => DoneReason::SelfTrade,
        _ => DoneReason::None,
    };
    let key = key_of(&view.client, epoch);
    if state == VenueState::Open {
        termed(key, view.venue_order, view.price, view.qty, facts);
    }
    facts.push(Fact::Order {
        key,
        venue_order: view.venue_order,
        state,
        cum_qty: Qty(view.executed),
        reason,
    });
}

fn executed(report: &ExecutionReport, epoch: RunEpoch, facts: &mut Vec<Fact>) {
    let key = key_of(report.order_client(), epoch);
    let trade = (report.execution == Execution::Trade).then_some(report.trade_id).flatten();
    if let (Some(trade_id), Some(instrument)) = (trade, report.instrument) {
        let fill = FillFact {
            trade_id,
            qty: Qty(report.last_qty),
            price: Price(report.last_price),
            fee: report.fee,
            fee_asset: report.fee_asset,
            maker: report.maker,
        };
        facts.push(Fact::Fill { key, venue_order: report.venue_order, instrument, fill });
    }
    let Some(state) = state_of(report.status, report.waits()) else { return };
    if state == VenueState::Open {
        termed(key, report.venue_order, report.price, report.qty, facts);
    }
    facts.push(Fact::Order {
        key,
        venue_order: report.venue_order,
        state,
        cum_qty: Qty(report.cum_qty),
        reason: report.reason,
    });
}

fn balanced(balances: &[Balance], facts: &mut Vec<Fact>) {
    for b in balances.iter().filter(|b| b.asset != AssetId::NONE) {
        facts.push(Fact::Balance { asset: b.asset, free: b.free, locked: b.locked });
    }
}

fn traded(trade: &AccountTrade, facts: &mut Vec<Fact>) {
    let Some(instrument) = trade.instrument else { return };
    let fill = FillFact {
        trade_id: trade.trade_id,
        qty: Qty(trade.qty),
        price: Price(trade.price),
        fee: trade.fee,
        fee_asset: trade.fee_asset,
        maker: trade.maker,
    };
    let key = OrderKey::Venue(trade.venue_order);
    facts.push(Fact::Fill { key, venue_order: trade.venue_order, instrument, fill });
}

//! The cold session at Binance Spot: its WebSocket API.

use bot4_execution::pause::Reach;
use bot4_lanes::Clock;
use bot4_types::{AssetId, ClientId, DoneReason, InstrumentTable, Symbol, Wall};
use bot4_venues::account::{BalanceRow, FillRow, OrderRow, RowState};
use bot4_venues::binance::instruments::parse;
use bot4_venues::binance::orders::{self, Encoder, Target, TradesFrom};
use bot4_venues::binance::private::{
    AccountTrade, ApiDecoder, ApiMessage, ApiResult, Balance, ErrorKind, OrderView,
};
use bot4_venues::catalogue::Catalogue;
use bot4_venues::client_text::ClientText;

use super::access::Access;
use super::catalogue::is_answer;
use super::chat::Chat;
use super::cold::{ColdError, ColdVenue, measured};
use super::guard::{self, Guards};
use super::patience::{Patience, at_the_door, limited};

/// Trades in one answer; the venue allows this many.
const TRADES_LIMIT: u16 = 1_000;

/// A logged-on blocking session.
pub struct BinanceCold {
    chat: Chat,
    guards: Guards,
    patience: Patience,
    clock: Clock,
    wall: Wall,
    encoder: Encoder,
    next_id: u64,
    out: Vec<u8>,
}

impl BinanceCold {
    /// Connects, measures the venue's clock and logs on.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn open(clock: &Clock, access: &Access, seed: u64) -> Result<Self, ColdError> {
        let mut session = Self::connect(clock, access, seed)?;
        session.log_on()?;
        Ok(session)
    }

    /// Connects and measures the venue's clock; the account is not asked for.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn connect(clock: &Clock, access: &Access, seed: u64) -> Result<Self, ColdError> {
        let encoder = Encoder::new(access.credentials()?, None);
        let mut patience = Patience::new(clock, &access.guards, Reach::All, access.hurried);
        let connect = || Chat::open(clock, access, access.api()?, seed).map_err(at_the_door);
        let mut session = Self {
            chat: patience.ask(|| access.guards.ask(guard::API, connect))?,
            patience,
            guards: access.guards.clone(),
            clock: clock.clone(),
            wall: clock.wall(),
            encoder,
            next_id: 1,
            out: Vec::new(),
        };
        session.measure_time()?;
        Ok(session)
    }

    fn measure_time(&mut self) -> Result<(), ColdError> {
        let clock = self.clock.clone();
        let table = InstrumentTable::new();
        self.wall = measured(&clock, || {
            let text = self.ask("time", |_, id, _, out| orders::time(id, out))?;
            with_answer("time", &text, &table, |result| match result {
                ApiResult::ServerTime(ms) => Some(*ms),
                _ => None,
            })
        })?;
        Ok(())
    }

    fn log_on(&mut self) -> Result<(), ColdError> {
        let what = "session.logon";
        let text = self.ask(what, |e, id, now, out| e.logon(id, now, out))?;
        with_answer(what, &text, &InstrumentTable::new(), |result| match result {
            ApiResult::Session { authorized: true } => Some(()),
            _ => None,
        })
    }

    /// Sends one request and waits for the message that carries its id; once more when the venue
    /// wanted fewer requests.
    fn ask(
        &mut self,
        what: &'static str,
        write: impl Fn(&mut Encoder, u64, i64, &mut Vec<u8>),
    ) -> Result<Vec<u8>, ColdError> {
        let Self { chat, guards, patience, clock, wall, encoder, next_id, out } = self;
        patience.ask(|| {
            let (id, now_ms) = (*next_id, wall.unix_ms(clock.now()));
            *next_id += 1;
            out.clear();
            write(encoder, id, now_ms, out);
            guards.ask(guard::API, || {
                chat.send(out)?;
                let wanted = |text: &[u8]| is_answer(text, id).then(|| text.to_vec());
                let text = chat.answer(what, wanted)?;
                limited(what, &text, now_ms).map_or(Ok(text), Err)
            })
        })
    }
}

impl ColdVenue for BinanceCold {
    fn wall(&self) -> Wall {
        self.wall
    }

    fn instruments(&mut self, symbols: &[String]) -> Result<Catalogue, ColdError> {
        let wanted: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let text = self.ask("exchangeInfo", |_, id, _, out| {
            orders::exchange_info(id, &wanted, out);
        })?;
        parse(&text, &wanted).map_err(ColdError::Instruments)
    }

    fn balances(&mut self, table: &InstrumentTable) -> Result<Vec<BalanceRow>, ColdError> {
        let what = "account.status";
        let text = self.ask(what, |e, id, now, out| e.account(id, now, out))?;
        with_answer(what, &text, table, |result| match result {
            ApiResult::Account(balances) => {
                let known = balances.iter().filter(|b| b.asset != AssetId::NONE);
                let row =
                    |b: &Balance| BalanceRow { asset: b.asset, free: b.free, locked: b.locked };
                Some(known.map(row).collect())
            }
            _ => None,
        })
    }

    fn open_orders(&mut self, table: &InstrumentTable) -> Result<Vec<OrderRow>, ColdError> {
        let what = "openOrders.status";
        let text = self.ask(what, |e, id, now, out| e.open_orders(id, None, now, out))?;
        with_answer(what, &text, table, |result| match result {
            ApiResult::OpenOrders(orders) => Some(orders.iter().map(order_row).collect()),
            ApiResult::EmptyList => Some(Vec::new()),
            _ => None,
        })
    }

    fn find_order(
        &mut self,
        symbol: &Symbol,
        client: &ClientId,
        table: &InstrumentTable,
    ) -> Result<Option<OrderRow>, ColdError> {
        let (what, target) = ("order.status", Target::Client(&client.0));
        let text = self.ask(what, |e, id, now, out| {
            e.order_status(id, symbol, target, now, out);
        })?;
        let found = with_answer(what, &text, table, |result| match result {
            ApiResult::OrderStatus(view) => Some(order_row(view)),
            _ => None,
        });
        match found {
            Err(ColdError::Refused(_, e)) if e.kind == ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    fn cancel_order(&mut self, order: &OrderRow, table: &InstrumentTable) -> Result<(), ColdError> {
        let (what, target) = ("order.cancel", Target::Venue(order.venue_order));
        let symbol = &order.symbol;
        let text = self.ask(what, |e, id, now, out| e.cancel(id, symbol, target, now, out))?;
        match with_answer(what, &text, table, |_| Some(())) {
            Err(ColdError::Refused(_, e)) if e.kind == ErrorKind::UnknownOrder => Ok(()),
            other => other,
        }
    }

    fn cancel_all(&mut self, symbol: &Symbol, table: &InstrumentTable) -> Result<(), ColdError> {
        let what = "openOrders.cancelAll";
        let text = self.ask(what, |e, id, now, out| e.cancel_all(id, symbol, now, out))?;
        match with_answer(what, &text, table, |_| Some(())) {
            Err(ColdError::Refused(_, e)) if e.kind == ErrorKind::UnknownOrder => Ok(()),
            other => other,
        }
    }

    fn trades_since(
        &mut self,
        symbol: &Symbol,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        let what = "myTrades";
        let mut from = TradesFrom::Time(start_ms);
        let mut all: Vec<FillRow> = Vec::new();
        loop {
            let text = self.ask(what, |e, id, now, out| {
                e.my_trades(id, symbol, from, TRADES_LIMIT, now, out);
            })?;
            let (page, last) = with_answer(what, &text, table, |result| match result {
                ApiResult::Trades(trades) => {
                    let full = trades.len() >= usize::from(TRADES_LIMIT);
                    let last = trades.last().filter(|_| full).map(|t| t.trade_id);
                    Some((trades.iter().filter_map(fill_row).collect::<Vec<_>>(), last))
                }
                ApiResult::EmptyList => Some((Vec::new(), None)),
                _ => None,
            })?;
            all.extend(page);
            match last {
                Some(last) => from = TradesFrom::Id(last + 1),
                None => return Ok(all),
            }
        }
    }
}

fn order_row(view: &OrderView) -> OrderRow {
    OrderRow {
        terms: None,
        instrument: view.instrument,
        symbol: view.symbol,
        venue_order: view.venue_order,
        client: view.client,
        state: RowState::Open,
        executed: view.executed,
        reason: DoneReason::None,
    }
}

fn fill_row(trade: &AccountTrade) -> Option<FillRow> {
    Some(FillRow {
        instrument: trade.instrument?,
        trade_id: trade.trade_id,
        venue_order: trade.venue_order,
        client: ClientText::EMPTY,
        side: trade.side,
        price: trade.price,
        qty: trade.qty,
        fee: trade.fee,
        fee_asset: trade.fee_asset,
        maker: trade.maker,
        time_ms: trade.time_ms,
    })
}

/// The successful result in `text`, as `take` makes it.
fn with_answer<T>(
    what: &'static str,
    text: &[u8],
    table: &InstrumentTable,
    take: impl FnOnce(&ApiResult<'_>) -> Option<T>,
) -> Result<T, ColdError> {
    let mut decoder = ApiDecoder::new(table);
    match decoder.decode(text) {
        Ok(ApiMessage::Response(response)) => match &response.outcome {
            Ok(result) => take(result).ok_or(ColdError::Answer(what)),
            Err(error) => Err(ColdError::Refused(what, *error)),
        },
        _ => Err(ColdError::Answer(what)),
    }
}

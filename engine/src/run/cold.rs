//! The cold session: blocking questions to the venue before the lanes start and after they have
//! ended. Same transport, same dialect, other connection.

use std::fmt;

use bot4_lanes::Clock;
use bot4_risk::breaker::Refusal;
use bot4_types::{InstrumentTable, Symbol, Wall};
use bot4_venues::binance::instruments::{ExchangeInfo, InfoError, parse};
use bot4_venues::binance::orders::{self, Encoder, Target, TradesFrom};
use bot4_venues::binance::private::{
    AccountTrade, ApiDecoder, ApiError, ApiMessage, ApiResult, Balance, ErrorKind, OrderView,
};
use bot4_venues::binance::sign::KeyError;
use bot4_venues::registry::NotInBuild;
use bot4_wire::{ConnError, EndpointError, RootsError};

use super::access::Access;
use super::catalogue::is_answer;
use super::chat::Chat;
use super::guard::{self, Guards};

/// Trades in one answer; the venue allows this many.
const TRADES_LIMIT: u16 = 1_000;
/// Samples of the venue's clock; the one with the shortest way counts.
const TIME_SAMPLES: usize = 5;

/// Why the venue could not be asked.
#[derive(Debug)]
pub enum ColdError {
    /// The endpoint's URL.
    Endpoint(EndpointError),
    /// The trusted authorities.
    Roots(RootsError),
    /// The private key.
    Key(String, KeyError),
    /// The private key's file.
    KeyFile(String, std::io::Error),
    /// The connection.
    Connection(String, ConnError),
    /// No answer in time.
    Timeout(&'static str),
    /// A refusal of the venue.
    Refused(&'static str, ApiError),
    /// An answer that is not understood.
    Answer(&'static str),
    /// The instruments.
    Instruments(InfoError),
    /// The run has no keys: it only observes.
    NoKeys,
    /// This build lacks the venue's dialect.
    NotInBuild(NotInBuild),
    /// A REST request: which, and what went wrong.
    Rest(String, String),
    /// The endpoint failed too often and is not asked for now.
    LeftAlone(&'static str, Refusal),
    /// The helper that looks up names cannot be started.
    Resolver(std::io::Error),
}

impl ColdError {
    /// Trying again later may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Connection(_, error) => !error.is_refusal(),
            Self::Timeout(_) | Self::LeftAlone(..) => true,
            _ => false,
        }
    }
}

impl fmt::Display for ColdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(e) => write!(f, "error: venue.api: {e}"),
            Self::Roots(e) => write!(f, "error: venue.ca: {e}"),
            Self::Key(path, e) => write!(f, "error: venue.private_key: {path}: {e}"),
            Self::KeyFile(path, e) => write!(f, "error: venue.private_key: {path}: {e}"),
            Self::Connection(url, e) => write!(
                f,
                "error: cannot talk to the venue at {url}: {e}\nhelp: check the URL, that the \
                 venue is up, and that `ca` is its authority"
            ),
            Self::Timeout(what) => {
                write!(f, "error: the venue did not answer {what} within 10 s\nhelp: try again")
            }
            Self::Refused(what, e) => write!(
                f,
                "error: the venue refused {what}: {:?} (code {}, status {})\nhelp: check api_key, \
                 private_key and the key's permissions at the venue",
                e.kind, e.code, e.status
            ),
            Self::Answer(what) => {
                write!(f, "error: the venue's answer to {what} is not understood")
            }
            Self::Instruments(e) => write!(f, "error: venue.symbols: {e}"),
            Self::NoKeys => f.write_str("error: venue.api_key: a run that observes has no keys"),
            Self::NotInBuild(e) => write!(f, "error: venue.name: {e}"),
            Self::Rest(what, e) => write!(
                f,
                "error: cannot read {what}: {e}\nhelp: check `rest`, that the venue is up, and \
                 that `ca` is its authority"
            ),
            Self::LeftAlone(endpoint, why) => write!(
                f,
                "error: the venue's {endpoint} endpoint is not asked: {why}\nhelp: wait some \
                 seconds; the messages before tell what failed"
            ),
            Self::Resolver(e) => write!(f, "error: cannot start the name lookup's helper: {e}"),
        }
    }
}

impl std::error::Error for ColdError {}

/// A logged-on blocking session.
pub struct ColdSession {
    chat: Chat,
    guards: Guards,
    clock: Clock,
    wall: Wall,
    encoder: Encoder,
    next_id: u64,
    out: Vec<u8>,
}

impl ColdSession {
    /// Connects, measures the venue's clock and logs on.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn open(clock: &Clock, access: &Access, seed: u64) -> Result<Self, ColdError> {
        let encoder = Encoder::new(access.credentials()?, None);
        let mut session = Self {
            chat: access
                .guards
                .ask(guard::API, || Chat::open(clock, access, access.api()?, seed))?,
            guards: access.guards.clone(),
            clock: clock.clone(),
            wall: clock.wall(),
            encoder,
            next_id: 1,
            out: Vec::new(),
        };
        session.measure_time()?;
        session.log_on()?;
        Ok(session)
    }

    /// The mapping to the venue's clock.
    #[must_use]
    pub const fn wall(&self) -> Wall {
        self.wall
    }

    /// The instruments called `symbols` and the venue's limits.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn instruments(&mut self, symbols: &[String]) -> Result<ExchangeInfo, ColdError> {
        let wanted: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let text = self.ask("exchangeInfo", |_, id, _, out| {
            orders::exchange_info(id, &wanted, out);
        })?;
        parse(&text, &wanted).map_err(ColdError::Instruments)
    }

    /// The account's balances.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn balances(&mut self, table: &InstrumentTable) -> Result<Vec<Balance>, ColdError> {
        let what = "account.status";
        let text = self.ask(what, |e, id, now, out| e.account(id, now, out))?;
        with_answer(what, &text, table, |result| match result {
            ApiResult::Account(balances) => Some(balances.to_vec()),
            _ => None,
        })
    }

    /// The account's open orders, all symbols.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn open_orders(&mut self, table: &InstrumentTable) -> Result<Vec<OrderView>, ColdError> {
        let what = "openOrders.status";
        let text = self.ask(what, |e, id, now, out| e.open_orders(id, None, now, out))?;
        with_answer(what, &text, table, |result| match result {
            ApiResult::OpenOrders(orders) => Some(orders.to_vec()),
            ApiResult::EmptyList => Some(Vec::new()),
            _ => None,
        })
    }

    /// Cancels one order by the venue's number; one that is not open any more is fine.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn cancel_order(
        &mut self,
        symbol: &Symbol,
        venue_order: u64,
        table: &InstrumentTable,
    ) -> Result<(), ColdError> {
        let (what, target) = ("order.cancel", Target::Venue(venue_order));
        let text = self.ask(what, |e, id, now, out| e.cancel(id, symbol, target, now, out))?;
        match with_answer(what, &text, table, |_| Some(())) {
            Err(ColdError::Refused(_, e)) if e.kind == ErrorKind::UnknownOrder => Ok(()),
            other => other,
        }
    }

    /// Cancels everything open of `symbol`; nothing open is fine.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn cancel_all(
        &mut self,
        symbol: &Symbol,
        table: &InstrumentTable,
    ) -> Result<(), ColdError> {
        let what = "openOrders.cancelAll";
        let text = self.ask(what, |e, id, now, out| e.cancel_all(id, symbol, now, out))?;
        match with_answer(what, &text, table, |_| Some(())) {
            Err(ColdError::Refused(_, e)) if e.kind == ErrorKind::UnknownOrder => Ok(()),
            other => other,
        }
    }

    /// The account's trades of `symbol` since `start_ms`, oldest first.
    ///
    /// # Errors
    /// See [`ColdError`].
    pub fn trades_since(
        &mut self,
        symbol: &Symbol,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<AccountTrade>, ColdError> {
        let what = "myTrades";
        let mut from = TradesFrom::Time(start_ms);
        let mut all: Vec<AccountTrade> = Vec::new();
        loop {
            let text = self.ask(what, |e, id, now, out| {
                e.my_trades(id, symbol, from, TRADES_LIMIT, now, out);
            })?;
            let page = with_answer(what, &text, table, |result| match result {
                ApiResult::Trades(trades) => Some(trades.to_vec()),
                ApiResult::EmptyList => Some(Vec::new()),
                _ => None,
            })?;
            let full = page.len() >= usize::from(TRADES_LIMIT);
            all.extend(page);
            match all.last() {
                Some(last) if full => from = TradesFrom::Id(last.trade_id + 1),
                _ => return Ok(all),
            }
        }
    }

    /// Corrects wall time by the venue's clock: half the shortest of a few ways, one millisecond
    /// in the past, because a stamp from the future is refused.
    fn measure_time(&mut self) -> Result<(), ColdError> {
        let mut best: Option<(u64, i64)> = None;
        for _ in 0..TIME_SAMPLES {
            let before = self.clock.now();
            let text = self.ask("time", |_, id, _, out| orders::time(id, out))?;
            let way = self.clock.now().since(before).0;
            let table = InstrumentTable::new();
            let venue_ms = with_answer("time", &text, &table, |result| match result {
                ApiResult::ServerTime(ms) => Some(*ms),
                _ => None,
            })?;
            let middle = before.0 + way / 2;
            let origin = venue_ms * 1_000_000 - middle as i64;
            if best.is_none_or(|(w, _)| way < w) {
                best = Some((way, origin));
            }
        }
        if let Some((_, origin)) = best {
            self.wall = Wall { origin_unix_ns: origin - 1_000_000 };
        }
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

    /// Sends one request and waits for the message that carries its id.
    fn ask(
        &mut self,
        what: &'static str,
        write: impl FnOnce(&mut Encoder, u64, i64, &mut Vec<u8>),
    ) -> Result<Vec<u8>, ColdError> {
        let id = self.next_id;
        self.next_id += 1;
        self.out.clear();
        let now = self.clock.now();
        write(&mut self.encoder, id, self.wall.unix_ms(now), &mut self.out);
        let Self { chat, guards, out, .. } = self;
        guards.ask(guard::API, || {
            chat.send(out)?;
            chat.answer(what, |text| is_answer(text, id).then(|| text.to_vec()))
        })
    }
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

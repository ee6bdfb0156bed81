//! The cold session: blocking questions to the venue before the lanes start and after they have
//! ended. Same transport, same dialect, other connection. One file a venue implements
//! [`ColdVenue`].

use std::fmt;

use bot4_lanes::Clock;
use bot4_risk::breaker::Refusal;
use bot4_types::{ClientId, InstrumentTable, Nanos, Symbol, Wall};
use bot4_venues::account::{BalanceRow, FillRow, OrderRow};
use bot4_venues::binance::instruments::InfoError;
use bot4_venues::binance::private::ApiError;
use bot4_venues::binance::sign::KeyError;
use bot4_venues::catalogue::Catalogue;
use bot4_venues::registry::{NotInBuild, Venue};
use bot4_venues::secret::Scheme;
use bot4_wire::{ConnError, EndpointError, RootsError};

use super::access::Access;
use super::cold_binance::BinanceCold;
use super::cold_bybit::BybitRest;
use super::cold_coinbase::CoinbaseRest;
use super::cold_kraken::KrakenRest;
use super::cold_okx::OkxRest;
use super::cold_rest::{RestCold, RestDialect};

/// A refusal because there were too many requests.
#[derive(Clone, Debug)]
pub struct Limited {
    /// Of what.
    pub what: String,
    /// How long the venue wants none, where it says so.
    pub wait: Option<Nanos>,
    /// Its words.
    pub text: String,
}

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
    /// A refusal over REST: of what, with this code and text.
    Denied(&'static str, i64, String),
    /// Too many requests, and more than the session could wait out.
    Limited(Limited),
    /// The venue wants no requests for so long: none was made.
    Paused(Nanos),
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
    /// A signed request over REST that was not answered, or by a server that is out of order.
    Unanswered(String, String),
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
            Self::Timeout(_) | Self::LeftAlone(..) | Self::Unanswered(..) => true,
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
            Self::Denied(what, code, text) => write!(
                f,
                "error: the venue refused {what}: {text} (code {code})\nhelp: check api_key, \
                 private_key and the key's permissions at the venue"
            ),
            Self::Limited(e) => write!(
                f,
                "error: the venue refused {}, too many requests were made: {}\nhelp: wait some \
                 minutes; other programs with this key or from this address count, too",
                e.what, e.text
            ),
            Self::Paused(left) => write!(
                f,
                "error: the venue wants no requests for {} s more\nhelp: too many were made with \
                 this key or from this address; wait so long",
                left.0.div_ceil(1_000_000_000)
            ),
            Self::Answer(what) => {
                write!(f, "error: the venue's answer to {what} is not understood")
            }
            Self::Instruments(e) => write!(f, "error: venue.symbols: {e}"),
            Self::NoKeys => f.write_str("error: venue.api_key: a run that observes has no keys"),
            Self::NotInBuild(e) => write!(f, "error: venue.name: {e}"),
            Self::Rest(what, e) | Self::Unanswered(what, e) => write!(
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

/// What is asked of a venue outside the lanes.
pub trait ColdVenue {
    /// The mapping to the venue's clock.
    fn wall(&self) -> Wall;

    /// The instruments called `symbols` and the venue's limits.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn instruments(&mut self, symbols: &[String]) -> Result<Catalogue, ColdError>;

    /// The account's balances, of assets in `table`.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn balances(&mut self, table: &InstrumentTable) -> Result<Vec<BalanceRow>, ColdError>;

    /// The account's open orders, all symbols.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn open_orders(&mut self, table: &InstrumentTable) -> Result<Vec<OrderRow>, ColdError>;

    /// The order of `symbol` with the client id `client`, whatever became of it; `None` where the
    /// venue knows none.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn find_order(
        &mut self,
        symbol: &Symbol,
        client: &ClientId,
        table: &InstrumentTable,
    ) -> Result<Option<OrderRow>, ColdError>;

    /// Cancels one order; one that is not open any more is fine.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn cancel_order(&mut self, order: &OrderRow, table: &InstrumentTable) -> Result<(), ColdError>;

    /// Cancels everything open of `symbol`; nothing open is fine.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn cancel_all(&mut self, symbol: &Symbol, table: &InstrumentTable) -> Result<(), ColdError>;

    /// The account's fills of `symbol` since `start_ms`, each once, in any order.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn trades_since(
        &mut self,
        symbol: &Symbol,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError>;

    /// The account's fills of all instruments of `table` that are the venue's, as
    /// [`trades_since`](Self::trades_since) has them of one.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn all_trades_since(
        &mut self,
        start_ms: i64,
        table: &InstrumentTable,
    ) -> Result<Vec<FillRow>, ColdError> {
        let mut all = Vec::new();
        for i in table.own() {
            all.extend(self.trades_since(&i.symbol, start_ms, table)?);
        }
        Ok(all)
    }

    /// The orders that ended last, about `wanted` of them, where the venue lists many at once:
    /// those need no question each.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn ended_orders(
        &mut self,
        _wanted: usize,
        _table: &InstrumentTable,
    ) -> Result<Vec<OrderRow>, ColdError> {
        Ok(Vec::new())
    }

    /// Before and after a session: makes the venue's dead-man switch ready and leaves it at rest.
    /// A timer of the account is off until the session feeds it, because it cancels the orders of
    /// others, too; a time that is a setting of the account is set.
    ///
    /// # Errors
    /// See [`ColdError`].
    fn rest_dead_man(&mut self) -> Result<(), ColdError> {
        Ok(())
    }
}

/// Opens a session at `venue`: connects, measures the venue's clock and logs on.
///
/// # Errors
/// See [`ColdError`].
pub fn open(
    clock: &Clock,
    access: &Access,
    venue: Venue,
    seed: u64,
) -> Result<Box<dyn ColdVenue>, ColdError> {
    Ok(match rest_dialect(access, venue)? {
        Some(dialect) => Box::new(RestCold::open(clock, access, venue, dialect)?),
        None => Box::new(BinanceCold::open(clock, access, seed)?),
    })
}

/// How a venue is asked over REST; `None` for one that is asked over its WebSocket API.
fn rest_dialect(access: &Access, venue: Venue) -> Result<Option<Box<dyn RestDialect>>, ColdError> {
    Ok(Some(match venue {
        Venue::Bybit => Box::new(BybitRest::new(access.secret_keys(Scheme::Sha256Hex)?)),
        Venue::Coinbase => {
            Box::new(CoinbaseRest::new(access.token_keys()?, &access.rest_host()?.authority()))
        }
        Venue::Kraken => Box::new(KrakenRest::new(access.secret_keys(Scheme::Sha512Base64)?)),
        Venue::Okx => Box::new(OkxRest::new(access.secret_keys(Scheme::Sha256Base64)?)),
        _ => return Ok(None),
    }))
}

/// The clock of `venue`, asked for by itself: nothing is read of the account.
///
/// # Errors
/// See [`ColdError`].
pub fn clock_of(
    clock: &Clock,
    access: &Access,
    venue: Venue,
    seed: u64,
) -> Result<Wall, ColdError> {
    Ok(match rest_dialect(access, venue)? {
        Some(dialect) => RestCold::open(clock, access, venue, dialect)?.wall(),
        None => BinanceCold::connect(clock, access, seed)?.wall(),
    })
}

/// How far a venue's clock, measured as `venue`, is ahead of this machine's, microseconds.
#[must_use]
pub fn offset_us(clock: &Clock, venue: Wall) -> i64 {
    let own = clock.wall().origin_unix_ns;
    venue.origin_unix_ns.saturating_add(BEHIND_NS).saturating_sub(own) / 1_000
}

/// A stamp from the future is refused: the venue's clock is taken to be this much behind.
const BEHIND_NS: i64 = 1_000_000;

/// The samples of the venue's clock that are taken; the one with the shortest way counts.
const TIME_SAMPLES: usize = 5;

/// The wall time that the venue's clock makes: half the shortest of a few ways, one millisecond in
/// the past, because a stamp from the future is refused.
///
/// # Errors
/// What `ask` says.
pub fn measured(
    clock: &Clock,
    mut ask: impl FnMut() -> Result<i64, ColdError>,
) -> Result<Wall, ColdError> {
    let mut best: Option<(u64, i64)> = None;
    for _ in 0..TIME_SAMPLES {
        let before = clock.now();
        let venue_ms = ask()?;
        let way = clock.now().since(before).0;
        let origin = venue_ms * 1_000_000 - (before.0 + way / 2) as i64;
        if best.is_none_or(|(w, _)| way < w) {
            best = Some((way, origin));
        }
    }
    Ok(best.map_or(clock.wall(), |(_, origin)| Wall { origin_unix_ns: origin - BEHIND_NS }))
}

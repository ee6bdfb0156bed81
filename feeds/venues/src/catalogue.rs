//! A venue's list of instruments: where it is asked for and what it says of a run's symbols.
//!
//! Cold: read once before the lanes start, and again when a venue says that something changed.

use core::fmt;

use bot4_types::InstrumentTable;
use bot4_types::instrument::TableError;

use crate::limits::RateLimits;
use crate::market::DecodeError;

/// Longest list in bytes; all symbols of the largest venue need about 20 MB.
pub const CATALOGUE_LEN_MAX: usize = 64 * 1024 * 1024;

/// How a venue is asked for its instruments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueRequest {
    /// By the WebSocket API's `exchangeInfo`, on the connection for requests (Binance Spot).
    Api,
    /// By an HTTP GET of this path and query on the venue's REST host; several paths are several
    /// pages or categories whose answers are read one after the other.
    Rest(Vec<String>),
    /// By subscribing on the market connection at `path` with `message`; the first answer that
    /// is no acknowledgement is the list (Kraken's `instrument` channel).
    Channel {
        /// Path and query of the upgrade request.
        path: String,
        /// The text to send.
        message: Vec<u8>,
    },
}

/// What the venue says about a run's instruments.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The instruments, in the order asked for, and their assets.
    pub table: InstrumentTable,
    /// The venue's limits; zero where it states none.
    pub limits: RateLimits,
    /// The venue's clock, Unix ms; zero where not said.
    pub server_ms: i64,
    /// The venue's codes of the instruments in the order of the table, where it has such codes.
    pub codes: Vec<u64>,
}

/// Why a list of instruments cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// The message itself.
    Message(DecodeError),
    /// The venue refused the request with this code.
    Refused(i64),
    /// A symbol that was asked for is not there.
    Missing(String),
    /// The rules of this symbol cannot be represented.
    Symbol(String, DecodeError),
    /// The table does not take this symbol.
    Table(String, TableError),
}

/// Binance: invalid symbol.
const INVALID_SYMBOL: i64 = -1121;

impl CatalogueError {
    /// The venue refused the whole request because of a symbol that it does not know.
    #[must_use]
    pub const fn is_unknown_symbol(&self) -> bool {
        matches!(self, Self::Refused(INVALID_SYMBOL))
    }
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(e) => write!(f, "the list of instruments cannot be read: {e:?}"),
            Self::Refused(code) => {
                write!(f, "the venue refused to list its instruments with code {code}")
            }
            Self::Missing(s) => write!(f, "the venue lists no symbol `{s}`"),
            Self::Symbol(s, e) => write!(f, "the rules of `{s}` cannot be represented: {e:?}"),
            Self::Table(s, e) => write!(f, "`{s}` does not enter the table: {e:?}"),
        }
    }
}

impl std::error::Error for CatalogueError {}

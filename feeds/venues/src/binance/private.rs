//! Answers and user events of the WebSocket API.
//!
//! [`ApiDecoder::decode`] reads one message of the connection. The message borrows its lists
//! (fills, orders, balances, trades) from the decoder, which reuses them: nothing is allocated in
//! steady state. Results are told apart by their shape, because answers carry only the request's
//! id; an empty list says nothing about its kind, the caller knows by the id what was asked.
//!
//! Prices and quantities are in the instrument's units, at eight decimals where the symbol is not
//! in the table; amounts in units of 10^-16.

use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, DoneReason, InstrumentId, InstrumentTable, OrderKind, Side, Symbol, Tif,
};

use crate::client_text::ClientText;
use crate::json::Scratch;
use crate::limits::Usage;
use crate::market::DecodeError;
use crate::symbols::SymbolTable;

pub use super::errors::{ApiError, ErrorKind};

/// Longest private message in bytes: account states of accounts with hundreds of assets stay
/// below 100 kB, a thousand trades below 300 kB.
pub const PRIVATE_LEN_MAX: usize = 1024 * 1024;

/// An order's state in the venue's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueStatus {
    /// On the book, nothing executed.
    New,
    /// Part of a list, not on the book yet.
    PendingNew,
    /// Executed in part.
    PartiallyFilled,
    /// Executed completely.
    Filled,
    /// Cancelled by us or the operator of the venue.
    Canceled,
    /// Refused.
    Rejected,
    /// Ended by the venue: rest of an IOC, FOK or market order, or by its rules.
    Expired,
    /// Ended by self-trade prevention.
    ExpiredInMatch,
    /// A word this build does not know.
    Unknown,
}

impl VenueStatus {
    /// Nothing more can happen to the order.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Filled | Self::Canceled | Self::Rejected | Self::Expired | Self::ExpiredInMatch
        )
    }
}

/// What an execution report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// Accepted.
    New,
    /// Cancelled.
    Canceled,
    /// Amended.
    Replaced,
    /// Refused.
    Rejected,
    /// A fill.
    Trade,
    /// Ended by the venue.
    Expired,
    /// Self-trade prevention acted.
    TradePrevention,
    /// A word this build does not know.
    Unknown,
}

/// A balance. `asset` is `AssetId::NONE` when the name is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Index in the table.
    pub asset: AssetId,
    /// The venue's name.
    pub name: Symbol,
    /// Free amount.
    pub free: Amount,
    /// Amount locked in open orders.
    pub locked: Amount,
}

/// A fill as an order's answer states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Trade id.
    pub trade_id: u64,
    /// Price units.
    pub price: i64,
    /// Quantity units.
    pub qty: i64,
    /// Fee.
    pub fee: Amount,
    /// What the fee was paid with.
    pub fee_asset: AssetId,
}

/// An order as an answer states it. What a short answer lacks is zero or `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Index in the table; `None` for a foreign symbol.
    pub instrument: Option<InstrumentId>,
    /// The venue's name of the instrument.
    pub symbol: Symbol,
    /// The venue's number of the order.
    pub venue_order: u64,
    /// The order's own client id (never that of a cancel).
    pub client: ClientText,
    /// State.
    pub status: VenueStatus,
    /// Order type; `None` for types that this engine does not place.
    pub kind: Option<OrderKind>,
    /// Time in force.
    pub tif: Option<Tif>,
    /// Buy or sell; `None` in an `ACK`.
    pub side: Option<Side>,
    /// Limit price.
    pub price: i64,
    /// Ordered quantity.
    pub qty: i64,
    /// Executed so far.
    pub executed: i64,
    /// It waits for its trigger.
    pub waits: bool,
    /// Quote amount of what was executed; `None` for old orders whose amount is not known.
    pub cum_quote: Option<Amount>,
    /// Time of the engine's action or of the last change, Unix ms.
    pub time_ms: i64,
}

/// A trade of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTrade {
    /// Index in the table; `None` for a foreign symbol.
    pub instrument: Option<InstrumentId>,
    /// Trade id.
    pub trade_id: u64,
    /// The venue's number of the order.
    pub venue_order: u64,
    /// Price units.
    pub price: i64,
    /// Quantity units.
    pub qty: i64,
    /// Quote amount.
    pub quote: Amount,
    /// Fee.
    pub fee: Amount,
    /// What the fee was paid with.
    pub fee_asset: AssetId,
    /// Buy or sell.
    pub side: Side,
    /// The order rested.
    pub maker: bool,
    /// Unix ms.
    pub time_ms: i64,
}

/// An order's state changed: `executionReport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionReport {
    /// Event time `E`, Unix ms.
    pub event_ms: i64,
    /// Engine time `T`, Unix ms.
    pub transact_ms: i64,
    /// Index in the table; `None` for a foreign symbol.
    pub instrument: Option<InstrumentId>,
    /// The venue's name of the instrument `s`.
    pub symbol: Symbol,
    /// Client id `c`; on a cancel or amend that of the request.
    pub client: ClientText,
    /// Original client id `C`; empty unless `c` names a request.
    pub original_client: ClientText,
    /// Buy or sell `S`.
    pub side: Side,
    /// Order type `o`; `None` for types that this engine does not place.
    pub kind: Option<OrderKind>,
    /// Time in force `f`.
    pub tif: Option<Tif>,
    /// Ordered quantity `q`.
    pub qty: i64,
    /// Limit price `p`.
    pub price: i64,
    /// What happened `x`.
    pub execution: Execution,
    /// State after it `X`.
    pub status: VenueStatus,
    /// Why it was refused or ended, from `r`, `eR` and the state.
    pub reason: DoneReason,
    /// The venue's number `i`.
    pub venue_order: u64,
    /// Quantity of this fill `l` (trades only).
    pub last_qty: i64,
    /// Executed so far `z`.
    pub cum_qty: i64,
    /// Price of this fill `L` (trades only).
    pub last_price: i64,
    /// Fee of this fill `n` (trades only).
    pub fee: Amount,
    /// What the fee was paid with `N`; `AssetId::NONE` where null or not in the table.
    pub fee_asset: AssetId,
    /// Trade id `t` (trades only).
    pub trade_id: Option<u64>,
    /// Execution id `I`: unique per event of the account, drops repeats.
    pub execution_id: u64,
    /// On the book `w`.
    pub working: bool,
    /// The fill made liquidity `m`.
    pub maker: bool,
    /// Quote amount so far `Z`.
    pub cum_quote: Amount,
    /// Quote amount of this fill `Y`.
    pub last_quote: Amount,
}

impl ExecutionReport {
    /// It waits for its trigger.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.working && self.kind.is_some_and(OrderKind::is_triggered)
    }

    /// The order's own client id: `C` when it is there, else `c`.
    #[must_use]
    pub const fn order_client(&self) -> &ClientText {
        if self.original_client.is_empty() { &self.client } else { &self.original_client }
    }
}

/// What a successful answer holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ApiResult<'d> {
    /// An order was accepted, with what it executed at once.
    Placed(OrderView, &'d [Fill]),
    /// An order was cancelled.
    Canceled(OrderView),
    /// An order has less quantity; it kept its number.
    Amended(OrderView),
    /// An order was cancelled, and another one accepted in its place with what it executed at
    /// once.
    Replaced(OrderView, OrderView, &'d [Fill]),
    /// An order was cancelled, and the one in its place was refused with certainty.
    HalfReplaced(OrderView, ApiError),
    /// An order's state.
    OrderStatus(OrderView),
    /// Open orders; never empty (see [`ApiResult::EmptyList`]).
    OpenOrders(&'d [OrderView]),
    /// The orders that a cancel of all cancelled.
    CanceledAll(&'d [OrderView]),
    /// Balances of the account.
    Account(&'d [Balance]),
    /// Trades of the account; never empty.
    Trades(&'d [AccountTrade]),
    /// An empty list of whatever was asked for.
    EmptyList,
    /// The session's state; logged on or not.
    Session {
        /// A key is logged on.
        authorized: bool,
    },
    /// User events are subscribed.
    Subscribed {
        /// Number of the subscription.
        subscription: u64,
    },
    /// The venue's clock, Unix ms.
    ServerTime(i64),
    /// Understood as a success, its content is of no use here (exchangeInfo, depth, ping).
    Other,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response<'d> {
    /// The request's id; `None` where the venue names none or one that is not a number.
    pub id: Option<u64>,
    /// Status: 200, or as HTTP.
    pub status: u16,
    /// Result or refusal.
    pub outcome: Result<ApiResult<'d>, ApiError>,
    /// Counts that came with it.
    pub usage: Usage,
}

/// One message of the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "matched once where it is made, never stored")]
pub enum ApiMessage<'d> {
    /// An answer.
    Response(Response<'d>),
    /// An order's state changed.
    Execution(ExecutionReport),
    /// Absolute balances of the assets that may have changed.
    AccountPosition {
        /// Event time, Unix ms.
        event_ms: i64,
        /// Those assets only: merge, do not replace.
        balances: &'d [Balance],
    },
    /// A deposit, withdrawal or transfer; the balances follow in an event of their own.
    BalanceUpdate {
        /// Event time, Unix ms.
        event_ms: i64,
        /// Index in the table.
        asset: AssetId,
        /// Change.
        delta: Amount,
    },
    /// The user event subscription is over: subscribe again, then reconcile.
    Terminated,
    /// The server is going away: reconnect.
    ServerShutdown,
    /// An event of no use here.
    Other,
}

/// The lists that messages borrow.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) fills: Vec<Fill>,
    pub(super) orders: Vec<OrderView>,
    pub(super) balances: Vec<Balance>,
    pub(super) trades: Vec<AccountTrade>,
}

/// The names a message is read with.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) symbols: SymbolTable,
    pub(super) table: InstrumentTable,
}

/// Reads private messages.
pub struct ApiDecoder {
    scratch: Scratch,
    names: Names,
    lists: Lists,
}

impl ApiDecoder {
    /// A decoder for the instruments and assets of `table`. Allocates.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self {
            scratch: Scratch::new(PRIVATE_LEN_MAX),
            names: Names { symbols: SymbolTable::new(table), table: table.clone() },
            lists: Lists {
                fills: Vec::with_capacity(256),
                orders: Vec::with_capacity(256),
                balances: Vec::with_capacity(256),
                trades: Vec::with_capacity(1_000),
            },
        }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`DecodeError`]: the message cannot be trusted in any part. The caller must treat a
    /// damaged message as a lost one: reconcile.
    pub fn decode(&mut self, text: &[u8]) -> Result<ApiMessage<'_>, DecodeError> {
        let Self { scratch, names, lists } = self;
        let outline = scratch.read(text, |root| super::private_json::read(root, names, lists))?;
        Ok(with_lists(outline, lists))
    }
}

/// The message with the lists that its outline left empty.
fn with_lists<'a>(outline: ApiMessage<'static>, lists: &'a Lists) -> ApiMessage<'a> {
    match outline {
        ApiMessage::Response(Response { id, status, outcome, usage }) => {
            let outcome = outcome.map(|result| match result {
                ApiResult::Placed(order, _) => ApiResult::Placed(order, &lists.fills),
                ApiResult::Replaced(old, new, _) => ApiResult::Replaced(old, new, &lists.fills),
                ApiResult::OpenOrders(_) => ApiResult::OpenOrders(&lists.orders),
                ApiResult::CanceledAll(_) => ApiResult::CanceledAll(&lists.orders),
                ApiResult::Account(_) => ApiResult::Account(&lists.balances),
                ApiResult::Trades(_) => ApiResult::Trades(&lists.trades),
                other => other,
            });
            ApiMessage::Response(Response { id, status, outcome, usage })
        }
        ApiMessage::AccountPosition { event_ms, .. } => {
            ApiMessage::AccountPosition { event_ms, balances: &lists.balances }
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;

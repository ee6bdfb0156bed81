//! The account's orders and trades, open and past, and their JSON shapes in answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::decimal::{push, push_wide};
use crate::matching::{Side, Stp, Tif};

/// Closed orders kept for `order.status`; the oldest are forgotten beyond it.
pub const CLOSED_MAX: usize = 200_000;
/// Trades kept per market for `myTrades`.
pub const TRADES_MAX: usize = 200_000;

/// The order types that the venue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `LIMIT`
    Limit,
    /// `LIMIT_MAKER`
    LimitMaker,
    /// `MARKET`
    Market,
    /// `STOP_LOSS`
    StopLoss,
    /// `STOP_LOSS_LIMIT`
    StopLossLimit,
    /// `TAKE_PROFIT`
    TakeProfit,
    /// `TAKE_PROFIT_LIMIT`
    TakeProfitLimit,
}

impl Kind {
    /// The wire's word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Limit => "LIMIT",
            Self::LimitMaker => "LIMIT_MAKER",
            Self::Market => "MARKET",
            Self::StopLoss => "STOP_LOSS",
            Self::StopLossLimit => "STOP_LOSS_LIMIT",
            Self::TakeProfit => "TAKE_PROFIT",
            Self::TakeProfitLimit => "TAKE_PROFIT_LIMIT",
        }
    }

    /// It has no limit.
    #[must_use]
    pub fn is_market(self) -> bool {
        matches!(self, Self::Market | Self::StopLoss | Self::TakeProfit)
    }

    /// It waits for the last price to reach its stop price.
    #[must_use]
    pub fn waits(self) -> bool {
        !matches!(self, Self::Limit | Self::LimitMaker | Self::Market)
    }

    /// The last price `last` is at or beyond `stop` for an order of this type on `side`.
    #[must_use]
    pub fn is_reached(self, side: Side, stop: i64, last: i64) -> bool {
        let stops = matches!(self, Self::StopLoss | Self::StopLossLimit);
        if (side == Side::Buy) == stops { last >= stop } else { last <= stop }
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Accepted, nothing executed.
    New,
    /// Open with an executed part.
    PartiallyFilled,
    /// Done.
    Filled,
    /// Cancelled by the account.
    Canceled,
    /// IOC, FOK or market rest.
    Expired,
    /// By self-trade prevention.
    ExpiredInMatch,
}

impl Status {
    /// The wire's word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::PartiallyFilled => "PARTIALLY_FILLED",
            Self::Filled => "FILLED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
            Self::ExpiredInMatch => "EXPIRED_IN_MATCH",
        }
    }

    /// Can it still trade?
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

/// One order of the account. Numbers in 10^-8, times in Unix ms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Venue's id.
    pub id: u64,
    /// Index of the market.
    pub market: usize,
    /// Market's name (stored, so that a list in another order cannot mix them up).
    pub symbol: String,
    /// The account's own id.
    pub client_id: String,
    /// Buys or sells.
    pub side: Side,
    /// Type.
    pub kind: Kind,
    /// Life time.
    pub tif: Tif,
    /// Limit; 0 for a market order.
    pub price: i64,
    /// Original quantity.
    pub qty: i64,
    /// Executed quantity.
    pub filled: i64,
    /// Executed value in the quote asset.
    pub quote: i128,
    /// Prevented quantity.
    pub prevented: i64,
    /// Reserved now: quote for a buy, base for a sell.
    pub locked: i128,
    /// Where it stands.
    pub status: Status,
    /// Prevention mode.
    pub stp: Stp,
    /// Accepted at.
    pub created_ms: u64,
    /// Last change.
    pub updated_ms: u64,
    /// Times that it was amended.
    #[serde(default)]
    pub amends: u32,
    /// Stop price; 0 for types without.
    #[serde(default)]
    pub stop: i64,
    /// The last price has not reached the stop price.
    #[serde(default)]
    pub waiting: bool,
    /// Works since, Unix ms.
    #[serde(default)]
    pub worked_ms: u64,
}

impl Order {
    /// What can still trade.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.qty - self.filled - self.prevented
    }

    /// Since when it works, as the wire has it.
    pub(crate) fn working_time(&self, scale: u64) -> String {
        match self.waiting {
            true => "-1".to_owned(),
            false => (self.worked_ms * scale).to_string(),
        }
    }

    /// Fields that answers to place, cancel and queries share, from `price` to `side`.
    fn push_state(&self, out: &mut String, quote_order_qty: bool) {
        out.push_str(r#","price":""#);
        push(out, self.price);
        out.push_str(r#"","origQty":""#);
        push(out, self.qty);
        out.push_str(r#"","executedQty":""#);
        push(out, self.filled);
        if quote_order_qty {
            out.push_str(r#"","origQuoteOrderQty":"0.00000000"#);
        }
        out.push_str(r#"","cummulativeQuoteQty":""#);
        push_wide(out, self.quote);
        let _ = write!(
            out,
            r#"","status":"{}","timeInForce":"{}","type":"{}","side":"{}""#,
            self.status.text(),
            self.tif.text(),
            self.kind.text(),
            self.side.text()
        );
    }

    fn push_stp(&self, out: &mut String) {
        let _ = write!(out, r#","selfTradePreventionMode":"{}"}}"#, self.stp.text());
    }

    /// Result of `order.place`: ACK, RESULT, or with `fills` FULL. `scale` is 1 or 1000 (us).
    #[must_use]
    pub fn placed(&self, detail: Detail, fills: &str, scale: u64) -> String {
        let mut out = String::with_capacity(512);
        let _ = write!(
            out,
            concat!(
                r#"{{"symbol":"{}","orderId":{},"orderListId":-1,"#,
                r#""clientOrderId":"{}","transactTime":{}"#
            ),
            self.symbol,
            self.id,
            self.client_id,
            self.updated_ms * scale
        );
        if detail == Detail::Ack {
            out.push('}');
            return out;
        }
        self.push_state(&mut out, true);
        if self.stop > 0 {
            out.push_str(r#","stopPrice":""#);
            push(&mut out, self.stop);
            out.push('"');
        }
        let _ = write!(out, r#","workingTime":{}"#, self.working_time(scale));
        if detail == Detail::Full {
            let _ = write!(out, r#","fills":[{fills}]"#);
        }
        self.push_stp(&mut out);
        out
    }

    /// Result of `order.cancel`; `cancel_id` names the cancel.
    #[must_use]
    pub fn canceled(&self, cancel_id: &str, scale: u64) -> String {
        let mut out = String::with_capacity(512);
        let _ = write!(
            out,
            concat!(
                r#"{{"symbol":"{}","origClientOrderId":"{}","orderId":{},"orderListId":-1,"#,
                r#""clientOrderId":"{}","transactTime":{}"#
            ),
            self.symbol,
            self.client_id,
            self.id,
            cancel_id,
            self.updated_ms * scale
        );
        self.push_state(&mut out, true);
        self.push_stp(&mut out);
        out
    }

    /// `amendedOrder` in the result of `order.amend.keepPriority`; `before` is its client id until
    /// then. Quantities have names of their own here.
    #[must_use]
    pub fn amended(&self, before: &str, scale: u64) -> String {
        let mut out = String::with_capacity(512);
        let _ = write!(
            out,
            concat!(
                r#"{{"symbol":"{}","orderId":{},"orderListId":-1,"#,
                r#""origClientOrderId":"{before}","clientOrderId":"{}","price":""#
            ),
            self.symbol,
            self.id,
            self.client_id,
            before = before,
        );
        push(&mut out, self.price);
        out.push_str(r#"","qty":""#);
        push(&mut out, self.qty);
        out.push_str(r#"","executedQty":""#);
        push(&mut out, self.filled);
        out.push_str(r#"","preventedQty":""#);
        push(&mut out, self.prevented);
        out.push_str(r#"","quoteOrderQty":"0.00000000","cumulativeQuoteQty":""#);
        push_wide(&mut out, self.quote);
        let _ = write!(
            out,
            r#"","status":"{}","timeInForce":"{}","type":"{}","side":"{}","workingTime":{}"#,
            self.status.text(),
            self.tif.text(),
            self.kind.text(),
            self.side.text(),
            self.created_ms * scale
        );
        self.push_stp(&mut out);
        out
    }

    /// Entry of `order.status`, `openOrders.status` and `allOrders`.
    #[must_use]
    pub fn queried(&self, scale: u64) -> String {
        let mut out = String::with_capacity(640);
        let _ = write!(
            out,
            r#"{{"symbol":"{}","orderId":{},"orderListId":-1,"clientOrderId":"{}""#,
            self.symbol, self.id, self.client_id
        );
        self.push_state(&mut out, false);
        out.push_str(r#","stopPrice":""#);
        push(&mut out, self.stop);
        let _ = write!(
            out,
            concat!(
                r#"","icebergQty":"0.00000000","time":{},"updateTime":{},"#,
                r#""isWorking":{},"workingTime":{},"origQuoteOrderQty":"0.00000000""#
            ),
            self.created_ms * scale,
            self.updated_ms * scale,
            !self.waiting,
            self.working_time(scale)
        );
        if self.prevented > 0 {
            out.push_str(r#","preventedQuantity":""#);
            push(&mut out, self.prevented);
            out.push('"');
        }
        self.push_stp(&mut out);
        out
    }
}

/// How much `order.place` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Ids and time.
    Ack,
    /// And state.
    Result,
    /// And fills.
    Full,
}

/// One trade of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTrade {
    /// Market's name.
    pub symbol: String,
    /// Trade id of the market.
    pub id: u64,
    /// The order it belongs to.
    pub order: u64,
    /// Price.
    pub price: i64,
    /// Quantity.
    pub qty: i64,
    /// Value in the quote asset.
    pub quote: i128,
    /// Fee.
    pub commission: i128,
    /// The asset of the fee.
    pub commission_asset: String,
    /// Unix ms.
    pub time_ms: u64,
    /// Did the account buy?
    pub buyer: bool,
    /// Did its order rest?
    pub maker: bool,
}

impl OwnTrade {
    /// Entry of `myTrades`.
    #[must_use]
    pub fn queried(&self, scale: u64) -> String {
        let mut out = String::with_capacity(320);
        let _ = write!(
            out,
            r#"{{"symbol":"{}","id":{},"orderId":{},"orderListId":-1,"price":""#,
            self.symbol, self.id, self.order
        );
        push(&mut out, self.price);
        out.push_str(r#"","qty":""#);
        push(&mut out, self.qty);
        out.push_str(r#"","quoteQty":""#);
        push_wide(&mut out, self.quote);
        out.push_str(r#"","commission":""#);
        push_wide(&mut out, self.commission);
        let _ = write!(
            out,
            concat!(
                r#"","commissionAsset":"{}","time":{},"isBuyer":{},"isMaker":{},"#,
                r#""isBestMatch":true}}"#
            ),
            self.commission_asset,
            self.time_ms * scale,
            self.buyer,
            self.maker
        );
        out
    }

    /// Entry of `fills` in the answer of `order.place`.
    #[must_use]
    pub fn fill(&self) -> String {
        let mut out = String::from(r#"{"price":""#);
        push(&mut out, self.price);
        out.push_str(r#"","qty":""#);
        push(&mut out, self.qty);
        out.push_str(r#"","commission":""#);
        push_wide(&mut out, self.commission);
        let _ = write!(
            out,
            r#"","commissionAsset":"{}","tradeId":{}}}"#,
            self.commission_asset, self.id
        );
        out
    }
}

/// All orders by id, open ones by client id, trades by market.
#[derive(Debug, Default)]
pub struct Orders {
    by_id: BTreeMap<u64, Order>,
    /// The newest order of each client id (client ids are unique among open orders only).
    by_client: BTreeMap<String, u64>,
    open: BTreeMap<usize, BTreeSet<u64>>,
    closed: VecDeque<u64>,
    trades: BTreeMap<usize, VecDeque<OwnTrade>>,
}

impl Orders {
    /// Adds an order.
    pub fn insert(&mut self, order: Order) {
        if order.status.is_open() {
            self.open.entry(order.market).or_default().insert(order.id);
        } else {
            self.closed.push_back(order.id);
        }
        self.by_client.insert(order.client_id.clone(), order.id);
        self.by_id.insert(order.id, order);
    }

    /// An order changed from open to a final state: forget the oldest closed one if there are
    /// too many.
    pub fn close(&mut self, id: u64, market: usize) {
        if let Some(open) = self.open.get_mut(&market) {
            open.remove(&id);
        }
        self.closed.push_back(id);
        if self.closed.len() > CLOSED_MAX
            && let Some(old) = self.closed.pop_front().and_then(|id| self.by_id.remove(&id))
            && self.by_client.get(&old.client_id) == Some(&old.id)
        {
            self.by_client.remove(&old.client_id);
        }
    }

    /// The order with this id.
    #[must_use]
    pub fn by_id(&self, id: u64) -> Option<&Order> {
        self.by_id.get(&id)
    }

    /// The same, to change.
    pub fn by_id_mut(&mut self, id: u64) -> Option<&mut Order> {
        self.by_id.get_mut(&id)
    }

    /// Gives an order another client id.
    pub fn rename(&mut self, id: u64, client_id: &str) {
        let Some(order) = self.by_id.get_mut(&id) else { return };
        if order.client_id != client_id {
            self.by_client.remove(&order.client_id);
            client_id.clone_into(&mut order.client_id);
            self.by_client.insert(client_id.to_owned(), id);
        }
    }

    /// The newest order with this client id.
    #[must_use]
    pub fn by_client(&self, client_id: &str) -> Option<&Order> {
        self.by_client.get(client_id).and_then(|id| self.by_id.get(id))
    }

    /// How many orders are open in a market.
    #[must_use]
    pub fn open_count(&self, market: usize) -> usize {
        self.open.get(&market).map_or(0, BTreeSet::len)
    }

    /// All orders, oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Order> {
        self.by_id.values()
    }

    /// Open orders by market and age; all markets for `None`.
    pub fn open(&self, market: Option<usize>) -> impl Iterator<Item = &Order> {
        self.open
            .iter()
            .filter(move |(m, _)| market.is_none_or(|wanted| wanted == **m))
            .flat_map(|(_, ids)| ids)
            .filter_map(|id| self.by_id.get(id))
    }

    /// Appends a trade.
    pub fn push_trade(&mut self, market: usize, trade: OwnTrade) {
        let trades = self.trades.entry(market).or_default();
        trades.push_back(trade);
        if trades.len() > TRADES_MAX {
            trades.pop_front();
        }
    }

    /// Trades of a market, oldest first.
    pub fn trades(&self, market: usize) -> impl DoubleEndedIterator<Item = &OwnTrade> {
        self.trades.get(&market).into_iter().flatten()
    }
}

//! The exchange behind the connections: markets, one account, its orders, its ids.
//!
//! Everything that changes goes through here: client orders (checked, reserved, matched, settled)
//! and the crowd's orders (matched only). Two tapes leave: public prints and private events.
//! Invariant: every trade moves the account by exactly its settlement, and every order's
//! reservation is zero once it is closed.

use std::collections::BTreeSet;

use crate::account::{Account, Balance, Fees, Settlement, reserved};
use crate::change::Listing;
use crate::decimal::value_ceil;
use crate::error::ApiError;
use crate::filters::{self, Candidate};
use crate::limits::Limits;
use crate::matching::{Book, End, Incoming, Owner, Side, Step, Stp, Tif};
use crate::orders::{Kind, Order, Orders, OwnTrade, Status};
use crate::report::{Event, Prevented, Report};
use crate::rng::Rng;
use crate::symbol::SymbolSpec;

mod amend;
mod triggers;

/// One market: its listing, its book, its running ids.
#[derive(Debug)]
pub struct Market {
    /// Listing.
    pub spec: SymbolSpec,
    /// Book.
    pub book: Book,
    /// Id of the last trade.
    pub trade_id: u64,
    /// Id of the last aggregated trade.
    pub agg_id: u64,
    /// Price of the last trade.
    pub last_price: i64,
}

/// A public trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    /// Index of the market.
    pub market: usize,
    /// Trade id.
    pub id: u64,
    /// Price.
    pub price: i64,
    /// Quantity.
    pub qty: i64,
    /// True if the aggressor sold.
    pub buyer_maker: bool,
    /// The aggressor: prints of one taker at one price are one aggregated trade.
    pub taker: u64,
}

/// Something that the account is told.
#[derive(Clone, Debug)]
pub enum Private {
    /// An order changed.
    Report(Box<Report>),
    /// Balances changed: (asset, balance), at this time in ms.
    Position(Vec<(String, Balance)>, u64),
}

/// A client order that passed the parameter checks.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Index of the market.
    pub market: usize,
    /// Buys or sells.
    pub side: Side,
    /// Type.
    pub kind: Kind,
    /// Life time.
    pub tif: Tif,
    /// Limit; `None` for a market order.
    pub price: Option<i64>,
    /// Quantity.
    pub qty: i64,
    /// The account's id, if it gave one.
    pub client_id: Option<String>,
    /// Prevention mode.
    pub stp: Stp,
}

/// The next numbers that the venue gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Order id.
    pub order: u64,
    /// Execution id.
    pub execution: u64,
    /// Prevented match.
    pub prevented: u64,
}

impl Default for Ids {
    /// Numbers of the size that the real venue uses today.
    fn default() -> Self {
        Self { order: 12_569_099_453, execution: 117_599_651_999, prevented: 1 }
    }
}

/// What changed since the last commit; it becomes one record of the account log.
#[derive(Debug, Default)]
pub struct Changes {
    /// Orders by id.
    pub orders: BTreeSet<u64>,
    /// Own trades with their market.
    pub trades: Vec<(usize, OwnTrade)>,
    /// Balances.
    pub balances: Vec<(String, Balance)>,
}

/// Markets, account, orders, limits.
#[derive(Debug)]
pub struct Exchange {
    /// The markets, by index.
    pub markets: Vec<Market>,
    /// Balances.
    pub account: Account,
    /// Orders and trades of the account.
    pub orders: Orders,
    /// Rate limits.
    pub limits: Limits,
    /// Next numbers.
    pub ids: Ids,
    /// Public trades, oldest first, until somebody drains them.
    pub prints: Vec<Print>,
    /// Private events, likewise.
    pub events: Vec<Private>,
    /// What the log must learn.
    pub changes: Changes,
    /// Fees are taken in the quote asset on both sides, not in what is received.
    pub fees_in_quote: bool,
    /// An order whose stop price is reached already is triggered at once, not refused.
    pub triggers_at_once: bool,
    fees: Fees,
    crowd_id: u64,
    rng: Rng,
    steps: Vec<Step>,
    /// By market: orders that wait for their stop price, oldest first.
    waiting: Vec<Vec<u64>>,
    /// By market: lowest and highest price of trades since the waiting orders were looked at.
    spans: Vec<Option<(i64, i64)>>,
}

impl Exchange {
    /// An exchange with empty books.
    #[must_use]
    pub fn new(
        markets: Vec<Market>,
        account: Account,
        limits: Limits,
        fees: Fees,
        rng: Rng,
    ) -> Self {
        Self {
            waiting: vec![Vec::new(); markets.len()],
            spans: vec![None; markets.len()],
            markets,
            account,
            orders: Orders::default(),
            limits,
            ids: Ids::default(),
            prints: Vec::new(),
            events: Vec::new(),
            changes: Changes::default(),
            fees_in_quote: false,
            triggers_at_once: false,
            fees,
            crowd_id: 1 << 60,
            rng,
            steps: Vec::new(),
        }
    }

    /// Fee rates.
    #[must_use]
    pub fn fees(&self) -> Fees {
        self.fees
    }

    /// Index of the market with this upper-case name.
    #[must_use]
    pub fn market(&self, name: &str) -> Option<usize> {
        self.markets.iter().position(|m| m.spec.name == name)
    }

    /// Accepts, reserves, matches. Returns the order's id.
    ///
    /// # Errors
    /// -1013 (filters) or -2010 (engine); then nothing changed.
    pub fn place(&mut self, ticket: Ticket, now_ms: u64) -> Result<u64, ApiError> {
        let reserve = self.admit(&ticket, None)?;
        let (market, arrival) = (ticket.market, incoming(0, &ticket));
        let id = self.accept(ticket, reserve, 0, now_ms);
        self.match_client(market, &Incoming { id, ..arrival }, now_ms);
        self.wake(market, now_ms);
        Ok(id)
    }

    /// Takes an order in and tells of it; `stop` is what it waits for, or zero.
    fn accept(&mut self, ticket: Ticket, reserve: i128, stop: i64, now_ms: u64) -> u64 {
        let id = self.ids.order;
        self.ids.order += 1;
        let market = &self.markets[ticket.market];
        let client_id = ticket.client_id.unwrap_or_else(|| random_id(&mut self.rng));
        let order = Order {
            id,
            market: ticket.market,
            symbol: market.spec.name.clone(),
            client_id,
            side: ticket.side,
            kind: ticket.kind,
            tif: ticket.tif,
            price: ticket.price.unwrap_or(0),
            qty: ticket.qty,
            filled: 0,
            quote: 0,
            prevented: 0,
            locked: reserve,
            status: Status::New,
            stp: ticket.stp,
            created_ms: now_ms,
            updated_ms: now_ms,
            amends: 0,
            stop,
            waiting: stop > 0,
            worked_ms: now_ms,
        };
        self.limits.order_accepted(now_ms);
        self.orders.insert(order);
        self.tell(id, Event::New, now_ms);
        id
    }

    /// Cancels an open order; false if it is not open.
    pub fn cancel(&mut self, id: u64, cancel_id: Option<String>, now_ms: u64) -> Option<String> {
        let order = self.orders.by_id(id).filter(|o| o.status.is_open())?;
        let (market, side, price) = (order.market, order.side, order.price);
        self.markets[market].book.cancel(side, price, id);
        let cancel_id = cancel_id.unwrap_or_else(|| random_id(&mut self.rng));
        self.close(id, Status::Canceled, Event::Canceled(cancel_id.clone()), now_ms);
        Some(cancel_id)
    }

    /// The market's filters for an order, nothing else.
    ///
    /// # Errors
    /// -1013.
    pub fn filtered(&self, ticket: &Ticket, open_less: usize) -> Result<(), ApiError> {
        let market = &self.markets[ticket.market];
        let candidate = Candidate {
            side: ticket.side,
            price: ticket.price,
            qty: ticket.qty,
            last_price: market.last_price,
            open_orders: self.orders.open_count(ticket.market).saturating_sub(open_less),
            stop: None,
        };
        filters::check(&market.spec, &candidate)
    }

    /// An order of the crowd. `post_only` ones rest or vanish.
    pub fn crowd(&mut self, market: usize, order: CrowdOrder, now_ms: u64) {
        self.crowd_id += 1;
        self.run(market, &order.incoming(self.crowd_id), now_ms);
        self.wake(market, now_ms);
    }

    /// Sets the crowd's quantity at a level, as a recording reports it. A level that crosses own
    /// orders trades with them first; one that crosses the crowd replaces what it crosses.
    pub fn crowd_level(&mut self, market: usize, side: Side, price: i64, qty: i64, now_ms: u64) {
        self.crowd_id += 1;
        let id = self.crowd_id;
        let other = side.opposite();
        while qty > 0 && self.markets[market].book.crosses(side, Some(price)) {
            let book = &mut self.markets[market].book;
            let Some((best, before)) = book.best(other) else { break };
            book.set_crowd(other, best, 0, id);
            if book.qty_at(other, best) > 0 {
                let order = CrowdOrder { side, price: Some(best), qty, rests: false };
                self.crowd(market, order, now_ms);
            }
            if self.markets[market].book.qty_at(other, best) >= before {
                break;
            }
            if self.markets[market].book.qty_at(other, best) > 0 {
                // The own order there is larger than all that arrived: nothing is left to rest.
                return;
            }
        }
        if qty == 0 || !self.markets[market].book.crosses(side, Some(price)) {
            self.markets[market].book.set_crowd(side, price, qty, id);
        }
    }

    /// Puts a stored order back without events: open ones rest at the back of their level.
    pub fn restore_order(&mut self, order: Order) {
        if order.status.is_open() && order.waiting {
            self.waiting[order.market].push(order.id);
        } else if order.status.is_open() {
            let incoming = Incoming {
                id: order.id,
                owner: Owner::Client,
                side: order.side,
                price: Some(order.price),
                qty: order.left(),
                tif: Tif::Gtc,
                post_only: false,
                stp: Stp::None,
            };
            let mut steps = Vec::new();
            self.markets[order.market].book.submit(&incoming, &mut steps);
            debug_assert!(steps.is_empty(), "own orders are restored into an empty book");
        }
        self.ids.order = self.ids.order.max(order.id + 1);
        self.orders.insert(order);
    }

    /// Filters, duplicate id, post-only, stop price, money. Returns what was reserved.
    fn admit(&mut self, ticket: &Ticket, stop: Option<i64>) -> Result<i128, ApiError> {
        let market = &self.markets[ticket.market];
        let candidate = Candidate {
            side: ticket.side,
            price: ticket.price,
            qty: ticket.qty,
            last_price: market.last_price,
            open_orders: self.orders.open_count(ticket.market),
            stop: stop.map(|stop| (stop, self.waiting[ticket.market].len())),
        };
        match market.spec.listing {
            Listing::Trading => filters::check(&market.spec, &candidate)?,
            Listing::Halted => return Err(ApiError::new(-1013, "Market is closed.")),
            Listing::Unlisted => return Err(ApiError::new(-1121, "Invalid symbol.")),
        }
        let duplicate = ticket
            .client_id
            .as_deref()
            .and_then(|id| self.orders.by_client(id))
            .is_some_and(|order| order.status.is_open());
        if duplicate {
            return Err(ApiError::new(-2010, "Duplicate order sent."));
        }
        if ticket.kind == Kind::LimitMaker && market.book.crosses(ticket.side, ticket.price) {
            return Err(ApiError::new(-2010, "Order would immediately match and take."));
        }
        let reached = |at| ticket.kind.is_reached(ticket.side, at, market.last_price);
        if stop.is_some_and(reached) && !self.triggers_at_once {
            return Err(ApiError::new(-2010, "Order would trigger immediately."));
        }
        let (asset, amount) = match (ticket.side, ticket.price.or(stop)) {
            (Side::Sell, _) => (&market.spec.base, i128::from(ticket.qty)),
            (Side::Buy, price) => {
                let reach = || market.book.reach(&incoming(0, ticket)).1;
                let value = price.map_or_else(reach, |price| value_ceil(price, ticket.qty));
                let beside = self.fees_in_quote.then_some(self.fees);
                (&market.spec.quote, reserved(value, beside))
            }
        };
        if !self.account.lock(asset, amount) {
            let msg = "Account has insufficient balance for requested action.";
            return Err(ApiError::new(-2010, msg));
        }
        Ok(amount)
    }

    fn match_client(&mut self, market: usize, order: &Incoming, now_ms: u64) {
        match self.run(market, order, now_ms) {
            End::Filled | End::Resting(_) | End::WouldMatch => {}
            End::Expired(_) => {
                let reason = match (order.price, order.tif) {
                    (None, _) => "INSUFFICIENT_LIQUIDITY",
                    (_, Tif::Fok) => "UNFILLED_FOK_ORDER_EXPIRED",
                    _ => "UNFILLED_IOC_QUANTITY_EXPIRED",
                };
                self.close(order.id, Status::Expired, Event::Expired(reason), now_ms);
            }
            End::Prevented { left, counter, price } => {
                self.prevent(order.id, counter, price, left, now_ms);
            }
        }
    }

    /// Matches one order and books what happened.
    fn run(&mut self, market: usize, incoming: &Incoming, now_ms: u64) -> End {
        let mut steps = std::mem::take(&mut self.steps);
        let end = self.markets[market].book.submit(incoming, &mut steps);
        for step in steps.drain(..) {
            match step {
                Step::Match { maker, owner, price, qty } => {
                    let trade = self.print(market, incoming, price, qty);
                    if incoming.owner == Owner::Client {
                        self.fill(incoming.id, trade, price, qty, false, now_ms);
                    }
                    if owner == Owner::Client {
                        self.fill(maker, trade, price, qty, true, now_ms);
                    }
                }
                Step::MakerExpired { maker, price, left } => {
                    self.prevent(maker, incoming.id, price, left, now_ms);
                }
            }
        }
        self.steps = steps;
        end
    }

    /// Puts a trade on the public tape; returns its id.
    fn print(&mut self, market: usize, taker: &Incoming, price: i64, qty: i64) -> u64 {
        let at = &mut self.markets[market];
        at.trade_id += 1;
        at.last_price = price;
        let (low, high) = self.spans[market].unwrap_or((price, price));
        self.spans[market] = Some((low.min(price), high.max(price)));
        self.prints.push(Print {
            market,
            id: at.trade_id,
            price,
            qty,
            buyer_maker: taker.side == Side::Sell,
            taker: taker.id,
        });
        at.trade_id
    }

    /// Books one fill of an own order: quantities, money, history, events.
    fn fill(&mut self, id: u64, trade: u64, price: i64, qty: i64, maker: bool, now_ms: u64) {
        let beside = self.fees_in_quote.then_some(self.fees);
        let Some(order) = self.orders.by_id_mut(id) else { return };
        let spec = &self.markets[order.market].spec;
        let rate = if maker { self.fees.maker_e8 } else { self.fees.taker_e8 };
        let priced = if self.fees_in_quote { Side::Sell } else { order.side };
        let money = Settlement::new(priced, price, qty, rate);
        let first = order.filled == 0;
        order.filled += qty;
        order.quote += money.quote;
        order.updated_ms = now_ms;
        order.status = if order.left() == 0 { Status::Filled } else { Status::PartiallyFilled };
        let (commission_asset, released) = match order.side {
            Side::Buy => {
                let (asset, of_quote, of_base) = match self.fees_in_quote {
                    true => (&spec.quote, money.commission, 0),
                    false => (&spec.base, 0, money.commission),
                };
                let paid = money.quote + of_quote;
                let keep = if order.kind.is_market() {
                    order.locked - paid
                } else {
                    reserved(value_ceil(order.price, order.left()), beside)
                };
                let released = order.locked - keep;
                self.account.pay(&spec.quote, released, paid);
                self.account.receive(&spec.base, i128::from(qty) - of_base);
                (asset.clone(), released)
            }
            Side::Sell => {
                self.account.pay(&spec.base, i128::from(qty), i128::from(qty));
                self.account.receive(&spec.quote, money.quote - money.commission);
                (spec.quote.clone(), i128::from(qty))
            }
        };
        order.locked -= released;
        let own = OwnTrade {
            symbol: order.symbol.clone(),
            id: trade,
            order: id,
            price,
            qty,
            quote: money.quote,
            commission: money.commission,
            commission_asset,
            time_ms: now_ms,
            buyer: order.side == Side::Buy,
            maker,
        };
        let (market, done) = (order.market, order.status == Status::Filled);
        if first {
            self.limits.order_filled(maker, now_ms);
        }
        self.orders.push_trade(market, own.clone());
        self.changes.trades.push((market, own.clone()));
        if done {
            self.release_rest(id);
        }
        self.tell(id, Event::Trade(own), now_ms);
    }

    /// An order's rest (or a resting order) ends by self-trade prevention.
    fn prevent(&mut self, id: u64, counter: u64, price: i64, qty: i64, now_ms: u64) {
        let Some(order) = self.orders.by_id_mut(id) else { return };
        order.prevented += qty;
        let prevented = Prevented { id: self.ids.prevented, counter, price, qty };
        self.ids.prevented += 1;
        self.close(id, Status::ExpiredInMatch, Event::Prevented(prevented), now_ms);
    }

    /// Ends an open order without a fill.
    fn close(&mut self, id: u64, status: Status, event: Event, now_ms: u64) {
        let Some(order) = self.orders.by_id_mut(id) else { return };
        order.status = status;
        order.updated_ms = now_ms;
        self.release_rest(id);
        self.tell(id, event, now_ms);
    }

    /// Gives back what a closed order still has reserved.
    fn release_rest(&mut self, id: u64) {
        let Some(order) = self.orders.by_id_mut(id) else { return };
        let (market, side, rest) = (order.market, order.side, std::mem::take(&mut order.locked));
        let spec = &self.markets[market].spec;
        self.account.unlock(if side == Side::Buy { &spec.quote } else { &spec.base }, rest);
        self.waiting[market].retain(|other| *other != id);
        self.orders.close(id, market);
    }

    /// Reports what happened to an order, then the balances that it moved.
    fn tell(&mut self, id: u64, event: Event, now_ms: u64) {
        let Some(order) = self.orders.by_id(id).cloned() else { return };
        self.changes.orders.insert(id);
        let execution = self.ids.execution;
        self.ids.execution += 1;
        let report = Report { order, event, execution, time_ms: now_ms };
        self.events.push(Private::Report(Box::new(report)));
        self.tell_balances(now_ms);
    }

    /// Reports the balances that moved since the last report.
    pub(crate) fn tell_balances(&mut self, now_ms: u64) {
        let touched = self.account.drain_touched(now_ms);
        if !touched.is_empty() {
            self.changes.balances.extend(touched.iter().cloned());
            self.events.push(Private::Position(touched, now_ms));
        }
    }
}

/// An order of the account as the book sees it.
fn incoming(id: u64, ticket: &Ticket) -> Incoming {
    Incoming {
        id,
        owner: Owner::Client,
        side: ticket.side,
        price: ticket.price,
        qty: ticket.qty,
        tif: if ticket.kind.is_market() { Tif::Ioc } else { ticket.tif },
        post_only: ticket.kind == Kind::LimitMaker,
        stp: ticket.stp,
    }
}

/// An order of the crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrowdOrder {
    /// Buys or sells.
    pub side: Side,
    /// Limit; `None` takes at any price.
    pub price: Option<i64>,
    /// Quantity.
    pub qty: i64,
    /// Rests (and never takes) or takes (and never rests).
    pub rests: bool,
}

impl CrowdOrder {
    /// What the book is asked for, under the number `id`.
    #[must_use]
    pub const fn incoming(&self, id: u64) -> Incoming {
        Incoming {
            id,
            owner: Owner::Crowd,
            side: self.side,
            price: self.price,
            qty: self.qty,
            tif: if self.rests { Tif::Gtc } else { Tif::Ioc },
            post_only: self.rests,
            stp: Stp::None,
        }
    }
}

/// A client id as the venue makes them: 22 letters and digits.
fn random_id(rng: &mut Rng) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..22).map(|_| char::from(ALPHABET[rng.below(ALPHABET.len() as u64) as usize])).collect()
}

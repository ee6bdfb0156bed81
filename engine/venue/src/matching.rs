//! One market's book: price-time priority matching over integer prices and quantities.
//!
//! Invariants: the book is never crossed when a call returns; a level exists only while its total
//! is positive; `update_id` grows by one for every change of a level; quantities are conserved
//! (what the taker loses, makers lose). Cost: O(log levels) a touched level, O(1) a match.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// The side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// Bids.
    Buy,
    /// Asks.
    Sell,
}

impl Side {
    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// The wire's word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }
}

/// How long an order may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tif {
    /// Rests until cancelled.
    Gtc,
    /// What does not match at once expires.
    Ioc,
    /// All at once or nothing.
    Fok,
}

impl Tif {
    /// The wire's word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Gtc => "GTC",
            Self::Ioc => "IOC",
            Self::Fok => "FOK",
        }
    }
}

/// What happens when an order meets one of the same account (the taker's mode decides).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stp {
    /// They trade.
    None,
    /// The resting order expires, matching goes on.
    ExpireMaker,
    /// The rest of the incoming order expires.
    ExpireTaker,
    /// Both.
    ExpireBoth,
}

impl Stp {
    /// The wire's word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::ExpireMaker => "EXPIRE_MAKER",
            Self::ExpireTaker => "EXPIRE_TAKER",
            Self::ExpireBoth => "EXPIRE_BOTH",
        }
    }
}

/// Who owns an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Somebody in the crowd; never prevented from trading with another one.
    Crowd,
    /// The account behind the API key.
    Client,
}

/// An order as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// Unique among resting orders.
    pub id: u64,
    /// Whose it is.
    pub owner: Owner,
    /// Buys or sells.
    pub side: Side,
    /// Limit, or `None` for a market order (which never rests).
    pub price: Option<i64>,
    /// Quantity, positive.
    pub qty: i64,
    /// Life time.
    pub tif: Tif,
    /// Refuse instead of match.
    pub post_only: bool,
    /// Self-trade prevention.
    pub stp: Stp,
}

/// One thing that happened while an order was matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A trade at the maker's price.
    Match {
        /// The resting order.
        maker: u64,
        /// Its owner.
        owner: Owner,
        /// The trade's price.
        price: i64,
        /// The trade's quantity.
        qty: i64,
    },
    /// A resting order of the same account expired instead of trading.
    MakerExpired {
        /// The resting order.
        maker: u64,
        /// Where it rested.
        price: i64,
        /// What it had left.
        left: i64,
    },
}

/// How the incoming order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing left.
    Filled,
    /// The rest lies in the book.
    Resting(i64),
    /// The rest expired for want of matching orders.
    Expired(i64),
    /// The rest expired by self-trade prevention.
    Prevented {
        /// What was left.
        left: i64,
        /// The own order that was met.
        counter: u64,
        /// Its price.
        price: i64,
    },
    /// Post-only and would match: nothing happened.
    WouldMatch,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    id: u64,
    owner: Owner,
    left: i64,
}

/// One price: the queue in order of arrival, and its sum.
#[derive(Clone, Debug, Default)]
struct Level {
    total: i64,
    queue: VecDeque<Resting>,
}

/// Both sides of one market.
#[derive(Debug, Default)]
pub struct Book {
    bids: BTreeMap<i64, Level>,
    asks: BTreeMap<i64, Level>,
    update_id: u64,
    changed: [BTreeSet<i64>; 2],
}

impl Book {
    /// An empty book whose next update has id `update_id + 1`.
    #[must_use]
    pub fn new(update_id: u64) -> Self {
        Self { update_id, ..Self::default() }
    }

    /// Id of the last change.
    #[must_use]
    pub fn update_id(&self) -> u64 {
        self.update_id
    }

    /// Matches `order` against the other side; steps are appended to `steps` in order.
    pub fn submit(&mut self, order: &Incoming, steps: &mut Vec<Step>) -> End {
        if order.post_only && self.crosses(order.side, order.price) {
            return End::WouldMatch;
        }
        if order.tif == Tif::Fok && self.reach(order).0 < order.qty {
            return End::Expired(order.qty);
        }
        let (left, met) = self.take(order, steps);
        if let Some((counter, price)) = met {
            return End::Prevented { left, counter, price };
        }
        match order.price {
            _ if left == 0 => End::Filled,
            Some(price) if order.tif == Tif::Gtc => {
                self.rest(order.side, price, Resting { id: order.id, owner: order.owner, left });
                End::Resting(left)
            }
            _ => End::Expired(left),
        }
    }

    /// Removes order `id` from its level; what it had left, or `None` if it is not there.
    pub fn cancel(&mut self, side: Side, price: i64, id: u64) -> Option<i64> {
        let level = self.side_mut(side).get_mut(&price)?;
        let at = level.queue.iter().position(|r| r.id == id)?;
        let gone = level.queue.remove(at)?;
        level.total -= gone.left;
        self.touched(side, price);
        Some(gone.left)
    }

    /// Takes `by` off what order `id` has left; it keeps its place. False if it is not there or has
    /// no more than that.
    pub fn reduce(&mut self, side: Side, price: i64, id: u64, by: i64) -> bool {
        let Some(level) = self.side_mut(side).get_mut(&price) else { return false };
        let resting = level.queue.iter_mut().find(|r| r.id == id && r.left > by);
        let Some(resting) = resting else { return false };
        resting.left -= by;
        level.total -= by;
        self.touched(side, price);
        true
    }

    /// Removes the youngest crowd order at a level; false where there is none.
    pub fn cancel_crowd(&mut self, side: Side, price: i64) -> bool {
        let Some(level) = self.side_mut(side).get_mut(&price) else { return false };
        let Some(at) = level.queue.iter().rposition(|r| r.owner == Owner::Crowd) else {
            return false;
        };
        if let Some(gone) = level.queue.remove(at) {
            level.total -= gone.left;
        }
        self.touched(side, price);
        true
    }

    /// Brings the crowd's quantity at a level to `target`: growth arrives at the back, shrinking
    /// comes from the back, so an own order never gains or loses its place by it.
    pub fn set_crowd(&mut self, side: Side, price: i64, target: i64, id: u64) {
        let level = self.side_mut(side).entry(price).or_default();
        let crowd = |r: &&Resting| r.owner == Owner::Crowd;
        let present: i64 = level.queue.iter().filter(crowd).map(|r| r.left).sum();
        if present == target && level.total > 0 {
            return;
        }
        level.total += target - present;
        if target > present {
            match level.queue.back_mut() {
                Some(last) if last.owner == Owner::Crowd => last.left += target - present,
                _ => level.queue.push_back(Resting {
                    id,
                    owner: Owner::Crowd,
                    left: target - present,
                }),
            }
        } else {
            let mut excess = present - target;
            for resting in level.queue.iter_mut().rev().filter(|r| r.owner == Owner::Crowd) {
                let cut = excess.min(resting.left);
                resting.left -= cut;
                excess -= cut;
            }
            level.queue.retain(|r| r.left > 0);
        }
        if present == target {
            self.side_mut(side).remove(&price);
        } else {
            self.touched(side, price);
        }
    }

    /// Best price of a side and its quantity.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<(i64, i64)> {
        let entry = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        entry.map(|(&price, level)| (price, level.total))
    }

    /// Worst price of a side.
    #[must_use]
    pub fn worst(&self, side: Side) -> Option<i64> {
        let entry = match side {
            Side::Buy => self.bids.first_key_value(),
            Side::Sell => self.asks.last_key_value(),
        };
        entry.map(|(&price, _)| price)
    }

    /// Levels of a side, best first, as (price, quantity).
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        let pair = |(&price, level): (&i64, &Level)| (price, level.total);
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(pair)),
            Side::Sell => Box::new(self.asks.iter().map(pair)),
        }
    }

    /// The level next behind `price`, as (price, quantity).
    #[must_use]
    pub fn next_worse(&self, side: Side, price: i64) -> Option<(i64, i64)> {
        let next = match side {
            Side::Buy => self.bids.range(..price).next_back(),
            Side::Sell => self.asks.range(price.checked_add(1)?..).next(),
        };
        next.map(|(&price, level)| (price, level.total))
    }

    /// How many orders lie at a price.
    #[must_use]
    pub fn orders_at(&self, side: Side, price: i64) -> usize {
        self.side(side).get(&price).map_or(0, |level| level.queue.len())
    }

    /// How many levels a side has.
    #[must_use]
    pub fn level_count(&self, side: Side) -> usize {
        self.side(side).len()
    }

    /// Quantity at a price, zero where there is no level.
    #[must_use]
    pub fn qty_at(&self, side: Side, price: i64) -> i64 {
        self.side(side).get(&price).map_or(0, |level| level.total)
    }

    /// How much `order` would match now and what that is worth at most (each match rounded up),
    /// self-trade prevention considered: own orders that would expire are passed over.
    #[must_use]
    pub fn reach(&self, order: &Incoming) -> (i64, i128) {
        let side = order.side.opposite();
        let (mut left, mut value) = (order.qty, 0);
        let best_first: Box<dyn Iterator<Item = (&i64, &Level)>> = match side {
            Side::Buy => Box::new(self.bids.iter().rev()),
            Side::Sell => Box::new(self.asks.iter()),
        };
        for (&price, level) in best_first {
            if left == 0 || !reaches(order.side, order.price, price) {
                break;
            }
            for resting in &level.queue {
                match self_trade(order, resting) {
                    None => {
                        let qty = left.min(resting.left);
                        left -= qty;
                        value += crate::decimal::value_ceil(price, qty);
                    }
                    Some(Stp::ExpireMaker) => {}
                    Some(_) => return (order.qty - left, value),
                }
            }
        }
        (order.qty - left, value)
    }

    /// Prices changed since the last call, per side in wire order (bids fall, asks rise).
    pub fn drain_changed(&mut self) -> (Vec<i64>, Vec<i64>) {
        let [bids, asks] = &mut self.changed;
        let bids = std::mem::take(bids).into_iter().rev().collect();
        let asks = std::mem::take(asks).into_iter().collect();
        (bids, asks)
    }

    /// As [`Book::drain_changed`], as sets: bids, asks.
    pub fn take_changed(&mut self) -> [BTreeSet<i64>; 2] {
        std::mem::take(&mut self.changed)
    }

    /// Has anything changed since the changes were drained?
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed.iter().any(|prices| !prices.is_empty())
    }

    /// True if an order of `side` at `price` (market order: `None`) would match now.
    #[must_use]
    pub fn crosses(&self, side: Side, price: Option<i64>) -> bool {
        self.best(side.opposite()).is_some_and(|(best, _)| reaches(side, price, best))
    }

    /// Takes from the other side; what is left, and the own order (id, price) that ended it.
    fn take(&mut self, order: &Incoming, steps: &mut Vec<Step>) -> (i64, Option<(u64, i64)>) {
        let side = order.side.opposite();
        let mut left = order.qty;
        while left > 0 {
            let Some((price, _)) = self.best(side) else { break };
            if !reaches(order.side, order.price, price) {
                break;
            }
            let Some(level) = self.side_mut(side).get_mut(&price) else { break };
            let Some(maker) = level.queue.front_mut() else { break };
            match self_trade(order, maker) {
                Some(Stp::ExpireTaker) => return (left, Some((maker.id, price))),
                Some(mode) => {
                    let gone = *maker;
                    level.total -= gone.left;
                    level.queue.pop_front();
                    self.touched(side, price);
                    steps.push(Step::MakerExpired { maker: gone.id, price, left: gone.left });
                    if mode == Stp::ExpireBoth {
                        return (left, Some((gone.id, price)));
                    }
                }
                None => {
                    let qty = left.min(maker.left);
                    let (id, owner) = (maker.id, maker.owner);
                    maker.left -= qty;
                    level.total -= qty;
                    left -= qty;
                    if maker.left == 0 {
                        level.queue.pop_front();
                    }
                    self.touched(side, price);
                    steps.push(Step::Match { maker: id, owner, price, qty });
                }
            }
        }
        (left, None)
    }

    fn rest(&mut self, side: Side, price: i64, resting: Resting) {
        let level = self.side_mut(side).entry(price).or_default();
        level.total += resting.left;
        level.queue.push_back(resting);
        self.touched(side, price);
    }

    /// A level changed: count it, remember it, drop it if empty.
    fn touched(&mut self, side: Side, price: i64) {
        self.update_id += 1;
        self.changed[side as usize].insert(price);
        if self.side(side).get(&price).is_some_and(|level| level.queue.is_empty()) {
            self.side_mut(side).remove(&price);
        }
    }

    fn side(&self, side: Side) -> &BTreeMap<i64, Level> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<i64, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

/// Would a taker of `side` with this limit trade at `price`?
fn reaches(side: Side, limit: Option<i64>, price: i64) -> bool {
    match (limit, side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price <= limit,
        (Some(limit), Side::Sell) => price >= limit,
    }
}

/// The prevention that applies between a taker and a resting order, if any.
fn self_trade(order: &Incoming, resting: &Resting) -> Option<Stp> {
    let same = order.owner == Owner::Client && resting.owner == Owner::Client;
    (same && order.stp != Stp::None).then_some(order.stp)
}

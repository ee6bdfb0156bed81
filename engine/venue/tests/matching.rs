//! The matching engine against a naive twin: one flat list of orders, searched from end to end.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

use bot4_venue::matching::{Book, End, Incoming, Owner, Side, Step, Stp, Tif};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Plain {
    id: u64,
    owner: Owner,
    side: Side,
    price: i64,
    left: i64,
}

/// The twin: orders in arrival order; the best maker is found by looking at all of them.
#[derive(Default)]
struct Naive {
    orders: Vec<Plain>,
}

impl Naive {
    fn best(&self, taker: &Incoming) -> Option<usize> {
        let ok = |o: &Plain| {
            o.side != taker.side
                && taker.price.is_none_or(|limit| match taker.side {
                    Side::Buy => o.price <= limit,
                    Side::Sell => o.price >= limit,
                })
        };
        let better = |a: i64, b: i64| match taker.side {
            Side::Buy => a < b,
            Side::Sell => a > b,
        };
        let mut best: Option<usize> = None;
        for (i, order) in self.orders.iter().enumerate().filter(|(_, o)| ok(o)) {
            if best.is_none_or(|b| better(order.price, self.orders[b].price)) {
                best = Some(i);
            }
        }
        best
    }

    fn submit(&mut self, taker: &Incoming, steps: &mut Vec<Step>) -> End {
        if taker.post_only && self.best(taker).is_some() {
            return End::WouldMatch;
        }
        if taker.tif == Tif::Fok {
            let mut trial = Naive { orders: self.orders.clone() };
            let mut ignored = Vec::new();
            let as_ioc = Incoming { tif: Tif::Ioc, ..*taker };
            if trial.submit(&as_ioc, &mut ignored) != End::Filled {
                return End::Expired(taker.qty);
            }
        }
        let mut left = taker.qty;
        while left > 0 {
            let Some(i) = self.best(taker) else { break };
            let maker = self.orders[i].clone();
            let own = taker.owner == Owner::Client && maker.owner == Owner::Client;
            if own && taker.stp != Stp::None {
                if taker.stp != Stp::ExpireTaker {
                    self.orders.remove(i);
                    let (price, left) = (maker.price, maker.left);
                    steps.push(Step::MakerExpired { maker: maker.id, price, left });
                }
                if taker.stp != Stp::ExpireMaker {
                    let (counter, price) = (maker.id, maker.price);
                    return End::Prevented { left, counter, price };
                }
                continue;
            }
            let qty = left.min(maker.left);
            left -= qty;
            let (id, owner, price) = (maker.id, maker.owner, maker.price);
            steps.push(Step::Match { maker: id, owner, price, qty });
            self.orders[i].left -= qty;
            if self.orders[i].left == 0 {
                self.orders.remove(i);
            }
        }
        match taker.price {
            _ if left == 0 => End::Filled,
            Some(price) if taker.tif == Tif::Gtc => {
                let (id, owner, side) = (taker.id, taker.owner, taker.side);
                self.orders.push(Plain { id, owner, side, price, left });
                End::Resting(left)
            }
            _ => End::Expired(left),
        }
    }

    fn levels(&self, side: Side) -> Vec<(i64, i64)> {
        let mut levels: Vec<(i64, i64)> = Vec::new();
        let mut orders: Vec<&Plain> = self.orders.iter().filter(|o| o.side == side).collect();
        orders.sort_by_key(|o| if side == Side::Buy { -o.price } else { o.price });
        for order in orders {
            match levels.last_mut() {
                Some(last) if last.0 == order.price => last.1 += order.left,
                _ => levels.push((order.price, order.left)),
            }
        }
        levels
    }
}

#[derive(Clone, Debug)]
enum Act {
    Submit { client: bool, buy: bool, price: i64, qty: i64, kind: u8, stp: u8 },
    Cancel { nth: usize },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<bool>(), any::<bool>(), 95_i64..105, 1_i64..50, 0_u8..8, 0_u8..4).prop_map(
            |(client, buy, price, qty, kind, stp)| Act::Submit {
                client, buy, price, qty, kind, stp
            }
        ),
        1 => (0_usize..40).prop_map(|nth| Act::Cancel { nth }),
    ]
}

fn incoming(id: u64, act: &Act) -> Option<Incoming> {
    let Act::Submit { client, buy, price, qty, kind, stp } = act else { return None };
    let market = *kind == 5;
    Some(Incoming {
        id,
        owner: if *client { Owner::Client } else { Owner::Crowd },
        side: if *buy { Side::Buy } else { Side::Sell },
        price: (!market).then_some(*price),
        qty: *qty,
        tif: match kind {
            5 | 6 => Tif::Ioc,
            7 => Tif::Fok,
            _ => Tif::Gtc,
        },
        post_only: *kind == 4,
        stp: [Stp::None, Stp::ExpireMaker, Stp::ExpireTaker, Stp::ExpireBoth][usize::from(*stp)],
    })
}

fn matched(steps: &[Step]) -> i64 {
    steps.iter().map(|s| if let Step::Match { qty, .. } = s { *qty } else { 0 }).sum()
}

fn value(steps: &[Step]) -> i128 {
    steps.iter().fold(0, |sum, step| match step {
        Step::Match { price, qty, .. } => sum + bot4_venue::decimal::value_floor(*price, *qty),
        Step::MakerExpired { .. } => sum,
    })
}

proptest! {
    #[test]
    fn does_what_the_naive_twin_does(acts in prop::collection::vec(act(), 1..200)) {
        let (mut book, mut naive) = (Book::new(0), Naive::default());
        for (n, act) in acts.iter().enumerate() {
            let id_before = book.update_id();
            if let Some(order) = incoming(n as u64, act) {
                let (mut steps, mut expected) = (Vec::new(), Vec::new());
                let (reach, worth) = book.reach(&order);
                let end = book.submit(&order, &mut steps);
                prop_assert_eq!(end, naive.submit(&order, &mut expected));
                prop_assert_eq!(&steps, &expected);
                let left = match end {
                    End::Filled => 0,
                    End::Resting(left) | End::Expired(left) | End::Prevented { left, .. } => left,
                    End::WouldMatch => order.qty,
                };
                prop_assert_eq!(matched(&steps) + left, order.qty, "quantity is conserved");
                if end != End::WouldMatch && !(order.tif == Tif::Fok && reach < order.qty) {
                    prop_assert_eq!(reach, matched(&steps), "what was promised is what matched");
                    prop_assert!(worth >= value(&steps));
                }
                let rested = u64::from(matches!(end, End::Resting(_)));
                prop_assert_eq!(book.update_id() - id_before, steps.len() as u64 + rested);
            } else if let Act::Cancel { nth } = act
                && let Some(last) = naive.orders.len().checked_sub(1)
            {
                let gone = naive.orders.remove(last.min(*nth));
                prop_assert_eq!(book.cancel(gone.side, gone.price, gone.id), Some(gone.left));
                prop_assert_eq!(book.cancel(gone.side, gone.price, gone.id), None);
            }
            for side in [Side::Buy, Side::Sell] {
                prop_assert_eq!(book.levels(side).collect::<Vec<_>>(), naive.levels(side));
            }
            if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) {
                prop_assert!(bid.0 < ask.0, "crossed: {} >= {}", bid.0, ask.0);
            }
        }
    }

    /// A follower that applies the changed levels ends with the same book.
    #[test]
    fn changes_rebuild_the_book(
        acts in prop::collection::vec(act(), 1..100), every in 1_usize..9
    ) {
        let mut book = Book::new(10);
        let mut twin = [std::collections::BTreeMap::new(), std::collections::BTreeMap::new()];
        for (n, act) in acts.iter().enumerate() {
            if let Some(order) = incoming(n as u64, act) {
                book.submit(&order, &mut Vec::new());
            }
            if n % every == 0 || n + 1 == acts.len() {
                let (bids, asks) = book.drain_changed();
                for (side, prices) in [(Side::Buy, bids), (Side::Sell, asks)] {
                    for price in prices {
                        match book.qty_at(side, price) {
                            0 => twin[side as usize].remove(&price),
                            qty => twin[side as usize].insert(price, qty),
                        };
                    }
                }
            }
        }
        let bids: Vec<_> = twin[0].iter().rev().map(|(p, q)| (*p, *q)).collect();
        let asks: Vec<_> = twin[1].iter().map(|(p, q)| (*p, *q)).collect();
        prop_assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), bids);
        prop_assert_eq!(book.levels(Side::Sell).collect::<Vec<_>>(), asks);
    }

    /// The recorded crowd keeps its quantity and never moves an own order in the queue.
    #[test]
    fn crowd_quantity_is_set_around_own_orders(targets in prop::collection::vec(0_i64..20, 1..30)) {
        let mut book = Book::new(0);
        let own = Incoming {
            id: 1, owner: Owner::Client, side: Side::Buy, price: Some(100), qty: 7,
            tif: Tif::Gtc, post_only: false, stp: Stp::ExpireMaker,
        };
        book.set_crowd(Side::Buy, 100, 5, 2);
        book.submit(&own, &mut Vec::new());
        let mut ahead = 5;
        for (n, target) in targets.iter().enumerate() {
            book.set_crowd(Side::Buy, 100, *target, 10 + n as u64);
            ahead = ahead.min(*target);
            prop_assert_eq!(book.qty_at(Side::Buy, 100), 7 + target);
        }
        let (owner, side) = (Owner::Crowd, Side::Sell);
        let sell = Incoming { id: 99, owner, side, qty: ahead + 1, ..own };
        let mut steps = Vec::new();
        book.submit(&sell, &mut steps);
        let own_filled: i64 = steps.iter().map(|s| match s {
            Step::Match { maker: 1, qty, .. } => *qty,
            _ => 0,
        }).sum();
        prop_assert_eq!(own_filled, 1, "exactly the crowd ahead is served first");
    }
}

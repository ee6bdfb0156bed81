//! Orders, amends, cancels and fills while the connection breaks again and again, often between
//! the venue's deed and its word: in the end the account is the venue's, fill by fill.

mod rig;

use std::collections::{BTreeMap, BTreeSet};

use bot4_types::rng::SplitMix64;
use bot4_types::{OrderState, ReportKind};
use rig::venue::Ask;
use rig::{
    ONE, Rig, canceled, client, revised, state, state_event, trade, trade_event, view, with_terms,
};
use serde_json::{Value, json};

/// Quantity of every order when it is placed.
const QTY: i64 = 10;
/// Its price.
const PRICE: i64 = 100;
/// One in so many deeds is followed by a cut instead of a word.
const CUT_ODDS: u64 = 12;

#[derive(Clone, Copy)]
struct AtVenue {
    number: u64,
    executed: i64,
    open: bool,
    qty: i64,
    price: i64,
    /// Of its name.
    revision: u8,
}

impl AtVenue {
    /// The name it has at the venue.
    fn name(&self, order: u64) -> String {
        revised(order, self.revision)
    }

    fn status(&self) -> &'static str {
        match self.executed {
            0 => "NEW",
            n if n == self.qty => "FILLED",
            _ => "PARTIALLY_FILLED",
        }
    }
}

struct Storm {
    rig: Rig,
    rng: SplitMix64,
    orders: BTreeMap<u64, AtVenue>,
    by_trade: BTreeMap<u64, (u64, i64)>,
    asks_seen: usize,
    cuts: u64,
    amends: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        Self {
            rig: Rig::ready(seed),
            rng: SplitMix64::new(seed ^ 0x5706),
            orders: BTreeMap::new(),
            by_trade: BTreeMap::new(),
            asks_seen: 0,
            cuts: 0,
            amends: 0,
        }
    }

    fn step(&mut self) {
        self.rig.step();
        while self.asks_seen < self.rig.venue.asked.len() {
            let ask = self.rig.venue.asked[self.asks_seen].clone();
            self.asks_seen += 1;
            match ask.method.as_str() {
                "order.place" => self.place(&ask),
                "order.cancel" => self.cancel(&ask),
                "order.amend.keepPriority" => self.trim(&ask),
                "order.cancelReplace" => self.replace(&ask),
                "openOrders.cancelAll" => self.cancel_all(&ask),
                _ => {}
            }
        }
    }

    /// After a deed of the venue: true when the connection broke before its word.
    fn breaks(&mut self) -> bool {
        let breaks = !self.rig.venue.is_open() || self.rng.below(CUT_ODDS) == 0;
        if breaks && self.rig.venue.is_open() {
            self.rig.venue.cut();
            self.cuts += 1;
        }
        breaks
    }

    fn place(&mut self, ask: &Ask) {
        let name = ask.params["newClientOrderId"].as_str().expect("a name").to_owned();
        let order = (1..).find(|o| client(*o) == name).expect("ours");
        if self.rng.below(15) == 0 {
            return; // It never reached the matching engine, and nobody says so.
        }
        assert!(!self.orders.contains_key(&order), "order {order} was sent twice");
        let number = 1_000 + order;
        let at = AtVenue { number, executed: 0, open: true, qty: QTY, price: PRICE, revision: 0 };
        self.orders.insert(order, at);
        let fills = self.fills_of(order);
        if self.breaks() {
            return;
        }
        let told_first = self.rng.below(2) == 0;
        if told_first {
            self.tell_fills(order, &fills);
        }
        let at = self.orders[&order];
        let answer = view(order, number, at.status(), at.executed, &fills);
        self.rig.venue.respond(ask.id, answer);
        if !told_first {
            self.tell_fills(order, &fills);
        }
    }

    /// The venue matches a part of the order, or nothing.
    fn fills_of(&mut self, order: u64) -> Vec<(u64, i64)> {
        let mut fills = Vec::new();
        for _ in 0..self.rng.below(3) {
            let at = self.orders.get_mut(&order).expect("known");
            let qty = (1 + self.rng.below(6) as i64).min(at.qty - at.executed);
            if qty == 0 || !at.open {
                break;
            }
            at.executed += qty;
            at.open = at.executed < at.qty;
            let id = 500 + self.by_trade.len() as u64;
            self.by_trade.insert(id, (order, qty));
            self.rig.venue.trades.push(trade(id, at.number, qty));
            fills.push((id, qty));
        }
        self.remember(order);
        fills
    }

    fn tell_fills(&mut self, order: u64, fills: &[(u64, i64)]) {
        let at = self.orders[&order];
        let mut cum = at.executed - fills.iter().map(|(_, qty)| qty).sum::<i64>();
        for (id, qty) in fills {
            cum += qty;
            let status = AtVenue { executed: cum, ..at }.status();
            let mut event = trade_event(order, at.number, *id, *qty, status, cum);
            event["c"] = json!(at.name(order));
            self.rig.venue.event(&with_terms(event, at.price, at.qty));
        }
    }

    fn cancel(&mut self, ask: &Ask) {
        let wanted = |(order, at): (&u64, &AtVenue)| {
            let named = ask.params["origClientOrderId"] == at.name(*order)
                || ask.params["orderId"] == at.number;
            (named && at.open).then_some(*order)
        };
        let found = self.orders.iter().find_map(wanted);
        let answer = found.map(|order| self.end(order));
        match answer {
            _ if self.breaks() => {}
            Some(answer) => self.rig.venue.respond(ask.id, answer),
            None => self.rig.venue.refuse(ask.id, 400, -2011, "Unknown order sent.", 0),
        }
    }

    /// The order whose number is the parameter `name`, if it is open.
    fn numbered(&self, ask: &Ask, name: &str) -> Option<u64> {
        let named = |at: &AtVenue| ask.params[name] == at.number && at.open;
        self.orders.iter().find_map(|(order, at)| named(at).then_some(*order))
    }

    fn trim(&mut self, ask: &Ask) {
        let qty = whole(&ask.params["newQty"]);
        let found = self.numbered(ask, "orderId").filter(|order| {
            let at = self.orders[order];
            self.rng.below(8) > 0 && at.executed < qty && qty < at.qty
        });
        if let Some(order) = found {
            self.orders.get_mut(&order).expect("known").qty = qty;
            self.remember(order);
            self.amends += 1;
        }
        if self.breaks() {
            return;
        }
        let Some(order) = found else {
            return self.rig.venue.refuse(ask.id, 400, -2038, "Amend refused.", 0);
        };
        let at = self.orders[&order];
        let mut event = state_event(order, at.number, "REPLACED", at.status(), at.executed);
        event["c"] = json!(at.name(order));
        let event = with_terms(event, at.price, qty);
        let mut amended =
            with_terms(view(order, at.number, at.status(), at.executed, &[]), at.price, qty);
        amended["clientOrderId"] = json!(at.name(order));
        let answer = json!({"transactTime": 1, "executionId": 1, "amendedOrder": amended});
        if self.rng.below(2) == 0 {
            self.rig.venue.event(&event);
            self.rig.venue.respond(ask.id, answer);
        } else {
            self.rig.venue.respond(ask.id, answer);
            self.rig.venue.event(&event);
        }
    }

    /// Cancels an order of which nothing is filled and places it anew, or fails half way.
    fn replace(&mut self, ask: &Ask) {
        let wanted = self.numbered(ask, "cancelOrderId");
        let Some(order) = wanted.filter(|order| self.orders[order].executed == 0) else {
            if !self.breaks() {
                self.rig.venue.refuse(ask.id, 400, -2022, "Order cancel-replace failed.", 0);
            }
            return;
        };
        let old = self.orders[&order];
        let mut gone = with_terms(canceled(order, old.number, 0), old.price, old.qty);
        gone["origClientOrderId"] = json!(old.name(order));
        if self.rng.below(5) == 0 {
            self.half(ask, order, &gone);
            return;
        }
        self.orders.get_mut(&order).expect("known").open = false;
        self.remember(order);
        let at = self.orders.get_mut(&order).expect("known");
        at.open = true;
        at.number += 10_000;
        at.revision = (1..32)
            .find(|r| ask.params["newClientOrderId"] == revised(order, *r))
            .expect("a name of this order");
        assert!(at.revision > old.revision, "each replacement has a name of its own");
        (at.price, at.qty) = (whole(&ask.params["price"]), whole(&ask.params["quantity"]));
        self.amends += 1;
        let fills = self.fills_of(order);
        if self.breaks() {
            return;
        }
        let at = self.orders[&order];
        let mut new =
            with_terms(view(order, at.number, at.status(), at.executed, &fills), at.price, at.qty);
        new["clientOrderId"] = json!(at.name(order));
        let answer = json!({"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS",
                            "cancelResponse": gone, "newOrderResponse": new});
        let mut ended = state_event(order, old.number, "CANCELED", "CANCELED", 0);
        (ended["c"], ended["C"]) = (json!("a-request"), json!(old.name(order)));
        let mut placed = state_event(order, at.number, "NEW", "NEW", 0);
        placed["c"] = json!(at.name(order));
        let (ended, placed) =
            (with_terms(ended, old.price, old.qty), with_terms(placed, at.price, at.qty));
        let answer_at = self.rng.below(3);
        for (i, event) in [Some(ended), Some(placed), None].into_iter().enumerate() {
            if answer_at == i as u64 {
                self.rig.venue.respond(ask.id, answer.clone());
            }
            if let Some(event) = event {
                self.rig.venue.event(&event);
            }
        }
        self.tell_fills(order, &fills);
    }

    /// The cancelling half went through, the placing half did not.
    fn half(&mut self, ask: &Ask, order: u64, gone: &Value) {
        self.orders.get_mut(&order).expect("known").open = false;
        self.remember(order);
        if self.breaks() {
            return;
        }
        let code = if self.rng.below(2) == 0 { -2010 } else { -1007 };
        let data = json!({"cancelResult": "SUCCESS", "newOrderResult": "FAILURE",
                          "cancelResponse": gone,
                          "newOrderResponse": {"code": code, "msg": "refused"}});
        self.rig.venue.refuse_with(ask.id, 409, -2021, &data);
    }

    fn cancel_all(&mut self, ask: &Ask) {
        let open: Vec<u64> = self.orders.iter().filter(|(_, a)| a.open).map(|(o, _)| *o).collect();
        let answers: Vec<Value> = open.into_iter().map(|order| self.end(order)).collect();
        if self.breaks() {
            return;
        }
        if answers.is_empty() {
            self.rig.venue.refuse(ask.id, 400, -2011, "Unknown order sent.", 0);
        } else {
            self.rig.venue.respond(ask.id, Value::from(answers));
        }
    }

    fn end(&mut self, order: u64) -> Value {
        let at = self.orders.get_mut(&order).expect("known");
        at.open = false;
        let mut answer = canceled(order, at.number, at.executed);
        answer["origClientOrderId"] = json!(at.name(order));
        self.remember(order);
        answer
    }

    fn remember(&mut self, order: u64) {
        let at = self.orders[&order];
        let word = if at.open || at.executed == at.qty { at.status() } else { "CANCELED" };
        let mut told = with_terms(state(order, at.number, word, at.executed), at.price, at.qty);
        told["clientOrderId"] = json!(at.name(order));
        self.rig.venue.orders.insert(at.name(order), told);
    }

    fn trade_on(&mut self, ms: u64) {
        let mut next = 1;
        for _ in 0..ms {
            self.step();
            if self.rng.below(10) == 0 {
                self.rig.approve(next, 1);
                next += 1;
            }
            if self.rng.below(12) == 0 {
                let order = 1 + self.rng.below(next);
                let (price, qty) =
                    (PRICE + self.rng.below(2) as i64, 1 + self.rng.below(12) as i64);
                self.rig.approve_amend(order, price, qty);
            }
            if self.rng.below(25) == 0 {
                self.rig.approve_cancel(1 + self.rng.below(next));
            }
            let open: Vec<u64> =
                self.orders.iter().filter(|(_, a)| a.open).map(|(o, _)| *o).collect();
            if !open.is_empty() && self.rng.below(20) == 0 {
                let order = open[self.rng.below(open.len() as u64) as usize];
                let fills = self.fills_of(order);
                if !self.breaks() {
                    self.tell_fills(order, &fills);
                }
            }
        }
    }

    fn drain(&mut self) {
        self.rig.control.drain();
        for _ in 0..60_000 {
            self.step();
            if self.rig.counter("drained") == 1 {
                return;
            }
        }
        panic!("never drained: {:?}", self.rig.agent.open_and_unknown());
    }

    fn check(&self) {
        let mut orders = BTreeSet::new();
        let mut booked = BTreeMap::new();
        for order in 1.. {
            let reports = self.rig.reports(order);
            if reports.is_empty() {
                break;
            }
            orders.insert(order);
            for fill in reports.iter().filter(|r| r.kind == ReportKind::Fill) {
                let earlier = booked.insert(fill.trade_id, (order, fill.last_qty.0 / ONE));
                assert_eq!(earlier, None, "trade {} was booked twice", fill.trade_id);
            }
            let last = reports.last().expect("reports");
            assert!(
                last.state.is_terminal(),
                "order {order} did not end: {:?}",
                self.rig.story(order)
            );
            let count = |kind| reports.iter().filter(|r| r.kind == kind).count();
            let (sent, over) = (count(ReportKind::AmendSent), count(ReportKind::Amended));
            assert!(over <= sent, "order {order}: {:?}", self.rig.story(order));
            let at = self.orders.get(&order);
            let known = last.state != OrderState::NotSent && last.state != OrderState::Rejected;
            assert_eq!(at.is_some(), known, "order {order}: {:?}", self.rig.story(order));
        }
        assert_eq!(self.rig.agent.desk_counts().contradictions, 0);
        assert_eq!(booked, self.by_trade, "every fill, once, and of its order");
        assert!(self.orders.keys().all(|o| orders.contains(o)));
    }
}

/// A decimal that is a whole number.
fn whole(text: &Value) -> i64 {
    text.as_str().and_then(|t| t.parse::<f64>().ok()).expect("a decimal") as i64
}

#[test]
fn the_account_is_the_venues_after_any_storm() {
    let (mut cuts, mut fills, mut amends) = (0, 0, 0);
    for seed in 0..24 {
        let mut storm = Storm::new(seed);
        storm.trade_on(6_000);
        storm.drain();
        storm.check();
        cuts += storm.cuts;
        fills += storm.by_trade.len();
        amends += storm.amends;
    }
    let told = format!("a storm: {cuts} cuts, {fills} fills, {amends} amends");
    println!("{told}");
    assert!(cuts > 200 && fills > 1_000 && amends > 300, "{told}");
}

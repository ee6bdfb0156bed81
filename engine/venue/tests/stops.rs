//! Orders that wait for a stop price: triggered by trades, against a naive twin; answers, events
//! and money in the Binance dialect.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::account::{Account, Fees};
use bot4_venue::decimal::ONE;
use bot4_venue::exchange::{CrowdOrder, Exchange, Market, Private, Ticket};
use bot4_venue::generator::Activity;
use bot4_venue::limits::{LimitRules, Limits};
use bot4_venue::matching::{Book, Side, Stp, Tif};
use bot4_venue::orders::{Kind, Status};
use bot4_venue::rng::Rng;
use bot4_venue::symbol::SymbolSpec;
use bot4_venue::{Config, MarketSource};
use common::{Client, config};
use proptest::prelude::*;
use serde_json::json;

const KINDS: [Kind; 4] =
    [Kind::StopLoss, Kind::StopLossLimit, Kind::TakeProfit, Kind::TakeProfitLimit];

/// One market at 100 with a crowd's order at every whole price from 80 to 120.
fn exchange() -> Exchange {
    let spec = SymbolSpec::new("BTC", "USDT", ONE / 100, ONE / 100_000);
    let book = Book::new(1);
    let market = Market { spec, book, trade_id: 0, agg_id: 0, last_price: 100 * ONE };
    let money = |a: &str| (a.to_owned(), i128::from(100_000 * ONE));
    let account = Account::new(&[money("BTC"), money("USDT")]);
    let (limits, fees) = (Limits::new(LimitRules::HIGH), Fees { maker_e8: 0, taker_e8: 0 });
    let mut exchange = Exchange::new(vec![market], account, limits, fees, Rng::new(1));
    fill_up(&mut exchange);
    exchange
}

fn fill_up(exchange: &mut Exchange) {
    for step in 1..=20 {
        for (side, price) in [(Side::Buy, 100 - step), (Side::Sell, 100 + step)] {
            exchange.crowd_level(0, side, price * ONE, ONE, 1);
        }
    }
}

fn ticket(kind: Kind, side: Side, price: i64) -> Ticket {
    let price = (!kind.is_market()).then_some(price);
    let (tif, client_id) = (Tif::Ioc, None);
    Ticket { market: 0, side, kind, tif, price, qty: ONE / 2, client_id, stp: Stp::None }
}

/// An order that waits, as the twin keeps it: what it is, and how many trades were before it.
struct Plain {
    id: u64,
    kind: Kind,
    side: Side,
    stop: i64,
    since: usize,
}

impl Plain {
    /// Written out by type and side.
    fn reached(&self, price: i64) -> bool {
        match (self.kind, self.side) {
            (Kind::StopLoss | Kind::StopLossLimit, Side::Buy) => price >= self.stop,
            (Kind::StopLoss | Kind::StopLossLimit, Side::Sell) => price <= self.stop,
            (_, Side::Buy) => price <= self.stop,
            (_, Side::Sell) => price >= self.stop,
        }
    }
}

proptest! {
    /// The twin knows every trade there was: an order waits exactly while none since it came was
    /// at its stop price or beyond. What is locked is released in the end.
    #[test]
    fn an_order_waits_exactly_until_a_trade_reaches_it(
        steps in proptest::collection::vec((0u8..4, 0usize..4, any::<bool>(), 85i64..116), 1..40),
    ) {
        let mut exchange = exchange();
        let mut plain: Vec<Plain> = Vec::new();
        for (what, kind, buys, price) in steps {
            let (kind, side) = (KINDS[kind], if buys { Side::Buy } else { Side::Sell });
            let last = exchange.markets[0].last_price;
            if what == 0 {
                let stop = price * ONE;
                let since = exchange.prints.len();
                let placed = exchange.place_waiting(ticket(kind, side, stop), stop, 2);
                let order = Plain { id: *placed.as_ref().unwrap_or(&0), kind, side, stop, since };
                let waiting = exchange.orders.open(None).filter(|o| o.waiting).count();
                if let Err(error) = &placed {
                    let full = error.msg.contains("ALGO") && waiting == 5;
                    prop_assert!(full || order.reached(last), "{}", error.msg);
                }
                if placed.is_ok() {
                    plain.push(order);
                }
            } else {
                let price = if what == 1 { None } else { Some(price * ONE) };
                let order = CrowdOrder { side, price, qty: 3 * ONE, rests: false };
                exchange.crowd(0, order, 3);
            }
            if what == 3 {
                fill_up(&mut exchange);
            }
            for order in &plain {
                let reached = exchange.prints[order.since..].iter().any(|p| order.reached(p.price));
                let told = exchange.orders.by_id(order.id).unwrap();
                prop_assert_eq!(told.waiting && told.status == Status::New, !reached);
            }
        }
        let open: Vec<u64> = exchange.orders.open(None).map(|o| o.id).collect();
        for id in open {
            exchange.cancel(id, None, 4);
        }
        let locked: i128 = exchange.account.assets().values().map(|b| b.locked).sum();
        prop_assert_eq!(locked, 0);
    }
}

#[test]
fn one_that_is_triggered_may_trigger_the_next() {
    let mut exchange = exchange();
    // The first sells down to 97 when 99 trades; the second waits for 97.
    let big = Ticket { qty: 3 * ONE, ..ticket(Kind::StopLoss, Side::Sell, 0) };
    let first = exchange.place_waiting(big, 99 * ONE, 2).unwrap();
    let second =
        exchange.place_waiting(ticket(Kind::StopLoss, Side::Sell, 0), 97 * ONE, 2).unwrap();
    let third = exchange.place_waiting(ticket(Kind::StopLoss, Side::Sell, 0), 90 * ONE, 2).unwrap();
    exchange.events.clear();
    let order = CrowdOrder { side: Side::Sell, price: None, qty: ONE / 2, rests: false };
    exchange.crowd(0, order, 3);
    let status = |id| exchange.orders.by_id(id).unwrap().status;
    assert_eq!((status(first), status(second)), (Status::Filled, Status::Filled));
    assert!(exchange.orders.by_id(third).unwrap().waiting);
    let told = exchange.events.iter().filter_map(|event| match event {
        Private::Report(report) => {
            Some((report.order.id, report.text(1).contains("\"x\":\"NEW\"")))
        }
        Private::Position(..) => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told[0], (first, true), "its trigger is told first");
    assert!(told.contains(&(second, true)) && told.iter().all(|(id, _)| *id != third));
}

fn calm() -> Config {
    let activity = Activity { steps_per_second: 1, levels: 50 };
    Config { market: MarketSource::Generated(activity), ..config() }
}

fn ready() -> Client {
    Client::ready(calm())
}

#[test]
fn the_dialect_tells_that_it_waits_and_what_was_wrong() {
    let mut client = ready();
    let stop = |kind: &str, side: &str, at: &str| {
        json!({"symbol": "BTCUSDT", "side": side, "type": kind, "timeInForce": "IOC",
               "price": at, "stopPrice": at, "quantity": "0.001", "newOrderRespType": "FULL",
               "newClientOrderId": "stop-1"})
    };
    let placed = client.trade("order.place", stop("STOP_LOSS_LIMIT", "SELL", "30000"));
    assert_eq!(placed["status"], 200, "{placed}");
    let order = &placed["result"];
    assert_eq!((&order["status"], &order["workingTime"]), (&json!("NEW"), &json!(-1)));
    assert_eq!((&order["stopPrice"], &order["fills"]), (&json!("30000.00000000"), &json!([])));
    assert_eq!(client.balance("BTC").1, i128::from(ONE / 1_000));
    let event = client.events.iter().find(|e| e["x"] == "NEW").unwrap();
    assert_eq!((&event["w"], &event["o"]), (&json!(false), &json!("STOP_LOSS_LIMIT")));
    assert_eq!((&event["P"], &event["W"]), (&json!("30000.00000000"), &json!(null)));
    let named = json!({"symbol": "BTCUSDT", "origClientOrderId": "stop-1"});
    let asked = client.trade("order.status", named.clone());
    assert_eq!(
        (&asked["result"]["isWorking"], &asked["result"]["status"]),
        (&json!(false), &json!("NEW"))
    );
    let mut other = stop("TAKE_PROFIT_LIMIT", "SELL", "30000");
    other["newClientOrderId"] = json!("stop-2");
    let reached = client.error("order.place", other);
    assert_eq!((reached.1, reached.2.as_str()), (-2010, "Order would trigger immediately."));
    let mut bare = stop("STOP_LOSS_LIMIT", "SELL", "30000");
    bare.as_object_mut().unwrap().remove("stopPrice");
    assert_eq!(client.error("order.place", bare).1, -1102);
    assert_eq!(client.error("order.place", stop("LIMIT", "SELL", "30000")).1, -1106);
    assert_eq!(client.trade("order.cancel", named)["result"]["status"], "CANCELED");
    assert_eq!(client.balance("BTC").1, 0);
}

#[test]
fn what_waits_still_waits_after_a_restart() {
    let mut client = ready();
    let placed = client.trade(
        "order.place",
        json!({"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "stopPrice": "30000",
               "quantity": "0.001"}),
    );
    let id = placed["result"]["orderId"].as_u64().unwrap();
    let (log, now_ns) = (client.log(), client.now_ns);
    let again = Client::restored(calm(), &log, now_ns);
    let order = again.venue.exchange().orders.by_id(id).unwrap();
    assert!(order.waiting && order.status == Status::New);
    let bids = again.venue.exchange().markets[0].book.qty_at(Side::Sell, 30_000 * ONE);
    assert_eq!(bids, 0, "it is in no book");
}

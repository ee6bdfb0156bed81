//! A killed venue goes on with the account that its log describes.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use common::{Client, config};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Trades for a while and returns the client; its log is the venue's.
fn busy() -> Client {
    let mut client = Client::ready(config());
    for n in 0..20 {
        let (bid, ask) = client.best("ETHUSDT");
        client.limit("ETHUSDT", "BUY", &bid, "0.1000", "GTC");
        client.limit("ETHUSDT", "SELL", if n % 3 == 0 { &bid } else { &ask }, "0.1000", "GTC");
        client.advance_ms(60);
    }
    client
}

fn account(client: &mut Client) -> [Value; 4] {
    let of = |client: &mut Client, method: &str, params: Value| {
        client.trade(method, params)["result"].take()
    };
    let symbol = json!({"symbol": "ETHUSDT", "limit": 1000});
    let balances = of(client, "account.status", json!({}))["balances"].take();
    [
        balances,
        of(client, "openOrders.status", json!({"symbol": "ETHUSDT"})),
        of(client, "allOrders", symbol.clone()),
        of(client, "myTrades", symbol),
    ]
}

#[test]
fn everything_told_is_still_true_after_a_restart() {
    let mut before = busy();
    let known = account(&mut before);
    let log = before.log();
    let mut after = Client::restored(config(), &log, before.now_ns + 3_000_000_000);
    after.enter();
    assert_eq!(account(&mut after), known);
    assert!(!known[1].as_array().unwrap().is_empty() && !known[3].as_array().unwrap().is_empty());
    // Its open orders are in the book again, and it is not crossed.
    for order in known[1].as_array().unwrap() {
        let id = order["orderId"].clone();
        let cancel = after.trade("order.cancel", json!({"symbol": "ETHUSDT", "orderId": id}));
        assert_eq!(cancel["status"], 200, "{cancel}");
    }
    let (bid, ask) = after.best("ETHUSDT");
    assert!(bid.parse::<f64>().unwrap() < ask.parse::<f64>().unwrap());
    // New numbers are beyond all old ones.
    let largest = known[2].as_array().unwrap().last().unwrap()["orderId"].as_u64().unwrap();
    let placed = after.limit("ETHUSDT", "BUY", &ask, "0.0100", "IOC");
    assert!(placed["result"]["orderId"].as_u64().unwrap() > largest);
    let trade = known[3].as_array().unwrap().last().unwrap()["id"].as_u64().unwrap();
    assert!(placed["result"]["fills"][0]["tradeId"].as_u64().unwrap() > trade);
    let id = |c: &Client| c.venue.exchange().markets[1].book.update_id();
    assert!(id(&after) > id(&before));
    // A second restart over the grown log.
    let grown = log + &after.log();
    let known = account(&mut after);
    let mut again = Client::restored(config(), &grown, after.now_ns);
    again.enter();
    assert_eq!(account(&mut again), known);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Cut at any byte: the account is the one after some whole transaction, and adds up.
    #[test]
    fn a_log_cut_anywhere_is_a_moment_of_the_past(cut in 0.0_f64..1.0) {
        let log = busy().log();
        let cut = (log.len() as f64 * cut) as usize;
        let client = Client::restored(config(), &log[..cut], common::START_NS);
        let exchange = client.venue.exchange();
        let one = i128::from(bot4_venue::decimal::ONE);
        let mut usdt = 1_000_000 * one;
        for trade in exchange.orders.trades(1) {
            usdt += if trade.buyer { -trade.quote } else { trade.quote - trade.commission };
        }
        let balance = client.balance("USDT");
        prop_assert_eq!(balance.0 + balance.1, usdt);
        let locked: i128 = exchange.orders.open(None)
            .filter(|o| o.side == bot4_venue::matching::Side::Buy).map(|o| o.locked).sum();
        prop_assert_eq!(balance.1, locked);
    }
}

//! Orders against the crowd: answers, events, money.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::decimal::{ONE, parse};
use bot4_venue::generator::Activity;
use bot4_venue::{Config, MarketSource};
use common::{Client, config};
use proptest::prelude::*;
use serde_json::json;

fn still() -> Config {
    let activity = Activity { steps_per_second: 1, levels: 50 };
    Config { market: MarketSource::Generated(activity), ..config() }
}

#[test]
fn a_resting_order_locks_reports_and_cancels() {
    let mut client = Client::ready(still());
    let placed = client.trade(
        "order.place",
        json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
               "price": "50000", "quantity": "0.001", "newClientOrderId": "mine-1"}),
    );
    assert_eq!(placed["status"], 200, "{placed}");
    assert_eq!(placed["result"]["status"], "NEW");
    assert_eq!(placed["result"]["fills"], json!([]));
    assert_eq!(client.balance("USDT"), (999_950 * i128::from(ONE), 50 * i128::from(ONE)));
    assert_eq!(client.events[0]["x"], "NEW");
    assert_eq!(
        client.events[1]["B"],
        json!([{"a":"USDT","f":"999950.00000000","l":"50.00000000"}])
    );

    let open = client.trade("openOrders.status", json!({"symbol": "BTCUSDT"}));
    assert_eq!(open["result"][0]["clientOrderId"], "mine-1");
    let again = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER",
                       "price": "50000", "quantity": "0.001", "newClientOrderId": "mine-1"});
    let duplicate = client.error("order.place", again);
    assert_eq!(duplicate, (400, -2010, "Duplicate order sent.".to_owned()));

    let cancel = json!({"symbol": "BTCUSDT", "origClientOrderId": "mine-1"});
    let canceled = client.trade("order.cancel", cancel.clone());
    assert_eq!(canceled["result"]["status"], "CANCELED");
    assert_eq!(canceled["result"]["origClientOrderId"], "mine-1");
    assert_eq!(client.balance("USDT"), (1_000_000 * i128::from(ONE), 0));
    let report = &client.events[2];
    assert_eq!((&report["x"], &report["C"]), (&json!("CANCELED"), &json!("mine-1")));
    assert_eq!(report["c"], canceled["result"]["clientOrderId"]);
    let unknown = (400, -2011, "Unknown order sent.".to_owned());
    assert_eq!(client.error("order.cancel", cancel.clone()), unknown);
    assert_eq!(client.error("openOrders.cancelAll", json!({"symbol": "BTCUSDT"})), unknown);
    assert_eq!(client.trade("order.status", cancel)["result"]["status"], "CANCELED");
}

#[test]
fn taking_orders_fill_at_the_makers_price_with_fees_in_what_is_received() {
    let mut client = Client::ready(still());
    let (_, ask) = client.best("BTCUSDT");
    let placed = client.limit("BTCUSDT", "BUY", &ask, "0.00010", "IOC");
    assert_eq!(placed["result"]["status"], "FILLED", "{placed}");
    let fill = &placed["result"]["fills"][0];
    assert_eq!(fill["price"], ask.as_str());
    assert_eq!(fill["commission"], "0.00000010");
    assert_eq!(fill["commissionAsset"], "BTC");
    let cost = i128::from(parse(&ask).unwrap()) * 10_000 / i128::from(ONE);
    assert_eq!(client.balance("USDT"), (1_000_000 * i128::from(ONE) - cost, 0));
    assert_eq!(client.balance("BTC"), (10 * i128::from(ONE) + 10_000 - 10, 0));
    let kinds: Vec<_> = client.events.iter().filter_map(|e| e["x"].as_str()).collect();
    assert_eq!(kinds, ["NEW", "TRADE"]);
    let trades = client.trade("myTrades", json!({"symbol": "BTCUSDT"}));
    assert_eq!(trades["result"][0]["id"], fill["tradeId"]);
    assert_eq!(trades["result"][0]["isMaker"], false);

    let sold = client.trade(
        "order.place",
        json!({"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.0100"}),
    );
    assert_eq!(sold["result"]["status"], "FILLED", "{sold}");
    assert_eq!(sold["result"]["fills"][0]["commissionAsset"], "USDT");
}

#[test]
fn ioc_fok_and_post_only_end_as_documented() {
    let mut client = Client::ready(still());
    let (bid, ask) = client.best("SOLUSDT");
    let ioc = client.limit("SOLUSDT", "BUY", &bid, "1.000", "IOC");
    assert_eq!(ioc["result"]["status"], "EXPIRED");
    assert_eq!(ioc["result"]["executedQty"], "0.00000000");
    assert_eq!(client.events.last().unwrap()["e"], "outboundAccountPosition");
    let report = client.events.iter().find(|e| e["x"] == "EXPIRED").unwrap();
    assert_eq!(report["eR"], "UNFILLED_IOC_QUANTITY_EXPIRED");
    let fok = client.limit("SOLUSDT", "BUY", &ask, "5000.000", "FOK");
    assert_eq!(fok["result"]["status"], "EXPIRED");
    assert_eq!(fok["result"]["executedQty"], "0.00000000");
    let maker = json!({"symbol": "SOLUSDT", "side": "BUY", "type": "LIMIT_MAKER",
                       "price": ask, "quantity": "1"});
    let refused = client.error("order.place", maker);
    assert_eq!(refused, (400, -2010, "Order would immediately match and take.".to_owned()));
    let sweep = json!({"symbol": "SOLUSDT", "side": "SELL", "type": "MARKET", "quantity": "4900"});
    let market = client.trade("order.place", sweep);
    assert_eq!(market["result"]["status"], "EXPIRED", "50 levels of 20 do not hold 4900");
    let (free, locked) = client.balance("SOL");
    let sold = parse(market["result"]["executedQty"].as_str().unwrap()).unwrap();
    assert!(sold > 0);
    assert_eq!((free, locked), (5_000 * i128::from(ONE) - i128::from(sold), 0));
}

#[test]
fn own_orders_do_not_trade_with_each_other() {
    let mut client = Client::ready(still());
    let (bid, _) = client.best("BNBUSDT");
    client.limit("BNBUSDT", "BUY", &bid, "1.000", "GTC");
    let taker = |client: &mut Client, mode: &str| {
        client.trade(
            "order.place",
            json!({"symbol": "BNBUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "IOC",
                   "price": bid, "quantity": "400", "selfTradePreventionMode": mode}),
        )
    };
    let expired = taker(&mut client, "EXPIRE_TAKER");
    assert_eq!(expired["result"]["status"], "EXPIRED_IN_MATCH");
    assert_eq!(client.trade("openOrders.status", json!({}))["result"].as_array().unwrap().len(), 1);
    let passed = taker(&mut client, "EXPIRE_MAKER");
    assert_eq!(passed["result"]["status"], "EXPIRED");
    assert_eq!(client.trade("openOrders.status", json!({}))["result"], json!([]));
    assert_eq!(client.balance("USDT").1, 0);
    assert_eq!(client.balance("BNB").1, 0);
    let prevented: Vec<_> = client.events.iter().filter(|e| e["x"] == "TRADE_PREVENTION").collect();
    assert_eq!(prevented.len(), 2, "the taker of the first, the maker of the second");
    assert!(prevented.iter().all(|e| e["X"] == "EXPIRED_IN_MATCH"));
    assert_eq!((&prevented[0]["S"], &prevented[1]["S"]), (&json!("SELL"), &json!("BUY")));
    assert_eq!(prevented[0]["U"], prevented[1]["i"], "the counter order");
    assert_eq!(prevented[1]["U"], passed["result"]["orderId"]);
}

/// Once the reservation counted own asks, which expire, so that the order went on to dearer ones.
#[test]
fn a_market_buy_past_own_asks_reserves_what_it_will_pay() {
    let mut client = Client::ready(still());
    let (_, ask) = client.best("BTCUSDT");
    client.limit("BTCUSDT", "SELL", &ask, "5", "GTC");
    let order = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.5"});
    let bought = client.trade("order.place", order);
    assert_eq!(bought["result"]["status"], "FILLED", "{bought}");
    let spent = parse(bought["result"]["cummulativeQuoteQty"].as_str().unwrap()).unwrap();
    let left = 1_000_000 * i128::from(ONE) - i128::from(spent);
    assert_eq!(client.balance("USDT"), (left, 0));
    assert_eq!(client.balance("BTC").1, 0, "the own ask expired");
}

#[test]
fn a_quote_at_the_touch_is_filled_by_the_crowd() {
    let mut client = Client::ready(config());
    let mut fills = 0;
    for _ in 0..40 {
        let (bid, ask) = client.best("BTCUSDT");
        client.limit("BTCUSDT", "BUY", &bid, "0.001", "GTC");
        client.limit("BTCUSDT", "SELL", &ask, "0.001", "GTC");
        client.advance_ms(250);
        fills += client.events.drain(..).filter(|e| e["x"] == "TRADE" && e["m"] == true).count();
        client.trade("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
    }
    assert!(fills >= 20, "80 quotes at the touch for 250 ms each had {fills} fills");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// After any mix of orders the account is exactly what its trades explain, and locked is
    /// exactly what open orders need.
    #[test]
    fn money_is_conserved(
        acts in prop::collection::vec((0_u8..4, any::<bool>(), -30_i64..30, 1_i64..400), 1..60)
    ) {
        let mut client = Client::ready(config());
        for (kind, buy, offset, lots) in acts {
            let (bid, ask) = client.best("BTCUSDT");
            let near = parse(if buy { &ask } else { &bid }).unwrap() + offset * ONE / 100;
            let side = if buy { "BUY" } else { "SELL" };
            let mut order = json!({"symbol": "BTCUSDT", "side": side,
                "quantity": bot4_venue::decimal::text(lots * 1000)});
            match kind {
                0 => order["type"] = "MARKET".into(),
                1 => order["type"] = "LIMIT_MAKER".into(),
                _ => {
                    order["type"] = "LIMIT".into();
                    order["timeInForce"] = if kind == 2 { "GTC" } else { "IOC" }.into();
                }
            }
            if kind > 0 {
                order["price"] = bot4_venue::decimal::text(near).into();
            }
            client.trade("order.place", order);
            client.advance_ms(20);
        }
        let one = i128::from(ONE);
        let (mut btc, mut usdt) = (10 * one, 1_000_000 * one);
        let exchange = client.venue.exchange();
        for trade in exchange.orders.trades(0) {
            prop_assert_eq!(
                i128::from(trade.price) * i128::from(trade.qty), trade.quote * one, "exact value"
            );
            if trade.buyer {
                btc += i128::from(trade.qty) - trade.commission;
                usdt -= trade.quote;
            } else {
                btc -= i128::from(trade.qty);
                usdt += trade.quote - trade.commission;
            }
        }
        let (mut btc_locked, mut usdt_locked) = (0, 0);
        for order in exchange.orders.open(None) {
            if order.side == bot4_venue::matching::Side::Buy {
                usdt_locked += i128::from(order.price) * i128::from(order.left()) / one;
            } else {
                btc_locked += i128::from(order.left());
            }
        }
        prop_assert_eq!(client.balance("BTC"), (btc - btc_locked, btc_locked));
        prop_assert_eq!(client.balance("USDT"), (usdt - usdt_locked, usdt_locked));
    }
}

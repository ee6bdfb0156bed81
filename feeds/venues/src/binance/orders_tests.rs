use super::*;
use crate::binance::sign::Signer;
use bot4_types::{InstrumentId, OrderId, RunEpoch};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
const API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const PKCS8: &str = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u";
const NOW: i64 = 1_645_423_376_532;

fn encoder(signer: Signer) -> Encoder {
    Encoder::new(Credentials::new(API_KEY, signer).expect("key"), None)
}

fn by_session() -> Encoder {
    encoder(Signer::ed25519(PKCS8).expect("key"))
}

fn signed_each() -> Encoder {
    encoder(Signer::hmac(SECRET).expect("key"))
}

fn btc() -> Instrument {
    Instrument::bare(InstrumentId(0), symbol("BTCUSDT"), 8)
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).expect("short")
}

fn limit_buy(instrument: &Instrument) -> Place<'_> {
    Place {
        id: 281_474_976_710_657,
        instrument,
        client: ClientId::new(RunEpoch(1), OrderId(2)),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: 6_183_763_000_000,
        trigger: 0,
        qty: 100_000,
        now_ms: NOW,
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("utf-8")
}

#[test]
fn orders_of_a_session_carry_no_key() {
    let i = btc();
    let mut e = by_session();
    assert_eq!(
        written(|out| e.place(&limit_buy(&i), out)),
        r#"{"id":281474976710657,"method":"order.place","params":{"newClientOrderId":"b400000100000002","newOrderRespType":"FULL","price":"61837.63","quantity":"0.001","recvWindow":1000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"GTC","timestamp":1645423376532,"type":"LIMIT"}}"#
    );
    let market = Place { kind: OrderKind::Market, side: Side::Sell, ..limit_buy(&i) };
    let text = written(|out| e.place(&market, out));
    assert!(!text.contains("price") && !text.contains("timeInForce"), "{text}");
    assert!(text.contains(r#""side":"SELL""#) && text.contains(r#""type":"MARKET""#), "{text}");
    let maker = Place { kind: OrderKind::LimitMaker, ..limit_buy(&i) };
    let text = written(|out| e.place(&maker, out));
    assert!(text.contains(r#""price":"61837.63""#) && !text.contains("timeInForce"), "{text}");
    let stop = Place {
        kind: OrderKind::StopLossLimit,
        tif: Tif::Ioc,
        trigger: 6_200_000_000_000,
        ..limit_buy(&i)
    };
    assert_eq!(
        written(|out| e.place(&stop, out)),
        r#"{"id":281474976710657,"method":"order.place","params":{"newClientOrderId":"b400000100000002","newOrderRespType":"FULL","price":"61837.63","quantity":"0.001","recvWindow":1000,"side":"BUY","stopPrice":"62000","symbol":"BTCUSDT","timeInForce":"IOC","timestamp":1645423376532,"type":"STOP_LOSS_LIMIT"}}"#
    );
    let target = Place { kind: OrderKind::TakeProfit, ..stop };
    let text = written(|out| e.place(&target, out));
    assert!(text.contains(r#""stopPrice":"62000""#) && !text.contains("timeInForce"), "{text}");
    e.self_trade = Some(SelfTradeMode::ExpireTaker);
    let text = written(|out| e.place(&limit_buy(&i), out));
    assert!(text.contains(r#""selfTradePreventionMode":"EXPIRE_TAKER""#), "{text}");
}

#[test]
fn amends_name_the_order_and_keep_its_client_id() {
    let i = btc();
    let mut e = by_session();
    let order = limit_buy(&i);
    let resting = Resting { instrument: &i, client: order.client, venue_order: 77 };
    assert_eq!(
        written(|out| e.trim(5, &resting, 50_000, NOW, out)),
        r#"{"id":5,"method":"order.amend.keepPriority","params":{"newClientOrderId":"b400000100000002","newQty":"0.0005","orderId":77,"recvWindow":1000,"symbol":"BTCUSDT","timestamp":1645423376532}}"#
    );
    assert_eq!(
        written(|out| e.replace(77, &order, out)),
        r#"{"id":281474976710657,"method":"order.cancelReplace","params":{"cancelOrderId":77,"cancelReplaceMode":"STOP_ON_FAILURE","cancelRestrictions":"ONLY_NEW","newClientOrderId":"b400000100000002","newOrderRespType":"FULL","price":"61837.63","quantity":"0.001","recvWindow":1000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"GTC","timestamp":1645423376532,"type":"LIMIT"}}"#
    );
}

#[test]
fn the_logon_is_signed_over_what_it_says() {
    let mut e = by_session();
    assert!(e.needs_logon());
    let text = written(|out| e.logon(1, 1_649_729_878_532, out));
    let payload = format!("apiKey={API_KEY}&recvWindow=1000&timestamp=1649729878532");
    let signature =
        written(|out| Signer::ed25519(PKCS8).expect("key").sign(payload.as_bytes(), out));
    let expected = format!(
        r#"{{"id":1,"method":"session.logon","params":{{"apiKey":"{API_KEY}","recvWindow":1000,"timestamp":1649729878532,"signature":"{signature}"}}}}"#
    );
    assert_eq!(text, expected);
}

#[test]
fn cold_requests_have_the_documented_shape() {
    let (mut e, s) = (by_session(), symbol("BTCUSDT"));
    let cases = [
        (
            written(|out| e.cancel(2, &s, Target::Client(b"b4x"), NOW, out)),
            r#"{"id":2,"method":"order.cancel","params":{"origClientOrderId":"b4x","recvWindow":1000,"symbol":"BTCUSDT","timestamp":1645423376532}}"#,
        ),
        (
            written(|out| e.order_status(3, &s, Target::Venue(77), NOW, out)),
            r#"{"id":3,"method":"order.status","params":{"orderId":77,"recvWindow":1000,"symbol":"BTCUSDT","timestamp":1645423376532}}"#,
        ),
        (
            written(|out| e.open_orders(4, None, NOW, out)),
            r#"{"id":4,"method":"openOrders.status","params":{"recvWindow":1000,"timestamp":1645423376532}}"#,
        ),
        (
            written(|out| e.cancel_all(5, &s, NOW, out)),
            r#"{"id":5,"method":"openOrders.cancelAll","params":{"recvWindow":1000,"symbol":"BTCUSDT","timestamp":1645423376532}}"#,
        ),
        (
            written(|out| e.account(6, NOW, out)),
            r#"{"id":6,"method":"account.status","params":{"omitZeroBalances":true,"recvWindow":1000,"timestamp":1645423376532}}"#,
        ),
        (
            written(|out| e.my_trades(7, &s, TradesFrom::Id(9), 1_000, NOW, out)),
            r#"{"id":7,"method":"myTrades","params":{"fromId":9,"limit":1000,"recvWindow":1000,"symbol":"BTCUSDT","timestamp":1645423376532}}"#,
        ),
        (
            written(|out| e.subscribe_user_data(8, NOW, out)),
            r#"{"id":8,"method":"userDataStream.subscribe"}"#,
        ),
        (
            written(|out| exchange_info(9, &["BTCUSDT", "ETHUSDT"], out)),
            r#"{"id":9,"method":"exchangeInfo","params":{"symbols":["BTCUSDT","ETHUSDT"]}}"#,
        ),
        (written(|out| time(10, out)), r#"{"id":10,"method":"time"}"#),
        (written(|out| ping(11, out)), r#"{"id":11,"method":"ping"}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(text, expected);
    }
}

/// The payload as the venue rebuilds it from a request: all parameters but the signature, sorted,
/// values as they stand in the JSON.
fn payload_of(request: &serde_json::Value) -> (String, String) {
    let params = request["params"].as_object().expect("object");
    let mut sorted = BTreeMap::new();
    for (name, value) in params {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        sorted.insert(name.clone(), text);
    }
    let signature = sorted.remove("signature").expect("signed");
    let pairs: Vec<String> = sorted.iter().map(|(n, v)| format!("{n}={v}")).collect();
    (pairs.join("&"), signature)
}

proptest! {
    /// Whatever is written is JSON and its signature is that of the payload a venue rebuilds.
    #[test]
    fn every_signed_request_verifies(
        which in 0usize..8, price in 1i64..i64::MAX, qty in 1i64..i64::MAX, order in 0u64..1 << 40,
        name in "[A-Z0-9é\"\\\\\u{1}]{1,10}", client in "[ -~]{1,36}", kind in 0u8..7, tif in 0u8..4,
    ) {
        let mut e = signed_each();
        let s = symbol(&name);
        let i = Instrument::bare(InstrumentId(0), s, 8);
        let place = Place {
            price, qty,
            trigger: qty,
            client: ClientId::new(RunEpoch(3), OrderId(order)),
            kind: OrderKind::from_raw(kind).expect("known"),
            tif: Tif::from_raw(tif).expect("known"),
            ..limit_buy(&i)
        };
        let target = Target::Client(client.as_bytes());
        let text = written(|out| match which {
            0 => e.place(&place, out),
            1 => e.cancel(1, &s, target, NOW, out),
            2 => e.order_status(1, &s, Target::Venue(order), NOW, out),
            3 => e.open_orders(1, Some(&s), NOW, out),
            4 => e.cancel_all(1, &s, NOW, out),
            5 => e.account(1, NOW, out),
            6 => e.my_trades(1, &s, TradesFrom::Time(NOW), 10, NOW, out),
            _ => e.subscribe_user_data(1, NOW, out),
        });
        let request: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let (payload, signature) = payload_of(&request);
        let signer = Signer::hmac(SECRET).expect("key");
        prop_assert_eq!(written(|out| signer.sign(payload.as_bytes(), out)), signature);
        prop_assert!(text.len() <= REQUEST_LEN_MAX, "{}", text.len());
        if which == 0 {
            let read = |key: &str| {
                let text = request["params"][key].as_str().map(str::as_bytes);
                text.map(|t| bot4_types::text::parse_units(t, 8))
            };
            prop_assert_eq!(read("quantity"), Some(Ok(qty)));
            let limit = (!place.kind.is_market()).then_some(Ok(price));
            prop_assert_eq!(read("price"), limit);
        }
    }

    #[test]
    fn numbers_carry_no_idle_zeros(units in 0i64..i64::MAX, decimals in 0u8..10) {
        let mut text = [0; UNITS_TEXT_MAX];
        let n = write_units(units, decimals, &mut text);
        let short = trimmed(&text[..n]);
        let again = bot4_types::text::parse_units(short, decimals);
        prop_assert_eq!(again, Ok(units));
        prop_assert!(!short.contains(&b'.') || !short.ends_with(b"0") && !short.ends_with(b"."));
    }

    /// Every kind of order, numbers of every length, a symbol that must be escaped, and one that
    /// the encoder was not prepared for: the prepared text is what the general encoder writes.
    #[test]
    fn prepared_orders_are_the_general_ones(
        ids in (any::<u64>(), 0u64..1 << 40, any::<u32>()), buys in any::<bool>(), known in 0u16..4,
        kind in 0u8..7, tif in 0u8..4, price in number(), qty in number(), trigger in number(),
        decimals in (0u8..=18, 0u8..=18), now_ms in prop_oneof![number(), Just(NOW), -5i64..5],
        signs in any::<bool>(),
    ) {
        let names = ["BTCUSDT", "\"q\\\"", "A"];
        let mut table = InstrumentTable::new();
        for (id, name) in names.iter().enumerate() {
            let bare = Instrument::bare(InstrumentId(id as u16), symbol(name), 8);
            table.push(bare).expect("room");
        }
        let name = names.get(usize::from(known)).copied().unwrap_or("NEW");
        let instrument = Instrument {
            price_decimals: decimals.0,
            qty_decimals: decimals.1,
            ..Instrument::bare(InstrumentId(known % 3), symbol(name), 8)
        };
        let (id, order, epoch) = ids;
        let place = Place {
            id,
            instrument: &instrument,
            client: ClientId::new(RunEpoch(epoch), OrderId(order)),
            side: if buys { Side::Buy } else { Side::Sell },
            kind: OrderKind::from_raw(kind).expect("known"),
            tif: Tif::from_raw(tif).expect("known"),
            price,
            trigger,
            qty,
            now_ms,
        };
        let general = || if signs { signed_each() } else { by_session() };
        let mut prepared = general().prepared_for(&table);
        let text = written(|out| prepared.place(&place, out));
        prop_assert_eq!(text, written(|out| general().place(&place, out)));
        let plain = !signs && known < 3 && !place.kind.is_triggered();
        prop_assert_eq!(prepared.prepared.write(&place, &mut Vec::new()), plain);
    }
}

/// Numbers of every length, both signs.
fn number() -> impl Strategy<Value = i64> {
    (any::<i64>(), 0u32..64).prop_map(|(n, shift)| n >> shift)
}

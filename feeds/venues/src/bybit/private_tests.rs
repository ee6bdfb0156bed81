use super::*;
use crate::account::BalanceRow;
use bot4_types::{AssetId, Instrument, InstrumentId, Side, Symbol};
use proptest::prelude::*;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/bybit/samples/");
/// One asset unit as an amount.
const ONE: i128 = 10i128.pow(16);

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = |name| Symbol::new(name).expect("short");
    let mut i = Instrument::bare(InstrumentId(0), symbol("BTCUSDT"), 2);
    i.qty_decimals = 8;
    i.base = table.asset(symbol("BTC")).expect("room");
    i.quote = table.asset(symbol("USDT")).expect("room");
    table.push(i).expect("room");
    table
}

fn decoder() -> PrivateDecoder {
    PrivateDecoder::new(&table())
}

/// In the shape of the venue's documented messages; the values are made up.
const ORDER: &str = r#"{"id":"5","topic":"order","creationTime":1672364262474,"data":[{"symbol":"BTCUSDT","orderId":"1405980802291926784","side":"Buy","orderType":"Limit","cancelType":"CancelByUser","price":"60000.5","qty":"0.5","timeInForce":"GTC","orderStatus":"PartiallyFilledCanceled","orderLinkId":"b400000000000001","cumExecQty":"0.125","cumExecValue":"7500","rejectReason":"EC_PerCancelRequest","category":"spot"},{"symbol":"BTCUSDT","orderId":"9","side":"Buy","qty":"1","orderStatus":"New","cumExecQty":"","category":"linear"}]}"#;
const EXECUTION: &str = r#"{"id":"5","topic":"execution","creationTime":1672364174455,"data":[{"category":"spot","symbol":"BTCUSDT","execFee":"0.000125","execId":"2100000000007764263","execPrice":"60000.5","execQty":"0.125","execType":"Trade","execValue":"7500","isMaker":true,"feeRate":"0.001","leavesQty":"0.375","orderId":"1405980802291926784","orderLinkId":"b400000000000001","orderPrice":"60000.5","orderQty":"0.5","orderType":"Limit","side":"Buy","execTime":"1672364174443","seq":4688002127}]}"#;
const WALLET: &str = r#"{"id":"5","topic":"wallet","creationTime":1672364174455,"data":[{"accountType":"UNIFIED","coin":[{"coin":"BTC","walletBalance":"1.5","locked":"0.5"},{"coin":"DOGE","walletBalance":"7","locked":"0"}]}]}"#;
const PAGE: &str = r#"{"retCode":0,"retMsg":"OK","result":{"nextPageCursor":"x%3A1","category":"spot","list":[{"symbol":"BTCUSDT","orderId":"77","orderLinkId":"web","orderStatus":"New","cumExecQty":"0","rejectReason":"","cancelType":"UNKNOWN"}]},"retExtInfo":{},"time":1672364174455}"#;

#[test]
fn orders_fills_and_balances_are_read() {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(ORDER.as_bytes()), Ok(Told::default()));
    let [order] = decoder.rows.orders[..] else { panic!("{:?}", decoder.rows) };
    assert_eq!((order.instrument, order.state), (Some(InstrumentId(0)), RowState::Canceled));
    assert_eq!((order.venue_order, order.executed), (1_405_980_802_291_926_784, 12_500_000));
    assert_eq!(order.client.as_str(), "b400000000000001");
    decoder.decode(EXECUTION.as_bytes()).expect("read");
    let [fill] = decoder.rows.fills[..] else { panic!("{:?}", decoder.rows) };
    assert_eq!(
        (fill.trade_id, fill.price, fill.qty),
        (2_100_000_000_007_764_263, 6_000_050, 12_500_000)
    );
    // Without a currency it is what was received.
    assert_eq!((fill.fee, fill.fee_asset, fill.maker), (ONE / 8_000, AssetId(0), true));
    assert_eq!((fill.side, fill.time_ms), (Side::Buy, 1_672_364_174_443));
    decoder.decode(WALLET.as_bytes()).expect("read");
    let btc = BalanceRow { asset: AssetId(0), free: ONE, locked: ONE / 2 };
    assert_eq!((&decoder.rows.balances[..], decoder.rows.fills.len()), (&[btc][..], 0));
}

#[test]
fn a_stop_waits_works_and_may_end_before() {
    let told = |word: &str| {
        let text = ORDER.replace("PartiallyFilledCanceled", word).replace("0.125", "0");
        let mut decoder = decoder();
        decoder.decode(text.as_bytes()).expect("read");
        (decoder.rows.orders[0].state, decoder.rows.orders[0].reason)
    };
    for (word, state) in [
        ("Untriggered", RowState::Untriggered),
        ("Triggered", RowState::Open),
        ("New", RowState::Open),
        ("Deactivated", RowState::Canceled),
    ] {
        assert_eq!(told(word), (state, DoneReason::None), "{word}");
    }
}

#[test]
fn answers_name_their_request_and_what_became_of_it() {
    let mut decoder = decoder();
    let mut answer = |text: &str| decoder.decode(text.as_bytes()).expect("read");
    let trade = |code: i64, left: &str| {
        format!(
            concat!(
                r#"{{"reqId":"41","retCode":{},"retMsg":"x","op":"order.create","data":{{}},"#,
                r#""retExtInfo":{{}},"header":{{"X-Bapi-Limit":"10","X-Bapi-Limit-Status":"{}","#,
                r#""X-Bapi-Limit-Reset-Timestamp":"1764401421682","#,
                r#""Timenow":"1764401421683"}},"connId":"c"}}"#
            ),
            code, left
        )
    };
    let mut limits = PrivateDecoder::new(&table());
    limits.decode(trade(0, "9").as_bytes()).expect("read");
    let limit = Limit { most: 10, left: 9, now_ms: 1_764_401_421_683 };
    assert_eq!((limits.limit.take(), limits.limit.take()), (Some(limit), None));
    let told = answer(&trade(0, "9"));
    assert_eq!((told.answer, told.pause_until_ms), (Some((41, None)), None));
    assert_eq!(answer(&trade(0, "1")).pause_until_ms, Some(1_764_401_421_682));
    let limited = Refusal::Limited { until_ms: 1_764_401_421_682, orders_only: true };
    assert_eq!(answer(&trade(10_006, "0")).answer, Some((41, Some(limited))));
    assert!(answer(&trade(10_019, "9")).leaving);
    let private = |op: &str, success: bool| {
        format!(r#"{{"success":{success},"ret_msg":"","op":"{op}","conn_id":"c","req_id":"3"}}"#)
    };
    assert_eq!(answer(&private("auth", true)).answer, Some((3, None)));
    assert_eq!(answer(&private("auth", false)).answer, Some((3, Some(Refusal::Session))));
    assert_eq!(answer(&private("pong", true)), Told::default());
}

#[test]
fn pages_are_read_with_their_cursor() {
    let mut decoder = decoder();
    let told = decoder.page(8, 200, 0, PAGE.as_bytes()).expect("read");
    assert_eq!((told.answer, told.more), (Some((8, None)), true));
    assert_eq!((decoder.rows.cursor.as_str(), decoder.rows.orders.len()), ("x%3A1", 1));
    let told = decoder.page(8, 502, 0, b"<html>").expect("read");
    assert_eq!((told.answer, told.more), (Some((8, Some(Refusal::OutcomeUnknown))), false));
    assert!(decoder.rows.cursor.is_empty() && decoder.rows.orders.is_empty());
    assert!(decoder.page(8, 200, 0, b"<html>").is_err());
}

#[test]
fn endings_have_several_spellings() {
    use {DoneReason as D, RowState as S};
    let of = |status, reject, cancel| state(status, reject, cancel).expect("known");
    assert_eq!(of("PartiallyFilled", "", ""), (S::Open, D::None));
    // A cancel that crossed the fill: the second message of the venue.
    let crossed = of("Filled", "EC_OrigClOrdIDDoesNotExist", "CancelByUser");
    assert_eq!(crossed, (S::Filled, D::None));
    assert_eq!(of("Cancelled", "EC_PostOnlyWillTakeLiquidity", ""), (S::Rejected, D::WouldTake));
    assert_eq!(of("Rejected", "EC_PostOnlyWillTakeLiquidity", ""), (S::Rejected, D::WouldTake));
    assert_eq!(of("Cancelled", "EC_NoImmediateQtyToFill", ""), (S::Expired, D::None));
    assert_eq!(of("Cancelled", "", "CancelBySmp"), (S::Expired, D::SelfTrade));
    assert_eq!(of("Cancelled", "EC_PerCancelRequest", "CancelByUser"), (S::Canceled, D::None));
    assert_eq!(state("Dreaming", "", ""), Err(DecodeError::Schema));
}

#[test]
fn real_messages_are_read() {
    let Ok(wire) = std::fs::read_dir(format!("{SHARED}real_wire")) else {
        println!("skipped: no shared data");
        return;
    };
    let docs = std::fs::read_dir(format!("{SHARED}doc_examples")).expect("beside");
    let (mut decoder, mut read) = (decoder(), 0);
    for entry in wire.chain(docs) {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        let socket = ["auth_2", "order_spot", "place_order_2", "cancel_order_2", "wallet_parser"];
        let socket = socket.iter().chain(&["order_c", "private_", "amend_order_2"]);
        if socket.into_iter().any(|p| name.starts_with(p)) {
            for line in text.lines() {
                let told = decoder.decode(line.as_bytes());
                assert!(told.is_ok(), "{name}: {told:?}");
                read += 1;
            }
            match name.as_str() {
                "order_spot.json" => {
                    let order = decoder.rows.orders[0];
                    assert_eq!(order.venue_order, 1_405_980_802_291_926_784);
                    assert_eq!(
                        (order.state, order.client.as_str()),
                        (RowState::Open, "1682341972120")
                    );
                }
                "wallet_parser.json" => {
                    let usdt = decoder.rows.balances[0];
                    assert_eq!((usdt.free, usdt.locked), (4_885_556 * ONE / 100, 0));
                }
                _ => {}
            }
        }
        let rest = ["orders_ack_spot", "executions_ack", "wallet_balance", "cancel_all_orders_ack"];
        if rest.iter().any(|p| name.starts_with(p)) {
            let told = decoder.page(1, 200, 0, text.as_bytes());
            assert!(told.is_ok_and(|t| t.answer == Some((1, None))), "{name}: {told:?}");
            let rows = (decoder.rows.orders.len(), decoder.rows.balances.len());
            let expected = match name.as_str() {
                "orders_ack_spot.json" => (1, 0),
                "wallet_balance_ack.json" => (0, 2),
                _ => (0, 0),
            };
            assert_eq!(rows, expected, "{name}");
            read += 1;
        }
    }
    assert!(read >= 15, "{read}");
}

proptest! {
    #[test]
    fn damaged_messages_give_an_answer(
        which in 0usize..4,
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        keep in any::<bool>(),
    ) {
        let mut text = [ORDER, EXECUTION, WALLET, PAGE][which].as_bytes().to_vec();
        let at = cut.index(text.len());
        if keep { text[at] = byte } else { text.truncate(at) }
        let mut decoder = decoder();
        let _ = decoder.decode(&text);
        let _ = decoder.page(1, 200, 0, &text);
        // An earlier message leaves nothing behind.
        let told = decoder.page(2, 200, 0, PAGE.as_bytes()).expect("read");
        prop_assert_eq!((told.answer, decoder.rows.orders.len()), (Some((2, None)), 1));
        prop_assert!(decoder.rows.fills.is_empty() && decoder.rows.balances.is_empty());
    }
}

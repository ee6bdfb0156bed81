use super::*;
use bot4_types::{Instrument, OrderId, RunEpoch};
use proptest::prelude::*;

const OWN: &str = include_str!("../../tests/golden/private.jsonl");
const SHARED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/binance/samples/");
/// One asset unit as an amount.
const ONE: Amount = 10i128.pow(16);

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = |name| Symbol::new(name).expect("short");
    for (name, base) in [("BTCUSDT", "BTC"), ("ETHUSDT", "ETH")] {
        let mut i = Instrument::bare(InstrumentId(0), symbol(name), 8);
        i.base = table.asset(symbol(base)).expect("room");
        i.quote = table.asset(symbol("USDT")).expect("room");
        table.push(i).expect("room");
    }
    table
}

fn own(line: usize) -> &'static [u8] {
    OWN.lines().nth(line).expect("line").as_bytes()
}

fn response<'d>(decoder: &'d mut ApiDecoder, text: &[u8]) -> Response<'d> {
    match decoder.decode(text) {
        Ok(ApiMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

fn report(decoder: &mut ApiDecoder, text: &[u8]) -> ExecutionReport {
    match decoder.decode(text) {
        Ok(ApiMessage::Execution(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_placed_order_brings_its_fills_and_counts() {
    let mut decoder = ApiDecoder::new(&table());
    let r = response(&mut decoder, own(0));
    assert_eq!((r.id, r.status), (Some(281_474_976_710_657), 200));
    assert_eq!((r.usage.orders_10s, r.usage.orders_day), (Some(3), Some(41)));
    assert_eq!((r.usage.weight_minute, r.usage.limits.orders_10s), (Some(77), 100));
    let Ok(ApiResult::Placed(o, fills)) = r.outcome else { panic!("{r:?}") };
    assert_eq!((o.instrument, o.venue_order), (Some(InstrumentId(0)), 501));
    assert_eq!(o.client.own(), Some((RunEpoch(1), OrderId(2))));
    assert_eq!((o.status, o.tif, o.side), (VenueStatus::Expired, Some(Tif::Ioc), Some(Side::Buy)));
    assert_eq!((o.price, o.qty, o.executed), (6_100_002_000_000, 30_000_000, 20_000_000));
    assert_eq!(o.cum_quote, Some(12_200_003 * ONE / 1_000));
    assert_eq!(o.time_ms, 1_770_000_000_500);
    let first = Fill {
        trade_id: 90_010,
        price: 6_100_001_000_000,
        qty: 10_000_000,
        fee: ONE / 10_000,
        fee_asset: AssetId(0),
    };
    assert_eq!(fills[0], first);
    assert_eq!((fills.len(), fills[1].fee_asset), (2, AssetId::NONE));
}

#[test]
fn cancels_name_the_order_not_the_cancel() {
    let mut decoder = ApiDecoder::new(&table());
    let Ok(ApiResult::Canceled(o)) = response(&mut decoder, own(1)).outcome else { panic!() };
    assert_eq!(o.client.own(), Some((RunEpoch(1), OrderId(3))));
    assert_eq!((o.status, o.kind), (VenueStatus::Canceled, Some(OrderKind::LimitMaker)));
    let r = report(&mut decoder, own(17));
    assert_eq!(r.order_client().own(), Some((RunEpoch(1), OrderId(3))));
    assert_eq!((r.client.as_str(), r.execution), ("Zq1", Execution::Canceled));
    assert_eq!((r.trade_id, r.fee_asset, r.status), (None, AssetId::NONE, VenueStatus::Canceled));
}

#[test]
fn refusals_are_read_and_silence_proves_nothing() {
    let mut decoder = ApiDecoder::new(&table());
    let mut refused = |line| {
        let r = response(&mut decoder, own(line));
        (r.id, r.outcome.expect_err("refused"))
    };
    let (id, e) = refused(2);
    assert_eq!((id, e.kind, e.done_reason()), (Some(13), ErrorKind::Balance, DoneReason::Balance));
    let (_, e) = refused(3);
    assert_eq!((e.kind, e.retry_after_ms), (ErrorKind::WeightExceeded, 1_770_000_060_000));
    let (id, e) = refused(4);
    assert_eq!((id, e.kind), (None, ErrorKind::Key));
    let (id, e) = refused(5);
    assert_eq!((id, e.outcome_unknown()), (Some(15), true));
}

#[test]
fn cold_results_are_told_by_their_shape() {
    let mut decoder = ApiDecoder::new(&table());
    let mut told = |line| format!("{:?}", response(&mut decoder, own(line)).outcome);
    assert!(told(6).contains("OrderStatus(") && told(6).contains("cum_quote: None, time_ms"));
    assert!(told(6).contains("kind: Some(StopLossLimit)") && told(7).contains("OpenOrders(["));
    assert_eq!(told(8), "Ok(EmptyList)");
    assert!(told(9).contains("CanceledAll([") && told(9).contains("venue_order: 505"));
    assert!(told(10).contains("Account([") && told(10).contains("locked: 1000000000000000 }"));
    assert!(told(11).contains("Trades([") && told(11).contains("trade_id: 90010"));
    assert_eq!(told(12), "Ok(Session { authorized: true })");
    assert_eq!(told(13), "Ok(Subscribed { subscription: 0 })");
    assert_eq!(told(14), "Ok(ServerTime(1770000000007))");
    let r = response(&mut decoder, own(15));
    assert_eq!((r.id, r.outcome), (None, Ok(ApiResult::Other)));
}

#[test]
fn events_are_read() {
    let mut decoder = ApiDecoder::new(&table());
    let r = report(&mut decoder, own(16));
    assert_eq!((r.execution, r.status), (Execution::Trade, VenueStatus::PartiallyFilled));
    assert_eq!((r.last_qty, r.cum_qty, r.last_price), (10_000_000, 10_000_000, 6_100_001_000_000));
    assert_eq!((r.fee, r.fee_asset), (ONE / 10_000, AssetId(0)));
    assert_eq!((r.trade_id, r.execution_id, r.maker), (Some(90_010), 7_001, false));
    assert_eq!((r.event_ms, r.transact_ms), (1_770_000_000_501, 1_770_000_000_500));
    assert_eq!((r.cum_quote, r.last_quote), (6_100_001 * ONE / 1_000, 6_100_001 * ONE / 1_000));
    assert_eq!(r.order_client().own(), Some((RunEpoch(1), OrderId(2))));
    let r = report(&mut decoder, own(18));
    assert_eq!((r.instrument, r.reason), (None, DoneReason::SelfTrade));
    let Ok(ApiMessage::AccountPosition { event_ms, balances }) = decoder.decode(own(19)) else {
        panic!("a position");
    };
    assert_eq!((event_ms, balances.len()), (1_770_000_000_502, 2));
    assert_eq!((balances[1].asset, balances[1].locked), (AssetId(1), ONE / 2));
    let update = decoder.decode(own(20)).expect("valid");
    let expected = ApiMessage::BalanceUpdate {
        event_ms: 1_770_000_000_503,
        asset: AssetId(1),
        delta: -100 * ONE,
    };
    assert_eq!(update, expected);
    assert_eq!(decoder.decode(own(21)), Ok(ApiMessage::Other));
    assert_eq!(decoder.decode(own(22)), Ok(ApiMessage::Terminated));
    assert_eq!(decoder.decode(own(23)), Ok(ApiMessage::ServerShutdown));
}

#[test]
fn leftovers_outside_trades_never_reach_the_ledger() {
    let mut decoder = ApiDecoder::new(&table());
    let text = String::from_utf8_lossy(own(17)).into_owned();
    let left = text
        .replace("\"n\":\"0\",\"N\":null", "\"n\":\"5\",\"N\":\"BTC\"")
        .replace("\"l\":\"0.00000000\"", "\"l\":\"3.00000000\"")
        .replace("\"L\":\"0.00000000\"", "\"L\":\"7.00000000\"")
        .replace("\"t\":-1", "\"t\":88")
        .replace("\"Y\":\"0.00000000\"", "\"Y\":\"9.00000000\"");
    assert_ne!(left, text);
    let (r, twin) = (report(&mut decoder, left.as_bytes()), report(&mut decoder, own(17)));
    assert_eq!(r, twin);
    assert_eq!((r.fee, r.last_qty, r.last_price, r.last_quote, r.trade_id), (0, 0, 0, 0, None));
}

#[test]
fn a_damaged_fill_is_refused_not_guessed() {
    let mut decoder = ApiDecoder::new(&table());
    let text = String::from_utf8_lossy(own(16)).into_owned();
    for (from, to) in [
        ("\"t\":90010", "\"t\":-1"),
        ("\"l\":\"0.10000000\"", "\"l\":\"0.100000001\""),
        ("\"L\":\"61000.01000000\"", "\"L\":null"),
        ("\"S\":\"BUY\"", "\"S\":\"buy\""),
        ("\"I\":7001,", ""),
    ] {
        let damaged = text.replace(from, to);
        assert_ne!(damaged, text);
        assert!(decoder.decode(damaged.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn real_messages_are_read() {
    let mut decoder = ApiDecoder::new(&table());
    let folder = |name: &str| std::fs::read_dir(format!("{SHARED}{name}")).ok();
    let (Some(wire), Some(docs)) = (folder("real_wire"), folder("doc_examples")) else {
        println!("skipped: no shared data");
        return;
    };
    // REST bodies have no envelope and market streams are read elsewhere.
    let private = |name: &str| {
        ["wsapi_", "session_logon", "execution_report", "outbound_account", "server_shutdown"]
            .iter()
            .chain(&["order_", "openOrders", "executionReport", "outboundAccountPosition"])
            .any(|p| name.starts_with(p))
    };
    let mut read = 0;
    for entry in wire.chain(docs) {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !private(&name) {
            continue;
        }
        for line in std::fs::read_to_string(&path).expect("text").lines() {
            let message = decoder.decode(line.as_bytes());
            assert!(message.is_ok(), "{name}: {message:?}");
            if let Ok(ApiMessage::Response(r)) = &message {
                assert!(r.outcome.is_ok() && r.usage.weight_minute.is_some(), "{name}");
            }
            let placed = "wsapi_order_place.json";
            let told = format!("{message:?}");
            assert!(name != placed || told.contains("Placed(") && told.contains("55471195855"));
            assert!(name != "wsapi_cancel_open_orders.json" || told.contains("CanceledAll(["));
            assert!(name != "order_cancelReplace.jsonl" || told.contains("Replaced("));
            assert!(name != "order_amend_keepPriority.jsonl" || told.contains("Amended("));
            assert!(name != "wsapi_execution_report.json" || told.contains("117599651999"));
            read += 1;
        }
    }
    assert!(read >= 18, "{read}");
}

/// A cancel-replace that went half way is certain only when both halves are told.
#[test]
fn what_a_failed_replacement_did_is_told() {
    let mut decoder = ApiDecoder::new(&table());
    let canceled = r#"{"symbol":"BTCUSDT","origClientOrderId":"b400000100000002","orderId":7,"orderListId":-1,"clientOrderId":"x","transactTime":1,"price":"1","origQty":"1","executedQty":"0","cummulativeQuoteQty":"0","status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"BUY"}"#;
    let mut told = |status: u16, code: i32, new: &str, refused: &str| {
        let text = format!(
            r#"{{"id":1,"status":{status},"error":{{"code":{code},"msg":"m","data":{{"cancelResult":"SUCCESS","newOrderResult":"{new}","cancelResponse":{canceled},"newOrderResponse":{refused}}}}}}}"#
        );
        format!("{:?}", decoder.decode(text.as_bytes()).expect("read"))
    };
    let take = r#"{"code":-2010,"msg":"Order would immediately match and take."}"#;
    let half = told(409, -2021, "FAILURE", take);
    assert!(half.contains("HalfReplaced(") && half.contains("WouldTake"), "{half}");
    let unsure = told(409, -2021, "FAILURE", r#"{"code":-1007,"msg":"Timeout"}"#);
    assert!(unsure.contains("OutcomeUnknown"), "{unsure}");
    let neither = told(400, -2022, "NOT_ATTEMPTED", "null");
    assert!(neither.contains("UnknownOrder"), "{neither}");
}

proptest! {
    #[test]
    fn damaged_messages_give_an_answer(
        line in 0usize..24,
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        keep in any::<bool>(),
    ) {
        let mut text = own(line).to_vec();
        let at = cut.index(text.len());
        if keep { text[at] = byte } else { text.truncate(at) }
        let mut decoder = ApiDecoder::new(&table());
        let _ = decoder.decode(&text);
        // An earlier message leaves nothing behind.
        let fresh = format!("{:?}", ApiDecoder::new(&table()).decode(own(10)));
        prop_assert_eq!(format!("{:?}", decoder.decode(own(10))), fresh);
    }
}

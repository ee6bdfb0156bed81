use super::*;
use bot4_types::{AssetId, Instrument, InstrumentId, Side, Symbol};
use proptest::prelude::*;

const SHARED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/coinbase/samples/");
/// One asset unit as an amount.
const ONE: i128 = 10i128.pow(16);

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = |name| Symbol::new(name).expect("short");
    let mut i = Instrument::bare(InstrumentId(0), symbol("BTC-USD"), 2);
    i.qty_decimals = 8;
    i.base = table.asset(symbol("BTC")).expect("room");
    i.quote = table.asset(symbol("USD")).expect("room");
    table.push(i).expect("room");
    table
}

fn decoder() -> PrivateDecoder {
    let mut decoder = PrivateDecoder::new(&table());
    decoder.expect(0, 3);
    decoder.expect(1, 4);
    decoder
}

/// In the shape of the venue's documented messages; the values are made up.
const ORDER: &str = r#"{"order_id":"0f8e6a34-1f1c-4a3b-8f00-0000ec4d7a3d","client_order_id":"b400000000000001","product_id":"BTC-USD","product_type":"SPOT","order_side":"BUY","order_type":"Limit","status":"OPEN","cumulative_quantity":"0.125","leaves_quantity":"0.375","limit_price":"60000.5","avg_price":"60000.5","filled_value":"7500.0625","total_fees":"7.5","number_of_fills":"1","post_only":"false","time_in_force":"GOOD_UNTIL_CANCELLED","cancel_reason":"","reject_reason":""}"#;
const PAGE_OF_ORDERS: &str = r#"{"orders":[{"order_id":"a-1","product_id":"BTC-USD","side":"SELL","client_order_id":"web","status":"CANCELLED","time_in_force":"IMMEDIATE_OR_CANCEL","filled_size":"0.25","product_type":"SPOT","reject_reason":"REJECT_REASON_UNSPECIFIED"}],"sequence":"0","has_next":true,"cursor":"789100"}"#;
const FILLS: &str = r#"{"fills":[{"entry_id":"22","trade_id":"1111-11111-111111","order_id":"a-1","trade_time":"2022-06-01T11:52:33.263123Z","trade_type":"FILL","price":"60000","size":"0.01","commission":"0.60000000000000001","product_id":"BTC-USD","sequence_timestamp":"2022-06-01T11:52:33.263Z","liquidity_indicator":"TAKER","size_in_quote":false,"user_id":"u","side":"SELL"},{"trade_id":"2","order_id":"a-1","trade_time":"2022-06-01T11:52:33Z","trade_type":"CORRECTION","price":"1","size":"1","product_id":"BTC-USD","side":"BUY"}],"cursor":""}"#;
const ACCOUNTS: &str = r#"{"accounts":[{"uuid":"8b","name":"BTC Wallet","currency":"BTC","available_balance":{"value":"1","currency":"BTC"},"type":"ACCOUNT_TYPE_CRYPTO","ready":true,"hold":{"value":"0.5","currency":"BTC"}},{"uuid":"8c","currency":"DOGE","available_balance":{"value":"7","currency":"DOGE"},"hold":{"value":"0","currency":"DOGE"}}],"has_next":false,"cursor":"","size":2}"#;

fn message(number: u64, kind: &str, orders: &str) -> String {
    format!(
        r#"{{"channel":"user","client_id":"","timestamp":"2023-02-09T20:33:57.6Z","sequence_num":{number},"events":[{{"type":"{kind}","orders":[{orders}]}}]}}"#
    )
}

fn listing(number: u64, list: &str) -> String {
    format!(
        r#"{{"channel":"subscriptions","timestamp":"2023-02-09T20:33:57.6Z","sequence_num":{number},"events":[{{"subscriptions":{{{list}}}}}]}}"#
    )
}

#[test]
fn a_connection_begins_with_two_channels_and_what_is_open() {
    let mut decoder = decoder();
    let mut tell = |text: String| decoder.decode(text.as_bytes()).expect("read");
    let beats = r#""heartbeats":["heartbeats"]"#;
    assert_eq!(tell(listing(0, beats)).answer, Some((3, None)));
    assert_eq!(tell(message(1, "snapshot", ORDER)), Told::default());
    let both = format!(r#"{beats},"user":["3e625b74"]"#);
    assert_eq!(tell(listing(2, &both)).answer, Some((4, None)));
    assert_eq!(tell(listing(3, &both)).answer, None);
    decoder.decode(message(4, "update", ORDER).as_bytes()).expect("read");
    let [order] = decoder.rows.orders[..] else { panic!("{:?}", decoder.rows) };
    assert_eq!((order.state, order.executed), (RowState::Open, 12_500_000));
    assert_eq!(order.client.as_str(), "b400000000000001");
    let id = "0f8e6a34-1f1c-4a3b-8f00-0000ec4d7a3d";
    assert_eq!(decoder.ids.of(order.venue_order), Some(id));
    assert_eq!(order.venue_order, venue_number(id));
}

#[test]
fn a_stop_waits_by_its_own_word() {
    let state = |trigger: &str, executed: &str| {
        let word = format!(r#""trigger_status":"{trigger}","time_in_force""#);
        let text = ORDER.replace("0.125", executed).replace(r#""time_in_force""#, &word);
        let mut decoder = decoder();
        decoder.decode(message(0, "update", &text).as_bytes()).expect("read");
        decoder.rows.orders[0].state
    };
    assert_eq!(state("STOP_PENDING", "0"), RowState::Untriggered);
    assert_eq!(state("STOP_PENDING", "0.125"), RowState::Open, "what has traded works");
    assert_eq!(state("STOP_TRIGGERED", "0"), RowState::Open);
    assert_eq!(state("INVALID_ORDER_TYPE", "0"), RowState::Open);
}

#[test]
fn a_refusal_before_there_was_an_order_is_one() {
    let refusal = |error: &str, preview: &str| {
        let text = format!(
            r#"{{"success":false,"failure_reason":"UNKNOWN_FAILURE_REASON","error_response":{{"error":"{error}","preview_failure_reason":"{preview}"}}}}"#
        );
        let told = decoder().page(1, PageKind::Placed, 200, text.as_bytes()).expect("read");
        told.answer.expect("an answer").1.expect("refused")
    };
    let (none, passed) = ("UNKNOWN_FAILURE_REASON", "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE");
    assert_eq!(refusal(none, "UNKNOWN_PREVIEW_FAILURE_REASON"), Refusal::OutcomeUnknown);
    assert_eq!(refusal(none, passed), Refusal::Refused(DoneReason::Other));
    assert_eq!(refusal(passed, ""), Refusal::Refused(DoneReason::Other));
    let funds = refusal("UNKNOWN_FAILURE_REASON", "PREVIEW_INSUFFICIENT_FUND");
    assert_eq!(funds, Refusal::Refused(DoneReason::Balance));
}

#[test]
fn numbers_have_no_hole() {
    let mut decoder = decoder();
    let mut tell = |number| {
        let told = decoder.decode(message(number, "update", ORDER).as_bytes()).expect("read");
        (told.leaving, decoder.rows.orders.len())
    };
    assert_eq!(tell(7), (false, 1), "a connection may begin with any number");
    assert_eq!(tell(8), (false, 1));
    assert_eq!(tell(8), (false, 0), "once more");
    assert_eq!(tell(10), (true, 0), "one is missing");
    assert_eq!(tell(11), (true, 0), "and stays so");
    decoder.expect(0, 9);
    assert!(!decoder.decode(message(0, "update", ORDER).as_bytes()).expect("read").leaving);
}

#[test]
fn errors_refuse_what_waits() {
    let mut decoder = decoder();
    let error = br#"{"type":"error","message":"authentication failure"}"#;
    let told = decoder.decode(error).expect("read");
    assert_eq!(told.answer, Some((3, Some(Refusal::Session))));
    let told = decoder.decode(error).expect("read");
    assert_eq!(told.answer, Some((4, Some(Refusal::Session))));
    assert!(decoder.decode(error).expect("read").leaving, "nobody asked for anything");
}

#[test]
fn states_say_how_an_order_ended() {
    use {DoneReason as D, RowState as S};
    let mut decoder = decoder();
    let mut number = 0;
    let mut of = |changes: &[(&str, &str)]| {
        let start = ORDER.to_owned();
        let text = changes.iter().fold(start, |text, (from, to)| text.replace(from, to));
        let told = decoder.decode(message(number, "update", &text).as_bytes());
        number += 1;
        told.map(|_| (decoder.rows.orders[0].state, decoder.rows.orders[0].reason))
    };
    let status = |word| ("\"status\":\"OPEN\"", word);
    let none = ("0.125", "0");
    assert_eq!(of(&[status(r#""status":"PENDING""#)]), Ok((S::Open, D::None)));
    assert_eq!(of(&[status(r#""status":"CANCEL_QUEUED""#)]), Ok((S::Open, D::None)));
    assert_eq!(of(&[status(r#""status":"FILLED""#)]), Ok((S::Filled, D::None)));
    assert_eq!(of(&[status(r#""status":"CANCELLED""#)]), Ok((S::Canceled, D::None)));
    let fok = ("GOOD_UNTIL_CANCELLED", "FILL_OR_KILL");
    assert_eq!(of(&[status(r#""status":"CANCELLED""#), fok]), Ok((S::Expired, D::None)));
    assert_eq!(of(&[status(r#""status":"FAILED""#), none]), Ok((S::Rejected, D::Other)));
    assert_eq!(of(&[status(r#""status":"FAILED""#)]), Ok((S::Canceled, D::Other)));
    let why = (r#""reject_reason":"""#, r#""reject_reason":"INVALID_LIMIT_PRICE_POST_ONLY""#);
    assert_eq!(of(&[status(r#""status":"FAILED""#), none, why]), Ok((S::Rejected, D::WouldTake)));
    assert_eq!(of(&[status(r#""status":"NEW_WORD""#)]), Err(DecodeError::Schema));
}

#[test]
fn answers_to_orders_name_them_or_say_why_not() {
    let mut decoder = decoder();
    let good = br#"{"success":true,"failure_reason":"","order_id":"a-1","success_response":{"order_id":"a-1","product_id":"BTC-USD","side":"BUY","client_order_id":"b400000000000001"},"order_configuration":null}"#;
    let told = decoder.page(8, PageKind::Placed, 200, good).expect("read");
    assert_eq!(told.answer, Some((8, None)));
    let (number, client) = decoder.placed.expect("named");
    assert_eq!((decoder.ids.of(number), client.as_str()), (Some("a-1"), "b400000000000001"));
    let mut refused = |error: &str| {
        let text = format!(
            r#"{{"success":false,"failure_reason":"UNKNOWN_FAILURE_REASON","order_id":"","error_response":{{"error":"{error}","message":"x","error_details":"","preview_failure_reason":"","new_order_failure_reason":""}}}}"#
        );
        let told = decoder.page(9, PageKind::Placed, 200, text.as_bytes()).expect("read");
        assert!(decoder.placed.is_none());
        told.answer.and_then(|(_, refusal)| refusal)
    };
    assert_eq!(refused("INSUFFICIENT_FUND"), Some(Refusal::Refused(DoneReason::Balance)));
    assert_eq!(refused(""), Some(Refusal::OutcomeUnknown));
    let mut of = |kind, status, text: &str| {
        let told = decoder.page(9, kind, status, text.as_bytes());
        told.map(|told| told.answer.and_then(|(_, refusal)| refusal))
    };
    assert_eq!(of(PageKind::Placed, 0, ""), Ok(Some(Refusal::OutcomeUnknown)));
    assert_eq!(of(PageKind::Placed, 503, "<html>"), Ok(Some(Refusal::OutcomeUnknown)));
    assert_eq!(of(PageKind::Placed, 401, "Unauthorized"), Ok(Some(Refusal::Session)));
    let invalid = r#"{"error":"INVALID_ARGUMENT","error_details":"x","message":"x"}"#;
    let refused = Refusal::Refused(DoneReason::Other);
    assert_eq!(of(PageKind::Placed, 400, invalid), Ok(Some(refused)));
    assert_eq!(of(PageKind::Placed, 400, "<html>"), Ok(Some(Refusal::OutcomeUnknown)));
    assert_eq!(of(PageKind::Orders, 404, invalid), Ok(Some(Refusal::OutcomeUnknown)));
    assert!(of(PageKind::Placed, 200, "{}").is_err());
    let results = |first: &str, second: &str| {
        format!(
            r#"{{"results":[{{"success":{first},"order_id":"a"}},{{"success":{second},"order_id":"b"}}]}}"#
        )
    };
    let gone = r#"false,"failure_reason":"UNKNOWN_CANCEL_ORDER""#;
    let busy = r#"false,"failure_reason":"DUPLICATE_CANCEL_REQUEST""#;
    assert_eq!(of(PageKind::Canceled, 200, &results("true", "true")), Ok(None));
    let one = of(PageKind::Canceled, 200, &results("true", gone));
    assert_eq!(one, Ok(Some(Refusal::NotFound)));
    let worst = of(PageKind::Canceled, 200, &results(busy, gone));
    assert_eq!(worst, Ok(Some(Refusal::OutcomeUnknown)));
}

#[test]
fn pages_tell_orders_fills_and_balances() {
    let mut decoder = decoder();
    let told = decoder.page(8, PageKind::Orders, 200, PAGE_OF_ORDERS.as_bytes()).expect("read");
    assert_eq!((told.answer, told.more), (Some((8, None)), true));
    assert_eq!(decoder.rows.cursor, "789100");
    let [order] = decoder.rows.orders[..] else { panic!("{:?}", decoder.rows) };
    assert_eq!((order.state, order.executed), (RowState::Expired, 25_000_000));
    let told = decoder.page(8, PageKind::Fills, 200, FILLS.as_bytes()).expect("read");
    assert!(!told.more);
    let [fill] = decoder.rows.fills[..] else { panic!("{:?}", decoder.rows) };
    assert_eq!((fill.price, fill.qty, fill.side), (6_000_000, 1_000_000, Side::Sell));
    // The charge is finer than an amount can hold: rounded up.
    assert_eq!((fill.fee, fill.fee_asset, fill.maker), (ONE * 6 / 10 + 1, AssetId(1), false));
    assert_eq!((fill.venue_order, fill.time_ms), (venue_number("a-1"), 1_654_084_353_263));
    decoder.page(8, PageKind::Accounts, 200, ACCOUNTS.as_bytes()).expect("read");
    let btc = BalanceRow { asset: AssetId(0), free: ONE, locked: ONE / 2 };
    assert_eq!(decoder.rows.balances, [btc]);
    let time = br#"{"iso":"2022-06-01T11:52:33Z","epochSeconds":"1654084353","epochMillis":"1654084353263"}"#;
    let told = decoder.page(8, PageKind::Time, 200, time).expect("read");
    assert_eq!(told.server_ms, Some(1_654_084_353_263));
}

#[test]
fn ids_are_remembered_up_to_a_bound() {
    let mut ids = OrderIds::default();
    (0..IDS_MAX + 10).for_each(|n| ids.note(&format!("order-{n}")));
    assert_eq!(ids.of(venue_number("order-9")), None);
    assert_eq!(ids.of(venue_number("order-10")), Some("order-10"));
    assert_eq!(ids.by_number.len(), IDS_MAX);
    ids.note("");
    ids.note(&"x".repeat(40));
    assert_eq!(ids.by_number.len(), IDS_MAX);
}

/// The venue's documented messages, where they are at hand.
#[test]
fn documented_messages_are_read() {
    let Ok(text) = std::fs::read_to_string(format!("{SHARED}doc_examples/user.jsonl")) else {
        return println!("skipped: no shared data");
    };
    let mut orders = 0;
    for line in text.lines() {
        let mut decoder = decoder();
        decoder.decode(line.as_bytes()).expect("read");
        orders += decoder.rows.orders.len();
    }
    assert!(orders > 0);
}

proptest! {
    /// Whatever the bytes are, there is an answer, and the next message is read.
    #[test]
    fn any_edit_gives_an_answer(
        which in 0usize..4, at in any::<prop::sample::Index>(), with in any::<u8>(),
        cut in any::<prop::sample::Index>()
    ) {
        let mut decoder = decoder();
        let user = message(0, "update", ORDER);
        let kinds = [PageKind::Orders, PageKind::Fills, PageKind::Accounts];
        let texts = [PAGE_OF_ORDERS, FILLS, ACCOUNTS, &user];
        let mut text = texts[which].as_bytes().to_vec();
        let place = at.index(text.len());
        text[place] = with;
        text.truncate(cut.index(text.len() * 4) + 1);
        match kinds.get(which) {
            Some(kind) => _ = decoder.page(1, *kind, 200, &text),
            None => _ = decoder.decode(&text),
        }
        decoder.expect(0, 1);
        prop_assert!(decoder.decode(message(5, "update", ORDER).as_bytes()).is_ok());
    }
}

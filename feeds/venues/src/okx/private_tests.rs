use super::*;
use crate::account::BalanceRow;
use bot4_types::{AssetId, Instrument, InstrumentId, Side, Symbol};
use proptest::prelude::*;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/okx/samples/");
/// One asset unit as an amount.
const ONE: i128 = 10i128.pow(16);

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = |name| Symbol::new(name).expect("short");
    let mut i = Instrument::bare(InstrumentId(0), symbol("BTC-USDT"), 2);
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
const ORDER: &str = r#"{"arg":{"channel":"orders","instType":"SPOT"},"data":[{"accFillSz":"0.125","cancelSource":"","clOrdId":"b400000000000001","execType":"M","fee":"-0.000125","feeCcy":"BTC","fillFee":"-0.000125","fillFeeCcy":"BTC","fillPx":"60000.5","fillSz":"0.125","fillTime":"1654084353263","instId":"BTC-USDT","instType":"SPOT","ordId":"452197707845865472","ordType":"limit","px":"60000.5","side":"buy","state":"partially_filled","sz":"0.5","tradeId":"242589207","uTime":"1654084353264"}]}"#;
const ACCOUNT: &str = r#"{"arg":{"channel":"account"},"data":[{"details":[{"availBal":"1","cashBal":"1.5","ccy":"BTC","frozenBal":"0.5"},{"cashBal":"7","ccy":"DOGE","frozenBal":"0"}],"uTime":"1705564223311"}]}"#;
const PENDING: &str = r#"{"code":"0","data":[{"accFillSz":"0","cancelSource":"","clOrdId":"web","fillSz":"0","instId":"BTC-USDT","instType":"SPOT","ordId":"77","side":"sell","state":"live","tradeId":""}],"msg":""}"#;
const FILLS: &str = r#"{"code":"0","data":[{"billId":"9","clOrdId":"b400000000000001","execType":"T","fee":"-0.6","feeCcy":"USDT","fillPx":"60000","fillSz":"0.01","fillTime":"1654084353263","instId":"BTC-USDT","ordId":"5","side":"sell","tradeId":"8"}],"msg":""}"#;

#[test]
fn an_event_tells_an_order_and_its_fill() {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(ORDER.as_bytes()), Ok(Told::default()));
    let ([order], [fill]) = (&decoder.rows.orders[..], &decoder.rows.fills[..]) else {
        panic!("{:?}", decoder.rows)
    };
    assert_eq!((order.state, order.executed), (RowState::Open, 12_500_000));
    assert_eq!(order.terms, Some((6_000_050, 50_000_000)));
    assert_eq!((order.venue_order, fill.venue_order), (452_197_707_845_865_472, order.venue_order));
    assert_eq!((fill.trade_id, fill.price, fill.qty), (242_589_207, 6_000_050, 12_500_000));
    // The venue states what the account gets: a charge is negative there.
    assert_eq!((fill.fee, fill.fee_asset, fill.maker), (ONE / 8_000, AssetId(0), true));
    assert_eq!((fill.side, fill.client.as_str()), (Side::Buy, "b400000000000001"));
    decoder.decode(ACCOUNT.as_bytes()).expect("read");
    let btc = BalanceRow { asset: AssetId(0), free: ONE, locked: ONE / 2 };
    assert_eq!((&decoder.rows.balances[..], decoder.rows.fills.len()), (&[btc][..], 0));
    assert_eq!(decoder.decode(b"pong"), Ok(Told::default()));
}

#[test]
fn answers_name_their_request_and_what_became_of_it() {
    let mut decoder = decoder();
    (decoder.logon, _) = (3, decoder.expect_channels(4));
    let mut answer = |text: &str| decoder.decode(text.as_bytes()).expect("read");
    let login = answer(r#"{"event":"login","code":"0","msg":"","connId":"a"}"#);
    assert_eq!(login.answer, Some((3, None)));
    let wrong = answer(r#"{"event":"error","msg":"x","code":"60007","connId":"a"}"#);
    assert_eq!(wrong.answer, Some((3, Some(Refusal::Session))));
    let late = answer(r#"{"event":"error","msg":"x","code":"60006","connId":"a"}"#);
    assert_eq!(late.answer, Some((3, Some(Refusal::Refused(DoneReason::Window)))));
    let ack = r#"{"id":"4","event":"subscribe","arg":{"channel":"account"},"connId":"a"}"#;
    assert_eq!(answer(ack).answer, None);
    assert_eq!(answer(ack).answer, Some((4, None)));
    let part = |code: &str, part: &str| {
        format!(
            r#"{{"id":"41","op":"order","code":"{code}","msg":"","data":[{{"sCode":"{part}","sMsg":""}}]}}"#
        )
    };
    assert_eq!(answer(&part("0", "0")).answer, Some((41, None)));
    let balance = Refusal::Refused(DoneReason::Balance);
    assert_eq!(answer(&part("1", "51008")).answer, Some((41, Some(balance))));
    let whole = r#"{"id":"41","op":"order","code":"60011","msg":"Please log in.","data":[]}"#;
    assert_eq!(answer(whole).answer, Some((41, Some(Refusal::Session))));
    assert!(answer(r#"{"event":"notice","code":"64008","msg":"x","connId":"a"}"#).leaving);
}

#[test]
fn pages_tell_orders_or_fills() {
    let mut decoder = decoder();
    let told = decoder.page(8, PageKind::Orders, 200, PENDING.as_bytes()).expect("read");
    assert_eq!((told.answer, told.more), (Some((8, None)), false));
    assert_eq!((decoder.rows.orders.len(), decoder.rows.fills.len()), (1, 0));
    decoder.page(8, PageKind::Fills, 200, FILLS.as_bytes()).expect("read");
    let [fill] = decoder.rows.fills[..] else { panic!("{:?}", decoder.rows) };
    assert_eq!((fill.fee, fill.fee_asset, fill.maker), (ONE * 6 / 10, AssetId(1), false));
    let row = &FILLS[FILLS.find("[{").expect("a list") + 1..FILLS.find("}]").expect("its end") + 1];
    let full = FILLS.replace(row, &vec![row; PAGE].join(","));
    let told = decoder.page(8, PageKind::Fills, 200, full.as_bytes()).expect("read");
    assert_eq!((told.more, decoder.rows.cursor.as_str()), (true, "9"));
    let gone = br#"{"code":"51603","data":[],"msg":"Order does not exist"}"#;
    let told = decoder.page(8, PageKind::Orders, 200, gone).expect("read");
    assert_eq!(told.answer, Some((8, Some(Refusal::NotFound))));
    let told = decoder.page(8, PageKind::Orders, 502, b"<html>").expect("read");
    assert_eq!(told.answer, Some((8, Some(Refusal::OutcomeUnknown))));
    let clock = br#"{"code":"0","data":[{"ts":"1597026383085"}],"msg":""}"#;
    let told = decoder.page(8, PageKind::Other, 200, clock).expect("read");
    assert_eq!(told.server_ms, Some(1_597_026_383_085));
}

#[test]
fn endings_are_told_by_their_source() {
    use {DoneReason as D, RowState as S};
    let of = |source| state("canceled", source).expect("known");
    assert_eq!(of("1"), (S::Canceled, D::None));
    assert_eq!(of("31"), (S::Expired, D::WouldTake));
    assert_eq!(of("14"), (S::Expired, D::None));
    assert_eq!(of("32"), (S::Expired, D::SelfTrade));
    assert_eq!(state("dreaming", ""), Err(DecodeError::Schema));
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
        let known = ["account.", "order", "cancel_order", "error_login", "notice", "amend_order"];
        if !known.iter().any(|p| name.starts_with(p)) {
            continue;
        }
        for line in std::fs::read_to_string(&path).expect("text").lines() {
            let told = match name.starts_with("orders_pending") {
                true => decoder.page(1, PageKind::Orders, 200, line.as_bytes()),
                false => decoder.decode(line.as_bytes()),
            };
            assert!(told.is_ok(), "{name}: {told:?}");
            read += 1;
        }
        if name == "orders_channel.jsonl" {
            let ([order], [fill]) = (&decoder.rows.orders[..], &decoder.rows.fills[..]) else {
                panic!("{:?}", decoder.rows)
            };
            assert_eq!((order.state, fill.trade_id), (RowState::Filled, 242_589_207));
        }
    }
    assert!(read >= 10, "{read}");
}

proptest! {
    #[test]
    fn damaged_messages_give_an_answer(
        which in 0usize..4,
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        keep in any::<bool>(),
    ) {
        let mut text = [ORDER, ACCOUNT, PENDING, FILLS][which].as_bytes().to_vec();
        let at = cut.index(text.len());
        if keep { text[at] = byte } else { text.truncate(at) }
        let mut decoder = decoder();
        let _ = decoder.decode(&text);
        for kind in [PageKind::Orders, PageKind::Fills, PageKind::Other] {
            let _ = decoder.page(1, kind, 200, &text);
        }
        // An earlier message leaves nothing behind.
        let told = decoder.page(2, PageKind::Orders, 200, PENDING.as_bytes()).expect("read");
        prop_assert_eq!((told.answer, decoder.rows.orders.len()), (Some((2, None)), 1));
        prop_assert!(decoder.rows.fills.is_empty() && decoder.rows.balances.is_empty());
    }
}

/// That an amend was taken says nothing; an event of its order says what came of it.
#[test]
fn an_amend_is_answered_by_its_event() {
    let mut decoder = decoder();
    let mut answer = |text: &str| decoder.decode(text.as_bytes()).expect("read");
    let taken = r#"{"id":"9","op":"amend-order","data":[{"clOrdId":"b4","ordId":"1","reqId":"9","sCode":"0","sMsg":""}],"code":"0","msg":""}"#;
    assert_eq!(answer(taken), Told::default());
    let gone = taken
        .replace("\"sCode\":\"0\"", "\"sCode\":\"51503\"")
        .replace("\"code\":\"0\"", "\"code\":\"1\"");
    assert_eq!(answer(&gone).answer, Some((9, Some(Refusal::NotFound))));
    let event = |result: &str| {
        let amended = format!("\"amendResult\":\"{result}\",\"reqId\":\"9\",\"px\"");
        ORDER.replacen("\"px\"", &amended, 1)
    };
    assert_eq!(answer(&event("0")).answer, Some((9, None)));
    let refused = Some((9, Some(Refusal::Refused(DoneReason::Other))));
    assert_eq!(answer(&event("-1")).answer, refused);
    assert_eq!(answer(&event("")).answer, None);
}

use super::*;
use crate::account::{FillRow, OrderRow};
use bot4_types::{ClientId, Instrument, InstrumentId, OrderId, RunEpoch, Side, Symbol};
use proptest::prelude::*;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/kraken/samples/");
/// One asset unit as an amount.
const ONE: i128 = 10i128.pow(16);

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = |name| Symbol::new(name).expect("short");
    for (n, (name, price, base)) in
        [("BTC/USD", 1, "BTC"), ("ADX/USD", 5, "ADX"), ("KAR/USD", 4, "KAR")]
            .into_iter()
            .enumerate()
    {
        let mut i = Instrument::bare(InstrumentId(n as u16), symbol(name), price);
        i.qty_decimals = 8;
        i.base = table.asset(symbol(base)).expect("room");
        i.quote = table.asset(symbol("USD")).expect("room");
        table.push(i).expect("room");
    }
    table
}

fn event(channel: &str, kind: &str, sequence: u64, rows: &str) -> String {
    format!(r#"{{"channel":"{channel}","type":"{kind}","data":[{rows}],"sequence":{sequence}}}"#)
}

struct Heard {
    decoder: PrivateDecoder,
    sequence: u64,
}

impl Heard {
    fn new() -> Self {
        let mut heard = Self { decoder: PrivateDecoder::new(&table()), sequence: 0 };
        heard.tell("snapshot", "");
        heard
    }

    fn tell(&mut self, kind: &str, rows: &str) -> (Vec<OrderRow>, Vec<FillRow>) {
        self.sequence += 1;
        let text = event("executions", kind, self.sequence, rows);
        let told = self.decoder.decode(text.as_bytes()).expect("read");
        assert_eq!(told, Told::default(), "{text}");
        (self.decoder.rows.orders.clone(), self.decoder.rows.fills.clone())
    }
}

const PENDING: &str = r#"{"order_id":"AHOJQ8-1E72C-8M2VQH","symbol":"ADX/USD","order_qty":81.36256082,"cum_cost":0.0000000,"time_in_force":"GTC","exec_type":"pending_new","side":"buy","order_type":"limit","order_userref":0,"cl_ord_id":"own","limit_price_type":"static","limit_price":0.18328,"stop_price":0.00000,"order_status":"pending_new","timestamp":"2024-05-18T12:01:56.165888Z"}"#;
const NEW: &str = r#"{"timestamp":"2024-05-18T12:58:51.121515Z","order_status":"new","exec_type":"new","order_userref":0,"order_id":"AHOJQ8-1E72C-8M2VQH"}"#;
const TRADE: &str = r#"{"order_id":"AHOJQ8-1E72C-8M2VQH","exec_id":"TJE7HC-DKBTI-5BFVKE","exec_type":"trade","trade_id":365573,"symbol":"ADX/USD","side":"buy","last_qty":1e-08,"last_price":0.18328,"liquidity_ind":"m","cost":0,"order_status":"partially_filled","timestamp":"2024-05-18T12:59:33.480251Z","fees":[{"asset":"USD","qty":0.05083}]}"#;

#[test]
fn partial_updates_are_completed_by_what_was_told_before() {
    let mut heard = Heard::new();
    let (orders, _) = heard.tell("update", PENDING);
    let row = orders[0];
    assert_eq!(
        (row.instrument, row.state, row.executed),
        (Some(InstrumentId(1)), RowState::Open, 0)
    );
    assert_eq!(
        (row.client.as_str(), row.venue_order),
        ("own", venue_number("AHOJQ8-1E72C-8M2VQH"))
    );
    let (orders, _) = heard.tell("update", NEW);
    assert_eq!(orders, [row], "named by the venue's number alone");
    let (orders, fills) = heard.tell("update", TRADE);
    assert!(orders.is_empty(), "its word for the state may be of before it");
    let fill = fills[0];
    assert_eq!((fill.price, fill.qty, fill.fee), (18_328, 1, 508_300_000_000_000));
    assert_eq!((fill.client.as_str(), fill.maker, fill.side), ("own", true, Side::Buy));
    assert_eq!(fill.time_ms, 1_716_037_173_480);
    let amended = r#"{"timestamp":"2024-10-13T13:38:39.273886Z","exec_type":"amended","order_status":"new","cum_qty":0.00000001,"amended":true,"order_qty":5.10000000,"limit_price":0.96000,"order_id":"AHOJQ8-1E72C-8M2VQH"}"#;
    assert_eq!(row.terms, Some((18_328, 8_136_256_082)));
    let (orders, _) = heard.tell("update", amended);
    assert_eq!((orders[0].terms, orders[0].executed), (Some((96_000, 510_000_000)), 1));
    let canceled = NEW.replace("\"new\"", "\"canceled\"");
    let (orders, _) = heard.tell("update", &canceled);
    assert_eq!(
        (orders[0].state, orders[0].executed),
        (RowState::Canceled, 1),
        "counted since it was new"
    );
    let (orders, _) = heard.tell("update", &canceled);
    assert!(orders.is_empty(), "ended orders are forgotten, and a name alone says nothing");
    heard.tell("update", PENDING);
    let (orders, _) = heard.tell("update", &NEW.replace("\"new\"", "\"filled\""));
    assert_eq!((orders[0].state, orders[0].executed), (RowState::Filled, 8_136_256_082));
    let (_, fills) = heard.tell("update", TRADE);
    assert_eq!(fills[0].trade_id, fill.trade_id, "a late fill names all that it needs");
    assert!(fills[0].client.is_empty());
}

/// From the first word on, whichever of the venue's words says that the market has come.
#[test]
fn a_stop_waits_until_the_venue_says_that_it_is_triggered_or_trades() {
    let kind = r#""order_type":"stop-loss-limit","triggers":{"price":0.2,"price_type":"static","reference":"last","status":"untriggered"}"#;
    let pending = PENDING.replace(r#""order_type":"limit""#, kind);
    let status = r#"{"timestamp":"2024-05-18T12:59:01.121515Z","order_status":"triggered","exec_type":"status","triggers":{"price":0.2,"status":"triggered"},"order_id":"AHOJQ8-1E72C-8M2VQH"}"#;
    let restated = r#"{"timestamp":"2024-05-18T12:59:01.121515Z","order_status":"new","exec_type":"restated","order_type":"limit","order_id":"AHOJQ8-1E72C-8M2VQH"}"#;
    for works in [status, restated, TRADE] {
        let mut heard = Heard::new();
        let (orders, _) = heard.tell("update", &pending);
        assert_eq!((orders[0].state, orders[0].executed), (RowState::Untriggered, 0));
        let (orders, _) = heard.tell("update", NEW);
        assert_eq!(orders[0].state, RowState::Untriggered, "live, and it waits");
        heard.tell("update", works);
        let (orders, _) = heard.tell("update", NEW);
        assert_eq!(orders[0].state, RowState::Open, "{works}");
        assert_eq!(orders[0].terms, Some((18_328, 8_136_256_082)));
    }
    let mut heard = Heard::new();
    let (orders, _) = heard.tell("snapshot", &pending.replace("pending_new", "new"));
    assert!(orders.is_empty(), "nobody counted what is filled");
    let counted =
        pending.replace("pending_new", "new").replace(r#""cum_cost""#, r#""cum_qty":0,"cum_cost""#);
    let (orders, _) = heard.tell("snapshot", &counted);
    assert_eq!(orders[0].state, RowState::Untriggered, "one that was there before");
    let (orders, _) = heard.tell("update", &NEW.replace("\"new\"", "\"canceled\""));
    assert_eq!(orders[0].state, RowState::Canceled);
}

#[test]
fn how_orders_end() {
    let ends = |status, reason| state(status, reason).expect("known");
    assert_eq!(ends("canceled", "Post only order"), (RowState::Expired, DoneReason::WouldTake));
    assert_eq!(ends("canceled", "User requested"), (RowState::Canceled, DoneReason::None));
    assert_eq!(ends("canceled", "IOC order"), (RowState::Expired, DoneReason::None));
    assert_eq!(
        ends("canceled", "Self Trade Prevention"),
        (RowState::Expired, DoneReason::SelfTrade)
    );
    assert_eq!(ends("expired", ""), (RowState::Expired, DoneReason::None));
    assert_eq!(state("odd", ""), Err(DecodeError::Schema));
}

#[test]
fn a_gap_in_a_channel_ends_the_connection_and_a_repetition_does_not() {
    let mut decoder = PrivateDecoder::new(&table());
    let mut leaves = |channel: &str, kind: &str, sequence| {
        let told = decoder.decode(event(channel, kind, sequence, "").as_bytes()).expect("read");
        told.leaving
    };
    assert!(!leaves("executions", "snapshot", 1) && !leaves("balances", "snapshot", 1));
    assert!(!leaves("executions", "update", 2) && !leaves("executions", "update", 2));
    assert!(!leaves("balances", "update", 2) && leaves("executions", "update", 4));
    assert!(!leaves("executions", "update", 3), "what was due is still due");
    assert!(!leaves("executions", "snapshot", 1), "counted anew");
    assert!(leaves("executions", "update", 3));
}

#[test]
fn answers_say_what_became_of_requests() {
    let mut decoder = PrivateDecoder::new(&table());
    let mut told = |text: &str| decoder.decode(text.as_bytes()).expect("read");
    let fine = r#"{"method":"add_order","req_id":7,"result":{"order_id":"OPS23M-VS41G-DDE5Z2"},"success":true,"time_in":"2024-05-18T12:05:50.293682Z","time_out":"2024-05-18T12:05:50.300542Z"}"#;
    assert_eq!(told(fine).answer, Some((7, None)));
    let pong =
        r#"{"method":"pong","req_id":9,"time_in":"2024-05-18T12:05:50.293682Z","time_out":"x"}"#;
    let heard = told(pong);
    assert_eq!((heard.answer, heard.server_ms), (Some((9, None)), Some(1_716_033_950_293)));
    assert_eq!(pong_ms(pong.as_bytes()), Some(1_716_033_950_293));
    assert_eq!(pong_ms(br#"{"channel":"heartbeat"}"#), None);
    let refused =
        r#"{"error":"EOrder:Insufficient funds","method":"add_order","req_id":8,"success":false}"#;
    assert_eq!(told(refused).answer, Some((8, Some(Refusal::Refused(DoneReason::Balance)))));
    let nameless = r#"{"error":"JSON message malformed","success":false}"#;
    assert!(told(nameless).leaving, "nothing that waits can be trusted");
    assert!(told("CloudFlare WebSocket proxy restarting").leaving);
    for quiet in [
        r#"{"channel":"heartbeat"}"#,
        r#"{"channel":"status","type":"update","data":[{"system":"online","connection_id":18266300427528990701}]}"#,
    ] {
        assert_eq!(told(quiet), Told::default(), "{quiet}");
    }
    let subscribed = r#"{"method":"subscribe","req_id":1,"result":{"channel":"executions","maxratecount":180,"snapshot":true},"success":true}"#;
    told(subscribed);
    assert_eq!(decoder.rate_max, Some(180));
}

#[test]
fn balances_are_those_of_the_wallet_that_trades() {
    let mut decoder = PrivateDecoder::new(&table());
    let row = r#"{"asset":"USD","asset_class":"currency","balance":160.2405,"wallets":[{"type":"spot","id":"main","balance":1.34}]},{"asset":"BTC","balance":2.5,"wallets":[]},{"asset":"KEEP","balance":7,"wallets":[]}"#;
    decoder.decode(event("balances", "snapshot", 1, row).as_bytes()).expect("read");
    let held: Vec<i128> = decoder.rows.balances.iter().map(|b| b.free).collect();
    assert_eq!(held, [134 * ONE / 100, 25 * ONE / 10]);
    let row = r#"{"ledger_id":"D","ref_id":"L","type":"trade","asset":"USD","wallet_type":"spot","wallet_id":"main","amount":-19.9743,"fee":0.0499,"balance":118.0677}"#;
    decoder.decode(event("balances", "update", 2, row).as_bytes()).expect("read");
    assert_eq!(decoder.rows.balances[0].free, 1_180_677 * ONE / 10_000);
    let row = row.replace("main", "earn");
    decoder.decode(event("balances", "update", 3, &row).as_bytes()).expect("read");
    assert!(decoder.rows.balances.is_empty());
}

#[test]
fn pages_are_read_by_their_older_names() {
    let mut decoder = PrivateDecoder::new(&table());
    let client = ClientId::new(RunEpoch(1), OrderId(2));
    let order = |status: &str, executed: &str| {
        format!(
            r#""OQCLML-BW3P3-BUCMWZ":{{"refid":null,"userref":0,"cl_ord_id":"{}","status":"{status}","opentm":1688666559.8974,"descr":{{"pair":"XBTUSD","type":"buy","ordertype":"limit","price":"30010.0"}},"vol":"1.25000000","vol_exec":"{executed}","reason":"User requested"}}"#,
            client.as_str()
        )
    };
    let open = format!(r#"{{"error":[],"result":{{"open":{{{}}}}}}}"#, order("open", "0.37500000"));
    let told = decoder.page(3, PageKind::Orders, 200, open.as_bytes()).expect("read");
    assert_eq!((told.answer, told.more), (Some((3, None)), false));
    let row = decoder.rows.orders[0];
    assert_eq!(
        (row.instrument, row.executed, row.client.own()),
        (Some(InstrumentId(0)), 37_500_000, Some((RunEpoch(1), OrderId(2))))
    );
    assert_eq!(decoder.order_names, [(row.venue_order, "OQCLML-BW3P3-BUCMWZ".to_owned())]);
    for (executed, state) in [("1.25000000", RowState::Filled), ("0.5", RowState::Canceled)] {
        let closed = format!(
            r#"{{"error":[],"result":{{"closed":{{{}}},"count":1}}}}"#,
            order("closed", executed)
        );
        decoder.page(3, PageKind::Orders, 200, closed.as_bytes()).expect("read");
        assert_eq!(decoder.rows.orders[0].state, state);
    }
    let trade = |n: u32, name: &str| {
        format!(
            r#""{name}":{{"ordertxid":"OQCLML-BW3P3-BUCMWZ","pair":"XXBTZUSD","time":1688667796.{n:04},"type":"sell","ordertype":"limit","price":"30010.00000","cost":"600.20000","fee":"0.96","vol":"0.02000000","trade_id":39482674,"maker":true}}"#
        )
    };
    let list: Vec<String> = (0..50).map(|n| trade(99 - n, &format!("T{n}"))).collect();
    let page =
        format!(r#"{{"error":[],"result":{{"trades":{{{}}},"count":2346}}}}"#, list.join(","));
    let told = decoder.page(4, PageKind::Fills, 200, page.as_bytes()).expect("read");
    assert!(told.more);
    assert_eq!((decoder.rows.cursor.as_str(), decoder.rows.fills.len()), ("T49", 50));
    let fill = decoder.rows.fills[0];
    assert_eq!(
        (fill.price, fill.qty, fill.fee, fill.maker),
        (300_100, 2_000_000, 96 * ONE / 100, true)
    );
    assert_eq!(fill.venue_order, venue_number("OQCLML-BW3P3-BUCMWZ"));
    let balances = r#"{"error":[],"result":{"ZUSD":{"balance":"25435.21","hold_trade":"8249.76"},"XXBT":{"balance":1.2435},"ZEUR":{"balance":"3"}}}"#;
    decoder.page(5, PageKind::Balances, 200, balances.as_bytes()).expect("read");
    let held: Vec<(i128, i128)> =
        decoder.rows.balances.iter().map(|b| (b.free, b.locked)).collect();
    assert_eq!(held, [(1_718_545 * ONE / 100, 824_976 * ONE / 100), (12_435 * ONE / 10_000, 0)]);
    let token = r#"{"error":[],"result":{"token":"abc","expires":900}}"#;
    decoder.page(6, PageKind::Token, 200, token.as_bytes()).expect("read");
    assert_eq!(decoder.token, "abc");
    let nonce = r#"{"error":["EAPI:Invalid nonce"]}"#;
    let told = decoder.page(7, PageKind::Other, 200, nonce.as_bytes()).expect("read");
    assert_eq!(told.answer, Some((7, Some(Refusal::Refused(DoneReason::Window)))));
    let told = decoder.page(8, PageKind::Other, 502, b"<html>").expect("read");
    assert_eq!(told.answer, Some((8, Some(Refusal::OutcomeUnknown))));
}

/// The first price of such an order is its trigger's.
#[test]
fn a_page_tells_whether_a_stop_waits() {
    let mut decoder = PrivateDecoder::new(&table());
    for (misc, executed, state) in [
        ("", "0.00000000", RowState::Untriggered),
        ("stopped", "0.00000000", RowState::Open),
        ("amended,touched", "0.00000000", RowState::Open),
        ("", "0.10000000", RowState::Open),
    ] {
        let order = format!(
            r#""OQCLML-BW3P3-BUCMWZ":{{"cl_ord_id":"own","status":"open","descr":{{"pair":"XBTUSD","type":"buy","ordertype":"stop-loss-limit","price":"30020.0","price2":"30010.0"}},"misc":"{misc}","vol":"1.25000000","vol_exec":"{executed}"}}"#
        );
        let open = format!(r#"{{"error":[],"result":{{"open":{{{order}}}}}}}"#);
        decoder.page(3, PageKind::Orders, 200, open.as_bytes()).expect("read");
        let row = decoder.rows.orders[0];
        assert_eq!((row.state, row.terms), (state, Some((300_100, 125_000_000))), "{misc}");
    }
}

/// Every captured message and every example of the documentation is read.
#[test]
fn samples_are_read() {
    if !std::path::Path::new(SHARED).exists() {
        println!("skipped: no shared data");
        return;
    }
    let mut read = 0;
    for folder in ["real_2024", "doc_examples"] {
        for file in std::fs::read_dir(format!("{SHARED}{folder}")).expect("samples").flatten() {
            let name = file.file_name().into_string().expect("a name");
            let parts = [
                "ack_",
                "add_",
                "amend",
                "balances",
                "cancel",
                "edit",
                "error",
                "execution",
                "admin",
                "batch",
            ];
            if !parts.iter().any(|part| name.starts_with(part)) {
                continue;
            }
            for line in std::fs::read_to_string(file.path()).expect("text").lines() {
                let told = PrivateDecoder::new(&table()).decode(line.as_bytes());
                assert!(told.is_ok(), "{name}: {told:?}");
                read += usize::from(!line.is_empty());
            }
        }
    }
    assert!(read > 20, "{read}");
}

proptest! {
    /// Damage gives an error or rows, never a panic.
    #[test]
    fn damaged_messages_give_an_answer(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        which in 0usize..4,
        page in any::<bool>(),
    ) {
        let texts = [
            event("executions", "update", 1, &[PENDING, NEW, TRADE].join(",")),
            event("balances", "update", 1, r#"{"asset":"USD","balance":1.5,"wallets":[]}"#),
            r#"{"error":"EOrder:Unknown order","method":"cancel_order","req_id":8,"success":false}"#.to_owned(),
            r#"{"error":[],"result":{"trades":{"T":{"ordertxid":"O","pair":"XXBTZUSD","time":1688667796.88,"type":"buy","price":"30010.0","fee":"0","vol":"0.02","maker":true}},"count":1}}"#.to_owned(),
        ];
        let mut bytes = texts[which].clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut decoder = PrivateDecoder::new(&table());
        let _ = decoder.decode(&bytes);
        if page {
            for kind in [PageKind::Orders, PageKind::Fills, PageKind::Balances, PageKind::Token] {
                let _ = decoder.page(1, kind, 200, &bytes);
            }
        }
    }
}

#[test]
fn the_last_number_there_is_has_no_next() {
    let mut due = None;
    assert!(in_sequence(&mut due, u64::MAX, true));
    assert!(in_sequence(&mut due, u64::MAX, false));
}

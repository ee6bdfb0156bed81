use super::*;
use crate::gateway::{Failure, OrderKey, VenueState};
use bot4_types::{InstrumentId, Side, Symbol, Tif};
use bot4_venues::rest::RestRequest;
use bot4_venues::secret::Scheme;

const EPOCH: RunEpoch = RunEpoch(3);
const SECRET: &str =
    "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

fn gateway() -> (KrakenGateway, Instrument) {
    let mut table = InstrumentTable::new();
    let symbol = Symbol::new("BTC/USD").expect("short");
    table.push(Instrument::bare(InstrumentId(0), symbol, 1)).expect("room");
    let keys = SecretKeys::read("key", SECRET, Scheme::Sha512Base64).expect("keys");
    let instrument = table.all()[0];
    (KrakenGateway::new(keys, &table, EPOCH), instrument)
}

fn client(order: u64) -> ClientId {
    ClientId::new(EPOCH, OrderId(order))
}

fn place(gateway: &mut KrakenGateway, instrument: &Instrument, order: u64, now_ms: i64) {
    let place = Place {
        id: order,
        instrument,
        client: client(order),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: 7,
        trigger: 0,
        qty: 8,
        now_ms,
    };
    gateway.place(&place, &mut Vec::new());
}

fn asked(write: impl FnOnce(&mut Vec<u8>)) -> (String, String) {
    let mut out = Vec::new();
    write(&mut out);
    let request = RestRequest::parse(&out).expect("a request");
    (request.path.to_owned(), request.body.to_owned())
}

fn told(gateway: &mut KrakenGateway, id: u64, purpose: Purpose, text: &str) -> Vec<Fact> {
    let page = Page { id, purpose, status: 200, now_ms: 0, text: text.as_bytes() };
    let mut facts = Vec::new();
    gateway.decode_page(&page, &mut facts).expect("read");
    facts
}

#[test]
fn the_token_of_the_logon_stands_in_every_request() {
    let (mut gateway, _) = gateway();
    let (path, _) = asked(|out| gateway.logon(Way::Rest, 1, 5, out));
    assert_eq!(path, "/0/private/GetWebSocketsToken");
    let answer = r#"{"error":[],"result":{"token":"abc","expires":900}}"#;
    let facts = told(&mut gateway, 1, Purpose::Logon(Way::Rest), answer);
    assert_eq!(facts, [Fact::Answered { id: 1 }]);
    for part in 0..gateway.subscriptions() {
        let mut out = Vec::new();
        gateway.subscribe(part, 2, 5, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains(r#""token":"abc""#), "{text}");
    }
}

#[test]
fn not_known_is_what_neither_list_has() {
    let (mut gateway, instrument) = gateway();
    let named = Named { instrument: &instrument, venue_order: 0, client: client(7) };
    let purpose = Purpose::Status(OrderId(7));
    let (path, body) = asked(|out| gateway.status(1, &named, 1, out));
    assert_eq!(path, "/0/private/OpenOrders");
    assert!(body.ends_with(&format!("&cl_ord_id={}", client(7).as_str())), "{body}");
    let facts = told(&mut gateway, 1, purpose, r#"{"error":[],"result":{"open":{}}}"#);
    assert_eq!(facts, [Fact::More { id: 1 }]);
    let (path, _) = asked(|out| gateway.status(2, &named, 1, out));
    assert_eq!(path, "/0/private/ClosedOrders");
    let facts = told(&mut gateway, 2, purpose, r#"{"error":[],"result":{"closed":{},"count":0}}"#);
    assert_eq!(facts, [Fact::Failed { id: 2, failure: Failure::NotFound }]);
    let (path, _) = asked(|out| gateway.status(3, &named, 1, out));
    assert_eq!(path, "/0/private/OpenOrders");
}

#[test]
fn fills_of_an_order_are_asked_from_when_it_was_placed() {
    let (mut gateway, instrument) = gateway();
    gateway.logon(Way::Rest, 1, 1_000_000, &mut Vec::new());
    place(&mut gateway, &instrument, 1, 1_500_000);
    let mut start = |order| {
        let named = Named { instrument: &instrument, venue_order: 5, client: client(order) };
        let (path, body) = asked(|out| gateway.fills_of(2, &named, 1_600_000, out));
        assert_eq!(path, "/0/private/TradesHistory");
        body.split_once("&start=").expect("a start").1.to_owned()
    };
    assert_eq!(start(1), "1498");
    assert_eq!(start(9), "998", "one that is forgotten: since the run began");
}

#[test]
fn events_name_orders_of_this_run() {
    let (mut gateway, instrument) = gateway();
    gateway.logon(Way::Rest, 1, 1, &mut Vec::new());
    place(&mut gateway, &instrument, 1, 1);
    assert_eq!(gateway.open.count(instrument.id), 1);
    let entry = format!(
        r#"{{"order_id":"OAAAAA-BBBBB-CCCCCC","symbol":"BTC/USD","order_qty":8.0,"exec_type":"pending_new","cl_ord_id":"{}","order_status":"pending_new","timestamp":"2024-05-18T12:01:56.165888Z"}}"#,
        client(1).as_str()
    );
    let text = |sequence, entry: &str| {
        format!(
            r#"{{"channel":"executions","type":"update","data":[{entry}],"sequence":{sequence}}}"#
        )
    };
    let mut facts = Vec::new();
    gateway.decode(text(2, &entry).as_bytes(), &mut facts).expect("read");
    assert!(
        matches!(
            facts[..],
            [Fact::Order { key: OrderKey::Own(OrderId(1)), state: VenueState::Open, .. }]
        ),
        "{facts:?}"
    );
    let ended = r#"{"timestamp":"2024-05-18T12:01:57.165888Z","order_status":"canceled","exec_type":"canceled","cum_qty":0.0,"reason":"User requested","order_id":"OAAAAA-BBBBB-CCCCCC"}"#;
    facts.clear();
    gateway.decode(text(3, ended).as_bytes(), &mut facts).expect("read");
    assert!(
        matches!(
            facts[..],
            [Fact::Order { key: OrderKey::Own(OrderId(1)), state: VenueState::Canceled, .. }]
        ),
        "{facts:?}"
    );
    assert_eq!(gateway.open.count(instrument.id), 0);
    facts.clear();
    gateway.decode(text(5, ended).as_bytes(), &mut facts).expect("read");
    assert_eq!(facts, [Fact::Leaving], "a message is missing");
}

/// The venue's clock was ahead when the run began, and goes back: what is filled from then on lies
/// before the begin and before its order by the clock of then, and is asked for and told.
#[test]
fn a_clock_that_goes_back_hides_no_fill() {
    let (mut gateway, instrument) = gateway();
    gateway.logon(Way::Rest, 1, 1_700_000_040_000, &mut Vec::new());
    place(&mut gateway, &instrument, 7, 1_700_000_041_000);
    gateway.feed_dead_man(2, 1_700_000_042_000, &mut Vec::new());
    // Back by 40 s.
    gateway.feed_dead_man(3, 1_700_000_003_000, &mut Vec::new());
    let named = Named { instrument: &instrument, venue_order: 0, client: client(7) };
    let (_, body) = asked(|out| gateway.fills_of(4, &named, 1_700_000_003_100, out));
    let since = body.split('&').find_map(|part| part.strip_prefix("start=")).expect("a start");
    assert!(since.parse::<f64>().expect("seconds") <= 1_700_000_002.0, "{body}");
    let (_, body) = asked(|out| gateway.fills_after(5, &instrument, 0, 1_700_000_003_200, out));
    let since = body.split('&').find_map(|part| part.strip_prefix("start=")).expect("a start");
    assert!(since.parse::<f64>().expect("seconds") <= 1_700_000_002.0, "{body}");
    let fill = r#"{"error":[],"result":{"count":1,"trades":{"TAAAAA-AAAAA-AAAAAA":{"ordertxid":
        "OAAAAA-AAAAA-AAAAAA","trade_id":9,"pair":"BTC/USD","time":1700000002.5,"type":"buy",
        "ordertype":"limit","price":"7","cost":"56","fee":"0.1","vol":"8","maker":true}}}}"#;
    let facts = told(&mut gateway, 6, Purpose::FillsAfter(InstrumentId(0), 0), fill);
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Fill { .. })), "{facts:?}");
}

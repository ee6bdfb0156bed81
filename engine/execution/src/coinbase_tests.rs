use super::*;
use crate::gateway::Failure;
use bot4_types::{InstrumentId, Symbol};
use bot4_venues::rest::RestRequest;

const EPOCH: RunEpoch = RunEpoch(3);
const ORDER: OrderId = OrderId(7);

fn gateway() -> (CoinbaseGateway, Instrument) {
    let mut table = InstrumentTable::new();
    let symbol = Symbol::new("BTC-USD").expect("short");
    let mut i = Instrument::bare(InstrumentId(0), symbol, 2);
    (i.qty_decimals, i.tick, i.notional_min) = (6, 1, 100_000_000);
    table.push(i).expect("room");
    // 32 bytes of zeros.
    let keys = TokenKeys::read("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("key");
    let instrument = table.all()[0];
    (CoinbaseGateway::new(keys, "api.venue.example", &table, EPOCH), instrument)
}

fn named<'a>(instrument: &'a Instrument, venue_order: u64) -> Named<'a> {
    Named { instrument, venue_order, client: ClientId::new(EPOCH, ORDER) }
}

fn place(gateway: &mut CoinbaseGateway, instrument: &Instrument) {
    let order = Place {
        id: 1,
        instrument,
        client: ClientId::new(EPOCH, ORDER),
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        price: 6_000_000,
        trigger: 0,
        qty: 1_000_000,
        now_ms: 1,
    };
    gateway.place(&order, &mut Vec::new());
}

/// Path and body of what is written; nothing when nothing is.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> (String, String) {
    let mut out = Vec::new();
    write(&mut out);
    let request = RestRequest::parse(&out);
    request.map(|r| (r.path.to_owned(), r.body.to_owned())).unwrap_or_default()
}

fn told(gateway: &mut CoinbaseGateway, purpose: Purpose, status: u16, text: &str) -> Vec<Fact> {
    let page = Page { id: 9, purpose, status, now_ms: 0, text: text.as_bytes() };
    let mut facts = Vec::new();
    gateway.decode_page(&page, &mut facts).expect("read");
    facts
}

fn taken(id: &str) -> String {
    let client = ClientId::new(EPOCH, ORDER);
    let client = core::str::from_utf8(&client.0).expect("ascii");
    format!(
        r#"{{"success":true,"success_response":{{"order_id":"{id}","client_order_id":"{client}"}}}}"#
    )
}

fn listed(id: &str, client: &str, status: &str) -> String {
    format!(
        r#"{{"order_id":"{id}","product_id":"BTC-USD","client_order_id":"{client}","status":"{status}","filled_size":"0","time_in_force":"IMMEDIATE_OR_CANCEL"}}"#
    )
}

#[test]
fn an_order_whose_answer_was_lost_is_repeated_in_terms_that_cannot_trade() {
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    let lost = told(&mut gateway, Purpose::Place(ORDER), 0, "");
    assert_eq!(lost, [Fact::Failed { id: 9, failure: Failure::OutcomeUnknown }]);
    let nothing = written(|out| gateway.cancel(1, &named(&instrument, 0), 1, out));
    assert_eq!(nothing.0, "", "it cannot be named to the venue yet");
    let (path, body) = written(|out| gateway.status(2, &named(&instrument, 0), 1, out));
    assert_eq!(path, "/api/v3/brokerage/orders");
    assert!(body.contains(r#""sor_limit_ioc":{"base_size":"1","limit_price":"45000"}"#), "{body}");
    // The venue names an order of that client id, whichever it is: now its state is asked for.
    let more = told(&mut gateway, Purpose::Status(ORDER), 200, &taken("a-1"));
    assert_eq!(more, [Fact::More { id: 9 }]);
    let (path, _) = written(|out| gateway.status(3, &named(&instrument, 0), 1, out));
    assert!(path.ends_with("/orders/historical/batch?order_ids=a-1"), "{path}");
    let client = ClientId::new(EPOCH, ORDER);
    let client = core::str::from_utf8(&client.0).expect("ascii");
    let page = format!(r#"{{"orders":[{}],"has_next":false}}"#, listed("a-1", client, "CANCELLED"));
    let facts = told(&mut gateway, Purpose::Status(ORDER), 200, &page);
    let ended = |fact: &Fact| {
        matches!(fact, Fact::Order { key: OrderKey::Own(ORDER), state: VenueState::Expired, .. })
    };
    assert!(facts.iter().any(ended), "{facts:?}");
    assert_eq!(facts.last(), Some(&Fact::Answered { id: 9 }));
}

/// The event that it waits may come before the answer or behind it.
#[test]
fn a_stop_that_is_taken_waits() {
    let (mut gateway, instrument) = gateway();
    let takes = |kind| gateway.takes(kind);
    assert!(takes(OrderKind::StopLossLimit) && !takes(OrderKind::TakeProfitLimit));
    assert!(!takes(OrderKind::StopLoss) && takes(OrderKind::Market));
    let stop = Place {
        id: 1,
        instrument: &instrument,
        client: ClientId::new(EPOCH, ORDER),
        side: Side::Sell,
        kind: OrderKind::StopLossLimit,
        tif: Tif::Ioc,
        price: 5_990_000,
        trigger: 5_995_000,
        qty: 1_000_000,
        now_ms: 1,
    };
    let (_, body) = written(|out| gateway.place(&stop, out));
    assert!(body.contains(r#""stop_price":"59950","stop_direction":"STOP_DIRECTION_STOP_DOWN""#));
    let facts = told(&mut gateway, Purpose::Place(ORDER), 200, &taken("a-1"));
    assert!(matches!(facts[0], Fact::Order { state: VenueState::Untriggered, .. }), "{facts:?}");
    let facts = told(&mut gateway, Purpose::Place(ORDER), 200, &taken("a-1"));
    assert_eq!(facts, [Fact::Answered { id: 9 }], "told already");
}

#[test]
fn a_refused_repetition_proves_nothing_and_the_latest_orders_are_looked_through() {
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    written(|out| gateway.status(2, &named(&instrument, 0), 1, out));
    let refused = r#"{"success":false,"error_response":{"error":"INSUFFICIENT_FUND"}}"#;
    let more = told(&mut gateway, Purpose::Status(ORDER), 200, refused);
    assert_eq!(more, [Fact::More { id: 9 }]);
    let (path, _) = written(|out| gateway.status(3, &named(&instrument, 0), 1, out));
    assert!(path.ends_with("/batch?product_ids=BTC-USD&limit=100"), "{path}");
    let foreign =
        format!(r#"{{"orders":[{}],"has_next":true,"cursor":"5"}}"#, listed("b", "web", "OPEN"));
    let facts = told(&mut gateway, Purpose::Status(ORDER), 200, &foreign);
    assert_eq!(facts, [Fact::Answered { id: 9 }], "not there: asked again by the clock");
    let (path, _) = written(|out| gateway.status(4, &named(&instrument, 0), 1, out));
    assert_eq!(path, "/api/v3/brokerage/orders", "and repeated again");
}

#[test]
fn answers_and_events_name_orders_for_cancels() {
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    let none = written(|out| gateway.cancel_all(1, &instrument, 1, out));
    assert_eq!(none.0, "");
    let facts = told(&mut gateway, Purpose::Place(ORDER), 200, &taken("a-1"));
    let [
        Fact::Order { venue_order, state: VenueState::Open, cum_qty: Qty(0), .. },
        Fact::Answered { id: 9 },
    ] = facts[..]
    else {
        panic!("{facts:?}")
    };
    for known in [0, venue_order] {
        let (path, body) = written(|out| gateway.cancel(2, &named(&instrument, known), 1, out));
        assert!(path.ends_with("/orders/batch_cancel"), "{path}");
        assert_eq!(body, r#"{"order_ids":["a-1"]}"#);
    }
    let (_, body) = written(|out| gateway.cancel_all(1, &instrument, 1, out));
    assert_eq!(body, r#"{"order_ids":["a-1"]}"#);
    let gone = r#"{"results":[{"success":false,"failure_reason":"UNKNOWN_CANCEL_ORDER"}]}"#;
    let facts = told(&mut gateway, Purpose::Cancel(ORDER), 200, gone);
    assert_eq!(facts, [Fact::Failed { id: 9, failure: Failure::NotFound }]);
}

#[test]
fn safe_prices_are_far_away_and_worth_enough() {
    let (_, instrument) = gateway();
    let of = |side, price, qty| {
        safe_price(&instrument, &Sent { order: ORDER, side, price, qty, waits: false })
    };
    assert_eq!(of(Side::Buy, 6_000_000, 1_000_000), Some(4_500_000));
    assert_eq!(of(Side::Sell, 6_000_000, 1_000_000), Some(7_500_001));
    // Worth 1.20 at its price, where one unit is the least: 50,000.01 is as far as it goes.
    assert_eq!(of(Side::Buy, 6_000_000, 20), Some(5_000_001));
    assert_eq!(of(Side::Buy, 6_000_000, 18), None, "not a tenth");
    assert_eq!(of(Side::Buy, 6_000_000, 10), None);
    assert_eq!(of(Side::Sell, i64::MAX, 1), None);
    assert_eq!(of(Side::Buy, 0, 1_000_000_000), None);
}

#[test]
fn nothing_that_lacks_an_order_proves_that_it_does_not_exist() {
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    let unknown = [Fact::Failed { id: 9, failure: Failure::OutcomeUnknown }];
    let status = Purpose::Status(ORDER);
    // Repeated, named, and then not in a list that lags: asked again, of the same id.
    written(|out| gateway.status(1, &named(&instrument, 0), 1, out));
    assert_eq!(told(&mut gateway, status, 404, "{}"), unknown);
    written(|out| gateway.status(2, &named(&instrument, 0), 1, out));
    assert_eq!(told(&mut gateway, status, 200, &taken("a-1")), [Fact::More { id: 9 }]);
    let empty = r#"{"orders":[],"has_next":false}"#;
    for page in [empty, "404"] {
        let (path, _) = written(|out| gateway.status(3, &named(&instrument, 0), 1, out));
        assert!(path.ends_with("?order_ids=a-1"), "{path}");
        match page {
            "404" => assert_eq!(told(&mut gateway, status, 404, "not found"), unknown),
            page => assert_eq!(told(&mut gateway, status, 200, page), [Fact::Answered { id: 9 }]),
        }
    }
}

#[test]
fn nothing_is_repeated_where_nothing_may_be_placed_or_no_price_is_safe() {
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    let mut asked = |held: bool, instrument: &Instrument| {
        gateway.hold(held);
        written(|out| gateway.status(1, &named(instrument, 0), 1, out)).0
    };
    assert!(asked(true, &instrument).ends_with("/batch?product_ids=BTC-USD&limit=100"));
    assert_eq!(asked(false, &instrument), "/api/v3/brokerage/orders");
    let dear = Instrument { notional_min: 6_000_000 * 1_000_000, ..instrument };
    assert!(asked(false, &dear).ends_with("/batch?product_ids=BTC-USD&limit=100"));
}

#[test]
fn balances_go_on_page_by_page() {
    let (mut gateway, _) = gateway();
    let page = r#"{"accounts":[],"has_next":true,"cursor":"250"}"#;
    assert_eq!(told(&mut gateway, Purpose::Balances, 200, page), [Fact::More { id: 9 }]);
    let (path, _) = written(|out| gateway.balances(1, 1, out));
    assert!(path.ends_with("/accounts?limit=250&cursor=250"), "{path}");
    let page = r#"{"accounts":[],"has_next":false,"cursor":""}"#;
    assert_eq!(told(&mut gateway, Purpose::Balances, 200, page), [Fact::Answered { id: 9 }]);
    let (path, _) = written(|out| gateway.balances(1, 1, out));
    assert!(path.ends_with("/accounts?limit=250"), "{path}");
}

#[test]
fn a_connection_without_heartbeats_is_silent() {
    let (mut gateway, _) = gateway();
    gateway.subscribe(0, 1, 1_000_000, &mut Vec::new());
    assert!(!gateway.is_silent(1_003_000) && gateway.is_silent(1_003_001));
    let beat = br#"{"channel":"heartbeats","timestamp":"2023-06-23T20:31:26.1Z","sequence_num":0,"events":[{"current_time":"2023-06-23 20:31:56.121961769 +0000 UTC m=+91717.525857105","heartbeat_counter":"3049"}]}"#;
    gateway.decode(beat, &mut Vec::new()).expect("read");
    assert!(!gateway.is_silent(1_004_000) && !gateway.is_silent(1_007_000));
    assert!(gateway.is_silent(1_007_001));
    assert!(!gateway.is_silent(900_000), "a clock that was set back");
}

#[test]
fn fills_of_own_orders_have_their_names() {
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    told(&mut gateway, Purpose::Place(ORDER), 200, &taken("a-1"));
    let fill = |order: &str| {
        format!(
            r#"{{"trade_id":"t-{order}","order_id":"{order}","trade_time":"2022-06-01T11:52:33Z","price":"60000","size":"0.1","commission":"6","product_id":"BTC-USD","side":"BUY"}}"#
        )
    };
    let page = format!(r#"{{"fills":[{},{}],"cursor":""}}"#, fill("a-1"), fill("b-2"));
    let facts = told(&mut gateway, Purpose::FillsAfter(InstrumentId(0), 1), 200, &page);
    let keys: Vec<OrderKey> = facts
        .iter()
        .filter_map(|fact| if let Fact::Fill { key, .. } = fact { Some(*key) } else { None })
        .collect();
    assert!(matches!(keys[..], [OrderKey::Own(ORDER), OrderKey::Venue(_)]), "{facts:?}");
}

#[test]
fn only_less_quantity_at_the_same_price_is_an_edit() {
    use crate::order::Terms;
    use bot4_types::Price;
    let (mut gateway, instrument) = gateway();
    place(&mut gateway, &instrument);
    told(&mut gateway, Purpose::Place(ORDER), 200, &taken("a-1"));
    let terms = |price, qty| Terms { price: Price(price), qty: Qty(qty) };
    let change = |to| Change {
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        filled: Qty(100),
        from: terms(6_000_000, 1_000_000),
        to,
    };
    let less = change(terms(6_000_000, 500_000));
    assert_eq!(gateway.amend_way(&less), AmendWay::InPlace);
    for other in [(6_000_000, 2_000_000), (5_000_000, 500_000), (6_000_000, 100)] {
        let other = change(terms(other.0, other.1));
        assert_eq!(gateway.amend_way(&other), AmendWay::None, "{other:?}");
    }
    let (path, body) = written(|out| gateway.amend(3, &named(&instrument, 0), &less, 1, out));
    assert_eq!(path, "/api/v3/brokerage/orders/edit");
    assert_eq!(body, r#"{"order_id":"a-1","price":"60000","size":"0.5"}"#);
    let facts = told(&mut gateway, Purpose::Amend(ORDER), 200, r#"{"success":true,"errors":[]}"#);
    assert_eq!(facts, [Fact::Answered { id: 9 }], "its terms tell when it is done");
    let refused = r#"{"success":false,"errors":[{"edit_failure_reason":"ORDER_NOT_FOUND"}]}"#;
    let facts = told(&mut gateway, Purpose::Amend(ORDER), 200, refused);
    assert_eq!(facts, [Fact::Failed { id: 9, failure: Failure::NotFound }]);
    let client = ClientId::new(EPOCH, ORDER);
    let row = |history: &str| {
        let plain = listed("a-1", client.as_str(), "OPEN");
        let more = format!(
            r#","order_configuration":{{"limit_limit_gtc":{{"base_size":"1","limit_price":"60000"}}}},"edit_history":[{history}]}}"#
        );
        format!(r#"{{"orders":[{}{more}],"has_next":false}}"#, plain.trim_end_matches('}'))
    };
    for (history, qty) in [("", 1_000_000), (r#"{"price":"60000","size":"0.5"}"#, 500_000)] {
        let facts = told(&mut gateway, Purpose::Status(ORDER), 200, &row(history));
        let told = facts.iter().find_map(|fact| match fact {
            Fact::Terms { terms, .. } => Some(*terms),
            _ => None,
        });
        assert_eq!(told, Some(terms(6_000_000, qty)), "{history}");
    }
}

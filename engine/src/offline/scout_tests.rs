use super::*;

/// (name, price decimals, quantity decimals) of what a scout finds in `texts`.
fn found(venue: Venue, texts: &[&str]) -> Vec<(String, u8, u8)> {
    let mut scout = Scout::new(venue, None);
    texts.iter().for_each(|text| scout.message(text.as_bytes()));
    table_of(&scout)
}

fn table_of(scout: &Scout) -> Vec<(String, u8, u8)> {
    let table = scout.table().expect("a table");
    let facts = |i: &Instrument| (i.symbol.as_str().to_owned(), i.price_decimals, i.qty_decimals);
    table.all().iter().map(facts).collect()
}

fn one(name: &str, price: u8, qty: u8) -> Vec<(String, u8, u8)> {
    vec![(name.to_owned(), price, qty)]
}

#[test]
fn every_venue_names_its_symbols_and_digits() {
    let spot = r#"{"stream":"ab@depth","data":{"e":"depthUpdate","E":1,"s":"AB","U":5,"u":6,"b":[["1.5","2"]],"a":[]}}"#;
    assert_eq!(found(Venue::Binance, &[spot]), one("AB", 8, 8));
    let usdm = r#"{"stream":"ab@depth@0ms","data":{"e":"depthUpdate","s":"AB","U":5,"u":6,"pu":4,"b":[["58710.20","0.014"]],"a":[]}}"#;
    let bare =
        r#"{"e":"depthUpdate","s":"AB","U":5,"u":6,"pu":4,"b":[["58710.2","0.0140"]],"a":[]}"#;
    assert_eq!(found(Venue::BinanceUsdm, &[usdm, bare]), one("AB", 2, 4));
    let kraken = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"A/B","bids":[{"price":56119.00000,"qty":1.5e-8}],"asks":[]}]}"#;
    let pulse = r#"{"channel":"heartbeat"}"#;
    assert_eq!(found(Venue::Kraken, &[pulse, kraken]), one("A/B", 5, 9));
    let ack = r#"{"success":true,"ret_msg":"subscribe","op":"subscribe"}"#;
    let bybit = r#"{"topic":"orderbook.200.AB","ts":1,"type":"delta","data":{"s":"AB","b":[],"a":[["65147","1.565188"]],"u":2,"seq":3},"cts":4}"#;
    assert_eq!(found(Venue::Bybit, &[ack, bybit]), one("AB", 0, 6));
    let okx = r#"{"arg":{"channel":"books-l2-tbt","instId":"A-B"},"action":"update","data":[{"asks":[["0.000000455","120646.08","0","1"]],"bids":[],"ts":"1.23"}]}"#;
    let other = r#"{"arg":{"channel":"trades","instId":"C-D"},"data":[{"px":"1"}]}"#;
    assert_eq!(found(Venue::Okx, &[other, okx]), one("A-B", 9, 2));
    let coinbase = r#"{"channel":"l2_data","sequence_num":1,"events":[{"type":"update","product_id":"A-B","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.210883Z","price_level":"65062.5","new_quantity":"0.00583"}]}]}"#;
    let subs = r#"{"channel":"subscriptions","sequence_num":0,"events":[{"subscriptions":{}}]}"#;
    assert_eq!(found(Venue::Coinbase, &[subs, coinbase]), one("A-B", 1, 5));
}

#[test]
fn symbols_without_books_count_only_where_none_has_one() {
    let quote = |s: &str| format!(r#"{{"u":1,"s":"{s}","b":"1","B":"1","a":"2","A":"1"}}"#);
    let (a, b) = (quote("A"), quote("B"));
    let names = |texts: &[&str], only| {
        let mut scout = Scout::new(Venue::Binance, only);
        texts.iter().for_each(|text| scout.message(text.as_bytes()));
        scout.symbols()
    };
    assert_eq!(names(&[&a, &b, &a], None), ["A", "B"]);
    let diff = r#"{"e":"depthUpdate","E":1,"s":"B","U":5,"u":6,"b":[],"a":[]}"#;
    assert_eq!(names(&[&a, diff, &b], None), ["B"]);
    assert_eq!(names(&[&a, &b], Some("B")), ["B"]);
    assert_eq!(names(&["{}", "[1", "{\"s\":\"\"}"], None), Vec::<String>::new());
}

#[test]
fn nameless_snapshots_go_to_the_nearest_symbol() {
    let mut scout = Scout::new(Venue::Binance, None);
    for (name, id) in [("A", 1_000), ("B", 9_000)] {
        let id = u64::try_from(id).expect("small");
        let text = format!(r#"{{"e":"depthUpdate","s":"{name}","U":{id},"u":{id},"b":[],"a":[]}}"#);
        scout.message(text.as_bytes());
    }
    let snapshot = |id| format!(r#"{{"lastUpdateId":{id},"bids":[],"asks":[]}}"#);
    for id in [8_999, 1_400] {
        scout.snapshot(None, snapshot(id).as_bytes());
    }
    scout.snapshot(Some("B"), snapshot(7).as_bytes());
    scout.snapshot(None, b"{\"lastUpdateId\":\"x\"}");
    assert_eq!(scout.owners(), [Some("B".to_owned()), Some("A".to_owned())]);
}

#[test]
fn a_depth_holds_the_first_snapshots() {
    let snapshot = |name: &str, levels: usize| {
        let level = r#"{"price":1.0,"qty":2.0}"#;
        let side = vec![level; levels].join(",");
        format!(
            r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{name}","bids":[{side}],"asks":[]}}]}}"#
        )
    };
    let mut scout = Scout::new(Venue::Kraken, None);
    assert_eq!(scout.depth(), 0);
    for (levels, depth) in [(3, 10), (10, 10), (60, 100), (502, 1_000), (2_000, 1_000)] {
        scout.message(snapshot(&format!("A{levels}"), levels).as_bytes());
        assert_eq!(scout.depth(), depth, "{levels}");
    }
    assert_eq!(Scout::new(Venue::Bybit, None).depth(), 0);
}

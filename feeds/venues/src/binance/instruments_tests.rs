use super::*;
use crate::limits::RateLimits;
use bot4_types::instrument::TableError;
use std::io::Read as _;

const SHARED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/binance/samples/");

fn shared(name: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(format!("{SHARED}{name}")).ok();
    if bytes.is_none() {
        println!("skipped: no shared data");
    }
    bytes
}

const OWN: &[u8] = include_bytes!("../../tests/golden/exchange_info.json");

#[test]
fn own_sample_gives_every_rule() {
    let info = parse(OWN, &["ETHUSDT", "BTCUSDT"]).expect("valid");
    let limits = RateLimits {
        orders_10s: 100,
        orders_day: 200_000,
        weight_minute: 6_000,
        ..RateLimits::default()
    };
    assert_eq!((info.limits, info.server_ms), (limits, 1_770_000_000_000));
    let [eth, btc] = info.table.all() else { panic!("two instruments") };
    assert_eq!((eth.symbol.as_str(), btc.symbol.as_str()), ("ETHUSDT", "BTCUSDT"));
    assert_eq!((eth.tradable, btc.tradable), (false, true));
    assert_eq!((btc.tick, btc.lot, btc.market_lot), (1_000_000, 1_000, 0));
    assert_eq!((btc.price_min.0, btc.price_max.0), (1_000_000, 100_000_000_000_000));
    assert_eq!((btc.qty_min.0, btc.qty_max.0), (1_000, 900_000_000_000));
    assert_eq!((btc.market_qty_min.0, btc.market_qty_max.0), (0, 12_345_678_901));
    assert_eq!(btc.notional_min, 5 * 10i128.pow(16));
    assert_eq!(btc.notional_max, 9_000_000 * 10i128.pow(16));
    assert!(btc.notional_min_market && !btc.notional_max_market);
    assert_eq!((btc.band_buy.up_e4, btc.band_buy.down_e4), (50_000, 2_000));
    assert_eq!((btc.band_sell.up_e4, btc.band_sell.down_e4), (40_000, 2_001));
    assert_eq!(btc.orders_open_max, 200);
    assert_eq!(info.table.asset_name(btc.base), "BTC");
    assert_eq!((btc.quote, info.table.asset_name(eth.quote)), (eth.quote, "USDT"));
    // The old filters.
    assert_eq!(eth.notional_min, 10i128.pow(12));
    assert_eq!((eth.band_sell.up_e4, eth.band_sell.down_e4), (50_000, 2_000));
    assert_eq!((eth.notional_max, eth.orders_open_max), (0, 0));
}

#[test]
fn refusals_name_their_cause() {
    let missing = parse(OWN, &["NOPE"]).expect_err("missing");
    assert_eq!(missing, InfoError::Missing("NOPE".into()));
    assert_eq!(missing.to_string(), "the venue lists no symbol `NOPE`");
    let rest = br#"{"code":-1121,"msg":"Invalid symbol."}"#;
    assert_eq!(parse(rest, &[]).err(), Some(InfoError::Refused(-1121)));
    let api = br#"{"id":1,"status":400,"error":{"code":-1121,"msg":"Invalid symbol."}}"#;
    assert_eq!(parse(api, &[]).err(), Some(InfoError::Refused(-1121)));
    assert_eq!(parse(b"{}", &[]).err(), Some(InfoError::Message(DecodeError::Schema)));
    assert_eq!(parse(b"{", &[]).err(), Some(InfoError::Message(DecodeError::Json)));
    let text = String::from_utf8_lossy(OWN).replace("\"0.01000000\"", "\"0.0100000001\"");
    assert!(
        matches!(parse(text.as_bytes(), &["BTCUSDT"]), Err(InfoError::Symbol(s, _)) if s == "BTCUSDT")
    );
}

#[test]
fn real_lists_of_both_ages_are_read_whole() {
    if let Some(bytes) = shared("rest_exchangeInfo_20250807_25symbols.json") {
        let info = parse(&bytes, &[]).expect("valid");
        assert_eq!(info.table.all().len(), 25);
        assert_eq!((info.limits.orders_10s, info.limits.orders_day), (100, 200_000));
        let eth = info.table.find(b"ETHBTC").expect("listed");
        assert_eq!((eth.tick, eth.lot, eth.market_lot), (1_000, 10_000, 0));
        assert!(info.table.all().iter().all(|i| i.tick > 0 && i.lot > 0 && i.notional_min > 0));
    }
    if let Some(bytes) = shared("rest_exchangeInfo_20211012_full.json.gz") {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).expect("gzip");
        let root: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let names: Vec<&str> = root["symbols"]
            .as_array()
            .expect("list")
            .iter()
            .map(|s| s["symbol"].as_str().expect("text"))
            .collect();
        assert_eq!(names.len(), 1_695);
        let mut tradable = 0;
        // By parts: a table holds 256.
        for part in names.chunks(100) {
            let info = parse(&text, part).expect("valid");
            assert_eq!(info.table.all().len(), part.len());
            tradable += info.table.all().iter().filter(|i| i.tradable).count();
            assert!(info.table.all().iter().all(|i| i.tick > 0 && i.lot > 0));
        }
        let twin = root["symbols"].as_array().expect("list").iter();
        let open =
            |s: &&serde_json::Value| s["status"] == "TRADING" && s["isSpotTradingAllowed"] == true;
        assert_eq!(tradable, twin.filter(open).count());
        let full = parse(&text, &[]).expect_err("too many");
        assert!(matches!(full, InfoError::Table(_, TableError::Full)));
    }
}

#[test]
fn documented_answer_is_read() {
    if let Some(bytes) = shared("doc_examples/exchangeInfo.jsonl") {
        let info = parse(bytes.trim_ascii(), &["BNBBTC"]).expect("valid");
        assert_eq!((info.limits.orders_10s, info.limits.weight_minute), (50, 6_000));
        assert_eq!(info.table.all()[0].tick, 100);
    }
}

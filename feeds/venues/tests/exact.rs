//! Text to integers, exactly, by every venue's scanner at every level and its general reader: each
//! `i64` reads back, one more is refused as an overflow, a digit beyond the scale as too precise,
//! and a level off the instrument's tick is kept as it is.

mod common;

use bot4_types::text::{DecimalError, units_to_string};
use bot4_venues::{DecodeError, Decoded, Venue};
use common::corpus::{self, Corpus};
use common::dialect::Dialect;
use common::{Bench, Outcome};
use proptest::prelude::*;

/// A change of the book's one bid in the venue's shape.
fn change(dialect: Dialect, price: &str, qty: &str) -> String {
    let Dialect::Of(venue) = dialect else {
        return format!(
            r#"{{"t":"book","s":"BTC-USD","n":8,"ts":1770000000200,"b":[["{price}","{qty}"]],"a":[]}}"#
        );
    };
    match venue {
        Venue::Binance => format!(
            r#"{{"e":"depthUpdate","E":1770000000100,"s":"BTCUSDT","U":1,"u":2,"b":[["{price}","{qty}"]],"a":[]}}"#
        ),
        Venue::BinanceUsdm => format!(
            r#"{{"e":"depthUpdate","E":1770000000100,"T":1770000000095,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[["{price}","{qty}"]],"a":[]}}"#
        ),
        Venue::Kraken => format!(
            r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{{"price":{price},"qty":{qty}}}],"asks":[],"checksum":1,"timestamp":"2026-02-02T02:40:00.343688Z"}}]}}"#
        ),
        Venue::Bybit | Venue::BybitLinear => format!(
            r#"{{"topic":"orderbook.200.BTCUSDT","ts":1770000000220,"type":"delta","data":{{"s":"BTCUSDT","b":[["{price}","{qty}"]],"a":[],"u":2,"seq":3}},"cts":1770000000205}}"#
        ),
        Venue::Okx => format!(
            r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":[],"bids":[["{price}","{qty}","0","1"]],"ts":"1770000000200","checksum":0,"seqId":917,"prevSeqId":900}}]}}"#
        ),
        Venue::Coinbase => format!(
            r#"{{"channel":"l2_data","timestamp":"2026-02-02T02:40:00.15Z","sequence_num":0,"events":[{{"type":"update","product_id":"BTC-USD","updates":[{{"side":"bid","event_time":"2026-02-02T02:40:00.12Z","price_level":"{price}","new_quantity":"{qty}"}}]}}]}}"#
        ),
    }
}

/// What all readers of the venue say of it.
fn read(corpus: &Corpus, price: &str, qty: &str) -> Outcome {
    let text = change(corpus.venue, price, qty);
    Bench::new(corpus.venue, &corpus.table).both(text.as_bytes(), b'7')
}

fn scales(corpus: &Corpus) -> (u8, u8) {
    let instrument = &corpus.table.all()[0];
    (instrument.price_decimals, instrument.qty_decimals)
}

/// One more than `units` would hold.
fn beyond(decimals: u8) -> String {
    let digits = (i128::from(i64::MAX) + 1).to_string();
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Units of every size, those at the border and near powers of ten among them.
fn units() -> impl Strategy<Value = i64> {
    prop_oneof![
        0..i64::MAX,
        Just(i64::MAX),
        (0u32..63).prop_map(|bits| i64::MAX >> bits),
        (0u32..18, -1i64..2).prop_map(|(power, off)| 10i64.pow(power) + off),
    ]
}

proptest! {
    #[test]
    fn every_number_of_units_reads_back(price in units(), qty in units(), cut in any::<bool>()) {
        for corpus in corpus::all() {
            let (p, q) = scales(&corpus);
            let cut = cut && corpus.venue != Venue::Kraken.into();
            let text = |units, decimals| {
                let text = units_to_string(units, decimals);
                let short = text.trim_end_matches('0').trim_end_matches('.');
                let is_short = cut && decimals > 0;
                if is_short { short.to_owned() } else { text }
            };
            let (answer, events) = read(&corpus, &text(price, p), &text(qty, q));
            prop_assert_eq!(answer, Ok(Decoded::Events), "{}", corpus.venue.name());
            let level = format!(" 1/0 [({price}, {qty})]");
            prop_assert!(events[0].ends_with(&level), "{} {events:?}", corpus.venue.name());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    for corpus in corpus::all() {
        let (p, q) = scales(&corpus);
        let name = corpus.venue.name();
        let number = |error| Err(DecodeError::Number(error));
        for (price, qty) in [(beyond(p), "1".to_owned()), ("1".to_owned(), beyond(q))] {
            let (answer, events) = read(&corpus, &price, &qty);
            assert_eq!(answer, number(DecimalError::Overflow), "{name} {price} {qty}");
            assert!(events.is_empty(), "{name}");
        }
        let fine = |decimals: u8| format!("1.{}1", "0".repeat(usize::from(decimals)));
        for (price, qty) in [(fine(p), "1".to_owned()), ("1".to_owned(), fine(q))] {
            let (answer, _) = read(&corpus, &price, &qty);
            assert_eq!(answer, number(DecimalError::TooPrecise), "{name} {price} {qty}");
            let refused = answer.expect_err("refused");
            assert_eq!(DecodeError::NAMES[refused.index()], "error_number", "its counter");
        }
    }
}

/// The tick of the instrument binds orders, not the venue's book.
#[test]
fn levels_off_the_tick_are_kept() {
    for corpus in corpus::all() {
        let (p, _) = scales(&corpus);
        // The finest price there is: no tick of any instrument divides it.
        let price = units_to_string(10i64.pow(u32::from(p)) + 1, p);
        let (answer, events) = read(&corpus, &price, "1");
        assert_eq!(answer, Ok(Decoded::Events), "{}", corpus.venue.name());
        let level = format!("[({}, ", 10i64.pow(u32::from(p)) + 1);
        assert!(events[0].contains(&level), "{}: {events:?}", corpus.venue.name());
    }
}

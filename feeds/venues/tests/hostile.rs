//! Messages that no venue means: times about the epoch, odd depths, nests, padding, words for
//! numbers, names in disguise. Both ways of reading say the same of each.

mod common;

use bot4_venues::{DecodeError, Decoded, Venue};
use common::corpus;
use common::{Bench, table};

fn kraken(time: &str) -> String {
    format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{{"price":1.5,"qty":0.25}}],"asks":[],"checksum":7,"timestamp":"{time}"}}]}}"#
    )
}

#[test]
fn times_about_the_epoch_and_odd_digits_order_alike() {
    let table = table(&[("BTC/USD", 1, 8)]);
    for time in [
        "1970-01-01T00:00:00.000005Z",
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.001005Z",
        "1969-12-31T23:59:59.999999Z",
        "0000-01-01T00:00:00.5Z",
        "9999-12-31T23:59:60.999999999Z",
        "2026-08-24T22:21:58.3Z",
        "2026-08-24T22:21:58.34Z",
        "2026-08-24T22:21:58.3436Z",
        "2026-08-24T22:21:58.34368Z",
        "2026-08-24T22:21:58Z",
        "2026-08-24T22:21:58.Z",
        "2026-08-24T22:21:58.343688+00:00",
        "2026-08-24t22:21:58.343688z",
        "",
        "17",
    ] {
        let (answer, events) = Bench::new(Venue::Kraken, &table).both(kraken(time).as_bytes(), 0);
        assert_eq!((answer, events.len()), (Ok(Decoded::Events), 1), "{time}");
    }
    // Before 1970 there is no order to keep: such a time says nothing.
    let mut bench = Bench::new(Venue::Kraken, &table);
    let (_, events) = bench.both(kraken("1969-12-31T23:59:59.999999Z").as_bytes(), 0);
    assert!(events[0].contains("depth 0:0..0 "), "{events:?}");
}

#[test]
fn depths_of_bybit_are_numbers_above_one() {
    let table = table(&[("BTCUSDT", 2, 6)]);
    let text = |depth: &str| {
        format!(
            r#"{{"topic":"orderbook.{depth}.BTCUSDT","ts":5,"type":"snapshot","data":{{"s":"BTCUSDT","b":[["1","1"]],"a":[],"u":9,"seq":1}},"cts":4}}"#
        )
    };
    for (depth, is_book) in
        [("50", true), ("2", true), ("1", false), ("0", false), ("", false), ("01", false)]
    {
        let (answer, events) = Bench::new(Venue::Bybit, &table).both(text(depth).as_bytes(), 0);
        assert!(answer.is_ok(), "{depth}: {answer:?}");
        assert_eq!(!events.is_empty(), is_book, "{depth}: {answer:?}");
    }
}

#[test]
fn nested_lists_are_refused_without_trouble() {
    for corpus in corpus::all() {
        let mut bench = Bench::new(corpus.venue, &corpus.table);
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            for depth in [10, 1_000, 30_000] {
                let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
                let (answer, events) = bench.both(text.as_bytes(), 0);
                let refused = matches!(
                    answer,
                    Err(DecodeError::Json | DecodeError::Schema | DecodeError::TooLarge)
                );
                assert!(refused && events.is_empty(), "{}: {answer:?}", corpus.venue.name());
                let _ = bench.both(&text.as_bytes()[..text.len() / 2], 0);
            }
        }
    }
}

/// Blank padding, line ends, a byte order mark, NULs, and text behind the message.
#[test]
fn what_surrounds_a_message_changes_it_or_not_alike() {
    for corpus in corpus::all() {
        for text in corpus.texts() {
            let text = String::from_utf8_lossy(text).into_owned();
            let told = Bench::new(corpus.venue, &corpus.table).both(text.as_bytes(), 0);
            for (before, behind) in [("", "\r\n"), ("\t ", ""), ("\n", "\n"), (" ", " \r")] {
                let padded = format!("{before}{text}{behind}");
                let seen = Bench::new(corpus.venue, &corpus.table).both(padded.as_bytes(), 0);
                assert!(
                    seen == told || !text.starts_with('{'),
                    "{}: {padded}",
                    corpus.venue.name()
                );
            }
            for (before, behind) in
                [("\u{FEFF}", ""), ("", "\0"), ("", "}"), ("", "{}"), ("", ","), ("0", "")]
            {
                let wrong = format!("{before}{text}{behind}");
                let seen = Bench::new(corpus.venue, &corpus.table).both(wrong.as_bytes(), 0);
                assert!(
                    seen.0.is_err() || !text.starts_with('{'),
                    "{}: {wrong}",
                    corpus.venue.name()
                );
            }
        }
    }
}

/// What may stand where a number is due, and is none that a market has.
const WORDS: [&str; 18] = [
    "NaN", "Infinity", "-0", "-0.0", "-1", "+1", "1e5x", "0x10", "1_0", "1,0", "\u{661}",
    "\u{FF11}", "null", "true", "1.2.3", "1e", "", ".",
];

/// `line` with a word for the number behind `key`.
fn with_words(line: &str, key: &str) -> Vec<String> {
    let Some(at) = line.find(key).map(|at| at + key.len()) else { return Vec::new() };
    let len = line[at..].find(['"', ',', '}']).expect("an end");
    if len == 0 || !line[at..at + len].bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Vec::new();
    }
    WORDS.iter().map(|word| format!("{}{word}{}", &line[..at], &line[at + len..])).collect()
}

#[test]
fn words_and_signs_are_no_numbers() {
    const KEYS: [&str; 13] = [
        "\"price\":",
        "\"price\":\"",
        "\"qty\":",
        "\"size\":\"",
        "\"px\":\"",
        "\"sz\":\"",
        "[[\"",
        "\",\"",
        "\"p\":\"",
        "\"q\":\"",
        "\"v\":\"",
        "price_level\":\"",
        "new_quantity\":\"",
    ];
    for corpus in corpus::all() {
        let mut refused = 0;
        for line in &corpus.lines {
            let plain = Bench::new(corpus.venue, &corpus.table).both(line.as_bytes(), 0);
            if plain.0 != Ok(Decoded::Events) {
                continue;
            }
            for wrong in KEYS.iter().flat_map(|key| with_words(line, key)) {
                let seen = Bench::new(corpus.venue, &corpus.table).both(wrong.as_bytes(), 0);
                assert!(seen.0.is_err(), "{}: {wrong}: {seen:?}", corpus.venue.name());
                refused += 1;
            }
        }
        assert!(refused > 4 * WORDS.len(), "{}: {refused}", corpus.venue.name());
    }
}

/// A symbol written with escapes is the same symbol; one that only looks alike is another.
#[test]
fn symbols_are_compared_by_what_they_mean() {
    let table = table(&[("BTCUSDT", 8, 8)]);
    let text = |name: &str| {
        format!(r#"{{"e":"depthUpdate","E":5,"s":"{name}","U":1,"u":2,"b":[],"a":[]}}"#)
    };
    let read = |name: &str| Bench::new(Venue::Binance, &table).both(text(name).as_bytes(), 0).0;
    assert_eq!(read("\\u0042TCUSDT"), Ok(Decoded::Events));
    for other in ["btcusdt", "BTCUSDT\\u0000", "BTCUSDT ", "ВTCUSDT", "BTCUSDT\\t", "", "BTCUSD"] {
        assert_eq!(read(other), Err(DecodeError::UnknownSymbol), "{other}");
    }
}

//! Venue messages as far as damage needs them: which message changes which book, and a snapshot
//! of a book in the venue's form, written here without the engine's own code.

use bot4_book::Ladder;
use bot4_types::{Instrument, Level, Side};
use bot4_venues::registry::Venue;

/// The symbol whose book `text` changes, if it is a change (not a snapshot) of one.
pub fn change_of(venue: Venue, text: &str) -> Option<String> {
    let (mark, key) = match venue {
        Venue::Binance | Venue::BinanceUsdm => ("\"depthUpdate\"", "\"s\":\""),
        Venue::Kraken => ("\"type\":\"update\"", "\"symbol\":\""),
        Venue::Bybit | Venue::BybitLinear => ("\"type\":\"delta\"", "\"s\":\""),
        Venue::Okx => ("\"action\":\"update\"", "\"instId\":\""),
        Venue::Coinbase => ("\"type\":\"update\",\"product_id\"", "\"product_id\":\""),
    };
    let is_book = match venue {
        Venue::Kraken => text.contains("\"channel\":\"book\""),
        Venue::Coinbase => text.contains("\"l2_data\""),
        _ => true,
    };
    if !is_book || !text.contains(mark) {
        return None;
    }
    let rest = &text[text.find(key)? + key.len()..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// Another digit in place of the last one of the first level's quantity that is not zero;
/// `None` when there is no such level.
pub fn bent(venue: Venue, text: &str) -> Option<String> {
    let key = match venue {
        Venue::Kraken => "\"qty\":",
        Venue::Coinbase => "\"new_quantity\":\"",
        _ => "\",\"",
    };
    let mut from = 0;
    while let Some(at) = text[from..].find(key) {
        let start = from + at + key.len();
        let number: String =
            text[start..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        if number.contains('.') && number.chars().any(|c| ('1'..='9').contains(&c)) {
            let last = start + number.len() - 1;
            let digit = if text.as_bytes()[last] == b'7' { "3" } else { "7" };
            return Some(format!("{}{digit}{}", &text[..last], &text[last + 1..]));
        }
        from = start;
    }
    None
}

/// A snapshot of `ladder` as the venue would send it now. `id` is the number of the last update
/// in it, `sequence` the connection's next number, `time` that of the message before.
pub fn snapshot(
    venue: Venue,
    instrument: &Instrument,
    ladder: &Ladder,
    id: u64,
    sequence: u64,
    time: &str,
) -> String {
    let name = instrument.symbol.as_str();
    let side = |side, form: &dyn Fn(&str, &str) -> String| -> String {
        let levels = ladder.iter(side).map(|level| {
            let [price, qty] = texts(level, instrument);
            form(&price, &qty)
        });
        levels.collect::<Vec<_>>().join(",")
    };
    let pair = |price: &str, qty: &str| format!("[\"{price}\",\"{qty}\"]");
    let quad = |price: &str, qty: &str| format!("[\"{price}\",\"{qty}\",\"0\",\"1\"]");
    let bare = |price: &str, qty: &str| format!("{{\"price\":{price},\"qty\":{qty}}}");
    match venue {
        Venue::Binance | Venue::BinanceUsdm => format!(
            "{{\"lastUpdateId\":{id},\"bids\":[{}],\"asks\":[{}]}}",
            side(Side::Buy, &pair),
            side(Side::Sell, &pair)
        ),
        Venue::Kraken => format!(
            "{{\"channel\":\"book\",\"type\":\"snapshot\",\"data\":[{{\"symbol\":\"{name}\",\
             \"bids\":[{}],\"asks\":[{}],\"checksum\":{},\
             \"timestamp\":\"{time}\"}}]}}",
            side(Side::Buy, &bare),
            side(Side::Sell, &bare),
            ten_best_sum(ladder)
        ),
        Venue::Bybit | Venue::BybitLinear => format!(
            "{{\"topic\":\"orderbook.200.{name}\",\"ts\":1,\"type\":\"snapshot\",\"data\":\
             {{\"s\":\"{name}\",\"b\":[{}],\"a\":[{}],\"u\":{id},\"seq\":1}},\"cts\":1}}",
            side(Side::Buy, &pair),
            side(Side::Sell, &pair)
        ),
        Venue::Okx => format!(
            "{{\"arg\":{{\"channel\":\"books\",\"instId\":\"{name}\"}},\"action\":\"snapshot\",\
             \"data\":[{{\"asks\":[{}],\"bids\":[{}],\"ts\":\"1\",\"checksum\":0}}]}}",
            side(Side::Sell, &quad),
            side(Side::Buy, &quad)
        ),
        Venue::Coinbase => {
            let of = |word: &'static str| {
                move |price: &str, qty: &str| {
                    format!(
                        "{{\"side\":\"{word}\",\"event_time\":\"2026-01-01T00:00:00Z\",\
                         \"price_level\":\"{price}\",\"new_quantity\":\"{qty}\"}}"
                    )
                }
            };
            format!(
                "{{\"channel\":\"l2_data\",\"timestamp\":\"2026-01-01T00:00:00Z\",\
                 \"sequence_num\":{sequence},\"events\":[{{\"type\":\"snapshot\",\
                 \"product_id\":\"{name}\",\"updates\":[{},{}]}}]}}",
                side(Side::Buy, &of("bid")),
                side(Side::Sell, &of("offer"))
            )
        }
    }
}

/// The number of a Coinbase message on its connection.
pub fn sequence_of(text: &str) -> Option<u64> {
    let rest = &text[text.find("\"sequence_num\":")? + 15..];
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// When the venue sent a message of Kraken.
pub fn time_of(text: &str) -> Option<&str> {
    let rest = &text[text.find("\"timestamp\":\"")? + 13..];
    Some(&rest[..rest.find('"')?])
}

fn texts(level: Level, instrument: &Instrument) -> [String; 2] {
    let text = |units: i64, decimals: u8| {
        let one = 10i64.pow(u32::from(decimals));
        match decimals {
            0 => units.to_string(),
            n => format!("{}.{:0width$}", units / one, units % one, width = usize::from(n)),
        }
    };
    [text(level.price, instrument.price_decimals), text(level.qty, instrument.qty_decimals)]
}

/// Kraken's checksum: digits of the ten best asks, then bids.
fn ten_best_sum(ladder: &Ladder) -> u32 {
    let digits = |side| {
        let levels = ladder.iter(side).take(10);
        levels.map(|level| format!("{}{}", level.price, level.qty)).collect::<String>()
    };
    crc32fast::hash(format!("{}{}", digits(Side::Sell), digits(Side::Buy)).as_bytes())
}

//! What each venue of the build sends, for tests over the whole registry.

use bot4_types::InstrumentTable;
use bot4_venues::Venue;

use super::dialect::Dialect;
use super::table;

/// Kinds of messages that no book needs, or only rarely: venue, outcome and text.
pub const QUIET: &str = include_str!("../golden/quiet.tsv");

/// A venue's own messages, the instruments they name, and a message of a channel that no build
/// knows.
pub struct Corpus {
    pub venue: Dialect,
    pub lines: Vec<&'static str>,
    /// Messages at the borders of what a scanner reads at once, and what fuzzing has found.
    pub kept: Vec<&'static str>,
    pub table: InstrumentTable,
    pub unknown_channel: &'static str,
}

/// One corpus for each venue in the build, and that of the venue which exists for the tests.
///
/// A venue that is new in the build gets a file in `golden`, one in `corpus`, and a line in each
/// table below.
pub fn all() -> Vec<Corpus> {
    let of_build = Venue::ALL.into_iter().filter(|venue| venue.is_in_build());
    of_build.map(of).chain([toy()]).collect()
}

fn toy() -> Corpus {
    Corpus {
        venue: Dialect::Toy,
        lines: include_str!("../golden/toy.jsonl").lines().collect(),
        kept: include_str!("../corpus/toy.jsonl").lines().collect(),
        table: table(&[("BTC-USD", 3, 8), ("ETH-USD", 2, 4)]),
        unknown_channel: r#"{"t":"new","s":"BTC-USD"}"#,
    }
}

/// The rows of [`QUIET`] for a venue: outcome and text.
pub fn quiet_of(venue: Venue) -> impl Iterator<Item = (&'static str, &'static str)> {
    let name = if venue == Venue::BybitLinear { Venue::Bybit.name() } else { venue.name() };
    QUIET.lines().filter_map(move |row| {
        let mut parts = row.splitn(3, '\t');
        parts.next().filter(|of| *of == name)?;
        Some((parts.next()?, parts.next()?))
    })
}

fn of(venue: Venue) -> Corpus {
    let (text, names, unknown_channel): (_, &[(&str, u8, u8)], _) = match venue {
        Venue::Binance => (
            include_str!("../golden/market.jsonl"),
            &[("BTCUSDT", 8, 8), ("ETHUSDT", 8, 8)],
            r#"{"stream":"btcusdt@new","data":{"e":"new"}}"#,
        ),
        Venue::Kraken => (
            include_str!("../golden/kraken.jsonl"),
            &[("BTC/USD", 1, 8), ("ADA/ETH", 8, 5)],
            r#"{"channel":"new","type":"update","data":[{"symbol":"BTC/USD"}]}"#,
        ),
        Venue::Bybit | Venue::BybitLinear => (
            include_str!("../golden/bybit.jsonl"),
            &[("BTCUSDT", 2, 6), ("1000XUSDT", 8, 2)],
            r#"{"topic":"new.BTCUSDT","ts":1,"type":"snapshot","data":{"s":"BTCUSDT"}}"#,
        ),
        Venue::Okx => (
            include_str!("../golden/okx.jsonl"),
            &[("BTC-USDT", 3, 8), ("ETH-USDT-SWAP", 2, 2)],
            r#"{"arg":{"channel":"new","instId":"BTC-USDT"},"data":[{"x":"1"}]}"#,
        ),
        Venue::Coinbase => (
            include_str!("../golden/coinbase.jsonl"),
            &[("BTC-USD", 2, 8), ("ETH-USD", 2, 8)],
            r#"{"channel":"new","timestamp":"2026-02-02T02:40:00Z","sequence_num":0,"events":[]}"#,
        ),
        Venue::BinanceUsdm => (
            include_str!("../golden/usdm.jsonl"),
            &[("BTCUSDT", 2, 3), ("ETHUSDT", 2, 3)],
            r#"{"stream":"btcusdt@new","data":{"e":"new"}}"#,
        ),
    };
    let kept = kept(venue).lines().collect();
    let lines = text.lines().chain(quiet_of(venue).map(|(_, text)| text)).collect();
    Corpus { venue: venue.into(), lines, kept, table: table(names), unknown_channel }
}

const fn kept(venue: Venue) -> &'static str {
    match venue {
        Venue::Binance => include_str!("../corpus/binance.jsonl"),
        Venue::BinanceUsdm => include_str!("../corpus/binance-usdm.jsonl"),
        Venue::Kraken => include_str!("../corpus/kraken.jsonl"),
        Venue::Bybit => include_str!("../corpus/bybit.jsonl"),
        Venue::BybitLinear => include_str!("../corpus/bybit-linear.jsonl"),
        Venue::Okx => include_str!("../corpus/okx.jsonl"),
        Venue::Coinbase => include_str!("../corpus/coinbase.jsonl"),
    }
}

impl Corpus {
    /// Its messages as bytes, names for failures.
    pub fn texts(&self) -> impl Iterator<Item = &'static [u8]> + '_ {
        self.lines.iter().map(|line| line.as_bytes())
    }
}

//! The venues' checksums of a book: CRC-32 (IEEE) over the text of its first levels.
//!
//! Every number is written by our own integer formatting from wire-scale units into a buffer on
//! the stack; the sum is taken over it at once. No allocation. A few hundred nanoseconds.

use bot4_types::{ChecksumRule, Instrument, Level, Side};

use crate::ladder::Ladder;

/// Levels a side in a sum of each kind.
const TOP_TEN: usize = ChecksumRule::TopTen.levels();
const INTERLEAVED: usize = ChecksumRule::Interleaved25.levels();
/// Longest text of a number: 19 digits, or a point and the zeros before them, and a separator.
const NUMBER_MAX: usize = 24;
/// Room for the longest text: two numbers for each of 25 levels a side.
const TEXT_MAX: usize = 2 * 2 * INTERLEAVED * NUMBER_MAX;

/// The checksum of `ladder` by `rule`; `None` where the venue has none. Prices and quantities are
/// in the units of `instrument`, whose decimals must be those of the venue's text for
/// [`ChecksumRule::TopTen`]: it counts trailing zeros.
#[must_use]
pub fn checksum(rule: ChecksumRule, ladder: &Ladder, instrument: &Instrument) -> Option<u32> {
    let mut text = Text { bytes: [0; TEXT_MAX], len: 0 };
    match rule {
        ChecksumRule::None => return None,
        ChecksumRule::TopTen => top_ten(ladder, &mut text),
        ChecksumRule::Interleaved25 => interleaved(ladder, instrument, &mut text),
    }
    Some(crc32fast::hash(&text.bytes[..text.len]))
}

/// A sum that the venue sent, unless it stands for none.
#[must_use]
pub fn stated(rule: ChecksumRule, check: Option<u32>) -> Option<u32> {
    match rule {
        ChecksumRule::None => None,
        ChecksumRule::TopTen => check,
        ChecksumRule::Interleaved25 => check.filter(|sum| *sum != 0),
    }
}

/// Digits without point and leading zeros: those of the units themselves.
fn top_ten(ladder: &Ladder, text: &mut Text) {
    for side in [Side::Sell, Side::Buy] {
        for level in ladder.iter(side).take(TOP_TEN) {
            text.digits(level.price.unsigned_abs());
            text.digits(level.qty.unsigned_abs());
        }
    }
}

/// `bid:qty:ask:qty:...`; when one side ends the other goes on alone.
fn interleaved(ladder: &Ladder, of: &Instrument, text: &mut Text) {
    let (mut bids, mut asks) = (ladder.iter(Side::Buy), ladder.iter(Side::Sell));
    for _ in 0..INTERLEAVED {
        let pair: [Option<Level>; 2] = [bids.next(), asks.next()];
        for level in pair.into_iter().flatten() {
            text.decimal(level.price, of.price_decimals);
            text.decimal(level.qty, of.qty_decimals);
        }
    }
    text.len = text.len.saturating_sub(1); // the separator behind the last
}

/// Text on the stack. Its room is enough for the most levels, so nothing is ever cut.
struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    fn digits(&mut self, mut units: u64) {
        let count = units.checked_ilog10().map_or(1, |n| n as usize + 1);
        for at in (self.len..self.len + count).rev() {
            self.bytes[at] = b'0' + (units % 10) as u8;
            units /= 10;
        }
        self.len += count;
    }

    /// The shortest decimal text of `units` of 10^-`decimals`, and a colon.
    fn decimal(&mut self, units: i64, decimals: u8) {
        let one = 10u64.pow(u32::from(decimals.min(18)));
        let units = units.unsigned_abs();
        self.digits(units / one);
        let (mut rest, mut places) = (units % one, usize::from(decimals.min(18)));
        if rest > 0 {
            while rest % 10 == 0 {
                rest /= 10;
                places -= 1;
            }
            self.bytes[self.len] = b'.';
            let end = self.len + 1 + places;
            for at in (self.len + 1..end).rev() {
                self.bytes[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            self.len = end;
        }
        self.bytes[self.len] = b':';
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::text::{parse_units, units_to_string};
    use bot4_types::{InstrumentId, Symbol};
    use proptest::prelude::*;

    fn instrument(price_decimals: u8, qty_decimals: u8) -> Instrument {
        let symbol = Symbol::new("A").expect("short");
        let bare = Instrument::bare(InstrumentId(0), symbol, 0);
        Instrument { price_decimals, qty_decimals, ..bare }
    }

    fn ladder(of: &Instrument, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Ladder {
        let mut ladder = Ladder::new(128, 1_000);
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for (price, qty) in levels {
                let price = parse_units(price.as_bytes(), of.price_decimals).expect("a price");
                let qty = parse_units(qty.as_bytes(), of.qty_decimals).expect("a quantity");
                ladder.set(side, price, qty).expect("room");
            }
        }
        ladder
    }

    const KRAKEN_ASKS: [(&str, &str); 10] = [
        ("45285.2", "0.00100000"),
        ("45286.4", "1.54571953"),
        ("45286.6", "1.54571109"),
        ("45289.6", "1.54560911"),
        ("45290.2", "0.15890660"),
        ("45291.8", "1.54553491"),
        ("45294.7", "0.04454749"),
        ("45296.1", "0.35380000"),
        ("45297.5", "0.09945542"),
        ("45299.5", "0.18772827"),
    ];
    const KRAKEN_BIDS: [(&str, &str); 10] = [
        ("45283.5", "0.10000000"),
        ("45283.4", "1.54582015"),
        ("45282.1", "0.10000000"),
        ("45281.0", "0.10000000"),
        ("45280.3", "1.54592586"),
        ("45279.0", "0.07990000"),
        ("45277.6", "0.03310103"),
        ("45277.5", "0.30000000"),
        ("45277.3", "1.54602737"),
        ("45276.6", "0.15445238"),
    ];

    /// The venue's published example, with an eleventh level that does not count.
    #[test]
    fn kraken_example() {
        let of = instrument(1, 8);
        let mut book = ladder(&of, &KRAKEN_BIDS, &KRAKEN_ASKS);
        assert_eq!(checksum(ChecksumRule::TopTen, &book, &of), Some(3_310_070_434));
        book.set(Side::Buy, 452_700, 1).expect("room");
        assert_eq!(checksum(ChecksumRule::TopTen, &book, &of), Some(3_310_070_434));
        book.set(Side::Buy, 452_766, 15_445_239).expect("room");
        assert_ne!(checksum(ChecksumRule::TopTen, &book, &of), Some(3_310_070_434));
    }

    /// The published short book, with whatever decimals the units have.
    #[test]
    fn okx_example_needs_no_decimals_of_the_text() {
        let asks = [("3366.8", "9"), ("3368", "8"), ("3372", "8")];
        for (price, qty) in [(1, 0), (8, 8), (2, 3)] {
            let of = instrument(price, qty);
            let book = ladder(&of, &[("3366.1", "7")], &asks);
            assert_eq!(checksum(ChecksumRule::Interleaved25, &book, &of), Some(831_078_360));
        }
        assert_eq!(stated(ChecksumRule::Interleaved25, Some(0)), None);
        assert_eq!(stated(ChecksumRule::TopTen, Some(0)), Some(0));
        assert_eq!(stated(ChecksumRule::None, Some(5)), None);
    }

    #[test]
    fn empty_and_longest_books_have_room() {
        let of = instrument(18, 18);
        let mut book = Ladder::new(128, 1_000);
        for rule in [ChecksumRule::TopTen, ChecksumRule::Interleaved25] {
            assert_eq!(checksum(rule, &book, &of), Some(0));
        }
        for i in 0..30 {
            book.set(Side::Buy, i64::MAX - 30 - i, i64::MAX - 2).expect("room");
            book.set(Side::Sell, i64::MAX - i, i64::MAX).expect("room");
        }
        assert!(checksum(ChecksumRule::Interleaved25, &book, &of).is_some());
        assert_eq!(checksum(ChecksumRule::None, &book, &of), None);
    }

    proptest! {
        /// Against text made by the standard library.
        #[test]
        fn sums_are_those_of_the_naive_text(
            levels in proptest::collection::vec((1i64..1_000_000, 1i64..i64::MAX), 0..60),
            (price_decimals, qty_decimals) in (0u8..=9, 0u8..=9),
        ) {
            let of = instrument(price_decimals, qty_decimals);
            let (mut book, mut twin) = (Ladder::new(128, 1_000), crate::NaiveBook::new());
            for (i, (price, qty)) in levels.into_iter().enumerate() {
                let side = if i % 3 == 0 { Side::Buy } else { Side::Sell };
                book.set(side, price, qty).expect("room");
                twin.set(side, price, qty);
            }
            let first = |s, n| twin.iter(s).take(n).collect::<Vec<_>>();
            let sides = |n| [Side::Buy, Side::Sell].map(|s| first(s, n));
            let [bids, asks] = sides(10);
            let flat = |l: &Level| format!("{}{}", l.price, l.qty);
            let text: String = asks.iter().chain(&bids).map(flat).collect();
            let want = crc32fast::hash(text.as_bytes());
            prop_assert_eq!(checksum(ChecksumRule::TopTen, &book, &of), Some(want));

            let short = |units, decimals| {
                let text = units_to_string(units, decimals);
                if decimals == 0 {
                    return text;
                }
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            };
            let mut parts = Vec::new();
            let [bids, asks] = sides(25);
            for i in 0..25 {
                for level in [bids.get(i), asks.get(i)].into_iter().flatten() {
                    parts.push(short(level.price, price_decimals));
                    parts.push(short(level.qty, qty_decimals));
                }
            }
            let want = crc32fast::hash(parts.join(":").as_bytes());
            prop_assert_eq!(checksum(ChecksumRule::Interleaved25, &book, &of), Some(want));
        }
    }
}

//! Decimal text of the venues as integers, exactly. General and checked; the hot path has its
//! own digits in [`crate::scan`], compared with these by property tests.

use bot4_types::instrument::{AMOUNT_DECIMALS, Amount};
use bot4_types::text::{DecimalError, parse_units};

use crate::market::DecodeError;

/// A price or quantity of market data in units of 10^-`decimals`. Never negative.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn market_units(text: &str, decimals: u8) -> Result<i64, DecodeError> {
    if text.starts_with('-') {
        return Err(DecodeError::Number(DecimalError::BadCharacter));
    }
    parse_units(text.as_bytes(), decimals).map_err(DecodeError::Number)
}

/// An amount of an asset (balance, fee, cash) in units of 10^-16; may be negative.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn amount(text: &str) -> Result<Amount, DecodeError> {
    parse_amount(text.as_bytes()).map_err(DecodeError::Number)
}

/// A bare JSON number of market data (Kraken) in units of 10^-`decimals`, exponent included.
/// Never negative.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn json_units(text: &str, decimals: u8) -> Result<i64, DecodeError> {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'-') || !is_json_number(bytes) {
        return Err(DecodeError::Number(DecimalError::BadCharacter));
    }
    match bytes.iter().position(|b| matches!(b, b'e' | b'E')) {
        None => parse_units(bytes, decimals),
        Some(at) => parse_scientific(&bytes[..at], &text[at + 1..], decimals),
    }
    .map_err(DecodeError::Number)
}

/// `mantissa` times ten to the power `exponent`, exactly.
fn parse_scientific(mantissa: &[u8], exponent: &str, decimals: u8) -> Result<i64, DecimalError> {
    let mut value: i128 = 0;
    let mut after_dot = 0i64;
    let mut seen_dot = false;
    for c in mantissa {
        if *c == b'.' {
            seen_dot = true;
            continue;
        }
        value = scaled(value, 10, c - b'0')?;
        after_dot += i64::from(seen_dot);
    }
    if value == 0 {
        return Ok(0);
    }
    // Beyond four digits of exponent every number but zero is too large or too small.
    let exponent = exponent.parse::<i64>().map_err(|_| DecimalError::Overflow)?;
    let mut shift = exponent.clamp(-9_999, 9_999) + i64::from(decimals) - after_dot;
    while shift < 0 {
        if value % 10 != 0 {
            return Err(DecimalError::TooPrecise);
        }
        value /= 10;
        shift += 1;
    }
    while shift > 0 {
        value = scaled(value, 10, 0)?;
        shift -= 1;
    }
    i64::try_from(value).map_err(|_| DecimalError::Overflow)
}

/// A bare JSON number as an [`amount`]; only positive ones may have an exponent.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn json_amount(text: &str) -> Result<Amount, DecodeError> {
    if text.contains(['e', 'E']) {
        return json_units(text, AMOUNT_DECIMALS).map(Amount::from);
    }
    amount(text)
}

/// Whether `text` is a number by the grammar of JSON.
#[must_use]
pub fn is_json_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    let [b'e' | b'E', exponent @ ..] = rest else { return rest.is_empty() };
    let unsigned = match exponent {
        [b'+' | b'-', unsigned @ ..] => unsigned,
        _ => exponent,
    };
    !unsigned.is_empty() && digits(unsigned) == unsigned.len()
}

/// An RFC 3339 time in UTC (`2026-08-24T22:21:57.110183Z`, up to nine digits of a second or none)
/// as Unix milliseconds, rounded down.
#[must_use]
pub fn rfc3339_ms(text: &[u8]) -> Option<i64> {
    let (time, tail) = text.split_first_chunk::<19>()?;
    let mut wrong = 0u8;
    let mut two = |at: usize| {
        let (tens, ones) = (time[at].wrapping_sub(b'0'), time[at + 1].wrapping_sub(b'0'));
        wrong |= u8::from(tens > 9) | u8::from(ones > 9);
        i64::from(tens) * 10 + i64::from(ones)
    };
    let (century, year, month, day) = (two(0), two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    let marks = [time[4], time[7], time[10], time[13], time[16]] == *b"--T::";
    let in_range = (1..=12).contains(&month)
        && (1..=days_of(century * 100 + year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if wrong != 0 || !marks || !in_range {
        return None;
    }
    let days = days_from_civil(century * 100 + year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000 + millis_of(tail)?)
}

/// Microseconds within the millisecond of an RFC 3339 time that [`rfc3339_ms`] has read; zero
/// where it has fewer digits.
#[must_use]
pub fn rfc3339_us_of_ms(text: &[u8]) -> u64 {
    let digit = |at: usize| match text.get(at) {
        Some(d @ b'0'..=b'9') => u64::from(d - b'0'),
        _ => 0,
    };
    // `2026-08-24T22:21:57.110183Z`: the fraction begins behind 20 characters.
    let [a, b, c] = [23, 24, 25].map(digit);
    if text.get(23).is_some_and(u8::is_ascii_digit) { a * 100 + b * 10 + c } else { 0 }
}

/// Reads times that mostly share their minute: its start is remembered.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinuteClock {
    /// Text of a minute that was read, up to its last colon.
    minute: [u8; 17],
    start_ms: i64,
}

impl MinuteClock {
    /// As [`rfc3339_ms`].
    #[inline]
    pub fn ms(&mut self, text: &[u8]) -> Option<i64> {
        if let Some(([minute @ .., tens, ones], tail)) = text.split_first_chunk::<19>()
            && *minute == self.minute
        {
            let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
            let second = i64::from(tens) * 10 + i64::from(ones);
            let in_range = tens <= 6 && ones <= 9 && second < 61;
            let ms = self.start_ms + second * 1_000 + millis_of(tail)?;
            return in_range.then_some(ms);
        }
        self.next_minute(text)
    }

    #[cold]
    fn next_minute(&mut self, text: &[u8]) -> Option<i64> {
        let ms = rfc3339_ms(text)?;
        self.minute = *text.first_chunk()?;
        let mut start = *b"0000-00-00T00:00:00Z";
        start[..17].copy_from_slice(&self.minute);
        self.start_ms = rfc3339_ms(&start)?;
        Some(ms)
    }
}

/// `Z`, or a point, up to nine digits and `Z`.
fn millis_of(tail: &[u8]) -> Option<i64> {
    let (b'Z', fraction) = tail.split_last()? else { return None };
    let Some(digits) = fraction.strip_prefix(b".") else {
        return fraction.is_empty().then_some(0);
    };
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |d| i64::from(d - b'0'));
    Some(digit(0) * 100 + digit(1) * 10 + digit(2))
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of the Gregorian calendar: years are counted from March, so that the
/// leap day is a year's last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + (153 * from_march + 2) / 5 + day - 1 - 719_468
}

/// One unit of a notional with `decimals` decimals (price and quantity together, at most
/// [`AMOUNT_DECIMALS`]) as an [`Amount`].
#[must_use]
pub const fn notional_unit(decimals: u8) -> Amount {
    10i128.pow(AMOUNT_DECIMALS.saturating_sub(decimals) as u32)
}

fn parse_amount(text: &[u8]) -> Result<Amount, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut value: Amount = 0;
    let mut seen_digit = false;
    let mut after_dot: Option<u8> = None;
    for &c in digits {
        match c {
            b'0'..=b'9' => {
                seen_digit = true;
                if let Some(n) = after_dot.as_mut() {
                    if *n == AMOUNT_DECIMALS {
                        if c != b'0' {
                            return Err(DecimalError::TooPrecise);
                        }
                        continue;
                    }
                    *n += 1;
                }
                value = scaled(value, 10, c - b'0')?;
            }
            b'.' if after_dot.is_none() => after_dot = Some(0),
            _ => return Err(DecimalError::BadCharacter),
        }
    }
    if !seen_digit {
        return Err(DecimalError::Empty);
    }
    let missing = u32::from(AMOUNT_DECIMALS - after_dot.unwrap_or(0));
    let value = scaled(value, 10i128.pow(missing), 0)?;
    Ok(if negative { -value } else { value })
}

fn scaled(value: Amount, factor: Amount, digit: u8) -> Result<Amount, DecimalError> {
    value
        .checked_mul(factor)
        .and_then(|v| v.checked_add(Amount::from(digit)))
        .ok_or(DecimalError::Overflow)
}

/// A venue time as Unix milliseconds. Connections opened with microsecond times carry numbers a
/// thousand times larger; no time in milliseconds reaches this bound before the year 5138.
#[must_use]
pub const fn unix_ms(time: i64) -> i64 {
    const MICROS_FROM: i64 = 100_000_000_000_000;
    if time >= MICROS_FROM { time / 1_000 } else { time }
}

/// An identifier printed as text: an unsigned integer.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn id_of(text: &str) -> Result<u64, DecodeError> {
    let bad = |e| Err(DecodeError::Number(e));
    if text.is_empty() {
        return bad(DecimalError::Empty);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return bad(DecimalError::BadCharacter);
    }
    text.parse().or_else(|_| bad(DecimalError::Overflow))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::text::units_to_string;
    use proptest::prelude::*;

    proptest! {
        /// Where both can hold the number, the reference parser of eight decimals agrees.
        #[test]
        fn amounts_agree_with_units(units in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
            let text = units_to_string(units, 8);
            prop_assert_eq!(amount(&text), Ok(i128::from(units) * 100_000_000));
        }

        /// The naive twin walks the calendar day by day.
        #[test]
        fn times_agree_with_the_calendar(day in 0i64..30_000, ms in 0i64..86_400_000) {
            let (mut y, mut m, mut d) = (1970, 1, 1);
            for _ in 0..day {
                d += 1;
                if d > days_of(y, m) {
                    (d, m) = (1, m + 1);
                }
                if m > 12 {
                    (m, y) = (1, y + 1);
                }
            }
            let (s, part) = (ms / 1_000, ms % 1_000);
            let clock = format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60);
            let text = format!("{y:04}-{m:02}-{d:02}T{clock}.{part:03}456Z");
            prop_assert_eq!(rfc3339_ms(text.as_bytes()), Some(day * 86_400_000 + ms));
        }

        #[test]
        fn any_time_gives_an_answer(text in "[-0-9T:.Z]{0,32}") {
            let _ = (rfc3339_ms(text.as_bytes()), id_of(&text));
        }

        #[test]
        fn any_text_gives_an_answer(text in "[-0-9.e ]{0,60}") {
            let _ = (amount(&text), market_units(&text, 8), json_units(&text, 8));
        }

        #[test]
        fn any_bytes_are_a_time_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = rfc3339_ms(&bytes);
        }

        /// The grammar, by a reader that knows it.
        #[test]
        fn json_numbers_are_those_of_serde(text in "-?[0-9]{0,3}\\.?[0-9]{0,3}([eE][+-]?[0-9]{0,2})?") {
            let twin = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(is_json_number(text.as_bytes()), twin);
        }

        /// Naive twin: the number written without an exponent.
        #[test]
        fn exponents_shift_the_point(
            mantissa in 0i64..100_000_000, point in 0usize..9, exponent in -12i32..12, d in 0u8..12
        ) {
            let digits = format!("{mantissa:09}");
            let text = match digits[9 - point..].len() {
                0 => digits.clone(),
                _ => format!("{}.{}", &digits[..9 - point], &digits[9 - point..]),
            };
            let text = text.trim_start_matches('0');
            let text = if text.starts_with(['.', 'e']) || text.is_empty() {
                format!("0{text}")
            } else {
                text.to_owned()
            };
            let zeros = "0".repeat(12);
            let wide = format!("{zeros}{digits}{zeros}");
            let at = (12 + 9 - point as i32 + exponent) as usize;
            let plain = format!("{}.{}", &wide[..at], &wide[at..]);
            let twin = parse_units(plain.as_bytes(), d).map_err(DecodeError::Number);
            prop_assert_eq!(json_units(&format!("{text}e{exponent}"), d), twin);
        }

        /// Naive twin: day by day from 1970.
        #[test]
        fn times_agree_with_a_walk_over_days(day in 0i64..60_000, ms in 0i64..86_400_000) {
            let (mut year, mut month, mut rest) = (1970, 1, day);
            while rest >= days_of(year, month) {
                rest -= days_of(year, month);
                (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            }
            let (s, h) = (ms / 1_000, ms / 3_600_000);
            let text = format!(
                "{year:04}-{month:02}-{:02}T{h:02}:{:02}:{:02}.{:03}999Z",
                rest + 1, s / 60 % 60, s % 60, ms % 1_000
            );
            prop_assert_eq!(rfc3339_ms(text.as_bytes()), Some(day * 86_400_000 + ms));
        }
    }

    proptest! {
        /// Naive twin: without memory; times near each other, some damaged.
        #[test]
        fn a_clock_that_remembers_reads_the_same(
            times in proptest::collection::vec((0u8..3, 0u8..75, "[.]?[0-9]{0,10}[Zz]?"), 1..20)
        ) {
            let mut clock = MinuteClock::default();
            for (minute, second, tail) in times {
                let text = format!("2026-08-24T22:0{minute}:{second:02}{tail}");
                prop_assert_eq!(clock.ms(text.as_bytes()), rfc3339_ms(text.as_bytes()), "{}", text);
            }
        }
    }

    #[test]
    fn times_have_no_six_or_nine_digits_and_a_zone() {
        assert_eq!(rfc3339_ms(b"1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339_ms(b"2024-05-19T18:59:44.999999999Z"), Some(1_716_145_184_999));
        assert_eq!(rfc3339_ms(b"2024-02-29T00:00:00.5Z"), Some(1_709_164_800_500));
        for wrong in [
            "2023-02-29T00:00:00Z",
            "2024-05-19T18:59:44",
            "2024-05-19T18:59:44.Z",
            "2024-05-19T18:59:44.0000000001Z",
            "2024-05-19 18:59:44Z",
            "2024-13-01T00:00:00Z",
            "2024-05-1:T00:00:00Z",
            "2024-05-19T24:00:00Z",
            "2024-05-19T18:59:44+00:00",
            "",
        ] {
            assert_eq!(rfc3339_ms(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn bare_numbers_are_exact_or_refused() {
        assert_eq!(json_units("1e-08", 8), Ok(1));
        assert_eq!(json_units("1.50E2", 1), Ok(1_500));
        assert_eq!(json_units("0e99999999999999999999", 8), Ok(0));
        assert_eq!(json_units("0.100000000000000000000000000000", 1), Ok(1));
        for (text, error) in [
            ("1e-09", DecimalError::TooPrecise),
            ("1e400", DecimalError::Overflow),
            ("1e99999999999999999999", DecimalError::Overflow),
            ("1e-400", DecimalError::TooPrecise),
            ("01", DecimalError::BadCharacter),
            ("1.", DecimalError::BadCharacter),
            ("-1", DecimalError::BadCharacter),
            ("1e", DecimalError::BadCharacter),
            ("", DecimalError::BadCharacter),
        ] {
            assert_eq!(json_units(text, 8), Err(DecodeError::Number(error)), "{text}");
        }
    }

    #[test]
    fn limits_are_told() {
        assert_eq!(amount("0.0000000000000001"), Ok(1));
        assert_eq!(amount("-2"), Ok(-20_000_000_000_000_000));
        assert_eq!(
            amount("0.00000000000000001"),
            Err(DecodeError::Number(DecimalError::TooPrecise))
        );
        assert_eq!(amount(&"9".repeat(40)), Err(DecodeError::Number(DecimalError::Overflow)));
        assert_eq!(amount("."), Err(DecodeError::Number(DecimalError::Empty)));
        assert!(market_units("-1.0", 8).is_err());
        assert_eq!(unix_ms(1_723_161_255_208_123), 1_723_161_255_208);
        assert_eq!(unix_ms(1_723_161_255_208), 1_723_161_255_208);
    }

    #[test]
    fn times_are_read_as_printed_or_not_at_all() {
        let at = |text: &str| rfc3339_ms(text.as_bytes());
        assert_eq!(at("2026-08-09T21:05:48.228568804Z"), Some(1_786_309_548_228));
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(at("2026-08-09T21:05:38.5Z"), Some(1_786_309_538_500));
        for refused in [
            "2026-08-09 21:05:48.228Z",
            "2026-08-09T21:05:48.228",
            "2026-08-09T21:05:48.Z",
            "2026-08-09T21:05:48.1234567890Z",
            "2026-08-09T21:05:48.1x3Z",
            "2026-02-29T21:05:48Z",
            "2026-13-01T21:05:48Z",
            "",
        ] {
            assert_eq!(at(refused), None, "{refused}");
        }
        assert_eq!(id_of("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(id_of("18446744073709551616"), Err(DecodeError::Number(DecimalError::Overflow)));
        assert!(id_of("").is_err() && id_of("+1").is_err());
    }
}

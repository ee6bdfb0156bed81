//! How venues write numbers and times.

use std::fmt::Write as _;

use crate::decimal::ONE;
use crate::rng::Rng;

/// Appends a value of 10^-8 units with exactly `digits` (at most 8) after the point, cut off.
pub fn fixed(out: &mut String, value: i64, digits: u32) {
    let cut = value / 10_i64.pow(8 - digits.min(8));
    let unit = 10_i64.pow(digits.min(8));
    if digits == 0 {
        let _ = write!(out, "{cut}");
    } else {
        let (whole, rest) = (cut / unit, cut % unit);
        let _ = write!(out, "{whole}.{rest:0width$}", width = digits as usize);
    }
}

/// As [`fixed`], as a text of its own.
pub fn fixed_text(value: i64, digits: u32) -> String {
    let mut out = String::with_capacity(20);
    fixed(&mut out, value, digits);
    out
}

/// Appends a value of 10^-8 units without zeros at the end: `65140`, `0.014`.
pub fn trimmed(out: &mut String, value: i64) {
    let (whole, rest) = (value / ONE, value % ONE);
    let _ = write!(out, "{whole}");
    if rest != 0 {
        let digits = format!("{rest:08}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// As [`trimmed`], as a text of its own.
pub fn trimmed_text(value: i64) -> String {
    let mut out = String::with_capacity(20);
    trimmed(&mut out, value);
    out
}

/// A sum of 10^-8 units, without zeros at the end.
pub fn wide_text(value: i128) -> String {
    let one = i128::from(ONE);
    let (whole, rest) = (value / one, value % one);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = format!("{rest:08}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Digits after the point that a step such as a tick needs.
pub fn digits_of(step: i64) -> u32 {
    (0..8).find(|&digits| step % 10_i64.pow(8 - digits) == 0).unwrap_or(8)
}

/// `(part / whole - 1)` with `digits` after the point, signed; zero for an empty whole.
pub fn change_text(part: i64, whole: i64, digits: usize) -> String {
    if whole == 0 {
        return format!("{:.digits$}", 0.0);
    }
    // A ratio shown to people; no decision hangs on it.
    let ratio = (part - whole) as f64 / whole as f64;
    format!("{ratio:.digits$}")
}

/// RFC 3339 in UTC with this many fractional digits: `2026-08-24T22:21:57.110183Z`.
pub fn rfc3339(ns: u64, fraction: u32) -> String {
    let (date, time) = (date(ns), clock(ns));
    let rest = ns % 1_000_000_000 / 10_u64.pow(9 - fraction.min(9));
    match fraction {
        0 => format!("{date}T{time}Z"),
        _ => format!("{date}T{time}.{rest:0width$}Z", width = fraction as usize),
    }
}

/// The text of a Go time with its monotonic part:
/// `2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341`.
pub fn go_time(ns: u64, up_ns: u64) -> String {
    let mut fraction = format!("{:09}", ns % 1_000_000_000);
    // Go leaves zeros at the end away, and the point with them.
    fraction.truncate(fraction.trim_end_matches('0').len());
    let point = if fraction.is_empty() { "" } else { "." };
    let (up, up_rest) = (up_ns / 1_000_000_000, up_ns % 1_000_000_000);
    let (date, time) = (date(ns), clock(ns));
    format!("{date} {time}{point}{fraction} +0000 UTC m=+{up}.{up_rest:09}")
}

fn clock(ns: u64) -> String {
    let second = ns / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The civil date; the calendar repeats every 400 years of 146,097 days (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn date(ns: u64) -> String {
    let days = ns / 1_000_000_000 / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The Unix ms of an RFC 3339 time in UTC with any fraction: `2020-12-08T09:08:57.715Z`.
pub fn unix_ms(text: &str) -> Option<u64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<Vec<u64>> {
        text.split(by).map(|part| part.parse().ok()).collect()
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let ([year, month, day], [hour, minute, second]) =
        (numbers(date, '-')?.try_into().ok()?, numbers(clock, ':')?.try_into().ok()?);
    let is_leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let in_month = |m: u64, y: u64| match m {
        2 => 28 + u64::from(is_leap(y)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1970..2200).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let before: u64 = (1970..year).map(|y| 365 + u64::from(is_leap(y))).sum();
    let months: u64 = (1..month).map(|m| in_month(m, year)).sum();
    let days: u64 = before + months + u64::checked_sub(day, 1)?;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + ms)
}

/// A text as JSON writes it.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Made-up lower-case letters and digits.
pub fn tag(rng: &mut Rng, length: usize, alphabet: &[u8]) -> String {
    (0..length).map(|_| char::from(alphabet[rng.below(alphabet.len() as u64) as usize])).collect()
}

/// Hexadecimal digits.
pub const HEX: &[u8] = b"0123456789abcdef";
/// Letters and digits of base 32.
pub const BASE32: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_venues_write_them() {
        assert_eq!(fixed_text(7_887_150_000_000, 1), "78871.5");
        assert_eq!(fixed_text(10_000_000, 8), "0.10000000");
        assert_eq!(fixed_text(300_000_000, 0), "3");
        assert_eq!(trimmed_text(6_514_000_000_000), "65140");
        assert_eq!(trimmed_text(1_400_000), "0.014");
        assert_eq!(wide_text(150_000_000), "1.5");
        assert_eq!([digits_of(ONE), digits_of(ONE / 10), digits_of(1)], [0, 1, 8]);
        assert_eq!(change_text(101, 100, 4), "0.0100");
    }

    #[test]
    fn times_are_written_as_venues_write_them() {
        let ns = 1_786_309_548_854_840_045;
        assert_eq!(rfc3339(ns, 9), "2026-08-09T21:05:48.854840045Z");
        assert_eq!(rfc3339(ns, 6), "2026-08-09T21:05:48.854840Z");
        assert_eq!(rfc3339(951_782_400_000_000_000, 0), "2000-02-29T00:00:00Z");
        assert_eq!(unix_ms("2026-08-09T21:05:48.854840045Z"), Some(ns / 1_000_000));
        assert_eq!(unix_ms("2000-02-29T00:00:00Z"), Some(951_782_400_000));
        assert_eq!(unix_ms("2000-02-29 00:00:00Z"), None);
        let go = go_time(ns, 41_691_260_485_341);
        assert_eq!(go, "2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341");
    }
}

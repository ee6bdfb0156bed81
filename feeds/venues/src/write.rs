//! Numbers as the text of requests.

use bot4_types::text::{UNITS_TEXT_MAX, write_units};

/// Appends `value`.
pub fn digits(mut value: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Appends a time; a negative one is a clock fault that the venue will refuse as zero.
pub fn time(ms: i64, out: &mut Vec<u8>) {
    digits(u64::try_from(ms).unwrap_or(0), out);
}

/// Appends `units` of 10^-`decimals` without zeros behind the last significant decimal: venues
/// refuse more decimals than their step has, zeros or not.
pub fn decimal(units: i64, decimals: u8, out: &mut Vec<u8>) {
    let mut text = [0; UNITS_TEXT_MAX];
    let n = write_units(units, decimals, &mut text);
    let mut kept = &text[..n];
    if kept.contains(&b'.') {
        let last = kept.iter().rposition(|c| *c != b'0').map_or(0, |at| at + 1);
        kept = &kept[..last];
        kept = kept.strip_suffix(b".").unwrap_or(kept);
    }
    out.extend_from_slice(kept);
}

/// Appends a time as `2026-08-24T22:21:57.110Z`. A time before 1970 is a clock fault that the venue
/// will refuse as 1970.
pub fn rfc3339(ms: i64, out: &mut Vec<u8>) {
    let ms = ms.max(0);
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let mut part = |value: i64, width: u32, end: u8| {
        for place in (0..width).rev() {
            out.push(b'0' + (value / 10_i64.pow(place) % 10) as u8);
        }
        out.push(end);
    };
    part(year, 4, b'-');
    part(month, 2, b'-');
    part(day, 2, b'T');
    part(of_day / 3_600_000, 2, b':');
    part(of_day / 60_000 % 60, 2, b':');
    part(of_day / 1_000 % 60, 2, b'.');
    part(of_day % 1_000, 3, b'Z');
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Years begin in March
/// here, so that the leap day is the last of its year; an era has 400 years of 146,097 days.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let in_january_or_february = (month <= 2) as i64;
    (year + era * 400 + in_january_or_february, month, day - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::text::parse_units;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(value in any::<u64>(), units in any::<i64>(), decimals in 0u8..17) {
            let mut out = Vec::new();
            digits(value, &mut out);
            prop_assert_eq!(&out, &value.to_string().into_bytes());
            out.clear();
            decimal(units, decimals, &mut out);
            prop_assert_eq!(parse_units(&out, decimals), Ok(units));
            prop_assert!(!out.ends_with(b".") && (!out.contains(&b'.') || !out.ends_with(b"0")));
        }
    }

    proptest! {
        #[test]
        fn times_read_back(ms in 0i64..4_102_444_800_000) {
            let mut out = Vec::new();
            rfc3339(ms, &mut out);
            prop_assert_eq!(crate::number::rfc3339_ms(&out), Some(ms));
        }
    }

    #[test]
    fn a_time_before_the_epoch_is_zero() {
        let mut out = Vec::new();
        time(-5, &mut out);
        assert_eq!(out, b"0");
    }
}

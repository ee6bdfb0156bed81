//! Decimal text and integer units, exactly. The reference twin of the hot scanners.

/// Why decimal text is not a number of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// No digit at all.
    Empty,
    /// A character that is neither digit, sign nor the single dot.
    BadCharacter,
    /// More significant decimals than the unit has.
    TooPrecise,
    /// Outside `i64`.
    Overflow,
}

/// `text` as a count of 10^-`decimals` units. Trailing zeros beyond the unit are accepted, a
/// significant digit beyond it is not. No exponent notation.
///
/// # Errors
/// See [`DecimalError`].
pub fn parse_units(text: &[u8], decimals: u8) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut value: i64 = 0;
    let mut seen_digit = false;
    let mut decimals_read: Option<u8> = None;
    for &c in digits {
        match c {
            b'0'..=b'9' => {
                seen_digit = true;
                if let Some(n) = decimals_read.as_mut() {
                    if *n == decimals {
                        if c != b'0' {
                            return Err(DecimalError::TooPrecise);
                        }
                        continue;
                    }
                    *n += 1;
                }
                value = push_digit(value, c - b'0')?;
            }
            b'.' if decimals_read.is_none() => decimals_read = Some(0),
            _ => return Err(DecimalError::BadCharacter),
        }
    }
    if !seen_digit {
        return Err(DecimalError::Empty);
    }
    for _ in decimals_read.unwrap_or(0)..decimals {
        value = push_digit(value, 0)?;
    }
    Ok(if negative { -value } else { value })
}

fn push_digit(value: i64, digit: u8) -> Result<i64, DecimalError> {
    value
        .checked_mul(10)
        .and_then(|v| v.checked_add(i64::from(digit)))
        .ok_or(DecimalError::Overflow)
}

/// Room for the text of any `i64` with a dot and a sign.
pub const UNITS_TEXT_MAX: usize = 24;

/// Writes `units` of 10^-`decimals` into `out` as decimal text with exactly `decimals` digits
/// after the dot, and returns the text's length. No allocation.
///
/// # Panics
/// When `decimals` is above 18.
pub fn write_units(units: i64, decimals: u8, out: &mut [u8; UNITS_TEXT_MAX]) -> usize {
    assert!(decimals <= 18, "an i64 has at most 18 whole decimals");
    let mut digits = [b'0'; UNITS_TEXT_MAX];
    let mut rest = units.unsigned_abs();
    let mut count = 0;
    while rest > 0 || count <= decimals as usize {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    let mut at = 0;
    if units < 0 {
        out[at] = b'-';
        at += 1;
    }
    for i in (0..count).rev() {
        out[at] = digits[i];
        at += 1;
        if i == decimals as usize && decimals > 0 {
            out[at] = b'.';
            at += 1;
        }
    }
    at
}

/// `units` of 10^-`decimals` as a `String`; for reports, never on the hot path.
#[must_use]
pub fn units_to_string(units: i64, decimals: u8) -> String {
    let mut out = [0; UNITS_TEXT_MAX];
    let n = write_units(units, decimals, &mut out);
    String::from_utf8_lossy(&out[..n]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_reads_back(
            units in any::<i64>().prop_filter("magnitude", |u| *u != i64::MIN),
            d in 0u8..=18,
        ) {
            prop_assert_eq!(parse_units(units_to_string(units, d).as_bytes(), d), Ok(units));
        }

        #[test]
        fn any_bytes_give_an_answer(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            d in 0u8..=18,
        ) {
            let _ = parse_units(&bytes, d);
        }
    }

    #[test]
    fn examples() {
        assert_eq!(parse_units(b"61837.63000000", 8), Ok(6_183_763_000_000));
        assert_eq!(parse_units(b"1.50", 1), Ok(15));
        assert_eq!(parse_units(b"1.55", 1), Err(DecimalError::TooPrecise));
        assert_eq!(parse_units(b"1e5", 1), Err(DecimalError::BadCharacter));
        assert_eq!(parse_units(b"1.2.3", 4), Err(DecimalError::BadCharacter));
        assert_eq!(parse_units(b"", 4), Err(DecimalError::Empty));
        assert_eq!(parse_units(b"99999999999", 9), Err(DecimalError::Overflow));
        assert_eq!(units_to_string(-5, 3), "-0.005");
        assert_eq!(units_to_string(0, 0), "0");
    }
}

//! Exact decimal money with the venue's eight digits.
//!
//! Invariant: a price, quantity or balance is an integer number of 10^-8 units; no float takes
//! part. Rounding is stated where it happens: value of a trade down, reservations up, fees down.

/// One whole unit: 10^8.
pub const ONE: i64 = 100_000_000;
/// Digits after the point of everything the venue prints.
pub const DECIMALS: usize = 8;

/// Why a text is not a decimal of this venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// A sign, an exponent, a blank, a stray character, or no digit at all.
    Syntax,
    /// More than eight digits after the point.
    Precision,
    /// Beyond what 64 bits hold (about 92 billion).
    Range,
}

/// Reads an unsigned decimal such as `60000.01`.
///
/// # Errors
/// See [`DecimalError`]. The syntax is judged over the whole text before the precision.
pub fn parse(text: &str) -> Result<i64, DecimalError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(DecimalError::Syntax);
    }
    if fraction.len() > DECIMALS {
        return Err(DecimalError::Precision);
    }
    let mut value: i64 = 0;
    let padding = std::iter::repeat_n(b'0', DECIMALS - fraction.len());
    for byte in whole.bytes().chain(fraction.bytes()).chain(padding) {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i64::from(byte - b'0')))
            .ok_or(DecimalError::Range)?;
    }
    Ok(value)
}

/// Appends `value` with eight digits after the point: `0.00100000`.
pub fn push(out: &mut String, value: i64) {
    push_wide(out, i128::from(value));
}

/// As [`push`], for balances and sums.
pub fn push_wide(out: &mut String, value: i128) {
    let mut buffer = [b'0'; 48];
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    let mut written = 0;
    while written <= DECIMALS || rest > 0 {
        at -= 1;
        if written == DECIMALS {
            buffer[at] = b'.';
            at -= 1;
        }
        // 64-bit division is several times cheaper, and nearly every value fits.
        let digit = if let Ok(small) = u64::try_from(rest) {
            rest = u128::from(small / 10);
            (small % 10) as u8
        } else {
            let digit = (rest % 10) as u8;
            rest /= 10;
            digit
        };
        buffer[at] = b'0' + digit;
        written += 1;
    }
    if value < 0 {
        out.push('-');
    }
    out.extend(buffer[at..].iter().map(|&b| char::from(b)));
}

/// `value` as text with eight digits after the point.
#[must_use]
pub fn text(value: i64) -> String {
    wide_text(i128::from(value))
}

/// As [`text`], for balances and sums.
#[must_use]
pub fn wide_text(value: i128) -> String {
    let mut out = String::with_capacity(20);
    push_wide(&mut out, value);
    out
}

/// Value of `qty` at `price` in quote units of 10^-8, rounded **down** (exact where the digits of
/// tick and lot together are eight or fewer, as on every listed market).
#[must_use]
pub fn value_floor(price: i64, qty: i64) -> i128 {
    i128::from(price) * i128::from(qty) / i128::from(ONE)
}

/// As [`value_floor`], rounded **up**: what must be reserved so that no fill can exceed it.
#[must_use]
pub fn value_ceil(price: i64, qty: i64) -> i128 {
    (i128::from(price) * i128::from(qty) + i128::from(ONE) - 1) / i128::from(ONE)
}

/// `amount` times a rate in units of 10^-8, rounded **down**: the fee of a fill.
#[must_use]
pub fn fee_floor(amount: i128, rate_e8: i64) -> i128 {
    amount * i128::from(rate_e8) / i128::from(ONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_the_wire_text() {
        assert_eq!(parse("61837.63000000"), Ok(6_183_763_000_000));
        assert_eq!(parse("7"), Ok(7 * ONE));
        assert_eq!(text(6_183_763_000_000), "61837.63000000");
        assert_eq!(text(1), "0.00000001");
        assert_eq!(wide_text(-150_000_000), "-1.50000000");
        for bad in ["", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1,0", "1.2.3", "0x1"] {
            assert_eq!(parse(bad), Err(DecimalError::Syntax), "{bad}");
        }
        assert_eq!(parse("0.123456789"), Err(DecimalError::Precision));
        assert_eq!(parse("92233720368.54775808"), Err(DecimalError::Range));
        assert_eq!(parse("92233720368.54775807"), Ok(i64::MAX));
    }

    #[test]
    fn rounding_is_directed() {
        assert_eq!(value_floor(1, ONE - 1), 0);
        assert_eq!(value_ceil(1, ONE - 1), 1);
        assert_eq!(fee_floor(1999, 100_000), 1);
    }

    proptest! {
        #[test]
        fn text_reads_back(value in 0..i64::MAX) {
            prop_assert_eq!(parse(&text(value)), Ok(value));
        }
    }
}

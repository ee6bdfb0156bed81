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

        #[test]
        fn any_text_gives_an_answer(text in "[-0-9.e ]{0,60}") {
            let _ = (amount(&text), market_units(&text, 8));
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
}

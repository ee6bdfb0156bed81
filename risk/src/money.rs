//! Integer money that cannot panic: saturating conversions and an overflow-proof `a * b / c`.
//!
//! Intents and reports are data: a mad price must be refused, not stop a lane on an overflow
//! check. Saturated values are beyond every limit, so the gate refuses them; the ledger drops
//! fills that would come near ([`AMOUNT_SANE`]).

use bot4_types::Instrument;
use bot4_types::instrument::{AMOUNT_DECIMALS, Amount};

/// Largest amount one fill may move: 2^110 is 1.3e17 whole units. A quarter of a million such
/// fills still fit an `i128`.
pub const AMOUNT_SANE: Amount = 1 << 110;

/// `a * b / c` rounded towards zero, without an overflow in between while the result and
/// `c * b` fit; saturates otherwise. Zero when `c` is zero.
#[must_use]
pub fn mul_div(a: i128, b: i128, c: i128) -> i128 {
    if c == 0 {
        return 0;
    }
    // One division where the product fits, which is nearly always.
    if let Some(quotient) = a.checked_mul(b).and_then(|product| product.checked_div(c)) {
        return quotient;
    }
    let saturated = if (a < 0) ^ (b < 0) ^ (c < 0) { i128::MIN } else { i128::MAX };
    let exact = || {
        let whole = a.checked_div(c)?.checked_mul(b)?;
        let part = a.checked_rem(c)?.checked_mul(b)?.checked_div(c)?;
        whole.checked_add(part)
    };
    exact().unwrap_or(saturated)
}

/// `a * b / c` for non-negative numbers, rounded up: for what is set aside.
#[must_use]
pub fn mul_div_up(a: i128, b: i128, c: i128) -> i128 {
    if let Some(product) = a.checked_mul(b).filter(|product| *product >= 0 && c > 0) {
        let low = product / c;
        return low + i128::from(low * c != product);
    }
    let low = mul_div(a, b, c);
    let exact = low.checked_mul(c).zip(a.checked_mul(b)).is_some_and(|(x, y)| x == y);
    if exact { low } else { low.saturating_add(1) }
}

/// `a * b / c` rounded down, towards minus infinity: for what is held. At most one unit below the
/// exact quotient, also where the check for exactness would overflow.
#[must_use]
pub fn mul_div_floor(a: i128, b: i128, c: i128) -> i128 {
    let low = mul_div(a, b, c);
    let negative = c != 0 && a != 0 && b != 0 && ((a < 0) ^ (b < 0) ^ (c < 0));
    let exact = low.checked_mul(c).zip(a.checked_mul(b)).is_some_and(|(x, y)| x == y);
    if negative && !exact { low.saturating_sub(1) } else { low }
}

/// `a * b / c` rounded up, towards plus infinity: for what is owed or may be lost.
#[must_use]
pub fn mul_div_ceil(a: i128, b: i128, c: i128) -> i128 {
    mul_div_floor(a.saturating_neg(), b, c).saturating_neg()
}

/// `qty` units of the instrument's base asset as an [`Amount`].
#[must_use]
pub fn base_amount(instrument: &Instrument, qty: i128) -> Amount {
    let decimals = AMOUNT_DECIMALS.saturating_sub(instrument.qty_decimals);
    qty.saturating_mul(10i128.saturating_pow(u32::from(decimals)))
}

/// A notional (price units times quantity units) as an [`Amount`] of the quote asset.
#[must_use]
pub fn quote_amount(instrument: &Instrument, notional: i128) -> Amount {
    let used = instrument.price_decimals.saturating_add(instrument.qty_decimals);
    let decimals = AMOUNT_DECIMALS.saturating_sub(used);
    notional.saturating_mul(10i128.saturating_pow(u32::from(decimals)))
}

/// 10^`decimals`, saturating.
#[must_use]
pub fn power_of_ten(decimals: u8) -> i128 {
    10i128.saturating_pow(u32::from(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_plain_formula_where_that_fits(
            a in -(1i128 << 60)..(1i128 << 60), b in -(1i128 << 60)..(1i128 << 60),
            c in prop_oneof![-(1i128 << 60)..-1, 1..(1i128 << 60)],
        ) {
            prop_assert_eq!(mul_div(a, b, c), a * b / c);
        }

        #[test]
        fn rounding_up_is_at_most_one_more(
            a in 0i128..1 << 60, b in 0i128..1 << 60, c in 1i128..1 << 60,
        ) {
            let up = mul_div_up(a, b, c);
            prop_assert!(up * c >= a * b && (up - 1) * c < a * b || up == 0 && a * b == 0);
        }

        #[test]
        fn any_numbers_give_an_answer(a in any::<i128>(), b in any::<i128>(), c in any::<i128>()) {
            let _ = mul_div(a, b, c);
            let _ = mul_div_up(a, b, c);
            let _ = (mul_div_floor(a, b, c), mul_div_ceil(a, b, c));
        }

        #[test]
        fn floor_and_ceiling_enclose_the_quotient(
            a in -(1i128 << 60)..(1i128 << 60), b in 0i128..(1i128 << 60),
            c in 1i128..(1i128 << 60),
        ) {
            let (low, high) = (mul_div_floor(a, b, c), mul_div_ceil(a, b, c));
            prop_assert_eq!(low, (a * b).div_euclid(c));
            prop_assert_eq!(high, -((-a * b).div_euclid(c)));
        }
    }

    #[test]
    fn large_products_stay_exact() {
        let billion_units = 1_000_000_000 * 10i128.pow(16);
        let price = 100_000 * 10i128.pow(8);
        assert_eq!(mul_div(billion_units, price, 10i128.pow(8)), billion_units * 100_000);
    }
}

//! Integer money: prices and quantities in units of 10^-decimals of their instrument, and the
//! one place where anything is rounded.

use serde::{Deserialize, Serialize};

/// Buy or sell; for a trade the aggressor's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Side {
    /// Bid side.
    Buy = 0,
    /// Ask side.
    Sell = 1,
}

impl Side {
    /// `+1` for a buy, `-1` for a sell.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// Index 0 or 1, for tables by side.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The side whose `repr` is `raw`, if there is one.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Buy),
            1 => Some(Self::Sell),
            _ => None,
        }
    }
}

/// A price in units of 10^-`price_decimals` of quote asset per base asset.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct Price(pub i64);

/// A quantity in units of 10^-`qty_decimals` of base asset. Signed where it is a position.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct Qty(pub i64);

/// Price times quantity, exact, in units of 10^-(`price_decimals` + `qty_decimals`) of quote.
#[must_use]
pub const fn notional(price: Price, qty: Qty) -> i128 {
    price.0 as i128 * qty.0 as i128
}

impl Price {
    /// Rounded to a multiple of `tick` away from the touch: a buy down, a sell up.
    /// A `tick` of zero or one leaves the price as it is.
    #[must_use]
    pub const fn to_tick(self, tick: i64, side: Side) -> Self {
        if tick <= 1 {
            return self;
        }
        let low = self.0.div_euclid(tick) * tick;
        match side {
            Side::Buy => Self(low),
            Side::Sell => Self(if low == self.0 { low } else { low + tick }),
        }
    }
}

impl Qty {
    /// Rounded towards zero to a multiple of `lot`: never to more risk.
    #[must_use]
    pub const fn to_lot(self, lot: i64) -> Self {
        if lot <= 1 { self } else { Self(self.0 / lot * lot) }
    }

    /// The absolute quantity.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_never_adds_risk(p in 0i64..1_000_000_000_000, tick in 1i64..10_000) {
            let bid = Price(p).to_tick(tick, Side::Buy);
            let ask = Price(p).to_tick(tick, Side::Sell);
            prop_assert!(bid.0 <= p && p - bid.0 < tick && bid.0 % tick == 0);
            prop_assert!(ask.0 >= p && ask.0 - p < tick && ask.0 % tick == 0);
        }

        #[test]
        fn lots_round_towards_zero(q in -1_000_000_000i64..1_000_000_000, lot in 1i64..10_000) {
            let r = Qty(q).to_lot(lot);
            prop_assert!(r.0.abs() <= q.abs() && (q - r.0).abs() < lot && r.0 % lot == 0);
        }
    }

    #[test]
    fn notional_does_not_overflow_at_the_extremes() {
        assert_eq!(notional(Price(i64::MAX), Qty(2)), i64::MAX as i128 * 2);
    }
}

//! How large an order should be: a quarter of Kelly's fraction, then every cap in its order.
//!
//! ```text
//!   value = equity * min(1, 0.25 edge / variance)       Kelly (1956), in Thorp's form for returns
//!         -> at most the room of the position limit
//!         -> at most the room of the shortfall limit / shortfall of a unit of value
//!         -> times 1 - correlation / correlation_max   none below 0, nothing at the limit
//!         -> times the drawdown scale
//!         -> nothing, if that is less than the minimum
//!         -> down to a lot
//! ```
//!
//! The full Kelly fraction has the highest growth only for known edge and variance; a quarter keeps
//! 7/16 of the growth at a quarter of the volatility, and forgives an edge that is estimated four
//! times too high. Invariants, each held by a property test in `tests/sizing.rs`: never larger than
//! any cap, monotone in each, zero when an input is not finite or the edge is not above zero.

use bot4_types::Qty;

/// The share of Kelly's fraction that is staked.
pub const KELLY_SHARE: f64 = 0.25;

/// What a strategy expects of a position over its own horizon, whatever that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stake {
    /// Expected return, as a share of the position's value.
    pub edge: f64,
    /// Variance of that return.
    pub variance: f64,
}

/// What risk leaves room for. Values in the reporting asset. A cap that does not exist is
/// [`f64::MAX`]: an infinite one is taken for a mistake, and sizes nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caps {
    /// Value of the account.
    pub equity: f64,
    /// Value that the position limit still allows in this direction.
    pub position: f64,
    /// Expected shortfall that its limit still allows.
    pub shortfall: f64,
    /// Expected shortfall of one unit of value in this direction.
    pub unit_shortfall: f64,
    /// Correlation of a position in this direction with the held book.
    pub correlation: f64,
    /// The limit of the correlation, where nothing is left.
    pub correlation_max: f64,
    /// What the drawdown leaves, from one (none) to zero (its limit).
    pub drawdown_scale: f64,
    /// Value below which a trade is not worth it.
    pub minimum: f64,
}

impl Stake {
    /// The value to hold: see the module's page.
    #[must_use]
    pub fn value(&self, caps: &Caps) -> f64 {
        if !self.is_favourable() || !caps.are_finite() {
            return 0.0;
        }
        let fraction = (KELLY_SHARE * self.edge / self.variance).min(1.0);
        // Without any shortfall of its own an order fits every room, but not one that is used up.
        let tail = match caps.unit_shortfall {
            unit if unit > 0.0 => caps.shortfall / unit,
            _ if caps.shortfall >= 0.0 => f64::MAX,
            _ => 0.0,
        };
        let value = (caps.equity * fraction).min(caps.position).min(tail);
        let value = value * caps.correlation_share() * caps.drawdown_scale.clamp(0.0, 1.0);
        if value > 0.0 && value >= caps.minimum { value } else { 0.0 }
    }

    /// The quantity to hold, down to `lot`, where one quantity unit is worth `unit_value`; zero
    /// where the whole lots are worth less than the minimum.
    #[must_use]
    pub fn qty(&self, caps: &Caps, unit_value: f64, lot: i64) -> Qty {
        let is_price = unit_value.is_finite() && unit_value > 0.0;
        if !is_price {
            return Qty(0);
        }
        let qty = lots_within(self.value(caps), unit_value, lot.max(1));
        if qty.0 as f64 * unit_value >= caps.minimum { qty } else { Qty(0) }
    }

    fn is_favourable(&self) -> bool {
        let finite = self.edge.is_finite() && self.variance.is_finite();
        finite && self.edge > 0.0 && self.variance > 0.0
    }
}

impl Caps {
    fn are_finite(&self) -> bool {
        [
            self.equity,
            self.position,
            self.shortfall,
            self.unit_shortfall,
            self.correlation,
            self.correlation_max,
            self.drawdown_scale,
            self.minimum,
        ]
        .iter()
        .all(|cap| cap.is_finite())
    }

    /// What the correlation leaves.
    fn correlation_share(&self) -> f64 {
        if self.correlation_max <= 0.0 {
            return 0.0;
        }
        (1.0 - self.correlation.max(0.0) / self.correlation_max).clamp(0.0, 1.0)
    }
}

/// Largest whole number of lots that is worth at most `value`, which is not negative. The division
/// may be off by one in its last place, so the answer is tried, not trusted.
fn lots_within(value: f64, unit_value: f64, lot: i64) -> Qty {
    let lots_max = i64::MAX / 8 / lot;
    let fits = |lots: i64| (lots * lot) as f64 * unit_value <= value;
    // The cast saturates; a quotient beyond 2^53 has no fraction left to be off by.
    let quotient = (value / (unit_value * lot as f64)) as i64;
    let mut lots = quotient.saturating_add(1).min(lots_max);
    while lots > 0 && !fits(lots) {
        lots -= 1;
    }
    Qty(lots * lot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        equity: 100_000.0,
        position: 50_000.0,
        shortfall: 1_000.0,
        unit_shortfall: 0.05,
        correlation: 0.0,
        correlation_max: 0.7,
        drawdown_scale: 1.0,
        minimum: 10.0,
    };

    fn value(edge: f64, variance: f64, change: impl FnOnce(&mut Caps)) -> f64 {
        let mut caps = CAPS;
        change(&mut caps);
        Stake { edge, variance }.value(&caps)
    }

    #[test]
    fn each_cap_in_its_order() {
        assert_eq!(value(0.002, 0.01, |_| ()), 5_000.0, "a quarter of 20 %");
        assert_eq!(value(0.1, 0.01, |_| ()), 20_000.0, "shortfall: 1,000 / 0.05");
        assert_eq!(value(0.1, 0.01, |c| c.position = 15_000.0), 15_000.0);
        assert_eq!(value(0.1, 0.01, |c| c.correlation = 0.35), 10_000.0);
        assert_eq!(value(0.1, 0.01, |c| c.correlation = -0.9), 20_000.0);
        assert_eq!(value(0.1, 0.01, |c| c.correlation = 0.7), 0.0);
        assert_eq!(value(0.1, 0.01, |c| c.drawdown_scale = 0.5), 10_000.0);
        assert_eq!(value(0.1, 0.01, |c| c.minimum = 20_001.0), 0.0);
        assert_eq!(value(9.0, 0.01, |c| c.unit_shortfall = 0.0), 50_000.0);
        assert_eq!(value(9.0, 0.01, |c| (c.position, c.shortfall) = (1e9, 1e9)), 100_000.0);
        assert_eq!(value(0.1, 0.0, |_| ()), 0.0);
    }

    #[test]
    fn a_room_that_is_used_up_takes_nothing_and_no_shortfall_is_no_cap() {
        let unit =
            |unit, room| value(9.0, 0.01, |c| (c.unit_shortfall, c.shortfall) = (unit, room));
        assert_eq!((unit(0.0, 1.0), unit(0.0, 0.0), unit(0.0, -1.0)), (50_000.0, 50_000.0, 0.0));
        assert_eq!(unit(-0.05, 1.0), 50_000.0);
        assert_eq!((unit(0.05, 1.0), unit(0.05, -1.0)), (20.0, 0.0));
    }

    #[test]
    fn what_is_not_finite_sizes_nothing() {
        let fields: [fn(&mut Caps) -> &mut f64; 8] = [
            |c| &mut c.equity,
            |c| &mut c.position,
            |c| &mut c.shortfall,
            |c| &mut c.unit_shortfall,
            |c| &mut c.correlation,
            |c| &mut c.correlation_max,
            |c| &mut c.drawdown_scale,
            |c| &mut c.minimum,
        ];
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for field in fields {
                assert_eq!(value(0.1, 0.01, |c| *field(c) = bad), 0.0, "{bad}");
            }
            assert_eq!((value(bad, 0.01, |_| ()), value(0.1, bad, |_| ())), (0.0, 0.0));
        }
    }

    #[test]
    fn whole_lots_worth_the_minimum() {
        let qty =
            |unit_value, lot| Stake { edge: 0.002, variance: 0.01 }.qty(&CAPS, unit_value, lot);
        assert_eq!(qty(1.0, 7), Qty(4_998));
        assert_eq!(qty(0.1, 1), Qty(50_000));
        assert_eq!(qty(6_000.0, 1), Qty(0));
        assert_eq!(qty(1.0, i64::MAX), Qty(0));
        assert_eq!(qty(f64::NAN, 1), Qty(0));
        assert_eq!(qty(1e-16, 1), Qty(i64::MAX / 8));
        let many = qty(1e-12, 1_000_000).0;
        assert!(
            (5_000_000_000_000_000 - many).abs() <= 1_000_000,
            "{many}: at once, not by trying"
        );
        assert_eq!((qty(-1.0, 1), qty(f64::INFINITY, 1)), (Qty(0), Qty(0)));
        let stake = Stake { edge: 0.002, variance: 0.01 };
        let least =
            |minimum, unit_value, lot| stake.qty(&Caps { minimum, ..CAPS }, unit_value, lot);
        assert_eq!(least(0.0, 0.0, 1), Qty(0), "no price");
        assert_eq!(least(4_000.0, 10.0, 1), Qty(500));
        assert_eq!(least(4_000.0, 3.0, 1_000), Qty(0), "one lot is worth 3,000");
    }
}

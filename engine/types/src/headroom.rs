//! What risk leaves a strategy for sizing: risk → signal, conflated.

use crate::id::InstrumentId;
use crate::price::Side;

/// Room and statistics of one instrument as risk sees them. Values in the reporting asset; floats,
/// because they size wishes: what is ordered still passes the gate, which counts in integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headroom {
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Value of the account.
    pub equity: f64,
    /// Value of one quantity unit.
    pub unit_value: f64,
    /// Value that the position limit still allows to buy and to sell, open orders counted.
    pub position: [f64; 2],
    /// Expected shortfall (99 %, one hour) that its limit still allows; [`f64::MAX`] without one.
    pub shortfall: f64,
    /// Expected shortfall of a unit of value, long and short.
    pub unit_shortfall: [f64; 2],
    /// Correlation of a long position with the rest of the book; zero while the book is too small
    /// for its limit to bind.
    pub correlation: f64,
    /// The limit of the correlation.
    pub correlation_max: f64,
    /// What the drawdown leaves of every size: one without, zero at its limit.
    pub drawdown_scale: f64,
    /// Standard deviation of the one-second return.
    pub sigma: f64,
}

const _: () = assert!(size_of::<Headroom>() <= 128);

impl Headroom {
    /// Correlation of a position on `side` with the rest of the book.
    #[must_use]
    pub const fn correlation_of(&self, side: Side) -> f64 {
        match side {
            Side::Buy => self.correlation,
            Side::Sell => -self.correlation,
        }
    }
}

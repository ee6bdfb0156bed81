//! Portfolio mathematics: what a book of positions can lose, what one more order adds to it, and
//! how large an order should be.
//!
//! ```text
//!   prices once a second --> returns x --> Covariance  S = keep S + add x x'     (EWMA)
//!                                    |       s = S w, v = w'S w kept beside it
//!                                    '--> Tail        1,024 scenarios, P&L of the book in each
//!   positions w (values) ---------------> both, by the change alone
//!   open orders (values) ---------------> what they could add at worst
//!
//!   an order of value d in instrument i:  variance  v + 2 d s_i + d^2 S_ii
//!                                         correlation  sign(d) s_i / (sqrt(S_ii) sqrt(v))
//!                                         shortfall  <= ES(w) + |d| ES_i
//! ```
//!
//! A tool, not a stage: no port, no clock, no domain beyond [`bot4_types`]. Values are `f64` in the
//! reporting asset; this is the statistics of risk, while positions and limits of money stay
//! integers in the ledger. Every table is made at construction for its number of instruments (256
//! at most); nothing later allocates.
//!
//! # What is assumed
//! * Returns are **simple**, `(p - q) / q`, over one second: only correctly rounded operations, so
//!   every machine computes the same bits (a logarithm would not promise that), and the P&L of a
//!   position is its value times the return, without an approximation.
//! * The horizon is **one hour**, from seconds by the square root of time ([`HORIZON`] = 60). That
//!   holds for independent returns of one distribution. Trending hours are worse than that,
//!   mean-reverting ones better; the bounce between bid and ask, which seconds show and hours do
//!   not, errs to the safe side.
//! * Where seconds were missed, the return over the whole gap counts as one second's: too much,
//!   never too little.
//! * A mean return of zero (RiskMetrics, 1996): at a second it is far below the noise.
//!
//! # What is not known is taken for the worst
//! * Before the first return the matrix is that of the *fallback volatility* with all correlations
//!   one; each sample forgets three per cent of it.
//! * An instrument without a mark moves by one standard deviation, in the direction in which its
//!   covariances with the others point: its risk stays instead of fading away, and the matrix
//!   stays positive semidefinite.
//! * An instrument with fewer returns than `history_min` counts at least the fallback's shortfall:
//!   what its own returns lack of that is added without any offset.
//! * A value that is not a number leaves the old one in place and makes every answer
//!   [infinite](f64::INFINITY), so that a comparison with a limit fails.
//!
//! # Cost
//! An order O(1). A change of a position O(instruments + scenarios), a few hundred nanoseconds. A
//! sample O(instruments^2), once a second. The exact tail O(scenarios).
//!
//! [`naive`] recomputes all of it from the whole history of returns; `tests/twin.rs` compares.

mod column_state;
mod covariance;
pub mod naive;
mod portfolio;
pub mod sizing;
mod tail;
mod worst;

pub use portfolio::{Measures, Portfolio, PortfolioConfig};
pub use sizing::{Caps, Stake};

/// Seconds of the grid into the horizon of one hour: the square root of 3,600.
pub const HORIZON: f64 = 60.0;
/// Scenarios kept: seventeen minutes of seconds, the worst ten of which are the one per cent tail.
pub const HISTORY: usize = 1_024;
/// One return in so many belongs to the tail: a level of 99 %.
pub const TAIL_ONE_IN: usize = 100;
/// Expected shortfall at 99 % of a normal distribution in standard deviations: density at the
/// quantile 2.3263, over 0.01.
pub const NORMAL_SHORTFALL: f64 = 2.665_214_220_345_808;
/// Changes of the kept sums before they are computed anew.
pub const ANCHOR_EVERY: u32 = 1_000;

/// How many of `samples` returns are the tail whose mean is the expected shortfall: one in a
/// hundred, rounded down (fewer and worse ones), at least one.
#[must_use]
pub const fn tail_len(samples: usize) -> usize {
    let len = samples / TAIL_ONE_IN;
    if len == 0 { 1 } else { len }
}

//! Which instructions to use: detected once, forced on request, never assumed.

use crate::kernels::{
    Change, Dot, Each, Elementwise, Ema, EwmaVariance, Imbalance, Microprice, Operation,
};
use crate::vector::Scalar8;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain scalar instructions: every CPU.
    Scalar,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Level {
    /// All levels, slowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// This CPU and operating system can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// The kernels at one level. Invariant: the level is available on this CPU, checked by the only
/// constructors. Copy it into the agent that uses it; a call costs one predictable branch.
///
/// All slices of one call have one length; a kernel panics otherwise (a bug of the caller, not
/// reachable by data). No alignment is needed, but see [`crate::Column`]. No kernel allocates.
///
/// ```
/// let kernels = bot4_simd::Kernels::best();
/// let mut average = [100.0, 50.0];
/// kernels.ema(&mut average, &[110.0, f64::NAN], &[0.5, 0.0]);
/// assert_eq!(average, [105.0, 50.0]); // a weight of zero holds, even beside a NaN
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    level: Level,
}

impl Kernels {
    /// The fastest level of this CPU.
    #[must_use]
    pub fn best() -> Self {
        let level = Level::ALL.into_iter().rev().find(|l| l.is_available());
        Self { level: level.unwrap_or(Level::Scalar) }
    }

    /// The kernels at `level`, or `None` where this CPU cannot run it.
    #[must_use]
    pub fn at(level: Level) -> Option<Self> {
        level.is_available().then_some(Self { level })
    }

    /// The level in use.
    #[must_use]
    pub const fn level(self) -> Level {
        self.level
    }

    /// Exponential moving averages: `average[i] += alpha[i] * (x[i] - average[i])`, fused.
    /// A weight of exactly zero holds the lane, whatever its `x`; a weight of one seeds it.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn ema(self, average: &mut [f64], x: &[f64], alpha: &[f64]) {
        self.each(Ema, average, [x, alpha]);
    }

    /// Realised variances: `v[i] = (1 - alpha[i]) v[i] + alpha[i] change[i]^2`. A weight of
    /// exactly zero holds the lane; a variance that is not negative stays so.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn ewma_variance(self, variance: &mut [f64], change: &[f64], alpha: &[f64]) {
        self.each(EwmaVariance, variance, [change, alpha]);
    }

    /// Queue imbalances: `(bid_qty - ask_qty) / (bid_qty + ask_qty)`, zero where both are zero.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn imbalance(self, out: &mut [f64], bid_qty: &[f64], ask_qty: &[f64]) {
        self.each(Imbalance, out, [bid_qty, ask_qty]);
    }

    /// Microprices: bid and ask weighed by the other side's quantity; the middle where both
    /// quantities are zero.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn microprice(
        self,
        out: &mut [f64],
        bid: &[f64],
        ask: &[f64],
        bid_qty: &[f64],
        ask_qty: &[f64],
    ) {
        self.each(Microprice, out, [bid, ask, bid_qty, ask_qty]);
    }

    /// Relative changes: `(x - before) / before`, zero where `before` is zero.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn change(self, out: &mut [f64], x: &[f64], before: &[f64]) {
        self.each(Change, out, [x, before]);
    }

    /// The dot product, summed in one fixed order at every level; zero for empty slices.
    ///
    /// # Panics
    /// When the lengths differ.
    #[must_use]
    pub fn dot(self, a: &[f64], b: &[f64]) -> f64 {
        self.run(Dot { a, b })
    }

    #[inline]
    pub(crate) fn each<O: Elementwise<N>, const N: usize>(
        self,
        of: O,
        out: &mut [f64],
        inputs: [&[f64]; N],
    ) {
        self.run(Each { of, out, inputs });
    }

    #[inline]
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the constructors admit a level only where the CPU has it.
            Level::Avx512 => unsafe { with_avx512(operation) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the constructors admit a level only where the CPU has it.
            Level::Avx2 => unsafe { with_avx2(operation) },
            // SAFETY: the scalar level has no instructions that a CPU could lack.
            _ => unsafe { operation.run::<Scalar8>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn with_avx512<O: Operation>(operation: O) -> O::Output {
    // SAFETY: this function is compiled for, and only callable with, AVX-512F.
    unsafe { operation.run::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<O: Operation>(operation: O) -> O::Output {
    // SAFETY: this function is compiled for, and only callable with, AVX2 and FMA.
    unsafe { operation.run::<Avx2>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_is_the_highest_available_and_force_is_checked() {
        let best = Kernels::best().level();
        for level in Level::ALL {
            assert_eq!(
                Kernels::at(level).map(Kernels::level),
                level.is_available().then_some(level)
            );
            assert!(!level.is_available() || level <= best);
        }
        assert!(Level::Scalar.is_available());
    }
}

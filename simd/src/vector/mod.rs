//! Eight lanes of `f64` on three instruction sets. The only folder with intrinsics of numbers.
//!
//! Every method is one correctly rounded operation a lane, so any two implementations give the
//! same bits (but for the payload of a NaN, which [`Vector::settled`] makes canonical).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use scalar::Scalar8;

use crate::LANES;

/// Eight numbers in memory.
pub(crate) type Block = [f64; LANES];

/// Eight lanes. All methods are unsafe for one reason only: the CPU must have the
/// implementation's instructions. `#[inline(always)]` is needed, not a hint: the methods must
/// melt into the `#[target_feature]` wrapper to be compiled with its instructions.
///
/// # Safety
/// Callers of any method promise that the CPU has the instructions of `Self`.
pub(crate) trait Vector: Copy {
    /// There are registers for 16 accumulators of eight lanes and what feeds them, not only for
    /// four. Decides how many rows a kernel takes at once, never an order of summation.
    const WIDE: bool;

    /// Reads eight lanes; no alignment needed.
    unsafe fn load(from: &Block) -> Self;
    /// Writes eight lanes; no alignment needed.
    unsafe fn store(self, to: &mut Block);
    /// `value` in every lane.
    unsafe fn splat(value: f64) -> Self;
    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// `self - b`.
    unsafe fn sub(self, b: Self) -> Self;
    /// `self * b`.
    unsafe fn mul(self, b: Self) -> Self;
    /// `self / b`.
    unsafe fn div(self, b: Self) -> Self;
    /// `self * b + c`, rounded once.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// `self * b - c`, rounded once.
    unsafe fn fms(self, b: Self, c: Self) -> Self;
    /// The square root.
    unsafe fn sqrt(self) -> Self;
    /// `then` in lanes where `self` is zero of either sign, else `otherwise` (NaN is not zero).
    unsafe fn where_zero(self, then: Self, otherwise: Self) -> Self;
    /// `then` in lanes where `self` is less than `b`, else `otherwise` (NaN is not less).
    unsafe fn where_less(self, b: Self, then: Self, otherwise: Self) -> Self;
    /// Lane `i` of row `j` becomes lane `j` of row `i`.
    unsafe fn transposed(rows: [Self; LANES]) -> [Self; LANES];
    /// Lane `i` is the sum over the lanes of row `i`, in the order a halving of registers would
    /// take: `((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))`.
    #[inline(always)]
    unsafe fn sums(rows: [Self; LANES]) -> Self {
        // SAFETY: the caller promises the instructions of `Self`.
        unsafe {
            let l = Self::transposed(rows);
            let even = l[0].add(l[4]).add(l[2].add(l[6]));
            even.add(l[1].add(l[5]).add(l[3].add(l[7])))
        }
    }
    /// Some lane is NaN.
    unsafe fn any_nan(self) -> bool;
    /// Every NaN replaced by the canonical quiet NaN.
    unsafe fn settled(self) -> Self;
}

/// The canonical quiet NaN: positive, payload zero.
pub(crate) const NAN_BITS: u64 = 0x7FF8_0000_0000_0000;

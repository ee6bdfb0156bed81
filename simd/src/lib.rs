//! Numeric kernels over `f64` slices: each algorithm written once, run with AVX-512, AVX2 or
//! plain scalar instructions, and **bitwise equal on all of them**.
//!
//! ```text
//!   Kernels::best()          detected once, a Copy value that an agent keeps
//!        |  .ema(..) .microprice(..) .dot(..) .quadratic(..) .rank1(..) .correlation(..)
//!        v
//!   dispatch  --match on Level-->  #[target_feature] wrapper   (thin, no arithmetic)
//!                                        | inlines
//!                                        v
//!                          kernels/<name>.rs, generic over Vector   (the arithmetic, once)
//!                                        | inlines
//!                                        v
//!               Vector:  Scalar8 [f64; 8]  |  Avx2 2 x __m256d  |  Avx512 __m512d
//! ```
//!
//! # Why the levels agree to the last bit
//! A backtest on one machine and a live run on another must take the same decisions. So:
//! * There are always **eight logical lanes**, whatever the register width. A sum is eight lane
//!   sums, in an order that each kernel states, joined by one fixed tree. How many rows are
//!   worked on at once depends on the registers; the order of a row's sum does not.
//! * Every product followed by a sum is a **fused multiply-add**, the scalar level included
//!   ([`f64::mul_add`]). Only correctly rounded operations are used: add, subtract, multiply,
//!   divide, root, fma, compare. No reciprocal estimates, no minimum or maximum (they disagree
//!   about NaN).
//! * A tail shorter than eight runs through the same lanes, padded with zeros.
//! * A NaN result is written as *the* canonical quiet NaN. The payload of a computed NaN is the
//!   only thing IEEE 754 leaves open, and instruction sets use that freedom.
//!
//! # Across instruments, never along time
//! Recurrences (moving averages, variances) are vectorised over *columns*: lane `i` belongs to
//! instrument `i`. The recurrence itself is serial; unrolling it over time would change its
//! rounding. A weight of exactly zero in [`Kernels::ema`] and [`Kernels::ewma_variance`] holds the
//! lane untouched, even beside a NaN, so a caller updates only the columns that moved by clearing
//! the weights of all others.
//!
//! # Cost
//! Streaming kernels are bound by loads and stores: 64-byte alignment matters more than width
//! (unaligned 512-bit loads cost about twice the aligned ones). [`Column`] is aligned and padded
//! to whole blocks, so its kernels have no tail. The scalar level calls the platform's `fma`
//! where the baseline has no instruction for it: right, and slow.
//!
//! # Beside the numbers
//! [`TextKernels`] runs scanners of text at a level: where bytes stand among 64, what number
//! sixteen digits are. [`marks`] finds quotes and digits in sixteen bytes. Exact by nature, so
//! equal everywhere.
//!
//! # Adding a kernel
//! One file under `kernels/` (an `Elementwise` operation with its formula, or an `Operation` of
//! its own shape), one method on [`Kernels`], one row in the test runner with its naive oracle
//! and the error bound between the two.

mod column;
mod dispatch;
mod kernels;
mod marks;
mod matrix;
mod tail;
mod text;
mod vector;

pub use column::Column;
pub use dispatch::{Kernels, Level};
pub use marks::{Marks, marks};
pub use tail::tail_mean;
pub use text::{DIGITS_MAX, DIGITS_WINDOW, Look, TEXT_WINDOW, TextKernels, TextTask};

/// Logical lanes of every kernel: one 512-bit register of `f64`, one cache line.
pub const LANES: usize = 8;

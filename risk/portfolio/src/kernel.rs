//! The loops over columns. Each sum has one fixed order and every product followed by a sum is a
//! fused multiply-add, as in [`bot4_simd`]: the same bits on every machine.

use bot4_simd::Kernels;

/// `y += a x`.
pub(crate) fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

/// `m = keep m + add x x'`, rows of `x.len()`.
pub(crate) fn rank1(m: &mut [f64], x: &[f64], keep: f64, add: f64) {
    for (row, xi) in m.chunks_exact_mut(x.len().max(1)).zip(x) {
        let scaled = add * xi;
        for (cell, xj) in row.iter_mut().zip(x) {
            *cell = scaled.mul_add(*xj, keep * *cell);
        }
    }
}

/// `out = m x`, rows of `x.len()`.
pub(crate) fn mat_vec(kernels: Kernels, out: &mut [f64], m: &[f64], x: &[f64]) {
    for (out, row) in out.iter_mut().zip(m.chunks_exact(x.len().max(1))) {
        *out = kernels.dot(row, x);
    }
}

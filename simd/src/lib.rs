//! bot4-simd

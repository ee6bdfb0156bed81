//! A column of numbers, one for each instrument: aligned to cache lines and padded to whole
//! blocks of lanes, so kernels over columns have no tail and never split a line.

use std::ops::{Deref, DerefMut};

use crate::LANES;

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Block([f64; LANES]);

const _: () = assert!(size_of::<Block>() == size_of::<[f64; LANES]>());

/// An aligned, padded column. It derefs to a slice whose length is the requested one rounded up
/// to a multiple of [`LANES`]; the padding is ordinary numbers. Never grows.
#[derive(Clone, Debug, Default)]
pub struct Column {
    blocks: Box<[Block]>,
}

impl Column {
    /// At least `len` numbers, all `value`. Allocates once.
    #[must_use]
    pub fn new(len: usize, value: f64) -> Self {
        Self { blocks: vec![Block([value; LANES]); len.div_ceil(LANES)].into_boxed_slice() }
    }
}

impl Deref for Column {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        // SAFETY: a `Block` is exactly `LANES` numbers without padding (asserted above) and
        // `repr(C)`, so `blocks.len() * LANES` initialised numbers lie behind the pointer; the
        // slice borrows `self`, so nobody frees or writes them meanwhile.
        unsafe {
            std::slice::from_raw_parts(self.blocks.as_ptr().cast(), self.blocks.len() * LANES)
        }
    }
}

impl DerefMut for Column {
    fn deref_mut(&mut self) -> &mut [f64] {
        // SAFETY: as in `deref`; the slice borrows `self` mutably, so it is the only access.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.blocks.as_mut_ptr().cast(),
                self.blocks.len() * LANES,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_padded_and_writable() {
        for len in [0, 1, 7, 8, 9, 64, 65] {
            let mut column = Column::new(len, 2.5);
            assert_eq!(column.len(), len.div_ceil(LANES) * LANES);
            assert_eq!(column.as_ptr() as usize % 64, 0);
            for (i, v) in column.iter_mut().enumerate() {
                assert_eq!(*v, 2.5);
                *v = i as f64;
            }
            assert!(column.iter().enumerate().all(|(i, v)| *v == i as f64));
        }
    }
}

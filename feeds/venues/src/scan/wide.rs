//! The same by wide looks: where numbers and names end is seen among 64 bytes at once, and a number
//! is read whole, its point left out.
//!
//! A level is found by one look for what ends its numbers and one for points; the next level need
//! not wait for its numbers. Nothing moves when the text is anything else. Cost: about 6 ns a
//! level.

use bot4_simd::{DIGITS_MAX, DIGITS_WINDOW, Look, TEXT_WINDOW};
use bot4_types::Level;

use super::short::LevelShape;
use super::{Cursor, POW10};

/// The place of the mark behind `count` others; 64 when there is none.
#[inline(always)]
fn place_after(marks: u64, count: u32) -> usize {
    let mut marks = marks;
    for _ in 0..count {
        marks &= marks.wrapping_sub(1);
    }
    marks.trailing_zeros() as usize
}

/// Digits that an `i64` holds whatever they are.
const UNITS_DIGITS_MAX: u32 = 18;

impl<'a, L: Look> Cursor<'a, L> {
    #[inline(always)]
    pub(super) fn text_window(&self) -> Option<&'a [u8; TEXT_WINDOW]> {
        self.bytes.get(self.at..)?.first_chunk()
    }

    /// A level of two numbers and the place behind it; `None` when the text is anything else, or
    /// longer than a window.
    #[inline(always)]
    pub(super) fn level_wide<S: LevelShape>(
        &self,
        price_decimals: u8,
        qty_decimals: u8,
    ) -> Option<(Level, usize)> {
        let window = self.text_window()?;
        let price_ends = self.look.find(window, S::BETWEEN[0]);
        let qty_ends = self.look.find(window, S::CLOSE[0]);
        let dots = self.look.find(window, b'.');
        let open = S::OPEN.len();
        // Both at once: neither end waits for the other. Beyond the window where there is none.
        let [before_price, before_qty] = S::BEFORE_ENDS;
        let price_end = place_after(price_ends, before_price);
        let qty_end = place_after(qty_ends, before_qty);
        let between = price_end + S::BETWEEN.len();
        // Lengths that make no sense are refused with the number.
        let price_len = price_end.wrapping_sub(open) as u32;
        let qty_len = qty_end.wrapping_sub(between) as u32;
        let close = qty_end + S::CLOSE.len();
        let text = self.bytes.get(self.at..self.at + close)?;
        let fits = (qty_end < TEXT_WINDOW)
            & (text.get(..open)? == S::OPEN)
            & (text.get(price_end..between)? == S::BETWEEN)
            & (text.get(qty_end..)? == S::CLOSE);
        if !fits {
            return None;
        }
        let price = self.number::<S>(
            self.at + open,
            price_len,
            dots.wrapping_shr(open as u32),
            price_decimals,
        )?;
        let qty = self.number::<S>(
            self.at + between,
            qty_len,
            dots.wrapping_shr(between as u32),
            qty_decimals,
        )?;
        Some((Level { price, qty }, self.at + close))
    }

    /// The number of `len` bytes at `from`, bit `i` of `dots` a point at its byte `i`: at least
    /// one digit, and at least one behind its point, where it has one. Bare ones have no leading
    /// zero.
    #[inline(always)]
    fn number<S: LevelShape>(&self, from: usize, len: u32, dots: u64, decimals: u8) -> Option<i64> {
        let whole = dots.trailing_zeros().min(len);
        // A point at the end is taken for a digit by this and refused.
        let behind = len.wrapping_sub(whole).saturating_sub(1);
        let count = whole.wrapping_add(behind);
        let decimals = u32::from(decimals);
        let end = from.wrapping_add(len as usize);
        let text = self.bytes.get(end.wrapping_sub(DIGITS_WINDOW)..end)?.first_chunk()?;
        let scale = *POW10.get(decimals.wrapping_sub(behind) as usize)?;
        let zero_led = S::BARE && (whole > 1) & (*self.bytes.get(from)? == b'0');
        let fits = (whole != 0)
            & (count <= DIGITS_MAX)
            & (whole.wrapping_add(decimals) <= UNITS_DIGITS_MAX)
            & !zero_led;
        if !fits {
            return None;
        }
        let digits = self.look.digits(text, count, behind)?;
        Some(digits.wrapping_mul(scale) as i64)
    }

    /// The rest of a quoted number, its closing quote taken.
    #[inline(always)]
    pub(super) fn quoted_wide(&mut self, decimals: u8) -> Option<i64> {
        use super::short::QuotedPair;
        let window = self.text_window()?;
        let len = self.look.find(window, b'"').trailing_zeros();
        let dots = self.look.find(window, b'.');
        if len as usize >= TEXT_WINDOW {
            return None;
        }
        let units = self.number::<QuotedPair>(self.at, len, dots, decimals)?;
        self.at += len as usize + 1;
        Some(units)
    }

    /// A bare number that a comma follows.
    #[inline(always)]
    pub(super) fn bare_wide(&mut self, decimals: u8) -> Option<i64> {
        use super::short::NamedBare;
        let window = self.text_window()?;
        let len = self.look.find(window, b',').trailing_zeros();
        let dots = self.look.find(window, b'.');
        if len as usize >= TEXT_WINDOW {
            return None;
        }
        let units = self.number::<NamedBare>(self.at, len, dots, decimals)?;
        self.at += len as usize;
        Some(units)
    }

    /// The rest of a name that ends in the window, its closing quote taken.
    #[inline(always)]
    pub(super) fn name_wide(&mut self) -> Option<&'a [u8]> {
        let window = self.text_window()?;
        let quotes = self.look.find(window, b'"');
        let before = quotes.wrapping_sub(1) & !quotes;
        if (quotes == 0) | (self.look.odd(window) & before != 0) {
            return None;
        }
        let len = quotes.trailing_zeros() as usize;
        self.at += len + 1;
        window.get(..len)
    }
}

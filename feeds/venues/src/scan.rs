//! A cursor for text whose shape is known: exact keys, exact order, no blanks.
//!
//! Every step answers `None` at the smallest deviation and the caller hands the message to the
//! general reader; so the scanner never has to decide what is wrong. It accepts only text that
//! the general reader accepts with the same meaning. Words of eight bytes are examined at once
//! (SWAR), in safe code. Cost: about 10 ns for a level of two numbers.
//!
//! The cursor may look beyond the end of the message into the padding, where older messages may
//! have left anything. That is harmless, because it only moves forward and [`Cursor::finish`]
//! demands that it stands exactly at the end.

use bot4_simd::Look;
use bot4_types::Level;
use bot4_types::text::parse_units;

use crate::symbols::same;

mod dispatch;
mod fixed;
mod guess;
mod short;
mod wide;

pub use dispatch::{Scanner, scan_at};
pub(crate) use fixed::Masked;
pub use short::{LevelShape, NamedBare, QuotedCounted, QuotedPair, QuotedUpdate};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Longest number text worth reading; no venue prints more.
const NUMBER_LEN_MAX: usize = 48;
/// Longest stream name in bytes.
const NAME_LEN_MAX: usize = 128;
/// Digits that are read at once before and after the dot.
const CHUNK_DIGITS: u32 = 8;

/// Powers of ten.
pub(crate) const POW10: [u64; 11] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// Marks the bytes of `word` that are not digits, exactly.
#[inline]
pub(crate) const fn non_digits(word: u64) -> u64 {
    let x = word ^ ZEROS;
    // A digit is now 0..=9. The sum cannot carry into the next byte.
    (((x & !HIGH) + 0x7676_7676_7676_7676) | x) & HIGH
}

/// Marks the zero bytes of `word`; the lowest mark is exact, marks above it may be false.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// The number of eight digits, first digit in the lowest byte; zero bytes count as the digit 0.
#[inline(always)]
pub(crate) const fn eight_digits(word: u64) -> u64 {
    // Each product adds a digit, pair or quad, times its power, to the next one above it.
    let pairs = (word & 0x0F0F_0F0F_0F0F_0F0F).wrapping_mul(10 * 256 + 1) >> 8;
    let quads = (pairs & 0x00FF_00FF_00FF_00FF).wrapping_mul(100 * 65_536 + 1) >> 16;
    (quads & 0x0000_FFFF_0000_FFFF).wrapping_mul((10_000 << 32) + 1) >> 32
}

/// The number of the first `count` (1 to 8) bytes of `word`, which are digits.
#[inline(always)]
const fn leading_digits(word: u64, count: u32) -> u64 {
    // Shifts the digits to the end, zeros in front. Wrapping: no checks needed.
    eight_digits(word.wrapping_shl(64u32.wrapping_sub(count.wrapping_mul(8))))
}

/// How many digits `word` starts with.
#[inline(always)]
const fn digit_count(word: u64) -> u32 {
    // A digit is now 0..=9. Carries go up only: the lowest mark is exact.
    let x = word ^ ZEROS;
    let marks = (x.wrapping_add(0x7676_7676_7676_7676) | x) & HIGH;
    // Without a mark all 64 bits are zero: eight digits.
    marks.trailing_zeros() / 8
}

/// The units of a number whose whole part is the first `count` (1 to 8) digits of `head` and
/// whose eight decimals are `tail`. Below 10^16, because both parts have eight digits at most.
#[inline(always)]
const fn joined(head: u64, count: u32, tail: u64) -> i64 {
    leading_digits(head, count).wrapping_mul(POW10[8]).wrapping_add(eight_digits(tail)) as i64
}

/// Bytes that a level of usual digits and the byte behind it take at most: 2 + 17 + 3 + 17 + 3.
const LEVEL_WINDOW: usize = 42;

/// A place in a message.
#[derive(Clone, Debug)]
pub struct Cursor<'a, L> {
    look: L,
    bytes: &'a [u8],
    end: usize,
    at: usize,
}

impl<'a, L: Look> Cursor<'a, L> {
    /// A cursor at the start of the message `bytes[..len]`; what follows is padding.
    #[must_use]
    #[inline(always)]
    pub fn new(look: L, bytes: &'a [u8], len: usize) -> Self {
        Self { look, bytes, end: len.min(bytes.len()), at: 0 }
    }

    /// By what it looks.
    #[inline(always)]
    pub const fn look(&self) -> L {
        self.look
    }

    /// Exactly `text` is next.
    #[inline(always)]
    pub fn expect(&mut self, text: &[u8]) -> Option<()> {
        let next = self.at + text.len();
        (self.bytes.get(self.at..next)? == text).then(|| self.at = next)
    }

    /// Exactly `text`, whose length is known only now, is next.
    #[inline(always)]
    pub fn expect_name(&mut self, text: &[u8]) -> Option<()> {
        let next = self.at + text.len();
        same(self.bytes.get(self.at..next)?, text).then(|| self.at = next)
    }

    /// `text` is next and is taken, or nothing happens.
    #[inline(always)]
    pub fn take(&mut self, text: &[u8]) -> bool {
        self.expect(text).is_some()
    }

    /// The next byte, taken.
    #[inline(always)]
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The cursor stands exactly at the end of the message.
    #[inline(always)]
    pub fn finish(&self) -> Option<()> {
        (self.at == self.end).then_some(())
    }

    /// An unsigned integer of at most 18 digits without leading zeros.
    #[inline(always)]
    pub fn integer(&mut self) -> Option<u64> {
        if let Some(value) = self.integer_usual() {
            return Some(value);
        }
        self.integer_any()
    }

    /// An integer of at most 15 digits. Does not move when the text is anything else. Branches on
    /// the first word: at one place of a message integers have nearly always as many digits.
    #[inline(always)]
    fn integer_usual(&mut self) -> Option<u64> {
        let window: &[u8; 16] = self.bytes.get(self.at..)?.first_chunk()?;
        let head = u64::from_le_bytes(*window.first_chunk()?);
        let count = digit_count(head);
        if count < 8 {
            let is_usual = (count != 0) & ((count == 1) | (head as u8 != b'0'));
            self.at += if is_usual { count as usize } else { 0 };
            return is_usual.then(|| leading_digits(head, count));
        }
        let tail = u64::from_le_bytes(*window.last_chunk()?);
        let more = digit_count(tail);
        if (more == 8) | (head as u8 == b'0') {
            return None;
        }
        self.at += 8 + more as usize;
        // Twice, because a shift by 64 would be one by zero: no more digits, nothing to add.
        let shift = 32u32.wrapping_sub(more.wrapping_mul(4));
        let rest = eight_digits(tail.wrapping_shl(shift).wrapping_shl(shift));
        Some(eight_digits(head).wrapping_mul(POW10[(more & 7) as usize]).wrapping_add(rest))
    }

    /// As [`Cursor::integer`], word by word.
    fn integer_any(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0u64;
        loop {
            let word = self.word(self.at)?;
            let count = digit_count(word);
            if count > 0 {
                if self.at - start + count as usize > 18 {
                    return None;
                }
                value = value * POW10[count as usize] + leading_digits(word, count);
                self.at += count as usize;
            }
            if count < 8 {
                break;
            }
        }
        let digits = self.at - start;
        let leading_zero = digits > 1 && self.bytes.get(start) == Some(&b'0');
        (digits > 0 && !leading_zero).then_some(value)
    }

    /// `true` or `false`.
    #[inline(always)]
    pub fn truth(&mut self) -> Option<bool> {
        if self.take(b"true") {
            return Some(true);
        }
        self.expect(b"false").map(|()| false)
    }

    /// The rest of a string of printable ASCII without escapes, its closing quote taken.
    #[inline(always)]
    pub fn name(&mut self) -> Option<&'a [u8]> {
        if self.look.is_wide()
            && let Some(name) = self.name_wide()
        {
            return Some(name);
        }
        self.name_any()
    }

    /// As [`Cursor::name`], word by word.
    fn name_any(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        while self.at - start <= NAME_LEN_MAX {
            let word = self.word(self.at)?;
            let quote = zero_bytes(word ^ (ONES * b'"' as u64));
            let escape = zero_bytes(word ^ (ONES * b'\\' as u64));
            let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
            let marks = quote | escape | control | (word & HIGH);
            if marks == 0 {
                self.at += 8;
                continue;
            }
            let stop = self.at + (marks.trailing_zeros() / 8) as usize;
            self.at = stop + 1;
            return (self.bytes.get(stop) == Some(&b'"')).then(|| &self.bytes[start..stop]);
        }
        None
    }

    /// The rest of a string that holds a decimal number, its closing quote taken, in units of
    /// 10^-`decimals`. Not negative.
    #[inline(always)]
    pub fn decimal(&mut self, decimals: u8) -> Option<i64> {
        if decimals as u32 == CHUNK_DIGITS
            && let Some(value) = self.decimal_8()
        {
            return Some(value);
        }
        if self.look.is_wide() {
            return self.quoted(decimals);
        }
        if let Some(value) = self.decimal_short(decimals) {
            return Some(value);
        }
        self.decimal_any(decimals)
    }

    /// The rest of a string that holds an unsigned integer of at most 18 digits without leading
    /// zeros, its closing quote taken (numbers, times and counts of venues that quote them).
    #[inline(always)]
    pub fn integer_text(&mut self) -> Option<u64> {
        let value = self.integer()?;
        self.expect(b"\"")?;
        Some(value)
    }

    /// A signed integer of at most 18 digits without leading zeros.
    #[inline(always)]
    pub fn signed(&mut self) -> Option<i64> {
        let negative = self.take(b"-");
        let value = self.integer()? as i64;
        match (negative, value) {
            (true, 0) => None,
            (true, _) => Some(-value),
            (false, _) => Some(value),
        }
    }

    /// A `["price","quantity"]` pair.
    #[inline(always)]
    pub fn level(&mut self, price_decimals: u8, qty_decimals: u8) -> Option<Level> {
        self.expect(b"[\"")?;
        let price = self.decimal(price_decimals)?;
        self.expect(b",\"")?;
        let qty = self.decimal(qty_decimals)?;
        self.expect(b"]")?;
        Some(Level { price, qty })
    }

    /// The rest of a list of levels, its closing bracket taken; the count of levels, which go to
    /// the front of `out`. `None` also when `out` is too small.
    #[inline(always)]
    pub fn levels(
        &mut self,
        price_decimals: u8,
        qty_decimals: u8,
        out: &mut [Level],
    ) -> Option<usize> {
        // Where all decimals are printed, nothing must be searched: no look is faster.
        if (price_decimals as u32, qty_decimals as u32) != (CHUNK_DIGITS, CHUNK_DIGITS) {
            return self.levels_of::<QuotedPair>(price_decimals, qty_decimals, out);
        }
        if self.take(b"]") {
            return Some(0);
        }
        for (i, place) in out.iter_mut().enumerate() {
            *place = match self.level_8() {
                Some(level) => level,
                None => self.level(price_decimals, qty_decimals)?,
            };
            match self.byte()? {
                b',' => {}
                b']' => return Some(i + 1),
                _ => return None,
            }
        }
        None
    }

    /// A level of two numbers of usual digits, by one look at a window of the text. Does not move
    /// when the text is anything else. All conditions meet in one branch.
    #[inline(always)]
    fn level_8(&mut self) -> Option<Level> {
        let window: &[u8; LEVEL_WINDOW] = self.bytes.get(self.at..)?.first_chunk()?;
        let word = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(*window.get(at..)?.first_chunk()?))
        };
        let price_head = word(2)?;
        let price_digits = digit_count(price_head);
        let price_dot = 2 + price_digits as usize;
        let price_tail = word(price_dot + 1)?;
        let qty_head = word(price_dot + 12)?;
        let qty_digits = digit_count(qty_head);
        let qty_dot = price_dot + 12 + qty_digits as usize;
        let qty_tail = word(qty_dot + 1)?;
        let between = [window[price_dot + 9], window[price_dot + 10], window[price_dot + 11]];
        let fits = (window[..2] == *b"[\"")
            & (price_digits != 0)
            & (window[price_dot] == b'.')
            & (between == *b"\",\"")
            & (qty_digits != 0)
            & (window[qty_dot] == b'.')
            & (window[qty_dot + 9..qty_dot + 11] == *b"\"]")
            & ((non_digits(price_tail) | non_digits(qty_tail)) == 0);
        if !fits {
            return None;
        }
        self.at += qty_dot + 11;
        Some(Level {
            price: joined(price_head, price_digits, price_tail),
            qty: joined(qty_head, qty_digits, qty_tail),
        })
    }

    /// One to eight digits, a dot, eight digits, a quote: what Binance always prints. Does not
    /// move when the text is anything else.
    #[inline(always)]
    fn decimal_8(&mut self) -> Option<i64> {
        let head = self.word(self.at)?;
        let count = digit_count(head);
        if count == 0 {
            return None;
        }
        let dot = self.at + count as usize;
        let tail = self.bytes.get(dot..dot + 10)?;
        let fraction = u64::from_le_bytes(tail[1..9].try_into().ok()?);
        if tail[0] != b'.' || tail[9] != b'"' || non_digits(fraction) != 0 {
            return None;
        }
        self.at = dot + 10;
        Some(joined(head, count, fraction))
    }

    /// One to eight digits, perhaps a dot and at most as many digits as the unit has, a quote: what
    /// venues print that cut trailing zeros. Does not move when the text is anything else. Branches
    /// on each part: of two numbers of the same field one is nearly always like the other, and
    /// levels with many decimals take 30 % less time than by [`Cursor::quoted`].
    #[inline(always)]
    fn decimal_short(&mut self, decimals: u8) -> Option<i64> {
        let head = self.word(self.at)?;
        let whole = digit_count(head);
        if whole == 0 {
            return None;
        }
        let dot = self.at + whole as usize;
        // Below 10^18: a head below 10^8, a power of at most 10^10.
        let units = leading_digits(head, whole) * *POW10.get(decimals as usize)?;
        match *self.bytes.get(dot)? {
            b'"' => {
                self.at = dot + 1;
                return Some(units as i64);
            }
            b'.' => {}
            _ => return None,
        }
        let tail = self.word(dot + 1)?;
        let count = digit_count(tail);
        let quote = dot + 1 + count as usize;
        if count == 0 || count > u32::from(decimals) || self.bytes.get(quote) != Some(&b'"') {
            return None;
        }
        self.at = quote + 1;
        let rest = POW10.get(decimals as usize - count as usize)?;
        Some((units + leading_digits(tail, count) * rest) as i64)
    }

    /// Any other length, by the reference parser.
    #[cold]
    fn decimal_any(&mut self, decimals: u8) -> Option<i64> {
        let rest = self.bytes.get(self.at..self.end)?;
        let len = rest.iter().take(NUMBER_LEN_MAX).position(|c| *c == b'"')?;
        let text = &rest[..len];
        if text.first() == Some(&b'-') {
            return None;
        }
        let value = parse_units(text, decimals).ok()?;
        self.at += len + 1;
        Some(value)
    }

    /// Eight bytes at `at`, first byte lowest; zeros behind the last byte there is.
    #[inline(always)]
    fn word(&self, at: usize) -> Option<u64> {
        match self.bytes.get(at..at + 8) {
            Some(word) => Some(u64::from_le_bytes(word.try_into().ok()?)),
            None => self.last_word(at),
        }
    }

    #[cold]
    fn last_word(&self, at: usize) -> Option<u64> {
        let rest = self.bytes.get(at..)?;
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        Some(u64::from_le_bytes(word))
    }
}

/// Any level of this CPU.
#[cfg(test)]
fn looks() -> impl proptest::strategy::Strategy<Value = bot4_simd::TextKernels> {
    proptest::sample::select(bot4_simd::TextKernels::all().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;

//! Text whose every key is known beforehand: only the lengths of its numbers are open.
//!
//! Keys are compared as words under a mask, a number of usual digits takes one look at a window
//! of the text, and all conditions of a step meet in one branch. Nothing moves when the text is
//! anything else. Cost: about 3 ns for an integer, 6 ns for two decimals.

use bot4_simd::Look;
use bot4_types::Level;

use super::{Cursor, POW10, digit_count, eight_digits, joined, leading_digits, non_digits};

/// Bytes that two numbers of usual digits and the keys behind them take at most:
/// 17 + 7 + 17 + 7.
const PAIR_WINDOW: usize = 48;
/// Bytes of the longest key in a pair.
const KEY_LEN_MAX: usize = 7;
/// Bytes that an integer of usual digits takes at most.
const INTEGER_WINDOW: usize = 16;

/// A text of at most `WORDS` times eight bytes that is compared without looking at its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masked<const WORDS: usize> {
    text: [u64; WORDS],
    mask: [u64; WORDS],
    len: usize,
}

impl<const WORDS: usize> Masked<WORDS> {
    /// This text; `None` when it is empty or too long. The empty text would be found everywhere.
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > WORDS * 8 {
            return None;
        }
        let mut held = Self { text: [0; WORDS], mask: [0; WORDS], len: text.len() };
        for (i, byte) in text.iter().enumerate() {
            held.text[i / 8] |= u64::from(*byte) << (i % 8 * 8);
            held.mask[i / 8] |= 0xFF << (i % 8 * 8);
        }
        Some(held)
    }

    /// A text that no text begins with.
    pub const fn never() -> Self {
        Self { text: [u64::MAX; WORDS], mask: [0; WORDS], len: 0 }
    }

    /// Its length in bytes.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// `window`, eight times `WORDS` bytes, begins with the text.
    #[inline(always)]
    pub fn begins(&self, window: &[u8]) -> bool {
        let (words, _) = window.as_chunks::<8>();
        let Some(words) = words.first_chunk::<WORDS>() else { return false };
        let mut differs = u64::from(self.len == 0);
        for ((word, text), mask) in words.iter().zip(&self.text).zip(&self.mask) {
            differs |= (u64::from_le_bytes(*word) ^ text) & mask;
        }
        differs == 0
    }
}

impl<'a, L: Look> Cursor<'a, L> {
    /// A cursor that stands at `at` of the message `bytes[..len]`.
    #[inline(always)]
    pub(crate) const fn standing(look: L, bytes: &'a [u8], len: usize, at: usize) -> Self {
        Self { look, bytes, end: len, at }
    }

    /// The text that was passed.
    #[inline(always)]
    pub(crate) fn passed(&self) -> &'a [u8] {
        self.bytes.get(..self.at).unwrap_or_default()
    }

    #[inline(always)]
    fn window<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.get(self.at..)?.first_chunk()
    }

    /// `text` is next and there are `BYTES` (eight times `WORDS`) bytes to look at.
    #[inline(always)]
    pub(crate) fn known<const WORDS: usize, const BYTES: usize>(
        &mut self,
        text: &Masked<WORDS>,
    ) -> Option<()> {
        text.begins(self.window::<BYTES>()?).then(|| self.at += text.len())
    }

    /// An unsigned integer of 9 to 16 digits without a leading zero. What follows is not looked
    /// at: the caller asks for a byte that is no digit.
    #[inline(always)]
    pub(crate) fn long_integer(&mut self) -> Option<u64> {
        let (head, tail, count) = self.long_digits()?;
        let value = eight_digits(head).wrapping_mul(POW10[count as usize]);
        Some(value.wrapping_add(leading_digits(tail, count)))
    }

    /// As [`Cursor::long_integer`], for integers of no use.
    #[inline(always)]
    pub(crate) fn skip_long_integer(&mut self) -> Option<()> {
        self.long_digits().map(|_| ())
    }

    /// Eight digits and a word that begins with so many more, one to eight.
    #[inline(always)]
    fn long_digits(&mut self) -> Option<(u64, u64, u32)> {
        let window: &[u8; INTEGER_WINDOW] = self.window()?;
        let head = u64::from_le_bytes(*window.first_chunk()?);
        let tail = u64::from_le_bytes(*window.last_chunk()?);
        let count = digit_count(tail);
        if (non_digits(head) != 0) | (count == 0) | (head as u8 == b'0') {
            return None;
        }
        self.at += 8 + count as usize;
        Some((head, tail, count))
    }

    /// Two numbers of one to eight digits, a dot and eight digits; `between` (its first byte the
    /// closing quote of the first) parts them, `close` follows. Keys have seven bytes at most.
    #[inline(always)]
    pub(crate) fn pair_8<const B: usize, const C: usize>(
        &mut self,
        between: &[u8; B],
        close: &[u8; C],
    ) -> Option<Level> {
        const { assert!(B <= KEY_LEN_MAX && C <= KEY_LEN_MAX) };
        let window: &[u8; PAIR_WINDOW] = self.window()?;
        let word = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(*window.get(at..)?.first_chunk()?))
        };
        let price_head = word(0)?;
        let price_digits = digit_count(price_head);
        let price_dot = price_digits as usize;
        let price_tail = word(price_dot + 1)?;
        let parts = window.get(price_dot + 9..)?.first_chunk::<B>()? == between;
        let qty_head = word(price_dot + 9 + B)?;
        let qty_digits = digit_count(qty_head);
        let qty_dot = price_dot + 9 + B + qty_digits as usize;
        let qty_tail = word(qty_dot + 1)?;
        let closes = window.get(qty_dot + 9..)?.first_chunk::<C>()? == close;
        let fits = parts
            & closes
            & (price_digits != 0)
            & (window[price_dot] == b'.')
            & (qty_digits != 0)
            & (window[qty_dot] == b'.')
            & ((non_digits(price_tail) | non_digits(qty_tail)) == 0);
        if !fits {
            return None;
        }
        self.at += qty_dot + 9 + C;
        Some(Level {
            price: joined(price_head, price_digits, price_tail),
            qty: joined(qty_head, qty_digits, qty_tail),
        })
    }

    /// The message ends with `yes`, or with `no`, which is one byte longer; which of them. One
    /// branch for both: which it is cannot be foretold.
    #[inline(always)]
    pub(crate) fn ends<const Y: usize, const N: usize>(
        &self,
        yes: &[u8; Y],
        no: &[u8; N],
    ) -> Option<bool> {
        const { assert!(Y + 1 == N) };
        let window: &[u8; N] = self.window()?;
        let is_yes = window.first_chunk::<Y>()? == yes;
        let is_no = window == no;
        let end = self.at + Y + usize::from(is_no);
        ((is_yes | is_no) & (end == self.end)).then_some(is_yes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::looks;
    use super::*;
    use bot4_types::text::units_to_string;
    use proptest::prelude::*;

    proptest! {
        /// Naive twin: the library's own comparison.
        #[test]
        fn masked_texts_are_found_where_they_are(
            look in looks(),
            text in "[ab]{1,20}", seen in "[ab]{16,24}", at in 0usize..24,
        ) {
            let masked = Masked::<2>::new(text.as_bytes());
            prop_assert_eq!(masked.is_some(), text.len() <= 16);
            let Some(masked) = masked else { return Ok(()) };
            for seen in [seen.clone(), text.clone() + &seen, text.clone()] {
                let bytes = seen.as_bytes();
                let twin = bytes.len() >= 16 && seen.starts_with(&text);
                prop_assert_eq!(masked.begins(bytes), twin);
                let mut cursor = Cursor::standing(look, bytes, bytes.len(), at);
                let twin = bytes.get(at..).is_some_and(|rest| {
                    rest.len() >= 16 && rest.starts_with(text.as_bytes())
                });
                prop_assert_eq!(cursor.known::<2, 16>(&masked).is_some(), twin);
                prop_assert_eq!(cursor.at, if twin { at + text.len() } else { at });
            }
            prop_assert!(!Masked::<2>::never().begins(seen.as_bytes()));
        }

        /// Naive twin: the integer of any length.
        #[test]
        fn long_integers_are_integers(look in looks(), text in "[0-9]{0,19}[,\"x]?", pad in "[0-9,]{0,20}") {
            let padded = format!("{text}{pad}");
            let mut once = Cursor::new(look, padded.as_bytes(), text.len());
            let mut any = once.clone();
            let mut skips = once.clone();
            let twin = any.integer();
            let value = once.long_integer();
            prop_assert_eq!(skips.skip_long_integer().is_some(), value.is_some());
            prop_assert_eq!(skips.at, once.at);
            let digits = padded.bytes().take_while(u8::is_ascii_digit).count();
            if value.is_none() {
                prop_assert_eq!(once.at, 0);
                let usual = (9..=16).contains(&digits) && !padded.starts_with('0');
                prop_assert!(!usual || padded.len() < INTEGER_WINDOW);
            } else if digits <= 16 {
                prop_assert_eq!((value, once.at), (twin, any.at));
            } else {
                prop_assert_eq!(once.at, 16, "a digit is next, which no caller takes");
            }
        }

        /// Two numbers at once are two numbers one by one, whatever byte is damaged.
        #[test]
        fn a_pair_is_two_decimals(
            look in looks(),
            price in 0i64..10_000_000_000_000_000, qty in 0i64..10_000_000_000_000_000,
            at in 0usize..60, pad in 0usize..64,
            byte in prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b'1'), Just(b'.')],
        ) {
            let (price, qty) = (units_to_string(price, 8), units_to_string(qty, 8));
            let mut text = format!("{price}\",\"B\":\"{qty}\",\"a\":").into_bytes();
            let len = text.len();
            text.resize(len + pad, b'7');
            let mut whole = Cursor::new(look, &text, len);
            let has_window = text.len() >= PAIR_WINDOW;
            prop_assert_eq!(whole.pair_8(b"\",\"B\":\"", b"\",\"a\":").is_some(), has_window);
            if let Some(place) = text.get_mut(at) {
                *place = byte;
            }
            let mut once = Cursor::new(look, &text, len);
            let mut parts = once.clone();
            let mut by_parts = || {
                let price = parts.decimal_any(8)?;
                parts.expect(b",\"B\":\"")?;
                let qty = parts.decimal_any(8)?;
                parts.expect(b",\"a\":").map(|()| Level { price, qty })
            };
            let twin = by_parts();
            match once.pair_8(b"\",\"B\":\"", b"\",\"a\":") {
                Some(level) => prop_assert_eq!((Some(level), once.at), (twin, parts.at)),
                None => prop_assert_eq!(once.at, 0),
            }
        }

        /// Naive twin: the library's own comparison of the rest of the message.
        #[test]
        fn an_end_is_one_of_two(
            look in looks(),
            text in prop_oneof!["[ab]{0,5}", Just("aab".to_owned()), Just("abab".to_owned())],
            pad in "[ab]{0,6}",
        ) {
            let padded = format!("{text}{pad}");
            let told = Cursor::new(look, padded.as_bytes(), text.len()).ends(b"aab", b"abab");
            let twin = match text.as_str() {
                "aab" => Some(true),
                "abab" => Some(false),
                _ => None,
            };
            prop_assert_eq!(told, twin.filter(|_| padded.len() >= 4));
        }

        #[test]
        fn any_bytes_give_an_answer(
            look in looks(),
            bytes in proptest::collection::vec(any::<u8>(), 0..90), at in 0usize..99,
        ) {
            let cursor = Cursor::standing(look, &bytes, bytes.len(), at);
            let _ = (cursor.clone().long_integer(), cursor.ends(b"}", b"]}"), cursor.passed());
            let _ = cursor.clone().pair_8(b"\"", b"\"");
        }
    }
}

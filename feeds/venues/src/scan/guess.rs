//! Steps whose length is guessed and then checked: what follows need not wait for the place where
//! a text ends, only for a branch that is foretold. A wrong guess costs that branch, nothing else.

use bot4_simd::Look;

use super::{Cursor, POW10, digit_count, eight_digits, leading_digits, non_digits};
use crate::symbols::same;

/// Digits of a time in ms, from 2001 to 2286.
const MS_DIGITS: usize = 13;

impl<'a, L: Look> Cursor<'a, L> {
    /// The rest of a string as [`Cursor::name`], which is probably `guess`: a text that may stand
    /// in a string as it is.
    #[inline(always)]
    pub fn name_like(&mut self, guess: &[u8]) -> Option<&'a [u8]> {
        let end = self.at + guess.len();
        if let Some(text) = self.bytes.get(self.at..end)
            && same(text, guess)
            && self.bytes.get(end) == Some(&b'"')
        {
            self.at = end + 1;
            return Some(text);
        }
        self.name()
    }

    /// The rest of a string as [`Cursor::name`], which has probably `len` (below 63) bytes.
    #[inline(always)]
    pub fn name_of_len(&mut self, len: usize) -> Option<&'a [u8]> {
        if self.look.is_wide()
            && let Some(window) = self.text_window()
        {
            let marks = self.look.find(window, b'"') | self.look.odd(window);
            // The first mark, a quote as the text behind it shows, without asking where it is.
            let up_to = 2u64.wrapping_shl(len as u32).wrapping_sub(1);
            if (marks & up_to == 1u64.wrapping_shl(len as u32)) & (window.get(len) == Some(&b'"')) {
                self.at += len + 1;
                return window.get(..len);
            }
        }
        self.name()
    }

    /// The `len` bytes before a quote, taken with it, whatever they are: the caller knows which of
    /// them may stand in a string.
    #[inline(always)]
    pub fn piece(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at + len;
        let piece = self.bytes.get(self.at..end)?;
        (*self.bytes.get(end)? == b'"').then(|| self.at = end + 1)?;
        Some(piece)
    }

    /// An integer as [`Cursor::integer`], probably a time in ms.
    #[inline(always)]
    pub fn ms(&mut self) -> Option<i64> {
        if let Some((ms, end)) = self.ms_at(self.at) {
            self.at = end;
            return Some(ms);
        }
        self.integer().map(|ms| ms as i64)
    }

    /// The same in quotes, the first of them taken.
    #[inline(always)]
    pub fn ms_text(&mut self) -> Option<i64> {
        let ms = self.ms()?;
        self.expect(b"\"")?;
        Some(ms)
    }

    #[inline(always)]
    fn ms_at(&self, at: usize) -> Option<(i64, usize)> {
        let window: &[u8; 16] = self.bytes.get(at..)?.first_chunk()?;
        let head = u64::from_le_bytes(*window.first_chunk()?);
        let tail = u64::from_le_bytes(*window[8..].first_chunk()?);
        let more = MS_DIGITS as u32 - 8;
        let fits = (non_digits(head) == 0) & (head as u8 != b'0') & (digit_count(tail) == more);
        if !fits {
            return None;
        }
        let value = eight_digits(head).wrapping_mul(POW10[MS_DIGITS - 8]);
        Some((value.wrapping_add(leading_digits(tail, more)) as i64, at + MS_DIGITS))
    }
}

#[cfg(test)]
mod tests {
    use super::super::looks;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Naive twins: the same steps without a guess.
        #[test]
        fn a_guess_changes_nothing(
            look in looks(), text in "[a-c0-9\"\\\\]{0,20}", guess in "[a-c]{0,6}", len in 0usize..8,
            is_right in any::<bool>(), pad in 0usize..80,
        ) {
            let text = if is_right { format!("{guess}\"{text}") } else { text };
            let padded = format!("{text}{}", "7".repeat(pad));
            let cursor = || Cursor::new(look, padded.as_bytes(), text.len());
            let mut plain = cursor();
            let name = plain.name();
            let (mut like, mut of_len) = (cursor(), cursor());
            prop_assert_eq!(like.name_like(guess.as_bytes()), name);
            prop_assert_eq!(of_len.name_of_len(len), name);
            if name.is_some() {
                prop_assert_eq!((like.at, of_len.at), (plain.at, plain.at));
            }
            let mut piece = cursor();
            let twin = padded.as_bytes().get(len) == Some(&b'"');
            prop_assert_eq!(piece.piece(len).map(<[u8]>::len), twin.then_some(len));
            prop_assert_eq!(piece.at, if twin { len + 1 } else { 0 });
        }

        #[test]
        fn times_are_integers(
            look in looks(), text in "[0-9]{11,15}[,\"]?", pad in "[0-9,\"]{0,20}",
        ) {
            let padded = format!("{text}{pad}");
            let cursor = || Cursor::new(look, padded.as_bytes(), text.len());
            let (mut plain, mut ms) = (cursor(), cursor());
            prop_assert_eq!(ms.ms(), plain.integer().map(|ms| ms as i64));
            prop_assert_eq!(ms.at, plain.at);
            prop_assert_eq!(cursor().ms_text(), cursor().integer_text().map(|ms| ms as i64));
        }
    }
}

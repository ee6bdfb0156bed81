//! The general reader: simd-json on a scratch copy, for cold messages, for hot messages that
//! deviate from the expected text, and as the oracle of the scanner.
//!
//! simd-json rewrites escaped strings in its input, hence the copy. Tape, indexes and copy are
//! reused; after [`Scratch::warm_up`] reading a message within the limit allocates nothing.

use simd_json::prelude::*;
use simd_json::tape::{Array, Object, Value};
use simd_json::{Buffers, INPUT_PADDING, Tape};

use crate::market::DecodeError;
use crate::number::is_json_number;

/// A value of a message being read.
pub type Node<'t, 'i> = Value<'t, 'i>;
/// An object of a message being read.
pub type Fields<'t, 'i> = Object<'t, 'i>;
/// A list of a message being read.
pub type List<'t, 'i> = Array<'t, 'i>;

/// Reusable memory for reading.
pub struct Scratch {
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Option<Tape<'static>>,
    len_max: usize,
}

impl Scratch {
    /// Memory for messages of at most `len_max` bytes; grown on demand until
    /// [`Scratch::warm_up`].
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { copy: Vec::new(), buffers: Buffers::new(0), tape: None, len_max }
    }

    /// Reads a document of the largest size and the most values a byte, so that all memory has
    /// its final size: one value for two bytes, an index for every byte.
    pub fn warm_up(&mut self) {
        let worst = self.densest();
        let read = self.read(&worst, |_| Ok(()));
        debug_assert_eq!(read, Ok(()));
    }

    /// [`warm_up`](Self::warm_up) for [`read_exact`](Self::read_exact).
    pub fn warm_up_exact(&mut self) {
        let worst = self.densest();
        let read = self.read_exact(&worst, |_| Ok(()));
        debug_assert_eq!(read, Ok(()));
    }

    fn densest(&self) -> Vec<u8> {
        let mut worst = vec![b'['];
        worst.extend(b"0,".iter().cycle().take(self.len_max.saturating_sub(3)));
        if worst.last() == Some(&b',') {
            worst.pop();
        }
        worst.push(b']');
        worst
    }

    /// Reads `text` and hands its root to `look`.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Json`], and what `look` answers.
    pub fn read<R>(
        &mut self,
        text: &[u8],
        look: impl FnOnce(Node<'_, '_>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        if text.len() > self.len_max {
            return Err(DecodeError::TooLarge);
        }
        self.copy.clear();
        self.copy.extend_from_slice(text);
        self.look_at_copy(look)
    }

    /// As [`read`](Self::read), but numbers keep their text: they are strings behind
    /// [`NUMBER_MARK`] for `look` (see [`number_of`]). A detour through binary floating point
    /// would lose the zeros that checksums are made of.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_exact<R>(
        &mut self,
        text: &[u8],
        look: impl FnOnce(Node<'_, '_>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        if text.len() > self.len_max {
            return Err(DecodeError::TooLarge);
        }
        self.copy.clear();
        mark_numbers(text, &mut self.copy).ok_or(DecodeError::Json)?;
        self.look_at_copy(look)
    }

    fn look_at_copy<R>(
        &mut self,
        look: impl FnOnce(Node<'_, '_>) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        let len = self.copy.len();
        if len == 0 {
            return Err(DecodeError::Json);
        }
        self.copy.resize(len + INPUT_PADDING, 0);
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let filled = simd_json::fill_tape_padded(&mut self.copy, len, &mut self.buffers, &mut tape);
        let answer = match filled {
            Ok(()) if !tape.0.is_empty() => look(tape.as_value()),
            _ => Err(DecodeError::Json),
        };
        self.tape = Some(tape.reset());
        answer
    }
}

/// Stands before the text of a number in what [`Scratch::read_exact`] shows.
pub const NUMBER_MARK: u8 = b'#';

/// Copies `text` with each number outside strings in quotes and marked. `None` where a number
/// breaks the grammar or names a field; everything else is left to the reader of the copy.
fn mark_numbers(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        let len = match byte {
            b'"' => string_len(rest),
            b'-' | b'0'..=b'9' => {
                let is_part = |b: &&u8| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let len = rest.iter().take_while(is_part).count();
                let next = rest[len..].iter().find(|b| !b.is_ascii_whitespace());
                if !is_json_number(&rest[..len]) || next == Some(&b':') {
                    return None;
                }
                out.extend_from_slice(&[b'"', NUMBER_MARK]);
                out.extend_from_slice(&rest[..len]);
                out.push(b'"');
                at += len;
                continue;
            }
            _ => rest.iter().take_while(|b| !matches!(b, b'"' | b'-' | b'0'..=b'9')).count(),
        };
        out.extend_from_slice(&rest[..len]);
        at += len;
    }
    Some(())
}

/// Length of the string that `text` starts with, quotes included; all of it when it does not end.
fn string_len(text: &[u8]) -> usize {
    let mut escaped = false;
    let close = text.iter().skip(1).position(|b| {
        let closes = *b == b'"' && !escaped;
        escaped = *b == b'\\' && !escaped;
        closes
    });
    close.map_or(text.len(), |at| at + 2)
}

/// The text of a number that [`Scratch::read_exact`] has marked.
#[must_use]
pub fn number_of<'t, 'i: 't>(value: Node<'t, 'i>) -> Option<&'t str> {
    text_of(value)?.strip_prefix(char::from(NUMBER_MARK))
}

/// Checked access to the fields of an object; a missing or differently typed field is a
/// [`DecodeError::Schema`]. When a key occurs twice the first counts.
pub trait FieldsExt<'t, 'i> {
    /// The field as text.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn text(&self, key: &str) -> Result<&'t str, DecodeError>;
    /// The field as text; empty where it is missing or something else.
    fn word(&self, key: &str) -> &'t str;
    /// The field as the text of a number that [`Scratch::read_exact`] has marked.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn number(&self, key: &str) -> Result<&'t str, DecodeError>;
    /// The field as an unsigned integer.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn unsigned(&self, key: &str) -> Result<u64, DecodeError>;
    /// The field as a signed integer.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn signed(&self, key: &str) -> Result<i64, DecodeError>;
    /// The field as a truth value.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn truth(&self, key: &str) -> Result<bool, DecodeError>;
    /// The field as a list.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn list(&self, key: &str) -> Result<List<'t, 'i>, DecodeError>;
    /// The field as an object, if it is there and is one.
    fn fields(&self, key: &str) -> Option<Fields<'t, 'i>>;
    /// The field is there.
    fn has(&self, key: &str) -> bool;
}

impl<'t, 'i: 't> FieldsExt<'t, 'i> for Object<'t, 'i> {
    fn text(&self, key: &str) -> Result<&'t str, DecodeError> {
        self.get(key).and_then(text_of).ok_or(DecodeError::Schema)
    }

    fn word(&self, key: &str) -> &'t str {
        self.get(key).and_then(text_of).unwrap_or("")
    }

    fn number(&self, key: &str) -> Result<&'t str, DecodeError> {
        self.get(key).and_then(number_of).ok_or(DecodeError::Schema)
    }

    fn unsigned(&self, key: &str) -> Result<u64, DecodeError> {
        self.get(key).and_then(|v| v.as_u64()).ok_or(DecodeError::Schema)
    }

    fn signed(&self, key: &str) -> Result<i64, DecodeError> {
        self.get(key).and_then(|v| v.as_i64()).ok_or(DecodeError::Schema)
    }

    fn truth(&self, key: &str) -> Result<bool, DecodeError> {
        self.get(key).and_then(|v| v.as_bool()).ok_or(DecodeError::Schema)
    }

    fn list(&self, key: &str) -> Result<List<'t, 'i>, DecodeError> {
        self.get(key).and_then(|v| v.as_array()).ok_or(DecodeError::Schema)
    }

    fn fields(&self, key: &str) -> Option<Fields<'t, 'i>> {
        self.get(key).and_then(|v| v.as_object())
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

/// A value as an object.
///
/// # Errors
/// [`DecodeError::Schema`].
pub fn object_of<'t, 'i: 't>(value: Node<'t, 'i>) -> Result<Fields<'t, 'i>, DecodeError> {
    value.as_object().ok_or(DecodeError::Schema)
}

/// A value as text.
#[must_use]
pub fn text_of<'t, 'i: 't>(value: Node<'t, 'i>) -> Option<&'t str> {
    value.into_string()
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for b in text.bytes() {
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
            _ => out.push(b),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut scratch = Scratch::new(1_000);
            let _ = scratch.read(&bytes, |_| Ok(()));
            prop_assert_eq!(scratch.read(b"{}", |_| Ok(())), Ok(()));
            let _ = scratch.read_exact(&bytes, |_| Ok(()));
            prop_assert_eq!(scratch.read_exact(b"{}", |_| Ok(())), Ok(()));
        }

        /// Marking changes nothing else: both ways of reading take the same texts.
        #[test]
        fn exact_reading_takes_what_reading_takes(
            text in "[\\[{]{1,2}(\"a[\\\\\"x1]{0,3}\"[:,]|-?[0-9]{1,2}(\\.[0-9]{1,2})?[,: ]){0,4}(1|\"b\"|true)[\\]}]{1,2}"
        ) {
            let mut scratch = Scratch::new(1_000);
            let plain = scratch.read(text.as_bytes(), |_| Ok(()));
            prop_assert_eq!(scratch.read_exact(text.as_bytes(), |_| Ok(())), plain, "{}", text);
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        let mut scratch = Scratch::new(200);
        let text = br#"{"a":0.10000000,"b":[1e-08,-2],"c":"3\"4","d":18446744073709551616}"#;
        let seen = scratch.read_exact(text, |v| {
            let f = v.as_object().ok_or(DecodeError::Schema)?;
            let list: Vec<String> =
                f.list("b")?.iter().filter_map(number_of).map(str::to_owned).collect();
            Ok((
                f.number("a")?.to_owned(),
                list,
                f.text("c")?.to_owned(),
                f.number("d")?.to_owned(),
            ))
        });
        let list = vec!["1e-08".to_owned(), "-2".to_owned()];
        let expected =
            ("0.10000000".to_owned(), list, "3\"4".to_owned(), "18446744073709551616".to_owned());
        assert_eq!(seen, Ok(expected));
        for wrong in ["{1:2}", "[01]", "[1.]", "[-]", "[1 2]", "[1\"a\"]", "[--1]"] {
            assert_eq!(
                scratch.read_exact(wrong.as_bytes(), |_| Ok(())),
                Err(DecodeError::Json),
                "{wrong}"
            );
        }
    }

    proptest! {
        /// Naive twin: another library's reader.
        #[test]
        fn written_text_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).ok(), Some(text));
        }
    }

    #[test]
    fn memory_is_reused_after_errors_and_bounded() {
        let mut scratch = Scratch::new(100);
        scratch.warm_up();
        assert_eq!(scratch.read(b"{\"a\":", |_| Ok(())), Err(DecodeError::Json));
        assert_eq!(scratch.read(b"", |_| Ok(())), Err(DecodeError::Json));
        assert_eq!(scratch.read(&[b' '; 101], |_| Ok(())), Err(DecodeError::TooLarge));
        let text = scratch.read(br#"{"a":"x\u0041"}"#, |v| {
            let fields = v.as_object().ok_or(DecodeError::Schema)?;
            Ok(fields.text("a")?.to_owned())
        });
        assert_eq!(text.as_deref(), Ok("xA"));
    }
}

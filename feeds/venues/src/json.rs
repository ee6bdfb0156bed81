//! The general reader: simd-json on a scratch copy, for cold messages, for hot messages that
//! deviate from the expected text, and as the oracle of the scanner.
//!
//! simd-json rewrites escaped strings in its input, hence the copy. Tape, indexes and copy are
//! reused; after [`Scratch::warm_up`] reading a message within the limit allocates nothing.

use simd_json::prelude::*;
use simd_json::tape::{Array, Object, Value};
use simd_json::{Buffers, INPUT_PADDING, Tape};

use crate::market::DecodeError;

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
        let mut worst = vec![b'['];
        worst.extend(b"0,".iter().cycle().take(self.len_max.saturating_sub(3)));
        if worst.last() == Some(&b',') {
            worst.pop();
        }
        worst.push(b']');
        let read = self.read(&worst, |_| Ok(()));
        debug_assert_eq!(read, Ok(()));
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
        if text.is_empty() {
            return Err(DecodeError::Json);
        }
        self.copy.clear();
        self.copy.extend_from_slice(text);
        self.copy.resize(text.len() + INPUT_PADDING, 0);
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let filled =
            simd_json::fill_tape_padded(&mut self.copy, text.len(), &mut self.buffers, &mut tape);
        let answer = match filled {
            Ok(()) if !tape.0.is_empty() => look(tape.as_value()),
            _ => Err(DecodeError::Json),
        };
        self.tape = Some(tape.reset());
        answer
    }
}

/// Checked access to the fields of an object; a missing or differently typed field is a
/// [`DecodeError::Schema`]. When a key occurs twice the first counts.
pub trait FieldsExt<'t, 'i> {
    /// The field as text.
    ///
    /// # Errors
    /// [`DecodeError::Schema`].
    fn text(&self, key: &str) -> Result<&'t str, DecodeError>;
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

/// A value as text.
#[must_use]
pub fn text_of<'t, 'i: 't>(value: Node<'t, 'i>) -> Option<&'t str> {
    value.into_string()
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

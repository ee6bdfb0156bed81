//! From plaintext, split anywhere, to whole messages in the caller's buffer.
//!
//! Invariant: between two calls the deframer stands either inside a frame header (its bytes so
//! far are kept) or inside a payload (`left` bytes to come); `filled` bytes of the present
//! message lie at the start of the caller's buffer. Cost: one copy of each payload byte, no
//! allocation, a header is at most ten byte moves.

use super::{CONTROL_LEN_MAX, Opcode, WsError, close_code_allowed};

/// Longest header of a server's frame: two bytes and a 64-bit length.
const HEADER_LEN_MAX: usize = 10;

/// Text or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A text message (UTF-8 not checked).
    Text,
    /// A binary message.
    Binary,
}

/// What the bytes fed so far complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message lies in `buf[..len]`.
    Message {
        /// Its length in bytes.
        len: usize,
        /// Text or binary.
        kind: MessageKind,
    },
    /// The present message needs `needed` bytes in all (as far as is known) and the buffer is
    /// shorter. Nothing is lost: go on with a longer buffer that begins with the
    /// [`Deframer::filled`] bytes of the old one.
    Grow {
        /// Bytes the buffer must hold for the present frame to fit.
        needed: usize,
    },
    /// A ping; [`Deframer::control`] is its payload, to be sent back.
    Ping,
    /// A pong; [`Deframer::control`] is its payload.
    Pong,
    /// The peer closes, with this code. Everything after it is ignored.
    Close(Option<u16>),
}

/// The result of one [`Deframer::feed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Bytes of the input used up; feed the rest again.
    pub consumed: usize,
    /// What they complete; `None` only when the whole input is used up.
    pub event: Option<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Data { left: usize, last: bool },
    Control { left: usize, opcode: Opcode },
    Closed,
    Failed(WsError),
}

/// The incremental deframer of one connection.
#[derive(Clone, Debug)]
pub struct Deframer {
    stage: Stage,
    header: [u8; HEADER_LEN_MAX],
    header_len: usize,
    /// Kind of the message being assembled; `None` between messages.
    message: Option<MessageKind>,
    filled: usize,
    control: [u8; CONTROL_LEN_MAX],
    control_len: usize,
    message_len_max: usize,
}

impl Deframer {
    /// A deframer at the start of the stream that refuses messages above `message_len_max`
    /// bytes.
    #[must_use]
    pub const fn new(message_len_max: usize) -> Self {
        Self {
            stage: Stage::Header,
            header: [0; HEADER_LEN_MAX],
            header_len: 0,
            message: None,
            filled: 0,
            control: [0; CONTROL_LEN_MAX],
            control_len: 0,
            message_len_max,
        }
    }

    /// Bytes of the present message that lie at the start of the caller's buffer.
    #[must_use]
    pub const fn filled(&self) -> usize {
        self.filled
    }

    /// Payload of the control frame last reported.
    #[must_use]
    pub fn control(&self) -> &[u8] {
        &self.control[..self.control_len]
    }

    /// Takes bytes up to and including the one that completes an event. `buf` must be the same
    /// buffer (or one that starts with the same [`filled`](Self::filled) bytes) until a message
    /// is reported.
    ///
    /// # Errors
    /// How the peer broke the protocol; the same error for ever after.
    pub fn feed(&mut self, input: &[u8], buf: &mut [u8]) -> Result<Fed, WsError> {
        let mut at = 0;
        loop {
            let step = match self.stage {
                Stage::Header => {
                    let (used, complete) = self.collect_header(&input[at..]);
                    at += used;
                    if !complete {
                        return Ok(Fed { consumed: at, event: None });
                    }
                    self.open_frame().map(|()| None)
                }
                Stage::Data { left, last } => {
                    if buf.len() - self.filled.min(buf.len()) < left {
                        let event = Some(Event::Grow { needed: self.filled + left });
                        return Ok(Fed { consumed: at, event });
                    }
                    let used = self.copy_data(&input[at..], buf, left, last);
                    at += used;
                    if used < left {
                        return Ok(Fed { consumed: at, event: None });
                    }
                    Ok(self.end_data(last))
                }
                Stage::Control { left, opcode } => {
                    let used = self.copy_control(&input[at..], left, opcode);
                    at += used;
                    if used < left {
                        return Ok(Fed { consumed: at, event: None });
                    }
                    self.end_control(opcode).map(Some)
                }
                Stage::Closed => return Ok(Fed { consumed: input.len(), event: None }),
                Stage::Failed(error) => return Err(error),
            };
            match step {
                Ok(None) => {}
                Ok(event) => return Ok(Fed { consumed: at, event }),
                Err(error) => {
                    self.stage = Stage::Failed(error);
                    return Err(error);
                }
            }
        }
    }

    /// Moves header bytes; true when the header is whole.
    fn collect_header(&mut self, input: &[u8]) -> (usize, bool) {
        let mut used = 0;
        loop {
            let need = match (self.header_len, self.header[1] & 0x7F) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => HEADER_LEN_MAX,
                _ => 2,
            };
            if self.header_len == need {
                return (used, true);
            }
            let Some(byte) = input.get(used) else { return (used, false) };
            self.header[self.header_len] = *byte;
            self.header_len += 1;
            used += 1;
        }
    }

    /// Checks the whole header and enters its payload.
    fn open_frame(&mut self) -> Result<(), WsError> {
        let header = &self.header;
        let last = header[0] & 0x80 != 0;
        if header[0] & 0x70 != 0 {
            return Err(WsError::ReservedBits);
        }
        let opcode = Opcode::from_bits(header[0]).ok_or(WsError::BadOpcode)?;
        if header[1] & 0x80 != 0 {
            return Err(WsError::MaskedFrame);
        }
        // A length in a longer form than needed is accepted: it is unambiguous and proxies
        // between the venue and us are not ours to correct.
        let length = match header[1] {
            126 => u64::from(u16::from_be_bytes([header[2], header[3]])),
            127 => header[2..HEADER_LEN_MAX].iter().fold(0, |n, b| n << 8 | u64::from(*b)),
            n => u64::from(n),
        };
        self.header_len = 0;
        if opcode.is_control() {
            return self.open_control(opcode, length, last);
        }
        match (opcode, self.message) {
            (Opcode::Continuation, None) => return Err(WsError::UnexpectedContinuation),
            (Opcode::Continuation, Some(_)) => {}
            (_, Some(_)) => return Err(WsError::ExpectedContinuation),
            (Opcode::Text, None) => self.message = Some(MessageKind::Text),
            (_, None) => self.message = Some(MessageKind::Binary),
        }
        if length >> 63 != 0 {
            return Err(WsError::BadLength);
        }
        let left = usize::try_from(length).map_err(|_| WsError::TooLong)?;
        if left > self.message_len_max - self.filled {
            return Err(WsError::TooLong);
        }
        self.stage = Stage::Data { left, last };
        Ok(())
    }

    fn open_control(&mut self, opcode: Opcode, length: u64, last: bool) -> Result<(), WsError> {
        if !last {
            return Err(WsError::ControlFragmented);
        }
        if length > CONTROL_LEN_MAX as u64 {
            return Err(WsError::ControlTooLong);
        }
        self.control_len = 0;
        self.stage = Stage::Control { left: length as usize, opcode };
        Ok(())
    }

    fn copy_data(&mut self, input: &[u8], buf: &mut [u8], left: usize, last: bool) -> usize {
        let n = left.min(input.len());
        buf[self.filled..self.filled + n].copy_from_slice(&input[..n]);
        self.filled += n;
        self.stage = Stage::Data { left: left - n, last };
        n
    }

    fn copy_control(&mut self, input: &[u8], left: usize, opcode: Opcode) -> usize {
        let n = left.min(input.len());
        self.control[self.control_len..self.control_len + n].copy_from_slice(&input[..n]);
        self.control_len += n;
        self.stage = Stage::Control { left: left - n, opcode };
        n
    }

    fn end_data(&mut self, last: bool) -> Option<Event> {
        self.stage = Stage::Header;
        if !last {
            return None;
        }
        let len = core::mem::take(&mut self.filled);
        self.message.take().map(|kind| Event::Message { len, kind })
    }

    fn end_control(&mut self, opcode: Opcode) -> Result<Event, WsError> {
        self.stage = Stage::Header;
        match opcode {
            Opcode::Ping => Ok(Event::Ping),
            Opcode::Pong => Ok(Event::Pong),
            _ => {
                let code = close_code(self.control())?;
                self.stage = Stage::Closed;
                Ok(Event::Close(code))
            }
        }
    }
}

/// The code of a close frame's payload (RFC 6455 §5.5.1).
fn close_code(payload: &[u8]) -> Result<Option<u16>, WsError> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if close_code_allowed(code) && super::is_utf8(reason) {
                Ok(Some(code))
            } else {
                Err(WsError::BadClose)
            }
        }
        [_] => Err(WsError::BadClose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    fn refusal(bytes: &[u8]) -> Option<WsError> {
        let mut buf = [0; 4096];
        Deframer::new(LIMIT).feed(bytes, &mut buf).err()
    }

    #[test]
    fn each_violation_has_its_error() {
        let cases: [(&[u8], WsError); 12] = [
            (&[0xC1, 0], WsError::ReservedBits),
            (&[0x83, 0], WsError::BadOpcode),
            (&[0x8B, 0], WsError::BadOpcode),
            (&[0x81, 0x80], WsError::MaskedFrame),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], WsError::BadLength),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 1], WsError::TooLong),
            (&[0x89, 126, 0, 126], WsError::ControlTooLong),
            (&[0x09, 0], WsError::ControlFragmented),
            (&[0x80, 0], WsError::UnexpectedContinuation),
            (&[0x01, 0, 0x81, 0], WsError::ExpectedContinuation),
            (&[0x88, 1, 3], WsError::BadClose),
            (&[0x88, 2, 0x03, 0xED], WsError::BadClose),
        ];
        for (bytes, error) in cases {
            assert_eq!(refusal(bytes), Some(error), "{bytes:02x?}");
        }
        assert_eq!(refusal(&[0x88, 3, 0x03, 0xE8, 0xFF]), Some(WsError::BadClose));
        assert_eq!(refusal(&[0x88, 2, 0x03, 0xE8]), None);
    }

    #[test]
    fn a_fragmented_message_over_the_limit_is_refused_before_it_is_copied() {
        let mut deframer = Deframer::new(5);
        let mut buf = [0; 64];
        let first = deframer.feed(&[0x01, 3, b'a', b'b', b'c'], &mut buf);
        assert_eq!(first, Ok(Fed { consumed: 5, event: None }));
        assert_eq!(deframer.feed(&[0x80, 3], &mut buf), Err(WsError::TooLong));
        assert_eq!(deframer.feed(&[0x81, 0], &mut buf), Err(WsError::TooLong), "it stays failed");
    }

    #[test]
    fn a_message_moves_to_a_longer_buffer_in_its_middle() {
        let mut deframer = Deframer::new(LIMIT);
        let (mut small, mut large) = ([0; 4], [0; 8]);
        let wire = [0x01, 3, b'a', b'b', b'c', 0x80, 3, b'd', b'e', b'f'];
        let fed = deframer.feed(&wire, &mut small).expect("legal");
        assert_eq!(fed, Fed { consumed: 7, event: Some(Event::Grow { needed: 6 }) });
        let again = deframer.feed(&wire[7..], &mut small).expect("legal");
        assert_eq!(again, Fed { consumed: 0, event: Some(Event::Grow { needed: 6 }) });
        large[..deframer.filled()].copy_from_slice(&small[..deframer.filled()]);
        let fed = deframer.feed(&wire[7..], &mut large).expect("legal");
        let message = Event::Message { len: 6, kind: MessageKind::Text };
        assert_eq!(fed, Fed { consumed: 3, event: Some(message) });
        assert_eq!(&large[..6], b"abcdef");
    }

    /// Everything the deframer says about `bytes` when they come in pieces.
    fn story(bytes: &[u8], cuts: &[usize], buf: &mut [u8]) -> Vec<Result<Event, WsError>> {
        let (mut told, mut deframer) = (Vec::new(), Deframer::new(LIMIT));
        let mut at = 0;
        for end in cuts.iter().map(|c| c % (bytes.len() + 1)).chain([bytes.len()]) {
            while at < end {
                match deframer.feed(&bytes[at..end], buf) {
                    Ok(Fed { event: Some(Event::Grow { needed }), .. }) => {
                        told.push(Ok(Event::Grow { needed }));
                        return told;
                    }
                    Ok(fed) => {
                        at += fed.consumed;
                        told.extend(fed.event.map(Ok));
                    }
                    Err(error) => {
                        told.push(Err(error));
                        return told;
                    }
                }
            }
        }
        told
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_story_however_they_are_split(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            let mut buf = [0; 256];
            let whole = story(&bytes, &[], &mut buf);
            prop_assert_eq!(story(&bytes, &cuts, &mut buf), whole);
        }

        /// Bytes that look like frames reach deeper states than plain noise.
        #[test]
        fn any_frames_give_the_same_story_however_they_are_split(
            frames in proptest::collection::vec((any::<bool>(), 0u8..11, 0u8..128), 0..12),
            cuts in proptest::collection::vec(any::<usize>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            for (last, opcode, len) in frames {
                bytes.extend_from_slice(&[u8::from(last) << 7 | opcode, len]);
                bytes.extend((0..len).map(|i| i % 3));
            }
            let mut buf = [0; 256];
            let whole = story(&bytes, &[], &mut buf);
            prop_assert_eq!(story(&bytes, &cuts, &mut buf), whole);
        }
    }
}

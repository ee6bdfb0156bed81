//! RFC 6455 frames, client side, sans-IO. Extensions are never negotiated, so reserved bits are
//! errors. UTF-8 of text messages is left to the parsers, which look at every byte anyway
//! ([`is_utf8`] is the check for those who do not).

mod deframer;
mod writer;

pub use deframer::{Deframer, Event, Fed, MessageKind};
pub use writer::FrameWriter;

use core::fmt;

/// Longest payload of a control frame in bytes (RFC 6455 §5.5).
pub const CONTROL_LEN_MAX: usize = 125;

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// Closing handshake.
    Close = 8,
    /// Liveness question.
    Ping = 9,
    /// Liveness answer.
    Pong = 10,
}

impl Opcode {
    /// The opcode in the low four bits of a frame's first byte, `None` where it is reserved.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0x0F {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    /// A control frame: short, never fragmented, allowed between fragments.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// How the peer broke the protocol. Every one of them ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsError {
    /// A reserved bit is set although no extension was negotiated.
    ReservedBits,
    /// A reserved opcode.
    BadOpcode,
    /// A server must not mask (RFC 6455 §5.1).
    MaskedFrame,
    /// A length above 2^63 - 1.
    BadLength,
    /// A message longer than the deframer's limit.
    TooLong,
    /// A control frame longer than [`CONTROL_LEN_MAX`].
    ControlTooLong,
    /// A control frame in fragments.
    ControlFragmented,
    /// A continuation without a beginning.
    UnexpectedContinuation,
    /// A new message before the last fragment of the present one.
    ExpectedContinuation,
    /// A close frame with a one-byte payload, a code that must not be sent or a reason that is
    /// not UTF-8.
    BadClose,
}

impl WsError {
    /// The close code that answers this error (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::TooLong | Self::BadLength => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "reserved bits set without an extension",
            Self::BadOpcode => "reserved opcode",
            Self::MaskedFrame => "masked frame from the server",
            Self::BadLength => "frame length above 2^63 - 1",
            Self::TooLong => "message longer than the limit",
            Self::ControlTooLong => "control frame longer than 125 bytes",
            Self::ControlFragmented => "fragmented control frame",
            Self::UnexpectedContinuation => "continuation without a beginning",
            Self::ExpectedContinuation => "new message inside a fragmented one",
            Self::BadClose => "damaged close frame",
        })
    }
}

impl std::error::Error for WsError {}

/// Whether a close frame may carry `code` (RFC 6455 §7.4, IANA's registry for 1012 to 1014).
#[must_use]
pub const fn close_code_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Whether a text message is UTF-8, which RFC 6455 §8.1 demands and the deframer does not check.
#[must_use]
pub fn is_utf8(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok()
}

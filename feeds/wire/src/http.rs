//! HTTP/1.1, client side, sans-IO, for venues that take orders by requests (RFC 9112).
//!
//! Heads are read by httparse; framing, limits and what ends a body are ours. One request is under
//! way on a connection at a time: answers carry no id, and a server may drop what follows a request
//! that it did not like. A venue that should not wait for one answer gets several connections.
//!
//! Every answer that is not well formed is an error that ends the connection: behind it nobody
//! knows where the next answer begins. Cost: one copy of the body, no allocation once the buffers
//! have grown.

mod connection;
mod request;
mod response;

pub use connection::{HttpConfig, HttpConnError, HttpConnection, HttpState};
pub use request::{RequestError, write_request};
pub use response::{Fed, ResponseDecoder};

use core::fmt;

/// Longest head of an answer in bytes, trailers and each of several interim answers counted alike.
pub const HEAD_LEN_MAX: usize = 16 * 1024;
/// Headers of an answer at most.
pub const HEADERS_MAX: usize = 64;
/// Longest line that begins a chunk, its extensions included, in bytes.
pub const CHUNK_LINE_LEN_MAX: usize = 256;
/// Interim answers (status 1xx) before the final one at most.
pub const INTERIM_MAX: u32 = 8;

/// How an answer breaks the protocol or our limits. Every one of them ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Not the head of an HTTP/1.x answer.
    BadHead,
    /// A head above [`HEAD_LEN_MAX`].
    HeadTooLong,
    /// More than [`HEADERS_MAX`] headers.
    TooManyHeaders,
    /// `Content-Length` is no number, or is there twice with two values.
    BadLength,
    /// Both a length and chunks: two readers could see two different answers.
    AmbiguousLength,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
    /// A compressed body, which was not asked for.
    Compressed,
    /// A body above the configured limit.
    BodyTooLong,
    /// A line that should begin a chunk, or the end of one, is something else.
    BadChunk,
    /// More than [`INTERIM_MAX`] interim answers, or one that changes the protocol.
    BadInterim,
    /// The connection ended within an answer.
    CutOff,
    /// Bytes that nobody asked for.
    Unasked,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadHead => "not the head of an HTTP/1.1 answer",
            Self::HeadTooLong => "answer's head above 16 KiB",
            Self::TooManyHeaders => "answer with more than 64 headers",
            Self::BadLength => "Content-Length is not one number",
            Self::AmbiguousLength => "answer with both a length and chunks",
            Self::UnknownCoding => "transfer coding other than chunked",
            Self::Compressed => "compressed answer that was not asked for",
            Self::BodyTooLong => "answer's body above the limit",
            Self::BadChunk => "damaged chunk",
            Self::BadInterim => "interim answers without end, or a change of protocol",
            Self::CutOff => "connection ended within an answer",
            Self::Unasked => "bytes that nobody asked for",
        })
    }
}

impl std::error::Error for HttpError {}

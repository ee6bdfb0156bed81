//! Byte streams and where they lead. Two kinds: TLS over TCP for venues ([`TcpConnector`]) and
//! the memory twin for simulation ([`memory::Network`]). Everything above works on [`Stream`].

mod endpoint;
pub mod memory;
mod receive;
mod resolver;
mod roots;
mod tcp;

pub use endpoint::{Endpoint, EndpointError};
pub use receive::{ask_for_stamps, receive};
pub use resolver::{Lookup, Resolver};
pub use roots::{RootsError, TlsRoots};
pub use tcp::TcpConnector;

use core::fmt;
use std::io;
use std::time::Duration;

use bot4_types::Nanos;

/// Why a stream does not work (any more). Every one of them ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The host's name was not resolved before: see [`TcpConnector::resolve`].
    Unresolved,
    /// The endpoint's server name cannot stand in a certificate.
    BadName,
    /// The system refused, for example connection refused, reset or timed out.
    Io(io::ErrorKind),
    /// The peer closed the stream.
    Closed,
    /// The server's certificate is not trusted, or not for this host.
    Certificate(String),
    /// TLS failed in another way.
    Tls(String),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved => f.write_str("host name was not resolved"),
            Self::BadName => f.write_str("host name cannot stand in a certificate"),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Closed => f.write_str("closed by the peer"),
            Self::Certificate(why) => write!(f, "certificate refused: {why}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// A non-blocking stream of plaintext bytes. No call blocks except [`wait`](Self::wait).
///
/// Receiving is in two steps, so that a receive stamp can be taken between the system call and
/// the decryption: [`fill`](Self::fill) takes bytes from the kernel, [`chunk`](Self::chunk) and
/// [`consume`](Self::consume) lend what they decrypt to without a copy.
pub trait Stream: Send {
    /// Drives the connection and the TLS handshake. True when plaintext can flow.
    ///
    /// # Errors
    /// Why the stream cannot be opened.
    fn poll_ready(&mut self, now: Nanos) -> Result<bool, StreamError>;

    /// At most one receive call: how many bytes came, zero where none wait. Call it when
    /// [`chunk`](Self::chunk) is empty.
    ///
    /// # Errors
    /// [`StreamError::Closed`] at the end of the stream; what the system says otherwise.
    fn fill(&mut self) -> Result<usize, StreamError>;

    /// How long the kernel had had the last byte of the last [`fill`](Self::fill) when that call
    /// returned, nanoseconds; `None` where nothing tells.
    fn waited(&self) -> Option<u64> {
        None
    }

    /// The next decrypted bytes of what was filled in; empty when all are consumed.
    ///
    /// # Errors
    /// Damaged TLS records, or [`StreamError::Closed`] behind the peer's last byte.
    fn chunk(&mut self) -> Result<&[u8], StreamError>;

    /// Gives up the first `n` bytes of the [`chunk`](Self::chunk).
    fn consume(&mut self, n: usize);

    /// Takes bytes to send, as many as there is room for; [`flush`](Self::flush) sends them.
    ///
    /// # Errors
    /// Why the stream is over.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError>;

    /// Sends. True when every byte taken was handed to the kernel.
    ///
    /// # Errors
    /// Why the stream is over.
    fn flush(&mut self) -> Result<bool, StreamError>;

    /// Announces the end to the peer, best effort, without waiting.
    fn close(&mut self);

    /// Copies decrypted bytes into `out`, receiving when none are left. Zero: would block.
    ///
    /// # Errors
    /// As [`fill`](Self::fill) and [`chunk`](Self::chunk).
    fn read(&mut self, out: &mut [u8]) -> Result<usize, StreamError> {
        loop {
            let chunk = self.chunk()?;
            let n = chunk.len().min(out.len());
            if n > 0 {
                out[..n].copy_from_slice(&chunk[..n]);
                self.consume(n);
                return Ok(n);
            }
            if out.is_empty() || self.fill()? == 0 {
                return Ok(0);
            }
        }
    }

    /// Blocks until the stream can make progress or `timeout` has passed; for cold callers only.
    /// The twin's answer comes at once.
    ///
    /// # Errors
    /// When the system cannot wait.
    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        let _ = timeout;
        Ok(())
    }
}

/// Makes streams. Never blocks: names were resolved before, or are by a helper thread.
pub trait Connector: Send {
    /// Starts a connection to `endpoint`; [`Stream::poll_ready`] completes it.
    ///
    /// # Errors
    /// Where not even a start is possible.
    fn connect(&mut self, endpoint: &Endpoint, now: Nanos) -> Result<Box<dyn Stream>, StreamError>;
}

//! The wire: WebSocket over TLS over TCP, and the only socket code of the engine.
//!
//! ```text
//!                       WsConnection (connection.rs)
//!   .---------------------------------------------------------------------.
//!   | Handshake        Deframer             FrameWriter        liveness    |   sans-IO: bytes
//!   | (handshake.rs)   (ws/deframer.rs)     (ws/writer.rs)     ping, pong  |   and `now` in,
//!   '------^--------------^-----|----------------|--------------------------'  bytes, events out
//!          | plaintext    |     v message        v plaintext
//!          |              |   caller's slot      |
//!   .------|--------------|-----------------------|-----.
//!   | trait Stream: fill, chunk, consume, write, flush  |      transport/mod.rs
//!   |---------------------------|------------------------|
//!   | TlsStream (tcp.rs)        | memory twin (memory.rs)|
//!   | mio TcpStream + rustls    | seeded chunking, cut,  |
//!   |                           | stall                  |
//!   '---------------------------'------------------------'
//! ```
//!
//! **One copy.** A message is copied once between rustls' plaintext and the slot that carries it
//! to the parser: [`transport::Stream::chunk`] lends the decrypted bytes and the
//! [`ws::Deframer`] moves payload bytes from there into the caller's buffer, whatever the frame
//! and record borders are.
//!
//! **Requests** ([`http`]) go over the same streams: a venue that takes orders by HTTP is written
//! to by the lane that sends them.
//!
//! **Direct reads, no readiness queue.** [`transport::Stream::fill`] calls `recv` on the
//! non-blocking socket instead of asking an event queue first. The design's single-run figures
//! are about 320 ns for an empty `recv` and 155 ns for an empty `epoll_wait`, so an idle turn is
//! dearer this way; the turn that finds data saves the event queue's call beside the `recv` that
//! is needed anyway. For one hot socket on a spinning lane that is the better bargain by this
//! arithmetic; the two ways have not been measured against each other end to end. It also shares
//! no state between streams. Cold callers, which must not spin, block in
//! [`transport::Stream::wait`], a `mio` poll.
//!
//! **Time.** Nothing here reads a clock. `now` is an argument; the receive stamp `t0` of a
//! message is taken by a closure of the caller right after the `recv` that completed it.
//!
//! **Cost.** In steady state our own code does not allocate; rustls makes one buffer per TLS
//! record in each direction, which is why wire and execution agents are counted apart.
//!
//! **Names are resolved beside the lanes**, because the system's resolver blocks: first on the cold
//! side ([`transport::TcpConnector::resolve`]), then, at every reconnect, by a helper thread
//! ([`Resolver`]) whose answer serves the next attempt. Until then the last known addresses are
//! tried in turn.

pub mod backoff;
pub mod connection;
pub mod handshake;
pub mod http;
pub mod transport;
pub mod ws;

pub use connection::{ConnCounters, ConnError, ConnState, Received, WsConfig, WsConnection};
pub use handshake::HandshakeError;
pub use transport::{
    Connector, Endpoint, EndpointError, Resolver, RootsError, Stream, StreamError, TcpConnector,
    TlsRoots,
};

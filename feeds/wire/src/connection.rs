//! One WebSocket connection: connect, TLS, upgrade, messages, liveness, close.
//!
//! The owner calls [`WsConnection::poll`] once a turn and [`WsConnection::receive`] until it
//! answers `None`. Every error except [`ConnError::Oversize`], [`ConnError::NotOpen`] and
//! [`ConnError::OutFull`] is final: drop the connection and make a new one.
//!
//! **Liveness.** A ping goes out each `ping_every`, data or not: it keeps bytes unacknowledged
//! where a path is dead, so that the kernel's user timeout works too. The peer is silent when
//! nothing at all was heard for `silent_after` although a ping waits for its answer. A pause of
//! our own (no slot free, a suspended machine) cannot look like the peer's silence: only a read
//! that finds the socket empty counts.

mod liveness;

use core::fmt;
use std::time::Duration;

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;

use crate::handshake::{Handshake, HandshakeError};
use crate::transport::{Connector, Endpoint, Stream, StreamError};
use crate::ws::{Deframer, Event, FrameWriter, MessageKind, Opcode, WsError};
use liveness::Liveness;

/// Receive calls of one [`WsConnection::receive`] at most, so that a turn stays bounded.
const FILLS_MAX: usize = 64;
/// Control frames answered in one [`WsConnection::receive`] at most.
const CONTROLS_MAX: usize = 64;
/// Bytes waiting to be sent above which nothing more is taken: the venue does not read.
const OUT_LEN_MAX: usize = 1024 * 1024;
/// Room made for sending at the start; a frame that fits is sent without allocating.
const OUT_LEN_START: usize = 16 * 1024;
/// Close code of a planned close (RFC 6455 §7.4.1).
pub const CLOSE_NORMAL: u16 = 1000;

/// The times of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WsConfig {
    /// Between our pings; [`Nanos::MAX`] never pings. One a second is a fifth of what Binance's
    /// stream hosts allow in messages.
    pub ping_every: Nanos,
    /// The peer is silent after this long without a byte.
    pub silent_after: Nanos,
    /// From connecting to the upgrade's end.
    pub open_within: Nanos,
    /// From our close frame to the peer's.
    pub close_within: Nanos,
    /// Longest message in bytes.
    pub message_len_max: usize,
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            ping_every: Nanos::from_secs(1),
            silent_after: Nanos::from_secs(2),
            open_within: Nanos::from_secs(5),
            close_within: Nanos::from_secs(1),
            message_len_max: 16 * 1024 * 1024,
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnState {
    /// TCP and TLS.
    Connecting,
    /// The upgrade request is out.
    Upgrading,
    /// Messages flow.
    Open,
    /// Our close frame is out.
    Closing,
    /// Over.
    Closed,
}

/// Why a connection does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnError {
    /// TCP or TLS.
    Stream(StreamError),
    /// The upgrade.
    Handshake(HandshakeError),
    /// The peer broke the WebSocket protocol.
    Protocol(WsError),
    /// Not open within the configured time.
    OpenTimeout,
    /// Nothing heard for the configured time.
    Silent,
    /// The peer closed, with this code.
    ClosedByPeer(Option<u16>),
    /// Not final: the message needs a buffer of `needed` bytes that begins with the `filled`
    /// bytes of the present one. Nothing is lost; receive again with such a buffer.
    Oversize {
        /// Length the buffer must have.
        needed: usize,
        /// Bytes to carry over.
        filled: usize,
    },
    /// Not final: sending is possible only in [`ConnState::Open`].
    NotOpen,
    /// Not final: too much waits to be sent; nothing was taken.
    OutFull,
}

impl ConnError {
    /// The server turned us away (ban, limit, firewall, certificate): retry slowly.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Handshake(HandshakeError::Refused { status: 400..=499, .. })
                | Self::Stream(StreamError::Certificate(_) | StreamError::Tls(_))
        )
    }

    /// The TLS handshake failed: trouble of the server, or somebody else's certificate.
    #[must_use]
    pub const fn is_mistrust(&self) -> bool {
        matches!(self, Self::Stream(StreamError::Certificate(_) | StreamError::Tls(_)))
    }

    /// How long the server asked us to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Nanos> {
        match self {
            Self::Handshake(HandshakeError::Refused { retry_after_s: Some(s), .. }) => {
                Some(Nanos::from_secs(*s as u64))
            }
            _ => None,
        }
    }
}

impl fmt::Display for ConnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => write!(f, "{error}"),
            Self::Handshake(error) => write!(f, "upgrade: {error}"),
            Self::Protocol(error) => write!(f, "protocol: {error}"),
            Self::OpenTimeout => f.write_str("not open in time"),
            Self::Silent => f.write_str("silent: no data and no pong"),
            Self::ClosedByPeer(Some(code)) => write!(f, "closed by the peer with code {code}"),
            Self::ClosedByPeer(None) => f.write_str("closed by the peer"),
            Self::Oversize { needed, .. } => write!(f, "message needs {needed} bytes"),
            Self::NotOpen => f.write_str("not open"),
            Self::OutFull => f.write_str("too much waits to be sent"),
        }
    }
}

impl std::error::Error for ConnError {}

impl From<StreamError> for ConnError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// It lies in the first `len` bytes of the buffer.
    pub len: usize,
    /// Stamp taken right after the receive call that completed it.
    pub t0: Nanos,
    /// How long the kernel had had the last byte of that call by then, nanoseconds, where it tells:
    /// never longer than since the socket was empty, whatever happens to the wall clock.
    pub kernel_ns: Option<u32>,
    /// Text or binary.
    pub kind: MessageKind,
}

/// What a connection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnCounters {
    /// Messages received.
    pub messages: u64,
    /// Plaintext bytes received, frame headers included.
    pub bytes: u64,
    /// Receive calls that brought bytes.
    pub fills: u64,
    /// Messages sent.
    pub sent: u64,
    /// Pings sent.
    pub pings: u64,
    /// Pongs received.
    pub pongs: u64,
    /// Pings of the peer answered.
    pub answered: u64,
    /// From our last answered ping to its pong, nanoseconds.
    pub rtt_ns: u64,
}

/// One WebSocket connection.
pub struct WsConnection {
    stream: Box<dyn Stream>,
    config: WsConfig,
    state: ConnState,
    /// When the present state must be over.
    deadline: Nanos,
    handshake: Handshake,
    deframer: Deframer,
    writer: FrameWriter,
    /// Encoded frames; `sent..` was not taken by the stream yet.
    out: Vec<u8>,
    sent: usize,
    /// Bytes the stream took but did not hand to the kernel yet.
    unflushed: usize,
    liveness: Liveness,
    t0: Nanos,
    kernel_ns: Option<u32>,
    /// The turn in which the socket was last found empty.
    empty_at: Nanos,
    counters: ConnCounters,
}

impl WsConnection {
    /// Starts a connection to `endpoint`. Key and masks follow from `seed`.
    ///
    /// # Errors
    /// Where not even a start is possible.
    pub fn connect(
        connector: &mut dyn Connector,
        endpoint: &Endpoint,
        config: WsConfig,
        seed: u64,
        now: Nanos,
    ) -> Result<Self, ConnError> {
        let mut rng = SplitMix64::new(seed);
        let handshake = Handshake::new(endpoint, &mut rng).map_err(ConnError::Handshake)?;
        Ok(Self {
            stream: connector.connect(endpoint, now)?,
            config,
            state: ConnState::Connecting,
            deadline: now + config.open_within,
            handshake,
            deframer: Deframer::new(config.message_len_max),
            writer: FrameWriter::new(rng.next_u64()),
            out: Vec::with_capacity(OUT_LEN_START),
            sent: 0,
            unflushed: 0,
            liveness: Liveness::new(config.ping_every, config.silent_after),
            t0: now,
            kernel_ns: None,
            empty_at: now,
            counters: ConnCounters::default(),
        })
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> ConnState {
        self.state
    }

    /// What it did.
    #[must_use]
    pub const fn counters(&self) -> &ConnCounters {
        &self.counters
    }

    /// Bytes not yet handed to the kernel; zero: everything sent is on its way.
    #[must_use]
    pub const fn pending_out(&self) -> usize {
        self.out.len() - self.sent + self.unflushed
    }

    /// How long nothing was heard from the peer, as far as its bytes were read.
    #[must_use]
    pub const fn quiet_for(&self, now: Nanos) -> Nanos {
        self.liveness.quiet_for(now)
    }

    /// Drives connecting, upgrading, pings, sending and closing. Call once a turn.
    ///
    /// # Errors
    /// Final ones; the state is `Closed` then.
    pub fn poll(&mut self, now: Nanos) -> Result<ConnState, ConnError> {
        let result = self.drive(now);
        if result.is_err() {
            self.end();
        }
        result.map(|()| self.state)
    }

    /// Takes the next message into `buf`, `None` where none is complete yet. Pass the same
    /// buffer until a message is complete. `stamp` is called right after each receive call that
    /// brought bytes.
    ///
    /// # Errors
    /// [`ConnError::Oversize`] where `buf` is too short; final ones otherwise.
    pub fn receive(
        &mut self,
        now: Nanos,
        buf: &mut [u8],
        stamp: &mut dyn FnMut() -> Nanos,
    ) -> Result<Option<Received>, ConnError> {
        if !matches!(self.state, ConnState::Open | ConnState::Closing) {
            return Ok(None);
        }
        let result = self.take_message(now, buf, stamp);
        if self.state == ConnState::Closing && matches!(result, Err(ConnError::Stream(_))) {
            // We asked for the end; how the peer ends it does not matter.
            self.end();
            return Ok(None);
        }
        if !matches!(result, Ok(_) | Err(ConnError::Oversize { .. })) {
            self.end();
        }
        result
    }

    /// Sends a text message, or keeps what the kernel does not take ([`pending_out`]
    /// tells how much) and sends it in later turns.
    ///
    /// # Errors
    /// [`ConnError::NotOpen`] and [`ConnError::OutFull`] took nothing; others are final.
    ///
    /// [`pending_out`]: Self::pending_out
    pub fn send_text(&mut self, now: Nanos, text: &[u8]) -> Result<(), ConnError> {
        let _ = now;
        self.queue_text(text)?;
        self.send_queued()
    }

    /// Takes a text message that leaves with [`send_queued`](Self::send_queued), or with the next
    /// message or turn: several that are queued leave in one TLS record and one system call.
    ///
    /// # Errors
    /// [`ConnError::NotOpen`] and [`ConnError::OutFull`]; nothing was taken then.
    pub fn queue_text(&mut self, text: &[u8]) -> Result<(), ConnError> {
        if self.state != ConnState::Open {
            return Err(ConnError::NotOpen);
        }
        if self.pending_out() + text.len() > OUT_LEN_MAX {
            return Err(ConnError::OutFull);
        }
        self.writer.write(Opcode::Text, text, &mut self.out);
        self.counters.sent += 1;
        Ok(())
    }

    /// Sends what was queued, or keeps what the kernel does not take.
    ///
    /// # Errors
    /// Final ones: bytes may have left.
    pub fn send_queued(&mut self) -> Result<(), ConnError> {
        let result = self.send_pending();
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Starts the planned close. Messages still come until the peer's answer, or until the
    /// configured time has passed.
    pub fn close(&mut self, now: Nanos) {
        if self.state != ConnState::Open {
            self.end();
            return;
        }
        self.writer.write(Opcode::Close, &CLOSE_NORMAL.to_be_bytes(), &mut self.out);
        self.state = ConnState::Closing;
        self.deadline = now + self.config.close_within;
        if self.send_pending().is_err() {
            self.end();
        }
    }

    /// Blocks until there may be something to do or `timeout` has passed. Cold callers only.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), ConnError> {
        Ok(self.stream.wait(timeout)?)
    }

    fn drive(&mut self, now: Nanos) -> Result<(), ConnError> {
        if self.state == ConnState::Connecting && self.stream.poll_ready(now)? {
            self.out.extend_from_slice(self.handshake.request());
            self.state = ConnState::Upgrading;
        }
        if self.state == ConnState::Upgrading {
            self.send_pending()?;
            self.upgrade(now)?;
        }
        match self.state {
            ConnState::Connecting | ConnState::Upgrading if now >= self.deadline => {
                return Err(ConnError::OpenTimeout);
            }
            ConnState::Closing if now >= self.deadline => self.end(),
            ConnState::Open => {
                if let Some(payload) = self.liveness.ping_due(now) {
                    self.writer.write(Opcode::Ping, &payload, &mut self.out);
                    self.counters.pings += 1;
                }
            }
            _ => {}
        }
        if self.pending_out() > 0 && self.state != ConnState::Closed {
            self.send_pending()?;
        }
        Ok(())
    }

    /// Reads the response to the upgrade; what follows it stays in the stream.
    fn upgrade(&mut self, now: Nanos) -> Result<(), ConnError> {
        loop {
            let chunk = self.stream.chunk()?;
            if chunk.is_empty() {
                if self.stream.fill()? == 0 {
                    return Ok(());
                }
                self.t0 = now;
                continue;
            }
            let (used, done) = self.handshake.feed(chunk).map_err(ConnError::Handshake)?;
            self.stream.consume(used);
            if done {
                self.state = ConnState::Open;
                self.deadline = Nanos::MAX;
                self.liveness.open(now);
                return Ok(());
            }
        }
    }

    fn take_message(
        &mut self,
        now: Nanos,
        buf: &mut [u8],
        stamp: &mut dyn FnMut() -> Nanos,
    ) -> Result<Option<Received>, ConnError> {
        let (mut fills, mut controls) = (0, 0);
        while fills < FILLS_MAX && controls < CONTROLS_MAX {
            let chunk = self.stream.chunk()?;
            if chunk.is_empty() {
                if self.stream.fill()? == 0 {
                    self.empty_at = now;
                    return self.nothing_heard(now);
                }
                self.t0 = stamp();
                self.kernel_ns = self.stream.waited().map(|ns| {
                    let ns = ns.min(self.t0.since(self.empty_at).0);
                    u32::try_from(ns).unwrap_or(u32::MAX)
                });
                self.liveness.heard(now);
                self.counters.fills += 1;
                fills += 1;
                continue;
            }
            let fed = match self.deframer.feed(chunk, buf) {
                Ok(fed) => fed,
                Err(error) => return Err(self.protocol_error(error)),
            };
            self.stream.consume(fed.consumed);
            self.counters.bytes += fed.consumed as u64;
            match fed.event {
                None => {}
                Some(Event::Message { len, kind }) => {
                    self.counters.messages += 1;
                    let (t0, kernel_ns) = (self.t0, self.kernel_ns);
                    return Ok(Some(Received { len, t0, kernel_ns, kind }));
                }
                Some(Event::Grow { needed }) => {
                    return Err(ConnError::Oversize { needed, filled: self.deframer.filled() });
                }
                Some(control) => {
                    controls += 1;
                    self.answer(now, control)?;
                    if self.state == ConnState::Closed {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    fn nothing_heard(&self, now: Nanos) -> Result<Option<Received>, ConnError> {
        if self.state == ConnState::Open && self.liveness.is_silent(now) {
            return Err(ConnError::Silent);
        }
        Ok(None)
    }

    fn answer(&mut self, now: Nanos, control: Event) -> Result<(), ConnError> {
        match control {
            Event::Ping if self.pending_out() < OUT_LEN_MAX => {
                self.writer.write(Opcode::Pong, self.deframer.control(), &mut self.out);
                self.counters.answered += 1;
                self.send_pending()
            }
            Event::Pong => {
                self.counters.pongs += 1;
                if let Some(rtt) = self.liveness.pong(now, self.deframer.control()) {
                    self.counters.rtt_ns = rtt.0;
                }
                Ok(())
            }
            Event::Close(_) if self.state == ConnState::Closing => {
                self.end();
                Ok(())
            }
            Event::Close(code) => {
                let payload = code.unwrap_or(CLOSE_NORMAL).to_be_bytes();
                self.writer.write(Opcode::Close, &payload, &mut self.out);
                // The peer's close is the news; whether our answer leaves is not.
                let _ = self.send_pending();
                Err(ConnError::ClosedByPeer(code))
            }
            // A peer that pings but does not read gets no more answers.
            _ => Ok(()),
        }
    }

    /// Tells the peer what it did wrong, best effort.
    fn protocol_error(&mut self, error: WsError) -> ConnError {
        self.writer.write(Opcode::Close, &error.close_code().to_be_bytes(), &mut self.out);
        let _ = self.send_pending();
        ConnError::Protocol(error)
    }

    fn send_pending(&mut self) -> Result<(), ConnError> {
        loop {
            let taken = self.stream.write(&self.out[self.sent..])?;
            self.sent += taken;
            self.unflushed += taken;
            let flushed = self.stream.flush()?;
            if flushed {
                self.unflushed = 0;
            }
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                return Ok(());
            }
            if taken == 0 || !flushed {
                return Ok(());
            }
        }
    }

    fn end(&mut self) {
        if self.state != ConnState::Closed {
            self.state = ConnState::Closed;
            self.stream.close();
        }
    }
}

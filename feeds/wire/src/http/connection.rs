//! One HTTP connection: connect, TLS, a request, its answer, the next request.
//!
//! The owner calls [`HttpConnection::poll`] now and then, and while a request is under way in each
//! turn: it drives the opening, sends what is left and takes in the answer. Errors are final: drop
//! the connection. A request whose connection broke may have arrived.

use core::fmt;
use std::time::Duration;

use bot4_types::Nanos;

use super::{HttpError, ResponseDecoder};
use crate::transport::{Connector, Endpoint, Stream, StreamError};

/// Receive calls of one [`HttpConnection::poll`] at most, so that a turn stays bounded.
const FILLS_MAX: usize = 64;

/// Times and limits of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// From connecting to the first request's turn.
    pub open_within: Nanos,
    /// From a request to the whole of its answer.
    pub answer_within: Nanos,
    /// Longest body of an answer in bytes.
    pub body_len_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            open_within: Nanos::from_secs(5),
            answer_within: Nanos::from_secs(3),
            body_len_max: 1024 * 1024,
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpState {
    /// TCP and TLS.
    Connecting,
    /// A request can be sent.
    Idle,
    /// The answer to a request is awaited.
    Waiting,
    /// The answer is there: look at it, then [`HttpConnection::done`].
    Answered,
    /// Over: the peer closed it, or the last answer said so.
    Closed,
}

/// Why a connection does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpConnError {
    /// TCP or TLS.
    Stream(StreamError),
    /// The answer.
    Protocol(HttpError),
    /// Not open within the configured time.
    OpenTimeout,
    /// No answer within the configured time.
    AnswerTimeout,
}

impl fmt::Display for HttpConnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => write!(f, "{error}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::OpenTimeout => f.write_str("not open in time"),
            Self::AnswerTimeout => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for HttpConnError {}

impl From<StreamError> for HttpConnError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// One HTTP connection.
pub struct HttpConnection {
    stream: Box<dyn Stream>,
    config: HttpConfig,
    state: HttpState,
    /// When the present state must be over.
    deadline: Nanos,
    decoder: ResponseDecoder,
    /// The request; `sent..` was not taken by the stream yet.
    out: Vec<u8>,
    sent: usize,
    /// The stream took bytes that it did not hand to the kernel yet.
    unflushed: bool,
    /// When the last request or answer was.
    used_at: Nanos,
    /// Stamp of the receive call that completed the answer.
    t0: Nanos,
}

impl HttpConnection {
    /// Starts a connection to `endpoint`.
    ///
    /// # Errors
    /// Where not even a start is possible.
    pub fn connect(
        connector: &mut dyn Connector,
        endpoint: &Endpoint,
        config: HttpConfig,
        now: Nanos,
    ) -> Result<Self, HttpConnError> {
        Ok(Self {
            stream: connector.connect(endpoint, now)?,
            config,
            state: HttpState::Connecting,
            deadline: now + config.open_within,
            decoder: ResponseDecoder::new(config.body_len_max),
            out: Vec::with_capacity(4 * 1024),
            sent: 0,
            unflushed: false,
            used_at: now,
            t0: now,
        })
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> HttpState {
        self.state
    }

    /// The answer, in [`HttpState::Answered`].
    #[must_use]
    pub const fn answer(&self) -> &ResponseDecoder {
        &self.decoder
    }

    /// Stamp taken right after the receive call that completed the answer.
    #[must_use]
    pub const fn answered_at(&self) -> Nanos {
        self.t0
    }

    /// How long it has carried nothing.
    #[must_use]
    pub const fn unused_for(&self, now: Nanos) -> Nanos {
        now.since(self.used_at)
    }

    /// Sends a whole request. What the kernel does not take at once leaves in later polls. False
    /// in every state but [`HttpState::Idle`]: nothing was taken.
    ///
    /// # Errors
    /// Final ones; bytes may have left.
    pub fn send(&mut self, now: Nanos, request: &[u8]) -> Result<bool, HttpConnError> {
        if self.state != HttpState::Idle {
            return Ok(false);
        }
        self.out.clear();
        self.out.extend_from_slice(request);
        self.sent = 0;
        self.decoder.reset();
        self.state = HttpState::Waiting;
        self.deadline = now + self.config.answer_within;
        self.used_at = now;
        let result = self.send_pending();
        self.judge(result)?;
        Ok(true)
    }

    /// Drives opening, sending and receiving. `stamp` is called right after each receive call that
    /// brought bytes.
    ///
    /// # Errors
    /// Final ones; the state is [`HttpState::Closed`] then.
    pub fn poll(
        &mut self,
        now: Nanos,
        stamp: &mut dyn FnMut() -> Nanos,
    ) -> Result<HttpState, HttpConnError> {
        let result = self.drive(now, stamp);
        self.judge(result)?;
        Ok(self.state)
    }

    /// The answer was looked at: the connection is free, or over where the peer said so.
    pub fn done(&mut self, now: Nanos) {
        if self.state != HttpState::Answered {
            return;
        }
        if self.decoder.keeps_connection() {
            self.decoder.reset();
            (self.state, self.used_at) = (HttpState::Idle, now);
        } else {
            self.close();
        }
    }

    /// Ends the connection.
    pub fn close(&mut self) {
        if self.state != HttpState::Closed {
            self.state = HttpState::Closed;
            self.stream.close();
        }
    }

    /// Blocks until there may be something to do or `timeout` has passed. Cold callers only.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), HttpConnError> {
        Ok(self.stream.wait(timeout)?)
    }

    fn judge<T>(&mut self, result: Result<T, HttpConnError>) -> Result<T, HttpConnError> {
        if result.is_err() {
            self.close();
        }
        result
    }

    fn drive(&mut self, now: Nanos, stamp: &mut dyn FnMut() -> Nanos) -> Result<(), HttpConnError> {
        match self.state {
            HttpState::Connecting => {
                if self.stream.poll_ready(now)? {
                    (self.state, self.used_at) = (HttpState::Idle, now);
                } else if now >= self.deadline {
                    return Err(HttpConnError::OpenTimeout);
                }
            }
            HttpState::Idle => self.listen_idle()?,
            HttpState::Waiting => {
                self.send_pending()?;
                self.receive(now, stamp)?;
                if self.state == HttpState::Waiting && now >= self.deadline {
                    return Err(HttpConnError::AnswerTimeout);
                }
            }
            HttpState::Answered | HttpState::Closed => {}
        }
        Ok(())
    }

    /// A peer that closes while nothing is asked is no error; one that speaks is.
    fn listen_idle(&mut self) -> Result<(), HttpConnError> {
        for _ in 0..2 {
            match self.stream.chunk() {
                Ok([]) => {}
                Ok(_) => return Err(HttpConnError::Protocol(HttpError::Unasked)),
                Err(StreamError::Closed) => {
                    self.close();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            match self.stream.fill() {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(StreamError::Closed) => {
                    self.close();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        now: Nanos,
        stamp: &mut dyn FnMut() -> Nanos,
    ) -> Result<(), HttpConnError> {
        let mut fills = 0;
        while fills < FILLS_MAX {
            let fed = match self.stream.chunk() {
                Ok([]) => {
                    match self.stream.fill() {
                        Ok(0) => return Ok(()),
                        Ok(_) => self.t0 = stamp(),
                        Err(StreamError::Closed) => return self.cut_off(now),
                        Err(error) => return Err(error.into()),
                    }
                    fills += 1;
                    continue;
                }
                Ok(chunk) => self.decoder.feed(chunk).map_err(HttpConnError::Protocol)?,
                Err(StreamError::Closed) => return self.cut_off(now),
                Err(error) => return Err(error.into()),
            };
            self.stream.consume(fed.consumed);
            if fed.complete {
                return self.answered(now);
            }
        }
        Ok(())
    }

    /// Bytes behind the answer are found when the connection is idle again.
    fn answered(&mut self, now: Nanos) -> Result<(), HttpConnError> {
        (self.state, self.used_at) = (HttpState::Answered, now);
        Ok(())
    }

    fn cut_off(&mut self, now: Nanos) -> Result<(), HttpConnError> {
        match self.decoder.end() {
            Ok(true) => self.answered(now),
            Ok(false) => Err(HttpConnError::Stream(StreamError::Closed)),
            Err(error) => Err(HttpConnError::Protocol(error)),
        }
    }

    fn send_pending(&mut self) -> Result<(), HttpConnError> {
        while self.sent < self.out.len() || self.unflushed {
            let taken = self.stream.write(&self.out[self.sent..])?;
            self.sent += taken;
            self.unflushed = !self.stream.flush()?;
            if self.unflushed || (taken == 0 && self.sent < self.out.len()) {
                return Ok(());
            }
        }
        Ok(())
    }
}

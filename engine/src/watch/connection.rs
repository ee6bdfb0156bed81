//! One client: a socket, TLS where it is asked for, and where its request stands.
//!
//! ```text
//! Reading --whole request--> (answered at once) Writing --all sent--> Reading | Lingering
//!    |                '----> Waiting --told------^                               |
//!    '--no request: an error is written, then the end of the stream--------------'
//! ```
//! Every phase has a deadline, so a client that is slow to send, slow to read or silent costs a
//! place for a known time and nothing else. A client is read only while its next request is not
//! whole: what it sends beyond waits in the kernel.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;

use bot4_types::Nanos;
use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

use super::http::{BODY_LEN_MAX, HEAD_LEN_MAX, Method, Request, Response};

/// A request comes within this, or the next one after an answer.
pub const READ_WITHIN: Nanos = Nanos::from_secs(5);
/// An answer is taken within this, however little at a time.
pub const WRITE_WITHIN: Nanos = Nanos::from_secs(10);
/// An act is done within this: the engine's answer, and its last cancel.
pub const ACT_WITHIN: Nanos = Nanos::from_secs(45);
/// What a client still sends after the last answer is read for this long, so that the answer is
/// not lost to a reset.
const LINGER: Nanos = Nanos::from_secs(1);
/// Requests of one client in one turn; the others have theirs first.
const REQUESTS_PER_TURN: usize = 8;
/// Bytes read from a socket at a time.
const CHUNK: usize = 4 * 1024;

/// Where a client's request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not come as a whole.
    Reading,
    /// It is done elsewhere.
    Waiting,
    /// Its answer is being taken.
    Writing,
    /// The last answer is out.
    Lingering,
}

/// What became of a client's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its socket has nothing more for now.
    Blocked,
    /// It had its share and has more.
    More,
    /// It is over.
    Over,
}

/// What answers requests: at once, or later ([`Connection::tell`]) with `None`.
pub type Answer<'a> = &'a mut dyn FnMut(&Request) -> Option<Response>;

/// A client. See the module.
pub struct Connection {
    /// Its socket.
    pub stream: TcpStream,
    tls: Option<ServerConnection>,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    phase: Phase,
    keep_alive: bool,
    head_only: bool,
    /// When it entered its phase.
    since: Nanos,
}

impl Connection {
    /// A client that has just connected.
    ///
    /// # Errors
    /// When no TLS session can be made.
    pub fn new(
        stream: TcpStream,
        tls: Option<&Arc<ServerConfig>>,
        now: Nanos,
    ) -> Result<Self, rustls::Error> {
        let tls = tls.map(|config| ServerConnection::new(config.clone())).transpose()?;
        // A page's figures leave in one write; without this the last part waits for an answer.
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream,
            tls,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            phase: Phase::Reading,
            keep_alive: false,
            head_only: false,
            since: now,
        })
    }

    /// Where its request stands, and since when.
    #[must_use]
    pub const fn phase(&self) -> (Phase, Nanos) {
        (self.phase, self.since)
    }

    /// The time at which it is dropped if nothing changes.
    #[must_use]
    pub const fn deadline(&self) -> Nanos {
        let within = match self.phase {
            Phase::Reading => READ_WITHIN,
            Phase::Waiting => ACT_WITHIN,
            Phase::Writing => WRITE_WITHIN,
            Phase::Lingering => LINGER,
        };
        Nanos(self.since.0 + within.0)
    }

    /// Goes on as far as the socket lets it.
    pub fn turn(&mut self, now: Nanos, answer: Answer<'_>) -> Turn {
        let mut requests = 0;
        loop {
            let step = match self.phase {
                Phase::Reading if requests == REQUESTS_PER_TURN => return Turn::More,
                Phase::Reading => self.read(now, &mut requests, answer),
                Phase::Waiting => return Turn::Blocked,
                Phase::Writing => self.write(now),
                Phase::Lingering => self.linger(),
            };
            match step {
                Ok(true) => {}
                Ok(false) => return Turn::Blocked,
                Err(_) => return Turn::Over,
            }
        }
    }

    /// The answer to the request that was waiting.
    pub fn tell(&mut self, response: &Response, now: Nanos) {
        self.output = response.bytes(self.keep_alive, self.head_only, self.tls.is_some());
        self.sent = 0;
        self.enter(Phase::Writing, now);
    }

    fn enter(&mut self, phase: Phase, now: Nanos) {
        (self.phase, self.since) = (phase, now);
    }

    /// Reads and answers one request. `true`: there may be more to do.
    fn read(&mut self, now: Nanos, requests: &mut usize, answer: Answer<'_>) -> io::Result<bool> {
        match Request::read(&self.input) {
            Ok(Some((request, length))) => {
                *requests += 1;
                self.input.drain(..length);
                self.keep_alive = request.keep_alive;
                self.head_only = request.method == Method::Head;
                match answer(&request) {
                    Some(response) => self.tell(&response, now),
                    None => self.enter(Phase::Waiting, now),
                }
                return Ok(true);
            }
            Ok(None) => {}
            Err(bad) => {
                (self.keep_alive, self.head_only) = (false, false);
                self.tell(&Response::error(bad.status, bad.what), now);
                return Ok(true);
            }
        }
        debug_assert!(self.input.len() <= HEAD_LEN_MAX + BODY_LEN_MAX + CHUNK);
        let mut chunk = [0; CHUNK];
        let Some(n) = self.receive(&mut chunk)? else { return Ok(false) };
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.input.is_empty() {
            // A kept connection's next request has its own time.
            self.since = now;
        }
        self.input.extend_from_slice(&chunk[..n]);
        Ok(true)
    }

    fn write(&mut self, now: Nanos) -> io::Result<bool> {
        while self.sent < self.output.len() {
            let rest = &self.output[self.sent..];
            let taken = match &mut self.tls {
                None => blocking(self.stream.write(rest))?,
                Some(tls) => {
                    // Rustls takes what its own buffer has room for.
                    let n = tls.writer().write(rest)?;
                    (flush(tls, &mut self.stream)? || n > 0).then_some(n)
                }
            };
            let Some(n) = taken else { return Ok(false) };
            self.sent += n;
        }
        if let Some(tls) = &mut self.tls
            && !flush(tls, &mut self.stream)?
        {
            return Ok(false);
        }
        self.output = Vec::new();
        if self.keep_alive {
            self.enter(Phase::Reading, now);
            return Ok(true);
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = flush(tls, &mut self.stream);
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.enter(Phase::Lingering, now);
        Ok(true)
    }

    /// Reads what still comes, without looking at it.
    fn linger(&mut self) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        match blocking(self.stream.read(&mut chunk))? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            more => Ok(more.is_some()),
        }
    }

    /// Bytes from the client; `None` when there are none for now, 0 at their end.
    fn receive(&mut self, chunk: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else { return blocking(self.stream.read(chunk)) };
        loop {
            match tls.reader().read(chunk) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                told => return told.map(Some),
            }
            match blocking(tls.read_tls(&mut self.stream))? {
                None => {
                    flush(tls, &mut self.stream)?;
                    return Ok(None);
                }
                Some(0) => return Ok(Some(0)),
                Some(_) => {
                    let state = tls.process_new_packets();
                    // The handshake's next part, or the alert that says what was wrong.
                    flush(tls, &mut self.stream)?;
                    state.map_err(io::Error::other)?;
                }
            }
        }
    }
}

/// Hands what TLS has ready to the socket. `false`: the socket takes no more for now.
fn flush(tls: &mut ServerConnection, stream: &mut TcpStream) -> io::Result<bool> {
    while tls.wants_write() {
        if blocking(tls.write_tls(stream))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `None` where it would block.
fn blocking(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(e) => Err(e),
    }
}

//! WebSocket over any byte stream: one connection, and the hub that joins connections to a venue.
//!
//! Invariants: account records are appended before the outputs that depend on them are sent; a
//! reader that lets more than the output bound pile up is cut; reading goes on until the stream
//! would block (streams are edge-triggered). Nothing here knows sockets, TLS or clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::dialect::{Ask, Reply};
use crate::venue::{ConnId, Out, Venue};

/// Bytes that may wait for a slow reader before it is cut: several of the largest recorded
/// snapshots (5.1 MB) may be asked for at once.
const OUTPUT_MAX: usize = 24 << 20;
/// Largest request.
const REQUEST_MAX: usize = 128 << 10;
/// How long a connection for plain requests may be idle.
const IDLE_NS: u64 = 30_000_000_000;
/// Largest handshake.
const HANDSHAKE_MAX: usize = 16 << 10;
/// Messages read from one connection before the others have their turn.
const BATCH: usize = 256;
/// How long a connection that is closing, or not yet open, may linger.
const LINGER_NS: u64 = 5_000_000_000;

/// Where account records go.
pub trait Journal {
    /// Appends whole lines.
    ///
    /// # Errors
    /// Whatever keeps the lines from being stored; the venue must not answer then.
    fn append(&mut self, lines: &str) -> io::Result<()>;
}

impl Journal for String {
    fn append(&mut self, lines: &str) -> io::Result<()> {
        self.push_str(lines);
        Ok(())
    }
}

/// What follows the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The connection is a WebSocket.
    Open,
    /// Another request may come.
    Again,
    /// The end.
    End,
}

enum State<S> {
    Handshake { stream: S, received: Vec<u8>, answer: Vec<u8>, then: Then },
    Open(Box<WebSocket<S>>),
    Gone,
}

/// One connection from its first byte to its last.
pub struct Session<S> {
    state: State<S>,
    /// When it is dropped if it is not open (any more).
    linger_until_ns: Option<u64>,
    /// Said before the handshake's answer had left, and when.
    early: Vec<(Out, u64)>,
    /// A plain request was read whose answer is yet to come.
    is_waiting: bool,
}

impl<S: Read + Write> Session<S> {
    /// A connection whose handshake is yet to come.
    pub fn new(stream: S, now_ns: u64) -> Self {
        let (received, answer) = (Vec::new(), Vec::new());
        let state = State::Handshake { stream, received, answer, then: Then::End };
        let (linger_until_ns, early) = (Some(now_ns + LINGER_NS), Vec::new());
        Self { state, linger_until_ns, early, is_waiting: false }
    }

    /// Is there nothing more to do with it?
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Reads what is there and passes it on. True: there may be more.
    pub fn read(&mut self, id: ConnId, venue: &mut Venue, now_ns: u64) -> bool {
        if matches!(self.state, State::Handshake { .. }) {
            self.shake_hands(id, venue, now_ns);
        }
        let State::Open(socket) = &mut self.state else { return false };
        for _ in 0..BATCH {
            match socket.read() {
                Ok(Message::Text(text)) => venue.on_text(id, &text, now_ns),
                Ok(Message::Ping(_)) => venue.on_ping(id, now_ns),
                Ok(Message::Pong(_)) => venue.on_pong(id, now_ns),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.state = State::Gone;
                    return false;
                }
            }
        }
        true
    }

    /// Puts something into the output; it leaves with [`Session::flush`] or when much is there.
    pub fn send(&mut self, out: Out, now_ns: u64) {
        if let State::Handshake { answer, then, .. } = &mut self.state {
            return match out {
                Out::Reply(reply) if self.is_waiting => {
                    (*answer, *then) = (reply_text(&reply, false), Then::Again);
                    self.is_waiting = false;
                    self.linger_until_ns = Some(now_ns + IDLE_NS);
                }
                Out::Reply(_) => {}
                Out::Drop => self.state = State::Gone,
                other => self.early.push((other, now_ns)),
            };
        }
        let State::Open(socket) = &mut self.state else { return };
        let written = match out {
            Out::Text(text) => socket.write(Message::Text(text)),
            Out::Ping(payload) => socket.write(Message::Ping(payload.into_bytes().into())),
            Out::Close(code, reason) => {
                self.linger_until_ns = Some(now_ns + LINGER_NS);
                let code = CloseCode::from(code);
                socket.close(Some(CloseFrame { code, reason: reason.into() }))
            }
            Out::Reply(_) => Ok(()),
            Out::Drop | Out::Reset | Out::Stall => Err(Error::AlreadyClosed),
        };
        self.judge(written);
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        match &mut self.state {
            State::Open(socket) => {
                let flushed = socket.flush();
                self.judge(flushed);
            }
            State::Handshake { .. } => self.send_handshake(),
            State::Gone => {}
        }
    }

    /// Drops a connection that had its time to open or to close.
    pub fn expire(&mut self, now_ns: u64) {
        if self.linger_until_ns.is_some_and(|until| until <= now_ns) {
            self.state = State::Gone;
        }
    }

    fn judge(&mut self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Includes `WriteBufferFull`: a reader too slow for its streams.
            Err(_) => self.state = State::Gone,
        }
    }

    fn shake_hands(&mut self, id: ConnId, venue: &mut Venue, now_ns: u64) {
        loop {
            let State::Handshake { stream, received, answer, then } = &mut self.state else {
                return;
            };
            if !answer.is_empty() || self.is_waiting {
                return;
            }
            match plain(received) {
                Ok(Some((length, ask))) => {
                    let reply = venue.ask_on(id, &ask.borrowed(), now_ns);
                    received.drain(..length);
                    self.linger_until_ns = Some(now_ns + IDLE_NS);
                    match reply {
                        Some(reply) => {
                            (*answer, *then) = (reply_text(&reply, false), Then::Again);
                        }
                        None => self.is_waiting = true,
                    }
                    // Its records come first: it leaves with the next flush.
                    return;
                }
                Ok(None) => {}
                Err(()) => (*answer, *then) = (refusal(400), Then::End),
            }
            let parsed = match received.is_empty() || is_post(received) {
                true => Ok(None),
                false => Request::try_parse(received),
            };
            match parsed {
                _ if !answer.is_empty() => {}
                Ok(None) if received.len() <= HANDSHAKE_MAX => {
                    let mut buffer = [0; 4096];
                    match stream.read(&mut buffer) {
                        Ok(n) if n > 0 => received.extend_from_slice(&buffer[..n]),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                        _ => return self.state = State::Gone,
                    }
                    continue;
                }
                Ok(Some((length, request))) => {
                    received.drain(..length);
                    self.linger_until_ns = Some(now_ns + IDLE_NS);
                    match first_answer(&request, id, venue, now_ns) {
                        Some(first) => (*answer, *then) = first,
                        None => {
                            self.is_waiting = true;
                            return;
                        }
                    }
                }
                _ => (*answer, *then) = (refusal(400), Then::End),
            }
            self.send_handshake();
        }
    }

    /// Sends the answer; then the connection is open, waits for the next request, or is gone.
    fn send_handshake(&mut self) {
        let State::Handshake { stream, answer, .. } = &mut self.state else { return };
        if answer.is_empty() {
            return;
        }
        while !answer.is_empty() {
            match stream.write(answer) {
                Ok(n) if n > 0 => _ = answer.drain(..n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.state = State::Gone,
            }
        }
        let flushed = stream.flush();
        if flushed.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            return self.state = State::Gone;
        }
        if matches!(self.state, State::Handshake { then: Then::Again, .. }) {
            return;
        }
        let handshake = std::mem::replace(&mut self.state, State::Gone);
        if let State::Handshake { stream, received, then: Then::Open, .. } = handshake {
            let config = WebSocketConfig::default()
                .read_buffer_size(8 << 10)
                .write_buffer_size(64 << 10)
                .max_write_buffer_size(OUTPUT_MAX)
                .max_message_size(Some(REQUEST_MAX))
                .max_frame_size(Some(REQUEST_MAX));
            let socket =
                WebSocket::from_partially_read(stream, received, Role::Server, Some(config));
            self.state = State::Open(Box::new(socket));
            self.linger_until_ns = None;
            for (out, at_ns) in std::mem::take(&mut self.early) {
                self.send(out, at_ns);
            }
        }
    }
}

/// A POST that has arrived.
struct Post {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Post {
    fn borrowed(&self) -> Ask<'_> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        Ask { method: "POST", path, query, headers: &self.headers, body: &self.body }
    }
}

fn is_post(received: &[u8]) -> bool {
    received.starts_with(b"POST ")
}

/// Reads a POST with its body; `None` while it has not arrived, or is something else.
fn plain(received: &[u8]) -> Result<Option<(usize, Post)>, ()> {
    if !is_post(received) {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(received).map_err(|_| ())? else {
        return Ok(None);
    };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(Ok(0), |(_, value)| value.parse()).map_err(|_| ())?;
    let Some(body) = received.get(head..head + length.min(HANDSHAKE_MAX)) else {
        return Ok(None);
    };
    let body = String::from_utf8_lossy(body).into_owned();
    let target = request.path.unwrap_or("/").to_owned();
    Ok(Some((head + length.min(HANDSHAKE_MAX), Post { target, headers, body })))
}

/// Answers a handshake, or a plain request; `None`: later.
fn first_answer(
    request: &Request,
    id: ConnId,
    venue: &mut Venue,
    now_ns: u64,
) -> Option<(Vec<u8>, Then)> {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    if !request.headers().contains_key("Upgrade") {
        let close = request.headers().get("Connection");
        let close = close.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into()))
            .collect();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let ask = Ask { method: "GET", path, query, headers: &headers, body: "" };
        let answer = reply_text(&venue.ask_on(id, &ask, now_ns)?, close);
        return Some((answer, if close { Then::End } else { Then::Again }));
    }
    let Ok(response) = create_response(request) else { return Some((refusal(400), Then::End)) };
    if let Err(status) = venue.connect(id, path, now_ns) {
        return Some((refusal(status), Then::End));
    }
    let mut answer = Vec::new();
    Some(match write_response(&mut answer, &response) {
        Ok(()) => (answer, Then::Open),
        Err(_) => (refusal(500), Then::End),
    })
}

fn reply_text(reply: &Reply, close: bool) -> Vec<u8> {
    let (page, headers) = (&reply.page, &reply.headers);
    let (status, reason, body) = (page.status, reason(page.status), &page.body);
    let connection = if close { "close" } else { "keep-alive" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json;charset=UTF-8\r\n\
         Content-Length: {length}\r\nConnection: {connection}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn refusal(status: u16) -> Vec<u8> {
    let head = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    format!("HTTP/1.1 {status} {}\r\n{head}", reason(status)).into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        418 => "I'm a teapot",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Bad Request",
    }
}

/// A venue and all its connections.
pub struct Hub<S, J> {
    venue: Venue,
    journal: J,
    sessions: BTreeMap<ConnId, Session<S>>,
    dirty: BTreeSet<ConnId>,
    unread: BTreeSet<ConnId>,
    cuts: Vec<(ConnId, Out)>,
    next_id: ConnId,
}

impl<S: Read + Write, J: Journal> Hub<S, J> {
    /// A venue without connections.
    pub fn new(venue: Venue, journal: J) -> Self {
        let (sessions, dirty, unread, cuts) = Default::default();
        Self { venue, journal, sessions, dirty, unread, cuts, next_id: 1 }
    }

    /// The venue.
    pub fn venue(&self) -> &Venue {
        &self.venue
    }

    /// The journal.
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// Takes a new connection; its id.
    pub fn add(&mut self, stream: S, now_ns: u64) -> ConnId {
        let id = self.next_id;
        self.next_id += 1;
        self.sessions.insert(id, Session::new(stream, now_ns));
        self.unread.insert(id);
        id
    }

    /// The stream of a connection, to register it with a poll.
    pub fn stream_mut(&mut self, id: ConnId) -> Option<&mut S> {
        match &mut self.sessions.get_mut(&id)?.state {
            State::Handshake { stream, .. } => Some(stream),
            State::Open(socket) => Some(socket.get_mut()),
            State::Gone => None,
        }
    }

    /// A connection became readable or writable.
    pub fn ready(&mut self, id: ConnId) {
        self.unread.insert(id);
        self.dirty.insert(id);
    }

    /// Every connection may be readable or writable.
    pub fn all_ready(&mut self) {
        self.unread.extend(self.sessions.keys());
        self.dirty.extend(self.sessions.keys());
    }

    /// Is there input that can be read without waiting?
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.unread.iter().any(|&id| !self.venue.is_silenced(id))
    }

    /// Reads, lets time pass, stores records, sends.
    ///
    /// # Errors
    /// Only those of the journal: without it the venue may not answer.
    pub fn cycle(&mut self, now_ns: u64) -> io::Result<()> {
        self.venue.tick(now_ns);
        for id in std::mem::take(&mut self.unread) {
            if self.venue.is_silenced(id) {
                self.unread.insert(id);
                continue;
            }
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.read(id, &mut self.venue, now_ns) {
                self.unread.insert(id);
            }
            self.dirty.insert(id);
        }
        self.store()?;
        while let Some((id, out)) = self.venue.poll_output() {
            if matches!(out, Out::Reset | Out::Stall) {
                self.cuts.push((id, out));
            } else if let Some(session) = self.sessions.get_mut(&id) {
                session.send(out, now_ns);
                self.dirty.insert(id);
            }
        }
        for id in std::mem::take(&mut self.dirty) {
            if self.venue.is_silenced(id) {
                self.dirty.insert(id);
            } else if let Some(session) = self.sessions.get_mut(&id) {
                session.flush();
            }
        }
        self.bury(now_ns);
        Ok(())
    }

    /// Connections to be cut in a way that only their owner can: [`Out::Reset`], [`Out::Stall`].
    pub fn take_cuts(&mut self) -> Vec<(ConnId, Out)> {
        std::mem::take(&mut self.cuts)
    }

    /// Drops a connection.
    pub fn drop_connection(&mut self, id: ConnId) {
        self.sessions.remove(&id);
        self.venue.disconnect(id);
    }

    /// Lets everything happen that is due, without reading or writing.
    pub fn tick(&mut self, now_ns: u64) {
        self.venue.tick(now_ns);
    }

    fn store(&mut self) -> io::Result<()> {
        let mut lines = String::new();
        while let Some(record) = self.venue.poll_record() {
            lines.push_str(&record);
            lines.push('\n');
        }
        if lines.is_empty() { Ok(()) } else { self.journal.append(&lines) }
    }

    fn bury(&mut self, now_ns: u64) {
        let Self { sessions, venue, .. } = self;
        sessions.retain(|&id, session| {
            session.expire(now_ns);
            if session.is_gone() {
                venue.disconnect(id);
            }
            !session.is_gone()
        });
    }
}

/// A hub for simulations: streams in memory, the account log in a text.
pub struct MemoryServer<S> {
    hub: Hub<S, String>,
}

impl<S: Read + Write> MemoryServer<S> {
    /// A venue without connections.
    pub fn new(venue: Venue) -> Self {
        Self { hub: Hub::new(venue, String::new()) }
    }

    /// Takes a new connection; reads and writes must answer `WouldBlock` instead of waiting.
    pub fn add_stream(&mut self, stream: S, now_ns: u64) -> ConnId {
        self.hub.add(stream, now_ns)
    }

    /// Reads all streams, lets time pass to `now_ns` (Unix ns), writes.
    pub fn cycle(&mut self, now_ns: u64) {
        self.hub.all_ready();
        // A text in memory takes every record.
        let stored = self.hub.cycle(now_ns);
        debug_assert!(stored.is_ok());
        for (id, cut) in self.hub.take_cuts() {
            // A stream in memory has no records to halve: it stays open and says nothing more.
            if cut == Out::Reset {
                self.hub.drop_connection(id);
            }
        }
    }

    /// When the venue next has something to do by itself, Unix ns.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        self.hub.venue().next_timeout()
    }

    /// The account log so far: what a restarted venue reads.
    #[must_use]
    pub fn log(&self) -> &str {
        self.hub.journal()
    }

    /// The venue.
    #[must_use]
    pub fn venue(&self) -> &Venue {
        self.hub.venue()
    }
}

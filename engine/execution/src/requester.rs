//! Requests over HTTPS by the lane itself, for venues that take orders that way: a few connections,
//! kept open, each with one request under way. No thread, no queue: a request that is taken is
//! handed to the socket.
//!
//! Cancels find a connection where orders find none, and orders where questions find none. A
//! connection that breaks, or whose answer does not come, ends its request without an answer; the
//! session decides what that means. Connections are opened one after the other, so that a turn
//! bears one handshake at most, and left before the venue thinks them idle: one that it closes
//! while a request is on its way costs an unknown order.

use bot4_types::Nanos;
use bot4_wire::backoff::Backoff;
use bot4_wire::http::{HttpConfig, HttpConnection, HttpState, ResponseDecoder, write_request};
use bot4_wire::{Connector, Endpoint};

use crate::courier::{Answer, Granted};
use crate::requests::Purpose;

/// Connections. With a round trip of 100 ms they carry 80 requests a second, which is more than
/// venues with such an interface grant.
const LINES: usize = 8;
/// Connections that questions leave free.
const KEPT_FOR_ORDERS: usize = 3;
/// Connections that orders leave free.
const KEPT_FOR_CANCELS: usize = 1;
/// A connection that carried nothing for this long is left for a new one: venues close them after
/// 30 s or more.
const IDLE_MAX: Nanos = Nanos::from_secs(20);
/// Between two looks at connections that carry nothing.
const LOOK_EVERY: Nanos = Nanos::from_millis(10);
/// Without an open connection for this long the session is over.
const DOWN_MAX: Nanos = Nanos::from_secs(2);

struct Line {
    conn: Option<HttpConnection>,
    /// The request under way.
    request: Option<u64>,
}

impl Line {
    fn is_free(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.state() == HttpState::Idle)
    }

    fn is_open(&self) -> bool {
        let open = |conn: &HttpConnection| {
            !matches!(conn.state(), HttpState::Connecting | HttpState::Closed)
        };
        self.conn.as_ref().is_some_and(open)
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequesterCounts {
    /// Connections that came up.
    pub connects: u64,
    /// Connections that broke.
    pub losses: u64,
    /// Requests that ended without an answer.
    pub unanswered: u64,
}

/// The connections.
pub struct Requester {
    connector: Box<dyn Connector>,
    endpoint: Endpoint,
    /// As the `Host` header names it.
    host: String,
    config: HttpConfig,
    lines: Vec<Line>,
    /// The line that is tried first: they take turns.
    turn: usize,
    backoff: Backoff,
    looked_at: Nanos,
    /// When there was an open connection last.
    open_at: Option<Nanos>,
    out: Vec<u8>,
    /// What was counted.
    pub counts: RequesterCounts,
}

impl Requester {
    /// Connections to `endpoint`, to be made in the next turns.
    #[must_use]
    pub fn new(
        connector: Box<dyn Connector>,
        endpoint: Endpoint,
        config: HttpConfig,
        seed: u64,
    ) -> Self {
        let host = endpoint.authority();
        let lines = (0..LINES).map(|_| Line { conn: None, request: None }).collect();
        Self {
            connector,
            endpoint,
            host,
            config,
            lines,
            turn: 0,
            backoff: Backoff::new(seed),
            looked_at: Nanos::ZERO,
            open_at: None,
            out: Vec::with_capacity(4 * 1024),
            counts: RequesterCounts::default(),
        }
    }

    /// A request can be sent, of whatever kind.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lines.iter().any(Line::is_open)
    }

    /// There has been no open connection for so long that the session is over.
    #[must_use]
    pub fn is_down(&self, now: Nanos) -> bool {
        self.open_at.is_none_or(|at| now.since(at) > DOWN_MAX)
    }

    /// A request for this purpose finds a connection.
    #[must_use]
    pub fn has_room(&self, purpose: &Purpose) -> bool {
        let kept = match purpose {
            Purpose::Cancel(_) | Purpose::CancelAll(_) => 0,
            Purpose::Place(_) | Purpose::Amend(_) => KEPT_FOR_CANCELS,
            _ => KEPT_FOR_ORDERS,
        };
        self.lines.iter().filter(|line| line.is_free()).count() > kept
    }

    /// Opens what is missing, one connection at a time, and looks after those that carry nothing.
    pub fn poll(&mut self, now: Nanos) {
        if self.is_open() {
            self.open_at = Some(now);
        }
        let opening = self.lines.iter().position(|line| {
            line.conn.as_ref().is_some_and(|conn| conn.state() == HttpState::Connecting)
        });
        match opening {
            Some(at) => self.open_on(at, now),
            None if self.backoff.is_due(now) => self.open_next(now),
            None => {}
        }
        if now.since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            self.look_at_idle(now);
        }
    }

    /// Sends `request`, written as [`bot4_venues::rest`] has it. False when no connection is free
    /// for its purpose, or it is no request; nothing was sent then.
    pub fn send(&mut self, id: u64, request: &[u8], purpose: &Purpose, now: Nanos) -> bool {
        if !self.has_room(purpose) || !self.write(request) {
            return false;
        }
        let lines = self.lines.len();
        for n in 0..lines {
            let at = (self.turn + n) % lines;
            let line = &mut self.lines[at];
            if !line.is_free() {
                continue;
            }
            let Some(conn) = line.conn.as_mut() else { continue };
            line.request = Some(id);
            self.turn = (at + 1) % lines;
            // A connection that breaks while it sends counts as sent: bytes may have left, and the
            // next look finds it broken.
            let _ = conn.send(now, &self.out);
            return true;
        }
        false
    }

    /// The next answer, or the end of a request that has none.
    pub fn receive(&mut self, now: Nanos, stamp: &mut dyn FnMut() -> Nanos) -> Option<Answer> {
        for at in 0..self.lines.len() {
            let Some(id) = self.lines[at].request else { continue };
            let Some(conn) = self.lines[at].conn.as_mut() else { continue };
            let state = match conn.state() {
                // It broke when it was written to.
                HttpState::Closed => Ok(HttpState::Closed),
                _ => conn.poll(now, stamp),
            };
            match state {
                Ok(HttpState::Answered) => {
                    let answer = answer_of(id, conn.answer());
                    conn.done(now);
                    if conn.state() == HttpState::Closed {
                        self.lines[at].conn = None;
                    }
                    self.lines[at].request = None;
                    self.backoff.succeeded();
                    return Some(answer);
                }
                Ok(HttpState::Waiting) => {}
                _ => {
                    self.lines[at] = Line { conn: None, request: None };
                    self.counts.unanswered += 1;
                    self.counts.losses += 1;
                    return Some(Answer { id, ..Answer::default() });
                }
            }
        }
        None
    }

    /// The path is dead, and so is what was opened over it: every connection is left for a new
    /// one. A request under way ends without an answer that would be told.
    pub fn renew(&mut self) {
        let opened = self.lines.iter().filter(|line| line.conn.is_some()).count();
        self.counts.losses += opened as u64;
        self.counts.unanswered += self.lines.iter().filter(|l| l.request.is_some()).count() as u64;
        self.lines.iter_mut().for_each(|line| *line = Line { conn: None, request: None });
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        self.lines.iter_mut().filter_map(|line| line.conn.as_mut()).for_each(HttpConnection::close);
    }

    fn open_on(&mut self, at: usize, now: Nanos) {
        let Some(conn) = self.lines[at].conn.as_mut() else { return };
        match conn.poll(now, &mut || now) {
            Ok(HttpState::Connecting) => {}
            Ok(_) => {
                self.counts.connects += 1;
                self.open_at = Some(now);
            }
            Err(_) => {
                self.lines[at].conn = None;
                self.counts.losses += 1;
                self.backoff.failed(now);
            }
        }
    }

    fn open_next(&mut self, now: Nanos) {
        let Some(at) = self.lines.iter().position(|line| line.conn.is_none()) else { return };
        let connector = self.connector.as_mut();
        match HttpConnection::connect(connector, &self.endpoint, self.config, now) {
            Ok(conn) => self.lines[at].conn = Some(conn),
            Err(_) => self.backoff.failed(now),
        }
    }

    fn look_at_idle(&mut self, now: Nanos) {
        let mut left = false;
        for line in self.lines.iter_mut().filter(|line| line.request.is_none()) {
            let Some(conn) = line.conn.as_mut() else { continue };
            if conn.state() == HttpState::Connecting {
                continue;
            }
            let over = match conn.poll(now, &mut || now) {
                Ok(state) => state == HttpState::Closed,
                Err(_) => true,
            };
            // One at a time: the others serve until it is replaced.
            if over || (!left && conn.unused_for(now) > IDLE_MAX) {
                left |= !over;
                self.counts.losses += u64::from(over);
                conn.close();
                line.conn = None;
            }
        }
    }

    /// The request's bytes, into `out`.
    fn write(&mut self, request: &[u8]) -> bool {
        self.out.clear();
        let Ok(text) = core::str::from_utf8(request) else { return false };
        let Some((head, body)) = text.split_once("\n\n") else { return false };
        let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
        let Some((method, target)) = first.split_once(' ') else { return false };
        let headers = headers.split('\n').filter_map(|line| line.split_once(": "));
        let (host, body) = (&self.host, body.as_bytes());
        write_request(method, target, host, headers, body, &mut self.out).is_ok()
    }
}

fn answer_of(id: u64, told: &ResponseDecoder) -> Answer {
    let number = |name: &str| told.header(name).and_then(|value| value.parse().ok());
    let granted = Granted {
        limit: number("x-ratelimit-limit"),
        left: number("x-ratelimit-remaining"),
        span_s: number("x-ratelimit-reset"),
        wait_s: number("retry-after"),
    };
    Answer { id, status: told.status(), body: told.body().to_vec(), granted }
}

#[cfg(test)]
#[path = "requester_tests.rs"]
mod tests;

//! The order-entry connection and its session: connect, log on, subscribe, recover, trade.
//!
//! A session is ready when everything it was asked at the start is answered: balances, the state
//! of every order that had not ended, and the fills since the last booked trade of each
//! instrument. Until then no order leaves.

use bot4_types::{Nanos, OrderId};
use bot4_wire::{ConnError, ConnState, Connector, Endpoint, WsConfig, WsConnection};

use crate::requests::{Purpose, Requests};

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// No connection; the next attempt is at this time.
    Down {
        /// When to try again.
        retry_at: Nanos,
    },
    /// Connecting or upgrading.
    Connecting,
    /// Logon is on its way.
    LoggingOn,
    /// The subscription is on its way.
    Subscribing,
    /// Questions about orders, then about fills and balances, are on their way.
    Recovering,
    /// Orders may leave.
    Ready,
}

/// What the connection counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Connections that came up.
    pub connects: u64,
    /// Connections lost or refused.
    pub losses: u64,
    /// Sends that the kernel did not take at once.
    pub partial_sends: u64,
}

/// The connection, its session and its unanswered requests.
pub struct Link {
    connector: Box<dyn Connector>,
    endpoint: Endpoint,
    config: WsConfig,
    seed: u64,
    conn: Option<WsConnection>,
    state: SessionState,
    attempts: u32,
    /// Unanswered requests.
    pub requests: Requests,
    /// The request being written.
    pub out: Vec<u8>,
    /// Orders whose state is still to be asked for in recovery.
    pub to_ask: Vec<OrderId>,
    /// Fills and balances were asked for in this recovery.
    pub recovery_asked: bool,
    /// What was counted.
    pub counts: LinkCounts,
}

/// Requests without answer at most.
const REQUESTS_MAX: usize = 4_096;
/// Room for one request's text.
const REQUEST_LEN: usize = 2_048;
/// Retry delays of a scout (at once, then growing); afterwards [`RETRY_LATE`] with jitter.
const RETRY_EARLY: [Nanos; 5] = [
    Nanos::ZERO,
    Nanos::from_millis(100),
    Nanos::from_millis(200),
    Nanos::from_millis(400),
    Nanos::from_millis(800),
];
const RETRY_LATE: Nanos = Nanos::from_millis(1_500);
const RETRY_JITTER: u64 = 1_000_000_000;
/// Longest delay after refusals (ban, limit, certificate, logon).
const RETRY_REFUSED_MAX: Nanos = Nanos::from_secs(30);

impl Link {
    /// A link to `endpoint`, down, to be tried at once.
    #[must_use]
    pub fn new(
        connector: Box<dyn Connector>,
        endpoint: Endpoint,
        config: WsConfig,
        seed: u64,
    ) -> Self {
        Self {
            connector,
            endpoint,
            config,
            seed,
            conn: None,
            state: SessionState::Down { retry_at: Nanos::ZERO },
            attempts: 0,
            requests: Requests::new(REQUESTS_MAX),
            out: Vec::with_capacity(REQUEST_LEN),
            to_ask: Vec::with_capacity(REQUESTS_MAX),
            recovery_asked: false,
            counts: LinkCounts::default(),
        }
    }

    /// How far the session is.
    #[must_use]
    pub const fn state(&self) -> SessionState {
        self.state
    }

    /// Orders may leave.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == SessionState::Ready
    }

    /// Moves the session on.
    pub fn set_state(&mut self, state: SessionState) {
        if state == SessionState::Ready {
            self.attempts = 0;
        }
        self.state = state;
    }

    /// The connection while there is one.
    pub const fn conn(&mut self) -> Option<&mut WsConnection> {
        self.conn.as_mut()
    }

    /// Connects when it is time; returns true when the connection has just come up.
    ///
    /// # Errors
    /// Why the connection is over; call [`drop_connection`](Self::drop_connection) then.
    pub fn poll(&mut self, now: Nanos) -> Result<bool, ConnError> {
        if let SessionState::Down { retry_at } = self.state {
            if now < retry_at {
                return Ok(false);
            }
            self.seed = self.seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            self.state = SessionState::Connecting;
            let connector = self.connector.as_mut();
            let conn =
                WsConnection::connect(connector, &self.endpoint, self.config, self.seed, now)?;
            self.conn = Some(conn);
        }
        let Some(conn) = self.conn.as_mut() else { return Ok(false) };
        let state = conn.poll(now)?;
        let up = state == ConnState::Open && self.state == SessionState::Connecting;
        self.counts.connects += u64::from(up);
        if state == ConnState::Closed {
            return Err(ConnError::ClosedByPeer(None));
        }
        Ok(up)
    }

    /// Gives the connection up and plans the next attempt.
    pub fn drop_connection(&mut self, now: Nanos, refused: bool) {
        self.conn = None;
        self.requests.clear();
        self.to_ask.clear();
        self.recovery_asked = false;
        self.counts.losses += 1;
        let jitter = Nanos((self.seed >> 33) % RETRY_JITTER);
        let late = RETRY_LATE + jitter;
        let delay = match (refused, RETRY_EARLY.get(self.attempts as usize)) {
            (true, _) => {
                let doubled = Nanos::from_secs(1 << self.attempts.min(5));
                doubled.min(RETRY_REFUSED_MAX)
            }
            (false, Some(early)) => *early,
            (false, None) => late,
        };
        self.attempts += 1;
        self.state = SessionState::Down { retry_at: now + delay };
    }

    /// Sends what was written into [`out`](Self::out) as the next request. False when there is
    /// no connection or no room; nothing was sent then.
    pub fn send(&mut self, purpose: Purpose, now: Nanos, stamp: impl Fn() -> Nanos) -> bool {
        let Some(conn) = self.conn.as_mut() else { return false };
        if !self.requests.has_room() || conn.send_text(now, &self.out).is_err() {
            return false;
        }
        self.counts.partial_sends += u64::from(conn.pending_out() > 0);
        self.requests.sent(purpose, now, stamp());
        true
    }
}

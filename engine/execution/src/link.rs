//! The order-entry connection and its session: connect, log on, subscribe, recover, trade.
//!
//! A session is ready when everything it was asked at the start is answered: balances, the state
//! of every order that had not ended, and the fills since the last booked trade of each
//! instrument. Until then no order leaves.

use bot4_types::{InstrumentId, Nanos, limits};
use bot4_wire::backoff::{Backoff, ConnectBudget};
use bot4_wire::{ConnError, ConnState, Connector, Endpoint, WsConfig, WsConnection};

use crate::desk::Question;
use crate::requests::{Purpose, Requests};

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// No connection.
    Down,
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

/// One thing that recovery has to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// About an order.
    Order(Question),
    /// Fills of an instrument after this trade id.
    FillsAfter(InstrumentId, u64),
    /// All balances.
    Balances,
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
    backoff: Backoff,
    connects: ConnectBudget,
    /// Unanswered requests.
    pub requests: Requests,
    /// The request being written.
    pub out: Vec<u8>,
    /// What recovery still has to ask, the next one last.
    pub to_ask: Vec<Step>,
    /// The states of all orders are known in this recovery; fills and balances follow.
    pub recovery_asked: bool,
    /// This connection's logon was refused for its time, and the venue was asked for its own.
    pub clock_asked: bool,
    /// What was counted.
    pub counts: LinkCounts,
}

/// Requests without answer at most.
const REQUESTS_MAX: usize = 4_096;
/// Room for what recovery asks: each open order, and a little for each instrument.
const STEPS_MAX: usize = limits::ORDERS_OPEN_MAX + limits::INSTRUMENTS_MAX + 1;
/// Room for one request's text.
const REQUEST_LEN: usize = 2_048;
/// Connects in five minutes at most: a third of what Binance allows an address, because the
/// market-data agents have their own share.
const CONNECTS_MAX: usize = 100;
const CONNECT_WINDOW: Nanos = Nanos::from_secs(300);

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
            state: SessionState::Down,
            backoff: Backoff::new(seed),
            connects: ConnectBudget::new(CONNECTS_MAX, CONNECT_WINDOW),
            requests: Requests::new(REQUESTS_MAX),
            out: Vec::with_capacity(REQUEST_LEN),
            to_ask: Vec::with_capacity(STEPS_MAX),
            recovery_asked: false,
            clock_asked: false,
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
            self.backoff.succeeded();
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
        if self.state == SessionState::Down {
            if !self.backoff.is_due(now) || !self.connects.take(now) {
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

    /// Gives the connection up after `error` and plans the next attempt.
    pub fn drop_connection(&mut self, now: Nanos, error: &ConnError) {
        self.conn = None;
        self.requests.clear();
        self.to_ask.clear();
        self.recovery_asked = false;
        self.clock_asked = false;
        self.counts.losses += 1;
        if error.is_refusal() {
            self.backoff.refused(now, error.retry_after());
        } else {
            self.backoff.failed(now);
        }
        self.state = SessionState::Down;
    }

    /// Sends what was written into [`out`](Self::out) as the next request. False when there is
    /// no connection or no room; nothing was sent then. A connection that breaks while it sends
    /// counts as sent: bytes may have left, and the next [`poll`](Self::poll) finds it broken.
    pub fn send(&mut self, purpose: Purpose, now: Nanos, stamp: impl Fn() -> Nanos) -> bool {
        let Some(conn) = self.conn.as_mut() else { return false };
        if !self.requests.has_room() {
            return false;
        }
        if let Err(ConnError::NotOpen | ConnError::OutFull) = conn.send_text(now, &self.out) {
            return false;
        }
        self.counts.partial_sends += u64::from(conn.pending_out() > 0);
        self.requests.sent(purpose, now, stamp());
        true
    }
}

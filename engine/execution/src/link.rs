//! The connections of order entry and their session: connect, log on, subscribe, recover, trade.
//!
//! A session is ready when everything it was asked at the start is answered: balances, the state
//! of every order that had not ended, and the fills since the last booked trade of each
//! instrument. Until then no order leaves.

use bot4_types::{InstrumentId, Nanos, Slot, limits};
use bot4_venues::session::KeepAlive;
use bot4_wire::backoff::{Backoff, ConnectBudget};
use bot4_wire::{ConnError, ConnState, Connector, Endpoint, WsConfig, WsConnection};

use crate::courier::{Answer, Courier};
use crate::desk::Question;
use crate::gateway::Way;
use crate::requester::Requester;
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

/// Something that arrived.
pub enum Heard {
    /// A message of a connection.
    Message {
        /// The connection: in its buffer lies the message.
        leg: usize,
        /// Its length.
        len: usize,
        /// When it was complete.
        t0: Nanos,
    },
    /// An answer over HTTPS.
    Page(Answer),
}

/// One connection of the session.
struct Leg {
    way: Way,
    connector: Box<dyn Connector>,
    endpoint: Endpoint,
    conn: Option<WsConnection>,
    open: bool,
    kept_alive: Nanos,
}

/// The connections, their session and their unanswered requests. What ends one connection ends the
/// session: orders whose events nobody hears are not sent.
pub struct Link {
    legs: Vec<Leg>,
    /// The leg that is heard first in the next turn.
    turn: usize,
    courier: Option<Box<dyn Courier>>,
    requester: Option<Requester>,
    route: fn(&Purpose) -> Way,
    keep_alive: Option<KeepAlive>,
    config: WsConfig,
    seed: u64,
    state: SessionState,
    backoff: Backoff,
    connects: ConnectBudget,
    connects_max: usize,
    /// Unanswered requests.
    pub requests: Requests,
    /// The newest of them that wait for [`depart`](Self::depart).
    queued: usize,
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

/// Connections of a session at most.
pub const LEGS_MAX: usize = 2;
/// Requests without answer at most.
const REQUESTS_MAX: usize = 4_096;
/// Room for what recovery asks: each open order, and a little for each instrument.
const STEPS_MAX: usize = limits::ORDERS_OPEN_MAX + limits::INSTRUMENTS_MAX + 1;
/// Room for one request's text.
const REQUEST_LEN: usize = 2_048;
/// Connects in five minutes at most, unless the venue's own bound is told. An attempt makes as many
/// as the session has connections.
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
            legs: vec![Leg::new(Way::Orders, connector, endpoint)],
            turn: 0,
            courier: None,
            requester: None,
            route: |_| Way::Orders,
            keep_alive: None,
            config,
            seed,
            state: SessionState::Down,
            backoff: Backoff::new(seed),
            connects: ConnectBudget::new(CONNECTS_MAX, CONNECT_WINDOW),
            connects_max: CONNECTS_MAX,
            requests: Requests::new(REQUESTS_MAX),
            queued: 0,
            out: Vec::with_capacity(REQUEST_LEN),
            to_ask: Vec::with_capacity(STEPS_MAX),
            recovery_asked: false,
            clock_asked: false,
            counts: LinkCounts::default(),
        }
    }

    /// Adds a connection of its own for the account's events.
    ///
    /// # Panics
    /// When there is one already.
    pub fn add_events(&mut self, connector: Box<dyn Connector>, endpoint: Endpoint) {
        assert!(self.legs.len() < LEGS_MAX, "orders and events, no more");
        self.legs.push(Leg::new(Way::Events, connector, endpoint));
        self.set_connects_max(self.connects_max);
    }

    /// Grants `max` connects in five minutes: this lane's share of what the venue allows an
    /// address.
    pub fn set_connects_max(&mut self, max: usize) {
        self.connects_max = max;
        let attempts = (max / self.legs.len()).max(1);
        self.connects = ConnectBudget::new(attempts, CONNECT_WINDOW);
    }

    /// Number of connections.
    #[must_use]
    pub const fn legs_len(&self) -> usize {
        self.legs.len()
    }

    /// Sets who carries requests over HTTPS.
    pub fn set_courier(&mut self, courier: Box<dyn Courier>) {
        self.courier = Some(courier);
    }

    /// Orders and questions go by requests of the lane's own; the connection that there is tells
    /// the account's events.
    pub fn set_requester(&mut self, requester: Requester) {
        self.requester = Some(requester);
        self.legs.iter_mut().for_each(|leg| leg.way = Way::Events);
    }

    /// What is sent for this purpose finds a free connection.
    #[must_use]
    pub fn has_line(&self, purpose: &Purpose) -> bool {
        self.requester.as_ref().is_none_or(|requester| requester.has_room(purpose))
    }

    /// Sets which way requests go, and what keeps connections alive.
    pub fn route_by(&mut self, route: fn(&Purpose) -> Way, keep_alive: Option<KeepAlive>) {
        (self.route, self.keep_alive) = (route, keep_alive);
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

    /// Until when it makes no connection, because it made as many as it may.
    #[must_use]
    pub fn held_until(&self, now: Nanos) -> Option<Nanos> {
        self.connects.held_until(now).filter(|_| self.state == SessionState::Down)
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Nanos) {
        for conn in self.legs.iter_mut().filter_map(|leg| leg.conn.as_mut()) {
            conn.close(now);
        }
        if let Some(requester) = &mut self.requester {
            requester.close();
        }
    }

    /// Connects when it is time; returns true when the last of the connections has just come up.
    ///
    /// # Errors
    /// Why a connection is over; call [`drop_connection`](Self::drop_connection) then.
    pub fn poll(&mut self, now: Nanos) -> Result<bool, ConnError> {
        if let Some(requester) = &mut self.requester {
            requester.poll(now);
            let begun = !matches!(self.state, SessionState::Down | SessionState::Connecting);
            if begun && requester.is_down(now) {
                return Err(ConnError::Silent);
            }
        }
        if self.state == SessionState::Down {
            if !self.backoff.is_due(now) || !self.connects.take(now) {
                return Ok(false);
            }
            self.state = SessionState::Connecting;
            for leg in &mut self.legs {
                self.seed = self.seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                leg.connect(self.config, self.seed, now)?;
            }
        }
        for leg in &mut self.legs {
            self.counts.connects += u64::from(leg.poll(self.keep_alive, now)?);
        }
        let open = self.requester.as_ref().is_none_or(Requester::is_open);
        let all = open && self.legs.iter().all(|leg| leg.open);
        Ok(all && self.state == SessionState::Connecting)
    }

    /// Takes the next message or answer, a message into the buffer of its connection: what has
    /// come of a message stays there until the rest comes.
    ///
    /// # Errors
    /// Why a connection is over.
    pub fn receive(
        &mut self,
        now: Nanos,
        buffers: &mut [Slot; LEGS_MAX],
        stamp: &mut dyn FnMut() -> Nanos,
    ) -> Result<Option<Heard>, ConnError> {
        for _ in 0..self.legs.len() {
            let leg = self.turn;
            self.turn = (leg + 1) % self.legs.len();
            let Some(conn) = self.legs[leg].conn.as_mut() else { continue };
            if let Some(message) = conn.receive(now, buffers[leg].bytes_mut(), stamp)? {
                return Ok(Some(Heard::Message { leg, len: message.len, t0: message.t0 }));
            }
        }
        if let Some(answer) = self.requester.as_mut().and_then(|r| r.receive(now, stamp)) {
            return Ok(Some(Heard::Page(answer)));
        }
        Ok(self.courier.as_mut().and_then(|courier| courier.take()).map(Heard::Page))
    }

    /// Gives the session up after `error` and plans the next attempt.
    pub fn drop_connection(&mut self, now: Nanos, error: &ConnError) {
        for leg in &mut self.legs {
            (leg.conn, leg.open) = (None, false);
        }
        // What fell silent shares its path with what orders go by; nobody waits for answers now.
        if let (Some(requester), ConnError::Silent) = (&mut self.requester, error) {
            requester.renew();
        }
        self.requests.clear();
        self.queued = 0;
        self.to_ask.clear();
        self.recovery_asked = false;
        self.clock_asked = false;
        self.counts.losses += 1;
        if error.is_mistrust() {
            self.backoff.mistrusted(now);
        } else if error.is_refusal() {
            self.backoff.refused(now, error.retry_after());
        } else {
            self.backoff.failed(now);
        }
        self.state = SessionState::Down;
    }

    /// Sends what was written into [`out`](Self::out) as the next request, the way that its
    /// purpose goes. False when there is no connection or no room; nothing was sent then. A
    /// connection that breaks while it sends counts as sent: bytes may have left, and the next
    /// [`poll`](Self::poll) finds it broken.
    pub fn send(&mut self, purpose: Purpose, now: Nanos, stamp: impl Fn() -> Nanos) -> bool {
        let taken = self.queue(purpose, now);
        if taken {
            self.depart(stamp);
        }
        taken
    }

    /// As [`send`](Self::send), but what goes by a WebSocket leaves with [`depart`](Self::depart),
    /// together with what was queued before it.
    pub fn queue(&mut self, purpose: Purpose, now: Nanos) -> bool {
        if !self.requests.has_room() {
            return false;
        }
        let way = match purpose {
            Purpose::Logon(way) => way,
            _ => (self.route)(&purpose),
        };
        let taken = match (way, &mut self.requester) {
            (Way::Orders | Way::Rest, Some(requester)) => {
                requester.send(self.requests.next_id(), &self.out, &purpose, now)
            }
            (Way::Rest, None) => {
                let (id, urgent) = (self.requests.next_id(), !purpose.is_question());
                self.courier.as_mut().is_some_and(|courier| courier.send(id, &self.out, urgent))
            }
            _ => {
                let leg = self.legs.iter_mut().find(|leg| leg.way == way);
                let Some(conn) = leg.and_then(|leg| leg.conn.as_mut()) else { return false };
                conn.queue_text(&self.out).is_ok()
            }
        };
        if taken {
            self.requests.sent(purpose, now, now);
            self.queued += 1;
        }
        taken
    }

    /// Hands to the kernel what was queued, and stamps it. A connection that breaks meanwhile is
    /// found broken by the next [`poll`](Self::poll).
    pub fn depart(&mut self, stamp: impl Fn() -> Nanos) -> Nanos {
        for conn in self.legs.iter_mut().filter_map(|leg| leg.conn.as_mut()) {
            if conn.pending_out() > 0 {
                let _ = conn.send_queued();
                self.counts.partial_sends += u64::from(conn.pending_out() > 0);
            }
        }
        let stamp = stamp();
        self.requests.stamp_newest(core::mem::take(&mut self.queued), stamp);
        stamp
    }

    /// Orders that are queued leave together; else each leaves by itself.
    #[must_use]
    pub const fn gathers(&self) -> bool {
        self.requester.is_none()
    }
}

impl Leg {
    fn new(way: Way, connector: Box<dyn Connector>, endpoint: Endpoint) -> Self {
        Self { way, connector, endpoint, conn: None, open: false, kept_alive: Nanos::ZERO }
    }

    fn connect(&mut self, config: WsConfig, seed: u64, now: Nanos) -> Result<(), ConnError> {
        let connector = self.connector.as_mut();
        let conn = WsConnection::connect(connector, &self.endpoint, config, seed, now)?;
        (self.conn, self.open, self.kept_alive) = (Some(conn), false, now);
        Ok(())
    }

    /// Drives the connection; true when it has just come up.
    fn poll(&mut self, keep_alive: Option<KeepAlive>, now: Nanos) -> Result<bool, ConnError> {
        let Some(conn) = self.conn.as_mut() else { return Ok(false) };
        let state = conn.poll(now)?;
        if state == ConnState::Closed {
            return Err(ConnError::ClosedByPeer(None));
        }
        let up = state == ConnState::Open && !self.open;
        self.open |= up;
        if let Some(keep) = keep_alive.filter(|keep| now.since(self.kept_alive) >= keep.every)
            && self.open
        {
            self.kept_alive = now;
            // No room means that the connection has more to send than this.
            let _ = conn.send_text(now, keep.text);
        }
        Ok(up)
    }
}

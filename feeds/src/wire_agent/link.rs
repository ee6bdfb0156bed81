//! One connection that is kept up: connect, lose, wait, connect again. Holds the slot of the
//! message being received, which may take many turns, and the texts that wait for their turn in
//! the pace.
//!
//! **Signs of life.** The connection pings each second. Where the venue has a ping of its own, it
//! is sent as often as the venue asks, and also when nothing was heard for most of the time after
//! which the line counts as silent: a venue that answers its own pings only is not called dead.

use std::collections::VecDeque;

use bot4_types::rng::SplitMix64;
use bot4_types::{Nanos, Slot};
use bot4_venues::session::KeepAlive;
use bot4_wire::{
    ConnCounters, ConnError, ConnState, Connector, Endpoint, Received, WsConfig, WsConnection,
};

use super::pace::Pace;
use super::pool::SlotPool;
use bot4_wire::backoff::{Backoff, ConnectBudget};

/// A connection that was up this long proved good; a loss starts the backoff from its beginning.
const PROVEN_AFTER: Nanos = Nanos::from_secs(5);

/// Between two pings of the venue's own kind, shortest.
const KEEP_ALIVE_GAP: Nanos = Nanos::from_secs(1);

/// What driving a link brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Drive {
    /// Nothing new.
    Same,
    /// A new connection was started.
    Dialled,
    /// The connection is open.
    Opened,
    /// The connection, open or not yet, is gone.
    Lost(ConnError),
}

/// What reading a link brought.
#[derive(Debug)]
pub enum Take {
    /// One message.
    Message(Slot, Received),
    /// No complete message.
    Nothing,
    /// A message is there or coming, but no slot for it.
    NoSlot,
}

/// How a link speaks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Messages a second at most, zero for no limit.
    pub messages_per_s: u32,
    /// The venue's own ping.
    pub keep_alive: Option<KeepAlive>,
}

/// A connection to one endpoint, kept up.
pub struct Link {
    endpoint: Endpoint,
    config: WsConfig,
    manners: Manners,
    /// Planned end of a connection's life, from its opening.
    life: Nanos,
    conn: Option<WsConnection>,
    slot: Option<Slot>,
    opened_at: Option<Nanos>,
    /// Texts not sent yet, in order.
    outbox: VecDeque<Vec<u8>>,
    pace: Pace,
    /// The outbox was empty after the opening.
    settled_at: Option<Nanos>,
    /// Last ping of the venue's kind.
    kept_at: Nanos,
    backoff: Backoff,
    seeds: SplitMix64,
    /// Counters of the present connection that were already reported.
    reported: ConnCounters,
}

impl Link {
    /// A link that connects when first driven.
    pub fn new(
        endpoint: Endpoint,
        config: WsConfig,
        manners: Manners,
        life: Nanos,
        seed: u64,
    ) -> Self {
        let mut seeds = SplitMix64::new(seed);
        let backoff = Backoff::new(seeds.next_u64());
        Self {
            endpoint,
            config,
            manners,
            life,
            conn: None,
            slot: None,
            opened_at: None,
            outbox: VecDeque::new(),
            pace: Pace::new(manners.messages_per_s),
            settled_at: None,
            kept_at: Nanos::ZERO,
            backoff,
            seeds,
            reported: ConnCounters::default(),
        }
    }

    /// A link to the same place with a connection of its own.
    pub fn sibling(&mut self) -> Self {
        let seed = self.seeds.next_u64();
        Self::new(self.endpoint.clone(), self.config, self.manners, self.life, seed)
    }

    /// Messages can flow.
    pub fn is_open(&self) -> bool {
        self.opened_at.is_some()
    }

    /// Open, and everything was sent that was to be said at the opening: since when.
    pub const fn settled_at(&self) -> Option<Nanos> {
        self.settled_at
    }

    /// Messages received on the present connection.
    pub fn heard(&self) -> u64 {
        self.conn.as_ref().map_or(0, |conn| conn.counters().messages)
    }

    /// Connects when it is time and `may_connect`, and drives what there is.
    pub fn drive(
        &mut self,
        now: Nanos,
        connector: &mut dyn Connector,
        budget: &mut ConnectBudget,
        may_connect: bool,
    ) -> Drive {
        let Some(conn) = &mut self.conn else {
            if !may_connect || !self.backoff.is_due(now) || !budget.take(now) {
                return Drive::Same;
            }
            let seed = self.seeds.next_u64();
            let started = WsConnection::connect(connector, &self.endpoint, self.config, seed, now);
            return match started {
                Ok(conn) => {
                    self.conn = Some(conn);
                    self.reported = ConnCounters::default();
                    self.pace = Pace::new(self.manners.messages_per_s);
                    Drive::Dialled
                }
                Err(error) => Drive::Lost(error),
            };
        };
        match conn.poll(now) {
            Ok(ConnState::Open) if self.opened_at.is_none() => {
                self.opened_at = Some(now);
                self.kept_at = now;
                Drive::Opened
            }
            Ok(ConnState::Open) => self.speak(now).map_or_else(Drive::Lost, |()| Drive::Same),
            Ok(_) => Drive::Same,
            Err(error) => Drive::Lost(error),
        }
    }

    /// Sends what waits, as far as the pace allows.
    fn speak(&mut self, now: Nanos) -> Result<(), ConnError> {
        if self.outbox.is_empty() {
            self.settled_at.get_or_insert(now);
        }
        let keep_alive = self.manners.keep_alive.filter(|k| self.is_time_to_ping(now, k));
        if let Some(keep_alive) = keep_alive
            && self.pace.allows(now)
            && self.send(now, keep_alive.text)?
        {
            self.pace.sent(now);
            self.kept_at = now;
        }
        while !self.outbox.is_empty() && self.pace.allows(now) {
            let Some(text) = self.outbox.pop_front() else { break };
            if !self.send(now, &text)? {
                // Not taken: the venue does not read. It keeps its place.
                self.outbox.push_front(text);
                break;
            }
            self.pace.sent(now);
        }
        Ok(())
    }

    /// The venue's own ping is due, or most of the time to silence has passed.
    fn is_time_to_ping(&self, now: Nanos, keep_alive: &KeepAlive) -> bool {
        let since = now.since(self.kept_at);
        let quiet = self.conn.as_ref().map_or(Nanos::ZERO, |conn| conn.quiet_for(now));
        let worried = Nanos(self.config.silent_after.0 / 4 * 3);
        since >= keep_alive.every || (quiet >= worried && since >= KEEP_ALIVE_GAP)
    }

    /// Lets `text` be sent in its turn. Kept until the connection is open; forgotten when it is
    /// lost.
    pub fn say(&mut self, text: Vec<u8>) {
        self.outbox.push_back(text);
    }

    /// Texts that wait.
    pub fn unsaid(&self) -> usize {
        self.outbox.len()
    }

    /// Reads towards the next message, in a slot of `pool`.
    ///
    /// # Errors
    /// The connection's error; call [`drop_line`](Self::drop_line) then.
    pub fn receive(
        &mut self,
        now: Nanos,
        pool: &mut SlotPool,
        stamp: &mut dyn FnMut() -> Nanos,
    ) -> Result<Take, ConnError> {
        let Some(conn) = &mut self.conn else { return Ok(Take::Nothing) };
        let Some(mut slot) = self.slot.take().or_else(|| pool.take(0)) else {
            return Ok(Take::NoSlot);
        };
        loop {
            match conn.receive(now, slot.bytes_mut(), stamp) {
                Ok(Some(received)) => return Ok(Take::Message(slot, received)),
                Ok(None) => {
                    self.slot = Some(slot);
                    return Ok(Take::Nothing);
                }
                Err(ConnError::Oversize { needed, filled }) if pool.can_hold(needed) => {
                    let Some(mut large) = pool.take(needed) else {
                        self.slot = Some(slot);
                        return Ok(Take::NoSlot);
                    };
                    large.bytes_mut()[..filled].copy_from_slice(slot.bytes(filled));
                    pool.put(core::mem::replace(&mut slot, large));
                }
                Err(error) => {
                    self.slot = Some(slot);
                    return Err(error);
                }
            }
        }
    }

    /// Sends one text message. False when it was not taken; send it again later.
    ///
    /// # Errors
    /// The connection's error; call [`drop_line`](Self::drop_line) then.
    pub fn send(&mut self, now: Nanos, text: &[u8]) -> Result<bool, ConnError> {
        let Some(conn) = &mut self.conn else { return Ok(false) };
        match conn.send_text(now, text) {
            Ok(()) => Ok(true),
            Err(ConnError::NotOpen | ConnError::OutFull) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The planned life of the connection is over.
    pub fn is_due_for_renewal(&self, now: Nanos) -> bool {
        self.opened_at.is_some_and(|at| now.since(at) >= self.life)
    }

    /// Gives up the present connection after `error`; the backoff says when the next comes.
    pub fn drop_line(&mut self, now: Nanos, error: &ConnError, pool: &mut SlotPool) {
        if let Some(slot) = self.slot.take() {
            pool.put(slot);
        }
        self.forget(now);
        if error.is_mistrust() {
            self.backoff.mistrusted(now);
        } else if error.is_refusal() {
            self.backoff.refused(now, error.retry_after());
        } else {
            self.backoff.failed(now);
        }
    }

    /// Ends the present connection because a new one is wanted at once.
    pub fn renew(&mut self, now: Nanos, pool: &mut SlotPool) {
        self.close(now, pool);
        self.backoff.failed(now);
    }

    /// Ends the connection in order, without waiting for the peer.
    pub fn close(&mut self, now: Nanos, pool: &mut SlotPool) {
        if let Some(conn) = &mut self.conn {
            conn.close(now);
        }
        if let Some(slot) = self.slot.take() {
            pool.put(slot);
        }
        self.forget(now);
    }

    /// What happened on the connection since the last call.
    pub fn news(&mut self) -> ConnCounters {
        let Some(conn) = &self.conn else { return ConnCounters::default() };
        let (now, before) = (*conn.counters(), self.reported);
        self.reported = now;
        ConnCounters {
            messages: now.messages - before.messages,
            bytes: now.bytes - before.bytes,
            fills: now.fills - before.fills,
            sent: now.sent - before.sent,
            pings: now.pings - before.pings,
            pongs: now.pongs - before.pongs,
            answered: now.answered - before.answered,
            rtt_ns: now.rtt_ns,
        }
    }

    fn forget(&mut self, now: Nanos) {
        self.outbox.clear();
        self.settled_at = None;
        if self.opened_at.take().is_some_and(|at| now.since(at) >= PROVEN_AFTER) {
            self.backoff.succeeded();
        }
        self.conn = None;
    }
}

//! One connection that is kept up: connect, lose, wait, connect again. Holds the slot of the
//! message being received, which may take many turns.

use bot4_types::rng::SplitMix64;
use bot4_types::{Nanos, Slot};
use bot4_wire::{
    ConnCounters, ConnError, ConnState, Connector, Endpoint, Received, WsConfig, WsConnection,
};

use super::pool::SlotPool;
use bot4_wire::backoff::{Backoff, ConnectBudget};

/// A connection that was up this long proved good; a loss starts the backoff from its beginning.
const PROVEN_AFTER: Nanos = Nanos::from_secs(5);

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

/// A connection to one endpoint, kept up.
pub struct Link {
    endpoint: Endpoint,
    config: WsConfig,
    /// Planned end of a connection's life, from its opening.
    life: Nanos,
    conn: Option<WsConnection>,
    slot: Option<Slot>,
    opened_at: Option<Nanos>,
    backoff: Backoff,
    seeds: SplitMix64,
    /// Counters of the present connection that were already reported.
    reported: ConnCounters,
}

impl Link {
    /// A link that connects when first driven.
    pub fn new(endpoint: Endpoint, config: WsConfig, life: Nanos, seed: u64) -> Self {
        let mut seeds = SplitMix64::new(seed);
        let backoff = Backoff::new(seeds.next_u64());
        Self {
            endpoint,
            config,
            life,
            conn: None,
            slot: None,
            opened_at: None,
            backoff,
            seeds,
            reported: ConnCounters::default(),
        }
    }

    /// Messages can flow.
    pub fn is_open(&self) -> bool {
        self.opened_at.is_some()
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
                    Drive::Dialled
                }
                Err(error) => Drive::Lost(error),
            };
        };
        match conn.poll(now) {
            Ok(ConnState::Open) if self.opened_at.is_none() => {
                self.opened_at = Some(now);
                Drive::Opened
            }
            Ok(_) => Drive::Same,
            Err(error) => Drive::Lost(error),
        }
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
        if error.is_refusal() {
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
        if self.opened_at.take().is_some_and(|at| now.since(at) >= PROVEN_AFTER) {
            self.backoff.succeeded();
        }
        self.conn = None;
    }
}

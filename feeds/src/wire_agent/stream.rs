//! The stream connection: opening, losing, reading, subscribing again.

use bot4_lanes::Probe;
use bot4_types::{ConnId, FrameKind, Nanos};
use bot4_wire::ConnError;

use super::count::Count;
use super::link::{Drive, Link, Take};
use super::{Links, WireAgent};

/// A streamed snapshot comes within this time after its subscription: a round trip and the
/// venue's work.
pub const FIRST_SNAPSHOT_WITHIN: Nanos = Nanos::from_secs(3);

/// What reading a connection ended with.
pub(super) enum ReadEnd {
    /// Nothing more is there, or the turn's batch is done.
    Dry,
    /// No slot or no room.
    Blocked,
    /// The venue says that the server goes away.
    Notice,
    /// The connection is gone.
    Lost(ConnError),
}

impl WireAgent {
    pub(super) fn drive_stream(&mut self, now: Nanos, links: &mut Links) -> usize {
        let permitted = self.permit.look(now, self.line.up);
        let may_connect = permitted && !self.catching_up;
        let connector = &mut *self.connector;
        match links.stream.drive(now, connector, &mut self.budget, may_connect) {
            Drive::Same => return 0,
            Drive::Dialled => {
                self.permit.dialled(now);
                self.count(Count::Connects, 1);
                if self.line.known {
                    self.count(Count::Reconnects, 1);
                }
            }
            Drive::Opened => {
                self.introduce(&mut links.stream);
                self.line.up = true;
                self.line.known = true;
                self.blocked_since = None;
            }
            Drive::Lost(error) => {
                self.permit.dialled(now);
                self.stream_lost(now, links, error);
            }
        }
        1
    }

    /// Lets a connection that is open say what the venue wants to hear first.
    pub(super) fn introduce(&mut self, link: &mut Link) {
        let mut texts = Vec::new();
        self.session.on_open(&self.config.instruments, &mut texts);
        texts.into_iter().for_each(|text| link.say(text));
    }

    /// The stream connection is gone: its successor takes its place where it delivers already.
    pub(super) fn stream_lost(&mut self, now: Nanos, links: &mut Links, error: ConnError) {
        self.count_error(&error, links.stream.is_open());
        links.stream.drop_line(now, &error, &mut self.pool);
        self.last_error = Some(error);
        if self.promote(now, links) {
            return;
        }
        self.drop_successor(now, links);
        self.line_down();
    }

    /// Reads market messages while there is room and a slot.
    pub(super) fn receive_stream(&mut self, now: Nanos, links: &mut Links, probe: &Probe) -> usize {
        if !self.line.is_told() {
            return 0;
        }
        let (done, end) = self.read(now, &mut links.stream, self.conn(), probe);
        match end {
            ReadEnd::Dry => self.blocked_since = None,
            ReadEnd::Blocked => self.blocked(now),
            ReadEnd::Notice => self.leaving = true,
            ReadEnd::Lost(error) => {
                self.stream_lost(now, links, error);
                return done + 1;
            }
        }
        done
    }

    /// Reads up to a batch of `link` and sends it on as coming by `conn`.
    pub(super) fn read(
        &mut self,
        now: Nanos,
        link: &mut Link,
        conn: ConnId,
        probe: &Probe,
    ) -> (usize, ReadEnd) {
        for done in 0..self.config.batch {
            if self.ports.frames.room() == 0 {
                return (done, ReadEnd::Blocked);
            }
            match link.receive(now, &mut self.pool, &mut || probe.stamp()) {
                Ok(Take::Message(slot, received)) => {
                    if self.is_notice(slot.bytes(received.len)) {
                        self.pool.put(slot);
                        self.count(Count::ShutdownNotices, 1);
                        return (done + 1, ReadEnd::Notice);
                    }
                    self.push_message(slot, received, FrameKind::Market, conn);
                }
                Ok(Take::Nothing) => return (done, ReadEnd::Dry),
                Ok(Take::NoSlot) => return (done, ReadEnd::Blocked),
                Err(error) => return (done, ReadEnd::Lost(error)),
            }
        }
        (self.config.batch, ReadEnd::Dry)
    }

    /// Subscribes again to instruments whose books ask for a snapshot. Where the venue does not
    /// offer that, or it was done too often, the connection is replaced, which brings fresh
    /// snapshots of all; a successor on its way brings them anyway.
    pub(super) fn resubscribe(&mut self, now: Nanos, links: &mut Links) -> usize {
        if links.next.is_some() || links.stream.unsaid() > 0 {
            return 0;
        }
        let Some(place) = self.desk.next(now) else {
            self.fresh_wanted |= self.desk.is_due(now);
            return 0;
        };
        let mut texts = Vec::new();
        self.session.resubscribe(&self.config.instruments[place], &mut texts);
        if texts.is_empty() {
            self.fresh_wanted = true;
            return 1;
        }
        self.count(Count::Resubscribes, 1);
        texts.into_iter().for_each(|text| links.stream.say(text));
        1
    }
}

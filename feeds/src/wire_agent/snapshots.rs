//! The connection for snapshot requests, where the venue has them.

use bot4_lanes::Probe;
use bot4_types::{FrameKind, Nanos, ResyncReason};
use bot4_wire::ConnError;

use super::count::Count;
use super::link::{Drive, Link, Take};
use super::{Links, WireAgent};

/// How often an idle snapshot connection is read: its answers take a venue's round trip, and
/// an empty `recv` a turn would double the cost of the stream's idle turn.
pub const SNAPSHOT_POLL_EVERY: Nanos = Nanos(50_000);
/// Snapshot answers taken in one turn at most.
const SNAPSHOT_BATCH: usize = 4;
/// Snapshot requests sent in one turn at most.
const REQUEST_BATCH: usize = 8;

impl WireAgent {
    /// Requests and answers of the snapshot connection. It follows the stream: it connects only
    /// when the stream is up, so an outage is probed by one connection.
    pub(super) fn work_snapshots(&mut self, now: Nanos, links: &mut Links, probe: &Probe) -> usize {
        let Some(link) = &mut links.snapshots else { return 0 };
        if self.answers_void {
            link.renew(now, &mut self.pool);
            self.answers_gone();
        }
        let mut done = self.send_requests(now, link);
        if done == 0 && now.since(links.snapshots_polled_at) < SNAPSHOT_POLL_EVERY {
            return 0;
        }
        links.snapshots_polled_at = now;
        if link.is_due_for_renewal(now) && self.desk.waiting() == 0 {
            link.renew(now, &mut self.pool);
            self.answers_gone();
            self.desk.ask_again(now);
            self.count(Count::Renewals, 1);
        }
        match link.drive(now, &mut *self.connector, &mut self.budget, self.line.up) {
            Drive::Same => {}
            Drive::Dialled => self.count(Count::Connects, 1),
            Drive::Opened => done += 1,
            Drive::Lost(error) => self.snapshots_lost(now, link, error),
        }
        done + self.receive_snapshots(now, link, probe)
    }

    fn send_requests(&mut self, now: Nanos, link: &mut Link) -> usize {
        let mut done = 0;
        while link.is_open() && done < REQUEST_BATCH {
            let Some(place) = self.desk.next(now) else { break };
            self.text.clear();
            let instrument = &self.config.instruments[place];
            self.session.snapshot_request(instrument, &mut self.text);
            match link.send(now, &self.text) {
                Ok(true) => {
                    self.answers_owed += 1;
                    self.count(Count::SnapshotsRequested, 1);
                }
                // Not taken: the venue does not read. Ask again in its turn.
                Ok(false) => {
                    let reason = ResyncReason::SnapshotFailed;
                    self.desk.request(self.config.instruments[place].id, reason, now);
                    break;
                }
                Err(error) => {
                    self.snapshots_lost(now, link, error);
                    break;
                }
            }
            done += 1;
        }
        done
    }

    fn receive_snapshots(&mut self, now: Nanos, link: &mut Link, probe: &Probe) -> usize {
        let mut done = 0;
        let told = self.line.told_up && !self.line.flapped;
        let conn = self.conn();
        while link.is_open() && told && done < SNAPSHOT_BATCH {
            if self.ports.frames.room() == 0 {
                break;
            }
            let stamp = &mut || probe.stamp();
            match link.receive(now, &mut self.pool, stamp) {
                Ok(Take::Message(slot, received)) => {
                    done += 1;
                    if self.is_notice(slot.bytes(received.len)) {
                        self.pool.put(slot);
                        self.count(Count::ShutdownNotices, 1);
                        link.renew(now, &mut self.pool);
                        self.answers_gone();
                        self.desk.ask_again(now);
                        break;
                    }
                    if let Some(ms) = self.pause_told(slot.bytes(received.len)) {
                        self.desk.pause(now + Nanos::from_millis(ms));
                    }
                    self.answers_owed = self.answers_owed.saturating_sub(1);
                    self.desk.answered();
                    self.count(Count::SnapshotsReceived, 1);
                    self.push_message(slot, received, FrameKind::Snapshot, conn);
                }
                Ok(Take::Nothing | Take::NoSlot) => break,
                Err(error) => {
                    self.snapshots_lost(now, link, error);
                    break;
                }
            }
        }
        done
    }

    /// The connection is another one: no answer to an earlier request can come.
    const fn answers_gone(&mut self) {
        (self.answers_owed, self.answers_void) = (0, false);
    }

    fn snapshots_lost(&mut self, now: Nanos, link: &mut Link, error: ConnError) {
        self.answers_gone();
        self.desk.ask_again(now);
        self.count_error(&error, link.is_open());
        link.drop_line(now, &error, &mut self.pool);
        self.last_error = Some(error);
    }
}

//! Outputs that nobody reads: a lane that waits for a dead one must not wait in silence.

use bot4_lanes::Fault;
use bot4_types::Nanos;

use super::{INTENT_RECORDS, REPORT_RECORDS, RiskAgent, fault};

/// An output link full for this long halts the engine: its reader is gone.
const STALL_NS_MAX: u64 = 100_000_000;
/// The log may stall longer, unless said otherwise so long: its reader waits for the disk.
pub(super) const LOG_STALL_NS_MAX: u64 = 250_000_000;

impl RiskAgent {
    /// Halts the engine when the reader of a full output has taken nothing for too long. What is
    /// written plus what is free grows only by what the reader took.
    pub(super) fn watch(&mut self, now: Nanos) -> Result<(), Fault> {
        for (link, (pushed, stall)) in self.ports.approved.iter().zip(&mut self.approved_stalls) {
            let room = link.room();
            if stall.is_over(room == 0, *pushed + room as u64, now, STALL_NS_MAX) {
                return Err(fault("execution took no approved order for 100 ms: look at its lane"));
            }
        }
        let room = self.ports.account.room();
        let taken = self.told + room as u64;
        if self.account_stall.is_over(room == 0, taken, now, STALL_NS_MAX) {
            return Err(fault("the router took no account report for 100 ms: look at its lane"));
        }
        let taken = self.ports.log.last_seq() + self.ports.log.room() as u64;
        if self.log_stall.is_over(self.lacks_records(), taken, now, self.log_stall_ns_max) {
            let ms = self.log_stall_ns_max / 1_000_000;
            return Err(fault(&format!(
                "the journal took no record for {ms} ms: look at its disk"
            )));
        }
        Ok(())
    }

    /// The next input waits for room in the log.
    fn lacks_records(&self) -> bool {
        let reports = self.ports.reports.iter().any(|link| link.waiting() > 0);
        let intent = self.ports.intents.peek();
        (reports && self.ports.log.room() < REPORT_RECORDS)
            || intent.is_some_and(|intent| self.record_room(intent) < INTENT_RECORDS)
    }
}

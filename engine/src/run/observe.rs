//! A run without orders: in the place of order entry stands an agent that holds the links and
//! faults if an order ever reaches it.

use bot4_lanes::{Agent, Counters, Fault, LogTx, Metrics, Probe, Rx, Tx};
use bot4_types::{ApprovedOrder, ExecMsg, Nanos};

use crate::topology::EXECUTION;

/// Names of its gauges: those of order entry that the control lane waits for.
const GAUGES: &[&str] = &["session_ready", "drained"];

/// Order entry of a run that observes.
pub struct NoOrders {
    role: &'static str,
    approved: Rx<ApprovedOrder>,
    /// Held, so that the other ends see a reader and a writer.
    _reports: Tx<ExecMsg>,
    _log: LogTx,
    counters: Counters,
}

impl NoOrders {
    /// The agent over the links of the order entry of venue `v`.
    #[must_use]
    pub fn new(
        v: usize,
        approved: Rx<ApprovedOrder>,
        reports: Tx<ExecMsg>,
        log: LogTx,
        metrics: &Metrics,
    ) -> Self {
        let counters = metrics.counters(EXECUTION[v], GAUGES);
        Self { role: EXECUTION[v], approved, _reports: reports, _log: log, counters }
    }
}

impl Agent for NoOrders {
    fn role(&self) -> &'static str {
        self.role
    }

    fn start(&mut self, _now: Nanos) -> Result<(), Fault> {
        (0..GAUGES.len()).for_each(|gauge| self.counters.set(gauge, 1));
        Ok(())
    }

    fn work(&mut self, _now: Nanos, _probe: &mut Probe) -> Result<usize, Fault> {
        match self.approved.pop() {
            None => Ok(0),
            Some(_) => Err(Fault {
                role: self.role,
                what: "an order was approved in a run that only observes".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::ring;

    #[test]
    fn it_is_ready_at_once_and_never_sends() {
        let (_approved_tx, approved) = ring(4);
        let (reports, _reports_rx) = ring(4);
        let (log, _log_rx) = ring(4);
        let metrics = Metrics::in_memory();
        let mut agent = NoOrders::new(0, approved, reports, LogTx::new(log, 1), &metrics);
        agent.start(Nanos::ZERO).expect("starts");
        assert_eq!(metrics.total("session_ready"), 1);
        assert_eq!(agent.work(Nanos(1), &mut Probe::logical()), Ok(0));
    }
}

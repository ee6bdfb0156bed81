//! The time that orders things never goes back: records of a lane, reports, turns.

use bot4_types::{ExecMsg, LogEntry, Nanos};

use super::{Checker, View};

/// Newest stamps so far.
#[derive(Default)]
pub struct Time {
    risk: Nanos,
    execution: Nanos,
    reports: Nanos,
}

impl Checker for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let stamp = |e: &LogEntry| e.at;
        onward("risk's log", &mut self.risk, view.seen.risk_log.iter().map(stamp), view.now)?;
        let log = view.seen.execution_log.iter().map(stamp);
        onward("execution's log", &mut self.execution, log, view.now)?;
        let reports = view.seen.reports.iter().map(|m| match m {
            ExecMsg::Order(report) => report.at,
            ExecMsg::Balance { at, .. }
            | ExecMsg::Funding { at, .. }
            | ExecMsg::Session { at, .. }
            | ExecMsg::Foreign { at, .. } => *at,
        });
        onward("reports", &mut self.reports, reports, view.now)
    }
}

fn onward(
    what: &str,
    last: &mut Nanos,
    stamps: impl Iterator<Item = Nanos>,
    now: Nanos,
) -> Result<(), String> {
    for stamp in stamps {
        if stamp < *last || stamp > now {
            return Err(format!("{what}: {} after {} at {}", stamp.0, last.0, now.0));
        }
        *last = stamp;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn steps_back_and_into_the_future_are_found() {
        let (mut fixture, mut time) = (Fixture::new(), Time::default());
        fixture.now = Nanos(10);
        fixture.send(1);
        assert_eq!(fixture.look(&mut time), Ok(()));
        fixture.now = Nanos(9);
        fixture.send(2);
        assert!(fixture.look(&mut time).is_err(), "back");
        fixture.send(3);
        fixture.seen.execution_log[0].at = Nanos(11);
        assert!(fixture.look(&mut time).is_err(), "ahead");
    }
}

//! Once the engine stops, nothing new is approved and nothing new leaves.

use bot4_lanes::Phase;
use bot4_types::log::{Body, Reader};
use bot4_types::{LogKind, Nanos, OrderAction, OrderIntent};

use super::{Checker, View, sent};

/// Since when the engine stops.
#[derive(Default)]
pub struct Halt {
    since: Option<Nanos>,
}

impl Checker for Halt {
    fn name(&self) -> &'static str {
        "halt"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        if view.phase == Phase::Run {
            return Ok(());
        }
        // The first step in this phase was the first that could know it.
        let since = *self.since.get_or_insert(view.now);
        let late = |e: &&bot4_types::LogEntry| e.at >= since && e.kind == LogKind::Approved as u8;
        for entry in view.seen.risk_log.iter().filter(late) {
            let intent = OrderIntent::read(&mut Reader::over(entry.body()));
            if let Some(intent) = intent.filter(|i| i.action == OrderAction::Place) {
                return Err(format!("approved while {:?}: {intent:?}", view.phase));
            }
        }
        let late = view.seen.execution_log.iter().any(|e| e.at >= since);
        match sent(view).next().filter(|_| late) {
            Some(order) => Err(format!("order {} was sent while {:?}", order.0, view.phase)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, intent};
    use super::*;

    #[test]
    fn whatever_is_new_after_the_stop_is_found() {
        let (mut fixture, mut halt) = (Fixture::new(), Halt::default());
        fixture.send(1);
        fixture.risk(LogKind::Approved, |w| intent(1).write(w));
        assert_eq!(fixture.look(&mut halt), Ok(()));
        fixture.phase = Phase::Drain;
        assert_eq!(fixture.look(&mut halt), Ok(()));
        let cancel = OrderIntent { action: OrderAction::Cancel, ..intent(1) };
        fixture.risk(LogKind::Approved, |w| cancel.write(w));
        assert_eq!(fixture.look(&mut halt), Ok(()), "cancels go on");
        fixture.send(2);
        assert!(fixture.look(&mut halt).is_err());
        fixture.risk(LogKind::Approved, |w| intent(3).write(w));
        assert!(fixture.look(&mut halt).is_err());
    }
}

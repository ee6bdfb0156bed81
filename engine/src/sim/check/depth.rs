//! Links stay within their capacity, and no record of the order path is dropped: log sequences
//! have no hole.

use bot4_types::LogEntry;

use super::{Checker, View};

/// Last sequence of risk's and of execution's log.
#[derive(Default)]
pub struct Depth {
    last: [u64; 2],
}

impl Checker for Depth {
    fn name(&self) -> &'static str {
        "depth"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for (name, waiting, capacity) in &view.seen.depths {
            if waiting > capacity {
                return Err(format!("{waiting} messages in {name}, which holds {capacity}"));
            }
        }
        let logs: [&[LogEntry]; 2] = [&view.seen.risk_log, &view.seen.execution_log];
        for (last, log) in self.last.iter_mut().zip(logs) {
            for entry in log {
                if entry.seq != *last + 1 {
                    return Err(format!("{entry:?} follows record {last} of its lane"));
                }
                *last = entry.seq;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn an_overfull_link_and_a_hole_are_found() {
        let (mut fixture, mut depth) = (Fixture::new(), Depth::default());
        fixture.send(1);
        fixture.send(2);
        fixture.seen.depths.push(("reports", 4, 4));
        assert_eq!(fixture.look(&mut depth), Ok(()));
        fixture.seen.depths.push(("reports", 5, 4));
        assert!(fixture.look(&mut depth).is_err());
        fixture.send(1);
        assert!(fixture.look(&mut depth).is_err_and(|e| e.contains("follows record 2")));
    }
}

//! Which instruments' headroom is to be told: all of them every 100 ms, one at once after a fill
//! in it. What is due waits here while the link is full, so only the newest is ever told.

use bot4_types::{InstrumentId, Nanos};

/// How often every instrument's headroom is told.
const EVERY: Nanos = Nanos::from_millis(100);

/// The instruments due. A turn's cost is a comparison while there is none.
#[derive(Debug)]
pub(crate) struct HeadroomsDue {
    due: Box<[bool]>,
    waiting: usize,
    cursor: usize,
    again_at: Nanos,
}

impl HeadroomsDue {
    /// None of `instruments` due before the first look.
    pub fn new(instruments: usize) -> Self {
        let due = vec![false; instruments].into_boxed_slice();
        Self { due, waiting: 0, cursor: 0, again_at: EVERY }
    }

    /// All are due when it is time; one, as a piece of work done, if that was now.
    pub fn look(&mut self, now: Nanos) -> usize {
        if now < self.again_at || self.due.is_empty() {
            return 0;
        }
        self.again_at = now + EVERY;
        self.due.fill(true);
        self.waiting = self.due.len();
        1
    }

    /// `instrument` is due.
    pub fn want(&mut self, instrument: InstrumentId) {
        if let Some(due) = self.due.get_mut(instrument.index()) {
            self.waiting += usize::from(!*due);
            *due = true;
        }
    }

    /// Takes the next that is due, in turn.
    pub fn next(&mut self) -> Option<InstrumentId> {
        if self.waiting == 0 {
            return None;
        }
        loop {
            let at = self.cursor;
            self.cursor = (at + 1) % self.due.len();
            if std::mem::take(&mut self.due[at]) {
                self.waiting -= 1;
                return Some(InstrumentId(at as u16));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_in_turn_and_one_on_demand() {
        let mut due = HeadroomsDue::new(3);
        let all = |due: &mut HeadroomsDue| -> Vec<u16> {
            std::iter::from_fn(|| due.next()).map(|i| i.0).collect()
        };
        assert_eq!((due.look(EVERY), all(&mut due)), (1, vec![0, 1, 2]));
        assert_eq!((due.look(Nanos::from_millis(199)), all(&mut due)), (0, vec![]));
        [1, 1, 7].iter().for_each(|i| due.want(InstrumentId(*i)));
        assert_eq!(all(&mut due), [1]);
        assert_eq!((due.look(EVERY + EVERY), due.next()), (1, Some(InstrumentId(2))));
        due.want(InstrumentId(2));
        assert_eq!(all(&mut due), [0, 1, 2]);
        assert_eq!(HeadroomsDue::new(0).look(EVERY), 0);
    }
}

//! Until when a venue wants fewer requests: one word for all who ask it with the same account or
//! from the same address. Who is refused notes it, and everybody heeds it before asking.
//!
//! Times are those of the engine's clock, which the lanes and the cold side share. The words stand
//! alone and only grow, so that relaxed atomics do: who reads late asks once too often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bot4_types::Nanos;

/// What a venue wants less of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Requests over HTTPS alone.
    Rest,
    /// Anything, connections too.
    All,
}

/// The words. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    words: Arc<[AtomicU64; 2]>,
}

impl Pause {
    /// The venue wants nothing of `reach` before `until`.
    pub fn note(&self, reach: Reach, until: Nanos) {
        self.words[reach as usize].fetch_max(until.0, Ordering::Relaxed);
    }

    /// When what is of `reach` may be asked again; long ago where nothing stands against it.
    #[must_use]
    pub fn until(&self, reach: Reach) -> Nanos {
        let word = |reach: Reach| self.words[reach as usize].load(Ordering::Relaxed);
        Nanos(match reach {
            Reach::All => word(Reach::All),
            Reach::Rest => word(Reach::Rest).max(word(Reach::All)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_holds_for_all_and_a_limit_over_https_for_nothing_else() {
        let (pause, other) = {
            let p = Pause::default();
            (p.clone(), p)
        };
        pause.note(Reach::Rest, Nanos(5));
        assert_eq!([Reach::Rest, Reach::All].map(|r| other.until(r)), [Nanos(5), Nanos(0)]);
        pause.note(Reach::All, Nanos(9));
        other.note(Reach::All, Nanos(7));
        assert_eq!([Reach::Rest, Reach::All].map(|r| other.until(r)), [Nanos(9), Nanos(9)]);
    }
}

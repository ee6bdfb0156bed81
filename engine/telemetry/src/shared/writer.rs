//! The engine's side: head and table. Everything else in the file is written by its owner.

use bot4_alloc::seal;
use bot4_lanes::metrics::{Entry, Head, Placed};
use bot4_lanes::{Clock, Control, Metrics};
use bot4_types::Nanos;

use super::layout::{At, MAGIC, Plate, Row, Table, VERSION, began, hash};

/// Between two beats.
pub const BEAT_EVERY: Nanos = Nanos::from_millis(100);

/// Writes head and table of a run's counters file. On a cold lane: a beat is nine stores and a
/// read of the wall clock.
pub struct Publisher {
    metrics: Metrics,
    plate: Plate,
    clock: Clock,
    control: Control,
    head: Option<Head>,
    next: Nanos,
}

impl Publisher {
    /// For the file behind `metrics`; where there is none, nothing is ever written.
    #[must_use]
    pub const fn new(metrics: Metrics, plate: Plate, clock: Clock, control: Control) -> Self {
        Self { metrics, plate, clock, control, head: None, next: Nanos::ZERO }
    }

    /// Writes the table of everything handed out so far, then the head.
    ///
    /// # Errors
    /// When the table is longer than the room for it.
    pub fn begin(&mut self, now: Nanos) -> Result<(), String> {
        let Some(head) = self.metrics.head() else { return Ok(()) };
        let rows = self.metrics.placed().iter().map(row).collect();
        let table = Table { plate: self.plate.clone(), rows };
        let text = serde_json::to_vec(&table).map_err(|e| format!("the counters' table: {e}"))?;
        let at = self.metrics.text(&text).ok_or("the counters' table is too long for its file")?;
        let pid = std::process::id();
        let wall = self.clock.wall().unix_ms(now);
        for (place, value) in [
            (At::Version, VERSION),
            (At::Words, self.metrics.words() as u64),
            (At::Table, at as u64),
            (At::TableLen, text.len() as u64),
            (At::TableHash, hash(&text)),
            (At::Pid, pid.into()),
            (At::Began, began(pid).unwrap_or(0)),
            (At::StartedMs, wall as u64),
        ] {
            head.set(place as usize, value);
        }
        self.head = Some(head);
        self.beat(now);
        // Release: pairs with the reader's acquire fence behind its load of the magic.
        head.publish(At::Magic as usize, MAGIC);
        Ok(())
    }

    /// Beats when it is time.
    pub fn look(&mut self, now: Nanos) {
        if now >= self.next {
            self.next = now + BEAT_EVERY;
            self.beat(now);
        }
    }

    fn beat(&self, now: Nanos) {
        let Some(head) = &self.head else { return };
        let wall = self.clock.wall().unix_ms(now);
        for (place, value) in [
            (At::BeatNs, now.0),
            (At::BeatMs, wall as u64),
            (At::Phase, self.control.phase().raw().into()),
            (At::Failed, self.control.has_failed().into()),
            (At::HotAllocations, seal::hot_allocations()),
            (At::IoAllocations, seal::io_allocations()),
        ] {
            head.set(place as usize, value);
        }
    }

    /// The lanes end: readers hear it at their next look.
    pub fn end(&self, now: Nanos) {
        self.beat(now);
        if let Some(head) = &self.head {
            head.publish(At::Closed as usize, 1);
        }
    }
}

fn row(placed: &Placed) -> Row {
    let at = placed.at;
    match &placed.entry {
        Entry::Counters { role, names, .. } => {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Row::Counters { role: (*role).to_owned(), at, names }
        }
        Entry::Histogram { tag, .. } => Row::Histogram { tag: (*tag).to_owned(), at },
        Entry::Block { role, tag, .. } => {
            let (role, tag) = ((*role).to_owned(), (*tag).to_owned());
            Row::Block { role, tag, at, len: placed.len }
        }
    }
}

//! What the watched engine's counters say now.
//!
//! Without a named run it follows the newest engine that runs; when that ends, what was seen last
//! stays, marked as ended, until another one runs.
//!
//! Cost: one snapshot for [`REFRESH`] however many ask, none when nobody does; and where the
//! machine leaves so little that one takes long, a tenth of the time at most. Folders are looked
//! through once for [`LOOK_EVERY`] and only while no engine is watched.

use std::sync::Arc;

use bot4_telemetry::shared::{Reader, Snapshot};
use bot4_types::Nanos;
use serde_json::{Value, json};

use crate::operator::counters::attach;

/// A snapshot is good for this long.
pub const REFRESH: Nanos = Nanos::from_millis(200);
/// After a snapshot, this many times what it took passes before the next.
const REST: u64 = 9;
/// Between two looks for an engine.
const LOOK_EVERY: Nanos = Nanos::from_secs(1);

/// The watched engine. See the module.
pub struct View {
    /// The one to watch; the newest without.
    run: Option<String>,
    reader: Option<Reader>,
    /// What was seen last.
    seen: Option<Arc<Snapshot>>,
    /// Why nothing is seen now.
    why_not: String,
    /// When it may be looked at again, and when was looked for an engine.
    next_at: Nanos,
    looked_at: Option<Nanos>,
    /// Counts what was seen: what is made of it is kept as long as this does not change.
    version: u64,
}

impl View {
    /// A view of the run called `run`, or of the newest engine.
    #[must_use]
    pub const fn new(run: Option<String>) -> Self {
        let why_not = String::new();
        Self {
            run,
            reader: None,
            seen: None,
            why_not,
            next_at: Nanos::ZERO,
            looked_at: None,
            version: 0,
        }
    }

    /// Looks again where it is time to; `clock` tells it. Returns a number that changes with what
    /// is seen.
    pub fn refresh(&mut self, clock: impl Fn() -> Nanos) -> u64 {
        let now = clock();
        if self.version > 0 && now.0 < self.next_at.0 {
            return self.version;
        }
        self.version += 1;
        self.read(now);
        let end = clock().0;
        self.next_at = Nanos(end + REFRESH.0.max(REST * end.saturating_sub(now.0)));
        self.version
    }

    fn read(&mut self, now: Nanos) {
        if self.reader.is_none() {
            self.look(now);
        }
        if let Some(reader) = &self.reader {
            match reader.snapshot() {
                Ok(snapshot) => self.seen = Some(Arc::new(snapshot)),
                Err(why) => {
                    self.why_not = why.to_string();
                    self.reader = None;
                }
            }
        }
    }

    fn look(&mut self, now: Nanos) {
        if self.looked_at.is_some_and(|at| now.0 - at.0 < LOOK_EVERY.0) {
            return;
        }
        self.looked_at = Some(now);
        match attach(self.run.as_deref()).pop() {
            Some((_, Ok(reader))) => self.reader = Some(reader),
            Some((_, Err(why))) => self.why_not = why.to_string(),
            None => {
                self.why_not = match &self.run {
                    Some(run) => format!("the run {run} does not run"),
                    None => "no engine runs; `bot4 run` starts one".to_owned(),
                }
            }
        }
    }

    /// The engine is there and says how it is.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.reader.is_some()
    }

    /// What was seen last, by an engine that may have ended since.
    #[must_use]
    pub const fn seen(&self) -> Option<&Arc<Snapshot>> {
        self.seen.as_ref()
    }

    /// What the page draws. The raw counters stay out: nothing there shows them.
    #[must_use]
    pub fn to_json(&self, now_ms: i64) -> Value {
        let snapshot = self.seen.as_ref().map(|seen| {
            let mut told = serde_json::to_value(seen.as_ref()).unwrap_or(Value::Null);
            if let Some(fields) = told.as_object_mut() {
                fields.shift_remove("counters");
            }
            told
        });
        let why_not = (!self.is_live()).then_some(&self.why_not);
        json!({"now_ms": now_ms, "live": self.is_live(), "why_not": why_not, "engine": snapshot})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_engine_it_says_so_and_looks_once_a_second() {
        let mut view = View::new(Some("no-such-run".to_owned()));
        let first = view.refresh(|| Nanos::ZERO);
        assert_eq!(view.refresh(|| Nanos(REFRESH.0 - 1)), first, "it is still good");
        assert_eq!(view.refresh(|| REFRESH), first + 1);
        assert_eq!(view.looked_at, Some(Nanos::ZERO));
        let told = view.to_json(7);
        assert_eq!((&told["live"], &told["engine"]), (&json!(false), &Value::Null));
        assert!(told["why_not"].as_str().is_some_and(|w| w.contains("no-such-run")), "{told}");
    }

    /// A machine that leaves it little is not asked for more with every client.
    #[test]
    fn after_a_slow_look_it_rests() {
        let mut view = View::new(Some("no-such-run".to_owned()));
        let time = std::cell::Cell::new(0);
        // Each look at the clock is a second later.
        let slow = || Nanos::from_secs(time.replace(time.get() + 1));
        let first = view.refresh(slow);
        assert_eq!(view.refresh(|| Nanos::from_secs(9)), first);
        assert_eq!(view.refresh(|| Nanos::from_secs(10)), first + 1);
    }

    #[test]
    fn what_was_seen_of_an_engine_that_ended_stays() {
        let mut view = View::new(Some("no-such-run".to_owned()));
        let counters = [("risk".to_owned(), std::collections::BTreeMap::new())].into();
        view.seen = Some(Arc::new(Snapshot { counters, ..Snapshot::default() }));
        view.refresh(|| Nanos::ZERO);
        let told = view.to_json(7);
        assert_eq!(told["live"], false);
        assert!(told["engine"]["lanes"].is_array() && told["engine"]["counters"].is_null());
    }
}

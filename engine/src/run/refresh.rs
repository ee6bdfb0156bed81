//! The list of instruments is read again while the run goes on: what changed is told, and a
//! change that binds our orders (status, steps, bounds) stops new orders until the next start,
//! which reads the new rules. Resting orders are withdrawn, books go on.
//!
//! The stop is for the whole run, not for the instrument: risk, router and journal hold the
//! instruments of the start, and which of them still agree with the venue is for a person to see.
//!
//! A helper thread asks, because asking blocks; the control lane looks for its news.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_lanes::{Counters, Metrics};
use bot4_types::{Instrument, InstrumentTable};
use bot4_venues::Catalogue;

use super::cold::ColdError;

/// Counters of the watch, by index.
const COUNTERS: &[&str] = &["instrument_reads", "instrument_read_errors", "instruments_changed"];
const READS: usize = 0;
const ERRORS: usize = 1;
const CHANGED: usize = 2;

/// Asks for the instruments once.
pub type Read = Box<dyn FnMut() -> Result<Catalogue, ColdError> + Send>;

/// What a reading showed that the start had not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshNews {
    /// A sentence for a person.
    pub what: String,
    /// New orders must stop until the next start.
    pub stop: bool,
}

/// Reads now and then, beside the lanes.
pub struct Refresh {
    answers: Receiver<Result<Catalogue, String>>,
    /// Dropping it ends the helper.
    _end: SyncSender<()>,
    known: InstrumentTable,
    counters: Counters,
    _helper: JoinHandle<()>,
}

impl Refresh {
    /// Reads by `read` each `every`; `known` is what the run started with.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        every: Duration,
        mut read: Read,
        known: InstrumentTable,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let (answer, answers) = sync_channel(1);
        let (end, ended) = sync_channel::<()>(1);
        let work = move || {
            while ended.recv_timeout(every) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                if answer.send(read().map_err(|e| e.to_string())).is_err() {
                    return;
                }
            }
        };
        let helper = std::thread::Builder::new().name("instruments".to_owned()).spawn(work)?;
        let counters = metrics.counters("control", COUNTERS);
        Ok(Self { answers, _end: end, known, counters, _helper: helper })
    }

    /// What is new since the last look. The same change is told once.
    pub fn look(&mut self) -> Option<RefreshNews> {
        match self.answers.try_recv() {
            Ok(Ok(catalogue)) => {
                self.counters.add(READS, 1);
                self.judge(catalogue.table)
            }
            Ok(Err(what)) => {
                self.counters.add(ERRORS, 1);
                let first = what.lines().next().unwrap_or_default();
                let what = format!("the instruments could not be read again: {first}");
                Some(RefreshNews { what, stop: false })
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    fn judge(&mut self, table: InstrumentTable) -> Option<RefreshNews> {
        let (mut told, mut stop) = (Vec::new(), false);
        for (old, new) in self.known.all().iter().zip(table.all()) {
            let differences = differences(old, new);
            if differences.is_empty() {
                continue;
            }
            self.counters.add(CHANGED, 1);
            stop |= differences.iter().any(|d| d.binds);
            let names: Vec<_> = differences.iter().map(|d| d.what).collect();
            told.push(format!("{}: {}", old.symbol, names.join(", ")));
        }
        if told.is_empty() {
            return None;
        }
        self.known = table;
        let end = if stop { "; no new orders until the next start" } else { "" };
        let what = format!("the venue changed its instruments: {}{end}", told.join("; "));
        Some(RefreshNews { what, stop })
    }
}

/// A rule that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    what: &'static str,
    /// An order that was right before may be wrong now.
    binds: bool,
}

/// What differs between two readings of an instrument. Bounds that were widened bind nobody;
/// those of market orders change daily at some venues and their breach costs a refusal, no more.
fn differences(old: &Instrument, new: &Instrument) -> Vec<Difference> {
    let narrower = |old: i64, new: i64| new > 0 && (old == 0 || new < old);
    let mut found = Vec::new();
    let mut note = |what, differs: bool, binds: bool| {
        if differs {
            found.push(Difference { what, binds });
        }
    };
    note("status", old.tradable != new.tradable, old.tradable && !new.tradable);
    note("symbol", old.symbol != new.symbol, true);
    let decimals = |i: &Instrument| (i.price_decimals, i.qty_decimals);
    note("decimals", decimals(old) != decimals(new), true);
    note("tick", old.tick != new.tick, true);
    note("lot", old.lot != new.lot, true);
    let (low, high) = (old.price_min != new.price_min, old.price_max != new.price_max);
    let tighter = new.price_min.0 > old.price_min.0 || narrower(old.price_max.0, new.price_max.0);
    note("price bounds", low || high, tighter);
    note("smallest order", old.qty_min != new.qty_min, new.qty_min.0 > old.qty_min.0);
    note("largest order", old.qty_max != new.qty_max, narrower(old.qty_max.0, new.qty_max.0));
    note("smallest value", old.notional_min != new.notional_min, true);
    note("largest value", old.notional_max != new.notional_max, true);
    let bands = |i: &Instrument| (i.band_buy, i.band_sell);
    note("price band", bands(old) != bands(new), true);
    let market = |i: &Instrument| (i.market_lot, i.market_qty_min, i.market_qty_max);
    note("market orders' bounds", market(old) != market(new), false);
    let orders = old.orders_open_max != new.orders_open_max;
    note("open orders", orders, orders);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Qty, Symbol};
    use bot4_venues::limits::RateLimits;

    fn table(change: impl Fn(&mut Instrument)) -> InstrumentTable {
        let mut table = InstrumentTable::new();
        for name in ["AAA", "BBB"] {
            let symbol = Symbol::new(name).expect("short");
            let mut instrument = Instrument::bare(InstrumentId(0), symbol, 8);
            change(&mut instrument);
            table.push(instrument).expect("room");
        }
        table
    }

    fn binding(change: impl Fn(&mut Instrument)) -> Vec<(&'static str, bool)> {
        let (old, new) = (table(|_| ()), table(change));
        let found = differences(&old.all()[0], &new.all()[0]);
        found.into_iter().map(|d| (d.what, d.binds)).collect()
    }

    #[test]
    fn what_binds_orders_is_told_apart() {
        assert_eq!(binding(|_| ()), []);
        assert_eq!(binding(|i| i.tradable = false), [("status", true)]);
        assert_eq!(binding(|i| i.tick = 10), [("tick", true)]);
        assert_eq!(binding(|i| i.qty_max = Qty(5)), [("largest order", true)]);
        assert_eq!(binding(|i| i.qty_min = Qty(5)), [("smallest order", true)]);
        assert_eq!(binding(|i| i.market_qty_max = Qty(5)), [("market orders' bounds", false)]);
        let wide = table(|i| i.qty_max = Qty(5));
        let wider = table(|i| i.qty_max = Qty(9));
        assert!(!differences(&wide.all()[0], &wider.all()[0])[0].binds);
    }

    #[test]
    fn a_change_is_told_once_and_an_error_is_no_change() {
        let mut answers = vec![
            Ok(table(|_| ())),
            Ok(table(|i| i.lot = 7)),
            Err(ColdError::Timeout("the instruments")),
            Ok(table(|i| i.lot = 7)),
        ]
        .into_iter();
        let read = move || match answers.next() {
            Some(Ok(table)) => Ok(Catalogue { table, limits: RateLimits::default(), server_ms: 0 }),
            Some(Err(e)) => Err(e),
            None => Err(ColdError::Answer("the end")),
        };
        let metrics = Metrics::in_memory();
        let every = Duration::from_millis(1);
        let mut watch =
            Refresh::start(every, Box::new(read), table(|_| ()), &metrics).expect("a thread");
        let mut news = Vec::new();
        while metrics.total("instrument_reads") < 3 {
            news.extend(watch.look());
        }
        assert_eq!(news.len(), 2, "{news:?}");
        assert!(news[0].stop && news[0].what.contains("AAA: lot; BBB: lot"), "{news:?}");
        assert!(!news[1].stop && news[1].what.contains("could not be read"), "{news:?}");
        assert_eq!(metrics.total("instruments_changed"), 2);
    }
}

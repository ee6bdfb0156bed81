//! Questions over HTTPS that take more than one answer: where those for fills begin and go on, at
//! venues that answer by pages and by time, and which orders are looked for in a second list.

use bot4_types::{ClientId, InstrumentId, OrderId};
use bot4_venues::account::{FillRow, Refusal, Rows, Told};

use crate::gateway::Page;
use crate::requests::Purpose;

/// Fills are asked for from this much before the last one heard, ms: several may share a time.
const OVERLAP_MS: i64 = 1_000;
/// The venue's clock has gone back where it shows this much less than before, ms; by less than that
/// its estimate wanders.
const BACK_MS: i64 = 250;
/// Longest time between two looks at the venue's clock, ms: what it has gone back is at most the
/// difference and this.
pub(crate) const LOOK_MS: i64 = 10_000;

/// The times and places. Changed by what is heard, read by what is asked.
#[derive(Debug)]
pub(crate) struct FillPages {
    /// Time of the last fill heard, per instrument, Unix ms.
    last_ms: Vec<i64>,
    /// The time that fills are asked from, per instrument: that of the last one heard before this
    /// session, for what it hears by itself must not cut off what was missed.
    since_ms: Vec<i64>,
    /// Where pages go on.
    cursors: Vec<(Purpose, String)>,
    /// What the venue's clock showed at the last look, Unix ms.
    now_ms: i64,
}

impl FillPages {
    /// Nothing heard of so many instruments.
    pub fn new(instruments: usize) -> Self {
        let none = vec![0; instruments];
        Self { last_ms: none.clone(), since_ms: none, cursors: Vec::new(), now_ms: 0 }
    }

    /// A look at the venue's clock: how much less it shows than at the last one, ms. Having gone
    /// back it gives fills times that lie before those of fills heard earlier, so every time that
    /// is remembered goes back as well: rather too many fills are asked for.
    pub fn look(&mut self, now_ms: i64) -> i64 {
        let before = core::mem::replace(&mut self.now_ms, now_ms);
        if now_ms >= before - BACK_MS {
            return 0;
        }
        let less = before - now_ms;
        let times = self.last_ms.iter_mut().chain(&mut self.since_ms);
        times.for_each(|time| *time = (*time - less - LOOK_MS).max(0));
        less
    }

    /// A session begins.
    pub fn begin(&mut self, now_ms: i64) {
        self.look(now_ms);
        self.cursors.clear();
        let before = |last: &i64| (last - OVERLAP_MS).max(0);
        self.since_ms = self.last_ms.iter().map(before).collect();
    }

    /// Remembers when fills were. Times behind the last look at the clock may be of before it went
    /// back, and say nothing of what was since.
    pub fn note(&mut self, fills: &[FillRow]) {
        for fill in fills.iter().filter(|fill| fill.time_ms <= self.now_ms + BACK_MS) {
            if let Some(last) = self.last_ms.get_mut(fill.instrument.index()) {
                *last = fill.time_ms.max(*last);
            }
        }
    }

    /// Takes a page in: fills, and where it goes on. Lists of anything else have one page, and a
    /// stamp tells the clock only where it was asked for.
    pub fn turn(&mut self, page: &Page<'_>, rows: &Rows, told: &mut Told) {
        told.more &= matches!(page.purpose, Purpose::FillsAfter(..) | Purpose::FillsOf(_));
        if told.more {
            self.cursors.push((page.purpose, rows.cursor.clone()));
        }
        if page.purpose != Purpose::Time {
            told.server_ms = None;
        }
        self.note(&rows.fills);
    }

    /// The time that fills of `instrument` are asked from.
    pub fn since_ms(&self, instrument: InstrumentId) -> i64 {
        self.since_ms.get(instrument.index()).copied().unwrap_or(0)
    }

    /// Where the fills of `instrument` behind `after` go on; empty at their beginning.
    pub fn after(&mut self, instrument: InstrumentId, after: u64) -> String {
        self.take(Purpose::FillsAfter(instrument, after))
    }

    /// Where the fills of an order go on; empty at their beginning.
    pub fn of_order(&mut self, client: &ClientId) -> String {
        let own = ClientId::parse(&client.0).map(|(_, order)| Purpose::FillsOf(order));
        own.map(|purpose| self.take(purpose)).unwrap_or_default()
    }

    fn take(&mut self, purpose: Purpose) -> String {
        let at = self.cursors.iter().position(|(of, _)| *of == purpose);
        at.map(|at| self.cursors.swap_remove(at).1).unwrap_or_default()
    }
}

/// Orders that the first list, of open ones, does not have: they are looked for in the second, of
/// closed ones, and count as not known only when neither has them.
#[derive(Debug, Default)]
pub(crate) struct SecondList(Vec<OrderId>);

impl SecondList {
    /// A session begins.
    pub fn begin(&mut self) {
        self.0.clear();
    }

    /// The order of this name is to be looked for in the second list.
    pub fn has(&self, client: &ClientId) -> bool {
        ClientId::parse(&client.0).is_some_and(|(_, order)| self.0.contains(&order))
    }

    /// Takes in the answer about `order`, which names it or does not.
    pub fn turn(&mut self, order: OrderId, named: bool, told: &mut Told) {
        let second = self.0.iter().position(|o| *o == order);
        if let Some(at) = second {
            self.0.swap_remove(at);
        }
        // Without an answer both lists are asked anew.
        if named || told.answer.is_none_or(|(_, refused)| refused.is_some()) {
            return;
        }
        match second {
            Some(_) => told.answer = told.answer.map(|(id, _)| (id, Some(Refusal::NotFound))),
            None => {
                self.0.push(order);
                told.more = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bot4_types::{AssetId, Side};
    use bot4_venues::client_text::ClientText;

    use super::*;

    const ONLY: InstrumentId = InstrumentId(0);

    fn fill(time_ms: i64) -> FillRow {
        FillRow {
            instrument: ONLY,
            trade_id: 1,
            venue_order: 1,
            client: ClientText::EMPTY,
            side: Side::Buy,
            price: 1,
            qty: 1,
            fee: 0,
            fee_asset: AssetId(0),
            maker: false,
            time_ms,
        }
    }

    #[test]
    fn fills_are_asked_for_from_the_last_one_of_the_session_before() {
        let mut pages = FillPages::new(1);
        pages.begin(100_000);
        assert_eq!(pages.since_ms(ONLY), 0);
        assert_eq!(pages.look(120_000), 0);
        pages.note(&[fill(110_000)]);
        assert_eq!(pages.since_ms(ONLY), 0, "of this session");
        pages.begin(130_000);
        assert_eq!(pages.since_ms(ONLY), 110_000 - OVERLAP_MS);
    }

    /// Ahead by 40 s, and back to the true time: the next session asks from before the moment of
    /// going back, whatever was heard of the time ahead, before or after.
    #[test]
    fn a_clock_that_goes_back_takes_the_times_along() {
        let mut pages = FillPages::new(1);
        pages.begin(100_000);
        pages.look(150_000);
        pages.note(&[fill(149_000)]);
        // True time 112 s: it went back at 110 s.
        assert_eq!(pages.look(112_000), 38_000);
        pages.note(&[fill(149_000)]);
        pages.begin(113_000);
        let since_ms = pages.since_ms(ONLY);
        assert!((90_000..=110_000).contains(&since_ms), "{since_ms}");
        // An estimate that wanders is none.
        assert_eq!(pages.look(112_900), 0);
    }
}

//! The venue's counters, kept on this side: one of trading for each pair, one of questions over
//! REST. Sources: the Kraken sheet, chapter 7, and the venue's list of REST limits.

use bot4_types::InstrumentId;
use bot4_venues::pace::Decaying;

use crate::requests::Purpose;

/// Thresholds and decays (in thousandths a second) of the three tiers: of trading, of REST.
const TIERS: [[(u32, u32); 2]; 3] =
    [[(60, 1_000), (15, 330)], [(125, 2_340), (20, 500)], [(180, 3_750), (20, 1_000)]];
/// Costs of cancelling and amending an order that is younger than this, ms; beyond the last, none.
const CANCEL: [(i64, u32); 6] =
    [(5_000, 8), (10_000, 6), (15_000, 5), (45_000, 4), (90_000, 2), (300_000, 1)];
const AMEND: [(i64, u32); 3] = [(5_000, 3), (10_000, 2), (15_000, 1)];
/// What the cancel of an order costs at most: what is kept for each that is open.
const CANCEL_MAX: u32 = CANCEL[0].1;
/// Of the questions over REST, these are kept for those that doubt asks.
const REST_RESERVE: u32 = 6;

/// The counters.
#[derive(Debug)]
pub(super) struct Rates {
    trading: Vec<Decaying>,
    rest: Decaying,
}

impl Rates {
    /// The counters of the lowest tier, until the venue tells the account's.
    pub fn new(instruments: usize) -> Self {
        let [(most, decay), (rest, rest_decay)] = TIERS[0];
        Self {
            trading: vec![Decaying::new(most, decay); instruments],
            rest: Decaying::new(rest, rest_decay),
        }
    }

    /// The venue told its threshold. One that is none of the tiers' is scaled from the highest.
    pub fn learn(&mut self, threshold: u32) {
        let known = TIERS.iter().find(|[(most, _), _]| *most == threshold);
        let [(most, decay), (rest, rest_decay)] = match known {
            Some(tier) => *tier,
            None if threshold < TIERS[2][0].0 => TIERS[0],
            None => {
                let scaled = |of: u32| of.saturating_mul(threshold / TIERS[2][0].0);
                TIERS[2].map(|(most, decay)| (scaled(most), scaled(decay)))
            }
        };
        for counter in &mut self.trading {
            *counter = counter.under(most.min(threshold), decay);
        }
        self.rest = self.rest.under(rest, rest_decay);
    }

    /// One more order of a pair that has `open` of them.
    pub fn place(&mut self, instrument: InstrumentId, open: usize, now_ms: i64) -> bool {
        self.take(instrument, 1, open + 1, now_ms)
    }

    /// An amend of an order of this age.
    pub fn amend(
        &mut self,
        instrument: InstrumentId,
        age_ms: i64,
        open: usize,
        now_ms: i64,
    ) -> bool {
        self.take(instrument, 1 + by_age(&AMEND, age_ms), open, now_ms)
    }

    /// A cancel goes whatever the count is.
    pub fn cancel(&mut self, instrument: InstrumentId, age_ms: i64, now_ms: i64) {
        if let Some(counter) = self.trading.get_mut(instrument.index()) {
            counter.spend(by_age(&CANCEL, age_ms), now_ms);
        }
    }

    /// A question over REST; what is only compared at leisure leaves a reserve.
    pub fn ask(&mut self, purpose: &Purpose, leisure: bool, now_ms: i64) -> bool {
        let cost = match purpose {
            Purpose::FillsAfter(..) | Purpose::FillsOf(_) => 2,
            Purpose::Status(_) | Purpose::ListOpen(_) | Purpose::Balances => 1,
            _ => return true,
        };
        self.rest.try_take(cost, if leisure { REST_RESERVE } else { 0 }, now_ms)
    }

    fn take(&mut self, instrument: InstrumentId, cost: u32, open: usize, now_ms: i64) -> bool {
        let reserve = CANCEL_MAX.saturating_mul(u32::try_from(open).unwrap_or(u32::MAX));
        let counter = self.trading.get_mut(instrument.index());
        counter.is_some_and(|counter| counter.try_take(cost, reserve, now_ms))
    }
}

fn by_age(table: &[(i64, u32)], age_ms: i64) -> u32 {
    table.iter().find(|(younger_ms, _)| age_ms < *younger_ms).map_or(0, |(_, cost)| *cost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::OrderId;

    const PAIR: InstrumentId = InstrumentId(0);

    #[test]
    fn an_order_is_placed_only_with_room_to_cancel_all_of_its_pair() {
        let mut rates = Rates::new(2);
        rates.learn(180);
        let placed = (0..100).take_while(|open| rates.place(PAIR, *open, 0)).count();
        assert_eq!(placed, 20, "20 and 20 by 8 are 180");
        (0..placed).for_each(|_| rates.cancel(PAIR, 4_999, 0));
        assert!(!rates.place(PAIR, 0, 0), "full: 180");
        assert!(rates.place(InstrumentId(1), 0, 0), "each pair has its own");
        assert!(!rates.place(PAIR, 0, 2_399) && rates.place(PAIR, 0, 2_401), "9 decay in 2.4 s");
    }

    #[test]
    fn other_thresholds_are_scaled_and_low_ones_taken_as_they_are() {
        let mut rates = Rates::new(1);
        rates.learn(18_000);
        assert_eq!((0..5_000).take_while(|open| rates.place(PAIR, *open, 0)).count(), 2_000);
        let mut rates = Rates::new(1);
        rates.learn(30);
        assert_eq!((0..100).take_while(|open| rates.place(PAIR, *open, 0)).count(), 3);
    }

    #[test]
    fn comparisons_leave_questions_to_doubt() {
        let mut rates = Rates::new(1);
        rates.learn(180);
        let status = Purpose::Status(OrderId(1));
        assert_eq!((0..50).take_while(|_| rates.ask(&status, true, 0)).count(), 14);
        assert_eq!((0..50).take_while(|_| rates.ask(&status, false, 0)).count(), 6);
        assert!(rates.ask(&Purpose::Time, true, 0), "not counted there");
        assert!(rates.ask(&Purpose::FillsOf(OrderId(1)), false, 2_000), "2 decay in 2 s");
    }
}

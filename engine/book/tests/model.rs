//! The agent against a model venue: a true book with numbered updates, a stream that loses,
//! repeats and delays diffs, snapshots that come late, from a lagging cache, or not at all, and
//! lines that drop. Whenever the agent calls a book live, it equals the true book at that id;
//! and when the venue behaves again, the book becomes live.

mod common;

use std::collections::{BTreeMap, VecDeque};

use bot4_book::{BookConfig, NaiveBook, SyncConfig};
use bot4_types::rng::SplitMix64;
use bot4_types::{BookState, InstrumentId, Level, MarketBody, Nanos, Side};
use common::{Bench, ROOMY, level};

/// One diff as the venue made it.
#[derive(Clone, Debug)]
struct Diff {
    first: u64,
    last: u64,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

struct Venue {
    rng: SplitMix64,
    book: NaiveBook,
    id: u64,
    mid: i64,
    /// The true book after each update that ended a diff; the newest thousand.
    history: BTreeMap<u64, NaiveBook>,
}

impl Venue {
    fn new(seed: u64) -> Self {
        let mut venue = Self {
            rng: SplitMix64::new(seed),
            book: NaiveBook::new(),
            id: 1_000,
            mid: 50_000,
            history: BTreeMap::new(),
        };
        for away in 1..40 {
            venue.book.set(Side::Buy, (venue.mid - away) * 100, away);
            venue.book.set(Side::Sell, (venue.mid + away) * 100, away);
        }
        venue.keep();
        venue
    }

    fn keep(&mut self) {
        self.history.insert(self.id, self.book.clone());
        if self.history.len() > 1_000 {
            self.history.pop_first();
        }
    }

    fn diff(&mut self) -> Diff {
        let first = self.id + 1;
        self.id += 1 + self.rng.below(5);
        self.mid += self.rng.below(9) as i64 - 4;
        let mut changes: [BTreeMap<i64, i64>; 2] = Default::default();
        for side in [Side::Buy, Side::Sell] {
            // What the market traded through goes first, so that the book is never crossed.
            let gone: Vec<i64> = self
                .book
                .iter(side)
                .take_while(|l| (l.price - self.mid * 100) * side.sign() >= 0)
                .map(|l| l.price)
                .collect();
            for price in gone {
                changes[side.index()].insert(price, 0);
            }
            for _ in 0..self.rng.below(4) {
                let far = if self.rng.below(6) == 0 { 40_000 } else { 30 };
                let off_tick =
                    if self.rng.below(10) == 0 { 1 + self.rng.below(98) as i64 } else { 0 };
                let price = (self.mid - side.sign() * (1 + self.rng.below(far) as i64)) * 100;
                let qty = self.rng.below(3) as i64;
                changes[side.index()].insert(price - side.sign() * off_tick, qty);
            }
            for (price, qty) in &changes[side.index()] {
                self.book.set(side, *price, *qty);
            }
        }
        assert!(!self.book.crossed());
        self.keep();
        let [bids, asks] = changes.map(|c| c.into_iter().map(|(p, q)| level(p, q)).collect());
        Diff { first, last: self.id, bids, asks }
    }
}

fn run(seed: u64) -> [u64; 4] {
    let sync = SyncConfig { events_max: 24, levels_max: 160, ..SyncConfig::default() };
    let config =
        BookConfig { window_steps: 256, far_levels: 20_000, sync, ..BookConfig::default() };
    let mut bench = Bench::new(&["A"], 1, config, &ROOMY);
    let (mut venue, id) = (Venue::new(seed), InstrumentId(0));
    let mut rng = SplitMix64::new(seed ^ 0xB00C);
    // Snapshots on their way: when they arrive and of which id.
    let mut answers: VecDeque<(Nanos, u64)> = VecDeque::new();
    let mut up = true;
    bench.send(0, MarketBody::LineUp);
    for turn in 0..6_000u32 {
        let calm = turn % 1_500 > 1_000; // the venue behaves in the last third of each quarter
        let odds = |rng: &mut SplitMix64, one_in: u64| !calm && rng.below(one_in) == 0;
        bench.after(100);
        if !up && (calm || rng.below(10) == 0) {
            bench.send(0, MarketBody::LineUp);
            up = true;
        } else if up && odds(&mut rng, 400) {
            bench.send(0, MarketBody::LineDown);
            (up, answers) = (false, VecDeque::new());
        }
        let diff = venue.diff();
        if up && !odds(&mut rng, 60) {
            let times = if odds(&mut rng, 40) { 2 } else { 1 };
            for _ in 0..times {
                bench.depth(0, (diff.first, diff.last), &diff.bids, &diff.asks);
            }
        }
        if odds(&mut rng, 300) {
            bench.send(0, MarketBody::Damaged);
        }
        while answers.front().is_some_and(|(at, _)| *at <= bench.now) {
            let (_, last) = answers.pop_front().expect("looked at");
            let book = &venue.history[&last];
            let [bids, asks] = [Side::Buy, Side::Sell].map(|s| book.iter(s).collect::<Vec<_>>());
            bench.snapshot(0, last, &bids, &asks);
        }
        bench.settle();
        for request in bench.drain().resync {
            assert_eq!(request.instrument, id);
            if odds(&mut rng, 6) {
                bench.send(0, MarketBody::SnapshotFailed);
            } else if up && !odds(&mut rng, 6) {
                let lag = if odds(&mut rng, 3) { rng.below(20) as usize } else { 0 };
                let lag = lag.min(venue.history.len() - 1);
                let last = *venue.history.keys().rev().nth(lag).expect("kept");
                let delay = if odds(&mut rng, 4) { 3_000 } else { 250 };
                answers.push_back((bench.now + Nanos::from_millis(delay), last));
            }
        }
        check(&bench, &venue, id, &format!("seed {seed} turn {turn}"));
        if turn % 1_500 == 1_499 {
            assert_eq!(bench.agent.state(id), Some(BookState::Live), "seed {seed} turn {turn}");
        }
    }
    bench.drain();
    assert_eq!(bench.blocks_home(), bench.blocks_total, "every block came back");
    ["gaps", "resyncs", "snapshots_refused", "overflows"].map(|n| bench.total(n))
}

fn check(bench: &Bench, venue: &Venue, id: InstrumentId, what: &str) {
    if bench.agent.state(id) != Some(BookState::Live) {
        return;
    }
    let summary = bench.agent.summary(id).expect("its book");
    let at = summary.final_update_id.expect("live");
    // A book one diff behind is in sequence: the loss shows with the next one.
    let twin = venue.history.get(&at).unwrap_or_else(|| panic!("no update {at}, {what}"));
    let ladder = bench.agent.ladder(id).expect("its book");
    for side in [Side::Buy, Side::Sell] {
        assert!(ladder.iter(side).eq(twin.iter(side)), "{side:?} at {at}, {what}");
    }
    assert!(!ladder.crossed());
}

#[test]
fn live_means_equal_to_the_venue() {
    let mut sums = [0; 4];
    for seed in 0..6 {
        for (sum, n) in sums.iter_mut().zip(run(seed)) {
            *sum += n;
        }
    }
    // The run would prove nothing if the faults had not happened.
    let [gaps, resyncs, refused, overflows] = sums;
    assert!(gaps > 50 && resyncs > 60 && refused > 30 && overflows > 3, "{sums:?}");
}

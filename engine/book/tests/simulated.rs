//! A venue of each numbering on a bench, with two lines that lose, lag, drop and return, answers
//! that come late or not at all, and counts that start anew. Whatever happens, a live book is one
//! that the venue had at that number; once both lines are well, every book is live within a
//! bounded number of updates, stays so, and ends as the venue's.

mod common;

use std::collections::{BTreeMap, VecDeque};

use bot4_book::{BookConfig, DiffHead, NaiveBook, SyncConfig};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    BookRules, BookState, ConnId, InstrumentId, Level, MarketBody, Nanos, SequenceRule, Shards,
    Side, SnapshotSource,
};
use common::{Bench, ROOMY, level};
use proptest::prelude::*;

const IT: InstrumentId = InstrumentId(0);
/// One update of the venue at most each so many ms.
const TICK_MS: u64 = 10;
/// Ticks of trouble, ticks until the book must be live again, and ticks in which it stays so.
const TROUBLE: u64 = 500;
const MENDED: u64 = 500;
const WELL: u64 = 200;
/// Between two restarts: numbers alone cannot tell the counts of more than two.
const RESTART_GAP_MS: u64 = 1_200;
const PACE: SyncConfig = SyncConfig {
    events_max: 128,
    levels_max: 1_024,
    snapshot_timeout: Nanos::from_millis(600),
    request_gap_min: Nanos::from_millis(50),
    request_gap_max: Nanos::from_millis(800),
    hold_max: Nanos::from_millis(200),
};

type Sides = [Vec<Level>; 2];

#[derive(Clone, Debug)]
enum Item {
    Up,
    Down,
    Diff(DiffHead, Sides),
    Whole(u64, Sides),
    Refused,
    Damaged,
    /// The connection's own numbering has a hole.
    Hole,
}

/// How bad things are: one in so many, for each tick or message.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    lost_in: u64,
    damaged_in: u64,
    drop_in: u64,
    restart_in: u64,
    refused_in: u64,
    lag_ms: u64,
    /// Restarts take the connections with them.
    restart_drops: bool,
}

struct Venue {
    sequence: SequenceRule,
    id: u64,
    book: NaiveBook,
    /// Every book it has had, by number; several where it counted anew.
    had: BTreeMap<u64, Vec<NaiveBook>>,
}

impl Venue {
    fn new(sequence: SequenceRule) -> Self {
        let mut book = NaiveBook::new();
        for i in 1..20 {
            book.set(Side::Buy, 1_000 - i, i);
            book.set(Side::Sell, 1_000 + i, i);
        }
        let mut venue = Self { sequence, id: 9_000_000, book, had: BTreeMap::new() };
        venue.note();
        venue
    }

    fn note(&mut self) {
        self.had.entry(self.id).or_default().push(self.book.clone());
    }

    fn whole(&self) -> Item {
        let side = |s| self.book.iter(s).collect::<Vec<_>>();
        Item::Whole(self.id, [side(Side::Buy), side(Side::Sell)])
    }

    fn change(&mut self, rng: &mut SplitMix64) -> Sides {
        let mut change: Sides = Default::default();
        for side in [Side::Buy, Side::Sell] {
            for _ in 0..1 + rng.below(2) {
                let price = 1_000 - side.sign() * (1 + rng.below(40) as i64);
                let qty = rng.below(1_000) as i64 - 200;
                self.book.set(side, price, qty);
                change[side.index()].push(level(price, qty.max(0)));
            }
        }
        change
    }

    /// The next update; `base` is what the count starts anew from.
    fn update(&mut self, base: Option<u64>, rng: &mut SplitMix64) -> Item {
        let before = self.id;
        let step = match self.sequence {
            SequenceRule::Successor => 1,
            SequenceRule::Prev => 1 + rng.below(1_000_000), // a chain is told by chance alone
            _ => 1 + rng.below(4),
        };
        let last = base.map_or(before + step, |base| base + 1);
        let first = match self.sequence {
            SequenceRule::FirstLast => before + 1,
            SequenceRule::FirstThenPrev => before + 1 + rng.below(step),
            _ => last,
        };
        let change = self.change(rng);
        self.id = last;
        self.note();
        Item::Diff(DiffHead { first, last, prev: before, ..DiffHead::default() }, change)
    }

    /// Another book and, behind new connections, numbers of another order.
    fn restart(&mut self, small: bool, rng: &mut SplitMix64) {
        for _ in 0..30 {
            self.change(rng);
        }
        if self.sequence == SequenceRule::Unnumbered {
            self.id += 1_000; // a time
            return self.note();
        }
        self.id = if small || self.id > 1_000_000 { 1 } else { 9_000_000 };
        self.note();
    }
}

/// One connection, and the snapshots asked for by it.
#[derive(Default)]
struct Wire {
    open: bool,
    up_at: u64,
    queue: VecDeque<(u64, Item)>,
    answers: VecDeque<(u64, Item)>,
}

impl Wire {
    fn push(&mut self, at: u64, item: Item) {
        let at = self.queue.back().map_or(at, |(last, _)| at.max(*last)); // it keeps the order
        self.queue.push_back((at, item));
    }
}

const fn is_streamed(sequence: SequenceRule) -> bool {
    !matches!(sequence, SequenceRule::FirstLast | SequenceRule::FirstThenPrev)
}

struct World {
    bench: Bench,
    venue: Venue,
    wires: [Wire; 2],
    trouble: Option<Trouble>,
    rng: SplitMix64,
    ms: u64,
    restarted_at: u64,
}

impl World {
    fn new(sequence: SequenceRule, seed: u64) -> Self {
        let snapshots = if is_streamed(sequence) {
            SnapshotSource::Streamed
        } else {
            SnapshotSource::Requested
        };
        let rules = BookRules { sequence, snapshots, ..BookRules::default() };
        let config = BookConfig {
            window_steps: 256,
            far_levels: 500,
            rules,
            sync: PACE,
            ..BookConfig::default()
        };
        let bench = Bench::over(&Shards::two_lines(1, 1, 2), &["A"], config, &ROOMY);
        let (venue, rng) = (Venue::new(sequence), SplitMix64::new(seed));
        Self { bench, venue, wires: Default::default(), trouble: None, rng, ms: 0, restarted_at: 0 }
    }

    fn is_streamed(&self) -> bool {
        is_streamed(self.venue.sequence)
    }

    fn lag(&mut self) -> u64 {
        let most = self.trouble.map_or(5, |t| t.lag_ms);
        self.ms + 1 + self.rng.below(most + 1)
    }

    fn one_in(&mut self, of: impl Fn(&Trouble) -> u64) -> bool {
        self.trouble.is_some_and(|t| self.rng.below(of(&t).max(1)) == 0)
    }

    fn tell(&mut self, item: &Item) {
        for line in 0..2 {
            let lost = self.one_in(|t| t.lost_in);
            let damaged = self.one_in(|t| t.damaged_in);
            let told = match self.venue.sequence {
                _ if !self.wires[line].open => continue,
                SequenceRule::Unnumbered if lost => Item::Hole,
                _ if lost => continue,
                _ if damaged => Item::Damaged,
                _ => item.clone(),
            };
            let at = self.lag();
            self.wires[line].push(at, told);
        }
    }

    /// The connection is gone; that is noticed later.
    fn drop_line(&mut self, line: usize) {
        if core::mem::take(&mut self.wires[line].open) {
            let noticed = self.ms + self.rng.below(300);
            self.wires[line].queue.clear();
            self.wires[line].push(noticed, Item::Down);
            self.wires[line].up_at = noticed + 1 + self.rng.below(300);
        }
    }

    fn open_lines(&mut self) {
        for line in 0..2 {
            if self.wires[line].open || self.wires[line].up_at > self.ms {
                continue;
            }
            self.wires[line].open = true;
            self.wires[line].push(self.ms, Item::Up);
            if self.is_streamed() {
                let at = self.lag();
                let whole = self.venue.whole();
                self.wires[line].push(at, whole);
            }
        }
    }

    fn restart(&mut self) {
        let drops = self.trouble.is_some_and(|t| t.restart_drops);
        if self.venue.sequence == SequenceRule::Prev && !drops {
            let base = Some(self.rng.below(1_000));
            let item = self.venue.update(base, &mut self.rng);
            return self.tell(&item);
        }
        let in_stream = self.venue.sequence == SequenceRule::Successor && !drops;
        self.venue.restart(in_stream, &mut self.rng);
        if in_stream {
            let item = self.venue.whole();
            return self.tell(&item);
        }
        self.drop_line(0);
        self.drop_line(1);
    }

    fn tick(&mut self) -> Result<(), TestCaseError> {
        self.ms += TICK_MS;
        self.open_lines();
        for line in 0..2 {
            if self.one_in(|t| t.drop_in) {
                self.drop_line(line);
            }
        }
        if self.one_in(|t| t.restart_in) && self.ms >= self.restarted_at + RESTART_GAP_MS {
            self.restarted_at = self.ms;
            self.restart();
        }
        if self.rng.below(5) > 0 {
            let item = self.venue.update(None, &mut self.rng);
            self.tell(&item);
        }
        self.deliver()
    }

    fn deliver(&mut self) -> Result<(), TestCaseError> {
        self.bench.now = Nanos::from_secs(1) + Nanos::from_millis(self.ms);
        self.settle()?;
        for line in 0..2 {
            while let Some(item) = self.next_of(line) {
                self.bench.conn = ConnId(line as u16);
                self.send(item);
                self.settle()?;
            }
        }
        Ok(())
    }

    fn next_of(&mut self, line: usize) -> Option<Item> {
        let wire = &mut self.wires[line];
        for queue in [&mut wire.queue, &mut wire.answers] {
            if queue.front().is_some_and(|(at, _)| *at <= self.ms) {
                return queue.pop_front().map(|(_, item)| item);
            }
        }
        None
    }

    fn send(&mut self, item: Item) {
        match item {
            Item::Up => self.bench.send(0, MarketBody::LineUp),
            Item::Down => self.bench.send(0, MarketBody::LineDown),
            Item::Damaged => self.bench.send(0, MarketBody::Damaged),
            Item::Hole => self.bench.send(0, MarketBody::LineGap),
            Item::Refused => self.bench.send(0, MarketBody::SnapshotFailed),
            Item::Diff(head, [bids, asks]) => self.bench.diff(0, head, &bids, &asks),
            Item::Whole(last, [bids, asks]) => self.bench.snapshot(0, last, &bids, &asks),
        }
    }

    /// Lets the book work, answers what it asks for, and judges it.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        self.bench.settle();
        for request in self.bench.drain().resync {
            let line = usize::from(request.conn.0);
            let at = self.lag();
            let refused = self.one_in(|t| t.refused_in);
            let item = if refused { Item::Refused } else { self.venue.whole() };
            if refused && self.rng.below(2) == 0 {
                continue; // no answer at all
            }
            match self.is_streamed() {
                true if !self.wires[line].open => {}
                true => self.wires[line].push(at, item),
                false => self.wires[line].answers.push_back((at, item)),
            }
        }
        self.check()
    }

    fn is_live(&self) -> bool {
        self.bench.agent.state(IT) == Some(BookState::Live)
    }

    /// A live book is one that the venue had.
    fn check(&self) -> Result<(), TestCaseError> {
        if !self.is_live() {
            return Ok(());
        }
        let id = self.bench.agent.update_id(IT).expect("its book");
        let ladder = self.bench.agent.ladder(IT).expect("its book");
        let is = |book: &NaiveBook| {
            [Side::Buy, Side::Sell].iter().all(|s| ladder.iter(*s).eq(book.iter(*s)))
        };
        let had = self.venue.had.get(&id).is_some_and(|books| books.iter().any(is));
        prop_assert!(had, "live at {} with a book that never was, at {} ms", id, self.ms);
        Ok(())
    }
}

/// Returns how many ticks of the trouble the book was live.
fn run(sequence: SequenceRule, trouble: Trouble, seed: u64) -> Result<u64, TestCaseError> {
    let mut world = World::new(sequence, seed);
    world.trouble = Some(trouble);
    let mut live = 0;
    for _ in 0..TROUBLE {
        world.tick()?;
        live += u64::from(world.is_live());
    }
    world.trouble = None;
    for _ in 0..MENDED {
        world.tick()?;
    }
    for n in 0..WELL {
        world.tick()?;
        prop_assert!(world.is_live(), "not live {} ticks after all was well", MENDED + n);
    }
    world.ms += 100;
    world.deliver()?;
    prop_assert_eq!(world.bench.agent.update_id(IT), Some(world.venue.id));
    let ladder = world.bench.agent.ladder(IT).expect("its book");
    for side in [Side::Buy, Side::Sell] {
        prop_assert!(ladder.iter(side).eq(world.venue.book.iter(side)), "{:?} at the end", side);
    }
    prop_assert_eq!(world.bench.blocks_home(), world.bench.blocks_total);
    Ok(live)
}

const RULES: [SequenceRule; 5] = [
    SequenceRule::FirstLast,
    SequenceRule::FirstThenPrev,
    SequenceRule::Prev,
    SequenceRule::Successor,
    SequenceRule::Unnumbered,
];

fn trouble() -> impl Strategy<Value = Trouble> {
    let rare = || prop_oneof![Just(u64::MAX), 30u64..300];
    (rare(), rare(), rare(), rare(), 1u64..6, 0u64..150, any::<bool>()).prop_map(
        |(lost_in, damaged_in, drop_in, restart_in, refused_in, lag_ms, restart_drops)| Trouble {
            lost_in,
            damaged_in,
            drop_in,
            restart_in,
            refused_in,
            lag_ms,
            restart_drops,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn live_books_are_true_and_come_back(rule in 0usize..5, bad in trouble(), seed: u64) {
        run(RULES[rule], bad, seed)?;
    }
}

/// The property would prove little of books that are never live.
#[test]
fn books_are_live_for_much_of_the_trouble() {
    let bad = Trouble {
        lost_in: 60,
        damaged_in: 200,
        drop_in: 200,
        restart_in: 200,
        refused_in: 3,
        lag_ms: 40,
        restart_drops: false,
    };
    for rule in RULES {
        let live: u64 = (0..6).map(|seed| run(rule, bad, seed).expect("holds")).sum();
        assert!(live > 6 * TROUBLE / 4, "{rule:?}: live for {live} of {} ticks", 6 * TROUBLE);
    }
}

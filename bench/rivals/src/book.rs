//! hftbacktest's market depth over the recorded flow.

use std::hint::black_box;
use std::rc::Rc;

use bot4_bench::book::Recorded;
use bot4_bench::case::Case;
use bot4_bench::flow::{DECIMALS, Flow};
use bot4_book::Ladder;
use bot4_types::Side;
use hftbacktest::depth::{L2MarketDepth, MarketDepth, ROIVectorMarketDepth};

/// Tick and lot of the recorded pair.
const TICK: f64 = 0.01;
const LOT: f64 = 0.000_01;
const TICK_UNITS: i64 = 1_000_000;
/// The range of interest, as shares of the first best bid.
const RANGE: [f64; 2] = [0.8, 1.2];

/// A change in the rival's own numbers, made beforehand: parsing is not measured here.
type Change = Vec<(Side, f64, f64)>;

/// One call is one recorded change and a look at both bests.
pub struct RoiVector {
    book: ROIVectorMarketDepth,
    flow: Rc<Flow>,
    start: Change,
    changes: Vec<Change>,
    next: usize,
}

impl RoiVector {
    /// A book that starts with the first call.
    pub fn new(flow: &Rc<Flow>) -> Self {
        let unit = 10f64.powi(i32::from(DECIMALS));
        let own = |change: &Vec<(Side, bot4_types::Level)>| -> Change {
            change.iter().map(|(s, l)| (*s, l.price as f64 / unit, l.qty as f64 / unit)).collect()
        };
        let changes: Vec<Change> = flow.changes.iter().map(own).collect();
        let next = changes.len();
        let start = own(&flow.start);
        Self { book: fresh(flow), flow: Rc::clone(flow), start, changes, next }
    }

    fn bests(&self) -> [f64; 2] {
        [self.book.best_bid(), self.book.best_ask()]
    }
}

fn fresh(flow: &Flow) -> ROIVectorMarketDepth {
    let unit = 10f64.powi(i32::from(DECIMALS));
    let first = flow.start.first().map_or(0, |(_, level)| level.price) as f64 / unit;
    ROIVectorMarketDepth::new(TICK, LOT, first * RANGE[0], first * RANGE[1])
}

fn apply(book: &mut ROIVectorMarketDepth, change: &Change) {
    for (side, price, qty) in change {
        match side {
            Side::Buy => book.update_bid_depth(*price, *qty, 0),
            Side::Sell => book.update_ask_depth(*price, *qty, 0),
        };
    }
}

impl Case for RoiVector {
    fn ready(&mut self, wanted: u64) -> u64 {
        if self.next == self.changes.len() {
            self.book = fresh(&self.flow);
            apply(&mut self.book, &self.start);
            self.next = 0;
        }
        wanted.min((self.changes.len() - self.next) as u64)
    }

    #[inline]
    fn call(&mut self) {
        apply(&mut self.book, &self.changes[self.next]);
        self.next += 1;
        black_box(self.bests());
    }
}

/// The rival's best prices equal ours after every change.
///
/// # Errors
/// Where they do not.
pub fn agree(flow: &Rc<Flow>) -> Result<(), String> {
    let mut ours = Recorded::<Ladder>::new(flow);
    let mut rival = RoiVector::new(flow);
    for n in 0..flow.changes.len() {
        ours.ready(1);
        rival.ready(1);
        ours.call();
        rival.call();
        let ticks = ours.bests().map(|level| level.map_or(0, |l| l.price / TICK_UNITS));
        let theirs = rival.bests().map(|price| (price / TICK).round() as i64);
        if ticks != theirs {
            return Err(format!("books differ after change {n}: {ticks:?} and {theirs:?}"));
        }
    }
    Ok(())
}

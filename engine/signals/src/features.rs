//! Features as columns: lane `i` belongs to instrument `i`, and one pass of the kernels updates
//! every instrument that moved in this turn.
//!
//! Invariant: an instrument that did not move keeps its features to the last bit (its weights are
//! zero, which the kernels hold). Prices are in the instrument's price units as `f64`: exact up to
//! 2^53. Cost: about 10 ns a kernel for a block of eight instruments; blocks without a moved
//! instrument between the first and the last moved one are passed over as well, which is cheaper
//! than a branch for each.

use bot4_simd::{Column, Kernels, LANES};
use bot4_types::Level;

/// Spans of the averages, in updates of one instrument: `alpha = 2 / (span + 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureConfig {
    /// Span of the fast moving average.
    pub fast_updates: f64,
    /// Span of the slow moving average.
    pub slow_updates: f64,
    /// Span of the realised variance.
    pub volatility_updates: f64,
}

impl Default for FeatureConfig {
    /// 8 and 40 updates cross about once a second in a market of 30 updates a second; 100 updates
    /// (a few seconds) make a volatility that reacts within a burst.
    fn default() -> Self {
        Self { fast_updates: 8.0, slow_updates: 40.0, volatility_updates: 100.0 }
    }
}

/// The features of one instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeatureRow {
    /// Bid and ask weighed by the other side's quantity, price units.
    pub microprice: f64,
    /// `(bid - ask) / (bid + ask)` of the quantities at the touch, -1..=1.
    pub imbalance: f64,
    /// Fast moving average of the microprice, price units.
    pub fast: f64,
    /// Slow moving average of the microprice, price units.
    pub slow: f64,
    /// Realised volatility: standard deviation of the relative change of the microprice, per
    /// update.
    pub volatility: f64,
    /// Updates since the features (re)started; before enough of them the averages mean little.
    pub updates: u32,
}

/// The features of all instruments.
#[derive(Debug)]
pub struct Features {
    kernels: Kernels,
    /// Weights in steady state: fast, slow, variance.
    weights: [f64; 3],
    // Inputs.
    bid: Column,
    ask: Column,
    bid_qty: Column,
    ask_qty: Column,
    /// Weights of this pass; zero where the instrument did not move.
    fast_weight: Column,
    slow_weight: Column,
    variance_weight: Column,
    // State and outputs.
    microprice: Column,
    before: Column,
    change: Column,
    imbalance: Column,
    fast: Column,
    slow: Column,
    variance: Column,
    updates: Box<[u32]>,
    /// Blocks that moved: first and one past the last; empty when equal or reversed.
    moved: (usize, usize),
}

impl Features {
    /// Features of `instruments` instruments. Allocates; nothing later does.
    #[must_use]
    pub fn new(config: FeatureConfig, kernels: Kernels, instruments: usize) -> Self {
        let weight = |span: f64| (2.0 / (span + 1.0)).clamp(0.0, 1.0);
        let zeros = || Column::new(instruments, 0.0);
        Self {
            kernels,
            weights: [config.fast_updates, config.slow_updates, config.volatility_updates]
                .map(weight),
            bid: zeros(),
            ask: zeros(),
            bid_qty: zeros(),
            ask_qty: zeros(),
            fast_weight: zeros(),
            slow_weight: zeros(),
            variance_weight: zeros(),
            microprice: zeros(),
            before: zeros(),
            change: zeros(),
            imbalance: zeros(),
            fast: zeros(),
            slow: zeros(),
            variance: zeros(),
            updates: vec![0; instruments].into_boxed_slice(),
            moved: NOTHING,
        }
    }

    /// Notes the touch of instrument `at` for the next [`update`](Self::update); a second one
    /// before it replaces the first. Returns false for an instrument that is not in the table.
    ///
    /// While an average is younger than its span its weight is `1 / age`, the plain mean: no
    /// value it never saw weighs in. The first change needs two updates.
    pub fn feed(&mut self, at: usize, bid: Level, ask: Level) -> bool {
        let Some(age) = self.updates.get(at).map(|n| f64::from(*n)) else { return false };
        self.bid[at] = bid.price as f64;
        self.ask[at] = ask.price as f64;
        self.bid_qty[at] = bid.qty as f64;
        self.ask_qty[at] = ask.qty as f64;
        self.fast_weight[at] = self.weights[0].max(1.0 / (age + 1.0));
        self.slow_weight[at] = self.weights[1].max(1.0 / (age + 1.0));
        self.variance_weight[at] = if age == 0.0 { 0.0 } else { self.weights[2].max(1.0 / age) };
        let block = at / LANES;
        self.moved = (self.moved.0.min(block), self.moved.1.max(block + 1));
        true
    }

    /// Updates every instrument fed since the last call. One pass of each kernel.
    pub fn update(&mut self) {
        let (first, last) = (self.moved.0 * LANES, self.moved.1 * LANES);
        if first >= last {
            return;
        }
        self.moved = NOTHING;
        let r = first..last;
        let k = self.kernels;
        let (bid_qty, ask_qty) = (&self.bid_qty[r.clone()], &self.ask_qty[r.clone()]);
        let micro = &mut self.microprice[r.clone()];
        k.microprice(micro, &self.bid[r.clone()], &self.ask[r.clone()], bid_qty, ask_qty);
        k.imbalance(&mut self.imbalance[r.clone()], bid_qty, ask_qty);
        k.change(&mut self.change[r.clone()], micro, &self.before[r.clone()]);
        k.ema(&mut self.fast[r.clone()], micro, &self.fast_weight[r.clone()]);
        k.ema(&mut self.slow[r.clone()], micro, &self.slow_weight[r.clone()]);
        let (change, weight) = (&self.change[r.clone()], &self.variance_weight[r.clone()]);
        k.ewma_variance(&mut self.variance[r.clone()], change, weight);
        self.before[r.clone()].copy_from_slice(micro);
        for (updates, weight) in
            self.updates.iter_mut().skip(first).zip(&self.fast_weight[r.clone()])
        {
            *updates = updates.saturating_add(u32::from(*weight > 0.0));
        }
        self.fast_weight[r.clone()].fill(0.0);
        self.slow_weight[r.clone()].fill(0.0);
        self.variance_weight[r].fill(0.0);
    }

    /// Starts instrument `at` afresh: after a gap the old averages describe another market.
    pub fn restart(&mut self, at: usize) {
        let Some(updates) = self.updates.get_mut(at) else { return };
        *updates = 0;
        for column in [
            &mut self.bid,
            &mut self.ask,
            &mut self.bid_qty,
            &mut self.ask_qty,
            &mut self.fast_weight,
            &mut self.slow_weight,
            &mut self.variance_weight,
            &mut self.microprice,
            &mut self.before,
            &mut self.change,
            &mut self.imbalance,
            &mut self.fast,
            &mut self.slow,
            &mut self.variance,
        ] {
            column[at] = 0.0;
        }
    }

    /// The features of instrument `at`; all zero for one that is not in the table.
    #[must_use]
    pub fn row(&self, at: usize) -> FeatureRow {
        let Some(updates) = self.updates.get(at) else { return FeatureRow::default() };
        FeatureRow {
            microprice: self.microprice[at],
            imbalance: self.imbalance[at],
            fast: self.fast[at],
            slow: self.slow[at],
            volatility: self.variance[at].sqrt(),
            updates: *updates,
        }
    }
}

/// No block moved.
const NOTHING: (usize, usize) = (usize::MAX / LANES, 0);

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_simd::Level as Isa;
    use proptest::prelude::*;

    /// The naive twin: one instrument, plain formulas.
    #[derive(Default)]
    struct Naive {
        row: FeatureRow,
        variance: f64,
    }

    impl Naive {
        fn update(&mut self, config: FeatureConfig, bid: Level, ask: Level) {
            let (bq, aq) = (bid.qty as f64, ask.qty as f64);
            let micro = (bid.price as f64 * aq + ask.price as f64 * bq) / (bq + aq);
            let age = f64::from(self.row.updates);
            let weight = |span: f64, age: f64| (2.0 / (span + 1.0)).max(1.0 / age);
            let mix = |old: f64, new: f64, a: f64| (1.0 - a) * old + a * new;
            if age > 0.0 {
                let change = micro / self.row.microprice - 1.0;
                let a = weight(config.volatility_updates, age);
                self.variance = mix(self.variance, change * change, a);
            }
            self.row.fast = mix(self.row.fast, micro, weight(config.fast_updates, age + 1.0));
            self.row.slow = mix(self.row.slow, micro, weight(config.slow_updates, age + 1.0));
            self.row.microprice = micro;
            self.row.imbalance = (bq - aq) / (bq + aq);
            self.row.volatility = self.variance.sqrt();
            self.row.updates += 1;
        }
    }

    fn near(a: f64, b: f64, scale: f64) -> bool {
        (a - b).abs() <= 1e-9 * scale
    }

    fn level(price: i64, qty: i64) -> Level {
        Level { price, qty }
    }

    proptest! {
        #[test]
        fn columns_equal_the_naive_twin(
            instruments in 1usize..20,
            turns in proptest::collection::vec(
                proptest::collection::vec((0usize..20, -50i64..50, 1i64..99, 1i64..99), 0..6),
                1..60,
            ),
        ) {
            let config = FeatureConfig { volatility_updates: 9.0, ..FeatureConfig::default() };
            let mut columns = Features::new(config, Kernels::best(), instruments);
            let mut naive: Vec<Naive> = (0..instruments).map(|_| Naive::default()).collect();
            for turn in turns {
                // Within a turn the last touch of an instrument counts.
                let mut newest = std::collections::BTreeMap::new();
                for (i, step, bq, aq) in turn {
                    let (bid, ask) = (level(100_000 + step, bq), level(100_002 + step, aq));
                    prop_assert_eq!(columns.feed(i, bid, ask), i < instruments);
                    newest.insert(i, (bid, ask));
                }
                columns.update();
                for (i, (bid, ask)) in newest.into_iter().filter(|(i, _)| *i < instruments) {
                    naive[i].update(config, bid, ask);
                }
                for (i, twin) in naive.iter().enumerate() {
                    let (row, twin) = (columns.row(i), twin.row);
                    prop_assert_eq!(row.updates, twin.updates);
                    prop_assert!(near(row.microprice, twin.microprice, 1e5));
                    prop_assert!(near(row.imbalance, twin.imbalance, 1.0));
                    prop_assert!(near(row.fast, twin.fast, 1e5));
                    prop_assert!(near(row.slow, twin.slow, 1e5));
                    prop_assert!(near(row.volatility, twin.volatility, 1.0), "{row:?} {twin:?}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_features() {
        let run = |isa| {
            let kernels = Kernels::at(isa)?;
            let mut f = Features::new(FeatureConfig::default(), kernels, 11);
            for n in 0..200i64 {
                let at = (n * 7 % 11) as usize;
                f.feed(at, level(6_000_000 + n * n % 97, 1 + n % 5), level(6_000_100, 1 + n % 3));
                f.update();
            }
            Some((0..11).map(|i| format!("{:?}", f.row(i))).collect::<Vec<_>>())
        };
        let scalar = run(Isa::Scalar);
        assert!(scalar.is_some());
        for isa in Isa::ALL {
            assert!(run(isa).is_none_or(|rows| Some(rows) == scalar), "{}", isa.name());
        }
    }

    #[test]
    fn a_restart_forgets_one_instrument_only() {
        let mut f = Features::new(FeatureConfig::default(), Kernels::best(), 3);
        for n in 0..5 {
            for i in 0..3 {
                f.feed(i, level(1_000 + n, 5), level(1_002 + n, 5));
            }
            f.update();
        }
        let kept = f.row(2);
        f.restart(1);
        f.restart(99);
        assert_eq!(f.row(1), FeatureRow::default());
        f.feed(1, level(50, 1), level(52, 1));
        f.update();
        let row = f.row(1);
        assert_eq!((row.fast, row.slow, row.volatility, row.updates), (51.0, 51.0, 0.0, 1));
        assert_eq!(f.row(2), kept);
    }
}

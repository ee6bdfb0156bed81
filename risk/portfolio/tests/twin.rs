//! The kept sums against the twin that computes everything from the whole history.
//!
//! Bounds. With `S = sum over instruments of |largest position so far| sigma_i` (what the book
//! could at most have varied by), after any sequence of at most a thousand changes:
//! * covariances within 1e-12 of the product of the volatilities;
//! * volatility within 1e-6 of `S` (the square root halves the digits where a hedged book nearly
//!   cancels), its square within 1e-11 of `S^2`;
//! * shortfall, value at risk and heat within 1e-11 of `S` and exact after a refresh; never below
//!   the exact shortfall by more than that, refreshed or not.

use bot4_portfolio::naive::NaivePortfolio;
use bot4_portfolio::{ANCHOR_EVERY, HORIZON, Portfolio, PortfolioConfig};
use bot4_types::InstrumentId;
use bot4_types::rng::SplitMix64;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

const N: usize = 5;

/// A seed that failed is kept beside the tests.
fn cases() -> ProptestConfig {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions/twin.txt");
    let kept = FileFailurePersistence::Direct(kept);
    ProptestConfig { failure_persistence: Some(Box::new(kept)), ..ProptestConfig::with_cases(16) }
}

/// Both, fed the same, and the scale of the bounds.
struct Pair {
    fast: Portfolio,
    naive: NaivePortfolio,
    prices: [f64; N],
    largest: [f64; N],
    sigma_max: [f64; N],
}

fn id(i: usize) -> InstrumentId {
    InstrumentId(i as u16)
}

impl Pair {
    fn new(history_min: u32) -> Self {
        let config = PortfolioConfig { history_min, ..PortfolioConfig::new(N) };
        Self {
            fast: Portfolio::new(config),
            naive: NaivePortfolio::new(config),
            prices: [100.0, 3_000.0, 0.5, 20.0, 1.0],
            largest: [0.0; N],
            sigma_max: [config.fallback_volatility / HORIZON; N],
        }
    }

    /// Correlated moves; some marks are missing.
    fn sample(&mut self, rng: &mut SplitMix64) {
        let mut normal = || (0..6).map(|_| rng.below(2_001) as f64 - 1_000.0).sum::<f64>() / 1e7;
        let market = normal();
        let own: [f64; N] = std::array::from_fn(|_| normal());
        let mut seen = [0.0; N];
        for i in 0..N {
            self.prices[i] *= 1.0 + market * (i as f64 - 1.0) + own[i];
            let gap = rng.below(20) == 0 || i == 4 && rng.below(2) == 0;
            seen[i] =
                if gap { [0.0, f64::NAN, -1.0][rng.below(3) as usize] } else { self.prices[i] };
        }
        self.fast.sample(seen);
        self.naive.sample(&seen);
        for i in 0..N {
            self.sigma_max[i] = self.sigma_max[i].max(self.fast.sigma(id(i)));
        }
    }

    fn hold(&mut self, i: usize, value: f64) {
        self.fast.hold(id(i), value);
        self.naive.hold(i, value);
        self.largest[i] = self.largest[i].max(value.abs());
    }

    fn open(&mut self, i: usize, bought: f64, sold: f64) {
        self.fast.open(id(i), bought, sold);
        self.naive.open(i, bought, sold);
        self.largest[i] = self.largest[i].max(bought + sold);
    }

    fn scale(&self, order: f64, at: usize) -> f64 {
        let whole: f64 = self.largest.iter().zip(&self.sigma_max).map(|(w, s)| w * s).sum();
        (whole + order.abs() * self.sigma_max[at] + 1e-12) * HORIZON
    }

    /// Volatility, correlation and heat after an order of `d` in `i`.
    fn compare_matrix(&self, i: usize, d: f64) {
        let scale = self.scale(d, i);
        for (a, b) in (0..N).flat_map(|a| (0..N).map(move |b| (a, b))) {
            let bound = 1e-12 * self.sigma_max[a] * self.sigma_max[b];
            let (fast, naive) = (self.fast.covariance(id(a), id(b)), self.naive.covariance(a, b));
            assert!((fast - naive).abs() <= bound, "covariance {a} {b}: {fast} {naive}");
        }
        let (fast, naive) =
            (self.fast.volatility_after(id(i), d), self.naive.volatility_after(id(i), d));
        assert!((fast * fast - naive * naive).abs() <= 1e-11 * scale * scale, "{fast} {naive}");
        assert!((fast - naive).abs() <= 1e-6 * scale, "volatility: {fast} {naive}");
        let (fast_heat, naive_heat) =
            (self.fast.heat_after(id(i), d), self.naive.heat_after(id(i), d));
        assert!((fast_heat - naive_heat).abs() <= 1e-9 * scale, "heat: {fast_heat} {naive_heat}");
        // The correlation divides by the book's volatility: compared where that is not a remainder.
        if self.fast.measures().volatility > 1e-3 * self.scale(0.0, i) {
            let (fast, naive) = (self.fast.correlation(id(i), d), self.naive.correlation(id(i), d));
            assert!((fast - naive).abs() <= 1e-6, "correlation: {fast} {naive}");
        }
        let rest = self.rest_without(i);
        if rest > 1e-3 * self.scale(0.0, i) {
            let (fast, naive) =
                (self.fast.correlation_with_rest(id(i)), self.naive.correlation_with_rest(id(i)));
            assert!((fast - naive).abs() <= 1e-6, "with the rest: {fast} {naive}");
        }
    }

    /// Volatility of the book without its position in `i`.
    fn rest_without(&self, i: usize) -> f64 {
        self.naive.volatility_after(id(i), -self.fast.held(id(i)))
    }

    fn compare_tail(&mut self, i: usize, d: f64) {
        let slack = 1e-11 * self.scale(d, i);
        let exact = self.naive.exact_after(id(i), d);
        let bound = self.fast.shortfall_after(id(i), d);
        assert!(bound >= exact - slack, "a bound below the truth: {bound} {exact}");
        while self.fast.is_due() {
            self.fast.refresh();
        }
        let (bound, naive) =
            (self.fast.shortfall_after(id(i), d), self.naive.shortfall_after(id(i), d));
        assert!((bound - naive).abs() <= slack, "refreshed: {bound} {naive}");
        let (fast, naive) = (self.fast.measures(), self.naive.measures());
        assert!((fast.value_at_risk - naive.value_at_risk).abs() <= slack, "{fast:?} {naive:?}");
        assert!((fast.shortfall - naive.shortfall).abs() <= slack, "{fast:?} {naive:?}");
        assert!(fast.value_at_risk <= fast.shortfall + slack && fast.shortfall <= bound + slack);
    }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn agrees_with_the_twin_after_every_event(seed in any::<u64>(), history_min in 0u32..80) {
        let mut rng = SplitMix64::new(seed);
        let mut pair = Pair::new(history_min);
        for _ in 0..120 {
            let (i, size) = (rng.below(N as u64) as usize, rng.below(1_000_000) as f64 / 10.0);
            match rng.below(8) {
                0..4 => pair.sample(&mut rng),
                4 => pair.hold(i, size),
                5 => pair.hold(i, -size),
                6 => pair.hold(i, 0.0),
                _ => pair.open(i, size, rng.below(100) as f64),
            }
            let order = if rng.below(2) == 0 { size } else { -size };
            pair.compare_matrix(i, order);
            pair.compare_tail(i, order);
        }
    }
}

/// Long enough that the history turns over, losses leave it, and sums are anchored.
#[test]
fn agrees_while_the_history_turns_over() {
    let (mut pair, mut rng) = (Pair::new(100), SplitMix64::new(11));
    for n in 0..1_500u64 {
        pair.sample(&mut rng);
        if n % 3 == 0 {
            let i = rng.below(N as u64) as usize;
            pair.hold(i, rng.below(200_000) as f64 - 100_000.0);
        }
        if n % 97 == 0 {
            let i = rng.below(N as u64) as usize;
            pair.compare_matrix(i, 1_000.0);
            pair.compare_tail(i, -1_000.0);
        }
    }
    let drift = pair.fast.drift_max();
    assert!(drift > 0.0 && drift < 1e-12, "an anchor found a drift of {drift}");
}

/// The drift after a thousand changes of a large book: what the crate's page may state.
#[test]
fn the_drift_of_a_thousand_changes_is_far_below_what_decides() {
    let n = 64;
    let mut book = Portfolio::new(PortfolioConfig::new(n));
    let (mut rng, mut prices) = (SplitMix64::new(3), vec![100.0; n]);
    for k in 0..20 * u64::from(ANCHOR_EVERY) {
        if k % 4 == 0 {
            let market = rng.below(2_001) as f64 - 1_000.0;
            for price in &mut prices {
                *price *= 1.0 + (market + rng.below(2_001) as f64 - 1_000.0) / 1e7;
            }
            book.sample(prices.iter().copied());
        }
        let value = rng.below(2_000_001) as f64 - 1_000_000.0;
        book.hold(id(rng.below(n as u64) as usize), value);
    }
    println!("drift_max = {:e}", book.drift_max());
    assert!(book.drift_max() > 0.0 && book.drift_max() < 1e-11, "{:e}", book.drift_max());
}

#[test]
fn what_is_no_number_passes_no_limit_and_heals() {
    let mut book = Portfolio::new(PortfolioConfig::new(2));
    book.sample([100.0, 50.0]);
    book.sample([100.1, 50.2]);
    book.hold(id(0), 1_000.0);
    let sane = (book.measures(), book.shortfall_after(id(1), 10.0));
    assert!(sane.1.is_finite());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        book.hold(id(0), bad);
        assert_eq!(book.held(id(0)), 1_000.0, "the old value stays");
        let answers = [
            book.shortfall_after(id(1), 10.0),
            book.volatility_after(id(1), 10.0),
            book.heat_after(id(1), 10.0),
        ];
        assert_eq!(answers, [f64::INFINITY; 3]);
        assert_eq!(book.correlation(id(1), 10.0), 1.0);
        book.hold(id(0), 1_000.0);
        book.open(id(1), 5.0, bad);
        assert_eq!(book.heat_after(id(1), 10.0), f64::INFINITY);
        book.open(id(1), 0.0, 0.0);
        assert_eq!((book.measures(), book.shortfall_after(id(1), 10.0)), sane);
        assert_eq!(book.volatility_after(id(1), bad), f64::INFINITY);
        assert!(!book.shortfall_after(id(1), bad).is_finite());
        assert!(!book.heat_after(id(1), bad).is_finite());
        assert_eq!(book.correlation(id(1), bad), 1.0);
    }
    assert_eq!(book.shortfall_after(id(2), 1.0), f64::INFINITY);
}

#[test]
fn a_book_without_history_counts_at_the_fallback_without_offsets() {
    let mut book = Portfolio::new(PortfolioConfig::new(2));
    book.hold(id(0), 1_000.0);
    book.hold(id(1), -1_000.0);
    assert!(!book.sample([100.0, 100.0]), "one price is no return");
    book.refresh();
    // A unit of the fallback of one per cent an hour is worth 2.665 per cent of shortfall.
    assert!((book.measures().shortfall - 53.3).abs() < 0.1, "{:?}", book.measures());
    assert_eq!(book.measures().heat, 20.0);
    assert_eq!(book.correlation(id(0), 10.0), 0.0, "all correlations are one, so this is a hedge");
    book.hold(id(1), 0.0);
    assert_eq!(book.correlation(id(1), 10.0), 1.0);
    assert_eq!(book.correlation(id(1), -10.0), -1.0);
}

#[test]
fn a_silent_instrument_keeps_its_risk() {
    let mut book = Portfolio::new(PortfolioConfig::new(2));
    let (mut rng, mut a) = (SplitMix64::new(1), 100.0);
    for n in 0..2_000 {
        a *= 1.0 + (rng.below(2_001) as f64 - 1_000.0) / 1e6;
        book.sample([a, if n < 500 { 2.0 * a } else { f64::NAN }]);
    }
    let (one, other) = (book.sigma(id(0)), book.sigma(id(1)));
    assert!(other > 0.3 * one, "{one} {other}");
    book.hold(id(0), 1_000.0);
    assert!(book.correlation(id(1), 1.0) > 0.7, "{}", book.correlation(id(1), 1.0));
}

#[test]
fn a_flat_book_is_exactly_zero_again() {
    let mut book = Portfolio::new(PortfolioConfig::new(3));
    let mut rng = SplitMix64::new(2);
    for _ in 0..50 {
        book.sample([0, 1, 2].map(|_| 100.0 + rng.below(100) as f64 / 100.0));
        book.hold(id(0), 1e6 / 3.0);
        book.hold(id(2), -1e5 / 7.0);
        book.hold(id(0), 0.0);
        book.hold(id(2), 0.0);
        assert_eq!(book.measures(), bot4_portfolio::Measures::default());
        assert_eq!(book.correlation(id(1), 1.0), 0.0);
    }
}

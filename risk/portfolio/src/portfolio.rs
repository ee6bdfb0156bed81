//! The book as risk sees it: matrix, tail, open orders, and the answers for one more order.
//!
//! Invariant: between two calls of [`Portfolio::refresh`] every shortfall told is an upper bound of
//! the exact one; after it, and after a sample, it is exact but for open orders, which always count
//! as the sum of their own. Answers cost a handful of multiplications; what changes the book costs
//! a pass over a row of the matrix and a column of the history.

use bot4_simd::Column;
use bot4_types::InstrumentId;
use bot4_types::limits::INSTRUMENTS_MAX;
use serde::{Deserialize, Serialize};

use crate::covariance::Covariance;
use crate::tail::Tail;
use crate::{ANCHOR_EVERY, HISTORY, HORIZON, NORMAL_SHORTFALL};

/// What a portfolio starts from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortfolioConfig {
    /// Instruments, at most [`INSTRUMENTS_MAX`].
    pub instruments: usize,
    /// Weight of the past in the covariances, in (0, 1).
    pub lambda: f64,
    /// Returns of an instrument before its own tail is believed, at most [`HISTORY`]. Zero means
    /// one: without a return there is no tail.
    pub history_min: u32,
    /// Volatility over the horizon of one hour that is assumed until then, as a share of the price.
    pub fallback_volatility: f64,
    /// Leverage by which a position counts in the heat; one for spot.
    pub leverage: f64,
}

impl PortfolioConfig {
    /// The usual configuration for so many instruments.
    #[must_use]
    pub const fn new(instruments: usize) -> Self {
        Self {
            instruments,
            lambda: 0.97,
            history_min: 300,
            fallback_volatility: 0.01,
            leverage: 1.0,
        }
    }
}

/// What a book can lose, over one hour and in the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Standard deviation of the P&L of what is held.
    pub volatility: f64,
    /// Value at risk at 99 % of what is held, by history.
    pub value_at_risk: f64,
    /// Expected shortfall at 99 % of what is held, by history; beyond `value_at_risk` while an
    /// instrument has too short a history.
    pub shortfall: f64,
    /// The same with what open orders could add.
    pub shortfall_worst: f64,
    /// Sum over instruments of worst-case size times volatility times leverage: what a book would
    /// vary by if nothing offset anything.
    pub heat: f64,
}

/// What is kept of an instrument beside the columns.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Line {
    /// Newest price seen by a sample, zero before the first.
    price: f64,
    /// Returns taken in.
    seen: u32,
    /// Standard deviation of the one-second return.
    sigma: f64,
    /// Expected shortfall of a unit of value over one second, long and short.
    shortfall: [f64; 2],
    /// Value that open orders may still buy and sell.
    open: [f64; 2],
    /// Part of the book's heat over one second.
    heat: f64,
    /// The last value of the position, or of the open orders, was no number.
    unsound: [bool; 2],
}

impl Line {
    /// Shortfall that open orders could add.
    fn open_shortfall(&self) -> f64 {
        let [long, short] = [0, 1].map(|side| self.open[side] * self.shortfall[side]);
        long.max(short)
    }

    /// Heat with `held` and these open orders.
    fn heat_of(&self, held: f64, open: [f64; 2], leverage: f64) -> f64 {
        (held + open[0]).abs().max((held - open[1]).abs()) * self.sigma * leverage
    }
}

/// The book. See the module's page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Portfolio {
    config: PortfolioConfig,
    covariance: Covariance,
    tail: Tail,
    lines: Box<[Line]>,
    #[serde(with = "crate::column_state")]
    returns: Column,
    #[serde(with = "crate::column_state")]
    guessed: Column,
    missing: Box<[bool]>,
    /// Over one second, as is everything below.
    shortfall: f64,
    open_shortfall: f64,
    heat: f64,
    value_at_risk: f64,
    is_exact: bool,
    unsound: u32,
    samples: u64,
}

impl Portfolio {
    /// An empty book. Allocates everything it will ever need: 8 KiB an instrument for the history,
    /// 8 bytes a pair for the matrix.
    ///
    /// # Panics
    /// When there are more instruments than [`INSTRUMENTS_MAX`].
    #[must_use]
    pub fn new(config: PortfolioConfig) -> Self {
        let n = config.instruments;
        assert!(n <= INSTRUMENTS_MAX, "{n} instruments: at most {INSTRUMENTS_MAX}");
        let sigma = config.fallback_volatility / HORIZON;
        let line = Line { sigma, shortfall: [NORMAL_SHORTFALL * sigma; 2], ..Line::default() };
        Self {
            config,
            covariance: Covariance::new(n, config.lambda, sigma),
            tail: Tail::new(n),
            lines: vec![line; n].into_boxed_slice(),
            returns: Column::new(n, 0.0),
            guessed: Column::new(n, 0.0),
            missing: vec![false; n].into_boxed_slice(),
            shortfall: 0.0,
            open_shortfall: 0.0,
            heat: 0.0,
            value_at_risk: 0.0,
            is_exact: true,
            unsound: 0,
            samples: 0,
        }
    }

    /// Takes in the prices of a second, one for each instrument in the order of their ids; what is
    /// not a finite number above zero is a mark that is missing. Where no instrument has a return,
    /// nothing is sampled and the answer is false.
    pub fn sample(&mut self, prices: impl IntoIterator<Item = f64>) -> bool {
        let (mut live, mut prices) = (0, prices.into_iter());
        for (i, line) in self.lines.iter_mut().enumerate() {
            let price = prices.next().unwrap_or(f64::NAN);
            let usable = price.is_finite() && price > 0.0;
            let known = usable && line.price > 0.0;
            self.returns[i] = if known { (price - line.price) / line.price } else { 0.0 };
            self.missing[i] = !known;
            line.price = if usable { price } else { line.price };
            line.seen = line.seen.saturating_add(u32::from(known));
            live += usize::from(known);
        }
        if live == 0 {
            return false;
        }
        self.guess_missing();
        let moved = self.covariance.dot_book(&self.returns);
        self.covariance.sample(&self.returns, moved);
        self.tail.sample(&self.returns, moved);
        for (i, line) in self.lines.iter_mut().enumerate() {
            line.sigma = self.covariance.of(i).sqrt();
        }
        self.samples += 1;
        self.is_exact = false;
        self.refresh();
        true
    }

    /// Sets the value of the position in `instrument`, negative for a short one.
    pub fn hold(&mut self, instrument: InstrumentId, value: f64) {
        let i = instrument.index();
        if !self.accepts(i, 0, value.is_finite()) {
            return;
        }
        let change = self.covariance.hold(i, value);
        if change == 0.0 {
            return;
        }
        if self.covariance.is_flat() {
            self.tail.clear_book();
            (self.shortfall, self.value_at_risk) = (0.0, 0.0);
            self.reheat(i);
            self.heat = self.lines.iter().map(|line| line.heat).sum();
        } else {
            self.tail.shift(i, change);
            self.shortfall += change.abs() * self.lines[i].shortfall[side_of(change)];
            self.is_exact = false;
        }
        self.reheat(i);
    }

    /// Sets the values that open orders in `instrument` may still buy and sell; none is negative.
    pub fn open(&mut self, instrument: InstrumentId, bought: f64, sold: f64) {
        let (i, open) = (instrument.index(), [bought, sold]);
        if !self.accepts(i, 1, open.iter().all(|value| value.is_finite() && *value >= 0.0)) {
            return;
        }
        let line = &mut self.lines[i];
        if open == line.open {
            return;
        }
        self.open_shortfall -= line.open_shortfall();
        line.open = open;
        self.open_shortfall += line.open_shortfall();
        self.reheat(i);
    }

    /// [`Self::refresh`] would change something.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.is_exact || self.tail.has_stale() || self.covariance.updates() >= ANCHOR_EVERY
    }

    /// Makes the tail exact, and keeps lists and sums in order: a bounded piece of work for a
    /// moment when no order waits.
    pub fn refresh(&mut self) {
        if self.covariance.updates() >= ANCHOR_EVERY {
            self.covariance.anchor();
            self.tail.anchor(self.covariance.book());
        }
        self.tail.rescan();
        let assumed = NORMAL_SHORTFALL * self.config.fallback_volatility / HORIZON;
        let (mut cold, mut open, mut heat) = (0.0, 0.0, 0.0);
        for (i, line) in self.lines.iter_mut().enumerate() {
            let is_cold = line.seen < self.config.history_min.max(1);
            let floor = if is_cold { assumed } else { 0.0 };
            line.shortfall = [0, 1].map(|side| self.tail.shortfall(i, side).max(floor));
            let held = self.covariance.held(i);
            let own = self.tail.shortfall(i, side_of(held));
            cold += held.abs() * (line.shortfall[side_of(held)] - own);
            open += line.open_shortfall();
            line.heat = line.heat_of(held, line.open, self.config.leverage);
            heat += line.heat;
        }
        let worst = self.tail.book();
        self.shortfall = worst.shortfall(self.tail.len()) + cold;
        self.value_at_risk = worst.value_at_risk(self.tail.len());
        (self.open_shortfall, self.heat) = (open, heat);
        self.is_exact = true;
    }

    /// Standard deviation over one hour of the book's P&L after an order of `value` (negative for
    /// a sale) in `instrument`: `sqrt(v + 2 d s_i + d^2 S_ii)`.
    #[must_use]
    pub fn volatility_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        let i = instrument.index();
        if i >= self.lines.len() || self.unsound > 0 {
            return f64::INFINITY;
        }
        let own = value * self.covariance.of(i);
        let added = value * 2.0f64.mul_add(self.covariance.with_book(i), own);
        let after = (self.covariance.variance() + added).max(0.0).sqrt() * HORIZON;
        if value.is_finite() { after } else { f64::INFINITY }
    }

    /// Correlation of the P&L of an order of `value` with that of the held book, within -1..=1;
    /// zero where either does not vary, one where it cannot be known.
    #[must_use]
    pub fn correlation(&self, instrument: InstrumentId, value: f64) -> f64 {
        let i = instrument.index();
        if i >= self.lines.len() || self.unsound > 0 || !value.is_finite() {
            return 1.0;
        }
        let scale = self.lines[i].sigma * self.covariance.variance().sqrt();
        if value == 0.0 || scale <= 0.0 {
            return 0.0;
        }
        (value.signum() * self.covariance.with_book(i) / scale).clamp(-1.0, 1.0)
    }

    /// Correlation of a long position in `instrument` with the rest of the book, whatever is held
    /// of the instrument itself: what a wish for a position, and not for a trade, is judged by.
    #[must_use]
    pub fn correlation_with_rest(&self, instrument: InstrumentId) -> f64 {
        let i = instrument.index();
        if i >= self.lines.len() || self.unsound > 0 {
            return 1.0;
        }
        let (held, own) = (self.covariance.held(i), self.covariance.of(i));
        let together = self.covariance.with_book(i) - held * own;
        let whole = self.covariance.variance();
        let rest = whole - held * 2.0f64.mul_add(self.covariance.with_book(i), -(held * own));
        // What is left by cancellation is no book.
        if rest <= 1e-9 * whole || own <= 0.0 {
            return 0.0;
        }
        (together / (own * rest).sqrt()).clamp(-1.0, 1.0)
    }

    /// An upper bound of the expected shortfall over one hour after an order of `value` in
    /// `instrument`, open orders included: `ES(w) + sum of open ones + |d| ES_i`.
    #[must_use]
    pub fn shortfall_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        let Some(line) = self.lines.get(instrument.index()) else { return f64::INFINITY };
        let order = value.abs() * line.shortfall[side_of(value)];
        self.sound((self.shortfall + self.open_shortfall.max(0.0) + order) * HORIZON)
    }

    /// The heat over one hour after an order of `value` in `instrument`.
    #[must_use]
    pub fn heat_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        let i = instrument.index();
        let Some(line) = self.lines.get(i) else { return f64::INFINITY };
        let mut open = line.open;
        open[side_of(value)] += value.abs();
        let after = line.heat_of(self.covariance.held(i), open, self.config.leverage);
        if !value.is_finite() {
            return f64::INFINITY;
        }
        self.sound((self.heat - line.heat + after) * HORIZON)
    }

    /// Expected shortfall over one hour of a unit of value in `instrument`, long and short.
    #[must_use]
    pub fn unit_shortfall(&self, instrument: InstrumentId) -> [f64; 2] {
        self.lines
            .get(instrument.index())
            .map_or([f64::INFINITY; 2], |line| line.shortfall.map(|second| second * HORIZON))
    }

    /// Standard deviation of the one-second return of `instrument`.
    #[must_use]
    pub fn sigma(&self, instrument: InstrumentId) -> f64 {
        self.lines.get(instrument.index()).map_or(f64::INFINITY, |line| line.sigma)
    }

    /// What the book can lose now.
    #[must_use]
    pub fn measures(&self) -> Measures {
        let worst = self.shortfall + self.open_shortfall.max(0.0);
        Measures {
            volatility: self.sound(self.covariance.variance().sqrt() * HORIZON),
            value_at_risk: self.sound(self.value_at_risk * HORIZON),
            shortfall: self.sound(self.shortfall * HORIZON),
            shortfall_worst: self.sound(worst * HORIZON),
            heat: self.sound(self.heat * HORIZON),
        }
    }

    /// Value of the position in `instrument`, as last set.
    #[must_use]
    pub fn held(&self, instrument: InstrumentId) -> f64 {
        let known = instrument.index() < self.lines.len();
        if known { self.covariance.held(instrument.index()) } else { 0.0 }
    }

    /// Covariance of the one-second returns of two instruments; zero for unknown ones.
    #[must_use]
    pub fn covariance(&self, a: InstrumentId, b: InstrumentId) -> f64 {
        let known = a.index().max(b.index()) < self.lines.len();
        if known { self.covariance.row(a.index())[b.index()] } else { 0.0 }
    }

    /// Samples taken in.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Largest drift of the kept sums that an anchor found, every [`ANCHOR_EVERY`] changes: an
    /// error of correlation, or relative of the variance.
    #[must_use]
    pub fn drift_max(&self) -> f64 {
        self.covariance.drift_max()
    }

    /// Every missing return becomes one standard deviation in the direction that its covariances
    /// with the returns seen point to.
    fn guess_missing(&mut self) {
        if !self.missing.contains(&true) {
            return;
        }
        for (i, missing) in self.missing.iter().enumerate() {
            let towards = self.covariance.dot_row(i, &self.returns);
            let sigma = self.lines[i].sigma;
            let guess = if towards < 0.0 { -sigma } else { sigma };
            self.guessed[i] = if *missing { guess } else { self.returns[i] };
        }
        std::mem::swap(&mut self.returns, &mut self.guessed);
    }

    /// Notes whether the newest `part` of instrument `i` is a number; true when it may be used.
    fn accepts(&mut self, i: usize, part: usize, sound: bool) -> bool {
        let Some(line) = self.lines.get_mut(i) else { return false };
        self.unsound -= u32::from(line.unsound[part]);
        self.unsound += u32::from(!sound);
        line.unsound[part] = !sound;
        sound
    }

    fn reheat(&mut self, i: usize) {
        let line = &mut self.lines[i];
        let heat = line.heat_of(self.covariance.held(i), line.open, self.config.leverage);
        self.heat += heat - line.heat;
        line.heat = heat;
    }

    /// `value`, or endless where something in the book is not a number.
    fn sound(&self, value: f64) -> f64 {
        if self.unsound == 0 && value.is_finite() { value } else { f64::INFINITY }
    }
}

/// Place of the side that gains when the price rises (0) or falls (1).
fn side_of(value: f64) -> usize {
    usize::from(value < 0.0)
}

const _: () = assert!(HISTORY <= u32::MAX as usize);

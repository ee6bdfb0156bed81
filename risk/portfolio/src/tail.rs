//! The historical tail: the last [`HISTORY`] returns of every instrument, and what the book of
//! now would have made in each of those seconds.
//!
//! Expected shortfall is subadditive (Artzner, Delbaen, Eber and Heath, 1999), so the shortfall of
//! the book and an order is at most the sum of both. Value at risk is not; it is never larger than
//! the shortfall, and told beside it.
//!
//! Columns lie instrument by instrument, so a change of a position is one pass over its own. Each
//! instrument's worst losses are kept, both ways round. When a loss leaves the history, the lists
//! that may hold it keep it (too high, never too low) until [`Tail::rescan`] comes to them.

use bot4_simd::{Column, Kernels};
use serde::{Deserialize, Serialize};

use crate::HISTORY;
use crate::worst::Worst;

/// Lists built anew by one call of [`Tail::rescan`]: a bound on its time, some ten microseconds.
const RESCANS: usize = 8;

/// Scenarios and worst losses. See the module's page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tail {
    #[serde(skip, default = "Kernels::best")]
    kernels: Kernels,
    #[serde(with = "crate::column_state")]
    returns: Column,
    #[serde(with = "crate::column_state")]
    pnl: Column,
    worst: Box<[[Worst; 2]]>,
    stale: Box<[[bool; 2]]>,
    stale_lists: usize,
    cursor: usize,
    len: usize,
    next: usize,
}

impl Tail {
    /// An empty history of `instruments`. Allocates.
    pub(crate) fn new(instruments: usize) -> Self {
        Self {
            kernels: Kernels::best(),
            returns: Column::new(instruments * HISTORY, 0.0),
            pnl: Column::new(HISTORY, 0.0),
            worst: vec![[Worst::default(); 2]; instruments].into_boxed_slice(),
            stale: vec![[false; 2]; instruments].into_boxed_slice(),
            stale_lists: 0,
            cursor: 0,
            len: 0,
            next: 0,
        }
    }

    /// Scenarios in the history.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Expected shortfall of a unit of value in `i`, long (0) or short (1).
    pub(crate) fn shortfall(&self, i: usize, side: usize) -> f64 {
        self.worst[i][side].shortfall(self.len)
    }

    /// The worst losses of the book.
    pub(crate) fn book(&self) -> Worst {
        Worst::of(self.pnl[..self.len].iter().map(|pnl| -pnl))
    }

    /// Lists wait for [`Self::rescan`].
    pub(crate) fn has_stale(&self) -> bool {
        self.stale_lists > 0
    }

    /// Takes in the returns `x`, in which the book made `moved`.
    pub(crate) fn sample(&mut self, x: &[f64], moved: f64) {
        let (full, at) = (self.len == HISTORY, self.next);
        for (i, worst) in self.worst.iter_mut().enumerate() {
            let cell = &mut self.returns[i * HISTORY + at];
            let (old, new) = (std::mem::replace(cell, x[i]), x[i]);
            for (side, sign) in [-1.0, 1.0].into_iter().enumerate() {
                if full && !self.stale[i][side] && worst[side].may_hold(sign * old) {
                    self.stale[i][side] = true;
                    self.stale_lists += 1;
                }
                worst[side].add(sign * new);
            }
        }
        self.pnl[at] = moved;
        self.next = (at + 1) % HISTORY;
        self.len = (self.len + 1).min(HISTORY);
    }

    /// The position in `i` changed by `change`.
    pub(crate) fn shift(&mut self, i: usize, change: f64) {
        let column = &self.returns[i * HISTORY..(i + 1) * HISTORY];
        self.kernels.axpy(&mut self.pnl, change, column);
    }

    /// The book is flat.
    pub(crate) fn clear_book(&mut self) {
        self.pnl.fill(0.0);
    }

    /// Computes the P&L of the book's positions in every scenario anew.
    pub(crate) fn anchor(&mut self, book: &[f64]) {
        self.clear_book();
        for (i, value) in book.iter().enumerate().take(self.worst.len()) {
            if *value != 0.0 {
                self.shift(i, *value);
            }
        }
    }

    /// Builds some of the lists anew that lost a member.
    pub(crate) fn rescan(&mut self) {
        let lists = 2 * self.worst.len();
        let mut left = RESCANS.min(self.stale_lists);
        while left > 0 {
            let (i, side) = (self.cursor / 2, self.cursor % 2);
            self.cursor = (self.cursor + 1) % lists;
            if std::mem::take(&mut self.stale[i][side]) {
                let sign = if side == 0 { -1.0 } else { 1.0 };
                let column = &self.returns[i * HISTORY..i * HISTORY + self.len];
                self.worst[i][side] = Worst::of(column.iter().map(|x| sign * x));
                self.stale_lists -= 1;
                left -= 1;
            }
        }
    }
}

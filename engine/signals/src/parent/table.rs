//! The fixed table of parents. A row is taken by a new parent when it was never used or its parent
//! is over, one that is told first; the children's slots of a row lie at its place in the router's
//! table.

use std::collections::VecDeque;

use bot4_types::{
    InstrumentId, Nanos, OrderReport, ParentEnd, ParentId, ParentOrder, ParentRefusal,
    ParentReport, StrategyId, TradePrint,
};

use super::{PARENTS_MAX, Parent};
use crate::router::groups::Groups;

/// Refusals that wait to be told.
const REFUSALS: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Parents {
    rows: Vec<Parent>,
    /// No row is due before.
    next_wake: Nanos,
    alive: usize,
    /// Parents that strategies started.
    by_strategy: u32,
    refusals: VecDeque<ParentReport>,
    /// Instruments that are the same thing at other venues.
    groups: Groups,
    /// A row or a refusal has something to tell.
    news: bool,
}

impl Parents {
    /// An empty table. Its memory is taken by [`reserve`](Self::reserve).
    pub(crate) const fn new() -> Self {
        Self {
            rows: Vec::new(),
            next_wake: Nanos::MAX,
            alive: 0,
            by_strategy: 0,
            refusals: VecDeque::new(),
            groups: Groups::none(),
            news: false,
        }
    }

    /// Allocates; nothing later does.
    pub(crate) fn reserve(&mut self, groups: Groups) {
        self.groups = groups;
        self.rows.reserve_exact(PARENTS_MAX);
        self.refusals.reserve_exact(REFUSALS);
    }

    /// Rows in use, the ended ones that nobody replaced among them.
    pub(crate) const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Parents alive.
    pub(crate) const fn alive(&self) -> usize {
        self.alive
    }

    /// The parent of `row`.
    pub(crate) fn get(&self, row: usize) -> Option<&Parent> {
        self.rows.get(row)
    }

    /// Rows whose parent lives, of the strategy in the instrument.
    pub(crate) fn of(
        &self,
        strategy: StrategyId,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = usize> + '_ {
        let is_of = move |p: &Parent| {
            p.is_alive() && p.order.strategy == strategy && self.is_in(p, instrument)
        };
        self.rows.iter().enumerate().filter(move |(_, p)| is_of(p)).map(|(row, _)| row)
    }

    /// Instruments that are the same thing at other venues.
    pub(crate) const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// `parent` may have children in `instrument`.
    pub(crate) fn is_in(&self, parent: &Parent, instrument: InstrumentId) -> bool {
        let own = parent.order.instrument;
        own == instrument || (parent.is_routed() && self.groups.are_same(own, instrument))
    }

    /// The row of the newest parent called `id`.
    pub(crate) fn find(&self, id: ParentId) -> Option<usize> {
        self.rows.iter().position(|p| p.id() == id)
    }

    /// A row for a new parent.
    fn free(&self) -> Option<usize> {
        if self.rows.len() < PARENTS_MAX {
            return Some(self.rows.len());
        }
        let over = self.rows.iter().enumerate().filter(|(_, p)| !p.is_alive());
        over.min_by_key(|(_, p)| (p.changed, p.told)).map(|(row, _)| row)
    }

    /// Takes `order`, named; its row and its name.
    pub(crate) fn insert(
        &mut self,
        mut order: ParentOrder,
        now: Nanos,
    ) -> Result<(usize, ParentId), ParentRefusal> {
        let taken = order.id != ParentId::NONE && self.find(order.id).is_some();
        let row = self.free().filter(|_| !taken).ok_or(ParentRefusal::TableFull)?;
        if order.id == ParentId::NONE {
            self.by_strategy += 1;
            order.id = ParentId::by_strategy(self.by_strategy);
        }
        let parent = Parent::new(order, now);
        if row == self.rows.len() {
            self.rows.push(parent)
        } else {
            self.rows[row] = parent
        }
        self.alive += 1;
        self.next_wake = self.next_wake.min(now);
        self.news = true;
        Ok((row, order.id))
    }

    /// Notes that `order` was not begun, so that it is told; the newest are dropped when nobody
    /// listens.
    pub(crate) fn refuse(&mut self, order: ParentOrder, why: ParentRefusal, now: Nanos) {
        if self.refusals.len() < REFUSALS {
            self.refusals.push_back(Parent::refused(order, why, now).report(now));
            self.news = true;
        }
    }

    /// Changes the parent of `row`, and keeps up with what that means for the table.
    pub(crate) fn change<T>(&mut self, row: usize, change: impl FnOnce(&mut Parent) -> T) -> T {
        let parent = &mut self.rows[row];
        let before = parent.is_alive();
        let out = change(parent);
        self.alive -= usize::from(before && !parent.is_alive());
        self.news |= parent.changed;
        self.next_wake = self.next_wake.min(parent.wake);
        out
    }

    /// Every parent of `instrument`, or all of them, that lives: something moved.
    pub(crate) fn touch(&mut self, instrument: InstrumentId) {
        if self.alive == 0 {
            return;
        }
        for row in 0..self.rows.len() {
            if self.is_in(&self.rows[row], instrument) {
                self.rows[row].look_soon();
                self.next_wake = self.next_wake.min(self.rows[row].wake);
            }
        }
    }

    /// Somebody traded. `told` restates the print in the units of a parent's instrument.
    pub(crate) fn trade(&mut self, trade: &TradePrint, told: impl Fn(InstrumentId) -> TradePrint) {
        if self.alive == 0 {
            return;
        }
        for row in 0..self.rows.len() {
            if self.is_in(&self.rows[row], trade.instrument) {
                let parent = &mut self.rows[row];
                parent.trade(&told(parent.order.instrument));
                self.next_wake = self.next_wake.min(parent.wake);
            }
        }
    }

    /// A fill of an order that has ended, if one of the parents knows it. `told` restates the
    /// report in the units of a parent's instrument.
    pub(crate) fn late(
        &mut self,
        report: &OrderReport,
        told: impl Fn(InstrumentId) -> OrderReport,
    ) {
        for row in 0..self.rows.len() {
            let parent = &self.rows[row];
            if parent.order.strategy != report.strategy || !self.is_in(parent, report.instrument) {
                continue;
            }
            let parent = &mut self.rows[row];
            if parent.fill(&told(parent.order.instrument)) && parent.changed {
                self.news = true;
                return;
            }
        }
    }

    /// The first row from `from` on that is due at `now`.
    pub(crate) fn due(&mut self, from: usize, now: Nanos) -> Option<usize> {
        if from == 0 && now < self.next_wake {
            return None;
        }
        (from..self.rows.len()).find(|row| now >= self.rows[*row].wake)
    }

    /// All that was due was looked at.
    pub(crate) fn looked(&mut self) {
        self.next_wake = self.rows.iter().map(|p| p.wake).min().unwrap_or(Nanos::MAX);
    }

    /// Every parent ends for this reason. Rows that may still have something open.
    pub(crate) fn finish_all(&mut self, end: ParentEnd) {
        for row in 0..self.rows.len() {
            if self.rows[row].is_alive() {
                self.change(row, |p| p.finish(end));
            }
        }
    }

    /// Hands what is new to `tell` until it refuses; how many it took.
    pub(crate) fn tell(&mut self, now: Nanos, mut tell: impl FnMut(ParentReport) -> bool) -> usize {
        if !self.news {
            return 0;
        }
        let mut done = 0;
        while let Some(report) = self.refusals.front() {
            if !tell(*report) {
                return done;
            }
            done += 1;
            self.refusals.pop_front();
        }
        for parent in &mut self.rows {
            let Some(report) = parent.tell(now) else { continue };
            if !tell(report) {
                parent.untold();
                return done;
            }
            done += 1;
        }
        self.news = false;
        done
    }

    /// Where every parent stands that has a row.
    pub(crate) fn reports(&self, now: Nanos) -> impl Iterator<Item = ParentReport> + '_ {
        self.rows.iter().map(move |p| p.report(now))
    }
}

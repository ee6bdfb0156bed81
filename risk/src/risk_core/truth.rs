//! What the venue says of the account beside our orders: balances while the run goes on
//! ([`crate::comparison`]), and what others do on it.
//!
//! A difference that nobody explains stops what it concerns: the instruments of which the asset is
//! the base and nothing else, or all trading. A person who ends the stop accepts it: the ledger
//! then follows the venue, and peak and day of the equity move by its worth, because money that
//! came or went is neither profit nor loss.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, ExecMsg, InstrumentId, Nanos, VenueId};
use serde::{Deserialize, Serialize};

use super::RiskCore;
use crate::comparison::{CompareCounts, Comparison, Difference, Differences, Statement, Verdict};

/// What others did on the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignCounts {
    /// Words about orders that are not this run's.
    pub orders: u64,
    /// Fills of such orders.
    pub fills: u64,
    /// Both, as far as the configuration declares them.
    pub declared: u64,
    /// The venue's number of the newest order that is not declared.
    pub newest: u64,
}

/// The venue's word about the account, and the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Truth {
    comparison: Comparison,
    foreign: ForeignCounts,
    /// Unexplained differences of the whole account.
    account: u64,
    /// The newest of them, and of those of some instruments alone.
    latched: Option<Difference>,
    stopped: Option<Difference>,
}

impl Truth {
    pub(super) fn new(balances: impl Iterator<Item = (VenueId, Amount)>) -> Self {
        let (foreign, comparison) = (ForeignCounts::default(), Comparison::new(balances));
        Self { comparison, foreign, account: 0, latched: None, stopped: None }
    }

    /// The session of a venue's order entry came up or went down.
    pub(super) fn on_session(&mut self, venue: VenueId, ready: bool, now: Nanos) {
        self.comparison.on_session(venue, ready, now);
    }
}

impl RiskCore {
    /// Everything that a person must explain, so far.
    #[must_use]
    pub const fn drift(&self) -> u64 {
        let foreign = &self.truth.foreign;
        self.ledger.counts().drift() + self.truth.account + foreign.orders + foreign.fills
    }

    /// What was compared with the venue.
    #[must_use]
    pub const fn compared(&self) -> &CompareCounts {
        self.truth.comparison.counts()
    }

    /// The newest differences that nobody explained.
    #[must_use]
    pub const fn differences(&self) -> Differences {
        let Truth { latched, stopped, .. } = self.truth;
        Differences { any: self.truth.comparison.newest(), latched, stopped }
    }

    /// Differences that stopped all trading.
    #[must_use]
    pub const fn differences_latched(&self) -> u64 {
        self.truth.account
    }

    /// Assets whose balance at the venue is not ours, not for long yet.
    #[must_use]
    pub fn suspects(&self) -> usize {
        self.truth.comparison.suspects()
    }

    /// What others did on the account.
    #[must_use]
    pub const fn foreign(&self) -> &ForeignCounts {
        &self.truth.foreign
    }

    /// Instruments that stand still because the venue's balance is not ours.
    #[must_use]
    pub fn drifted(&self) -> usize {
        self.changes.drifted()
    }

    /// Instruments that are given up under pressure.
    #[must_use]
    pub fn shed(&self) -> usize {
        self.changes.shed()
    }

    /// `instrument` is one of them.
    #[must_use]
    pub fn stands_still(&self, instrument: InstrumentId) -> bool {
        self.changes.is_drifted(instrument)
    }

    /// Keeps what the assets of `msg` hold now.
    pub(super) fn follow_balances(&mut self, msg: &ExecMsg) {
        match *msg {
            ExecMsg::Order(r) => {
                if let Some(i) = self.ledger.table().get(r.instrument).copied() {
                    for asset in [i.base, i.quote, r.fee_asset] {
                        self.note_balance(asset);
                    }
                }
            }
            ExecMsg::Balance { asset, .. } | ExecMsg::Funding { asset, .. } => {
                self.note_balance(asset);
            }
            ExecMsg::Session { .. } | ExecMsg::Foreign { .. } => {}
        }
    }

    fn note_balance(&mut self, asset: AssetId) {
        let value = self.ledger.expected_balance(asset);
        self.truth.comparison.note(asset, value, self.now);
    }

    /// Orders can leave to `venue`, or not any more.
    pub(super) fn on_session(&mut self, venue: VenueId, ready: bool) {
        self.sessions.set(venue, ready);
        self.breakers.on_session(venue, ready);
        self.truth.on_session(venue, ready, self.now);
    }

    /// Something was heard of a venue: what its trouble opened is tried where it is well.
    pub(super) fn heal(&mut self) {
        let ledger = &self.ledger;
        self.breakers.heal(|venue| ledger.is_settled_at(venue));
    }

    /// Somebody else acted on the account.
    pub(super) fn on_foreign(&mut self, venue_order: u64, trade_id: u64, declared: bool) {
        let counts = &mut self.truth.foreign;
        if declared {
            counts.declared += 1;
            return;
        }
        let count = if trade_id == 0 { &mut counts.orders } else { &mut counts.fills };
        *count += 1;
        counts.newest = venue_order;
        self.latches.on_drift(self.drift());
    }

    /// Compares what the venue stated with the ledger.
    pub(super) fn compare(&mut self, stated: &Statement) {
        self.note_balance(stated.asset);
        let venue = self.ledger.table().venue_of(stated.asset);
        let sure = venue.is_none_or(|venue| self.ledger.is_certain_at(venue));
        match self.truth.comparison.judge(stated, sure, self.now) {
            Verdict::Settled(came) => self.follow(stated.asset, came),
            Verdict::Unexplained => self.stop_for(stated.asset),
            _ => {}
        }
    }

    /// So much of `asset` came, or went, before the run, and nobody explains it.
    pub(super) fn doubt(&mut self, asset: AssetId, came: Amount) {
        self.truth.comparison.doubt(asset, came);
        self.stop_for(asset);
    }

    /// What nobody explains of `asset` stops what it concerns.
    fn stop_for(&mut self, asset: AssetId) {
        let newest = self.truth.comparison.newest();
        if self.stands_alone(asset) {
            self.truth.stopped = newest;
            self.each_of(asset, |changes, id| changes.set_drift(id, true));
        } else {
            self.truth.latched = newest;
            self.truth.account += 1;
            self.latches.on_drift(self.drift());
        }
    }

    /// A person accepts what the venue says of the base asset of `instrument`.
    pub(super) fn accept_balance(&mut self, instrument: InstrumentId) {
        if let Some(base) = self.ledger.table().get(instrument).map(|i| i.base) {
            self.accept(base);
            self.each_of(base, |changes, id| changes.set_drift(id, false));
        }
    }

    /// A person has ended the stop: what the venue says of the account's assets holds.
    pub(super) fn accept_balances(&mut self) {
        for asset in (0..self.assets).map(|a| AssetId(a as u8)) {
            if !self.stands_alone(asset) {
                self.accept(asset);
            }
        }
    }

    fn accept(&mut self, asset: AssetId) {
        if let Some(came) = self.truth.comparison.accept(asset) {
            self.follow(asset, came);
        }
    }

    /// The ledger follows the venue.
    fn follow(&mut self, asset: AssetId, came: Amount) {
        self.ledger.follow(asset, came);
        // Without a value the peak stays where it was: the tighter side for what came.
        if let Some(worth) = self.worth(std::iter::once((asset, came))) {
            self.curve.flowed(worth);
        }
    }

    /// The asset is the base of some instrument, and nothing else depends on it.
    fn stands_alone(&self, asset: AssetId) -> bool {
        let all = self.ledger.table().all();
        let paid = asset == self.quote || all.iter().any(|i| i.quote == asset);
        !paid && all.iter().any(|i| i.base == asset)
    }

    fn each_of(
        &mut self,
        base: AssetId,
        mut change: impl FnMut(&mut crate::changes::Changes, InstrumentId),
    ) {
        for i in self.ledger.table().all() {
            if i.base == base {
                change(&mut self.changes, i.id);
            }
        }
    }
}

//! Execution algorithms: parents that are worked by children.
//!
//! ```text
//!  Waiting --start, book live--> Working <--resume-- Paused
//!     |                            |  '----pause------^
//!     |                            |--deadline: take--> Finishing --.
//!     '--- cancel, stop, kill -----+--deadline: give up, filled ----+--> Ending --> Ended
//! ```
//! A parent lives in a fixed table inside the router. Each look at it asks one pure question (what
//! is wanted now, `step.rs`) and states the answer as wishes for its children's slots, so children
//! are placed, amended, cancelled and repeated by the same code as every other order, pass the gate
//! like any other, and give way to own orders that they would meet. The account (`tally.rs`) is
//! exact at any instant; a child is never larger than what is left.
//!
//! * A kill or halt ends every parent, exact, as `killed`; the end of the run as `interrupted`. A
//!   pause that heals, a lost session or a stale book only hold it: longer than [`REPLAN_AFTER`],
//!   and what is left is spread over the time that is left.
//! * A parent does not outlive its run. Its children are reconciled at the next start like every
//!   order, and the journal names it in each of them.
//! * What the gate refuses for its size is asked for in halves; any other refusal waits by the
//!   slot's back-off.
//!
//! Cost: two comparisons a turn while nothing is due; a look is some 100 ns.

mod routed;
mod schedule;
mod sizes;
mod step;
mod table;
mod tally;

use bot4_types::{
    Algo, Deadline, Instrument, Nanos, OrderReport, ParentEnd, ParentId, ParentOrder,
    ParentRefusal, ParentReport, ParentState, Price, Qty, RefuseReason, TradePrint,
};

use self::schedule::{Curve, Plan, Volume};
pub(crate) use self::sizes::smallest;
pub(crate) use self::step::{Rest, Sight};
pub(crate) use self::table::Parents;
pub use self::tally::{CHILDREN, Tally};

/// The smallest order of `rules` at `price`; `None` where there can be none.
pub(crate) fn least(rules: &Instrument, price: Price) -> Option<Qty> {
    let least = sizes::smallest(rules, price);
    (least <= sizes::largest(rules)).then_some(Qty(least))
}

/// Parents alive at a time.
pub const PARENTS_MAX: usize = 64;
/// A parent that could not be worked for longer makes a new plan.
const REPLAN_AFTER: Nanos = Nanos::from_secs(2);
/// After its deadline a parent that takes the rest tries for so long.
const FINISH_PATIENCE: Nanos = Nanos::from_secs(10);
/// Between two looks at least, whatever moves.
const LOOK_MIN: Nanos = Nanos::from_millis(20);
/// Between two looks at most.
const LOOK_MAX: Nanos = Nanos::from_millis(500);
/// Slices of a schedule: one each two seconds, as far as these bounds allow.
const SLICE_EVERY: Nanos = Nanos::from_secs(2);
const SLICES: [u64; 2] = [8, 240];
/// A child is halved this often at most.
const HALVINGS_MAX: u32 = 12;
/// How often the figures of a parent that is alive are told at least.
const TELL_EVERY: Nanos = Nanos::from_secs(1);

/// One parent.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub order: ParentOrder,
    pub state: ParentState,
    pub end: ParentEnd,
    pub tally: Tally,
    refusal: ParentRefusal,
    gate: Option<RefuseReason>,
    /// Not begun before.
    start_at: Nanos,
    began: Nanos,
    plan: Plan,
    curve: Curve,
    /// What should be done by now; never falls.
    due: Qty,
    slices: u32,
    halved: u32,
    cost: i128,
    arrival_x2: i64,
    market_qty: Qty,
    market_cost: i128,
    /// Volume at the beginning of this window and of the one before.
    windows: [(Nanos, Qty); 2],
    children: u32,
    fills: u32,
    refused: u32,
    missed: u32,
    /// The next look.
    pub wake: Nanos,
    /// The last look that could trade.
    looked: Nanos,
    /// Children's places that may hold something.
    pub busy: u8,
    /// There is something to tell.
    changed: bool,
    told: Nanos,
}

impl Parent {
    /// `order` as it is accepted at `now`.
    pub(crate) fn new(order: ParentOrder, now: Nanos) -> Self {
        let slices = (order.over.0 / SLICE_EVERY.0).clamp(SLICES[0], SLICES[1]) as u32;
        Self {
            state: ParentState::Waiting,
            end: ParentEnd::None,
            tally: Tally::new(order.total),
            refusal: ParentRefusal::None,
            gate: None,
            start_at: now + order.delay,
            began: Nanos::ZERO,
            plan: Plan::default(),
            curve: Curve::new(order.curve),
            due: Qty(0),
            slices: if order.algo == Algo::Pov { SLICES[1] as u32 } else { slices },
            halved: 0,
            cost: 0,
            arrival_x2: 0,
            market_qty: Qty(0),
            market_cost: 0,
            windows: [(now, Qty(0)); 2],
            children: 0,
            fills: 0,
            refused: 0,
            missed: 0,
            wake: now + order.delay,
            looked: now,
            busy: 0,
            changed: true,
            told: Nanos::ZERO,
            order,
        }
    }

    /// `order`, which is not begun.
    pub(crate) fn refused(order: ParentOrder, why: ParentRefusal, now: Nanos) -> Self {
        let (state, end) = (ParentState::Ended, ParentEnd::Refused);
        Self { state, end, refusal: why, wake: Nanos::MAX, ..Self::new(order, now) }
    }

    pub(crate) const fn id(&self) -> ParentId {
        self.order.id
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.state != ParentState::Ended
    }

    /// It may have new children.
    pub(crate) fn asks(&self) -> bool {
        matches!(self.state, ParentState::Working | ParentState::Finishing)
    }

    /// Time passed and the market was seen: begins, ends, makes plans. Called before
    /// [`step`](Self::step) when its instrument may be traded.
    pub(crate) fn advance(&mut self, sight: &Sight<'_>) {
        let now = sight.now;
        if self.state == ParentState::Waiting && now >= self.start_at {
            let [bid, ask] = sight.sides.map(|side| side[0].price);
            self.begin(bid.saturating_add(ask), now);
        }
        self.keep_time(now);
        self.settle(sight);
        self.sleep(now);
    }

    /// The next look, and whether what it is now is told again.
    fn sleep(&mut self, now: Nanos) {
        let pace = match self.order.over.0 / u64::from(self.slices) / 4 {
            0 => LOOK_MAX.0,
            pace => pace.clamp(LOOK_MIN.0, LOOK_MAX.0),
        };
        self.wake = if self.is_alive() { now + Nanos(pace) } else { Nanos::MAX };
        if self.plan.until > now {
            self.wake = self.wake.min(self.plan.until);
        }
        self.changed |= now.since(self.told) >= TELL_EVERY && self.is_alive();
    }

    fn begin(&mut self, arrival_x2: i64, now: Nanos) {
        (self.began, self.looked) = (now, now);
        self.arrival_x2 = arrival_x2;
        self.windows = [(now, self.market_qty); 2];
        self.enter(ParentState::Working);
        self.replan(now);
    }

    /// Time passed: what is planned, and whether the deadline is over.
    fn keep_time(&mut self, now: Nanos) {
        if now.since(self.looked) > REPLAN_AFTER && self.state == ParentState::Working {
            self.replan(now);
        }
        self.looked = now;
        if self.state == ParentState::Working && self.plan.is_over(now) {
            match self.order.deadline {
                Deadline::Take if self.order.algo != Algo::Best => {
                    self.enter(ParentState::Finishing);
                }
                _ => self.finish(ParentEnd::Deadline),
            }
        }
        if self.state == ParentState::Finishing && now.since(self.plan.until) > FINISH_PATIENCE {
            self.finish(ParentEnd::Deadline);
        }
        self.roll(now);
        self.due = self.due.max(self.target(now));
    }

    /// Spreads what is left over the time that is left.
    pub(crate) fn replan(&mut self, now: Nanos) {
        let until = if self.order.over.0 > 0 { self.began + self.order.over } else { Nanos::ZERO };
        let (done, volume) = (self.tally.filled(), self.market_qty);
        self.plan = Plan { began: self.began, from: now, until, done, volume };
        self.due = done;
    }

    fn target(&self, now: Nanos) -> Qty {
        let total = self.order.total;
        match (self.state, self.order.algo) {
            (ParentState::Working, Algo::Twap) => self.plan.twap(total, now),
            (ParentState::Working, Algo::Pov) => {
                self.plan.pov(total, self.market_qty, self.order.rate_e4)
            }
            (ParentState::Working, Algo::Vwap) => {
                let (since, before) = self.windows[0];
                let lately = (since, Qty(self.market_qty.0 - before.0));
                let volume = Volume { seen: self.market_qty, lately };
                self.plan.vwap(total, volume, &self.curve, now)
            }
            _ => self.due,
        }
    }

    /// Keeps the windows of the volume of late: an eighth of the time each.
    fn roll(&mut self, now: Nanos) {
        let span = Nanos((self.order.over.0 / 8).max(LOOK_MAX.0));
        if now.since(self.windows[1].0) >= span {
            self.windows = [self.windows[1], (now, self.market_qty)];
        }
    }

    /// Ends what is complete, and says so when what is left cannot be traded.
    fn settle(&mut self, sight: &Sight<'_>) {
        if !matches!(self.state, ParentState::Working | ParentState::Finishing) {
            return;
        }
        let at_rest = self.tally.is_at_rest();
        let price = Price(sight.sides[self.order.side.index()][0].price);
        if self.tally.filled() >= self.order.total {
            self.finish(ParentEnd::Filled);
        } else if at_rest && sizes::child(sight.rules, price, 0, self.tally.left()).is_none() {
            self.finish(ParentEnd::Dust);
        }
    }

    fn enter(&mut self, state: ParentState) {
        self.changed |= self.state != state;
        self.state = state;
    }

    /// No new children for this reason; over once none is open.
    pub(crate) fn finish(&mut self, end: ParentEnd) {
        if self.end == ParentEnd::None {
            self.end = end;
            self.enter(ParentState::Ending);
        }
        self.end_at_rest();
    }

    /// What was ending is over once no child can fill any more.
    pub(crate) fn end_at_rest(&mut self) {
        if self.state == ParentState::Ending && self.tally.is_at_rest() {
            if self.tally.filled() >= self.order.total {
                self.end = ParentEnd::Filled;
            }
            self.enter(ParentState::Ended);
            self.wake = Nanos::MAX;
        }
    }

    /// A person holds it.
    pub(crate) fn pause(&mut self) {
        if matches!(self.state, ParentState::Waiting | ParentState::Working) {
            self.enter(ParentState::Paused);
        }
    }

    /// It is worked again.
    pub(crate) fn resume(&mut self, now: Nanos) {
        if self.state == ParentState::Paused {
            let begun = self.began.0 > 0;
            self.enter(if begun { ParentState::Working } else { ParentState::Waiting });
            if begun {
                self.replan(now);
            }
            self.wake = now;
        }
    }

    /// Somebody traded in its instrument, or one of them: price and quantity in its units.
    pub(crate) fn trade(&mut self, trade: &TradePrint) {
        if self.began.0 == 0 || !self.is_alive() {
            return;
        }
        self.market_qty = Qty(self.market_qty.0.saturating_add(trade.qty));
        self.market_cost += bot4_types::notional(Price(trade.price), Qty(trade.qty));
        self.missed = self.missed.saturating_add(trade.missed);
        if self.order.algo == Algo::Pov {
            self.look_soon();
        }
    }

    /// It cannot be traded now.
    pub(crate) fn hold(&mut self, now: Nanos) {
        self.wake = if self.is_alive() { now + LOOK_MAX } else { Nanos::MAX };
    }

    /// Its market moved: a look is due, not sooner than [`LOOK_MIN`] after the last.
    pub(crate) fn look_soon(&mut self) {
        if self.is_alive() {
            self.wake = self.wake.min(self.looked + LOOK_MIN);
        }
    }

    /// Books a fill that `report` tells; false when it is none of this parent's orders.
    pub(crate) fn fill(&mut self, report: &OrderReport) -> bool {
        let Some(new) = self.tally.fill(report.order, report.cum_qty) else { return false };
        if new.0 > 0 {
            let told = if report.last_price.0 > 0 { report.last_price } else { report.price };
            self.cost += bot4_types::notional(told, new);
            self.fills += 1;
            self.changed = true;
            self.halved = self.halved.saturating_sub(1);
        }
        self.end_at_rest();
        true
    }

    /// A child is on its way.
    pub(crate) fn placed(&mut self) {
        self.children += 1;
        self.changed = true;
    }

    /// A child was refused by the gate for `reason`, or by the venue, or never left; `sized`:
    /// for its size.
    pub(crate) fn child_refused(&mut self, reason: Option<RefuseReason>, sized: bool) {
        self.refused += 1;
        self.gate = reason.or(self.gate);
        self.changed = true;
        if sized {
            self.halved = (self.halved + 1).min(HALVINGS_MAX);
        }
    }

    /// Where it stands.
    pub(crate) fn report(&self, now: Nanos) -> ParentReport {
        let tally = &self.tally;
        ParentReport {
            id: self.order.id,
            strategy: self.order.strategy,
            instrument: self.order.instrument,
            side: self.order.side,
            algo: self.order.algo,
            all_venues: self.is_routed(),
            state: self.state,
            end: self.end,
            refusal: self.refusal,
            gate: self.gate,
            at: now,
            began: self.began,
            until: self.plan.until,
            total: self.order.total,
            limit: self.order.limit,
            filled: tally.filled(),
            open: tally.open(),
            left: tally.left(),
            over: tally.over(),
            cost: self.cost,
            arrival_x2: self.arrival_x2,
            market_qty: self.market_qty,
            market_cost: self.market_cost,
            children: self.children,
            fills: self.fills,
            refused: self.refused,
            missed: self.missed,
        }
    }

    /// What is new since the last time, if anything is.
    pub(crate) fn tell(&mut self, now: Nanos) -> Option<ParentReport> {
        self.changed.then(|| {
            (self.changed, self.told) = (false, now);
            self.report(now)
        })
    }

    /// It has not been told: it will be the next time.
    pub(crate) const fn untold(&mut self) {
        self.changed = true;
    }
}

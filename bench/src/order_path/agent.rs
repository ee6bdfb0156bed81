//! The agent in front of the path: intents by the clock.

use bot4_lanes::{Agent, Fault, Probe, Rx, Tx};
use bot4_types::{
    AccountReport, BookState, Cause, Instrument, Mark, Nanos, OrderAction, OrderId, OrderIntent,
    OrderKind, ParentId, Price, Qty, Side, StrategyId, Tif, Trail,
};

use super::Load;
use super::site::Site;

/// From the session to the first intent: the journal has its helpers, the caches are warm.
const SETTLE: Nanos = Nanos::from_millis(200);
/// A mark is younger than this.
const MARK_EVERY: Nanos = Nanos::from_millis(100);
/// An intent is good for this long.
const GOOD_FOR: Nanos = Nanos::from_secs(5);

/// Orders after which those that take change sides, and those without any before.
const SPELL: u64 = 4_096;
const PAUSE: u64 = 1_024;

/// Pushes one intent whenever one is due.
pub(super) struct Schedule {
    intents: Tx<OrderIntent>,
    marks: Tx<Mark>,
    account: Rx<AccountReport>,
    instrument: Instrument,
    price: i64,
    pace_ns: u64,
    /// Orders of a burst, and those of the present one that were made.
    burst: u32,
    made: u32,
    taking: u64,
    left: u64,
    next: OrderId,
    due: Option<Nanos>,
    marked: Nanos,
}

impl Schedule {
    pub(super) fn new(
        site: &Site,
        load: Load,
        intents: Tx<OrderIntent>,
        marks: Tx<Mark>,
        account: Rx<AccountReport>,
    ) -> Self {
        Self {
            intents,
            marks,
            account,
            instrument: *site.instrument(),
            price: site.price(),
            pace_ns: load.pace_ns(),
            burst: load.burst,
            made: 0,
            taking: load.taking,
            left: load.orders,
            next: OrderId(1),
            due: None,
            marked: Nanos::ZERO,
        }
    }

    fn mark(&mut self, now: Nanos) {
        let tick = self.instrument.tick;
        let mark = Mark {
            bid: self.price - tick,
            ask: self.price + tick,
            micro: self.price,
            last_trade: self.price,
            at: now,
            instrument: self.instrument.id,
            state: BookState::Live,
        };
        // The next one finds room.
        let _ = self.marks.push(mark);
        self.marked = now;
    }

    /// Half a per cent away from the touch, on both sides in turn, so that it takes nothing; or
    /// half as far through it. Those that take are on one side for a while, then on the other, with
    /// a pause between, so that none meets another one of ours.
    fn intent(&self, due: Nanos) -> OrderIntent {
        let number = self.next.0;
        let (spell, within) = (number / SPELL, number % SPELL);
        let takes = self.taking > 0 && within >= PAUSE && within.is_multiple_of(self.taking);
        let buys = if takes { spell.is_multiple_of(2) } else { number.is_multiple_of(2) };
        let side = if buys { Side::Buy } else { Side::Sell };
        let tick = self.instrument.tick;
        let far = if takes { -(self.price / 400) } else { self.price / 200 };
        let away = far / tick * tick;
        let lots = if takes { 10 } else { 100 };
        OrderIntent {
            trail: Trail::start(due),
            order: self.next,
            price: Price(self.price - side.sign() * away),
            qty: Qty(lots * self.instrument.lot),
            stop_ticks: 1_000,
            instrument: self.instrument.id,
            strategy: StrategyId(0),
            cause: Cause::Market,
            expires: due + GOOD_FOR,
            action: OrderAction::Place,
            kind: OrderKind::Limit,
            tif: Tif::Ioc,
            trigger: Price(0),
            until: Nanos::MAX,
            reduce_only: false,
            parent: ParentId::NONE,
            side,
        }
    }
}

impl Agent for Schedule {
    fn role(&self) -> &'static str {
        "schedule"
    }

    fn work(&mut self, now: Nanos, _: &mut Probe) -> Result<usize, Fault> {
        while let Some(report) = self.account.pop() {
            if let AccountReport::Session { ready: true, .. } = report {
                self.due.get_or_insert(now + SETTLE);
            }
        }
        if now.since(self.marked) >= MARK_EVERY || self.marked == Nanos::ZERO {
            self.mark(now);
        }
        let mut done = 0;
        while let Some(due) = self.due.filter(|due| *due <= now && self.left > 0)
            && self.intents.room() > 0
        {
            let intent = self.intent(due);
            // Room was asked for.
            let _ = self.intents.push(intent);
            self.made += 1;
            if self.made == self.burst {
                (self.made, self.due) = (0, Some(due + Nanos(self.pace_ns)));
            }
            self.next = OrderId(self.next.0 + 1);
            self.left -= 1;
            done += 1;
        }
        Ok(done)
    }
}

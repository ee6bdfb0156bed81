//! What a strategy can do.

use bot4_lanes::Probe;
use bot4_types::{
    CommandId, InstrumentId, Nanos, ParentAction, ParentId, ParentOrder, ParentRefusal,
    ParentReport, Price, Qty, Side, StrategyId, WorkRefusal, WorkReport,
};

use crate::command::Command;

use crate::router::{Armed, Bracket, Oco, OtherLeg, Router};
use crate::slot::{Origin, Style, Wish};

/// What became of a wish. It may be ignored: a refused wish is counted and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands so already, was sent, or will be as soon as what is in its way has ended.
    Accepted,
    /// A take of this strategy in this instrument is still on its way.
    Busy,
    /// Not now: stopping, session not ready, book not live, or instrument not tradable.
    Closed,
    /// A stop is closing this strategy's position in the instrument, or has just done so.
    Stopped,
    /// After a refusal the slot pauses for some milliseconds.
    BackOff,
    /// Price outside the instrument's bounds.
    PriceBounds,
    /// Quantity below the minimum after rounding to the lot.
    SizeMin,
    /// Quantity above the maximum.
    SizeMax,
    /// Price times quantity below the minimum.
    NotionalMin,
    /// Price times quantity above the maximum.
    NotionalMax,
    /// The order may only reduce, and the strategy holds nothing that it would.
    NothingHeld,
}

/// Where a position is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// With a loss.
    pub stop: Price,
    /// With a profit.
    pub target: Price,
}

/// The time and the stamper of a turn.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub now: Nanos,
    pub probe: &'a Probe,
}

/// What a strategy can do in one instrument during one callback. Wishes are worked at once when
/// nothing is in their way; what cannot be sent now is sent in a later turn. No call allocates.
pub struct Actions<'a> {
    router: &'a mut Router,
    turn: Turn<'a>,
    origin: Origin,
    strategy: StrategyId,
    instrument: InstrumentId,
    reduce_only: bool,
}

impl<'a> Actions<'a> {
    pub(crate) const fn new(
        router: &'a mut Router,
        turn: Turn<'a>,
        origin: Origin,
        strategy: StrategyId,
        instrument: InstrumentId,
    ) -> Self {
        Self { router, turn, origin, strategy, instrument, reduce_only: false }
    }

    /// Wants exactly one post-only order of `qty` at `price` resting on `side`, good until
    /// cancelled. What rests there already is replaced when price or quantity differ. The price
    /// is rounded away from the touch, the quantity down. A refused wish leaves the old one.
    ///
    /// The wish is spent when its order ends by a fill or a refusal: the strategy decides anew.
    pub fn quote(&mut self, side: Side, price: Price, qty: Qty) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = self.wish(price, qty, Style::Quote);
        self.router.quote(key, side, wish, self.origin, self.turn)
    }

    /// As [`quote`](Self::quote), good till `until`: then the router withdraws it by itself,
    /// whatever the venue knows of dates.
    pub fn quote_until(&mut self, side: Side, price: Price, qty: Qty, until: Nanos) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = Wish { until, ..self.wish(price, qty, Style::Quote) };
        self.router.quote(key, side, wish, self.origin, self.turn)
    }

    /// As [`quote`](Self::quote), but what rests is amended where venue and order allow it, in one
    /// request: less quantity keeps its place in the queue, any other change is made while nothing
    /// is filled. Where an amend cannot be it is a cancel and a placement, as with a quote.
    pub fn amend(&mut self, side: Side, price: Price, qty: Qty) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = Wish { amends: true, ..self.wish(price, qty, Style::Quote) };
        self.router.quote(key, side, wish, self.origin, self.turn)
    }

    /// The same with orders that may only reduce what the strategy holds (reduce-only): a wish is
    /// cut to what is held, the gate lets none pass that could do more, and nothing beside it that
    /// could make it do more while it is open.
    pub const fn reducing(&mut self) -> Actions<'_> {
        Actions {
            router: &mut *self.router,
            turn: self.turn,
            origin: self.origin,
            strategy: self.strategy,
            instrument: self.instrument,
            reduce_only: true,
        }
    }

    const fn wish(&self, price: Price, qty: Qty, style: Style) -> Wish {
        Wish { reduce_only: self.reduce_only, ..Wish::stated(price, qty, style) }
    }

    /// What rests on both sides: bid, ask.
    #[must_use]
    pub fn resting(&self) -> [Option<crate::Open>; 2] {
        self.router.quotes((self.strategy, self.instrument))
    }

    /// Waits for the market to turn against a trade on `side`, then takes up to `qty` at `limit` or
    /// better (stop-loss limit, IOC): a buy when the price rises to `trigger`, a sell when it falls
    /// to it. At the venue where the strategy's stops are native and the instrument takes them,
    /// else here, where it lasts no longer than the run. One stop or target of its own for each
    /// strategy and instrument; another one on the same side replaces it.
    pub fn stop(&mut self, side: Side, trigger: Price, limit: Price, qty: Qty) -> Verdict {
        self.arm(side, trigger, limit, qty, Style::Stop)
    }

    /// As [`stop`](Self::stop), for a price on the other side of the market (take-profit limit): a
    /// buy when it falls to `trigger`, a sell when it rises to it. At the venue, what `limit` does
    /// not take rests there; here it expires.
    pub fn take_profit(&mut self, side: Side, trigger: Price, limit: Price, qty: Qty) -> Verdict {
        self.arm(side, trigger, limit, qty, Style::Target)
    }

    fn arm(&mut self, side: Side, trigger: Price, limit: Price, qty: Qty, style: Style) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = Wish { trigger, ..self.wish(limit, qty, style) };
        self.router.arm(key, side, wish, self.origin, self.turn)
    }

    /// Withdraws the strategy's own stop or target, and what is linked to it.
    pub fn pull_stop(&mut self) {
        self.router.disarm((self.strategy, self.instrument), self.origin, self.turn);
    }

    /// The strategy's own stop or target.
    #[must_use]
    pub fn armed(&self) -> Option<Armed> {
        self.router.armed((self.strategy, self.instrument))
    }

    /// Wants one of two orders (one cancels the other): the first fill of either withdraws the
    /// other. What both fill in the meantime is counted, and where they are on one side the second
    /// fill is given back by an order that only reduces. One pair at a time for each strategy and
    /// instrument, and nothing else in its places.
    pub fn oco(&mut self, oco: &Oco) -> Verdict {
        let other = match oco.other {
            OtherLeg::Quote { price } => self.wish(price, oco.qty, Style::Quote),
            OtherLeg::Stop { trigger, limit, .. } => {
                Wish { trigger, ..self.wish(limit, oco.qty, Style::Stop) }
            }
        };
        let wishes = [self.wish(oco.price, oco.qty, Style::Quote), other];
        let key = (self.strategy, self.instrument);
        self.router.link(key, oco, wishes, self.origin, self.turn)
    }

    /// Two linked orders are not over, or what both filled is being given back.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.router.has_link((self.strategy, self.instrument))
    }

    /// Takes up to the quantity at the limit or better, and leaves what it made at the stop or at
    /// the target, whichever the market reaches first (bracket). Both exits cover the strategy's
    /// whole position in the instrument and tighten only; one lies at the venue where the
    /// strategy's exits are native, the other is guarded: never both, so never more than is held.
    pub fn bracket(&mut self, side: Side, qty: Qty, limit: Price, exits: Exit) -> Verdict {
        let [low, high] = match side {
            Side::Buy => [exits.stop, exits.target],
            Side::Sell => [exits.target, exits.stop],
        };
        if low.0 <= 0 || low >= limit || limit >= high {
            return Verdict::PriceBounds;
        }
        let bracket = Some(Bracket { stop: exits.stop.0, target: exits.target.0 });
        let wish = Wish { bracket, ..self.wish(limit, qty, Style::Ioc) };
        let key = (self.strategy, self.instrument);
        self.router.take(key, side, wish, self.origin, self.turn)
    }

    /// Wants nothing resting on `side`.
    pub fn pull(&mut self, side: Side) {
        self.router.pull((self.strategy, self.instrument), side, self.origin, self.turn);
    }

    /// Wants nothing resting on either side, and no stop of its own.
    pub fn cancel_all(&mut self) {
        self.pull(Side::Buy);
        self.pull(Side::Sell);
        self.pull_stop();
    }

    /// Takes up to `qty` at `limit` or better, now (IOC). One at a time for each strategy and
    /// instrument. Own quotes in its way, of any strategy, are cancelled first.
    pub fn take(&mut self, side: Side, qty: Qty, limit: Price) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = self.wish(limit, qty, Style::Ioc);
        self.router.take(key, side, wish, self.origin, self.turn)
    }

    /// As [`take`](Self::take), but all of `qty` or nothing (FOK).
    pub fn take_whole(&mut self, side: Side, qty: Qty, limit: Price) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = self.wish(limit, qty, Style::Fok);
        self.router.take(key, side, wish, self.origin, self.turn)
    }

    /// Takes `qty` at what the market gives (market order). `worst` is the price it is decided on:
    /// the gate holds it against the collar and reserves for it with the configured slippage, but
    /// the venue does not know it: where the price must not be worse, [`take`](Self::take) is the
    /// way.
    pub fn take_market(&mut self, side: Side, qty: Qty, worst: Price) -> Verdict {
        let key = (self.strategy, self.instrument);
        let wish = self.wish(worst, qty, Style::Market);
        self.router.take(key, side, wish, self.origin, self.turn)
    }

    /// Begins a parent order of this strategy in this instrument, which the router works by
    /// children (TWAP, VWAP, POV, iceberg, pegged); its name and account are set here.
    ///
    /// # Errors
    /// Why it is not begun.
    pub fn begin(&mut self, order: ParentOrder) -> Result<ParentId, ParentRefusal> {
        let (id, strategy, instrument) = (ParentId::NONE, self.strategy, self.instrument);
        let order = ParentOrder { id, strategy, instrument, ..order };
        self.router.begin_parent(order, self.turn)
    }

    /// Holds, resumes or cancels a parent of this strategy; false when it has none alive with this
    /// name: what a person or another strategy began is not its own.
    pub fn act(&mut self, id: ParentId, action: ParentAction) -> bool {
        let own = self.parent(id).is_some_and(|p| p.strategy == self.strategy);
        own && id.is_by_strategy() && self.router.act_on_parent(id, action, self.turn)
    }

    /// Where a parent stands, while the router remembers it: as long as it lives, and then until
    /// its place is needed.
    #[must_use]
    pub fn parent(&self, id: ParentId) -> Option<ParentReport> {
        self.router.parent(id, self.turn.now)
    }

    /// Gives `command` by name: the router follows what becomes of it, the journal keeps it, and
    /// [`undo`](Self::undo) takes it back. It is worked like the wish that it states.
    ///
    /// # Errors
    /// Why it is not begun; that is told, too.
    pub fn command(&mut self, command: Command) -> Result<CommandId, WorkRefusal> {
        let key = (self.strategy, self.instrument);
        self.router.command_of_strategy(key, command, self.origin, self.turn)
    }

    /// Takes back a command of this strategy by the change the other way, which is a command
    /// itself. Only what came true and to which nothing has happened since.
    ///
    /// # Errors
    /// Why it is not taken back.
    pub fn undo(&mut self, id: CommandId) -> Result<CommandId, WorkRefusal> {
        self.router.undo_of_strategy(self.strategy, id, self.origin, self.turn)
    }

    /// What became of a command, while the router remembers it.
    #[must_use]
    pub fn outcome(&self, id: CommandId) -> Option<WorkReport> {
        self.router.command_report(id)
    }

    /// The same in another instrument, for strategies that trade several against each other.
    /// `None` for an instrument that is not in the table.
    pub fn on(&mut self, instrument: InstrumentId) -> Option<Actions<'_>> {
        self.router.knows(instrument).then_some(Actions {
            router: self.router,
            turn: self.turn,
            origin: self.origin,
            strategy: self.strategy,
            instrument,
            reduce_only: self.reduce_only,
        })
    }
}

//! A strategy that uses every kind of order in turn. A test aid: what no configured strategy asks
//! for (orders good till a time, two of which one cancels the other, brackets, stops of its own,
//! orders that only reduce) is then seen in an engine that runs, at every venue.
//!
//! A function of the timer's beats and the touch alone, so that a replay does the same.

use bot4_signals::{Actions, Exit, Oco, OtherLeg, Strategy, View};
use bot4_types::{InstrumentTable, Nanos, Price, Qty, Side};

/// Beats of the timer for each act.
const BEATS: u32 = 6;
/// Worth of an order, quote units.
const WORTH: f64 = 300.0;
/// An order good till a time lives so long.
const TILL: Nanos = Nanos::from_millis(250);

/// See the module.
pub(super) struct Every {
    /// Beats so far, by instrument.
    beats: Vec<u32>,
}

/// What it sees and asks for at one beat.
struct Beat {
    bid: i64,
    ask: i64,
    tick: i64,
    qty: Qty,
    held: i64,
}

impl Every {
    pub(super) const fn new() -> Self {
        Self { beats: Vec::new() }
    }
}

impl Strategy for Every {
    fn name(&self) -> &'static str {
        "every"
    }

    fn start(&mut self, table: &InstrumentTable) {
        self.beats = vec![0; table.all().len()];
    }

    fn on_top(&mut self, _: &View<'_>, _: &mut Actions<'_>) {}

    fn on_timer(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        let Some(beats) = self.beats.get_mut(view.instrument().id.index()) else { return };
        let (act, beat) = (*beats / BEATS, *beats % BEATS);
        *beats += 1;
        let see = Beat {
            bid: view.bid().price,
            ask: view.ask().price,
            tick: view.instrument().tick.max(1),
            qty: view.qty_worth(WORTH),
            held: view.position().0,
        };
        if beat == 0 {
            return orders.cancel_all();
        }
        match act % 7 {
            0 => see.till(beat, view.now(), orders),
            1 => see.amends(beat, orders),
            2 => see.one_cancels_the_other(beat, orders),
            3 => see.quote_or_stop(beat, orders),
            4 => see.bracket(beat, orders),
            5 => see.reduces(beat, orders),
            _ => see.own_stop(beat, orders),
        }
    }
}

impl Beat {
    /// And beside it a stop that nothing triggers.
    fn till(&self, beat: u32, now: Nanos, orders: &mut Actions<'_>) {
        if beat == 1 {
            let price = Price(self.bid - 30 * self.tick);
            orders.quote_until(Side::Buy, price, self.qty, now + TILL);
        }
        if beat == 2 {
            // So far away that it is withdrawn as it was placed.
            let (trigger, limit) = (self.below(self.bid, 50), self.below(self.bid, 45));
            orders.stop(Side::Sell, trigger, limit, self.qty);
        }
    }

    /// Rests, then less of it, then elsewhere.
    fn amends(&self, beat: u32, orders: &mut Actions<'_>) {
        let resting = orders.resting()[Side::Buy.index()];
        match (beat, resting) {
            (1, _) => {
                orders.amend(Side::Buy, Price(self.bid - 40 * self.tick), self.qty);
            }
            (3, Some(open)) => {
                orders.amend(Side::Buy, open.price, Qty(open.qty.0 / 4 * 3));
            }
            (5, Some(open)) => {
                orders.amend(Side::Buy, Price(open.price.0 - 10 * self.tick), open.qty);
            }
            _ => {}
        }
    }

    fn one_cancels_the_other(&self, beat: u32, orders: &mut Actions<'_>) {
        if beat == 1 {
            let other = OtherLeg::Quote { price: Price(self.ask) };
            orders.oco(&Oco { side: Side::Buy, price: Price(self.bid), qty: self.qty, other });
        }
    }

    fn quote_or_stop(&self, beat: u32, orders: &mut Actions<'_>) {
        if beat == 1 {
            let (trigger, limit) = (Price(self.bid - 20 * self.tick), self.below(self.bid, 500));
            let other = OtherLeg::Stop { side: Side::Sell, trigger, limit };
            let price = Price(self.ask + 3 * self.tick);
            orders.oco(&Oco { side: Side::Sell, price, qty: self.qty, other });
        }
    }

    fn bracket(&self, beat: u32, orders: &mut Actions<'_>) {
        if beat == 1 {
            let limit = Price(self.ask + self.ask / 2_000);
            let target = Price(self.ask + self.ask / 500);
            let exits = Exit { stop: self.below(self.bid, 500), target };
            orders.bracket(Side::Buy, self.qty, limit, exits);
        }
    }

    /// What it holds goes by an order that only reduces; all of an order or nothing first, and
    /// again where nothing is held after it, so that there is something to reduce.
    fn reduces(&self, beat: u32, orders: &mut Actions<'_>) {
        let near = Price(self.ask + self.ask / 2_000);
        match (beat, self.held) {
            (1, _) | (3.., 0) => {
                orders.take_whole(Side::Buy, self.qty, near);
            }
            (3.., held) if held > 0 => {
                orders.reducing().quote(Side::Sell, Price(self.ask), Qty(held));
            }
            (3.., held) => {
                orders.reducing().quote(Side::Buy, Price(self.bid), Qty(-held));
            }
            _ => {}
        }
    }

    /// A stop just behind the market.
    fn own_stop(&self, beat: u32, orders: &mut Actions<'_>) {
        if beat == 1 {
            let trigger = Price(self.bid - 2 * self.tick);
            orders.stop(Side::Sell, trigger, self.below(self.bid, 500), self.qty);
        }
    }

    /// `price` less one part in `parts`, on the tick.
    fn below(&self, price: i64, parts: i64) -> Price {
        Price(price - price / parts).to_tick(self.tick, Side::Buy)
    }
}

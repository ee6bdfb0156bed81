//! Any order that a strategy can ask for, near the touch: what the simulator's sweeps are for.

use bot4_signals::{Actions, Exit, Oco, OtherLeg, View};
use bot4_types::rng::SplitMix64;
use bot4_types::{Nanos, Price, Qty, Side};

/// Prices a few spreads around the touch.
struct Around {
    bid: i64,
    ask: i64,
    spread: i64,
}

impl Around {
    /// So many spreads from the touch, away from `side` of the book.
    const fn behind(&self, side: Side, spreads: i64) -> Price {
        match side {
            Side::Buy => Price(self.bid - spreads * self.spread),
            Side::Sell => Price(self.ask + spreads * self.spread),
        }
    }

    /// So many spreads through the touch that an order on `side` would take.
    const fn through(&self, side: Side, spreads: i64) -> Price {
        match side {
            Side::Buy => Price(self.ask + spreads * self.spread),
            Side::Sell => Price(self.bid - spreads * self.spread),
        }
    }
}

/// Asks for one.
pub fn ask(dice: &mut SplitMix64, view: &View<'_>, orders: &mut Actions<'_>) {
    let (bid, ask) = (view.bid().price, view.ask().price);
    let around = Around { bid, ask, spread: (ask - bid).max(view.instrument().tick) };
    let side = if dice.below(2) == 0 { Side::Buy } else { Side::Sell };
    let qty = view.qty_worth(20.0 + dice.below(200) as f64);
    let away = 1 + dice.below(4) as i64;
    match dice.below(14) {
        0..=2 => _ = orders.amend(side, around.behind(side, away), qty),
        3 => {
            let until = view.now() + Nanos::from_millis(dice.below(400));
            orders.quote_until(side, around.behind(side, away), qty, until);
        }
        4 => _ = orders.take_whole(side, qty, around.through(side, 1)),
        5 => _ = orders.take_market(side, qty, around.through(side, 1)),
        6 => orders.cancel_all(),
        7 => _ = orders.reducing().take(side, qty, around.through(side, 2)),
        8 => _ = orders.reducing().quote(side, around.behind(side, 1), qty),
        kind => waiting(kind, side, away, qty, &around, orders),
    }
}

/// Orders that wait, and those that are linked.
fn waiting(kind: u64, side: Side, away: i64, qty: Qty, around: &Around, orders: &mut Actions<'_>) {
    let (near, far) = (around.through(side, away), around.through(side, away + 3));
    let better = around.behind(side, away);
    match kind {
        9 => _ = orders.stop(side, near, far, qty),
        10 => _ = orders.take_profit(side, better, around.behind(side, away - 1), qty),
        11 => {
            let exits = Exit { stop: better, target: around.through(side, away + 4) };
            orders.bracket(side, qty, around.through(side, 1), exits);
        }
        _ => {
            let stop = OtherLeg::Stop { side, trigger: near, limit: far };
            let quote = OtherLeg::Quote { price: around.behind(side.opposite(), away) };
            let other = if kind == 12 { stop } else { quote };
            orders.oco(&Oco { side, price: better, qty, other });
        }
    }
}

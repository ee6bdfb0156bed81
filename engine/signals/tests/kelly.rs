//! Sizes by edge and variance under what risk leaves: what a strategy sees, and what the EMA-cross
//! taker does with it.

mod rig;

use std::sync::{Arc, Mutex};

use bot4_signals::strategy::{EmaCross, EmaCrossParams};
use bot4_signals::{Actions, Strategy, View};
use bot4_types::{AccountReport, Headroom, InstrumentId, OrderState, Price, Qty, ReportKind, Side};
use rig::{ONE, Rig};

/// Equity 100,000; a unit worth 100; everything wide but the position.
fn headroom(position: f64) -> Headroom {
    Headroom {
        instrument: InstrumentId(0),
        equity: 100_000.0,
        unit_value: 100.0 / ONE as f64,
        position: [position; 2],
        shortfall: f64::MAX,
        unit_shortfall: [0.02; 2],
        correlation: 0.0,
        correlation_max: 0.7,
        drawdown_scale: 1.0,
        sigma: 0.000_1,
    }
}

/// What a strategy was told it may hold, long and short.
#[derive(Clone, Default)]
struct Asks(Arc<Mutex<Vec<(Qty, Qty)>>>);

impl Strategy for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        let ask = |side| view.kelly_qty(side, 0.001, 0.001, 10.0);
        self.0.lock().expect("alone").push((ask(Side::Buy), ask(Side::Sell)));
        if view.position() == Qty(0) {
            let _ = orders.take(Side::Buy, Qty(ONE), Price(view.ask().price));
        }
    }
}

#[test]
fn a_strategy_may_hold_what_risk_leaves_and_what_it_holds() {
    let asks = Asks::default();
    let mut rig = Rig::ready(vec![Box::new(asks.clone())]);
    let told = |asks: &Asks| asks.0.lock().expect("alone").pop().expect("asked");
    let top = |rig: &mut Rig| {
        rig.top(0, 100 * ONE - ONE / 100, 100 * ONE + ONE / 100);
        rig.turn();
    };
    top(&mut rig);
    assert_eq!(told(&asks), (Qty(0), Qty(0)), "before risk told");
    let leave = |rig: &mut Rig, headroom| {
        rig.account.push(AccountReport::Headroom(headroom)).expect("room");
        top(rig);
    };
    leave(&mut rig, headroom(2_000.0));
    assert_eq!(told(&asks), (Qty(20 * ONE), Qty(20 * ONE)));
    leave(&mut rig, Headroom { correlation: 0.35, ..headroom(2_000.0) });
    assert_eq!(told(&asks), (Qty(10 * ONE), Qty(20 * ONE)), "short is no more of the same");
    leave(&mut rig, Headroom { drawdown_scale: 0.0, ..headroom(2_000.0) });
    assert_eq!(told(&asks), (Qty(0), Qty(0)));
    leave(&mut rig, Headroom { sigma: f64::NAN, equity: f64::NAN, ..headroom(2_000.0) });
    assert_eq!(told(&asks), (Qty(0), Qty(0)));
    leave(&mut rig, Headroom { shortfall: 20.0, ..headroom(2_000.0) });
    assert_eq!(told(&asks), (Qty(10 * ONE), Qty(10 * ONE)), "20 of shortfall at 2 % a unit");

    let order = rig.sent()[0];
    let (fill, filled) = (ReportKind::Fill, OrderState::Filled);
    let bought = rig::report(&order, fill, filled, order.qty, Qty(3 * ONE), rig.now);
    rig.account.push(bought).expect("room");
    leave(&mut rig, headroom(2_000.0));
    assert_eq!(told(&asks), (Qty(23 * ONE), Qty(20 * ONE)), "what it holds is room, too");
}

fn taker(kelly: bool) -> Rig {
    let params = EmaCrossParams {
        position_worth: 5_000.0,
        band_share: 0.1,
        warm_up: 2,
        kelly,
        ..EmaCrossParams::default()
    };
    Rig::ready(vec![Box::new(EmaCross::new(params))])
}

/// Prices fall, then rise until the averages cross upwards.
fn cross(rig: &mut Rig) {
    for step in (0..20).chain((0..20).rev()).chain([0; 20]) {
        let bid = 100 * ONE - step * ONE / 10 + ONE / 2;
        rig.top(0, bid, bid + ONE / 100);
        rig.after(300);
    }
}

#[test]
fn the_taker_holds_the_least_of_worth_kelly_and_caps() {
    let first = |kelly: bool, left: Option<Headroom>| {
        let mut rig = taker(kelly);
        if let Some(left) = left {
            rig.account.push(AccountReport::Headroom(left)).expect("room");
        }
        cross(&mut rig);
        let sent = rig.sent();
        sent.first().map(|intent| intent.qty)
    };
    let fixed = first(false, None).expect("a cross");
    assert!(fixed > Qty(49 * ONE), "{fixed:?}");
    assert_eq!(first(true, None), None, "nothing without risk's word");
    assert_eq!(first(true, Some(headroom(1e9))), Some(fixed), "a strong edge: the worth binds");
    let capped = first(true, Some(headroom(1_000.0))).expect("a cross");
    assert_eq!(capped, Qty(10 * ONE), "the position limit binds");
    // A variance a million times larger: Kelly itself binds.
    let wild = Headroom { sigma: 0.1, ..headroom(1e9) };
    let kelly = first(true, Some(wild)).expect("a cross");
    assert!(kelly > Qty(0) && kelly < fixed, "{kelly:?}");
    assert_eq!(first(true, Some(Headroom { drawdown_scale: 0.0, ..headroom(1e9) })), None);
}

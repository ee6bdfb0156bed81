//! The two strategies with their defaults in a small lively market: enough orders and fills,
//! bounded positions, and the same intents for the same inputs.

mod rig;

use bot4_signals::strategy;
use bot4_types::rng::SplitMix64;
use bot4_types::{
    Cause, Level, Nanos, OrderAction, OrderIntent, OrderKind, OrderState, Qty, ReportKind, Side,
};
use rig::{MARKETS, ONE, Rig};

/// A market that walks at random: tops and takers arrive at about 30 and 3 a second.
struct Walk {
    rng: SplitMix64,
    /// Middle and half spread of each instrument, in ticks.
    middle: [i64; MARKETS.len()],
    half: [i64; MARKETS.len()],
}

impl Walk {
    fn new(seed: u64) -> Self {
        let ticks = MARKETS.map(|(_, price, tick, _)| price / tick);
        // Spreads of about two hundredths of a percent, one tick at least on either side.
        Self { rng: SplitMix64::new(seed), middle: ticks, half: ticks.map(|t| t / 10_000 + 1) }
    }

    fn touch(&self, i: usize) -> (i64, i64) {
        let tick = MARKETS[i].2;
        ((self.middle[i] - self.half[i]) * tick, (self.middle[i] + self.half[i]) * tick)
    }

    /// One step of instrument `i`; sizes lean in the direction of the next step.
    fn step(&mut self, i: usize) -> (Level, Level) {
        let move_max = (self.middle[i] / 20_000).max(1);
        self.middle[i] += self.rng.below(2 * move_max as u64 + 1) as i64 - move_max;
        let (bid, ask) = self.touch(i);
        let mut qty = || 1 + self.rng.below(10 * ONE as u64) as i64;
        (Level { price: bid, qty: qty() }, Level { price: ask, qty: qty() })
    }
}

/// An order that rests at the venue.
struct Resting {
    intent: OrderIntent,
}

struct Session {
    rig: Rig,
    walk: Walk,
    resting: Vec<Resting>,
    positions: [[i64; MARKETS.len()]; 2],
    fills: usize,
    sent: Vec<OrderIntent>,
}

impl Session {
    fn new(seed: u64) -> Self {
        // Those that decide for themselves; the others work one parent order, and have tests.
        let strategies = strategy::ROSTER[..2].iter().map(|(_, make)| make()).collect();
        Self {
            rig: Rig::ready(strategies),
            walk: Walk::new(seed),
            resting: Vec::new(),
            positions: [[0; MARKETS.len()]; 2],
            fills: 0,
            sent: Vec::new(),
        }
    }

    /// One millisecond: market, takers, the agent, the venue's answers.
    fn millisecond(&mut self) {
        for i in 0..MARKETS.len() {
            if self.walk.rng.below(1_000) < 30 {
                let (bid, ask) = self.walk.step(i);
                self.rig.top_sized(i as u16, bid, ask);
            }
            if self.walk.rng.below(1_000) < 3 {
                let side = if self.walk.rng.below(2) == 0 { Side::Buy } else { Side::Sell };
                self.taker(i, side);
            }
        }
        self.rig.after(1);
        for intent in self.rig.sent() {
            rig::assert_lawful(&intent, self.rig.now);
            self.sent.push(intent);
            self.venue(intent);
        }
    }

    /// Somebody takes on `side`: our best quote is hit when it stands at or inside the touch.
    fn taker(&mut self, i: usize, side: Side) {
        let (bid, ask) = self.walk.touch(i);
        let hit = self.resting.iter().position(|r| {
            r.intent.instrument.index() == i
                && match side {
                    Side::Buy => r.intent.side == Side::Sell && r.intent.price.0 <= ask,
                    Side::Sell => r.intent.side == Side::Buy && r.intent.price.0 >= bid,
                }
        });
        if let Some(n) = hit {
            let intent = self.resting.remove(n).intent;
            self.fill(&intent);
        }
    }

    fn venue(&mut self, intent: OrderIntent) {
        let i = intent.instrument.index();
        let (bid, ask) = self.walk.touch(i);
        let through = match intent.side {
            Side::Buy => intent.price.0 >= ask,
            Side::Sell => intent.price.0 <= bid,
        };
        match (intent.action, intent.kind) {
            (OrderAction::Cancel, _) => {
                if let Some(n) = self.resting.iter().position(|r| r.intent.order == intent.order) {
                    let order = self.resting.remove(n).intent;
                    self.say(&order, ReportKind::Done, OrderState::Canceled, Qty(0));
                }
            }
            (OrderAction::Amend, _) => panic!("nobody wishes amends here: {intent:?}"),
            (OrderAction::Place, OrderKind::LimitMaker) if through => {
                self.say(&intent, ReportKind::Done, OrderState::Rejected, Qty(0));
            }
            (OrderAction::Place, OrderKind::LimitMaker) => {
                self.say(&intent, ReportKind::Acked, OrderState::Live, Qty(0));
                self.resting.push(Resting { intent });
            }
            (OrderAction::Place, _) if through => self.fill(&intent),
            (OrderAction::Place, _) => {
                self.say(&intent, ReportKind::Done, OrderState::Expired, Qty(0));
            }
        }
    }

    fn fill(&mut self, intent: &OrderIntent) {
        self.fills += 1;
        self.positions[intent.strategy.0 as usize][intent.instrument.index()] +=
            intent.side.sign() * intent.qty.0;
        self.say(intent, ReportKind::Fill, OrderState::Filled, intent.qty);
    }

    fn say(&mut self, intent: &OrderIntent, kind: ReportKind, state: OrderState, cum: Qty) {
        let position = self.positions[intent.strategy.0 as usize][intent.instrument.index()];
        let report = rig::report(intent, kind, state, cum, Qty(position), self.rig.now);
        self.rig.account.push(report).expect("room");
    }
}

fn run(seed: u64, seconds: u64) -> Session {
    let mut session = Session::new(seed);
    for _ in 0..seconds * 1_000 {
        session.millisecond();
    }
    session
}

#[test]
fn thirty_seconds_send_a_thousand_orders_and_fill_a_hundred() {
    let session = run(7, 30);
    let places: Vec<_> = session.sent.iter().filter(|i| i.action == OrderAction::Place).collect();
    let takes = places.iter().filter(|i| i.kind == OrderKind::Limit).count();
    let by_market = places.iter().filter(|i| i.cause == Cause::Market).count();
    println!(
        "{} orders ({takes} takes, {by_market} caused by the market), {} fills, {} cancels",
        places.len(),
        session.fills,
        session.sent.len() - places.len(),
    );
    assert!(places.len() >= 1_000 && session.fills >= 100 && takes >= 50);
    assert!(by_market * 2 > places.len(), "most orders answer the market");
    // A venue's usual limits would hold: fewer than 100 orders a second.
    assert!(places.len() < 3_000);
    for (strategy, worth) in [(0, 4_500), (1, 700)] {
        for (i, (name, price, _, _)) in MARKETS.iter().enumerate() {
            let held = i128::from(session.positions[strategy][i].abs()) * i128::from(*price);
            let limit = worth * i128::from(ONE) * i128::from(ONE);
            assert!(held <= limit, "{name}: strategy {strategy} holds {held}");
        }
    }
    for (i, (name, ..)) in MARKETS.iter().enumerate() {
        let here = places.iter().filter(|p| p.instrument.index() == i).count();
        assert!(here >= 150, "{name}: only {here} orders");
    }
}

#[test]
fn the_same_inputs_give_the_same_intents() {
    let (a, b, c) = (run(3, 5), run(3, 5), run(4, 5));
    assert!(a.sent.len() > 100);
    assert_eq!(a.sent, b.sent);
    assert_ne!(a.sent, c.sent);
}

#[test]
fn draining_a_lively_session_leaves_nothing_open() {
    let mut session = run(5, 3);
    session.rig.control.drain();
    let before = session.sent.len();
    for _ in 0..200 {
        session.millisecond();
    }
    assert!(session.sent[before..].iter().all(|i| i.action == OrderAction::Cancel));
    assert_eq!((session.resting.len(), session.rig.agent.router().open_orders()), (0, 0));
    assert!(session.rig.now > Nanos::ZERO);
}

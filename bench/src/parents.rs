//! A turn of the signal lane that takes one top while parent orders are alive, beside a plain
//! table of parents that works everything out anew for every one of them on every top.

use std::collections::BTreeMap;
use std::hint::black_box;

use bot4_lanes::{Agent, Control, Metrics, Probe, Rx, Tx, ring};
use bot4_signals::{SignalAgent, SignalConfig, SignalPorts};
use bot4_types::{
    AccountReport, BookOrder, BookState, Deadline, Instrument, InstrumentId, InstrumentTable,
    Level, Nanos, OrderAction, OrderId, OrderIntent, OrderKind, OrderReport, OrderState,
    ParentCommand, ParentId, ParentOrder, Qty, ReportKind, Side, StrategyId, Symbol, Top, TopMsg,
    Trail, Urgency, VenueId,
};

use crate::case::Case;

const INSTRUMENTS: u16 = 4;
const ONE: i64 = 100_000_000;
const BID: i64 = 60_000 * ONE;
const TICK: i64 = ONE / 100;
/// Between two turns.
const STEP: Nanos = Nanos(50_000);
/// Turns until every parent has something resting.
const WARM: u64 = 4_000;

fn order(n: u32) -> ParentOrder {
    let (instrument, hour) = (InstrumentId(n as u16 % INSTRUMENTS), Nanos::from_secs(3_600));
    let side = if n.is_multiple_of(2) { Side::Buy } else { Side::Sell };
    ParentOrder {
        id: ParentId::by_operator(n + 1),
        strategy: StrategyId(0),
        urgency: Urgency::Passive,
        deadline: Deadline::GiveUp,
        ..ParentOrder::twap(instrument, side, Qty(1_000 * ONE), hour)
    }
}

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"] {
        let symbol = Symbol::new(name).unwrap_or_else(|| unreachable!("a short name"));
        let bare = Instrument::bare(InstrumentId(0), symbol, 8);
        let _ = table.push(Instrument { tick: TICK, lot: 1_000, qty_min: Qty(1_000), ..bare });
    }
    table
}

fn top(instrument: u16, n: u64, now: Nanos) -> TopMsg {
    let shift = (n % 7) as i64 * TICK;
    let level = |price| Level { price, qty: 5 * ONE };
    let (bid, ask) = (level(BID + shift), level(BID + shift + 2 * TICK));
    TopMsg::Top(Top {
        trail: Trail::start(now),
        id: n + 1,
        venue_ms: 0,
        bids: Default::default(),
        asks: Default::default(),
        quote_bid: bid,
        quote_ask: ask,
        quote_id: n + 1,
        instrument: InstrumentId(instrument),
        state: BookState::Live,
        reason: Default::default(),
    })
}

/// The engine's agent with so many parents alive. One call is one turn with one top.
pub struct Worked {
    agent: SignalAgent,
    tops: Tx<TopMsg>,
    account: Tx<AccountReport>,
    intents: Rx<OrderIntent>,
    _books: Rx<BookOrder>,
    probe: Probe,
    now: Nanos,
    n: u64,
}

impl Worked {
    /// An agent without strategies that works `parents`.
    ///
    /// # Panics
    /// When it does not begin them.
    #[must_use]
    pub fn new(parents: u32) -> Self {
        let (tops, tops_rx) = ring(64);
        let (account, account_rx) = ring(256);
        let (intents_tx, intents) = ring(256);
        let (books_tx, books) = ring(8);
        let ports = SignalPorts {
            tops: vec![tops_rx],
            account: account_rx,
            intents: intents_tx,
            books: vec![books_tx],
            control: Control::new(),
        };
        let config = SignalConfig::new(Vec::new(), OrderId(1));
        let mut agent = SignalAgent::new(config, table(), ports, &Metrics::in_memory());
        let now = Nanos::from_secs(1);
        assert!(agent.start(now).is_ok());
        let (probe, n) = (Probe::logical(), 0);
        let mut case = Self { agent, tops, account, intents, _books: books, probe, now, n };
        let ready = AccountReport::Session { venue: VenueId(0), ready: true };
        let _ = case.account.push(ready);
        (0..8).for_each(|_| case.turn());
        for n in 0..parents {
            let _ = case.account.push(AccountReport::Parent(ParentCommand::Begin(order(n))));
        }
        for _ in 0..WARM {
            case.turn();
            case.answer();
        }
        let alive = case.agent.router().parents(case.now).count();
        assert_eq!(alive, parents as usize, "all of them are begun");
        case
    }

    fn turn(&mut self) {
        let instrument = (self.n % u64::from(INSTRUMENTS)) as u16;
        let _ = self.tops.push(top(instrument, self.n / 64, self.now));
        self.probe.set(self.now);
        assert!(self.agent.work(self.now, &mut self.probe).is_ok());
        self.n += 1;
        self.now = self.now + STEP;
    }

    /// The venue takes what is asked; nothing fills.
    fn answer(&mut self) {
        while let Some(intent) = self.intents.pop() {
            let (kind, state) = match (intent.action, intent.kind) {
                (OrderAction::Place, OrderKind::LimitMaker) => {
                    (ReportKind::Acked, OrderState::Live)
                }
                (OrderAction::Place, _) => (ReportKind::Done, OrderState::Expired),
                (OrderAction::Amend, _) => (ReportKind::Amended, OrderState::Live),
                (OrderAction::Cancel, _) => (ReportKind::Done, OrderState::Canceled),
            };
            let report = OrderReport {
                at: self.now,
                seq: 0,
                maker: true,
                ..OrderReport::first(&intent, kind, state)
            };
            let _ = self.account.push(AccountReport::Order { report, position: Qty(0) });
        }
    }
}

impl Case for Worked {
    #[inline]
    fn call(&mut self) {
        self.turn();
    }

    fn row_max(&self) -> u64 {
        64
    }

    fn ready(&mut self, wanted: u64) -> u64 {
        wanted.min(64)
    }

    fn settle(&mut self) {
        self.answer();
    }
}

/// A child as the plain table keeps it.
#[derive(Clone, Copy)]
struct Child {
    qty: i64,
    filled: i64,
    alive: bool,
}

/// A parent as a plain table keeps it: everything that ever happened, nothing summed.
struct PlainParent {
    order: ParentOrder,
    began: Nanos,
    children: BTreeMap<u64, Child>,
    resting: f64,
}

/// The plain table. One call is one turn with one top.
pub struct Plain {
    parents: Vec<PlainParent>,
    tops: Tx<TopMsg>,
    taken: Rx<TopMsg>,
    now: Nanos,
    n: u64,
}

impl Plain {
    /// So many parents, each with a short history.
    #[must_use]
    pub fn new(parents: u32) -> Self {
        let (tops, taken) = ring(64);
        let child = |n: u64| (n, Child { qty: ONE, filled: ONE / 2, alive: n == 15 });
        let parent = |n: u32| PlainParent {
            order: order(n),
            began: Nanos::from_secs(1),
            children: (0..16).map(child).collect(),
            resting: 0.0,
        };
        let parents = (0..parents).map(parent).collect();
        // Late enough that every parent is due to rest something.
        Self { parents, tops, taken, now: Nanos::from_secs(60), n: 0 }
    }
}

impl Case for Plain {
    fn call(&mut self) {
        let instrument = (self.n % u64::from(INSTRUMENTS)) as u16;
        let _ = self.tops.push(top(instrument, self.n / 64, self.now));
        let Some(TopMsg::Top(top)) = self.taken.pop() else { return };
        for parent in self.parents.iter_mut().filter(|p| p.order.instrument == top.instrument) {
            let filled: i64 = parent.children.values().map(|c| c.filled).sum();
            let open: i64 =
                parent.children.values().filter(|c| c.alive).map(|c| c.qty - c.filled).sum();
            let total = parent.order.total.0;
            let gone = self.now.since(parent.began).0 as f64 / parent.order.over.0 as f64;
            let due = total as f64 * gone.min(1.0);
            let near = if parent.order.side == Side::Buy { top.quote_bid } else { top.quote_ask };
            let wanted = if filled as f64 + open as f64 <= due { near.price } else { 0 };
            parent.resting = black_box(wanted as f64);
        }
        self.n += 1;
        self.now = self.now + STEP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_alive_and_work() {
        let mut case = Worked::new(64);
        for _ in 0..2_000 {
            case.turn();
            case.answer();
        }
        let router = case.agent.router();
        assert!(router.parents(case.now).all(|p| p.is_exact() && p.open.0 > 0));
        let mut plain = Plain::new(64);
        (0..100).for_each(|_| plain.call());
        assert!(plain.parents.iter().any(|p| p.resting > 0.0));
    }
}

//! The signal agent between hand-held links, and a model of what lies behind them.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};

use bot4_lanes::{Agent, Control, Metrics, Probe, Rx, Tx, ring};
use bot4_signals::{Actions, SignalAgent, SignalConfig, SignalPorts, Strategy, View};
use bot4_types::book::{BookState, StaleReason};
use bot4_types::{
    AccountReport, BookOrder, Instrument, InstrumentId, InstrumentTable, Level, Nanos, OrderAction,
    OrderId, OrderIntent, OrderKind, OrderReport, OrderState, Qty, ReportKind, Side, Symbol, Top,
    TopMsg, TradePrint, Trail,
};

/// One unit of price or quantity text at eight decimals.
pub const ONE: i64 = 100_000_000;
/// Symbol, price, tick, lot.
pub const MARKETS: [(&str, i64, i64, i64); 4] = [
    ("BTCUSDT", 60_000 * ONE, ONE / 100, 1_000),
    ("ETHUSDT", 3_000 * ONE, ONE / 100, 10_000),
    ("SOLUSDT", 150 * ONE, ONE / 100, 100_000),
    ("BNBUSDT", 600 * ONE, ONE / 100, 100_000),
];

pub fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for (name, _, tick, lot) in MARKETS {
        let symbol = Symbol::new(name).expect("short");
        let asset = |table: &mut InstrumentTable, name: &str| {
            table.asset(Symbol::new(name).expect("short")).expect("room")
        };
        let (base, quote) = (asset(&mut table, &name[..3]), asset(&mut table, "USDT"));
        let bare = Instrument::bare(InstrumentId(0), symbol, 8);
        let bare = Instrument { base, quote, ..bare };
        let notional_min = 5 * i128::from(ONE) * i128::from(ONE);
        let instrument = Instrument { tick, lot, qty_min: Qty(lot), notional_min, ..bare };
        table.push(instrument).expect("room");
    }
    table
}

/// The agent and the other ends of its links.
pub struct Rig {
    pub agent: SignalAgent,
    pub tops: Tx<TopMsg>,
    pub account: Tx<AccountReport>,
    pub intents: Rx<OrderIntent>,
    pub books: Rx<BookOrder>,
    pub control: Control,
    pub metrics: Metrics,
    pub probe: Probe,
    pub now: Nanos,
    /// What the strategy holds, by the fills told with [`Rig::fill`].
    pub held: Qty,
    id: u64,
}

impl Rig {
    pub fn new(strategies: Vec<Box<dyn Strategy>>, intents_room: usize) -> Self {
        Self::with(SignalConfig::new(strategies, OrderId(1)), intents_room)
    }

    pub fn with(config: SignalConfig, intents_room: usize) -> Self {
        Self::over(table(), config, intents_room)
    }

    pub fn over(table: InstrumentTable, config: SignalConfig, intents_room: usize) -> Self {
        let (metrics, control) = (Metrics::in_memory(), Control::new());
        let (tops, tops_rx) = ring(1_024);
        let (account, account_rx) = ring(1_024);
        let (intents_tx, intents) = ring(intents_room);
        let (books_tx, books) = ring(8);
        let ports = SignalPorts {
            tops: vec![tops_rx],
            account: account_rx,
            intents: intents_tx,
            books: vec![books_tx],
            control: control.clone(),
        };
        let mut agent = SignalAgent::new(config, table, ports, &metrics);
        let now = Nanos::from_secs(1);
        agent.start(now).expect("starts");
        let probe = Probe::logical();
        Self {
            agent,
            tops,
            account,
            intents,
            books,
            control,
            metrics,
            probe,
            now,
            held: Qty(0),
            id: 0,
        }
    }

    /// A rig whose session is ready.
    pub fn ready(strategies: Vec<Box<dyn Strategy>>) -> Self {
        let mut rig = Self::new(strategies, 64);
        rig.session(true);
        rig.turn();
        rig
    }

    pub fn session(&mut self, ready: bool) {
        self.account
            .push(AccountReport::Session { venue: bot4_types::VenueId(0), ready })
            .expect("room");
    }

    /// A live top of instrument `i` with these prices and one unit a side.
    pub fn top(&mut self, i: u16, bid: i64, ask: i64) {
        self.top_sized(i, Level { price: bid, qty: ONE }, Level { price: ask, qty: ONE });
    }

    pub fn top_sized(&mut self, i: u16, bid: Level, ask: Level) {
        let top = self.message(i, bid, ask, BookState::Live, StaleReason::None);
        self.tops.push(TopMsg::Top(top)).expect("room");
    }

    /// A live top with two levels a side.
    pub fn top_levels(&mut self, i: u16, bids: [(i64, i64); 2], asks: [(i64, i64); 2]) {
        let level = |(price, qty)| Level { price, qty };
        let (bid, ask) = (level(bids[0]), level(asks[0]));
        let mut top = self.message(i, bid, ask, BookState::Live, StaleReason::None);
        for n in 0..2 {
            (top.bids[n], top.asks[n]) = (level(bids[n]), level(asks[n]));
        }
        self.tops.push(TopMsg::Top(top)).expect("room");
    }

    /// Somebody bought `qty` at `price`.
    pub fn trade(&mut self, i: u16, price: i64, qty: i64) {
        self.id += 1;
        let trade = TradePrint {
            trail: Trail::start(self.now),
            id: self.id,
            price,
            qty,
            venue_ms: 0,
            missed: 0,
            instrument: InstrumentId(i),
            aggressor: Side::Buy,
        };
        self.tops.push(TopMsg::Trade(trade)).expect("room");
    }

    pub fn stale(&mut self, i: u16) {
        let none = Level::default();
        let top = self.message(i, none, none, BookState::Stale, StaleReason::Gap);
        self.tops.push(TopMsg::Top(top)).expect("room");
    }

    fn message(&mut self, i: u16, bid: Level, ask: Level, state: BookState, r: StaleReason) -> Top {
        self.id += 1;
        Top {
            trail: Trail::start(Nanos(self.now.0 - 1_000)),
            id: self.id,
            venue_ms: 0,
            bids: Default::default(),
            asks: Default::default(),
            quote_bid: bid,
            quote_ask: ask,
            quote_id: self.id,
            instrument: InstrumentId(i),
            state,
            reason: r,
        }
    }

    pub fn turn(&mut self) -> usize {
        self.probe.set(self.now);
        self.agent.work(self.now, &mut self.probe).expect("no fault")
    }

    /// Lets time pass and works once.
    pub fn after(&mut self, ms: u64) {
        self.now = self.now + Nanos::from_millis(ms);
        self.turn();
    }

    pub fn sent(&mut self) -> Vec<OrderIntent> {
        std::iter::from_fn(|| self.intents.pop()).collect()
    }

    /// The only intent sent.
    pub fn only(&mut self) -> OrderIntent {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        sent[0]
    }

    /// Sends a report of `intent`'s order and works once.
    pub fn report(&mut self, intent: &OrderIntent, kind: ReportKind, state: OrderState) {
        let told = report(intent, kind, state, Qty(0), self.held, self.now);
        self.account.push(told).expect("room");
        self.turn();
    }

    pub fn ack(&mut self, intent: &OrderIntent) {
        self.report(intent, ReportKind::Acked, OrderState::Live);
    }

    pub fn canceled(&mut self, intent: &OrderIntent) {
        self.report(intent, ReportKind::Done, OrderState::Canceled);
    }

    pub fn count(&self, name: &str) -> u64 {
        self.metrics.total(name)
    }
}

/// Does what it is told at the next top.
pub struct Puppet(pub Strings);

/// Deeds that wait, and what came of the last.
#[derive(Clone, Default)]
pub struct Strings(Arc<Mutex<Option<Deed>>>);

type Deed = Box<dyn FnOnce(&mut Actions<'_>) + Send>;

impl Strategy for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn on_top(&mut self, _: &View<'_>, orders: &mut Actions<'_>) {
        if let Some(deed) = self.0.0.lock().expect("alone").take() {
            deed(orders);
        }
    }
}

impl Rig {
    /// Lets the puppet on `strings` do `deed` at a top with these prices.
    pub fn does<R: Send + 'static>(
        &mut self,
        strings: &Strings,
        (bid, ask): (i64, i64),
        deed: impl FnOnce(&mut Actions<'_>) -> R + Send + 'static,
    ) -> R {
        let answer = Arc::new(Mutex::new(None));
        let told = answer.clone();
        let deed = move |orders: &mut Actions<'_>| {
            *told.lock().expect("alone") = Some(deed(orders));
        };
        *strings.0.lock().expect("alone") = Some(Box::new(deed));
        self.top(0, bid, ask);
        self.turn();
        let answer = answer.lock().expect("alone").take();
        answer.expect("the strategy was called")
    }

    /// A fill of so much of `intent`'s order at its price, and the position after it.
    pub fn fill(&mut self, intent: &OrderIntent, qty: i64, position: i64, state: OrderState) {
        self.held = Qty(position);
        let told = report(intent, ReportKind::Fill, state, Qty(qty), Qty(position), self.now);
        let AccountReport::Order { report, position } = told else { unreachable!("an order's") };
        let report = OrderReport { last_qty: Qty(qty), last_price: intent.price, ..report };
        self.account.push(AccountReport::Order { report, position }).expect("room");
        self.turn();
    }
}

/// A report of `intent`'s order with `cum` filled and the strategy's `position` after it.
pub fn report(
    intent: &OrderIntent,
    kind: ReportKind,
    state: OrderState,
    cum: Qty,
    position: Qty,
    at: Nanos,
) -> AccountReport {
    let report = OrderReport {
        at,
        venue_order: intent.order.0,
        cum_qty: cum,
        seq: 0,
        maker: true,
        ..OrderReport::first(intent, kind, state)
    };
    AccountReport::Order { report, position }
}

/// Everything that holds for every intent, whatever happened before.
pub fn assert_lawful(intent: &OrderIntent, now: Nanos) {
    let table = table();
    let rules = table.get(intent.instrument).expect("in the table");
    assert!(intent.expires > now, "expired when sent");
    if intent.action == OrderAction::Place {
        assert_eq!(intent.price.0 % rules.tick, 0, "off tick: {intent:?}");
        assert_eq!(intent.qty.0 % rules.lot, 0, "off lot: {intent:?}");
        assert!(intent.price.0 > 0 && intent.qty >= rules.qty_min && intent.stop_ticks > 0);
        assert!(bot4_types::notional(intent.price, intent.qty) >= rules.notional_min);
    }
}

/// The key of a slot: strategy, instrument, side of a quote or `None` for a take.
pub fn slot_key(intent: &OrderIntent) -> (u8, u16, Option<Side>) {
    let quote = intent.kind == OrderKind::LimitMaker;
    (intent.strategy.0, intent.instrument.0, quote.then_some(intent.side))
}

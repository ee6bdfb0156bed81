//! The agent `signal`: one turn of the signal lane.

use bot4_lanes::{Agent, Control, Counters, Fault, Metrics, Phase, Probe, Rx, Tx};
use bot4_simd::Kernels;
use bot4_types::limits::STRATEGIES_MAX;
use bot4_types::{
    AccountReport, BookOrder, Cause, HeldPosition, InstrumentId, InstrumentTable, Nanos, OrderId,
    OrderIntent, RouterReport, StaleReason, StrategyId, Top, TopMsg, TradePrint, Trail,
};

use crate::actions::{Actions, Turn};
use crate::counters as c;
use crate::features::{FeatureConfig, Features};
use crate::market::{Market, Seen, View};
use crate::relay::Relay;
use crate::router::{Exits, Key, RouteConfig, Router};
use crate::slot::Origin;
use crate::strategy::Strategy;

/// Account reports taken in one turn.
const REPORTS_BATCH: usize = 256;
/// Messages taken from each book in one turn.
const TOPS_BATCH: usize = 64;

/// What the signal agent runs.
pub struct SignalConfig {
    /// The strategies; a strategy's place is its [`StrategyId`].
    pub strategies: Vec<Box<dyn Strategy>>,
    /// The number of the run's first order.
    pub first_order: OrderId,
    /// Spans of the features.
    pub features: FeatureConfig,
    /// Times and distances of routing.
    pub routing: RouteConfig,
    /// Distance of the protective stop by strategy, in hundredths of a percent of the price; the
    /// routing's where none is said.
    pub stops: Vec<u32>,
    /// How each strategy leaves its positions beside that; guarded stops alone where none is said.
    pub exits: Vec<Exits>,
    /// How often [`Strategy::on_timer`] is called.
    pub timer: Nanos,
    /// What strategies hold from an earlier run.
    pub held: Vec<HeldPosition>,
}

impl SignalConfig {
    /// The usual configuration of these strategies.
    #[must_use]
    pub fn new(strategies: Vec<Box<dyn Strategy>>, first_order: OrderId) -> Self {
        Self {
            strategies,
            first_order,
            features: FeatureConfig::default(),
            routing: RouteConfig::default(),
            stops: Vec::new(),
            exits: Vec::new(),
            timer: Nanos::from_millis(100),
            held: Vec::new(),
        }
    }
}

/// The agent's ends of its links.
#[derive(Debug)]
pub struct SignalPorts {
    /// From each book.
    pub tops: Vec<Rx<TopMsg>>,
    /// From risk. Drained first.
    pub account: Rx<AccountReport>,
    /// To risk.
    pub intents: Tx<OrderIntent>,
    /// To each book: what changed with an instrument.
    pub books: Vec<Tx<BookOrder>>,
    /// The control word.
    pub control: Control,
}

/// Features, strategies and router: see the crate's page.
pub struct SignalAgent {
    strategies: Vec<Box<dyn Strategy>>,
    feature_config: FeatureConfig,
    timer: Nanos,
    held: Vec<HeldPosition>,
    timer_due: Nanos,
    market: Market,
    router: Router,
    tops: Vec<Rx<TopMsg>>,
    account: Rx<AccountReport>,
    relay: Relay,
    /// To control: where parents stand, and what became of commands.
    parents: Option<Tx<RouterReport>>,
    control: Control,
    /// Instruments that moved in this turn, in order of arrival, without repetition.
    moved: Vec<InstrumentId>,
    is_moved: Vec<bool>,
    /// Was live at the last top.
    was_live: Vec<bool>,
    counters: Counters,
}

impl SignalAgent {
    /// The agent over its ports. Its tables are made by [`Agent::start`].
    #[must_use]
    pub fn new(
        config: SignalConfig,
        table: InstrumentTable,
        ports: SignalPorts,
        metrics: &Metrics,
    ) -> Self {
        let counters = metrics.counters("signal", c::NAMES);
        let (routing, first) = (config.routing, config.first_order);
        let leaves = (config.stops, config.exits);
        let router = Router::new(routing, leaves, first, ports.intents, counters);
        let empty = Features::new(config.features, Kernels::best(), 0);
        Self {
            strategies: config.strategies,
            feature_config: config.features,
            timer: config.timer,
            held: config.held,
            timer_due: Nanos::ZERO,
            market: Market::new(table, empty),
            router,
            tops: ports.tops,
            account: ports.account,
            relay: Relay::new(ports.books),
            parents: None,
            control: ports.control,
            moved: Vec::new(),
            is_moved: Vec::new(),
            was_live: Vec::new(),
            counters,
        }
    }

    /// The agent, telling where parent orders stand.
    #[must_use]
    pub fn with_parents(mut self, parents: Tx<RouterReport>) -> Self {
        self.parents = Some(parents);
        self
    }

    /// The router, for the final state of a run.
    #[must_use]
    pub const fn router(&self) -> &Router {
        &self.router
    }

    /// The market as strategies see it.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    fn drain_account(&mut self, turn: Turn<'_>) -> usize {
        let mut done = 0;
        while done < REPORTS_BATCH
            && let Some(report) = self.account.pop()
        {
            done += 1;
            if let AccountReport::Instrument(news) = &report {
                self.market.bind(&news.rules);
                self.relay.hear(news);
            }
            if let AccountReport::Headroom(headroom) = report {
                self.market.leave(&headroom);
                continue;
            }
            if let Some(key) = self.router.account(&report, turn) {
                self.tell(key, &report, turn);
            }
        }
        done
    }

    /// Tells what is new of parents, as far as there is room; nothing waits for it.
    fn tell_parents(&mut self, turn: Turn<'_>) -> usize {
        self.counters.set(c::PARENTS_ALIVE, self.router.parents_alive() as u64);
        let Some(tx) = &mut self.parents else { return 0 };
        let commands =
            self.router.tell_commands(|report| tx.push(RouterReport::Work(report)).is_ok());
        let tell = |report| tx.push(RouterReport::Parent(report)).is_ok();
        commands + self.router.tell_parents(turn.now, tell)
    }

    /// Passes `report` to its strategy.
    fn tell(&mut self, key: Key, report: &AccountReport, turn: Turn<'_>) {
        let view = view_of(&self.market, &self.router, key, turn.now);
        let Some(strategy) = self.strategies.get_mut(key.0.0 as usize) else { return };
        let origin = Origin::other(Cause::Report);
        let mut orders = Actions::new(&mut self.router, turn, origin, key.0, key.1);
        strategy.on_report(report, view.as_ref(), &mut orders);
    }

    fn take_tops(&mut self, turn: Turn<'_>, running: bool) -> usize {
        let mut done = 0;
        for port in 0..self.tops.len() {
            for _ in 0..TOPS_BATCH {
                let Some(message) = self.tops[port].pop() else { break };
                done += 1;
                match message {
                    TopMsg::Top(top) => self.top(&top, turn),
                    TopMsg::Trade(trade) => self.trade(&trade, turn, running),
                }
            }
        }
        done
    }

    fn top(&mut self, top: &Top, turn: Turn<'_>) {
        self.counters.add(c::TOPS, 1);
        let (id, at) = (top.instrument, top.instrument.index());
        let Some(seen) = self.market.apply(top) else {
            return self.counters.add(c::FOREIGN, 1);
        };
        match seen {
            Seen::Dead => self.book_died(id, top.reason, top.trail, turn),
            Seen::Unusable => {
                self.counters.add(c::TOPS_UNUSABLE, 1);
                self.was_live[at] = true;
                self.router.book(id, true, Origin::market(top.trail), turn);
                self.router.touch(id, [0; 2], Origin::market(top.trail), turn);
            }
            Seen::Usable => {
                self.was_live[at] = true;
                let (origin, touch) = (Origin::market(top.trail), [top.quote_bid, top.quote_ask]);
                self.router.book(id, true, origin, turn);
                // Stops before strategies: what they wish here is refused from now on.
                self.router.touch(id, touch.map(|level| level.price), origin, turn);
                self.router.parents_see(id);
                if !self.is_moved[at] {
                    self.is_moved[at] = true;
                    self.moved.push(id);
                }
            }
        }
    }

    fn book_died(&mut self, id: InstrumentId, reason: StaleReason, trail: Trail, turn: Turn<'_>) {
        self.market.features.restart(id.index());
        self.router.book(id, false, Origin::market(trail), turn);
        if std::mem::take(&mut self.was_live[id.index()]) {
            self.counters.add(c::STALE, 1);
            for strategy in &mut self.strategies {
                strategy.on_stale(id, reason);
            }
        }
    }

    fn trade(&mut self, trade: &TradePrint, turn: Turn<'_>, running: bool) {
        self.counters.add(c::TRADES, 1);
        self.counters.add(c::TRADES_MISSED, u64::from(trade.missed));
        if !self.router.knows(trade.instrument) {
            return self.counters.add(c::FOREIGN, 1);
        }
        self.router.parents_trade(trade);
        if running {
            let origin = Origin::market(trade.trail);
            self.each_strategy(trade.instrument, origin, turn, |strategy, view, orders| {
                strategy.on_trade(view, trade, orders);
            });
        }
    }

    /// Features of everything that moved, then the strategies on each of those instruments.
    fn decide(&mut self, turn: Turn<'_>, running: bool) {
        self.market.features.update();
        for n in 0..self.moved.len() {
            let id = self.moved[n];
            self.is_moved[id.index()] = false;
            let Some(trail) = self.market.top(id).map(|top| top.trail) else { continue };
            if running {
                self.each_strategy(id, Origin::market(trail), turn, |strategy, view, orders| {
                    strategy.on_top(view, orders);
                });
            }
        }
        self.moved.clear();
    }

    fn timers(&mut self, turn: Turn<'_>) -> usize {
        if turn.now < self.timer_due {
            return 0;
        }
        self.timer_due = turn.now + self.timer;
        self.counters.add(c::TIMERS, 1);
        for at in 0..self.was_live.len() {
            let origin = Origin::other(Cause::Timer);
            self.each_strategy(InstrumentId(at as u16), origin, turn, |strategy, view, orders| {
                strategy.on_timer(view, orders);
            });
        }
        1
    }

    /// Calls every strategy on `instrument`, if its top may be shown.
    fn each_strategy(
        &mut self,
        instrument: InstrumentId,
        origin: Origin,
        turn: Turn<'_>,
        mut call: impl FnMut(&mut dyn Strategy, &View<'_>, &mut Actions<'_>),
    ) {
        for (n, strategy) in self.strategies.iter_mut().enumerate() {
            let id = StrategyId(n as u8);
            let key = (id, instrument);
            let Some(view) = view_of(&self.market, &self.router, key, turn.now) else { return };
            let mut orders = Actions::new(&mut self.router, turn, origin, id, instrument);
            call(strategy.as_mut(), &view, &mut orders);
        }
    }
}

fn view_of<'a>(market: &'a Market, router: &Router, key: Key, now: Nanos) -> Option<View<'a>> {
    let (position, quotes) = (router.position(key), router.quotes(key));
    View::new(market, key.1, now, position, quotes, router.is_taking(key))
}

impl Agent for SignalAgent {
    fn role(&self) -> &'static str {
        "signal"
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        // One more account is the operator's.
        if self.strategies.len() >= STRATEGIES_MAX {
            let what = format!(
                "{} strategies are configured, {} are possible",
                self.strategies.len(),
                STRATEGIES_MAX - 1
            );
            return Err(Fault { role: "signal", what });
        }
        let table = self.market.table().clone();
        let instruments = table.all().len();
        let features = Features::new(self.feature_config, Kernels::best(), instruments);
        self.market = Market::new(table.clone(), features);
        for strategy in &mut self.strategies {
            strategy.start(&table);
        }
        self.router.reserve(table, self.strategies.len() + 1);
        self.relay.reserve(instruments);
        self.router.take_over(&self.held);
        self.moved = Vec::with_capacity(instruments);
        self.is_moved = vec![false; instruments];
        self.was_live = vec![false; instruments];
        self.timer_due = now + self.timer;
        Ok(())
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        let turn = Turn { now, probe };
        let phase = self.control.phase();
        let running = phase == Phase::Run;
        self.router.obey(phase, turn);
        let mut done = self.drain_account(turn);
        done += self.relay.flush();
        done += self.router.sweep(turn);
        done += self.tell_parents(turn);
        if self.router.room() == 0 {
            self.counters.add(c::BLOCKED_NO_ROOM, 1);
            return Ok(done);
        }
        done += self.take_tops(turn, running);
        self.decide(turn, running);
        if running {
            done += self.timers(turn);
            done += self.router.work_parents(&self.market, turn);
        }
        Ok(done)
    }
}

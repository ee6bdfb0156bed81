//! The execution agent over the memory network, stepped by hand in logical time, a millisecond a
//! step, opposite a scripted venue.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod venue;

use bot4_execution::foreign::Declared;
use bot4_execution::pause::Pause;
use bot4_execution::{BinanceGateway, ExecutionAgent, ExecutionConfig, ExecutionPorts};
use bot4_lanes::{Agent, Control, Fault, Journaled, LogTx, Metrics, Probe, Rx, Tx, ring};
use bot4_types::{
    ApprovedOrder, Cause, ClientId, ExecMsg, Instrument, InstrumentId, InstrumentTable, LogEntry,
    Nanos, OrderAction, OrderId, OrderIntent, OrderKind, OrderReport, Price, Qty, RunEpoch, Side,
    StrategyId, Symbol, Tif, Trail, Wall,
};
use bot4_venue::{Config as VenueConfig, Credentials as VenueKey, MemoryServer};
use bot4_venues::binance::sign::{Credentials, Signer};
use bot4_venues::limits::RateLimits;
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use bot4_wire::{Endpoint, WsConfig};
use serde_json::{Value, json};
use venue::{Ask, Venue};

pub const ONE: i64 = 100_000_000;
pub const EPOCH: RunEpoch = RunEpoch(7);
/// Venue time at the rig's time zero, Unix ms.
pub const START_MS: i64 = 1_700_000_000_000;
/// As long as the venue wants it.
const API_KEY: &str = "keykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeyk";
/// Published by the venue as an example.
const PKCS8: &str = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u";
/// Its public half.
const PUBLIC_KEY: [u8; 32] = [
    0x19, 0x42, 0x0a, 0xbf, 0xd7, 0x52, 0xa5, 0x65, 0xc1, 0x56, 0x25, 0xe9, 0xda, 0x6e, 0xaf, 0x00,
    0x86, 0xfc, 0x40, 0xc1, 0x49, 0x60, 0x18, 0x32, 0x14, 0x44, 0x2c, 0x14, 0x99, 0x6a, 0x80, 0x0d,
];
const RISK_LANE: u8 = 0;

pub struct Rig {
    pub agent: ExecutionAgent,
    pub venue: Venue,
    /// Serves the connections instead of the scripted venue.
    pub exchange: Option<MemoryServer<MemoryServerStream>>,
    network: Network,
    /// What the venue said of the rate, as others hear and tell it.
    pub pause: Pause,
    pub control: Control,
    pub journaled: Journaled,
    pub approved: Tx<ApprovedOrder>,
    pub metrics: Metrics,
    /// Every message to risk so far.
    pub heard: Vec<ExecMsg>,
    pub log: Vec<LogEntry>,
    /// Risk takes what it is told.
    pub risk_takes: bool,
    pub fault: Option<Fault>,
    pub now: Nanos,
    reports_rx: Rx<ExecMsg>,
    log_rx: Rx<LogEntry>,
    probe: Probe,
}

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let name = |s: &str| Symbol::new(s).expect("short");
    let [base, quote] = ["BTC", "USDT"].map(|a| table.asset(name(a)).expect("room"));
    let bare = Instrument::bare(InstrumentId(0), name("BTCUSDT"), 8);
    table.push(Instrument { base, quote, ..bare }).expect("room");
    table
}

/// Whatever a test did: the inputs in the agent's log make the reports that it made.
impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.log.extend(std::iter::from_fn(|| self.log_rx.pop()));
        let mut replay = bot4_execution::Replayer::new();
        for entry in &self.log {
            if let Err(error) = replay.feed(entry) {
                panic!("replay: {error}: {:?}", replay.difference());
            }
        }
        let told = |m: &&ExecMsg| matches!(m, ExecMsg::Order(_));
        assert!(replay.reports() >= self.heard.iter().filter(told).count() as u64);
        let replayed = replay.desk().map(|d| (d.counts, d.trades().duplicates));
        let run = (self.agent.desk_counts(), self.agent.duplicates_dropped());
        assert_eq!(replayed, Some(run));
    }
}

impl Rig {
    /// A rig whose network chunks by `seed`; `reports` messages fit on the way to risk.
    pub fn new(seed: u64, reports: usize) -> Self {
        Self::with_limits(seed, reports, RateLimits::default())
    }

    /// The same at a venue of these limits.
    pub fn with_limits(seed: u64, reports: usize, limits: RateLimits) -> Self {
        Self::beside(Declared::NONE, seed, reports, limits)
    }

    /// The same beside other programs, as `declared`.
    pub fn beside(declared: Declared, seed: u64, reports: usize, limits: RateLimits) -> Self {
        let network = Network::new(seed);
        let (approved, approved_rx) = ring(64);
        let (reports_tx, reports_rx) = ring(reports);
        let (log_tx, log_rx) = ring(1_024);
        let (control, journaled) = (Control::new(), Journaled::new());
        let metrics = Metrics::in_memory();
        let signer = Signer::ed25519(PKCS8).expect("key");
        let credentials = Credentials::new(API_KEY, signer).expect("key");
        let ports = ExecutionPorts {
            approved: approved_rx,
            reports: reports_tx,
            log: LogTx::new(log_tx, 1),
            journaled: journaled.clone(),
            risk_lane: RISK_LANE,
            control: control.clone(),
        };
        let config = ExecutionConfig {
            table: table(),
            epoch: EPOCH,
            wall: Wall { origin_unix_ns: START_MS * 1_000_000 },
            limits,
            endpoint: Endpoint::parse("wss://venue.example/ws-api/v3").expect("good url"),
            ws: WsConfig::default(),
            seed,
            declared,
            compare: bot4_execution::agent::COMPARE_EVERY,
        };
        let gateway = Box::new(BinanceGateway::new(credentials, &config.table, EPOCH));
        let connector = Box::new(network.connector());
        let pause = Pause::default();
        let agent = ExecutionAgent::new(config, ports, gateway, connector, &metrics);
        let mut agent = agent.with_pause(pause.clone());
        agent.start(Nanos::ZERO).expect("starts");
        let venue = Venue::new(network.clone());
        Self {
            agent,
            venue,
            exchange: None,
            network,
            pause,
            control,
            journaled,
            approved,
            metrics,
            heard: Vec::new(),
            log: Vec::new(),
            risk_takes: true,
            fault: None,
            now: Nanos::from_secs(1),
            reports_rx,
            log_rx,
            probe: Probe::logical(),
        }
    }

    /// A rig whose session is ready and whose journal is ahead of all approvals.
    pub fn ready(seed: u64) -> Self {
        let mut rig = Self::new(seed, 256);
        rig.journaled.publish(RISK_LANE, 1_000);
        rig.until("ready", |rig| rig.is_ready());
        rig
    }

    /// A rig opposite the simulated venue, whose faults are those of `script`.
    pub fn trading(seed: u64, script: &str) -> Self {
        let mut rig = Self::new(seed, 256);
        let key = VenueKey { api_key: API_KEY.to_owned(), public_key: PUBLIC_KEY };
        let script = bot4_venue::script::parse(script).expect("a script");
        let config = VenueConfig { crossed_answer_in: 0, script, ..VenueConfig::new(seed, key) };
        let venue = bot4_venue::Venue::new(config, Default::default()).expect("a venue");
        rig.exchange = Some(MemoryServer::new(venue));
        rig.journaled.publish(RISK_LANE, 1_000);
        rig.until("ready", |rig| rig.is_ready());
        rig
    }

    pub fn step(&mut self) {
        self.now = self.now + Nanos::from_millis(1);
        match &mut self.exchange {
            None => self.venue.step(),
            Some(exchange) => {
                let unix_ns = START_MS as u64 * 1_000_000 + self.now.0;
                if let Some(stream) = self.network.accept() {
                    exchange.add_stream(stream, unix_ns);
                }
                exchange.cycle(unix_ns);
            }
        }
        self.probe.set(self.now);
        if self.fault.is_none() {
            self.fault = self.agent.work(self.now, &mut self.probe).err();
        }
        if self.risk_takes {
            self.heard.extend(std::iter::from_fn(|| self.reports_rx.pop()));
        }
        self.log.extend(std::iter::from_fn(|| self.log_rx.pop()));
    }

    pub fn run_ms(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    /// Steps until `done`, ten seconds at most.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("never: {what}; asked {:?}, heard {:?}", self.venue.asked, self.heard);
    }

    /// The last word about the session.
    pub fn is_ready(&self) -> bool {
        let mut sessions = self.heard.iter().filter_map(|m| match m {
            ExecMsg::Session { ready, .. } => Some(*ready),
            _ => None,
        });
        sessions.next_back().unwrap_or(false)
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.metrics.total_of("execution", name)
    }

    /// Reports of `order` so far.
    pub fn reports(&self, order: u64) -> Vec<OrderReport> {
        let of = |m: &ExecMsg| match m {
            ExecMsg::Order(r) if r.order == OrderId(order) => Some(*r),
            _ => None,
        };
        self.heard.iter().filter_map(of).collect()
    }

    /// Kind and state of each report of `order`.
    pub fn story(&self, order: u64) -> Vec<String> {
        let line =
            |r: &OrderReport| format!("{} {} {}", r.kind.name(), r.state.name(), r.cum_qty.0 / ONE);
        self.reports(order).iter().map(line).collect()
    }

    /// Approves an order to buy ten, with `record` as the log sequence of the approval.
    pub fn approve(&mut self, order: u64, record: u64) {
        self.push(intent(order, OrderAction::Place, self.now + Nanos::from_secs(5)), record);
    }

    pub fn approve_cancel(&mut self, order: u64) {
        self.push(intent(order, OrderAction::Cancel, Nanos::MAX), 1);
    }

    /// Approves an amend of `order` to `price` and `qty` in all.
    pub fn approve_amend(&mut self, order: u64, price: i64, qty: i64) {
        let amend = intent(order, OrderAction::Amend, self.now + Nanos::from_secs(5));
        self.push(OrderIntent { price: Price(price * ONE), qty: Qty(qty * ONE), ..amend }, 1);
    }

    /// Approves what `change` makes of an order to buy ten, or of an amend of it.
    pub fn approve_as(&mut self, order: u64, action: OrderAction, change: fn(&mut OrderIntent)) {
        let mut wanted = intent(order, action, self.now + Nanos::from_secs(5));
        change(&mut wanted);
        self.push(wanted, 1);
    }

    fn push(&mut self, intent: OrderIntent, record: u64) {
        #[expect(clippy::disallowed_methods, reason = "a test stands in for the gate")]
        let approved = ApprovedOrder::seal(intent, record);
        self.approved.push(approved).expect("room");
    }

    /// Steps until the venue got the place request of `order`.
    pub fn placed(&mut self, order: u64) -> Ask {
        let client = client(order);
        let is = |a: &&Ask| a.method == "order.place" && a.params["newClientOrderId"] == client;
        self.until("the order arrives", |rig| rig.venue.asked.iter().any(|a| is(&a)));
        self.venue.asked.iter().find(is).cloned().expect("arrived")
    }

    /// Places `order` and lets the venue accept it under the number `venue_order`.
    pub fn live(&mut self, order: u64, venue_order: u64) {
        self.approve(order, 1);
        let ask = self.placed(order);
        self.venue.respond(ask.id, view(order, venue_order, "NEW", 0, &[]));
        self.until("accepted", |rig| rig.story(order).last().is_some_and(|s| s == "acked live 0"));
    }
}

fn intent(order: u64, action: OrderAction, expires: Nanos) -> OrderIntent {
    OrderIntent {
        trail: Trail::default(),
        order: OrderId(order),
        price: Price(100 * ONE),
        qty: Qty(10 * ONE),
        stop_ticks: 1,
        instrument: InstrumentId(0),
        strategy: StrategyId(0),
        cause: Cause::Market,
        expires,
        action,
        kind: OrderKind::Limit,
        tif: Tif::Gtc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side: Side::Buy,
        parent: bot4_types::ParentId::NONE,
    }
}

pub fn client(order: u64) -> String {
    ClientId::new(EPOCH, OrderId(order)).as_str().to_owned()
}

/// The name of `order` when it was replaced for the nth time.
pub fn revised(order: u64, nth: u8) -> String {
    let first = ClientId::new(EPOCH, OrderId(order));
    first.revised(nth).expect("few").as_str().to_owned()
}

/// The answer to a placement: `fills` are trade ids with quantities.
pub fn view(
    order: u64,
    venue_order: u64,
    status: &str,
    executed: i64,
    fills: &[(u64, i64)],
) -> Value {
    let fills: Vec<Value> = fills
        .iter()
        .map(|(id, qty)| {
            json!({"price": "100.00000000", "qty": qty.to_string(), "commission": "0.1",
                   "commissionAsset": "USDT", "tradeId": id})
        })
        .collect();
    json!({"symbol": "BTCUSDT", "orderId": venue_order, "orderListId": -1,
           "clientOrderId": client(order), "transactTime": START_MS, "price": "100.00000000",
           "origQty": "10.00000000", "executedQty": executed.to_string(),
           "cummulativeQuoteQty": (executed * 100).to_string(), "status": status,
           "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "fills": fills})
}

/// An order's view or event with these terms.
pub fn with_terms(mut view: Value, price: i64, qty: i64) -> Value {
    let event = view.get("e").is_some();
    let names = if event { ["p", "q"] } else { ["price", "origQty"] };
    view[names[0]] = json!(price.to_string());
    view[names[1]] = json!(qty.to_string());
    view
}

/// The event of a change of state that is no trade; `what` is the word for it.
pub fn state_event(order: u64, venue_order: u64, what: &str, status: &str, cum: i64) -> Value {
    let mut event = trade_event(order, venue_order, 0, 0, status, cum);
    event["x"] = json!(what);
    event["t"] = json!(-1);
    event
}

/// The answer to a question for an order's state.
pub fn state(order: u64, venue_order: u64, status: &str, executed: i64) -> Value {
    let mut view = view(order, venue_order, status, executed, &[]);
    view["isWorking"] = json!(true);
    view["updateTime"] = json!(START_MS);
    view.as_object_mut().expect("an object").remove("fills");
    view
}

/// The answer to a cancel.
pub fn canceled(order: u64, venue_order: u64, executed: i64) -> Value {
    let mut view = view(order, venue_order, "CANCELED", executed, &[]);
    view["origClientOrderId"] = json!(client(order));
    view["clientOrderId"] = json!("cancel-request");
    view
}

/// A trade of the account.
pub fn trade(id: u64, venue_order: u64, qty: i64) -> Value {
    json!({"symbol": "BTCUSDT", "id": id, "orderId": venue_order, "orderListId": -1,
           "price": "100.00000000", "qty": qty.to_string(), "quoteQty": (qty * 100).to_string(),
           "commission": "0.1", "commissionAsset": "USDT", "time": START_MS, "isBuyer": true,
           "isMaker": true, "isBestMatch": true})
}

/// The event of a trade, with the state and cumulative quantity after it.
pub fn trade_event(
    order: u64,
    venue_order: u64,
    id: u64,
    qty: i64,
    status: &str,
    cum: i64,
) -> Value {
    json!({"e": "executionReport", "E": START_MS, "s": "BTCUSDT", "c": client(order), "S": "BUY",
           "o": "LIMIT", "f": "GTC", "q": "10", "p": "100", "P": "0", "F": "0", "g": -1, "C": "",
           "x": "TRADE", "X": status, "r": "NONE", "i": venue_order, "l": qty.to_string(),
           "z": cum.to_string(), "L": "100", "n": "0.1", "N": "USDT", "T": START_MS, "t": id,
           "I": id + 1_000, "w": true, "m": true, "M": false, "O": START_MS,
           "Z": (cum * 100).to_string(), "Y": (qty * 100).to_string(), "Q": "0", "W": START_MS,
           "V": "NONE"})
}

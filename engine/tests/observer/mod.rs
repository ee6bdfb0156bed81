//! Wire, parse and book agents of a venue on one thread, driven by the test: the books of a live
//! venue, observed turn by turn. And the venue's control line, and a proxy in between.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod proxy;

use bot4::run::access::{Access, Net};
use bot4::run::catalogue;
use bot4::run::guard::Guards;
use bot4_book::{BookAgent, BookConfig, BookPorts, BookSummary};
use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_feeds::{ParseAgent, ParsePorts};
use bot4_lanes::{Agent, Clock, Metrics, Probe, Rx, ring};
use bot4_types::limits::FRAME_LARGE;
use bot4_types::{BookState, ConnId, InstrumentTable, Mark, Nanos, Shards, TopMsg};
use bot4_venues::kraken::subscribe::KrakenSession;
use bot4_venues::{MarketSession, Venue};
use bot4_wire::{ConnState, Endpoint, TlsRoots, WsConfig, WsConnection};
use serde_json::Value;

/// The venues that this build can observe and simulate, and two symbols of each.
pub fn venues() -> Vec<(Venue, [&'static str; 2])> {
    let symbols = |venue: Venue| match venue.name() {
        "kraken" => ["BTC/USD", "ETH/USD"],
        "okx" => ["BTC-USDT", "ETH-USDT"],
        "coinbase" => ["BTC-USD", "ETH-USD"],
        _ => ["BTCUSDT", "ETHUSDT"],
    };
    let offered = |v: &Venue| v.is_in_build() && is_simulated(*v);
    Venue::ALL.into_iter().filter(offered).map(|v| (v, symbols(v))).collect()
}

/// The simulator speaks its dialect: it says where it would listen, or that it does not know it.
fn is_simulated(venue: Venue) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let options = bot4_venue::VenueOptions {
        venue: venue.name().to_owned(),
        state_dir: Some(folder.path().to_owned()),
        ..bot4_venue::VenueOptions::default()
    };
    let stop = std::sync::atomic::AtomicBool::new(true);
    bot4_venue::run(&options, &stop, |_| {}).is_ok()
}

thread_local! {
    /// The longest time between two turns of this thread's observer.
    static GAP_MAX: std::cell::Cell<Nanos> = const { std::cell::Cell::new(Nanos::ZERO) };
}

/// A machine that stops an observer for this long also stops the venue beside it: silence then
/// says nothing about the engine.
pub const STARVED_AFTER: Nanos = Nanos::from_millis(400);
/// How often a starved observation is made again.
const TRIES: usize = 4;

/// Runs `test`; again where it failed while this thread did not get its CPU.
pub fn unstarved(name: &str, test: impl Fn()) {
    for _ in 1..TRIES {
        GAP_MAX.set(Nanos::ZERO);
        let run = std::panic::AssertUnwindSafe(&test);
        let Err(failure) = std::panic::catch_unwind(run) else { return };
        let gap = GAP_MAX.get();
        if gap < STARVED_AFTER {
            std::panic::resume_unwind(failure);
        }
        println!("{name}: this machine stopped the observer for {} ms: once more", gap.millis());
    }
    test();
}

/// The longest time between two turns of this thread's observer since it was last asked.
pub fn gap() -> Nanos {
    GAP_MAX.replace(Nanos::ZERO)
}

/// How the observer watches.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that carry each stream.
    pub lines: usize,
    /// A connection is replaced after this long.
    pub life: Nanos,
    /// The market host is reached through this port.
    pub port: Option<u16>,
    /// Snapshots may be cut: the books start over near the cut.
    pub horizon: bool,
    /// Instruments that are not asked for: those of a recording, whose decimals may be more than
    /// the venue's list of instruments allows to trade with.
    pub table: Option<InstrumentTable>,
    /// Levels a side that Kraken's books are subscribed with, where it is not the usual number.
    pub depth: Option<usize>,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lines: 1,
            life: Nanos::MAX,
            port: None,
            horizon: true,
            table: None,
            depth: None,
            seed: 7,
        }
    }
}

/// Agents from the sockets to the books, all instruments on one book lane.
pub struct Observer {
    wires: Vec<WireAgent>,
    parses: Vec<ParseAgent>,
    pub book: BookAgent,
    tops: Rx<TopMsg>,
    marks: Rx<Mark>,
    pub metrics: Metrics,
    pub clock: Clock,
    probe: Probe,
    last_turn: Nanos,
    /// When each connection was started.
    connects: Vec<Nanos>,
    pub table: InstrumentTable,
}

/// Text of a venue's first line.
fn text(endpoints: &Value, name: &str) -> Option<String> {
    endpoints[name].as_str().map(str::to_owned)
}

impl Observer {
    /// Reads the instruments and starts the agents.
    pub fn new(venue: Venue, endpoints: &Value, symbols: &[&str], options: &Options) -> Self {
        let clock = Clock::start();
        let ca = text(endpoints, "ca").expect("an authority").into();
        let access = Access {
            market: text(endpoints, "market").expect("a market host"),
            api: text(endpoints, "api"),
            rest: text(endpoints, "rest"),
            keys: None,
            net: Net::tcp(TlsRoots::File(ca)).expect("a helper"),
            guards: Guards::default(),
            hurried: false,
        };
        let symbols: Vec<String> = symbols.iter().map(|s| (*s).to_owned()).collect();
        let read = || {
            let found = catalogue::read(&clock, &access, venue, &symbols, options.seed);
            found.unwrap_or_else(|e| panic!("{}: {e}", venue.name())).table
        };
        let table = options.table.clone().unwrap_or_else(read);
        let metrics = Metrics::in_memory();
        let count = table.all().len();
        let shards = match options.lines {
            2 => Shards::two_lines(count, 1, 2),
            _ => Shards::round_robin(count, 1, 1),
        };
        let (mut wires, mut parses) = (Vec::new(), Vec::new());
        let mut ports = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..options.lines {
            let (wire, parse, ends) =
                line(index, venue, &table, &shards, &access, options, &metrics);
            wires.push(wire);
            parses.push(parse);
            ports.0.push(ends.0);
            ports.1.push(ends.1);
            ports.2.push(ends.2);
        }
        let ((tops_tx, tops), (marks_tx, marks)) = (ring(1_024), ring(1_024));
        let ports = BookPorts {
            market: ports.0,
            blocks: ports.1,
            resync: ports.2,
            orders: None,
            tops: tops_tx,
            marks: marks_tx,
        };
        let mut config = BookConfig { rules: venue.rules(), ..BookConfig::default() };
        if !options.horizon {
            config.rules.snapshot_levels = 0;
        }
        config.rules.depth_max = options.depth.unwrap_or(config.rules.depth_max);
        let book = BookAgent::new(0, &shards, &table, config, ports, &metrics);
        let probe = Probe::live(clock.clone());
        let last_turn = clock.now();
        let connects = Vec::new();
        let mut observer = Self {
            wires,
            parses,
            book,
            tops,
            marks,
            metrics,
            clock,
            probe,
            last_turn,
            connects,
            table,
        };
        observer.start();
        observer
    }

    fn start(&mut self) {
        let now = self.clock.now();
        self.wires.iter_mut().for_each(|w| w.start(now).expect("starts"));
        self.parses.iter_mut().for_each(|p| p.start(now).expect("starts"));
        self.book.start(now).expect("starts");
    }

    /// One turn of every agent. Lets other processes work when there is nothing to do.
    pub fn cycle(&mut self) {
        let now = self.clock.now();
        let gap = now.since(std::mem::replace(&mut self.last_turn, now));
        GAP_MAX.set(GAP_MAX.get().max(gap));
        let mut done = 0;
        for (wire, parse) in self.wires.iter_mut().zip(&mut self.parses) {
            done += wire.work(now, &mut self.probe).expect("no fault");
            done += parse.work(now, &mut self.probe).expect("no fault");
        }
        done += self.book.work(now, &mut self.probe).expect("no fault");
        while self.tops.pop().is_some() || self.marks.pop().is_some() {}
        if done == 0 {
            std::thread::park_timeout(std::time::Duration::from_micros(200));
        }
    }

    /// Every book is live.
    pub fn all_live(&self) -> bool {
        let live = |id| self.book.state(id) == Some(BookState::Live);
        self.table.all().iter().all(|i| live(i.id))
    }

    /// Turns until `done`, `seconds` at most.
    pub fn until(&mut self, what: &str, seconds: u64, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.clock.now() + Nanos::from_secs(seconds);
        while !done(self) {
            assert!(self.clock.now() < end, "not in time: {what}; {}", self.told());
            self.cycle();
            self.note_connects();
        }
    }

    /// How it stands, for a failure.
    fn told(&self) -> String {
        let errors: Vec<_> = self.wires.iter().map(WireAgent::last_error).collect();
        let states: Vec<_> = self.summaries().into_iter().map(|s| (s.symbol, s.state)).collect();
        let counts = ["connects", "line_ups", "line_downs", "handovers", "backpressured"];
        let counts = counts.map(|name| (name, self.count("wire.", name)));
        format!("{errors:?}; {states:?}; {counts:?}")
    }

    /// Turns for this long.
    pub fn turn_for(&mut self, ms: u64) {
        let end = self.clock.now() + Nanos::from_millis(ms);
        while self.clock.now() < end {
            for _ in 0..16 {
                self.cycle();
            }
            self.note_connects();
        }
    }

    fn note_connects(&mut self) {
        let count = self.count("wire.", "connects") as usize;
        self.connects.resize(count, self.clock.now());
    }

    /// Most connections that were started within five minutes.
    pub fn connects_in_5min(&self) -> usize {
        let within = |from: &Nanos| {
            let of = |at: &&Nanos| **at >= *from && at.since(*from) < Nanos::from_secs(300);
            self.connects.iter().filter(of).count()
        };
        self.connects.iter().map(within).max().unwrap_or(0)
    }

    /// The books as `bot4 book` prints them.
    pub fn summaries(&self) -> Vec<BookSummary> {
        self.table.all().iter().filter_map(|i| self.book.summary(i.id)).collect()
    }

    /// A counter, summed over all agents that have it.
    pub fn count(&self, prefix: &str, name: &str) -> u64 {
        self.metrics.total_of(prefix, name)
    }

    /// Stream connections that are open.
    pub fn lines_up(&self) -> usize {
        self.wires.iter().filter(|w| w.is_up()).count()
    }
}

type Ends = (
    Rx<bot4_types::MarketEvent>,
    bot4_lanes::Tx<bot4_types::LevelBlock>,
    bot4_lanes::Tx<bot4_types::Resync>,
);

/// Wire and parse agent `index` and the books' ends of their links.
fn line(
    index: usize,
    venue: Venue,
    table: &InstrumentTable,
    shards: &Shards,
    access: &Access,
    options: &Options,
    metrics: &Metrics,
) -> (WireAgent, ParseAgent, Ends) {
    let mut host = Endpoint::parse(&access.market).expect("a URL");
    if let Some(port) = options.port {
        host = Endpoint::parse(&format!("wss://127.0.0.1:{port}")).expect("a URL");
    }
    let api = access.api.as_deref().unwrap_or(&access.market);
    let api = Endpoint::parse(api).expect("a URL");
    let (connector, _) = access.connector(&access.market).expect("a connector");
    let carried = shards.carried_by(ConnId(index as u16)).filter_map(|id| table.get(id).copied());
    let config = WireConfig {
        slots_small: 192,
        slots_large: 3,
        slot_large_len: FRAME_LARGE,
        life: options.life,
        seed: options.seed + index as u64,
        ..WireConfig::new(index, host, api, carried.collect())
    };
    let (frames_tx, frames) = ring(128);
    let (slots, slots_rx) = ring(config.slots());
    let (resync, resync_rx) = ring(256);
    let (market, market_rx) = ring(512);
    let (blocks, blocks_rx) = ring(8_192);
    let ports = WirePorts { frames: frames_tx, slots: slots_rx, resync: vec![resync_rx] };
    let session: Box<dyn MarketSession> = match options.depth {
        Some(depth) => Box::new(KrakenSession::of(depth)),
        None => venue.market_session(0).expect("in the build"),
    };
    let wire = WireAgent::new(config, ports, session, connector, metrics);
    let ports = ParsePorts { frames, slots, market: vec![market], blocks: vec![blocks_rx] };
    let decoder = venue.market_decoder(table).expect("in the build");
    let parse = ParseAgent::new(ports, decoder, metrics, index)
        .with_blocks([2_048, 128, 6])
        .with_shards(shards.clone());
    (wire, parse, (market_rx, blocks, resync))
}

/// The venue's control connection: faults on demand.
pub struct ControlLine {
    conn: WsConnection,
    clock: Clock,
    buffer: Vec<u8>,
}

impl ControlLine {
    pub fn new(endpoints: &Value) -> Self {
        let ca = text(endpoints, "ca").expect("an authority").into();
        let access = Access {
            market: text(endpoints, "control").expect("a control line"),
            api: None,
            rest: None,
            keys: None,
            net: Net::tcp(TlsRoots::File(ca)).expect("a helper"),
            guards: Guards::default(),
            hurried: false,
        };
        let clock = Clock::start();
        let (mut connector, endpoint) = access.connector(&access.market).expect("a connector");
        let config =
            WsConfig { ping_every: Nanos::MAX, silent_after: Nanos::MAX, ..WsConfig::default() };
        let conn = WsConnection::connect(connector.as_mut(), &endpoint, config, 99, clock.now())
            .expect("connects");
        let mut line = Self { conn, clock, buffer: vec![0; 4_096] };
        while line.conn.poll(line.clock.now()).expect("alive") != ConnState::Open {
            line.conn.wait(std::time::Duration::from_millis(20)).expect("waits");
        }
        line
    }

    /// Sends one command.
    pub fn say(&mut self, command: &str) {
        let now = self.clock.now();
        self.conn.send_text(now, command.as_bytes()).expect("sends");
    }

    /// The next answer or news, if one is there.
    pub fn hear(&mut self) -> Option<Value> {
        let now = self.clock.now();
        self.conn.poll(now).expect("alive");
        let clock = &self.clock;
        let got = self.conn.receive(now, &mut self.buffer, &mut || clock.now()).expect("alive")?;
        let news: Value = serde_json::from_slice(&self.buffer[..got.len]).expect("JSON");
        assert!(news.get("error").is_none(), "{news}");
        Some(news)
    }
}

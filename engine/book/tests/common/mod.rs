//! A book agent on a bench: the far ends of its rings in the test's hands.
#![allow(dead_code, reason = "each test uses a part")]

pub mod recorded;

use bot4_book::{BookAgent, BookConfig, BookPorts, DiffHead};
use bot4_lanes::{Agent, Metrics, Probe, Rx, Tx, ring};
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::{
    BookOrder, ConnId, Instrument, InstrumentId, InstrumentTable, Level, LevelBlock, Mark,
    MarketBody, MarketEvent, Nanos, Resync, Shards, Side, Symbol, Top, TopMsg, TradePrint, Trail,
};

pub struct Bench {
    pub agent: BookAgent,
    pub market: Vec<Tx<MarketEvent>>,
    pub blocks: Vec<Rx<LevelBlock>>,
    pub resync: Vec<Rx<Resync>>,
    pub orders: Tx<BookOrder>,
    pub tops: Rx<TopMsg>,
    pub marks: Rx<Mark>,
    pub metrics: Metrics,
    pub now: Nanos,
    /// By which connection what is sent comes.
    pub conn: ConnId,
    /// Blocks at home, and how many there are in all.
    pool: Vec<LevelBlock>,
    pub blocks_total: usize,
}

/// Capacities of the outgoing rings.
pub struct Rooms {
    pub tops: usize,
    pub marks: usize,
    pub blocks: usize,
    pub resync: usize,
}

pub const ROOMY: Rooms = Rooms { tops: 1_024, marks: 1_024, blocks: 1_024, resync: 64 };

pub fn table(symbols: &[&str]) -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for symbol in symbols {
        let symbol = Symbol::new(symbol).expect("a symbol");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    table
}

impl Bench {
    /// An agent for all of `symbols`, fed by `wires` parsers, started.
    pub fn new(symbols: &[&str], wires: usize, config: BookConfig, rooms: &Rooms) -> Self {
        Self::over(&Shards::round_robin(symbols.len(), 1, wires), symbols, config, rooms)
    }

    /// The agent of lane 0 of `shards`, started.
    pub fn over(shards: &Shards, symbols: &[&str], config: BookConfig, rooms: &Rooms) -> Self {
        let mut bench = Self::lane(0, shards, symbols, config, rooms);
        bench.agent.start(Nanos::ZERO).expect("starts");
        bench
    }

    /// Agent `index` of `books`, not started.
    pub fn sharded(
        index: usize,
        books: usize,
        symbols: &[&str],
        wires: usize,
        config: BookConfig,
        rooms: &Rooms,
    ) -> Self {
        let shards = Shards::round_robin(symbols.len(), books, wires);
        Self::lane(index, &shards, symbols, config, rooms)
    }

    /// The agent of lane `index` of `shards`, not started.
    pub fn lane(
        index: usize,
        shards: &Shards,
        symbols: &[&str],
        config: BookConfig,
        rooms: &Rooms,
    ) -> Self {
        Self::of(index, shards, &table(symbols), config, rooms)
    }

    /// The agent of lane `index` for the instruments of `table`, not started.
    pub fn of(
        index: usize,
        shards: &Shards,
        table: &InstrumentTable,
        config: BookConfig,
        rooms: &Rooms,
    ) -> Self {
        let (mut market, mut market_rx) = (Vec::new(), Vec::new());
        let (mut blocks_tx, mut blocks) = (Vec::new(), Vec::new());
        let (mut resync_tx, mut resync) = (Vec::new(), Vec::new());
        for _ in 0..shards.wires() {
            let (tx, rx) = ring(1_024);
            market.push(tx);
            market_rx.push(rx);
            let (tx, rx) = ring(rooms.blocks);
            blocks_tx.push(tx);
            blocks.push(rx);
            let (tx, rx) = ring(rooms.resync);
            resync_tx.push(tx);
            resync.push(rx);
        }
        let (orders, orders_rx) = ring(4);
        let (tops_tx, tops) = ring(rooms.tops);
        let (marks_tx, marks) = ring(rooms.marks);
        let metrics = Metrics::in_memory();
        let ports = BookPorts {
            market: market_rx,
            blocks: blocks_tx,
            resync: resync_tx,
            orders: Some(orders_rx),
            tops: tops_tx,
            marks: marks_tx,
        };
        let agent = BookAgent::new(index, shards, table, config, ports, &metrics);
        let now = Nanos::from_secs(1);
        let pool = Vec::new();
        let conn = ConnId(0);
        Self {
            agent,
            market,
            blocks,
            resync,
            orders,
            tops,
            marks,
            metrics,
            now,
            conn,
            pool,
            blocks_total: 0,
        }
    }

    fn block(&mut self, bids: &[Level], asks: &[Level]) -> LevelBlock {
        let need = bids.len() + asks.len();
        let class = BLOCK_LEVELS.iter().position(|n| *n >= need).expect("a class");
        let at = self.pool.iter().position(|b| b.class() == class);
        let mut block = at.map_or_else(
            || {
                self.blocks_total += 1;
                LevelBlock::new(class)
            },
            |at| self.pool.swap_remove(at),
        );
        block.levels_mut()[..bids.len()].copy_from_slice(bids);
        block.levels_mut()[bids.len()..need].copy_from_slice(asks);
        block
    }

    pub fn event(&self, instrument: u16, body: MarketBody) -> MarketEvent {
        MarketEvent {
            trail: Trail::start(self.now),
            body,
            venue_ms: 0,
            instrument: InstrumentId(instrument),
            conn: self.conn,
        }
    }

    /// Sends a body by parser 0.
    pub fn send(&mut self, instrument: u16, body: MarketBody) {
        let event = self.event(instrument, body);
        let ring = usize::from(self.conn.0) % self.market.len();
        self.market[ring].push(event).expect("room on the market ring");
    }

    /// A diff with everything a venue may say of it.
    pub fn diff(&mut self, k: u16, head: DiffHead, bids: &[Level], asks: &[Level]) {
        let block = self.block(bids, asks);
        let DiffHead { first, last, prev, check, .. } = head;
        let (bids, asks) = (bids.len() as u32, asks.len() as u32);
        self.send(k, MarketBody::Depth { first, last, prev, check, bids, asks, block });
    }

    /// Trades of one message: id, price, signed quantity, venue time.
    pub fn trades(&mut self, k: u16, trades: &[(u64, i64, i64, i64)]) {
        let pairs = trades.iter().flat_map(|t| [level(t.1, t.2), level(t.0 as i64, t.3)]);
        let block = self.block(&pairs.collect::<Vec<_>>(), &[]);
        self.send(k, MarketBody::Trades { count: trades.len() as u32, block });
    }

    pub fn depth(&mut self, k: u16, (first, last): (u64, u64), bids: &[Level], asks: &[Level]) {
        let block = self.block(bids, asks);
        let (bids, asks) = (bids.len() as u32, asks.len() as u32);
        self.send(k, MarketBody::Depth { first, last, prev: 0, check: None, bids, asks, block });
    }

    pub fn snapshot(&mut self, k: u16, last: u64, bids: &[Level], asks: &[Level]) {
        let block = self.block(bids, asks);
        let (bids, asks) = (bids.len() as u32, asks.len() as u32);
        self.send(k, MarketBody::Snapshot { last, check: None, bids, asks, block });
    }

    /// A snapshot with everything a venue may say of it.
    pub fn stated_snapshot(
        &mut self,
        k: u16,
        last: u64,
        check: Option<u32>,
        bids: &[Level],
        asks: &[Level],
    ) {
        let block = self.block(bids, asks);
        let (bids, asks) = (bids.len() as u32, asks.len() as u32);
        self.send(k, MarketBody::Snapshot { last, check, bids, asks, block });
    }

    pub fn quote(&mut self, k: u16, id: u64, bid: Level, ask: Level) {
        self.send(k, MarketBody::Quote { id, bid, ask });
    }

    pub fn trade(&mut self, k: u16, id: u64, price: i64) {
        self.send(k, MarketBody::Trade { id, price, qty: 1, aggressor: Side::Buy });
    }

    pub fn work(&mut self) -> usize {
        let mut probe = Probe::logical();
        probe.set(self.now);
        self.agent.work(self.now, &mut probe).expect("no fault")
    }

    /// Works until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.work() == 0 {
                return;
            }
        }
        panic!("the agent never comes to rest");
    }

    pub fn after(&mut self, millis: u64) {
        self.now = self.now + Nanos::from_millis(millis);
    }

    /// Takes what came out; blocks go back to the pool.
    pub fn drain(&mut self) -> Drained {
        let mut out = Drained::default();
        for rx in &mut self.blocks {
            while let Some(block) = rx.pop() {
                self.pool.push(block);
            }
        }
        while let Some(message) = self.tops.pop() {
            match message {
                TopMsg::Top(top) => out.tops.push(top),
                TopMsg::Trade(print) => out.trades.push(print),
            }
        }
        while let Some(mark) = self.marks.pop() {
            out.marks.push(mark);
        }
        for rx in &mut self.resync {
            while let Some(resync) = rx.pop() {
                out.resync.push(resync);
            }
        }
        out
    }

    pub fn blocks_home(&self) -> usize {
        self.pool.len()
    }

    pub fn total(&self, name: &str) -> u64 {
        self.metrics.total(name)
    }
}

#[derive(Debug, Default)]
pub struct Drained {
    pub tops: Vec<Top>,
    pub trades: Vec<TradePrint>,
    pub marks: Vec<Mark>,
    pub resync: Vec<Resync>,
}

pub const fn level(price: i64, qty: i64) -> Level {
    Level { price, qty }
}

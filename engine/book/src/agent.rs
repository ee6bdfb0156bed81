//! The book agent: market messages in, tops and marks out.
//!
//! A turn pushes what is still due, asks for snapshots that are due, and takes a bounded batch
//! of messages, the rings in turn. It takes a message only when its block can go back.
//! **Cost:** that of the ladder for each level (tens of nanoseconds at most) and of building a top
//! and a mark for each message; a snapshot or the replay of a full buffer is one message. No
//! allocation, lock or system call after [`start`](Agent::start).

use bot4_lanes::{Agent, Fault, Metrics, Probe, Rx, Tx};
use bot4_types::limits::INSTRUMENTS_MAX;
use bot4_types::{
    BookState, ConnId, Instrument, InstrumentId, InstrumentTable, LevelBlock, Mark, MarketBody,
    MarketEvent, Nanos, Resync, TopMsg, TradePrint,
};

use crate::config::BookConfig;
use crate::instrument::{InstrumentBook, Ledger, Stamp};
use crate::ladder::Ladder;
use crate::oracle::Quote;
use crate::publish::Publisher;
use crate::report::BookSummary;
use crate::set::IndexSet;
use crate::sync::DiffHead;
use crate::tally::{COUNTERS, Count};

/// Roles and histogram tags by index of the agent.
const NAMES: [(&str, &str); 8] = [
    ("book.0", "msg_book.0"),
    ("book.1", "msg_book.1"),
    ("book.2", "msg_book.2"),
    ("book.3", "msg_book.3"),
    ("book.4", "msg_book.4"),
    ("book.5", "msg_book.5"),
    ("book.6", "msg_book.6"),
    ("book.7", "msg_book.7"),
];

/// The ring ends of a book agent.
pub struct BookPorts {
    /// From each parser.
    pub market: Vec<Rx<MarketEvent>>,
    /// Level blocks back to the parser of the same index.
    pub blocks: Vec<Tx<LevelBlock>>,
    /// Snapshot requests, one for each wire; may be empty offline, where nobody answers.
    pub resync: Vec<Tx<Resync>>,
    /// To signal.
    pub tops: Tx<TopMsg>,
    /// To risk.
    pub marks: Tx<Mark>,
}

/// Keeps the books of every instrument `k` with `k % books == index`.
pub struct BookAgent {
    role: &'static str,
    index: usize,
    books_total: usize,
    wires: usize,
    config: BookConfig,
    instruments: Vec<Instrument>,
    /// By `instrument / books_total`; built in `start`.
    books: Vec<InstrumentBook>,
    market: Vec<Rx<MarketEvent>>,
    blocks: Vec<Tx<LevelBlock>>,
    resync: Vec<Tx<Resync>>,
    publisher: Publisher,
    ledger: Ledger,
    /// Books that are not live and may want a snapshot.
    restless: IndexSet,
    first_ring: usize,
}

impl BookAgent {
    /// Agent `index` of `books`, for the instruments of `table` that fall to it; instrument `k`
    /// comes by wire `k % wires`. The books themselves are built in `start`.
    ///
    /// # Panics
    /// On wiring that cannot work: `index` not below `books` (at most 8), no wire, or not one
    /// block ring for each market ring.
    #[must_use]
    pub fn new(
        index: usize,
        books: usize,
        wires: usize,
        table: &InstrumentTable,
        config: BookConfig,
        ports: BookPorts,
        metrics: &Metrics,
    ) -> Self {
        assert!(index < books && books <= NAMES.len() && wires > 0, "no such book agent");
        assert_eq!(ports.market.len(), ports.blocks.len(), "every block must find its way back");
        let (role, tag) = NAMES[index];
        let instruments: Vec<_> =
            table.all().iter().filter(|i| i.id.index() % books == index).copied().collect();
        debug_assert!(instruments.len() <= INSTRUMENTS_MAX);
        let counters = metrics.counters(role, COUNTERS);
        let publisher =
            Publisher::new(ports.tops, ports.marks, instruments.len(), metrics.histogram(tag));
        Self {
            role,
            index,
            books_total: books,
            wires,
            config,
            instruments,
            books: Vec::new(),
            market: ports.market,
            blocks: ports.blocks,
            resync: ports.resync,
            publisher,
            ledger: Ledger { counters, checkpoint_every: 0, checkpoints: Vec::new() },
            restless: IndexSet::default(),
            first_ring: 0,
        }
    }

    /// Takes a summary each time `every` updates were applied to a book (zero: never), for
    /// [`take_checkpoints`](Self::take_checkpoints). Offline only: summaries allocate.
    pub const fn set_checkpoints(&mut self, every: u64) {
        self.ledger.checkpoint_every = every;
    }

    /// The summaries taken since last asked, in order.
    pub fn take_checkpoints(&mut self) -> Vec<BookSummary> {
        core::mem::take(&mut self.ledger.checkpoints)
    }

    /// Messages a turn from now on.
    pub const fn set_batch(&mut self, messages: usize) {
        self.config.batch = messages;
    }

    /// What `bot4 book` prints of `instrument`; `None` when it is not this agent's.
    #[must_use]
    pub fn summary(&self, instrument: InstrumentId) -> Option<BookSummary> {
        Some(self.books.get(self.place(instrument)?)?.summary(None))
    }

    /// How far the book of `instrument` may be trusted.
    #[must_use]
    pub fn state(&self, instrument: InstrumentId) -> Option<BookState> {
        Some(self.books.get(self.place(instrument)?)?.state())
    }

    /// The venue's number of the newest update in the book of `instrument`.
    #[must_use]
    pub fn update_id(&self, instrument: InstrumentId) -> Option<u64> {
        Some(self.books.get(self.place(instrument)?)?.update_id())
    }

    /// The levels of `instrument`.
    #[must_use]
    pub fn ladder(&self, instrument: InstrumentId) -> Option<&Ladder> {
        Some(self.books.get(self.place(instrument)?)?.ladder())
    }

    /// One count of `instrument`.
    #[must_use]
    pub fn count(&self, instrument: InstrumentId, count: Count) -> Option<u64> {
        Some(self.books.get(self.place(instrument)?)?.tally().value(count))
    }

    /// Where the book of `instrument` is, if it belongs to this agent.
    fn place(&self, instrument: InstrumentId) -> Option<usize> {
        let k = instrument.index();
        (k % self.books_total == self.index && k / self.books_total < self.instruments.len())
            .then_some(k / self.books_total)
    }

    /// Takes messages from the rings in turn, starting with another one each turn.
    fn take_batch(&mut self, now: Nanos, probe: &Probe) -> usize {
        let rings = self.market.len();
        let mut done = 0;
        for i in 0..rings {
            let ring = (self.first_ring + i) % rings;
            while done < self.config.batch && self.blocks[ring].room() > 0 {
                let Some(event) = self.market[ring].pop() else { break };
                self.handle(ring, event, now, probe);
                done += 1;
            }
        }
        self.first_ring = if rings == 0 { 0 } else { (self.first_ring + 1) % rings };
        done
    }

    fn handle(&mut self, ring: usize, event: MarketEvent, now: Nanos, probe: &Probe) {
        let stamp = Stamp { trail: event.trail, venue_ms: event.venue_ms, now };
        match event.body {
            MarketBody::LineUp => return self.line(event.conn, true, stamp, probe),
            MarketBody::LineDown => return self.line(event.conn, false, stamp, probe),
            _ => {}
        }
        let place = self.place(event.instrument).filter(|at| *at < self.books.len());
        let Some(at) = place else {
            self.ledger.counters.add(Count::Ignored as usize, 1);
            return self.give_back(ring, event.body);
        };
        let (book, ledger) = (&mut self.books[at], &mut self.ledger);
        let news = match &event.body {
            MarketBody::Depth { first, last, bids, asks, block, .. } => {
                let (first, last, bids, asks) = (*first, *last, *bids, *asks);
                let levels = block.levels().get(..bids as usize + asks as usize);
                match levels.filter(|_| first <= last) {
                    Some(levels) => {
                        let (trail, venue_ms) = (stamp.trail, stamp.venue_ms);
                        let head = DiffHead { first, last, bids, asks, venue_ms, trail };
                        book.depth(ledger, head, levels, now)
                    }
                    None => book.damaged(ledger, stamp),
                }
            }
            MarketBody::Snapshot { last, bids, asks, block, .. } => {
                match block.levels().get(..*bids as usize + *asks as usize) {
                    Some(levels) => {
                        book.snapshot(ledger, *last, levels.split_at(*bids as usize), stamp)
                    }
                    None => {
                        book.count(ledger, Count::Damaged, 1);
                        book.snapshot_failed(ledger);
                        false
                    }
                }
            }
            MarketBody::Quote { id, bid, ask } => {
                book.quote(ledger, Quote { id: *id, bid: *bid, ask: *ask }, stamp.trail)
            }
            MarketBody::Trade { .. } => {
                self.trade(at, &event, probe);
                false
            }
            MarketBody::SnapshotFailed => {
                book.snapshot_failed(ledger);
                false
            }
            MarketBody::Damaged => book.damaged(ledger, stamp),
            MarketBody::Trades { .. }
            | MarketBody::LineGap
            | MarketBody::LineUp
            | MarketBody::LineDown => false,
        };
        self.give_back(ring, event.body);
        self.after(at, news, now, probe);
    }

    /// Tells the stages behind and asks for a snapshot at once where one is due.
    fn after(&mut self, at: usize, news: bool, now: Nanos, probe: &Probe) {
        if news {
            self.publisher.top(at, &self.books[at], &self.ledger.counters, probe);
        }
        if self.books[at].state() == BookState::Live {
            self.restless.remove(at);
        } else {
            self.restless.insert(at);
            self.request(at, now);
        }
    }

    fn trade(&mut self, at: usize, event: &MarketEvent, probe: &Probe) {
        let MarketBody::Trade { id, price, qty, aggressor } = event.body else { return };
        let print = TradePrint {
            trail: event.trail,
            id,
            price,
            qty,
            venue_ms: event.venue_ms,
            missed: 0,
            instrument: event.instrument,
            aggressor,
        };
        let (book, ledger) = (&mut self.books[at], &self.ledger);
        let print = book.trade(ledger, print);
        let pushed = self.publisher.trade(at, book, print, probe);
        book.trade_pushed(ledger, pushed);
        self.publisher.mark(at, book, &ledger.counters);
    }

    /// A connection came up or went down: all its instruments.
    fn line(&mut self, conn: ConnId, up: bool, stamp: Stamp, probe: &Probe) {
        let wire = usize::from(conn.0) % self.wires;
        for at in 0..self.books.len() {
            if self.books[at].instrument().id.index() % self.wires == wire {
                let news = self.books[at].line(&self.ledger, up, stamp);
                self.after(at, news, stamp.now, probe);
            }
        }
    }

    /// Sends the snapshot request of book `at` if one is due and its wire has room; else it is
    /// tried again next turn.
    fn request(&mut self, at: usize, now: Nanos) -> usize {
        let book = &mut self.books[at];
        let Some(reason) = book.request_due(now) else { return 0 };
        let instrument = book.instrument().id;
        let wire = instrument.index() % self.wires;
        let message = Resync { instrument, conn: ConnId(wire as u16), reason };
        let sent = self.resync.get_mut(wire).is_none_or(|tx| tx.push(message).is_ok());
        if sent {
            book.requested(&self.ledger, reason, now);
        }
        usize::from(sent)
    }

    fn give_back(&mut self, ring: usize, body: MarketBody) {
        let (MarketBody::Depth { block, .. }
        | MarketBody::Snapshot { block, .. }
        | MarketBody::Trades { block, .. }) = body
        else {
            return;
        };
        // Room was checked before the message was taken, and nobody else writes this ring.
        if self.blocks[ring].push(block).is_err() {
            self.ledger.counters.add(Count::BlocksLost as usize, 1);
        }
    }

    /// Snapshot requests that are due and the time books have been stale.
    fn tend_restless(&mut self, now: Nanos) -> usize {
        let mut sent = 0;
        for at in self.restless.iter() {
            self.books[at].count_stale(&self.ledger, now);
            sent += self.request(at, now);
        }
        sent
    }
}

impl Agent for BookAgent {
    fn role(&self) -> &'static str {
        self.role
    }

    fn start(&mut self, _now: Nanos) -> Result<(), Fault> {
        self.books =
            self.instruments.iter().map(|i| InstrumentBook::new(*i, &self.config)).collect();
        Ok(())
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        let pushed = self.publisher.flush(&self.books, probe);
        let asked = self.tend_restless(now);
        Ok(pushed + asked + self.take_batch(now, probe))
    }

    fn close(&mut self, now: Nanos) {
        for book in &mut self.books {
            book.count_stale(&self.ledger, now);
        }
    }
}

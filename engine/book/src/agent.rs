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
    BookOrder, BookState, ConnId, Instrument, InstrumentId, InstrumentTable, Level, LevelBlock,
    Mark, MarketBody, MarketEvent, Nanos, Resync, Shards, Side, StaleReason, TopMsg, TradePrint,
};

use crate::buffer::DiffHead;
use crate::config::BookConfig;
use crate::instrument::{InstrumentBook, Ledger, Stamp, Whole};
use crate::ladder::Ladder;
use crate::oracle::Quote;
use crate::publish::Publisher;
use crate::report::BookSummary;
use crate::set::IndexSet;
use crate::shown::Shown;
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
    /// From signal: what changed with an instrument; none offline.
    pub orders: Option<Rx<BookOrder>>,
    /// To signal.
    pub tops: Tx<TopMsg>,
    /// To risk.
    pub marks: Tx<Mark>,
}

/// No place: the instrument belongs to another agent.
const ELSEWHERE: u16 = u16::MAX;

/// Keeps the books of the instruments that the table gives to its lane.
pub struct BookAgent {
    role: &'static str,
    shards: Shards,
    config: BookConfig,
    instruments: Vec<Instrument>,
    /// Place in `books` by instrument, or [`ELSEWHERE`].
    places: Vec<u16>,
    /// In the order of `instruments`; built in `start`.
    books: Vec<InstrumentBook>,
    market: Vec<Rx<MarketEvent>>,
    blocks: Vec<Tx<LevelBlock>>,
    resync: Vec<Tx<Resync>>,
    orders: Option<Rx<BookOrder>>,
    publisher: Publisher,
    ledger: Ledger,
    /// Books that are not live and may want a snapshot.
    restless: IndexSet,
    first_ring: usize,
    shown: Shown,
}

impl BookAgent {
    /// Agent `book.<index>`, for the instruments of `table` that `shards` gives to that lane. The
    /// books themselves are built in `start`.
    ///
    /// # Panics
    /// On wiring that cannot work: no such lane (at most 8), or not one block ring for each market
    /// ring.
    #[must_use]
    pub fn new(
        index: usize,
        shards: &Shards,
        table: &InstrumentTable,
        config: BookConfig,
        ports: BookPorts,
        metrics: &Metrics,
    ) -> Self {
        assert!(index < shards.books() && index < NAMES.len(), "no such book agent");
        assert_eq!(ports.market.len(), ports.blocks.len(), "every block must find its way back");
        let (role, tag) = NAMES[index];
        let (mut instruments, mut places) = (Vec::new(), vec![ELSEWHERE; table.all().len()]);
        for instrument in table.all().iter().filter(|i| shards.book_of(i.id) == index) {
            places[instrument.id.index()] = instruments.len() as u16;
            instruments.push(*instrument);
        }
        debug_assert!(instruments.len() <= INSTRUMENTS_MAX);
        let counters = metrics.counters(role, COUNTERS);
        let publisher =
            Publisher::new(ports.tops, ports.marks, instruments.len(), metrics.histogram(tag));
        let shown = Shown::new(role, instruments.iter(), table, metrics);
        Self {
            role,
            shards: shards.clone(),
            config,
            instruments,
            places,
            books: Vec::new(),
            market: ports.market,
            blocks: ports.blocks,
            resync: ports.resync,
            orders: ports.orders,
            publisher,
            ledger: Ledger { counters, checkpoint_every: 0, checkpoints: Vec::new() },
            restless: IndexSet::default(),
            first_ring: 0,
            shown,
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
        self.places.get(instrument.index()).filter(|p| **p != ELSEWHERE).map(|p| usize::from(*p))
    }

    /// Instruments that changed: their books start over or stand still.
    fn take_orders(&mut self, now: Nanos, probe: &Probe) -> usize {
        let mut done = 0;
        while let Some(order) = self.orders.as_mut().and_then(Rx::pop) {
            done += 1;
            let place = self.place(order.instrument).filter(|at| *at < self.books.len());
            if let Some(at) = place {
                let news = self.books[at].obey(&self.ledger, &order, now);
                self.after(at, news, now, probe);
            }
        }
        done
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
        // A turn that took nothing leaves no trace: a replay does not know of it.
        if done > 0 {
            self.first_ring = (self.first_ring + 1) % rings;
        }
        done
    }

    fn handle(&mut self, ring: usize, event: MarketEvent, now: Nanos, probe: &Probe) {
        let mut stamp = Stamp { trail: event.trail, venue_ms: event.venue_ms, now, line: 0 };
        match event.body {
            MarketBody::LineUp => return self.line(event.conn, LineNews::Up, stamp, probe),
            MarketBody::LineDown => return self.line(event.conn, LineNews::Down, stamp, probe),
            MarketBody::LineGap => return self.line(event.conn, LineNews::Gap, stamp, probe),
            _ => {}
        }
        let place = self.place(event.instrument).filter(|at| *at < self.books.len());
        let line = self.line_of(event.instrument, event.conn);
        let (Some(at), Some(line)) = (place, line) else {
            self.ledger.counters.add(Count::Ignored as usize, 1);
            return self.give_back(ring, event.body);
        };
        if self.books[at].is_paused() {
            self.books[at].count(&self.ledger, Count::Ignored, 1);
            return self.give_back(ring, event.body);
        }
        stamp.line = line;
        let news = match &event.body {
            MarketBody::Trade { id, price, qty, aggressor } => {
                let print = print_of(&event, (*id, *price, *qty), *aggressor);
                self.trade(at, print, line, probe);
                false
            }
            MarketBody::Trades { count, block } => {
                self.trades(at, &event, block.levels().get(..2 * *count as usize), line, probe)
            }
            body => self.book_message(at, body, stamp),
        };
        self.give_back(ring, event.body);
        self.after(at, news, now, probe);
    }

    /// Which of its lines brings `instrument` by `conn`. One that has a single line takes what
    /// comes: its snapshots may be asked for on a connection of their own.
    fn line_of(&self, instrument: InstrumentId, conn: ConnId) -> Option<usize> {
        match self.shards.lines_of(instrument) {
            [_] => Some(0),
            lines => lines.iter().position(|c| *c == conn),
        }
    }

    /// A message for the book itself. Returns whether the stages behind must hear of it.
    fn book_message(&mut self, at: usize, body: &MarketBody, stamp: Stamp) -> bool {
        let (book, ledger) = (&mut self.books[at], &mut self.ledger);
        match body {
            MarketBody::Depth { first, last, prev, check, bids, asks, block } => {
                let head = DiffHead {
                    first: *first,
                    last: *last,
                    prev: *prev,
                    check: *check,
                    bids: *bids,
                    asks: *asks,
                    venue_ms: stamp.venue_ms,
                    trail: stamp.trail,
                };
                let levels = block.levels().get(..*bids as usize + *asks as usize);
                match levels.filter(|_| first <= last || !book.has_ranges()) {
                    Some(levels) => book.depth(ledger, head, levels, stamp),
                    None => book.doubt(ledger, StaleReason::Damaged, stamp),
                }
            }
            MarketBody::Snapshot { last, check, bids, asks, block } => {
                let Some(levels) = block.levels().get(..*bids as usize + *asks as usize) else {
                    book.count(ledger, Count::Damaged, 1);
                    book.snapshot_failed(ledger);
                    return false;
                };
                let (bids, asks) = levels.split_at(*bids as usize);
                book.snapshot(ledger, Whole { last: *last, check: *check, bids, asks }, stamp)
            }
            MarketBody::Quote { id, bid, ask } => {
                book.quote(ledger, Quote { id: *id, bid: *bid, ask: *ask }, stamp)
            }
            MarketBody::SnapshotFailed => {
                book.snapshot_failed(ledger);
                false
            }
            MarketBody::Damaged => book.doubt(ledger, StaleReason::Damaged, stamp),
            MarketBody::Trade { .. }
            | MarketBody::Trades { .. }
            | MarketBody::LineGap
            | MarketBody::LineUp
            | MarketBody::LineDown => false,
        }
    }

    /// Tells the stages behind and asks for a snapshot at once where one is due.
    fn after(&mut self, at: usize, news: bool, now: Nanos, probe: &Probe) {
        if news {
            self.publisher.top(at, &self.books[at], &self.ledger.counters, probe);
        }
        if self.books[at].is_restless() {
            self.restless.insert(at);
            self.request(at, now);
        } else {
            self.restless.remove(at);
        }
    }

    fn trade(&mut self, at: usize, print: TradePrint, line: usize, probe: &Probe) {
        let (book, ledger) = (&mut self.books[at], &self.ledger);
        let Some(print) = book.trade(ledger, line, print) else { return };
        let pushed = self.publisher.trade(at, book, print, probe);
        book.trade_pushed(ledger, pushed);
        self.publisher.mark(at, book, &ledger.counters);
    }

    /// The trades of one message, in order. One that claims more than its block holds is damaged;
    /// the book itself is not touched by that.
    fn trades(
        &mut self,
        at: usize,
        event: &MarketEvent,
        pairs: Option<&[Level]>,
        line: usize,
        probe: &Probe,
    ) -> bool {
        if pairs.is_none() {
            self.books[at].count(&self.ledger, Count::Damaged, 1);
        }
        for pair in pairs.unwrap_or_default().chunks_exact(2) {
            let (level, label) = (pair[0], pair[1]);
            let aggressor = if level.qty < 0 { Side::Sell } else { Side::Buy };
            let qty = level.qty.saturating_abs();
            let print = print_of(event, (label.price as u64, level.price, qty), aggressor);
            self.trade(at, TradePrint { venue_ms: label.qty, ..print }, line, probe);
        }
        false
    }

    /// A connection came up, went down or lost messages: all its instruments.
    fn line(&mut self, conn: ConnId, news: LineNews, stamp: Stamp, probe: &Probe) {
        for at in 0..self.books.len() {
            let instrument = self.books[at].instrument().id;
            let Some(line) = self.shards.line_of(instrument, conn) else { continue };
            let (book, stamp) = (&mut self.books[at], Stamp { line, ..stamp });
            let news = match news {
                LineNews::Up => book.line(&self.ledger, true, stamp),
                LineNews::Down => book.line(&self.ledger, false, stamp),
                LineNews::Gap => book.doubt(&self.ledger, StaleReason::Gap, stamp),
            };
            self.after(at, news, stamp.now, probe);
        }
    }

    /// Sends the snapshot request of book `at` if one is due and its wire has room; else it is
    /// tried again next turn.
    fn request(&mut self, at: usize, now: Nanos) -> usize {
        let book = &mut self.books[at];
        let Some(reason) = book.request_due(now) else { return 0 };
        let instrument = book.instrument().id;
        let Some(&conn) = self.shards.lines_of(instrument).get(book.asked_line()) else { return 0 };
        let wire = self.shards.wire_of(conn).and_then(|wire| self.resync.get_mut(wire));
        let sent = wire.is_none_or(|tx| tx.push(Resync { instrument, conn, reason }).is_ok());
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

    /// Snapshot requests that are due, the time books have been stale, and what waits too long.
    fn tend_restless(&mut self, now: Nanos, probe: &Probe) -> usize {
        let mut done = 0;
        for at in self.restless.iter() {
            self.books[at].count_stale(&self.ledger, now);
            if self.books[at].expire(&self.ledger, now) {
                self.publisher.top(at, &self.books[at], &self.ledger.counters, probe);
                done += 1;
            }
            done += self.request(at, now);
        }
        done
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug)]
enum LineNews {
    Up,
    Down,
    Gap,
}

fn print_of(event: &MarketEvent, (id, price, qty): (u64, i64, i64), aggressor: Side) -> TradePrint {
    TradePrint {
        trail: event.trail,
        id,
        price,
        qty,
        venue_ms: event.venue_ms,
        missed: 0,
        instrument: event.instrument,
        aggressor,
    }
}

impl Agent for BookAgent {
    fn role(&self) -> &'static str {
        self.role
    }

    fn start(&mut self, _now: Nanos) -> Result<(), Fault> {
        let lines = |i: &Instrument| self.shards.lines_of(i.id).len();
        let book = |i: &Instrument| InstrumentBook::new(*i, &self.config, lines(i));
        self.books = self.instruments.iter().map(book).collect();
        Ok(())
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        let pushed = self.publisher.flush(&self.books, probe);
        let obeyed = self.take_orders(now, probe);
        let asked = self.tend_restless(now, probe);
        let done = pushed + obeyed + asked + self.take_batch(now, probe);
        self.shown.look(&self.books, now, done == 0);
        Ok(done)
    }

    fn close(&mut self, now: Nanos) {
        for book in &mut self.books {
            book.count_stale(&self.ledger, now);
        }
    }
}

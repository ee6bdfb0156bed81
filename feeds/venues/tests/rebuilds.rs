//! Real recordings of OKX, Coinbase and Binance USD-M: every line decodes, in both ways alike, and
//! naive books made of the events are those that an independent rebuild found.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bot4_types::text::units_to_string;
use bot4_types::{InstrumentTable, Level, MarketBody, MarketEvent};
use bot4_venues::coinbase::market::FALLBACK_LEN_MAX;
use bot4_venues::stage::give_back;
use bot4_venues::{Decoded, Ignored, Venue};
use common::{BLOCKS, Bench, input, shared, table};
use serde_json::Value;

/// A book as two sorted maps: the simplest there is.
#[derive(Debug, Default)]
struct Naive {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    id: u64,
    snapshots: u64,
    applied: u64,
    stale: u64,
    breaks: u64,
    trades: u64,
    traded_qty: i64,
    checks: u64,
}

impl Naive {
    fn apply(&mut self, bids: &[Level], asks: &[Level]) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                match level.qty {
                    0 => drop(side.remove(&level.price)),
                    qty => drop(side.insert(level.price, qty)),
                }
            }
        }
    }

    fn best(&self) -> [(i64, i64); 2] {
        let pair = |level: Option<(&i64, &i64)>| level.map_or((0, 0), |(p, q)| (*p, *q));
        [pair(self.bids.last_key_value()), pair(self.asks.first_key_value())]
    }

    /// OKX until June 2026: CRC-32 over `bid:qty:ask:qty:...` of 25 levels a side.
    fn checksum(&self, price_decimals: u8, qty_decimals: u8) -> u32 {
        let text = |(price, qty): (&i64, &i64)| {
            format!("{}:{}", trimmed(*price, price_decimals), trimmed(*qty, qty_decimals))
        };
        let mut bids = self.bids.iter().rev().take(25).map(text);
        let mut asks = self.asks.iter().take(25).map(text);
        let mut parts = Vec::new();
        for _ in 0..25 {
            parts.extend(bids.next());
            parts.extend(asks.next());
        }
        crc32fast::hash(parts.join(":").as_bytes())
    }
}

/// Decimal text as venues print it that cut trailing zeros.
fn trimmed(units: i64, decimals: u8) -> String {
    let text = units_to_string(units, decimals);
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Both ways of reading, and a naive book for each instrument.
struct Rebuild {
    bench: Bench,
    table: InstrumentTable,
    books: Vec<Naive>,
    hot: u64,
    lines: u64,
}

impl Rebuild {
    fn new(venue: Venue, table: InstrumentTable) -> Self {
        let mut bench = Bench::new(venue, &table);
        bench.fast.start();
        let books = table.all().iter().map(|_| Naive::default()).collect();
        Self { bench, table, books, hot: 0, lines: 0 }
    }

    fn read_file(&mut self, path: &Path) {
        let file = std::fs::File::open(path).expect("a recording");
        for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
            let line = line.expect("text");
            let (_, text) = line.split_once(' ').expect("time and text");
            self.read(text);
        }
    }

    fn read(&mut self, text: &str) {
        self.lines += 1;
        let mut padded = text.as_bytes().to_vec();
        padded.resize(text.len() + bot4_types::limits::FRAME_PADDING, b'"');
        let Bench { fast, general, sink, .. } = &mut self.bench;
        let answer = fast.decode(input(&padded, text.len()), sink);
        let ours: Vec<MarketEvent> = sink.drain().collect();
        // Longer messages are for the scanner alone.
        let twin = if text.len() > FALLBACK_LEN_MAX {
            general.decode(input(&padded, text.len()), sink)
        } else {
            general.decode_generally(input(text.as_bytes(), text.len()), sink)
        };
        let twins: Vec<MarketEvent> = sink.drain().collect();
        assert_eq!(answer, twin, "{text}");
        assert_eq!(ours.len(), twins.len());
        match answer.unwrap_or_else(|e| panic!("{e:?}: {text}")) {
            Decoded::Events | Decoded::Ignored(Ignored::Heartbeat) => self.hot += 1,
            Decoded::Ignored(_) => {}
            Decoded::Notice(notice) => panic!("{notice:?}: {text}"),
        }
        for (ours, twin) in ours.into_iter().zip(twins) {
            assert_same(&ours, &twin);
            give_back(&mut self.bench.sink, twin.body);
            self.count(ours);
        }
        assert_eq!(self.bench.free(), BLOCKS);
    }

    fn count(&mut self, event: MarketEvent) {
        let instrument = self.table.all()[event.instrument.index()];
        let (p, q) = (instrument.price_decimals, instrument.qty_decimals);
        let book = &mut self.books[event.instrument.index()];
        match &event.body {
            MarketBody::Snapshot { last, check, bids, asks, block } => {
                let (bids, asks) = halves(block.levels(), *bids, *asks);
                (book.bids, book.asks) = Default::default();
                book.apply(bids, asks);
                (book.id, book.snapshots) = (*last, book.snapshots + 1);
                verify(book, *check, p, q);
            }
            MarketBody::Depth { first, last, prev, check, bids, asks, block } => {
                let (bids, asks) = halves(block.levels(), *bids, *asks);
                if *prev != 0 && book.snapshots == 0 || *first != *last && *last < book.id {
                    // Binance: before the snapshot, or older than it.
                    book.stale += 1;
                } else {
                    let is_first = *first != *last && book.applied == 0;
                    let fits = if is_first { *first <= book.id } else { *prev == book.id };
                    book.breaks += u64::from(*prev != 0 && !fits);
                    book.apply(bids, asks);
                    (book.id, book.applied) = (*last, book.applied + 1);
                    verify(book, *check, p, q);
                }
            }
            MarketBody::Trade { qty, .. } => {
                book.trades += 1;
                book.traded_qty += qty;
            }
            MarketBody::Trades { count, block } => {
                let pairs = block.levels()[..2 * *count as usize].chunks_exact(2);
                book.trades += u64::from(*count);
                book.traded_qty += pairs.map(|pair| pair[0].qty.abs()).sum::<i64>();
            }
            MarketBody::Quote { bid, ask, .. } => assert!(bid.price < ask.price),
            other => panic!("{other:?}"),
        }
        give_back(&mut self.bench.sink, event.body);
    }

    fn book(&self, name: &str) -> (&Naive, u8, u8) {
        let i = self.table.find(name.as_bytes()).expect("in the table");
        (&self.books[i.id.index()], i.price_decimals, i.qty_decimals)
    }

    /// Hot messages, of which hardly any needed the general reader.
    fn assert_scanned(&self, quiet: u64) {
        let needed = self.bench.fast.fallbacks() - quiet;
        assert!(self.hot > 100 && needed * 100 <= self.hot, "{needed} of {}", self.hot);
    }

    /// The book called `name` against `expected`'s `best_bid`, `best_ask` and `levels`.
    fn assert_book(&self, name: &str, expected: &Value) {
        let (book, p, q) = self.book(name);
        for (side, (price, qty)) in ["best_bid", "best_ask"].into_iter().zip(book.best()) {
            let text = [trimmed(price, p), trimmed(qty, q)];
            let wanted = [0, 1].map(|i| {
                let text = expected[side][i].as_str().expect("text");
                let is_cut = text.contains('.');
                if is_cut { text.trim_end_matches('0').trim_end_matches('.') } else { text }
            });
            assert_eq!(text.each_ref().map(String::as_str), wanted, "{name} {side}");
        }
        let levels = [book.bids.len(), book.asks.len()];
        assert_eq!(serde_json::json!(levels), expected["levels"], "{name}");
    }
}

fn halves(levels: &[Level], bids: u32, asks: u32) -> (&[Level], &[Level]) {
    levels[..(bids + asks) as usize].split_at(bids as usize)
}

fn verify(book: &mut Naive, check: Option<u32>, price_decimals: u8, qty_decimals: u8) {
    if let Some(check) = check {
        assert_eq!(book.checksum(price_decimals, qty_decimals), check, "after {}", book.applied);
        book.checks += 1;
    }
}

/// Everything of two events but the blocks' unused places.
fn assert_same(a: &MarketEvent, b: &MarketEvent) {
    use MarketBody as B;
    assert_eq!((a.instrument, a.venue_ms, a.conn), (b.instrument, b.venue_ms, b.conn));
    match (&a.body, &b.body) {
        (
            B::Depth { first, last, prev, check, bids, asks, block },
            B::Depth { first: f, last: l, prev: pr, check: c, bids: nb, asks: na, block: other },
        ) => {
            assert_eq!((first, last, prev, check, bids, asks), (f, l, pr, c, nb, na));
            let n = (bids + asks) as usize;
            assert_eq!(block.levels()[..n], other.levels()[..n]);
        }
        (
            B::Snapshot { last, check, bids, asks, block },
            B::Snapshot { last: l, check: c, bids: nb, asks: na, block: other },
        ) => {
            assert_eq!((last, check, bids, asks), (l, c, nb, na));
            let n = (bids + asks) as usize;
            assert_eq!(block.levels()[..n], other.levels()[..n]);
        }
        (B::Trades { count, block }, B::Trades { count: n, block: other }) => {
            assert_eq!(count, n);
            let n = 2 * *n as usize;
            assert_eq!(block.levels()[..n], other.levels()[..n]);
        }
        (a, b) => assert_eq!(format!("{a:?}"), format!("{b:?}")),
    }
}

fn expected(folder: &Path) -> Value {
    let text = std::fs::read(folder.join("expected.json")).expect("expectations");
    serde_json::from_slice(&text).expect("JSON")
}

/// Name, decimals of price and quantity.
type Listed = (&'static str, u8, u8);

/// A table of names with decimals, where both together may exceed what an amount holds.
fn wide_table(names: &[Listed]) -> InstrumentTable {
    let mut wide = InstrumentTable::new();
    for (name, price, qty) in names {
        let mut instrument = table(&[(name, 0, 0)]).all()[0];
        (instrument.price_decimals, instrument.qty_decimals) = (*price, *qty);
        wide.push_for_books(instrument).expect("room");
    }
    wide
}

#[test]
fn okx_books_keep_every_checksum() {
    let Some(root) = shared("recordings") else { return };
    let tables: [(&str, &[Listed]); 2] = [
        ("okx_v5_btcusdt_20220513", &[("BTC-USDT", 1, 8)]),
        (
            "okx_v5_mixed_20210722",
            &[
                ("BTC-USD-210924-42000-P", 4, 0),
                ("BTC-USD-210924-66000-C", 4, 0),
                ("DHT-USDT", 3, 6),
                ("FUN-BTC", 9, 8),
                ("OKT-BTC", 6, 8),
                ("ONT-USDT", 4, 6),
                ("AUCTION-USDT", 2, 6),
                ("XMR-USDT-SWAP", 2, 0),
                ("TRX-USDT-210924", 5, 0),
                ("PAY-BTC", 8, 8),
            ],
        ),
    ];
    for (name, instruments) in tables {
        let folder = root.join(name);
        let expected = expected(&folder);
        let mut rebuild = Rebuild::new(Venue::Okx, wide_table(instruments));
        rebuild.read_file(&folder.join("ws.feed.gz"));
        assert_eq!(rebuild.lines, expected["lines"], "{name}");
        assert_eq!(rebuild.hot + rebuild.bench.fast.fallbacks(), rebuild.lines, "{name}");
        for (symbol, _, q) in instruments {
            let (book, ..) = rebuild.book(symbol);
            let wanted = &expected["books"][symbol];
            assert_eq!(book.checks, wanted["checksum_ok"], "{symbol}");
            assert_eq!((book.snapshots, book.breaks), (1, 0), "{symbol}");
            assert_eq!(book.applied, wanted["updates"], "{symbol}");
            rebuild.assert_book(symbol, wanted);
            let traded = &expected["trades"][symbol];
            if traded.is_object() {
                assert_eq!(book.trades, traded["count"], "{symbol}");
                assert_eq!(trimmed(book.traded_qty, *q), traded["qty"], "{symbol}");
            } else {
                assert_eq!(book.trades, 0, "{symbol}");
            }
        }
    }
}

#[test]
fn coinbase_books_come_out_whole() {
    let Some(root) = shared("recordings") else { return };
    let folder = root.join("coinbase_at_20260809");
    let expected = expected(&folder);
    let products = table(&[("BTC-USD", 4, 10), ("ETH-USD", 4, 10)]);
    let mut rebuild = Rebuild::new(Venue::Coinbase, products);
    rebuild.read_file(&folder.join("ws.feed.gz"));
    assert_eq!(rebuild.lines, expected["messages"]);
    let of = |channel: &str| expected["channels"][channel].as_u64().expect("a count");
    // Two snapshots of trades are quiet, and so are the channels that no session asks for.
    let quiet = of("ticker") + of("candles") + of("subscriptions") + 2;
    assert_eq!(rebuild.hot, rebuild.lines - quiet);
    rebuild.assert_scanned(quiet);
    let mut applied = 0;
    for symbol in ["BTC-USD", "ETH-USD"] {
        let (book, ..) = rebuild.book(symbol);
        assert_eq!(book.snapshots, 1, "{symbol}");
        applied += book.snapshots + book.applied;
        rebuild.assert_book(symbol, &expected["books"][symbol]);
    }
    assert_eq!(applied, of("l2_data"));
    let trades: u64 = rebuild.books.iter().map(|b| b.trades).sum();
    assert_eq!(trades, 45 + 8 * 2 + 4 + 6 + 3 + 5, "counted line by line in the recording");
}

#[test]
fn a_line_left_out_of_coinbase_is_one_hole() {
    let Some(root) = shared("recordings") else { return };
    let path = root.join("coinbase_at_20260809/ws.feed.gz");
    let mut bench = Bench::new(Venue::Coinbase, &table(&[("BTC-USD", 4, 10), ("ETH-USD", 4, 10)]));
    let file = std::fs::File::open(path).expect("a recording");
    let (mut gaps, mut at) = (Vec::new(), 0);
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines().skip(22) {
        let line = line.expect("text");
        let (_, text) = line.split_once(' ').expect("time and text");
        at += 1;
        // One is left out, one comes twice, three are left out.
        let times = match at {
            100 | 300..=302 => 0,
            200 => 2,
            _ => 1,
        };
        for _ in 0..times {
            let (_, events) = bench.both(text.as_bytes(), 0);
            gaps.extend(events.iter().filter(|e| e.ends_with("LineGap")).map(|_| at));
        }
    }
    assert_eq!(gaps, [101, 303]);
}

#[test]
fn usdm_futures_chain_from_the_snapshot_on() {
    let Some(root) = shared("recordings") else { return };
    let folder = root.join("binance_usdm_btcusdt_20240808");
    let expected = expected(&folder);
    let mut rebuild = Rebuild::new(Venue::BinanceUsdm, table(&[("BTCUSDT", 2, 3)]));
    let file = std::fs::File::open(folder.join("btcusdt_20240808.gz")).expect("a recording");
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let texts: Vec<String> = lines
        .map(|l| l.expect("text").split_once(' ').expect("time and text").1.to_owned())
        .collect();
    // The snapshot stands behind updates that it covers: a book buffers them, this one is given
    // the snapshot first.
    let at = texts.iter().position(|t| t.starts_with("{\"lastUpdateId\"")).expect("a snapshot");
    rebuild.read(&texts[at]);
    texts.iter().enumerate().filter(|(i, _)| *i != at).for_each(|(_, text)| rebuild.read(text));
    assert_eq!(rebuild.lines, expected["lines"]);
    let book = &rebuild.books[0];
    assert_eq!((book.applied, book.stale), (6_547, 4));
    assert_eq!(
        (book.applied, book.stale),
        (
            expected["applied"].as_u64().expect("a count"),
            expected["dropped"].as_u64().expect("a count"),
        )
    );
    assert_eq!((book.breaks, book.trades), (0, 21_313));
    assert_eq!(book.id, expected["final_u"]);
    rebuild.assert_book("BTCUSDT", &expected);
    assert_eq!(rebuild.bench.fast.fallbacks(), 0, "the scanner knows every line");
}

/// Every sample of the sheets is known; which are of no use to the books is stated.
#[test]
fn samples_are_understood() {
    let Some(root) = shared("venues") else { return };
    let okx = table(&[
        ("BTC-USDT", 1, 8),
        ("LTC-USDC", 2, 8),
        ("NEAR-USDT", 3, 8),
        ("ETH-USDT", 2, 8),
        ("XMR-USDT-SWAP", 2, 0),
        ("BTC-USDT-SWAP", 1, 2),
        ("BTC-USD-210924-42000-P", 4, 0),
        ("BTC-USD-210924-66000-C", 4, 0),
    ]);
    let coinbase = table(&[("BTC-USD", 4, 10), ("ETH-USD", 4, 10)]);
    for (venue, name, table, events_min) in
        [(Venue::Okx, "okx", okx, 15), (Venue::Coinbase, "coinbase", coinbase, 2)]
    {
        let mut events = 0;
        for folder in ["", "real_wire", "doc_examples"] {
            let folder = root.join(name).join("samples").join(folder);
            let Ok(list) = std::fs::read_dir(&folder) else { continue };
            for path in list.flatten().map(|e| e.path()) {
                let file = path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
                // Answers to REST requests, and a placeholder whose two names differ.
                let foreign = ["rest_", "instruments_ack", "orders_pending_ack"];
                let is_message =
                    file.contains(".json") && !foreign.iter().any(|f| file.starts_with(f));
                if !is_message || file == "trades.jsonl" {
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a sample");
                for line in text.lines() {
                    let (answer, told) = Bench::new(venue, &table).both(line.as_bytes(), 0);
                    assert!(answer.is_ok(), "{file}: {answer:?}");
                    events += told.len();
                }
            }
        }
        assert!(events >= events_min, "{name}: {events} events");
    }
}

/// The lists of instruments of the sheets.
#[test]
fn real_lists_of_instruments_are_read() {
    let Some(root) = shared("venues") else { return };
    let read = |venue: Venue, path: &str, wanted: &[&str]| {
        let text = std::fs::read(root.join(path)).expect("a sample");
        venue.catalogue(&[text], wanted)
    };
    let old = "okx/samples/rest_instrument_BTC-USDT_20220513.json";
    let list = read(Venue::Okx, old, &["BTC-USDT"]).expect("one").table;
    assert_eq!((list.all()[0].tick, list.all()[0].price_decimals), (100, 3));
    let list = read(Venue::Okx, "okx/samples/real_wire/instruments_ack.json", &[]).expect("all");
    assert_eq!(list.table.all().len(), 4, "one has no rules yet");
    assert!(list.table.find(b"NIGHT-USDT").is_some_and(|i| !i.tradable && i.lot == 100));
    let products = "coinbase/samples/rest_products_BTC-USD_ETH-USD_20260809.json";
    let list = read(Venue::Coinbase, products, &["ETH-USD", "BTC-USD"]).expect("both").table;
    assert!(list.all().iter().all(|i| i.tradable && (i.tick, i.lot) == (100, 100)));
}

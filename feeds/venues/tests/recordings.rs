//! Every line of the real recordings decodes, to the counts that an independent rebuild found,
//! and the scanner agrees with the general reader on each.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use bot4_types::limits::FRAME_PADDING;
use bot4_types::{
    ConnId, FrameKind, Instrument, InstrumentId, InstrumentTable, MarketBody, MarketEvent, Nanos,
    Symbol, Trail,
};
use bot4_venues::binance::market::BinanceMarket;
use bot4_venues::{BlockPool, Decoded, Ignored, Input, MarketDecoder, Sink};

fn recordings() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recordings"));
    if !path.is_dir() {
        println!("skipped: no shared data");
        return None;
    }
    Some(path.to_owned())
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = std::fs::File::open(path).expect("a recording");
    BufReader::new(flate2::read::GzDecoder::new(file)).lines().map(|l| l.expect("text"))
}

fn table(names: &[&str]) -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for name in names {
        let symbol = Symbol::new(name).expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    table
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    depth: u64,
    quotes: u64,
    trades: u64,
    snapshots: u64,
    ignored: u64,
    traded_qty: i128,
    last_u: u64,
}

struct Reader {
    decoder: BinanceMarket,
    sink: Sink,
    counts: Counts,
    bytes: Vec<u8>,
}

impl Reader {
    fn new(names: &[&str]) -> Self {
        let mut decoder = BinanceMarket::new(&table(names));
        decoder.start();
        let sink = Sink::new(BlockPool::new([2, 2, 1]));
        Self { decoder, sink, counts: Counts::default(), bytes: Vec::new() }
    }

    fn read(&mut self, text: &str) {
        self.bytes.clear();
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.resize(text.len() + FRAME_PADDING, 0);
        let input = Input {
            bytes: &self.bytes,
            len: text.len(),
            conn: ConnId(0),
            kind: FrameKind::Market,
            trail: Trail::start(Nanos::ZERO),
            instrument: None,
        };
        let fast = self.decoder.decode(input, &mut self.sink).expect("a real message");
        let ours: Vec<MarketEvent> = self.sink.drain().collect();
        let oracle = self.decoder.decode_generally(input, &mut self.sink).expect("a real message");
        assert_eq!(fast, oracle);
        let twins: Vec<MarketEvent> = self.sink.drain().collect();
        assert_eq!(ours.len(), twins.len());
        match fast {
            Decoded::Events => assert_eq!(ours.len(), 1),
            Decoded::Ignored(Ignored::AggTrade | Ignored::Kline) => self.counts.ignored += 1,
            other => panic!("{other:?}: {text}"),
        }
        for (a, b) in ours.into_iter().zip(twins) {
            assert_eq!((a.instrument, a.venue_ms), (b.instrument, b.venue_ms));
            self.count(a.body, b.body);
        }
    }

    fn count(&mut self, ours: MarketBody, twin: MarketBody) {
        use MarketBody as B;
        match (ours, twin) {
            (
                B::Depth { first, last, bids, asks, block, .. },
                B::Depth { first: f, last: l, bids: nb, asks: na, block: other, .. },
            ) => {
                assert_eq!((first, last, bids, asks), (f, l, nb, na));
                let n = (bids + asks) as usize;
                assert_eq!(block.levels()[..n], other.levels()[..n]);
                self.sink.pool.give_back(block);
                self.sink.pool.give_back(other);
                self.counts.depth += 1;
                self.counts.last_u = last;
            }
            (
                B::Snapshot { last, bids, asks, block, .. },
                B::Snapshot { last: l, bids: nb, asks: na, block: other, .. },
            ) => {
                assert_eq!((last, bids, asks), (l, nb, na));
                let n = (bids + asks) as usize;
                assert_eq!(block.levels()[..n], other.levels()[..n]);
                self.sink.pool.give_back(block);
                self.sink.pool.give_back(other);
                self.counts.snapshots += 1;
            }
            (
                B::Trade { id, price, qty, aggressor },
                B::Trade { id: i, price: p, qty: q, aggressor: g },
            ) => {
                assert_eq!((id, price, qty, aggressor), (i, p, q, g));
                self.counts.trades += 1;
                self.counts.traded_qty += i128::from(qty);
            }
            (B::Quote { id, bid, ask }, B::Quote { id: i, bid: b, ask: a }) => {
                assert_eq!((id, bid, ask), (i, b, a));
                self.counts.quotes += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn btcusdt_2024_decodes_whole() {
    let Some(root) = recordings() else { return };
    let folder = root.join("binance_spot_btcusdt_20240808");
    let mut reader = Reader::new(&["BTCUSDT"]);
    for file in ["btcusdt_20240808.gz", "btcusdt_20240809.gz"] {
        for line in lines(&folder.join(file)) {
            let (_, text) = line.split_once(' ').expect("time and text");
            reader.read(text);
        }
    }
    let expected = Counts {
        depth: 6_495,
        quotes: 73_174,
        trades: 19_904,
        snapshots: 1,
        ignored: 0,
        traded_qty: 43_791_552_000,
        last_u: 50_093_696_318,
    };
    assert_eq!(reader.counts, expected);
    assert_eq!(reader.decoder.fallbacks(), 0, "the scanner knows every line");
}

/// Symbols of a recording of several books: those of its stream names.
fn symbols_of(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = lines(path)
        .filter_map(|l| Some(l.split_once("\"stream\":\"")?.1.split_once('@')?.0.to_uppercase()))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn recordings_of_several_books_decode_whole() {
    let Some(root) = recordings() else { return };
    for (name, count) in [("binance_spot_multi_20210417", 10), ("binance_spot_multi_20211012", 4)] {
        let path = root.join(name).join("ws.feed.gz");
        let symbols = symbols_of(&path);
        assert_eq!(symbols.len(), count);
        let mut reader = Reader::new(&symbols.iter().map(String::as_str).collect::<Vec<_>>());
        let mut twin = Counts::default();
        for line in lines(&path) {
            let (_, text) = line.split_once(' ').expect("time and text");
            let has = |key: &str| u64::from(text.contains(key));
            twin.depth += has("\"depthUpdate\"");
            twin.quotes += has("@bookTicker\"");
            twin.ignored += has("\"aggTrade\"") + has("\"kline\"");
            reader.read(text);
        }
        let c = &reader.counts;
        assert_eq!((c.depth, c.quotes, c.ignored), (twin.depth, twin.quotes, twin.ignored));
        assert!(c.depth > 0 && c.quotes > 0 && c.ignored > 0);
        assert_eq!(reader.decoder.fallbacks(), c.ignored);
    }
}

#[test]
fn sample_messages_decode() {
    let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"))
        .join("venues/binance/samples");
    if !samples.is_dir() {
        println!("skipped: no shared data");
        return;
    }
    let mut reader = Reader::new(&["BTCUSDT", "BNBUSDT", "BNBBTC", "NKNUSDT"]);
    for (file, fallback) in [
        ("ws_btcusdt_bookTicker.json", false),
        ("ws_btcusdt_depth_100ms_first.json", false),
        ("ws_btcusdt_depth_100ms_longest.json", false),
        ("ws_btcusdt_trade.json", false),
        ("ws_multi_aggTrade.json", true),
        ("ws_multi_kline_1m.json", true),
        ("real_wire/depth_update.json", false),
        ("real_wire/agg_trade.json", true),
    ] {
        let before = reader.decoder.fallbacks();
        reader.read(std::fs::read_to_string(samples.join(file)).expect("a sample").trim());
        assert_eq!(reader.decoder.fallbacks() > before, fallback, "{file}");
    }
    assert_eq!((reader.counts.depth, reader.counts.trades, reader.counts.ignored), (3, 1, 3));
}

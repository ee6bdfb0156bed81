use super::*;
use crate::market::{BlockPool, Ignored, Notice};
use bot4_types::limits::FRAME_PADDING;
use bot4_types::{ConnId, FrameKind, Instrument, MarketEvent, Nanos, Symbol, Trail};
use proptest::prelude::*;

const OWN: &str = include_str!("../../tests/golden/market.jsonl");

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for name in ["BTCUSDT", "ETHUSDT"] {
        let symbol = Symbol::new(name).expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    table
}

fn padded(text: &[u8], filler: u8) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.resize(text.len() + FRAME_PADDING, filler);
    bytes
}

fn input(bytes: &[u8], len: usize) -> Input<'_> {
    Input {
        bytes,
        len,
        conn: ConnId(3),
        kind: FrameKind::Market,
        trail: Trail::start(Nanos(5)),
        instrument: None,
    }
}

struct Bench {
    decoder: BinanceMarket,
    sink: Sink,
}

/// What came out, comparable: the answer and the events with the levels that count.
type Outcome = (Result<Decoded, DecodeError>, Vec<String>);

impl Bench {
    fn new() -> Self {
        let decoder = BinanceMarket::new(&table());
        Self { decoder, sink: Sink::new(BlockPool::new([2, 2, 1])) }
    }

    fn free(&self) -> [usize; 3] {
        [self.sink.pool.free(0), self.sink.pool.free(1), self.sink.pool.free(2)]
    }

    fn outcome(&mut self, answer: Result<Decoded, DecodeError>) -> Outcome {
        let events: Vec<MarketEvent> = self.sink.drain().collect();
        (answer, events.into_iter().map(|e| self.told(e)).collect())
    }

    fn told(&mut self, event: MarketEvent) -> String {
        let head = format!("{:?} {:?} {}", event.instrument, event.conn, event.venue_ms);
        match event.body {
            MarketBody::Depth { first, last, bids, asks, block, .. } => {
                let levels = self.levels(bids, asks, block);
                format!("{head} depth {first}..{last} {levels}")
            }
            MarketBody::Snapshot { last, bids, asks, block, .. } => {
                format!("{head} snapshot {last} {}", self.levels(bids, asks, block))
            }
            body => format!("{head} {body:?}"),
        }
    }

    fn levels(&mut self, bids: u32, asks: u32, block: LevelBlock) -> String {
        let all: Vec<(i64, i64)> =
            block.levels()[..(bids + asks) as usize].iter().map(|l| (l.price, l.qty)).collect();
        self.sink.pool.give_back(block);
        format!("{bids}/{asks} {all:?}")
    }

    fn fast(&mut self, text: &[u8], filler: u8) -> Outcome {
        let bytes = padded(text, filler);
        let answer = self.decoder.decode(input(&bytes, text.len()), &mut self.sink);
        self.outcome(answer)
    }

    fn general(&mut self, text: &[u8]) -> Outcome {
        let answer = self.decoder.decode_generally(input(text, text.len()), &mut self.sink);
        self.outcome(answer)
    }
}

#[test]
fn own_samples_give_what_they_say() {
    let mut bench = Bench::new();
    let told: Vec<Outcome> = OWN.lines().map(|l| bench.fast(l.as_bytes(), 0)).collect();
    let expected = [
        "InstrumentId(0) ConnId(3) 1770000000100 depth 5001..5007 2/1 [(6100001000000, 50000000), (6099999000000, 0), (6100002000000, 1234567890)]",
        "InstrumentId(0) ConnId(3) 1770000000200 depth 5008..5008 0/1 [(6100050000000, 300000000)]",
        "InstrumentId(1) ConnId(3) 1770000000300 depth 17..19 1/0 [(300010000000, 100000000)]",
        "InstrumentId(0) ConnId(3) 1770000000101 Trade { id: 90001, price: 6100001000000, qty: 2000000, aggressor: Sell }",
        "InstrumentId(1) ConnId(3) 1770000000102 Trade { id: 7, price: 300010000000, qty: 100000000, aggressor: Buy }",
        "InstrumentId(0) ConnId(3) 0 Quote { id: 5007, bid: Level { price: 6100001000000, qty: 50000000 }, ask: Level { price: 6100002000000, qty: 1234567890 } }",
        "InstrumentId(1) ConnId(3) 0 Quote { id: 20, bid: Level { price: 300010000000, qty: 100000000 }, ask: Level { price: 300020000000, qty: 200000000 } }",
        "InstrumentId(1) ConnId(3) 0 snapshot 5006 2/1 [(6100001000000, 40000000), (6100000000000, 100000000), (6100002000000, 200000000)]",
        "InstrumentId(0) ConnId(3) 0 snapshot 5006 0/0 []",
        "InstrumentId(0) ConnId(3) 0 SnapshotFailed",
    ];
    for (outcome, text) in told.iter().zip(expected) {
        assert_eq!(outcome, &(Ok(Decoded::Events), vec![text.to_owned()]));
    }
    let rest: Vec<_> = told[expected.len()..].iter().map(|o| o.0).collect();
    let ignored = [Ignored::PartialDepth, Ignored::AggTrade, Ignored::Kline, Ignored::Ticker];
    let mut quiet: Vec<_> = ignored.into_iter().map(|i| Ok(Decoded::Ignored(i))).collect();
    quiet.push(Ok(Decoded::Notice(Notice::ServerShutdown)));
    quiet.push(Ok(Decoded::Ignored(Ignored::ControlAnswer)));
    quiet.extend([2, 3].map(|c| Ok(Decoded::Notice(Notice::ControlRefused(c)))));
    assert_eq!(rest, quiet);
    // Nine lines with events need no general reader; the refused snapshot and the rest do.
    assert_eq!(bench.decoder.fallbacks(), OWN.lines().count() as u64 - 9);
    assert_eq!(bench.free(), [2, 2, 1]);
}

#[test]
fn a_bare_snapshot_belongs_to_the_named_or_the_only_instrument() {
    let text = br#"{"lastUpdateId":9,"bids":[["1.00000000","2.00000000"]],"asks":[]}"#;
    let mut bench = Bench::new();
    assert_eq!(bench.fast(text, 0).0, Err(DecodeError::UnknownSymbol));
    let bytes = padded(text, 0);
    let named = Input { instrument: Some(InstrumentId(1)), ..input(&bytes, text.len()) };
    let answer = bench.decoder.decode(named, &mut bench.sink);
    assert!(bench.outcome(answer).1[0].starts_with("InstrumentId(1) ConnId(3) 0 snapshot 9 1/0"));
    let mut one = InstrumentTable::new();
    one.push(table().all()[0]).expect("room");
    bench.decoder = BinanceMarket::new(&one);
    assert!(bench.fast(text, 0).1[0].starts_with("InstrumentId(0)"));
}

#[test]
fn refusals_are_told_apart_and_cost_no_block() {
    let depth = OWN.lines().next().expect("line");
    let mut bench = Bench::new();
    let mut refused = |from: &str, to: &str| {
        assert!(depth.contains(from));
        let outcome = bench.fast(depth.replace(from, to).as_bytes(), 0);
        assert_eq!((bench.free(), outcome.1.len()), ([2, 2, 1], 0));
        outcome.0.expect_err("refused")
    };
    assert_eq!(refused("BTCUSDT", "XRPUSDT"), DecodeError::UnknownSymbol);
    assert_eq!(refused("\"U\":5001", "\"U\":5009"), DecodeError::Schema);
    assert_eq!(refused("\"U\":5001", "\"V\":5001"), DecodeError::Schema);
    assert_eq!(refused("]]}}", "]]}"), DecodeError::Json);
    for number in ["0.500000001", "-0.50000000", "0.5e1", "", "99999999999999.0"] {
        let error = refused("0.50000000", number);
        assert!(matches!(error, DecodeError::Number(_)), "{number}: {error:?}");
    }
}

#[test]
fn without_blocks_the_message_waits() {
    let depth = OWN.lines().next().expect("line").as_bytes();
    let mut bench = Bench::new();
    let held: Vec<_> = std::iter::from_fn(|| bench.sink.pool.take(1)).collect();
    assert_eq!(bench.fast(depth, 0).0, Err(DecodeError::NoBlock));
    assert_eq!(bench.general(depth).0, Err(DecodeError::NoBlock));
    held.into_iter().for_each(|b| bench.sink.pool.give_back(b));
    assert_eq!(bench.fast(depth, 0).0, Ok(Decoded::Events));
}

#[test]
fn the_block_follows_the_count_of_levels() {
    let mut bench = Bench::new();
    for (count, class) in [(1, 0), (64, 0), (65, 1), (2_048, 1), (2_049, 2), (65_536, 2)] {
        let levels = vec![r#"["10.00000000","1.00000000"]"#; count].join(",");
        let text = format!(
            r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[{levels}],"a":[]}}"#
        );
        let bytes = padded(text.as_bytes(), 0);
        let answer = bench.decoder.decode(input(&bytes, text.len()), &mut bench.sink);
        assert_eq!(answer, Ok(Decoded::Events), "{count}");
        let Some(MarketBody::Depth { block, .. }) = bench.sink.drain().map(|e| e.body).next()
        else {
            panic!("a depth event");
        };
        // A message of exactly 64 levels may be too long to be judged by its length alone.
        assert_eq!(block.class(), class, "{count}");
        bench.sink.pool.give_back(block);
    }
    assert_eq!(bench.decoder.fallbacks(), 0);
    // A pool without large blocks refuses at once instead of waiting for ever.
    let mut small =
        Bench { decoder: BinanceMarket::new(&table()), sink: Sink::new(BlockPool::new([1, 1, 0])) };
    let levels = vec![r#"["1","1"]"#; 2_049].join(",");
    let text =
        format!(r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[{levels}],"a":[]}}"#);
    assert_eq!(small.fast(text.as_bytes(), 0).0, Err(DecodeError::TooManyLevels));
    let many = vec![r#"["1","1"]"#; 30_000].join(",");
    let text = format!(r#"{{"lastUpdateId":1,"bids":[{many}],"asks":[{many}]}}"#);
    let bytes = padded(text.as_bytes(), 0);
    let too_long = Input { instrument: Some(InstrumentId(0)), ..input(&bytes, text.len()) };
    // By the scanner: its number of levels fits, whatever its length.
    assert_eq!(bench.decoder.decode(too_long, &mut bench.sink), Ok(Decoded::Events));
}

#[test]
fn damaged_messages_name_their_suspect() {
    let bench = Bench::new();
    let suspect = |text: &str| bench.decoder.suspect(text.as_bytes()).map(|i| i.0);
    assert_eq!(suspect(r#"{"stream":"ethusdt@depth@100ms","data":{"e":"dep"#), Some(1));
    assert_eq!(suspect(r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":"#), Some(0));
    assert_eq!(suspect(r#"{"id":1,"status":2"#), Some(1));
    assert_eq!(suspect(r#"{"id":7,"status":2"#), None);
    assert_eq!(suspect(r#"{"stream":"xrpusdt@depth","data""#), None);
    assert_eq!(suspect(r#"{"stream":"btcusdt@trade","data":{"s":"BTCUSDT""#), None);
    assert_eq!(suspect(r#"{"stream":"btcusdt@bookTicker","data""#), None);
    assert_eq!(suspect(""), None);
}

/// A level's number text in usual and unusual digits.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[1-9][0-9]{0,6}\\.[0-9]{8}",
        1 => "[0-9]{1,10}",
        1 => "[0-9]{0,3}\\.[0-9]{1,10}",
    ]
}

fn level_list() -> impl Strategy<Value = String> {
    let pair = (number(), number()).prop_map(|(p, q)| format!("[\"{p}\",\"{q}\"]"));
    proptest::collection::vec(pair, 0..80).prop_map(|l| l.join(","))
}

fn message() -> impl Strategy<Value = String> {
    let ids = (0u64..1 << 50, 0u64..100, 0i64..2_000_000_000_000);
    (0u8..6, ids, level_list(), level_list(), [number(), number(), number(), number()]).prop_map(
        |(shape, (first, span, time), bids, asks, [a, b, c, d])| match shape {
            0 | 1 => {
                let body = format!(
                    r#"{{"e":"depthUpdate","E":{time},"s":"ETHUSDT","U":{first},"u":{},"b":[{bids}],"a":[{asks}]}}"#,
                    first + span
                );
                if shape == 0 { body } else { format!(r#"{{"stream":"ethusdt@depth","data":{body}}}"#) }
            }
            2 => format!(r#"{{"u":{first},"s":"BTCUSDT","b":"{a}","B":"{b}","a":"{c}","A":"{d}"}}"#),
            3 => format!(
                r#"{{"e":"trade","E":{time},"s":"BTCUSDT","t":{first},"p":"{a}","q":"{b}","T":{time},"m":{},"M":true}}"#,
                span % 2 == 0
            ),
            4 => format!(
                r#"{{"id":{},"status":200,"result":{{"lastUpdateId":{first},"bids":[{bids}],"asks":[{asks}]}}}}"#,
                span % 3
            ),
            _ => format!(
                r#"{{"id":1,"status":200,"result":{{"lastUpdateId":{first},"bids":[{bids}],"asks":[{asks}]}},"rateLimits":[{{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":9,"count":{span}}}]}}"#
            ),
        },
    )
}

/// One edit of a text: (where, what, with).
type Edit = (usize, u8, u8);

fn edited(text: &str, edits: &[Edit]) -> Vec<u8> {
    const FLAVOUR: &[u8] = b"\"\\,:{}[]0123456789.-e trufalsn\x00\xc3\xa9\x1f";
    let mut bytes = text.as_bytes().to_vec();
    for (at, what, with) in edits {
        let at = at % (bytes.len() + 1);
        let byte = FLAVOUR[*with as usize % FLAVOUR.len()];
        match what % 4 {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if with % 8 == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}

proptest! {
    /// Generated messages: the scanner and the general reader agree.
    #[test]
    fn scanner_and_oracle_agree_on_messages(text in message(), filler in any::<u8>()) {
        let mut bench = Bench::new();
        let fast = bench.fast(text.as_bytes(), filler);
        prop_assert_eq!(fast, bench.general(text.as_bytes()));
        prop_assert_eq!(bench.free(), [2, 2, 1]);
    }

    /// Damaged messages: both give the same events or both refuse.
    #[test]
    fn scanner_and_oracle_agree_on_damage(
        line in any::<prop::sample::Index>(), filler in any::<u8>(),
        edits in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4),
    ) {
        let lines: Vec<&str> = OWN.lines().collect();
        let bytes = edited(lines[line.index(lines.len())], &edits);
        let mut bench = Bench::new();
        let fast = bench.fast(&bytes, filler);
        prop_assert_eq!(fast, bench.general(&bytes), "{}", String::from_utf8_lossy(&bytes));
        prop_assert_eq!(bench.free(), [2, 2, 1]);
    }

    /// What an earlier message left in the padding never completes a cut one.
    #[test]
    fn padding_is_never_read_as_message(line in 0usize..10, cut in 1usize..60) {
        let text = OWN.lines().nth(line).expect("line").as_bytes();
        let len = text.len() - cut.min(text.len() - 1);
        let mut bench = Bench::new();
        let answer = bench.decoder.decode(input(text, len), &mut bench.sink);
        prop_assert!(answer.is_err(), "{answer:?}");
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bench = Bench::new();
        let _ = bench.decoder.suspect(&bytes);
        let fast = bench.fast(&bytes, 0);
        prop_assert_eq!(fast, bench.general(&bytes));
    }
}

//! No allocation after start: a sealed parse agent through every kind of message, the general
//! reader at its largest, damage, waiting for blocks and full rings; and the dialect's encoder
//! and private decoder once their buffers have grown.

use bot4_alloc::SealedAlloc;
use bot4_alloc::seal::{AgentTag, Class, allocations, deallocations, enter, register, seal};
use bot4_feeds::parse_agent::{ParseAgent, ParsePorts};
use bot4_lanes::{Agent, Metrics, Probe, Rx, Tx, ring};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    ClientId, ConnId, Frame, FrameKind, Instrument, InstrumentId, InstrumentTable, LevelBlock,
    MarketBody, MarketEvent, Nanos, OrderId, OrderKind, RunEpoch, Side, Slot, Symbol, Tif,
};
use bot4_venues::Venue;
use bot4_venues::binance::market::FALLBACK_LEN_MAX;
use bot4_venues::binance::orders::{Encoder, Target};
use bot4_venues::binance::private::ApiDecoder;
use bot4_venues::binance::sign::{Credentials, Signer};
use bot4_venues::place::Place;

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for name in ["BTCUSDT", "ETHUSDT"] {
        let symbol = Symbol::new(name).expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    table
}

/// A sealed tag, after showing that the seal sees.
fn sealed_tag() -> AgentTag {
    let probe = register(Class::Hot);
    seal(probe);
    let scope = enter(probe);
    drop(std::hint::black_box(Box::new(7u64)));
    drop(scope);
    assert_eq!((allocations(probe), deallocations(probe)), (1, 1), "the seal sees");
    let tag = register(Class::Hot);
    seal(tag);
    tag
}

fn depth(rng: &mut SplitMix64, levels: u64, space: &str) -> String {
    let level = |rng: &mut SplitMix64| {
        format!("[\"{}.{:08}\",\"0.5\"]", 1 + rng.below(99_999), rng.below(100_000_000))
    };
    let levels: Vec<String> = (0..levels).map(|_| level(rng)).collect();
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{{space}"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[{}],"a":[]}}}}"#,
        levels.join(",")
    )
}

/// The densest document of the general reader's size, as the payload of a stream not known.
fn densest() -> String {
    let (head, tail) = (r#"{"stream":"x","data":{"e":"new","x":["#, "0]}}");
    let zeros = (FALLBACK_LEN_MAX - head.len() - tail.len()) / 2;
    format!("{head}{}{tail}", "0,".repeat(zeros))
}

fn message(rng: &mut SplitMix64) -> String {
    match rng.below(12) {
        0..=3 => {
            let levels = rng.below(80);
            depth(rng, levels, "")
        }
        4 => depth(rng, 300, " "),
        5 => r#"{"u":5,"s":"ETHUSDT","b":"1.00000000","B":"2.00000000","a":"3.00000000","A":"4.00000000"}"#.into(),
        6 => r#"{"e":"trade","E":1,"s":"ETHUSDT","t":9,"p":"1.00000000","q":"2","T":1,"m":true,"M":true}"#.into(),
        7 => r#"{"e":"kline","E":1,"s":"ETHUSDT","k":{}}"#.into(),
        8 => {
            let mut cut = depth(rng, 9, "");
            cut.truncate(150);
            cut
        }
        9 => r#"{"id":1,"status":500,"error":{"code":-1000,"msg":"a\u0041"}}"#.into(),
        10 => r#"{"id":1,"status":200,"result":{"lastUpdateId":9,"bids":[],"asks":[["1.00000000","2.00000000"]]}}"#.into(),
        _ => "\u{1}[[[[".into(),
    }
}

fn frame(text: &str, kind: FrameKind) -> Frame {
    let mut slot = Slot::new(text.len());
    slot.bytes_mut()[..text.len()].copy_from_slice(text.as_bytes());
    Frame { slot, t0: Nanos(1), len: text.len() as u32, kernel_ns: 0, conn: ConnId(0), kind }
}

/// What the wire and the books do: outside the seal.
struct Around {
    frames: Tx<Frame>,
    slots: Rx<Slot>,
    market: Rx<MarketEvent>,
    blocks: Tx<LevelBlock>,
    kept: Vec<LevelBlock>,
}

impl Around {
    fn books(&mut self, rng: &mut SplitMix64) {
        while let Some(event) = self.market.pop() {
            if let MarketBody::Depth { block, .. } | MarketBody::Snapshot { block, .. } = event.body
            {
                self.kept.push(block);
            }
        }
        // Blocks come back late, so that frames have to wait for them.
        if rng.below(4) == 0 {
            for block in self.kept.drain(..) {
                self.blocks.push(block).expect("room");
            }
        }
        while self.slots.pop().is_some() {}
    }
}

#[test]
fn a_turn_of_the_parse_agent_allocates_nothing() {
    let metrics = Metrics::in_memory();
    let (frames, frames_rx) = ring(64);
    let (slots_tx, slots) = ring(64);
    let (market_tx, market) = ring(24);
    let (blocks, blocks_rx) = ring(64);
    let ports = ParsePorts {
        frames: frames_rx,
        slots: slots_tx,
        market: vec![market_tx],
        blocks: vec![blocks_rx],
    };
    let decoder = Venue::Binance.market_decoder(&table()).expect("in build");
    let mut agent = ParseAgent::new(ports, decoder, &metrics, 0).with_blocks([6, 2, 1]);
    agent.start(Nanos::ZERO).expect("starts");
    let mut around = Around { frames, slots, market, blocks, kept: Vec::new() };
    let (tag, mut rng, mut probe) = (sealed_tag(), SplitMix64::new(11), Probe::logical());
    around.frames.push(frame(&densest(), FrameKind::Market)).expect("room");
    for turn in 0..6_000u64 {
        for _ in 0..rng.below(6) {
            let kind = match rng.below(50) {
                0 => FrameKind::LineDown,
                1 => FrameKind::LineUp,
                2..=9 => FrameKind::Snapshot,
                _ => FrameKind::Market,
            };
            let _ = around.frames.push(frame(&message(&mut rng), kind));
        }
        let now = Nanos::from_millis(turn * 20);
        probe.set(now);
        let scope = enter(tag);
        agent.work(now, &mut probe).expect("no fault");
        drop(scope);
        around.books(&mut rng);
    }
    assert_eq!((allocations(tag), deallocations(tag)), (0, 0));
    // It did meet what it was meant to meet.
    for name in [
        "depths",
        "snapshots",
        "trades",
        "quotes",
        "ignored",
        "damaged",
        "snapshots_failed",
        "line_changes",
        "fallback",
        "error_json",
        "waited_for_block",
        "dropped_no_block",
    ] {
        assert!(metrics.total(name) > 20, "{name} {}", metrics.total(name));
    }
}

#[test]
fn requests_and_answers_allocate_nothing_once_grown() {
    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    const ANSWERS: &str = include_str!("../venues/tests/golden/private.jsonl");
    let table = table();
    let mut decoder = ApiDecoder::new(&table);
    let signer = Signer::hmac(SECRET).expect("key");
    let mut encoder = Encoder::new(Credentials::new("key", signer).expect("key"), None);
    let mut out = Vec::with_capacity(1_024);
    let mut pass = |number: u64| {
        out.clear();
        let instrument = &table.all()[0];
        let order = Place {
            id: number,
            instrument,
            client: ClientId::new(RunEpoch(1), OrderId(number)),
            side: Side::Sell,
            kind: OrderKind::Limit,
            tif: Tif::Ioc,
            price: i64::MAX,
            trigger: 0,
            qty: i64::MAX,
            now_ms: i64::MAX,
        };
        encoder.place(&order, &mut out);
        out.clear();
        encoder.cancel(number, &instrument.symbol, Target::Venue(u64::MAX), 1, &mut out);
        ANSWERS.lines().filter(|line| decoder.decode(line.as_bytes()).is_ok()).count()
    };
    // Twice: the tape has its final size only after the largest message.
    assert_eq!((pass(1), pass(2)), (24, 24));
    let tag = sealed_tag();
    let scope = enter(tag);
    let read: usize = (0..200).map(&mut pass).sum();
    drop(scope);
    assert_eq!((read, allocations(tag), deallocations(tag)), (200 * 24, 0, 0));
}

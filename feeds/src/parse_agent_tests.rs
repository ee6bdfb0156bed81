use super::*;
use bot4_lanes::metrics::bucket_of;
use bot4_lanes::ring;
use bot4_types::{ConnId, Instrument, InstrumentTable, Symbol};
use bot4_venues::{TextKernels, Venue};
use proptest::prelude::*;

fn decoder() -> Box<dyn MarketDecoder> {
    let mut table = InstrumentTable::new();
    for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        let symbol = Symbol::new(name).expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    Venue::Binance.market_decoder(&table).expect("in build")
}

/// The agent between a wire and two books that the test plays.
struct Rig {
    agent: ParseAgent,
    metrics: Metrics,
    frames: Tx<Frame>,
    slots: Rx<Slot>,
    market: Vec<Rx<MarketEvent>>,
    blocks: Vec<Tx<LevelBlock>>,
    probe: Probe,
}

impl Rig {
    fn new(room: usize, blocks: [usize; 3]) -> Self {
        Self::over(decoder(), Shards::round_robin(3, 2, 1), room, blocks)
    }

    fn over(
        decoder: Box<dyn MarketDecoder>,
        shards: Shards,
        room: usize,
        blocks: [usize; 3],
    ) -> Self {
        let metrics = Metrics::in_memory();
        let (frames, frames_rx) = ring(128);
        let (slots_tx, slots) = ring(128);
        let (market_tx, market) = (0..2).map(|_| ring(room)).unzip();
        let (blocks_tx, blocks_rx) = (0..2).map(|_| ring(64)).unzip();
        let ports =
            ParsePorts { frames: frames_rx, slots: slots_tx, market: market_tx, blocks: blocks_rx };
        let agent = ParseAgent::new(ports, decoder, &metrics, 0);
        let mut agent = agent.with_blocks(blocks).with_shards(shards);
        agent.start(Nanos::ZERO).expect("starts");
        let probe = Probe::logical();
        Self { agent, metrics, frames, slots, market, blocks: blocks_tx, probe }
    }

    fn send(&mut self, kind: FrameKind, text: &str, t0: u64) {
        self.send_stamped(kind, text, t0, 0);
    }

    /// Read at `t0`, when the kernel had had it for `kernel_ns`.
    fn send_stamped(&mut self, kind: FrameKind, text: &str, t0: u64, kernel_ns: u32) {
        let mut slot = Slot::new(text.len().max(1));
        slot.bytes_mut()[..text.len()].copy_from_slice(text.as_bytes());
        let len = text.len() as u32;
        let frame = Frame { slot, t0: Nanos(t0), len, kernel_ns, conn: ConnId(4), kind };
        self.frames.push(frame).expect("room");
    }

    fn work(&mut self, now: u64) -> usize {
        self.probe.set(Nanos(now));
        self.agent.work(Nanos(now), &mut self.probe).expect("no fault")
    }

    fn counted(&self, name: &str) -> u64 {
        self.metrics.total(name)
    }
}

/// Which instructions the scanner reads by is seen in the counters.
#[test]
fn the_level_of_the_scanner_is_told() {
    let names = ["scanner_scalar", "scanner_avx2", "scanner_avx512"];
    for kernels in TextKernels::all() {
        let decoder = Venue::Kraken.market_decoder_by(kernels, &InstrumentTable::new());
        let shards = Shards::round_robin(3, 2, 1);
        let rig = Rig::over(decoder.expect("in build"), shards, 32, [4, 1, 1]);
        let told = names.map(|name| rig.counted(name));
        let mut meant = [0; 3];
        meant[kernels.level() as usize] = 1;
        assert_eq!(told, meant, "{}", kernels.level().name());
    }
}

fn depth(symbol: &str, first: u64, levels: usize) -> String {
    let levels = vec![r#"["61000.01000000","0.50000000"]"#; levels].join(",");
    let stream = symbol.to_lowercase();
    format!(
        r#"{{"stream":"{stream}@depth@100ms","data":{{"e":"depthUpdate","E":1770000000100,"s":"{symbol}","U":{first},"u":{first},"b":[{levels}],"a":[]}}}}"#
    )
}

fn trade(symbol: &str, id: u64) -> String {
    format!(
        r#"{{"e":"trade","E":1,"s":"{symbol}","t":{id},"p":"1.00000000","q":"2.00000000","T":1,"m":true,"M":true}}"#
    )
}

#[test]
fn events_reach_the_book_of_their_instrument_with_their_stamps() {
    let mut rig = Rig::new(32, [4, 1, 1]);
    rig.send(FrameKind::Market, &depth("BTCUSDT", 7, 2), 1_000);
    rig.send(FrameKind::Market, &trade("ETHUSDT", 9), 1_100);
    rig.send(FrameKind::Market, &trade("SOLUSDT", 10), 1_200);
    assert_eq!(rig.work(5_000), 3);
    let event = rig.market[0].pop().expect("depth");
    assert_eq!((event.conn, event.venue_ms), (ConnId(4), 1_770_000_000_100));
    assert_eq!((event.trail.t0, event.trail.span(Stage::WireToParse)), (Nanos(1_000), 4_000));
    let MarketBody::Depth { first: 7, bids: 2, block, .. } = event.body else { panic!("depth") };
    assert_eq!(rig.agent.blocks_free(), [3, 1, 1]);
    rig.blocks[0].push(block).expect("room");
    assert!(matches!(rig.market[0].pop(), Some(MarketEvent { instrument: InstrumentId(2), .. })));
    assert!(matches!(rig.market[1].pop(), Some(MarketEvent { instrument: InstrumentId(1), .. })));
    assert!(rig.market.iter_mut().all(|m| m.pop().is_none()));
    assert_eq!(rig.work(6_000), 0);
    assert_eq!(rig.agent.blocks_free(), [4, 1, 1]);
    assert_eq!(std::iter::from_fn(|| rig.slots.pop()).count(), 3);
    for (name, n) in [("messages", 3), ("depths", 1), ("levels", 2), ("trades", 2), ("fallback", 0)]
    {
        assert_eq!(rig.counted(name), n, "{name}");
    }
    assert_eq!(rig.agent.wire_to_parse_ns.max(), 4_000);
}

/// Coordinated omission would be one wait of 50 ms and silence. A venue does not wait for its
/// reader: what it sent meanwhile has waited too, each message its own time, from the kernel's
/// stamp on.
#[test]
fn a_stall_is_in_the_wait_of_every_message_behind_it() {
    const MS: u64 = 1_000_000;
    let mut rig = Rig::new(256, [4, 1, 1]);
    let read = 50 * MS;
    for n in 0..50 {
        // One message a millisecond; all are read when the stall is over, and parsed a little
        // later.
        let text = trade("BTCUSDT", n);
        match n % 2 {
            0 => rig.send(FrameKind::Market, &text, n * MS),
            _ => rig.send_stamped(FrameKind::Market, &text, read, (read - n * MS) as u32),
        }
    }
    let mut done = 0;
    while done < 50 {
        done += rig.work(51 * MS);
    }
    let waits = rig.agent.wire_to_parse_ns;
    for n in 0..50 {
        let wait = (51 - n) * MS;
        let near = [wait - wait / 256, wait, wait + wait / 256].map(|w| waits.count(bucket_of(w)));
        assert!(near.iter().any(|count| *count > 0), "no wait of {wait} ns");
    }
    assert_eq!(waits.max(), 51 * MS);
    let event = rig.market[0].pop().expect("a trade");
    assert_eq!((event.trail.t0, event.trail.read_ns), (Nanos(0), 0), "stamped by the read");
    let event = rig.market[0].pop().expect("a trade");
    assert_eq!((event.trail.t0, event.trail.read_ns), (Nanos(MS), 49 * MS as u32));
}

#[test]
fn the_table_says_to_which_book_an_instrument_goes() {
    let mut shards = Shards::round_robin(3, 2, 1);
    shards.put_book(InstrumentId(0), 1);
    let mut rig = Rig::over(decoder(), shards, 64, [8, 1, 1]);
    rig.send(FrameKind::Market, &trade("BTCUSDT", 1), 10);
    rig.send(FrameKind::Market, &trade("ETHUSDT", 2), 10);
    rig.work(20);
    assert!(rig.market[0].pop().is_none());
    let seen = [rig.market[1].pop(), rig.market[1].pop()].map(|e| e.map(|e| e.instrument.0));
    assert_eq!(seen, [Some(0), Some(1)]);
}

/// Coinbase numbers its connection's messages: a hole concerns the instruments of every book.
#[test]
fn a_hole_of_the_connection_is_told_to_every_book() {
    let mut table = InstrumentTable::new();
    for name in ["BTC-USD", "ETH-USD"] {
        let symbol = Symbol::new(name).expect("short");
        table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    }
    let decoder = Venue::Coinbase.market_decoder(&table).expect("in this build");
    let mut rig = Rig::over(decoder, Shards::round_robin(2, 2, 1), 64, [8, 1, 1]);
    let beat = |n: u64| {
        format!(
            r#"{{"channel":"heartbeats","client_id":"","timestamp":"2026-08-09T21:05:48.854Z","sequence_num":{n},"events":[{{"current_time":"2026-08-09 21:05:48.8 +0000 UTC m=+1.2","heartbeat_counter":{n}}}]}}"#
        )
    };
    rig.send(FrameKind::LineUp, "", 5);
    for n in [0, 1, 3] {
        rig.send(FrameKind::Market, &beat(n), 10);
    }
    rig.work(20);
    for ring in &mut rig.market {
        assert!(matches!(ring.pop().map(|e| e.body), Some(MarketBody::LineUp)));
        let gap = ring.pop().expect("told");
        assert!(matches!(gap.body, MarketBody::LineGap) && gap.conn == ConnId(4));
        assert!(ring.pop().is_none());
    }
}

#[test]
fn a_full_book_ring_stops_the_intake() {
    let mut rig = Rig::new(EVENTS_PER_FRAME_MAX, [4, 1, 1]);
    for id in 0..5 {
        rig.send(FrameKind::Market, &trade("ETHUSDT", id), 0);
    }
    // One event leaves less room than a frame may need.
    assert_eq!((rig.work(1), rig.work(2)), (1, 0));
    assert_eq!(rig.agent.ports.frames.waiting(), 4);
    assert!(rig.market[1].pop().is_some());
    assert_eq!((rig.work(3), rig.work(4)), (1, 0));
}

#[test]
fn line_changes_reach_every_book_and_their_slots_nobody() {
    let mut rig = Rig::new(32, [1, 1, 1]);
    for kind in [FrameKind::LineUp, FrameKind::LineDown] {
        let frame = Frame {
            slot: Slot::empty(),
            t0: Nanos(1),
            len: 0,
            kernel_ns: 0,
            conn: ConnId(2),
            kind,
        };
        rig.frames.push(frame).expect("room");
    }
    assert_eq!(rig.work(2), 2);
    for book in &mut rig.market {
        assert!(matches!(
            book.pop().map(|e| (e.body, e.conn)),
            Some((MarketBody::LineUp, ConnId(2)))
        ));
        assert!(matches!(book.pop().map(|e| e.body), Some(MarketBody::LineDown)));
    }
    assert!(rig.slots.pop().is_none());
    assert_eq!((rig.counted("line_changes"), rig.counted("messages")), (2, 0));
}

#[test]
fn damage_is_counted_and_told_to_the_book_it_may_concern() {
    let mut rig = Rig::new(64, [4, 1, 1]);
    let text = depth("ETHUSDT", 7, 1);
    rig.send(FrameKind::Market, &text[..text.len() - 4], 0);
    rig.send(FrameKind::Snapshot, r#"{"id":1,"status":200,"result":{"lastUpdateId":1}}"#, 0);
    rig.send(FrameKind::Snapshot, r#"{"id":1,"status":500,"error":{"code":-1000,"msg":""}}"#, 0);
    rig.send(FrameKind::Market, &trade("XRPUSDT", 1), 0);
    rig.send(FrameKind::Market, r#"{"stream":"btcusdt@trade","data":{"e":"trade"}}"#, 0);
    rig.send(FrameKind::Market, r#"{"result":null,"id":1}"#, 0);
    rig.send(FrameKind::Market, r#"{"e":"serverShutdown","E":1}"#, 0);
    rig.send(FrameKind::Market, "", 0);
    assert_eq!(rig.work(1), 8);
    let told: Vec<MarketEvent> = std::iter::from_fn(|| rig.market[1].pop()).collect();
    assert!(told.iter().all(|e| e.instrument == InstrumentId(1)));
    let told: Vec<String> = told.into_iter().map(|e| format!("{:?}", e.body)).collect();
    assert_eq!(told, ["Damaged", "SnapshotFailed", "SnapshotFailed"]);
    assert!(rig.market[0].pop().is_none());
    for (name, n) in [
        ("messages", 8),
        ("decode_errors", 5),
        ("error_json", 2),
        ("error_schema", 2),
        ("error_unknown_symbol", 1),
        ("damaged", 1),
        ("snapshots_failed", 2),
        ("ignored", 1),
        ("notices", 1),
    ] {
        assert_eq!(rig.counted(name), n, "{name}");
    }
    assert_eq!(std::iter::from_fn(|| rig.slots.pop()).count(), 8);
    assert_eq!(rig.agent.blocks_free(), [4, 1, 1]);
}

#[test]
fn a_frame_longer_than_its_slot_is_an_error_not_a_panic() {
    let mut rig = Rig::new(32, [1, 1, 1]);
    let slot = Slot::new(8);
    let kind = FrameKind::Market;
    rig.frames
        .push(Frame { slot, t0: Nanos(0), len: 900, kernel_ns: 0, conn: ConnId(0), kind })
        .expect("room");
    assert_eq!((rig.work(1), rig.counted("error_too_large")), (1, 1));
}

#[test]
fn without_blocks_a_frame_waits_and_then_its_book_starts_afresh() {
    let mut rig = Rig::new(64, [1, 0, 0]);
    for first in 0..3 {
        rig.send(FrameKind::Market, &depth("BTCUSDT", first, 1), 0);
    }
    assert_eq!((rig.work(1), rig.work(2), rig.counted("waited_for_block")), (1, 0, 2));
    let MarketBody::Depth { block, .. } = rig.market[0].pop().expect("first").body else {
        panic!("depth")
    };
    rig.blocks[0].push(block).expect("room");
    // The block is back: the second frame goes, the third waits.
    assert_eq!(rig.work(3), 1);
    assert!(matches!(
        rig.market[0].pop().map(|e| e.body),
        Some(MarketBody::Depth { first: 1, .. })
    ));
    assert!(rig.market[0].pop().is_none());
    assert_eq!(rig.work(3 + BLOCK_WAIT.0), 1);
    assert!(matches!(rig.market[0].pop().map(|e| e.body), Some(MarketBody::Damaged)));
    assert_eq!((rig.counted("dropped_no_block"), rig.counted("messages")), (1, 3));
    assert_eq!(std::iter::from_fn(|| rig.slots.pop()).count(), 3);
}

#[test]
fn rings_that_can_never_hold_a_frame_are_refused_at_the_start() {
    let metrics = Metrics::in_memory();
    let ports = ParsePorts {
        frames: ring(1).1,
        slots: ring(1).0,
        market: vec![ring(EVENTS_PER_FRAME_MAX - 1).0],
        blocks: Vec::new(),
    };
    let mut agent = ParseAgent::new(ports, decoder(), &metrics, 1);
    assert_eq!(agent.start(Nanos::ZERO).expect_err("too small").role, "parse.1");
}

proptest! {
    /// Whatever the books' pace: nothing is lost, doubled or reordered, and no block leaks. The
    /// twin is the plain list of what was sent to each book.
    #[test]
    fn every_message_arrives_once_and_in_order(
        ops in proptest::collection::vec((0u8..6, 0u64..3, 0usize..70), 1..120)
    ) {
        const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
        let mut rig = Rig::new(EVENTS_PER_FRAME_MAX + 2, [2, 1, 1]);
        let (mut sent, mut got) = ([vec![], vec![]], [vec![], vec![]]);
        let mut number = 0;
        let take = |rig: &mut Rig, got: &mut [Vec<u64>; 2], book: usize| {
            let Some(event) = rig.market[book].pop() else { return };
            match event.body {
                MarketBody::Depth { first, block, .. } => {
                    got[book].push(first);
                    rig.blocks[book].push(block).expect("room");
                }
                MarketBody::Trade { id, .. } => got[book].push(id),
                other => panic!("{other:?}"),
            }
        };
        for (op, which, levels) in ops {
            let symbol = SYMBOLS[which as usize];
            let book = which as usize % 2;
            match op {
                0 | 1 if rig.frames.room() > 0 => {
                    number += 1;
                    sent[book].push(number);
                    let text = match op {
                        0 => depth(symbol, number, levels),
                        _ => trade(symbol, number),
                    };
                    rig.send(FrameKind::Market, &text, 0);
                }
                2 | 3 => drop(rig.work(number)),
                _ => take(&mut rig, &mut got, book),
            }
            while rig.slots.pop().is_some() {}
        }
        for _ in 0..400 {
            rig.work(number);
            take(&mut rig, &mut got, 0);
            take(&mut rig, &mut got, 1);
            while rig.slots.pop().is_some() {}
        }
        rig.work(number);
        prop_assert_eq!(got, sent);
        prop_assert_eq!(rig.agent.blocks_free(), [2, 1, 1]);
        prop_assert_eq!(rig.counted("messages"), number);
    }
}

//! The wire agent over the memory network, seeded: what the parser sees, whatever the network
//! does.

#[path = "../wire/tests/common/mod.rs"]
mod server;

use std::io::Write;

use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_lanes::{Agent, Metrics, Probe, Rx, Tx, ring};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    ConnId, Frame, FrameKind, Instrument, InstrumentId, Nanos, Resync, ResyncReason, Slot, Symbol,
};
use bot4_venues::session::{ConnectionLimits, MarketSession};
use bot4_wire::Endpoint;
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use server::Server;
use tungstenite::Message;

const STREAM: &str = "/stream?streams=aaa/bbb";
const API: &str = "/api";

/// A venue of few words.
struct Session {
    weight_per_min: u32,
}

impl MarketSession for Session {
    fn stream_path(&self, instruments: &[Instrument]) -> String {
        let names: Vec<_> =
            instruments.iter().map(|i| i.symbol.as_str().to_ascii_lowercase()).collect();
        format!("/stream?streams={}", names.join("/"))
    }
    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        out.push(format!("subscribe {}", instruments.len()).into_bytes());
    }
    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: 0,
            messages_per_s: 0,
            streams_max: 0,
        }
    }
    fn snapshot_path(&self) -> Option<String> {
        Some(API.to_owned())
    }
    fn snapshot_request(&self, instrument: &Instrument, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("snapshot {}", instrument.id.0).as_bytes());
    }
    fn snapshot_weight(&self) -> u32 {
        50
    }
    fn weight_limit_per_min(&self) -> u32 {
        self.weight_per_min
    }
    fn is_shutdown_notice(&self, text: &[u8]) -> bool {
        text.starts_with(b"shutdown")
    }
}

struct Peer {
    path: String,
    index: usize,
    server: Server<MemoryServerStream>,
    sent: u64,
}

struct Rig {
    network: Network,
    agent: WireAgent,
    metrics: Metrics,
    frames: Rx<Frame>,
    slots: Tx<Slot>,
    resync: Tx<Resync>,
    probe: Probe,
    now: Nanos,
    peers: Vec<Peer>,
    /// Everything the parser got.
    got: Vec<(FrameKind, String)>,
    /// Frames the parser does not give back yet.
    held: Vec<Frame>,
    holding: bool,
    /// The parser does not even take frames.
    deaf: bool,
}

fn instrument(id: u16, name: &str) -> Instrument {
    Instrument::bare(InstrumentId(id), Symbol::new(name).expect("short"), 8)
}

fn config(seed: u64) -> WireConfig {
    let endpoint = Endpoint::parse("wss://venue.example").expect("good url");
    let instruments = vec![instrument(0, "AAA"), instrument(2, "BBB")];
    WireConfig {
        seed,
        slots_small: 8,
        slot_small_len: 1_024,
        slots_large: 2,
        slot_large_len: 100_000,
        ..WireConfig::new(0, endpoint.clone(), endpoint, instruments)
    }
}

impl Rig {
    fn new(config: WireConfig, weight_per_min: u32) -> Self {
        let network = Network::new(config.seed);
        let metrics = Metrics::in_memory();
        // Shorter than the slots, so that either can be what stops the socket.
        let (frames_tx, frames) = ring(4);
        let (slots, slots_rx) = ring(config.slots() + 16);
        let (resync, resync_rx) = ring(64);
        let ports = WirePorts { frames: frames_tx, slots: slots_rx, resync: vec![resync_rx] };
        let session = Box::new(Session { weight_per_min });
        let connector = Box::new(network.connector());
        let mut agent = WireAgent::new(config, ports, session, connector, &metrics);
        agent.start(Nanos::ZERO).expect("starts");
        Self {
            network,
            agent,
            metrics,
            frames,
            slots,
            resync,
            probe: Probe::logical(),
            now: Nanos::ZERO,
            peers: Vec::new(),
            got: Vec::new(),
            held: Vec::new(),
            holding: false,
            deaf: false,
        }
    }

    fn open(seed: u64) -> Self {
        let mut rig = Self::new(config(seed), 6_000);
        rig.until("both connections are open", |r| r.stream().is_some() && r.api().is_some());
        rig.until("the line is up", |r| r.agent.is_up());
        rig
    }

    /// One millisecond.
    fn turn(&mut self) {
        self.now = self.now + Nanos::from_millis(1);
        self.probe.set(self.now);
        while let Some(stream) = self.network.accept() {
            let (path, index) = (stream.endpoint().path().to_owned(), stream.index());
            self.peers.push(Peer { path, index, server: Server::new(stream), sent: 0 });
        }
        for peer in &mut self.peers {
            peer.server.step();
        }
        self.agent.work(self.now, &mut self.probe).expect("no fault");
        while !self.deaf
            && let Some(frame) = self.frames.pop()
        {
            let text = String::from_utf8(frame.slot.bytes(frame.len as usize).to_vec());
            assert_eq!(frame.conn, ConnId(0));
            assert!(frame.t0 <= self.now && frame.t0 > Nanos::ZERO);
            self.got.push((frame.kind, text.expect("text")));
            self.held.push(frame);
        }
        if !self.holding {
            for frame in self.held.drain(..) {
                self.slots.push(frame.slot).expect("room for every slot");
            }
        }
    }

    fn turns(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.turn());
    }

    fn until(&mut self, what: &str, done: impl Fn(&mut Self) -> bool) {
        for _ in 0..60_000 {
            if done(self) {
                return;
            }
            self.turn();
        }
        panic!("not within a minute: {what}; got {:?}", self.agent.last_error());
    }

    /// The newest open peer at `path`.
    fn peer(&mut self, path: &str) -> Option<&mut Peer> {
        self.peers.iter_mut().rev().find(|p| p.path == path && p.server.is_open())
    }

    fn stream(&mut self) -> Option<&mut Peer> {
        self.peer(STREAM)
    }

    fn api(&mut self) -> Option<&mut Peer> {
        self.peer(API)
    }

    fn send(&mut self, text: &str) {
        self.stream().expect("open").server.send(text);
    }

    fn ask(&mut self, id: u16, reason: ResyncReason) {
        let resync = Resync { instrument: InstrumentId(id), conn: ConnId(0), reason };
        self.resync.push(resync).expect("room");
    }

    /// Requests the snapshot server got so far.
    fn asked(&mut self) -> Vec<String> {
        let texts = self.peers.iter().filter(|p| p.path == API).flat_map(|p| &p.server.received);
        texts.filter(|m| m.is_text()).map(|m| m.to_string()).collect()
    }

    fn kinds(&self) -> Vec<FrameKind> {
        self.got.iter().map(|(kind, _)| *kind).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.metrics.total(name)
    }

    /// Ends the agent and checks that every slot is home.
    fn finish(mut self) {
        (self.holding, self.deaf) = (false, false);
        self.turns(3);
        self.agent.close(self.now);
        let (free, all) = self.agent.slots();
        assert_eq!(free, all, "every slot came home");
        assert_eq!(all, 10);
    }
}

#[test]
fn messages_and_snapshots_arrive_whatever_the_chunking() {
    for seed in 0..20 {
        let mut rig = Rig::open(seed);
        assert_eq!(rig.got, [(FrameKind::LineUp, String::new())]);
        rig.until("the subscription arrived", |r| {
            let peer = r.stream().expect("open");
            peer.server.received.contains(&Message::text("subscribe 2"))
        });
        let sent: Vec<String> = (0..100).map(|i| format!("{i} {}", "x".repeat(i * 9))).collect();
        for text in &sent {
            rig.send(text);
            rig.turns(1);
        }
        rig.until("all arrived", |r| r.got.len() == 101);
        let got: Vec<_> = rig.got.drain(..).skip(1).collect();
        assert!(got.iter().zip(&sent).all(|((k, t), s)| *k == FrameKind::Market && t == s));

        rig.ask(2, ResyncReason::Start);
        rig.until("the request arrived", |r| r.asked() == ["snapshot 2"]);
        let answer = "y".repeat(90_000);
        rig.api().expect("open").server.send(&answer);
        rig.until("the snapshot arrived", |r| !r.got.is_empty());
        assert!(rig.got == [(FrameKind::Snapshot, answer)]);
        assert_eq!(rig.count("messages"), 101);
        rig.finish();
    }
}

#[test]
fn a_cut_in_the_middle_of_a_frame_costs_the_line_and_no_half_message() {
    for seed in 0..20 {
        let mut rig = Rig::open(seed);
        rig.turns(6_000);
        rig.send("whole");
        rig.until("it arrived", |r| r.got.len() == 2);
        let peer = rig.stream().expect("open");
        let index = peer.index;
        let socket = peer.server.socket();
        socket.get_mut().write_all(b"\x81\x7e\x01\x00only the beginning").expect("room");
        rig.turns(20);
        rig.network.cut(index);
        let cut_at = rig.now;
        rig.until("the line is back", |r| r.got.len() == 4);
        assert_eq!(rig.kinds()[2..], [FrameKind::LineDown, FrameKind::LineUp]);
        assert!(rig.now.since(cut_at) < Nanos::from_millis(100), "at once after a proven line");
        assert_eq!((rig.count("reconnects"), rig.count("errors_io")), (1, 1));
        rig.send("again");
        rig.until("it works", |r| r.got.len() == 5);
        rig.finish();
    }
}

#[test]
fn a_silent_server_is_noticed_within_two_seconds() {
    let mut rig = Rig::open(3);
    rig.send("last words");
    rig.until("they arrived", |r| r.got.len() == 2);
    let (index, heard) = (rig.stream().expect("open").index, rig.now);
    rig.network.stall(index, true);
    rig.until("the line is down", |r| r.kinds().contains(&FrameKind::LineDown));
    let took = rig.now.since(heard);
    assert!(took >= Nanos::from_millis(1_900) && took <= Nanos::from_millis(2_003), "{took:?}");
    assert_eq!(rig.count("errors_silent"), 1);
    rig.until("the line is back", |r| r.agent.is_up());
    assert!(rig.count("stale_ms") < 200);
    rig.finish();
}

#[test]
fn a_slow_parser_stops_the_socket_and_loses_nothing() {
    let mut rig = Rig::open(4);
    rig.holding = true;
    for i in 0..30 {
        rig.send(&format!("m{i}"));
    }
    rig.turns(500);
    assert_eq!(rig.got.len(), 1 + 7, "one message a slot; the snapshot connection holds one");
    assert!(rig.count("backpressured") > 0);
    rig.holding = false;
    rig.until("the rest arrived", |r| r.got.len() == 31);
    let texts: Vec<_> = rig.got.iter().skip(1).map(|(_, t)| t.clone()).collect();
    assert_eq!(texts, (0..30).map(|i| format!("m{i}")).collect::<Vec<_>>());
    assert_eq!(rig.count("line_downs"), 0);
    rig.finish();
}

#[test]
fn a_parser_that_stays_slow_costs_the_line() {
    let mut rig = Rig::open(5);
    rig.holding = true;
    rig.send("unread");
    rig.turns(900);
    assert!(rig.agent.is_up());
    rig.turns(200);
    assert!(!rig.agent.is_up(), "older than a second");
    rig.turns(3_000);
    assert_eq!(rig.count("connects"), 2, "no connection while the parser lags");
    assert_eq!(rig.kinds(), [FrameKind::LineUp, FrameKind::Market, FrameKind::LineDown]);
    rig.holding = false;
    rig.until("the line is back", |r| r.agent.is_up() && r.got.len() == 4);
    assert_eq!((rig.count("dropped_backlog"), rig.count("connects")), (1, 3));
    assert!(rig.count("stale_ms") >= 2_900);
    rig.finish();
}

/// The line is renewed while the ring is full: the parser must still learn, once there is room,
/// that messages in between are missing.
#[test]
fn a_line_that_flaps_behind_a_full_ring_is_told() {
    let (life, stale_after) = (Nanos::from_secs(10), Nanos::from_secs(60));
    for seed in 0..10 {
        let mut rig = Rig::new(WireConfig { life, stale_after, ..config(seed) }, 6_000);
        rig.until("the line is up", |r| r.agent.is_up() && r.stream().is_some());
        rig.turns(8_000);
        rig.deaf = true;
        for i in 0..6 {
            rig.send(&format!("{i}"));
        }
        rig.turns(3_000);
        assert!(rig.agent.is_up() && rig.count("renewals") > 0);
        rig.deaf = false;
        rig.turns(20);
        let (up, down, data) = (FrameKind::LineUp, FrameKind::LineDown, FrameKind::Market);
        assert_eq!(rig.kinds(), [up, data, data, data, data, down, up], "seed {seed}");
        rig.send("again");
        rig.until("it works", |r| r.got.len() == 8);
        rig.finish();
    }
}

#[test]
fn an_oversize_message_costs_the_line() {
    let mut rig = Rig::open(6);
    rig.send(&"z".repeat(100_001));
    rig.until("the line is down", |r| r.kinds().contains(&FrameKind::LineDown));
    assert_eq!(rig.count("oversize"), 1);
    assert_eq!(rig.count("messages"), 0);
    rig.until("the line is back", |r| r.agent.is_up());
    rig.finish();
}

#[test]
fn a_shutdown_notice_is_answered_at_once_and_kept_from_the_parser() {
    let mut rig = Rig::open(7);
    rig.turns(6_000);
    rig.send("shutdown soon");
    rig.until("the new line is up", |r| r.kinds().len() == 3);
    assert_eq!(rig.kinds(), [FrameKind::LineUp, FrameKind::LineDown, FrameKind::LineUp]);
    assert_eq!(rig.count("shutdown_notices"), 1);
    assert!(rig.now < Nanos::from_millis(6_300));
    rig.finish();
}

#[test]
fn a_line_is_renewed_before_its_life_ends() {
    let life = Nanos::from_secs(100);
    let mut rig = Rig::new(WireConfig { life, ..config(8) }, 6_000);
    rig.turns(101_000);
    assert!(rig.count("renewals") >= 2, "stream and snapshot connection");
    assert!(rig.count("line_ups") >= 2 && rig.agent.is_up());
    rig.finish();
}

#[test]
fn a_refusal_is_obeyed() {
    let mut rig = Rig::new(config(9), 6_000);
    rig.agent.work(Nanos(1), &mut rig.probe).expect("no fault");
    let mut stream = rig.network.accept().expect("connecting");
    stream.write_all(b"HTTP/1.1 429 Too Many\r\nRetry-After: 40\r\n\r\n").expect("room");
    rig.turns(39_000);
    assert_eq!((rig.network.connects(), rig.count("errors_refused")), (1, 1));
    rig.turns(2_000);
    rig.until("the line is up", |r| r.agent.is_up());
    rig.finish();
}

#[test]
fn an_outage_is_probed_by_one_connection_within_the_budget() {
    let mut rig = Rig::open(10);
    rig.turns(6_000);
    rig.network.refuse(true);
    for index in 0..rig.network.connects() {
        rig.network.cut(index);
    }
    let before = rig.count("errors_connect");
    rig.turns(60_000);
    let tries = rig.count("errors_connect") - before;
    // Five within 1.5 s, then one each 1.5 to 2.5 s.
    assert!((25..=45).contains(&tries), "{tries}");
    assert_eq!(rig.count("line_downs"), 1);
    rig.network.refuse(false);
    let back = rig.now;
    rig.until("the line is up", |r| r.agent.is_up());
    assert!(rig.now.since(back) < Nanos::from_millis(2_700));
    assert!(rig.count("stale_ms") >= 60_000);
    rig.finish();
}

#[test]
fn requests_are_merged_and_kept_within_the_weight() {
    let mut rig = Rig::new(config(11), 200);
    rig.until("both are open", |r| r.agent.is_up() && r.api().is_some());
    rig.turns(5);
    for _ in 0..5 {
        rig.ask(0, ResyncReason::Gap);
    }
    rig.turns(400);
    assert_eq!(rig.asked(), ["snapshot 0"]);
    assert_eq!((rig.count("resyncs"), rig.count("snapshots_requested")), (5, 1));
    for _ in 0..59 {
        rig.ask(2, ResyncReason::SnapshotTooOld);
        rig.turns(1_000);
    }
    // A budget of 200 at 50 a request: three at once, one more within the minute.
    assert!((3..=4).contains(&rig.asked().len()), "{:?}", rig.asked());
    rig.finish();
}

/// The model: a stream connection numbers its messages; between LineUp and LineDown the parser
/// sees the messages of one connection, from the first, without a gap.
#[test]
fn whatever_happens_the_parser_sees_whole_lines() {
    for seed in 0..30 {
        let mut rig = Rig::open(seed);
        let mut rng = SplitMix64::new(seed ^ 0xFA17);
        for _ in 0..12_000 {
            torment(&mut rig, &mut rng);
            rig.turn();
        }
        (rig.holding, rig.deaf) = (false, false);
        rig.network.refuse(false);
        rig.until("the line is up in the end", |r| r.agent.is_up());
        check_lines(&rig.got, seed);
        assert!(rig.count("line_downs") > 0, "seed {seed} torments");
        assert!(rig.count("messages") > 500, "seed {seed} delivers");
        rig.finish();
    }
}

fn torment(rig: &mut Rig, rng: &mut SplitMix64) {
    let newest = rig.network.connects().saturating_sub(1);
    match rng.below(4_000) {
        0..2 => rig.network.cut(newest),
        2..4 => rig.network.stall(newest, true),
        4..6 => rig.network.refuse(true),
        6..30 => rig.network.refuse(false),
        30..33 => rig.holding = true,
        33..43 => rig.holding = false,
        2_000..2_004 => rig.deaf = true,
        2_004..2_024 => rig.deaf = false,
        43..45 => {
            if let Some(peer) = rig.stream() {
                peer.server.send("shutdown now");
            }
        }
        45..60 => rig.ask(2, ResyncReason::Gap),
        60..1_060 => {
            let fill = "f".repeat(rng.below(3_000) as usize);
            if let Some(peer) = rig.stream() {
                let text = format!("{} {} {fill}", peer.index, peer.sent);
                peer.sent += 1;
                peer.server.send(&text);
            }
        }
        _ => {}
    }
}

fn check_lines(got: &[(FrameKind, String)], seed: u64) {
    let (mut up, mut line, mut next) = (false, None, 0);
    for (kind, text) in got {
        match kind {
            FrameKind::LineUp => {
                assert!(!up, "seed {seed}: up twice");
                (up, line, next) = (true, None, 0);
            }
            FrameKind::LineDown => {
                assert!(up, "seed {seed}: down twice");
                up = false;
            }
            FrameKind::Snapshot => assert!(up, "seed {seed}: snapshot without a line"),
            FrameKind::Market => {
                assert!(up, "seed {seed}: message without a line");
                let mut words = text.split(' ').map(|w| w.parse::<u64>());
                let (conn, number) = (words.next(), words.next());
                assert_eq!(*line.get_or_insert(conn.clone()), conn, "seed {seed}");
                assert_eq!(number, Some(Ok(next)), "seed {seed}: gap");
                next += 1;
            }
        }
    }
}

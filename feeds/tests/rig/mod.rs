//! A wire agent over the memory network, with a venue that the test steps.
#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../../wire/tests/common/mod.rs"]
pub mod server;

use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_lanes::{Agent, Metrics, Probe, Rx, Tx, ring};
use bot4_types::{
    ConnId, Frame, FrameKind, Instrument, InstrumentId, Nanos, Resync, ResyncReason, Slot, Symbol,
};
use bot4_venues::session::{ConnectionLimits, KeepAlive, MarketSession};
use bot4_wire::Endpoint;
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use server::Server;

/// Path of the stream connection.
pub const STREAM: &str = "/stream?streams=aaa/bbb";
/// Path of the snapshot connection.
pub const API: &str = "/api";
/// The venue's own ping.
pub const KEEP_ALIVE: &str = "still here";

/// A venue of few words.
#[derive(Clone)]
pub struct Session {
    pub weight_per_min: u32,
    /// Snapshots come with the stream.
    pub streamed: bool,
    /// Texts on opening.
    pub greetings: usize,
    pub messages_per_s: u32,
    /// Instruments can be subscribed again.
    pub resubscribes: bool,
    /// Seconds between the venue's own pings.
    pub keep_alive_s: Option<u64>,
    pub streams_max: u32,
}

impl Session {
    /// Snapshots by request, within `weight_per_min`.
    pub fn requested(weight_per_min: u32) -> Self {
        Self {
            weight_per_min,
            streamed: false,
            greetings: 1,
            messages_per_s: 0,
            resubscribes: false,
            keep_alive_s: None,
            streams_max: 0,
        }
    }

    /// Snapshots come with the stream.
    pub fn streamed() -> Self {
        Self { streamed: true, resubscribes: true, ..Self::requested(0) }
    }
}

impl MarketSession for Session {
    fn stream_path(&self, instruments: &[Instrument]) -> String {
        let names: Vec<_> =
            instruments.iter().map(|i| i.symbol.as_str().to_ascii_lowercase()).collect();
        format!("/stream?streams={}", names.join("/"))
    }
    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        for _ in 0..self.greetings {
            out.push(format!("subscribe {}", instruments.len()).into_bytes());
        }
    }
    fn resubscribe(&self, instrument: &Instrument, out: &mut Vec<Vec<u8>>) {
        if self.resubscribes {
            out.push(format!("unsubscribe {}", instrument.id.0).into_bytes());
            out.push(format!("subscribe {}", instrument.id.0).into_bytes());
        }
    }
    fn keep_alive(&self) -> Option<KeepAlive> {
        let every = Nanos::from_secs(self.keep_alive_s?);
        Some(KeepAlive { every, text: KEEP_ALIVE.as_bytes() })
    }
    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: 0,
            messages_per_s: self.messages_per_s,
            streams_max: self.streams_max,
        }
    }
    fn snapshot_path(&self) -> Option<String> {
        (!self.streamed).then(|| API.to_owned())
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

/// The venue's side of a connection.
pub struct Peer {
    pub path: String,
    pub index: usize,
    pub server: Server<MemoryServerStream>,
    pub sent: u64,
}

/// A wire agent, its venue and its parser, in steps of a millisecond.
pub struct Rig {
    pub network: Network,
    pub agent: WireAgent,
    pub metrics: Metrics,
    pub frames: Rx<Frame>,
    pub slots: Tx<Slot>,
    pub resync: Tx<Resync>,
    pub probe: Probe,
    pub now: Nanos,
    pub peers: Vec<Peer>,
    /// Everything the parser got.
    pub got: Vec<(FrameKind, String)>,
    /// By which connection.
    pub conns: Vec<ConnId>,
    /// Frames the parser does not give back yet.
    pub held: Vec<Frame>,
    pub holding: bool,
    /// The parser does not even take frames.
    pub deaf: bool,
    /// The test itself speaks for the venue.
    pub by_hand: bool,
}

pub fn instrument(id: u16, name: &str) -> Instrument {
    Instrument::bare(InstrumentId(id), Symbol::new(name).expect("short"), 8)
}

pub fn config(seed: u64) -> WireConfig {
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
    pub fn new(config: WireConfig, session: Session) -> Self {
        let network = Network::new(config.seed);
        let metrics = Metrics::in_memory();
        // Shorter than the slots, so that either can be what stops the socket.
        let (frames_tx, frames) = ring(4);
        let (slots, slots_rx) = ring(config.slots() + 16);
        let (resync, resync_rx) = ring(64);
        let ports = WirePorts { frames: frames_tx, slots: slots_rx, resync: vec![resync_rx] };
        let session = Box::new(session);
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
            conns: Vec::new(),
            held: Vec::new(),
            holding: false,
            deaf: false,
            by_hand: false,
        }
    }

    pub fn open(seed: u64) -> Self {
        let mut rig = Self::new(config(seed), Session::requested(6_000));
        rig.until("both connections are open", |r| r.stream().is_some() && r.api().is_some());
        rig.until("the line is up", |r| r.agent.is_up());
        rig
    }

    /// One millisecond.
    pub fn turn(&mut self) {
        self.now = self.now + Nanos::from_millis(1);
        self.probe.set(self.now);
        while let Some(stream) = self.network.accept() {
            let (path, index) = (stream.endpoint().path().to_owned(), stream.index());
            self.peers.push(Peer { path, index, server: Server::new(stream), sent: 0 });
        }
        for peer in self.peers.iter_mut().filter(|_| !self.by_hand) {
            peer.server.step();
        }
        self.agent.work(self.now, &mut self.probe).expect("no fault");
        while !self.deaf
            && let Some(frame) = self.frames.pop()
        {
            let text = String::from_utf8(frame.slot.bytes(frame.len as usize).to_vec());
            self.conns.push(frame.conn);
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

    pub fn turns(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.turn());
    }

    pub fn until(&mut self, what: &str, done: impl Fn(&mut Self) -> bool) {
        for _ in 0..60_000 {
            if done(self) {
                return;
            }
            self.turn();
        }
        panic!("not within a minute: {what}; got {:?}", self.agent.last_error());
    }

    /// The newest open peer at `path`.
    pub fn peer(&mut self, path: &str) -> Option<&mut Peer> {
        self.peers.iter_mut().rev().find(|p| p.path == path && p.server.is_open())
    }

    pub fn stream(&mut self) -> Option<&mut Peer> {
        self.peer(STREAM)
    }

    pub fn api(&mut self) -> Option<&mut Peer> {
        self.peer(API)
    }

    pub fn send(&mut self, text: &str) {
        self.stream().expect("open").server.send(text);
    }

    pub fn ask(&mut self, id: u16, reason: ResyncReason) {
        let resync = Resync { instrument: InstrumentId(id), conn: ConnId(0), reason };
        self.resync.push(resync).expect("room");
    }

    /// Requests the snapshot server got so far.
    pub fn asked(&mut self) -> Vec<String> {
        let texts = self.peers.iter().filter(|p| p.path == API).flat_map(|p| &p.server.received);
        texts.filter(|m| m.is_text()).map(|m| m.to_string()).collect()
    }

    pub fn kinds(&self) -> Vec<FrameKind> {
        self.got.iter().map(|(kind, _)| *kind).collect()
    }

    pub fn count(&self, name: &str) -> u64 {
        self.metrics.total(name)
    }

    /// Ends the agent and checks that every slot is home.
    pub fn finish(mut self) {
        (self.holding, self.deaf) = (false, false);
        self.turns(3);
        self.agent.close(self.now);
        let (free, all) = self.agent.slots();
        assert_eq!(free, all, "every slot came home");
        assert_eq!(all, 10);
    }
}

//! The wire agent over real TLS on loopback, against tungstenite servers in threads.

#![expect(clippy::disallowed_methods, reason = "the server under test needs sockets and threads")]

#[path = "../wire/tests/common/authority.rs"]
mod authority;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authority::authority;
use bot4_feeds::wire_agent::{WireAgent, WireConfig, WirePorts};
use bot4_lanes::{Agent, Clock, Metrics, Probe, Rx, Tx, ring};
use bot4_types::{
    ConnId, Frame, FrameKind, Instrument, InstrumentId, Nanos, Resync, ResyncReason, Slot, Symbol,
};
use bot4_venues::session::{ConnectionLimits, MarketSession};
use bot4_wire::{Endpoint, TcpConnector, TlsRoots};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Message, WebSocket, accept_hdr};

type Socket = WebSocket<StreamOwned<ServerConnection, TcpStream>>;

struct Session;

impl MarketSession for Session {
    fn stream_path(&self, _: &[Instrument]) -> String {
        "/stream".to_owned()
    }
    fn on_open(&self, _: &[Instrument], _: &mut Vec<Vec<u8>>) {}
    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: 0,
            messages_per_s: 0,
            streams_max: 0,
        }
    }
    fn snapshot_path(&self) -> Option<String> {
        Some("/api".to_owned())
    }
    fn snapshot_request(&self, instrument: &Instrument, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("snapshot {}", instrument.id.0).as_bytes());
    }
    fn snapshot_weight(&self) -> u32 {
        1
    }
    fn weight_limit_per_min(&self) -> u32 {
        0
    }
    fn is_shutdown_notice(&self, _: &[u8]) -> bool {
        false
    }
}

/// What the stream server does with its n-th connection.
type Script = fn(usize, Socket);

fn serve(listener: TcpListener, config: Arc<ServerConfig>, script: Script) {
    let streams = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (socket, config) = (socket.expect("accepts"), Arc::clone(&config));
            let streams = Arc::clone(&streams);
            std::thread::spawn(move || answer(socket, config, &streams, script));
        }
    });
}

#[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
fn answer(socket: TcpStream, config: Arc<ServerConfig>, streams: &AtomicUsize, script: Script) {
    socket.set_nodelay(true).expect("option");
    let tls = StreamOwned::new(ServerConnection::new(config).expect("tls"), socket);
    let mut path = String::new();
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr(tls, note) else { return };
    if path == "/stream" {
        // Relaxed: only a number for each connection, nothing is published through it.
        return script(streams.fetch_add(1, Ordering::Relaxed), socket);
    }
    while let Ok(message) = socket.read() {
        if message.is_text() {
            let answer = format!("{message}: {}", "9".repeat(200_000));
            socket.send(Message::text(answer)).expect("sends");
        }
    }
}

struct Rig {
    agent: WireAgent,
    metrics: Metrics,
    frames: Rx<Frame>,
    slots: Tx<Slot>,
    resync: Tx<Resync>,
    clock: Clock,
    probe: Probe,
    got: Vec<(FrameKind, String)>,
}

impl Rig {
    fn new(trusted: bool, names: &[&str], script: Script) -> Self {
        let (mut ca_pem, config) = authority("ours", names);
        if !trusted {
            ca_pem = authority("other", names).0;
        }
        let dir = tempfile::tempdir().expect("temporary folder");
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, ca_pem).expect("writes");
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("wss://{}", listener.local_addr().expect("bound"));
        serve(listener, config, script);

        let endpoint = Endpoint::parse(&url).expect("good url");
        let connector = TcpConnector::new(&TlsRoots::File(ca)).expect("good file");
        let symbol = Symbol::new("AAA").expect("short");
        let instruments = vec![Instrument::bare(InstrumentId(0), symbol, 8)];
        let config = WireConfig {
            slots_small: 32,
            slots_large: 2,
            slot_large_len: 1 << 20,
            ..WireConfig::new(0, endpoint.clone(), endpoint, instruments)
        };
        let metrics = Metrics::in_memory();
        let (frames_tx, frames) = ring(64);
        let (slots, slots_rx) = ring(config.slots());
        let (resync, resync_rx) = ring(16);
        let ports = WirePorts { frames: frames_tx, slots: slots_rx, resync: vec![resync_rx] };
        let (session, connector) = (Box::new(Session), Box::new(connector));
        let mut agent = WireAgent::new(config, ports, session, connector, &metrics);
        let clock = Clock::monotonic();
        agent.start(clock.now()).expect("starts");
        let probe = Probe::live(clock.clone());
        Self { agent, metrics, frames, slots, resync, clock, probe, got: Vec::new() }
    }

    fn turn(&mut self) {
        let now = self.clock.now();
        self.agent.work(now, &mut self.probe).expect("no fault");
        while let Some(frame) = self.frames.pop() {
            assert!(frame.t0 > Nanos::ZERO && frame.t0 <= self.clock.now());
            let text = String::from_utf8(frame.slot.bytes(frame.len as usize).to_vec());
            self.got.push((frame.kind, text.expect("text")));
            if frame.slot.capacity() > 0 {
                self.slots.push(frame.slot).expect("room for every slot");
            }
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = self.clock.now();
        while !done(self) {
            assert!(
                self.clock.now().since(start) < Nanos::from_secs(15),
                "not in time: {what}; {:?}, got {:?}",
                self.agent.last_error(),
                self.got.iter().map(|(k, t)| (k, t.len())).collect::<Vec<_>>()
            );
            self.turn();
        }
    }

    fn finish(mut self) {
        self.turn();
        self.agent.close(self.clock.now());
        let (free, all) = self.agent.slots();
        assert_eq!((free, all), (34, 34), "every slot came home");
    }
}

#[test]
fn stream_and_snapshots_flow_over_tls() {
    let mut rig = Rig::new(true, &["127.0.0.1"], |_, mut socket| {
        for i in 0..2_000 {
            socket.send(Message::text(format!("{i} {}", "m".repeat(i)))).expect("sends");
            if i % 500 == 0 {
                socket.send(Message::Ping(b"1723075200000".to_vec().into())).expect("sends");
            }
        }
        let pongs = (0..4).filter(|_| matches!(socket.read(), Ok(Message::Pong(_)))).count();
        socket.send(Message::text(format!("pongs {pongs}"))).expect("sends");
        while socket.read().is_ok() {}
    });
    rig.until("the line is up", |r| !r.got.is_empty());
    let resync =
        Resync { instrument: InstrumentId(0), conn: ConnId(0), reason: ResyncReason::Start };
    rig.resync.push(resync).expect("room");
    rig.until("everything arrived", |r| r.got.len() == 2_003);
    assert_eq!(rig.got[0].0, FrameKind::LineUp);
    let of = |kind| rig.got.iter().filter(move |(k, _)| *k == kind).map(|(_, t)| t);
    for (i, text) in of(FrameKind::Market).take(2_000).enumerate() {
        assert_eq!(*text, format!("{i} {}", "m".repeat(i)));
    }
    assert_eq!(of(FrameKind::Market).next_back().map(String::as_str), Some("pongs 4"));
    let snapshot = of(FrameKind::Snapshot).next().expect("one");
    assert_eq!(snapshot.len(), "snapshot 0: ".len() + 200_000);
    assert_eq!(rig.metrics.total("pings_answered"), 4);
    rig.finish();
}

#[test]
fn a_cut_in_the_middle_of_a_frame_is_mended() {
    let mut rig = Rig::new(true, &["127.0.0.1"], |number, mut socket| {
        socket.send(Message::text(format!("line {number}"))).expect("sends");
        if number < 2 {
            let stream = socket.get_mut();
            stream.write_all(b"\x81\x7e\x10\x00only the beginning").expect("sends");
            stream.flush().expect("sends");
            std::thread::sleep(Duration::from_millis(50));
            return;
        }
        while socket.read().is_ok() {}
    });
    rig.until("the third line works", |r| r.got.iter().any(|(_, t)| t == "line 2"));
    let (up, down, data) = (FrameKind::LineUp, FrameKind::LineDown, FrameKind::Market);
    let kinds: Vec<_> = rig.got.iter().map(|(k, _)| *k).collect();
    assert_eq!(kinds, [up, data, down, up, data, down, up, data]);
    assert_eq!(rig.metrics.total("reconnects"), 2);
    rig.finish();
}

#[test]
fn a_silent_server_is_noticed_within_two_seconds() {
    let mut rig = Rig::new(true, &["127.0.0.1"], |_, mut socket| {
        socket.send(Message::text("last words")).expect("sends");
        std::thread::sleep(Duration::from_secs(10));
    });
    rig.until("the last words", |r| r.got.len() == 2);
    let heard = rig.clock.now();
    rig.until("the line is down", |r| r.got.len() >= 3);
    let took = rig.clock.now().since(heard);
    assert_eq!(rig.got[2].0, FrameKind::LineDown);
    assert!(took > Nanos::from_millis(1_900) && took < Nanos::from_millis(2_500), "{took:?}");
    assert_eq!(rig.metrics.total("errors_silent"), 1);
    rig.finish();
}

#[test]
fn bad_certificates_keep_the_line_down_and_are_not_hammered() {
    for (trusted, name) in [(false, "127.0.0.1"), (true, "venue.example")] {
        let mut rig = Rig::new(trusted, &[name], |_, _| panic!("nobody may come in"));
        let start = rig.clock.now();
        rig.until("two refusals", |r| r.metrics.total("errors_tls") == 2);
        assert!(rig.clock.now().since(start) >= Nanos::from_secs(1), "backed off");
        assert!(rig.got.is_empty() && !rig.agent.is_up());
        rig.finish();
    }
}

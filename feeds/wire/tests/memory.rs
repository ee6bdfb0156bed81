//! The whole connection over the memory twin, seeded: whatever the chunking, the messages are
//! those the server sent.

mod common;

use std::io::{Read, Write};

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use bot4_wire::ws::WsError;
use bot4_wire::{
    ConnError, ConnState, Endpoint, HandshakeError, StreamError, WsConfig, WsConnection,
};
use common::Server;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

const MS: u64 = 1_000_000;

struct Rig {
    network: Network,
    client: WsConnection,
    server: Server<MemoryServerStream>,
    now: Nanos,
}

fn connect(network: &Network, seed: u64) -> WsConnection {
    let endpoint = Endpoint::parse("wss://venue.example/ws").expect("good url");
    WsConnection::connect(
        &mut network.connector(),
        &endpoint,
        WsConfig::default(),
        seed,
        Nanos::ZERO,
    )
    .expect("starts")
}

impl Rig {
    fn new(seed: u64) -> Self {
        let network = Network::new(seed);
        let client = connect(&network, seed);
        let server = Server::new(network.accept().expect("one connection"));
        Self { network, client, server, now: Nanos::ZERO }
    }

    fn open(seed: u64) -> Self {
        let mut rig = Self::new(seed);
        for _ in 0..100 {
            rig.turn().expect("opens");
            if rig.client.state() == ConnState::Open && rig.server.is_open() {
                return rig;
            }
        }
        panic!("not open after 100 turns");
    }

    fn turn(&mut self) -> Result<ConnState, ConnError> {
        self.now = self.now + Nanos(MS);
        self.server.step();
        self.client.poll(self.now)
    }

    /// Turns until a message came.
    fn next(&mut self, buf: &mut [u8]) -> Result<usize, ConnError> {
        for _ in 0..20_000 {
            self.turn()?;
            let now = self.now;
            if let Some(received) = self.client.receive(now, buf, &mut || now)? {
                assert!(received.t0 <= now && received.t0 > Nanos::ZERO);
                return Ok(received.len);
            }
        }
        panic!("no message");
    }
}

#[test]
fn messages_arrive_as_sent_whatever_the_chunking() {
    for seed in 0..40 {
        let mut rig = Rig::open(seed);
        let mut rng = SplitMix64::new(seed ^ 77);
        let mut buf = vec![0; 70_000];
        for round in 0..30u64 {
            let len = match rng.below(4) {
                0 => rng.below(4) as usize,
                1 => 120 + rng.below(12) as usize,
                2 => 65_530 + rng.below(12) as usize,
                _ => rng.below(3000) as usize,
            };
            let text: String =
                (0..len).map(|i| ((i as u64 + round) % 26) as u8 + b'a').map(char::from).collect();
            rig.server.send(&text);
            let len = rig.next(&mut buf).expect("arrives");
            assert!(buf[..len] == *text.as_bytes(), "seed {seed} round {round}");
            rig.client.send_text(rig.now, &buf[..len.min(500)]).expect("open");
            let expected = &text[..len.min(500)];
            for _ in 0..200 {
                rig.turn().expect("works");
                if rig.server.received.iter().any(|m| m.is_text()) {
                    break;
                }
            }
            let got: Vec<Message> = rig.server.received.drain(..).collect();
            assert!(got.contains(&Message::text(expected)), "seed {seed} round {round}");
        }
        assert_eq!(rig.client.pending_out(), 0);
        assert_eq!(rig.client.counters().messages, 30);
    }
}

/// A frame that comes in the same bytes as the upgrade's response must not be lost.
#[test]
fn a_message_right_behind_the_upgrade_is_read() {
    for seed in 0..20 {
        let network = Network::new(seed);
        let mut client = connect(&network, seed);
        let mut stream = network.accept().expect("one connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            client.poll(Nanos(1)).expect("works");
            let mut piece = [0; 512];
            if let Ok(n) = stream.read(&mut piece) {
                request.extend_from_slice(&piece[..n]);
            }
        }
        let text = String::from_utf8(request).expect("ascii");
        let key = text.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).expect("key");
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(b"\x81\x05hello");
        stream.write_all(&answer).expect("room");
        let (mut buf, mut got) = ([0; 64], None);
        for t in 2..300 {
            client.poll(Nanos(t)).expect("works");
            got = client.receive(Nanos(t), &mut buf, &mut || Nanos(t)).expect("works");
            if got.is_some() {
                break;
            }
        }
        assert_eq!(got.map(|r| r.len), Some(5), "seed {seed}");
        assert_eq!(&buf[..5], b"hello");
    }
}

#[test]
fn refusals_carry_their_status() {
    let network = Network::new(3);
    let mut client = connect(&network, 3);
    let mut stream = network.accept().expect("one connection");
    stream.write_all(b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\n\r\n").expect("room");
    let error = (1..100).find_map(|t| client.poll(Nanos(t)).err()).expect("refused");
    let want = HandshakeError::Refused { status: 429, retry_after_s: Some(7) };
    assert_eq!(error, ConnError::Handshake(want));
    assert!(error.is_refusal());
    assert_eq!(error.retry_after(), Some(Nanos::from_secs(7)));
    assert_eq!(client.state(), ConnState::Closed);
}

#[test]
fn pings_are_answered_and_sent() {
    let mut rig = Rig::open(5);
    let socket = rig.server.socket();
    socket.send(Message::Ping(b"1723075200000".to_vec().into())).expect("room");
    rig.server.send("x");
    let mut buf = [0; 16];
    assert_eq!(rig.next(&mut buf), Ok(1));
    for _ in 0..1_500 {
        rig.turn().expect("works");
        let now = rig.now;
        assert_eq!(rig.client.receive(now, &mut buf, &mut || now), Ok(None));
    }
    let pong = Message::Pong(b"1723075200000".to_vec().into());
    assert!(rig.server.received.contains(&pong), "{:?}", rig.server.received);
    let counters = rig.client.counters();
    assert_eq!((counters.pings, counters.pongs, counters.answered), (1, 1, 1));
    assert!(counters.rtt_ns > 0 && counters.rtt_ns < 100 * MS);
}

#[test]
fn a_silent_server_is_noticed_within_two_seconds() {
    let mut rig = Rig::open(6);
    rig.server.send("last words");
    let mut buf = [0; 16];
    assert_eq!(rig.next(&mut buf), Ok(10));
    rig.network.stall(0, true);
    let heard = rig.now;
    let error = loop {
        if let Err(error) = rig.turn() {
            break error;
        }
        let now = rig.now;
        if let Err(error) = rig.client.receive(now, &mut buf, &mut || now) {
            break error;
        }
    };
    assert_eq!(error, ConnError::Silent);
    // One turn beyond two seconds, and the ping cycle may be out of step by the turns before.
    assert!(rig.now.since(heard) <= Nanos(2_002 * MS), "{:?}", rig.now.since(heard));
}

#[test]
fn a_cut_in_the_middle_of_a_frame_is_an_error_and_no_message() {
    let mut rig = Rig::open(8);
    let mut buf = vec![0; 70_000];
    rig.server.send(&"x".repeat(60_000));
    while rig.client.counters().bytes == 0 {
        rig.turn().expect("works");
        let now = rig.now;
        if rig.client.receive(now, &mut buf, &mut || now).expect("works").is_some() {
            panic!("the seed delivers the message whole; choose another");
        }
    }
    rig.network.cut(0);
    let error = rig.next(&mut buf).expect_err("cut");
    assert_eq!(error, ConnError::Stream(StreamError::Io(std::io::ErrorKind::ConnectionReset)));
    assert!(!error.is_refusal());
    assert_eq!(rig.client.send_text(rig.now, b"x"), Err(ConnError::NotOpen));
}

#[test]
fn an_oversize_message_goes_on_in_a_longer_buffer() {
    let mut rig = Rig::open(9);
    let text = "0123456789".repeat(100);
    rig.server.send(&text);
    let mut small = [0; 64];
    let error = rig.next(&mut small).expect_err("too short");
    assert_eq!(error, ConnError::Oversize { needed: 1000, filled: 0 });
    assert_eq!(rig.client.state(), ConnState::Open, "not final");
    let mut large = vec![0; 1000];
    assert_eq!(rig.next(&mut large), Ok(1000));
    assert_eq!(large, text.as_bytes());
}

#[test]
fn both_sides_can_close() {
    let mut rig = Rig::open(10);
    let frame = CloseFrame { code: CloseCode::Restart, reason: "bye".into() };
    rig.server.socket().close(Some(frame)).expect("room");
    let mut buf = [0; 16];
    assert_eq!(rig.next(&mut buf), Err(ConnError::ClosedByPeer(Some(1012))));

    let mut rig = Rig::open(11);
    rig.client.close(rig.now);
    assert_eq!(rig.client.state(), ConnState::Closing);
    for _ in 0..200 {
        rig.turn().expect("a planned close is no error");
        let now = rig.now;
        rig.client.receive(now, &mut buf, &mut || now).expect("nor is its end");
    }
    assert_eq!(rig.client.state(), ConnState::Closed);
    assert!(rig.server.received.iter().any(Message::is_close));
    assert!(rig.now < Nanos::from_secs(1), "by the answer, not by the timeout");
}

#[test]
fn protocol_violations_end_the_connection() {
    let mut rig = Rig::open(12);
    rig.server.socket().get_mut().write_all(&[0x83, 0x00]).expect("room");
    let mut buf = [0; 16];
    assert_eq!(rig.next(&mut buf), Err(ConnError::Protocol(WsError::BadOpcode)));
    assert_eq!(rig.client.state(), ConnState::Closed);
}

#[test]
fn a_server_that_never_answers_times_out() {
    let mut rig = Rig::new(13);
    rig.network.stall(0, true);
    let error = (0..6_000).find_map(|_| rig.turn().err()).expect("times out");
    assert_eq!(error, ConnError::OpenTimeout);
    assert!(rig.now <= Nanos(5_001 * MS));
}

/// What is queued waits for the word, and leaves whole and in order with it.
#[test]
fn queued_messages_leave_together_and_in_order() {
    for seed in 0..20 {
        let mut rig = Rig::open(seed);
        let texts: Vec<String> = (0..40).map(|n| format!("{n} {}", "x".repeat(n * 9))).collect();
        for text in &texts {
            rig.client.queue_text(text.as_bytes()).expect("open");
        }
        let queued = rig.client.pending_out();
        assert!(queued > texts.iter().map(String::len).sum(), "seed {seed}: {queued}");
        rig.client.send_queued().expect("works");
        for _ in 0..2_000 {
            rig.turn().expect("works");
        }
        assert_eq!(rig.client.pending_out(), 0);
        let got = rig.server.received.drain(..).filter(Message::is_text);
        let got: Vec<String> = got.map(|m| m.into_text().expect("text").to_string()).collect();
        assert_eq!(got, texts, "seed {seed}");
        rig.client.close(rig.now);
        assert_eq!(rig.client.queue_text(b"late"), Err(ConnError::NotOpen));
    }
}

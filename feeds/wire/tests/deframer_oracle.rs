//! tungstenite as twin: the same bytes give the same messages, however they are split, and what
//! our writer writes a tungstenite server reads.

use std::io::{self, Read, Write};

use bot4_types::rng::SplitMix64;
use bot4_wire::ws::{Deframer, Event, FrameWriter, MessageKind, Opcode};
use proptest::prelude::*;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocketContext};
use tungstenite::{Error, Message};

/// What a client is told, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

/// One thing the server sends.
#[derive(Clone, Debug)]
enum Act {
    /// A message in fragments, each followed by control frames.
    Message {
        text: bool,
        fragments: Vec<(usize, Vec<Ctl>)>,
    },
    Control(Ctl),
}

#[derive(Clone, Debug)]
enum Ctl {
    Ping(u8),
    Pong(u8),
}

/// The lengths at which the header changes its form, and their neighbours.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0usize..300,
        1 => prop::sample::select(vec![0, 1, 124, 125, 126, 127, 128]),
        1 => prop::sample::select(vec![65_534, 65_535, 65_536, 65_537]),
    ]
}

fn control() -> impl Strategy<Value = Ctl> {
    prop_oneof![(0u8..=125).prop_map(Ctl::Ping), (0u8..=125).prop_map(Ctl::Pong)]
}

fn act() -> impl Strategy<Value = Act> {
    let fragment = (length(), prop::collection::vec(control(), 0..3));
    let message = (any::<bool>(), prop::collection::vec(fragment, 1..5))
        .prop_map(|(text, fragments)| Act::Message { text, fragments });
    prop_oneof![3 => message, 1 => control().prop_map(Act::Control)]
}

fn filler(len: usize, rng: &mut SplitMix64) -> Vec<u8> {
    (0..len).map(|_| b'a' + rng.below(26) as u8).collect()
}

fn put(frame: Frame, wire: &mut Vec<u8>) {
    frame.format(wire).expect("formats into memory");
}

fn put_control(ctl: &Ctl, rng: &mut SplitMix64, wire: &mut Vec<u8>) {
    let frame = match ctl {
        Ctl::Ping(len) => Frame::ping(filler(usize::from(*len), rng)),
        Ctl::Pong(len) => Frame::pong(filler(usize::from(*len), rng)),
    };
    put(frame, wire);
}

/// The server's bytes, framed by tungstenite.
fn encode(acts: &[Act], close: bool, rng: &mut SplitMix64) -> Vec<u8> {
    let mut wire = Vec::new();
    for act in acts {
        match act {
            Act::Control(ctl) => put_control(ctl, rng, &mut wire),
            Act::Message { text, fragments } => {
                let kind = if *text { Data::Text } else { Data::Binary };
                for (i, (len, controls)) in fragments.iter().enumerate() {
                    let code = OpCode::Data(if i == 0 { kind } else { Data::Continue });
                    let last = i + 1 == fragments.len();
                    put(Frame::message(filler(*len, rng), code, last), &mut wire);
                    for ctl in controls {
                        put_control(ctl, rng, &mut wire);
                    }
                }
            }
        }
    }
    if close {
        let frame = CloseFrame { code: CloseCode::Away, reason: "going".into() };
        put(Frame::close(Some(frame)), &mut wire);
    }
    wire
}

/// Input from memory, then `WouldBlock`; output is dropped.
struct Tape<'a>(&'a [u8]);

impl Read for Tape<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(out) }
    }
}

impl Write for Tape<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn twin(wire: &[u8], role: Role) -> Vec<Told> {
    let (mut context, mut tape) = (WebSocketContext::new(role, None), Tape(wire));
    let mut told = Vec::new();
    loop {
        told.push(match context.read(&mut tape) {
            Ok(Message::Text(text)) => Told::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Told::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Told::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Told::Pong(bytes.to_vec()),
            Ok(Message::Close(frame)) => Told::Close(frame.map(|f| f.code.into())),
            Ok(Message::Frame(_)) => unreachable!("never read"),
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return told,
            Err(Error::ConnectionClosed) => return told,
            Err(error) => panic!("the twin refuses legal frames: {error}"),
        });
    }
}

/// Ours, in pieces of seeded lengths, into a buffer that starts too small and grows on demand.
fn ours(wire: &[u8], rng: &mut SplitMix64) -> Vec<Told> {
    let mut deframer = Deframer::new(1 << 20);
    let mut buf = vec![0; rng.below(200) as usize];
    let (mut told, mut at) = (Vec::new(), 0);
    while at < wire.len() {
        let piece = if rng.below(3) == 0 { 1 } else { 1 + rng.below(3000) as usize };
        let end = (at + piece).min(wire.len());
        while at < end {
            let fed = deframer.feed(&wire[at..end], &mut buf).expect("legal frames");
            at += fed.consumed;
            let control = || deframer.control().to_vec();
            match fed.event {
                None => assert_eq!(at, end, "without an event the whole input is used"),
                Some(Event::Message { len, kind: MessageKind::Text }) => {
                    told.push(Told::Text(buf[..len].to_vec()));
                }
                Some(Event::Message { len, kind: MessageKind::Binary }) => {
                    told.push(Told::Binary(buf[..len].to_vec()));
                }
                Some(Event::Grow { needed }) => {
                    assert!(needed > buf.len());
                    let mut longer = vec![0xEE; needed];
                    longer[..deframer.filled()].copy_from_slice(&buf[..deframer.filled()]);
                    buf = longer;
                }
                Some(Event::Ping) => told.push(Told::Ping(control())),
                Some(Event::Pong) => told.push(Told::Pong(control())),
                Some(Event::Close(code)) => told.push(Told::Close(code)),
            }
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_same_bytes_give_the_same_messages(
        acts in prop::collection::vec(act(), 0..12), close in any::<bool>(), seed in any::<u64>()
    ) {
        let mut rng = SplitMix64::new(seed);
        let wire = encode(&acts, close, &mut rng);
        let expected = twin(&wire, Role::Client);
        prop_assert_eq!(expected.len() >= acts.len(), true, "the twin tells every message");
        prop_assert_eq!(ours(&wire, &mut rng), expected);
    }

    #[test]
    fn a_server_reads_what_the_writer_writes(
        lengths in prop::collection::vec((length(), 0u8..4), 0..12), seed in any::<u64>()
    ) {
        let mut rng = SplitMix64::new(seed);
        let (mut writer, mut wire, mut expected) = (FrameWriter::new(seed), Vec::new(), Vec::new());
        for (len, kind) in lengths {
            let payload = filler(if kind > 1 { len.min(125) } else { len }, &mut rng);
            let (opcode, told) = match kind {
                0 => (Opcode::Text, Told::Text(payload.clone())),
                1 => (Opcode::Binary, Told::Binary(payload.clone())),
                2 => (Opcode::Ping, Told::Ping(payload.clone())),
                _ => (Opcode::Pong, Told::Pong(payload.clone())),
            };
            writer.write(opcode, &payload, &mut wire);
            expected.push(told);
        }
        prop_assert_eq!(twin(&wire, Role::Server), expected);
    }
}

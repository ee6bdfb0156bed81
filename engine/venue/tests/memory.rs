//! The venue over streams in memory: no socket, no clock, no thread.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use bot4_venue::store::Stored;
use bot4_venue::{MemoryServer, Venue};
use common::{START_NS, config, signed};
use serde_json::{Value, json};
use tungstenite::handshake::HandshakeError;
use tungstenite::{Message, WebSocket};

/// One end of a two-way pipe; gives a few bytes a read, so that frames arrive in pieces.
#[derive(Clone, Default)]
struct Pipe {
    input: Rc<RefCell<VecDeque<u8>>>,
    output: Rc<RefCell<VecDeque<u8>>>,
    piece: usize,
}

fn pipe(piece: usize) -> (Pipe, Pipe) {
    let here = Pipe { piece, ..Pipe::default() };
    let there = Pipe { input: here.output.clone(), output: here.input.clone(), piece };
    (here, there)
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.borrow_mut();
        let n = input.len().min(buffer.len()).min(self.piece);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer.iter_mut().zip(input.drain(..n)).for_each(|(to, from)| *to = from);
        Ok(n)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Server = MemoryServer<Pipe>;

fn connect(server: &mut Server, path: &str, now_ns: u64) -> WebSocket<Pipe> {
    let (here, there) = pipe(7);
    server.add_stream(there, now_ns);
    let mut attempt = tungstenite::client(format!("ws://venue{path}"), here);
    for _ in 0..3 {
        server.cycle(now_ns);
        attempt = match attempt {
            Err(HandshakeError::Interrupted(middle)) => middle.handshake(),
            other => other,
        };
    }
    let Ok((socket, _)) = attempt else { panic!("the handshake did not complete") };
    socket
}

fn texts(socket: &mut WebSocket<Pipe>) -> Vec<Value> {
    let next = || loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(_) => {}
            Err(_) => return None,
        }
    };
    std::iter::from_fn(next).collect()
}

fn session(seed_log: &str) -> (String, Vec<Value>, Vec<Value>) {
    let venue = Venue::new(config(), Stored::read(seed_log).unwrap()).unwrap();
    let mut server = Server::new(venue);
    let mut now_ns = START_NS;
    let mut api = connect(&mut server, "/ws-api/v3", now_ns);
    let mut market = connect(&mut server, "/stream?streams=solusdt@trade", now_ns);
    let stamp = now_ns / 1_000_000;
    let order = json!({"symbol": "SOLUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "150.00", "quantity": "1", "timestamp": stamp});
    for (method, params) in [
        ("session.logon", signed(&json!({"timestamp": stamp}))),
        ("userDataStream.subscribe", json!({})),
        ("order.place", order),
    ] {
        let request = json!({"id": method, "method": method, "params": params});
        api.send(Message::text(request.to_string())).unwrap();
    }
    let (mut told, mut seen) = (Vec::new(), Vec::new());
    while now_ns < START_NS + 2_000_000_000 {
        server.cycle(now_ns);
        told.extend(texts(&mut api));
        seen.extend(texts(&mut market));
        now_ns = server.next_timeout().unwrap().max(now_ns);
    }
    (server.log().to_owned(), told, seen)
}

#[test]
fn a_session_over_memory_is_whole_and_repeats_itself() {
    let (log, told, seen) = session("");
    assert_eq!(told[0]["id"], "session.logon");
    assert_eq!(told[2]["result"]["symbol"], "SOLUSDT", "{}", told[2]);
    assert!(told.iter().any(|t| t["event"]["x"] == "NEW"));
    assert!(seen.len() > 100 && seen.iter().all(|t| t["data"]["e"] == "trade"));
    assert_eq!(session(""), (log.clone(), told, seen));
    let (_, told, _) = session(&log);
    assert_eq!(told[2]["status"], 200, "a restarted venue serves as well");
}

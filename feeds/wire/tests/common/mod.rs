//! A WebSocket server over any non-blocking stream, stepped by the test.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{self, Read, Write};

use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::{Error, Message, WebSocket};

enum Step<S: Read + Write> {
    Fresh(S),
    Accepting(Box<MidHandshake<ServerHandshake<S, NoCallback>>>),
    Open(Box<WebSocket<S>>),
    Over,
}

/// The server's side of one connection.
pub struct Server<S: Read + Write> {
    step: Step<S>,
    /// What the client sent.
    pub received: Vec<Message>,
}

impl<S: Read + Write> Server<S> {
    pub fn new(stream: S) -> Self {
        Self { step: Step::Fresh(stream), received: Vec::new() }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.step, Step::Open(_))
    }

    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Over)
    }

    /// The open socket.
    pub fn socket(&mut self) -> &mut WebSocket<S> {
        match &mut self.step {
            Step::Open(socket) => socket,
            _ => panic!("not open"),
        }
    }

    /// Sends a text message; what does not fit is sent by later steps.
    pub fn send(&mut self, text: &str) {
        match self.socket().send(Message::text(text)) {
            Ok(()) => {}
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
            // The connection is gone; what was sent on it is gone with it.
            Err(_) => self.step = Step::Over,
        }
    }

    /// Handshakes, flushes, reads and answers pings, as far as possible without blocking.
    pub fn step(&mut self) {
        self.step = match std::mem::replace(&mut self.step, Step::Over) {
            Step::Fresh(stream) => Self::handshaken(tungstenite::accept(stream)),
            Step::Accepting(mid) => Self::handshaken(mid.handshake()),
            other => other,
        };
        let Step::Open(socket) = &mut self.step else { return };
        let flushed = socket.flush();
        loop {
            match socket.read() {
                Ok(message) => self.received.push(message),
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.step = Step::Over;
                    return;
                }
            }
        }
        if let Err(Error::ConnectionClosed) = flushed {
            self.step = Step::Over;
        }
    }

    fn handshaken(
        result: Result<WebSocket<S>, HandshakeError<ServerHandshake<S, NoCallback>>>,
    ) -> Step<S> {
        match result {
            Ok(socket) => Step::Open(Box::new(socket)),
            Err(HandshakeError::Interrupted(mid)) => Step::Accepting(Box::new(mid)),
            Err(HandshakeError::Failure(_)) => Step::Over,
        }
    }
}

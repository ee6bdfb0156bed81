//! What the kernel's receive stamp costs: the same bytes over loopback by `recv`, by `recvmsg` with
//! room for a control message, and with the stamp in it and the wall clock read behind the call.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bot4_wire::transport::{ask_for_stamps, receive};

use crate::case::Case;

/// Bytes of a message: a best quote in its TLS record, about.
pub const LEN: usize = 176;
/// Messages that wait at once.
const ROW: u64 = 64;
/// The kernel begins to stamp some milliseconds after it was asked.
const STAMP_TRIES: usize = 200;

/// How bytes are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `recv`: the baseline.
    Recv,
    /// `recvmsg` of a socket that was not asked for stamps.
    Recvmsg,
    /// `recvmsg` with the stamp, as the market lines have it.
    Stamped,
}

/// One call receives one message that has come.
pub struct Receive {
    way: Way,
    /// The sender and the receiver; while it is measured.
    ends: Option<(TcpStream, TcpStream)>,
    /// Messages received, and those with a stamp.
    seen: [u64; 2],
}

impl Receive {
    /// By `way`.
    #[must_use]
    pub const fn by(way: Way) -> Self {
        Self { way, ends: None, seen: [0; 2] }
    }

    fn ends(&mut self) -> &mut (TcpStream, TcpStream) {
        self.ends.as_mut().expect("entered")
    }
}

fn connected() -> std::io::Result<(TcpStream, TcpStream)> {
    #[expect(clippy::disallowed_methods, reason = "a bench of the bare socket")]
    let listener = TcpListener::bind("127.0.0.1:0")?;
    #[expect(clippy::disallowed_methods, reason = "a bench of the bare socket")]
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    sender.set_nodelay(true)?;
    receiver.set_nonblocking(true)?;
    Ok((sender, receiver))
}

impl Case for Receive {
    fn enter(&mut self) {
        self.ends = Some(connected().expect("a connection over loopback"));
        if self.way != Way::Stamped {
            return;
        }
        ask_for_stamps(&self.ends().1).expect("the kernel knows of stamps");
        for _ in 0..STAMP_TRIES {
            let before = self.seen[1];
            self.ready(1);
            self.call();
            if self.seen[1] > before {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// With its socket goes what the kernel was asked for.
    fn leave(&mut self) {
        self.ends = None;
    }

    /// Sends a row and waits until all of it lies in the receiver's socket.
    fn ready(&mut self, wanted: u64) -> u64 {
        let row = wanted.min(ROW);
        let (sender, receiver) = self.ends();
        for _ in 0..row {
            sender.write_all(&[7; LEN]).expect("the socket takes a row");
        }
        let mut all = [0; LEN * ROW as usize];
        while !receiver.peek(&mut all).is_ok_and(|n| n as u64 == row * LEN as u64) {
            std::hint::spin_loop();
        }
        row
    }

    fn row_max(&self) -> u64 {
        ROW
    }

    #[inline]
    fn call(&mut self) {
        let (way, mut out) = (self.way, [0; LEN]);
        let (_, receiver) = self.ends();
        let received = match way {
            Way::Recv => receiver.read(&mut out).map(|n| (n, None)),
            Way::Recvmsg | Way::Stamped => receive(receiver, &mut out),
        };
        let (n, waited) = black_box(received).expect("a row waits");
        assert!(n == LEN, "a message is received whole");
        self.seen[0] += 1;
        self.seen[1] += u64::from(waited.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_has_stamps() {
        for (way, stamped) in [(Way::Recv, false), (Way::Recvmsg, false), (Way::Stamped, true)] {
            let mut case = Receive::by(way);
            case.enter();
            assert_eq!(case.ready(1_000), ROW);
            (0..ROW).for_each(|_| case.call());
            case.leave();
            assert!(case.seen[0] >= ROW);
            assert_eq!(case.seen[1] > ROW / 2, stamped, "{way:?}: {:?}", case.seen);
        }
    }
}

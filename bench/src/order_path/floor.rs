//! What nobody can go below: the same bytes by `send` alone, over loopback to a process that reads
//! without sleeping, at the same pace. Over loopback the sender's call also carries the receiver's
//! half of TCP: with a network card it ends at the card.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use bot4_lanes::Clock;
use hdrhistogram::Histogram;

use super::Load;
use crate::case::histogram;
use crate::trip;

/// Bytes of an order in its TLS record, about.
const ORDER_LEN: usize = 400;

type Failure = Box<dyn std::error::Error>;

/// A process that reads.
pub struct Sink {
    address: SocketAddr,
    child: Child,
}

impl Sink {
    /// Starts `command`, which must [`serve`].
    ///
    /// # Errors
    /// When it does not start or tells no address.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(|_| "the sink told no address")?;
        Ok(Self { address, child })
    }

    /// `load` by `send` alone, on `cpu`: each order from when it was due. What is due at the same
    /// moment leaves in one call.
    ///
    /// # Errors
    /// When the sink cannot be reached.
    pub fn round(&self, load: Load, cpu: Option<usize>) -> Result<Histogram<u64>, Failure> {
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| self.send(load, cpu).map_err(|error| error.to_string()));
            Ok(sent.join().map_err(|_| "the sender panicked")??)
        })
    }

    fn send(&self, load: Load, cpu: Option<usize>) -> std::io::Result<Histogram<u64>> {
        cpu.into_iter().for_each(trip::pin);
        #[expect(clippy::disallowed_methods, reason = "a bench of the bare socket")]
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let (clock, mut all) = (Clock::start(), histogram());
        let bytes = vec![7; ORDER_LEN * load.burst as usize];
        let mut heard = [0; 64];
        let mut due = clock.now();
        for _ in 0..load.orders / u64::from(load.burst) {
            due = due + bot4_types::Nanos(load.pace_ns());
            while clock.now() < due {
                // As a client that listens meanwhile.
                let _ = socket.read(&mut heard);
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                match socket.write(rest) {
                    Ok(n) => rest = &rest[n..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            all.saturating_record_n(clock.now().since(due).0, u64::from(load.burst));
        }
        Ok(all)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sink's process: tells its address and reads from one connection after the other, until it
/// is killed.
///
/// # Errors
/// When it cannot listen.
pub fn serve(cpu: Option<usize>) -> std::io::Result<()> {
    cpu.into_iter().for_each(trip::pin);
    #[expect(clippy::disallowed_methods, reason = "a bench of the bare socket")]
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut taken = vec![0; 64 * 1024];
    loop {
        let (mut socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        loop {
            match socket.read(&mut taken) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    }
}

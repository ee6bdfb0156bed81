//! TLS over TCP: a non-blocking `mio` socket under a rustls client.
//!
//! Ciphertext is received into a buffer of our own in one call (rustls alone would read 4 KiB at
//! a time: nine system calls for a 34 kB depth message) and decrypted from there.
//!
//! A dead peer is noticed by the kernel too, beside the WebSocket's pings: `TCP_USER_TIMEOUT`
//! bounds how long sent bytes stay unacknowledged, keepalive probes an idle connection. Neither
//! alone covers both cases.

use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use bot4_types::Nanos;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::receive::{ask_for_stamps, receive};
use super::resolver::{Resolver, ResolverLine};
use super::roots::{RootsError, TlsRoots, client_config};
use super::{Connector, Endpoint, Stream, StreamError};

/// Ciphertext received in one call at most.
const RECEIVE_LEN: usize = 64 * 1024;
/// A name is looked up again at most this often.
const ASK_AGAIN_AFTER: Nanos = Nanos::from_secs(1);
/// Unacknowledged bytes end the connection after this long, in milliseconds.
const USER_TIMEOUT_MS: libc::c_int = 2_000;
/// Keepalive: idle seconds before the first probe, seconds between probes, probes.
const KEEPALIVE: [(libc::c_int, libc::c_int); 3] =
    [(libc::TCP_KEEPIDLE, 1), (libc::TCP_KEEPINTVL, 1), (libc::TCP_KEEPCNT, 2)];

/// Opens TLS connections to addresses resolved beforehand.
pub struct TcpConnector {
    config: Arc<ClientConfig>,
    table: Vec<Resolved>,
    /// Who looks names up again.
    resolver: Option<ResolverLine>,
}

/// The addresses of a host; each new connection takes the next one.
struct Resolved {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    next: usize,
    /// When it was asked for again.
    asked_at: Option<Nanos>,
}

impl TcpConnector {
    /// A connector that trusts `roots`.
    ///
    /// # Errors
    /// When the authorities cannot be loaded.
    pub fn new(roots: &TlsRoots) -> Result<Self, RootsError> {
        Ok(Self { config: client_config(roots)?, table: Vec::new(), resolver: None })
    }

    /// Looks up the endpoint's host and remembers its addresses. **Blocks** (the system's
    /// resolver does): call it on the cold side, before the connector goes to a lane. Addresses
    /// need no lookup. Calling it again refreshes.
    ///
    /// # Errors
    /// [`StreamError::Unresolved`] where the name has no address.
    pub fn resolve(&mut self, endpoint: &Endpoint) -> Result<(), StreamError> {
        let (host, port) = (endpoint.host(), endpoint.port());
        let found = (host, port).to_socket_addrs().map_err(|_| StreamError::Unresolved)?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() {
            return Err(StreamError::Unresolved);
        }
        self.table.retain(|r| (r.host.as_str(), r.port) != (host, port));
        let host = host.to_owned();
        self.table.push(Resolved { host, port, addresses, next: 0, asked_at: None });
        Ok(())
    }

    /// From now on every connection asks `resolver` for its host again, without waiting: the
    /// answer serves the attempts after it.
    pub fn resolve_again_by(&mut self, resolver: &Resolver) {
        self.resolver = Some(resolver.line());
    }

    /// The address to try now: each attempt takes the next of the last known ones.
    fn address(&mut self, endpoint: &Endpoint, now: Nanos) -> Result<SocketAddr, StreamError> {
        if let Ok(ip) = endpoint.host().parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, endpoint.port()));
        }
        self.take_answers();
        let wanted = (endpoint.host(), endpoint.port());
        let entry = self.table.iter_mut().find(|r| (r.host.as_str(), r.port) == wanted);
        let entry = entry.ok_or(StreamError::Unresolved)?;
        let address = entry.addresses[entry.next % entry.addresses.len()];
        entry.next = entry.next.wrapping_add(1);
        if let Some(resolver) = &self.resolver
            && entry.asked_at.is_none_or(|at| now.since(at) >= ASK_AGAIN_AFTER)
        {
            entry.asked_at = Some(now);
            resolver.ask(&entry.host, entry.port);
        }
        Ok(address)
    }

    fn take_answers(&mut self) {
        let Some(resolver) = &self.resolver else { return };
        while let Some(answer) = resolver.answer() {
            let wanted = (answer.host.as_str(), answer.port);
            if let Some(r) = self.table.iter_mut().find(|r| (r.host.as_str(), r.port) == wanted) {
                r.addresses = answer.addresses;
            }
        }
    }
}

impl Connector for TcpConnector {
    fn connect(&mut self, endpoint: &Endpoint, now: Nanos) -> Result<Box<dyn Stream>, StreamError> {
        let address = self.address(endpoint, now)?;
        let name = ServerName::try_from(endpoint.server_name().to_owned())
            .map_err(|_| StreamError::BadName)?;
        let tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(|e| tls_error(&e))?;
        #[expect(clippy::disallowed_methods, reason = "the transport's own seam")]
        let socket = TcpStream::connect(address)?;
        Ok(Box::new(TlsStream {
            socket,
            tls,
            phase: Phase::Connecting,
            received: vec![0; RECEIVE_LEN].into_boxed_slice(),
            stamps: false,
            waited: None,
            at: 0,
            end: 0,
            plaintext: 0,
            drained: false,
            peer_closed: false,
            waiter: None,
        }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Handshaking,
    Ready,
}

/// One TLS connection.
struct TlsStream {
    socket: TcpStream,
    tls: ClientConnection,
    phase: Phase,
    /// Ciphertext; `at..end` is not decrypted yet.
    received: Box<[u8]>,
    /// The kernel stamps what it receives.
    stamps: bool,
    /// See [`Stream::waited`].
    waited: Option<u64>,
    at: usize,
    end: usize,
    /// Decrypted bytes that lie in rustls.
    plaintext: usize,
    /// The last receive did not fill the buffer, so the socket is empty for the moment: the
    /// next `fill` answers zero without a system call.
    drained: bool,
    /// The peer's `close_notify` came.
    peer_closed: bool,
    waiter: Option<Waiter>,
}

/// Readiness for cold callers; made at the first [`Stream::wait`].
struct Waiter {
    poll: Poll,
    events: Events,
}

impl TlsStream {
    /// Whether the TCP connection stands; sets the socket's options when it does.
    fn poll_connected(&mut self) -> Result<bool, StreamError> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error.into());
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                self.socket.set_nodelay(true)?;
                set_liveness(&self.socket)?;
                // A kernel that does not stamp is no reason not to read.
                self.stamps = ask_for_stamps(&self.socket).is_ok();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Drives the TLS handshake until it waits or is done.
    fn poll_handshake(&mut self) -> Result<bool, StreamError> {
        loop {
            let flushed = self.flush()?;
            if !self.tls.is_handshaking() {
                return Ok(flushed);
            }
            if self.at == self.end && self.fill()? == 0 {
                return Ok(false);
            }
            self.decrypt()?;
        }
    }

    /// Feeds rustls one portion of ciphertext.
    fn decrypt(&mut self) -> Result<(), StreamError> {
        let mut rest = &self.received[self.at..self.end];
        let before = rest.len();
        let taken = self.tls.read_tls(&mut rest);
        self.at += before - rest.len();
        // Zero bytes taken means that rustls reads no further: behind the peer's close_notify.
        if taken.map_err(|error| StreamError::Tls(error.to_string()))? == 0 {
            self.at = self.end;
        }
        match self.tls.process_new_packets() {
            Ok(state) => {
                self.plaintext = state.plaintext_bytes_to_read();
                self.peer_closed |= state.peer_has_closed();
                Ok(())
            }
            Err(error) => {
                // Tell the peer why; whether that succeeds changes nothing.
                let _ = self.tls.write_tls(&mut self.socket);
                Err(tls_error(&error))
            }
        }
    }
}

impl Stream for TlsStream {
    fn poll_ready(&mut self, _now: Nanos) -> Result<bool, StreamError> {
        if self.phase == Phase::Connecting && self.poll_connected()? {
            self.phase = Phase::Handshaking;
        }
        if self.phase == Phase::Handshaking && self.poll_handshake()? {
            self.phase = Phase::Ready;
        }
        Ok(self.phase == Phase::Ready)
    }

    fn fill(&mut self) -> Result<usize, StreamError> {
        if self.at < self.end {
            return Ok(self.end - self.at);
        }
        if core::mem::take(&mut self.drained) {
            return Ok(0);
        }
        let read = if self.stamps {
            receive(&self.socket, &mut self.received)
        } else {
            self.socket.read(&mut self.received).map(|n| (n, None))
        };
        let read = read.map(|(n, waited)| {
            self.waited = waited;
            n
        });
        match read {
            Ok(0) => Err(StreamError::Closed),
            Ok(n) => {
                (self.at, self.end) = (0, n);
                self.drained = n < self.received.len();
                Ok(n)
            }
            Err(error) if would_block(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn waited(&self) -> Option<u64> {
        self.waited
    }

    fn chunk(&mut self) -> Result<&[u8], StreamError> {
        while self.plaintext == 0 && self.at < self.end {
            self.decrypt()?;
        }
        if self.plaintext == 0 {
            return if self.peer_closed { Err(StreamError::Closed) } else { Ok(&[]) };
        }
        self.tls.reader().into_first_chunk().map_err(|error| StreamError::Io(error.kind()))
    }

    fn consume(&mut self, n: usize) {
        self.tls.reader().consume(n);
        self.plaintext = self.plaintext.saturating_sub(n);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        match self.tls.writer().write(bytes) {
            Ok(n) => Ok(n),
            Err(error) if would_block(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> Result<bool, StreamError> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut OneRecord(&self.socket)) {
                Ok(0) => return Err(StreamError::Io(io::ErrorKind::WriteZero)),
                Ok(_) => {}
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn close(&mut self) {
        // Best effort by contract: the peer may be gone already.
        self.tls.send_close_notify();
        let _ = self.flush();
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), StreamError> {
        if self.plaintext > 0 || self.at < self.end {
            return Ok(());
        }
        let sending = self.phase == Phase::Connecting || self.tls.wants_write();
        let interest =
            if sending { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.drained = false;
        // Registering again re-arms the edge, so bytes that came before this call wake it too.
        if let Some(waiter) = &mut self.waiter {
            waiter.poll.registry().reregister(&mut self.socket, Token(0), interest)?;
        } else {
            let poll = Poll::new()?;
            poll.registry().register(&mut self.socket, Token(0), interest)?;
            self.waiter = Some(Waiter { poll, events: Events::with_capacity(4) });
        }
        let Some(waiter) = &mut self.waiter else { return Ok(()) };
        match waiter.poll.poll(&mut waiter.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Where rustls writes: it offers a list of records, of which there is one as a rule, and `send` of
/// one piece is the shorter way through the kernel.
struct OneRecord<'a>(&'a TcpStream);

impl Write for OneRecord<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self.0;
        socket.write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut socket = self.0;
        match pieces {
            [one] => socket.write(one),
            several => socket.write_vectored(several),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn tls_error(error: &rustls::Error) -> StreamError {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            StreamError::Certificate(error.to_string())
        }
        _ => StreamError::Tls(error.to_string()),
    }
}

/// Sets `TCP_USER_TIMEOUT` and keepalive, which the standard library does not offer.
fn set_liveness(socket: &TcpStream) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, USER_TIMEOUT_MS)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    for (option, value) in KEEPALIVE {
        set_option(socket, libc::IPPROTO_TCP, option, value)?;
    }
    Ok(())
}

pub(super) fn set_option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the pointer and
    // length describe `value`, a live `c_int`, which is what these options take; the kernel
    // copies it before the call returns and keeps no pointer.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Names move; the last known addresses serve until the news is in, and while there is none.
    #[test]
    fn names_are_looked_up_again_and_addresses_rotate() {
        let address = |n: u8| SocketAddr::from(([127, 0, 0, n], 443));
        let known = Arc::new(Mutex::new(Ok(vec![address(2), address(3)])));
        let source = Arc::clone(&known);
        let lookup = move |_: &str, _: u16| match &*source.lock().expect("unpoisoned") {
            Ok(found) => Ok::<Vec<SocketAddr>, io::Error>(found.clone()),
            Err(kind) => Err(io::Error::from(*kind)),
        };
        let resolver = Resolver::with(Box::new(lookup)).expect("a thread");
        let mut connector = TcpConnector::new(&TlsRoots::Public).expect("roots");
        connector.resolve_again_by(&resolver);
        let endpoint = Endpoint::parse("wss://localhost").expect("good url");
        connector.resolve(&endpoint).expect("localhost");
        let mut now = Nanos::from_secs(1);
        let mut until = |wanted: &[u8]| {
            let wanted: Vec<SocketAddr> = wanted.iter().map(|n| address(*n)).collect();
            for _ in 0..2_000 {
                now = now + Nanos::from_secs(2);
                let seen = [0; 4].map(|_| connector.address(&endpoint, now).expect("known"));
                if seen.iter().all(|a| wanted.contains(a))
                    && wanted.iter().all(|a| seen.contains(a))
                {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            panic!("never saw {wanted:?}");
        };
        until(&[2, 3]);
        *known.lock().expect("unpoisoned") = Ok(vec![address(4)]);
        until(&[4]);
        *known.lock().expect("unpoisoned") = Err(io::ErrorKind::TimedOut);
        until(&[4]);
        assert_eq!(connector.address(&endpoint, now), Ok(address(4)), "the last known one");
    }
}

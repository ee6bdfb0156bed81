//! The control socket and whoever is connected to it. Nobody is waited for: a client that says its
//! line in pieces, or nothing, or takes no answer, holds up no other.
//!
//! So many are connected at a time; one more takes the place of the one that has been silent the
//! longest, so that a flood of idle connections shuts nobody out who speaks at once.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bot4_types::Nanos;
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};

use super::admission::Peer;
use super::message::REQUEST_LEN_MAX;
use super::path::{SOCKET, Within};
use super::refusal::{Refused, Why};

/// Connected at a time.
const CLIENTS_MAX: usize = 32;
/// Silent clients that lose their places to others in one look.
const EVICTED_MAX: usize = 1_024;
/// A client says its line within this or is dropped.
const CLIENT_PATIENCE: Nanos = Nanos::from_millis(500);
const LISTENER: Token = Token(CLIENTS_MAX);

/// A client that has not said its whole line yet.
pub struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    since: Nanos,
    /// Who it is.
    pub peer: Peer,
}

impl Client {
    /// Answers, as far as the socket takes it at once. False: the client takes no answer.
    pub fn answer(&mut self, text: &[u8]) -> bool {
        self.stream.write_all(text).is_ok()
    }
}

/// The socket.
pub struct Clients {
    listener: UnixListener,
    poll: Poll,
    events: Events,
    connected: [Option<Client>; CLIENTS_MAX],
    own: u32,
    dropped: u64,
    /// Keeps the socket's short name valid.
    _within: Within,
}

impl Clients {
    /// Listens in `folder`.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn listen(folder: &Path) -> std::io::Result<Self> {
        let within = Within::open(folder, SOCKET)?;
        let mut listener = UnixListener::bind(within.path())?;
        // The folder is 0700 already; the socket says so itself too.
        let owner_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(within.path(), owner_alone)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            poll,
            events: Events::with_capacity(2 * CLIENTS_MAX),
            connected: [const { None }; CLIENTS_MAX],
            own: rustix::process::geteuid().as_raw(),
            dropped: 0,
            _within: within,
        })
    }

    /// Waits until somebody says something, for `patience` at most.
    pub fn wait(&mut self, patience: Duration) {
        // An interrupted wait is a look like any other.
        let _ = self.poll.poll(&mut self.events, Some(patience));
    }

    /// The next client whose line is whole, and the line; or why it is none. None: nobody speaks.
    pub fn next(&mut self, now: Nanos) -> Option<(Client, Result<Vec<u8>, Refused>)> {
        for _ in 0..EVICTED_MAX {
            self.accept(now);
            if let Some(spoken) = self.spoken(now) {
                return Some(spoken);
            }
            if self.connected.iter().any(Option::is_none) {
                return None;
            }
            // Full of silent ones, and more may wait.
            let since = |c: &Option<Client>| c.as_ref().map_or(Nanos::ZERO, |c| c.since);
            let oldest = self.connected.iter_mut().min_by_key(|c| since(c));
            self.dropped += u64::from(oldest.and_then(Option::take).is_some());
        }
        None
    }

    /// Clients that were dropped since the last call, because they were silent while others waited.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    fn accept(&mut self, now: Nanos) {
        for (at, place) in self.connected.iter_mut().enumerate().filter(|(_, p)| p.is_none()) {
            let Ok((mut stream, _)) = self.listener.accept() else { return };
            let poll = self.poll.registry();
            if poll.register(&mut stream, Token(at), Interest::READABLE).is_ok() {
                let peer = peer_of(&stream);
                *place = Some(Client { stream, line: Vec::new(), since: now, peer });
            }
        }
    }

    fn spoken(&mut self, now: Nanos) -> Option<(Client, Result<Vec<u8>, Refused>)> {
        for place in &mut self.connected {
            let Some(client) = place else { continue };
            let done = match client.read() {
                Ok(false) if now.since(client.since) < CLIENT_PATIENCE => continue,
                Ok(false) => Err(Refused::new(Why::NoRequest, "no request came within 500 ms")),
                Ok(true) => client.peer.permit(self.own).map(|()| std::mem::take(&mut client.line)),
                Err(refused) => Err(refused),
            };
            return place.take().map(|client| (client, done));
        }
        None
    }
}

impl Client {
    /// Reads what is there. True: the line is whole.
    fn read(&mut self) -> Result<bool, Refused> {
        let mut chunk = [0; 512];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Refused::new(Why::NoRequest, "the request has no end")),
                Ok(n) => self.line.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Refused::new(Why::NoRequest, format!("the socket: {e}"))),
            }
            if self.line.len() > REQUEST_LEN_MAX {
                let text = format!("the request is longer than {REQUEST_LEN_MAX} bytes");
                return Err(Refused::new(Why::TooLong, text));
            }
            if self.line.ends_with(b"\n") {
                return Ok(true);
            }
        }
    }
}

/// The process at the other end. Where the kernel does not say, nobody that is served.
fn peer_of(stream: &UnixStream) -> Peer {
    let stranger = Peer { uid: u32::MAX, pid: 0 };
    rustix::net::sockopt::socket_peercred(stream).map_or(stranger, |cred| Peer {
        uid: cred.uid.as_raw(),
        pid: u32::try_from(cred.pid.as_raw_nonzero().get()).unwrap_or(0),
    })
}

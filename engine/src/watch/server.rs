//! The server: one thread, a fixed number of places, a deadline for each.
//!
//! Why not a library: the small ones give every connection a thread and no deadline, so that ten
//! thousand silent clients are ten thousand threads; the large ones bring a runtime. What is left
//! once `httparse` reads the heads and `rustls` does the talking is this loop.
//!
//! * [`PLACES`] clients at a time. When all are taken, the one that has been longest at its request
//!   or at its answer gives its place to the newcomer: a flood of clients that say nothing, or that
//!   read nothing, throws out itself, and one that says what it wants is served within a turn.
//! * A turn accepts [`ACCEPTS_PER_TURN`] at most, and a client has a share of it: nobody starves.
//! * Memory is bounded by the places: each holds one request and one answer at most, and the
//!   kernel keeps [`SEND_BUFFER`] for one that asks for much and reads nothing.
//! * The kernel keeps [`BACKLOG`] newcomers: one more would try again after a second, then three.
//!
//! Cost: nothing while nobody asks. The thread has a low priority (see
//! [`crate::cli::watch`]).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bot4_lanes::Clock;
use bot4_types::Nanos;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;

use super::connection::{Connection, Phase, Turn};
use super::http::{Request, Response};

/// Clients at a time.
pub const PLACES: usize = 256;
/// Connections taken from the kernel in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Newcomers that the kernel keeps until they are taken, if `net.core.somaxconn` lets it. Of more
/// the last would wait too long behind the others.
const BACKLOG: i32 = 1_024;
/// Bytes of answers that the kernel keeps for a client. By itself it would take megabytes for each
/// that reads nothing; a page's figures are a third of this.
const SEND_BUFFER: usize = 64 * 1_024;
/// Between two looks at deadlines and at the end.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const LISTENER: Token = Token(PLACES);
const WAKER: Token = Token(PLACES + 1);

/// What became of clients, for `/metrics` and the tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections taken.
    pub accepted: u64,
    /// Requests that came whole.
    pub requests: u64,
    /// Clients that lost their place to a newcomer.
    pub displaced: u64,
    /// Clients that were too slow.
    pub timed_out: u64,
    /// Clients now.
    pub clients: u64,
}

/// A client that an answer is owed to: its place, and which of the place's tenants it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    place: usize,
    tenant: u64,
}

/// What answers.
pub trait Service {
    /// The answer to `request`, or `None`: it comes later, by [`told`](Self::told).
    fn answer(&mut self, request: &Request, from: Ticket, tally: &Tally) -> Option<Response>;
    /// An answer that has become ready.
    fn told(&mut self) -> Option<(Ticket, Response)>;
}

struct Place {
    connection: Connection,
    tenant: u64,
}

/// The server. See the module.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    poll: Poll,
    places: Vec<Option<Place>>,
    tls: Option<Arc<ServerConfig>>,
    clock: Clock,
    tally: Tally,
}

impl Server {
    /// Listens at `address`, with TLS where there is a configuration for it.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        // Again: the library asks for 128.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let places = std::iter::repeat_with(|| None).take(PLACES).collect();
        let (clock, tally) = (Clock::monotonic(), Tally::default());
        Ok(Self { listener, address, poll, places, tls, clock, tally })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What tells it that an answer has become ready.
    ///
    /// # Errors
    /// When the kernel has no room for it.
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// Serves until `end`.
    ///
    /// # Errors
    /// When the kernel's readiness fails: then nothing can be served.
    pub fn run(&mut self, service: &mut dyn Service, end: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(PLACES);
        let mut more: Vec<usize> = Vec::new();
        let mut accepting = false;
        let mut swept = self.clock.now();
        // Relaxed: a flag alone, set by a signal.
        while !end.load(Ordering::Relaxed) {
            let busy = accepting || !more.is_empty();
            let wait = if busy { Duration::ZERO } else { LOOK_EVERY };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
                _ => {}
            }
            let mut ready = std::mem::take(&mut more);
            for event in &events {
                match event.token() {
                    LISTENER => accepting = true,
                    WAKER => {}
                    Token(place) => ready.push(place),
                }
            }
            while let Some((ticket, response)) = service.told() {
                ready.extend(self.tell(ticket, &response));
            }
            if accepting {
                accepting = self.accept(&mut ready);
            }
            for place in ready {
                if self.turn(place, service) == Some(Turn::More) {
                    more.push(place);
                }
            }
            let now = self.clock.now();
            if now.0 - swept.0 >= LOOK_EVERY.as_nanos() as u64 {
                swept = now;
                self.sweep(now);
                // What could not be taken for want of descriptors.
                accepting = true;
            }
        }
        Ok(())
    }

    fn turn(&mut self, place: usize, service: &mut dyn Service) -> Option<Turn> {
        let now = self.clock.now();
        let tenant = self.places.get_mut(place)?.as_mut()?;
        let ticket = Ticket { place, tenant: tenant.tenant };
        let tally = &mut self.tally;
        let turn = tenant.connection.turn(now, &mut |request| {
            tally.requests += 1;
            service.answer(request, ticket, tally)
        });
        if turn == Turn::Over {
            self.leave(place);
        }
        Some(turn)
    }

    fn tell(&mut self, ticket: Ticket, response: &Response) -> Option<usize> {
        let now = self.clock.now();
        let tenant = self.places[ticket.place].as_mut().filter(|p| p.tenant == ticket.tenant)?;
        // One that was dropped meanwhile, and its place given to another, is owed nothing.
        if tenant.connection.phase().0 == Phase::Waiting {
            tenant.connection.tell(response, now);
        }
        Some(ticket.place)
    }

    /// Takes connections. `true`: there may be more.
    fn accept(&mut self, ready: &mut Vec<usize>) -> bool {
        for _ in 0..ACCEPTS_PER_TURN {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => continue,
                // Out of descriptors: tried again at the next look.
                Err(_) => {
                    self.displace();
                    return false;
                }
            };
            self.tally.accepted += 1;
            let Some(place) = self.room() else { continue };
            // Where the kernel will not, the client is served all the same.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER);
            let Ok(mut connection) = Connection::new(stream, self.tls.as_ref(), self.clock.now())
            else {
                continue;
            };
            let both = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            if registry.register(&mut connection.stream, Token(place), both).is_err() {
                continue;
            }
            self.places[place] = Some(Place { connection, tenant: self.tally.accepted });
            self.tally.clients += 1;
            ready.push(place);
        }
        true
    }

    /// A place for a newcomer: a free one, or that of who has had its own longest.
    fn room(&mut self) -> Option<usize> {
        self.places.iter().position(Option::is_none).or_else(|| self.displace())
    }

    fn displace(&mut self) -> Option<usize> {
        let rank = |p: &Place| match p.connection.phase() {
            (Phase::Lingering, since) => Some((0, since.0)),
            // Whoever speaks and whoever listens alike: were those who take no answer spared,
            // newcomers would throw out each other.
            (Phase::Reading | Phase::Writing, since) => Some((1, since.0)),
            // An act is under way: its answer is owed.
            (Phase::Waiting, _) => None,
        };
        let ranked = self.places.iter().enumerate();
        let ranked = ranked.filter_map(|(i, p)| Some((rank(p.as_ref()?)?, i)));
        let (_, place) = ranked.min()?;
        self.tally.displaced += 1;
        self.leave(place);
        Some(place)
    }

    fn sweep(&mut self, now: Nanos) {
        for place in 0..self.places.len() {
            let late = self.places[place].as_ref().is_some_and(|p| p.connection.deadline() < now);
            if late {
                self.tally.timed_out += 1;
                self.leave(place);
            }
        }
    }

    fn leave(&mut self, place: usize) {
        if let Some(mut gone) = self.places[place].take() {
            let _ = self.poll.registry().deregister(&mut gone.connection.stream);
            self.tally.clients -= 1;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "clients of the test")]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    /// Answers with much, with more than the kernel keeps, or not.
    struct Much;

    impl Service for Much {
        fn answer(&mut self, request: &Request, _: Ticket, _: &Tally) -> Option<Response> {
            let length = match request.path.as_str() {
                "/later" => return None,
                "/more" => 1 << 26,
                "/less" => 1 << 19,
                _ => 1 << 21,
            };
            Some(Response::new(200, "text/plain", vec![b'x'; length]))
        }

        fn told(&mut self) -> Option<(Ticket, Response)> {
            None
        }
    }

    fn bound() -> Server {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Server::bind(any, None).expect("a port")
    }

    /// A client that says something, taken and with one turn; the kernel may need a moment.
    fn client(server: &mut Server, says: &str) -> TcpStream {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.write_all(says.as_bytes()).expect("taken");
        let (mut ready, before) = (Vec::new(), server.tally.accepted);
        while server.tally.accepted == before {
            server.accept(&mut ready);
        }
        for place in ready {
            server.turn(place, &mut Much);
        }
        stream
    }

    #[test]
    fn the_silent_make_room_for_who_comes() {
        let mut server = bound();
        let more = 10;
        let all = 0..PLACES + more;
        let _silent: Vec<_> = all.map(|_| client(&mut server, "GET / H")).collect();
        let (clients, displaced) = (server.tally.clients, server.tally.displaced);
        assert_eq!((clients, displaced), (PLACES as u64, more as u64));
        let late = Nanos(server.clock.now().0 + super::super::connection::READ_WITHIN.0);
        server.sweep(late);
        assert_eq!((server.tally.clients, server.tally.timed_out), (0, PLACES as u64));
    }

    /// Who reads nothing keeps a place for a while; an act under way keeps its own, whoever comes.
    #[test]
    fn slow_readers_have_a_deadline_and_acts_are_not_displaced() {
        let mut server = bound();
        let line = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let _act = client(&mut server, &line("/later"));
        let _slow = client(&mut server, &line("/more"));
        for place in 0..2 {
            while server.places[place].as_ref().expect("there").connection.phase().0
                == Phase::Reading
            {
                server.turn(place, &mut Much);
            }
        }
        let _silent: Vec<_> = (0..PLACES - 2).map(|_| client(&mut server, "")).collect();
        let phases = |server: &Server| {
            let of = |p: &Option<Place>| p.as_ref().map(|p| p.connection.phase().0);
            (of(&server.places[0]), of(&server.places[1]))
        };
        assert_eq!(phases(&server), (Some(Phase::Waiting), Some(Phase::Writing)));
        server.sweep(Nanos(server.clock.now().0 + super::super::connection::WRITE_WITHIN.0));
        assert_eq!(phases(&server), (Some(Phase::Waiting), None), "the slow reader is gone");
        let _more: Vec<_> = (0..2 * PLACES).map(|_| client(&mut server, "")).collect();
        assert_eq!(phases(&server).0, Some(Phase::Waiting), "whoever comes");
    }

    /// All places are held by clients that take no answer; a turn's newcomers are all heard.
    #[test]
    fn who_reads_nothing_keeps_nobody_out() {
        let mut server = bound();
        let asks = "GET /less HTTP/1.1\r\nHost: a\r\n\r\n";
        let _slow: Vec<_> = (0..PLACES).map(|_| client(&mut server, asks)).collect();
        let come = |_| {
            let mut stream = TcpStream::connect(server.address()).expect("it listens");
            stream.write_all(asks.as_bytes()).expect("taken");
            stream
        };
        let newcomers: Vec<_> = (0..ACCEPTS_PER_TURN).map(come).collect();
        let mut ready = Vec::new();
        while ready.len() < ACCEPTS_PER_TURN {
            server.accept(&mut ready);
        }
        for place in ready {
            server.turn(place, &mut Much);
        }
        for (n, mut stream) in newcomers.into_iter().enumerate() {
            stream.set_read_timeout(Some(Duration::from_secs(1))).expect("set");
            let mut told = [0; 15];
            let heard = stream.read_exact(&mut told);
            assert!(heard.is_ok() && &told == b"HTTP/1.1 200 OK", "number {n}: {heard:?}");
        }
    }

    /// The kernel keeps little for a client that reads nothing, however much it asks for.
    #[test]
    fn who_reads_nothing_costs_little() {
        let mut server = bound();
        let asks = "GET /more HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
        let mut stream = client(&mut server, &asks);
        while server.tally.requests == 0 {
            server.turn(0, &mut Much);
        }
        // What is on its way when the first turns are blocked makes room for more.
        for _ in 0..100 {
            std::thread::yield_now();
            server.turn(0, &mut Much);
        }
        stream.set_nonblocking(true).expect("set");
        let (mut kept, mut chunk) = (0, vec![0; 1 << 16]);
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            kept += n;
        }
        assert!((1..1 << 20).contains(&kept), "{kept} bytes were kept");
    }

    /// Newcomers wait in the kernel, also many at once: none is told to try again.
    #[test]
    fn many_may_come_at_once() {
        let mut server = bound();
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a number");
        let many = 400.min(most.trim().parse().unwrap_or(0));
        let within = Duration::from_millis(900);
        let come = |n| match TcpStream::connect_timeout(&server.address(), within) {
            Ok(stream) => stream,
            Err(e) => panic!("number {n} of {many}: {e}"),
        };
        let _all: Vec<_> = (0..many).map(come).collect();
        let mut ready = Vec::new();
        while server.accept(&mut ready) {}
        assert_eq!(server.tally.accepted, many);
    }

    #[test]
    fn a_client_asks_again_on_the_same_connection() {
        let mut server = bound();
        let end = Arc::new(AtomicBool::new(false));
        let (address, ended) = (server.address(), end.clone());
        let thread = std::thread::Builder::new().spawn(move || server.run(&mut Much, &ended));
        let mut stream = TcpStream::connect(address).expect("it listens");
        // Two at once, the second the last.
        let twice = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: \
                     close\r\n\r\n";
        stream.write_all(twice.as_bytes()).expect("taken");
        let mut told = Vec::new();
        stream.read_to_end(&mut told).expect("an end");
        let heads = told.windows(15).filter(|w| *w == b"HTTP/1.1 200 OK").count();
        assert!(heads == 2 && told.len() > 1 << 22, "{heads} answers, {} bytes", told.len());
        end.store(true, Ordering::Relaxed);
        thread.expect("a thread").join().expect("ended").expect("no error");
    }
}

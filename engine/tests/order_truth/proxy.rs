//! A TCP proxy that can do to connections what networks do: reset them, swallow what they carry,
//! hold it back, or answer a handshake with something else than TLS.

#![expect(clippy::disallowed_methods, reason = "a proxy of the test: sockets, threads, pauses")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What happens to bytes and new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// All goes on.
    Pass = 0,
    /// Packets are dropped: nothing arrives until this is over; then what TCP repeats does.
    Hole = 1,
    /// New connections get an answer that is not TLS.
    Garbage = 2,
}

/// How one connection fares.
const ALIVE: u8 = 0;
/// Open to look at, but nothing arrives any more, for good.
const DEAD: u8 = 1;
const RESET: u8 = 2;

#[derive(Default)]
struct Shared {
    mode: AtomicU8,
    fates: Mutex<Vec<Arc<AtomicU8>>>,
}

/// A proxy; it ends with the process.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// In front of `target`.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::<Shared>::default();
        let mine = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = mine.clone();
                std::thread::spawn(move || shared.serve(client, target));
            }
        });
        Self { port, shared }
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Every connection is reset.
    pub fn reset_all(&self) {
        self.doom(RESET);
    }

    /// Every connection of now stays open and carries nothing any more.
    pub fn kill_all(&self) {
        self.doom(DEAD);
    }

    fn doom(&self, fate: u8) {
        let mut all = self.shared.fates.lock().unwrap_or_else(PoisonError::into_inner);
        all.drain(..).for_each(|of| of.store(fate, Ordering::SeqCst));
    }
}

impl Shared {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }

    fn serve(self: Arc<Self>, mut client: TcpStream, target: SocketAddr) {
        if self.is(Mode::Garbage) {
            let _ = client.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
            return;
        }
        let fate = Arc::new(AtomicU8::new(ALIVE));
        self.fates.lock().unwrap_or_else(PoisonError::into_inner).push(fate.clone());
        while self.is(Mode::Hole) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Nobody listens: whoever connects is turned away.
        let Ok(server) = TcpStream::connect(target) else { return abort(client) };
        let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
        for way in ways {
            if let (Ok(from), Ok(to)) = way {
                let (shared, fate) = (self.clone(), fate.clone());
                std::thread::spawn(move || shared.carry(from, to, &fate));
            }
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, fate: &AtomicU8) {
        let mut buffer = vec![0; 64 * 1024];
        let _ = to.set_nodelay(true);
        let _ = from.set_read_timeout(Some(Duration::from_millis(10)));
        loop {
            let read = from.read(&mut buffer);
            if fate.load(Ordering::SeqCst) == RESET {
                abort(from);
                return abort(to);
            }
            let n = match read {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => break,
            };
            while self.is(Mode::Hole) && fate.load(Ordering::SeqCst) == ALIVE {
                std::thread::sleep(Duration::from_millis(5));
            }
            if fate.load(Ordering::SeqCst) == ALIVE && to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    }
}

/// With no time to linger, the last close resets.
fn abort(stream: TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
}

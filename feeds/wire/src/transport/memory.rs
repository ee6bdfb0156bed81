//! The memory twin of the network: client streams and server streams over shared byte queues.
//! For tests and the simulator only; it may lock, the engine's threads never use it.
//!
//! Deterministic: how many bytes a read yields follows from the seed alone, so a run repeats
//! byte for byte. Faults are injected from outside: [`Network::cut`], [`Network::stall`],
//! [`Network::refuse`].

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;

use super::{Connector, Endpoint, Stream, StreamError};

/// Bytes one direction holds before writes would block: about a kernel's socket buffer.
const PIPE_LEN_MAX: usize = 256 * 1024;

/// A network in memory. Clones share it.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    pipes: Vec<Pipe>,
    backlog: VecDeque<usize>,
    rng: SplitMix64,
    refusing: bool,
}

struct Pipe {
    endpoint: Endpoint,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// Neither side sends any more; what was sent can still be read.
    closed: bool,
    /// Reset: nothing can be read or written.
    cut: bool,
    /// Bytes are held back in both directions, without an error.
    stalled: bool,
}

impl Network {
    /// An empty network whose chunking follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            pipes: Vec::new(),
            backlog: VecDeque::new(),
            rng: SplitMix64::new(seed),
            refusing: false,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// A connector for clients.
    #[must_use]
    pub fn connector(&self) -> MemoryConnector {
        MemoryConnector { network: self.clone() }
    }

    /// The server side of the oldest connection not accepted yet.
    #[must_use]
    pub fn accept(&self) -> Option<MemoryServerStream> {
        let mut inner = self.lock();
        let index = inner.backlog.pop_front()?;
        let endpoint = inner.pipes[index].endpoint.clone();
        drop(inner);
        Some(MemoryServerStream { network: self.clone(), index, endpoint })
    }

    /// Connections made so far.
    #[must_use]
    pub fn connects(&self) -> usize {
        self.lock().pipes.len()
    }

    /// Resets connection `index` (in the order of connecting).
    pub fn cut(&self, index: usize) {
        if let Some(pipe) = self.lock().pipes.get_mut(index) {
            pipe.cut = true;
        }
    }

    /// Holds back (or releases) every byte of connection `index`, as a dead path does.
    pub fn stall(&self, index: usize, stalled: bool) {
        if let Some(pipe) = self.lock().pipes.get_mut(index) {
            pipe.stalled = stalled;
        }
    }

    /// Refuses (or admits) new connections.
    pub fn refuse(&self, refusing: bool) {
        self.lock().refusing = refusing;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How many of `waiting` bytes a read yields: often all, often few, at times none.
    fn portion(&mut self, waiting: usize) -> usize {
        if waiting == 0 {
            return 0;
        }
        match self.rng.below(8) {
            0 => 0,
            1 => 1,
            2 | 3 => (1 + self.rng.below(40) as usize).min(waiting),
            4 | 5 => (1 + self.rng.below(4096) as usize).min(waiting),
            _ => waiting,
        }
    }
}

/// Makes client streams of a [`Network`].
pub struct MemoryConnector {
    network: Network,
}

impl Connector for MemoryConnector {
    fn connect(
        &mut self,
        endpoint: &Endpoint,
        _now: Nanos,
    ) -> Result<Box<dyn Stream>, StreamError> {
        let mut inner = self.network.lock();
        if inner.refusing {
            return Err(StreamError::Io(io::ErrorKind::ConnectionRefused));
        }
        let index = inner.pipes.len();
        inner.pipes.push(Pipe {
            endpoint: endpoint.clone(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            closed: false,
            cut: false,
            stalled: false,
        });
        inner.backlog.push_back(index);
        drop(inner);
        let network = self.network.clone();
        Ok(Box::new(MemoryStream { network, index, received: Vec::new(), at: 0 }))
    }
}

/// The client's end.
struct MemoryStream {
    network: Network,
    index: usize,
    received: Vec<u8>,
    at: usize,
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.close();
    }
}

impl Stream for MemoryStream {
    fn poll_ready(&mut self, _now: Nanos) -> Result<bool, StreamError> {
        if self.network.lock().pipes[self.index].cut {
            return Err(StreamError::Io(io::ErrorKind::ConnectionReset));
        }
        Ok(true)
    }

    fn fill(&mut self) -> Result<usize, StreamError> {
        if self.at < self.received.len() {
            return Ok(self.received.len() - self.at);
        }
        let mut inner = self.network.lock();
        let pipe = &inner.pipes[self.index];
        if pipe.cut {
            return Err(StreamError::Io(io::ErrorKind::ConnectionReset));
        }
        if pipe.stalled {
            return Ok(0);
        }
        let waiting = pipe.to_client.len();
        if waiting == 0 && pipe.closed {
            return Err(StreamError::Closed);
        }
        let n = inner.portion(waiting);
        self.received.clear();
        self.received.extend(inner.pipes[self.index].to_client.drain(..n));
        self.at = 0;
        Ok(n)
    }

    fn chunk(&mut self) -> Result<&[u8], StreamError> {
        Ok(&self.received[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.received.len());
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        let mut inner = self.network.lock();
        let pipe = &mut inner.pipes[self.index];
        if pipe.cut || pipe.closed {
            return Err(StreamError::Io(io::ErrorKind::BrokenPipe));
        }
        let n = bytes.len().min(PIPE_LEN_MAX - pipe.to_server.len());
        pipe.to_server.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> Result<bool, StreamError> {
        Ok(true)
    }

    fn close(&mut self) {
        self.network.lock().pipes[self.index].closed = true;
    }
}

/// The server's end: blocking-style `Read` and `Write` that answer `WouldBlock`, so that any
/// WebSocket server implementation can run on it.
pub struct MemoryServerStream {
    network: Network,
    index: usize,
    endpoint: Endpoint,
}

impl MemoryServerStream {
    /// Where the client wanted to connect to.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The connection's number, for [`Network::cut`] and [`Network::stall`].
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }
}

impl Drop for MemoryServerStream {
    fn drop(&mut self) {
        self.network.lock().pipes[self.index].closed = true;
    }
}

impl Read for MemoryServerStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.network.lock();
        let pipe = &inner.pipes[self.index];
        if pipe.cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if pipe.stalled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let waiting = pipe.to_server.len().min(out.len());
        if waiting == 0 && pipe.closed {
            return Ok(0);
        }
        let n = inner.portion(waiting);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (to, from) in out.iter_mut().zip(inner.pipes[self.index].to_server.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }
}

impl Write for MemoryServerStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.network.lock();
        let pipe = &mut inner.pipes[self.index];
        if pipe.cut || pipe.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(PIPE_LEN_MAX.saturating_sub(pipe.to_client.len()));
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.to_client.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

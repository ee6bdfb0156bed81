//! Ten thousand connections to `bot4 watch`, as fast as the kernel takes them.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::sleep;
use crate::watch::Site;

/// Threads that connect.
const THREADS: usize = 4;
/// Clients that read a byte now and then.
const SLOW: usize = 24;
/// Descriptors that are left to others.
const SPARE: u64 = 2_000;

/// What came of it.
#[derive(Debug)]
pub struct Flood {
    pub connections: usize,
    /// Of them open at this end at the same time.
    pub open: usize,
    pub took: Duration,
    /// How long honest clients waited meanwhile, and how many were sent away.
    pub answered: Vec<Duration>,
    pub unanswered: usize,
    /// Bytes that the slow ones read.
    pub trickled: usize,
    /// Most memory and descriptors of the watch.
    pub rss_kib: u64,
    pub descriptors: usize,
}

impl std::fmt::Display for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut waited = self.answered.clone();
        waited.sort_unstable();
        let ms = |at: usize| waited.get(at).map_or(f64::NAN, |d| d.as_secs_f64() * 1e3);
        write!(
            f,
            "{} connections in {} ms, {} open at once; honest clients: {} answered after {:.1} ms \
             in the middle, {:.0} ms at most, {} not; {} bytes trickled; the watch: {} KiB and {} \
             descriptors at most",
            self.connections,
            self.took.as_millis(),
            self.open,
            waited.len(),
            ms(waited.len() / 2),
            ms(waited.len().saturating_sub(1)),
            self.unanswered,
            self.trickled,
            self.rss_kib,
            self.descriptors
        )
    }
}

/// Connects `connections` times: silent clients, half heads, half bodies, and such that ask for
/// much and read nothing. All stay open at this end as far as the limit of descriptors lets them,
/// the oldest go first. Slow readers, and one honest client after the other, come meanwhile.
pub fn flood(site: &Site, connections: usize) -> Flood {
    let open = descriptors().min(connections);
    let over = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| trickle(site, &over));
        let honest = scope.spawn(|| ask_meanwhile(site, &over));
        let seen = scope.spawn(|| look_at(site.process.0.id(), &over));
        let share = |n: usize, of: usize| of / THREADS + usize::from(n < of % THREADS);
        let threads: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || connect(site, share(n, connections), share(n, open))))
            .collect();
        // Kept until all are there.
        let held: Vec<_> = threads.into_iter().map(|t| t.join().expect("connected")).collect();
        let took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        let (answered, unanswered) = honest.join().expect("asked");
        let (rss_kib, descriptors) = seen.join().expect("looked");
        let trickled = slow.join().expect("read");
        let open = held.iter().map(VecDeque::len).sum();
        Flood { connections, open, took, answered, unanswered, trickled, rss_kib, descriptors }
    })
}

/// Raises the limit of descriptors as far as it goes; how many a flood may hold.
pub fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(now.saturating_sub(SPARE).max(256)).unwrap_or(usize::MAX)
}

fn connect(site: &Site, connections: usize, open: usize) -> VecDeque<TcpStream> {
    let host = format!("Host: {}\r\n", site.address);
    let much = format!("GET /api/state HTTP/1.1\r\n{host}\r\n").repeat(20);
    let body = format!(
        "POST /api/kill HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: \
         900\r\n\r\n{{\"run\": \""
    );
    let half = "GET / HTTP/1.1\r\nHost: ";
    let said = ["", half, &body, "", half, &body, "", &much];
    let mut held = VecDeque::new();
    for n in 0..connections {
        if held.len() >= open {
            held.pop_front();
        }
        let mut stream = TcpStream::connect(site.address).expect("it listens");
        let _ = stream.set_nonblocking(true);
        let _ = stream.write(said[n % said.len()].as_bytes());
        held.push_back(stream);
    }
    held
}

/// Clients that ask for much and read a byte at a time; one that was sent away comes again.
fn trickle(site: &Site, over: &AtomicBool) -> usize {
    let asks = format!("GET /api/state HTTP/1.1\r\nHost: {}\r\n\r\n", site.address).repeat(8);
    let client = || {
        let mut stream = TcpStream::connect(site.address).expect("it listens");
        let _ = stream.write(asks.as_bytes());
        let _ = stream.set_nonblocking(true);
        stream
    };
    let mut clients: Vec<_> = (0..SLOW).map(|_| client()).collect();
    let (mut read, mut byte) = (0, [0]);
    while !over.load(Ordering::Relaxed) {
        for stream in &mut clients {
            match stream.read(&mut byte) {
                Ok(1) => read += 1,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => *stream = client(),
            }
        }
        sleep(20);
    }
    read
}

/// Honest clients, one after the other: how long each waited, and how many had no answer.
fn ask_meanwhile(site: &Site, over: &AtomicBool) -> (Vec<Duration>, usize) {
    let (mut answered, mut unanswered) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        match heard(site, "/healthz") {
            Some(200) => answered.push(began.elapsed()),
            _ => unanswered += 1,
        }
        sleep(20);
    }
    (answered, unanswered)
}

/// The status of `site`'s answer; none where it sent the client away.
pub fn heard(site: &Site, path: &str) -> Option<u16> {
    let mut stream = site.connect();
    let request = format!("GET {path} HTTP/1.1\r\n{}", site.host());
    let _ = stream.write_all(request.as_bytes());
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text.split(' ').nth(1)?.parse().ok()
}

/// The most memory and descriptors that process `pid` had.
pub fn look_at(pid: u32, over: &AtomicBool) -> (u64, usize) {
    let mut most = (0, 0);
    while !over.load(Ordering::Relaxed) {
        most = (most.0.max(rss_kib(pid)), most.1.max(descriptors_of(pid)));
        sleep(20);
    }
    most
}

/// Memory of process `pid` that is in use, KiB.
pub fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn descriptors_of(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

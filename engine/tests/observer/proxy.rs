//! A TCP proxy that splits and merges segments at random places: what TCP may do to any stream.

#![expect(clippy::disallowed_methods, reason = "a proxy of the test: sockets, threads, pauses")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bot4_types::rng::SplitMix64;

/// Starts a proxy to `target`; its port. It ends with the process.
pub fn start(target: SocketAddr, seed: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let Ok(server) = TcpStream::connect(target) else { continue };
            let seed = seed.wrapping_add(2 * number as u64);
            let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
            for (i, way) in ways.into_iter().enumerate() {
                if let (Ok(from), Ok(to)) = way {
                    std::thread::spawn(move || carry(from, to, seed + i as u64));
                }
            }
        }
    });
    port
}

/// Carries bytes: now many at once, now a few, now one.
fn carry(mut from: TcpStream, mut to: TcpStream, seed: u64) {
    let mut rng = SplitMix64::new(seed);
    let mut buffer = vec![0; 64 * 1024];
    let _ = to.set_nodelay(true);
    loop {
        let want = match rng.below(4) {
            0 => 1 + rng.below(64) as usize,
            1 => 1 + rng.below(4_096) as usize,
            _ => buffer.len(),
        };
        let Ok(n @ 1..) = from.read(&mut buffer[..want]) else { break };
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            let cut = match rng.below(4) {
                0 => 1 + rng.below(16) as usize,
                1 => 1 + rng.below(1_500) as usize,
                _ => rest.len(),
            };
            let (now, later) = rest.split_at(cut.min(rest.len()));
            if to.write_all(now).is_err() {
                break;
            }
            rest = later;
            if rng.below(64) == 0 {
                // Long enough for what follows to gather.
                std::thread::sleep(Duration::from_micros(rng.below(2_000)));
            }
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

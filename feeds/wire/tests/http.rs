//! Answers over HTTP: the same bytes give the same answers however they are split, as a twin says
//! that reads whole texts; and a connection over the memory twin.
//!
//! `BOT4_FUZZ_SECONDS` sets the length of the fuzzing (default 1), `BOT4_FUZZ_SEED` its seed.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_wire::Endpoint;
use bot4_wire::http::{
    HEAD_LEN_MAX, HttpConfig, HttpConnError, HttpConnection, HttpError, HttpState, ResponseDecoder,
    write_request,
};
use bot4_wire::transport::memory::{MemoryServerStream, Network};
use proptest::prelude::*;

const BODY_MAX: usize = 4_096;

/// One answer as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    status: u16,
    body: Vec<u8>,
    keeps: bool,
    mark: Option<String>,
}

/// The answers in `wire` and how it ends: `Ok` where no answer is begun.
type Outcome = (Vec<Told>, Result<(), HttpError>);

fn told(decoder: &ResponseDecoder) -> Told {
    Told {
        status: decoder.status(),
        body: decoder.body().to_vec(),
        keeps: decoder.keeps_connection(),
        mark: decoder.header("x-mark").map(str::to_owned),
    }
}

/// What the decoder makes of `wire`, which comes in pieces and then ends.
fn ours<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = ResponseDecoder::new(BODY_MAX);
    let mut all = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.feed(piece) {
                Err(error) => return (all, Err(error)),
                Ok(fed) => {
                    assert!(fed.complete || fed.consumed == piece.len());
                    piece = &piece[fed.consumed..];
                    if fed.complete {
                        all.push(told(&decoder));
                        decoder.reset();
                    }
                }
            }
        }
    }
    match decoder.end() {
        Ok(true) => {
            all.push(told(&decoder));
            (all, Ok(()))
        }
        Ok(false) => (all, Ok(())),
        Err(error) => (all, Err(error)),
    }
}

/// The naive twin: whole texts, line by line, by the letter of RFC 9112. Only for texts whose
/// heads are ASCII and well formed, as the generator makes them.
fn twin(mut wire: &[u8]) -> Outcome {
    let (mut all, mut owed) = (Vec::new(), false);
    // An interim answer promises one that follows.
    while owed || !wire.is_empty() {
        let Some(end) = find(wire, b"\r\n\r\n") else { return (all, Err(HttpError::CutOff)) };
        let head = String::from_utf8_lossy(&wire[..end]).into_owned();
        wire = &wire[end + 4..];
        let first = head.split("\r\n").next().unwrap_or("");
        let status: u16 = first.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
        owed = (100..200).contains(&status);
        if owed {
            continue;
        }
        let body = match twin_body(status, &head, &mut wire) {
            Ok(body) => body,
            Err(error) => return (all, Err(error)),
        };
        let closes = field(&head, "connection").to_ascii_lowercase().contains("close");
        let keeps = first.starts_with("HTTP/1.1") && !closes && body.is_some();
        let mark = Some(field(&head, "x-mark")).filter(|mark| !mark.is_empty());
        let body = body.unwrap_or_else(|| std::mem::take(&mut wire).to_vec());
        if body.len() > BODY_MAX {
            return (all, Err(HttpError::BodyTooLong));
        }
        all.push(Told { status, body, keeps, mark });
    }
    (all, Ok(()))
}

/// A header's value; empty where there is none.
fn field(head: &str, name: &str) -> String {
    let headers = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    let mut wanted = headers.filter(|(n, _)| n.eq_ignore_ascii_case(name));
    wanted.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// The body that follows `head`; `None` where it lasts as long as the connection.
fn twin_body(status: u16, head: &str, wire: &mut &[u8]) -> Result<Option<Vec<u8>>, HttpError> {
    let mut take = |n: usize| {
        let part = wire.get(..n).ok_or(HttpError::CutOff)?.to_vec();
        *wire = &wire[n..];
        Ok(part)
    };
    let (coding, length) = (field(head, "transfer-encoding"), field(head, "content-length"));
    if status == 204 || status == 304 {
        return Ok(Some(Vec::new()));
    }
    if coding.is_empty() {
        let length: Option<usize> = length.parse().ok();
        return match length {
            Some(n) if n > BODY_MAX => Err(HttpError::BodyTooLong),
            length => length.map(take).transpose(),
        };
    }
    let line = |take: &mut dyn FnMut(usize) -> Result<Vec<u8>, HttpError>| {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n") {
            text.extend(take(1)?);
        }
        Ok(String::from_utf8_lossy(&text[..text.len() - 2]).into_owned())
    };
    let mut body = Vec::new();
    loop {
        let text: String = line(&mut take)?;
        let size = usize::from_str_radix(text.split([';', ' ']).next().unwrap_or(""), 16);
        let size = size.expect("a size");
        if size == 0 {
            break;
        }
        if body.len() + size > BODY_MAX {
            return Err(HttpError::BodyTooLong);
        }
        body.extend(take(size)?);
        take(2)?;
    }
    while !line(&mut take)?.is_empty() {}
    Ok(Some(body))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|w| w == wanted)
}

/// One well-formed answer; `last` may last as long as the connection.
fn answer(rng: &mut SplitMix64, last: bool, out: &mut Vec<u8>) {
    let chance = |rng: &mut SplitMix64, n| rng.below(n) == 0;
    while chance(rng, 5) {
        out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    }
    let status = [200, 200, 200, 400, 401, 429, 503, 204][rng.below(8) as usize];
    let version = if chance(rng, 8) { 0 } else { 1 };
    out.extend_from_slice(format!("HTTP/1.{version} {status} Some Reason\r\n").as_bytes());
    if chance(rng, 3) {
        out.extend_from_slice(b"X-MARK:  one two \r\n");
    }
    if chance(rng, 4) {
        out.extend_from_slice(b"Connection: keep-alive, Close\r\n");
    }
    let len = match rng.below(6) {
        0 => 0,
        1 => rng.below(3),
        2 => BODY_MAX as u64 - rng.below(2),
        _ => rng.below(300),
    };
    let body: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
    match rng.below(3) {
        _ if status == 204 => out.extend_from_slice(b"\r\n"),
        0 if last => {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&body);
        }
        1 => {
            out.extend_from_slice(b"Transfer-Encoding: Chunked\r\n\r\n");
            let mut rest = &body[..];
            while !rest.is_empty() {
                let n = (1 + rng.below(rest.len() as u64)) as usize;
                let line = match rng.below(3) {
                    0 => format!("{n:x}\r\n"),
                    1 => format!("000{n:X} ; name=\"value\"\r\n"),
                    _ => format!("{n:x};a\r\n"),
                };
                out.extend_from_slice(line.as_bytes());
                out.extend_from_slice(&rest[..n]);
                out.extend_from_slice(b"\r\n");
                rest = &rest[n..];
            }
            out.extend_from_slice(b"0\r\n");
            if chance(rng, 2) {
                out.extend_from_slice(b"X-Sum: 1\r\nX-Other: 2\r\n");
            }
            out.extend_from_slice(b"\r\n");
        }
        _ => {
            out.extend_from_slice(format!("Content-Length: {len}\r\n\r\n").as_bytes());
            out.extend_from_slice(&body);
        }
    }
}

fn answers(rng: &mut SplitMix64) -> Vec<u8> {
    let (mut wire, count) = (Vec::new(), 1 + rng.below(4));
    (0..count).for_each(|n| answer(rng, n + 1 == count, &mut wire));
    wire
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// In two pieces split at every place, byte by byte, and cut off anywhere.
    #[test]
    fn the_same_bytes_give_the_same_answers(seed in any::<u64>(), cut in any::<u64>()) {
        let mut rng = SplitMix64::new(seed);
        let mut wire = answers(&mut rng);
        if seed % 3 == 0 {
            wire.truncate((cut % (wire.len() as u64 + 1)) as usize);
        }
        let expected = twin(&wire);
        prop_assert_eq!(&ours(wire.chunks(1)), &expected);
        let step = 1 + wire.len() / 400;
        for at in (0..wire.len()).step_by(step) {
            let (first, second) = wire.split_at(at);
            prop_assert_eq!(&ours([first, second].into_iter()), &expected, "at {}", at);
        }
    }
}

#[test]
fn what_breaks_the_protocol_is_told_apart() {
    let error = |text: &[u8]| ours([text].into_iter()).1.err();
    let of = |headers: &str| error(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nabc").as_bytes());
    assert_eq!(error(b"SSH-2.0-x\r\n\r\n"), Some(HttpError::BadHead));
    assert_eq!(error(b"HTTP/2 200 OK\r\n\r\n"), Some(HttpError::BadHead));
    assert_eq!(error(b"HTTP/1.1 99 No\r\n\r\n"), Some(HttpError::BadHead));
    assert_eq!(error(b"HTTP/1.1 200 OK\r\nContent-Length: 9"), Some(HttpError::CutOff));
    assert_eq!(error(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Some(HttpError::CutOff));
    assert_eq!(error(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n"), Some(HttpError::BadHead));
    assert_eq!(of("Content-Length: 3\r\nContent-Length: 4"), Some(HttpError::BadLength));
    assert_eq!(of("Content-Length: 3\r\nContent-Length: 3"), None);
    for length in ["+3", "-1", "3,3", "0x3", "", "18446744073709551616"] {
        assert_eq!(
            of(&format!("Content-Length: {length}")),
            Some(HttpError::BadLength),
            "{length}"
        );
    }
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked";
    assert_eq!(of(both), Some(HttpError::AmbiguousLength));
    assert_eq!(of("Transfer-Encoding: gzip, chunked"), Some(HttpError::UnknownCoding));
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked";
    assert_eq!(of(twice), Some(HttpError::UnknownCoding));
    assert_eq!(of("Content-Encoding: gzip\r\nContent-Length: 3"), Some(HttpError::Compressed));
    assert_eq!(of("Content-Length: 4097"), Some(HttpError::BodyTooLong));
    assert_eq!(of(&"A: b\r\n".repeat(70)), Some(HttpError::TooManyHeaders));
    assert_eq!(error(&vec![b'x'; HEAD_LEN_MAX]), Some(HttpError::HeadTooLong));
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert_eq!(error(upgrade), Some(HttpError::BadInterim));
    let hints = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9);
    assert_eq!(error(&hints), Some(HttpError::BadInterim));
    let chunks = |text: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        error(format!("{head}{text}").as_bytes())
    };
    for bad in ["\r\n", "g\r\n", "1\nab", "2\r\nabc\r\n", "-1\r\n", "11111111111111111\r\n"] {
        assert_eq!(chunks(bad), Some(HttpError::BadChunk), "{bad:?}");
    }
    assert_eq!(chunks(&format!("1;{}", "x".repeat(300))), Some(HttpError::BadChunk));
    assert_eq!(chunks("fffffffffffffff\r\n"), Some(HttpError::BodyTooLong));
    assert_eq!(chunks(&format!("0\r\n{}", "A: b\r\n".repeat(3_000))), Some(HttpError::HeadTooLong));
    assert_eq!(chunks("0\r\n\r\n"), None);
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Damaged answers: no panic, bounded memory, and the same whatever the pieces are.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long to go on is no matter of the decoder")]
fn damaged_answers_are_read_alike_however_they_are_split() {
    let end = Instant::now() + Duration::from_secs(from_env("BOT4_FUZZ_SECONDS", 1));
    let mut seed = from_env("BOT4_FUZZ_SEED", 1);
    let first = seed;
    while seed == first || Instant::now() < end {
        let mut rng = SplitMix64::new(seed);
        let mut wire = answers(&mut rng);
        for _ in 0..1 + rng.below(4) {
            if wire.is_empty() {
                break;
            }
            let at = rng.below(wire.len() as u64) as usize;
            match rng.below(5) {
                0 => wire[at] = rng.next_u64() as u8,
                1 => _ = wire.remove(at),
                2 => wire.insert(at, b"\r\n:;0fG \x80"[rng.below(9) as usize]),
                3 => wire.truncate(at + 1),
                _ => {
                    let piece = b"Transfer-Encoding: chunked\r\n";
                    wire.splice(at..at, piece.iter().copied());
                }
            }
        }
        let whole = ours([&wire[..]].into_iter());
        assert_eq!(ours(wire.chunks(1)), whole, "BOT4_FUZZ_SEED={seed}");
        let size = 1 + rng.below(40) as usize;
        assert_eq!(ours(wire.chunks(size)), whole, "BOT4_FUZZ_SEED={seed}");
        assert!(whole.0.iter().all(|told| told.body.len() <= BODY_MAX));
        seed += 1;
    }
    println!("{} damaged answers read alike", seed - first);
}

struct Rig {
    network: Network,
    client: HttpConnection,
    server: MemoryServerStream,
    now: Nanos,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let network = Network::new(seed);
        let endpoint = Endpoint::parse("wss://venue.example").expect("good url");
        let config = HttpConfig::default();
        let client =
            HttpConnection::connect(&mut network.connector(), &endpoint, config, Nanos::ZERO);
        let server = network.accept().expect("one connection");
        Self { network, client: client.expect("starts"), server, now: Nanos::ZERO }
    }

    fn turn(&mut self) -> Result<HttpState, HttpConnError> {
        self.now = self.now + Nanos::from_millis(1);
        let now = self.now;
        self.client.poll(now, &mut || now)
    }

    fn until(&mut self, wanted: HttpState) -> Result<(), HttpConnError> {
        for _ in 0..5_000 {
            if self.turn()? == wanted {
                return Ok(());
            }
        }
        panic!("{:?} instead of {wanted:?}", self.client.state());
    }

    fn ask(&mut self, body: &[u8]) -> Vec<u8> {
        let mut request = Vec::new();
        write_request("POST", "/o", "h", [].into_iter(), body, &mut request).expect("written");
        assert_eq!(self.client.send(self.now, &request), Ok(true));
        assert_eq!(self.client.send(self.now, &request), Ok(false), "one at a time");
        let mut received = Vec::new();
        while received.len() < request.len() {
            let mut buffer = [0; 512];
            self.turn().expect("works");
            if let Ok(n) = self.server.read(&mut buffer) {
                received.extend_from_slice(&buffer[..n]);
            }
        }
        assert_eq!(received, request);
        received
    }
}

#[test]
fn requests_and_answers_follow_each_other_on_one_connection() {
    for seed in 0..20 {
        let mut rig = Rig::new(seed);
        rig.until(HttpState::Idle).expect("opens");
        let mut rng = SplitMix64::new(seed);
        for _ in 0..10 {
            rig.ask(&vec![b'x'; rng.below(2_000) as usize]);
            let mut wire = b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n".to_vec();
            wire.extend_from_slice(&[b'y'; 700]);
            rig.server.write_all(&wire).expect("sent");
            rig.until(HttpState::Answered).expect("answered");
            assert_eq!(
                (rig.client.answer().status(), rig.client.answer().body().len()),
                (200, 700)
            );
            rig.client.done(rig.now);
            assert_eq!(rig.client.state(), HttpState::Idle);
        }
    }
}

#[test]
fn silence_ends_a_connection_and_so_does_a_word_that_nobody_asked_for() {
    let mut rig = Rig::new(1);
    rig.until(HttpState::Idle).expect("opens");
    rig.ask(b"{}");
    let silent = rig.until(HttpState::Answered).err();
    assert_eq!(silent, Some(HttpConnError::AnswerTimeout));
    let mut rig = Rig::new(2);
    rig.until(HttpState::Idle).expect("opens");
    rig.server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").expect("sent");
    let unasked = rig.until(HttpState::Closed).err();
    assert_eq!(unasked, Some(HttpConnError::Protocol(HttpError::Unasked)));
    let mut rig = Rig::new(3);
    rig.until(HttpState::Idle).expect("opens");
    rig.ask(b"{}");
    rig.server.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc").expect("sent");
    (0..50).for_each(|_| _ = rig.turn());
    drop(rig.server);
    for _ in 0..500 {
        rig.now = rig.now + Nanos::from_millis(1);
        let now = rig.now;
        if rig.client.poll(now, &mut || now).expect("works") == HttpState::Answered {
            break;
        }
    }
    assert_eq!(rig.client.answer().body(), b"abc");
    rig.client.done(rig.now);
    assert_eq!(rig.client.state(), HttpState::Closed);
    let mut rig = Rig::new(4);
    rig.until(HttpState::Idle).expect("opens");
    rig.ask(b"{}");
    rig.network.cut(0);
    assert!(matches!(rig.until(HttpState::Answered), Err(HttpConnError::Stream(_))));
}

//! The HTTP/1.1 upgrade (RFC 6455 §4), sans-IO: the request as bytes, the response from bytes
//! that may be split anywhere. Bytes behind the response belong to the first frames and are left
//! to the caller: a server may send its first message in the same packet.
//!
//! Request text and response parsing are tungstenite's; the key comes from the seeded generator
//! so that a simulated run is reproducible (it is a challenge, not a secret).

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bot4_types::rng::SplitMix64;
use tungstenite::handshake::client::{Response, generate_request};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::Request;

use crate::transport::Endpoint;

/// Longest response head in bytes; venues send well below 2 KiB.
pub const RESPONSE_LEN_MAX: usize = 16 * 1024;

/// Why an upgrade failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The endpoint's host or path cannot stand in a request.
    BadRequest,
    /// The server answered, but not with 101. 403, 418 and 429 are refusals: retry slowly.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After` header in seconds, where there is one.
        retry_after_s: Option<u32>,
    },
    /// Not an HTTP/1.1 response.
    BadResponse,
    /// A response head above [`RESPONSE_LEN_MAX`].
    TooLong,
    /// `Upgrade: websocket` or `Connection: Upgrade` is missing.
    NotUpgraded,
    /// `Sec-WebSocket-Accept` does not answer our key.
    BadAccept,
    /// An extension or subprotocol that was not asked for.
    Unrequested,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest => f.write_str("host or path cannot stand in an HTTP request"),
            Self::Refused { status, retry_after_s: None } => write!(f, "HTTP status {status}"),
            Self::Refused { status, retry_after_s: Some(s) } => {
                write!(f, "HTTP status {status}, retry after {s} s")
            }
            Self::BadResponse => f.write_str("not an HTTP/1.1 response"),
            Self::TooLong => f.write_str("response head above 16 KiB"),
            Self::NotUpgraded => f.write_str("response does not upgrade to websocket"),
            Self::BadAccept => f.write_str("Sec-WebSocket-Accept does not answer our key"),
            Self::Unrequested => f.write_str("extension or subprotocol that was not asked for"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// One upgrade in progress.
#[derive(Clone, Debug)]
pub struct Handshake {
    request: Vec<u8>,
    accept: String,
    response: Vec<u8>,
}

impl Handshake {
    /// The upgrade to `endpoint` with a key from `rng`.
    ///
    /// # Errors
    /// [`HandshakeError::BadRequest`].
    pub fn new(endpoint: &Endpoint, rng: &mut SplitMix64) -> Result<Self, HandshakeError> {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
        nonce[8..].copy_from_slice(&rng.next_u64().to_le_bytes());
        let key = STANDARD.encode(nonce);
        let request = Request::builder()
            .uri(endpoint.path())
            .header("Host", endpoint.authority())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", &key)
            .header("User-Agent", concat!("bot4/", env!("CARGO_PKG_VERSION")))
            .body(())
            .map_err(|_| HandshakeError::BadRequest)?;
        let (request, key) = generate_request(request).map_err(|_| HandshakeError::BadRequest)?;
        let accept = derive_accept_key(key.as_bytes());
        Ok(Self { request, accept, response: Vec::with_capacity(2048) })
    }

    /// The request to send.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Takes bytes of the response. Answers how many of `input` belong to it and whether it is
    /// complete and good; the rest of `input` is already WebSocket.
    ///
    /// # Errors
    /// Why the connection is not a WebSocket.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, bool), HandshakeError> {
        let before = self.response.len();
        let room = RESPONSE_LEN_MAX - before;
        self.response.extend_from_slice(&input[..input.len().min(room)]);
        // The blank line may straddle two pieces.
        let from = before.saturating_sub(3);
        let end = self.response[from..].windows(4).position(|w| w == b"\r\n\r\n");
        let Some(end) = end.map(|i| from + i + 4) else {
            if self.response.len() == RESPONSE_LEN_MAX {
                return Err(HandshakeError::TooLong);
            }
            return Ok((input.len(), false));
        };
        self.response.truncate(end);
        self.verify()?;
        Ok((end - before, true))
    }

    /// Checks the whole response head (RFC 6455 §4.1, items 1 to 6 of the last list).
    fn verify(&self) -> Result<(), HandshakeError> {
        let parsed = Response::try_parse(&self.response);
        let Ok(Some((_, response))) = parsed else { return Err(HandshakeError::BadResponse) };
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let status = response.status().as_u16();
        if status != 101 {
            let retry_after_s = header("Retry-After").and_then(|v| v.trim().parse().ok());
            return Err(HandshakeError::Refused { status, retry_after_s });
        }
        let upgrade = header("Upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket"));
        let connection = header("Connection").is_some_and(|v| {
            v.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        });
        if !upgrade || !connection {
            return Err(HandshakeError::NotUpgraded);
        }
        if header("Sec-WebSocket-Accept") != Some(self.accept.as_str()) {
            return Err(HandshakeError::BadAccept);
        }
        let asked_nothing = ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"];
        if asked_nothing.iter().any(|name| response.headers().contains_key(*name)) {
            return Err(HandshakeError::Unrequested);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Handshake {
        let endpoint = Endpoint::parse("wss://venue.example:9443/ws?x=1").expect("good url");
        Handshake::new(&endpoint, &mut SplitMix64::new(1)).expect("good request")
    }

    fn response(handshake: &Handshake, extra: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
             connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {}\r\n{extra}\r\n",
            handshake.accept
        )
        .into_bytes()
    }

    #[test]
    fn the_request_is_what_the_rfc_asks_for() {
        let text = String::from_utf8(fresh().request().to_vec()).expect("ascii");
        assert!(text.starts_with("GET /ws?x=1 HTTP/1.1\r\nHost: venue.example:9443\r\n"), "{text}");
        assert!(text.contains("\r\nSec-WebSocket-Version: 13\r\n") && text.ends_with("\r\n\r\n"));
        assert_eq!(fresh().request(), fresh().request(), "the key follows from the seed");
    }

    #[test]
    fn bytes_behind_the_response_are_left_however_it_is_split() {
        let whole = response(&fresh(), "");
        let with_frame = [&whole[..], &[0x81, 1, b'x']].concat();
        for cut in 0..with_frame.len() {
            let mut handshake = fresh();
            let (first, second) = with_frame.split_at(cut);
            let (mut used, mut done) = handshake.feed(first).expect("good");
            if !done {
                assert_eq!(used, cut);
                let (more, now_done) = handshake.feed(second).expect("good");
                (used, done) = (used + more, now_done);
            }
            assert!(done, "cut at {cut}");
            assert_eq!(used, whole.len(), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_answers_are_told_apart() {
        let good = response(&fresh(), "");
        let feed = |bytes: &[u8]| fresh().feed(bytes).err();
        let refused = |status, retry_after_s| HandshakeError::Refused { status, retry_after_s };
        let banned = b"HTTP/1.1 418 I'm a teapot\r\nRetry-After: 120\r\n\r\n";
        assert_eq!(feed(banned), Some(refused(418, Some(120))));
        assert_eq!(feed(b"HTTP/1.1 403 Forbidden\r\n\r\n"), Some(refused(403, None)));
        assert_eq!(feed(b"SSH-2.0-x\r\n\r\n"), Some(HandshakeError::BadResponse));
        let edited = |from: &str, to: &str| {
            String::from_utf8(good.clone()).expect("ascii").replace(from, to).into_bytes()
        };
        assert_eq!(feed(&edited("WebSocket\r\n", "h2c\r\n")), Some(HandshakeError::NotUpgraded));
        let other_key = "Accept: x";
        assert_eq!(feed(&edited("Accept: ", other_key)), Some(HandshakeError::BadAccept));
        let zipped = response(&fresh(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        assert_eq!(feed(&zipped), Some(HandshakeError::Unrequested));
        assert_eq!(feed(&vec![b'x'; RESPONSE_LEN_MAX + 1]), Some(HandshakeError::TooLong));
    }
}

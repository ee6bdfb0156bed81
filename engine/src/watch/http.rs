//! HTTP/1.1 as bytes in and bytes out: one request read from a buffer, one answer written to one.
//!
//! Heads are read by `httparse`; what is our own is the little that a page, a scraper and a POST
//! need. There is no chunked body, no upgrade, no compression and no cookie, so there is nothing
//! of those to attack. What two readers could read differently is refused: two lengths, two hosts,
//! a transfer encoding, a folded header.
//!
//! Invariant: a request is handed out whole or not at all, and costs [`HEAD_LEN_MAX`] plus
//! [`BODY_LEN_MAX`] bytes at most.

use std::sync::Arc;

use bot4_venues::secret_text::SecretText;

/// Longest head of a request, in bytes.
pub const HEAD_LEN_MAX: usize = 8 * 1024;
/// Longest body of a request, in bytes: a reason and its stamp.
pub const BODY_LEN_MAX: usize = 4 * 1024;
/// Most header lines of a request: browsers send about twenty.
const HEADERS_MAX: usize = 64;

/// What a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the head alone.
    Head,
    /// Act.
    Post,
}

/// A whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub method: Method,
    /// The path, without what follows a question mark.
    pub path: String,
    /// The name that the client thinks it talks to.
    pub host: String,
    /// The page that a browser sends it for.
    pub origin: Option<String>,
    /// The token, with its scheme.
    pub authorization: Option<SecretText>,
    /// What the body is.
    pub content_type: Option<String>,
    /// The connection stays open.
    pub keep_alive: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request was not read: its status and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// The status of the answer.
    pub status: u16,
    /// What is wrong.
    pub what: &'static str,
}

const fn bad(status: u16, what: &'static str) -> BadRequest {
    BadRequest { status, what }
}

impl Request {
    /// The first request in `bytes` and its length; `None` while it is not whole.
    ///
    /// # Errors
    /// What makes it no request that is served here. The rest of the stream is then worthless.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, BadRequest> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= HEAD_LEN_MAX => length,
            Ok(httparse::Status::Partial) if bytes.len() <= HEAD_LEN_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(bad(431, "the head is too long"));
            }
            Err(_) => return Err(bad(400, "this is no HTTP request")),
        };
        let (mut request, body_len) = Self::of_head(&head)?;
        let Some(body) = bytes.get(length..length + body_len) else { return Ok(None) };
        request.body = body.to_vec();
        Ok(Some((request, length + body_len)))
    }

    fn of_head(head: &httparse::Request<'_, '_>) -> Result<(Self, usize), BadRequest> {
        let method = match head.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => return Err(bad(405, "GET, HEAD and POST are served")),
        };
        let one = |name| one_of(head, name);
        if one("transfer-encoding")?.is_some() {
            return Err(bad(501, "say the body's length in Content-Length"));
        }
        let body_len = match one("content-length")? {
            None => 0,
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                let told = text.parse().unwrap_or(usize::MAX);
                if told > BODY_LEN_MAX {
                    return Err(bad(413, "the body is too long"));
                } else {
                    told
                }
            }
            Some(_) => return Err(bad(400, "Content-Length is no number")),
        };
        let host = one("host")?.ok_or(bad(400, "the Host header is missing"))?;
        let target = head.path.unwrap_or("/");
        let close = one("connection")?.is_some_and(|c| c.to_ascii_lowercase().contains("close"));
        let request = Self {
            method,
            path: target.split('?').next().unwrap_or(target).to_owned(),
            host: host.to_ascii_lowercase(),
            origin: one("origin")?.map(str::to_ascii_lowercase),
            authorization: one("authorization")?.map(|told| SecretText::new(told.to_owned())),
            content_type: one("content-type")?.map(str::to_owned),
            keep_alive: head.version == Some(1) && !close,
            body: Vec::new(),
        };
        Ok((request, body_len))
    }
}

/// The one header called `name`, without the spaces around it.
fn one_of<'h>(head: &httparse::Request<'h, '_>, name: &str) -> Result<Option<&'h str>, BadRequest> {
    let mut found = head.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
    let Some(header) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(bad(400, "a header that may stand once stands twice"));
    }
    let text = std::str::from_utf8(header.value);
    text.map(|t| Some(t.trim())).map_err(|_| bad(400, "a header is not ASCII"))
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body; shared, because many clients are told the same.
    pub body: Arc<[u8]>,
    /// The browser may keep it for a while: what is in the program does not change.
    pub fixed: bool,
}

/// JSON as a content type.
pub const JSON: &str = "application/json";

impl Response {
    /// An answer with a body.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Arc<[u8]>>) -> Self {
        Self { status, content_type, body: body.into(), fixed: false }
    }

    /// JSON.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, JSON, value.to_string().into_bytes())
    }

    /// A refusal: what was wrong and the mend.
    #[must_use]
    pub fn error(status: u16, what: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": what }))
    }

    /// As bytes. `keep_alive`: the connection stays open; `head_only`: without the body;
    /// `tls`: the client is told to come back over TLS only.
    #[must_use]
    pub fn bytes(&self, keep_alive: bool, head_only: bool, tls: bool) -> Vec<u8> {
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let cache = if self.fixed { "private, max-age=60" } else { "no-store" };
        let hsts = if tls { "Strict-Transport-Security: max-age=31536000\r\n" } else { "" };
        let challenge = match self.status {
            401 => "WWW-Authenticate: Bearer realm=\"bot4\"\r\n",
            405 => "Allow: GET, HEAD, POST\r\n",
            429 | 503 => "Retry-After: 2\r\n",
            _ => "",
        };
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\
             Cache-Control: {cache}\r\n{SECURITY}{hsts}{challenge}\r\n",
            self.status,
            phrase(self.status),
            self.content_type,
            self.body.len(),
        );
        let mut bytes = head.into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// What keeps a browser from doing more with an answer than showing it: scripts and styles come
/// from this program's own files alone, nothing is framed, guessed, referred to or sent elsewhere.
const SECURITY: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src \
    'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'\r\n\
    X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n\
    Permissions-Policy: camera=(), microphone=(), geolocation=()\r\n";

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POST: &[u8] = b"POST /api/kill?x=1 HTTP/1.1\r\nHost: LOCALHOST:1\r\nAuthorization: \
        Bearer abc\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nbodyGET / H";

    #[test]
    fn a_request_is_read_whole_or_not_at_all() {
        let end = POST.len() - b"GET / H".len();
        for cut in 0..end {
            assert_eq!(Request::read(&POST[..cut]), Ok(None), "{cut}");
        }
        let (request, length) = Request::read(POST).expect("good").expect("whole");
        assert_eq!((length, request.path.as_str()), (end, "/api/kill"));
        assert_eq!((request.host.as_str(), request.keep_alive), ("localhost:1", true));
        assert_eq!(request.authorization.as_ref().map(SecretText::expose), Some("Bearer abc"));
        assert!(!format!("{request:?}").contains("abc"), "a token is not shown");
        assert_eq!((request.method, request.body.as_slice()), (Method::Post, b"body".as_slice()));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let with = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
        for (lines, status) in [
            ("Host: b", 400),
            ("Content-Length: 1\r\nContent-Length: 2", 400),
            ("Content-Length: +1", 400),
            ("Content-Length: 0x1", 400),
            ("Content-Length: ", 400),
            ("Content-Length: 99999999999999999999999", 413),
            ("Content-Length: 4097", 413),
            ("Transfer-Encoding: chunked", 501),
            ("Authorization: a\r\nAuthorization: b", 400),
            ("X: a\r\n b", 400),
        ] {
            let refused = Request::read(with(lines).as_bytes()).expect_err(lines);
            assert_eq!(refused.status, status, "{lines}");
        }
        let status = |text: &[u8]| Request::read(text).expect_err("refused").status;
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), 400, "no host");
        assert_eq!(status(b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
        assert_eq!(status(b"\x16\x03\x01\x02\x00"), 400, "TLS where there is none");
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(HEAD_LEN_MAX));
        assert_eq!(status(long.as_bytes()), 431);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(HEADERS_MAX));
        assert_eq!(status(many.as_bytes()), 431);
    }

    #[test]
    fn an_answer_carries_its_length_and_what_a_browser_must_not_do() {
        let answer = Response::error(401, "a token");
        let text = String::from_utf8(answer.bytes(false, false, true)).expect("text");
        for part in [
            "HTTP/1.1 401 Unauthorized\r\n",
            "Content-Length: 19\r\n",
            "Connection: close\r\n",
            "script-src 'self';",
            "frame-ancestors 'none'",
            "Strict-Transport-Security",
            "WWW-Authenticate: Bearer",
            "\r\n\r\n{\"error\":\"a token\"}",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("unsafe-inline"), "{text}");
        let head = answer.bytes(true, true, false);
        assert!(head.ends_with(b"\r\n\r\n") && head.len() + 19 < text.len() + 10);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_more_than_there_is(
            noise in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..200,
        ) {
            let mut bytes = POST.to_vec();
            bytes.splice(at.min(POST.len())..at.min(POST.len()), noise.iter().copied());
            for input in [&noise, &bytes] {
                if let Ok(Some((request, length))) = Request::read(input) {
                    prop_assert!(length <= input.len() && request.body.len() <= BODY_LEN_MAX);
                }
            }
        }
    }
}

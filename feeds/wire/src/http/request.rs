//! Requests as bytes.

use core::fmt;

/// Why a request cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The method is empty or holds something other than capital letters.
    BadMethod,
    /// The target does not begin with `/`, or holds a blank, a control character or a byte beyond
    /// ASCII.
    BadTarget,
    /// A header's name or value would break its line.
    BadHeader,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadMethod => "method is not a word of capital letters",
            Self::BadTarget => "target is not a path of printable ASCII",
            Self::BadHeader => "header's name or value would break its line",
        })
    }
}

impl std::error::Error for RequestError {}

/// Appends a request for `target` at `host` to `out`. Length and host are added; the connection is
/// kept. Allocates only where `out` has no room.
///
/// # Errors
/// [`RequestError`]; `out` is as before then. Nothing that a caller passes can become a second
/// request or another header.
pub fn write_request<'a>(
    method: &str,
    target: &str,
    host: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let before = out.len();
    let written = write(method, target, host, headers, body, out);
    if written.is_err() {
        out.truncate(before);
    }
    written
}

fn write<'a>(
    method: &str,
    target: &str,
    host: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(RequestError::BadMethod);
    }
    if !target.starts_with('/') || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(RequestError::BadTarget);
    }
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    header("Host", host, out)?;
    for (name, value) in headers {
        header(name, value, out)?;
    }
    if !body.is_empty() || method != "GET" {
        out.extend_from_slice(b"Content-Length: ");
        digits(body.len(), out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Ok(())
}

fn header(name: &str, value: &str, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_text = |b: u8| b == b' ' || b.is_ascii_graphic();
    if name.is_empty() || !name.bytes().all(is_token) || !value.bytes().all(is_text) {
        return Err(RequestError::BadHeader);
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn digits(mut value: usize, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(method: &str, target: &str, header: (&str, &str), body: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        write_request(method, target, "venue.example", [header].into_iter(), body, &mut out)
            .ok()?;
        Some(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn requests_are_as_the_rfc_has_them() {
        let get = written("GET", "/a?b=c", ("X-Key", "1 2"), b"").expect("written");
        assert_eq!(get, "GET /a?b=c HTTP/1.1\r\nHost: venue.example\r\nX-Key: 1 2\r\n\r\n");
        let post = written("POST", "/a", ("A", ""), b"{}").expect("written");
        assert!(post.ends_with("\r\nA: \r\nContent-Length: 2\r\n\r\n{}"), "{post}");
        let empty = written("POST", "/a", ("A", "b"), b"").expect("written");
        assert!(empty.ends_with("Content-Length: 0\r\n\r\n"), "{empty}");
    }

    #[test]
    fn nothing_breaks_its_line() {
        let mut out = b"before".to_vec();
        let mut refused = |method: &str, target: &str, header: (&str, &str)| {
            let headers = [header].into_iter();
            let error = write_request(method, target, "h", headers, b"", &mut out).err();
            assert_eq!(out, b"before");
            error
        };
        assert_eq!(refused("GET ", "/", ("a", "b")), Some(RequestError::BadMethod));
        assert_eq!(refused("", "/", ("a", "b")), Some(RequestError::BadMethod));
        assert_eq!(refused("GET", "a", ("a", "b")), Some(RequestError::BadTarget));
        assert_eq!(refused("GET", "/ HTTP/1.1\r\n", ("a", "b")), Some(RequestError::BadTarget));
        assert_eq!(refused("GET", "/", ("a:", "b")), Some(RequestError::BadHeader));
        assert_eq!(refused("GET", "/", ("a", "b\r\nc: d")), Some(RequestError::BadHeader));
    }

    proptest! {
        /// The reader that the simulated venue uses understands what is written.
        #[test]
        fn what_is_written_reads_back(
            target in "/[!-~]{0,40}", value in "[!-~]{0,30}",
            body in proptest::collection::vec(any::<u8>(), 0..50)
        ) {
            let mut out = Vec::new();
            let headers = [("X-Any", value.as_str())].into_iter();
            write_request("POST", &target, "h", headers, &body, &mut out).expect("written");
            let mut slots = [httparse::EMPTY_HEADER; 8];
            let mut request = httparse::Request::new(&mut slots);
            let end = request.parse(&out).expect("read").unwrap();
            prop_assert_eq!((request.method, request.path), (Some("POST"), Some(&target[..])));
            prop_assert_eq!(request.headers[1].value, value.as_bytes());
            let length = body.len().to_string();
            prop_assert_eq!(request.headers[2].value, length.as_bytes());
            prop_assert_eq!(&out[end..], &body[..]);
        }
    }
}

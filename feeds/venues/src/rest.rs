//! A request over HTTPS as text, so that a dialect can write one like any other message: bytes out,
//! and somebody else owns the socket.
//!
//! ```text
//! GET /v5/order/realtime?category=spot
//! X-BAPI-API-KEY: abc
//!
//! body
//! ```
//! Lines end with `\n`; there is no host and no length, whoever sends it adds them.

/// A request read from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body; empty for a GET.
    pub body: &'a str,
}

impl<'a> RestRequest<'a> {
    /// Reads `text`; `None` when it is no request.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(text).ok()?;
        let (head, body) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let (method, path) = lines.next()?.split_once(' ')?;
        let headers = lines.map(|line| line.split_once(": ")).collect::<Option<Vec<_>>>()?;
        Some(Self { method, path, headers, body })
    }
}

/// Appends the first line of a request.
pub fn open(method: &str, path: &str, query: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_bytes());
    if !query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.push(b'\n');
}

/// Appends a header.
pub fn header(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Ends the head and appends the body.
pub fn close(body: &[u8], out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_request_reads_back() {
        let mut out = Vec::new();
        open("POST", "/v5/order/cancel-all", b"", &mut out);
        header("X-KEY", b"a: b", &mut out);
        close(b"{\"a\":\"x\n\ny\"}", &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        assert_eq!((request.method, request.path), ("POST", "/v5/order/cancel-all"));
        assert_eq!(request.headers, [("X-KEY", "a: b")]);
        assert_eq!(request.body, "{\"a\":\"x\n\ny\"}");
        out.clear();
        open("GET", "/t", b"a=b", &mut out);
        close(b"", &mut out);
        let request = RestRequest::parse(&out).expect("a request");
        assert_eq!((request.path, request.body, request.headers.len()), ("/t?a=b", "", 0));
        assert_eq!(RestRequest::parse(b"GET\n\n"), None);
        assert_eq!(RestRequest::parse(b"GET /x\nno header\n\n"), None);
    }
}

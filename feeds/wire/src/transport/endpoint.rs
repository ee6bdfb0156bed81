//! Where a WebSocket lives.

use core::fmt;
use std::net::IpAddr;

/// The port of `wss://` where the url names none.
const PORT_DEFAULT: u16 = 443;

/// Why a url is not an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// It does not begin with `wss://`: venues are spoken to over TLS only.
    Scheme,
    /// No host.
    NoHost,
    /// The host has characters that no host name or address has (user names included).
    BadHost,
    /// The port is not a number from 1 to 65535.
    BadPort,
    /// The path has a space, a control character, a `#` or a character outside ASCII.
    BadPath,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "url must begin with wss://",
            Self::NoHost => "url has no host",
            Self::BadHost => "url has a damaged host",
            Self::BadPort => "port must be a number from 1 to 65535",
            Self::BadPath => "path has characters that a url must escape",
        })
    }
}

impl std::error::Error for EndpointError {}

/// A WebSocket address, `wss://host[:port][/path]`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
    server_name: String,
}

impl Endpoint {
    /// The endpoint written in `url`. IPv6 addresses stand in brackets. Without a path it is `/`.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let rest = url.strip_prefix("wss://").ok_or(EndpointError::Scheme)?;
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        let (host, port) = split_authority(authority)?;
        let host = check_host(host)?;
        let whole = Self { server_name: host.clone(), host, port, path: String::new() };
        whole.with_path(path)
    }

    /// The same place with another path and query. A missing leading `/` is added.
    ///
    /// # Errors
    /// [`EndpointError::BadPath`].
    pub fn with_path(&self, path: &str) -> Result<Self, EndpointError> {
        if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(EndpointError::BadPath);
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { path: format!("{slash}{path}"), ..self.clone() })
    }

    /// The same place, its certificate checked for `name` instead of the host.
    #[must_use]
    pub fn with_server_name(&self, name: &str) -> Self {
        Self { server_name: name.to_owned(), ..self.clone() }
    }

    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name that the server's certificate must be for.
    #[must_use]
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The `Host` header: host, and port where it is not 443.
    #[must_use]
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == PORT_DEFAULT { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wss://{}{}", self.authority(), self.path)
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_authority(authority: &str) -> Result<(&str, u16), EndpointError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(EndpointError::BadHost)?;
            let port = if port.is_empty() { None } else { Some(port) };
            let port = port.map(|p| p.strip_prefix(':').ok_or(EndpointError::BadHost));
            (host, port.transpose()?)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else { return Ok((host, PORT_DEFAULT)) };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok((host, number)),
        _ => Err(EndpointError::BadPort),
    }
}

fn check_host(host: &str) -> Result<String, EndpointError> {
    if host.is_empty() {
        return Err(EndpointError::NoHost);
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if host.bytes().all(name) || host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_ascii_lowercase());
    }
    Err(EndpointError::BadHost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(url: &str) -> (String, u16, String) {
        let e = Endpoint::parse(url).expect("good url");
        (e.host().to_owned(), e.port(), e.path().to_owned())
    }

    #[test]
    fn urls_are_taken_apart() {
        let want = |h: &str, p, path: &str| (h.to_owned(), p, path.to_owned());
        assert_eq!(parts("wss://Stream.Example"), want("stream.example", 443, "/"));
        assert_eq!(parts("wss://a.b:9443/ws-api/v3"), want("a.b", 9443, "/ws-api/v3"));
        assert_eq!(parts("wss://127.0.0.1:1?x=1"), want("127.0.0.1", 1, "/?x=1"));
        assert_eq!(parts("wss://[::1]:8443/x"), want("::1", 8443, "/x"));
        let v6 = Endpoint::parse("wss://[::1]:8443/x").expect("good url");
        assert_eq!(
            (v6.authority().as_str(), v6.to_string().as_str()),
            ("[::1]:8443", "wss://[::1]:8443/x")
        );
        let other = v6.with_path("stream?streams=a@b/c").expect("good path");
        assert_eq!((other.path(), other.port()), ("/stream?streams=a@b/c", 8443));
    }

    #[test]
    fn each_mistake_has_its_error() {
        for (url, error) in [
            ("ws://a/", EndpointError::Scheme),
            ("https://a/", EndpointError::Scheme),
            ("wss:///x", EndpointError::NoHost),
            ("wss://:443/x", EndpointError::NoHost),
            ("wss://user@host/", EndpointError::BadHost),
            ("wss://a b/", EndpointError::BadHost),
            ("wss://[::1/", EndpointError::BadHost),
            ("wss://a:0/", EndpointError::BadPort),
            ("wss://a:/", EndpointError::BadPort),
            ("wss://a:+80/", EndpointError::BadPort),
            ("wss://a:65536/", EndpointError::BadPort),
            ("wss://a/x y", EndpointError::BadPath),
            ("wss://a/x\r\nHost: b", EndpointError::BadPath),
        ] {
            assert_eq!(Endpoint::parse(url), Err(error), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer_that_reads_back(text in "(wss://)?[ -~é]{0,30}") {
            if let Ok(endpoint) = Endpoint::parse(&text) {
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }
}

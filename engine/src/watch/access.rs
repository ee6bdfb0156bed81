//! Who may do what: tokens, roles, names of this server, stamps against replay, rates.
//!
//! A token comes from a file that its owner alone can read, and is kept as a keyed hash, so it
//! stands in no core dump, and comparing it takes as long whatever was presented. Reading is free
//! on loopback unless a read token is set; acting always needs the act token.
//!
//! An act carries a stamp: the time it was meant at and a nonce. A stamp is good for
//! [`STAMP_WINDOW_MS`], once, and never before this process began: what a proxy repeats, a double
//! click, or a copied request after a restart, is refused. Names are checked because a page
//! elsewhere can make its own name point to loopback (DNS rebinding): it cannot change the `Host`
//! header that a browser then sends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use bot4_types::Nanos;
use bot4_venues::secret_text::SecretText;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;

use super::http::{Method, Request};

/// Shortest token in characters: 128 bits as hexadecimal digits.
pub const TOKEN_LEN_MIN: usize = 32;
/// Longest file of a token, bytes.
const TOKEN_FILE_MAX: usize = 4_096;
/// How far a stamp may be from now, either way, in milliseconds.
pub const STAMP_WINDOW_MS: i64 = 30_000;
/// Nonces remembered: more than all budgets let in while a stamp is good.
const NONCES_MAX: usize = 2_048;
/// Acts that may come at once, and the time for one more.
const ACTS: (u64, Nanos) = (10, Nanos::from_secs(1));
/// The same of stops: other acts leave them alone, and who is nervous may press often.
const STOPS: (u64, Nanos) = (60, Nanos::from_millis(200));
/// The same of questions to the engine itself, which has budgets of its own.
const QUESTIONS: (u64, Nanos) = (20, Nanos::from_millis(100));
/// Wrong tokens that are answered at once, and the time for one more. Right ones do not count here,
/// so nobody can lock the operator out.
const FAILURES: (u64, Nanos) = (20, Nanos::from_secs(1));

/// What a client may do; each role may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The page's own files, which tell nothing of the engine.
    None,
    /// Figures.
    Read,
    /// Kill, resume, and what else the operator's socket takes.
    Act,
}

/// A token that can be compared and not read.
pub struct Token {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Token {
    /// `text` as a token.
    ///
    /// # Errors
    /// When it is short, or the system gives no random numbers.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < TOKEN_LEN_MIN || text.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err(format!(
                "a token has at least {TOKEN_LEN_MIN} characters without spaces\nhelp: openssl rand \
                 -hex 32"
            ));
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the system gives no random numbers".to_owned())?;
        let tag = hmac::sign(&key, text.as_bytes());
        Ok(Self { key, tag })
    }

    /// The token in the file `path`.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it is no token.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let file = File::open(path).map_err(|e| format!("{name}: {e}"))?;
        let mode = file.metadata().map_err(|e| format!("{name}: {e}"))?.mode();
        if mode & 0o077 != 0 {
            return Err(format!("{name}: others may read it\nhelp: chmod 600 {name}"));
        }
        // Room for all of it at once: a text that grows leaves its beginning behind.
        let mut text = String::with_capacity(TOKEN_FILE_MAX + 1);
        let read = file.take(TOKEN_FILE_MAX as u64).read_to_string(&mut text);
        let text = SecretText::new(text);
        read.map_err(|e| format!("{name}: {e}"))?;
        Self::new(text.expose()).map_err(|e| format!("{name}: {e}"))
    }

    /// The token in the file `path`, which is made with a random one where there is none.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), and when the file cannot be written.
    pub fn from_own_file(path: &Path) -> Result<Self, String> {
        let open = File::options().write(true).create_new(true).mode(0o600).open(path);
        match open {
            Ok(mut file) => {
                let mut raw = [0_u8; 32];
                let random = SystemRandom::new().fill(&mut raw);
                random.map_err(|_| "the system gives no random numbers".to_owned())?;
                let text = raw.iter().map(|b| format!("{b:02x}")).collect();
                let text = SecretText::new(text);
                let written = writeln!(file, "{}", text.expose());
                written.map_err(|e| format!("{}: {e}", path.display()))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(format!("{}: {e}", path.display())),
        }
        Self::from_file(path)
    }

    /// `presented` is this token. Takes as long whatever differs.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        hmac::verify(&self.key, presented.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

/// When and which: what makes an act unlike every other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stamp {
    /// When it was meant, Unix milliseconds.
    pub at_ms: i64,
    /// Sixteen to sixty-four letters, digits or hyphens, never the same twice.
    pub nonce: String,
}

/// What a POST is to the budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It stops trading.
    Stop,
    /// It changes something else.
    Act,
    /// It changes nothing.
    Question,
}

impl Kind {
    /// Who may.
    #[must_use]
    pub const fn needs(self) -> Role {
        match self {
            Self::Question => Role::Read,
            Self::Stop | Self::Act => Role::Act,
        }
    }
}

/// Why a request is refused: a status and a sentence with the mend.
pub type Refused = (u16, String);

/// A bucket that fills with time: `depth` at once, one more every `every`.
struct Rate {
    depth: u64,
    every: Nanos,
    /// The time at which it is full again.
    full_at: Nanos,
}

impl Rate {
    const fn new((depth, every): (u64, Nanos)) -> Self {
        Self { depth, every, full_at: Nanos::ZERO }
    }

    fn take(&mut self, now: Nanos) -> bool {
        let full_at = self.full_at.0.max(now.0) + self.every.0;
        let fits = full_at - now.0 <= self.depth * self.every.0;
        if fits {
            self.full_at = Nanos(full_at);
        }
        fits
    }
}

/// Who may do what. See the module.
pub struct Access {
    act: Token,
    read: Option<Token>,
    /// Reading needs a token.
    guarded: bool,
    hosts: Vec<String>,
    /// Nonces that were used, oldest first. None is forgotten by time: a clock that is set back
    /// would make its stamp good again.
    nonces: VecDeque<String>,
    started: Nanos,
    budgets: [Rate; 3],
    failures: Rate,
}

impl Access {
    /// Access to a server at `address` that is also called `names`. Reading is free only where
    /// there is no `read` token and only this machine can ask. It began at `started`, by the clock
    /// whose times the methods take.
    #[must_use]
    pub fn new(
        act: Token,
        read: Option<Token>,
        address: SocketAddr,
        names: &[String],
        started: Nanos,
    ) -> Self {
        let guarded = read.is_some() || !address.ip().is_loopback();
        Self {
            act,
            read,
            guarded,
            hosts: hosts(address, names),
            nonces: VecDeque::with_capacity(NONCES_MAX),
            started,
            budgets: [STOPS, ACTS, QUESTIONS].map(Rate::new),
            failures: Rate::new(FAILURES),
        }
    }

    /// Reading needs a token.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// The request was meant for this server, by one of its names, and comes from no other's page.
    ///
    /// # Errors
    /// 421 for a strange name, 403 for a strange page.
    pub fn check_name(&self, request: &Request) -> Result<(), Refused> {
        if !self.hosts.contains(&request.host) {
            let known = self.hosts.join(", ");
            return Err((421, format!("this server is called {known}; others by --host NAME")));
        }
        let Some(origin) = &request.origin else { return Ok(()) };
        let (_, host) = origin.split_once("://").unwrap_or_default();
        if host != request.host {
            return Err((403, "the request comes from another server's page".to_owned()));
        }
        Ok(())
    }

    /// The role of who presents `authorization`.
    ///
    /// # Errors
    /// 401 for a wrong token, 429 for too many of them.
    pub fn role(&mut self, authorization: Option<&str>, now: Nanos) -> Result<Role, Refused> {
        let Some(told) = authorization else {
            return Ok(if self.guarded { Role::None } else { Role::Read });
        };
        let token =
            told.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = token.map_or("", |(_, token)| token.trim());
        // Both are compared always, so that time tells nothing.
        let (acts, reads) = (self.act.is(token), self.read.as_ref().is_some_and(|r| r.is(token)));
        match (acts, reads) {
            (true, _) => Ok(Role::Act),
            (_, true) => Ok(Role::Read),
            _ if self.failures.take(now) => Err((401, "the token is wrong".to_owned())),
            _ => Err((429, "too many wrong tokens".to_owned())),
        }
    }

    /// What is of this kind and has this stamp may be done now, and nothing else with it.
    ///
    /// # Errors
    /// 403 for a time that is not now, 409 for a nonce that was used, 429 for too many of a kind.
    pub fn admit(
        &mut self,
        kind: Kind,
        stamp: &Stamp,
        now: Nanos,
        now_ms: i64,
    ) -> Result<(), Refused> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !(16..=64).contains(&stamp.nonce.len()) || !stamp.nonce.bytes().all(legal) {
            return Err((400, "nonce: 16 to 64 letters, digits or hyphens".to_owned()));
        }
        // The start by the wall clock of now: where that was set, the time of then means nothing.
        let up_ms = i64::try_from(now.since(self.started).millis()).unwrap_or(i64::MAX);
        let oldest = now_ms - STAMP_WINDOW_MS.min(up_ms.saturating_add(1));
        if stamp.at_ms < oldest || stamp.at_ms > now_ms + STAMP_WINDOW_MS {
            return Err((403, format!("at_ms is not now: it is {now_ms} here, in Unix ms")));
        }
        if self.nonces.contains(&stamp.nonce) {
            return Err((409, "this nonce was used: the act was taken before".to_owned()));
        }
        if !self.budgets[kind as usize].take(now) {
            return Err((429, "too many of these: wait a second".to_owned()));
        }
        if self.nonces.len() == NONCES_MAX {
            self.nonces.pop_front();
        }
        self.nonces.push_back(stamp.nonce.clone());
        Ok(())
    }

    /// Only those who act may post, and only JSON: a form of another page cannot send it.
    ///
    /// # Errors
    /// 415 for another content type.
    pub fn check_content(request: &Request) -> Result<(), Refused> {
        let told = request.content_type.as_deref().unwrap_or_default();
        let json = told.split(';').next().is_some_and(|t| t.trim() == super::http::JSON);
        if request.method == Method::Post && !json {
            return Err((415, "Content-Type: application/json".to_owned()));
        }
        Ok(())
    }
}

/// The names under which clients may ask a server at `address`.
fn hosts(address: SocketAddr, names: &[String]) -> Vec<String> {
    let port = address.port();
    let mut hosts = vec![address.to_string()];
    if address.ip().is_loopback() {
        hosts.extend(["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")));
    }
    for name in names {
        let name = name.to_ascii_lowercase();
        hosts.push(format!("{name}:{port}"));
        hosts.push(name);
    }
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACT: &str = "0123456789abcdef0123456789abcdef";
    const READ: &str = "fedcba9876543210fedcba9876543210";
    const NOW: i64 = 1_800_000_000_000;

    fn access(read: Option<&str>, address: &str) -> Access {
        let token = |text| Token::new(text).expect("a token");
        let address = address.parse().expect("an address");
        let names = ["Bot.Example".to_owned()];
        Access::new(token(ACT), read.map(token), address, &names, Nanos::ZERO)
    }

    fn bearer(access: &mut Access, token: &str) -> Result<Role, u16> {
        let told = format!("Bearer {token}");
        access.role(Some(&told), Nanos::from_secs(1)).map_err(|(status, _)| status)
    }

    #[test]
    fn tokens_make_roles() {
        let mut open = access(None, "127.0.0.1:8640");
        assert_eq!(open.role(None, Nanos::ZERO), Ok(Role::Read));
        assert_eq!(bearer(&mut open, ACT), Ok(Role::Act));
        assert_eq!(bearer(&mut open, READ), Err(401));
        assert_eq!(bearer(&mut open, &ACT[1..]), Err(401));
        let mut guarded = access(Some(READ), "127.0.0.1:8640");
        assert_eq!(guarded.role(None, Nanos::ZERO), Ok(Role::None));
        assert_eq!(bearer(&mut guarded, READ), Ok(Role::Read));
        let mut public = access(None, "203.0.113.7:8640");
        assert_eq!(public.role(None, Nanos::ZERO), Ok(Role::None));
        assert_eq!(public.role(Some("Basic abc"), Nanos::ZERO).map_err(|e| e.0), Err(401));
    }

    #[test]
    fn wrong_tokens_are_slowed_and_the_right_one_never() {
        let mut access = access(None, "127.0.0.1:8640");
        let wrong: Vec<_> = (0..30).map(|_| bearer(&mut access, READ)).collect();
        assert_eq!(wrong.iter().filter(|r| **r == Err(401)).count(), 20);
        assert!(wrong.ends_with(&[Err(429)]));
        assert_eq!(bearer(&mut access, ACT), Ok(Role::Act), "nobody locks the operator out");
    }

    #[test]
    fn a_stamp_is_good_once_and_now() {
        let mut access = access(None, "127.0.0.1:8640");
        let stamp = |at_ms, nonce: &str| Stamp { at_ms, nonce: nonce.to_owned() };
        let mut admit = |stamp: &Stamp, now_ms| {
            let now = Nanos((now_ms - NOW) as u64 * 1_000_000);
            access.admit(Kind::Act, stamp, now, now_ms).map_err(|e| e.0)
        };
        let good = stamp(NOW, "0123456789abcdef");
        assert_eq!(admit(&good, NOW), Ok(()));
        assert_eq!(admit(&good, NOW + 1), Err(409), "a repetition");
        assert_eq!(admit(&good, NOW + STAMP_WINDOW_MS), Err(409), "at the end of its window");
        assert_eq!(admit(&good, NOW + STAMP_WINDOW_MS + 1), Err(403), "and for ever after");
        let other = |at_ms| stamp(at_ms, "fedcba9876543210");
        assert_eq!(admit(&other(NOW - STAMP_WINDOW_MS - 1), NOW), Err(403));
        assert_eq!(admit(&other(NOW + STAMP_WINDOW_MS + 1), NOW), Err(403));
        for nonce in ["short", "with a space in it", &"x".repeat(65), "../../../../../../etc"] {
            assert_eq!(admit(&stamp(NOW, nonce), NOW), Err(400), "{nonce}");
        }
    }

    #[test]
    fn a_stamp_from_before_the_start_is_refused() {
        let mut access = access(None, "127.0.0.1:8640");
        let stamp = Stamp { at_ms: NOW - 2, nonce: "0123456789abcdef".to_owned() };
        let admitted = access.admit(Kind::Stop, &stamp, Nanos::ZERO, NOW);
        assert_eq!(admitted.map_err(|e| e.0), Err(403));
    }

    #[test]
    fn acts_have_a_rate() {
        let mut access = access(None, "127.0.0.1:8640");
        let mut acts = (0..40).map(|n| {
            let stamp = Stamp { at_ms: NOW, nonce: format!("0123456789abcdef{n}") };
            let now = Nanos::from_secs(if n < 30 { 5 } else { 7 });
            access.admit(Kind::Act, &stamp, now, NOW).is_ok()
        });
        assert_eq!(acts.by_ref().take(30).filter(|ok| *ok).count(), 10);
        assert_eq!(acts.filter(|ok| *ok).count(), 2, "one more a second");
    }

    /// Neither kind is refused for the others' sake, and every stamp that is good is remembered.
    #[test]
    fn a_stop_waits_for_no_other_act() {
        let mut access = access(None, "127.0.0.1:8640");
        let mut n = 0;
        let mut admitted = |kind, ms: u64| {
            n += 1;
            let now_ms = NOW + ms as i64;
            let stamp =
                Stamp { at_ms: now_ms + STAMP_WINDOW_MS, nonce: format!("0123456789-{n:08}") };
            access.admit(kind, &stamp, Nanos::from_millis(ms), now_ms).map_err(|e| e.0)
        };
        for kind in [Kind::Act, Kind::Question] {
            while admitted(kind, 0).is_ok() {}
        }
        assert_eq!(admitted(Kind::Stop, 0), Ok(()));
        // All that the budgets let in within the time that a stamp is good for.
        let window = 2 * STAMP_WINDOW_MS.unsigned_abs();
        for ms in (0..window).step_by(100) {
            for kind in [Kind::Act, Kind::Question, Kind::Stop] {
                while admitted(kind, ms).is_ok() {}
            }
        }
        assert_eq!(admitted(Kind::Stop, window + 1_000), Ok(()));
        let first = Stamp { at_ms: NOW + STAMP_WINDOW_MS, nonce: "0123456789-00000001".to_owned() };
        let now = (Nanos::from_millis(window), NOW + window as i64);
        let again = access.admit(Kind::Stop, &first, now.0, now.1).map_err(|e| e.0);
        assert_eq!(again, Err(409), "{} are remembered", access.nonces.len());
    }

    /// A clock that is set, back or ahead, shuts nobody out and brings no old act back.
    #[test]
    fn a_stepped_clock_is_followed() {
        for step_ms in [-86_400_000, -60_000, 60_000, 86_400_000] {
            let mut access = access(None, "127.0.0.1:8640");
            let mut admit = |at_ms, nonce: &str, up_s, now_ms| {
                let stamp = Stamp { at_ms, nonce: format!("{nonce}-0123456789abc") };
                access.admit(Kind::Act, &stamp, Nanos::from_secs(up_s), now_ms).map_err(|e| e.0)
            };
            assert_eq!(admit(NOW, "first", 5, NOW), Ok(()));
            let now = NOW + step_ms;
            assert_eq!(admit(NOW, "stale", 6, now), Err(403), "{step_ms}");
            assert_eq!(admit(now, "second", 6, now), Ok(()), "{step_ms}");
            // And set back again, and again: neither is good twice.
            assert_eq!(admit(NOW, "first", 7, NOW), Err(409), "{step_ms}");
            assert_eq!(admit(now, "second", 8, now), Err(409), "{step_ms}");
        }
    }

    #[test]
    fn only_own_names_and_own_pages_are_served() {
        let access = access(None, "127.0.0.1:8640");
        let ask = |host: &str, origin: Option<&str>| {
            let origin = origin.map_or(String::new(), |o| format!("Origin: {o}\r\n"));
            let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
            let (request, _) = Request::read(text.as_bytes()).expect("good").expect("whole");
            access.check_name(&request).map_err(|e| e.0)
        };
        for host in ["127.0.0.1:8640", "localhost:8640", "[::1]:8640", "bot.example"] {
            assert_eq!(ask(host, None), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1:80", "127.0.0.1", "localhost.evil.example:8640"] {
            assert_eq!(ask(host, None), Err(421), "{host}");
        }
        assert_eq!(ask("localhost:8640", Some("http://localhost:8640")), Ok(()));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:8640"] {
            assert_eq!(ask("localhost:8640", Some(origin)), Err(403), "{origin}");
        }
    }

    #[test]
    fn a_token_file_is_private_and_made_where_there_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("act.token");
        let token = Token::from_own_file(&path).expect("made");
        let text = std::fs::read_to_string(&path).expect("there");
        assert_eq!(text.trim().len(), 64);
        assert!(
            token.is(text.trim()) && Token::from_own_file(&path).expect("kept").is(text.trim())
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
        assert!(Token::from_file(&path).is_err_and(|e| e.contains("chmod 600")));
        assert!(Token::new("short").is_err_and(|e| e.contains("32")));
    }
}

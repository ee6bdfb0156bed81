//! `bot4 watch` beside a running engine: what it shows is the engine's, and what it passes on is
//! obeyed once. Floods are the business of `observers`.
#![expect(clippy::disallowed_methods, reason = "clients of the test: sockets and the wall clock")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::rig::{Rig, ended, journal, signal};
use crate::common::{Killed, bot4, check_account, number, report, sleep, stderr};
use serde_json::{Value, json};

/// A watch and where it listens.
pub struct Site {
    pub process: Killed,
    pub address: SocketAddr,
    pub token: String,
}

/// The watch has a low priority, and other tests have the machine too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A status and a body.
pub type Answer = (u16, String);

impl Site {
    pub fn start(state: &Path, args: &[&str]) -> Self {
        let listen = ["watch", "--json", "--listen", "127.0.0.1:0"];
        let mut command = bot4(state);
        let mut child =
            command.args(listen).args(args).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a first line");
        let told: Value = serde_json::from_str(&line).expect("where it listens");
        let url = told["url"].as_str().expect("text");
        let address = url.split("://").nth(1).expect("a URL").trim_end_matches('/');
        let file = told["act_token_file"].as_str().expect("text");
        let token = std::fs::read_to_string(file).expect("a token").trim().to_owned();
        Self { process: Killed(child), address: address.parse().expect("an address"), token }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(self.connect(), &format!("GET {path} HTTP/1.1\r\n{}", self.host()))
    }

    pub fn state(&self) -> Value {
        let (status, body) = self.get("/api/state");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.post_with(path, &format!("Authorization: Bearer {token}\r\n"), body)
    }

    fn post_without(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, "", body)
    }

    fn post_with(&self, path: &str, token: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\n{token}Content-Type: application/json\r\nContent-Length: \
             {}\r\n{}{body}",
            body.len(),
            self.host()
        );
        ask(self.connect(), &head)
    }

    /// The last lines of a head.
    pub fn host(&self) -> String {
        format!("Host: {}\r\nConnection: close\r\n\r\n", self.address)
    }
}

/// Says `request` and reads to the end.
pub fn ask(mut stream: impl Read + Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).expect("taken");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("no answer: {text:?}")), body.to_owned())
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("in range")
}

/// The value of a metric without labels.
pub fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

/// The buckets of `stage` by upper bound, and what its histogram counted in all.
fn buckets(text: &str, stage: &str) -> (Vec<f64>, f64) {
    let of_stage = format!("stage=\"{stage}\"");
    let values = |name: &str| -> Vec<f64> {
        let lines = text.lines().filter(|l| l.starts_with(name) && l.contains(&of_stage));
        lines.filter_map(|l| l.rsplit_once(' ')?.1.parse().ok()).collect()
    };
    let counted = values("bot4_stage_latency_seconds_count{");
    assert_eq!(counted.len(), 1, "{text}");
    (values("bot4_stage_latency_seconds_bucket{"), counted[0])
}

pub fn stop(rig: &Rig, engine: &mut Killed) -> Value {
    signal(&engine.0, "INT");
    assert_eq!(ended(engine), Some(0));
    let report = report(&rig.state().join("report.json"));
    check_account(&report);
    report
}

#[test]
fn it_shows_the_engine_and_passes_on_what_a_person_says() {
    let rig = Rig::new();
    let site = Site::start(rig.state(), &[]);
    let none = site.state();
    assert_eq!((&none["live"], &none["engine"]), (&json!(false), &Value::Null), "{none}");
    let mut engine = rig.start("report.json");
    let status = rig.status();
    sleep(1_200);
    let shown = site.state();
    assert_eq!(shown["engine"]["run"]["id"], status["run"], "{shown}");
    assert!(number(&shown, "/engine/orders/sent") >= number(&status, "/orders/sent"), "{shown}");
    assert!(number(&shown, "/engine/market/books_live") > 0, "{shown}");
    let (code, text) = site.get("/metrics");
    assert_eq!((code, metric(&text, "bot4_engine_up")), (200, 1.0));
    let before = metric(&text, "bot4_market_messages_total");
    let (seen, counted) = buckets(&text, "parse");
    assert!(seen.len() == 26 && seen.is_sorted() && seen.last() == Some(&counted), "{seen:?}");
    assert!(counted > 0.0 && seen[0] < counted, "no stage takes 100 ns at most: {seen:?}");
    // One look serves all who ask within half a second; longer where looking takes long.
    let grows = || metric(&site.get("/metrics").1, "bot4_market_messages_total") > before;
    let looks = (0..100).find(|_| {
        sleep(100);
        grows()
    });
    assert!(looks.is_some(), "nothing new within ten seconds: {before}");
    let (later, _) = buckets(&site.get("/metrics").1, "parse");
    assert!(seen.iter().zip(&later).all(|(seen, later)| seen <= later), "{seen:?} {later:?}");
    acts(&rig, &site, status["run"].as_str().expect("a run"));
    stop(&rig, &mut engine);
    kept_as_passed_on(&rig);
    let ended = (0..100).map(|_| {
        sleep(100);
        site.state()
    });
    let end = ended.into_iter().find(|state| state["live"] == false).expect("the end is seen");
    assert!(end["engine"]["run"]["id"].is_string(), "what was seen last stays");
    assert_eq!(metric(&site.get("/metrics").1, "bot4_engine_up"), 0.0);
}

/// A kill and a resume, each once, by those who may.
fn acts(rig: &Rig, site: &Site, run: &str) {
    let act = |nonce: &str, at_ms| json!({"run": run, "reason": "a look at the page", "nonce": nonce, "at_ms": at_ms});
    let kill = act("0123456789abcdef", unix_ms());
    let status = |answer: Answer| answer.0;
    assert_eq!(status(site.post("/api/kill", "", &kill)), 401);
    assert_eq!(status(site.post("/api/kill", &"f".repeat(64), &kill)), 401);
    let old = act("old-0123456789abcdef", unix_ms() - 60_000);
    assert_eq!(status(site.post("/api/kill", &site.token, &old)), 403);
    let elsewhere = json!({"run": "1-1", "reason": "x", "nonce": "elsewhere-012345678",
                           "at_ms": unix_ms()});
    assert_eq!(status(site.post("/api/kill", &site.token, &elsewhere)), 404);
    assert_eq!(rig.status()["phase"], "run", "none of these was a kill");
    let (code, body) = site.post("/api/kill", &site.token, &kill);
    assert_eq!(code, 200, "{body}");
    let told: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&told["clear"], &told["told"]["open"]), (&json!(true), &json!(0)), "{body}");
    assert_eq!(rig.status()["phase"], "kill");
    assert!(rig.latch_file().is_some_and(|l| l.contains("a look at the page")));
    let resume = act("resume-0123456789", unix_ms());
    assert_eq!(status(site.post("/api/resume", &site.token, &resume)), 200);
    assert_eq!(rig.status()["phase"], "run");
    // What was captured on the way is worth nothing, at another door neither.
    assert_eq!(status(site.post("/api/kill", &site.token, &kill)), 409);
    assert_eq!(status(site.post("/api/kill", &site.token, &resume)), 409);
    assert_eq!(rig.status()["phase"], "run");
    let mut any = act("request-0123456789", unix_ms());
    any["request"] = json!({"do": "status"});
    let (code, body) = site.post("/api/request", &site.token, &any);
    assert!(code == 200 && body.contains(run), "{body}");
    all_commands(rig, site, run);
}

/// Every act of the control plane by its own door: with the token alone, once, and done when it is
/// said to be.
fn all_commands(rig: &Rig, site: &Site, run: &str) {
    let say = |path: &str, token: &str, nonce: &str, more: Value| {
        let mut body = json!({"run": run, "nonce": format!("{nonce}-0123456789abcdef"),
                              "at_ms": unix_ms()});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("too"));
        let (code, text) = site.post(path, token, &body);
        (code, serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let wrong = "f".repeat(64);
    for (path, more) in [
        ("/api/mode", json!({"mode": "semi_auto", "reason": "by the page"})),
        ("/api/limits", json!({})),
        ("/api/dump", json!({})),
        ("/api/rotate", json!({"reason": "by the page"})),
    ] {
        assert_eq!(say(path, &wrong, path, more.clone()).0, 401, "{path}");
        let (code, told) = say(path, &site.token, &path.replace('/', "-"), more.clone());
        assert_eq!((code, &told["done"]), (200, &json!(true)), "{path}: {told}");
        assert_eq!(told["told"]["run"], run, "{path}: {told}");
        assert_eq!(say(path, &site.token, &path.replace('/', "-"), more).0, 409, "{path} again");
    }
    let status = rig.status();
    assert_eq!(status["mode"], "semi_auto", "{status}");
    assert!(status["journal"]["rotations"].as_u64() >= Some(1), "{status}");
    let (code, told) = say("/api/mode", &site.token, "asleep", json!({"mode": "x", "reason": "y"}));
    assert!(code == 409 && told["error"].to_string().contains("full_auto"), "{code} {told}");
    let by_page = json!({"mode": "full_auto", "reason": "by the page"});
    assert_eq!(say("/api/mode", &site.token, "back", by_page).0, 200);
    // Who may read may ask the engine itself, and here everybody may read.
    let bare = json!({"run": run, "nonce": "question-0123456789", "at_ms": unix_ms()});
    let (code, body) = site.post_without("/api/status", &bare);
    let told: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_eq!((code, &told["told"]["status"]["mode"]), (200, &json!("full_auto")), "{body}");
    assert_eq!(site.post_without("/api/dump", &bare).0, 401);
}

/// What is said to the server by who knows the token and by who does not, as it stands; then the
/// engine trades as before.
#[test]
fn hostile_requests_are_refused_and_change_nothing() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    let site = Site::start(rig.state(), &[]);
    let run = rig.status()["run"].as_str().expect("a run").to_owned();
    let host = format!("Host: {}\r\n", site.address);
    let key = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", site.token);
    let body = |nonce: &str, at_ms: i64| {
        let nonce = format!("{nonce}-0123456789abcdef");
        json!({"run": run, "reason": "an attack", "nonce": nonce, "at_ms": at_ms}).to_string()
    };
    let kill = |head: &str, body: &str| {
        format!("POST /api/kill HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let good = body("good", unix_ms());
    let tomorrow = body("tomorrow", unix_ms() + 86_400_000);
    let long = "x".repeat(9_000);
    let with = |line: &str| kill(&format!("{host}{key}{line}"), &good);
    let whole = format!("{host}{key}");
    for (what, text, code) in [
        ("no token", kill(&format!("{host}Content-Type: application/json\r\n"), &good), 401),
        ("a form", kill(&whole.replace("application/json", "text/plain"), &good), 415),
        ("another page", with("Origin: http://evil.example\r\n"), 403),
        ("another name", kill(&whole.replace(&host, "Host: evil.example\r\n"), &good), 421),
        ("two lengths", with("Content-Length: 5\r\n"), 400),
        ("pieces", with("Transfer-Encoding: chunked\r\n"), 501),
        ("tomorrow", kill(&whole, &tomorrow), 403),
        ("yesterday", kill(&whole, &body("yesterday", unix_ms() - 86_400_000)), 403),
        ("the end of time", kill(&whole, &body("end", i64::MAX)), 403),
        ("its beginning", kill(&whole, &body("beginning", i64::MIN)), 403),
        ("a long head", format!("GET / HTTP/1.1\r\n{host}X: {long}\r\n\r\n"), 431),
        ("a long body", kill(&whole, &long), 413),
        ("no JSON", kill(&whole, "\u{1}\u{2}"), 400),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        ("another method", format!("DELETE / HTTP/1.1\r\n{host}\r\n"), 405),
        ("reading an act", format!("GET /api/kill HTTP/1.1\r\n{host}\r\n"), 404),
    ] {
        let text = text.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n", 1);
        assert_eq!(ask(site.connect(), &text).0, code, "{what}");
    }
    assert_eq!(rig.status()["phase"], "run", "none of these was a kill");
    // A thousand at once, each with the beginning of a kill, and one who says a whole one.
    let begun = kill(&whole, &good);
    let crowd: Vec<_> = (0..1_000)
        .map(|n| {
            let mut stream = site.connect();
            let _ = stream.write_all(&begun.as_bytes()[..n % begun.len()]);
            stream
        })
        .collect();
    assert_eq!(rig.status()["phase"], "run", "half a kill is none");
    let whole = json!({"run": run, "reason": "through a crowd", "at_ms": unix_ms(),
                       "nonce": "through-0123456789"});
    assert_eq!(site.post("/api/kill", &site.token, &whole).0, 200);
    assert_eq!(site.post("/api/kill", &site.token, &whole).0, 409);
    assert_eq!(rig.status()["phase"], "kill");
    drop(crowd);
    let out = rig.say(&["resume", "--reason", "a test"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    stop(&rig, &mut engine);
}

/// Each act stands in the journal with the way it came and the role that it was given by.
fn kept_as_passed_on(rig: &Rig) {
    // A long text takes several records.
    let first = |r: &Value| r["kind"] == "act" && r["body"]["part"] == 1;
    let acts: Vec<_> = journal(rig).into_iter().filter(first).map(|r| r["body"].clone()).collect();
    for wanted in ["kill", "resume", "mode", "limits_reload", "journal_rotate"] {
        assert!(acts.iter().any(|act| act["act"] == wanted), "{wanted} in {acts:?}");
    }
    let passed_on = |act: &Value| {
        act["text"].as_str().is_some_and(|text| text.starts_with("[bot4 watch, role act] "))
    };
    assert!(acts.iter().all(passed_on), "{acts:?}");
}

/// What other sites' pages, names that lead here and addresses with a token in them can try: all
/// of it is refused before an engine is looked for, and no answer lets a browser do more than show.
#[test]
fn a_strange_page_gets_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let site = Site::start(state.path(), &[]);
    let own = site.address.to_string();
    let head = |request: &str, host: &str, lines: &str| {
        let mut text = String::new();
        let mut stream = site.connect();
        let ask = format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(ask.as_bytes()).expect("taken");
        let _ = stream.read_to_string(&mut text);
        text
    };
    let status = |text: String| text.split(' ').nth(1).unwrap_or("none").to_owned();
    for path in ["/", "/page.js", "/latency.js", "/api/state", "/metrics", "/nothing", "/api/kill"]
    {
        let answer = head(&format!("GET {path}"), &own, "");
        for line in [
            "default-src 'none'; script-src 'self'",
            "X-Content-Type-Options: nosniff",
            "frame-ancestors 'none'",
            "Referrer-Policy: no-referrer",
        ] {
            assert!(answer.contains(line), "{line} of {path}: {answer}");
        }
        assert!(!answer.to_ascii_lowercase().contains("access-control-allow"), "{answer}");
    }
    // Another name for this address, another page, a form of one.
    assert_eq!(status(head("GET /api/state", "evil.example:80", "")), "421");
    assert_eq!(status(head("GET /api/state", &own, "Origin: http://evil.example\r\n")), "403");
    let bearer = format!("Authorization: Bearer {}\r\n", site.token);
    let json = "Content-Type: application/json\r\nContent-Length: 0\r\n";
    let kill = |host: &str, lines: &str| status(head("POST /api/kill", host, lines));
    assert_eq!(kill("evil.example", &(bearer.clone() + json)), "421");
    assert_eq!(kill(&own, &(bearer.clone() + json + "Origin: null\r\n")), "403");
    assert_eq!(kill(&own, &(bearer.clone() + "Content-Length: 0\r\n")), "415");
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n";
    assert_eq!(kill(&own, &(bearer.clone() + form)), "415");
    // An address is kept by proxies and histories: no token counts there, and it does nothing.
    let asked = format!("/api/kill?token={}", site.token);
    assert_eq!(status(head(&format!("POST {asked}"), &own, json)), "401");
    assert_eq!(status(head(&format!("GET {asked}"), &own, &bearer)), "404");
    assert_eq!(kill(&own, &(bearer + json)), "400", "its own page gets as far as its body");
}

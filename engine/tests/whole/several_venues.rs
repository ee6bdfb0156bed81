//! Several venues in one run: `bot4 run` at three simulated ones, over TLS. One that dies, bans or
//! goes silent leaves the orders of the others alone, and every account is exact at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::{
    Killed, bot4, check_account, number, output, report, signal, sleep, started, status, stderr,
};
use crate::observer::ControlLine;
use bot4_lanes::Clock;
use serde_json::{Value, json};

/// The one whose snapshots are asked for by number is not the first.
const VENUES: [(&str, [&str; 2]); 3] = [
    ("okx", ["BTC-USDT", "ETH-USDT"]),
    ("binance", ["BTCUSDT", "ETHUSDT"]),
    ("bybit", ["BTCUSDT", "ETHUSDT"]),
];
/// The place of the one that hangs, and of the one that is killed.
const OKX: usize = 0;
const BYBIT: usize = 2;

/// A configuration that trades at all of them; `keys` are further lines of each.
fn config(state: &Path, keys: &[String]) -> PathBuf {
    let mut text = "[run]\nlanes = 2\n\n".to_owned();
    for ((name, symbols), keys) in VENUES.iter().zip(keys).filter(|(_, keys)| !keys.is_empty()) {
        let dead_man = if *name == "binance" { "dead_man = \"none_available\"\n" } else { "" };
        text +=
            &format!("[[venues]]\nname = \"{name}\"\nsymbols = {symbols:?}\n{dead_man}{keys}\n");
    }
    text += "[[strategy]]\nkind = \"market_maker\"\n\n[[strategy]]\nkind = \"ema_cross\"\n\n\
             [journal]\nstall_max = \"30s\"\nsegment_mib = 1\n";
    let path = state.join("venues.toml");
    std::fs::write(&path, text).expect("written");
    path
}

fn run(state: &Path, config: &Path) -> Command {
    let mut command = bot4(state);
    command.arg("run").arg("--config").arg(config);
    command
}

/// The order entry of each venue as the running engine tells it; none while it starts.
fn told(state: &Path) -> Option<Vec<Value>> {
    Some(status::of(state)["venues"].as_array()?.clone())
}

/// Each of `venues` got more than `n` orders.
fn each_sent(venues: &[Value], n: u64) -> bool {
    venues.iter().all(|venue| venue["sent"].as_u64() > Some(n))
}

/// Asks again and again, for 20 s and what the asking takes.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask() {
            return answer;
        }
        sleep(33);
    }
    panic!("not within 20 s: {what}")
}

/// What `bot4 journal` says of the newest run, line by line.
fn journal(state: &Path, of: &str) -> Vec<Value> {
    let journal = newest_run(state).join("journal");
    let out = output(bot4(state).args(["journal", of]).arg(journal));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The venue of what is about an instrument.
fn venue_of(about: &Value) -> Option<usize> {
    about["instrument"].as_u64().map(|instrument| instrument as usize / 2)
}

/// The process of the embedded `venue` of `engine`.
fn child_of(engine: &Child, venue: &str) -> Option<String> {
    let parent = format!("--die-with-parent\0{}\0", engine.id());
    let of = format!("--venue\0{venue}\0");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let pid = entry.file_name().to_str()?.to_owned();
        (line.contains(&parent) && line.contains(&of)).then_some(pid)
    })
}

fn newest_run(state: &Path) -> PathBuf {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    runs.map(|e| e.path()).max().expect("a run")
}

fn verified(state: &Path) {
    let out = output(bot4(state).args(["replay", "--verify"]).arg(newest_run(state)));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
}

/// Exact in sum and at each venue, each of which traded.
fn check_each(report: &Value) {
    check_account(report);
    for (v, (name, _)) in VENUES.iter().enumerate() {
        let venue = &report["venues"][v];
        assert_eq!(venue["name"], *name);
        assert!(number(venue, "/fills") > 0, "{name} did not trade: {report}");
        for zero in ["orders_differ", "positions_differ", "balances_differ"] {
            assert_eq!(venue["reconcile"][zero], 0, "{zero} at {name}: {report}");
        }
    }
}

/// How often one of them dies: each time it is gone for a second and what its start takes.
const DEATHS: u64 = 3;

#[test]
fn a_venue_that_dies_leaves_the_orders_of_the_others_alone() {
    let state = tempfile::tempdir().expect("a folder");
    let (state, file) = (state.path(), state.path().join("report.json"));
    let toml = config(state, &["embedded = true\n"; 3].map(str::to_owned));
    let mut command = run(state, &toml);
    command.args(["--for", "5m", "--report"]).arg(&file).stdout(Stdio::null());
    let mut engine = Killed(command.stderr(Stdio::piped()).spawn().expect("it starts"));
    until("every venue gets orders", || told(state).filter(|v| each_sent(v, 20)));
    until("every venue fills some", || {
        let venues: BTreeSet<_> = journal(state, "fills").iter().filter_map(venue_of).collect();
        (venues.len() == VENUES.len()).then_some(())
    });
    for _ in 0..DEATHS {
        dies_and_comes_back(&engine.0, state);
    }
    signal(&engine.0, "-INT");
    let status = engine.0.wait().expect("it ends");
    let report = report(&file);
    assert_eq!(status.code(), Some(0), "{report}");
    check_each(&report);
    let losses = |v: usize| number(&report["venues"][v], "/losses");
    assert!(losses(BYBIT) > 0 && losses(0) == 0 && losses(1) == 0, "{report}");
    verified(state);
    let records = journal(state, "dump");
    look_at_orders(&records);
    compare_latencies(&records);
}

/// Ends the process of Bybit, and waits until the engine has a session with the next one.
fn dies_and_comes_back(engine: &Child, state: &Path) {
    let bybit = until("a process", || child_of(engine, "bybit"));
    let reconnects = |venues: &[Value]| number(&venues[BYBIT], "/reconnects");
    let before = reconnects(&until("a status", || told(state)));
    let killed = Command::new("kill").args(["-9", &bybit]).status().expect("kill");
    assert!(killed.success());
    until("another process", || child_of(engine, "bybit").filter(|pid| *pid != bybit));
    let is_back = |v: &Vec<Value>| v[BYBIT]["session_ready"] == true && reconnects(v) > before;
    until("its session is back", || told(state).filter(is_back));
}

/// Bybit is down: what is known of it until this record.
fn is_down(record: &Value, before: bool) -> bool {
    let body = &record["body"];
    let told = record["kind"] == "report" && body["what"] == "session" && body["venue"] == BYBIT;
    if told { body["ready"] == false } else { before }
}

/// While Bybit was down no order left for it, and the others got theirs.
fn look_at_orders(records: &[Value]) {
    let (mut down, mut sent) = (false, [0; VENUES.len()]);
    for record in records {
        down = is_down(record, down);
        let leaves = record["kind"] == "report" && record["body"]["what"] == "sent";
        if let Some(v) = venue_of(&record["body"]).filter(|_| down && leaves) {
            sent[v] += 1;
        }
    }
    assert_eq!(sent[BYBIT], 0, "an order left for a venue that is down: {sent:?}");
    assert!(sent[..BYBIT].iter().all(|n| *n >= 5 * DEATHS), "the others go on: {sent:?}");
}

/// Orders at the others: from the approval until the kernel has them, and until the venue's answer,
/// while all are there and while one venue is down. Medians of a busy machine: a bound for what
/// nobody misses.
fn compare_latencies(records: &[Value]) {
    let [mut before, mut during] = spans(records);
    for (what, n) in [("to the wire", 0), ("to the answer", 1)] {
        let median = |all: &mut Vec<u64>| {
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or(0)
        };
        let counts = (before[n].len(), during[n].len());
        let (before, during) = (median(&mut before[n]), median(&mut during[n]));
        let ratio = during as f64 / before.max(1) as f64;
        println!(
            "{what}: {before} ns before, {during} ns while one is down, {ratio:.2}; {counts:?}"
        );
        assert!(counts.0 > 0 && counts.1 > 4, "{what}: too few orders to tell: {counts:?}");
        assert!(ratio < 10.0, "{what}: the others' orders are slower while one venue is down");
    }
}

/// Of those orders by "down" and by what is measured, ns. A turn has one time for all that it does:
/// the way to the wire, which may be one turn's, is told by the stamp of its end.
fn spans(records: &[Value]) -> [[Vec<u64>; 2]; 2] {
    let (mut down, mut begun) = (false, BTreeMap::new());
    let mut spans: [[Vec<u64>; 2]; 2] = Default::default();
    for record in records {
        down = is_down(record, down);
        let body = &record["body"];
        let order = body["order"].as_u64().unwrap_or(0);
        let reached = match (record["kind"].as_str(), body["what"].as_str()) {
            (Some("approved"), _) if body["action"] == "place" => {
                let elsewhere = venue_of(body) < Some(BYBIT);
                begun.extend(elsewhere.then_some((order, (number(record, "/at"), down))));
                continue;
            }
            (Some("sent"), _) => (0, number(body, "/handed")),
            (Some("report"), Some("acked")) => (1, number(body, "/learned_at")),
            _ => continue,
        };
        if let Some((since, down)) = begun.get(&order) {
            spans[usize::from(*down)][reached.0].push(reached.1.saturating_sub(*since));
        }
    }
    spans
}

/// Venues of their own processes, which outlive engines.
struct Own {
    _processes: Vec<Killed>,
    endpoints: Vec<Value>,
    /// Lines of the configuration, each.
    hosts: Vec<String>,
}

impl Own {
    /// All of them; `okx` is the script of the first.
    fn start(state: &Path, okx: &str) -> Self {
        let of = |(name, _): (&str, _)| {
            let (folder, faults) = (state.join(name), state.join(format!("{name}.faults")));
            std::fs::write(&faults, if name == "okx" { okx } else { "" }).expect("written");
            std::fs::create_dir(&folder).expect("made");
            let mut command = bot4(&folder);
            started(command.args(["venue", "--venue", name, "--script"]).arg(&faults))
        };
        let (processes, endpoints): (Vec<_>, Vec<_>) = VENUES.map(of).into_iter().unzip();
        let keys = ["market", "api", "rest", "ca", "api_key", "private_key"];
        let lines = |endpoints: &Value| {
            let line = |key| Some(format!("{key} = \"{}\"\n", endpoints[key].as_str()?));
            keys.into_iter().filter_map(line).collect::<String>()
        };
        let hosts = endpoints.iter().map(lines).collect();
        Self { _processes: processes, endpoints, hosts }
    }
}

/// Two venues of their own, one of which bans for a while; then the engine is killed in the middle
/// and started again: it takes over from what lies at each venue.
#[test]
fn a_ban_and_a_kill_end_with_every_account_exact() {
    let state = tempfile::tempdir().expect("a folder");
    let (state, file) = (state.path(), state.path().join("report.json"));
    let okx = "1500ms ban 800ms\n2500ms lose-ack\n";
    let venues = Own::start(state, okx);
    let hosts = &venues.hosts;
    let toml = config(state, hosts);
    let exact = |length: &str| {
        let out = output(run(state, &toml).args(["--for", length, "--report"]).arg(&file));
        let report = report(&file);
        assert_eq!(out.status.code(), Some(0), "{}\n{report}", stderr(&out));
        check_each(&report);
        verified(state);
    };
    exact("4s");
    let mut command = run(state, &toml);
    command.args(["--for", "60s"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut engine = Killed(command.spawn().expect("it starts"));
    until("every venue gets orders", || told(state).filter(|v| each_sent(v, 0)));
    engine.0.kill().expect("kill -9");
    engine.0.wait().expect("ended");
    exact("2s");
    // One of them alone, and then all again: each takes over what the other left there.
    let alone = |v: usize| if v == 1 { hosts[1].clone() } else { String::new() };
    let one = config(state, &[0, 1, 2].map(alone));
    let out = output(run(state, &one).args(["--for", "1s", "--report"]).arg(&file));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    check_account(&self::report(&file));
    assert!(stderr(&out).contains("binance was traded by run"), "{}", stderr(&out));
    let all = config(state, hosts);
    let out = output(run(state, &all).args(["--for", "1s", "--report"]).arg(&file));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    check_account(&self::report(&file));
    assert!(stderr(&out).contains("binance was traded by run"), "{}", stderr(&out));
    assert!(!stderr(&out).contains("okx was traded by run"), "{}", stderr(&out));
}

/// A person at the control socket of the running engine.
struct Person {
    socket: PathBuf,
    clock: Clock,
    said: u64,
}

impl Person {
    fn new(state: &Path) -> Self {
        let socket = newest_run(state).join("control.sock");
        Self { socket, clock: Clock::monotonic(), said: 0 }
    }

    /// The engine's status behind a request, and after how many ms it came.
    fn says(&mut self, mut request: Value) -> (Value, u64) {
        self.said += 1;
        let began = self.clock.now();
        let at_ms = self.clock.wall().unix_ms(began);
        request["stamp"] = json!({"nonce": format!("{:016x}", self.said), "at_ms": at_ms});
        let mut stream = UnixStream::connect(&self.socket).expect("connected");
        writeln!(stream, "{request}").expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(reply["error"], Value::Null, "{request}");
        (reply["status"].clone(), self.clock.now().since(began).millis())
    }

    /// Says it, and looks until it is `obeyed`: the status then, and after how many ms each.
    fn has(&mut self, request: Value, obeyed: impl Fn(&Value) -> bool) -> (Value, [u64; 2]) {
        let what = request["do"].clone();
        let began = self.clock.now();
        let (mut status, answered) = self.says(request);
        while !obeyed(&status) {
            let waited = self.clock.now().since(began).millis();
            assert!(waited < 10_000, "{what} is not obeyed: {status}");
            sleep(20);
            status = self.says(json!({"do": "status"})).0;
        }
        (status, [answered, self.clock.now().since(began).millis()])
    }
}

/// One venue answers nothing for seconds: a person is heard as ever, and obeyed at the others.
#[test]
fn a_venue_that_hangs_holds_no_word_of_a_person_up() {
    let state = tempfile::tempdir().expect("a folder");
    let (state, file) = (state.path(), state.path().join("report.json"));
    let venues = Own::start(state, "");
    let mut command = run(state, &config(state, &venues.hosts));
    command.args(["--for", "60s", "--report"]).arg(&file).stdout(Stdio::null());
    let mut engine = Killed(command.stderr(Stdio::piped()).spawn().expect("it starts"));
    until("every venue gets orders", || told(state).filter(|v| each_sent(v, 0)));
    let (mut okx, mut person) = (ControlLine::new(&venues.endpoints[OKX]), Person::new(state));
    ["deaf 5s", "mute 5s"].iter().for_each(|fault| okx.say(fault));
    let open = |s: &Value, v: usize| number(&s["venues"][v], "/open");
    let hung = until("orders wait there", || {
        let status = person.says(json!({"do": "status"})).0;
        (number(&status["venues"][OKX], "/open") > 0).then_some(status)
    });
    assert_eq!(hung["phase"], "run", "{hung}");
    sleep(500);
    let slowest = (0..20).map(|_| person.says(json!({"do": "status"})).1).max();
    let mode = |mode: &str| json!({"do": "mode", "mode": mode, "reason": "a look"});
    let (_, manual) = person.has(mode("semi_auto"), |s| s["mode"] == "semi_auto");
    let (_, auto) = person.has(mode("full_auto"), |s| s["mode"] == "full_auto");
    let nonce = format!("{:032x}", person.said + 1);
    let reload = json!({"do": "limits_reload"});
    let (_, limits) = person.has(reload, |s| s["limits"]["nonce"] == nonce.as_str());
    let kill = json!({"do": "kill", "reason": "the venue hangs"});
    let (at, kill) = person.has(kill, |s| open(s, 1) == 0 && open(s, 2) == 0);
    println!(
        "one of three venues hangs, ms: status {slowest:?} at worst; answered, obeyed: mode \
         {manual:?} {auto:?}, limits {limits:?}, kill at the others {kill:?}"
    );
    assert!(open(&at, OKX) > 0, "it did not hang any more: {at}");
    let answered = [slowest.unwrap_or(0), manual[0], auto[0], limits[0], kill[0]];
    assert!(answered.iter().all(|ms| *ms < 1_000), "taken for dead: {answered:?}");
    let obeyed = [manual[1], auto[1], limits[1], kill[1]];
    assert!(obeyed.iter().all(|ms| *ms < 2_000), "{obeyed:?}");
    sleep(300);
    let later = person.says(json!({"do": "status"})).0;
    assert_eq!(later["orders"]["sent"], at["orders"]["sent"], "an order left after the stop");
    // It comes back, and the stop comes true there, too.
    until("nothing is open", || {
        let status = person.says(json!({"do": "status"})).0;
        (status["orders"]["open"] == 0 && status["orders"]["unknown"] == 0).then_some(())
    });
    let out = output(bot4(state).args(["resume", "--reason", "a test"]));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    signal(&engine.0, "-INT");
    assert_eq!(engine.0.wait().expect("it ends").code(), Some(0));
    check_account(&report(&file));
    verified(state);
}

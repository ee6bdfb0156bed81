//! kill -9 of the whole engine, at random moments and at each system call of the journal and of the
//! sockets: the journal is sound and leads to its decisions, no order reached the venue without its
//! approval in a journal, none twice, the next start takes over and explains every fill, and the
//! account is exact at each start and each end ([`kills::account`]).
//!
//! `BOT4_KILLS` sets the number of random kills (default 20), `BOT4_KILL_SCENES` how many engines,
//! each at a venue of its own, they are shared between (2), `BOT4_KILL_CALLS` how many kills a
//! system call gets at most (default: that test prints what it skips).

mod common;
mod kills {
    pub mod account;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bot4_lanes::Clock;
use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use common::ready::trades;
use common::{
    Killed, bot4, can_trace, check_account, config, number, output, report, sleep, stderr, traced,
};
use kills::account::{self, Journals, VenueSays};
use serde_json::Value;

/// Longest life of an engine before it is killed, where nothing else is asked for; it trades after
/// about one second.
const LIFE_MS_MAX: u64 = 2_500;

/// Engines that one life of the venue sees: each connects some seven times.
const VENUE_LIFE: u64 = 25;

/// A venue that outlives the engines, and the folder of their runs.
struct Scene {
    state: tempfile::TempDir,
    toml: PathBuf,
    venue: Killed,
    listen: String,
    says: VenueSays,
    /// Journals that were checked, and what they say.
    checked: BTreeSet<PathBuf>,
    known: Journals,
}

/// What was seen over all kills.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    journals: u64,
    records: u64,
    left_open: u64,
    torn: u64,
    orders: u64,
    without_approval: u64,
    replayed: u64,
    /// Balances and positions that were compared, to the unit.
    amounts: u64,
    fills: u64,
    /// Fills that came when the engine was dead.
    unheard: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.journals += other.journals;
        self.records += other.records;
        self.left_open += other.left_open;
        self.torn += other.torn;
        self.orders += other.orders;
        self.without_approval += other.without_approval;
        self.replayed += other.replayed;
        self.amounts += other.amounts;
        self.fills += other.fills;
        self.unheard += other.unheard;
    }
}

impl Scene {
    fn new() -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (venue, endpoints) = venue_at(state.path(), "127.0.0.1:0");
        let listen = endpoints["market"].as_str().expect("a URL");
        let listen = listen.trim_start_matches("wss://").to_owned();
        let toml = state.path().join("trade.toml");
        let text = config(&endpoints, None) + "segment_mib = 1\n";
        std::fs::write(&toml, text).expect("written");
        let (says, checked, known) = Default::default();
        Self { state, toml, venue, listen, says, checked, known }
    }

    /// The venue dies and comes back: it has forgotten how often the engines connected, which it
    /// limits to 300 times in five minutes.
    fn restart_venue(&mut self) {
        self.venue.0.kill().expect("killed");
        self.venue.0.wait().expect("gone");
        self.says.read(&self.state.path().join("venue"));
        self.venue = venue_at(self.state.path(), &self.listen).0;
    }

    fn engine(&self, length: &str) -> Command {
        let mut command = bot4(self.state.path());
        command.args(["run", "--for", length, "--config"]).arg(&self.toml);
        command.stdout(Stdio::null());
        command
    }

    fn spawn(&self, ready: &Path) -> Child {
        let mut command = self.engine("60s");
        let errors = std::fs::File::create(self.errors()).expect("made");
        command.arg("--ready-file").arg(ready).stderr(errors);
        command.spawn().expect("it starts")
    }

    /// What the newest engine says.
    fn errors(&self) -> PathBuf {
        self.state.path().join("stderr.txt")
    }

    /// Journals of all runs that came so far, oldest first.
    fn journals(&self) -> Vec<PathBuf> {
        let runs = self.state.path().join("bot4/runs");
        let runs = std::fs::read_dir(runs).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = runs.map(|e| e.path().join("journal")).collect();
        found.retain(|journal| journal.join("00000001.b4j").exists());
        found.sort();
        found
    }

    /// What the killed run left, before the next start mends it.
    fn check_newest(&self, tally: &mut Tally) {
        if let Some(journal) = self.journals().last() {
            let verdict = self.verify(journal);
            tally.torn += u64::from(!verdict["torn_tail"].is_null());
            tally.left_open += u64::from(verdict["closed"] == false);
        }
    }

    /// Every journal since the last check is sound and leads to its decisions; every order of the
    /// venue has its approval in some journal; every account is exact.
    fn check(&mut self, tally: &mut Tally) {
        let journals = self.journals();
        let new: Vec<_> = journals.into_iter().filter(|j| self.checked.insert(j.clone())).collect();
        for journal in &new {
            let verdict = self.verify(journal);
            tally.journals += 1;
            tally.records += number(&verdict, "/records");
            self.known.add(journal);
            tally.replayed += u64::from(self.replays(journal));
        }
        self.says.read(&self.state.path().join("venue"));
        let seen = &self.says.orders;
        tally.orders = seen.len() as u64;
        let missing: Vec<_> =
            seen.keys().filter(|id| !self.known.approved.contains_key(*id)).collect();
        tally.without_approval = missing.len() as u64;
        assert!(missing.is_empty(), "orders without an approval in a journal: {missing:?}");
        for journal in &new {
            let compared = account::compare(journal, &self.says, &self.known);
            let seen = compared.unwrap_or_else(|wrong| panic!("{}: {wrong:#?}", journal.display()));
            tally.amounts += seen.amounts;
            tally.fills += seen.fills;
            tally.unheard += seen.unheard;
        }
    }

    /// A venue that says something else is found out: one trade less, one of another quantity.
    fn a_planted_difference_is_found(&self) {
        let newest = self.journals().pop().expect("a journal");
        let compare = |says: &VenueSays| account::compare(&newest, says, &self.known);
        let sound = compare(&self.says).expect("exact");
        assert!(sound.fills > 0, "{sound:?}");
        for which in [0, self.says.trades.len() - 1] {
            let key = self.says.trades.keys().nth(which).expect("a trade").clone();
            let mut says = self.says.clone();
            says.trades.remove(&key);
            assert!(compare(&says).is_err(), "without {key:?}");
            let mut says = self.says.clone();
            says.trades.get_mut(&key).expect("a trade").qty += 1;
            assert!(compare(&says).is_err(), "{key:?} a hundred-millionth larger");
        }
    }

    fn verify(&self, journal: &Path) -> Value {
        let out = output(bot4(self.state.path()).args(["journal", "verify"]).arg(journal));
        let verdict: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)));
        assert_eq!(verdict["intact"], true, "{verdict}");
        verdict
    }

    /// The journal leads to the decisions that it holds; one that died before its first decision
    /// has none.
    fn replays(&self, journal: &Path) -> bool {
        let run = journal.parent().expect("a run's folder");
        let out = output(bot4(self.state.path()).args(["replay", "--verify"]).arg(run));
        let text = stderr(&out);
        let empty = text.contains("no inputs") || text.contains("nothing to replay");
        assert!(out.status.success() || empty, "{}: {text}", run.display());
        out.status.success()
    }

    /// A run to its end over whatever the killed ones left: the account is exact.
    fn run_to_the_end(&self) -> Value {
        let file = self.state.path().join("report.json");
        let out = output(self.engine("3s").arg("--report").arg(&file));
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        let report = report(&file);
        check_account(&report);
        assert!(number(&report, "/orders/sent") > 0, "{report}");
        report
    }
}

fn venue_at(state: &Path, listen: &str) -> (Killed, Value) {
    let mut command = bot4(state);
    command.args(["venue", "--listen", listen, "--state"]).arg(state.join("venue"));
    common::started(&mut command)
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

fn percentile(sorted: &[u64], per_cent: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * per_cent / 100).min(last)).copied().unwrap_or(0)
}

/// Waits for `moment` after `start`, and notes when trading was allowed, as `ready` says.
fn live_until(clock: &Clock, start: Nanos, moment: Nanos, ready: &Path) -> Option<u64> {
    let mut ready_ms = None;
    while clock.now().since(start) < moment {
        if ready_ms.is_none() && trades(ready) {
            ready_ms = Some(clock.now().since(start).millis());
        }
        sleep(5);
    }
    ready_ms
}

/// The newest engine found nothing that only a person can explain.
fn check_takeover(scene: &Scene) {
    let text = std::fs::read_to_string(scene.errors()).unwrap_or_default();
    for wrong in ["a person must look", "is damaged", "cannot be told"] {
        assert!(!text.contains(wrong), "{text}");
    }
}

/// So many kills of engines at one venue; how long the starts took until trading, ms.
fn kill_at_random(kills: u64, seed: u64) -> (Tally, Vec<u64>) {
    let life_ms_max = from_env("BOT4_KILLS_LIFE_MS").unwrap_or(LIFE_MS_MAX);
    let mut scene = Scene::new();
    let clock = Clock::monotonic();
    let mut rng = SplitMix64::new(seed);
    let (mut tally, mut starts_ms) = (Tally::default(), Vec::new());
    for kill in 0..kills {
        let ready = scene.state.path().join(format!("ready-{kill}.json"));
        let start = clock.now();
        let mut engine = scene.spawn(&ready);
        let life = Nanos::from_millis(rng.below(life_ms_max));
        starts_ms.extend(live_until(&clock, start, life, &ready));
        engine.kill().expect("kill -9");
        let status = engine.wait().expect("ended");
        if status.code().is_some() {
            let why = std::fs::read_to_string(scene.errors()).unwrap_or_default();
            panic!("kill {kill}: it ended by itself: {status}: {why}");
        }
        tally.kills += 1;
        check_takeover(&scene);
        scene.check_newest(&mut tally);
        if kill % VENUE_LIFE == VENUE_LIFE - 1 {
            scene.check(&mut tally);
            println!("seed {seed}: {tally:?}");
            scene.restart_venue();
        }
    }
    scene.run_to_the_end();
    scene.check(&mut tally);
    scene.a_planted_difference_is_found();
    (tally, starts_ms)
}

#[test]
fn random_kills_lose_nothing_and_the_next_start_takes_over() {
    let kills = from_env("BOT4_KILLS").unwrap_or(20);
    let scenes = from_env("BOT4_KILL_SCENES").unwrap_or(2).max(1);
    let seed = from_env("BOT4_KILLS_SEED").unwrap_or(1);
    let (mut tally, mut starts_ms) = (Tally::default(), Vec::new());
    std::thread::scope(|scope| {
        let share = |n: u64| kills / scenes + u64::from(n < kills % scenes);
        let at_one = |n: u64| scope.spawn(move || kill_at_random(share(n), seed + n));
        let all: Vec<_> = (0..scenes).map(at_one).collect();
        for one in all {
            let (seen, starts) = one.join().expect("as it should be");
            tally.add(&seen);
            starts_ms.extend(starts);
        }
    });
    starts_ms.sort_unstable();
    println!(
        "{tally:?}; {} starts to trading allowed: p50 {} ms, p99 {} ms, max {} ms",
        starts_ms.len(),
        percentile(&starts_ms, 50),
        percentile(&starts_ms, 99),
        percentile(&starts_ms, 100),
    );
    assert!(tally.kills == kills && tally.orders > 0 && tally.without_approval == 0);
    assert!(tally.amounts > 0 && tally.fills > 0, "{tally:?}");
}

/// Kills at the `n`-th call of `call` by any one thread; false when the run ended before. Only
/// the journal's helpers call most of those of the disk; `openat` and `munmap` are also the main
/// thread's. Orders, cancels and pings leave by `writev`, and `sendto` on shutting down.
fn kill_at(scene: &Scene, call: &str, n: u64) -> bool {
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let mut command =
        traced(Path::new("/dev/null"), &["-e", &format!("trace={call}"), "-e", &inject]);
    command.args(scene.engine("2s").get_args());
    command.env("XDG_STATE_HOME", scene.state.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().expect("it ran");
    assert!(matches!(status.code(), None | Some(0)), "killed, or untouched: {status}");
    status.code().is_none()
}

/// Calls of `call` by the thread that made most of them, until trading was allowed.
fn calls_until_trading(scene: &Scene, call: &str) -> u64 {
    let (trace, ready) = (scene.state.path().join("trace"), scene.state.path().join("probe.json"));
    let _ = std::fs::remove_file(&ready);
    let mut command = traced(&trace, &["-e", &format!("trace={call}")]);
    command.args(scene.engine("2s").get_args()).arg("--ready-file").arg(&ready);
    command.env("XDG_STATE_HOME", scene.state.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().expect("it starts");
    while !trades(&ready) && run.try_wait().expect("asked").is_none() {
        sleep(2);
    }
    let seen = std::fs::read_to_string(&trace).unwrap_or_default();
    run.wait().expect("it ends");
    let mut by_thread: BTreeMap<&str, u64> = BTreeMap::new();
    for line in seen.lines().filter(|line| !line.contains(" resumed>")) {
        *by_thread.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    by_thread.into_values().max().unwrap_or(0)
}

#[test]
fn a_kill_at_each_system_call_of_the_journal_and_the_sockets() {
    let Some(most) = from_env("BOT4_KILL_CALLS") else {
        println!("skipped: BOT4_KILL_CALLS is not set");
        return;
    };
    if !can_trace() {
        return;
    }
    let mut scene = Scene::new();
    let (mut runs, mut tally) = (0, Tally::default());
    for call in [
        "fallocate",
        "ftruncate",
        "fsync",
        "fdatasync",
        "msync",
        "unlink",
        "rename",
        "munmap",
        "openat",
        "connect",
        "writev",
        "sendto",
        "recvmsg",
    ] {
        let before = calls_until_trading(&scene, call);
        runs += 1;
        let (mut kills, mut n, mut last) = (0, 1, 0);
        while kills < most && kill_at(&scene, call, n) {
            (kills, last) = (kills + 1, n);
            runs += 1;
            if runs % VENUE_LIFE == 0 {
                scene.check(&mut tally);
                scene.restart_venue();
            }
            // Every one until it trades, then wider.
            n += if n < before { 1 } else { 1 + n / 16 };
        }
        let end = if kills < most { "then a run passed untouched" } else { "the most" };
        println!(
            "{call}: {before} calls of one thread until trading; killed at {kills} places up to \
             call {last}, {end}; all of those until trading: {}",
            last >= before
        );
    }
    tally.kills = runs;
    scene.run_to_the_end();
    scene.check(&mut tally);
    println!("{tally:?}");
}

/// Everything below `folder`, directories too.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.extend(all_below(&entry.path()));
        found.push(entry.path());
    }
    found
}

/// The process id of the only child of `parent`, as the kernel lists it.
fn child_of(parent: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?.flatten();
    let children = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
    let listed: String = tasks.filter_map(|task| children(task).ok()).collect();
    listed.split_whitespace().next()?.parse().ok()
}

fn kill_9(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Waits up to half a minute.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let held = (0..600).any(|_| {
        sleep(50);
        holds()
    });
    assert!(held, "{what}");
}

#[test]
fn a_killed_run_leaves_nothing_of_its_embedded_venue() {
    let state = tempfile::tempdir().expect("a folder");
    let temporary = tempfile::tempdir().expect("a folder");
    let engine = |length: &str| {
        let mut command = bot4(state.path());
        command.args(["run", "--lanes", "2", "--for", length, "--config"]);
        command.arg(common::demo(state.path()));
        command.env("TMPDIR", temporary.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let shared_memory = || all_below(Path::new("/dev/shm")).iter().any(|p| is_ours(p));
    let folders = || {
        let all = all_below(&state.path().join("bot4/runs"));
        all.into_iter().filter(|p| p.ends_with("venue")).collect::<Vec<_>>()
    };
    for also_the_child in [false, true] {
        let mut run = Killed(engine("60s").spawn().expect("it starts"));
        let listens = || folders().iter().any(|venue| venue.join("ca.pem").exists());
        eventually("the venue is there", listens);
        sleep(1_500);
        let venue = child_of(run.0.id()).expect("the embedded venue");
        if also_the_child {
            kill_9(venue);
        }
        run.0.kill().expect("kill -9");
        run.0.wait().expect("ended");
        if also_the_child {
            assert_eq!(folders().len(), 1, "nobody was left to remove it");
        } else {
            eventually("the child ends and takes its folder along", || folders().is_empty());
            eventually("the child ends", || !Path::new(&format!("/proc/{venue}")).exists());
        }
        assert!(all_below(temporary.path()).is_empty(), "{:?}", all_below(temporary.path()));
        assert!(!shared_memory());
    }
    let last = output(&mut engine("1s"));
    assert_eq!(last.status.code(), Some(0));
    assert_eq!(folders(), Vec::<PathBuf>::new(), "swept at the start, its own removed at the end");
    // What stays of a killed run: its record, its journal, its counters and what it captured.
    for run in std::fs::read_dir(state.path().join("bot4/runs")).expect("runs").flatten() {
        assert!(run.path().join("run.json").exists(), "{:?}", all_below(&run.path()));
    }
}

/// Shared memory that names this program, but for the counters of killed engines, which the next
/// run sweeps.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("bot4") && !name.starts_with("bot4-counters-")
}

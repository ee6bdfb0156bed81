//! Observers cost the lanes nothing: `bot4 top` and `bot4 watch` beside an engine that trades,
//! killed and attached again, asked, and flooded with ten thousand connections.
//!
//! * System calls: counted by kind on the hot lane, without and with observers; work a message,
//!   looks a turn, no new kind ([`calls`]).
//! * Allocations: by the engine's sealed allocator; none of a hot agent, and wire's and execution's
//!   a message.
//! * Instructions: no PMU is needed. Observers hold the words mapped read only and have no other
//!   way in (here), so what a lane executes cannot depend on them; that it does not is counted to
//!   the instruction in the tests of the counters (`telemetry/tests/observed.rs`).
//! * The account: the report's own comparison, to zero.
//! * The watch itself: answers an honest client during and after the flood; memory and descriptors
//!   stay below a bound.
//! * Latency: medians of spans without and with, in turn; gated where four CPUs are free.
//!
//! "Ten thousand connections" are ten thousand completed handshakes, all open at the clients' end
//! at the same time as far as the limit of descriptors allows; the watch itself keeps 256.
//!
//! Longer and with other figures: `BOT4_OBSERVERS_PAIRS`, `BOT4_OBSERVERS_MS`,
//! `BOT4_OBSERVERS_CONNECTIONS`.
#![expect(clippy::disallowed_methods, reason = "clients of the test: sockets and the wall clock")]

mod calls;
pub mod flood;
mod latency;
mod readers;

use std::path::PathBuf;

use bot4_telemetry::hist::Counts;
use bot4_telemetry::shared::{Reader, Snapshot};

use crate::common::rig::Rig;
use crate::common::{number, sleep};
use crate::watch::{metric, stop};
use calls::{Span, Tracer, dearer};
use flood::{Flood, flood, rss_kib};
use latency::{Medians, STAGES};
use readers::{Readers, mappings};

/// An engine that trades, as its counters show it.
struct Engine {
    file: PathBuf,
    pid: u32,
    /// Thread ids of its hot lanes.
    lanes: Vec<u32>,
}

/// What the counters say at one time.
struct Look {
    snapshot: Snapshot,
    stages: Vec<Vec<Counts>>,
}

impl Engine {
    fn of(rig: &Rig) -> Self {
        let run = rig.status()["run"].as_str().expect("a run").to_owned();
        let file = PathBuf::from(format!("/dev/shm/bot4-counters-{run}"));
        let look = look(&file);
        let pid = look.snapshot.run.pid;
        let spinning = look.snapshot.lanes.iter().filter(|l| l.idle != "park");
        let lanes: Vec<_> = spinning.filter_map(|lane| thread(pid, &lane.name)).collect();
        assert!(!lanes.is_empty(), "{:?}", look.snapshot.lanes);
        Self { file, pid, lanes }
    }

    /// What the hot lanes do while `meanwhile` lasts, and how late they are. Nothing is mapped for
    /// it in between.
    fn span<T>(&self, trace: bool, meanwhile: impl FnOnce() -> T) -> (Span, Medians, T) {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("calls");
        let tracer = if trace { Tracer::start(&self.lanes, out) } else { None };
        let before = look(&self.file);
        let made = meanwhile();
        let after = look(&self.file);
        let calls = tracer.map(Tracer::end).map(|all| {
            let mut calls = calls::Calls::new();
            for (kind, n) in all.into_values().flatten() {
                let of = calls.entry(kind).or_default();
                (of.calls, of.errors) = (of.calls + n.calls, of.errors + n.errors);
            }
            calls
        });
        let (s, b) = (&after.snapshot, &before.snapshot);
        assert_eq!(s.memory.hot_allocations, 0, "hot agents allocate nothing");
        let span = Span {
            messages: messages(s) - messages(b),
            turns: turns(s) - turns(b),
            calls,
            io_allocations: s.memory.io_allocations - b.memory.io_allocations,
        };
        (span, Medians::between(&before.stages, &after.stages), made)
    }
}

fn look(file: &std::path::Path) -> Look {
    let reader = Reader::open(file).expect("counters");
    let snapshot = reader.snapshot().expect("it runs");
    Look { snapshot, stages: STAGES.iter().map(|tag| reader.histograms(tag)).collect() }
}

/// The thread of process `pid` that is called `name`; the kernel keeps fifteen bytes of it.
fn thread(pid: u32, name: &str) -> Option<u32> {
    let wanted = &name[..name.len().min(15)];
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let named = |task: &PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == wanted)
    };
    let path = tasks.map(|t| t.path()).find(named)?;
    path.file_name()?.to_str()?.parse().ok()
}

/// Messages that the engine has read, of every connection.
fn messages(s: &Snapshot) -> u64 {
    let of = |name: &str| s.counters.values().filter_map(|c| c.get(name)).sum::<u64>();
    s.market.messages + of("messages_private")
}

fn turns(s: &Snapshot) -> u64 {
    s.lanes.iter().filter(|l| l.idle != "park").map(|l| l.turns).sum()
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn observers_attached_killed_and_flooded_cost_the_lanes_nothing() {
    let rig = Rig::new();
    let mut process = rig.start("report.json");
    let engine = Engine::of(&rig);
    rig.until("it has warmed up", |_| look(&engine.file).snapshot.run.sealed);
    let pairs = env("BOT4_OBSERVERS_PAIRS", 2);
    let ms = env("BOT4_OBSERVERS_MS", 1_000);
    let (mut without, mut with, mut table) = (Vec::new(), Vec::new(), latency::Table::default());
    assert_eq!(mappings(engine.pid, &engine.file), ["rw-s"], "one writer");
    for _ in 0..pairs {
        without.push(engine.span(true, || sleep(ms)).0);
        table.without.push(engine.span(false, || sleep(ms)).1);
        let readers = Readers::attach(rig.state(), &engine.file);
        with.push(engine.span(true, || sleep(ms)).0);
        table.with.push(engine.span(false, || sleep(ms)).1);
        // Killed within a span, and attached again within it.
        let killed = || {
            assert!(readers.kill() > 0, "the scraper was answered");
            Readers::attach(rig.state(), &engine.file).kill();
        };
        with.push(engine.span(true, killed).0);
    }
    let connections = env("BOT4_OBSERVERS_CONNECTIONS", 10_000) as usize;
    let readers = Readers::attach(rig.state(), &engine.file);
    let (flooded, _, told) = engine.span(true, || {
        let before = rss_kib(readers.site.process.0.id());
        let flood = flood(&readers.site, connections);
        check_flood(&readers, &flood, before);
        flood
    });
    show("without", &without);
    show("with", &with);
    show("flooded", std::slice::from_ref(&flooded));
    println!("flood: {told}");
    with.push(flooded);
    assert_eq!(dearer(&without, &with), Vec::<String>::new());
    table.judge();
    readers.kill();
    let report = stop(&rig, &mut process);
    assert!(number(&report, "/orders/sent") > 20, "{report}");
    assert_eq!(number(&report, "/hot_allocations"), 0, "{report}");
}

/// Prints what was counted in each span.
fn show(name: &str, spans: &[Span]) {
    for s in spans {
        let counted = s.calls.as_ref().map_or("skipped: no perf".to_owned(), |_| {
            format!("{:.3} calls of work a message, {:.3} looks a turn", s.work(), s.looks())
        });
        println!(
            "{name}: {} messages, {} turns, {counted}, {} allocations of wire and execution",
            s.messages, s.turns, s.io_allocations
        );
    }
}

/// Most that a flood may add to the watch's memory, KiB, and most descriptors it may have.
const RSS_MORE_KIB: u64 = 48 * 1024;
const DESCRIPTORS_MAX: usize = 256 + 24;

fn check_flood(readers: &Readers, flood: &Flood, before_kib: u64) {
    // One text serves all who ask within a moment: it may be of before the last ones came.
    let all =
        |text: &String| metric(text, "bot4_watch_connections_total") >= flood.connections as f64;
    let mut texts = (0..300).map(|_| {
        sleep(100);
        readers.site.get("/metrics").1
    });
    let text = texts.find(all).expect("all are taken within half a minute");
    let of = |name: &str| metric(&text, name);
    assert!(of("bot4_watch_clients") <= 256.0 && of("bot4_watch_displaced_total") > 0.0, "{text}");
    assert_eq!(readers.site.state()["live"], true);
    assert!(flood.answered.len() > flood.unanswered, "most who speak are heard: {flood}");
    assert!(flood.trickled > 0, "{flood}");
    assert!(flood.rss_kib < before_kib + RSS_MORE_KIB, "{before_kib} KiB before: {flood}");
    assert!(flood.descriptors <= DESCRIPTORS_MAX, "{flood}");
}

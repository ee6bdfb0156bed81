//! The audit of a real process, in which one thing at a time is put wrong from outside.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bot4_host::audit::{Audit, Ready, ReadyLane};
use bot4_host::{CpuSet, Mode, Root, State, Waivers, latency};
use rustix::thread::{CpuSet as Mask, sched_setaffinity};

/// Tells the child to be the engine.
const CHILD: &str = "BOT4_HOST_TEST_ENGINE";
const WINDOW: Duration = Duration::from_millis(100);

fn mask(cpus: &[usize]) -> Mask {
    let mut mask = Mask::new();
    cpus.iter().for_each(|cpu| mask.set(*cpu));
    mask
}

/// CPUs of this process: one for the hot lane, one for everything else.
fn two_cpus() -> Option<(usize, usize)> {
    let root = Root::at(Path::new("/"));
    let cpus: Vec<usize> =
        root.cpus_of_field("/proc/self/status", "Cpus_allowed_list").iter().collect();
    match cpus.as_slice() {
        [first, .., last] => Some((*first, *last)),
        _ => None,
    }
}

/// In a child of the tests below alone: an engine with two lanes and a helper that wait.
#[test]
fn the_child_is_an_engine() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (rest, hot) = two_cpus().expect("two CPUs");
    // This thread, and the main one where that is another.
    for thread in [None, pid(std::process::id())] {
        sched_setaffinity(thread, &mask(&[rest])).expect("pinned");
    }
    for (name, cpu) in [("control", rest), ("risk", hot), ("journal-sync", rest)] {
        let body = move || {
            sched_setaffinity(None, &mask(&[cpu])).expect("pinned");
            let tid = rustix::thread::gettid().as_raw_nonzero();
            println!("{name} {tid}");
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new().name(name.into()).spawn(body).expect("started");
    }
    // Until the other end of the pipe closes.
    let _ = std::io::stdin().read_line(&mut String::new());
    std::process::exit(0);
}

struct Engine {
    child: Child,
    ready: Ready,
    helper: u32,
}

impl Engine {
    fn start() -> Option<Self> {
        let (rest, hot) = two_cpus()?;
        let exe = std::env::current_exe().expect("this binary");
        // Whatever runs the tests, an engine is an ordinary process.
        let mut child = Command::new("chrt")
            .args(["--other", "0"])
            .arg(exe)
            .args(["--exact", "audit::the_child_is_an_engine", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chrt runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut tids = std::collections::BTreeMap::new();
        while tids.len() < 3 {
            let line = lines.next().expect("three threads").expect("text");
            // The test harness says its own things on the same line.
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [.., name, tid] = words.as_slice()
                && let Ok(tid) = tid.parse::<u32>()
                && ["control", "risk", "journal-sync"].contains(name)
            {
                tids.insert((*name).to_owned(), tid);
            }
        }
        let lane = |name: &str, cpu, hot| ReadyLane {
            name: name.into(),
            tid: tids[name],
            cpu: Some(cpu),
            hot,
        };
        let lanes = vec![lane("control", rest, false), lane("risk", hot, true)];
        let ready = Ready { pid: child.id(), lanes, huge_pages: Some(0), cpu_dma_latency_us: None };
        Some(Self { helper: tids["journal-sync"], child, ready })
    }

    fn audit(&self) -> Audit {
        let root = Root::at(Path::new("/"));
        Audit::of(&root, &self.ready, WINDOW, Mode::Paper, &Waivers::default()).expect("an audit")
    }

    /// The findings that failed.
    fn failed(&self) -> Vec<&'static str> {
        let audit = self.audit();
        let failed = audit.findings.iter().filter(|f| f.state == State::Fail);
        let ids: Vec<_> = failed.map(|f| f.id).collect();
        assert_eq!(audit.summary().fail, ids.len());
        ids
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(tid: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(tid.cast_signed())
}

#[test]
fn each_injected_mistake_is_caught() {
    let Some(mut engine) = Engine::start() else {
        println!("skipped: the audit of helpers needs two CPUs");
        return;
    };
    let (rest, hot) = two_cpus().expect("two CPUs");
    let (control, risk) = (engine.ready.lanes[0].tid, engine.ready.lanes[1].tid);
    assert_eq!(engine.failed(), Vec::<&str>::new(), "{}", engine.audit().to_text());
    // A lane that may run elsewhere as well.
    sched_setaffinity(pid(risk), &mask(&[rest, hot])).expect("set");
    assert_eq!(engine.failed(), ["audit.mask"]);
    // One that is pinned, but not where it was planned.
    sched_setaffinity(pid(risk), &mask(&[rest])).expect("set");
    assert_eq!(engine.failed(), ["audit.mask"]);
    sched_setaffinity(pid(risk), &mask(&[hot])).expect("set");
    // A helper that may run where the hot lane does.
    sched_setaffinity(pid(engine.helper), &mask(&[rest, hot])).expect("set");
    assert_eq!(engine.failed(), ["audit.helpers"]);
    sched_setaffinity(pid(engine.helper), &mask(&[rest])).expect("set");
    // Another policy, on a lane and on a helper.
    for tid in [control, engine.helper] {
        let set = |policy: &str| {
            let set = Command::new("chrt").args([policy, "-p", "0", &tid.to_string()]).status();
            assert!(set.expect("chrt runs").success());
        };
        set("--batch");
        assert_eq!(engine.failed(), ["audit.policy"]);
        set("--other");
    }
    // Arenas that were to lie on huge pages and do not.
    engine.ready.huge_pages = Some(1);
    assert_eq!(engine.failed(), ["audit.huge_pages"]);
    engine.ready.huge_pages = Some(0);
    // Another name, and a thread that is not there.
    engine.ready.lanes[0].name = "telemetry".into();
    assert_eq!(engine.failed(), ["audit.name"]);
    engine.ready.lanes[0].name = "control".into();
    engine.ready.lanes[0].tid = u32::MAX >> 1;
    assert_eq!(engine.failed(), ["audit.lanes"]);
    engine.ready.lanes[0].tid = control;
    assert_eq!(engine.failed(), Vec::<&str>::new());
}

#[test]
fn who_keeps_the_cpus_awake_is_told() {
    let Some(mut engine) = Engine::start() else {
        println!("skipped: two CPUs are needed");
        return;
    };
    let root = Root::at(Path::new("/"));
    let found = |engine: &Engine| {
        let mut all = engine.audit().findings.into_iter();
        let of = all.find(|f| f.id == "audit.latency").expect("a finding");
        (of.state, of.found.found)
    };
    engine.ready.cpu_dma_latency_us = Some(0);
    if latency::holders(&root).is_empty() {
        assert_eq!(found(&engine).0, State::Warn, "asked for, and nobody holds it");
    }
    let Ok(hold) = latency::Hold::take(&root, 0) else {
        println!("skipped: this user may not hold the device");
        return;
    };
    let (state, told) = found(&engine);
    let own = format!("({})", std::process::id());
    assert!(state == State::Ok && told.contains(&own), "{told}");
    drop(hold);
}

#[test]
fn an_engine_that_ended_is_told() {
    let ready =
        Ready { pid: u32::MAX >> 1, lanes: Vec::new(), huge_pages: None, cpu_dma_latency_us: None };
    let root = Root::at(Path::new("/"));
    let audit = Audit::of(&root, &ready, WINDOW, Mode::Paper, &Waivers::default());
    assert!(audit.expect_err("gone").contains("is gone"));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ready.json");
    assert!(Ready::read(&file).expect_err("no file").contains("ready.json"));
    let text = r#"{"pid":7,"lanes":[{"name":"risk","tid":8,"cpu":3}],"trading_after_ms":4}"#;
    std::fs::write(&file, text).expect("written");
    let ready = Ready::read(&file).expect("a ready file");
    assert!(ready.lanes[0].hot, "a lane of which nothing is said is hot");
    assert_eq!(ready.hot(), CpuSet::of_list("3"));
}

//! A disk that fills, is full, or fails under the running engine: no new risk, everything
//! cancelled, the journal sound, exit 79.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::ready::{until_it_trades, until_lanes_run};
use crate::common::{self, bot4, can_trace, number, output, report, sleep, stderr, traced};
use bot4::run::disk::used_pct;
use bot4_journal::segment::Header;
use serde_json::Value;

const MIB: usize = 1024 * 1024;

/// A small file system in memory, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mounted(mib: usize) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path());
        let mounted = mount.stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|s| s.success()) {
            println!("skipped: a small tmpfs cannot be mounted (this needs root)");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts ballast on it until it is `pct` per cent full.
    fn fill_to(&self, pct: u32) {
        let file = std::fs::File::create(self.path().join(format!("to-{pct}"))).expect("created");
        while used_pct(self.path()).expect("mounted") < pct {
            std::io::Write::write_all(&mut &file, &[1; MIB / 16]).expect("written");
        }
    }

    /// Puts `mib` more of ballast on it, or as much as there is room for.
    fn fill(&self, mib: usize) {
        let name = format!("ballast-{}", std::fs::read_dir(self.path()).expect("list").count());
        let file = std::fs::File::create(self.path().join(name)).expect("created");
        for _ in 0..mib * 16 {
            if std::io::Write::write_all(&mut &file, &[1; MIB / 16]).is_err() {
                return;
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

struct Scene {
    state: tempfile::TempDir,
    journals: PathBuf,
}

impl Scene {
    fn new(journals: &Path) -> Self {
        Self { state: tempfile::tempdir().expect("a folder"), journals: journals.to_owned() }
    }

    /// The demo with short segments and its journals on the disk at hand.
    fn config(&self, stop_pct: u32) -> PathBuf {
        let demo = include_str!("../../../deploy/config/demo.toml");
        let toml = demo
            .replace("segment_mib = 16 ", "segment_mib = 1 ")
            .replace("stall_max = \"250ms\"", "stall_max = \"30s\"")
            .replace("disk_stop_pct = 95 ", &format!("disk_stop_pct = {stop_pct} "))
            .replace("# dir = \"journal\"", &format!("dir = \"{}\"", self.journals.display()));
        let path = self.state.path().join("trade.toml");
        std::fs::write(&path, toml).expect("written");
        path
    }

    fn report(&self) -> PathBuf {
        self.state.path().join("report.json")
    }

    fn ready(&self) -> PathBuf {
        self.state.path().join("ready.json")
    }

    fn args(&self, command: &mut Command, length: &str, stop_pct: u32) {
        command.args(["run", "--for", length, "--lanes", "2", "--config"]);
        command.arg(self.config(stop_pct)).arg("--report").arg(self.report());
        command.env("XDG_STATE_HOME", self.state.path());
    }

    fn spawn(&self, length: &str, stop_pct: u32) -> Child {
        let mut command = bot4(self.state.path());
        self.args(&mut command, length, stop_pct);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    /// An engine whose lanes all run.
    fn running(&self, length: &str, stop_pct: u32) -> Child {
        let ready = self.ready();
        let mut command = bot4(self.state.path());
        self.args(&mut command, length, stop_pct);
        command.arg("--ready-file").arg(&ready).stdout(Stdio::null()).stderr(Stdio::piped());
        let engine = command.spawn().expect("it starts");
        until_lanes_run(&ready);
        engine
    }

    /// The newest journal's folder.
    fn journal(&self) -> PathBuf {
        let runs = std::fs::read_dir(&self.journals).expect("listed").flatten();
        let mut runs: Vec<_> = runs.map(|e| e.path()).filter(|p| p.is_dir()).collect();
        runs.sort();
        runs.pop().expect("a journal")
    }

    fn verified(&self) -> Value {
        let out = output(bot4(self.state.path()).args(["journal", "verify"]).arg(self.journal()));
        let verdict: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        assert_eq!(verdict["intact"], true, "{verdict}");
        verdict
    }

    /// Orders approved before, during and after the pause, by risk's own records.
    fn approved_around_the_pause(&self) -> (u64, u64, u64) {
        let out = output(bot4(self.state.path()).args(["journal", "dump"]).arg(self.journal()));
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        let (mut counts, mut at) = ([0; 3], 0);
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            match record["kind"].as_str() {
                // A change of the control word as risk saw it; 3 is the pause.
                Some("control") if record["lane"] == 0 => {
                    at = if record["body"].to_string().contains("03") { 1 } else { at.min(1) * 2 };
                }
                Some("approved") if record["body"]["action"] == "place" => counts[at] += 1,
                _ => {}
            }
        }
        (counts[0], counts[1], counts[2])
    }

    /// Nothing is open, nothing unknown, the account is exact.
    fn check_safe(&self) -> Value {
        let report = report(&self.report());
        for zero in [
            "/orders/open_at_end",
            "/orders/unknown",
            "/reconcile/orders_differ",
            "/reconcile/positions_differ",
            "/reconcile/balances_differ",
            "/journal/lost",
        ] {
            assert_eq!(number(&report, zero), 0, "{zero} in {report}");
        }
        assert!(number(&report, "/orders/sent") > 0, "{report}");
        report
    }
}

/// The run folders below `state`, oldest first.
fn run_folders(state: &Path) -> Vec<PathBuf> {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    let mut runs: Vec<_> = runs.map(|e| e.path()).collect();
    runs.sort();
    runs
}

#[test]
fn old_journals_go_while_a_run_lasts() {
    let state = tempfile::tempdir().expect("a folder");
    let demo = include_str!("../../../deploy/config/demo.toml");
    let toml = state.path().join("trade.toml");
    let text = demo
        .replace("segment_mib = 16 ", "segment_mib = 1 ")
        .replace("keep_mib = 16384", "keep_mib = 0")
        .replace("stall_max = \"250ms\"", "stall_max = \"30s\"");
    std::fs::write(&toml, text).expect("written");
    let run = |length: &str| {
        let mut command = bot4(state.path());
        command.args(["run", "--lanes", "2", "--for", length, "--config"]).arg(&toml);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(run("1s").status().expect("it ran").success());
    let old = run_folders(state.path()).pop().expect("a run");
    // Out of the way of the start, which would remove its journal at once.
    let aside = state.path().join("aside");
    std::fs::rename(&old, &aside).expect("moved");
    let ready = state.path().join("ready.json");
    let mut command = run("5m");
    let engine = command.arg("--ready-file").arg(&ready).spawn().expect("it starts");
    let _engine = common::Killed(engine);
    until_lanes_run(&ready);
    std::fs::rename(&aside, &old).expect("moved back");
    assert!(old.join("journal/00000001.b4j").exists());
    (0..1_200).take_while(|_| old.join("journal").exists()).for_each(|_| sleep(100));
    assert!(!old.join("journal").exists(), "removed at a new segment");
    assert!(old.join("report.json").exists(), "the rest stays");
    let own = run_folders(state.path()).pop().expect("the run");
    assert!(own != old && own.join("journal/00000001.b4j").exists(), "its own stays");
}

fn ended(child: Child) -> (Option<i32>, String) {
    let out = child.wait_with_output().expect("it ends by itself");
    (out.status.code(), stderr(&out))
}

#[test]
fn a_filling_disk_is_warned_of_then_pauses_new_orders_and_heals() {
    let Some(disk) = SmallDisk::mounted(80) else { return };
    let scene = Scene::new(disk.path());
    let engine = scene.running("10s", 95);
    until_it_trades(&scene.ready());
    sleep(2_000);
    disk.fill_to(82);
    sleep(1_000);
    disk.fill_to(97);
    sleep(2_000);
    std::fs::remove_file(disk.path().join("to-97")).expect("removed");
    let (code, error) = ended(engine);
    assert_eq!(code, Some(0), "{error}");
    let told = ["disk is 8", "% full: no new orders", "disk is 8"];
    let mut rest = error.as_str();
    for news in told {
        let at = rest.find(news).unwrap_or_else(|| panic!("`{news}` of {told:?} in {error}"));
        rest = &rest[at + news.len()..];
    }
    scene.check_safe();
    assert_eq!(scene.verified()["clean"], true);
    let (before, paused, after) = scene.approved_around_the_pause();
    assert_eq!(paused, 0, "approved while paused; {before} before, {after} after");
    assert!(before > 0 && after > 0, "{before} before, {after} after");
    // And a start on a full disk says at once that it would be pointless.
    disk.fill_to(96);
    let (code, error) = ended(scene.spawn("2s", 95));
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("full") && error.contains("help"), "{error}");
}

#[test]
fn a_disk_that_is_full_at_once_halts_the_engine_at_any_moment() {
    let Some(disk) = SmallDisk::mounted(24) else { return };
    for moment_ms in [800, 1_500, 4_000] {
        let scene = Scene::new(disk.path());
        let engine = scene.running("120s", 100);
        sleep(moment_ms);
        disk.fill(64);
        let (code, error) = ended(engine);
        assert_eq!(code, Some(79), "after {moment_ms} ms: {error}");
        assert!(error.contains("broken promise: journal: make a segment"), "{error}");
        scene.check_safe();
        let verdict = scene.verified();
        assert_eq!(verdict["clean"], true, "the rest and the reserve were enough: {verdict}");
        for file in std::fs::read_dir(disk.path()).expect("listed").flatten() {
            let path = file.path();
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
}

/// A number as strace writes it.
fn hex(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The calls in strace's output, each where it began: the line of one during which another thread
/// called is split in two.
fn calls(trace: &str) -> Vec<String> {
    let (mut calls, mut begun) = (Vec::<String>::new(), BTreeMap::new());
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or(("", line));
        let call = call.trim();
        if let Some(head) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, calls.len());
            calls.push(head.to_owned());
        } else if let Some((_, rest)) = call.split_once(" resumed>") {
            let Some(at) = begun.remove(thread) else { continue };
            calls[at].push_str(rest);
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

/// In strace's output: the part whose sync failed is never synced again while it is mapped.
fn never_retried(trace: &str) -> usize {
    let mut failed: Vec<u64> = Vec::new();
    let mut failures = 0;
    for line in calls(trace) {
        let Some((call, rest)) = line.split_once('(') else { continue };
        let mut numbers = rest.split([')', ',']).map_while(hex);
        let (Some(start), Some(bytes)) = (numbers.next(), numbers.next()) else { continue };
        match call {
            "munmap" => failed.retain(|at| !(start..start + bytes).contains(at)),
            "msync" => {
                let again = failed.iter().any(|at| (start..start + bytes).contains(at));
                assert!(!again, "synced again: {line}");
                if rest.contains("EIO") {
                    failures += 1;
                    failed.push(start);
                }
            }
            _ => {}
        }
    }
    failures
}

/// The options that make a sync of a segment in use fail: the one of this number, or from it on.
fn failing_sync(number: &str) -> [String; 5] {
    let inject = format!("inject=msync:error=EIO:when={number}");
    ["--seccomp-bpf", "-e", "trace=msync,munmap", "-e", &inject].map(str::to_owned)
}

#[test]
fn a_failed_sync_halts_the_engine_and_is_never_tried_again() {
    if !can_trace() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for failing in ["20", "100", "150+"] {
        let scene = Scene::new(&folder.path().join("journals"));
        std::fs::create_dir_all(&scene.journals).expect("made");
        let trace = scene.state.path().join("trace");
        let options = failing_sync(failing);
        let mut command = traced(&trace, &options.each_ref().map(String::as_str));
        scene.args(&mut command, "60s", 95);
        let out = output(command.stdout(Stdio::null()));
        let error = stderr(&out);
        assert_eq!(out.status.code(), Some(79), "at {failing}: {error}");
        assert!(error.contains("journal: sync the journal"), "{error}");
        scene.check_safe();
        let verdict = scene.verified();
        let text = std::fs::read_to_string(&trace).expect("strace's output");
        assert!(never_retried(&text) >= 1, "the fault was met");
        let segments = number(&verdict, "/segments");
        assert!(segments >= 2, "at {failing} it went on in a new segment: {verdict}\n{text}");
    }
}

/// Loses what the disk of the failed segment never took, as a reboot would. The number of records
/// that were readable there.
fn lose_unsynced(state: &Path, journal: &Path) -> u64 {
    let verify = || -> Value {
        let out = output(bot4(state).args(["journal", "verify"]).arg(journal));
        serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)))
    };
    let before = verify();
    let files = std::fs::read_dir(journal).expect("a journal").flatten().map(|e| e.path());
    // The one behind it may be the reserve, which keeps its name.
    let noted = files.filter(|p| p.extension().is_some_and(|e| e == "b4j")).filter_map(|path| {
        let header = Header::decode(&std::fs::read(path).expect("a segment")).ok()?;
        Some((header.index - 1, header.previous_synced?))
    });
    let (index, offset) = noted.min().expect("some header has the note");
    let path = journal.join(format!("{index:08}.b4j"));
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[offset as usize..].fill(0);
    std::fs::write(&path, bytes).expect("written");
    let after = verify();
    assert!(after["intact"] == true && after["clean"] == false, "{after}");
    let lost = number(&before, "/unsynced/records");
    assert_eq!(number(&before, "/records") - number(&after, "/records"), lost, "{after}");
    assert_eq!(number(&after, "/unsynced/records"), 0, "{after}");
    lost
}

#[test]
fn the_start_after_a_failed_sync_relies_on_what_was_synced_and_trades() {
    if !can_trace() {
        return;
    }
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = common::venue(state.path(), "127.0.0.1:0");
    let toml = state.path().join("trade.toml");
    let text = common::config(&endpoints, None);
    std::fs::write(&toml, text).expect("written");
    let options = failing_sync("100");
    let nowhere = Path::new("/dev/null");
    let mut command = traced(nowhere, &options.each_ref().map(String::as_str));
    command.args(["run", "--for", "60s", "--config"]).arg(&toml);
    command.env("XDG_STATE_HOME", state.path()).stdout(Stdio::null());
    let out = output(&mut command);
    assert_eq!(out.status.code(), Some(79), "{}", stderr(&out));
    let runs = || {
        let runs = std::fs::read_dir(state.path().join("bot4/runs")).expect("runs").flatten();
        let mut runs: Vec<_> = runs.map(|e| e.path()).collect();
        runs.sort();
        runs
    };
    let failed = runs().pop().expect("a run");
    assert!(!failed.join("closed.json").exists());
    let lost = lose_unsynced(state.path(), &failed.join("journal"));
    assert!(lost > 0, "something was behind the failed sync");

    let file = state.path().join("report.json");
    let mut next = bot4(state.path());
    next.args(["run", "--for", "3s", "--config"]).arg(&toml).arg("--report").arg(&file);
    let out = output(next.stdout(Stdio::null()));
    let error = stderr(&out);
    assert_eq!(out.status.code(), Some(0), "{error}");
    assert!(error.contains("a sync of the journal of run"), "{error}");
    assert!(failed.join("reconciled.json").exists(), "{error}");
    common::check_account(&report(&file));
    assert!(number(&report(&file), "/orders/sent") > 0, "it trades");
    let fresh = runs().pop().expect("a run");
    assert!(fresh != failed && fresh.join("journal/00000001.b4j").exists(), "its own segments");
}

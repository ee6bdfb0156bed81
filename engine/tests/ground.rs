//! The ground under the agents: threads, memory and time as promised, on the whole machine.

mod common;

use common::ready::until_lanes_run;
use common::{bot4, check_account, number, output, report, signal, sleep, stderr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use bot4_alloc::Pressure;

/// One engine at a time: two CPUs must be enough.
static ONE: Mutex<()> = Mutex::new(());

const COMPUTE: [&str; 6] = ["parse.0", "parse.1", "book.0", "book.1", "signal", "risk"];

#[test]
fn compute_lanes_make_no_system_call_and_no_page_fault() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let state = tempfile::tempdir().expect("a folder");
    let file = state.path().join("report.json");
    let out = output(
        bot4(state.path())
            .args(["run", "--for", "5s", "--lanes", "12", "--seccomp-compute", "--report"])
            .arg(&file)
            .arg("--config")
            .arg(common::demo(state.path())),
    );
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let report = report(&file);
    check_account(&report);
    assert!(number(&report, "/orders/sent") > 0, "{report}");
    let lanes = report["lanes"].as_array().expect("lanes");
    for name in COMPUTE {
        let lane = lanes.iter().find(|l| l["name"] == name).expect("a lane of its own");
        for zero in ["/minor_faults_after_seal", "/major_faults_after_seal", "/forbidden_syscalls"]
        {
            assert_eq!(number(lane, zero), 0, "{zero} of {lane}");
        }
        assert!(number(lane, "/gap_ns_max") > 0 && number(lane, "/turn_ns_max") > 0, "{lane}");
    }
}

fn engine(state: &Path, lanes: &str, length: &str) -> Child {
    spawn(&mut bot4(state), state, lanes, length)
}

/// Starts an engine that tells its errors in the file `stderr`.
fn spawn(command: &mut Command, state: &Path, lanes: &str, length: &str) -> Child {
    command
        .args(["run", "--for", length, "--lanes", lanes, "--report"])
        .arg(state.join("report.json"))
        .arg("--config")
        .arg(common::demo(state))
        .arg("--ready-file")
        .arg(state.join("ready.json"))
        .stdout(Stdio::null())
        .stderr(Stdio::from(std::fs::File::create(state.join("stderr")).expect("a file")))
        .spawn()
        .expect("it starts")
}

/// A group of the freezer controller for one thread; thawed and removed at the end.
struct Freezer(std::path::PathBuf);

impl Freezer {
    fn new() -> Option<Self> {
        let path = format!("/sys/fs/cgroup/freezer/bot4-test-{}", std::process::id());
        match std::fs::create_dir(&path) {
            Ok(()) if Path::new(&path).join("freezer.state").exists() => Some(Self(path.into())),
            other => {
                println!("skipped: no freezer controller for one thread ({other:?})");
                let _ = std::fs::remove_dir(&path);
                None
            }
        }
    }

    fn set(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("a write to the freezer");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("freezer.state"), "THAWED");
        for _ in 0..50 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            sleep(20);
        }
    }
}

/// What a service manager was told: at a socket of its own, as `NOTIFY_SOCKET` names it.
struct Manager(std::os::unix::net::UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = std::os::unix::net::UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("set");
        Self(socket)
    }

    /// Everything that came within `ms`, or until `word` came.
    fn hear(&self, ms: u64, word: &str) -> String {
        let (mut told, mut bytes) = (String::new(), [0; 512]);
        let until = bot4_lanes::Clock::monotonic();
        let from = until.now();
        while until.now().since(from).millis() < ms && !told.contains(word) {
            if let Ok(n) = self.0.recv(&mut bytes) {
                told.push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        }
        told
    }
}

/// Ready when it trades, alive while every lane turns, ending when it ends. A lane that hangs, a
/// cold one whose silence halts nothing, keeps the word of life away, and nothing else does.
#[test]
fn a_service_manager_hears_of_life_while_every_lane_turns() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(freezer) = Freezer::new() else { return };
    let state = tempfile::tempdir().expect("a folder");
    let socket = state.path().join("notify");
    let manager = Manager::at(&socket);
    let mut command = bot4(state.path());
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "900000");
    let mut child = spawn(&mut command, state.path(), "12", "60s");
    let told = manager.hear(60_000, "READY=1");
    assert!(told.contains("READY=1"), "{told}");
    assert!(manager.hear(5_000, "WATCHDOG=1").contains("WATCHDOG=1"), "it is fed");
    let lanes = until_lanes_run(&state.path().join("ready.json"));
    let lanes = lanes["lanes"].as_array().expect("lanes");
    let lane = lanes.iter().find(|l| l["name"] == "telemetry").expect("a telemetry lane");
    freezer.set("tasks", &lane["tid"].to_string());
    freezer.set("freezer.state", "FROZEN");
    // A lane is fresh for a second; what is on the way then, comes.
    manager.hear(2_500, "never said");
    assert_eq!(manager.hear(1_500, "WATCHDOG=1"), "", "one lane hangs");
    freezer.set("freezer.state", "THAWED");
    assert!(manager.hear(5_000, "WATCHDOG=1").contains("WATCHDOG=1"), "it turns again");
    signal(&child, "-TERM");
    assert!(manager.hear(10_000, "STOPPING=1").contains("STOPPING=1"), "the end is told");
    let status = child.wait().expect("it ends");
    let told = std::fs::read_to_string(state.path().join("stderr")).unwrap_or_default();
    assert!(matches!(status.code(), Some(0 | 1)), "{status}: {told}");
}

/// The kernel stops one thread while the others run, as a hanging agent would: the engine halts,
/// nothing stays open, and the code is 79.
#[test]
fn a_lane_that_hangs_is_a_safety_halt() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(freezer) = Freezer::new() else { return };
    let state = tempfile::tempdir().expect("a folder");
    let mut child = engine(state.path(), "12", "60s");
    let ready = until_lanes_run(&state.path().join("ready.json"));
    sleep(4_000);
    let lanes = ready["lanes"].as_array().expect("lanes");
    let lane = lanes.iter().find(|l| l["name"] == "book.0").expect("a book lane");
    freezer.set("tasks", &lane["tid"].to_string());
    freezer.set("freezer.state", "FROZEN");
    let told = || std::fs::read_to_string(state.path().join("stderr")).unwrap_or_default();
    // The report is written when the machine is down: then the frozen thread may die.
    for _ in 0..400 {
        if state.path().join("report.json").exists() {
            break;
        }
        sleep(50);
    }
    sleep(300);
    freezer.set("freezer.state", "THAWED");
    let status = child.wait().expect("it ends");
    let text = told();
    assert_eq!(status.code(), Some(79), "{text}");
    assert!(text.contains("lane book.0 has not turned for"), "{text}");
    assert!(text.contains("lane book.0 hangs and does not stop"), "{text}");
    let report = report(&state.path().join("report.json"));
    assert!(number(&report, "/orders/sent") > 0, "{report}");
    for zero in ["/orders/open_at_end", "/orders/unknown", "/reconcile/balances_differ"] {
        assert_eq!(number(&report, zero), 0, "{zero} in {report}");
    }
}

/// The whole process stands still for two seconds: no lane hangs, the run goes on.
#[test]
fn a_suspended_process_is_not_a_stall() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let state = tempfile::tempdir().expect("a folder");
    let mut child = engine(state.path(), "12", "8s");
    until_lanes_run(&state.path().join("ready.json"));
    sleep(3_000);
    signal(&child, "-STOP");
    sleep(2_000);
    signal(&child, "-CONT");
    let status = child.wait().expect("it ends");
    let text = std::fs::read_to_string(state.path().join("stderr")).expect("text");
    assert!(!text.contains("has not turned"), "{text}");
    assert_eq!(status.code(), Some(0), "{text}");
    check_account(&report(&state.path().join("report.json")));
}

/// A memory group of its own, removed at the end.
struct MemoryGroup(std::path::PathBuf);

impl MemoryGroup {
    fn new() -> Option<Self> {
        let path = format!("/sys/fs/cgroup/memory/bot4-ground-{}", std::process::id());
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Self(path.into())),
            Err(e) => {
                println!("skipped: needs root and the memory controller (v1): {e}");
                None
            }
        }
    }

    /// Sets the limit so that what is used now is `percent` of it.
    fn press(&self, percent: u64) {
        let used = Pressure::of_group(&self.0).read().used;
        self.limit(used * 100 / percent);
    }

    fn limit(&self, bytes: u64) {
        std::fs::write(self.0.join("memory.limit_in_bytes"), bytes.to_string()).expect("a limit");
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            sleep(20);
        }
    }
}

/// New orders pause at 90 % and go on when the pressure falls; at 95 % the run ends, everything
/// cancelled, the account exact.
#[test]
fn short_memory_pauses_new_orders_and_running_out_ends_the_run() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(group) = MemoryGroup::new() else { return };
    let state = tempfile::tempdir().expect("a folder");
    group.limit(8 << 30);
    // The shell moves itself into the group, so the engine is born there, its venue with it.
    let enter = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", group.0.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &enter, env!("CARGO_BIN_EXE_bot4")]).env("XDG_STATE_HOME", state.path());
    let mut child = common::Killed(spawn(&mut shell, state.path(), "2", "60s"));
    until_lanes_run(&state.path().join("ready.json"));
    sleep(4_000);
    let told = |what: &str| {
        let file = state.path().join("stderr");
        for _ in 0..200 {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if text.contains(what) {
                return;
            }
            sleep(50);
        }
        panic!("{what} in {}", std::fs::read_to_string(&file).unwrap_or_default());
    };
    group.press(92);
    told("no new orders until it eases");
    sleep(1_500);
    group.limit(8 << 30);
    told("memory is fine again");
    sleep(1_500);
    group.press(97);
    told("memory runs out");
    let status = child.0.wait().expect("it ends");
    let text = std::fs::read_to_string(state.path().join("stderr")).expect("text");
    assert_eq!(status.code(), Some(79), "{text}");
    let report = report(&state.path().join("report.json"));
    check_account(&report);
    assert!(number(&report, "/orders/sent") > 0, "{report}");
    let phases = phases_and_approvals(state.path());
    // Trades, pauses (and withdraws what rests, if anything does), trades again, ends.
    // On the way to 95 % the watch may see 90 % first: a pause of its own before the end.
    let lives = ["A3C0A1", "A30A1", "A3C0A31", "A30A31", "A3C0A3C1", "A30A3C1"];
    assert!(lives.iter().any(|life| phases.contains(life)), "{phases}");
}

/// What risk's journal says, in order and without repetition: `A` and `C` for approved orders and
/// cancels, digits for the control word (0 run, 1 drain, 3 pause).
fn phases_and_approvals(state: &Path) -> String {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs");
    let run = runs.flatten().next().expect("one run").path();
    let dump = output(bot4(state).args(["journal", "dump"]).arg(run.join("journal")));
    let mut told = String::new();
    for line in String::from_utf8_lossy(&dump.stdout).lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let word = match record["kind"].as_str() {
            Some("approved") if record["body"]["action"] == "cancel" => 'C',
            Some("approved") => 'A',
            Some("control") => record["body"]["hex"].as_str().expect("hex").as_bytes()[1] as char,
            _ => continue,
        };
        // Cancels of ordinary quoting are not of interest.
        let paused = told.ends_with('3');
        if !told.ends_with(word) && (word != 'C' || paused) {
            told.push(word);
        }
    }
    told
}

/// What the host cannot grant is refused before anything starts, with a mend.
#[test]
fn lanes_that_would_share_are_refused_on_request() {
    let state = tempfile::tempdir().expect("a folder");
    let demo = include_str!("../../deploy/config/demo.toml");
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    if allowed >= 12 {
        println!("skipped: twelve lanes do not share CPUs here");
        return;
    }
    for (line, name) in [("exclusive_cores = true", "exclusive_cores"), ("idle = \"spin\"", "idle")]
    {
        let config = state.path().join("trade.toml");
        let text = demo.replacen("[run]\n", &format!("[run]\n{line}\n"), 1);
        std::fs::write(&config, text).expect("written");
        for command in ["check", "run"] {
            let out = output(
                bot4(state.path()).args([command, "--lanes", "12", "--config"]).arg(&config),
            );
            let error = stderr(&out);
            assert_eq!(out.status.code(), Some(2), "{error}");
            assert!(error.contains(name) && error.contains("help:"), "{error}");
        }
    }
}

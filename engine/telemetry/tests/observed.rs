//! What a lane executes does not depend on who reads its words: counted to the instruction.
//!
//! Machines without counters in hardware have callgrind. A child writes as lanes do (counters,
//! histograms, a block) into a file of counters, once alone and once while two readers look at it
//! as fast as they can. The instructions of the writing are counted and nothing else of the child,
//! so the two figures are equal or the test fails. The negative control is a child that looks
//! whether it is read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bot4_lanes::block::Block;
use bot4_lanes::metrics::Histogram;
use bot4_lanes::{Clock, Control, Counters, Metrics};
use bot4_telemetry::shared::{Plate, Publisher, Reader};

/// Set in the child: the folder.
const CHILD: &str = "BOT4_OBSERVED_CHILD";
/// Set in the child that does what no lane may.
const PLANTED: &str = "BOT4_OBSERVED_PLANTED";
/// Messages that the child counts.
const MESSAGES: u64 = 50_000;
const NAMES: &[&str] = &["messages", "bytes", "depth"];

/// The words of a lane.
struct Lane {
    counters: Counters,
    latency: Histogram,
    book: Block,
}

/// What lanes write for a message. Never inlined: callgrind counts what happens in it.
#[inline(never)]
fn written_by_a_lane(lane: &Lane, readers: Option<&Path>) {
    for n in 0..MESSAGES {
        lane.counters.add(0, 1);
        lane.counters.add(1, 100 + n % 64);
        lane.counters.set(2, n % 8);
        lane.latency.record(n * 37 % 100_000);
        if n % 16 == 0 {
            lane.book.write(&[n; 40]);
        }
        if n % 1_000 == 0 && readers.is_some_and(Path::exists) {
            lane.counters.add(2, 1);
        }
    }
}

/// A test that does nothing when the parent did not ask for it.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let metrics = Metrics::at(&folder.join("counters")).expect("a file");
    let (clock, control) = (Clock::monotonic(), Control::new());
    let mut publisher = Publisher::new(metrics.clone(), Plate::default(), clock.clone(), control);
    let lane = Lane {
        counters: metrics.counters("wire.0", NAMES),
        latency: metrics.histogram("parse"),
        book: metrics.block("book.0", "BTCUSDT", 40),
    };
    publisher.begin(clock.now()).expect("room");
    println!("\nready");
    std::io::stdin().read_line(&mut String::new()).expect("a parent");
    let readers = folder.join("readers");
    let planted = std::env::var_os(PLANTED).is_some();
    written_by_a_lane(&lane, planted.then_some(readers.as_path()));
    println!("\nwritten");
    std::io::stdin().read_line(&mut String::new()).expect("a parent");
}

/// Looks of both readers while the child wrote.
static LOOKS: AtomicU64 = AtomicU64::new(0);

/// Instructions of [`written_by_a_lane`] in a child, with two readers or none.
fn instructions(observed: bool, planted: bool) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--toggle-collect=*written_by_a_lane*"]);
    command.arg(format!("--callgrind-out-file={}", folder.path().join("counts").display()));
    command.arg(std::env::current_exe().expect("this test"));
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    if planted {
        command.env(PLANTED, "1");
    }
    let mut child = command.stderr(Stdio::null()).spawn().expect("valgrind runs");
    let mut says = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut hears = |word: &str| {
        let found = lines.by_ref().map(|l| l.expect("text")).any(|line| line == word);
        assert!(found, "the child said {word}");
    };
    hears("ready");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let path = folder.path().join("counters");
        if observed {
            std::fs::write(folder.path().join("readers"), "2").expect("written");
            let reader = || Reader::open(&path).expect("it is there");
            let readers = [reader(), reader()];
            for reader in readers {
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        reader.snapshot().expect("it lives");
                        LOOKS.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        says.write_all(b"write\n").expect("it waits");
        hears("written");
        over.store(true, Ordering::Relaxed);
    });
    says.write_all(b"end\n").expect("it waits");
    assert!(child.wait().expect("it ends").success());
    let counts = std::fs::read_to_string(folder.path().join("counts")).expect("what was counted");
    let summary = counts.lines().find_map(|l| l.strip_prefix("totals: "));
    summary.and_then(|n| n.trim().parse().ok()).expect("a number")
}

#[test]
fn readers_cost_a_lane_no_instruction() {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: valgrind is missing");
        return;
    }
    let alone = instructions(false, false);
    assert!(alone > 20 * MESSAGES, "{alone} instructions: not counted");
    let before = LOOKS.load(Ordering::Relaxed);
    let observed = instructions(true, false);
    let looks = LOOKS.load(Ordering::Relaxed) - before;
    println!(
        "instructions a message: {} alone, {} with {looks} looks of readers meanwhile",
        alone as f64 / MESSAGES as f64,
        observed as f64 / MESSAGES as f64
    );
    assert!(looks > 1, "{looks} looks");
    assert_eq!(observed, alone, "readers are felt");
    assert_ne!(instructions(true, true), instructions(false, true), "the planted one is found");
}

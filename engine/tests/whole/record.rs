//! `bot4 record` at the simulated venue, and everything that reads a capture.

use std::path::Path;
use std::process::{Child, Stdio};

use crate::common::{Killed, bot4, number, output, signal, sleep, started, stderr, venue};
use bot4_capture::{CaptureReader, Item};
use bot4_lanes::Clock;
use bot4_types::FrameKind;
use serde_json::Value;

/// A configuration without keys, for the venue with these endpoints.
fn observe(state: &Path, endpoints: &Value) -> std::path::PathBuf {
    observe_at(state, "binance", "[\"BTCUSDT\", \"ETHUSDT\"]", endpoints)
}

fn observe_at(state: &Path, venue: &str, symbols: &str, endpoints: &Value) -> std::path::PathBuf {
    let mut text =
        format!("[venue]\nname = \"{venue}\"\nmode = \"observe\"\nsymbols = {symbols}\n");
    for key in ["market", "api", "rest", "ca"] {
        if let Some(value) = endpoints[key].as_str() {
            text.push_str(&format!("{key} = \"{value}\"\n"));
        }
    }
    let path = state.join("observe.toml");
    std::fs::write(&path, text).expect("written");
    path
}

/// Records for a while; the totals.
fn record(state: &Path, config: &Path, out: &Path, more: &[&str]) -> Value {
    let mut command = bot4(state);
    command.args(["record", "--json", "--config"]).arg(config).arg("--out").arg(out).args(more);
    let out = output(&mut command);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// A recorder that goes on until it is stopped.
fn recorder(state: &Path, config: &Path, out: &Path) -> Killed {
    let mut command = bot4(state);
    command.args(["record", "--json", "--config"]).arg(config).arg("--out").arg(out);
    Killed(command.stdout(Stdio::piped()).spawn().expect("the recorder starts"))
}

/// What a capture holds.
#[derive(Default)]
struct Held {
    frames: u64,
    market: u64,
    snapshots: u64,
    last_unix_ns: i64,
    sessions: u64,
    missing: u64,
    damage: u64,
}

fn held(capture: &Path) -> Held {
    let mut reader = CaptureReader::open(capture).expect("a capture");
    let mut held = Held::default();
    while let Some(item) = reader.next().expect("readable") {
        match item {
            Item::Frame(head, text) => {
                held.frames += 1;
                held.market += u64::from(head.kind == FrameKind::Market);
                held.snapshots += u64::from(head.kind == FrameKind::Snapshot);
                held.last_unix_ns = head.wall_unix_ns;
                assert_eq!(text.is_empty(), head.len == 0);
            }
            Item::Lost(lost) => held.missing += lost.frames,
            Item::Session(_) => held.sessions += 1,
            Item::Damage(_) => held.damage += 1,
        }
    }
    held
}

/// The lines of `bot4 book` over a capture, whose books must be live and without gaps.
fn books(state: &Path, capture: &Path) -> Vec<Value> {
    let out = output(bot4(state).args(["book", "--json"]).arg(capture));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in &lines {
        assert_eq!(line["state"], "live", "{line}");
        for zero in ["/gaps", "/crossed"] {
            assert_eq!(number(line, zero), 0, "{zero} in {line}");
        }
        assert!(number(line, "/applied") > 3 && number(line, "/trades") > 0, "{line}");
        assert_eq!(number(line, "/ticker_differs"), 0, "{line}");
    }
    lines
}

#[test]
fn a_capture_gives_books_and_replays_and_is_served() {
    let dir = tempfile::tempdir().expect("a folder");
    let (state, capture) = (dir.path(), dir.path().join("capture"));
    let (served, endpoints) = venue(state, "127.0.0.1:0");
    let config = observe(state, &endpoints);
    let totals = record(state, &config, &capture, &["--for", "5s", "--snapshots-every", "2s"]);
    drop(served);
    for zero in ["/lost", "/snapshots_refused", "/dropped_backlog", "/torn_bytes"] {
        assert_eq!(number(&totals, zero), 0, "{zero} in {totals}");
    }
    assert!(number(&totals, "/snapshots") >= 2, "{totals}");
    let held = held(&capture);
    assert_eq!(held.frames, number(&totals, "/frames"));
    assert_eq!(held.snapshots, number(&totals, "/snapshots"));
    assert_eq!((held.missing, held.damage, held.sessions), (0, 0, 0));
    assert!(number(&totals, "/stored_bytes") < number(&totals, "/text_bytes"), "{totals}");
    books(state, &capture);
    // Only one symbol; a file alone; another venue's name.
    let one = output(bot4(state).args(["book", "--json", "--symbol", "ETHUSDT"]).arg(&capture));
    let line: Value = serde_json::from_slice(&one.stdout).expect("one line");
    assert_eq!(line["symbol"], "ETHUSDT");
    books(state, &capture.join("capture-000001.b4c"));
    let wrong = output(bot4(state).args(["book", "--venue", "binance-usdm"]).arg(&capture));
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    let out = output(bot4(state).args(["replay", "--json"]).arg(&capture));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let line: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(number(&line, "/messages"), held.market + held.snapshots);
    // The capture as a market: what is recorded from it gives live books again.
    let market = capture.to_str().expect("UTF-8");
    let (again, endpoints) = started(bot4(state).args(["venue", "--market", market]));
    let config = observe(state, &endpoints);
    let copy = state.join("copy");
    let totals = record(state, &config, &copy, &["--for", "4s"]);
    drop(again);
    assert!(number(&totals, "/frames") > 20, "{totals}");
    let out = output(bot4(state).args(["book", "--json"]).arg(&copy));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(0), "{text}{}", stderr(&out));
}

/// Where the stream itself brings the snapshots, and books are cut and checked by checksum.
#[test]
fn a_venue_that_streams_its_snapshots_is_captured_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let (state, capture) = (dir.path(), dir.path().join("capture"));
    let (served, endpoints) = started(bot4(state).args(["venue", "--venue", "kraken"]));
    let config = observe_at(state, "kraken", "[\"BTC/USD\", \"ETH/USD\"]", &endpoints);
    let totals = record(state, &config, &capture, &["--for", "4s"]);
    drop(served);
    assert_eq!((number(&totals, "/lost"), number(&totals, "/line_downs")), (0, 0), "{totals}");
    for line in books(state, &capture) {
        assert_eq!(number(&line, "/checksums_bad"), 0, "{line}");
        // Every update has one; the snapshot's is over a part of it and does not count.
        assert!(number(&line, "/bid_levels") > 10, "{line}");
        assert_eq!(number(&line, "/checksums_ok"), number(&line, "/applied"), "{line}");
    }
    // The capture says whose it is.
    let market = capture.to_str().expect("UTF-8");
    let (_again, endpoints) = started(bot4(state).args(["venue", "--market", market]));
    assert_eq!(endpoints["venue"], "kraken");
    let wrong = ["venue", "--venue", "okx", "--market", market];
    assert_eq!(output(bot4(state).args(wrong)).status.code(), Some(2));
}

/// Waits until the capture's first file has grown by a block or two.
fn wait_for_blocks(capture: &Path, bytes: u64, child: &mut Child) {
    let file = capture.join("capture-000001.b4c");
    for _ in 0..600 {
        if std::fs::metadata(&file).is_ok_and(|m| m.len() > bytes) {
            return;
        }
        assert!(child.try_wait().expect("asked").is_none(), "the recorder ended");
        sleep(100);
    }
    panic!("no block was written within a minute");
}

#[test]
fn a_killed_recorder_loses_its_open_block_at_most_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (state, capture) = (dir.path(), dir.path().join("capture"));
    let (_served, endpoints) = venue(state, "127.0.0.1:0");
    let config = observe(state, &endpoints);
    let mut first = recorder(state, &config, &capture);
    wait_for_blocks(&capture, 30_000, &mut first.0);
    let clock = Clock::start();
    let killed_unix_ns = clock.wall().unix_ns(clock.now());
    signal(&first.0, "-KILL");
    drop(first);
    let before = held(&capture);
    assert!(before.frames > 20 && before.missing == 0, "{} frames", before.frames);
    // A block spans a second; the rest is for a machine that is busy with other things.
    let lost_ns = killed_unix_ns - before.last_unix_ns;
    assert!(lost_ns < 10_000_000_000, "{lost_ns} ns are missing before the kill");
    let totals = record(state, &config, &capture, &["--for", "3s"]);
    assert_eq!(number(&totals, "/resumed_frames"), before.frames);
    assert_eq!(number(&totals, "/session"), 2);
    let after = held(&capture);
    assert_eq!(after.frames, before.frames + number(&totals, "/frames"));
    assert_eq!((after.missing, after.damage, after.sessions), (0, 0, 1));
    books(state, &capture);
    // Another set of instruments would make the first frames unreadable.
    let text = std::fs::read_to_string(&config).expect("there").replace(", \"ETHUSDT\"", "");
    std::fs::write(&config, text).expect("written");
    let mut command = bot4(state);
    command.args(["record", "--for", "1s", "--config"]).arg(&config).arg("--out").arg(&capture);
    let out = output(&mut command);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(stderr(&out).contains("--out"), "{}", stderr(&out));
}

#[test]
fn a_disk_without_room_ends_the_recording_with_what_fits() {
    let dir = tempfile::tempdir().expect("a folder");
    let (state, capture) = (dir.path(), dir.path().join("capture"));
    let (_served, endpoints) = venue(state, "127.0.0.1:0");
    let config = observe(state, &endpoints);
    // No file may grow beyond 40 blocks of 512 bytes: the disk's "no" without a disk.
    let limited = "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited]).arg(bot4(state).get_program());
    command.args(["record", "--json", "--for", "60s", "--config"]).arg(&config);
    let out = output(command.arg("--out").arg(&capture).env("XDG_STATE_HOME", state));
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert!(stderr(&out).contains("cannot write the capture"), "{}", stderr(&out));
    let totals: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let size = std::fs::metadata(capture.join("capture-000001.b4c")).expect("there").len();
    assert_eq!(size, number(&totals, "/stored_bytes"), "the torn block was cut: {totals}");
    let before = held(&capture);
    assert_eq!((before.missing, before.damage, before.sessions), (0, 0, 0));
    let totals = record(state, &config, &capture, &["--for", "3s"]);
    assert_eq!(number(&totals, "/resumed_frames"), before.frames);
    books(state, &capture);
}

#[test]
fn a_signal_finishes_the_block() {
    let dir = tempfile::tempdir().expect("a folder");
    let (state, capture) = (dir.path(), dir.path().join("capture"));
    let (_served, endpoints) = venue(state, "127.0.0.1:0");
    let config = observe(state, &endpoints);
    let mut child = recorder(state, &config, &capture);
    wait_for_blocks(&capture, 10_000, &mut child.0);
    // A second recorder is refused while the first writes.
    let mut command = bot4(state);
    command.args(["record", "--config"]).arg(&config).arg("--out").arg(&capture);
    let refused = output(&mut command);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("another recorder"), "{}", stderr(&refused));
    signal(&child.0, "-INT");
    let out = child.0.stdout.take().expect("its output");
    let totals: Value = serde_json::from_reader(out).expect("totals");
    assert_eq!(child.0.wait().expect("ended").code(), Some(0));
    let held = held(&capture);
    assert_eq!(held.frames, number(&totals, "/frames"));
    assert_eq!((held.missing, held.damage, held.sessions), (0, 0, 0));
}

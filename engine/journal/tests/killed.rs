//! kill -9 at any instruction loses nothing that was published.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bot4_journal::{JournalAgent, JournalConfig, verify};
use bot4_lanes::{Agent, Clock, Journaled, LogTx, Metrics, Probe, ring};
use bot4_types::{LogEntry, LogKind, Nanos, RunEpoch, Wall};

/// Set in the child: the journal's directory.
const CHILD: &str = "BOT4_JOURNAL_KILLED_CHILD";

/// The child: writes as fast as it can and prints what is published, until it is killed. A test
/// that does nothing when the parent did not ask for it.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let clock = Clock::monotonic();
    let (tx, rx) = ring(256);
    let (mut log, journaled) = (LogTx::new(tx, 0), Journaled::new());
    let mut config = JournalConfig::new(dir, RunEpoch(1), Wall::default());
    // Short segments, so that the kill often meets a rotation; a busy disk must not end the child.
    (config.segment_bytes, config.stall_ns_max) = (16 * 1024, u64::MAX);
    let metrics = Metrics::in_memory();
    let mut agent =
        JournalAgent::new(&config, vec![rx], journaled.clone(), &metrics).expect("open");
    agent.start(clock.now()).expect("start");
    let (mut probe, mut out) = (Probe::logical(), std::io::stdout().lock());
    let mut told = 0;
    loop {
        while log.room() > 0 {
            let next = log.last_seq() + 1;
            let body = vec![next as u8; (next % 200) as usize];
            log.push(LogEntry::raw(LogKind::Mark, Nanos(next), &body)).expect("room");
        }
        agent.work(clock.now(), &mut probe).expect("no fault");
        if journaled.get(0) > told {
            told = journaled.get(0);
            writeln!(out, "published {told}").expect("a parent");
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_published() {
    for round in 0..8 {
        let dir = tempfile::tempdir().expect("dir");
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let number = |line: &str| line.strip_prefix("published ").and_then(|n| n.parse().ok());
        let mut published = 0u64;
        while published < 500 + round * 700 {
            let line = lines.next().expect("the child lives").expect("text");
            published = number(&line).unwrap_or(published);
        }
        child.kill().expect("kill -9");
        child.wait().expect("ended");
        // What it printed until the kill counts too; the last line may be torn.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        let whole = &rest[..rest.len().saturating_sub(1)];
        published = whole.iter().filter_map(|l| number(l)).next_back().unwrap_or(published);

        let report = verify(dir.path()).expect("readable");
        assert!(report.is_sound() && !report.closed, "round {round}: {report}");
        let last = report.lanes[&0].last;
        assert!(last >= published, "published {published}, found {last}: {report}");
        assert_eq!(report.records, last, "from 1 to the last, each once");
    }
}

//! What a process wrote to a mapped file or to shared words is there after kill -9.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use bot4_alloc::{MappedFile, SealedAlloc, SharedView, SharedWords};

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

const CHILD: &str = "BOT4_ALLOC_TEST_DIRECTORY";
const LEN: usize = 1 << 20;

/// Writes records and, after each, the published length, as a journal does; then waits to die.
fn write_until_killed(dir: &Path) -> ! {
    let words = SharedWords::create(&dir.join("words"), 8).unwrap();
    let mut file = MappedFile::create(&dir.join("segment"), LEN).unwrap();
    for (index, record) in file.bytes_mut().chunks_exact_mut(64).enumerate() {
        record.fill((index % 251) as u8 + 1);
        words.words()[0].store(index as u64 + 1, Ordering::Release);
        if index == 5_000 {
            println!("\nready");
        }
    }
    // All written: nothing was synced, and nothing is unmapped before the kill.
    let mut line = String::new();
    let _ = std::io::stdin().read_to_string(&mut line);
    std::process::exit(1);
}

#[test]
fn kill_nine_loses_nothing_written() {
    if let Some(dir) = std::env::var_os(CHILD) {
        write_until_killed(&PathBuf::from(dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill_nine_loses_nothing_written", "--nocapture"])
        .env(CHILD, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).any(|line| line == "ready");
    assert!(ready, "the writer ended before it was killed");
    // Somewhere in the middle of the writing or right after it; `kill` is SIGKILL.
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));

    let published = SharedView::open(&dir.path().join("words")).unwrap().word(0).unwrap();
    let published = usize::try_from(published).unwrap();
    assert!((5_001..=LEN / 64).contains(&published), "{published}");
    let bytes = std::fs::read(dir.path().join("segment")).unwrap();
    assert_eq!(bytes.len(), LEN);
    for (index, record) in bytes.chunks_exact(64).enumerate().take(published) {
        assert!(record.iter().all(|b| *b == (index % 251) as u8 + 1), "record {index}");
    }
    let untouched = bytes.chunks_exact(64).skip(published + 1);
    assert!(untouched.flatten().all(|b| *b == 0), "nothing behind the record being written");
}

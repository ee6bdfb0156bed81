//! Seeded mutations of real journal bytes through everything that reads a journal: no panic, no
//! endless read, nothing that reads as clean unless its bytes are the original's.
//!
//! `BOT4_FUZZ_SECONDS` sets the length (default 2), `BOT4_FUZZ_SEED` the seed.

use std::fs;
use std::path::Path;

use bot4_journal::{JournalConfig, JournalWriter, dump, order_story, recover, stat, verify};
use bot4_lanes::Clock;
use bot4_types::log::{Body, Refusal};
use bot4_types::rng::SplitMix64;
use bot4_types::{LogEntry, LogKind, Nanos, OrderId, RefuseReason, RunEpoch, Wall};

/// Segments as (name, bytes), in order.
type Files = Vec<(String, Vec<u8>)>;

/// A folder in memory where there is one: these tests are about bytes, not about disks.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a folder")
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn below(rng: &mut SplitMix64, n: usize) -> usize {
    (rng.next_u64() % n.max(1) as u64) as usize
}

/// A small journal of records of every length and several kinds, closed or left open.
fn journal(records: u64, close: bool) -> Files {
    let dir = folder();
    let mut config = JournalConfig::new(dir.path().to_owned(), RunEpoch(5), Wall::default());
    (config.segment_bytes, config.reserve_bytes, config.helper) = (4096, 4096, false);
    let mut writer = JournalWriter::open(&config).expect("open");
    writer.begin(Nanos(1)).expect("begin");
    for n in 1..=records {
        let refusal = Refusal { order: OrderId(n), reason: RefuseReason::Tick };
        let mut e = match n % 3 {
            0 => LogEntry::new(LogKind::Refused, Nanos(n), |w| refusal.write(w)),
            1 => LogEntry::raw(LogKind::Run, Nanos(n), "text of a run".as_bytes()),
            _ => LogEntry::raw(LogKind::Mark, Nanos(n), &vec![n as u8; (n * 37 % 230) as usize]),
        };
        e.seq = n;
        while !writer.append(&e, Nanos(n)).expect("append") {}
        writer.turn(Nanos(n)).expect("turn");
    }
    if close {
        writer.finish(Nanos(records)).expect("finish");
    }
    let mut files: Files = fs::read_dir(dir.path())
        .expect("list")
        .flatten()
        .map(|e| (e.file_name().into_string().expect("UTF-8"), e.path()))
        .filter(|(name, _)| name.ends_with(".b4j"))
        .map(|(name, path)| (name, fs::read(path).expect("read")))
        .collect();
    files.sort();
    files
}

/// One change of one file, or of the set of files.
fn mutate(rng: &mut SplitMix64, files: &mut Files) {
    let file = below(rng, files.len());
    let other = below(rng, files.len());
    let len = files[file].1.len();
    let (from, to) = (below(rng, len), below(rng, len));
    let span = 1 + below(rng, 300);
    let end = (from + span).min(len);
    match rng.next_u64() % 11 {
        0..=2 if len > 0 => files[file].1[from] ^= 1 << (rng.next_u64() % 8),
        3 if len > 0 => files[file].1[from] = rng.next_u64() as u8,
        4 => files[file].1.truncate(from),
        5 => files[file].1[from.min(end)..end].fill(0),
        6 => files[file].1[from.min(end)..end].fill_with(|| rng.next_u64() as u8),
        7 => {
            // A record repeated, moved or written over another, from this file or another.
            let piece: Vec<u8> = files[other].1.iter().skip(to).take(span).copied().collect();
            let at = from & !7;
            let end = (at + piece.len()).min(len);
            files[file].1.splice(at.min(end)..end, piece);
        }
        8 => files[file].1.extend((0..span).map(|_| rng.next_u64() as u8)),
        9 if files.len() > 1 => drop(files.remove(file)),
        10 => {
            let bytes = files[file].1.clone();
            files[other].1 = bytes;
        }
        _ => {
            // A length word: the field that a reader trusts first.
            let at = 64 + (from & !7);
            if let Some(word) = files[file].1.get_mut(at..at + 4) {
                word.copy_from_slice(&(rng.next_u64() as u32).to_le_bytes());
            }
        }
    }
}

fn write(dir: &Path, files: &Files) {
    for entry in fs::read_dir(dir).expect("list").flatten() {
        fs::remove_file(entry.path()).expect("removed");
    }
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).expect("written");
    }
}

/// Reads it in every way; the answers must agree with each other.
fn read_all(dir: &Path, is_original: bool, what: &str) {
    let Ok(report) = verify(dir) else { return };
    assert!(is_original || !report.is_clean(), "{what}: a changed journal reads as clean");
    let mut out = Vec::new();
    let (records, flaws) = dump(dir, &mut out).expect("readable");
    assert_eq!(records, report.records, "{what}");
    let torn = u64::from(report.torn_tail.is_some());
    assert!(flaws >= report.damage_count + torn, "{what}");
    let lines = out.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    for line in lines {
        serde_json::from_slice::<serde_json::Value>(line).expect("a JSON line");
    }
    assert_eq!(stat(dir).expect("readable").records.values().sum::<u64>(), records, "{what}");
    order_story(dir, OrderId(3)).expect("readable");
    let done = recover(dir, &mut |_, _| {}).expect("readable");
    let after = verify(dir).map(|r| (r.records, r.is_sound()));
    if report.is_sound() {
        // A sound journal stays so and keeps its records; without a header nothing is left.
        let kept = after.unwrap_or((0, true));
        assert_eq!(kept, (report.records, true), "{what}: {}", done.found);
    } else {
        assert_eq!(after.expect("readable"), (report.records, false), "{what}");
    }
}

/// Some mutations, drawn from `seed`, of one of `originals`.
fn execute(seed: u64, originals: &[Files], dir: &Path) {
    let mut rng = SplitMix64::new(seed);
    let original = &originals[below(&mut rng, originals.len())];
    let mut files = original.clone();
    let changes = 1 + below(&mut rng, 6);
    for _ in 0..changes {
        mutate(&mut rng, &mut files);
    }
    write(dir, &files);
    read_all(dir, without_zeros(&files) == without_zeros(original), &format!("seed {seed}"));
}

/// Zeros behind a seal mean nothing: the writer died before it cut the file.
fn without_zeros(files: &Files) -> Files {
    let cut = |bytes: &Vec<u8>| {
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        bytes[..end].to_vec()
    };
    files.iter().map(|(name, bytes)| (name.clone(), cut(bytes))).collect()
}

fn originals() -> [Files; 4] {
    [journal(60, true), journal(60, false), journal(2, true), journal(0, false)]
}

#[test]
fn mutated_journals_never_panic_or_pass() {
    let seconds = from_env("BOT4_FUZZ_SECONDS", 2);
    let seed = from_env("BOT4_FUZZ_SEED", 1);
    let clock = Clock::monotonic();
    let until = clock.now() + Nanos::from_secs(seconds);
    let (originals, dir) = (originals(), folder());
    let mut executions = 0u64;
    while clock.now() < until {
        execute(seed.wrapping_add(executions), &originals, dir.path());
        executions += 1;
    }
    println!("{executions} executions from seed {seed} in {seconds} s");
    assert!(executions > 10 * seconds, "the fuzzer ran");
}

/// What was found and mended.
#[test]
fn seeds_that_once_failed() {
    // A reserve that is the only segment left; zeros behind a seal.
    for seed in [30_963, 139_224] {
        execute(seed, &originals(), folder().path());
    }
}

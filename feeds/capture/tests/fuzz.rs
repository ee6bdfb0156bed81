//! Seeded mutations of capture files through the reader and the writer's opening: no panic, no
//! endless read, no changed frame handed out.
//!
//! `BOT4_FUZZ_SECONDS` sets the length (default 2), `BOT4_FUZZ_SEED` the seed.

mod common;

use std::fs;
use std::path::Path;

use bot4_capture::{CaptureOptions, CaptureReader, CaptureWriter};
use bot4_lanes::Clock;
use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use common::{EPOCH, append, folder, read, rest, small, write};

/// Files as (name, bytes), in order.
type Files = Vec<(String, Vec<u8>)>;
const FRAMES: u64 = 80;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn below(rng: &mut SplitMix64, n: usize) -> usize {
    (rng.next_u64() % n.max(1) as u64) as usize
}

fn files_of(dir: &Path) -> Files {
    let mut files: Files = fs::read_dir(dir)
        .expect("listed")
        .flatten()
        .map(|e| (e.file_name().into_string().expect("UTF-8"), e.path()))
        .map(|(name, path)| (name, fs::read(path).expect("read")))
        .collect();
    files.sort();
    files
}

fn original(options: CaptureOptions) -> Files {
    let dir = folder();
    write(dir.path(), options, 0, FRAMES / 2);
    write(dir.path(), options, FRAMES / 2, FRAMES);
    files_of(dir.path())
}

/// One change of one file, or of the set of files.
fn mutate(rng: &mut SplitMix64, files: &mut Files) {
    let (file, other) = (below(rng, files.len()), below(rng, files.len()));
    let len = files[file].1.len();
    let from = below(rng, len);
    let span = 1 + below(rng, 300);
    let end = (from + span).min(len);
    match rng.next_u64() % 9 {
        0..=1 if len > 0 => files[file].1[from] ^= 1 << (rng.next_u64() % 8),
        2 => files[file].1.truncate(from),
        3 => files[file].1[from.min(end)..end].fill(0),
        4 => files[file].1[from.min(end)..end].fill_with(|| rng.next_u64() as u8),
        5 => {
            // A piece repeated or moved, from this file or another: whole blocks among them.
            let to = below(rng, files[other].1.len());
            let piece: Vec<u8> = files[other].1.iter().skip(to).take(span * 8).copied().collect();
            files[file].1.splice(from.min(len)..from.min(len), piece);
        }
        6 => drop(files[file].1.drain(from.min(end)..end)),
        7 if files.len() > 1 => drop(files.remove(file)),
        _ => {
            let bytes = files[file].1.clone();
            files[other].1 = bytes;
        }
    }
}

fn execute(seed: u64, originals: &[Files]) {
    let mut rng = SplitMix64::new(seed);
    let mut files = originals[below(&mut rng, originals.len())].clone();
    for _ in 0..1 + below(&mut rng, 6) {
        mutate(&mut rng, &mut files);
    }
    let dir = folder();
    files.iter().for_each(|(name, b)| fs::write(dir.path().join(name), b).expect("written"));
    if !bot4_capture::is_capture(dir.path()) {
        return;
    }
    // `read` compares each frame with the one that was written.
    let before = read(dir.path());
    let in_order = before.frames.windows(2).all(|w| w[0] < w[1]);
    assert!(in_order, "seed {seed}: {:?}", before.frames);
    let mut reader = CaptureReader::open(dir.path()).expect("opened");
    reader.seek_wall(EPOCH + (rng.next_u64() % 1_000_000_000) as i64).expect("sought");
    rest(reader);
    // Whatever is there, a recorder can go on behind it, and what it writes can be read. (An
    // index is believed when it covers its file; here whole blocks were moved below it.)
    for entry in fs::read_dir(dir.path()).expect("listed").flatten() {
        if entry.path().extension().is_some_and(|e| e == "b4x") {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    let mut writer = CaptureWriter::open(dir.path(), small()).expect("opened");
    append(&mut writer, FRAMES, FRAMES + 5);
    writer.finish().expect("finished");
    let tail: Vec<u64> = read(dir.path()).frames.into_iter().filter(|n| *n >= FRAMES).collect();
    assert_eq!(tail, (FRAMES..FRAMES + 5).collect::<Vec<_>>(), "seed {seed}");
}

fn originals() -> [Files; 2] {
    [original(small()), original(CaptureOptions { file_bytes: 1_200, ..small() })]
}

#[test]
fn mutated_captures_never_panic_or_lie() {
    let seconds = from_env("BOT4_FUZZ_SECONDS", 2);
    let seed = from_env("BOT4_FUZZ_SEED", 1);
    let clock = Clock::monotonic();
    let until = clock.now() + Nanos::from_secs(seconds);
    let originals = originals();
    let mut executions = 0u64;
    while clock.now() < until {
        execute(seed.wrapping_add(executions), &originals);
        executions += 1;
    }
    println!("{executions} executions from seed {seed} in {seconds} s");
    assert!(executions > 10 * seconds, "the fuzzer ran");
}

//! The stepper: same seed, same journal; other seed, other journal; the account exact.

use bot4::sim;

const STEPS: u64 = 250_000;

fn run(seed: u64) -> sim::SimEnd {
    let dir = tempfile::tempdir().expect("a folder");
    sim::run(seed, STEPS, dir.path()).expect("it runs")
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    let (a, b) = (run(7), run(7));
    assert_eq!(a, b);
    assert_eq!(a.fault, None);
    assert!(a.unsafe_findings.is_empty(), "{:?}", a.unsafe_findings);
    assert!(a.orders > 50 && a.fills > 10, "{a:?}");
    assert_eq!(a.open, 0, "everything drained");
    assert_ne!(run(8).journal_hash, a.journal_hash);
}

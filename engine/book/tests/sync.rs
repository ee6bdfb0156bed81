//! The synchronisation rules one by one, without an agent.

use bot4_book::{BookSync, DepthStep, DiffHead, ReplayStep, SnapshotStep, SyncConfig};
use bot4_types::{BookRules, BookState, Level, Nanos, ResyncReason, StaleReason};

fn head(first: u64, last: u64) -> DiffHead {
    DiffHead { first, last, bids: 1, ..DiffHead::default() }
}

const LEVELS: [Level; 1] = [Level { price: 7, qty: 1 }];

fn feed(sync: &mut BookSync, first: u64, last: u64) -> DepthStep {
    sync.depth(0, head(first, last), &LEVELS, Nanos::ZERO)
}

/// Adopts a snapshot and replays; what was applied, and the step that ended it.
fn adopt(sync: &mut BookSync, last: u64) -> (Vec<(u64, u64)>, ReplayStep) {
    assert_eq!(sync.snapshot(0, last), SnapshotStep::Adopt);
    let mut applied = Vec::new();
    loop {
        match sync.replay(Nanos::ZERO) {
            ReplayStep::Apply(head, at) => {
                assert_eq!(sync.buffered(&head, at), LEVELS);
                applied.push((head.first, head.last));
            }
            end @ (ReplayStep::Done | ReplayStep::Gap) => return (applied, end),
            ReplayStep::StaleDropped | ReplayStep::Duplicate => {}
        }
    }
}

fn live_at(last: u64) -> BookSync {
    let mut sync = BookSync::new(SyncConfig::default(), BookRules::default(), 1);
    assert_eq!(adopt(&mut sync, last), (vec![], ReplayStep::Done));
    assert_eq!((sync.state(), sync.book_id()), (BookState::Live, last));
    sync
}

#[test]
fn first_kept_diff_may_start_right_behind_the_snapshot() {
    // The venue's text asks for U <= lastUpdateId <= u; real streams have U = lastUpdateId + 1.
    for (first, last) in [(101, 105), (100, 105), (90, 101), (101, 101)] {
        let mut sync = BookSync::new(SyncConfig::default(), BookRules::default(), 1);
        assert_eq!(feed(&mut sync, first, last), DepthStep::Buffered);
        assert_eq!(sync.state(), BookState::Syncing);
        assert_eq!(adopt(&mut sync, 100), (vec![(first, last)], ReplayStep::Done));
        assert_eq!(
            (sync.state(), sync.book_id(), sync.snapshot_id()),
            (BookState::Live, last, 100)
        );
    }
}

#[test]
fn snapshot_too_old_is_asked_for_again_and_the_buffer_stays() {
    let mut sync = BookSync::new(SyncConfig::default(), BookRules::default(), 1);
    feed(&mut sync, 50, 60);
    assert_eq!(sync.poll(Nanos(1)), Some(ResyncReason::Start));
    sync.requested(Nanos(1));
    assert_eq!(sync.poll(Nanos(2)), None);
    assert_eq!(sync.snapshot(0, 48), SnapshotStep::TooOld);
    feed(&mut sync, 61, 70);
    assert_eq!(sync.waiting(), 2);
    let later = Nanos::from_secs(1);
    assert_eq!(sync.poll(later), Some(ResyncReason::SnapshotTooOld));
    sync.requested(later);
    // 49 = U - 1 is usable, though the venue's text would refuse it.
    assert_eq!(adopt(&mut sync, 49), (vec![(50, 60), (61, 70)], ReplayStep::Done));
}

#[test]
fn diffs_within_the_snapshot_are_dropped_and_repeats_ignored() {
    let mut sync = BookSync::new(SyncConfig::default(), BookRules::default(), 1);
    for (first, last) in [(1, 5), (6, 10), (11, 15), (11, 15), (16, 20)] {
        feed(&mut sync, first, last);
    }
    assert_eq!(sync.snapshot(0, 10), SnapshotStep::Adopt);
    let steps: Vec<_> = (0..6).map(|_| sync.replay(Nanos::ZERO)).collect();
    assert_eq!(steps[..2], [ReplayStep::StaleDropped; 2]);
    assert!(matches!(steps[2], ReplayStep::Apply(h, _) if h.last == 15));
    assert_eq!(steps[3], ReplayStep::Duplicate);
    assert!(matches!(steps[4], ReplayStep::Apply(h, _) if h.last == 20));
    assert_eq!(steps[5], ReplayStep::Done);
    // Live: late ones of before the snapshot, repeats of after it.
    assert_eq!(feed(&mut sync, 8, 10), DepthStep::StaleDropped);
    assert_eq!(feed(&mut sync, 16, 20), DepthStep::Duplicate);
    assert_eq!(feed(&mut sync, 11, 12), DepthStep::Duplicate);
    assert_eq!((feed(&mut sync, 19, 22), sync.book_id()), (DepthStep::Apply, 22));
}

#[test]
fn gap_makes_stale_keeps_the_diff_and_asks() {
    let mut sync = live_at(100);
    assert_eq!(feed(&mut sync, 101, 103), DepthStep::Apply);
    assert_eq!(feed(&mut sync, 105, 106), DepthStep::Gap);
    assert_eq!((sync.state(), sync.reason()), (BookState::Stale, StaleReason::Gap));
    assert_eq!(sync.poll(Nanos(5)), Some(ResyncReason::Gap));
    assert_eq!(feed(&mut sync, 107, 109), DepthStep::Buffered);
    // A snapshot that an older request brings, from before the hole.
    assert_eq!(sync.snapshot(0, 103), SnapshotStep::TooOld);
    assert_eq!(adopt(&mut sync, 104), (vec![(105, 106), (107, 109)], ReplayStep::Done));
    assert_eq!((sync.state(), sync.reason()), (BookState::Live, StaleReason::None));
}

#[test]
fn hole_inside_the_buffer_keeps_what_follows() {
    let mut sync = BookSync::new(SyncConfig::default(), BookRules::default(), 1);
    for (first, last) in [(11, 15), (16, 20), (23, 25), (26, 30)] {
        feed(&mut sync, first, last);
    }
    assert_eq!(adopt(&mut sync, 12), (vec![(11, 15), (16, 20)], ReplayStep::Gap));
    assert_eq!((sync.state(), sync.waiting()), (BookState::Syncing, 2), "it never was live");
    assert_eq!(sync.snapshot(0, 21), SnapshotStep::TooOld);
    assert_eq!(adopt(&mut sync, 24), (vec![(23, 25), (26, 30)], ReplayStep::Done));
}

#[test]
fn failed_book_needs_a_snapshot_not_older_than_itself() {
    let mut sync = live_at(100);
    feed(&mut sync, 101, 110);
    sync.fail(StaleReason::Crossed);
    assert_eq!((sync.state(), sync.reason()), (BookState::Stale, StaleReason::Crossed));
    assert_eq!(sync.poll(Nanos(1)), Some(ResyncReason::Crossed));
    assert_eq!(sync.snapshot(0, 109), SnapshotStep::TooOld);
    assert_eq!(adopt(&mut sync, 110), (vec![], ReplayStep::Done));
    assert_eq!(sync.snapshot(0, 120), SnapshotStep::Unwanted);
    assert!(sync.doubt(0, StaleReason::Damaged));
    assert_eq!(sync.reason(), StaleReason::Damaged);
    assert!(!sync.doubt(0, StaleReason::Damaged), "known already");
}

#[test]
fn line_down_forgets_and_line_up_starts_over() {
    let mut sync = live_at(100);
    assert_eq!(feed(&mut sync, 105, 106), DepthStep::Gap);
    sync.line_down(0);
    assert_eq!((sync.state(), sync.reason()), (BookState::Stale, StaleReason::Line));
    assert_eq!(sync.poll(Nanos(9)), None, "there is nobody to ask");
    assert_eq!(feed(&mut sync, 101, 102), DepthStep::LineDown);
    assert_eq!(sync.snapshot(0, 200), SnapshotStep::Unwanted, "no stream would follow it");
    sync.line_up(0, Nanos::ZERO);
    assert_eq!(sync.state(), BookState::Stale);
    assert_eq!(sync.poll(Nanos(9)), Some(ResyncReason::Start));
    // The venue may count from elsewhere after a restart.
    assert_eq!(adopt(&mut sync, 3), (vec![], ReplayStep::Done));
    assert_eq!(feed(&mut sync, 4, 4), DepthStep::Apply);

    // A new connection without word of the old one's end breaks the sequence all the same.
    sync.line_up(0, Nanos::ZERO);
    assert_eq!((sync.state(), sync.reason()), (BookState::Stale, StaleReason::Line));

    let mut fresh = BookSync::new(SyncConfig::default(), BookRules::default(), 1);
    fresh.line_up(0, Nanos::ZERO);
    assert_eq!(fresh.state(), BookState::Syncing);
    fresh.line_down(0);
    assert_eq!(fresh.state(), BookState::Waiting, "only a book that was live is stale");
}

#[test]
fn requests_are_paced_and_time_out() {
    let config = SyncConfig::default();
    let mut sync = BookSync::new(config, BookRules::default(), 1);
    feed(&mut sync, 1, 2);
    let (mut now, mut sent) = (Nanos::from_secs(1), Vec::new());
    for _ in 0..120_000 {
        if let Some(reason) = sync.poll(now) {
            sync.requested(now);
            sent.push((now, reason));
            if sent.len() < 8 {
                sync.snapshot_failed(); // refused at once
            }
        }
        now = now + Nanos::from_millis(1);
    }
    let gaps: Vec<u64> = sent.windows(2).map(|w| (w[1].0 - w[0].0).millis()).collect();
    assert_eq!(gaps[..7], [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
    assert!(gaps[7..].iter().all(|g| *g == 8_000), "{gaps:?}");
    assert_eq!(sent[1].1, ResyncReason::SnapshotFailed);
    assert_eq!(sent[9].1, ResyncReason::SnapshotTimeout);
    // After a quiet time the first request goes at once and the second soon.
    let quiet = now + Nanos::from_secs(60);
    adopt(&mut sync, 2);
    sync.fail(StaleReason::Gap);
    assert_eq!(sync.poll(quiet), Some(ResyncReason::Gap));
    sync.requested(quiet);
    sync.snapshot_failed();
    assert_eq!(sync.poll(quiet + Nanos::from_millis(249)), None);
    assert_eq!(sync.poll(quiet + Nanos::from_millis(250)), Some(ResyncReason::SnapshotFailed));
}

#[test]
fn full_buffer_starts_again_from_the_newest() {
    let config = SyncConfig { events_max: 3, levels_max: 10, ..SyncConfig::default() };
    let mut sync = BookSync::new(config, BookRules::default(), 1);
    for id in 1..=3 {
        assert_eq!(feed(&mut sync, id, id), DepthStep::Buffered);
    }
    assert_eq!(feed(&mut sync, 4, 4), DepthStep::Overflow);
    assert_eq!(sync.waiting(), 1);
    assert_eq!(sync.snapshot(0, 2), SnapshotStep::TooOld);
    assert_eq!(adopt(&mut sync, 3), (vec![(4, 4)], ReplayStep::Done));
    // One diff above the whole bound is not kept; the hole shows.
    let mut sync = BookSync::new(config, BookRules::default(), 1);
    let many = [Level::default(); 11];
    let big = DiffHead { first: 1, last: 1, bids: 11, ..DiffHead::default() };
    assert_eq!((sync.depth(0, big, &many, Nanos::ZERO), sync.waiting()), (DepthStep::Overflow, 0));
    feed(&mut sync, 2, 2);
    assert_eq!(sync.snapshot(0, 0), SnapshotStep::TooOld);
}

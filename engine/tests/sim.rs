//! The simulator: same seed, same journal; invariants and liveness under faults; saved seeds;
//! planted violations are found.

use std::collections::BTreeMap;

use bot4::sim::{self, Options, Plant, SimEnd};

/// Sessions of a test of every build.
const SESSIONS: usize = 40;

/// Hot agents must not allocate: counted by the allocator that the binary has too.
#[global_allocator]
static ALLOCATOR: bot4_alloc::seal::SealedAlloc = bot4_alloc::seal::SealedAlloc;

fn play(options: Options) -> SimEnd {
    sim::play(&options).expect("it runs")
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    let calm = |seed| play(Options::calm(seed, 100_000));
    let a = calm(7);
    assert_eq!(a, calm(7));
    assert!(a.is_clean(), "{a:?}");
    assert!(a.orders > 50 && a.fills > 10, "{a:?}");
    assert_eq!((a.open, a.faults.len()), (0, 0), "everything drained, nothing struck");
    assert_ne!(calm(8).journal_hash, a.journal_hash);
}

#[test]
fn some_seeds_of_the_swarm_hold_and_repeat() {
    let mut struck = 0;
    for seed in 1_000..1_006 {
        let end = play(Options::swarm(seed, 60_000));
        assert!(end.is_clean(), "bot4 sim --seed {seed} --steps 60000: {end:?}");
        assert_eq!(end, play(Options::swarm(seed, 60_000)), "seed {seed} repeats");
        struck += end.faults.values().sum::<u64>();
    }
    assert!(struck > 20, "{struck} faults");
}

/// Stops so near that they strike again and again, with and without faults: every invariant holds
/// of their orders, too, and the run repeats.
#[test]
fn guarded_stops_strike_and_every_invariant_holds() {
    let near = |options| Options { stop_bps: Some(1), kinds: false, ..options };
    let mut stops = 0;
    for options in [Options::calm(7, 100_000), Options::swarm(1_001, 60_000)].map(near) {
        let end = play(options);
        assert!(end.is_clean(), "{options:?}: {end:?}");
        assert_eq!(end, play(options), "{options:?} repeats");
        stops += end.stops;
    }
    assert!(stops >= 3, "{stops} stops struck");
    assert_eq!(play(Options::calm(7, 100_000)).stops, 0, "three per cent are far away");
}

/// Short sessions, with every kind of order drawn; those with an answer that is a minute late cost
/// the time of twenty others and are left to the long sweep.
fn sessions(first: u64) -> impl Iterator<Item = Options> {
    (first..).map(Options::session).filter(|options| options.steps < 20_000)
}

#[test]
fn scripted_sessions_hold_with_orders_of_every_kind() {
    let (mut orders, mut audited, mut kinds) = (0, 0, BTreeMap::new());
    for options in sessions(1).take(SESSIONS) {
        let end = play(options);
        assert!(end.is_clean(), "bot4 sim --sessions 1 --seed {}: {end:?}", options.seed);
        orders += end.orders;
        audited += end.audit.orders;
        for (name, count) in end.kinds {
            *kinds.entry(name).or_insert(0) += count;
        }
    }
    assert!(orders > 20 * SESSIONS as u64 && audited >= orders, "{orders}, {audited} audited");
    // That both of two linked orders fill is rarer.
    let rare = kinds.iter().filter(|(name, count)| **count == 0 && **name != "links_raced");
    assert_eq!(rare.count(), 0, "never drawn: {kinds:?}");
}

/// What is planted strikes in the first session that has its occasion.
#[test]
fn mistakes_planted_in_sessions_are_found() {
    for plant in [Plant::LostFill, Plant::LostEnding, Plant::GrownOrder] {
        let planted = |options| Options { plant: Some(plant), ..options };
        let found = sessions(1).take(5).find(|o| !play(planted(*o)).is_clean());
        assert!(found.is_some(), "{plant:?} was not found");
    }
}

#[test]
fn saved_seeds_hold() {
    for options in sim::saved::seeds() {
        let end = play(options);
        assert!(end.is_clean(), "{options:?}: {end:?}");
    }
}

#[test]
fn every_planted_violation_is_found() {
    for (name, plant) in Plant::ALL {
        // Whether a plant has its occasion depends on the seed.
        let found = (1..20).find(|seed| {
            let options = Options::swarm(*seed, 60_000);
            !play(Options { plant: Some(*plant), ..options }).is_clean()
        });
        assert!(found.is_some(), "{name} was not found");
    }
}

//! What is allocated for a lane lies in the lane's pool, on whatever rung; what does not fit is
//! counted; nothing overlaps.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::mpsc;

use bot4_alloc::{HugeMapping, LaneArena, Rung, SealedAlloc};
use proptest::prelude::*;

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

const MIB: usize = 1 << 20;

fn arena(mib: usize, max_rung: Rung) -> LaneArena {
    LaneArena::new(mib * MIB, max_rung).unwrap()
}

#[test]
fn everything_made_in_a_scope_lies_in_the_pool_on_every_rung() {
    for max in Rung::ALL {
        let arena = arena(8, max);
        assert!(arena.rung() <= max);
        let before = Box::new(1_u64);
        let (small, vec, ring, table) = {
            let _scope = arena.enter();
            let ring: Box<[[u8; 64]]> = vec![[0; 64]; 1024].into_boxed_slice();
            let table: BTreeMap<u32, String> = (0..500).map(|i| (i, i.to_string())).collect();
            (Box::new(2_u64), vec![7_u32; 100_000], ring, table)
        };
        let after = Box::new(3_u64);
        assert!(arena.contains(&raw const *small));
        assert!(arena.contains(vec.as_ptr()) && arena.contains(&raw const vec[99_999]));
        assert!(arena.contains(ring.as_ptr()));
        assert!(table.values().all(|text| arena.contains(text.as_ptr())));
        assert!(!arena.contains(&raw const *before) && !arena.contains(&raw const *after));
        assert!(arena.used_bytes() >= 4 * 100_000 + 64 * 1024, "{arena:?}");
        assert_eq!(arena.overflow_bytes(), 0);

        drop((small, vec, ring, table));
        assert!(arena.used_bytes() < 64 * 1024, "{arena:?}");
        let backing = arena.backing().unwrap();
        let present = backing.huge_bytes + backing.thp_bytes + backing.small_bytes;
        assert_eq!((present, backing.total), (arena.capacity_bytes(), arena.capacity_bytes()));
    }
}

#[test]
fn a_block_freed_inside_does_not_come_back_as_the_pools() {
    let arena = arena(1, Rung::Plain);
    let outside: Vec<Box<[u8; 48]>> = (0..200).map(|_| Box::new([1; 48])).collect();
    let _scope = arena.enter();
    drop(outside);
    let inside: Vec<Box<[u8; 48]>> = (0..200).map(|_| Box::new([2; 48])).collect();
    assert!(inside.iter().all(|block| arena.contains(block.as_ptr())));
}

#[test]
fn scopes_nest_and_restore() {
    let (one, two) = (arena(1, Rung::Plain), arena(1, Rung::Plain));
    let first = one.enter();
    let a = Box::new([0_u8; 100]);
    let second = two.enter();
    let b = Box::new([0_u8; 100]);
    drop(second);
    let c = Box::new([0_u8; 100]);
    drop(first);
    let d = Box::new([0_u8; 100]);
    let place = |x: &[u8; 100]| (one.contains(x.as_ptr()), two.contains(x.as_ptr()));
    assert_eq!(
        [place(&a), place(&b), place(&c), place(&d)],
        [(true, false), (false, true), (true, false), (false, false)]
    );
}

#[test]
fn freed_memory_is_used_again_for_any_size() {
    let arena = arena(16, Rung::Plain);
    let _scope = arena.enter();
    for round in 0..20 {
        let small: Vec<Vec<u8>> = (0..100).map(|_| vec![round; 100_000]).collect();
        drop(small);
        let large = vec![round; 12 * MIB];
        assert!(arena.contains(large.as_ptr()), "round {round}: {arena:?}");
    }
    assert_eq!(arena.overflow_bytes(), 0, "{arena:?}");
}

#[test]
fn a_pool_too_small_spills_counted_and_keeps_working() {
    let arena = arena(4, Rung::HugeTlb);
    let _scope = arena.enter();
    let fits = vec![1_u8; 3 * MIB];
    assert_eq!((arena.contains(fits.as_ptr()), arena.overflow_bytes()), (true, 0));
    let spilled = vec![2_u8; 3 * MIB];
    assert!(!arena.contains(spilled.as_ptr()));
    let overflow = arena.overflow_bytes();
    assert!((3 * MIB..4 * MIB).contains(&overflow), "{overflow}");
    assert!(fits.iter().all(|x| *x == 1) && spilled.iter().all(|x| *x == 2));
    drop(spilled);
    let again = vec![3_u8; 3 * MIB];
    assert_eq!(arena.overflow_bytes(), overflow, "retained and used again");
    let small = vec![4_u8; MIB / 2];
    assert!(arena.contains(small.as_ptr()), "what still fits the pool stays in it");
    assert_eq!((again[0], arena.refused()), (3, 0));
}

#[test]
fn what_no_memory_can_hold_is_an_error_and_not_an_abort() {
    let arena = arena(2, Rung::Plain);
    let _scope = arena.enter();
    let mut vec: Vec<u8> = Vec::new();
    assert!(vec.try_reserve_exact(1 << 40).is_err());
    assert!(arena.refused() > 0);
    vec.push(1);
    assert!(arena.contains(vec.as_ptr()));
}

#[test]
fn lanes_have_their_own_arenas() {
    let arenas: Vec<LaneArena> = (0..4).map(|_| arena(4, Rung::HugeTlb)).collect();
    // Blocks wander to the next lane and are freed there, as messages do.
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..4).map(|_| mpsc::sync_channel::<Vec<usize>>(8)).unzip();
    std::thread::scope(|s| {
        for (lane, inbox) in receivers.into_iter().enumerate() {
            let (mine, next) = (arenas[lane], senders[(lane + 1) % 4].clone());
            let others: Vec<_> =
                arenas.iter().copied().filter(|a| a.index() != mine.index()).collect();
            s.spawn(move || {
                mine.bind_thread();
                for i in 0..500 {
                    // Above the size that thread caches keep, so the placement is exact.
                    let block = vec![lane; 5_000 + 7 * i];
                    assert!(mine.contains(block.as_ptr()));
                    assert!(others.iter().all(|a| !a.contains(block.as_ptr())));
                    let _ = next.try_send(block);
                    while let Ok(block) = inbox.try_recv() {
                        assert!(block.iter().all(|x| *x == (lane + 3) % 4));
                    }
                }
            });
        }
        drop(senders);
    });
    let mut indices: Vec<u32> = arenas.iter().map(LaneArena::index).collect();
    indices.dedup();
    assert_eq!(indices.len(), 4);
}

#[test]
fn an_arena_outlives_the_thread_that_used_it() {
    let arena = arena(2, Rung::Plain);
    let block = std::thread::scope(|s| {
        let thread = s.spawn(|| {
            arena.bind_thread();
            vec![9_u8; 1000]
        });
        thread.join().unwrap()
    });
    assert!(arena.contains(block.as_ptr()) && block.iter().all(|x| *x == 9));
}

#[test]
fn a_mapping_dropped_is_gone() {
    let mapping = HugeMapping::new(2 * MIB, Rung::Plain).unwrap();
    let from = format!("{:x}-", mapping.addresses().start);
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains(&from);
    assert!(mapped());
    drop(mapping);
    assert!(!mapped());
}

/// What the property test does with the arena.
#[derive(Clone, Debug)]
enum Step {
    Alloc { size: usize, shift: u32, zeroed: bool },
    Realloc { which: usize, size: usize },
    Free { which: usize },
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1usize..2_000, 4 => 1usize..100_000, 1 => 1usize..2_000_000]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (sizes(), 0u32..13, any::<bool>())
            .prop_map(|(size, shift, zeroed)| Step::Alloc { size, shift, zeroed }),
        1 => (any::<usize>(), sizes()).prop_map(|(which, size)| Step::Realloc { which, size }),
        2 => any::<usize>().prop_map(|which| Step::Free { which }),
    ];
    prop::collection::vec(step, 1..80)
}

/// The naive twin: every living block by its address, with the byte it is filled with.
#[derive(Default)]
struct Twin {
    blocks: BTreeMap<usize, Block>,
    next: u8,
}

struct Block {
    ptr: *mut u8,
    layout: Layout,
    fill: u8,
}

impl Twin {
    /// Checks a block that the arena just handed out, fills it and takes it in.
    fn insert(&mut self, ptr: *mut u8, layout: Layout) {
        let (from, to) = (ptr.addr(), ptr.addr() + layout.size());
        assert!(from != 0 && from.is_multiple_of(layout.align()));
        let below = self.blocks.range(..to).next_back();
        if let Some((start, block)) = below {
            assert!(start + block.layout.size() <= from, "{from:#x} overlaps {start:#x}");
        }
        self.next = self.next.wrapping_add(1);
        // SAFETY: the block is alive and this long, or the allocator is broken, which is what
        // this test would show.
        unsafe { ptr.write_bytes(self.next, layout.size()) };
        self.blocks.insert(from, Block { ptr, layout, fill: self.next });
    }

    /// Takes a block out, checking that nobody wrote to it.
    fn remove(&mut self, which: usize) -> Option<Block> {
        let key = *self.blocks.keys().nth(which.checked_rem(self.blocks.len())?)?;
        let block = self.blocks.remove(&key)?;
        block.check(block.layout.size(), block.fill);
        Some(block)
    }
}

impl Block {
    fn check(&self, len: usize, fill: u8) {
        // SAFETY: the block is alive, initialised and at least `len` long.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, len) };
        assert!(bytes.iter().all(|byte| *byte == fill), "a block changed");
    }
}

fn run(arena: LaneArena, steps: Vec<Step>) {
    let mut twin = Twin::default();
    for step in steps {
        // SAFETY: layouts are not empty, and every block is freed once with its own layout.
        unsafe {
            let _scope = arena.enter();
            match step {
                Step::Alloc { size, shift, zeroed } => {
                    let layout = Layout::from_size_align(size, 1 << shift).unwrap();
                    let ptr =
                        if zeroed { GLOBAL.alloc_zeroed(layout) } else { GLOBAL.alloc(layout) };
                    if zeroed {
                        Block { ptr, layout, fill: 0 }.check(size, 0);
                    }
                    assert!(arena.contains(ptr) || arena.overflow_bytes() > 0);
                    twin.insert(ptr, layout);
                }
                Step::Realloc { which, size } => {
                    let Some(old) = twin.remove(which) else { continue };
                    let ptr = GLOBAL.realloc(old.ptr, old.layout, size);
                    let layout = Layout::from_size_align(size, old.layout.align()).unwrap();
                    Block { ptr, layout, fill: 0 }.check(size.min(old.layout.size()), old.fill);
                    twin.insert(ptr, layout);
                }
                Step::Free { which } => {
                    let Some(old) = twin.remove(which) else { continue };
                    GLOBAL.dealloc(old.ptr, old.layout);
                }
            }
        }
    }
    while let Some(block) = twin.remove(0) {
        // SAFETY: alive, freed once.
        unsafe { GLOBAL.dealloc(block.ptr, block.layout) };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn blocks_never_overlap_nor_change(steps in steps()) {
        // Arenas live for ever, so all cases share one; it is small, so some cases overflow.
        static ARENA: OnceLock<LaneArena> = OnceLock::new();
        run(*ARENA.get_or_init(|| arena(8, Rung::HugeTlb)), steps);
    }
}

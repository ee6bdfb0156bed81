//! The global allocator that knows which agent is working.
//!
//! [`SealedAlloc`] is jemalloc plus one question: does this thread work for a tagged agent? The
//! answer is a const thread-local byte, set around `work` by [`enter`]. Once an agent is sealed
//! ([`seal`], after its warm-up) every call into the allocator is charged to it: for a
//! [`Class::Hot`] agent it is a violation (aborts when [`set_abort`] is on, as in tests), for
//! [`Class::Io`] and [`Class::Cold`] it is counted.
//!
//! Invariant: nothing here allocates, locks or runs a destructor, so it may run inside the
//! allocator at any time, thread exit included. Cost: one thread-local read per call without a
//! tag; with a tag two loads, and one relaxed add once sealed.
//!
//! Ordering: all words are statistics or switches of their own; nothing is published through
//! them, so every access is relaxed. The adds are read-modify-write because nothing stops two
//! threads from working for one tag.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tikv_jemallocator::Jemalloc;

/// jemalloc, charging its calls to the agent at work. Install it once, in the binary:
///
/// ```
/// #[global_allocator]
/// static GLOBAL: bot4_alloc::SealedAlloc = bot4_alloc::SealedAlloc;
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SealedAlloc;

/// What a sealed agent may ask of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing: parse, book, signal, router, risk.
    Hot,
    /// A library's buffers, counted and bounded per record: wire, execution.
    Io,
    /// Anything: journal, telemetry, control. Counted for interest.
    Cold,
}

/// Names a registered agent. Zero is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentTag(u8);

impl AgentTag {
    /// Nobody: calls are not charged.
    pub const NONE: Self = Self(0);

    /// The number printed when a violation aborts; 0 for [`AgentTag::NONE`].
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether this names a registered agent.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// Agents that can be registered at a time.
pub const AGENTS_MAX: usize = 63;

/// State bits of a slot. Zero is a free slot.
const HOT: u64 = 1;
const IO: u64 = 2;
const COLD: u64 = 4;
const SEALED: u64 = 8;

/// One agent's words, on a pair of cache lines of their own (the adjacent-line prefetcher
/// couples pairs), so that two lanes never share one.
#[repr(align(128))]
struct Slot {
    state: AtomicU64,
    allocations: AtomicU64,
    deallocations: AtomicU64,
}

static SLOTS: [Slot; AGENTS_MAX + 1] = [const {
    Slot {
        state: AtomicU64::new(0),
        allocations: AtomicU64::new(0),
        deallocations: AtomicU64::new(0),
    }
}; AGENTS_MAX + 1];

/// Counts of agents already released, so that the sums never go down.
static RELEASED: [Slot; 3] = [const {
    Slot {
        state: AtomicU64::new(0),
        allocations: AtomicU64::new(0),
        deallocations: AtomicU64::new(0),
    }
}; 3];

static ABORT: AtomicBool = AtomicBool::new(false);
static UNWATCHED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The agent this thread works for. Const and without a destructor: reading it never
    /// allocates and never fails, not even while the thread ends.
    static CURRENT: Cell<u8> = const { Cell::new(0) };
}

/// Registers an agent. With [`AGENTS_MAX`] registered already the answer is
/// [`AgentTag::NONE`]: that agent runs unwatched and [`unwatched`] counts it.
#[must_use]
pub fn register(class: Class) -> AgentTag {
    for tag in 1..=AGENTS_MAX as u8 {
        let slot = &SLOTS[usize::from(tag)];
        let taken =
            slot.state.compare_exchange(0, bits(class), Ordering::Relaxed, Ordering::Relaxed);
        if taken.is_ok() {
            return AgentTag(tag);
        }
    }
    UNWATCHED.fetch_add(1, Ordering::Relaxed);
    AgentTag::NONE
}

/// Frees the tag of an agent that will not work again, once: afterwards the tag may name another
/// agent. Its counts stay in the sums.
pub fn release(tag: AgentTag) {
    let slot = slot(tag);
    let state = slot.state.load(Ordering::Relaxed);
    if state == 0 {
        return;
    }
    let sum = &RELEASED[sum_index(state)];
    sum.allocations.fetch_add(slot.allocations.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    sum.deallocations.fetch_add(slot.deallocations.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    // The old agent does not work any more, so counts of two agents cannot mix in one slot.
    slot.state.store(0, Ordering::Relaxed);
}

/// From now on the allocator's calls made for `tag` are violations (Hot) or counted (Io, Cold).
pub fn seal(tag: AgentTag) {
    if slot(tag).state.load(Ordering::Relaxed) != 0 {
        slot(tag).state.fetch_or(SEALED, Ordering::Relaxed);
    }
}

/// Calls made for `tag` are free again, for example while the agent closes. Counts stay.
pub fn unseal(tag: AgentTag) {
    slot(tag).state.fetch_and(!SEALED, Ordering::Relaxed);
}

/// Charges this thread's calls to `tag` until the scope is dropped. Scopes nest;
/// `enter(AgentTag::NONE)` is a pause.
#[inline]
#[must_use]
pub fn enter(tag: AgentTag) -> TagScope {
    TagScope { previous: CURRENT.replace(tag.0), on_this_thread: PhantomData }
}

/// Restores the agent that worked before [`enter`].
#[derive(Debug)]
pub struct TagScope {
    previous: u8,
    /// The scope belongs to the thread that entered it: not `Send`.
    on_this_thread: PhantomData<*mut ()>,
}

impl Drop for TagScope {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

/// Allocations and reallocations `tag` made while sealed.
#[must_use]
pub fn allocations(tag: AgentTag) -> u64 {
    slot(tag).allocations.load(Ordering::Relaxed)
}

/// Deallocations `tag` made while sealed.
#[must_use]
pub fn deallocations(tag: AgentTag) -> u64 {
    slot(tag).deallocations.load(Ordering::Relaxed)
}

/// Allocations and reallocations of all sealed Hot agents of this process. Promised to be zero.
#[must_use]
pub fn hot_allocations() -> u64 {
    sum(HOT, |slot| &slot.allocations)
}

/// Deallocations of all sealed Hot agents of this process. Promised to be zero.
#[must_use]
pub fn hot_deallocations() -> u64 {
    sum(HOT, |slot| &slot.deallocations)
}

/// Allocations and reallocations of all sealed Io agents of this process.
#[must_use]
pub fn io_allocations() -> u64 {
    sum(IO, |slot| &slot.allocations)
}

/// Registrations that found no free tag: agents that run unwatched.
#[must_use]
pub fn unwatched() -> u64 {
    UNWATCHED.load(Ordering::Relaxed)
}

/// Whether a violation ends the process with a message on standard error. Off at start; tests
/// switch it on, production counts.
pub fn set_abort(on: bool) {
    ABORT.store(on, Ordering::Relaxed);
}

// SAFETY: every method forwards to Jemalloc's GlobalAlloc implementation with the arguments
// unchanged and returns its result unchanged. `charge` in front of it neither allocates nor
// unwinds nor touches the memory in question.
unsafe impl GlobalAlloc for SealedAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        charge(Call::Alloc, layout.size());
        // SAFETY: the caller keeps GlobalAlloc's contract, which is Jemalloc's too.
        unsafe { Jemalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        charge(Call::Alloc, layout.size());
        // SAFETY: as in `alloc`.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        charge(Call::Dealloc, layout.size());
        // SAFETY: as in `alloc`; the block came from Jemalloc because all of them do.
        unsafe { Jemalloc.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        charge(Call::Realloc, new_size);
        // SAFETY: as in `dealloc`.
        unsafe { Jemalloc.realloc(ptr, layout, new_size) }
    }
}

/// Which call was made.
#[derive(Clone, Copy)]
enum Call {
    Alloc,
    Realloc,
    Dealloc,
}

#[inline]
fn charge(call: Call, bytes: usize) {
    let tag = CURRENT.get();
    if tag != 0 {
        charge_to(AgentTag(tag), call, bytes);
    }
}

#[cold]
#[inline(never)]
fn charge_to(tag: AgentTag, call: Call, bytes: usize) {
    let slot = slot(tag);
    let state = slot.state.load(Ordering::Relaxed);
    // A panic builds its message on the heap: that is the panic's doing, and aborting here
    // would hide it. The lane is dead after it anyway.
    if state & SEALED == 0 || std::thread::panicking() {
        return;
    }
    let count = match call {
        Call::Alloc | Call::Realloc => &slot.allocations,
        Call::Dealloc => &slot.deallocations,
    };
    count.fetch_add(1, Ordering::Relaxed);
    if state & HOT != 0 && ABORT.load(Ordering::Relaxed) {
        die(tag, call, bytes);
    }
}

/// Ends the process with one line on standard error, built on the stack.
fn die(tag: AgentTag, call: Call, bytes: usize) -> ! {
    let mut line = Line { text: [0; 96], len: 0 };
    line.text(match call {
        Call::Alloc => b"bot4: a sealed hot agent allocated: tag ",
        Call::Realloc => b"bot4: a sealed hot agent reallocated: tag ",
        Call::Dealloc => b"bot4: a sealed hot agent freed: tag ",
    });
    line.number(usize::from(tag.0));
    line.text(b", bytes ");
    line.number(bytes);
    line.text(b"\n");
    // SAFETY: the pointer and length are of initialised bytes on the stack. The result does not
    // matter: the process ends either way.
    unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.len) };
    std::process::abort()
}

/// A line of text without the heap; what does not fit is cut off.
struct Line {
    text: [u8; 96],
    len: usize,
}

impl Line {
    fn text(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(place) = self.text.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, value: usize) {
        if value >= 10 {
            self.number(value / 10);
        }
        self.text(&[b'0' + (value % 10) as u8]);
    }
}

#[inline]
fn slot(tag: AgentTag) -> &'static Slot {
    // A tag is made by `register` only, so it is in range; the mask tells the compiler.
    &SLOTS[usize::from(tag.0) & AGENTS_MAX]
}

const fn bits(class: Class) -> u64 {
    match class {
        Class::Hot => HOT,
        Class::Io => IO,
        Class::Cold => COLD,
    }
}

const fn sum_index(state: u64) -> usize {
    if state & HOT != 0 {
        0
    } else if state & IO != 0 {
        1
    } else {
        2
    }
}

fn sum(class: u64, count: fn(&Slot) -> &AtomicU64) -> u64 {
    let living = SLOTS.iter().filter(|slot| slot.state.load(Ordering::Relaxed) & class != 0);
    let living: u64 = living.map(|slot| count(slot).load(Ordering::Relaxed)).sum();
    living + count(&RELEASED[sum_index(class)]).load(Ordering::Relaxed)
}

const _: () = assert!(AGENTS_MAX.count_ones() == 6, "the mask in `slot` needs all ones");

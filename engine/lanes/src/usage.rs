//! What the kernel counted for the calling thread: page faults and context switches.
//!
//! One system call a sample, so a lane samples at the seal and at its end, never in between.

use std::mem::MaybeUninit;

use bot4_types::Nanos;

/// Counts of one thread since it was made; or between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// Page faults served without the disk.
    pub minor_faults: u64,
    /// Page faults that waited for the disk.
    pub major_faults: u64,
    /// Switches because the thread waited (parked, blocked).
    pub switches_voluntary: u64,
    /// Switches because something else wanted the CPU.
    pub switches_forced: u64,
}

impl ThreadUsage {
    /// The calling thread's counts; zeros where the kernel does not say.
    #[must_use]
    pub fn of_this_thread() -> Self {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is to a whole `rusage`, which the kernel fills.
        let code = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
        if code != 0 {
            return Self::default();
        }
        // SAFETY: zeroed bytes are a valid `rusage`, and the kernel wrote a valid one over them.
        let usage = unsafe { usage.assume_init() };
        Self {
            minor_faults: usage.ru_minflt.unsigned_abs(),
            major_faults: usage.ru_majflt.unsigned_abs(),
            switches_voluntary: usage.ru_nvcsw.unsigned_abs(),
            switches_forced: usage.ru_nivcsw.unsigned_abs(),
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            switches_voluntary: self.switches_voluntary.saturating_sub(earlier.switches_voluntary),
            switches_forced: self.switches_forced.saturating_sub(earlier.switches_forced),
        }
    }
}

/// Nanoseconds of a clock tick in `/proc`: `USER_HZ` is 100 on the targets.
const TICK_NS: u64 = 10_000_000;

/// CPU time used so far by the thread `tid` of this process if it is on a CPU or waits for one;
/// `None` for a thread that sleeps, is stopped or gone. To a clock tick, 10 ms.
#[must_use]
pub fn runnable_for(tid: u32) -> Option<Nanos> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state (field 3) is the first word behind it.
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if words.next()? != "R" {
        return None;
    }
    // Fields 14 and 15: ticks in the program and in the kernel.
    let mut ticks = words.skip(10).map(|w| w.parse::<u64>().unwrap_or(0));
    Some(Nanos((ticks.next()? + ticks.next()?) * TICK_NS))
}

/// Bytes of stack that a lane makes present before it starts: far more than any turn uses.
const STACK: usize = 256 * 1024;

/// Makes the calling thread's next [`STACK`] bytes of stack present, so that no deep call faults
/// on the hot path.
#[inline(never)]
pub fn touch_stack() {
    let mut block = [0_u8; STACK];
    std::hint::black_box(&mut block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_thread_is_runnable_and_a_parked_one_is_not() {
        let tid = |()| {
            // SAFETY: no arguments, no precondition.
            unsafe { libc::gettid() }.unsigned_abs()
        };
        let before = runnable_for(tid(())).expect("this thread runs");
        let mut rounds = 0_u64;
        while runnable_for(tid(())).expect("this thread runs").since(before) < Nanos(3 * TICK_NS) {
            rounds += 1;
        }
        assert!(rounds > 10, "CPU time passes");
        assert_eq!(runnable_for(0), None);
        let (tx, rx) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().spawn(move || {
            tx.send(tid(())).expect("a listener");
            std::thread::park_timeout(std::time::Duration::from_secs(20));
        });
        let (thread, parked) = (thread.expect("a thread"), rx.recv().expect("its id"));
        assert!((0..2_000).any(|_| {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
            runnable_for(parked).is_none()
        }));
        thread.thread().unpark();
        thread.join().expect("no panic");
    }

    /// The kernel may move a page between two samples, to make room for somebody's huge pages, and
    /// whoever touches it then waits by a fault: one pass of a few is left alone.
    #[test]
    fn fresh_pages_are_counted_and_a_touched_stack_costs_none() {
        let touched = || {
            let before = ThreadUsage::of_this_thread();
            touch_stack();
            ThreadUsage::of_this_thread().since(&before)
        };
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            let first = touched();
            (first, [(); 20].map(|()| touched()))
        });
        let (first, again) = thread.expect("a thread").join().expect("no panic");
        assert!(first.minor_faults > 16, "{first:?}");
        let none = |usage: &ThreadUsage| (usage.minor_faults, usage.major_faults) == (0, 0);
        assert!(again.iter().any(none), "{again:?}");
    }
}

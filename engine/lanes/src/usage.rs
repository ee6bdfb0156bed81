//! What the kernel counted for the calling thread: page faults and context switches.
//!
//! One system call a sample, so a lane samples at the seal and at its end, never in between.

use std::mem::MaybeUninit;

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
    fn fresh_pages_are_counted_and_a_touched_stack_costs_none() {
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
            let before = ThreadUsage::of_this_thread();
            touch_stack();
            let touched = ThreadUsage::of_this_thread();
            touch_stack();
            let again = ThreadUsage::of_this_thread();
            (touched.since(&before), again.since(&touched))
        });
        let (first, second) = thread.expect("a thread").join().expect("no panic");
        assert!(first.minor_faults > 16, "{first:?}");
        assert_eq!((second.minor_faults, second.major_faults), (0, 0), "{second:?}");
    }
}

//! The lanes' clock: the invariant TSC, scaled to nanoseconds once at start; the operating
//! system's monotonic clock where the TSC is not invariant. The only place that reads either.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bot4_types::{Nanos, Wall};

/// Which source a clock uses; the run report says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// The time-stamp counter, invariant by CPUID.
    Tsc,
    /// `CLOCK_MONOTONIC`.
    Monotonic,
}

impl ClockSource {
    /// What reports call it: `invariant`, or `fallback` where there is no invariant TSC.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tsc => "invariant",
            Self::Monotonic => "fallback",
        }
    }
}

/// Nanoseconds since the engine's start. Copied to every lane; all copies agree.
#[derive(Clone, Debug)]
pub struct Clock {
    source: ClockSource,
    base_ticks: u64,
    /// Nanoseconds a tick, 32.32 fixed point.
    scale: u64,
    base: Instant,
}

/// How long calibration waits between its two brackets: 20 ms gives about 1 ppm.
const CALIBRATION: Duration = Duration::from_millis(20);
const BRACKETS: usize = 64;

impl Clock {
    /// Starts the engine's time at zero. Takes about 20 ms where the TSC is calibrated.
    #[must_use]
    pub fn start() -> Self {
        if tsc::is_invariant() { Self::calibrated() } else { Self::monotonic() }
    }

    /// A clock over `CLOCK_MONOTONIC`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock's own seam")]
    pub fn monotonic() -> Self {
        Self { source: ClockSource::Monotonic, base_ticks: 0, scale: 0, base: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "the clock's own seam")]
    fn calibrated() -> Self {
        let (first_ticks, first) = bracket();
        std::thread::sleep(CALIBRATION);
        let (last_ticks, last) = bracket();
        let ns = last.duration_since(first).as_nanos();
        let ticks = u128::from(last_ticks.wrapping_sub(first_ticks)).max(1);
        let scale = u64::try_from((ns << 32) / ticks).unwrap_or(u64::MAX);
        Self { source: ClockSource::Tsc, base_ticks: last_ticks, scale, base: last }
    }

    /// The time now.
    #[must_use]
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "the clock's own seam")]
    pub fn now(&self) -> Nanos {
        match self.source {
            ClockSource::Tsc => {
                let ticks = tsc::read().saturating_sub(self.base_ticks);
                Nanos(((u128::from(ticks) * u128::from(self.scale)) >> 32) as u64)
            }
            ClockSource::Monotonic => {
                Nanos(Instant::now().duration_since(self.base).as_nanos() as u64)
            }
        }
    }

    /// Which source is used.
    #[must_use]
    pub const fn source(&self) -> ClockSource {
        self.source
    }

    /// The mapping to wall time, by the operating system's wall clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the clock's own seam")]
    pub fn wall(&self) -> Wall {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall { origin_unix_ns: unix.as_nanos() as i64 - self.now().0 as i64 }
    }
}

/// How well the operating system's wall clock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// Something keeps it: the kernel does not call it unsynchronised.
    pub synchronised: bool,
    /// Largest error that the kernel believes possible, microseconds.
    pub max_error_us: u64,
}

/// Asks the kernel how well its wall clock is kept, adjtimex(2); changes nothing.
///
/// # Errors
/// What the system says, where it does not allow the question.
pub fn discipline() -> std::io::Result<Discipline> {
    // SAFETY: `timex` holds integers alone, for which zero is a value; zero modes only ask.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole, writable `timex` that outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    Ok(Discipline { synchronised, max_error_us: timex.maxerror.max(0).unsigned_abs() })
}

/// The tightest of several (TSC, monotonic) pairs.
#[expect(clippy::disallowed_methods, reason = "the clock's own seam")]
fn bracket() -> (u64, Instant) {
    let mut best = (u64::MAX, 0, Instant::now());
    for _ in 0..BRACKETS {
        let before = tsc::read();
        let at = Instant::now();
        let after = tsc::read();
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, before + width / 2, at);
        }
    }
    (best.1, best.2)
}

#[cfg(target_arch = "x86_64")]
mod tsc {
    /// CPUID leaf 0x8000_0007, EDX bit 8: the TSC runs at a constant rate in all states.
    pub fn is_invariant() -> bool {
        let highest = core::arch::x86_64::__cpuid(0x8000_0000).eax;
        highest >= 0x8000_0007 && core::arch::x86_64::__cpuid(0x8000_0007).edx & (1 << 8) != 0
    }

    #[inline]
    pub fn read() -> u64 {
        // SAFETY: `rdtsc` exists on every x86-64 CPU, reads no memory and has no precondition.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod tsc {
    pub fn is_invariant() -> bool {
        false
    }

    pub fn read() -> u64 {
        0
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "compares the clock with its reference")]
mod tests {
    use super::*;

    #[test]
    fn follows_the_monotonic_clock() {
        let clock = Clock::start();
        let (a, start) = (clock.now(), Instant::now());
        std::thread::sleep(Duration::from_millis(50));
        let (b, real) = (clock.now(), start.elapsed());
        let ours = b.since(a).0 as i128;
        let error = (ours - real.as_nanos() as i128).abs();
        assert!(error < 5_000_000, "off by {error} ns in 50 ms");
    }

    #[test]
    fn never_runs_backwards() {
        for clock in [Clock::start(), Clock::monotonic()] {
            let mut last = clock.now();
            for _ in 0..10_000 {
                let now = clock.now();
                assert!(now >= last);
                last = now;
            }
        }
    }

    #[test]
    fn wall_time_is_unix_time() {
        let clock = Clock::start();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_millis() as i64);
        assert!((clock.wall().unix_ms(clock.now()) - unix.unwrap_or(0)).abs() < 1_000);
    }
}

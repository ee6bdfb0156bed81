//! Whether this process may have real-time threads (`SCHED_FIFO`), found out by trying.
//!
//! No lane is one: a lane that spins would starve the kernel's threads on its CPU. Whoever starts
//! the engine so nevertheless learns here, before it does, what limits, capabilities and the
//! control group say: one of version 1 refuses until it has a share of real time.

use std::io;

/// The lowest priority: even the trial of it disturbs nobody.
const PRIORITY: i32 = 1;

/// Makes a thread of its own real-time for a moment; it ends before this returns.
///
/// # Errors
/// What the kernel says to it; `EPERM` where it is not allowed.
pub fn try_fifo() -> io::Result<()> {
    let trial = std::thread::Builder::new().name("fifo-trial".to_owned()).spawn(|| {
        let param = libc::sched_param { sched_priority: PRIORITY };
        // SAFETY: zero names the calling thread; the pointer is to a whole `sched_param` that
        // outlives the call and is only read.
        match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })?;
    trial.join().unwrap_or_else(|_| Err(io::Error::other("the trial's thread panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_leaves_this_thread_as_it_is() {
        // SAFETY: zero names the calling thread; the call only asks.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let before = policy();
        match try_fifo() {
            Ok(()) => println!("this process may have real-time threads"),
            Err(e) => assert_eq!(e.raw_os_error(), Some(libc::EPERM), "{e}"),
        }
        assert_eq!(policy(), before);
    }
}

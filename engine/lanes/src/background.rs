//! The least a thread can ask of the machine: for what only watches.

use std::io;

/// Gives the calling thread, and those that it starts from now on, what nobody else wants of the
/// CPUs: `SCHED_IDLE`. One system call.
///
/// # Errors
/// When the kernel refuses; the thread then goes on as before.
pub fn yield_to_everyone() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a whole `sched_param`, which the kernel only reads; 0 names the
    // calling thread.
    let code = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_becomes_idle_and_its_starter_does_not() {
        // SAFETY: no pointers; 0 names the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let before = policy();
        let inside = std::thread::scope(|scope| {
            let idle = scope.spawn(|| {
                yield_to_everyone().expect("the kernel lets everyone be modest");
                policy()
            });
            idle.join().expect("ended")
        });
        assert_eq!((inside, policy()), (libc::SCHED_IDLE, before));
    }
}

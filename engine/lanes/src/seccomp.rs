//! A test aid: proves that a compute lane makes no system call after the seal.
//!
//! ```text
//!   seal --> install(): this thread may only wait (futex, sched_yield) and end
//!   turns --> any other call is not made: SIGSYS --> counted, answered with ENOSYS
//!   stop --> leave(): the thread's own end (stack, signal mask) is not counted
//! ```
//!
//! The filter cannot be taken off again, so it stays until the thread ends; what libc does there
//! is refused too, which it bears. What is allowed: `futex` and `sched_yield` (idling, parking,
//! waking), `rt_sigreturn` (this module's handler), `exit` and `exit_group`, and `getrusage` of
//! the thread itself (the lane's last sample). Reading the TSC is no system call, nor is reading
//! the clock through the vDSO.

use std::cell::Cell;
use std::io;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E; // AUDIT_ARCH_X86_64
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7; // AUDIT_ARCH_AARCH64

/// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

thread_local! {
    /// Const and without a destructor: the signal handler may read and write them at any time.
    static CAUGHT: Cell<u64> = const { Cell::new(0) };
    static FIRST: Cell<i32> = const { Cell::new(-1) };
    static COUNTING: Cell<bool> = const { Cell::new(false) };
}

/// System calls caught on this thread, and the number of the first.
#[must_use]
pub fn caught() -> (u64, Option<u32>) {
    (CAUGHT.get(), u32::try_from(FIRST.get()).ok())
}

/// From now on nothing is counted on this thread; it is about to end.
pub fn leave() {
    COUNTING.set(false);
}

/// Traps this thread's system calls from now on.
///
/// # Errors
/// When the kernel has no seccomp filters or refuses this one.
pub fn install() -> io::Result<()> {
    handle_sigsys()?;
    let mut program = filter();
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers; the flag only takes privileges away, from this thread.
    done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    COUNTING.set(true);
    // SAFETY: the pointer is to a filter program of the length it tells; the kernel copies it.
    let code = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
    };
    done(code).inspect_err(|_| COUNTING.set(false))
}

fn done(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const fn load(offset: u32) -> libc::sock_filter {
    let code = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    libc::sock_filter { code, jt: 0, jf: 0, k: offset }
}

/// Skips `yes` instructions when the loaded word equals `k`, else `no`.
const fn equals(k: u32, yes: u8, no: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: yes, jf: no, k }
}

const fn answer(action: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: action }
}

fn filter() -> Vec<libc::sock_filter> {
    let allowed = [
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_rt_sigreturn,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut program = vec![
        load(ARCHITECTURE),
        equals(ARCH, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NR),
    ];
    for nr in allowed {
        program.extend([equals(nr as u32, 0, 1), answer(libc::SECCOMP_RET_ALLOW)]);
    }
    program.extend([
        equals(libc::SYS_getrusage as u32, 0, 3),
        load(FIRST_ARGUMENT),
        equals(libc::RUSAGE_THREAD as u32, 0, 1),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_TRAP),
    ]);
    program
}

/// Counts SIGSYS instead of dying of it; process-wide, harmless where no filter is installed.
fn handle_sigsys() -> io::Result<()> {
    // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_sigsys;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for and is async-signal-safe:
    // it touches const thread-locals and the interrupted context only.
    done(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) })
}

extern "C" fn on_sigsys(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if COUNTING.get() {
        CAUGHT.set(CAUGHT.get() + 1);
        if FIRST.get() < 0 {
            // SAFETY: the kernel passes a whole siginfo; for SIGSYS the word behind the header
            // (three ints, padded to 16 bytes) and the call's address (8 bytes) is the number.
            FIRST.set(unsafe { info.cast::<u8>().add(24).cast::<i32>().read() });
        }
    }
    // SAFETY: the kernel passes the interrupted thread's context, ours to change until we return.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let refused = -i64::from(libc::ENOSYS);
    #[cfg(target_arch = "x86_64")]
    {
        context.uc_mcontext.gregs[libc::REG_RAX as usize] = refused;
    }
    #[cfg(target_arch = "aarch64")]
    {
        context.uc_mcontext.regs[0] = refused as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_allowed_and_anything_else_is_counted() {
        let thread = std::thread::Builder::new().spawn(|| {
            install().expect("the kernel has seccomp filters");
            std::thread::yield_now();
            std::thread::park_timeout(std::time::Duration::from_micros(100));
            let _ = crate::usage::ThreadUsage::of_this_thread();
            let clean = caught();
            // SAFETY: no arguments, no effect; it is refused.
            let refused = unsafe { libc::syscall(libc::SYS_getppid) };
            // SAFETY: the whole process's usage is not allowed and not written.
            let other = unsafe { libc::getrusage(libc::RUSAGE_SELF, std::ptr::null_mut()) };
            let planted = caught();
            leave();
            (clean, refused, other, planted)
        });
        let (clean, refused, other, planted) = thread.expect("a thread").join().expect("no panic");
        assert_eq!(clean, (0, None));
        assert_eq!((refused, other), (-1, -1));
        assert_eq!(planted, (2, Some(libc::SYS_getppid as u32)));
    }
}

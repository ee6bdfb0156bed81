//! Makes present what the program has mapped: its code, constants and variables and those of its
//! libraries, later its own memory, too.
//!
//! A page that nobody has touched yet is not mapped; its first use costs a page fault (about a
//! microsecond, or a disk read), and that would happen just when something rare does: the first
//! kill, the first refusal, the first block of jemalloc's tables that a buffer of odd size needs.
//! One pass over `/proc/self/maps` asks the kernel for all of it, and to keep it: short of memory,
//! as beside a build, it would drop clean pages of code again. Cost: some milliseconds for each.
//! Where `RLIMIT_MEMLOCK` is too small to keep them, they stay the kernel's to take, which the
//! lanes' fault counts then show. The first thread's stack is kept only where no limit holds: one
//! that is locked may not grow past the limit, and the kernel ends a program whose stack cannot.

use std::ffi::c_void;

/// Linux 5.14; `libc` calls it by the same number.
const POPULATE_READ: i32 = libc::MADV_POPULATE_READ;
const POPULATE_WRITE: i32 = libc::MADV_POPULATE_WRITE;

/// What was made present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Bytes of mappings that are present now.
    pub bytes: usize,
    /// Bytes of these that the kernel keeps present whatever happens.
    pub locked: usize,
    /// Mappings that the kernel refused, for example on kernels before 5.14.
    pub refused: usize,
}

/// Makes all file-backed mappings of the program and its libraries present: at the process's start.
#[must_use]
pub fn populate_program() -> Resident {
    populate(|mapping| mapping.is_program)
}

/// Makes present what [`populate_program`] leaves: variables that begin as zero, stacks, heaps,
/// jemalloc's tables. Called when all threads and arenas are made and none is at work yet.
#[must_use]
pub fn populate_memory() -> Resident {
    populate(|mapping| !mapping.is_program && mapping.is_writable)
}

fn populate(which: impl Fn(&Mapping) -> bool) -> Resident {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let limit = lock_limit(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default());
    let mut resident = Resident::default();
    for mapping in maps.lines().filter_map(private_mapping).filter(which) {
        let Mapping { start, len, is_writable, is_stack, .. } = mapping;
        let advice = if is_writable { POPULATE_WRITE } else { POPULATE_READ };
        let address: *mut c_void = std::ptr::without_provenance_mut(start);
        // SAFETY: both kinds of advice keep every byte as it is and change no permission; a range
        // that is not mapped any more is an error, not an access.
        if unsafe { libc::madvise(address, len, advice) } == 0 {
            resident.bytes += len;
            if is_stack && !may_grow(resident.locked, limit) {
                continue;
            }
            // SAFETY: locking keeps every byte and permission, and the range was mapped just now;
            // one that is not any more is an error.
            let locked = unsafe { libc::mlock(address, len) } == 0;
            resident.locked += if locked { len } else { 0 };
        } else {
            resident.refused += 1;
        }
    }
    resident
}

/// Whether a locked stack may still grow when `locked` bytes are: without a limit, or where more
/// than the limit was granted already (`CAP_IPC_LOCK`).
const fn may_grow(locked: usize, limit: Option<usize>) -> bool {
    match limit {
        Some(limit) => locked > limit,
        None => true,
    }
}

/// The soft limit of locked memory, bytes, in the text of `/proc/self/limits`; `None` for none. A
/// text that does not say limits to nothing known, so that no stack is locked.
fn lock_limit(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next());
    (soft != Some("unlimited")).then(|| soft.and_then(|n| n.parse().ok()).unwrap_or(usize::MAX))
}

/// A private, readable mapping of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    len: usize,
    is_writable: bool,
    /// Of a file: the program or a library.
    is_program: bool,
    /// The first thread's stack: the one mapping that the kernel lets grow.
    is_stack: bool,
}

/// The mapping of a line of `/proc/self/maps`. Shared ones are somebody's data files, and what the
/// kernel itself maps (`[vdso]`) is always there.
fn private_mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let name = words.nth(3).unwrap_or_default();
    let is_program = name.starts_with('/');
    let is_memory = name.is_empty() || matches!(name, "[heap]" | "[stack]");
    if !rights.starts_with('r') || !rights.ends_with('p') || !(is_program || is_memory) {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let start = usize::from_str_radix(from, 16).ok()?;
    let len = usize::from_str_radix(to, 16).ok()?.checked_sub(start)?;
    let is_stack = name == "[stack]";
    Some(Mapping { start, len, is_writable: rights.contains('w'), is_program, is_stack })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_present_and_keeps_running() {
        let resident = populate_program();
        assert!(resident.bytes > 1 << 20, "{resident:?}");
        assert_eq!(resident.refused, 0);
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        assert!(kib * 1024 >= resident.locked, "{line}: {resident:?}");
        if resident.locked == 0 {
            println!("skipped: no right to lock the program");
        }
    }

    #[test]
    fn memory_that_nobody_has_touched_is_present() {
        const PAGES: usize = 4096;
        static UNTOUCHED: [std::sync::atomic::AtomicU64; PAGES * 512] =
            [const { std::sync::atomic::AtomicU64::new(0) }; PAGES * 512];
        let faults = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("a stat");
            let after_name = stat.rsplit(')').next().expect("fields");
            after_name.split_ascii_whitespace().nth(7).expect("minflt").parse::<usize>()
        };
        let touch = |from: usize, to: usize| {
            let before = faults().expect("a number");
            for page in from..to {
                UNTOUCHED[page * 512].store(1, std::sync::atomic::Ordering::Relaxed);
            }
            faults().expect("a number") - before
        };
        // Pages cost faults, and none once they are present; transparent ones cost fewer.
        assert!(touch(0, PAGES / 2) > 2);
        let resident = populate_memory();
        assert!(resident.bytes > PAGES * 2048, "{resident:?}");
        assert!(touch(PAGES / 2, PAGES) <= 2);
    }

    #[test]
    fn a_stack_is_locked_only_where_it_may_still_grow() {
        let limits = |soft: &str| format!("Limit\nMax locked memory  {soft}  8388608  bytes\n");
        assert_eq!(lock_limit(&limits("8388608")), Some(8_388_608));
        assert_eq!(lock_limit(&limits("unlimited")), None);
        assert_eq!(lock_limit(""), Some(usize::MAX), "not known");
        assert!(may_grow(0, None), "no limit");
        assert!(may_grow(8_388_609, Some(8_388_608)), "not held to it");
        assert!(!may_grow(8_163_328, Some(8_388_608)), "room for one page more is not enough");
        let stack = private_mapping("7ffd-7fff rw-p 00000000 00:00 0      [stack]");
        let heap = private_mapping("55e0-55f0 rw-p 00000000 00:00 0      [heap]");
        assert_eq!([stack, heap].map(|m| m.map(|m| m.is_stack)), [Some(true), Some(false)]);
    }

    #[test]
    fn mappings_are_told_apart() {
        let of =
            |line| private_mapping(line).map(|m| (m.start, m.len, m.is_writable, m.is_program));
        let code = "55e0-55f0 r-xp 00002000 fe:00 123   /usr/bin/bot4";
        assert_eq!(of(code), Some((0x55e0, 0x10, false, true)));
        let data = "1000-3000 rw-p 00002000 fe:00 123   /usr/bin/bot4";
        assert_eq!(of(data), Some((0x1000, 0x2000, true, true)));
        let zeros = "3000-5000 rw-p 00000000 00:00 0 ";
        assert_eq!(of(zeros), Some((0x3000, 0x2000, true, false)));
        let stack = "7ffd-7fff rw-p 00000000 00:00 0      [stack]";
        assert_eq!(of(stack), Some((0x7ffd, 2, true, false)));
        for other in [
            "7f00-7f10 rw-s 00000000 fe:00 9   /run/journal",
            "7f00-7f10 ---p 00000000 00:00 0 ",
            "7f00-7f10 ---p 00000000 fe:00 9   /usr/lib/libc.so",
            "7ffd-7ffe r-xp 00000000 00:00 0   [vdso]",
            "7ffd-7ffe r--p 00000000 00:00 0   [vvar]",
            "nonsense",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}

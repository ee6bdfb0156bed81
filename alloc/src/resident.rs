//! Makes the program itself present: its code, constants and variables, and those of its
//! libraries.
//!
//! A page of code that nobody has run yet is not mapped; its first instruction costs a page fault
//! (about a microsecond, or a disk read), and that would happen just when something rare does:
//! the first kill, the first refusal. One pass over `/proc/self/maps` at start asks the kernel for
//! all of it, and to keep it: short of memory, as beside a build, it would drop clean pages of code
//! again. Cost: a few milliseconds, once. Where `RLIMIT_MEMLOCK` is too small to keep them, they
//! stay the kernel's to take, which the lanes' fault counts then show.

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

/// Makes all file-backed mappings of the program and its libraries present.
#[must_use]
pub fn populate_program() -> Resident {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut resident = Resident::default();
    for (start, len, writable) in maps.lines().filter_map(program_mapping) {
        let advice = if writable { POPULATE_WRITE } else { POPULATE_READ };
        let address: *mut c_void = std::ptr::without_provenance_mut(start);
        // SAFETY: both kinds of advice keep every byte as it is and change no permission; a range
        // that is not mapped any more is an error, not an access.
        if unsafe { libc::madvise(address, len, advice) } == 0 {
            resident.bytes += len;
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

/// Start, length and writability of a line of `/proc/self/maps` that belongs to the program or a
/// library: private, readable, and of a file. Shared mappings are somebody's data files.
fn program_mapping(line: &str) -> Option<(usize, usize, bool)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let path = words.nth(3)?;
    if !rights.starts_with('r') || !rights.ends_with('p') || !path.starts_with('/') {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let start = usize::from_str_radix(from, 16).ok()?;
    let len = usize::from_str_radix(to, 16).ok()?.checked_sub(start)?;
    Some((start, len, rights.contains('w')))
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
    fn lines_of_the_program_are_told_from_others() {
        let of = program_mapping;
        let code = "55e0-55f0 r-xp 00002000 fe:00 123   /usr/bin/bot4";
        assert_eq!(of(code), Some((0x55e0, 0x10, false)));
        let data = "1000-3000 rw-p 00002000 fe:00 123   /usr/bin/bot4";
        assert_eq!(of(data), Some((0x1000, 0x2000, true)));
        for other in [
            "7f00-7f10 rw-s 00000000 fe:00 9   /run/journal",
            "7f00-7f10 rw-p 00000000 00:00 0 ",
            "7f00-7f10 ---p 00000000 fe:00 9   /usr/lib/libc.so",
            "7ffd-7ffe r-xp 00000000 00:00 0   [vdso]",
            "nonsense",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}

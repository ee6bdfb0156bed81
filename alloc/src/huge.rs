//! Memory on 2 MiB pages, one rung after the other: reserved huge pages, transparent huge pages,
//! small pages.
//!
//! ```text
//!   HugeTlb   mmap(MAP_HUGETLB, 2 MiB)     pages reserved by the host; cannot be split or swapped
//!      | no pages reserved, or the cgroup says no
//!   Thp       madvise(MADV_HUGEPAGE)       pages the kernel finds now; COLLAPSE asks again
//!      | the kernel has none, or is built without
//!   Plain     madvise(MADV_NOHUGEPAGE)     4 KiB pages; the engine runs, with more TLB misses
//! ```
//!
//! Invariant: every page is present before [`HugeMapping::new`] returns. `MADV_POPULATE_WRITE`
//! tells by an error what a plain touch would tell by `SIGBUS` (a hugetlb cgroup at its limit);
//! that error means the next rung. What was asked and what is there differ, so
//! [`HugeMapping::backing`] reads it back from `/proc/self/smaps`.
//!
//! Cost: about 0.3 ms a MiB, once. No cost afterwards.

use std::fmt;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use crate::region::{PAGE, Region};

/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// What a mapping is made of, best last, so that `Plain < Thp < HugeTlb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Small pages.
    Plain,
    /// Transparent huge pages: at least one was there after populating.
    Thp,
    /// Reserved huge pages.
    HugeTlb,
}

impl Rung {
    /// All rungs in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::HugeTlb, Self::Thp, Self::Plain];
}

impl fmt::Display for Rung {
    /// The word used in reports: `hugetlb`, `thp` or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HugeTlb => "hugetlb",
            Self::Thp => "thp",
            Self::Plain => "none",
        })
    }
}

/// What really backs a mapping, in bytes, as the kernel shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// On reserved huge pages.
    pub huge_bytes: usize,
    /// On transparent huge pages.
    pub thp_bytes: usize,
    /// On small pages.
    pub small_bytes: usize,
    /// Length of the mapping. What the three above lack is not present.
    pub total: usize,
}

/// A populated private mapping, zeroed at first, aligned to 2 MiB, unmapped when dropped.
#[derive(Debug)]
pub struct HugeMapping {
    /// For the two lower rungs with unreachable addresses on both sides, so that the kernel
    /// does not merge it with a neighbour and smaps tells about this mapping alone.
    region: Region,
    offset: usize,
    len: usize,
    rung: Rung,
}

impl HugeMapping {
    /// Maps `bytes`, rounded up to whole huge pages, on the best rung that works, beginning with
    /// `max_rung`.
    ///
    /// # Errors
    /// `InvalidInput` when `bytes` is zero or absurd, `OutOfMemory` when the host has not as much
    /// available; otherwise the error of the last rung, which means that memory is out.
    pub fn new(bytes: usize, max_rung: Rung) -> io::Result<Self> {
        let len = bytes.checked_next_multiple_of(HUGE_PAGE).filter(|len| *len > 0);
        let len = len.ok_or(io::ErrorKind::InvalidInput)?;
        let mut result = Err(io::ErrorKind::InvalidInput.into());
        for rung in Rung::ALL {
            if rung <= max_rung && result.is_err() {
                result = Self::on(rung, len);
            }
        }
        result
    }

    fn on(rung: Rung, len: usize) -> io::Result<Self> {
        match rung {
            Rung::HugeTlb => Self::reserved(len),
            Rung::Thp => Self::transparent(len),
            Rung::Plain => Self::guarded(len, Rung::Plain, libc::MADV_NOHUGEPAGE),
        }
    }

    fn reserved(len: usize) -> io::Result<Self> {
        // The size is named: the host's default huge page may be 1 GiB.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let region = Region::map(len, prot, flags | libc::MAP_HUGE_2MB, -1)?;
        region.advise(0, len, libc::MADV_POPULATE_WRITE)?;
        Ok(Self { region, offset: 0, len, rung: Rung::HugeTlb })
    }

    fn transparent(len: usize) -> io::Result<Self> {
        let mapping = Self::guarded(len, Rung::Thp, libc::MADV_HUGEPAGE)?;
        if mapping.backing()?.thp_bytes < len {
            // Memory was fragmented: the kernel may now compact it for us. Linux 6.1; an error
            // changes nothing, so it is not looked at but for the question below.
            let _ = mapping.region.advise(mapping.offset, len, libc::MADV_COLLAPSE);
        }
        if mapping.backing()?.thp_bytes == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(mapping)
    }

    fn guarded(len: usize, rung: Rung, advice: i32) -> io::Result<Self> {
        // Populating more than there is would not fail but wake the kernel's OOM killer.
        if available_bytes().is_some_and(|available| len > available) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        // Room to align, and at least a page that stays unreachable at either end.
        let whole = len.checked_add(2 * HUGE_PAGE).ok_or(io::ErrorKind::InvalidInput)?;
        let region = Region::reserve(whole)?;
        let first = region.start().as_ptr().addr() + PAGE;
        let offset = first.next_multiple_of(HUGE_PAGE) - (first - PAGE);
        region.open(offset, len)?;
        match region.advise(offset, len, advice) {
            // A kernel without transparent huge pages does not know what to leave out either.
            Err(_) if rung == Rung::Plain => {}
            result => result?,
        }
        if rung == Rung::Plain {
            region.populate(offset, len)?;
        } else {
            region.advise(offset, len, libc::MADV_POPULATE_WRITE)?;
        }
        Ok(Self { region, offset, len, rung })
    }

    /// First byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: `offset < region.len()` by construction: inside the mapping.
        unsafe { self.region.start().add(self.offset) }
    }

    /// Length in bytes, a multiple of [`HUGE_PAGE`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The rung it stands on.
    #[must_use]
    pub const fn rung(&self) -> Rung {
        self.rung
    }

    /// The addresses it covers.
    #[must_use]
    pub fn addresses(&self) -> Range<usize> {
        let start = self.start().as_ptr().addr();
        start..start + self.len
    }

    /// What backs it now, by `/proc/self/smaps`. Takes milliseconds: for start and reports.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn backing(&self) -> io::Result<Backing> {
        let smaps = std::fs::read_to_string("/proc/self/smaps")?;
        Ok(backing_of(&smaps, &self.addresses()))
    }
}

/// Bytes the host can give without swapping, by `/proc/meminfo`.
fn available_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Sums over the mappings in `smaps` that lie inside `addresses`.
fn backing_of(smaps: &str, addresses: &Range<usize>) -> Backing {
    let mut backing = Backing { total: addresses.len(), ..Backing::default() };
    let (mut inside, mut resident) = (false, 0);
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let Some(key) = first.strip_suffix(':') else {
            inside = range_of(first)
                .is_some_and(|r| r.start >= addresses.start && r.end <= addresses.end);
            continue;
        };
        let kib = words.next().and_then(|w| w.parse::<usize>().ok()).unwrap_or(0);
        match key {
            "Private_Hugetlb" | "Shared_Hugetlb" if inside => backing.huge_bytes += kib * 1024,
            "AnonHugePages" if inside => backing.thp_bytes += kib * 1024,
            "Rss" if inside => resident += kib * 1024,
            _ => {}
        }
    }
    // Rss counts transparent huge pages and not reserved ones.
    backing.small_bytes = resident.saturating_sub(backing.thp_bytes);
    backing
}

/// The addresses of a mapping from the first word of its line, `from-to` in hexadecimal.
fn range_of(word: &str) -> Option<Range<usize>> {
    let (from, to) = word.split_once('-')?;
    Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                4096 kB
AnonHugePages:      2048 kB
Private_Hugetlb:       0 kB
VmFlags: rd wr mr mw me ac hg
7f0000400000-7f0000800000 rw-p 00000000 00:10 3 /anon_hugepage (deleted)
Rss:                   0 kB
AnonHugePages:         0 kB
Private_Hugetlb:    4096 kB
7f0000800000-7f0000900000 ---p 00000000 00:00 0
Rss:                 512 kB
";

    #[test]
    fn smaps_is_summed_inside_the_range_only() {
        let all = backing_of(SMAPS, &(0x7f00_0000_0000..0x7f00_0080_0000));
        let mib = 1 << 20;
        let expected = Backing {
            huge_bytes: 4 * mib,
            thp_bytes: 2 * mib,
            small_bytes: 2 * mib,
            total: 8 * mib,
        };
        assert_eq!(all, expected);
        let second = backing_of(SMAPS, &(0x7f00_0040_0000..0x7f00_0080_0000));
        assert_eq!((second.huge_bytes, second.thp_bytes, second.small_bytes), (4 * mib, 0, 0));
        assert_eq!(backing_of("", &(0..5)), Backing { total: 5, ..Backing::default() });
        assert_eq!(backing_of("nonsense\nRss: many kB\n", &(0..5)).small_bytes, 0);
    }

    #[test]
    fn every_rung_is_aligned_present_and_zero() {
        for max in Rung::ALL {
            let mapping = HugeMapping::new(3 * HUGE_PAGE - 1, max).unwrap();
            assert!(mapping.rung() <= max, "{:?} above {max:?}", mapping.rung());
            assert_eq!(mapping.len(), 3 * HUGE_PAGE);
            assert_eq!(mapping.addresses().start % HUGE_PAGE, 0);
            let backing = mapping.backing().unwrap();
            let present = backing.huge_bytes + backing.thp_bytes + backing.small_bytes;
            assert_eq!((present, backing.total), (mapping.len(), mapping.len()), "{backing:?}");
            match mapping.rung() {
                Rung::HugeTlb => assert_eq!(backing.huge_bytes, mapping.len()),
                Rung::Thp => assert!(backing.thp_bytes > 0 && backing.huge_bytes == 0),
                Rung::Plain => assert_eq!(backing.small_bytes, mapping.len()),
            }
            // SAFETY: the mapping is this test's own, readable for its whole length.
            let bytes =
                unsafe { std::slice::from_raw_parts(mapping.start().as_ptr(), mapping.len()) };
            assert!(bytes.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn the_best_rung_of_this_host_is_used() {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let free: usize = read("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
            .trim()
            .parse()
            .unwrap_or(0);
        let thp = read("/sys/kernel/mm/transparent_hugepage/enabled");
        let mapping = HugeMapping::new(HUGE_PAGE, Rung::HugeTlb).unwrap();
        if free == 0 {
            assert!(mapping.rung() < Rung::HugeTlb);
        }
        // The other tests of this process use a few at the same time.
        if free >= 32 {
            assert_eq!(mapping.rung(), Rung::HugeTlb);
        }
        if thp.contains("[madvise]") || thp.contains("[always]") {
            assert!(mapping.rung() >= Rung::Thp, "thp is {thp}");
        }
    }

    #[test]
    fn nothing_and_too_much_are_errors() {
        let available = available_bytes().unwrap();
        assert!(available > 1 << 20, "{available}");
        for bytes in [0, usize::MAX, usize::MAX - HUGE_PAGE, 1 << 60, 2 * available] {
            assert!(HugeMapping::new(bytes, Rung::HugeTlb).is_err(), "{bytes}");
        }
    }

    #[test]
    fn rungs_are_ordered_and_named() {
        assert!(Rung::Plain < Rung::Thp && Rung::Thp < Rung::HugeTlb);
        assert_eq!(Rung::ALL.map(|rung| rung.to_string()), ["hugetlb", "thp", "none"]);
    }
}

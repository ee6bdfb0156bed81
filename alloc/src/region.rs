//! Owned ranges of address space. Invariant: a [`Region`] is mapped for as long as it lives and
//! nothing else in the process unmaps or replaces it. Cost: system calls, at start only.

use std::io;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};

/// Bytes of a small page. The targets (x86-64 and aarch64 servers) use 4 KiB; on a kernel with
/// larger pages the mapping calls below fail with `EINVAL` instead of doing something else.
pub(crate) const PAGE: usize = 4096;

/// A mapping of this process, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a Region is an address range. Its methods only make system calls about that range,
// which are safe from any thread; access to the bytes is argued where a pointer is used.
unsafe impl Send for Region {}
// SAFETY: as above; no method changes the Region itself through a shared reference.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `len` bytes wherever the kernel likes. `fd` is -1 for anonymous memory.
    pub(crate) fn map(len: usize, prot: i32, flags: i32, fd: RawFd) -> io::Result<Self> {
        debug_assert_eq!(flags & libc::MAP_FIXED, 0, "never over somebody else's mapping");
        // SAFETY: without MAP_FIXED the kernel picks an unused range, so no existing memory
        // of this process changes. Wrong arguments are reported, not acted on.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(start.cast::<u8>()) {
            Some(start) => Ok(Self { start, len }),
            // Address zero is never handed out without MAP_FIXED (vm.mmap_min_addr).
            None => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Reserves `len` bytes of addresses without memory behind them. Touching them faults.
    pub(crate) fn reserve(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        Self::map(len, libc::PROT_NONE, flags, -1)
    }

    /// First byte.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Length in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Makes `len` bytes from `offset` readable and writable.
    pub(crate) fn open(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.at(offset, len)?;
        // SAFETY: the range lies inside this Region, which we own; adding permissions cannot
        // break an access that was legal before.
        done(unsafe { libc::mprotect(start, len, libc::PROT_READ | libc::PROT_WRITE) })
    }

    /// Gives the kernel `advice` about `len` bytes from `offset`. Only advice that keeps the
    /// contents is passed here: HUGEPAGE, NOHUGEPAGE, POPULATE_WRITE, COLLAPSE.
    pub(crate) fn advise(&self, offset: usize, len: usize, advice: i32) -> io::Result<()> {
        let start = self.at(offset, len)?;
        // SAFETY: the range lies inside this Region and the advice keeps the contents.
        done(unsafe { libc::madvise(start, len, advice) })
    }

    /// Backs `len` bytes from `offset` with memory now, so that no write faults later. On kernels
    /// before 5.14 (no `MADV_POPULATE_WRITE`) every page is touched by hand.
    pub(crate) fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        match self.advise(offset, len, libc::MADV_POPULATE_WRITE) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.touch(offset, len),
            result => result,
        }
    }

    /// Waits until `len` bytes from `offset` (a multiple of [`PAGE`]) of a shared file mapping are
    /// on the disk: `fdatasync` of that range alone.
    pub(crate) fn sync(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.at(offset, len)?;
        // SAFETY: the range lies inside this Region; the call writes back and changes no byte.
        done(unsafe { libc::msync(start, len, libc::MS_SYNC) })
    }

    /// Writes each page without changing it. The range must be readable and writable.
    fn touch(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.at(offset, len)?.cast::<u8>();
        for page in (0..len).step_by(PAGE) {
            // SAFETY: `page < len`, so the byte lies inside this Region, mapped readable and
            // writable by the caller. An atomic "or 0" races with no other atomic access and
            // changes no value.
            unsafe { AtomicU8::from_ptr(start.add(page)) }.fetch_or(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn at(&self, offset: usize, len: usize) -> io::Result<*mut libc::c_void> {
        match offset.checked_add(len) {
            // SAFETY: `offset <= self.len`, so the result stays inside the mapping.
            Some(end) if end <= self.len => Ok(unsafe { self.start.add(offset) }.as_ptr().cast()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range came from mmap with this length and is unmapped only here. Owners
        // hand out references only for as long as they hold the Region.
        let code = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(code, 0, "unmapping an owned range cannot fail");
    }
}

fn done(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: i32 = libc::MAP_SHARED | libc::MAP_ANONYMOUS;

    #[test]
    fn touching_keeps_the_bytes() {
        let region = Region::map(3 * PAGE, libc::PROT_READ | libc::PROT_WRITE, SHARED, -1).unwrap();
        let byte = region.start().as_ptr();
        // SAFETY: the test owns the region and is its only user.
        unsafe { byte.add(PAGE).write(7) };
        region.touch(0, 3 * PAGE).unwrap();
        region.populate(0, 3 * PAGE).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { (byte.read(), byte.add(PAGE).read()) }, (0, 7));
    }

    #[test]
    fn a_range_outside_is_refused() {
        let region = Region::reserve(2 * PAGE).unwrap();
        for (offset, len) in [(0, 3 * PAGE), (PAGE, 2 * PAGE), (usize::MAX, PAGE)] {
            let error = region.open(offset, len).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn memory_without_addresses_is_an_error() {
        assert!(Region::reserve(0).is_err());
        assert!(Region::reserve(1 << 60).is_err());
    }
}

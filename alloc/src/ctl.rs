//! jemalloc's control names (`mallctl`), typed. The only place that calls it.

use std::ffi::{CStr, CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use tikv_jemalloc_sys as sys;

/// Reads the value of `name`.
///
/// # Safety
/// `T` is the type that jemalloc documents for `name`.
pub(crate) unsafe fn read<T: Copy>(name: &CStr) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let mut len = size_of::<T>();
    // SAFETY: `name` ends with a zero; the output has `len` bytes and jemalloc writes no more.
    let code = unsafe {
        sys::mallctl(name.as_ptr(), value.as_mut_ptr().cast(), &raw mut len, ptr::null_mut(), 0)
    };
    done(code)?;
    // SAFETY: on success jemalloc wrote the whole value, of type `T` by the caller's word.
    Ok(unsafe { value.assume_init() })
}

/// Writes `value` to `name`.
///
/// # Safety
/// `T` is the type that jemalloc documents for `name`, and the value may be set.
pub(crate) unsafe fn write<T: Copy>(name: &CStr, mut value: T) -> io::Result<()> {
    let new: *mut c_void = (&raw mut value).cast();
    // SAFETY: `name` ends with a zero; the input has `size_of::<T>()` bytes.
    let code = unsafe {
        sys::mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), new, size_of::<T>())
    };
    done(code)
}

/// Writes `value` to `name` and returns what `name` answers: mostly its value before.
///
/// # Safety
/// `T` and `R` are the types that jemalloc documents for writing and reading `name`, and the
/// value may be set.
pub(crate) unsafe fn exchange<T: Copy, R: Copy>(name: &CStr, mut value: T) -> io::Result<R> {
    let mut answer = MaybeUninit::<R>::uninit();
    let mut len = size_of::<R>();
    let new: *mut c_void = (&raw mut value).cast();
    // SAFETY: `name` ends with a zero; output and input have the lengths given.
    let code = unsafe {
        let old = answer.as_mut_ptr().cast();
        sys::mallctl(name.as_ptr(), old, &raw mut len, new, size_of::<T>())
    };
    done(code)?;
    // SAFETY: as in `read`.
    Ok(unsafe { answer.assume_init() })
}

/// Does what `name` stands for: a name without a value.
pub(crate) fn perform(name: &CStr) -> io::Result<()> {
    // SAFETY: `name` ends with a zero; nothing is read or written.
    let code = unsafe {
        sys::mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0)
    };
    done(code)
}

/// The string that `name` stands for.
///
/// # Safety
/// jemalloc documents `name` as a string.
pub(crate) unsafe fn text(name: &CStr) -> io::Result<&'static str> {
    // SAFETY: by the caller's word the value is a pointer to a string.
    let value = unsafe { read::<*const libc::c_char>(name) }?;
    // SAFETY: jemalloc's option strings are constants that end with a zero.
    unsafe { CStr::from_ptr(value) }.to_str().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The control name `<before>.<arena>.<after>`.
pub(crate) fn name_of(before: &str, arena: u32, after: &str) -> CString {
    let name = format!("{before}.{arena}.{after}");
    // The parts are constants of this crate without a zero byte.
    CString::new(name).unwrap_or_default()
}

fn done(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_writes_and_errors() {
        // SAFETY: the documented types: unsigned, uint64_t, const char *.
        unsafe {
            assert!(read::<u32>(c"arenas.narenas").unwrap() >= 1);
            write(c"epoch", 1_u64).unwrap();
            assert!(text(c"version").unwrap().starts_with("5."));
            let missing = read::<u32>(c"no.such.name").unwrap_err();
            assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
            let wrong = read::<u64>(c"arenas.narenas").unwrap_err();
            assert_eq!(wrong.raw_os_error(), Some(libc::EINVAL));
        }
        perform(c"thread.tcache.flush").unwrap();
        assert_eq!(name_of("arena", 3, "purge").as_c_str(), c"arena.3.purge");
    }
}

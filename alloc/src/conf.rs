//! jemalloc's options, compiled in and read back.
//!
//! jemalloc reads the symbol `_rjem_malloc_conf` before `main`; the environment variable
//! `_RJEM_MALLOC_CONF` is read later and wins. So a launch script's leftover could silently
//! bring purging or background threads back: [`check_options`] tells at start.

use std::ffi::{CStr, c_char};
use std::fmt;

use crate::ctl;

/// Why each option is there:
///
/// * `narenas:1`: the lanes' arenas are made by hand. What is left for jemalloc's own arenas are
///   cold threads (control, helpers), which need no isolation from each other.
/// * `background_thread:false`: no thread of jemalloc's own on an isolated CPU.
/// * `dirty_decay_ms:-1,muzzy_decay_ms:-1`: freed pages stay mapped and warm. No `madvise` in the
///   middle of a `free`, no page fault after it. (Lane arenas reach the same by refusing to purge
///   and set 0 for themselves, which merges freed neighbours at once.)
/// * `retain:true`: addresses are never given back; an arena takes its whole pool once and
///   splits and merges inside.
/// * `disable_large_size_classes:false`: jemalloc 5.3.1 otherwise asks the pool for a quarter more
///   than a large block needs before it asks for the block itself, which would spill a pool that
///   still has room.
/// * `oversize_threshold:0`: a large request stays in the thread's own arena instead of moving
///   to a shared one for large objects.
/// * `percpu_arena:disabled`: the arena follows the lane, not the CPU.
/// * `thp:never`: memory outside the pools does not take huge pages on its page faults (a fault
///   that zeroes 2 MiB takes 100 us); the pools choose theirs themselves.
/// * `metadata_thp:auto`: jemalloc's own tables may, they are few and hot.
/// * `abort_conf:true`: a misspelt option stops the process at start instead of being ignored.
const OPTIONS: &CStr = c"narenas:1,background_thread:false,dirty_decay_ms:-1,muzzy_decay_ms:-1,\
retain:true,disable_large_size_classes:false,oversize_threshold:0,percpu_arena:disabled,thp:never,\
metadata_thp:auto,abort_conf:true";

/// A C string in a static.
#[repr(transparent)]
#[derive(Debug)]
pub struct OptionsPointer(*const c_char);

// SAFETY: the pointer is to a constant that nobody writes.
unsafe impl Sync for OptionsPointer {}

/// The symbol that jemalloc looks for (`const char *malloc_conf` with the crate's prefix).
// SAFETY: the name is jemalloc's documented hook for the program's options. jemalloc itself
// defines it weakly with the same type; no other crate of the workspace defines it.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: OptionsPointer = OptionsPointer(OPTIONS.as_ptr());

/// An option that is not as compiled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// jemalloc's name of it.
    pub option: &'static str,
    /// The value that the engine's promises rest on.
    pub expected: &'static str,
    /// The value in force.
    pub found: String,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, expected, found } = self;
        write!(
            f,
            "jemalloc runs with {option}:{found} instead of {expected}: \
             remove it from the environment variable _RJEM_MALLOC_CONF"
        )
    }
}

impl std::error::Error for OptionError {}

/// How jemalloc stores an option.
#[derive(Clone, Copy)]
enum Kind {
    Flag,
    Unsigned,
    Size,
    Milliseconds,
    Word,
}

const EXPECTED: [(&CStr, &str, Kind, &str); 11] = [
    (c"opt.narenas", "narenas", Kind::Unsigned, "1"),
    (c"opt.background_thread", "background_thread", Kind::Flag, "false"),
    (c"opt.dirty_decay_ms", "dirty_decay_ms", Kind::Milliseconds, "-1"),
    (c"opt.muzzy_decay_ms", "muzzy_decay_ms", Kind::Milliseconds, "-1"),
    (c"opt.retain", "retain", Kind::Flag, "true"),
    (c"opt.disable_large_size_classes", "disable_large_size_classes", Kind::Flag, "false"),
    (c"opt.oversize_threshold", "oversize_threshold", Kind::Size, "0"),
    (c"opt.percpu_arena", "percpu_arena", Kind::Word, "disabled"),
    (c"opt.thp", "thp", Kind::Word, "never"),
    (c"opt.metadata_thp", "metadata_thp", Kind::Word, "auto"),
    (c"opt.abort_conf", "abort_conf", Kind::Flag, "true"),
];

/// Reads every option back from jemalloc. Call it at start.
///
/// # Errors
/// The first option that is not in force as compiled in.
pub fn check_options() -> Result<(), OptionError> {
    for (name, option, kind, expected) in EXPECTED {
        let found = value_of(name, kind).unwrap_or_else(|error| error.to_string());
        if found != expected {
            return Err(OptionError { option, expected, found });
        }
    }
    Ok(())
}

/// Gives the pages that nobody uses back to the system: those of jemalloc's own arena and what this
/// thread keeps at hand of them. For programs that build and drop many machines one after the
/// other: by the options above freed pages stay, and what is asked for next rarely fits them to the
/// byte, so their number grows without end. Costs a `madvise` for each range and page faults later:
/// not for an engine that runs.
///
/// # Errors
/// jemalloc's, when it does not know the names.
pub fn give_back() -> std::io::Result<()> {
    ctl::perform(c"thread.tcache.flush")?;
    // The only arena that is not a lane's (`narenas:1`); a lane's pool refuses to give back.
    ctl::perform(c"arena.0.purge")
}

fn value_of(name: &CStr, kind: Kind) -> std::io::Result<String> {
    // SAFETY: the kinds in `EXPECTED` are the types in jemalloc's documentation: bool, unsigned,
    // size_t, ssize_t and const char *.
    unsafe {
        match kind {
            Kind::Flag => ctl::read::<bool>(name).map(|v| v.to_string()),
            Kind::Unsigned => ctl::read::<u32>(name).map(|v| v.to_string()),
            Kind::Size => ctl::read::<usize>(name).map(|v| v.to_string()),
            Kind::Milliseconds => ctl::read::<isize>(name).map(|v| v.to_string()),
            Kind::Word => ctl::text(name).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_compiled_in_is_checked() {
        let options = OPTIONS.to_str().unwrap();
        assert_eq!(options.split(',').count(), EXPECTED.len());
        for (_, option, _, expected) in EXPECTED {
            assert!(options.split(',').any(|o| o == format!("{option}:{expected}")), "{option}");
        }
        assert_eq!(MALLOC_CONF.0, OPTIONS.as_ptr());
    }

    #[test]
    fn pages_that_nobody_uses_go_back() {
        const PAGES: usize = 16 * 1024;
        let dirty = || {
            // SAFETY: the documented types: uint64_t and size_t.
            unsafe {
                ctl::write(c"epoch", 1_u64).unwrap();
                ctl::read::<usize>(c"stats.arenas.0.pdirty").unwrap()
            }
        };
        drop(std::hint::black_box(vec![1_u8; PAGES * 4096]));
        let before = dirty();
        give_back().unwrap();
        // Other tests use this arena meanwhile.
        assert!(before >= PAGES && dirty() < before - PAGES / 2, "{before}, then {}", dirty());
    }

    #[test]
    fn the_message_says_how_to_mend_it() {
        let error = OptionError { option: "retain", expected: "true", found: "false".into() };
        let text = error.to_string();
        assert!(text.contains("retain:false") && text.contains("_RJEM_MALLOC_CONF"), "{text}");
    }
}

//! No memory of this process is ever written into a core file: it holds keys.
//!
//! Two means, because each alone has a gap. A limit of one byte is below what any core file takes,
//! and the kernel reads exactly one as "no dump into a pipe either", where a limit of zero does
//! not stop it. Where the hard limit is zero already (a service manager's), the second holds: no
//! mapping is selected for a dump, so that a dump has none. Children inherit both. The process
//! stays what the kernel calls dumpable: otherwise nobody but root could profile it, and the
//! commands of its own user could not tell whose process it is.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below a page, so that no file is written, and what the kernel takes as "no pipe".
const NO_DUMP: u64 = 1;

/// Switches core dumps off for this process and its children. Best effort: what the host refuses
/// is what it forbids anyway, and the other means remains.
pub fn off() {
    let hard = getrlimit(Resource::Core).maximum;
    let least = Some(hard.map_or(NO_DUMP, |hard| hard.min(NO_DUMP)));
    let _ = setrlimit(Resource::Core, Rlimit { current: least, maximum: least });
    let _ = std::fs::write("/proc/self/coredump_filter", "0");
}

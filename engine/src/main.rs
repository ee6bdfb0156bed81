//! bot4: one binary. See ARCHITECTURE.md for the machine and `bot4 --help` for what to type.

use std::process::ExitCode;

/// The allocator: jemalloc with one arena a lane, sealed per agent after warm-up.
#[global_allocator]
static ALLOCATOR: bot4_alloc::seal::SealedAlloc = bot4_alloc::seal::SealedAlloc;

fn main() -> ExitCode {
    bot4::cli::main()
}

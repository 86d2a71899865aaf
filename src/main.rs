//! The `pgotter` program: hands over to the command line in [`pgotter::cli`].

use std::process::ExitCode;

// Measured: the system's allocator costs several percent of the CPU of a transaction, and gives memory back late.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pgotter::cli::main()
}

//! The elasticflow binary.
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Also librdkafka's: a record's memory is taken on one thread and given back on another, which costs the C library's
/// allocator a quarter of a source's CPU.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    elasticflow_server::main()
}

//! The elasticflow binary.
use std::process::ExitCode;

fn main() -> ExitCode {
    elasticflow_server::main()
}

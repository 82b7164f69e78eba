//! The sink against a scripted server, and against a real one where `EF_ELASTICSEARCH` names it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "tests stop at the first surprise, and say what they skip"
)]
mod dated;
mod fake;
mod faults;
mod harness;
mod real;
mod requests;
mod streams;
mod validation;

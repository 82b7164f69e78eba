//! Bad input and absent servers, from outside: what a user sees over REST when something is wrong, and that nothing is
//! lost when it becomes right again. The worker is a child process; Kafka is the embedded development broker unless a test
//! says otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test fails by panicking and says on standard output what it skips"
)]
mod breaker;
mod ground;
mod kafka_down;
mod limits;
mod mysql;
mod posted;
mod rates;
mod search;

//! The adapter against a broker: the one named by `EF_KAFKA=host:port`, else the embedded development broker.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, as tests do"
)]
#![allow(clippy::print_stdout, reason = "what is skipped is said on standard output")]
mod support;

mod admin;
mod consume;
mod page;
mod produce;
mod rank;
mod secure;
mod topic_log;
mod transactions;

//! Tests against a real server. Without `EF_POSTGRESQL` they say that they are skipped.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests: helpers count as production code")]
mod case;
mod sink;
mod source;

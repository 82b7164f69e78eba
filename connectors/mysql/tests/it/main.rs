//! Tests against real servers. Without `EF_MYSQL` (and `EF_MARIADB`) they say that they are skipped.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests: helpers count as production code")]
mod booleans;
mod crashes;
mod debezium;
mod decoder;
mod direct;
mod golden;
mod handover;
mod login;
mod matching;
mod memory;
mod private;
mod proxy;
mod query;
mod random;
mod reconnect;
mod refusals;
mod render;
mod report;
mod schema_changes;
mod signals;
mod sink;
mod snapshot;
mod sources;
mod storms;
mod streaming;
mod support;

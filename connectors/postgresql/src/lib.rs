//! PostgreSQL: sink and batch source on the SQL engine.
//!
//! Reading order: [`config`] -> [`dialect`] -> `session` (connections) -> `tls` -> `answer` (what a SQLSTATE leads to);
//! everything else is [`elasticflow_sql`]. Statements go through the simple protocol as text: one message holds savepoint,
//! statement and release, so that a bad row costs no extra round trip until there is one.
//!
//! Absent on purpose: `.pgpass` and environment variables of libpq, GSSAPI.
mod answer;
pub mod config;
mod connector;
pub mod dialect;
mod session;
pub mod source;
mod tls;

pub use connector::{PostgresSink, plugins};

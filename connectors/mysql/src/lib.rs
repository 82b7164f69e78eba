//! MySQL and MariaDB change capture: Debezium's configuration, records and offsets, with a decoder of its own.
//!
//! Reading order: [`connector`] -> [`task`] -> [`start`] -> [`capture`] and `events` -> [`log`] -> [`binlog`] ->
//! [`table`] -> [`assemble`] and [`direct`]; beside them [`snapshot`] with [`window`].
//!
//! The decoder below [`binlog`] does no I/O. Nothing here names Kafka.
pub mod assemble;
pub mod batch;
pub mod binlog;
pub mod booleans;
pub mod capture;
pub mod chunk;
pub mod column;
pub mod config;
pub mod connector;
pub mod convert;
mod ddl;
mod describe;
pub mod direct;
pub mod dump;
pub mod error;
mod events;
pub mod filters;
mod foreign;
pub mod gtid;
mod heartbeat;
pub mod information;
mod joined;
mod link;
pub mod log;
mod obey;
mod outside;
mod pace;
pub mod plan;
pub mod position;
pub mod preflight;
mod progress;
pub mod query;
mod reopen;
mod report;
pub mod schema_log;
mod schema_snapshot;
mod signal;
mod signal_file;
mod signal_topic;
pub mod sink;
pub mod snapshot;
mod snapshot_notes;
pub mod sources;
pub mod start;
pub mod statement;
pub mod table;
pub mod tables;
pub mod task;
pub mod txmeta;
mod undecided;
pub mod window;
pub mod wire;

pub use connector::plugins;

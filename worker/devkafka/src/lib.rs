//! The embedded development broker: one process, one node, the Kafka protocol on loopback, transactions included.
//!
//! For a first run without Kafka and for fast tests with real transactions; never for production, and it says so: its
//! `cluster_id` is [`CLUSTER_ID`]. One lock guards all state, one file holds a partition, one journal holds everything else.
//!
//! Invariants: a batch is acknowledged after its `write`; a transaction ends as journal `prep` -> markers -> group offsets
//! -> journal `txn`, and a `prep` without its `txn` is finished at the next start. So data survives `kill -9`; whether it
//! survives a power loss is the choice of [`Fsync`]. Nothing that a client sends makes the broker panic or reserve memory
//! beyond [`Limits`]. Absent on purpose: replication, TLS, SASL, ACLs, quotas, the transactions of KIP-890, fetch sessions,
//! any listener beyond loopback.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use elasticflow_devkafka::{Broker, Config};
//! let broker = Broker::start(Config::default()).await?;
//! println!("bootstrap.servers={}", broker.bootstrap());
//! broker.shutdown().await;
//! # Ok(()) }
//! ```
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
mod api;
mod broker;
mod clock;
mod code;
mod config;
mod error;
mod groups;
mod housekeeping;
mod journal;
mod log;
mod state;
#[cfg(test)]
mod testing;
mod topics;
mod txn;
mod wire;

pub use broker::Broker;
pub use config::{
    CONTROL_FRAME_BYTES_MAX, Config, DECOMPRESSED_BYTES_MAX, FETCH_BYTES_MAX, Fsync, Limits, REQUEST_ELEMENTS_MAX,
};
pub use error::Error;

/// What the broker answers as its cluster id: how a worker recognises it and refuses it in production.
pub const CLUSTER_ID: &str = "devbroker";

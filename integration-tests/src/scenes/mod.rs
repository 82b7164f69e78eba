//! Proofs that tests and the long program share.
pub mod brokers;
pub mod cluster;
pub mod datagen;
pub mod limits;
pub mod mysql;
pub mod one_sink;
pub mod sinks;
pub mod sql_sink;
pub mod visitor;

use crate::chaos::Toll;
use crate::ledger::Report;

/// How a proof ended.
pub struct Outcome {
    /// Source against topic.
    pub report: Report,
    /// The kills.
    pub toll: Toll,
}

/// A number that no other run has, for names.
pub fn run_number() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0) % 10_000_000_000)
}

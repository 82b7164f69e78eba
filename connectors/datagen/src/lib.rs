//! Generator of records: for a first run, for load, for proofs.
//!
//! Record *n* of task *k* is a pure function of seed, *k*, *n* and fields ([`fields`]): any record can be made without its
//! predecessors, so that a restart costs nothing and a ledger can tell which records are missing, doubled or changed. The
//! position is the number of records made.
//!
//! Reading order: [`fields`] (the notation, and what is drawn) -> [`random`] -> [`pace`] (the rate) -> [`task`].
//!
//! Invariants: two runs with the same settings and `clock=logical` give the same bytes; a position of other settings is
//! refused, never continued. Absent on purpose: I/O of any kind.
mod config;
mod connector;
mod fields;
mod pace;
mod quickstart;
mod random;
mod task;
mod words;

pub use config::DatagenConfig;
pub use connector::{Datagen, plugins};

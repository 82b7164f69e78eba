//! Generator of records: for a first run, for load, for proofs; and the ledger, which tells whether they all came.
//!
//! Record *n* of task *k* is a pure function of seed, *k*, *n* and fields ([`fields`]): any record can be made without its
//! predecessors, so that a restart costs nothing and a ledger can tell which records are missing, doubled or changed. The
//! position is the number of records made.
//!
//! Reading order: [`fields`] (the notation, and what is drawn), [`avro`] (the same from a schema) -> [`random`] -> [`pace`] (the rate) -> [`task`]; then [`ledger`].
//!
//! Invariants: two runs with the same settings and `clock=logical` give the same bytes; a position of other settings is
//! refused, never continued. Absent on purpose: I/O of the generator, but for a schema's file.
mod avro;
mod change;
mod config;
mod connector;
mod fields;
mod ledger;
mod nested;
mod pace;
mod pattern;
mod quickstart;
mod random;
mod shape;
mod task;
mod words;

pub use config::DatagenConfig;
pub use connector::{Datagen, plugins, test_plugins};
pub use ledger::{Ledger, digest_of};

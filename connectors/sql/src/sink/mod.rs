//! The sink engine: every put is one transaction of rows, next offsets and owner epochs.
//!
//! `prepared` is the same engine as a two-phase sink, for systems that keep prepared transactions.
//!
//! Reading order: [`task`] (sessions, retries, epochs) -> `writer` (one batch) -> `shape` and `plan` (where a record goes)
//! -> `tables` -> `rows` (text of rows, one per key) -> `statement` -> `offsets`.
//!
//! `open` raises the epoch of each new partition under a lock and answers the stored offset. `put` locks the offset rows
//! first, refuses an older owner, leaves out what lies below the stored offset, writes rows, moves offsets, commits. A
//! commit without an answer is judged by the table: the next try reads it under the lock.
//!
//! Invariants: nothing is written without the lock on the offset rows; the session of a failed try is never used again; a
//! record is handed to the error policy once per put; statements hold literals written by the dialect alone.
mod batches;
mod check;
mod kept;
mod offsets;
mod plan;
mod prepared;
mod reset;
mod retry;
mod rows;
mod shape;
mod staging;
mod statement;
mod tables;
mod task;
mod writer;

pub use check::{alter_offsets, check_keys, forget_offsets, guarantee, plan, publishes};
pub use prepared::PreparedSink;
pub use task::SqlSink;

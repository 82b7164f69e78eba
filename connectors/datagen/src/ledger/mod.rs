//! The ledger: a sink that writes nothing down but which generated records have come.
//!
//! The generator numbers its records (`stamp=true`), so that a ledger can tell which of them are missing, doubled, changed or
//! out of order. What has come since the last unit is the content of the next one: `prepare` writes it to a file of
//! its own, `commit` renames that file, and the files together are the ledger. So it is exact across its own kills, and the
//! shortest sink of the two-phase kind there is: read it before writing another one.
//!
//! Reading order: [`numbers`] (which records have come) -> [`page`] (a unit's file) -> [`shelf`] (where files lie) ->
//! [`task`]. Invariants: what is prepared is never changed; a unit is visible once and whole; what has come is known from
//! the files alone, never from memory of another instance.
mod config;
mod connector;
mod numbers;
mod page;
mod report;
mod shelf;
mod stamp;
mod task;

pub(crate) use config::LedgerConfig;
pub use connector::Ledger;
pub use stamp::digest_of;
pub(crate) use stamp::{DIGEST, NUMBER, TASK};

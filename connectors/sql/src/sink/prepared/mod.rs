//! The engine as a two-phase sink: a unit is a branch that is prepared, decided in Kafka, and committed by its name.
//!
//! Reading order: [`name`] (units as names) -> [`units`] (what was committed) -> [`server`] (how branches end) -> `task`.
//!
//! Records wait until the unit is prepared: tables are created and altered before its branch begins, because a branch holds
//! locks on what it has written until it is committed. A row with the name of the unit is written in the branch itself, so
//! that a commit that is repeated is told from one of something unknown. Each branch has a session of its own.
//!
//! Where the connector stored its offsets in the offset table before, the first unit begins there, and empties those rows
//! in its branch: nothing is left out or written twice when the technique changes, in either direction.
mod name;
mod server;
mod task;
mod units;

pub use task::PreparedSink;

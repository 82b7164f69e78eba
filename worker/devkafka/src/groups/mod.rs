//! Consumer groups: members and offsets. A group is either classic (members assign) or modern (KIP-848, the broker assigns).
//!
//! Members live in memory and rejoin after a restart; offsets are in the journal.
pub(crate) mod classic;
pub(crate) mod group;
pub(crate) mod join;
pub(crate) mod modern;

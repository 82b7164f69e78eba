//! The source loop: fence, read offsets, start, then poll, send and commit records with their offsets.
//!
//! Two single-owner loops with a bounded queue between them: the poller owns the connector, the writer owns the producer.
//! Exactly once: records, offsets and nothing else are in one Kafka transaction. At least once: offsets are written
//! after every record before them is acknowledged. Reading order: `run` -> `cycle` -> `transaction` -> `boundary`.
mod boundary;
mod cycle;
mod inbox;
mod marks;
pub(crate) mod offsets;
mod poller;
mod rejects;
mod run;
mod sending;
mod settings;
mod telling;
mod topics;
mod transaction;
mod writing;

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod limited_tests;
#[cfg(test)]
mod marks_tests;
#[cfg(test)]
mod tests;

pub(crate) use marks::kind_of;
pub(crate) use run::run;

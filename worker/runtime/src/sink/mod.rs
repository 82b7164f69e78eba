//! The sink loop: consume, convert, put, and move the offsets in the order that the kind of sink demands.
//!
//! One single-owner loop a task. Idempotent: the destination acknowledges, then the group's offsets move. Transactional:
//! offsets are stored by the destination, the group's are for display. Two-phase: `two_phase` prepares, decides in Kafka,
//! commits. Reading order: `run` -> `cycle` -> `rebalance` -> `commit` -> `two_phase`.
mod batches;
mod commit;
mod cycle;
mod flow;
mod intake;
mod isolate;
mod leave;
mod loss;
mod membership;
mod pending;
mod precedence;
mod rebalance;
mod rejects;
mod replay;
mod run;
mod settings;
mod two_phase;

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod limited_tests;
#[cfg(test)]
mod loss_tests;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod tests;

pub(crate) use membership::{Kept, hold};
pub(crate) use run::run;

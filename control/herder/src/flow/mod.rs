//! Flow control: sources go as fast as their consumers keep up.
//!
//! The leader samples how far consumer groups are behind ([`sampling`]), turns that into inputs of the law ([`tracking`]),
//! lets `elasticflow-flow` decide ([`decision`]) and publishes limits and grants in the flow topic. Every worker follows
//! that topic, has its runtime enforce what concerns its tasks, and reports once a period how they fare
//! ([`following`]). What is known stands on the [`board`]; any worker answers from it.
//!
//! Progress and resumption: the state of the law and every limit in force are rows of the flow topic, so that a new
//! leader goes on from them. Without a leader the limits in force stay as they are, and grants run out.
//! Invariants: what is missing is unknown and never zero; progress is read before ends, so that lag is never negative.
//!
//! Absent on purpose: token buckets (the runtime's), static rates, breakers, budgets.
mod answers;
mod board;
mod capping;
mod decision;
#[cfg(test)]
mod fixtures;
mod following;
mod hooks;
mod incidents;
mod leading;
mod meters;
mod metrics;
mod onset;
mod overruling;
mod picture;
mod port;
mod pressing;
mod quotas;
mod ranks;
mod retention;
mod sampling;
mod service;
mod tracking;

pub use hooks::HookPort;
pub use port::{Allowance, FlowPort, NoFlow, Order, Overruled, TaskFlow};
pub use service::{FlowHandle, FlowPorts, FlowService, start};

//! Pure decisions of the control plane: assignment and reconciliation.
//!
//! Everything here is a function of its arguments: no time, no randomness, no I/O. The herder feeds in what is wanted
//! (the config topic) and what is the case (its tasks), carries out the answers and comes back with what became of them.
//! * [`claims`]: who holds which slot and who leads, from what the workers have said.
//! * [`place`]: which task runs on which slot.
//! * [`pools`]: which workers a task may run on, and what they have room for.
//! * [`reconcile()`]: which tasks to stop, start, pause and resume, what to fence, which connectors to plan.
//! * [`restart`]: what a restart request covers.
//! * [`tasks`]: whether a new plan of a connector's tasks has to be stored, and whether it may be.
//!
//! Which task runs where is an argument, [`reconcile::Owner`]: a worker that is alone owns everything; leases decide it
//! elsewhere. Absent on purpose: what a connector or a task is made of.
pub mod claims;
mod desk;
pub mod place;
pub mod pools;
pub mod reconcile;
pub mod restart;
pub mod tasks;

pub use reconcile::reconcile;

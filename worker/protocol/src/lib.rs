//! The two-phase protocol of sinks, as far as it is a decision and not a call.
//!
//! Who may remove a unit, who must commit it, what follows an answer of the decide transaction, in which order an owner takes
//! over: pure functions without Kafka, time or destination. The runtime asks them before it acts. The tests of this crate
//! put the same functions into a model with overlapping owners, crashes at every step and lost answers, and visit every state.
//! What a destination or a broker does wrong is not in the model, nor is liveness.
//!
//! Beside it stands what tasks and the control plane agree on: the stored forms of dead letters that are put
//! again, of claims on error budgets and of batches, and what a loss of unread records is.
mod batch;
mod budget;
mod decide;
mod loss;
mod replay;
mod share;
mod take_over;
mod unit;

pub use batch::{
    BATCH_HEADER, BATCH_MARKER_HEADER, BATCH_RECORDS_HEADER, BatchKind, BatchMark, BatchRecord, BatchRow, BatchState,
    PublishedRow, batches_topic,
};
pub use budget::{BUDGET_VALUE, BudgetRow, Standing, budget_topic, budget_window, standing};
pub use decide::{Answer, Consequence, after_decide};
pub use loss::{Gone, Loss};
pub use replay::{LetterId, LetterState, ReplayEntry, Replayed, replay_topic};
pub use share::{Met, ShareKey, Sum, Tally, share_topic, stored_tally};
pub use take_over::{OutOfOrder, Step, TakeOver};
pub use unit::{may_abort, must_adopt, next_owner};

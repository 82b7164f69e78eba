//! The flow topic: state of the rate law, limits and grants in force, and how tasks fare.
//!
//! The leader writes groups, limits and grants; every worker writes a report of its own tasks and follows all of it, so
//! that any worker can answer for the cluster and a new leader goes on from what is stored. One partition: rows are read
//! in the order in which they were written.
mod record;

use crate::news::{NewsEvent, NewsRow, NewsTopic};
use crate::problem::Problem;
pub use record::{
    AckRow, AlertRow, BreakerRow, CapRow, FlowRecord, GrantRow, GroupRow, LimitRow, QuotaRow, QuotaTask, ReasonRow,
    ReportRow, RetentionRow, TaskGrant, TaskReport, Told, VERSION,
};

/// What is read from the flow topic.
pub type FlowEvent = NewsEvent<FlowRecord>;

/// The flow topic.
pub type FlowTopic = NewsTopic<FlowRecord>;

impl NewsRow for FlowRecord {
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Problem> {
        record::decode(key, value)
    }
    fn encode(&self) -> Option<(String, Option<String>)> {
        record::encode(self)
    }
    fn is_ordered(_: &str) -> bool {
        true
    }
}

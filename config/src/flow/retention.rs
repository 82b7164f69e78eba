//! Keys that keep a broker from deleting what was not read.
use super::concern::{Alone, Concern};
use crate::{choice, settings};

/// The leader reads all of them anew each period.
const LIVE: &[&str] = &["flow.retention.guard", "flow.cap.retention.ratio"];

/// Retention.
pub(super) const CONCERN: Concern = Concern {
    live: LIVE,
    stored: LIVE,
    sources_alone: Alone { keys: LIVE, why: "it is about the topics that a source writes" },
    ..Concern::of::<RetentionSettings>()
};

choice! {
    /// `flow.retention.guard`.
    pub enum RetentionGuard {
        /// People are told.
        Alarm = "alarm",
        /// The topic keeps its records longer.
        Extend = "extend",
        /// Nobody looks.
        Off = "off",
    }
}

settings! {
    /// How a source guards what was not read of its topics.
    pub struct RetentionSettings {
        /// What happens when a broker is about to delete what a consumer of the source's topics has not read: alarm (at 50 % and 90 % of the topic's retention), extend (the topic keeps its records longer until they are read), or off. Changes without a restart.
        "flow.retention.guard" => guard: RetentionGuard { default: "alarm", group: "Flow" },
        /// Where flow.cap.bytes is not set: a cap of so much of what the topic may hold by its retention.bytes, if that is set and makes at least 64 MiB; 0 is none. Changes without a restart.
        "flow.cap.retention.ratio" => ratio: f64 { default: "0.5", group: "Flow", valid: Validity::Range(0.0, 0.9) },
    }
}

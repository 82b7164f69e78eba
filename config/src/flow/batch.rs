//! Batches that appear at once.
use crate::{choice, settings};

choice! {
    /// `flow.batch.mode`.
    pub enum BatchMode {
        /// Records come one by one.
        None = "none",
        /// Each run is one batch.
        Run = "run",
    }
}

choice! {
    /// `flow.batch.publish`.
    pub enum BatchPublish {
        /// Records become visible as they come.
        Progressive = "progressive",
        /// A batch becomes visible as a whole.
        Atomic = "atomic",
    }
}

choice! {
    /// `flow.batch.kind`.
    pub enum BatchAction {
        /// The batch is added.
        Append = "append",
        /// Rows of the batch take the place of rows of the same key.
        Upsert = "upsert",
        /// The batch takes the place of everything.
        Replace = "replace",
    }
}

settings! {
    /// Batches that appear at once.
    pub struct BatchSettings {
        /// On a source: run makes each run of a source that comes to an end one batch, marked in the records and in the topic
        /// of batches. Needs exactly-once and one task.
        "flow.batch.mode" => mode: BatchMode { default: "none", group: "Flow" },
        /// On a sink: atomic makes each batch visible as a whole or not at all; progressive shows records as they come.
        "flow.batch.publish" => publish: BatchPublish { default: "progressive", group: "Flow" },
        /// What publishing a batch does to what was there: append, upsert or replace. On a source append if not set; on a
        /// sink what the source says if not set.
        "flow.batch.kind" => kind: Option<BatchAction> { group: "Flow" },
    }
}

/// Keys that say nothing about a sink.
pub(super) const SOURCES_ALONE: &[&str] = &["flow.batch.mode"];
/// Keys that say nothing about a source.
pub(super) const SINKS_ALONE: &[&str] = &["flow.batch.publish"];

//! Batches that appear at once.
use super::concern::{Alone, Concern};
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
        /// On a source: also writes a record of headers alone into every partition of the topics where a batch begins and
        /// where it ends, for readers other than these sinks. Key and value are null: not for compacted topics, nor for
        /// readers that take a null value as a deletion.
        "flow.batch.markers" => markers: bool { default: "false", group: "Flow" },
        /// On a sink: how many replaced versions stay at the destination beside the one that readers see; older ones are
        /// removed.
        "flow.batch.keep" => keep: usize { default: "1", group: "Flow", valid: Validity::Range(0.0, 30.0) },
    }
}

/// Batches.
pub(super) const CONCERN: Concern = Concern {
    sources_alone: Alone {
        keys: &["flow.batch.mode", "flow.batch.markers"],
        why: "a sink shows batches as a whole with flow.batch.publish=atomic",
    },
    sinks_alone: Alone {
        keys: &["flow.batch.publish", "flow.batch.keep"],
        why: "a source makes batches with flow.batch.mode=run",
    },
    ..Concern::of::<BatchSettings>()
};

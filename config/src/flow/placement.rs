//! What a task counts when tasks are shared out over workers.
use crate::settings;

settings! {
    /// How the tasks of a connector are placed.
    pub struct PlacementSettings {
        /// What each of its tasks counts when tasks are shared out over the workers.
        "flow.task.weight" => weight: u32 { default: "1", group: "Flow", valid: Validity::Range(1.0, 100.0) },
    }
}

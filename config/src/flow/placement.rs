//! Where the tasks of a connector may run, and what they take there.
use super::concern::Concern;
use crate::settings;

settings! {
    /// How the tasks of a connector are placed.
    pub struct PlacementSettings {
        /// Pool of workers that its tasks run on: those with the same worker.pool. Where none of them has room, tasks wait.
        "flow.pool" => pool: String { default: "default", group: "Flow", valid: Validity::Check(pool_name) },
        /// What each of its tasks counts when tasks are shared out over the workers, and of worker.capacity.
        "flow.task.weight" => weight: u32 { default: "1", group: "Flow", valid: Validity::Range(1.0, 100.0) },
        /// What each of its tasks reserves of worker.memory.bytes. It admits tasks; it does not bound what they use.
        "flow.task.memory.bytes" => memory: u64 { default: "33554432", group: "Flow", valid: Validity::Range(1_048_576.0, 1.0e15) },
        /// Whether its tasks may be stopped for waiting ones whose flow.priority is higher by two or more.
        "flow.preemptible" => preemptible: bool { default: "true", group: "Flow" },
    }
}

/// Places.
pub(super) const CONCERN: Concern = Concern {
    stored: &["flow.pool", "flow.task.weight", "flow.task.memory.bytes", "flow.preemptible"],
    ..Concern::of::<PlacementSettings>()
};

/// Letters, digits, dots, dashes and underscores: a pool is named in paths.
pub(crate) fn pool_name(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        return Ok(());
    }
    Err("expected 1 to 64 letters, digits, dots, dashes or underscores".to_owned())
}

//! Automatic restarts of tasks that failed for a passing reason.
use super::concern::Concern;
use crate::settings;
use crate::value::Millis;

impl RestartSettings {
    /// No restarts.
    pub fn none() -> Self {
        Self { max: 0, window: Millis(3_600_000), backoff: Millis(1000), backoff_max: Millis(300_000) }
    }
}

settings! {
    /// How often and how soon a failed task is started again by itself.
    pub struct RestartSettings {
        /// Restarts of a task within the window, after which it stays FAILED; 0 is never. Trials of an open breaker and
        /// waits for Kafka do not count.
        "flow.restart.max" => max: u32 { default: "10", group: "Flow", valid: Validity::Range(0.0, 1_000_000.0) },
        /// Time in which restarts are counted.
        "flow.restart.window.ms" => window: Millis { default: "3600000", group: "Flow", valid: Validity::Range(1000.0, 1e12) },
        /// Longest first wait before a restart; doubled each time, of which a part is waited by chance.
        "flow.restart.backoff.ms" => backoff: Millis { default: "1000", group: "Flow", valid: Validity::Range(1.0, 86_400_000.0) },
        /// Longest wait before a restart.
        "flow.restart.backoff.max.ms" => backoff_max: Millis { default: "300000", group: "Flow", valid: Validity::Range(1.0, 86_400_000.0) },
    }
}

/// Restarts.
pub(super) const CONCERN: Concern = Concern::of::<RestartSettings>();

//! Circuit breakers: a system that fails is left alone for a while.
use super::concern::Concern;
use crate::settings;
use crate::value::Millis;

impl BreakerSettings {
    /// No breaker.
    pub fn off() -> Self {
        let (open, open_max) = (Millis(5000), Millis(300_000));
        Self { enable: false, consecutive: 5, ratio: 0.5, min_calls: 20, open, open_max, successes: 3, fail_after: -1 }
    }
}

settings! {
    /// When calls at the system at the other end stop, and when they begin again.
    pub struct BreakerSettings {
        /// Whether failing calls at the system at the other end open a breaker, after which no call is made for a while.
        "flow.breaker.enable" => enable: bool { default: "true", group: "Flow" },
        /// Opens after so many failed calls in a row.
        "flow.breaker.consecutive" => consecutive: u32 { default: "5", group: "Flow", valid: Validity::Range(1.0, 1000.0) },
        /// Opens when this part of the calls of the last 60 s has failed.
        "flow.breaker.ratio" => ratio: f64 { default: "0.5", group: "Flow", valid: Validity::Range(0.05, 1.0) },
        /// Calls in the last 60 s below which the ratio says nothing.
        "flow.breaker.min.calls" => min_calls: u32 { default: "20", group: "Flow", valid: Validity::Range(1.0, 1_000_000.0) },
        /// First open time; doubled for each trial that fails, and a fifth of it more or less by chance.
        "flow.breaker.open.ms" => open: Millis { default: "5000", group: "Flow", valid: Validity::Range(10.0, 86_400_000.0) },
        /// Longest open time.
        "flow.breaker.open.max.ms" => open_max: Millis { default: "300000", group: "Flow", valid: Validity::Range(10.0, 86_400_000.0) },
        /// Trials that must succeed in a row before it closes.
        "flow.breaker.successes" => successes: u32 { default: "3", group: "Flow", valid: Validity::Range(1.0, 1000.0) },
        /// Fails the task when the breaker has not closed for so long; -1 is never.
        "flow.breaker.fail.after.ms" => fail_after: i64 { default: "-1", group: "Flow", valid: Validity::Range(-1.0, 1e15) },
    }
}

/// Breakers.
pub(super) const CONCERN: Concern = Concern::of::<BreakerSettings>();

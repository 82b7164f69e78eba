//! Error budgets.
use crate::{choice, settings};

choice! {
    /// What a budget is for.
    pub enum BudgetWindow {
        /// From the first bad record on, or from the last reset.
        Run = "run",
        /// An hour of the calendar, UTC.
        Hour = "1h",
        /// A day of the calendar, UTC.
        Day = "1d",
    }
}

settings! {
    /// How many bad records may be skipped.
    pub struct BudgetSettings {
        /// Bad records that all tasks of the connector may skip together with errors.tolerance=all, over all restarts; the
        /// next one is not skipped and fails the tasks. -1: no limit.
        "flow.errors.budget.records" => records: i64 { default: "-1", group: "Flow", valid: Validity::Range(-1.0, 10_000.0) },
        /// What the budget is for: run (until it is reset), 1h or 1d (an hour or a day of the calendar, UTC).
        "flow.errors.budget.window" => window: BudgetWindow { default: "run", group: "Flow" },
    }
}

impl BudgetSettings {
    /// Without limit.
    pub fn none() -> Self {
        Self { records: -1, window: BudgetWindow::Run }
    }

    /// Bad records that may be skipped; `None` for any number.
    pub fn most(&self) -> Option<u64> {
        u64::try_from(self.records).ok()
    }
}

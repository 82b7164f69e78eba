//! Error budgets.
use super::concern::Concern;
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

choice! {
    /// `flow.errors.budget.action`.
    pub enum BudgetAction {
        /// The tasks are FAILED.
        Fail = "fail",
        /// The connector is PAUSED.
        Pause = "pause",
    }
}

settings! {
    /// How many bad records may be skipped.
    pub struct BudgetSettings {
        /// Bad records that all tasks of the connector may skip together with errors.tolerance=all, over all restarts; the
        /// next one is not skipped and fails the tasks. -1: no limit.
        "flow.errors.budget.records" => records: i64 { default: "-1", group: "Flow", valid: Validity::Range(-1.0, 10_000.0) },
        /// Share of the records read by all tasks, over all restarts, that may be bad and skipped with errors.tolerance=all:
        /// 0.01 is one in a hundred. Several tasks may pass it by what they read in a second. -1: no limit.
        "flow.errors.budget.ratio" => ratio: f64 { default: "-1", group: "Flow", valid: Validity::Range(-1.0, 1.0) },
        /// Records that must have been read before the share is judged.
        "flow.errors.budget.min.records" => min_records: u64 { default: "1000", group: "Flow" },
        /// What the budget is for: run (until it is reset), 1h or 1d (an hour or a day of the calendar, UTC).
        "flow.errors.budget.window" => window: BudgetWindow { default: "run", group: "Flow" },
        /// What happens once it is used up: fail ends the tasks, which a restart starts again; pause pauses the connector,
        /// which a resume lets go on.
        "flow.errors.budget.action" => action: BudgetAction { default: "fail", group: "Flow" },
    }
}

impl BudgetSettings {
    /// Without limit.
    pub fn none() -> Self {
        Self { records: -1, ratio: -1.0, min_records: 1000, window: BudgetWindow::Run, action: BudgetAction::Fail }
    }

    /// Share that may be bad; `None` for any.
    pub fn share(&self) -> Option<f64> {
        Some(self.ratio).filter(|ratio| *ratio >= 0.0)
    }

    /// Bad records that may be skipped; `None` for any number.
    pub fn most(&self) -> Option<u64> {
        u64::try_from(self.records).ok()
    }
}

/// Error budgets.
pub(super) const CONCERN: Concern = Concern::of::<BudgetSettings>();

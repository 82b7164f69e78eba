//! Keys of elastic flow: everything that begins with `flow.` in a connector's configuration.
//!
//! One struct a concern; [`keys`] lists what this version honours, and [`problem`] refuses the rest by name, so that no
//! limit is accepted and then ignored. A key may also stand in the worker's configuration as `flow.default.<key>`:
//! [`settings_of`] lays the connector's keys over those.
//!
//! Keys of [`is_live`] change while tasks run; every other key restarts them.

mod batch;
mod bound;
mod breaker;
mod budget;
mod concern;
mod lag;
mod pending;
mod placement;
mod quota;
mod rate;
mod reason;
mod restart;
mod retention;

pub use batch::{BatchAction, BatchMode, BatchPublish, BatchSettings};
pub use breaker::BreakerSettings;
pub use budget::{BudgetAction, BudgetSettings, BudgetWindow};
pub use lag::{Cap, CapAction, CapCounts, LagControl, LagSettings};
pub use placement::PlacementSettings;
pub(crate) use placement::pool_name;
pub use quota::{Quota, QuotaAction, QuotaSettings, QuotaWindow, WindowSpan, Zone};
pub use rate::{Rate, RateSettings, Rates};
pub use reason::{FlowState, ReasonCode};
pub use restart::RestartSettings;
pub use retention::{RetentionGuard, RetentionSettings};

use crate::key::KeyDef;
use crate::nearest::nearest;
use crate::properties::Properties;
use crate::report::ValidationReport;
use crate::settings::parse;
use concern::Concern;

/// What every key of elastic flow begins with.
pub const PREFIX: &str = "flow.";

/// What a worker's defaults of such keys begin with.
pub const DEFAULTS: &str = "flow.default.";

/// Whether a key is of sources, of sinks, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Writes to Kafka.
    Source,
    /// Reads from Kafka.
    Sink,
}

/// Everything that is honoured, in the order of the option table.
static CONCERNS: [Concern; 9] = [
    rate::CONCERN,
    breaker::CONCERN,
    restart::CONCERN,
    budget::CONCERN,
    quota::CONCERN,
    lag::CONCERN,
    retention::CONCERN,
    placement::CONCERN,
    batch::CONCERN,
];

/// Every key that is honoured, in the order of the option table.
pub fn keys() -> impl Iterator<Item = &'static KeyDef> {
    CONCERNS.iter().flat_map(|concern| (concern.keys)())
}

/// Whether a change of the key takes effect without a restart of tasks.
pub fn is_live(key: &str) -> bool {
    CONCERNS.iter().any(|concern| concern.live.contains(&key))
}

/// Whether a key is read by workers that do not resolve references: as it is stored, by the leader and by whoever
/// enforces.
pub fn is_read_as_stored(key: &str) -> bool {
    CONCERNS.iter().any(|concern| concern.stored.contains(&key))
}

/// Whether two configurations differ in keys alone that take effect without a restart of tasks.
///
/// A value with a reference counts as one that does not: what it refers to is resolved when a task starts.
pub fn differ_live(before: &Properties, after: &Properties) -> bool {
    strip_live(before) == strip_live(after)
}

/// A configuration without the keys that take effect while tasks run.
pub fn strip_live(properties: &Properties) -> Properties {
    let stays = |(key, value): &(&String, &String)| !is_live(key) || value.contains("${");
    properties.0.iter().filter(stays).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A configuration with those keys of another one in the place of its own.
pub fn with_live_of(properties: &Properties, live: &Properties) -> Properties {
    let mut merged = strip_live(properties);
    for (key, value) in live.0.iter().filter(|(key, value)| is_live(key) && !value.contains("${")) {
        merged.0.insert(key.clone(), value.clone());
    }
    merged
}

/// Why a key that begins with `flow.` cannot be accepted; `None` when it is honoured.
pub fn problem(key: &str, direction: Direction) -> Option<String> {
    if keys().any(|def| def.name == key) {
        return CONCERNS.iter().find_map(|concern| concern.means_nothing(key, direction));
    }
    if pending::KEYS.contains(&key) {
        return Some(format!("{key} is not supported by this version, and is not ignored in silence; leave it out"));
    }
    let hint = nearest(key, keys().map(|def| def.name).chain(pending::KEYS.iter().copied()));
    let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Some(format!("{key} is not a known option of elastic flow{hint}"))
}

/// The `flow.` keys that hold for a connector: its own, and the worker's defaults for those it does not set.
pub fn settings_of(connector: &Properties, worker: &Properties) -> Properties {
    let below = worker.below(DEFAULTS).0.into_iter().map(|(key, value)| {
        let key = if key.starts_with(PREFIX) { key } else { format!("{PREFIX}{key}") };
        (key, value)
    });
    let own = connector.0.iter().filter(|(key, _)| key.starts_with(PREFIX)).map(|(k, v)| (k.clone(), v.clone()));
    below.chain(own).collect()
}

/// Everything that a task reads of these keys.
#[derive(Debug, Clone)]
pub struct TaskSettings {
    /// Rates.
    pub rate: RateSettings,
    /// Breaker.
    pub breaker: BreakerSettings,
    /// Restarts.
    pub restart: RestartSettings,
    /// Error budget.
    pub budget: BudgetSettings,
}

impl Default for TaskSettings {
    /// No rate, no breaker, no restart, no budget.
    fn default() -> Self {
        Self {
            rate: RateSettings::free(),
            breaker: BreakerSettings::off(),
            restart: RestartSettings::none(),
            budget: BudgetSettings::none(),
        }
    }
}

impl TaskSettings {
    /// Reads them from [`settings_of`].
    ///
    /// # Errors
    /// Every problem, by key.
    pub fn read(settings: &Properties) -> Result<Self, ValidationReport> {
        match (parse(settings), parse(settings), parse(settings), parse(settings)) {
            (Ok(rate), Ok(breaker), Ok(restart), Ok(budget)) => Ok(Self { rate, breaker, restart, budget }),
            (rate, breaker, restart, budget) => {
                let mut report = rate.err().unwrap_or_default();
                report.merge(breaker.err().unwrap_or_default());
                report.merge(restart.err().unwrap_or_default());
                report.merge(budget.err().unwrap_or_default());
                Err(report)
            }
        }
    }
}

/// Reads every honoured key, to say what is wrong with their values; keys are those of a connector.
pub fn check_values(settings: &Properties) -> ValidationReport {
    let mut report = ValidationReport::default();
    for concern in &CONCERNS {
        report.merge((concern.check)(settings));
    }
    report
}

/// Checks a worker's defaults of these keys. A default that does nothing is refused like a key of a connector that does
/// nothing.
pub(crate) fn check_defaults(worker: &Properties, report: &mut ValidationReport) {
    let settings = settings_of(&Properties::default(), worker);
    let values = check_values(&settings).errors;
    for key in settings.0.keys() {
        let own = format!("{DEFAULTS}{}", key.strip_prefix(PREFIX).unwrap_or(key));
        let wrong = values.get(key).into_iter().flatten().cloned();
        for message in problem(key, Direction::Source).into_iter().chain(wrong) {
            report.error(&own, format!("{own}: {message}"));
        }
    }
}

#[cfg(test)]
mod tested;
#[cfg(test)]
mod tests;

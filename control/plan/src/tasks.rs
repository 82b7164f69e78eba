//! A connector's plan of tasks against what is stored.
use elasticflow_config::Properties;
use elasticflow_config::flow::strip_live;

/// What is stored of a connector's tasks.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Configurations, in order of the index.
    pub tasks: &'a [Properties],
    /// The connector configuration that they were made from; `None` before the first set.
    pub applied: Option<&'a Properties>,
    /// The last set was torn.
    pub inconsistent: bool,
}

/// Whether a plan has to be stored, which restarts every task: when it differs, and when the configuration of the
/// connector does, since converters and transforms of the tasks come from there. Keys that take effect while tasks run
/// make no difference.
pub fn differs(stored: Stored<'_>, config: &Properties, planned: &[Properties]) -> bool {
    let same = |a: &Properties, b: &Properties| a == b || strip_live(a) == strip_live(b);
    stored.inconsistent
        || stored.applied.is_none_or(|applied| !same(applied, config))
        || stored.tasks.len() != planned.len()
        || stored.tasks.iter().zip(planned).any(|(stored, planned)| !same(stored, planned))
}

/// Checks the number of tasks.
///
/// # Errors
/// Connect's text, when there are more than `tasks.max` and the limit is enforced.
pub fn check_count(connector: &str, count: usize, tasks_max: usize, enforced: bool) -> Result<(), String> {
    if count <= tasks_max || !enforced {
        return Ok(());
    }
    Err(format!(
        "The connector {connector} has generated {count} tasks, which is greater than {tasks_max}, the maximum number of tasks it is configured to create. This behaviour should be considered a bug and is disallowed. If necessary, it can be permitted by reconfiguring the connector with 'tasks.max.enforce' set to false; however, this option will be removed in a future release of Kafka Connect."
    ))
}

/// How many transactional ids have to be fenced before a new set of tasks runs: those of the set before it.
///
/// None when there never was a set, and none when one task follows one task: its own `init` fences the id.
pub fn ids_to_fence(recorded: Option<u32>, count: u32) -> u32 {
    match (recorded, count) {
        (None, _) | (Some(1), 1) => 0,
        (Some(before), _) => before,
    }
}

/// The task's stored configuration: the connector's, the task's own over it, the task class.
///
/// Where the task repeats a value that a reference was resolved to, the reference is stored: a resolved value may be a
/// secret, and it may change.
pub fn stored_config(raw: &Properties, resolved: &Properties, own: &Properties, task_class: &str) -> Properties {
    let mut stored = raw.clone();
    for (key, value) in &own.0 {
        if resolved.value(key) != Some(value) || raw.value(key).is_none() {
            stored.0.insert(key.clone(), value.clone());
        }
    }
    stored.0.insert("task.class".to_owned(), task_class.to_owned());
    stored
}

/// Class of the tasks of a connector class, by the custom of Kafka's world: `XConnector` has `XTask`, and Debezium's
/// has `XConnectorTask`.
pub fn task_class(connector_class: &str) -> String {
    match connector_class.strip_suffix("Connector") {
        Some(stem) if !connector_class.starts_with("io.debezium.") => format!("{stem}Task"),
        _ => format!("{connector_class}Task"),
    }
}

//! Prometheus text.
use super::TaskMetrics;
use super::names::{CLASS, CONNECTOR, ERRORS_BY_CLASS, Kind, METRICS, Metric, STATUS, TASK, TASK_STATUS};
use crate::event::TaskState;
use elasticflow_api::ErrorClass;
use std::fmt::Write as _;
use std::sync::Arc;

/// Appends every metric of the tasks in Prometheus' text format, grouped by name as the format demands.
pub fn render(tasks: &[(Arc<TaskMetrics>, TaskState)], out: &mut String) {
    for metric in METRICS {
        render_metric(metric, tasks, out);
    }
    head(TASK_STATUS, "state of the task", Kind::Gauge, out);
    for (m, state) in tasks {
        let _ = writeln!(out, "{TASK_STATUS}{{{},{STATUS}=\"{}\"}} 1", labels(m), word(state));
    }
    head(ERRORS_BY_CLASS, "errors that ended a task instance", Kind::Counter, out);
    for (m, _) in tasks {
        for (class, name) in CLASSES {
            let count = m.errors_of(class).value();
            let _ = writeln!(out, "{ERRORS_BY_CLASS}{{{},{CLASS}=\"{name}\"}} {count}", labels(m));
        }
    }
}

const CLASSES: [(ErrorClass, &str); 6] = [
    (ErrorClass::Config, "config"),
    (ErrorClass::Transient { retry_after: None }, "transient"),
    (ErrorClass::Record, "record"),
    (ErrorClass::Definite, "definite"),
    (ErrorClass::Fenced, "fenced"),
    (ErrorClass::Bug, "bug"),
];

fn render_metric(metric: &Metric, tasks: &[(Arc<TaskMetrics>, TaskState)], out: &mut String) {
    let mut first = true;
    for (m, _) in tasks.iter().filter(|(m, _)| metric.of.is_none_or(|kind| kind == m.kind)) {
        let Some(value) = (metric.value)(m) else { continue };
        if std::mem::take(&mut first) {
            head(metric.name, metric.help, metric.kind, out);
        }
        let _ = writeln!(out, "{}{{{}}} {value}", metric.name, labels(m));
    }
}

fn head(name: &str, help: &str, kind: Kind, out: &mut String) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(m: &TaskMetrics) -> String {
    let connector = m.id.connector.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{CONNECTOR}=\"{connector}\",{TASK}=\"{}\"", m.id.task.0)
}

fn word(state: &TaskState) -> &'static str {
    match state {
        TaskState::Running | TaskState::Pending { .. } => "running",
        TaskState::Paused => "paused",
        TaskState::Restarting { .. } => "restarting",
        TaskState::Failed { .. } => "failed",
        TaskState::Stopped | TaskState::Fenced => "unassigned",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::TaskKind;
    use elasticflow_api::position::{TaskId, TaskIndex};

    fn task(name: &str, kind: TaskKind) -> (Arc<TaskMetrics>, TaskState) {
        let id = TaskId { group: "g".into(), connector: name.into(), task: TaskIndex(1) };
        (Arc::new(TaskMetrics::new(id, kind)), TaskState::Running)
    }

    #[test]
    fn each_name_is_announced_once_and_only_for_tasks_that_have_it() {
        let tasks = [task("a", TaskKind::Source), task("q\"b", TaskKind::Sink)];
        tasks[0].0.written.add(7);
        let mut out = String::new();
        render(&tasks, &mut out);
        assert!(out.contains("kafka_connect_source_task_source_record_write_total{connector=\"a\",task=\"1\"} 7\n"));
        assert!(
            out.contains("kafka_connect_connector_task_status{connector=\"q\\\"b\",task=\"1\",status=\"running\"} 1\n")
        );
        assert!(!out.contains("source_record_write_total{connector=\"q"));
        let heads: Vec<&str> = out.lines().filter(|l| l.starts_with("# TYPE")).collect();
        let unique: std::collections::BTreeSet<&&str> = heads.iter().collect();
        assert_eq!(heads.len(), unique.len());
    }

    #[test]
    fn an_unknown_value_is_left_out() {
        let mut out = String::new();
        render(&[task("a", TaskKind::Sink)], &mut out);
        assert!(!out.contains("lag_max"));
    }

    #[test]
    fn the_reference_page_lists_every_metric() {
        let page = include_str!("../../METRICS.md");
        for name in METRICS.iter().map(|m| m.name).chain([TASK_STATUS, ERRORS_BY_CLASS]) {
            assert!(page.contains(&format!("`{name}`")), "METRICS.md does not list {name}");
        }
    }
}

//! Prometheus text.
use super::TaskMetrics;
use super::names::{CLASS, CONNECTOR, ERRORS_BY_CLASS, Kind, METRICS, Metric, STATUS, TASK, TASK_STATUS};
use crate::event::TaskState;
use elasticflow_api::ErrorClass;
use elasticflow_api::source::Figure;
use std::collections::BTreeMap;
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
    render_reports(tasks, out);
}

/// What connectors tell of themselves.
fn render_reports(tasks: &[(Arc<TaskMetrics>, TaskState)], out: &mut String) {
    let mut by_name: BTreeMap<&str, Vec<(String, Figure)>> = BTreeMap::new();
    for (m, _) in tasks {
        for figure in m.report.lock().iter().flat_map(|report| &report.figures) {
            by_name.entry(figure.name).or_default().push((labels(m), figure.clone()));
        }
    }
    for (name, figures) in by_name {
        if let Some((_, first)) = figures.first() {
            head(name, first.help, if first.counts { Kind::Counter } else { Kind::Gauge }, out);
        }
        for (labels, figure) in figures {
            let more = figure.label.map(|(label, value)| format!(",{label}=\"{}\"", escaped(&value)));
            let _ = writeln!(out, "{name}{{{labels}{}}} {}", more.unwrap_or_default(), figure.value);
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
    let connector = escaped(&m.id.connector);
    format!("{CONNECTOR}=\"{connector}\",{TASK}=\"{}\"", m.id.task.0)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn word(state: &TaskState) -> &'static str {
    match state {
        TaskState::Starting { .. } => "unassigned",
        TaskState::Running | TaskState::Pending { .. } => "running",
        TaskState::Paused | TaskState::Held { .. } => "paused",
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
    use elasticflow_api::source::Report;

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
    fn what_connectors_tell_of_themselves_is_announced_once() {
        let tasks = [task("a", TaskKind::Source), task("b", TaskKind::Source)];
        for (m, _) in &tasks {
            let figure = |label: &str| Figure {
                name: "elasticflow_x",
                help: "x",
                counts: false,
                label: Some(("table", label.to_owned())),
                value: 1.5,
            };
            *m.report.lock() = Some(Report { figures: vec![figure("t"), figure("q\"")], ..Report::default() });
        }
        let mut out = String::new();
        render(&tasks, &mut out);
        assert_eq!(out.matches("# TYPE elasticflow_x gauge\n").count(), 1);
        assert!(out.contains("elasticflow_x{connector=\"a\",task=\"1\",table=\"t\"} 1.5\n"));
        assert!(out.contains("elasticflow_x{connector=\"b\",task=\"1\",table=\"q\\\"\"} 1.5\n"));
    }

    #[test]
    fn the_reference_page_lists_every_metric() {
        let page = include_str!("../../METRICS.md");
        for name in METRICS.iter().map(|m| m.name).chain([TASK_STATUS, ERRORS_BY_CLASS]) {
            assert!(page.contains(&format!("`{name}`")), "METRICS.md does not list {name}");
        }
    }
}

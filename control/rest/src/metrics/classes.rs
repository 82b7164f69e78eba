//! Which classes each task on this worker is made of, and where its time goes.
use super::Known;
use super::text::{Kind, Page};
use elasticflow_config::Properties;
use elasticflow_herder::answer::{ConnectorInfo, ConnectorKind, PartStatus};
use elasticflow_herder::figures::{Figures, Shares};
use elasticflow_herder::validation::find_plugin;
use elasticflow_herder::{WorkerContext, task_class};

/// The header converter of who names none.
const HEADERS: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// A task, named by labels.
struct Task<'a> {
    info: &'a ConnectorInfo,
    number: String,
    version: &'a str,
}

impl Task<'_> {
    /// Connector and number, then what is added.
    fn line(&self, name: &str, more: &[(&str, &str)], page: &mut Page<'_>) {
        let mut labels = vec![("connector", self.info.name.as_str()), ("task", self.number.as_str())];
        labels.extend(more);
        page.line(name, &labels, 1.0);
    }
}

/// The word of a kind.
pub(super) fn kind(kind: ConnectorKind) -> &'static str {
    match kind {
        ConnectorKind::Source => "source",
        ConnectorKind::Sink => "sink",
        ConnectorKind::Unknown => "unknown",
    }
}

pub(super) fn render(
    cx: &WorkerContext,
    connectors: &[Known],
    here: &impl Fn(&PartStatus) -> bool,
    page: &mut Page<'_>,
) {
    let mut tasks = Vec::new();
    for (info, status) in connectors {
        let mine = status.iter().flat_map(|status| &status.tasks).filter(|task| here(&task.part));
        tasks.extend(mine.map(|task| Task { info, number: task.id.to_string(), version: &task.part.version }));
    }
    parts(cx, &tasks, page);
    steps(cx, &tasks, ("transforms", "transform"), page);
    steps(cx, &tasks, ("predicates", "predicate"), page);
}

/// Connector, task and converters.
fn parts(cx: &WorkerContext, tasks: &[Task<'_>], page: &mut Page<'_>) {
    let class = |task: &Task<'_>| task.info.config.value("connector.class").unwrap_or_default().to_owned();
    let full = |task: &Task<'_>| {
        let class = class(task);
        cx.registry.connector(class.trim()).map_or(class.clone(), |entry| entry.class.to_owned())
    };
    let mut text = |what: &str, value: &dyn Fn(&Task<'_>) -> String| {
        let name = format!("kafka_connect_connector_task_{what}");
        page.head(&name, "what the task is made of", Kind::Gauge);
        tasks.iter().for_each(|task| task.line(&name, &[(what, value(task).as_str())], page));
    };
    text("connector_class", &class);
    text("connector_type", &|task| kind(task.info.kind).to_owned());
    text("connector_version", &|task| task.version.to_owned());
    text("task_class", &|task| task_class(&full(task)));
    text("task_version", &|task| task.version.to_owned());
    for converter in ["key", "value", "header"] {
        text(&format!("{converter}_converter_class"), &|task| converter_class(cx, &task.info.config, converter));
        let version = |task: &Task<'_>| version_of(cx, &converter_class(cx, &task.info.config, converter));
        text(&format!("{converter}_converter_version"), &version);
    }
}

fn converter_class(cx: &WorkerContext, config: &Properties, converter: &str) -> String {
    let key = format!("{converter}.converter");
    let named = config.value(&key).or_else(|| cx.options.worker.value(&key));
    named.unwrap_or(if converter == "header" { HEADERS } else { "" }).trim().to_owned()
}

fn version_of(cx: &WorkerContext, class: &str) -> String {
    find_plugin(&cx.registry, class).map(|entry| entry.version.to_owned()).unwrap_or_default()
}

/// Transforms or predicates, by the names that the configuration gives them.
fn steps(cx: &WorkerContext, tasks: &[Task<'_>], (list, step): (&str, &str), page: &mut Page<'_>) {
    for what in ["class", "version"] {
        let (label, name) = (format!("{step}_{what}"), format!("kafka_connect_connector_{step}_{step}_{what}"));
        let mut is_announced = false;
        for task in tasks {
            let aliases = task.info.config.value(list).unwrap_or_default().split(',');
            for alias in aliases.map(str::trim).filter(|alias| !alias.is_empty()) {
                let Some(class) = task.info.config.value(&format!("{list}.{alias}.type")) else { continue };
                if !std::mem::replace(&mut is_announced, true) {
                    page.head(&name, "a step of the task", Kind::Gauge);
                }
                let value = if what == "class" { class.to_owned() } else { version_of(cx, class.trim()) };
                task.line(&name, &[(step, alias), (label.as_str(), value.as_str())], page);
            }
        }
    }
}

/// Where the time of each task went.
pub(super) fn shares(figures: &Figures, page: &mut Page<'_>) {
    let of: [(&str, fn(&Shares) -> f64); 2] = [
        ("kafka_connect_connector_task_running_ratio", |shares| shares.running),
        ("kafka_connect_connector_task_pause_ratio", |shares| shares.paused),
    ];
    for (name, value) in of {
        page.head(name, "share of the time of the instance, 0 to 1", Kind::Gauge);
        for ((connector, task), shares) in &figures.shares {
            page.line(name, &[("connector", connector.as_str()), ("task", task.to_string().as_str())], value(shares));
        }
    }
}

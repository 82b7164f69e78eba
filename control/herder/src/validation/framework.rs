//! The framework's keys and what must hold between them.
use super::Input;
use super::classes::{Named, classes, find_plugin, named};
use super::report::Report;
use super::version::mismatch;
use elasticflow_api::registry::{Guarantee, Plugin, PluginKind};
use elasticflow_config::check::{Checked, MessageNames, check_key, list};
use elasticflow_config::connector::{CommonSettings, ConnectorSettings, TopicCreation};
use elasticflow_config::{KeyDef, KeyInfo, Settings};
use regex::Regex;
use std::collections::BTreeSet;

/// Keys that choose a converter, and the kind of plug-in.
pub(super) const CONVERTERS: [(&str, PluginKind); 3] = [
    ("key.converter", PluginKind::Converter),
    ("value.converter", PluginKind::Converter),
    ("header.converter", PluginKind::HeaderConverter),
];

/// Lists the framework's keys. False when no version of the connector fits: then Connect lists the common keys alone.
pub(super) fn check(input: &Input<'_>, report: &mut Report) -> bool {
    for group in ["Common", "Transforms", "Predicates", "Error Handling"] {
        report.group(group);
    }
    let range = input.resolved.value("connector.plugin.version");
    let misfit = range.and_then(|range| mismatch(input.entry.class, input.entry.version, range));
    let keys = match (&misfit, input.is_source()) {
        (Some(_), _) => CommonSettings::keys().iter().collect(),
        (None, true) => ConnectorSettings::source_keys(),
        (None, false) => ConnectorSettings::sink_keys(),
    };
    for def in keys {
        match &misfit {
            // Connect then knows nothing of the worker's converters either.
            Some(_) if CONVERTERS.iter().any(|(chooser, _)| def.name.starts_with(chooser)) => {
                report.add(KeyInfo::new(def.name, def), Checked::default(), Vec::new())
            }
            _ => add(def, input, report),
        }
    }
    if let Some(message) = misfit {
        report.error("connector.class", message.clone());
        report.error("connector.plugin.version", message);
        CONVERTERS.iter().for_each(|(chooser, _)| report.hide(&version_key(chooser)));
        return false;
    }
    if input.is_source() {
        for group in ["Topic Creation", "Exactly Once Support", "offsets.topic"] {
            report.group(group);
        }
    }
    true
}

fn add(def: &KeyDef, input: &Input<'_>, report: &mut Report) {
    let names = MessageNames { typed: def.name, checked: def.name };
    let mut checked = check_key(def, input.resolved, names);
    if def.name == "tasks.max" && checked.value.is_none() {
        // Connect's range check runs on the value that could not be read, too.
        checked.errors.push("Invalid value null for configuration tasks.max: Value must be non-null".to_owned());
    }
    let mut info = KeyInfo::new(def.name, def);
    let mut recommended = Vec::new();
    if let Some((chooser, kind)) = CONVERTERS.into_iter().find(|(key, _)| def.name.starts_with(key)) {
        (info.default_value, checked, recommended) =
            if def.name == chooser { converter(chooser, kind, input) } else { converter_version(chooser, kind, input) };
    } else if def.name == "connector.plugin.version" {
        info.default_value = Some(input.entry.version.to_owned());
        checked.value = checked.value.or_else(|| info.default_value.clone());
        recommended = vec![input.entry.version.to_owned()];
    }
    let chooser = def.name.strip_suffix(".plugin.version").filter(|c| c.ends_with(".converter"));
    let posted = chooser.and_then(|chooser| input.resolved.value(chooser));
    let unknown_class = posted.is_some_and(|name| find_plugin(&input.cx.registry, name.trim()).is_none());
    report.add(info, checked, recommended);
    if unknown_class {
        report.hide(def.name);
    }
}

fn version_key(chooser: &str) -> String {
    format!("{chooser}.plugin.version")
}

type Shown = (Option<String>, Checked, Vec<String>);

/// The worker's class is the default.
fn converter(key: &str, kind: PluginKind, input: &Input<'_>) -> Shown {
    let registry = &input.cx.registry;
    let full = |name: &str| registry.find(kind, name.trim()).map_or_else(|| name.to_owned(), |e| e.class.to_owned());
    let default = worker_class(key, input).map(full);
    let checked = match input.resolved.value(key) {
        None => Checked { value: default.clone(), errors: Vec::new() },
        Some(name) => match named(registry, kind, key, name) {
            Named::Plugin(entry) => Checked { value: Some(entry.class.to_owned()), errors: Vec::new() },
            Named::Wrong { message, class } => Checked { value: class, errors: vec![message] },
        },
    };
    (default, checked, classes(registry, kind))
}

fn converter_version(chooser: &str, kind: PluginKind, input: &Input<'_>) -> Shown {
    let class = input.resolved.value(chooser).or_else(|| worker_class(chooser, input));
    let entry = class.and_then(|name| input.cx.registry.find(kind, name.trim()));
    let default = entry.map(|e| e.version.to_owned());
    let posted = input.resolved.value(&version_key(chooser));
    let misfit = entry.and_then(|e| mismatch(e.class, e.version, posted?));
    let value = posted.map(|p| p.trim().to_owned()).or_else(|| default.clone()).filter(|_| entry.is_some());
    (default.clone(), Checked { value, errors: misfit.into_iter().collect() }, default.into_iter().collect())
}

fn worker_class<'a>(key: &str, input: &'a Input<'_>) -> Option<&'a str> {
    let default = (key == "header.converter").then_some("org.apache.kafka.connect.storage.SimpleHeaderConverter");
    input.cx.options.worker.value(key).or(default)
}

/// Keys that the task loops read and that no list of Connect's knows.
pub(super) fn read_by_the_loops(is_source: bool, key: &str) -> bool {
    const SOURCE: [&str; 3] = ["transaction.max.records", "transaction.max.bytes", "transaction.max.ms"];
    const SINK: [&str; 6] = [
        "batch.max.records",
        "batch.max.bytes",
        "batch.linger.ms",
        "commit.interval.ms",
        "errors.batch.isolate.max",
        "delivery.guarantee",
    ];
    if is_source { SOURCE.contains(&key) || key.starts_with("errors.deadletterqueue.") } else { SINK.contains(&key) }
}

/// What must hold between keys.
pub(super) fn check_further(input: &Input<'_>, report: &mut Report) {
    match &input.entry.plugin {
        Plugin::Source(_) => {
            exactly_once(input, report);
            topic_creation(input, report);
        }
        _ => {
            topics(input, report);
            consumer_group(input, report);
            sink_guarantee(input, report);
        }
    }
}

fn exactly_once(input: &Input<'_>, report: &mut Report) {
    let word = |key: &str| input.resolved.value(key).map(|t| t.trim().to_lowercase()).unwrap_or_default();
    if word("exactly.once.support") == "required" {
        if input.cx.options.exactly_once != crate::options::ExactlyOnce::Enabled {
            let text = "This worker does not have exactly-once source support enabled.";
            report.error("exactly.once.support", text);
        }
        let guarantee = match &input.entry.plugin {
            Plugin::Source(source) => source.guarantee(input.resolved),
            _ => None,
        };
        if guarantee == Some(Guarantee::AtLeastOnce) {
            let text = "The connector does not support exactly-once semantics with the provided configuration.";
            report.error("exactly.once.support", text);
        }
    }
    // No connector lets its configuration cut transactions: where its own ones end is always respected.
    if word("transaction.boundary") == "connector" {
        report.error(
            "transaction.boundary",
            "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition.",
        );
    }
}

/// What a sink is asked to promise, and cannot with its options.
fn sink_guarantee(input: &Input<'_>, report: &mut Report) {
    let asked = input.resolved.value("delivery.guarantee").map(str::trim).unwrap_or_default();
    if !["", "exactly-once", "at-least-once"].contains(&asked) {
        report.error("delivery.guarantee", format!("{asked:?} is not exactly-once or at-least-once"));
        return;
    }
    let Plugin::Sink(sink) = &input.entry.plugin else { return };
    if asked == "exactly-once" && sink.guarantee(input.resolved) == Some(Guarantee::AtLeastOnce) {
        let remarks = input.entry.remarks;
        let reason = if remarks.is_empty() { String::new() } else { format!(": {remarks}") };
        let text = format!(
            "the connector does not give exactly-once with this configuration{reason}; leave delivery.guarantee out or set it to at-least-once"
        );
        report.error("delivery.guarantee", text);
    }
}

fn topic_creation(input: &Input<'_>, report: &mut Report) {
    if report.has_error("topic.creation.groups") {
        return;
    }
    if let Err(problems) = TopicCreation::read(input.resolved) {
        for (key, messages) in problems.errors {
            for message in messages {
                report.undefined_error(&key, input.posted.value(&key), message);
            }
        }
    }
}

fn topics(input: &Input<'_>, report: &mut Report) {
    let text = |key: &str| input.resolved.value(key).unwrap_or("").trim();
    let (topics, pattern) = (list(text("topics")), text("topics.regex"));
    let dead_letters = text("errors.deadletterqueue.topic.name");
    match (topics.is_empty(), pattern.is_empty()) {
        (true, true) => both(report, "Must configure one of topics or topics.regex"),
        (false, false) => both(report, "topics and topics.regex are mutually exclusive options, but both are set."),
        (false, true) => {
            let distinct: BTreeSet<&str> = topics.iter().copied().collect();
            if distinct.len() < topics.len() {
                report.error("topics", "Configuration 'topics' values must not be duplicated.");
            }
            if topics.contains(&dead_letters) {
                report.error("topics", format!("The DLQ topic '{dead_letters}' may not be included in the list of topics ('topics=[{}]') consumed by the connector", topics.join(", ")));
            }
        }
        (true, false) => {
            let whole = Regex::new(&format!("^(?:{pattern})$"));
            if !dead_letters.is_empty() && whole.is_ok_and(|p| p.is_match(dead_letters)) {
                report.error("topics.regex", format!("The DLQ topic '{dead_letters}' may not be matched by the regex for the topics ('topics.regex={pattern}') consumed by the connector"));
            }
        }
    }
}

fn both(report: &mut Report, message: &str) {
    report.error("topics", message);
    report.error("topics.regex", message);
}

fn consumer_group(input: &Input<'_>, report: &mut Report) {
    let workers = &*input.cx.options.group_id;
    if let Some(group) = input.resolved.value("consumer.override.group.id").map(str::trim) {
        if group == workers {
            let message = format!("Consumer group {group} conflicts with Connect worker group {workers}");
            report.undefined_error("consumer.override.group.id", Some(group), message);
        }
        return;
    }
    let name = input.resolved.value("name").unwrap_or("").trim();
    if format!("connect-{name}") == workers {
        let message =
            format!("Consumer group for sink connector named {name} conflicts with Connect worker group {workers}");
        report.error("name", message);
    }
}

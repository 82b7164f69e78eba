//! Batches that appear at once: what source and destination must be able to do.
use super::Input;
use crate::options::ExactlyOnce;
use elasticflow_api::registry::{Guarantee, Plugin};
use elasticflow_config::flow::{BatchMode, BatchPublish, BatchSettings};
use elasticflow_config::parse;
use std::collections::BTreeMap;

const MODE: &str = "flow.batch.mode";
const PUBLISH: &str = "flow.batch.publish";
const KIND: &str = "flow.batch.kind";
const MARKERS: &str = "flow.batch.markers";
const KEEP: &str = "flow.batch.keep";
const RESET: &str = "consumer.override.auto.offset.reset";

/// Adds what is wrong, by key.
pub(super) fn check(input: &Input<'_>, wrong: &mut BTreeMap<String, Vec<String>>) {
    let Ok(keys) = parse::<BatchSettings>(input.resolved) else { return };
    let found = match &input.entry.plugin {
        Plugin::Source(_) if keys.mode == BatchMode::Run => of_source(input),
        Plugin::Sink(_) if keys.publish == BatchPublish::Atomic => of_sink(input, &keys),
        Plugin::Source(_) => needs(input, &[KIND, MARKERS], "flow.batch.mode=run"),
        Plugin::Sink(_) => needs(input, &[KIND, KEEP], "flow.batch.publish=atomic"),
        _ => Vec::new(),
    };
    for (key, message) in found {
        wrong.entry(key.to_owned()).or_default().push(message);
    }
}

/// Keys that do nothing without another one.
fn needs(input: &Input<'_>, keys: &[&'static str], other: &str) -> Vec<(&'static str, String)> {
    let set = keys.iter().filter(|key| input.resolved.value(key).is_some());
    set.map(|key| (*key, format!("{key} needs {other}"))).collect()
}

fn of_source(input: &Input<'_>) -> Vec<(&'static str, String)> {
    let Plugin::Source(source) = &input.entry.plugin else { return Vec::new() };
    let mut wrong = Vec::new();
    let tasks = input.resolved.value("tasks.max").map_or("1", str::trim);
    if !source.ends(input.resolved) {
        let text = "needs a source that comes to an end, and this one does not with this configuration; choose a run that ends, such as iterations of datagen, mode=bulk of tables or snapshot.mode=initial_only";
        wrong.push((MODE, format!("{MODE}=run {text}")));
    }
    if tasks != "1" {
        wrong.push((MODE, format!("{MODE}=run needs tasks.max=1: one task says when the run is complete")));
    }
    if input.cx.options.exactly_once != ExactlyOnce::Enabled {
        let text = "needs exactly.once.source.support=enabled on the worker: the marks stand in the transactions of the records";
        wrong.push((MODE, format!("{MODE}=run {text}")));
    } else if source.guarantee(input.resolved) == Some(Guarantee::AtLeastOnce) {
        wrong.push((
            MODE,
            format!("{MODE}=run needs a source that gives exactly-once, and this one does not with this configuration"),
        ));
    }
    wrong
}

fn of_sink(input: &Input<'_>, keys: &BatchSettings) -> Vec<(&'static str, String)> {
    let Plugin::Sink(sink) = &input.entry.plugin else { return Vec::new() };
    let mut wrong = Vec::new();
    let can: Vec<&str> = sink.publishes(input.resolved).iter().map(|kind| kind.word()).collect();
    if can.is_empty() {
        let text = "BATCH_NOT_ATOMIC: this sink cannot publish a batch as a whole with this configuration; set it to progressive";
        wrong.push((PUBLISH, text.to_owned()));
    } else if let Some(kind) = keys.kind.filter(|kind| !can.contains(&kind.word())) {
        let text = format!(
            "BATCH_NOT_ATOMIC: this sink cannot publish a batch with {KIND}={} and this configuration; it can {}",
            kind.word(),
            can.join(", ")
        );
        wrong.push((KIND, text));
    }
    if input.resolved.value(RESET).is_some_and(|text| text.trim() != "earliest") {
        wrong.push((PUBLISH, format!("{PUBLISH}=atomic reads batches from their beginning; leave {RESET} out")));
    }
    wrong
}

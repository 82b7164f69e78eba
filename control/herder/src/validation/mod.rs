//! Validates a connector configuration: the framework's keys, the connector's own, those of its converters, transforms,
//! predicates and Kafka clients, every error at once, in the shape and the words of Kafka Connect.
//!
//! [`validate`] answers a [`ConfigInfos`]; [`refusal`] makes Connect's error of one that has errors. Messages and shown
//! values hold references as they were posted, never what they resolve to.
//!
//! Absent on purpose: anything that is stored or started.
mod batches;
mod classes;
mod clients;
mod connector;
mod converters;
mod definitions;
mod flow;
mod framework;
mod report;
mod transforms;
mod version;

pub use classes::{connector_class, find_plugin, included_type_matches};
pub use definitions::definitions;

use crate::error::HerderError;
use crate::handle::WorkerContext;
use crate::options::ExactlyOnce;
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry};
use elasticflow_config::infos::{Remark, Remarks};
use elasticflow_config::{ConfigInfos, Properties, nearest};
use report::Report;
use std::collections::BTreeSet;

/// Unknown keys for which the nearest known name is looked up: each takes a comparison with every known key.
const HINTS_MAX: usize = 50;

/// What one validation works with.
struct Input<'a> {
    /// As posted: for what is shown.
    posted: &'a Properties,
    /// References resolved: for what is checked.
    resolved: &'a Properties,
    /// The connector's plug-in.
    entry: &'a PluginEntry,
    /// The worker.
    cx: &'a WorkerContext,
}

impl Input<'_> {
    fn is_source(&self) -> bool {
        matches!(self.entry.plugin, Plugin::Source(_))
    }
}

/// Validates a configuration; keys of `nulls` were posted with `null`.
///
/// # Errors
/// `BadRequest` without a known `connector.class` or with a reference that cannot be resolved, `Timeout` when the
/// connector takes too long.
pub async fn validate(
    config: &Properties,
    nulls: &BTreeSet<String>,
    cx: &WorkerContext,
) -> Result<ConfigInfos, HerderError> {
    crate::limits::check(config, nulls)?;
    let entry = connector_class(config, cx)?;
    let resolved = crate::admission::resolve(config, cx).await.map_err(HerderError::BadRequest)?;
    let input = Input { posted: config, resolved: &resolved, entry, cx };
    let mut report = Report::default();
    if framework::check(&input, &mut report) {
        transforms::check(&input, &mut report);
        flow::check(&input, &mut report);
        connector::check(&input, &mut report).await?;
        converters::check(&input, &mut report);
        clients::check(&input, &mut report);
        framework::check_further(&input, &mut report);
    }
    for key in nulls {
        report.refuse_null(key);
    }
    report.hide_resolved(config, &resolved);
    let elasticflow = Remarks { guarantee: guarantee(&input), warnings: warnings(&input, &report) };
    Ok(report.finish(config.value("connector.class").unwrap_or("").to_owned(), elasticflow))
}

/// Connect's error for a configuration with errors; `None` without.
pub fn refusal(infos: &ConfigInfos) -> Option<HerderError> {
    let errors: Vec<(String, String)> = infos.errors().map(|(k, m)| (k.to_owned(), m.to_owned())).collect();
    if errors.is_empty() {
        return None;
    }
    let list: Vec<&str> = errors.iter().map(|(_, m)| m.as_str()).collect();
    let message = format!(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        errors.len(),
        list.join("\n")
    );
    Some(HerderError::Invalid { message, errors })
}

/// Why a configuration with `null` values is refused, in the order in which Connect checks: name, class, values.
pub async fn refuse_nulls(name: &str, config: Properties, nulls: &BTreeSet<String>, cx: &WorkerContext) -> HerderError {
    let checked = async {
        let config = crate::admission::named(name, config)?;
        validate(&config, nulls, cx).await
    };
    match checked.await {
        Ok(infos) => refusal(&infos).unwrap_or_else(|| HerderError::Failed("null values were not refused".to_owned())),
        Err(error) => error,
    }
}

/// What the configuration can promise here; nothing when it does not parse.
fn guarantee(input: &Input<'_>) -> Option<&'static str> {
    let promised = match &input.entry.plugin {
        Plugin::Source(source) => source.guarantee(input.resolved)?,
        Plugin::Sink(sink) => sink.guarantee(input.resolved)?,
        _ => return None,
    };
    let worker_can = !input.is_source() || input.cx.options.exactly_once == ExactlyOnce::Enabled;
    Some(if promised == Guarantee::ExactlyOnce && worker_can { "exactly-once" } else { "at-least-once" })
}

/// Posted keys that do nothing, with the nearest known name.
fn warnings(input: &Input<'_>, report: &Report) -> Vec<Remark> {
    let known: Vec<&str> = report.names().collect();
    let wild = |key: &str| input.entry.keys.iter().any(|def| def.covers(key));
    let unknown = input.posted.0.keys().filter(|key| !known.contains(&key.as_str()) && !wild(key));
    let remark = |(n, key): (usize, &String)| {
        let message = match without_class(key, input) {
            Some(message) => message,
            None => {
                let near = if n < HINTS_MAX { nearest(key, known.iter().copied()) } else { None };
                let hint = near.map(|near| format!("; did you mean {near}?"));
                format!("not a known option of this connector, without effect{}", hint.unwrap_or_default())
            }
        };
        Remark { key: key.clone(), message }
    };
    let is_source = input.is_source();
    let converters: Vec<&str> =
        input.posted.value("converters").into_iter().flat_map(|names| names.split(',')).map(str::trim).collect();
    let counts = |key: &&String| {
        let of_converter = key.split_once('.').is_some_and(|(name, _)| converters.contains(&name));
        !(of_converter
            || is_source && key.starts_with("topic.creation.")
            || framework::read_by_the_loops(is_source, key))
    };
    let mut remarks: Vec<Remark> = unknown.filter(counts).enumerate().map(remark).collect();
    if input.posted.value("config.action.reload").is_some() {
        let message = "without effect: no provider of references tells when a value expires".to_owned();
        remarks.push(Remark { key: "config.action.reload".to_owned(), message });
    }
    remarks
}

/// Options of a converter that is not chosen.
fn without_class(key: &str, input: &Input<'_>) -> Option<String> {
    let chooser = ["key.converter", "value.converter", "header.converter"]
        .into_iter()
        .find(|c| key.strip_prefix(c).is_some_and(|rest| rest.starts_with('.')) && input.posted.value(c).is_none())?;
    Some(format!("without effect, since {chooser} is not set and the worker's converter has the worker's options"))
}

#[cfg(test)]
mod tests;

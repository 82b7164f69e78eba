//! Plug-ins and validation.
use super::Call;
use crate::answer::Answer;
use crate::body;
use crate::problem::Problem;
use crate::serve::Rest;
use axum::http::StatusCode;
use elasticflow_api::registry::{PluginEntry, PluginKind};
use elasticflow_config::infos::Remarks;
use elasticflow_herder::validation::{definitions, find_plugin, included_type_matches, validate as check};
use serde_json::{Value, json};

/// Kinds in the order of the list.
const KINDS: [PluginKind; 6] = [
    PluginKind::Sink,
    PluginKind::Source,
    PluginKind::Transformation,
    PluginKind::Predicate,
    PluginKind::Converter,
    PluginKind::HeaderConverter,
];

pub(super) fn list(rest: &Rest, call: &Call) -> Answer {
    // Connect reads anything but `true` as false, and nothing as true.
    let all = call.all("connectorsOnly").next().is_some_and(|value| !value.eq_ignore_ascii_case("true"));
    let kinds = if all { KINDS.as_slice() } else { KINDS.get(..2).unwrap_or_default() };
    let mut plugins: Vec<Value> = Vec::new();
    for kind in kinds {
        let registry = &rest.herder.context().registry;
        let mut entries: Vec<_> = registry.entries().iter().filter(|e| e.kind() == *kind).collect();
        entries.sort_by_key(|e| e.class);
        plugins.extend(entries.iter().map(|entry| plugin(entry, rest.options.extensions)));
    }
    Answer::ok(&plugins)
}

/// Connect's members; what a reader must know beside them, such as that a plug-in is not exactly once, is an addition.
fn plugin(entry: &PluginEntry, extended: bool) -> Value {
    let mut plugin = json!({"class": entry.class, "type": entry.kind().name(), "version": entry.version});
    if extended && !entry.remarks.is_empty() {
        plugin["elasticflow"] = json!({"remarks": entry.remarks});
    }
    plugin
}

pub(super) fn config(rest: &Rest, plugin: &str) -> Result<Answer, Problem> {
    let entry = find_plugin(&rest.herder.context().registry, plugin)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("Unknown plugin {plugin}.")))?;
    Ok(Answer::ok(&definitions(entry)))
}

pub(super) async fn validate(rest: &Rest, plugin: &str, call: &Call) -> Result<Answer, Problem> {
    let posted = body::config(&call.body)?;
    let registry = &rest.herder.context().registry;
    let foreign = |class: &&str| !included_type_matches(registry, class, plugin);
    if let Some(class) = posted.values.value("connector.class").filter(foreign) {
        let text = format!("Included connector type {class} does not match request type {plugin}");
        return Err(Problem::bad_request(text));
    }
    let mut infos = check(&posted.values, &posted.nulls, rest.herder.context()).await?;
    if !rest.options.extensions {
        infos.elasticflow = Remarks::default();
    }
    Ok(Answer::ok(&infos))
}

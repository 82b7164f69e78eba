//! The connector's own keys.
use super::Input;
use super::report::Report;
use crate::error::HerderError;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::registry::Plugin;
use elasticflow_config::check::{Checked, normal_form};
use elasticflow_config::infos::key_infos;
use elasticflow_config::{KeyDef, KeyInfo, KeyType, Secret, ValidationReport, without_passwords};
use std::sync::Arc;

/// Lists the connector's keys and asks the connector itself, for a bounded time.
pub(super) async fn check(input: &Input<'_>, report: &mut Report) -> Result<(), HerderError> {
    let mut said = ask(input).await?;
    for info in key_infos(input.entry.keys) {
        let Some(def) = input.entry.keys.iter().find(|d| d.name == info.name) else { continue };
        add(def, info, input, &mut said, report);
    }
    for def in input.entry.keys.iter().filter(|d| d.name.ends_with('*')) {
        for key in input.posted.0.keys().filter(|key| def.covers(key)) {
            let info = KeyInfo { display_name: key.clone(), required: false, ..KeyInfo::new(key, def) };
            add(def, info, input, &mut said, report);
        }
    }
    // What is left belongs to the framework's keys, to no single key, or to a key that is not declared.
    for (key, messages) in said.errors {
        let key = if key.is_empty() { "connector.class" } else { &key };
        for message in messages {
            report.error(key, message);
        }
    }
    Ok(())
}

async fn ask(input: &Input<'_>) -> Result<ValidationReport, HerderError> {
    let context = ConnectorContext { clock: Arc::clone(&input.cx.clock), replan: Arc::new(|| ()) };
    let asked = async {
        match &input.entry.plugin {
            Plugin::Source(source) => source.validate(input.resolved, &context).await,
            Plugin::Sink(sink) => sink.validate(input.resolved, &context).await,
            _ => ValidationReport::default(),
        }
    };
    let began = input.cx.clock.wall_ms();
    tokio::time::timeout(input.cx.options.connector_timeout, asked).await.map_err(|_| {
        HerderError::Timeout(format!(
            "Request timed out. The worker is currently performing multi-property validation for the connector, which began at {}",
            crate::instant::iso_utc(began)
        ))
    })
}

fn add(def: &KeyDef, info: KeyInfo, input: &Input<'_>, said: &mut ValidationReport, report: &mut Report) {
    let key = info.name.clone();
    if report.names().any(|name| name == key) {
        return;
    }
    if let Some(group) = &info.group {
        report.group(group);
    }
    let text = input.resolved.value(&key).or(def.default);
    let value = text.and_then(|text| match def.kind {
        KeyType::Password => Some(Secret::HIDDEN.to_owned()),
        kind => normal_form(kind, text).ok().map(|text| without_passwords(&text).into_owned()),
    });
    let errors = said.errors.remove(&key).unwrap_or_default();
    report.add(info, Checked { value, errors }, said.recommended.remove(&key).unwrap_or_default());
}

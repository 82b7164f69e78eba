//! What is checked before a configuration goes to the loop, in the order in which Connect answers.
use crate::error::HerderError;
use crate::handle::WorkerContext;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::{Properties, ValidationReport};
use std::sync::Arc;

/// Checks name, class and values; answers the configuration as it is to be stored.
///
/// # Errors
/// `BadRequest` for name and class, `Invalid` with every message of the validation.
pub(crate) async fn admit(name: &str, config: Properties, cx: &WorkerContext) -> Result<Properties, HerderError> {
    let config = named(name, config)?;
    let entry = connector_class(&config, cx)?;
    let report = check(entry, &config, cx).await?;
    if report.is_ok() {
        return Ok(config);
    }
    let errors: Vec<(String, String)> =
        report.errors.into_iter().flat_map(|(k, ms)| ms.into_iter().map(move |m| (k.clone(), m))).collect();
    Err(invalid(errors))
}

/// Sets `name`, which must not differ from the one in the path or beside the configuration.
fn named(name: &str, config: Properties) -> Result<Properties, HerderError> {
    match config.value("name") {
        Some(other) if other != name => Err(HerderError::BadRequest(format!(
            "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
        ))),
        _ => Ok(config.with("name", name)),
    }
}

fn connector_class<'a>(config: &Properties, cx: &'a WorkerContext) -> Result<&'a PluginEntry, HerderError> {
    let Some(class) = config.value("connector.class") else {
        let shown = crate::secrets::hide(config, &cx.registry);
        let pairs: Vec<String> = shown.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let text = format!("Connector config {{{}}} contains no connector type", pairs.join(", "));
        return Err(HerderError::BadRequest(text));
    };
    cx.registry.connector(class).ok_or_else(|| {
        let connectors = cx.registry.entries().iter().filter(|e| matches!(e.plugin, Plugin::Source(_) | Plugin::Sink(_)));
        let names: Vec<&str> = connectors.map(|e| e.class).collect();
        HerderError::BadRequest(format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
            names.join(", ")
        ))
    })
}

async fn check(entry: &PluginEntry, config: &Properties, cx: &WorkerContext) -> Result<ValidationReport, HerderError> {
    let resolved = resolve(config, cx).await.map_err(HerderError::BadRequest)?;
    let context = ConnectorContext { clock: Arc::clone(&cx.clock), replan: Arc::new(|| ()) };
    let checked = async {
        match &entry.plugin {
            Plugin::Source(source) => source.validate(&resolved, &context).await,
            Plugin::Sink(sink) => sink.validate(&resolved, &context).await,
            _ => ValidationReport::default(),
        }
    };
    tokio::time::timeout(cx.options.connector_timeout, checked).await.map_err(|_| {
        HerderError::Timeout(
            "Request timed out. The worker is currently performing multi-property validation for the connector"
                .to_owned(),
        )
    })
}

/// Resolves references off the asynchronous threads, since files are read.
pub(crate) async fn resolve(config: &Properties, cx: &WorkerContext) -> Result<Properties, String> {
    if !config.0.values().any(|v| v.contains("${")) {
        return Ok(config.clone());
    }
    let (references, config) = (Arc::clone(&cx.references), config.clone());
    let resolved = tokio::task::spawn_blocking(move || references.resolve(&config)).await;
    resolved.map_err(|e| format!("resolving references failed: {e}"))?
}

/// Connect's list of every message.
fn invalid(errors: Vec<(String, String)>) -> HerderError {
    let list: Vec<&str> = errors.iter().map(|(_, m)| m.as_str()).collect();
    let message = format!(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        errors.len(),
        list.join("\n")
    );
    HerderError::Invalid { message, errors }
}

//! What is checked before a configuration goes to the loop, in the order in which Connect answers.
use crate::error::HerderError;
use crate::handle::WorkerContext;
use crate::validation;
use elasticflow_config::infos::Remark;
use elasticflow_config::{Properties, shortened};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Checks name, class and values; answers the configuration as it is to be stored and what is odd about it.
///
/// # Errors
/// `BadRequest` for name and class, `Invalid` with every message of the validation.
pub(crate) async fn admit(
    name: &str,
    config: Properties,
    cx: &WorkerContext,
) -> Result<(Properties, Vec<Remark>), HerderError> {
    let config = named(name, config)?;
    let infos = validation::validate(&config, &BTreeSet::new(), cx).await?;
    match validation::refusal(&infos) {
        None => Ok((config, infos.elasticflow.warnings)),
        Some(refused) => Err(refused),
    }
}

/// Sets `name`, which must not differ from the one in the path or beside the configuration.
pub(crate) fn named(name: &str, config: Properties) -> Result<Properties, HerderError> {
    match config.value("name") {
        Some(other) if other != name => Err(HerderError::BadRequest(format!(
            "Connector name configuration ({}) doesn't match connector name in the URL ({})",
            shortened(other),
            shortened(name)
        ))),
        _ => Ok(config.with("name", name)),
    }
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

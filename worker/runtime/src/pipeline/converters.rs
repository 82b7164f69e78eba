//! The three converters of a task: the connector's own, else the worker's.
use super::retry::Retry;
use super::tolerance::Failed;
use crate::error::TaskError;
use elasticflow_api::convert::{Converter, HeaderConverter, Need};
use elasticflow_api::registry::{Plugin, PluginEntry, PluginKind, Registry};
use elasticflow_config::Properties;
use std::sync::Arc;

/// Used when neither the connector nor the worker names one.
const HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// Converters with the class names that dead letters report.
#[derive(Clone)]
pub(crate) struct Converters {
    pub(crate) key: Arc<dyn Converter>,
    pub(crate) key_class: &'static str,
    pub(crate) value: Arc<dyn Converter>,
    pub(crate) value_class: &'static str,
    pub(crate) header: Arc<dyn HeaderConverter>,
    pub(crate) header_class: &'static str,
}

/// Why a record was not converted.
pub(crate) enum Stopped {
    /// A schema must be resolved first.
    Need {
        /// By the key's converter.
        is_key: bool,
        /// What.
        need: Need,
    },
    /// The record is bad.
    Failed(Failed),
}

impl Converters {
    /// Lets a converter fetch what it lacks, within `errors.retry.timeout`.
    pub(crate) async fn resolve(
        &self,
        topic: &str,
        is_key: bool,
        need: &Need,
        mut retry: Retry,
    ) -> Result<(), TaskError> {
        let converter = if is_key { &self.key } else { &self.value };
        while let Err(error) = converter.resolve(topic, need).await {
            retry.again(error).await?;
        }
        Ok(())
    }

    /// Builds them. A connector that names a converter gives all its settings; the worker's are not mixed in.
    pub(crate) fn new(registry: &Registry, connector: &Properties, worker: &Properties) -> Result<Self, TaskError> {
        let chosen = |key: &str| {
            let of = if connector.value(key).is_some() { connector } else { worker };
            (of.value(key).map(str::to_owned), of.below(&format!("{key}.")))
        };
        let (key, key_class) = data(registry, "key.converter", chosen("key.converter"), true)?;
        let (value, value_class) = data(registry, "value.converter", chosen("value.converter"), false)?;
        let (header, header_class) = headers(registry, chosen("header.converter"))?;
        Ok(Self { key, key_class, value, value_class, header, header_class })
    }
}

type Chosen = (Option<String>, Properties);

fn data(
    registry: &Registry,
    key: &str,
    (class, settings): Chosen,
    is_key: bool,
) -> Result<(Arc<dyn Converter>, &'static str), TaskError> {
    let class = class.ok_or_else(|| TaskError::Config(format!("neither the connector nor the worker sets {key}")))?;
    let entry = found(registry, PluginKind::Converter, key, &class)?;
    match &entry.plugin {
        Plugin::Converter(make) => Ok((make(&settings, is_key)?, entry.class)),
        _ => Err(not_found(key, &class)),
    }
}

fn headers(
    registry: &Registry,
    (class, settings): Chosen,
) -> Result<(Arc<dyn HeaderConverter>, &'static str), TaskError> {
    let class = class.unwrap_or_else(|| HEADER_CONVERTER.to_owned());
    let entry = found(registry, PluginKind::HeaderConverter, "header.converter", &class)?;
    match &entry.plugin {
        Plugin::HeaderConverter(make) => Ok((make(&settings)?, entry.class)),
        _ => Err(not_found("header.converter", &class)),
    }
}

fn found<'a>(registry: &'a Registry, kind: PluginKind, key: &str, class: &str) -> Result<&'a PluginEntry, TaskError> {
    registry.find(kind, class.trim()).ok_or_else(|| not_found(key, class))
}

/// In Connect's words.
pub(super) fn not_found(key: &str, class: &str) -> TaskError {
    TaskError::Config(format!("Invalid value {class} for configuration {key}: Class {class} could not be found."))
}

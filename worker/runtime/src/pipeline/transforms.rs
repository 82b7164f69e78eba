//! The chain of single message transforms with their predicates.
use super::converters::not_found;
use super::tolerance::Failed;
use crate::error::TaskError;
use elasticflow_api::convert::{Predicate, Transform};
use elasticflow_api::data::Record;
use elasticflow_api::error::Stage;
use elasticflow_api::position::Offset;
use elasticflow_api::registry::{Plugin, PluginKind, Registry};
use elasticflow_config::Properties;
use std::sync::Arc;

/// In the order of `transforms`.
pub(crate) struct Transforms {
    steps: Vec<Step>,
}

struct Step {
    class: &'static str,
    transform: Arc<dyn Transform>,
    condition: Option<(Arc<dyn Predicate>, bool)>,
}

impl Transforms {
    /// Builds the chain of `transforms=a,b` with `transforms.a.*` and `predicates.p.*`.
    pub(crate) fn new(registry: &Registry, connector: &Properties) -> Result<Self, TaskError> {
        let aliases = list(connector.value("transforms"));
        let steps: Result<Vec<Step>, TaskError> = aliases.iter().map(|a| step(registry, connector, a)).collect();
        Ok(Self { steps: steps? })
    }

    /// True when records pass unchanged.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether values without schemas go through whatever they are.
    pub(crate) fn pass_plain_values(&self) -> bool {
        self.steps.iter().all(|step| {
            let by_condition = step.condition.as_ref().is_none_or(|(predicate, _)| predicate.passes_plain_values());
            by_condition && step.transform.passes_plain_values()
        })
    }

    /// Whether they do the same whatever the headers of a record are.
    pub(crate) fn pass_headers(&self) -> bool {
        self.steps.iter().all(|step| {
            let by_condition = step.condition.as_ref().is_none_or(|(predicate, _)| predicate.passes_headers());
            by_condition && step.transform.passes_headers()
        })
    }

    /// Passes a record through, with the offset that it was read at by a sink; `None` when a transform has dropped it.
    pub(crate) fn apply(&self, record: Record, offset: Option<Offset>) -> Result<Option<Record>, Failed> {
        let mut record = record;
        for step in &self.steps {
            if step.condition.as_ref().is_some_and(|(predicate, negate)| predicate.test(&record) == *negate) {
                continue;
            }
            match step.transform.apply_at(record, offset) {
                Ok(Some(changed)) => record = changed,
                Ok(None) => return Ok(None),
                Err(mut error) => {
                    error.stage = Stage::Transformation;
                    return Err(Failed { error, class: step.class });
                }
            }
        }
        Ok(Some(record))
    }
}

fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect()
}

fn step(registry: &Registry, connector: &Properties, alias: &str) -> Result<Step, TaskError> {
    let settings = connector.below(&format!("transforms.{alias}."));
    let key = format!("transforms.{alias}.type");
    let class = required(&settings, "type", &key)?;
    let entry = registry.find(PluginKind::Transformation, class).ok_or_else(|| not_found(&key, class))?;
    let Plugin::Transform(make) = &entry.plugin else { return Err(not_found(&key, class)) };
    let condition =
        settings.value("predicate").map(|p| condition(registry, connector, p.trim(), &settings)).transpose()?;
    Ok(Step { class: entry.class, transform: make(&own(&settings))?, condition })
}

fn condition(
    registry: &Registry,
    connector: &Properties,
    alias: &str,
    of_transform: &Properties,
) -> Result<(Arc<dyn Predicate>, bool), TaskError> {
    let settings = connector.below(&format!("predicates.{alias}."));
    let key = format!("predicates.{alias}.type");
    let class = required(&settings, "type", &key)?;
    let entry = registry.find(PluginKind::Predicate, class).ok_or_else(|| not_found(&key, class))?;
    let Plugin::Predicate(make) = &entry.plugin else { return Err(not_found(&key, class)) };
    let negate = of_transform.value("negate").is_some_and(|n| n.trim().eq_ignore_ascii_case("true"));
    Ok((make(&own(&settings))?, negate))
}

/// The plug-in's own settings, without those of the framework.
fn own(settings: &Properties) -> Properties {
    const FRAMEWORK: [&str; 4] = ["type", "predicate", "negate", "plugin.version"];
    let mut own = settings.clone();
    own.0.retain(|key, _| !FRAMEWORK.contains(&key.as_str()));
    own
}

fn required<'a>(settings: &'a Properties, name: &str, key: &str) -> Result<&'a str, TaskError> {
    let missing = || TaskError::Config(format!("Missing required configuration \"{key}\" which has no default value."));
    settings.value(name).map(str::trim).ok_or_else(missing)
}

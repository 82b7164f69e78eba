//! Topics that a source writes to: reported when first seen, created if `topic.creation.*` says how.
use crate::error::{Doing, TaskError};
use elasticflow_config::Properties;
use elasticflow_kafka::ports::{Admin, TopicSpec};
use regex::Regex;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Which topics were seen, and how others are created.
pub(super) struct Topics {
    seen: HashSet<Arc<str>>,
    /// Mostly that of the next record, recognised by its pointer.
    last: Option<Arc<str>>,
    groups: Vec<Group>,
    admin: Arc<dyn Admin>,
}

/// One of `topic.creation.groups`, or `default`, which stands last and matches everything.
#[derive(Debug)]
struct Group {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    partitions: i32,
    replication: i16,
    configs: BTreeMap<String, String>,
}

impl Topics {
    /// Without `topic.creation.*` keys, or with `topic.creation.enable=false` on the worker, creation is the broker's.
    pub(super) fn new(connector: &Properties, enabled: bool, admin: Arc<dyn Admin>) -> Result<Self, TaskError> {
        let asked = connector.0.keys().any(|k| k.starts_with("topic.creation."));
        if asked && !enabled {
            tracing::warn!("topic.creation.* is ignored: topic.creation.enable is false on this worker");
        }
        let groups = if asked && enabled { groups(connector)? } else { Vec::new() };
        Ok(Self { seen: HashSet::new(), last: None, groups, admin })
    }

    /// True the first time.
    pub(super) fn is_new(&mut self, topic: &Arc<str>) -> bool {
        if self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, topic)) {
            return false;
        }
        let new = !self.seen.contains(topic);
        if !new {
            self.last = Some(Arc::clone(topic));
        }
        new
    }

    /// Creates a topic that is seen for the first time, if it is missing and a group matches.
    pub(super) async fn first_seen(&mut self, topic: &Arc<str>) -> Result<(), TaskError> {
        if let Some(group) = self.groups.iter().position(|g| g.matches(topic)) {
            let name = [topic.to_string()];
            let there = self.admin.partitions(&name).await.doing("looking for a topic")?.contains_key(&**topic);
            if let Some(group) = self.groups.get(group).filter(|_| !there) {
                self.admin.create_topic(&group.spec(topic)).await.doing("creating a topic of the source")?;
                tracing::info!(%topic, partitions = group.partitions, "topic created");
            }
        }
        self.seen.insert(Arc::clone(topic));
        Ok(())
    }
}

impl Group {
    fn matches(&self, topic: &str) -> bool {
        self.include.iter().any(|r| r.is_match(topic)) && !self.exclude.iter().any(|r| r.is_match(topic))
    }

    fn spec(&self, topic: &str) -> TopicSpec {
        TopicSpec {
            name: topic.to_owned(),
            partitions: self.partitions,
            replication: Some(self.replication).filter(|r| *r > 0),
            configs: self.configs.clone(),
        }
    }
}

fn groups(connector: &Properties) -> Result<Vec<Group>, TaskError> {
    let names = connector.value("topic.creation.groups").unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|n| !n.is_empty() && *n != "default").chain(["default"]);
    names.map(|name| group(connector, name)).collect()
}

fn group(connector: &Properties, name: &str) -> Result<Group, TaskError> {
    let own = connector.below(&format!("topic.creation.{name}."));
    let number = |key: &str| -> Result<i32, TaskError> {
        let full = format!("topic.creation.{name}.{key}");
        let default = format!("topic.creation.default.{key}");
        let text = connector.value(&full).or_else(|| connector.value(&default));
        let text = text.ok_or_else(|| {
            TaskError::Config(format!("Missing required configuration \"{default}\" which has no default value."))
        })?;
        let wrong = || {
            TaskError::Config(format!("Invalid value {text} for configuration {full}: must be -1 or a positive number"))
        };
        text.trim().parse().ok().filter(|n| *n == -1 || *n >= 1).ok_or_else(wrong)
    };
    let replication = i16::try_from(number("replication.factor")?).unwrap_or(i16::MAX);
    let include =
        if name == "default" { patterns(".*", name)? } else { patterns(own.value("include").unwrap_or(""), name)? };
    let exclude = if name == "default" { Vec::new() } else { patterns(own.value("exclude").unwrap_or(""), name)? };
    const FRAMEWORK: [&str; 4] = ["include", "exclude", "partitions", "replication.factor"];
    let configs = own.0.iter().filter(|(k, _)| !FRAMEWORK.contains(&k.as_str()));
    Ok(Group {
        include,
        exclude,
        partitions: number("partitions")?,
        replication,
        configs: configs.map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}

fn patterns(list: &str, group: &str) -> Result<Vec<Regex>, TaskError> {
    let parts = list.split(',').map(str::trim).filter(|p| !p.is_empty());
    let full = |p: &str| {
        Regex::new(&format!("^(?:{p})$"))
            .map_err(|e| TaskError::Config(format!("topic.creation.{group}: {p:?} is no regular expression: {e}")))
    };
    parts.map(full).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pairs: &[(&str, &str)]) -> Result<Vec<Group>, TaskError> {
        groups(&Properties::from_iter(pairs.iter().copied()))
    }

    #[test]
    fn the_first_group_that_matches_decides_and_default_stands_last() {
        let groups = made(&[
            ("topic.creation.groups", "logs"),
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "-1"),
            ("topic.creation.logs.include", "log.*"),
            ("topic.creation.logs.exclude", "log_old"),
            ("topic.creation.logs.cleanup.policy", "compact"),
        ])
        .unwrap();
        let of = |topic: &str| groups.iter().position(|g| g.matches(topic));
        assert_eq!((of("logs"), of("log_old"), of("xlog")), (Some(0), Some(1), Some(1)));
        let spec = groups[0].spec("logs");
        assert_eq!((spec.partitions, spec.replication), (3, None));
        assert_eq!(spec.configs["cleanup.policy"], "compact");
    }

    #[test]
    fn missing_defaults_are_named_in_connects_words() {
        let error = made(&[("topic.creation.default.partitions", "3")]).unwrap_err().to_string();
        assert!(error.contains("topic.creation.default.replication.factor"), "{error}");
    }
}

//! Topic creation of sources: `topic.creation.*`.
use crate::check::list;
use crate::properties::Properties;
use crate::report::ValidationReport;
use regex::Regex;
use std::collections::BTreeMap;

const PREFIX: &str = "topic.creation.";

/// The groups of a source, in the order in which they are tried; `default` is last.
#[derive(Debug, Clone)]
pub struct TopicCreation {
    groups: Vec<TopicGroup>,
}

/// How the topics of one group are created.
#[derive(Debug, Clone)]
pub struct TopicGroup {
    /// Name.
    pub name: String,
    /// Partitions; -1 is the broker's default.
    pub partitions: i32,
    /// Replication factor; -1 is the broker's default.
    pub replication_factor: i16,
    /// Further topic settings, such as `cleanup.policy`.
    pub configs: BTreeMap<String, String>,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl TopicCreation {
    /// Reads the groups; `None` when no `topic.creation.` key is used: the broker's auto-creation decides then.
    ///
    /// # Errors
    /// Every problem, by key. Duplicate group names are the business of `topic.creation.groups` itself.
    pub fn read(properties: &Properties) -> Result<Option<Self>, ValidationReport> {
        if !properties.0.keys().any(|k| k.starts_with(PREFIX)) {
            return Ok(None);
        }
        let mut report = ValidationReport::default();
        let default = group(properties, "default", None, &mut report);
        let names = list(properties.value("topic.creation.groups").unwrap_or(""));
        let mut groups: Vec<TopicGroup> = Vec::new();
        for name in names.into_iter().filter(|n| !n.is_empty() && *n != "default") {
            if groups.iter().all(|g| g.name != name) {
                groups.push(group(properties, name, Some(&default), &mut report));
            }
        }
        groups.push(default);
        if report.is_ok() { Ok(Some(Self { groups })) } else { Err(report) }
    }

    /// The group of a topic: the first that matches.
    pub fn group_of(&self, topic: &str) -> Option<&TopicGroup> {
        let matches = |patterns: &[Regex]| patterns.iter().any(|p| p.is_match(topic));
        self.groups.iter().find(|g| matches(&g.include) && !matches(&g.exclude))
    }
}

fn group(of: &Properties, name: &str, default: Option<&TopicGroup>, report: &mut ValidationReport) -> TopicGroup {
    let own = of.below(&format!("{PREFIX}{name}."));
    let key = |suffix: &str| format!("{PREFIX}{name}.{suffix}");
    let mut number = |suffix: &str, inherited: Option<i32>| {
        let Some(text) = own.value(suffix) else {
            return inherited.unwrap_or_else(|| {
                let key = key(suffix);
                report.error(&key, format!("Missing required configuration \"{key}\" which has no default value."));
                -1
            });
        };
        match text.trim().parse::<i32>() {
            Ok(n) if n >= 1 || n == -1 => n,
            Ok(_) => {
                report.invalid(&key(suffix), text, "Value must be at least 1, or -1 for the broker's default");
                -1
            }
            Err(_) => {
                report.invalid(&key(suffix), text, "Not a number of type INT");
                -1
            }
        }
    };
    let partitions = number("partitions", default.map(|d| d.partitions));
    let replication = number("replication.factor", default.map(|d| i32::from(d.replication_factor)));
    let include = match (own.value("include"), default) {
        (None, None) => patterns(".*", &key("include"), report),
        (None, Some(_)) => {
            let key = key("include");
            report.error(&key, format!("Missing required configuration \"{key}\" which has no default value."));
            Vec::new()
        }
        (Some(text), _) => patterns(text, &key("include"), report),
    };
    let exclude = own.value("exclude").map(|text| patterns(text, &key("exclude"), report)).unwrap_or_default();
    let framework = ["partitions", "replication.factor", "include", "exclude"];
    let configs = own.0.into_iter().filter(|(k, _)| !framework.contains(&k.as_str())).collect();
    let replication_factor = i16::try_from(replication).unwrap_or_else(|_| {
        report.invalid(&key("replication.factor"), &replication.to_string(), "Value must be no more than 32767");
        -1
    });
    TopicGroup { name: name.to_owned(), partitions, replication_factor, configs, include, exclude }
}

fn patterns(text: &str, key: &str, report: &mut ValidationReport) -> Vec<Regex> {
    let mut compile = |pattern: &str| {
        let compiled = Regex::new(&format!("^(?:{pattern})$"));
        compiled.map_err(|e| report.invalid(key, pattern, &format!("Invalid regex: {e}"))).ok()
    };
    list(text).into_iter().filter_map(&mut compile).collect()
}

//! Who feeds whom: connectors as flow control sees them.
use crate::answer::{ConnectorKind, RunState};
use crate::view::ConnectorView;
use elasticflow_config::flow::{CapAction, CapCounts, LagControl, RetentionGuard};
use elasticflow_config::{ConfigValue, Properties};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceView {
    pub(crate) priority: u8,
    pub(crate) weight: f64,
    /// Bytes per second; `None` follows from the consumers' capacity.
    pub(crate) floor: Option<f64>,
    pub(crate) control: LagControl,
    /// Its own static limit, bytes per second.
    pub(crate) rate_max: f64,
    pub(crate) tasks: usize,
    pub(crate) topics: BTreeSet<String>,
    /// Groups outside the cluster whose lag counts.
    pub(crate) foreign: Vec<String>,
    /// Target drain time of those, seconds.
    pub(crate) target: f64,
    /// Hard cap of unconsumed bytes of each of its topics.
    pub(crate) cap: Option<f64>,
    /// Whether it waits at a cap, instead of going on with an alarm.
    pub(crate) holds: bool,
    /// Sinks that count for it.
    pub(crate) counts: CapCounts,
    /// Without one: a part of what a topic may hold by its retention.
    pub(crate) cap_ratio: f64,
    /// The caps that follow from that, by topic.
    pub(crate) derived: BTreeMap<String, f64>,
    pub(crate) guard: RetentionGuard,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupView {
    /// The sink connector; `None` for a group outside the cluster.
    pub(crate) sink: Option<String>,
    /// Topics of our sources that it reads.
    pub(crate) topics: BTreeSet<String>,
    /// Target drain time, seconds.
    pub(crate) target: f64,
    /// Whether its lag steers rates; a sink that does not run counts for caps alone.
    pub(crate) steers: bool,
    /// State in words, for reasons.
    pub(crate) state: &'static str,
}

/// Everything that takes part.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    pub(crate) sources: BTreeMap<String, SourceView>,
    pub(crate) groups: BTreeMap<String, GroupView>,
}

/// `flow.lag.target.ms` where nothing is set.
const TARGET_MS: f64 = 10_000.0;
/// A target is at least so many sample intervals.
const TARGET_PERIODS: f64 = 5.0;
/// Smallest cap, bytes.
const CAP_LEAST: f64 = 1_048_576.0;
/// A smaller cap is not derived: what batches on their way may hold must be little of it.
const DERIVED_LEAST: f64 = 67_108_864.0;
/// `flow.cap.retention.ratio` where nothing is set.
const CAP_RATIO: f64 = 0.5;

/// Reads the keys of a connector, over the worker's defaults.
struct Keys<'a> {
    own: &'a Properties,
    worker: &'a Properties,
}

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        let default = || self.worker.value(&format!("flow.default.{}", key.strip_prefix("flow.").unwrap_or(key)));
        self.own.value(key).or_else(default).map(str::trim)
    }
    fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)
    }
    /// `None` also for what no value of the key says: another worker's version may have accepted it.
    fn choice<T: ConfigValue>(&self, key: &str) -> Option<T> {
        T::read(self.text(key)?).ok()
    }
    /// Whether the connector takes part in rates that follow lag.
    fn control(&self) -> LagControl {
        self.choice("flow.lag.control").unwrap_or(LagControl::Auto)
    }
    fn list(&self, key: &str) -> Vec<String> {
        let words = self.text(key).unwrap_or_default().split(',');
        words.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
    fn target(&self, period: f64) -> f64 {
        (self.number("flow.lag.target.ms").unwrap_or(TARGET_MS) / 1000.0).max(TARGET_PERIODS * period)
    }
}

impl SourceView {
    /// Most unconsumed bytes of a topic that it writes.
    pub(crate) fn cap_of(&self, topic: &str) -> Option<f64> {
        self.cap.or_else(|| self.derived.get(topic).copied()).filter(|_| self.topics.contains(topic))
    }

    /// The same, if the source waits at it.
    pub(crate) fn held_at(&self, topic: &str) -> Option<f64> {
        self.cap_of(topic).filter(|_| self.holds)
    }
}

impl GroupView {
    /// Its name for people.
    pub(crate) fn who(&self, group: &str) -> String {
        self.sink.as_ref().map_or_else(|| format!("group {group}"), |sink| format!("sink {sink}"))
    }
}

impl Picture {
    /// Derives caps of topics from what each of their partitions keeps.
    pub(crate) fn derive_caps(&mut self, bytes: impl Fn(&str) -> Option<i64>, partitions: impl Fn(&str) -> usize) {
        for source in self.sources.values_mut().filter(|s| s.cap.is_none() && s.cap_ratio > 0.0) {
            let cap = |topic: &String| {
                let cap = source.cap_ratio * bytes(topic)? as f64 * partitions(topic) as f64;
                (cap >= DERIVED_LEAST).then(|| (topic.clone(), cap))
            };
            source.derived = source.topics.iter().filter_map(cap).collect();
        }
    }

    /// Looks at all connectors. `period` in seconds bounds targets.
    pub(crate) fn of(connectors: &BTreeMap<String, Arc<ConnectorView>>, worker: &Properties, period: f64) -> Self {
        let mut picture = Self::default();
        for (name, connector) in connectors.iter().filter(|(_, c)| c.kind == ConnectorKind::Source) {
            let keys = Keys { own: &connector.config, worker };
            let view = source(connector, &keys, period);
            let has_cap = view.cap.is_some() || view.cap_ratio > 0.0;
            if view.control != LagControl::Off || has_cap || view.guard != RetentionGuard::Off {
                picture.sources.insert(name.clone(), view);
            }
        }
        let fed: BTreeSet<String> = picture.sources.values().flat_map(|s| s.topics.iter().cloned()).collect();
        for (name, connector) in connectors.iter().filter(|(_, c)| c.kind == ConnectorKind::Sink) {
            let keys = Keys { own: &connector.config, worker };
            let topics = read_topics(&keys, &fed);
            if topics.is_empty() || keys.control() == LagControl::Off {
                continue;
            }
            let group = keys.own.value("consumer.override.group.id").map(str::to_owned);
            let (steers, state) = standing(connector);
            let view = GroupView { sink: Some(name.clone()), topics, target: keys.target(period), steers, state };
            picture.groups.insert(group.unwrap_or_else(|| format!("connect-{name}")), view);
        }
        picture.add_foreign();
        picture
    }

    fn add_foreign(&mut self) {
        for source in self.sources.values() {
            for group in &source.foreign {
                let (topics, target) = (source.topics.clone(), source.target);
                let known = self.groups.entry(group.clone());
                let view = known.or_insert_with(|| GroupView {
                    sink: None,
                    topics: BTreeSet::new(),
                    target,
                    steers: true,
                    state: "running outside this cluster",
                });
                if view.sink.is_none() {
                    view.topics.extend(topics);
                    view.target = view.target.min(target);
                }
            }
        }
    }
}

fn source(connector: &ConnectorView, keys: &Keys<'_>, period: f64) -> SourceView {
    SourceView {
        priority: priority(keys),
        weight: keys.number("flow.weight").unwrap_or(1.0).clamp(0.1, 100.0),
        floor: keys.number("flow.floor.bytes"),
        control: keys.control(),
        rate_max: keys.number("flow.rate.bytes").filter(|r| *r > 0.0).unwrap_or(f64::INFINITY),
        tasks: connector.tasks.len(),
        topics: connector.topics.clone(),
        foreign: keys.list("flow.lag.groups"),
        target: keys.target(period),
        cap: cap(keys),
        holds: holds(keys),
        counts: keys.choice::<CapCounts>("flow.cap.counts").unwrap_or_default(),
        cap_ratio: keys.number("flow.cap.retention.ratio").unwrap_or(CAP_RATIO).clamp(0.0, 0.9),
        derived: BTreeMap::new(),
        guard: keys.choice("flow.retention.guard").unwrap_or(RetentionGuard::Alarm),
    }
}

/// The priority of a source.
pub(crate) fn priority_of(connector: &ConnectorView, worker: &Properties) -> Option<u8> {
    let keys = Keys { own: &connector.config, worker };
    (connector.kind == ConnectorKind::Source).then(|| priority(&keys))
}

fn priority(keys: &Keys<'_>) -> u8 {
    keys.text("flow.priority").and_then(|p| p.parse::<u8>().ok()).filter(|p| *p <= 9).unwrap_or(5)
}

/// Whether a source has a cap that holds it.
pub(crate) fn cap_of(connector: &ConnectorView, worker: &Properties) -> bool {
    let keys = Keys { own: &connector.config, worker };
    connector.kind == ConnectorKind::Source && cap(&keys).is_some() && holds(&keys)
}

fn cap(keys: &Keys<'_>) -> Option<f64> {
    keys.number("flow.cap.bytes").filter(|cap| *cap >= CAP_LEAST)
}

fn holds(keys: &Keys<'_>) -> bool {
    keys.choice("flow.cap.action").unwrap_or(CapAction::Hold) == CapAction::Hold
}

fn read_topics(keys: &Keys<'_>, fed: &BTreeSet<String>) -> BTreeSet<String> {
    let pattern = keys.own.value("topics.regex").and_then(|p| Regex::new(&format!("^(?:{p})$")).ok());
    let named: BTreeSet<String> = keys.list("topics").into_iter().collect();
    let reads = |topic: &&String| named.contains(*topic) || pattern.as_ref().is_some_and(|p| p.is_match(topic));
    fed.iter().filter(reads).cloned().collect()
}

/// Topics that a sink reads: those it names, and of those that are fed what its pattern matches. None where it takes no
/// part in rates that follow lag.
pub(crate) fn topics_read(sink: &ConnectorView, worker: &Properties, fed: &BTreeSet<String>) -> BTreeSet<String> {
    let keys = Keys { own: &sink.config, worker };
    if keys.control() == LagControl::Off {
        return BTreeSet::new();
    }
    let named = keys.list("topics").into_iter();
    named.chain(read_topics(&keys, fed)).collect()
}

/// Whether a sink takes part in rate control, and its state in words.
fn standing(connector: &ConnectorView) -> (bool, &'static str) {
    let state = connector.status.as_ref().map(|s| s.state);
    match state {
        Some(RunState::Paused) => (false, "paused"),
        Some(RunState::Stopped) => (false, "stopped"),
        Some(RunState::Failed) => (false, "failed"),
        _ => {
            let tasks: Vec<RunState> = connector.task_statuses.values().map(|s| s.state).collect();
            let failed = !tasks.is_empty() && tasks.iter().all(|state| *state == RunState::Failed);
            if failed { (false, "failed") } else { (true, "running") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::PartStatus;

    fn connector(kind: ConnectorKind, topics: &[&str], config: &[(&str, &str)]) -> ConnectorView {
        let topics = topics.iter().map(|t| (*t).to_owned()).collect();
        ConnectorView { config: config.iter().copied().collect(), kind, topics, ..ConnectorView::default() }
    }

    fn of(connectors: Vec<(&str, ConnectorView)>) -> Picture {
        let all = connectors.into_iter().map(|(name, c)| (name.to_owned(), Arc::new(c))).collect();
        let worker = [("flow.default.weight", "3")].into_iter().collect();
        Picture::of(&all, &worker, 1.0)
    }

    #[test]
    fn a_sink_is_a_group_over_the_topics_that_sources_feed() {
        let picture = of(vec![
            (
                "s",
                connector(ConnectorKind::Source, &["a", "b"], &[("flow.priority", "9"), ("flow.cap.bytes", "2097152")]),
            ),
            ("k", connector(ConnectorKind::Sink, &[], &[("topics", "a, x"), ("flow.lag.target.ms", "20000")])),
            ("r", connector(ConnectorKind::Sink, &[], &[("topics.regex", "b|c")])),
            ("other", connector(ConnectorKind::Sink, &[], &[("topics", "z")])),
        ]);
        let s = &picture.sources["s"];
        assert_eq!((s.priority, s.weight, s.cap), (9, 3.0, Some(2_097_152.0)));
        assert_eq!(picture.groups.keys().collect::<Vec<_>>(), ["connect-k", "connect-r"]);
        let k = &picture.groups["connect-k"];
        assert_eq!((k.topics.len(), k.target, k.steers), (1, 20.0, true));
        assert!(picture.groups["connect-r"].topics.contains("b"));
    }

    /// Keys of a source that the leader reads, with a value that is not the default.
    const OF_SOURCES: [(&str, &str); 11] = [
        ("flow.cap.counts", "running, stopped"),
        ("flow.cap.action", "alarm"),
        ("flow.cap.retention.ratio", "0.7"),
        ("flow.retention.guard", "extend"),
        ("flow.priority", "9"),
        ("flow.weight", "7"),
        ("flow.floor.bytes", "4096"),
        ("flow.lag.control", "observe"),
        ("flow.lag.target.ms", "60000"),
        ("flow.lag.groups", "reports, audits"),
        ("flow.cap.bytes", "16777216"),
    ];

    #[test]
    fn each_key_changes_what_is_seen_of_a_source_whether_it_is_its_own_or_the_workers_default() {
        let of = |own: &[(&str, &str)], worker: &[(&str, &str)]| {
            let all = [("s".to_owned(), connector(ConnectorKind::Source, &["a"], own).into())].into();
            Picture::of(&all, &worker.iter().copied().collect(), 1.0).sources.remove("s")
        };
        let plain = of(&[], &[]);
        for (key, value) in OF_SOURCES {
            let own = of(&[(key, value)], &[]);
            assert_ne!(own, plain, "{key}={value} changes nothing");
            let default = format!("flow.default.{}", key.strip_prefix("flow.").unwrap());
            assert_eq!(of(&[], &[(&default, value)]), own, "{default}");
        }
    }

    #[test]
    fn words_mean_the_same_however_they_are_written() {
        let of = |own: &[(&str, &str)]| {
            let all = [("s".to_owned(), connector(ConnectorKind::Source, &["a"], own).into())].into();
            Picture::of(&all, &Properties::default(), 1.0).sources.remove("s")
        };
        for (key, value) in OF_SOURCES {
            let loud = value.to_uppercase();
            let is_a_word =
                ["flow.cap.counts", "flow.cap.action", "flow.retention.guard", "flow.lag.control"].contains(&key);
            assert!(!is_a_word || of(&[(key, &loud)]) == of(&[(key, value)]), "{key}={loud}");
        }
    }

    #[test]
    fn a_paused_sink_does_not_steer_and_a_foreign_group_does() {
        let mut paused = connector(ConnectorKind::Sink, &[], &[("topics", "a")]);
        let part =
            |state| PartStatus { state, worker_id: String::new(), version: String::new(), trace: None, activity: None };
        paused.status = Some(part(RunState::Paused));
        let source =
            connector(ConnectorKind::Source, &["a"], &[("flow.lag.groups", "reports"), ("flow.lag.target.ms", "1")]);
        let picture = of(vec![("s", source), ("k", paused)]);
        assert!(!picture.groups["connect-k"].steers);
        let foreign = &picture.groups["reports"];
        assert_eq!((foreign.steers, foreign.target), (true, 5.0), "no target is below five periods");
    }

    #[test]
    fn a_source_that_is_off_takes_no_part() {
        let picture = of(vec![(
            "s",
            connector(
                ConnectorKind::Source,
                &["a"],
                &[("flow.lag.control", "off"), ("flow.retention.guard", "off"), ("flow.cap.retention.ratio", "0")],
            ),
        )]);
        assert!(picture.sources.is_empty());
    }
}

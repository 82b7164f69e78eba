//! How important the topics of a sink are: as important as the most important source that writes them.
use super::picture::{priority_of, topics_read};
use crate::answer::ConnectorKind;
use crate::view::ConnectorView;
use elasticflow_config::Properties;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Priority of topics that no source of the cluster writes, as of sources that say nothing.
const ORDINARY: u8 = 5;

/// Ranks of topics, as of one moment.
pub(crate) struct Ranks<'a> {
    connectors: &'a BTreeMap<String, Arc<ConnectorView>>,
    worker: &'a Properties,
    topics: BTreeMap<&'a str, u8>,
    fed: BTreeSet<String>,
}

impl<'a> Ranks<'a> {
    /// Looks at all sources; next to nothing where none has a priority.
    pub(crate) fn of(connectors: &'a BTreeMap<String, Arc<ConnectorView>>, worker: &'a Properties) -> Self {
        let sources = || connectors.values().filter_map(|source| Some((source, priority_of(source, worker)?)));
        let mut topics = BTreeMap::new();
        if sources().any(|(_, priority)| priority != ORDINARY) {
            for (source, priority) in sources() {
                for topic in &source.topics {
                    let rank = topics.entry(topic.as_str()).or_insert(priority);
                    *rank = priority.max(*rank);
                }
            }
        }
        let fed = topics.keys().map(|topic| (*topic).to_owned()).collect();
        Self { connectors, worker, topics, fed }
    }

    /// Ranks of the topics that a sink reads; empty where they are alike, and for what is no sink or takes no part.
    pub(crate) fn of_sink(&self, name: &str) -> Arc<BTreeMap<String, u8>> {
        let sink = self.connectors.get(name).filter(|connector| connector.kind == ConnectorKind::Sink);
        let Some(sink) = sink.filter(|_| !self.topics.is_empty()) else { return Arc::default() };
        let read = topics_read(sink, self.worker, &self.fed);
        let rank = |topic: String| (self.topics.get(topic.as_str()).copied().unwrap_or(ORDINARY), topic);
        let ranks: BTreeMap<String, u8> = read.into_iter().map(rank).map(|(rank, topic)| (topic, rank)).collect();
        let first = ranks.values().next();
        if ranks.values().all(|rank| Some(rank) == first) { Arc::default() } else { Arc::new(ranks) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(topic: &str, priority: &str) -> ConnectorView {
        let config = [("flow.priority", priority)].into_iter().collect();
        ConnectorView {
            config,
            kind: ConnectorKind::Source,
            topics: [topic.to_owned()].into(),
            ..ConnectorView::default()
        }
    }

    fn ranks(sink: &[(&str, &str)]) -> Vec<(String, u8)> {
        let sink =
            ConnectorView { config: sink.iter().copied().collect(), kind: ConnectorKind::Sink, ..Default::default() };
        let all = [("a", source("a", "9")), ("a2", source("a", "1")), ("b", source("b", "1")), ("k", sink)];
        let all = all.into_iter().map(|(name, c)| (name.to_owned(), Arc::new(c))).collect();
        let worker = Properties::default();
        Ranks::of(&all, &worker).of_sink("k").iter().map(|(topic, rank)| (topic.clone(), *rank)).collect()
    }

    fn own(of: &[(&str, u8)]) -> Vec<(String, u8)> {
        of.iter().map(|(topic, rank)| ((*topic).to_owned(), *rank)).collect()
    }

    #[test]
    fn a_topic_is_as_important_as_its_most_important_source() {
        assert_eq!(ranks(&[("topics", "a, b")]), own(&[("a", 9), ("b", 1)]));
        assert_eq!(ranks(&[("topics.regex", "[ab]")]), own(&[("a", 9), ("b", 1)]));
        assert_eq!(ranks(&[("topics", "b,x")]), own(&[("b", 1), ("x", 5)]), "nobody here writes x");
    }

    #[test]
    fn topics_that_are_alike_and_sinks_that_take_no_part_have_no_ranks() {
        assert_eq!(ranks(&[("topics", "a")]), []);
        assert_eq!(ranks(&[("topics", "a, b"), ("flow.lag.control", "off")]), []);
    }
}

use super::*;
use crate::check::{MessageNames, check_key};
use crate::infos::KeyInfo;
use serde_json::Value;

/// Recorded from Kafka Connect 4.3.
const RECORDED: &str = include_str!("../../tests/golden/connector-framework.json");

fn source() -> Properties {
    Properties::from_iter([("name", "n"), ("connector.class", "C")])
}

#[test]
fn definitions_equal_the_recorded_ones() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    for (side, keys) in [("source", ConnectorSettings::source_keys()), ("sink", ConnectorSettings::sink_keys())] {
        let recorded = recorded[side].as_array().unwrap();
        assert_eq!(keys.len(), recorded.len());
        for (key, recorded) in keys.iter().zip(recorded) {
            let ours = serde_json::to_value(KeyInfo::new(key.name, key)).unwrap();
            for (member, value) in recorded.as_object().unwrap() {
                if value != "${any}" {
                    assert_eq!(&ours[member], value, "{side} {}: {member}", key.name);
                }
            }
        }
    }
}

fn message(key: &str, value: &str) -> Option<String> {
    let keys = [ConnectorSettings::source_keys(), ConnectorSettings::sink_keys()].concat();
    let def = keys.iter().find(|k| k.name == key).unwrap();
    let names = MessageNames { typed: key, checked: key };
    check_key(def, &Properties::default().with(key, value), names).errors.pop()
}

#[test]
fn messages_are_those_of_connect() {
    for (key, value, reason) in [
        (
            "errors.tolerance",
            "some",
            "Invalid value some for configuration errors.tolerance: String must be one of: none, all",
        ),
        (
            "errors.tolerance",
            "ALL",
            "Invalid value ALL for configuration errors.tolerance: String must be one of: none, all",
        ),
        (
            "exactly.once.support",
            "x",
            "Invalid value x for configuration exactly.once.support: String must be one of (case insensitive): REQUIRED, REQUESTED",
        ),
        (
            "transaction.boundary",
            "x",
            "Invalid value x for configuration transaction.boundary: String must be one of (case insensitive): INTERVAL, POLL, CONNECTOR",
        ),
        (
            "offsets.storage.topic",
            " ",
            "Invalid value  for configuration offsets.storage.topic: String must be non-empty",
        ),
        ("name", "  ", "Invalid value  for configuration name: String may not be empty"),
        (
            "name",
            "a\u{1}b",
            "Invalid value a\u{1}b for configuration name: String may not contain control sequences but had the following ASCII chars: 1",
        ),
        (
            "transaction.boundary.interval.ms",
            "-1",
            "Invalid value -1 for configuration transaction.boundary.interval.ms: Value must be at least 0",
        ),
    ] {
        assert_eq!(message(key, value).as_deref(), Some(reason));
    }
    assert_eq!(message("exactly.once.support", "Required"), None);
}

#[test]
fn reads_defaults_and_overrides() {
    let settings = ConnectorSettings::source(&source().with("producer.override.linger.ms", "5")).unwrap();
    assert_eq!(settings.common.tasks_max, 1);
    assert_eq!(settings.common.errors_tolerance, Tolerance::None);
    assert_eq!(settings.producer_override.get("linger.ms").map(String::as_str), Some("5"));
    let Side::Source(side) = settings.side else { panic!("not a source") };
    assert_eq!((side.boundary, side.boundary_interval), (TransactionBoundary::Poll, None));
}

#[test]
fn every_problem_of_both_halves_is_reported() {
    let wrong = Properties::from_iter([("connector.class", "C"), ("tasks.max", "0"), ("transaction.boundary", "x")]);
    let report = ConnectorSettings::source(&wrong).unwrap_err();
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["name", "tasks.max", "transaction.boundary"]);
}

#[test]
fn the_first_matching_topic_group_wins_and_default_is_last() {
    let properties = source()
        .with("topic.creation.groups", "logs, rest")
        .with("topic.creation.default.partitions", "2")
        .with("topic.creation.default.replication.factor", "-1")
        .with("topic.creation.logs.include", "log\\..*")
        .with("topic.creation.logs.exclude", "log\\.x")
        .with("topic.creation.logs.cleanup.policy", "compact")
        .with("topic.creation.rest.include", "log\\..*,r.*")
        .with("topic.creation.rest.partitions", "9");
    let creation = TopicCreation::read(&properties).unwrap().unwrap();
    let of = |topic: &str| creation.group_of(topic).map(|g| (g.name.as_str(), g.partitions, g.replication_factor));
    assert_eq!(of("log.a"), Some(("logs", 2, -1)));
    assert_eq!(of("log.x"), Some(("rest", 9, -1)));
    assert_eq!(of("other"), Some(("default", 2, -1)));
    assert_eq!(creation.group_of("log.a").unwrap().configs.get("cleanup.policy").map(String::as_str), Some("compact"));
}

#[test]
fn every_problem_of_topic_creation_is_reported() {
    let properties = source()
        .with("topic.creation.groups", "g")
        .with("topic.creation.default.partitions", "0")
        .with("topic.creation.g.exclude", "(");
    let report = TopicCreation::read(&properties).unwrap_err();
    let keys = ["default.partitions", "default.replication.factor", "g.exclude", "g.include"];
    assert_eq!(report.errors.keys().map(|k| k.strip_prefix("topic.creation.").unwrap()).collect::<Vec<_>>(), keys);
    assert!(TopicCreation::read(&source()).unwrap().is_none());
}

//! Positions of sinks as users write them.
use crate::answer::{OffsetChange, OffsetEntry};
use crate::error::HerderError;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_config::Properties;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Offsets to set, or to forget.
pub(crate) type Alteration = BTreeMap<TopicPartition, Option<Offset>>;

/// Reads what was posted.
///
/// # Errors
/// `BadRequest` with Connect's text for the first entry that is not usable.
pub(crate) fn parse(changes: &[OffsetChange]) -> Result<Alteration, HerderError> {
    let mut parsed = Alteration::new();
    for change in changes {
        let partition = change
            .partition
            .as_ref()
            .ok_or_else(|| bad("The partition for a sink connector offset cannot be null or missing".to_owned()))?;
        let at = topic_partition(partition)?;
        let offset = change.offset.as_ref().map(offset).transpose()?;
        parsed.insert(at, offset);
    }
    Ok(parsed)
}

fn topic_partition(partition: &Map<String, Json>) -> Result<TopicPartition, HerderError> {
    let (Some(topic), Some(number)) = (partition.get("kafka_topic"), partition.get("kafka_partition")) else {
        let text =
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'";
        return Err(bad(text.to_owned()));
    };
    if topic.is_null() {
        return Err(bad("Kafka topic names must be valid strings and may not be null".to_owned()));
    }
    if number.is_null() {
        return Err(bad("Kafka partitions must be valid numbers and may not be null".to_owned()));
    }
    let partition = text_of(number).parse::<i32>().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for sink connectors need to be integers.",
            text_of(number)
        ))
    })?;
    Ok(TopicPartition { topic: text_of(topic).into(), partition })
}

fn offset(offset: &Map<String, Json>) -> Result<Offset, HerderError> {
    let Some(value) = offset.get("kafka_offset") else {
        let text = "The offset for a sink connector should either be null or contain the key 'kafka_offset'";
        return Err(bad(text.to_owned()));
    };
    text_of(value).parse::<i64>().map(Offset).map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for sink connectors need to be integers.",
            text_of(value)
        ))
    })
}

/// Texts without their quotes: `"0"` counts as a number.
fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bad(text: String) -> HerderError {
    HerderError::BadRequest(text)
}

/// Partitions that a sink reads, as far as its topics are there.
pub(crate) fn consumed(config: &Properties, topics: &BTreeMap<String, i32>) -> Vec<TopicPartition> {
    let named: Vec<&str> = config.value("topics").unwrap_or("").split(',').map(str::trim).collect();
    let pattern = config.value("topics.regex").filter(|pattern| !pattern.is_empty());
    let pattern = pattern.and_then(|pattern| regex::Regex::new(&format!("^(?:{pattern})$")).ok());
    let is_read = |topic: &str| named.contains(&topic) || pattern.as_ref().is_some_and(|p| p.is_match(topic));
    let read = topics.iter().filter(|(topic, _)| is_read(topic));
    let partitions = |(topic, count): (&String, &i32)| {
        let topic: std::sync::Arc<str> = topic.as_str().into();
        (0..*count).map(move |partition| TopicPartition { topic: std::sync::Arc::clone(&topic), partition })
    };
    read.flat_map(partitions).collect()
}

/// A position of a consumer group, as shown.
pub(crate) fn entry(at: &TopicPartition, offset: Offset) -> OffsetEntry {
    OffsetEntry {
        partition: json!({ "kafka_topic": &*at.topic, "kafka_partition": at.partition }),
        offset: json!({ "kafka_offset": offset.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> OffsetChange {
        let parsed: Json = serde_json::from_str(text).unwrap();
        let object = |field: &str| parsed.get(field).and_then(Json::as_object).cloned();
        OffsetChange { partition: object("partition"), offset: object("offset") }
    }

    fn refusal(text: &str) -> String {
        parse(&[change(text)]).unwrap_err().to_string()
    }

    #[test]
    fn a_sink_reads_the_partitions_of_the_topics_that_it_names() {
        let topics = BTreeMap::from([("a".to_owned(), 2), ("b1".to_owned(), 1), ("c".to_owned(), 1)]);
        let read = |key: &str, value: &str| -> Vec<String> {
            let config = Properties::from_iter([(key, value)]);
            consumed(&config, &topics).iter().map(|at| format!("{}-{}", at.topic, at.partition)).collect()
        };
        assert_eq!(read("topics", "a, gone"), ["a-0", "a-1"]);
        assert_eq!(read("topics.regex", "b.*"), ["b1-0"]);
        assert!(read("topics.regex", "").is_empty());
    }

    #[test]
    fn numbers_and_numeric_texts_are_offsets_and_null_forgets() {
        let changes = [
            change(
                r#"{"partition":{"kafka_topic":"t","kafka_partition":"0","x":1},"offset":{"kafka_offset":"4","y":2}}"#,
            ),
            change(r#"{"partition":{"kafka_topic":"t","kafka_partition":1},"offset":null}"#),
        ];
        let parsed: Vec<_> =
            parse(&changes).unwrap().into_iter().map(|(at, o)| (at.partition, o.map(|o| o.0))).collect();
        assert_eq!(parsed, [(0, Some(4)), (1, None)]);
    }

    #[test]
    fn unusable_entries_are_refused_in_the_words_of_connect() {
        let keys =
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'";
        let table = [
            (
                r#"{"partition":null,"offset":{"kafka_offset":1}}"#,
                "The partition for a sink connector offset cannot be null or missing",
            ),
            (r#"{"partition":{},"offset":{"kafka_offset":1}}"#, keys),
            (r#"{"partition":{"kafka_topic":"t"}}"#, keys),
            (
                r#"{"partition":{"kafka_topic":null,"kafka_partition":0}}"#,
                "Kafka topic names must be valid strings and may not be null",
            ),
            (
                r#"{"partition":{"kafka_topic":"t","kafka_partition":null}}"#,
                "Kafka partitions must be valid numbers and may not be null",
            ),
            (
                r#"{"partition":{"kafka_topic":"t","kafka_partition":1.5}}"#,
                "Failed to parse the following Kafka partition value in the provided offsets: '1.5'. Partition values for sink connectors need to be integers.",
            ),
            (
                r#"{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{}}"#,
                "The offset for a sink connector should either be null or contain the key 'kafka_offset'",
            ),
            (
                r#"{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":null}}"#,
                "Failed to parse the following Kafka offset value in the provided offsets: 'null'. Offset values for sink connectors need to be integers.",
            ),
        ];
        for (posted, expected) in table {
            assert_eq!(refusal(posted), expected, "{posted}");
        }
    }
}

//! Notifications: what snapshots are doing, as records of a topic and as lines of the log.
use crate::schema::{Shape, field, of, structure};
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Text, Value};
use elasticflow_api::source::SourceRecord;
use std::sync::Arc;

/// Notifications that wait for less than this go out with the next records; older ones beyond it are dropped.
const PENDING_MAX: usize = 10_000;

/// Which snapshot a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// The first one of a connector, or a blocking one.
    Initial,
    /// One that a signal asks for, beside the stream.
    Incremental,
}

impl Aggregate {
    fn text(self) -> &'static str {
        match self {
            Self::Initial => "Initial Snapshot",
            Self::Incremental => "Incremental Snapshot",
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the words of the records")]
pub enum Stage {
    Started,
    InProgress,
    TableScanCompleted,
    Completed,
    Aborted,
    Skipped,
    Paused,
    Resumed,
}

impl Stage {
    fn text(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::InProgress => "IN_PROGRESS",
            Self::TableScanCompleted => "TABLE_SCAN_COMPLETED",
            Self::Completed => "COMPLETED",
            Self::Aborted => "ABORTED",
            Self::Skipped => "SKIPPED",
            Self::Paused => "PAUSED",
            Self::Resumed => "RESUMED",
        }
    }
}

/// Where notifications go.
#[derive(Debug)]
pub struct Notes {
    topic: Option<Arc<str>>,
    log: bool,
    connector: String,
    key: SchemaRef,
    value: SchemaRef,
    pending: Vec<SourceRecord>,
}

impl Notes {
    /// To a topic, to the log, to both; `connector` is the name that each of them carries.
    pub fn new(topic: Option<&str>, log: bool, connector: &str) -> Self {
        let text = || of(Kind::String);
        let data = of(Kind::Map { key: Arc::new(text()), value: Arc::new(text()) }).nullable(true);
        let value = structure(vec![
            field("id", text()),
            field("type", text()),
            field("aggregate_type", text()),
            field("additional_data", data),
            field("timestamp", of(Kind::Int64)),
        ]);
        Self {
            topic: topic.map(Arc::from),
            log,
            connector: connector.to_owned(),
            key: Arc::new(
                structure(vec![field("id", text())]).named("io.debezium.connector.common.NotificationKey", 1),
            ),
            value: Arc::new(value.named("io.debezium.connector.common.Notification", 1)),
            pending: Vec::new(),
        }
    }

    /// Whether anybody is told anything.
    pub fn is_on(&self) -> bool {
        self.log || self.topic.is_some()
    }

    /// Tells; `id` is a name of the notification alone.
    pub fn tell(&mut self, (aggregate, stage): (Aggregate, Stage), data: &[(&str, String)], (id, now_ms): (&str, i64)) {
        if self.log {
            let shown: Vec<String> = data.iter().map(|(k, v)| format!("{k}={v}")).collect();
            tracing::info!(
                snapshot = aggregate.text(),
                stage = stage.text(),
                connector = self.connector,
                data = shown.join(" "),
                "notification"
            );
        }
        let Some(topic) = self.topic.as_ref().filter(|_| self.pending.len() < PENDING_MAX) else { return };
        let text = |t: &str| Value::String(Text::from(t));
        let mut all = vec![(text("connector_name"), text(&self.connector))];
        all.extend(data.iter().map(|(k, v)| (text(k), text(v))));
        let values = vec![text(id), text(stage.text()), text(aggregate.text()), Value::Map(all), Value::Int64(now_ms)];
        let datum = |schema: &SchemaRef, values| Datum {
            schema: Some(Arc::clone(schema)),
            value: Value::Struct(Struct { schema: Arc::clone(schema), values }),
        };
        let record = Record {
            topic: Arc::clone(topic),
            partition: None,
            key: datum(&self.key, vec![text(id)]),
            value: datum(&self.value, values),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        self.pending.push(SourceRecord { record, position: None });
    }

    /// What is to be written with the next position.
    pub fn take(&mut self) -> Vec<SourceRecord> {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_names_connector_snapshot_and_stage_and_is_taken_once() {
        let mut notes = Notes::new(Some("notes"), true, "srv");
        let data = [("scanned_collection", "d.t".to_owned())];
        notes.tell((Aggregate::Initial, Stage::TableScanCompleted), &data, ("n1", 5));
        let taken = notes.take();
        assert_eq!((taken.len(), notes.take().len()), (1, 0));
        let Value::Struct(value) = &taken[0].record.value.value else { panic!("no struct") };
        let text = |t: &'static str| Value::String(Text::from_static(t));
        assert_eq!(value.values[..3], [text("n1"), text("TABLE_SCAN_COMPLETED"), text("Initial Snapshot")]);
        let Value::Map(map) = &value.values[3] else { panic!("no map") };
        assert_eq!(map[0], (text("connector_name"), text("srv")));
        assert_eq!(map[1], (text("scanned_collection"), text("d.t")));
    }

    #[test]
    fn without_a_topic_nothing_waits() {
        let mut notes = Notes::new(None, true, "srv");
        notes.tell((Aggregate::Incremental, Stage::Started), &[], ("n1", 5));
        assert!(notes.is_on() && notes.take().is_empty());
        assert!(!Notes::new(None, false, "srv").is_on());
    }
}

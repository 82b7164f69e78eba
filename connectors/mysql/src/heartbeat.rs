//! Heartbeats: records that say that the connector is alive and carry its position on.
use crate::config::CdcConfig;
use crate::tables::Control;
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Text, Value};
use elasticflow_api::source::SourceRecord;
use elasticflow_cdc::naming::topic;
use elasticflow_cdc::schema::{Shape, field, of, structure};
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use std::time::Duration;

/// When the next heartbeat is due, and what it looks like.
pub(crate) struct Heartbeat {
    every: Duration,
    next: Duration,
    query: Option<String>,
    topic: Arc<str>,
    server: Text,
    key: SchemaRef,
    value: SchemaRef,
}

impl Heartbeat {
    /// None if the configuration asks for none.
    pub(crate) fn new(config: &CdcConfig) -> Option<Self> {
        let key = structure(vec![field("serverName", of(Kind::String))]);
        let value = structure(vec![field("ts_ms", of(Kind::Int64))]);
        (config.heartbeat.0 > 0).then(|| Self {
            every: config.heartbeat.duration(),
            next: Duration::ZERO,
            query: config.heartbeat_query.clone(),
            topic: Arc::from(topic(&[&config.heartbeat_prefix, &config.topic_prefix], &config.topic_delimiter)),
            server: Text::from(config.topic_prefix.as_str()),
            key: Arc::new(key.named("io.debezium.connector.common.ServerNameKey", 1)),
            value: Arc::new(value.named("io.debezium.connector.common.Heartbeat", 1)),
        })
    }

    /// Whether one is due.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Runs the statement that goes with a heartbeat. A failure is no reason to stop: the log is what counts.
    pub(crate) async fn act(&self, control: &mut Control) {
        let Some(query) = &self.query else { return };
        let outcome = match control.session().await {
            Ok(session) => session.conn.query_drop(query).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = outcome {
            tracing::warn!(error, "heartbeat.action.query failed");
            control.forget();
        }
    }

    /// Makes the record.
    pub(crate) fn record(&mut self, now: Duration, wall_ms: i64) -> SourceRecord {
        self.next = now + self.every;
        let datum = |schema: &SchemaRef, value| Datum {
            schema: Some(Arc::clone(schema)),
            value: Value::Struct(Struct { schema: Arc::clone(schema), values: vec![value] }),
        };
        let record = Record {
            topic: Arc::clone(&self.topic),
            partition: Some(0),
            key: datum(&self.key, Value::String(self.server.clone())),
            value: datum(&self.value, Value::Int64(wall_ms)),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        SourceRecord { record, position: None }
    }
}

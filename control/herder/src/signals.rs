//! Signals to sources that take them from a topic of Kafka, as Debezium's do: what a caller asks for is a record of that topic.
//!
//! Any worker writes it; the task reads it wherever it runs, and keeps the place after it with its position. So a signal that was
//! accepted is followed once, also when the task moves or dies meanwhile.
use crate::answer::{ConnectorKind, RunState};
use crate::error::HerderError;
use crate::handle::HerderHandle;
use elasticflow_api::registry::{Plugin, PluginKind};
use elasticflow_config::Properties;
use elasticflow_kafka::ports::{ClientProperties, KafkaError, OutRecord, SendError};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a caller asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signal {
    /// Names it in logs and in the status; made up if it is absent.
    pub id: Option<String>,
    /// What is to be done.
    pub kind: String,
    /// More about it.
    pub data: Map<String, Json>,
}

/// An accepted signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignalReceipt {
    /// Its id.
    pub id: String,
    /// What is to be done.
    #[serde(rename = "type")]
    pub kind: String,
    /// The topic in which it stands.
    pub topic: String,
}

/// What signals may ask for.
const KINDS: [&str; 5] = ["execute-snapshot", "stop-snapshot", "pause-snapshot", "resume-snapshot", "log"];
/// Longest id, in bytes.
const ID_MAX: usize = 128;
/// The key that a connector has which takes signals from a topic.
const TOPIC_KEY: &str = "signal.kafka.topic";
const CHANNELS_KEY: &str = "signal.enabled.channels";

/// Where a connector's signals are written.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    topic: String,
    key: String,
}

/// Of a configuration, references resolved; why not, if the connector does not listen.
fn address(name: &str, config: &Properties) -> Result<Address, HerderError> {
    let text = |key: &str| config.value(key).map(str::trim).filter(|t| !t.is_empty());
    let channels = text(CHANNELS_KEY).unwrap_or("source");
    if !channels.split(',').any(|channel| channel.trim() == "kafka") {
        return Err(HerderError::Conflict(format!(
            "connector {name} takes signals by {channels} alone: set {CHANNELS_KEY} to {channels},kafka"
        )));
    }
    let prefix = text("topic.prefix").unwrap_or_default();
    let topic = text(TOPIC_KEY).map_or_else(|| format!("{prefix}-signal"), str::to_owned);
    Ok(Address { topic, key: prefix.to_owned() })
}

impl Signal {
    /// Whether it can be understood.
    fn check(&self) -> Result<(), HerderError> {
        let refused = |text: String| Err(HerderError::BadRequest(text));
        if !KINDS.contains(&self.kind.as_str()) {
            return refused(format!("type: expected one of {}", KINDS.join(", ")));
        }
        if self.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > ID_MAX || id.contains(char::is_control)) {
            return refused(format!("id: expected 1 to {ID_MAX} bytes without control characters"));
        }
        let names = self.data.get("data-collections").and_then(Json::as_array);
        if self.kind == "execute-snapshot"
            && names.is_none_or(|names| names.is_empty() || !names.iter().all(Json::is_string))
        {
            return refused(
                "data: expected data-collections, a list of names or patterns such as [\"shop\\\\.orders\"]".to_owned(),
            );
        }
        Ok(())
    }
}

impl HerderHandle {
    /// Hands a signal to a running source. It is followed soon after; the status tells.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest` when it cannot be understood; `Conflict` when the connector does not take signals or does not
    /// run; `Failed` when Kafka does not take it.
    pub async fn signal(&self, name: &str, signal: Signal) -> Result<SignalReceipt, HerderError> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let stored = self.stored_config(name).await?.ok_or_else(|| HerderError::no_connector(name))?;
        signal.check()?;
        self.takes_signals(name, &stored).await?;
        let config = crate::admission::resolve(&stored, self.context()).await.map_err(HerderError::BadRequest)?;
        let address = address(name, &config)?;
        self.runs(name).await?;
        let made_up = || format!("rest-{}-{}", self.context.clock.wall_ms(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let Signal { id, kind, data } = signal;
        let id = id.unwrap_or_else(made_up);
        let value = json!({ "id": id, "type": kind, "data": data }).to_string();
        let failed = |error: KafkaError| HerderError::Failed(format!("Failed to write the signal: {error}"));
        self.write_signal(&address, value.as_bytes()).await.map_err(failed)?;
        tracing::info!(connector = name, id, kind, "a signal was written for a source");
        Ok(SignalReceipt { id, kind, topic: address.topic })
    }

    async fn takes_signals(&self, name: &str, config: &Properties) -> Result<(), HerderError> {
        let is_source = self.info(name).await?.kind == ConnectorKind::Source;
        let class = config.value("connector.class").unwrap_or_default();
        let entry = self.context.registry.find(PluginKind::Source, class.trim());
        let listens =
            |plugin: &Plugin| matches!(plugin, Plugin::Source(p) if p.keys().iter().any(|k| k.name == TOPIC_KEY));
        if is_source && entry.is_some_and(|entry| listens(&entry.plugin)) {
            return Ok(());
        }
        Err(HerderError::Conflict(format!("connector {name} takes no signals: {} has none", class.trim())))
    }

    /// Whether a task is there to follow it.
    async fn runs(&self, name: &str) -> Result<(), HerderError> {
        let status = self.status(name).await.ok();
        let state =
            status.as_ref().and_then(|s| s.tasks.first().map(|task| task.part.state).or(Some(s.connector.state)));
        match state {
            Some(RunState::Running) if status.is_some_and(|s| !s.tasks.is_empty()) => Ok(()),
            Some(state) if state != RunState::Running => Err(HerderError::Conflict(format!(
                "connector {name} is {}: signals are followed by a running task",
                state.name()
            ))),
            _ => Err(HerderError::Conflict(format!("connector {name} has no running task yet: ask again soon"))),
        }
    }

    async fn write_signal(&self, address: &Address, value: &[u8]) -> Result<(), KafkaError> {
        let client = ClientProperties::from([("linger.ms".to_owned(), "0".to_owned())]);
        let mut producer = self.letters.kafka().producer(&client)?;
        let (key, value) = (Some(address.key.as_bytes()), Some(value));
        let record =
            OutRecord { topic: &address.topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
        match producer.send(record) {
            Ok(_) | Err(SendError::Full) => producer.drain().await,
            Err(SendError::Kafka(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_goes_to_the_topic_of_the_connector_under_its_prefix() {
        let config = Properties::from_iter([("topic.prefix", "shop"), ("signal.enabled.channels", "source, kafka")]);
        let found = address("c", &config).unwrap();
        assert_eq!((found.topic.as_str(), found.key.as_str()), ("shop-signal", "shop"));
        let found = address("c", &config.with("signal.kafka.topic", "told")).unwrap();
        assert_eq!(found.topic, "told");
    }

    #[test]
    fn a_connector_without_the_channel_says_how_to_open_it() {
        let refused = address("c", &Properties::from_iter([("topic.prefix", "shop")])).unwrap_err();
        assert_eq!(refused.status(), 409);
        assert!(refused.to_string().ends_with("set signal.enabled.channels to source,kafka"), "{refused}");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let of = |kind: &str, data: Json| Signal {
            id: None,
            kind: kind.to_owned(),
            data: data.as_object().unwrap().clone(),
        };
        assert!(of("execute-snapshot", json!({"data-collections": ["a.b"]})).check().is_ok());
        assert!(of("pause-snapshot", json!({})).check().is_ok());
        for (kind, data) in [
            ("execute", json!({})),
            ("execute-snapshot", json!({})),
            ("execute-snapshot", json!({"data-collections": [1]})),
        ] {
            assert_eq!(of(kind, data).check().unwrap_err().status(), 400, "{kind}");
        }
        assert!(Signal { id: Some("a\n".to_owned()), ..of("log", json!({})) }.check().is_err());
    }
}

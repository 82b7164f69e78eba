//! Signals in a topic of Kafka: the key is the connector's `topic.prefix`, the value JSON with `type` and `data`.
use crate::signal::Signal;
use elasticflow_api::source::Instruction;

/// Field of the offset with the place in the topic; Debezium ignores it.
pub(crate) const PLACE_FIELD: &str = "elasticflow_signals";

/// How far the topic was read, and how far its signals were followed.
#[derive(Debug, Default)]
pub(crate) struct SignalPlace {
    /// After the last signal that was followed; stored with each position.
    pub(crate) followed: Option<i64>,
    read: Option<i64>,
}

impl SignalPlace {
    /// As it was stored.
    pub(crate) fn stored(followed: Option<i64>) -> Self {
        Self { followed, read: None }
    }

    /// Records were read up to a place.
    pub(crate) fn read(&mut self, next: i64) {
        self.read = Some(next);
    }

    /// What was read is followed; whether there was anything, so that the place is to be stored.
    pub(crate) fn follow(&mut self) -> bool {
        let read = self.read.take();
        self.followed = read.or(self.followed);
        read.is_some()
    }
}

/// The signal of a record, if it is one for the connector with this prefix.
pub(crate) fn signal(record: &Instruction, prefix: &str) -> Option<Signal> {
    if record.key.as_ref() != prefix.as_bytes() {
        tracing::debug!("a signal for another connector");
        return None;
    }
    let signal = Signal::from_json(record.value.as_deref().unwrap_or_default());
    if signal.is_none() {
        tracing::warn!("a record of the topic of signals is no JSON object with type and data");
    }
    signal
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(key: &'static str, value: &'static str) -> Instruction {
        Instruction { key: Bytes::from_static(key.as_bytes()), value: Some(Bytes::from_static(value.as_bytes())) }
    }

    #[test]
    fn a_record_with_the_prefix_as_its_key_is_a_signal() {
        let value = r#"{"type":"execute-snapshot","data":{"data-collections":["a.b"]}}"#;
        let found = signal(&record("srv", value), "srv").unwrap();
        assert_eq!((found.kind.as_str(), found.data.as_str()), ("execute-snapshot", r#"{"data-collections":["a.b"]}"#));
        assert!(signal(&record("other", value), "srv").is_none());
        assert!(signal(&record("srv", "no JSON"), "srv").is_none());
        assert!(signal(&Instruction { key: Bytes::from_static(b"srv"), value: None }, "srv").is_none());
    }

    #[test]
    fn a_place_is_stored_once_its_signals_are_followed() {
        let mut place = SignalPlace::stored(Some(3));
        place.read(7);
        assert_eq!(place.followed, Some(3));
        assert!(place.follow());
        assert!(!place.follow());
        assert_eq!(place.followed, Some(7));
    }
}

//! Bytes to records.
use super::converters::{Converters, Stopped};
use super::tolerance::Failed;
use elasticflow_api::RecordError;
use elasticflow_api::convert::DecodeError;
use elasticflow_api::data::{Headers, Origin, Record};
use elasticflow_api::error::Stage;
use std::sync::Arc;

/// Decodes the records of one task.
pub(crate) struct Decoder {
    converters: Converters,
}

impl Decoder {
    /// The converters, to resolve what one of them lacks.
    pub(crate) fn converters(&self) -> &Converters {
        &self.converters
    }

    pub(crate) fn new(converters: Converters) -> Self {
        Self { converters }
    }

    /// Decodes a record as read.
    pub(crate) fn decode(&self, origin: &Origin) -> Result<Record, Stopped> {
        let at = origin.place().0;
        let topic = &at.topic;
        // Converters look at the headers, so these are decoded first; Connect reports errors of key and value before
        // those of headers.
        let (headers, bad_header) = match self.headers(origin) {
            Ok(headers) => (headers, None),
            Err(error) => (Headers::new(), Some(error)),
        };
        let key = self.converters.key.decode(topic, origin.key.as_ref(), &headers);
        let key = key.map_err(|e| stopped(e, true, Stage::KeyConverter, self.converters.key_class))?;
        let value = self.converters.value.decode(topic, origin.value.as_ref(), &headers);
        let value = value.map_err(|e| stopped(e, false, Stage::ValueConverter, self.converters.value_class))?;
        if let Some(mut error) = bad_header {
            error.stage = Stage::HeaderConverter;
            return Err(Stopped::Failed(Failed { error, class: self.converters.header_class }));
        }
        Ok(Record {
            topic: Arc::clone(topic),
            partition: Some(at.partition),
            key,
            value,
            headers,
            timestamp_ms: origin.timestamp_ms,
        })
    }

    fn headers(&self, origin: &Origin) -> Result<Headers, RecordError> {
        let decode = |(name, bytes): &(Arc<str>, Option<bytes::Bytes>)| {
            let datum = self.converters.header.decode(&origin.place().0.topic, name, bytes.as_ref())?;
            Ok((Arc::clone(name), datum))
        };
        origin.headers.iter().map(decode).collect()
    }
}

fn stopped(error: DecodeError, is_key: bool, stage: Stage, class: &'static str) -> Stopped {
    match error {
        DecodeError::Unresolved(need) => Stopped::Need { is_key, need },
        DecodeError::Record(mut error) => {
            error.stage = stage;
            Stopped::Failed(Failed { error, class })
        }
    }
}

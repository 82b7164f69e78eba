//! Bytes to records.
use super::converters::{Converters, Stopped};
use super::tolerance::Failed;
use bytes::Bytes;
use elasticflow_api::RecordError;
use elasticflow_api::convert::DecodeError;
use elasticflow_api::data::{Datum, Headers, Origin, Record, Value};
use elasticflow_api::error::Stage;
use parking_lot::Mutex;
use std::sync::Arc;

/// Decodes the records of one task.
pub(crate) struct Decoder {
    converters: Converters,
    /// The headers that were decoded last: many records have the same ones.
    last: Mutex<Option<Last>>,
    /// Values are handed over as the JSON they are.
    pub(crate) as_text: bool,
}

struct Last {
    topic: Arc<str>,
    raw: Vec<(Arc<str>, Option<Bytes>)>,
    headers: Headers,
}

impl Decoder {
    /// The converters, to resolve what one of them lacks.
    pub(crate) fn converters(&self) -> &Converters {
        &self.converters
    }

    pub(crate) fn new(converters: Converters) -> Self {
        Self { converters, last: Mutex::default(), as_text: false }
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
        let value = match &origin.value {
            Some(bytes) if self.as_text => self.text(bytes),
            bytes => self.converters.value.decode(topic, bytes.as_ref(), &headers),
        };
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

    fn text(&self, bytes: &Bytes) -> Result<Datum, DecodeError> {
        let text = self.converters.value.json_text(bytes)?;
        Ok(Datum { schema: None, value: text.map_or(Value::Null, Value::Bytes) })
    }

    fn headers(&self, origin: &Origin) -> Result<Headers, RecordError> {
        let topic = &origin.place().0.topic;
        if origin.headers.is_empty() {
            return Ok(Headers::new());
        }
        let mut last = self.last.lock();
        if let Some(last) = last.as_ref().filter(|last| *last.topic == **topic && last.raw == origin.headers) {
            return Ok(last.headers.clone());
        }
        let decode = |(name, bytes): &(Arc<str>, Option<Bytes>)| {
            let datum = self.converters.header.decode(topic, name, bytes.as_ref())?;
            Ok((Arc::clone(name), datum))
        };
        let headers: Headers = origin.headers.iter().map(decode).collect::<Result<_, _>>()?;
        // Copies: a slice would keep the batch that it stands in.
        let own = |(name, bytes): &(Arc<str>, Option<Bytes>)| {
            (Arc::clone(name), bytes.as_ref().map(|bytes| Bytes::copy_from_slice(bytes)))
        };
        let raw = origin.headers.iter().map(own).collect();
        *last = Some(Last { topic: Arc::clone(topic), raw, headers: headers.clone() });
        Ok(headers)
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

//! Bytes to records.
use super::converters::{Converters, Stopped};
use super::tolerance::Failed;
use bytes::Bytes;
use elasticflow_api::RecordError;
use elasticflow_api::convert::{Converter, DecodeError};
use elasticflow_api::data::{Datum, Headers, MetHeaders, Origin, RawHeaders, Record, Value};
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
    /// Somebody looks at the headers of records.
    pub(crate) with_headers: bool,
    /// Somebody looks at keys; else they are checked alone.
    pub(crate) with_keys: bool,
}

struct Last {
    topic: Arc<str>,
    met: MetHeaders,
    /// Copies: a slice would keep the batch that it stands in.
    raw: RawHeaders,
    headers: Headers,
}

impl Decoder {
    /// The converters, to resolve what one of them lacks.
    pub(crate) fn converters(&self) -> &Converters {
        &self.converters
    }

    pub(crate) fn new(converters: Converters) -> Self {
        Self { converters, last: Mutex::default(), as_text: false, with_headers: true, with_keys: true }
    }

    /// Whether the headers of records change anything: somebody looks at them, or they could be bad.
    pub(crate) fn needs_headers(&self) -> bool {
        let Converters { key, value, header, .. } = &self.converters;
        self.with_headers || key.reads_headers() || value.reads_headers() || header.may_refuse()
    }

    /// Nobody looks at more of change events than what became of the row.
    pub(crate) fn read_rows_alone(&mut self) {
        if let Some(narrow) = self.converters.value.rows_alone() {
            self.converters.value = narrow;
        }
    }

    /// Decodes a record as read.
    pub(crate) fn decode(&self, origin: &Origin) -> Result<Record, Stopped> {
        let at = origin.place().0;
        let topic = &at.topic;
        // Converters look at the headers, so these are decoded first; Connect reports errors of key and value before
        // those of headers.
        let mut last = self.last.lock();
        let none = Headers::new();
        let (headers, bad_header) = match self.headers(origin, &mut last) {
            Ok(headers) => (headers.unwrap_or(&none), None),
            Err(error) => (&none, Some(error)),
        };
        let key = match &origin.key {
            Some(bytes) if !self.with_keys => text(&*self.converters.key, bytes),
            bytes => self.converters.key.decode(topic, bytes.as_ref(), headers),
        };
        let key = key.map_err(|e| stopped(e, true, Stage::KeyConverter, self.converters.key_class))?;
        let value = match &origin.value {
            Some(bytes) if self.as_text => text(&*self.converters.value, bytes),
            bytes => self.converters.value.decode(topic, bytes.as_ref(), headers),
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
            headers: if self.with_headers { headers.clone() } else { Headers::new() },
            timestamp_ms: origin.timestamp_ms,
        })
    }

    /// The headers of a record, kept for the next one; none if it has none.
    fn headers<'a>(&self, origin: &Origin, kept: &'a mut Option<Last>) -> Result<Option<&'a Headers>, RecordError> {
        let topic = &origin.place().0.topic;
        if origin.headers.is_empty() {
            return Ok(None);
        }
        let is_known = kept.as_mut().is_some_and(|last| *last.topic == **topic && last.is_of(&origin.headers));
        if !is_known {
            let decode = |(name, bytes): &(Arc<str>, Option<Bytes>)| {
                let datum = self.converters.header.decode(topic, name, bytes.as_ref())?;
                Ok((Arc::clone(name), datum))
            };
            let headers: Headers = origin.headers.iter().map(decode).collect::<Result<_, _>>()?;
            let own = |(name, bytes): &(Arc<str>, Option<Bytes>)| {
                (Arc::clone(name), bytes.as_ref().map(|bytes| Bytes::copy_from_slice(bytes)))
            };
            let raw = origin.headers.iter().map(own).collect();
            *kept = Some(Last { topic: Arc::clone(topic), met: origin.headers.met(), raw, headers });
        }
        Ok(kept.as_ref().map(|last| &last.headers))
    }
}

/// A key or value as the JSON that it is.
fn text(converter: &dyn Converter, bytes: &Bytes) -> Result<Datum, DecodeError> {
    let text = converter.json_text(bytes)?;
    Ok(Datum { schema: None, value: text.map_or(Value::Null, Value::Bytes) })
}

impl Last {
    /// The consumer shares equal headers within a batch, so that they are compared once a batch.
    fn is_of(&mut self, headers: &RawHeaders) -> bool {
        if headers.are(&self.met) {
            return true;
        }
        let is_equal = self.raw[..] == headers[..];
        if is_equal {
            self.met = headers.met();
        }
        is_equal
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

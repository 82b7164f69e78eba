//! Records to bytes, into buffers that are used again for the next record.
use super::converters::{Converters, Stopped};
use super::tolerance::Failed;
use bytes::{Bytes, BytesMut};
use elasticflow_api::convert::EncodeError;
use elasticflow_api::data::{Datum, Headers, Record, Value};
use elasticflow_api::error::Stage;
use elasticflow_api::written::{JsonForm, WrittenRecord};
use elasticflow_kafka::ports::OutRecord;
use std::sync::Arc;

/// Encodes the records of one task.
pub(crate) struct Encoder {
    converters: Converters,
    key: BytesMut,
    has_key: bool,
    value: BytesMut,
    has_value: bool,
    header: BytesMut,
    headers: Vec<(Arc<str>, Option<Bytes>)>,
    /// What `headers` were encoded from: connectors give many records the same ones.
    headers_of: Option<(Arc<str>, Headers)>,
    /// A header of every record, as bytes.
    mark: Option<(Arc<str>, Bytes)>,
}

impl Encoder {
    /// The converters, to resolve what one of them lacks.
    pub(crate) fn converters(&self) -> &Converters {
        &self.converters
    }

    pub(crate) fn new(converters: Converters) -> Self {
        Self {
            converters,
            key: BytesMut::new(),
            has_key: false,
            value: BytesMut::new(),
            has_value: false,
            header: BytesMut::new(),
            headers: Vec::new(),
            headers_of: None,
            mark: None,
        }
    }

    /// Gives every record from here on a header more.
    pub(crate) fn mark(&mut self, name: &'static str, value: Bytes) {
        if self.mark.as_ref().is_none_or(|(_, known)| *known != value) {
            self.mark = Some((name.into(), value));
            self.headers_of = None;
        }
    }

    /// The forms of keys and values, if both are JSON that a source can write itself.
    pub(crate) fn json_forms(&self) -> Option<(JsonForm, JsonForm)> {
        self.converters.key.json_form().zip(self.converters.value.json_form())
    }

    /// What goes to Kafka for a written record; `headers` are those of all written records of its batch.
    pub(crate) fn out_written<'a>(
        &'a mut self,
        record: &WrittenRecord<'a>,
        headers: &Headers,
    ) -> Result<OutRecord<'a>, Failed> {
        let target = record.target;
        if !self.has_headers(&target.topic, headers) {
            self.encode_headers(&target.topic, headers)?;
        }
        Ok(OutRecord {
            topic: &target.topic,
            partition: None,
            key: framed(record.key, &target.key_lead, &mut self.key),
            value: framed(record.value, &target.value_lead, &mut self.value),
            headers: &self.headers,
            timestamp_ms: None,
        })
    }

    /// Encodes into the buffers; see [`Encoder::out`].
    pub(crate) fn encode(&mut self, record: &mut Record) -> Result<(), Stopped> {
        let Record { topic, key, value, headers, .. } = record;
        self.key.clear();
        self.value.clear();
        self.has_key = self
            .converters
            .key
            .encode(topic, key, headers, &mut self.key)
            .map_err(|e| stopped(e, true, Stage::KeyConverter, self.converters.key_class))?;
        self.has_value = self
            .converters
            .value
            .encode(topic, value, headers, &mut self.value)
            .map_err(|e| stopped(e, false, Stage::ValueConverter, self.converters.value_class))?;
        if self.has_headers(&record.topic, &record.headers) {
            return Ok(());
        }
        self.encode_headers(&record.topic, &record.headers).map_err(Stopped::Failed)
    }

    /// Whether the headers that were encoded last are these.
    fn has_headers(&self, topic: &Arc<str>, headers: &Headers) -> bool {
        self.headers_of.as_ref().is_some_and(|(of, known)| Arc::ptr_eq(of, topic) && is_same(known, headers))
    }

    fn encode_headers(&mut self, topic: &Arc<str>, headers: &Headers) -> Result<(), Failed> {
        self.headers_of = None;
        self.headers.clear();
        for (name, datum) in headers {
            let encoded = self.converters.header.encode(topic, name, datum, &mut self.header);
            let has_value = encoded.map_err(|mut error| {
                error.stage = Stage::HeaderConverter;
                Failed { error, class: self.converters.header_class }
            })?;
            let bytes = self.header.split().freeze();
            self.headers.push((Arc::clone(name), has_value.then_some(bytes)));
        }
        self.headers.extend(self.mark.iter().map(|(name, value)| (Arc::clone(name), Some(value.clone()))));
        self.headers_of = Some((Arc::clone(topic), headers.clone()));
        Ok(())
    }

    /// The record as it was encoded last.
    pub(crate) fn out<'a>(&'a self, record: &'a Record) -> OutRecord<'a> {
        OutRecord {
            topic: &record.topic,
            partition: record.partition,
            key: self.has_key.then_some(&self.key[..]),
            value: self.has_value.then_some(&self.value[..]),
            headers: &self.headers,
            timestamp_ms: record.timestamp_ms,
        }
    }

    /// Bytes of key and value of the record that was encoded last.
    pub(crate) fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A written key or value with what its target puts around it.
fn framed<'a>(bytes: Option<&'a [u8]>, lead: &Bytes, buffer: &'a mut BytesMut) -> Option<&'a [u8]> {
    let bytes = bytes?;
    if lead.is_empty() {
        return Some(bytes);
    }
    buffer.clear();
    buffer.extend_from_slice(lead);
    buffer.extend_from_slice(bytes);
    buffer.extend_from_slice(b"}");
    Some(buffer)
}

/// Whether headers are the same by pointer and text; a quick no costs an encoding, nothing else.
fn is_same(a: &Headers, b: &Headers) -> bool {
    let same_schema = |a: &Datum, b: &Datum| match (&a.schema, &b.schema) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let same_value =
        |a: &Datum, b: &Datum| matches!((&a.value, &b.value), (Value::String(a), Value::String(b)) if a == b);
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((name, a), (other, b))| Arc::ptr_eq(name, other) && same_schema(a, b) && same_value(a, b))
}

fn stopped(error: EncodeError, is_key: bool, stage: Stage, class: &'static str) -> Stopped {
    match error {
        EncodeError::Unresolved(need) => Stopped::Need { is_key, need },
        EncodeError::Record(mut error) => {
            error.stage = stage;
            Stopped::Failed(Failed { error, class })
        }
    }
}

//! Converters, transforms, predicates: synchronous, shared by threads, without I/O.
use crate::data::{Datum, Headers, Record, SchemaRef};
use crate::error::{RecordError, Result};
use crate::position::Offset;
use crate::written::JsonForm;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Bytes to data and back.
#[async_trait]
pub trait Converter: Send + Sync {
    /// Appends the encoded datum to `out`; `Ok(false)` is a Kafka null.
    ///
    /// # Errors
    /// `Unresolved` asks the runtime to await [`Converter::resolve`] once and to encode again; `Record` is a bad record.
    fn encode(
        &self,
        topic: &str,
        datum: &Datum,
        headers: &mut Headers,
        out: &mut BytesMut,
    ) -> Result<bool, EncodeError>;

    /// Decodes; the datum may share `bytes`.
    fn decode(&self, topic: &str, bytes: Option<&Bytes>, headers: &Headers) -> Result<Datum, DecodeError>;

    /// Whether decoding looks at the headers.
    fn reads_headers(&self) -> bool {
        true
    }

    /// What it writes, if that is JSON of a plain form, whatever the topic and the headers.
    fn json_form(&self) -> Option<JsonForm> {
        None
    }

    /// The same converter for readers that look at the fields `op` and `after` of change events alone: it may leave the others
    /// null. None if it would be no cheaper.
    fn rows_alone(&self) -> Option<Arc<dyn Converter>> {
        None
    }

    /// Whether it reads JSON without schemas, whatever the topic and the headers: then [`Converter::json_text`] is of use.
    fn reads_json_text(&self) -> bool {
        false
    }

    /// A value as the JSON that it is: checked, without a byte around it or a blank between its parts. None for a null.
    ///
    /// # Errors
    /// As [`Converter::decode`].
    fn json_text(&self, bytes: &Bytes) -> Result<Option<Bytes>, DecodeError> {
        Ok(Some(bytes.clone()))
    }

    /// The one place for I/O: registers or fetches a schema and caches it.
    async fn resolve(&self, topic: &str, need: &Need) -> Result<()> {
        let _ = (topic, need);
        Ok(())
    }
}

/// What a converter lacks.
#[derive(Debug, Clone)]
pub enum Need {
    /// An id for this schema.
    Id(SchemaRef),
    /// The schema of this id.
    Schema(u32),
}

/// Why encoding stopped.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A schema is not known yet.
    #[error("schema not resolved")]
    Unresolved(Need),
    /// The record is bad.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why decoding stopped.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A schema is not known yet.
    #[error("schema not resolved")]
    Unresolved(Need),
    /// The record is bad.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A single message transform.
pub trait Transform: Send + Sync {
    /// Changes, keeps or drops a record.
    fn apply(&self, record: Record) -> Result<Option<Record>, RecordError>;

    /// As [`Transform::apply`], with the offset that a sink has read the record at; a source has none to give. The
    /// runtime calls this one.
    fn apply_at(&self, record: Record, offset: Option<Offset>) -> Result<Option<Record>, RecordError> {
        let _ = offset;
        self.apply(record)
    }

    /// Whether a value without a schema may be anything: it neither looks at it, but for telling nulls, nor changes it. Such a
    /// value may then be JSON that nobody has read.
    fn passes_plain_values(&self) -> bool {
        false
    }

    /// Whether it does the same whatever the headers of a record are; it may add some.
    fn passes_headers(&self) -> bool {
        false
    }
}

/// Decides whether a transform applies.
pub trait Predicate: Send + Sync {
    /// True if it does.
    fn test(&self, record: &Record) -> bool;

    /// As [`Transform::passes_plain_values`].
    fn passes_plain_values(&self) -> bool {
        false
    }

    /// As [`Transform::passes_headers`].
    fn passes_headers(&self) -> bool {
        false
    }
}

/// Header values to bytes and back; Connect's `header.converter`.
pub trait HeaderConverter: Send + Sync {
    /// Appends the encoded value; `Ok(false)` is a null header value.
    ///
    /// # Errors
    /// The header cannot be expressed.
    fn encode(&self, topic: &str, name: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool, RecordError>;

    /// Whether there are bytes that it refuses.
    fn may_refuse(&self) -> bool {
        true
    }

    /// Decodes one header value; the datum may share `bytes`.
    ///
    /// # Errors
    /// The bytes are not of this format.
    fn decode(&self, topic: &str, name: &str, bytes: Option<&Bytes>) -> Result<Datum, RecordError>;
}

//! Connect's data model. A field is reached by its index in the schema, never by name, on the hot path.
use crate::position::{Offset, TopicPartition};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Weak};

/// A shared, immutable schema; equality is tried by pointer first.
pub type SchemaRef = Arc<Schema>;

/// The type of a value, with everything Connect's schema carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Physical type.
    pub kind: Kind,
    /// Logical or record name, such as `org.apache.kafka.connect.data.Timestamp`.
    pub name: Option<Arc<str>>,
    /// Version given by the author of the schema; not the registry's.
    pub version: Option<i32>,
    /// Whether the value may be null.
    pub optional: bool,
    /// Value used when a producer leaves the field out.
    pub default: Option<Value>,
    /// Documentation carried to the sink.
    pub doc: Option<Arc<str>>,
    /// Parameters of a logical type, such as `scale`.
    pub parameters: BTreeMap<Arc<str>, Arc<str>>,
}

impl Schema {
    /// Whether this is, by its name, the schema of Debezium's change events: `….Envelope`, or what a Protobuf message that is
    /// read without its package leaves of it.
    pub fn is_envelope(&self) -> bool {
        self.name.as_deref().is_some_and(|name| name == "Envelope" || name.ends_with(".Envelope"))
    }
}

/// Physical types.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are Connect's")]
pub enum Kind {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array(SchemaRef),
    Map { key: SchemaRef, value: SchemaRef },
    Struct(Arc<[Field]>),
}

/// A field of a struct; its place in the slice is its index.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name as written to the topic.
    pub name: Arc<str>,
    /// Type of the field.
    pub schema: SchemaRef,
}

/// A value. Text and bytes are slices of the buffer they were read from.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are Connect's")]
pub enum Value {
    Null,
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(Text),
    Bytes(Bytes),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Struct(Struct),
}

/// UTF-8 that shares its buffer; checked once, when it is made from bytes.
pub type Text = bytestring::ByteString;

/// Values in schema order.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    /// A schema whose kind is [`Kind::Struct`].
    pub schema: SchemaRef,
    /// One value per field.
    pub values: Vec<Value>,
}

/// A value with its schema; no schema means schemaless data.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Type, if known.
    pub schema: Option<SchemaRef>,
    /// The value; [`Value::Null`] without a schema is a Kafka null (a tombstone in value position).
    pub value: Value,
}

/// Headers in order; names may repeat.
pub type Headers = Vec<(Arc<str>, Datum)>;

/// A header as it was read.
pub type RawHeader = (Arc<str>, Option<Bytes>);

/// Headers as they were read, in order; records that have the same ones share them.
#[derive(Debug, Clone, Default)]
pub struct RawHeaders(Option<Arc<[RawHeader]>>);

/// Tells headers again that were met before, and does not keep their bytes.
#[derive(Debug, Clone, Default)]
pub struct MetHeaders(Option<Weak<[RawHeader]>>);

impl RawHeaders {
    /// To tell them again.
    pub fn met(&self) -> MetHeaders {
        MetHeaders(self.0.as_ref().map(Arc::downgrade))
    }

    /// Whether they are the very ones. Others may be equal.
    pub fn are(&self, met: &MetHeaders) -> bool {
        match (&self.0, &met.0) {
            (Some(these), Some(those)) => std::ptr::addr_eq(Arc::as_ptr(these), those.as_ptr()),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Deref for RawHeaders {
    type Target = [RawHeader];
    fn deref(&self) -> &[RawHeader] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<RawHeader> for RawHeaders {
    fn from_iter<I: IntoIterator<Item = RawHeader>>(headers: I) -> Self {
        let headers: Arc<[RawHeader]> = headers.into_iter().collect();
        Self(Some(headers).filter(|headers| !headers.is_empty()))
    }
}

/// A record between source, transforms and sink. Topic and schemas are shared, never copied per record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Destination topic (source) or origin topic (sink); transforms may change it.
    pub topic: Arc<str>,
    /// Explicit partition; `None` leaves it to the producer.
    pub partition: Option<i32>,
    /// Record key.
    pub key: Datum,
    /// Record value.
    pub value: Datum,
    /// Record headers.
    pub headers: Headers,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: Option<i64>,
}

/// A record as it was read, kept so that a dead letter carries the original bytes.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Where it was read.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// Key bytes as read.
    pub key: Option<Bytes>,
    /// Value bytes as read.
    pub value: Option<Bytes>,
    /// Headers as read.
    pub headers: RawHeaders,
    /// Timestamp as read, milliseconds since 1970 UTC.
    pub timestamp_ms: Option<i64>,
    /// Set for a dead letter that is put again.
    pub replay: Option<Arc<Replay>>,
}

/// A dead letter that is put again: `at` and `offset` of its [`Origin`] lie in the replay topic and say what is consumed;
/// this says which record it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Id of the dead letter.
    pub letter: Arc<str>,
    /// Where the record was read first.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
}

impl Origin {
    /// Which record this is: the place where it was read first. What an id, a version or a column is made of; what was
    /// consumed is told by `at` and `offset`.
    pub fn place(&self) -> (&TopicPartition, Offset) {
        match &self.replay {
            Some(replay) => (&replay.at, replay.offset),
            None => (&self.at, self.offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_were_met_are_told_again_and_not_kept() {
        let make = || -> RawHeaders { [(Arc::from("h"), Some(Bytes::from_static(b"1")))].into_iter().collect() };
        let (headers, others) = (make(), make());
        let met = headers.met();
        assert!(headers.clone().are(&met) && !others.are(&met));
        assert_eq!(headers[..], others[..]);
        assert!(RawHeaders::default().are(&RawHeaders::default().met()) && !RawHeaders::default().are(&met));
        let first = Arc::downgrade(&headers[0].0);
        drop(headers);
        assert!(first.upgrade().is_none(), "the bytes of a batch are not kept by what was met");
    }
}

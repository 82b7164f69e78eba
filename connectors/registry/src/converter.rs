//! One converter for every format: what is known is written and read at once, what is not is resolved once.
use crate::error::Error;
use crate::registrar::{Placed, Registrar, Source};
use crate::settings::RegistrySettings;
use crate::wire;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError, Need};
use elasticflow_api::data::{Datum, Headers, Kind, Schema, SchemaRef, Value};
use elasticflow_api::error::{Result, Stage};
use elasticflow_formats::error::converter_stage;
use elasticflow_formats::schema_cache::SchemaCache;
use elasticflow_formats::{FormatError, SerializationError};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// A format whose schemas live in the registry.
pub(crate) trait Format: Send + Sync + 'static {
    /// The registry's name of the format.
    const TYPE: &'static str;
    /// A schema made ready for writing records of one Connect schema.
    type Writer: Send + Sync;
    /// A schema made ready for reading.
    type Reader: Send + Sync;

    /// The registry's schema of a Connect schema; `None` is data without a schema.
    fn describe(&self, schema: Option<&SchemaRef>) -> Result<Described, FormatError>;
    /// Prepares writing with a registered schema.
    fn writer(&self, schema: Option<&SchemaRef>, target: &Source, strict: bool) -> Result<Self::Writer, FormatError>;
    /// Appends the body of a message.
    fn write(&self, writer: &Self::Writer, value: &Value, out: &mut BytesMut) -> Result<(), FormatError>;
    /// Name of the record that a schema describes.
    fn record_name(&self, source: &Source) -> Option<String>;
    /// Prepares reading; `version` is the registry's.
    fn reader(&self, source: &Source, version: Option<i32>) -> Result<Self::Reader, FormatError>;
    /// Reads the body of a message; the datum may share it.
    fn read(&self, reader: &Self::Reader, body: &Bytes) -> Result<Datum, FormatError>;
    /// Connect's words for a record of a topic that cannot be written.
    fn cannot_write(topic: &str) -> String;
    /// Connect's words for a record of a topic that cannot be read.
    fn cannot_read(topic: &str) -> String;
}

/// A Connect schema as the registry keeps it.
pub(crate) struct Described {
    /// Its text.
    pub(crate) text: String,
    /// Full name of the record, if it is one.
    pub(crate) record: Option<String>,
}

/// A converter of one format.
pub(crate) struct RegistryConverter<F: Format> {
    format: F,
    registrar: Registrar,
    is_key: bool,
    stage: Stage,
    written: SchemaCache<Written<F>>,
    /// Stands for data without a schema where a schema must be named.
    schemaless: SchemaRef,
    read: RwLock<Known<F>>,
    cache_max: usize,
}

/// What a Connect schema is written as, by topic.
struct Written<F: Format> {
    described: Described,
    topics: RwLock<HashMap<Box<str>, Arc<Ready<F>>>>,
}

struct Ready<F: Format> {
    id: u32,
    writer: F::Writer,
}

/// Readers by id and topic: the registry's version of a schema depends on the subject.
struct Known<F: Format> {
    readers: HashMap<u32, Vec<(Box<str>, Reading<F>)>>,
    count: usize,
}

enum Reading<F: Format> {
    Ready(Arc<F::Reader>),
    /// The registry has no such id. It is asked again for the next record: the schema may come.
    Missing(String),
    /// The schema cannot be read by this format.
    Refused(Arc<str>),
}

impl<F: Format> RegistryConverter<F> {
    pub(crate) fn new(format: F, settings: &RegistrySettings, is_key: bool) -> Result<Self, Error> {
        let schemaless = Schema {
            kind: Kind::Struct(Arc::new([])),
            name: Some("elasticflow.schemaless".into()),
            version: None,
            optional: true,
            default: None,
            doc: None,
            parameters: std::collections::BTreeMap::new(),
        };
        Ok(Self {
            format,
            registrar: Registrar::new(settings, is_key)?,
            is_key,
            stage: converter_stage(is_key),
            written: SchemaCache::new(settings.cache),
            schemaless: Arc::new(schemaless),
            read: RwLock::new(Known { readers: HashMap::new(), count: 0 }),
            cache_max: settings.cache,
        })
    }

    fn schema_of<'a>(&self, schema: &'a SchemaRef) -> Option<&'a SchemaRef> {
        (!Arc::ptr_eq(schema, &self.schemaless)).then_some(schema)
    }

    fn prepared(&self, schema: &SchemaRef) -> Result<Arc<Written<F>>, FormatError> {
        self.written.of(schema, |schema| {
            let described = self.format.describe(self.schema_of(schema))?;
            Ok(Written { described, topics: RwLock::new(HashMap::new()) })
        })
    }

    fn write(&self, topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool, Failure> {
        let schema = match (&datum.schema, &datum.value) {
            (None, Value::Null) => return Ok(false),
            (Some(schema), Value::Null) if schema.optional => return Ok(false),
            (Some(schema), Value::Null) if schema.default.is_none() => {
                return Err(FormatError::data("Found null value for non-optional schema").into());
            }
            (Some(schema), _) => schema,
            (None, _) => &self.schemaless,
        };
        let prepared = self.prepared(schema)?;
        let ready = prepared.topics.read().get(topic).map(Arc::clone);
        let Some(ready) = ready else { return Err(Failure::Need(Need::Id(Arc::clone(schema)))) };
        wire::write_prefix(ready.id, out);
        self.format.write(&ready.writer, &datum.value, out)?;
        Ok(true)
    }

    async fn place(&self, topic: &str, schema: &SchemaRef) -> Result<()> {
        let prepared = self.prepared(schema).map_err(|e| misfit(topic, "the registry's format", &e))?;
        let Described { text, record } = &prepared.described;
        let subject = self.registrar.subjects.subject(topic, self.is_key, record.as_deref());
        let subject = subject.map_err(|e| Error::Setting(e.to_string()))?;
        let Placed { id, target } = self.registrar.place(&subject, F::TYPE, text, &F::cannot_write(topic)).await?;
        let own = || Source { text: text.clone(), references: Vec::new(), schema_type: F::TYPE.to_owned() };
        let (source, strict, label) = match target {
            Some(target) => (target.source, target.strict, target.label),
            None => (own(), true, format!("subject {subject}")),
        };
        let writer = self.format.writer(self.schema_of(schema), &source, strict);
        let writer = writer.map_err(|e| misfit(topic, &label, &e))?;
        let mut topics = prepared.topics.write();
        if topics.len() >= self.cache_max {
            topics.clear();
        }
        topics.insert(topic.into(), Arc::new(Ready { id, writer }));
        Ok(())
    }

    fn read(&self, topic: &str, bytes: Option<&Bytes>) -> Result<Datum, Failure> {
        let Some(bytes) = bytes else { return Ok(Datum { schema: None, value: Value::Null }) };
        let unreadable = |reason: &str| unreadable::<F>(topic, reason);
        let (id, body) = wire::split(bytes).map_err(unreadable)?;
        let reader = match self.read.read().of(id, topic) {
            Some(Reading::Ready(reader)) => Some(Arc::clone(reader)),
            Some(Reading::Refused(reason)) => return Err(unreadable(reason).into()),
            Some(Reading::Missing(_)) | None => None,
        };
        let Some(reader) = reader else { return self.missing(id, topic) };
        self.format.read(&reader, &body).map_err(|error| match error {
            FormatError::Data(reason) => unreadable(&reason).into(),
            error @ FormatError::Serialization { .. } => error.into(),
        })
    }

    fn missing(&self, id: u32, topic: &str) -> Result<Datum, Failure> {
        let known_missing = self.read.write().take_missing(id, topic);
        match known_missing {
            Some(reason) => Err(unreadable::<F>(topic, &format!("schema id {id} is unknown: {reason}")).into()),
            None => Err(Failure::Need(Need::Schema(id))),
        }
    }

    async fn fetch(&self, topic: &str, id: u32) -> Result<()> {
        let reading = match self.registrar.fetch(id).await? {
            Err(reason) => Reading::Missing(reason),
            Ok(source) if source.schema_type != F::TYPE => {
                Reading::Refused(format!("schema id {id} is of type {}, not {}", source.schema_type, F::TYPE).into())
            }
            Ok(source) => {
                let record = self.format.record_name(&source);
                let version = match self.registrar.subjects.subject(topic, self.is_key, record.as_deref()) {
                    Ok(subject) => self.registrar.version(id, &subject).await?,
                    Err(_) => None,
                };
                match self.format.reader(&source, version) {
                    Ok(reader) => Reading::Ready(Arc::new(reader)),
                    Err(error) => Reading::Refused(format!("schema id {id}: {error}").into()),
                }
            }
        };
        self.read.write().insert(id, topic, reading, self.cache_max);
        Ok(())
    }
}

impl<F: Format> Known<F> {
    fn of(&self, id: u32, topic: &str) -> Option<&Reading<F>> {
        self.readers.get(&id)?.iter().find(|(of, _)| **of == *topic).map(|(_, reading)| reading)
    }

    fn insert(&mut self, id: u32, topic: &str, reading: Reading<F>, max: usize) {
        if self.count >= max {
            self.readers.clear();
            self.count = 0;
        }
        let readers = self.readers.entry(id).or_default();
        readers.retain(|(of, _)| **of != *topic);
        readers.push((topic.into(), reading));
        self.count = self.count.saturating_add(1);
    }

    fn take_missing(&mut self, id: u32, topic: &str) -> Option<String> {
        let readers = self.readers.get_mut(&id)?;
        let place = readers.iter().position(|(of, r)| **of == *topic && matches!(r, Reading::Missing(_)))?;
        self.count = self.count.saturating_sub(1);
        match readers.swap_remove(place).1 {
            Reading::Missing(reason) => Some(reason),
            Reading::Ready(_) | Reading::Refused(_) => None,
        }
    }
}

/// Why a record was not converted.
enum Failure {
    Need(Need),
    Record(FormatError),
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        Self::Record(error)
    }
}

fn unreadable<F: Format>(topic: &str, reason: &str) -> FormatError {
    FormatError::Serialization { message: F::cannot_read(topic), cause: SerializationError(reason.to_owned()) }
}

fn misfit(topic: &str, schema: &str, error: &FormatError) -> Error {
    Error::Misfit { topic: topic.to_owned(), schema: schema.to_owned(), reason: error.to_string() }
}

#[async_trait]
impl<F: Format> Converter for RegistryConverter<F> {
    fn encode(&self, topic: &str, datum: &Datum, _: &mut Headers, out: &mut BytesMut) -> Result<bool, EncodeError> {
        let start = out.len();
        self.write(topic, datum, out).map_err(|failure| {
            out.truncate(start);
            match failure {
                Failure::Need(need) => EncodeError::Unresolved(need),
                Failure::Record(error) => EncodeError::Record(error.at(self.stage)),
            }
        })
    }

    fn decode(&self, topic: &str, bytes: Option<&Bytes>, _: &Headers) -> Result<Datum, DecodeError> {
        self.read(topic, bytes).map_err(|failure| match failure {
            Failure::Need(need) => DecodeError::Unresolved(need),
            Failure::Record(error) => DecodeError::Record(error.at(self.stage)),
        })
    }

    async fn resolve(&self, topic: &str, need: &Need) -> Result<()> {
        match need {
            Need::Id(schema) => self.place(topic, schema).await,
            Need::Schema(id) => self.fetch(topic, *id).await,
        }
    }
}

//! `InsertField`: adds what is known about a record, or a fixed text, as fields.
use crate::error::{config, data};
use crate::require::{fields_of, map_of, put, struct_of};
use crate::schemas::{Defaults, PLANS_MAX, field, like, logical, plain};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Kind, Record, Schema, SchemaRef, Text, Value};
use elasticflow_api::position::Offset;
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::logical::TIMESTAMP;
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

const PURPOSE: &str = "field insertion";

elasticflow_config::settings! {
    /// Settings of `InsertField`.
    pub(crate) struct InsertFieldConfig {
        /// Field for the topic. A name may end in `!` for a required field or in `?` for an optional one, the default.
        "topic.field" => topic: Option<String> {},
        /// Field for the partition.
        "partition.field" => partition: Option<String> {},
        /// Field for the offset; sinks alone.
        "offset.field" => offset: Option<String> {},
        /// Field for the record's timestamp.
        "timestamp.field" => timestamp: Option<String> {},
        /// Field for the text of `static.value`.
        "static.field" => static_field: Option<String> {},
        /// Text for `static.field`.
        "static.value" => static_value: Option<String> {},
        /// Whether null fields become their defaults.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

/// What is inserted.
#[derive(Clone)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(Text),
}

struct Insertion {
    name: Arc<str>,
    optional: bool,
    source: Source,
}

pub(crate) struct InsertField {
    side: Side,
    insertions: Vec<Insertion>,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    schema: SchemaRef,
    defaults: Defaults,
}

impl Configured for InsertField {
    type Config = InsertFieldConfig;
    fn configured(c: InsertFieldConfig, side: Side) -> Result<Self> {
        let fixed = match (&c.static_field, c.static_value) {
            (Some(name), None) => {
                return Err(config(format!(
                    "Invalid value null for configuration static.value: No value specified for static field: {name}"
                )));
            }
            (_, text) => Source::Static(text.unwrap_or_default().into()),
        };
        let named = [
            (c.topic, Source::Topic),
            (c.partition, Source::Partition),
            (c.offset, Source::Offset),
            (c.timestamp, Source::Timestamp),
            (c.static_field, fixed),
        ];
        let insertions: Vec<Insertion> =
            named.into_iter().filter_map(|(name, source)| Some(insertion(&name?, source))).collect();
        if insertions.is_empty() {
            return Err(config("No field insertion configured"));
        }
        Ok(Self { side, insertions, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

fn insertion(text: &str, source: Source) -> Insertion {
    let (name, optional) = match text.strip_suffix('!') {
        Some(name) => (name, false),
        None => (text.strip_suffix('?').unwrap_or(text), true),
    };
    Insertion { name: name.into(), optional, source }
}

impl Transform for InsertField {
    fn apply(&self, record: Record) -> Result<Option<Record>, RecordError> {
        self.apply_at(record, None)
    }

    fn apply_at(&self, mut record: Record, offset: Option<Offset>) -> Result<Option<Record>, RecordError> {
        if self.side.of(&mut record).value == Value::Null {
            return Ok(Some(record));
        }
        let values: Result<Vec<Value>, RecordError> =
            self.insertions.iter().map(|i| i.value(&record, offset)).collect();
        let values = values?;
        let datum = self.side.of(&mut record);
        match datum.schema.clone() {
            None => self.of_map(datum, values)?,
            Some(schema) => self.of_struct(datum, &schema, values)?,
        }
        Ok(Some(record))
    }
}

impl InsertField {
    fn of_map(&self, datum: &mut Datum, values: Vec<Value>) -> Result<(), RecordError> {
        let pairs = map_of(datum, PURPOSE)?;
        for (insertion, value) in self.insertions.iter().zip(values) {
            if value != Value::Null {
                put(pairs, &insertion.name, value);
            }
        }
        Ok(())
    }

    fn of_struct(&self, datum: &mut Datum, schema: &SchemaRef, values: Vec<Value>) -> Result<(), RecordError> {
        let record = struct_of(datum, PURPOSE)?;
        let plan = self.plans.of(schema, |schema| self.plan(schema))?;
        plan.defaults.fill(&mut record.values);
        for (insertion, value) in self.insertions.iter().zip(values) {
            if value == Value::Null && !insertion.optional {
                let name = &insertion.name;
                return Err(data(format!("Invalid value: null used for required field: \"{name}\"")));
            }
            record.values.push(value);
        }
        record.schema = Arc::clone(&plan.schema);
        datum.schema = Some(Arc::clone(&plan.schema));
        Ok(())
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let before = fields_of(schema)?;
        let mut fields = before.to_vec();
        fields.extend(self.insertions.iter().map(|i| field(Arc::clone(&i.name), Arc::new(i.schema()))));
        Ok(Plan { schema: Arc::new(like(schema, fields)?), defaults: Defaults::of(before, self.replace) })
    }
}

impl Insertion {
    fn schema(&self) -> Schema {
        match self.source {
            Source::Topic | Source::Static(_) => plain(Kind::String, self.optional),
            Source::Partition => plain(Kind::Int32, self.optional),
            Source::Offset => plain(Kind::Int64, self.optional),
            Source::Timestamp => logical(Kind::Int64, TIMESTAMP, self.optional),
        }
    }

    fn value(&self, record: &Record, offset: Option<Offset>) -> Result<Value, RecordError> {
        Ok(match &self.source {
            Source::Topic => Value::String((&*record.topic).into()),
            Source::Partition => record.partition.map_or(Value::Null, Value::Int32),
            Source::Offset => Value::Int64(offset.ok_or_else(no_offset)?.0),
            Source::Timestamp => record.timestamp_ms.map_or(Value::Null, Value::Int64),
            Source::Static(text) => Value::String(text.clone()),
        })
    }
}

fn no_offset() -> RecordError {
    data(format!(
        "Only SinkRecord supported for [{PURPOSE}], found: org.apache.kafka.connect.source.SourceRecord: records of a source have no offset yet, take offset.field out"
    ))
}

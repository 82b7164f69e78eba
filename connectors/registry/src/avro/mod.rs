//! `AvroConverter`: Connect's data in Avro's binary encoding, the schema in the registry.
//!
//! Writing: the Connect schema becomes an Avro schema ([`describe`], [`render`]); schema against schema a plan is made once
//! ([`writer`]) and a record is a walk over its values ([`encode`]). The same plan writes with a schema that somebody else
//! registered: fields are matched by name, what does not fit is refused. Reading: the registry's schema becomes a Connect
//! schema and a plan ([`parse`], [`reader`]), a message is a walk over its bytes ([`decode`]) whose texts share them.
//!
//! Invariants: a message's bytes never panic and never make more values than they can hold; a type that holds itself is
//! refused, as Connect's schemas are finite.
//!
//! Absent on purpose: Avro's single-object and file encodings, schema resolution on reading (messages are read with the
//! schema that they were written with).
mod anything;
mod binary;
mod decode;
mod default;
mod describe;
mod encode;
mod foreign_default;
mod names;
mod parse;
mod reader;
mod render;
mod schema;
mod writer;

use crate::converter::{Described, Format};
use crate::registrar::Source;
use crate::settings::registry_settings;
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use elasticflow_formats::FormatError;

registry_settings! {
    /// Settings of `AvroConverter`.
    pub struct AvroConfig {
        /// Writing: whether Connect's metadata (names, versions, parameters, defaults) are kept in the Avro schema.
        "connect.meta.data" => meta_data: bool { default: "true", group: "Avro" },
        /// Whether enums stay enums and branches of unions are named in full.
        "enhanced.avro.schema.support" => enhanced: bool { default: "false", group: "Avro" },
        /// Writing: whether characters that Avro does not allow in names are replaced; else such names are refused.
        "scrub.invalid.names" => scrub: bool { default: "false", group: "Avro" },
        /// Writing: whether a null of a nullable field stays null when the field has a default.
        "ignore.default.for.nullables" => ignore_defaults: bool { default: "false", group: "Avro" },
        /// Writing: whether maps with nullable text keys are maps too, and not arrays of entries.
        "allow.optional.map.keys" => optional_keys: bool { default: "false", importance: Low, group: "Avro" },
    }
}

/// Whether Avro, and Protobuf with it, allows a name.
pub(crate) use schema::is_name;

/// A name with what is not allowed replaced.
pub(crate) fn scrubbed_name(text: &str) -> Result<String, FormatError> {
    names::name(text, true)
}

/// How schemas and values are mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AvroOptions {
    meta_data: bool,
    enhanced: bool,
    scrub: bool,
    ignore_defaults: bool,
    optional_keys: bool,
}

impl AvroOptions {
    /// The default that a null takes.
    fn default_of<'a>(&self, schema: &'a Schema) -> Option<&'a Value> {
        schema.default.as_ref().filter(|_| !(self.ignore_defaults && schema.optional))
    }

    /// Whether maps with such keys are Avro's maps.
    fn is_plain_map(&self, key: &Schema) -> bool {
        key.kind == Kind::String && (!key.optional || self.optional_keys)
    }
}

/// The format.
pub(crate) struct Avro {
    options: AvroOptions,
}

impl Avro {
    pub(crate) fn new(config: &AvroConfig) -> Self {
        let options = AvroOptions {
            meta_data: config.meta_data,
            enhanced: config.enhanced,
            scrub: config.scrub,
            ignore_defaults: config.ignore_defaults,
            optional_keys: config.optional_keys,
        };
        Self { options }
    }
}

fn parsed(source: &Source) -> Result<schema::AvroSchema, FormatError> {
    parse::parse(&source.text, source.references.iter().map(|(_, text)| text.as_str()))
}

fn record_of(schema: &schema::AvroSchema) -> Option<String> {
    let named = |node| schema.definition(node).map(|definition| definition.name.to_string());
    match &schema.root.kind {
        // A record that may be null is still that record.
        schema::Type::Union(branches) => match branches.as_slice() {
            [null, node] | [node, null] if null.is_null() => named(node),
            _ => None,
        },
        _ => named(&schema.root),
    }
}

impl Format for Avro {
    const TYPE: &'static str = "AVRO";
    type Writer = writer::Write;
    type Reader = reader::Reader;

    fn describe(&self, schema: Option<&SchemaRef>) -> Result<Described, FormatError> {
        let Some(schema) = schema else {
            return Ok(Described { text: anything::SCHEMA.to_owned(), record: Some(names::ANYTHING.to_owned()) });
        };
        let described = describe::describe(schema, &self.options)?;
        Ok(Described { text: described.to_json().to_string(), record: record_of(&described) })
    }

    fn writer(&self, schema: Option<&SchemaRef>, target: &Source, strict: bool) -> Result<Self::Writer, FormatError> {
        let target = parsed(target)?;
        match schema {
            Some(schema) => writer::plan(schema, &target, &self.options, strict),
            None if record_of(&target).as_deref() == Some(names::ANYTHING) => {
                Ok(writer::Write { shape: writer::Shape::Anything, branch: None, null: None })
            }
            None => Err(FormatError::data("the records have no schema to compare with the registered one")),
        }
    }

    fn write(&self, writer: &Self::Writer, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
        encode::write(writer, value, out)
    }

    fn record_name(&self, source: &Source) -> Option<String> {
        parsed(source).ok().and_then(|schema| record_of(&schema))
    }

    fn reader(&self, source: &Source, version: Option<i32>) -> Result<Self::Reader, FormatError> {
        reader::plan(&parsed(source)?, version, self.options.enhanced)
    }

    fn read(&self, reader: &Self::Reader, body: &Bytes) -> Result<Datum, FormatError> {
        let value = decode::read(&reader.read, &mut binary::Cursor::new(body))?;
        Ok(Datum { schema: reader.schema.clone(), value })
    }

    fn cannot_write(topic: &str) -> String {
        format!("Failed to serialize Avro data from topic {topic} : ")
    }

    fn cannot_read(topic: &str) -> String {
        format!("Failed to deserialize data for topic {topic} to Avro: ")
    }
}

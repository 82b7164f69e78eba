//! `ProtobufConverter`: Connect's structs as Protobuf messages, the `.proto` text in the registry.
//!
//! Writing: the Connect schema becomes a `.proto` text ([`describe`]); it, or the one that somebody else registered, is read
//! ([`parse`]) and schema against message type a plan is made once ([`writer`], [`encode`]); fields are matched by name.
//! Reading: the registry's text and what it imports become a plan and a Connect schema for each message type that messages
//! name ([`reader`], [`decode`]).
//!
//! Absent on purpose: groups, extensions, message types that hold themselves, messages of a single value at the top
//! (`wrapper.for.raw.primitives`).
mod binary;
mod decode;
mod describe;
mod encode;
mod known;
mod lexer;
mod model;
mod parse;
mod reader;
mod writer;

use crate::converter::{Described, Format};
use crate::registrar::Source;
use crate::settings::registry_settings;
use binary::{Cursor, put_varint, unzigzag, zigzag};
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Datum, Schema, SchemaRef, Value};
use elasticflow_formats::FormatError;
use model::{File, Found, Message, Types, joined};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Most steps from a file to a message type.
const INDEXES_MAX: u64 = 50;

registry_settings! {
    /// Settings of `ProtobufConverter`.
    pub struct ProtobufConfig {
        /// Reading: whether structs are named with their package.
        "enhanced.protobuf.schema.support" => enhanced: bool { default: "false", group: "Protobuf" },
        /// Whether nullable fields are optional fields, so that a null is told from zero and from an empty text.
        "optional.for.nullables" => optional_for_nullables: bool { default: "false", group: "Protobuf" },
        /// Whether nullable fields are messages such as google.protobuf.Int64Value, with the same effect.
        "wrapper.for.nullables" => wrapper_for_nullables: bool { default: "false", group: "Protobuf" },
        /// Writing: whether characters that Protobuf does not allow in names are replaced; else such names are refused.
        "scrub.invalid.names" => scrub: bool { default: "false", group: "Protobuf" },
        /// Writing: whether a null of a nullable field stays null when the field has a default.
        "ignore.default.for.nullables" => ignore_defaults: bool { default: "false", group: "Protobuf" },
    }
}

/// How schemas and values are mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProtobufOptions {
    enhanced: bool,
    optional_for_nullables: bool,
    wrapper_for_nullables: bool,
    scrub: bool,
    ignore_defaults: bool,
}

impl ProtobufOptions {
    fn name(&self, text: &str) -> Result<String, FormatError> {
        let fits = |text: &str| {
            text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if fits(text) || (text.starts_with('_') && crate::avro::is_name(text)) {
            return Ok(text.to_owned());
        }
        if !self.scrub {
            return Err(FormatError::data(format!(
                "{text:?} is no name in Protobuf (letters, digits and _, no digit first); set scrub.invalid.names=true"
            )));
        }
        crate::avro::scrubbed_name(text)
    }

    fn default_of<'a>(&self, schema: &'a Schema) -> Option<&'a Value> {
        schema.default.as_ref().filter(|_| !(self.ignore_defaults && schema.optional))
    }
}

/// The format.
pub(crate) struct Protobuf {
    options: ProtobufOptions,
}

/// A plan for writing, and the place of the message type in its file.
pub(crate) struct Writer {
    indexes: Vec<usize>,
    plan: writer::Plan,
}

/// Message types of one schema, prepared when a message names them.
pub(crate) struct Reading {
    file: File,
    types: Types,
    version: Option<i32>,
    options: ProtobufOptions,
    prepared: RwLock<HashMap<Vec<usize>, Arc<reader::Root>>>,
}

fn bad(problem: &str) -> FormatError {
    FormatError::data(format!("the Protobuf schema cannot be used: {problem}"))
}

fn declared(source: &Source) -> Result<(File, Types), FormatError> {
    let mut types = Types::default();
    for text in known::TEXTS.into_iter().chain(source.references.iter().map(|(_, text)| text.as_str())) {
        types.add(&parse::parse(text)?);
    }
    let file = parse::parse(&source.text)?;
    types.add(&file);
    Ok((file, types))
}

/// Full name of the message type at a place.
fn at(file: &File, indexes: &[usize]) -> Option<String> {
    let (mut scope, mut messages) = (file.package.clone(), &file.messages);
    for index in indexes {
        let message: &Message = messages.get(*index)?;
        scope = joined(&scope, &message.name);
        messages = &message.messages;
    }
    (!indexes.is_empty()).then_some(scope)
}

impl Protobuf {
    pub(crate) fn new(config: &ProtobufConfig) -> Self {
        let options = ProtobufOptions {
            enhanced: config.enhanced,
            optional_for_nullables: config.optional_for_nullables,
            wrapper_for_nullables: config.wrapper_for_nullables,
            scrub: config.scrub,
            ignore_defaults: config.ignore_defaults,
        };
        Self { options }
    }
}

impl Reading {
    fn root(&self, indexes: Vec<usize>) -> Result<Arc<reader::Root>, FormatError> {
        if let Some(root) = self.prepared.read().get(&indexes) {
            return Ok(Arc::clone(root));
        }
        let full = at(&self.file, &indexes).ok_or_else(|| bad("it has no message type at the place that is named"))?;
        let root = Arc::new(reader::plan(&self.types, &full, self.version, &self.options)?);
        // As many as the schema has message types at most.
        self.prepared.write().insert(indexes, Arc::clone(&root));
        Ok(root)
    }
}

/// Place of the message type before a message: a count and steps, or one zero for the first.
fn indexes(cursor: &mut Cursor) -> Result<Vec<usize>, FormatError> {
    let mut number = || {
        let n = unzigzag(cursor.varint()?);
        usize::try_from(n).map_err(|_| FormatError::data("the place of the message type is negative"))
    };
    match number()? {
        0 => Ok(vec![0]),
        count if count as u64 > INDEXES_MAX => Err(FormatError::data("the place of the message type is too deep")),
        count => (0..count).map(|_| number()).collect(),
    }
}

fn put_indexes(indexes: &[usize], out: &mut BytesMut) {
    let number = |n: usize| zigzag(i64::try_from(n).unwrap_or(i64::MAX));
    if indexes == [0] {
        return put_varint(0, out);
    }
    put_varint(number(indexes.len()), out);
    indexes.iter().for_each(|index| put_varint(number(*index), out));
}

impl Format for Protobuf {
    const TYPE: &'static str = "PROTOBUF";
    type Writer = Writer;
    type Reader = Reading;

    fn describe(&self, schema: Option<&SchemaRef>) -> Result<Described, FormatError> {
        let schema = schema.ok_or_else(|| FormatError::data("records without a schema cannot be Protobuf messages"))?;
        let made = describe::describe(schema, &self.options)?;
        Ok(Described { text: made.text, record: Some(made.name) })
    }

    fn writer(&self, schema: Option<&SchemaRef>, target: &Source, strict: bool) -> Result<Writer, FormatError> {
        let schema = schema.ok_or_else(|| FormatError::data("records without a schema cannot be Protobuf messages"))?;
        let (file, types) = declared(target)?;
        // The message type of the same name, else the first one.
        let own = describe::describe(schema, &self.options)?.name;
        let place = file.messages.iter().position(|message| joined(&file.package, &message.name) == own).unwrap_or(0);
        let full = at(&file, &[place]).ok_or_else(|| bad("it declares no message type"))?;
        let Some(Found::Message(full, message)) = types.find("", &full) else {
            return Err(bad("it declares no message type"));
        };
        let plan = writer::plan(schema, (&types, &full, &message), &self.options, strict)?;
        Ok(Writer { indexes: vec![place], plan })
    }

    fn write(&self, writer: &Writer, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
        put_indexes(&writer.indexes, out);
        encode::message(&writer.plan, value, out)
    }

    fn record_name(&self, source: &Source) -> Option<String> {
        parse::parse(&source.text).ok().and_then(|file| at(&file, &[0]))
    }

    fn reader(&self, source: &Source, version: Option<i32>) -> Result<Reading, FormatError> {
        let (file, types) = declared(source)?;
        Ok(Reading { file, types, version, options: self.options, prepared: RwLock::new(HashMap::new()) })
    }

    fn read(&self, reading: &Reading, body: &Bytes) -> Result<Datum, FormatError> {
        let mut cursor = Cursor::new(body.clone());
        let root = reading.root(indexes(&mut cursor)?)?;
        let value = decode::read(&root.schema, &root.plan, cursor.rest())?;
        Ok(Datum { schema: Some(Arc::clone(&root.schema)), value })
    }

    fn cannot_write(topic: &str) -> String {
        format!("Failed to serialize Protobuf data from topic {topic} : ")
    }

    fn cannot_read(topic: &str) -> String {
        format!("Failed to deserialize data for topic {topic} to Protobuf: ")
    }
}

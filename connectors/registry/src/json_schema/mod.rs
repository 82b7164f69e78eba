//! `JsonSchemaConverter`: the body is JSON, its JSON Schema is in the registry.
//!
//! Writing: the Connect schema becomes a JSON Schema ([`describe`]); records are written by the plan of the JSON converter,
//! without a tree in between. Reading: the registry's schema becomes a Connect schema ([`connect`]) and a message is read by
//! the JSON converter's reader.
//!
//! Absent on purpose: validation of messages against the schema (`json.fail.invalid.schema`), schemas that hold themselves
//! (Connect's are finite).
mod connect;
mod describe;
mod document;
mod fit;

use crate::converter::{Described, Format};
use crate::registrar::Source;
use crate::settings::registry_settings;
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Datum, SchemaRef, Value};
use elasticflow_formats::FormatError;
use elasticflow_formats::json::cursor::Cursor;
use elasticflow_formats::json::{
    DecimalFormat, DecimalStyle, MapStyle, Plan, ReadStyle, Reader, Style, write_schemaless,
};

/// Struct that stands for one of several types.
pub(crate) const ONE_OF: &str = "io.confluent.connect.json.OneOf";
/// The schema that anything fits: that of records without a schema.
const ANYTHING: &str = "{}";

registry_settings! {
    /// Settings of `JsonSchemaConverter`.
    pub struct JsonSchemaConfig {
        /// Writing: decimals as BASE64 text of the unscaled bytes, or NUMERIC.
        "decimal.format" => decimal_format: DecimalFormat { default: "BASE64", group: "JSON Schema" },
        /// Whether a nullable field is one that is not required, and not one whose type may be null.
        "use.optional.for.nonrequired" => optional_for_nonrequired: bool { default: "false", group: "JSON Schema" },
        /// Writing: whether the schemas of objects allow members that they do not name.
        "object.additional.properties" => additional: bool { default: "true", importance: Low, group: "JSON Schema" },
        /// Writing: whether a null of a nullable field stays null when the field has a default.
        "ignore.default.for.nullables" => ignore_defaults: bool { default: "false", group: "JSON Schema" },
    }
}

/// How schemas and values are mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonOptions {
    optional_for_nonrequired: bool,
    additional: bool,
    style: Style,
}

/// The format.
pub(crate) struct JsonSchema {
    options: JsonOptions,
}

/// A plan for writing; none for data without a schema.
pub(crate) struct Writer(Option<Plan>);

/// A plan for reading.
pub(crate) struct Reading {
    schema: Option<SchemaRef>,
    reader: Option<Reader>,
}

impl JsonSchema {
    pub(crate) fn new(config: &JsonSchemaConfig) -> Self {
        let style = Style {
            decimal: match config.decimal_format {
                DecimalFormat::Base64 => DecimalStyle::Base64,
                DecimalFormat::Numeric => DecimalStyle::Number,
            },
            maps: MapStyle::Objects,
            replace_null_with_default: !config.ignore_defaults,
            omit_null: config.optional_for_nonrequired,
            one_of: Some(ONE_OF),
            ..Style::CONNECT
        };
        let options = JsonOptions {
            optional_for_nonrequired: config.optional_for_nonrequired,
            additional: config.additional,
            style,
        };
        Self { options }
    }

    fn connect(&self, source: &Source, version: Option<i32>) -> Result<Option<SchemaRef>, FormatError> {
        connect::schema(source, version, self.options.optional_for_nonrequired)
    }
}

impl Format for JsonSchema {
    const TYPE: &'static str = "JSON";
    type Writer = Writer;
    type Reader = Reading;

    fn describe(&self, schema: Option<&SchemaRef>) -> Result<Described, FormatError> {
        let Some(schema) = schema else { return Ok(Described { text: ANYTHING.to_owned(), record: None }) };
        let text = describe::describe(schema, &self.options)?.to_string();
        Ok(Described { text, record: schema.name.as_deref().map(str::to_owned) })
    }

    fn writer(&self, schema: Option<&SchemaRef>, target: &Source, strict: bool) -> Result<Writer, FormatError> {
        let Some(schema) = schema else { return Ok(Writer(None)) };
        if let Some(registered) = self.connect(target, None)? {
            fit::check(schema, &registered, strict)?;
        }
        Plan::new(schema, &self.options.style).map(|plan| Writer(Some(plan)))
    }

    fn write(&self, writer: &Writer, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
        match &writer.0 {
            Some(plan) => plan.write(value, out),
            None => write_schemaless(value, &self.options.style, out),
        }
    }

    fn record_name(&self, source: &Source) -> Option<String> {
        let json: serde_json::Value = serde_json::from_str(&source.text).ok()?;
        json.get("title").and_then(serde_json::Value::as_str).map(str::to_owned)
    }

    fn reader(&self, source: &Source, version: Option<i32>) -> Result<Reading, FormatError> {
        let style = ReadStyle { replace_null_with_default: true, entries: true, one_of: Some(ONE_OF) };
        let schema = self.connect(source, version)?;
        Ok(Reading { reader: schema.as_ref().map(|schema| Reader::new(schema, style)), schema })
    }

    fn read(&self, reader: &Reading, body: &Bytes) -> Result<Datum, FormatError> {
        let mut cursor = Cursor::new(body);
        let value = match &reader.reader {
            Some(reader) => reader.read(&mut cursor)?,
            None => cursor.value().map_err(|e| FormatError::data(e.to_string()))?,
        };
        if !cursor.at_end() {
            return Err(FormatError::Data("something stands behind the JSON".to_owned()));
        }
        Ok(Datum { schema: reader.schema.clone(), value })
    }

    fn cannot_write(topic: &str) -> String {
        format!("Converting Kafka Connect data to byte[] failed due to serialization error of topic {topic}: ")
    }

    fn cannot_read(topic: &str) -> String {
        format!("Converting byte[] to Kafka Connect data failed due to serialization error of topic {topic}: ")
    }
}

/// A problem of the registered schema.
fn bad(problem: &str) -> FormatError {
    FormatError::data(format!("the JSON Schema cannot be read as a Connect schema: {problem}"))
}

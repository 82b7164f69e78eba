//! The converter itself: its keys, its ways of writing and reading.
use crate::error::{FormatError, converter_stage};
use crate::json::cursor::Cursor;
use crate::json::envelope::Envelopes;
use crate::json::plan::{DecimalStyle, Plans, Style};
use crate::json::reader::{ReadStyle, Reader};
use crate::json::schema_reader::read_schema;
use crate::json::write_schemaless;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError};
use elasticflow_api::data::{Datum, Headers, Value};
use elasticflow_api::error::Stage;
use elasticflow_api::written::JsonForm;
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use std::sync::Arc;

elasticflow_config::choice! {
    /// How decimals are written.
    pub enum DecimalFormat {
        /// Base64 of the unscaled bytes.
        Base64 = "BASE64",
        /// Plain numbers.
        Numeric = "NUMERIC",
    }
}

elasticflow_config::settings! {
    /// Settings of `JsonConverter`.
    pub struct JsonConfig {
        /// Whether keys or values or headers are converted; set by the framework.
        "converter.type" => converter_type: String { importance: Low },
        /// Whether every message carries its schema: `{"schema":…,"payload":…}`.
        "schemas.enable" => schemas_enable: bool {
            default: "true", importance: High, group: "Schemas", width: Width::Medium, display: "Enable Schemas"
        },
        /// Most schemas that are kept prepared.
        "schemas.cache.size" => schemas_cache_size: usize {
            default: "1000", importance: High, group: "Schemas", width: Width::Medium, display: "Schema Cache Size"
        },
        /// Reading only: this schema, as JSON, is that of every message, and the messages are bare payloads.
        "schema.content" => schema_content: Option<String> {
            importance: High, group: "Schemas", width: Width::Medium, display: "Schema Content"
        },
        /// Writing only: decimals as BASE64 text of the unscaled bytes, or NUMERIC.
        "decimal.format" => decimal_format: DecimalFormat {
            default: "BASE64", importance: Low, group: "Serialization", width: Width::Medium, display: "Decimal Format"
        },
        /// Whether a null takes the default of its field.
        "replace.null.with.default" => replace_null_with_default: bool {
            default: "true", importance: Low, group: "Serialization", width: Width::Medium,
            display: "Replace null with default"
        },
    }
}

/// `org.apache.kafka.connect.json.JsonConverter`.
pub struct JsonConverter {
    stage: Stage,
    schemas: bool,
    plans: Plans,
    envelopes: Envelopes,
    content: Option<Arc<Reader>>,
    /// Most schemas that are kept prepared.
    cache: usize,
}

impl JsonConverter {
    /// A converter of keys or of values.
    ///
    /// # Errors
    /// `schema.content` that is no schema.
    pub fn new(config: &JsonConfig, is_key: bool) -> Result<Self> {
        let replace_null_with_default = config.replace_null_with_default;
        let decimal = match config.decimal_format {
            DecimalFormat::Base64 => DecimalStyle::Base64,
            DecimalFormat::Numeric => DecimalStyle::Number,
        };
        let style = Style { decimal, replace_null_with_default, ..Style::CONNECT };
        let content = match &config.schema_content {
            Some(json) if !json.is_empty() => {
                let schema = read_schema(&Bytes::copy_from_slice(json.as_bytes())).map_err(|e| content_error(&e))?;
                let style = ReadStyle { replace_null_with_default, ..ReadStyle::CONNECT };
                Some(Arc::new(Reader::new(&schema, style)))
            }
            _ => None,
        };
        Ok(Self {
            stage: converter_stage(is_key),
            schemas: config.schemas_enable,
            plans: Plans::new(style, config.schemas_cache_size),
            envelopes: Envelopes::new(config.schemas_cache_size, replace_null_with_default),
            content,
            cache: config.schemas_cache_size,
        })
    }

    /// Appends the JSON of a datum; false is a Kafka null.
    ///
    /// # Errors
    /// The value does not fit its schema.
    pub fn write(&self, datum: &Datum, out: &mut BytesMut) -> Result<bool, FormatError> {
        let Some(schema) = &datum.schema else {
            if datum.value == Value::Null {
                return Ok(false);
            }
            if !self.schemas {
                return write_schemaless(&datum.value, self.plans.style(), out).map(|()| true);
            }
            out.extend_from_slice(b"{\"schema\":null,\"payload\":");
            write_schemaless(&datum.value, self.plans.style(), out)?;
            out.extend_from_slice(b"}");
            return Ok(true);
        };
        let plan = self.plans.of(schema)?;
        if self.schemas { plan.write_with_schema(&datum.value, out) } else { plan.write(&datum.value, out) }?;
        Ok(true)
    }

    /// Reads a datum; texts share the bytes.
    ///
    /// # Errors
    /// The bytes are not JSON, or do not fit their schema.
    pub fn read(&self, bytes: Option<&Bytes>) -> Result<Datum, FormatError> {
        const NONE: Datum = Datum { schema: None, value: Value::Null };
        let Some(bytes) = bytes else { return Ok(NONE) };
        if let Some(reader) = &self.content {
            let mut cursor = Cursor::new(bytes);
            if cursor.at_end() {
                return Ok(NONE);
            }
            return Ok(Datum { value: reader.read(&mut cursor)?, schema: Some(Arc::clone(&reader.schema)) });
        }
        if self.schemas {
            return self.envelopes.read(bytes);
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.at_end() {
            return Ok(NONE);
        }
        Ok(Datum { schema: None, value: cursor.value()? })
    }
}

impl JsonConverter {
    /// A value as the JSON that it is; none for a null.
    fn text(&self, bytes: &Bytes) -> Result<Option<Bytes>, FormatError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.at_end() {
            return Ok(None);
        }
        let (start, before) = (cursor.at(), cursor.blanks());
        cursor.skip()?;
        let text = bytes.slice(start..cursor.at());
        if cursor.blanks() == before {
            return Ok((text != b"null"[..]).then_some(text));
        }
        let mut compact = BytesMut::with_capacity(text.len());
        write_schemaless(&Cursor::new(&text).value()?, self.plans.style(), &mut compact)?;
        Ok(Some(compact.freeze()))
    }
}

fn content_error(error: &FormatError) -> ConnectorError {
    ConnectorError {
        class: ErrorClass::Config,
        code: "JSON-0001",
        message: format!("schema.content is not a schema as JsonConverter writes it: {error}"),
        source: None,
    }
}

#[async_trait]
impl Converter for JsonConverter {
    fn encode(&self, _: &str, datum: &Datum, _: &mut Headers, out: &mut BytesMut) -> Result<bool, EncodeError> {
        let start = out.len();
        self.write(datum, out).map_err(|error| {
            out.truncate(start);
            EncodeError::Record(error.at(self.stage))
        })
    }

    fn json_form(&self) -> Option<JsonForm> {
        let style = self.plans.style();
        Some(JsonForm {
            schemas: self.schemas,
            decimals_as_base64: style.decimal == DecimalStyle::Base64,
            nulls_take_defaults: style.replace_null_with_default,
        })
    }

    fn rows_alone(&self) -> Option<Arc<dyn Converter>> {
        if !self.schemas || self.content.is_some() {
            return None;
        }
        let plans = Plans::new(*self.plans.style(), self.cache);
        let envelopes = self.envelopes.rows_alone();
        Some(Arc::new(Self { stage: self.stage, schemas: true, plans, envelopes, content: None, cache: self.cache }))
    }

    fn reads_headers(&self) -> bool {
        false
    }

    fn reads_json_text(&self) -> bool {
        !self.schemas && self.content.is_none()
    }

    fn json_text(&self, bytes: &Bytes) -> Result<Option<Bytes>, DecodeError> {
        self.text(bytes).map_err(|error| DecodeError::Record(error.at(self.stage)))
    }

    fn decode(&self, _: &str, bytes: Option<&Bytes>, _: &Headers) -> Result<Datum, DecodeError> {
        self.read(bytes).map_err(|error| DecodeError::Record(error.at(self.stage)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_config::parse;

    fn converter(schemas: &str) -> JsonConverter {
        let properties = [("converter.type", "value"), ("schemas.enable", schemas)].into_iter().collect();
        JsonConverter::new(&parse(&properties).unwrap(), false).unwrap()
    }

    #[test]
    fn the_text_of_a_value_is_its_own_bytes_without_what_stands_around_them() {
        let converter = converter("false");
        let text = |bytes: &'static [u8]| converter.json_text(&Bytes::from_static(bytes)).map_err(|e| e.to_string());
        assert_eq!(text(br#" {"a":1.50,"b":"x y\n"} x"#), Ok(Some(Bytes::from_static(br#"{"a":1.50,"b":"x y\n"}"#))));
        assert_eq!(text(b"{\"a\": [1,\n 2]}"), Ok(Some(Bytes::from_static(b"{\"a\":[1,2]}"))));
        assert_eq!((text(b"null"), text(b" "), text(b"7")), (Ok(None), Ok(None), Ok(Some(Bytes::from_static(b"7")))));
        for bad in [&b"{\"a\":}"[..], b"{\"a\":1", b"\"\xff\"", b"[1,]"] {
            assert!(text(bad).is_err());
        }
    }

    #[test]
    fn of_change_events_only_the_row_is_read_where_nobody_looks_at_more() {
        let field = |name: &str, kind: &str| format!(r#"{{"type":"{kind}","optional":false,"field":"{name}"}}"#);
        let row = format!(r#"{{"type":"struct","optional":true,"field":"after","fields":[{}]}}"#, field("id", "int32"));
        let event = |name: &str| {
            let fields = [row.clone(), field("source", "string"), field("op", "string")].join(",");
            let schema = format!(r#"{{"type":"struct","name":"{name}","optional":false,"fields":[{fields}]}}"#);
            Bytes::from(format!(
                r#"{{"schema":{schema},"payload":{{"after":{{"id":7}},"source":"x","op":"c","more":[1,{{}}]}}}}"#
            ))
        };
        let (whole, rows) = (converter("true"), converter("true").rows_alone().unwrap());
        let read = |converter: &dyn Converter, name: &str| {
            let Value::Struct(read) = converter.decode("t", Some(&event(name)), &Headers::new()).unwrap().value else {
                panic!("no struct")
            };
            read.values
        };
        let (all, narrow) = (read(&whole, "s.t.Envelope"), read(&*rows, "s.t.Envelope"));
        assert_eq!((&narrow[0], &narrow[1], &narrow[2]), (&all[0], &Value::Null, &all[2]));
        assert_eq!(read(&*rows, "s.t.Value"), all, "what is no change event is read as a whole");
        assert!(converter("false").rows_alone().is_none());
    }

    #[test]
    fn values_with_schemas_have_no_text_of_their_own() {
        assert!(converter("false").reads_json_text() && !converter("true").reads_json_text());
    }
}

//! Records to the bytes of a file.
use crate::config::{Format, NullValues, SinkConfig};
use crate::error::bad;
use bytes::{BufMut, BytesMut};
use elasticflow_api::RecordError;
use elasticflow_api::config::{Properties, parse};
use elasticflow_api::data::{Datum, SchemaRef, Value};
use elasticflow_formats::json::{JsonConfig, JsonConverter};
use elasticflow_formats::string::write_text;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// Its bytes were appended.
    Written,
    /// It is left out, as configured.
    LeftOut,
}

/// Turns values into lines.
pub(crate) struct Encoder {
    format: Format,
    nulls: NullValues,
    stringify: bool,
    /// Values come as the JSON they are.
    as_text: bool,
    json: JsonConverter,
}

impl Encoder {
    /// As configured; the error is the reason.
    pub(crate) fn new(config: &SinkConfig, as_text: bool) -> Result<Self, String> {
        let properties = Properties::default()
            .with("converter.type", "value")
            .with("schemas.enable", "false")
            .with("decimal.format", config.decimal_format.word());
        let settings: JsonConfig = parse(&properties).map_err(|report| report.to_string())?;
        let json = JsonConverter::new(&settings, false).map_err(|error| error.message)?;
        Ok(Self { format: config.format, nulls: config.null_values, stringify: config.stringify, as_text, json })
    }

    /// Suffix of a file's name.
    pub(crate) fn suffix(&self) -> &'static str {
        match self.format {
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Text => "txt",
        }
    }

    /// The schema that every row of a file must have, where the format has one.
    pub(crate) fn file_schema<'a>(&self, value: &'a Datum) -> Option<&'a SchemaRef> {
        if self.format == Format::Csv { value.schema.as_ref() } else { None }
    }

    /// Appends what stands before the first record of a file.
    pub(crate) fn begin(&self, schema: Option<&SchemaRef>, out: &mut BytesMut) {
        if let (Format::Csv, Some(schema)) = (self.format, schema) {
            super::csv::header(schema, out);
        }
    }

    /// Appends a record's line; on an error nothing is appended.
    pub(crate) fn line(&self, value: &Datum, out: &mut BytesMut) -> Result<Encoded, RecordError> {
        if value.value == Value::Null {
            match self.nulls {
                NullValues::Fail => {
                    return Err(bad("the value is null; set behavior.on.null.values to ignore or write"));
                }
                NullValues::Ignore => return Ok(Encoded::LeftOut),
                NullValues::Write => {}
            }
        }
        let start = out.len();
        let written = match self.format {
            Format::Json => self.json_line(value, out),
            Format::Csv => super::csv::row(value, &self.json, out),
            Format::Text => self.text_line(value, out),
        };
        if let Err(error) = written {
            out.truncate(start);
            return Err(error);
        }
        out.put_u8(b'\n');
        Ok(Encoded::Written)
    }

    fn json_line(&self, value: &Datum, out: &mut BytesMut) -> Result<(), RecordError> {
        if let (true, Value::Bytes(text)) = (self.as_text, &value.value) {
            out.extend_from_slice(text);
            return Ok(());
        }
        let is_value =
            self.json.write(value, out).map_err(|error| bad(format!("not to be written as JSON: {error}")))?;
        if !is_value {
            out.extend_from_slice(b"null");
        }
        Ok(())
    }

    fn text_line(&self, value: &Datum, out: &mut BytesMut) -> Result<(), RecordError> {
        let mut owned = String::new();
        let line = match &value.value {
            Value::Null => "",
            Value::String(text) => text,
            other if self.stringify => {
                write_text(other, value.schema.as_deref(), &mut owned);
                &owned
            }
            _ => return Err(bad("the value is no text; set text.stringify=true or another format")),
        };
        if line.contains('\n') {
            return Err(bad(
                "the text holds a line feed, which a file of lines cannot express; use format json or csv",
            ));
        }
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }
}

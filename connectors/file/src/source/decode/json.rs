//! A line is a JSON value.
use super::Row;
use super::columns::KeyColumns;
use super::lines::{Line, NO_KEY, not_of_charset};
use super::text::Charset;
use bytes::Bytes;
use elasticflow_api::data::Value;
use elasticflow_formats::json::JsonConverter;
use std::sync::Arc;

/// A line is a JSON value, schemaless or of a schema.
pub(crate) struct JsonLine {
    charset: Charset,
    converter: Arc<JsonConverter>,
    key: Option<KeyColumns>,
}

impl JsonLine {
    /// Read by a converter, with a key made of fields if the values are structs.
    pub(crate) fn new(charset: Charset, converter: Arc<JsonConverter>, key: Option<KeyColumns>) -> Self {
        Self { charset, converter, key }
    }
}

impl Line for JsonLine {
    fn row(&mut self, line: Bytes) -> Result<Option<Row>, String> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let bytes = line.len();
        let line = if self.charset.is_utf8() {
            line
        } else {
            self.charset.text(line).ok_or_else(not_of_charset)?.into_bytes()
        };
        // The converter's own reason can quote the record.
        let value = self.converter.read(Some(&line)).map_err(|_| "not a JSON value that fits".to_owned())?;
        let key = match (&self.key, &value.value) {
            (Some(columns), Value::Struct(row)) => columns.key(&row.values),
            _ => NO_KEY,
        };
        Ok(Some(Row { key, value, bytes }))
    }
}

//! `StringConverter`: the text that Java's `toString` gives, whatever the schema.
use crate::calendar::{DAY_MS, civil_from_days};
use crate::decimal::decimal_text;
use crate::logical::{Logical, logical_of};
use crate::number;
use crate::raw::optional;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError};
use elasticflow_api::data::{Datum, Headers, Kind, Schema, SchemaRef, Text, Value};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use encoding_rs::Encoding;
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of `StringConverter`.
    pub struct StringConfig {
        /// Whether keys or values or headers are converted; set by the framework.
        "converter.type" => converter_type: String { importance: Low },
        /// Character set of the bytes, by its Java name.
        "converter.encoding" => encoding: String {
            default: "UTF-8", importance: High, width: Width::Medium, display: "Encoding"
        },
    }
}

/// `org.apache.kafka.connect.storage.StringConverter`.
pub struct StringConverter {
    charset: Charset,
    schema: SchemaRef,
}

#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    /// Java's ISO-8859-1 and US-ASCII, with the largest code they hold.
    Latin(u32),
    /// `mark`: writes a byte-order mark, as Java's plain `UTF-16` does.
    Utf16 {
        little: bool,
        mark: bool,
    },
    Other(&'static Encoding),
}

impl StringConverter {
    /// A converter of the configured character set. No record is ever bad for it.
    ///
    /// # Errors
    /// An unknown character set.
    pub fn new(config: &StringConfig) -> Result<Self> {
        let charset = charset(&config.encoding).ok_or_else(|| ConnectorError {
            class: ErrorClass::Config,
            code: "STRING-0001",
            message: format!("Unsupported encoding {}", config.encoding),
            source: None,
        })?;
        Ok(Self { charset, schema: optional(Kind::String) })
    }
}

fn charset(name: &str) -> Option<Charset> {
    Some(match name.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" => Charset::Utf8,
        "ISO-8859-1" | "ISO8859_1" | "LATIN1" => Charset::Latin(0xFF),
        "US-ASCII" | "ASCII" => Charset::Latin(0x7F),
        "UTF-16" => Charset::Utf16 { little: false, mark: true },
        "UTF-16BE" => Charset::Utf16 { little: false, mark: false },
        "UTF-16LE" => Charset::Utf16 { little: true, mark: false },
        _ => Charset::Other(Encoding::for_label(name.as_bytes())?),
    })
}

#[async_trait]
impl Converter for StringConverter {
    fn encode(&self, _: &str, datum: &Datum, _: &mut Headers, out: &mut BytesMut) -> Result<bool, EncodeError> {
        if datum.value == Value::Null {
            return Ok(false);
        }
        if let (Charset::Utf8, Value::String(text)) = (self.charset, &datum.value) {
            out.put_slice(text.as_bytes());
            return Ok(true);
        }
        let mut text = String::new();
        write_text(&datum.value, datum.schema.as_deref(), &mut text);
        write_charset(&text, self.charset, out);
        Ok(true)
    }

    fn decode(&self, _: &str, bytes: Option<&Bytes>, _: &Headers) -> Result<Datum, DecodeError> {
        let value = bytes.map_or(Value::Null, |bytes| Value::String(read_charset(bytes, self.charset)));
        Ok(Datum { schema: Some(Arc::clone(&self.schema)), value })
    }
}

fn write_charset(text: &str, charset: Charset, out: &mut BytesMut) {
    match charset {
        Charset::Utf8 => out.put_slice(text.as_bytes()),
        Charset::Latin(most) => {
            for character in text.chars() {
                let code = Some(u32::from(character)).filter(|code| *code <= most);
                out.put_u8(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(b'?'));
            }
        }
        Charset::Utf16 { little, mark } => {
            for unit in mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16()) {
                if little { out.put_u16_le(unit) } else { out.put_u16(unit) }
            }
        }
        Charset::Other(encoding) => out.put_slice(&encoding.encode(text).0),
    }
}

fn read_charset(bytes: &Bytes, charset: Charset) -> Text {
    match charset {
        Charset::Utf8 => {
            Text::try_from(bytes.clone()).unwrap_or_else(|_| String::from_utf8_lossy(bytes).as_ref().into())
        }
        Charset::Latin(0x7F) => {
            bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{FFFD}' }).collect::<String>().into()
        }
        Charset::Latin(_) => bytes.iter().copied().map(char::from).collect::<String>().into(),
        Charset::Utf16 { little, mark } => read_utf16(bytes, little, mark).into(),
        Charset::Other(encoding) => encoding.decode_without_bom_handling(bytes).0.as_ref().into(),
    }
}

fn read_utf16(bytes: &[u8], little: bool, mark: bool) -> String {
    let (bytes, little) = match bytes {
        [0xFE, 0xFF, rest @ ..] if mark => (rest, false),
        [0xFF, 0xFE, rest @ ..] if mark => (rest, true),
        _ => (bytes, little),
    };
    let encoding = if little { encoding_rs::UTF_16LE } else { encoding_rs::UTF_16BE };
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// Appends what Java's `toString` gives: `Struct{a=5,s=x}`, `{a=1, b=x}`, `[1, x, null]`. Bytes, for which Java gives an
/// address in memory, become base64.
pub fn write_text(value: &Value, schema: Option<&Schema>, out: &mut String) {
    match (schema.and_then(logical_of), value) {
        (Some(Logical::Decimal(scale)), Value::Bytes(bytes)) => {
            return out.push_str(&decimal_text(bytes, scale.unwrap_or(0)));
        }
        (Some(Logical::Date), Value::Int32(days)) => return write_java_date(i64::from(*days) * DAY_MS, out),
        (Some(Logical::Time), Value::Int32(ms)) => return write_java_date(i64::from(*ms), out),
        (Some(Logical::Timestamp), Value::Int64(ms)) => return write_java_date(*ms, out),
        _ => {}
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int8(n) => out.push_str(itoa::Buffer::new().format(*n)),
        Value::Int16(n) => out.push_str(itoa::Buffer::new().format(*n)),
        Value::Int32(n) => out.push_str(itoa::Buffer::new().format(*n)),
        Value::Int64(n) => out.push_str(itoa::Buffer::new().format(*n)),
        Value::Float32(n) => push(out, |bytes| number::write_f32(*n, bytes)),
        Value::Float64(n) => push(out, |bytes| number::write_f64(*n, bytes)),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => STANDARD.encode_string(bytes, out),
        Value::Array(values) => write_list(values, schema, out),
        Value::Map(entries) => write_map(entries, schema, out),
        Value::Struct(record) => {
            out.push_str("Struct{");
            let Kind::Struct(fields) = &record.schema.kind else { return out.push('}') };
            let mut first = true;
            for (field, value) in fields.iter().zip(&record.values).filter(|(_, value)| **value != Value::Null) {
                out.push_str(if first { "" } else { "," });
                first = false;
                out.push_str(&field.name);
                out.push('=');
                write_text(value, Some(&field.schema), out);
            }
            out.push('}');
        }
    }
}

fn write_list(values: &[Value], schema: Option<&Schema>, out: &mut String) {
    let item = match schema.map(|s| &s.kind) {
        Some(Kind::Array(item)) => Some(item.as_ref()),
        _ => None,
    };
    out.push('[');
    for (i, value) in values.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        write_text(value, item, out);
    }
    out.push(']');
}

fn write_map(entries: &[(Value, Value)], schema: Option<&Schema>, out: &mut String) {
    let (key_schema, value_schema) = match schema.map(|s| &s.kind) {
        Some(Kind::Map { key, value }) => (Some(key.as_ref()), Some(value.as_ref())),
        _ => (None, None),
    };
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        write_text(key, key_schema, out);
        out.push('=');
        write_text(value, value_schema, out);
    }
    out.push('}');
}

/// What the writers of numbers append is ASCII.
fn push(out: &mut String, write: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    write(&mut bytes);
    out.extend(bytes.into_iter().map(char::from));
}

/// `Sat Jan 08 00:00:00 UTC 2022`.
fn write_java_date(ms: i64, out: &mut String) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = civil_from_days(days);
    let weekday = usize::try_from(days.rem_euclid(7)).ok().and_then(|i| DAYS.get(i)).copied().unwrap_or_default();
    let month = MONTHS.get(usize::from(month.saturating_sub(1))).copied().unwrap_or_default();
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    out.push_str(&format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_as_java_prints_them() {
        let mut out = String::new();
        write_java_date(1_641_600_000_000, &mut out);
        assert_eq!(out, "Sat Jan 08 00:00:00 UTC 2022");
    }

    #[test]
    fn an_unknown_character_set_is_a_configuration_error() {
        let config = StringConfig { converter_type: "value".to_owned(), encoding: "nope".to_owned() };
        let error = StringConverter::new(&config).err().unwrap();
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Config, "Unsupported encoding nope"));
    }

    #[test]
    fn character_sets_write_and_read_what_they_hold() {
        for (name, text) in
            [("UTF-16", "é😀"), ("UTF-16LE", "é😀"), ("windows-1251", "жук"), ("GBK", "中文"), ("US-ASCII", "abc")]
        {
            let charset = charset(name).unwrap();
            let mut out = BytesMut::new();
            write_charset(text, charset, &mut out);
            assert_eq!(read_charset(&out.freeze(), charset), text, "{name}");
        }
    }
}

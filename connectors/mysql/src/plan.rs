//! From a column and the configuration: the schema of its field and the converter of its cells.
use crate::binlog::charset::Charset;
use crate::binlog::rows::Raw;
use crate::binlog::temporal::Civil;
use crate::column::{Column, Ty};
use crate::config::{BigintMode, CdcConfig, DecimalMode, TimeMode};
use crate::convert::{Converter, Out, Unit};
use crate::error::{Error, Result};
use bytes::Bytes;
use elasticflow_api::data::{Kind, Schema, Text, Value};
use elasticflow_cdc::schema::{Shape, field, of, structure};
use std::sync::Arc;

/// Schema and converter of a column; `name` is for messages.
///
/// # Errors
/// The type or the charset is not supported.
pub fn plan(column: &Column, config: &CdcConfig, name: &str) -> Result<(Schema, Converter)> {
    Ok(completed(column, config, form(column, config, name)?))
}

/// The same for a column of integers that is written as a boolean.
pub fn boolean(column: &Column, config: &CdcConfig) -> (Schema, Converter) {
    completed(column, config, (of(Kind::Boolean), Out::Bool))
}

fn completed(column: &Column, config: &CdcConfig, (schema, out): (Schema, Out)) -> (Schema, Converter) {
    let mut converter = Converter { out, zero: Value::Null, adjust_years: config.time_adjuster };
    let default = default_value(column, &converter);
    if !column.nullable {
        converter.zero = default.clone().unwrap_or_else(|| epoch_of(&converter.out));
    }
    (schema.nullable(column.nullable).or(default), converter)
}

/// A converter without loss, for comparing keys.
pub fn exact(column: &Column, name: &str) -> Result<Converter> {
    let (charset, fill) = match &column.ty {
        Ty::Text { charset, .. } => (charset_of(charset, name)?, 0),
        Ty::Binary { length } => (Charset::Binary, *length),
        Ty::Uuid | Ty::Inet6 => (Charset::Binary, 16),
        Ty::Inet4 => (Charset::Binary, 4),
        _ => (Charset::Binary, 0),
    };
    Ok(Converter { out: Out::Exact(charset, fill), zero: Value::Null, adjust_years: false })
}

fn charset_of(charset: &str, column: &str) -> Result<Charset> {
    Charset::named(charset).ok_or_else(|| Error::Charset { column: column.to_owned(), charset: charset.to_owned() })
}

fn logical(kind: Kind, name: &str) -> Schema {
    of(kind).named(name, 1)
}

fn form(column: &Column, config: &CdcConfig, name: &str) -> Result<(Schema, Out)> {
    Ok(match &column.ty {
        Ty::Int { bytes, unsigned } => integer(*bytes, *unsigned, config),
        Ty::Float { digits: None } => (of(Kind::Float32), Out::F32),
        Ty::Float { .. } | Ty::Double => (of(Kind::Float64), Out::F64),
        Ty::Decimal { precision, scale } => match config.decimal_mode {
            DecimalMode::Precise => (decimal(*precision, *scale), Out::Decimal { scale: *scale }),
            DecimalMode::String => (of(Kind::String), Out::DecimalText),
            DecimalMode::Double => (of(Kind::Float64), Out::F64),
        },
        Ty::Bit { bits: 1 } => (of(Kind::Boolean), Out::Bool),
        Ty::Bit { bits } => {
            (logical(Kind::Bytes, "io.debezium.data.Bits").with("length", &bits.to_string()), Out::Bits)
        }
        Ty::Text { charset, .. } if charset == "binary" => binary(config, 0),
        Ty::Text { charset, .. } => (of(Kind::String), Out::Text(charset_of(charset, name)?)),
        Ty::Binary { length } => binary(config, *length),
        Ty::Blob { .. } => binary(config, 0),
        Ty::Date => date(config.time_mode),
        Ty::Time { .. } => time(config.time_mode),
        Ty::DateTime { fsp } => datetime(config.time_mode, *fsp),
        Ty::Timestamp { fsp } => (logical(Kind::String, "io.debezium.time.ZonedTimestamp"), Out::Zoned(*fsp)),
        Ty::Year => (logical(Kind::Int32, "io.debezium.time.Year"), Out::I32),
        Ty::Enum { members } => (allowed("io.debezium.data.Enum", members), Out::Enum(texts(members))),
        Ty::Set { members } => (allowed("io.debezium.data.EnumSet", members), Out::Set(texts(members))),
        Ty::Json => (logical(Kind::String, "io.debezium.data.Json"), Out::Json),
        Ty::Point => {
            let mut schema = structure(vec![
                field("x", of(Kind::Float64)),
                field("y", of(Kind::Float64)),
                field("wkb", of(Kind::Bytes).nullable(true)),
                field("srid", of(Kind::Int32).nullable(true)),
            ])
            .named("io.debezium.data.geometry.Point", 1);
            schema.doc = Some(Arc::from("Geometry (POINT)"));
            let shared = Arc::new(schema.clone().nullable(column.nullable));
            (schema, Out::Point(shared))
        }
        Ty::Geometry => {
            let mut schema =
                structure(vec![field("wkb", of(Kind::Bytes)), field("srid", of(Kind::Int32).nullable(true))])
                    .named("io.debezium.data.geometry.Geometry", 1);
            schema.doc = Some(Arc::from("Geometry"));
            let shared = Arc::new(schema.clone().nullable(column.nullable));
            (schema, Out::Geometry(shared))
        }
        Ty::Vector => (logical(Kind::Array(Arc::new(of(Kind::Float32))), "io.debezium.data.FloatVector"), Out::Vector),
        Ty::Uuid => (logical(Kind::String, "io.debezium.data.Uuid"), Out::Uuid),
        Ty::Inet4 | Ty::Inet6 => (of(Kind::String), Out::Inet),
        Ty::Unknown => {
            return Err(Error::ColumnType { column: name.to_owned(), kind: column.declared.clone() });
        }
    })
}

fn integer(bytes: u8, unsigned: bool, config: &CdcConfig) -> (Schema, Out) {
    match (bytes, unsigned) {
        (1, _) | (2, false) => (of(Kind::Int16), Out::I16),
        (2 | 3, _) | (4, false) => (of(Kind::Int32), Out::I32),
        (8, true) if config.bigint_mode == BigintMode::Precise => (decimal(20, 0), Out::Decimal { scale: 0 }),
        _ => (of(Kind::Int64), Out::I64),
    }
}

fn decimal(precision: u8, scale: u8) -> Schema {
    logical(Kind::Bytes, "org.apache.kafka.connect.data.Decimal")
        .with("scale", &scale.to_string())
        .with("connect.decimal.precision", &precision.to_string())
}

fn binary(config: &CdcConfig, fill: usize) -> (Schema, Out) {
    use crate::config::BinaryMode;
    let kind = if config.binary_mode == BinaryMode::Bytes { Kind::Bytes } else { Kind::String };
    (of(kind), Out::Binary(config.binary_mode, fill))
}

fn date(mode: TimeMode) -> (Schema, Out) {
    match mode {
        TimeMode::Connect => (logical(Kind::Int32, "org.apache.kafka.connect.data.Date"), Out::Date { iso: false }),
        TimeMode::IsoString => (logical(Kind::String, "io.debezium.time.IsoDate"), Out::Date { iso: true }),
        TimeMode::Adaptive | TimeMode::Microseconds | TimeMode::Nanoseconds => {
            (logical(Kind::Int32, "io.debezium.time.Date"), Out::Date { iso: false })
        }
    }
}

fn time(mode: TimeMode) -> (Schema, Out) {
    match mode {
        TimeMode::Connect => (logical(Kind::Int32, "org.apache.kafka.connect.data.Time"), Out::Time(Unit::MilliOfDay)),
        TimeMode::IsoString => (logical(Kind::String, "io.debezium.time.IsoTime"), Out::Time(Unit::Iso)),
        TimeMode::Nanoseconds => (logical(Kind::Int64, "io.debezium.time.NanoTime"), Out::Time(Unit::Nano)),
        TimeMode::Adaptive | TimeMode::Microseconds => {
            (logical(Kind::Int64, "io.debezium.time.MicroTime"), Out::Time(Unit::Micro))
        }
    }
}

fn datetime(mode: TimeMode, fsp: u8) -> (Schema, Out) {
    let (kind, name, unit) = match mode {
        TimeMode::Connect => (Kind::Int64, "org.apache.kafka.connect.data.Timestamp", Unit::Milli),
        TimeMode::IsoString => (Kind::String, "io.debezium.time.IsoTimestamp", Unit::Iso),
        TimeMode::Nanoseconds => (Kind::Int64, "io.debezium.time.NanoTimestamp", Unit::Nano),
        TimeMode::Adaptive if fsp <= 3 => (Kind::Int64, "io.debezium.time.Timestamp", Unit::Milli),
        TimeMode::Adaptive | TimeMode::Microseconds => (Kind::Int64, "io.debezium.time.MicroTimestamp", Unit::Micro),
    };
    (logical(kind, name), Out::DateTime(unit))
}

/// Members in a parameter: a comma inside one is escaped, here alone.
fn allowed(name: &str, members: &[String]) -> Schema {
    let list = members.iter().map(|m| m.replace(',', "\\,")).collect::<Vec<_>>().join(",");
    logical(Kind::String, name).with("allowed", &list)
}

fn texts(members: &[String]) -> Arc<[Text]> {
    members.iter().map(|m| Text::from(m.as_str())).collect()
}

/// What stands for a zero date in a column without default that may not be null.
fn epoch_of(out: &Out) -> Value {
    match out {
        Out::Date { iso: false } => Value::Int32(0),
        Out::Date { iso: true } => Value::String(Text::from_static("1970-01-01Z")),
        Out::DateTime(Unit::Iso) | Out::Zoned(_) => Value::String(Text::from_static("1970-01-01T00:00:00Z")),
        _ => Value::Int64(0),
    }
}

fn default_value(column: &Column, converter: &Converter) -> Option<Value> {
    let text = column.default.as_deref()?;
    let temporal = matches!(column.ty, Ty::DateTime { .. } | Ty::Timestamp { .. });
    if temporal && text.to_ascii_lowercase().starts_with("current_timestamp") {
        return Some(epoch_of(&converter.out));
    }
    if column.default_is_expression {
        return None;
    }
    let bits;
    let raw = match &column.ty {
        Ty::Int { bytes: 8, unsigned: true } => Raw::UInt(text.parse().ok()?),
        Ty::Int { .. } | Ty::Year => Raw::Int(text.parse().ok()?),
        Ty::Float { digits: None } => Raw::F32(text.parse().ok()?),
        Ty::Float { .. } | Ty::Double => Raw::F64(text.parse().ok()?),
        Ty::Decimal { .. } => Raw::DecimalText(text),
        Ty::Bit { bits: n } => {
            bits = bit_literal(text, *n)?;
            Raw::Bits(&bits)
        }
        Ty::Date | Ty::DateTime { .. } => Raw::Civil(civil_of_text(text)?),
        Ty::Timestamp { .. } => Raw::Stamp(Some(civil_of_text(text).filter(|c| !c.is_zero())?.epoch_micros())),
        Ty::Time { .. } => Raw::Time(time_of_text(text)?),
        Ty::Binary { .. } | Ty::Blob { .. } => Raw::Bytes(bytes_literal(text)),
        _ => Raw::Utf8(Bytes::copy_from_slice(text.as_bytes())),
    };
    if let Raw::Civil(civil) = raw
        && civil.is_zero()
    {
        return None;
    }
    converter.convert(raw).ok()
}

/// `b'101'`, big endian.
fn bit_literal(text: &str, bits: u16) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("b'")?.strip_suffix('\'')?;
    let v = u64::from_str_radix(digits, 2).ok()?;
    let width = usize::from(bits.div_ceil(8)).min(8);
    v.to_be_bytes().get(8 - width..).map(<[u8]>::to_vec)
}

/// `0x6162` or plain text.
fn bytes_literal(text: &str) -> Bytes {
    let nibbles: Option<Vec<u8>> = text
        .strip_prefix("0x")
        .and_then(|hex| hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect());
    match nibbles {
        Some(n) => n.chunks(2).map(|pair| pair.iter().fold(0u8, |v, d| v << 4 | d)).collect::<Vec<u8>>().into(),
        None => Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn micros_of_fraction(text: &str) -> Option<i64> {
    let digits: String = text.chars().chain(std::iter::repeat('0')).take(6).collect();
    digits.parse().ok()
}

/// Microseconds of `-01:02:03.000456`.
pub fn time_of_text(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |t| (-1, t));
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(|p| p.trim().parse::<i64>());
    let (h, m, s) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(sign * ((h * 3600 + m * 60 + s) * 1_000_000 + micros_of_fraction(fraction)?))
}

/// `2024-02-29` with or without a time of day.
fn civil_of_text(text: &str) -> Option<Civil> {
    let (date, clock) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let mut parts = date.split('-').map(|p| p.parse::<i64>());
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(Civil { year, month, day, micros: time_of_text(clock)? })
}

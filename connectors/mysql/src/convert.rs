//! Cells as stored to values as the configuration wants them.
use crate::binlog::charset::{Charset, utf8};
use crate::binlog::decimal::{connect_bytes, unscaled_of_text};
use crate::binlog::rows::Raw;
use crate::binlog::temporal::{self, Civil, DAY};
use crate::binlog::{DecodeError, jsonb};
use crate::config::BinaryMode;
use base64::Engine as _;
use bytes::Bytes;
use elasticflow_api::data::{SchemaRef, Struct, Text, Value};
use std::sync::Arc;

/// Unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 32-bit milliseconds, Connect's Time.
    MilliOfDay,
    /// Milliseconds.
    Milli,
    /// Microseconds.
    Micro,
    /// Nanoseconds.
    Nano,
    /// ISO 8601 text.
    Iso,
}

/// The form a column takes in records.
#[derive(Debug, Clone)]
pub enum Out {
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Float.
    F32,
    /// Double.
    F64,
    /// Connect's Decimal.
    Decimal {
        /// Digits after the point.
        scale: u8,
    },
    /// Decimal as text.
    DecimalText,
    /// BIT(1), and integers that are taken as booleans: those above zero are true.
    Bool,
    /// BIT(n), little endian.
    Bits,
    /// Text of a charset.
    Text(Charset),
    /// Bytes, filled up with zeros to a length, in a form.
    Binary(BinaryMode, usize),
    /// DATE; the flag asks for text.
    Date {
        /// As ISO 8601 text.
        iso: bool,
    },
    /// TIME.
    Time(Unit),
    /// DATETIME.
    DateTime(Unit),
    /// TIMESTAMP with so many digits.
    Zoned(u8),
    /// ENUM.
    Enum(Arc<[Text]>),
    /// SET.
    Set(Arc<[Text]>),
    /// JSON.
    Json,
    /// POINT.
    Point(SchemaRef),
    /// Other geometries.
    Geometry(SchemaRef),
    /// Vector of floats.
    Vector,
    /// MariaDB's UUID.
    Uuid,
    /// MariaDB's INET4 and INET6.
    Inet,
    /// Without any loss, for comparing keys: charset and fill.
    Exact(Charset, usize),
}

/// Turns cells of one column into values.
#[derive(Debug, Clone)]
pub struct Converter {
    /// The form.
    pub out: Out,
    /// What stands for a zero date.
    pub zero: Value,
    /// Whether years below 100 are two-digit years.
    pub adjust_years: bool,
}

impl Converter {
    /// Converts a cell that is not null.
    ///
    /// # Errors
    /// The value does not fit the form, or its bytes are broken.
    #[inline]
    pub fn convert(&self, raw: Raw<'_>) -> Result<Value, DecodeError> {
        if let Out::Exact(charset, fill) = self.out {
            return exact(raw, charset, fill);
        }
        match raw {
            Raw::Int(v) => Ok(self.integer(v)),
            Raw::UInt(v) => Ok(self.unsigned(v)),
            Raw::F32(v) => Ok(match self.out {
                Out::F64 => Value::Float64(f64::from(v)),
                _ => Value::Float32(v),
            }),
            Raw::F64(v) => Ok(Value::Float64(v)),
            Raw::Utf8(bytes) => self.utf8(bytes),
            Raw::Bytes(bytes) => self.bytes(bytes),
            Raw::Slice(bytes) => self.bytes(Bytes::copy_from_slice(bytes)),
            Raw::Utf8Slice(bytes) => self.utf8(Bytes::copy_from_slice(bytes)),
            Raw::Civil(civil) => self.civil(civil),
            Raw::Stamp(stamp) => Ok(self.stamp(stamp)),
            Raw::Time(micros) => self.time(micros),
            Raw::Decimal(packed) => packed.checked().map(|packed| match self.out {
                Out::Decimal { scale } => match packed.unscaled() {
                    Some(v) => decimal(v),
                    None => big_decimal(&packed.text(), scale),
                },
                Out::F64 => Value::Float64(packed.text().parse().unwrap_or(f64::NAN)),
                _ => Value::String(Text::from(packed.text())),
            }),
            Raw::DecimalText(text) => Ok(match self.out {
                Out::Decimal { scale } => big_decimal(text, scale),
                Out::F64 => Value::Float64(text.parse().unwrap_or(f64::NAN)),
                _ => Value::String(Text::from(text)),
            }),
            Raw::Member(v) => Ok(self.member(v)),
            Raw::Bits(bytes) => Ok(match self.out {
                Out::Bool => Value::Boolean(bytes.iter().any(|b| *b != 0)),
                _ => Value::Bytes(bytes.iter().rev().copied().collect::<Vec<u8>>().into()),
            }),
            Raw::Json(data) => jsonb::text(data).map(|text| Value::String(Text::from(text))),
        }
    }

    #[inline]
    fn integer(&self, v: i64) -> Value {
        match self.out {
            Out::I16 => Value::Int16(truncated_i16(v)),
            Out::I32 => Value::Int32(truncated_i32(v)),
            Out::Decimal { .. } => decimal(i128::from(v)),
            Out::Bool => Value::Boolean(v > 0),
            _ => Value::Int64(v),
        }
    }

    fn unsigned(&self, v: u64) -> Value {
        match self.out {
            Out::Decimal { .. } => decimal(i128::from(v)),
            _ => Value::Int64(v.cast_signed()),
        }
    }

    fn utf8(&self, bytes: Bytes) -> Result<Value, DecodeError> {
        match &self.out {
            Out::Binary(mode, fill) => Ok(binary(bytes, *mode, *fill)),
            Out::Json => Ok(Value::String(Text::from(jsonb::without_blanks(&utf8(bytes))))),
            Out::Point(_) | Out::Geometry(_) | Out::Vector => self.bytes(bytes),
            _ => Ok(Value::String(utf8(bytes))),
        }
    }

    #[inline]
    fn bytes(&self, bytes: Bytes) -> Result<Value, DecodeError> {
        Ok(match &self.out {
            Out::Text(charset) => Value::String(charset.text(bytes)),
            Out::Binary(mode, fill) => binary(bytes, *mode, *fill),
            Out::Point(schema) => point(schema, &bytes)?,
            Out::Geometry(schema) => geometry(schema, &bytes)?,
            Out::Vector => {
                let floats = bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]));
                Value::Array(floats.map(Value::Float32).collect())
            }
            Out::Uuid => Value::String(Text::from(uuid_text(&filled(bytes, 16)))),
            Out::Inet => Value::String(Text::from(address(&bytes))),
            _ => Value::String(utf8(bytes)),
        })
    }

    fn civil(&self, civil: Civil) -> Result<Value, DecodeError> {
        if civil.is_zero() {
            return Ok(self.zero.clone());
        }
        let civil = if self.adjust_years { adjusted(civil) } else { civil };
        Ok(match self.out {
            Out::Date { iso: false } => Value::Int32(truncated_i32(civil.days())),
            Out::Date { iso: true } => {
                let mut text = String::with_capacity(11);
                temporal::day(civil.days(), &mut text);
                text.push('Z');
                Value::String(Text::from(text))
            }
            Out::DateTime(unit) => epoch(civil.epoch_micros(), unit),
            _ => return Err(DecodeError::UnknownType(12)),
        })
    }

    fn stamp(&self, micros: Option<i64>) -> Value {
        match (micros, &self.out) {
            (None, _) => self.zero.clone(),
            (Some(micros), Out::Zoned(fsp)) => Value::String(Text::from(temporal::zoned(micros, *fsp))),
            (Some(micros), _) => Value::Int64(micros),
        }
    }

    fn time(&self, micros: i64) -> Result<Value, DecodeError> {
        let Out::Time(unit) = self.out else { return Err(DecodeError::UnknownType(19)) };
        Ok(match unit {
            Unit::MilliOfDay if (0..DAY).contains(&micros) => Value::Int32(truncated_i32(micros / 1000)),
            Unit::Iso if (0..DAY).contains(&micros) => {
                let mut text = String::with_capacity(16);
                temporal::clock(micros, &mut text);
                iso_fraction(micros % 1_000_000, &mut text);
                Value::String(Text::from(text))
            }
            Unit::MilliOfDay | Unit::Iso => return Err(DecodeError::TimeOfDay),
            Unit::Milli => Value::Int64(micros.div_euclid(1000)),
            Unit::Micro => Value::Int64(micros),
            Unit::Nano => Value::Int64(micros * 1000),
        })
    }

    fn member(&self, v: u64) -> Value {
        let text = match &self.out {
            Out::Enum(members) => {
                let place = usize::try_from(v).unwrap_or(usize::MAX).checked_sub(1);
                place.and_then(|i| members.get(i)).cloned().unwrap_or_default()
            }
            Out::Set(members) => {
                let on = members.iter().take(64).enumerate().filter(|(i, _)| v >> i & 1 == 1);
                Text::from(on.map(|(_, m)| m.as_ref()).collect::<Vec<&str>>().join(","))
            }
            _ => Text::default(),
        };
        Value::String(text)
    }
}

fn truncated_i16(v: i64) -> i16 {
    i16::try_from(v).unwrap_or(if v < 0 { i16::MIN } else { i16::MAX })
}

fn truncated_i32(v: i64) -> i32 {
    i32::try_from(v).unwrap_or(if v < 0 { i32::MIN } else { i32::MAX })
}

fn decimal(v: i128) -> Value {
    Value::Bytes(connect_bytes(v).into())
}

fn big_decimal(text: &str, scale: u8) -> Value {
    unscaled_of_text(text, scale).map_or(Value::Null, |v| Value::Bytes(v.to_signed_bytes_be().into()))
}

fn filled(bytes: Bytes, length: usize) -> Bytes {
    if bytes.len() >= length {
        return bytes;
    }
    let mut all = bytes.to_vec();
    all.resize(length, 0);
    all.into()
}

fn binary(bytes: Bytes, mode: BinaryMode, fill: usize) -> Value {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let bytes = filled(bytes, fill);
    match mode {
        BinaryMode::Bytes => Value::Bytes(bytes),
        BinaryMode::Base64 => Value::String(Text::from(STANDARD.encode(&bytes))),
        BinaryMode::Base64Url => Value::String(Text::from(URL_SAFE.encode(&bytes))),
        BinaryMode::Hex => Value::String(Text::from(hex(&bytes))),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |v: u8| char::from_digit(u32::from(v), 16).unwrap_or('0');
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// SRID and WKB; an SRID of 0 is none.
fn spatial(bytes: &Bytes) -> Result<(Value, Bytes), DecodeError> {
    let srid = bytes.first_chunk::<4>().map(|c| i32::from_le_bytes(*c)).ok_or(DecodeError::Short)?;
    Ok((if srid == 0 { Value::Null } else { Value::Int32(srid) }, bytes.slice(4..)))
}

fn geometry(schema: &SchemaRef, bytes: &Bytes) -> Result<Value, DecodeError> {
    let (srid, wkb) = spatial(bytes)?;
    Ok(Value::Struct(Struct { schema: Arc::clone(schema), values: vec![Value::Bytes(wkb), srid] }))
}

fn point(schema: &SchemaRef, bytes: &Bytes) -> Result<Value, DecodeError> {
    let (srid, wkb) = spatial(bytes)?;
    let number = |at: usize| {
        let raw = wkb.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or(DecodeError::Short)?;
        let little = wkb.first() == Some(&1);
        Ok::<_, DecodeError>(Value::Float64(if little { f64::from_le_bytes(*raw) } else { f64::from_be_bytes(*raw) }))
    };
    let values = vec![number(5)?, number(13)?, Value::Bytes(wkb.clone()), srid];
    Ok(Value::Struct(Struct { schema: Arc::clone(schema), values }))
}

fn uuid_text(bytes: &[u8]) -> String {
    <[u8; 16]>::try_from(bytes).map_or_else(|_| hex(bytes), |raw| uuid::Uuid::from_bytes(raw).to_string())
}

fn address(bytes: &[u8]) -> String {
    // The log cuts trailing zeros; more than four bytes can only be version 6.
    let mut raw = [0u8; 16];
    raw.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    std::net::Ipv6Addr::from(raw).to_string()
}

/// Two-digit years: 70 to 99 are of the last century.
pub(crate) fn adjusted(mut civil: Civil) -> Civil {
    civil.year += match civil.year {
        0..=69 => 2000,
        70..=99 => 1900,
        _ => 0,
    };
    civil
}

fn epoch(micros: i64, unit: Unit) -> Value {
    match unit {
        Unit::Milli | Unit::MilliOfDay => Value::Int64(micros.div_euclid(1000)),
        Unit::Micro => Value::Int64(micros),
        Unit::Nano => Value::Int64(micros.saturating_mul(1000)),
        Unit::Iso => {
            let mut text = String::with_capacity(28);
            let (days, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
            temporal::day(days, &mut text);
            text.push('T');
            temporal::clock(of_day, &mut text);
            iso_fraction(of_day % 1_000_000, &mut text);
            Value::String(Text::from(text))
        }
    }
}

/// Fraction without trailing zeros, and `Z`.
fn iso_fraction(micros: i64, out: &mut String) {
    if micros > 0 {
        temporal::fraction_digits(micros, 6, out);
        let kept = out.trim_end_matches('0').len();
        out.truncate(kept);
    }
    out.push('Z');
}

/// A value that is equal exactly when the column's values are: both reads of a row must give the same.
fn exact(raw: Raw<'_>, charset: Charset, fill: usize) -> Result<Value, DecodeError> {
    Ok(match raw.owned() {
        Raw::Int(v) => Value::Int64(v),
        Raw::UInt(v) => Value::Int64(v.cast_signed()),
        Raw::F32(v) => Value::Int64(i64::from(v.to_bits())),
        Raw::F64(v) => Value::Int64(v.to_bits().cast_signed()),
        Raw::Decimal(packed) => Value::String(Text::from(packed.checked()?.text())),
        Raw::DecimalText(text) => Value::String(Text::from(text)),
        Raw::Civil(c) => Value::Int64(((c.year * 16 + c.month) * 32 + c.day) * DAY + c.micros),
        Raw::Time(v) => Value::Int64(v),
        Raw::Stamp(v) => Value::Int64(v.unwrap_or(i64::MIN)),
        Raw::Member(v) => Value::Int64(v.cast_signed()),
        Raw::Bits(b) => Value::Bytes(Bytes::copy_from_slice(b)),
        Raw::Utf8(bytes) if charset != Charset::Binary => Value::String(utf8(bytes)),
        Raw::Bytes(bytes) if charset != Charset::Binary => Value::String(charset.text(bytes)),
        Raw::Utf8(bytes) | Raw::Bytes(bytes) => Value::Bytes(filled(bytes, fill)),
        Raw::Slice(_) | Raw::Utf8Slice(_) | Raw::Json(_) => return Err(DecodeError::UnknownType(245)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converter(out: Out) -> Converter {
        Converter { out, zero: Value::Null, adjust_years: true }
    }

    #[test]
    fn sets_list_their_members_and_enum_zero_is_empty() {
        let members: Arc<[Text]> = ["p", "q", "r"].map(Text::from_static).into();
        let set = converter(Out::Set(Arc::clone(&members)));
        assert_eq!(set.convert(Raw::Member(5)).unwrap(), Value::String(Text::from_static("p,r")));
        let one = converter(Out::Enum(members));
        assert_eq!(one.convert(Raw::Member(0)).unwrap(), Value::String(Text::default()));
        assert_eq!(one.convert(Raw::Member(2)).unwrap(), Value::String(Text::from_static("q")));
    }

    #[test]
    fn short_binaries_are_filled_with_zeros() {
        let binary = converter(Out::Binary(BinaryMode::Hex, 3));
        assert_eq!(
            binary.convert(Raw::Bytes(Bytes::from_static(b"a"))).unwrap(),
            Value::String(Text::from_static("610000"))
        );
    }

    #[test]
    fn two_digit_years_are_adjusted() {
        let date = converter(Out::Date { iso: true });
        let civil = Civil { year: 1, month: 1, day: 2, micros: 0 };
        assert_eq!(date.convert(Raw::Civil(civil)).unwrap(), Value::String(Text::from_static("2001-01-02Z")));
    }
}

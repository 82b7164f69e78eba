//! Columns of a table as the database describes them, and their texts as Connect's values.
use super::config::NumericMapping;
use crate::calendar::{read_date, read_time, read_timestamp};
use crate::session::{TextRow, number, text};
use bytes::Bytes;
use elasticflow_api::data::{Kind, Schema, Text, Value};
use num_bigint::BigInt;

/// Connect's Decimal.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Connect's Date.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Connect's Time.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Connect's Timestamp.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// Digits that a whole number of 64 bits surely holds.
const INT64_DIGITS: u32 = 18;

/// A described column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Name.
    pub name: String,
    /// Type in the database's words, lower case.
    pub type_name: String,
    /// Whether it may be null.
    pub optional: bool,
    /// Place in the primary key, from 1; 0 is none.
    pub key_place: i64,
    /// Digits of an exact number.
    pub precision: Option<u32>,
    /// Digits after its point.
    pub scale: Option<i32>,
    /// Whether the database counts it up.
    pub counts_up: bool,
}

impl ColumnFacts {
    /// From a row of the catalogue: name, type, nullable, key place, precision, scale, counts up.
    pub fn read(row: &TextRow) -> Option<Self> {
        Some(Self {
            name: text(row, 0)?.to_owned(),
            type_name: text(row, 1)?.to_lowercase(),
            optional: number(row, 2) == Some(1),
            key_place: number(row, 3).unwrap_or(0),
            precision: number(row, 4).and_then(|n| u32::try_from(n).ok()),
            scale: number(row, 5).and_then(|n| i32::try_from(n).ok()),
            counts_up: number(row, 6) == Some(1),
        })
    }

    /// A schema of a kind for this column.
    pub fn schema(&self, kind: Kind, name: Option<&'static str>) -> Schema {
        Schema {
            kind,
            name: name.map(std::sync::Arc::from),
            version: name.map(|_| 1),
            optional: self.optional,
            default: None,
            doc: None,
            parameters: std::collections::BTreeMap::new(),
        }
    }

    /// The schema of an exact number.
    pub fn exact(&self, mapping: NumericMapping) -> Schema {
        let (precision, scale) = (self.precision.unwrap_or(u32::MAX), self.scale.unwrap_or(0));
        let whole = match precision {
            0..=2 => Kind::Int8,
            3..=4 => Kind::Int16,
            5..=9 => Kind::Int32,
            _ => Kind::Int64,
        };
        let fits = precision <= INT64_DIGITS;
        let kind = match mapping {
            NumericMapping::None => None,
            NumericMapping::BestFitEagerDouble if scale > 0 => Some(Kind::Float64),
            NumericMapping::BestFit if scale > 0 && fits => Some(Kind::Float64),
            _ => (scale == 0 && fits).then_some(whole),
        };
        match kind {
            Some(kind) => self.schema(kind, None),
            None => {
                let mut schema = self.schema(Kind::Bytes, Some(DECIMAL));
                schema.parameters.insert("scale".into(), scale.to_string().into());
                if let Some(precision) = self.precision {
                    schema.parameters.insert("connect.decimal.precision".into(), precision.to_string().into());
                }
                schema
            }
        }
    }
}

/// A column's text as a value of its schema; `None` when it does not fit, which is never passed over.
pub fn value_of(cell: Option<&Bytes>, schema: &Schema, bytes: fn(&Bytes) -> Option<Bytes>) -> Option<Value> {
    let Some(cell) = cell else { return schema.optional.then_some(Value::Null) };
    if schema.kind == Kind::Bytes && schema.name.is_none() {
        return bytes(cell).map(Value::Bytes);
    }
    if schema.kind == Kind::String {
        return Text::try_from(cell.clone()).ok().map(Value::String);
    }
    let text = std::str::from_utf8(cell).ok()?;
    let is_zero_date = schema.optional && text.starts_with("0000-00-00");
    match schema.name.as_deref() {
        Some(DATE | TIMESTAMP) if is_zero_date => Some(Value::Null),
        Some(DECIMAL) => unscaled(text, schema).map(Value::Bytes),
        Some(DATE) => read_date(text).and_then(|days| i32::try_from(days).ok()).map(Value::Int32),
        Some(TIME) => {
            let millis = read_time(text).filter(|us| (0..86_400_000_000).contains(us)).map(|us| us / 1000);
            millis.and_then(|ms| i32::try_from(ms).ok()).map(Value::Int32)
        }
        Some(TIMESTAMP) => read_timestamp(text).map(|us| Value::Int64(us.div_euclid(1000))),
        _ => plain(text, &schema.kind),
    }
}

fn plain(text: &str, kind: &Kind) -> Option<Value> {
    match kind {
        Kind::Int8 => text.parse().ok().map(Value::Int8),
        Kind::Int16 => text.parse().ok().map(Value::Int16),
        Kind::Int32 => text.parse().ok().map(Value::Int32),
        Kind::Int64 => text.parse().ok().map(Value::Int64),
        Kind::Float32 => text.parse().ok().map(Value::Float32),
        Kind::Float64 => text.parse().ok().map(Value::Float64),
        Kind::Boolean => match text {
            "t" | "true" | "1" => Some(Value::Boolean(true)),
            "f" | "false" | "0" => Some(Value::Boolean(false)),
            _ => None,
        },
        _ => None,
    }
}

/// Digits of a plain decimal text as Connect's big-endian bytes; more digits after the point than the scale do not fit.
fn unscaled(text: &str, schema: &Schema) -> Option<Bytes> {
    let scale: usize = schema.parameters.get("scale")?.parse().ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let padded = if fraction.len() <= scale {
        format!("{whole}{fraction:0<scale$}")
    } else {
        let (kept, cut) = fraction.split_at_checked(scale)?;
        if cut.bytes().any(|b| b != b'0') {
            return None;
        }
        format!("{whole}{kept}")
    };
    padded.parse::<BigInt>().ok().map(|n| Bytes::from(n.to_signed_bytes_be()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(precision: u32, scale: i32) -> ColumnFacts {
        ColumnFacts {
            name: "c".to_owned(),
            type_name: "decimal".to_owned(),
            optional: false,
            key_place: 0,
            precision: Some(precision),
            scale: Some(scale),
            counts_up: false,
        }
    }

    #[test]
    fn exact_numbers_become_what_the_mapping_says() {
        use NumericMapping::{BestFit, BestFitEagerDouble, None, PrecisionOnly};
        for (mapping, precision, scale, kind) in [
            (None, 5, 0, Kind::Bytes),
            (PrecisionOnly, 2, 0, Kind::Int8),
            (PrecisionOnly, 4, 0, Kind::Int16),
            (PrecisionOnly, 9, 0, Kind::Int32),
            (PrecisionOnly, 18, 0, Kind::Int64),
            (PrecisionOnly, 19, 0, Kind::Bytes),
            (PrecisionOnly, 5, 2, Kind::Bytes),
            (BestFit, 5, 2, Kind::Float64),
            (BestFit, 19, 2, Kind::Bytes),
            (BestFitEagerDouble, 19, 2, Kind::Float64),
        ] {
            assert_eq!(facts(precision, scale).exact(mapping).kind, kind, "{mapping:?} {precision} {scale}");
        }
    }

    #[test]
    fn a_zero_date_is_null_where_null_is_allowed_and_an_error_elsewhere() {
        let zero = Bytes::from_static(b"0000-00-00 00:00:00");
        let mut column = facts(0, 0);
        let read = |column: &ColumnFacts| {
            value_of(Some(&zero), &column.schema(Kind::Int64, Some(TIMESTAMP)), |b| Some(b.clone()))
        };
        assert_eq!(read(&column), None);
        column.optional = true;
        assert_eq!(read(&column), Some(Value::Null));
    }

    #[test]
    fn decimal_texts_become_unscaled_bytes_or_nothing() {
        let schema = facts(5, 2).exact(NumericMapping::None);
        let read = |t: &'static str| value_of(Some(&Bytes::from_static(t.as_bytes())), &schema, |b| Some(b.clone()));
        assert_eq!(read("12.34"), Some(Value::Bytes(Bytes::from_static(&[4, 210]))));
        assert_eq!(read("-0.01"), Some(Value::Bytes(Bytes::from_static(&[255]))));
        assert_eq!(read("12"), Some(Value::Bytes(Bytes::from_static(&[4, 176]))));
        assert_eq!(read("1.234"), None);
        assert_eq!(read("NaN"), None);
        assert_eq!(value_of(None, &schema, |b| Some(b.clone())), None);
    }
}

//! What names a generated record, and what tells whether it was changed.
use elasticflow_api::data::{Datum, Headers, Kind, Value};
use twox_hash::XxHash3_64;

/// Header with the number of the generator's task.
pub(crate) const TASK: &str = "ef.task";
/// Header with the number of the record.
pub(crate) const NUMBER: &str = "ef.n";
/// Header with the digest of the value, before it was converted.
pub(crate) const DIGEST: &str = "ef.digest";

/// The digest of a value: of what it says, not of how wide its numbers are, so that a converter may widen them. A converter
/// that loses types (plain JSON makes texts of bytes) changes it.
pub fn digest_of(value: &Value) -> i64 {
    let mut text = Vec::with_capacity(256);
    feed(value, &mut text);
    XxHash3_64::oneshot(&text).cast_signed()
}

fn feed(value: &Value, hash: &mut Vec<u8>) {
    let mut int = |n: i64| {
        hash.push(1);
        hash.extend_from_slice(&n.to_le_bytes());
    };
    match value {
        Value::Null => hash.push(0),
        Value::Int8(n) => int(i64::from(*n)),
        Value::Int16(n) => int(i64::from(*n)),
        Value::Int32(n) => int(i64::from(*n)),
        Value::Int64(n) => int(*n),
        Value::Float32(n) => double(f64::from(*n), hash),
        Value::Float64(n) => double(*n, hash),
        Value::Boolean(yes) => hash.extend_from_slice(&[3, u8::from(*yes)]),
        Value::String(text) => long(4, text.as_bytes(), hash),
        Value::Bytes(bytes) => long(5, bytes, hash),
        Value::Array(values) => {
            hash.push(6);
            hash.extend_from_slice(&(values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| feed(value, hash));
        }
        Value::Map(entries) => {
            hash.push(7);
            hash.extend_from_slice(&(entries.len() as u64).to_le_bytes());
            for (key, value) in entries {
                feed(key, hash);
                feed(value, hash);
            }
        }
        Value::Struct(value) => {
            hash.push(7);
            hash.extend_from_slice(&(value.values.len() as u64).to_le_bytes());
            let Kind::Struct(fields) = &value.schema.kind else { return };
            for (field, value) in fields.iter().zip(&value.values) {
                long(4, field.name.as_bytes(), hash);
                feed(value, hash);
            }
        }
    }
}

fn double(n: f64, hash: &mut Vec<u8>) {
    hash.push(2);
    hash.extend_from_slice(&n.to_bits().to_le_bytes());
}

fn long(kind: u8, bytes: &[u8], hash: &mut Vec<u8>) {
    hash.push(kind);
    hash.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    hash.extend_from_slice(bytes);
}

/// What the headers of a record say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) task: u32,
    pub(crate) n: u64,
    pub(crate) digest: Option<i64>,
}

impl Stamp {
    /// `None` where there is none.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        let number = |wanted: &str| {
            let (_, datum) = headers.iter().rev().find(|(name, _)| **name == *wanted)?;
            as_number(datum)
        };
        let (task, n) = (u32::try_from(number(TASK)?).ok()?, u64::try_from(number(NUMBER)?).ok()?);
        Some(Self { task, n, digest: number(DIGEST) })
    }
}

/// Header converters make what they like of a number.
fn as_number(datum: &Datum) -> Option<i64> {
    match &datum.value {
        Value::Int8(n) => Some(i64::from(*n)),
        Value::Int16(n) => Some(i64::from(*n)),
        Value::Int32(n) => Some(i64::from(*n)),
        Value::Int64(n) => Some(*n),
        Value::String(text) => text.parse().ok(),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        Value::Null
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::Boolean(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_) => None,
    }
}

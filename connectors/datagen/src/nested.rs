//! What an Avro schema can ask for beyond the quick notation.
use crate::fields::{Draw, FieldSpec, Place, letters, named, plain, schema_of};
use crate::pattern::Pattern;
use crate::random::Random;
use elasticflow_api::data::{Kind, Schema, SchemaRef, Struct, Value};
use std::sync::Arc;

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Nested {
    /// One of some values of a schema.
    Options(Arc<[Value]>, SchemaRef),
    /// A step further with each record; from the start again after so many, 0 for never.
    Iteration {
        start: i64,
        step: i64,
        count: u64,
        is_int: bool,
    },
    Pattern(Arc<Pattern>),
    Text(u64, u64),
    Bytes(u64, u64),
    /// A double with fewer digits.
    Float(Box<Draw>),
    /// A whole number that is a time.
    Time(Box<Draw>, &'static str),
    Record(Arc<[FieldSpec]>, SchemaRef),
    Array(Box<Draw>, u64, u64),
    Map(Box<Draw>, u64, u64),
}

impl Nested {
    /// A record in a record.
    pub(crate) fn record(name: &str, fields: Vec<FieldSpec>) -> Self {
        let schema = schema_of(&fields, name);
        Self::Record(fields.into(), schema)
    }

    pub(crate) fn schema(&self) -> Schema {
        match self {
            Self::Options(_, schema) | Self::Record(_, schema) => Schema::clone(schema),
            Self::Iteration { is_int: true, .. } => plain(Kind::Int32),
            Self::Iteration { .. } => plain(Kind::Int64),
            Self::Pattern(_) | Self::Text(..) => plain(Kind::String),
            Self::Bytes(..) => plain(Kind::Bytes),
            Self::Float(_) => plain(Kind::Float32),
            Self::Time(of, name) => named(of.schema().kind, name),
            Self::Array(item, ..) => plain(Kind::Array(Arc::new(item.schema()))),
            Self::Map(value, ..) => {
                plain(Kind::Map { key: Arc::new(plain(Kind::String)), value: Arc::new(value.schema()) })
            }
        }
    }

    pub(crate) fn value(&self, random: &mut Random, place: Place) -> Value {
        match self {
            Self::Options(all, _) => {
                let at = usize::try_from(random.below(all.len() as u64)).unwrap_or(0);
                all.get(at).cloned().unwrap_or(Value::Null)
            }
            Self::Iteration { start, step, count, is_int } => {
                let n = i64::try_from(place.n.checked_rem(*count).unwrap_or(place.n)).unwrap_or(i64::MAX);
                let value = start.wrapping_add(step.wrapping_mul(n));
                // One that counts on and on ends where its type does, and begins again there.
                #[expect(clippy::cast_possible_truncation, reason = "as an int counts")]
                if *is_int { Value::Int32(value as i32) } else { Value::Int64(value) }
            }
            Self::Pattern(pattern) => {
                let mut text = String::new();
                pattern.write(random, &mut text);
                Value::String(text.into())
            }
            Self::Text(least, most) => {
                let length = count(random, *least, *most);
                Value::String(letters(random, length).into())
            }
            Self::Bytes(least, most) => {
                let length = count(random, *least, *most);
                Value::Bytes((0..length).map(|_| random.next().to_le_bytes()[0]).collect())
            }
            Self::Float(of) => match of.value(random, place) {
                #[expect(clippy::cast_possible_truncation, reason = "a float has no more digits")]
                Value::Float64(n) => Value::Float32(n as f32),
                other => other,
            },
            Self::Time(of, _) => of.value(random, place),
            Self::Record(fields, schema) => {
                let values = fields.iter().map(|field| field.value(random, place)).collect();
                Value::Struct(Struct { schema: Arc::clone(schema), values })
            }
            Self::Array(item, least, most) => {
                let length = count(random, *least, *most);
                Value::Array((0..length).map(|_| item.value(random, place)).collect())
            }
            Self::Map(value, least, most) => {
                let length = count(random, *least, *most);
                let entry = |n: u64| (Value::String(format!("key{n}").into()), value.value(random, place));
                Value::Map((0..length).map(entry).collect())
            }
        }
    }
}

fn count(random: &mut Random, least: u64, most: u64) -> u64 {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    random.between(number(least), number(most)).unsigned_abs()
}

//! A schema made ready for reading values of it. The leniency is Connect's: numbers are cut to the width of the schema,
//! a wrong JSON type is zero, false or null where Jackson's accessors say so.
use crate::decimal::Written;
use crate::error::{FormatError, SerializationError};
use crate::java::type_name;
use crate::json::cursor::{Cursor, Malformed, Name, Token};
use crate::logical::{Logical, logical_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use elasticflow_api::data::{Field, Kind, SchemaRef, Struct, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Structs with more fields find members out of order by a map.
const FEW_FIELDS: usize = 16;

/// Connect's message for bytes that are not JSON.
pub(crate) const NOT_JSON: &str = "Converting byte[] to Kafka Connect data failed due to serialization error: ";

impl From<Malformed> for FormatError {
    fn from(malformed: Malformed) -> Self {
        Self::Serialization { message: NOT_JSON.to_owned(), cause: SerializationError(malformed.to_string()) }
    }
}

/// How values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadStyle {
    /// Whether a null takes the default of its schema.
    pub replace_null_with_default: bool,
    /// Whether maps whose keys are no texts are lists of `{"key":…,"value":…}`, and not of pairs.
    pub entries: bool,
    /// Name of structs that stand for the one field whose type a value has.
    pub one_of: Option<&'static str>,
}

impl ReadStyle {
    /// Connect's own.
    pub const CONNECT: Self = Self { replace_null_with_default: true, entries: false, one_of: None };
}

/// A schema made ready for reading.
pub struct Reader {
    pub(crate) schema: SchemaRef,
    replace_null: bool,
    shape: Shape,
}

enum Shape {
    Plain,
    Logical(Logical),
    Array(Box<Reader>),
    Object(Box<Reader>),
    Pairs(Box<(Reader, Reader)>),
    Entries(Box<(Reader, Reader)>),
    OneOf(Box<[Reader]>),
    /// Passed over: nobody looks at it.
    Passed,
    Struct {
        readers: Box<[Reader]>,
        fields: Arc<[Field]>,
        places: HashMap<Box<[u8]>, usize>,
    },
}

impl Reader {
    /// Prepares a schema.
    pub fn new(schema: &SchemaRef, style: ReadStyle) -> Self {
        let of = |schema: &SchemaRef| Self::new(schema, style);
        let shape = match &schema.kind {
            Kind::Array(item) => Shape::Array(Box::new(of(item))),
            Kind::Map { key, value } if key.kind == Kind::String => Shape::Object(Box::new(of(value))),
            Kind::Map { key, value } if style.entries => Shape::Entries(Box::new((of(key), of(value)))),
            Kind::Map { key, value } => Shape::Pairs(Box::new((of(key), of(value)))),
            Kind::Struct(fields) if style.one_of.is_some() && schema.name.as_deref() == style.one_of => {
                Shape::OneOf(fields.iter().map(|field| of(&field.schema)).collect())
            }
            Kind::Struct(fields) => Shape::Struct {
                readers: fields.iter().map(|field| of(&field.schema)).collect(),
                places: places_of(fields),
                fields: Arc::clone(fields),
            },
            _ => logical_of(schema).map_or(Shape::Plain, Shape::Logical),
        };
        Self { schema: Arc::clone(schema), replace_null: style.replace_null_with_default, shape }
    }

    /// Prepares a schema; of a change event only `op` and `after` are read, the other fields are null whatever they hold.
    pub(crate) fn of_events(schema: &SchemaRef, style: ReadStyle) -> Self {
        const READ: [&str; 2] = ["op", "after"];
        let mut reader = Self::new(schema, style);
        if let Shape::Struct { readers, fields, .. } = &mut reader.shape
            && schema.is_envelope()
            && READ.iter().all(|name| fields.iter().any(|field| *field.name == **name))
        {
            for (reader, field) in readers.iter_mut().zip(fields.iter()) {
                if !READ.contains(&&*field.name) {
                    reader.shape = Shape::Passed;
                }
            }
        }
        reader
    }

    /// Reads the next value.
    ///
    /// # Errors
    /// The bytes are not JSON, or do not fit the schema.
    pub fn read(&self, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
        let token = cursor.token()?;
        if token == Token::Null && !matches!(self.shape, Shape::Passed) {
            cursor.null()?;
            return self.absent();
        }
        match &self.shape {
            Shape::Plain => self.read_plain(token, cursor),
            Shape::Logical(logical) => read_logical(*logical, token, cursor),
            Shape::Array(item) => read_array(item, token, cursor),
            Shape::Object(values) => read_object(values, token, cursor),
            Shape::Pairs(readers) => read_pairs(readers, token, cursor),
            Shape::Entries(readers) => super::alternative::read_entries(readers, token, cursor),
            Shape::Passed => Ok(cursor.skip().map(|()| Value::Null)?),
            Shape::OneOf(readers) => super::alternative::read_one_of(&self.schema, readers, token, cursor),
            Shape::Struct { readers, fields, places } => {
                let values = read_members(readers, fields, places, token, cursor)?;
                Ok(Value::Struct(Struct { schema: Arc::clone(&self.schema), values }))
            }
        }
    }

    /// Whether a value of this kind can be one of the schema.
    pub(super) fn takes(&self, token: Token, integral: bool) -> bool {
        match &self.schema.kind {
            Kind::Boolean => token == Token::Boolean,
            Kind::String => token == Token::String,
            Kind::Bytes => token == Token::String || matches!(self.shape, Shape::Logical(_)) && token == Token::Number,
            Kind::Float32 | Kind::Float64 => token == Token::Number,
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => token == Token::Number && integral,
            Kind::Array(_) => token == Token::Array,
            Kind::Map { key, .. } => token == if key.kind == Kind::String { Token::Object } else { Token::Array },
            Kind::Struct(_) => token == Token::Object,
        }
    }

    /// What a null or a missing member is.
    fn absent(&self) -> Result<Value, FormatError> {
        match &self.schema.default {
            Some(default) if self.replace_null => Ok(default.clone()),
            _ if self.schema.optional => Ok(Value::Null),
            _ => Err(FormatError::data(format!(
                "Invalid null value for required {} field",
                type_name(&self.schema.kind)
            ))),
        }
    }

    fn read_plain(&self, token: Token, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
        match &self.schema.kind {
            Kind::String => match token {
                Token::String => Ok(Value::String(cursor.text()?)),
                _ => Ok(cursor.skip().map(|()| Value::Null)?),
            },
            Kind::Bytes => match token {
                Token::String => base64(cursor, "Invalid bytes field").map(Value::Bytes),
                _ => Ok(cursor.skip().map(|()| Value::Null)?),
            },
            Kind::Boolean => match token {
                Token::Boolean => Ok(Value::Boolean(cursor.boolean()?)),
                _ => Ok(cursor.skip().map(|()| Value::Boolean(false))?),
            },
            Kind::Float32 => Ok(Value::Float32(float(token, cursor, |number| number.f32())?)),
            Kind::Float64 => Ok(Value::Float64(float(token, cursor, |number| number.f64())?)),
            kind => Ok(integer_of(kind, integer(token, cursor)?)),
        }
    }
}

fn places_of(fields: &[Field]) -> HashMap<Box<[u8]>, usize> {
    if fields.len() <= FEW_FIELDS {
        return HashMap::new();
    }
    fields.iter().enumerate().map(|(i, field)| (field.name.as_bytes().into(), i)).collect()
}

fn float<T: Default>(
    token: Token,
    cursor: &mut Cursor<'_>,
    of: impl Fn(crate::json::cursor::Number<'_>) -> T,
) -> Result<T, FormatError> {
    match token {
        Token::Number => Ok(of(cursor.number()?)),
        _ => Ok(cursor.skip().map(|()| T::default())?),
    }
}

fn integer(token: Token, cursor: &mut Cursor<'_>) -> Result<i64, FormatError> {
    match token {
        Token::Number => Ok(cursor.number()?.wrapping_i64()),
        _ => Ok(cursor.skip().map(|()| 0)?),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Connect cuts a number to the width of its schema")]
fn integer_of(kind: &Kind, n: i64) -> Value {
    match kind {
        Kind::Int8 => Value::Int8(n as i8),
        Kind::Int16 => Value::Int16(n as i16),
        Kind::Int32 => Value::Int32(n as i32),
        _ => Value::Int64(n),
    }
}

fn base64(cursor: &mut Cursor<'_>, problem: &'static str) -> Result<Bytes, FormatError> {
    let text = cursor.text()?;
    STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(|_| FormatError::data(problem))
}

fn read_logical(logical: Logical, token: Token, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    match logical {
        Logical::Decimal(scale) => read_decimal(scale, token, cursor),
        Logical::Date => Ok(integer_of(&Kind::Int32, counted("Date", "integer", token, cursor)?)),
        Logical::Time => {
            let ms = counted("Time", "integer", token, cursor)?;
            if !(0..crate::calendar::DAY_MS).contains(&ms) {
                return Err(FormatError::data(
                    "Time values must use number of milliseconds greater than 0 and less than 86400000",
                ));
            }
            Ok(integer_of(&Kind::Int32, ms))
        }
        Logical::Timestamp => Ok(Value::Int64(counted("Timestamp", "integral", token, cursor)?)),
    }
}

fn counted(name: &str, wanted: &str, token: Token, cursor: &mut Cursor<'_>) -> Result<i64, FormatError> {
    if token == Token::Number {
        let number = cursor.number()?;
        if number.integral {
            return Ok(number.wrapping_i64());
        }
    }
    Err(FormatError::data(format!(
        "Invalid type for {name}, underlying representation should be {wanted} but was {}",
        node_type(token)
    )))
}

fn read_decimal(scale: Option<i32>, token: Token, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    const INVALID: &str = "Invalid bytes for Decimal field";
    let scale = scale.ok_or_else(|| FormatError::data(INVALID))?;
    match token {
        Token::String => base64(cursor, INVALID).map(Value::Bytes),
        Token::Number => {
            let number = cursor.number()?;
            let bytes = Written::parse(number.text).and_then(|written| written.at_scale(scale));
            bytes.map(Value::Bytes).ok_or_else(|| {
                FormatError::data(format!(
                    "Invalid number for Decimal field: it does not fit the schema's scale {scale}"
                ))
            })
        }
        _ => Err(FormatError::data(format!(
            "Invalid type for Decimal, underlying representation should be numeric or bytes but was {}",
            node_type(token)
        ))),
    }
}

fn read_array(item: &Reader, token: Token, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    let mut values = Vec::new();
    match token {
        Token::Array => cursor.array(|cursor| {
            values.push(item.read(cursor)?);
            Ok::<_, FormatError>(())
        })?,
        Token::Object => cursor.skip()?,
        _ => {
            return Err(FormatError::data(format!(
                "Arrays should be encoded as JSON arrays, but found {}",
                node_type(token)
            )));
        }
    }
    Ok(Value::Array(values))
}

fn read_object(values: &Reader, token: Token, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    if token != Token::Object {
        return Err(FormatError::data(format!(
            "Maps with string fields should be encoded as JSON objects, but found {}",
            node_type(token)
        )));
    }
    let mut entries = Vec::new();
    cursor.object(|cursor, name| {
        entries.push((Value::String(name.owned(cursor)?), values.read(cursor)?));
        Ok::<_, FormatError>(())
    })?;
    Ok(Value::Map(crate::json::members::last_of_each(entries)))
}

fn read_pairs(readers: &(Reader, Reader), token: Token, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    if token != Token::Array {
        return Err(FormatError::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {}",
            node_type(token)
        )));
    }
    let mut entries = Vec::new();
    cursor.array(|cursor| {
        let token = cursor.token()?;
        if token != Token::Array {
            return Err(FormatError::data(format!(
                "Found invalid map entry instead of array tuple: {}",
                node_type(token)
            )));
        }
        let mut pair = (None, None);
        let mut size = 0;
        cursor.array(|cursor| {
            match size {
                0 => pair.0 = Some(readers.0.read(cursor)?),
                1 => pair.1 = Some(readers.1.read(cursor)?),
                _ => cursor.skip()?,
            }
            size += 1;
            Ok::<_, FormatError>(())
        })?;
        match pair {
            (Some(key), Some(value)) if size == 2 => entries.push((key, value)),
            _ => {
                return Err(FormatError::data(format!("Found invalid map entry, expected length 2 but found :{size}")));
            }
        }
        Ok(())
    })?;
    Ok(Value::Map(entries))
}

fn read_members(
    readers: &[Reader],
    fields: &[Field],
    places: &HashMap<Box<[u8]>, usize>,
    token: Token,
    cursor: &mut Cursor<'_>,
) -> Result<Vec<Value>, FormatError> {
    if token != Token::Object {
        return Err(FormatError::data(format!(
            "Structs should be encoded as JSON objects, but found {}",
            node_type(token)
        )));
    }
    let mut values: Vec<Value> = std::iter::repeat_with(|| Value::Null).take(readers.len()).collect();
    let mut next = 0;
    cursor.object(|cursor, name| {
        let Some(place) = place_of(name, next, fields, places, cursor)? else {
            return Ok(cursor.skip()?);
        };
        if let (Some(reader), Some(value)) = (readers.get(place), values.get_mut(place)) {
            *value = reader.read(cursor)?;
        }
        next = place + 1;
        Ok::<_, FormatError>(())
    })?;
    for (value, reader) in values.iter_mut().zip(readers) {
        let has_other = !reader.schema.optional || reader.schema.default.is_some();
        if matches!(value, Value::Null) && has_other && !matches!(reader.shape, Shape::Passed) {
            *value = reader.absent()?;
        }
    }
    Ok(values)
}

/// Members mostly come in the order of the schema: the next field is tried first.
fn place_of(
    name: &Name,
    next: usize,
    fields: &[Field],
    places: &HashMap<Box<[u8]>, usize>,
    cursor: &Cursor<'_>,
) -> Result<Option<usize>, FormatError> {
    let mut owned = None;
    let bytes = name.bytes(cursor, &mut owned)?;
    if fields.get(next).is_some_and(|field| field.name.as_bytes() == bytes) {
        return Ok(Some(next));
    }
    if fields.len() > FEW_FIELDS {
        return Ok(places.get(bytes).copied());
    }
    Ok(fields.iter().position(|field| field.name.as_bytes() == bytes))
}

/// Jackson's name of a kind of JSON value.
pub(super) fn node_type(token: Token) -> &'static str {
    match token {
        Token::Null => "NULL",
        Token::Boolean => "BOOLEAN",
        Token::Number => "NUMBER",
        Token::String => "STRING",
        Token::Array => "ARRAY",
        Token::Object => "OBJECT",
    }
}

//! Protobuf to values, by their plan.
use crate::protobuf::binary::{Cursor, I32, I64, LEN, VARINT, unzigzag};
use crate::protobuf::model::Scalar;
use crate::protobuf::reader::{Part, Plan, Read};
use bytes::Bytes;
use elasticflow_api::data::{Kind, SchemaRef, Struct, Text, Value};
use elasticflow_formats::FormatError;
use elasticflow_formats::calendar::days_from_civil;
use elasticflow_formats::decimal::Written;
use num_bigint::BigInt;
use std::sync::Arc;

/// Values that a message may hold for each of its bytes: empty messages inside it have fields all the same.
const VALUES_PER_BYTE: usize = 64;
/// Values that every message may hold.
const VALUES_MIN: usize = 65_536;

/// Reads a message.
pub(crate) fn read(schema: &SchemaRef, plan: &Plan, body: Bytes) -> Result<Value, FormatError> {
    let mut room = body.len().saturating_mul(VALUES_PER_BYTE).saturating_add(VALUES_MIN);
    message(schema, plan, body, &mut room)
}

fn message(schema: &SchemaRef, plan: &Plan, body: Bytes, room: &mut usize) -> Result<Value, FormatError> {
    let Some(left) = room.checked_sub(plan.absent.len()) else {
        return Err(FormatError::data("the message holds more empty messages than it can"));
    };
    *room = left;
    let mut values = plan.absent.clone();
    let mut cursor = Cursor::new(body);
    while !cursor.at_end() {
        let (number, wire) = cursor.tag()?;
        match plan.by_number.get(&number) {
            Some(part) => field(part, wire, &mut values, (&mut cursor, room))?,
            None => cursor.skip(wire)?,
        }
    }
    Ok(Value::Struct(Struct { schema: Arc::clone(schema), values }))
}

type Rest<'a> = (&'a mut Cursor, &'a mut usize);

fn field(part: &Part, wire: u32, values: &mut [Value], (cursor, room): Rest<'_>) -> Result<(), FormatError> {
    let Some(slot) = values.get_mut(part.slot) else { return cursor.skip(wire) };
    if !part.repeated {
        let read = value(&part.read, wire, cursor, room)?;
        *slot = match &part.union {
            None => read,
            Some((schema, place)) => in_union(schema, *place, read),
        };
        return Ok(());
    }
    if let Read::Entry(parts) = &part.read {
        let pair = entry(parts, cursor.slice()?, room)?;
        if let Value::Map(entries) = slot {
            // The last of equal keys counts.
            entries.retain(|(key, _)| *key != pair.0);
            entries.push(pair);
        }
        return Ok(());
    }
    let Value::Array(items) = slot else { return cursor.skip(wire) };
    if wire == LEN && is_packable(&part.read) {
        let mut packed = Cursor::new(cursor.slice()?);
        while !packed.at_end() {
            items.push(value(&part.read, wire_of(&part.read), &mut packed, room)?);
        }
        return Ok(());
    }
    items.push(value(&part.read, wire, cursor, room)?);
    Ok(())
}

fn in_union(schema: &SchemaRef, place: usize, read: Value) -> Value {
    let count = match &schema.kind {
        Kind::Struct(fields) => fields.len(),
        _ => 0,
    };
    let mut values: Vec<Value> = std::iter::repeat_with(|| Value::Null).take(count).collect();
    if let Some(field) = values.get_mut(place) {
        *field = read;
    }
    Value::Struct(Struct { schema: Arc::clone(schema), values })
}

fn entry(parts: &[(Read, Value); 2], body: Bytes, room: &mut usize) -> Result<(Value, Value), FormatError> {
    let [(key, no_key), (of, no_value)] = parts;
    let (mut pair, mut cursor) = ((no_key.clone(), no_value.clone()), Cursor::new(body));
    while !cursor.at_end() {
        match cursor.tag()? {
            (1, wire) => pair.0 = value(key, wire, &mut cursor, room)?,
            (2, wire) => pair.1 = value(of, wire, &mut cursor, room)?,
            (_, wire) => cursor.skip(wire)?,
        }
    }
    Ok(pair)
}

fn is_packable(read: &Read) -> bool {
    !matches!(wire_of(read), LEN)
}

fn wire_of(read: &Read) -> u32 {
    match read {
        Read::Scalar(scalar) | Read::Int8(scalar) | Read::Int16(scalar) => scalar_wire(*scalar),
        Read::Enum(_) => VARINT,
        _ => LEN,
    }
}

/// The wire type of a plain type.
pub(crate) fn scalar_wire(scalar: Scalar) -> u32 {
    match scalar {
        Scalar::Fixed32 | Scalar::Sfixed32 | Scalar::Float => I32,
        Scalar::Fixed64 | Scalar::Sfixed64 | Scalar::Double => I64,
        Scalar::String | Scalar::Bytes => LEN,
        _ => VARINT,
    }
}

fn value(read: &Read, wire: u32, cursor: &mut Cursor, room: &mut usize) -> Result<Value, FormatError> {
    if wire != wire_of(read) {
        return cursor.fail("a field has another wire type than its schema");
    }
    Ok(match read {
        Read::Scalar(of) => scalar(*of, cursor)?,
        Read::Int8(of) => match integer(*of, cursor)?.try_into() {
            Ok(n) => Value::Int8(n),
            Err(_) => return cursor.fail("a number is longer than 8 bits"),
        },
        Read::Int16(of) => match integer(*of, cursor)?.try_into() {
            Ok(n) => Value::Int16(n),
            Err(_) => return cursor.fail("a number is longer than 16 bits"),
        },
        Read::Enum(texts) => match texts.get(&low32(cursor.varint()?)) {
            Some(text) => Value::String(text.clone()),
            None => return cursor.fail("an enum has no such number"),
        },
        Read::Message(schema, plan) => message(schema, plan, cursor.slice()?, room)?,
        Read::Wrapped(inner) => inner_value(inner, cursor.slice()?)?,
        Read::Decimal(scale) => decimal(*scale, cursor.slice()?)?,
        Read::Date => date(&numbers::<3>(cursor.slice()?)?)?,
        Read::Time => time(&numbers::<4>(cursor.slice()?)?)?,
        Read::Timestamp => timestamp(&numbers::<2>(cursor.slice()?)?)?,
        Read::Entry(_) => return cursor.fail("an entry of a map stands alone"),
    })
}

fn scalar(of: Scalar, cursor: &mut Cursor) -> Result<Value, FormatError> {
    Ok(match of {
        Scalar::Float => Value::Float32(f32::from_le_bytes(cursor.array()?)),
        Scalar::Double => Value::Float64(f64::from_le_bytes(cursor.array()?)),
        Scalar::Bool => Value::Boolean(cursor.varint()? != 0),
        Scalar::Bytes => Value::Bytes(cursor.slice()?),
        Scalar::String => match Text::try_from(cursor.slice()?) {
            Ok(text) => Value::String(text),
            Err(_) => return cursor.fail("a text that is not UTF-8"),
        },
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => {
            let n = integer(of, cursor)?;
            Value::Int32(i32::try_from(n).unwrap_or_default())
        }
        _ => Value::Int64(integer(of, cursor)?),
    })
}

fn integer(of: Scalar, cursor: &mut Cursor) -> Result<i64, FormatError> {
    Ok(match of {
        Scalar::Int32 => i64::from(low32(cursor.varint()?)),
        Scalar::Uint32 => i64::from(low32(cursor.varint()?).cast_unsigned()),
        Scalar::Sint32 => i64::from(low32(unzigzag(cursor.varint()?).cast_unsigned())),
        Scalar::Sint64 => unzigzag(cursor.varint()?),
        Scalar::Fixed32 => i64::from(u32::from_le_bytes(cursor.array()?)),
        Scalar::Sfixed32 => i64::from(i32::from_le_bytes(cursor.array()?)),
        Scalar::Fixed64 | Scalar::Sfixed64 => i64::from_le_bytes(cursor.array()?),
        _ => cursor.varint()?.cast_signed(),
    })
}

/// The lowest 32 bits, as Protobuf reads numbers that are too long.
fn low32(n: u64) -> i32 {
    let [a, b, c, d, ..] = n.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn inner_value(read: &Read, body: Bytes) -> Result<Value, FormatError> {
    let mut cursor = Cursor::new(body);
    let kind = match read {
        Read::Int8(_) => Kind::Int8,
        Read::Int16(_) => Kind::Int16,
        Read::Scalar(Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32) => Kind::Int32,
        Read::Scalar(Scalar::Float) => Kind::Float32,
        Read::Scalar(Scalar::Double) => Kind::Float64,
        Read::Scalar(Scalar::Bool) => Kind::Boolean,
        Read::Scalar(Scalar::String) => Kind::String,
        Read::Scalar(Scalar::Bytes) => Kind::Bytes,
        _ => Kind::Int64,
    };
    let schema = elasticflow_api::data::Schema {
        kind,
        name: None,
        version: None,
        optional: false,
        default: None,
        doc: None,
        parameters: std::collections::BTreeMap::new(),
    };
    let mut found = super::reader::zero(read, &schema);
    while !cursor.at_end() {
        match cursor.tag()? {
            (1, wire) => found = value(read, wire, &mut cursor, &mut 0)?,
            (_, wire) => cursor.skip(wire)?,
        }
    }
    Ok(found)
}

/// Numbers of the fields 1 to `N`; the others are passed over.
fn numbers<const N: usize>(body: Bytes) -> Result<[i64; N], FormatError> {
    let (mut found, mut cursor) = ([0; N], Cursor::new(body));
    while !cursor.at_end() {
        let (number, wire) = cursor.tag()?;
        let place = usize::try_from(number).unwrap_or(0).wrapping_sub(1);
        match found.get_mut(place) {
            Some(slot) if wire == VARINT => *slot = cursor.varint()?.cast_signed(),
            _ => cursor.skip(wire)?,
        }
    }
    Ok(found)
}

fn decimal(scale: i32, body: Bytes) -> Result<Value, FormatError> {
    let (mut unscaled, mut own, mut cursor) = (Bytes::new(), 0, Cursor::new(body));
    while !cursor.at_end() {
        match cursor.tag()? {
            (1, LEN) => unscaled = cursor.slice()?,
            (3, VARINT) => own = low32(cursor.varint()?),
            (_, wire) => cursor.skip(wire)?,
        }
    }
    if own == scale && !unscaled.is_empty() {
        return Ok(Value::Bytes(unscaled));
    }
    let written = Written { unscaled: BigInt::from_signed_bytes_be(&unscaled), scale: own };
    written.at_scale(scale).map(Value::Bytes).ok_or_else(|| {
        FormatError::data(format!("a decimal of scale {own} does not fit the scale {scale} of its schema"))
    })
}

fn out_of_range(what: &str) -> FormatError {
    FormatError::data(format!("{what} is out of range"))
}

fn date([year, month, day]: &[i64; 3]) -> Result<Value, FormatError> {
    if !(1..=9999).contains(year) || !(1..=12).contains(month) || !(1..=31).contains(day) {
        return Err(out_of_range("a date"));
    }
    i32::try_from(days_from_civil(*year, *month, *day)).map(Value::Int32).map_err(|_| out_of_range("a date"))
}

fn time([hours, minutes, seconds, nanos]: &[i64; 4]) -> Result<Value, FormatError> {
    let fits = (0..24).contains(hours) && (0..60).contains(minutes) && (0..60).contains(seconds);
    if !fits || !(0..1_000_000_000).contains(nanos) {
        return Err(out_of_range("a time of day"));
    }
    let ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + nanos / 1_000_000;
    i32::try_from(ms).map(Value::Int32).map_err(|_| out_of_range("a time of day"))
}

fn timestamp([seconds, nanos]: &[i64; 2]) -> Result<Value, FormatError> {
    let ms = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(nanos.div_euclid(1_000_000)));
    ms.map(Value::Int64).ok_or_else(|| out_of_range("a timestamp"))
}

//! The notation of fields, and what is drawn for them.
//!
//! A record is a list `name:kind`, separated by commas; a kind may have arguments: `id:seq, pick:one(a,b,c),
//! note:nullable(text(3,12),0.1)`.
use crate::nested::Nested;
use crate::random::Random;
use crate::words::{CITIES, DOMAINS, FIRST_NAMES, LAST_NAMES, WORDS};
use bytes::Bytes;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Text, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
/// Most bytes of a generated text.
pub(crate) const TEXT_MAX: u64 = 1 << 20;
/// Most values of `zipf`: their weights are kept.
const ZIPF_MAX: u64 = 1_000_000;
/// Deepest nesting of kinds.
const DEPTH_MAX: u32 = 8;

/// A field of a generated record.
#[derive(Debug, Clone)]
pub(crate) struct FieldSpec {
    pub(crate) name: Arc<str>,
    kind: Draw,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Draw {
    Seq,
    Task,
    Uuid,
    Int(i64, i64),
    Long(i64, i64),
    Double(f64, f64),
    Bool(f64),
    Decimal {
        scale: u32,
        least: i64,
        most: i64,
    },
    Letters(u64),
    Bytes(u64),
    One(Arc<[Text]>),
    /// Cumulated weights.
    Zipf(Arc<[f64]>),
    Now,
    Timestamp {
        start_ms: i64,
        step_ms: i64,
    },
    Name,
    Email,
    City,
    Words(i64, i64),
    Json,
    Nullable(Box<Draw>, f64),
    /// Of an Avro schema.
    Nested(Nested),
}

/// The record that is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) task: u32,
    pub(crate) n: u64,
    pub(crate) now_ms: i64,
}

/// Reads the notation.
///
/// # Errors
/// What is wrong and where.
pub(crate) fn parse(text: &str) -> Result<Vec<FieldSpec>, String> {
    let mut fields: Vec<FieldSpec> = Vec::new();
    for part in split(text)?.into_iter().filter(|part| !part.is_empty()) {
        let (name, kind) = part.split_once(':').ok_or_else(|| format!("field {part}: write it as name:kind"))?;
        let name = name.trim();
        if name.is_empty() || fields.iter().any(|field| &*field.name == name) {
            return Err(format!("field {name:?}: a name must be there and be used once"));
        }
        let kind = draw(kind.trim(), DEPTH_MAX).map_err(|problem| format!("field {name}: {problem}"))?;
        fields.push(FieldSpec { name: name.into(), kind });
    }
    if fields.is_empty() {
        return Err("there must be at least one field".to_owned());
    }
    Ok(fields)
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a closing parenthesis without its opening one")?,
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("an opening parenthesis without its closing one".to_owned());
    }
    parts.push(text.get(start..).unwrap_or_default().trim());
    Ok(parts)
}

fn draw(text: &str, depth: u32) -> Result<Draw, String> {
    let depth = depth.checked_sub(1).ok_or("nested too deeply")?;
    let (name, inner) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or("a closing parenthesis is missing")?),
        None => (text, ""),
    };
    let args: Vec<&str> = split(inner)?.into_iter().filter(|arg| !arg.is_empty()).collect();
    match (name, args.as_slice()) {
        ("seq", []) => Ok(Draw::Seq),
        ("task", []) => Ok(Draw::Task),
        ("uuid", []) => Ok(Draw::Uuid),
        ("now", []) => Ok(Draw::Now),
        ("name", []) => Ok(Draw::Name),
        ("email", []) => Ok(Draw::Email),
        ("city", []) => Ok(Draw::City),
        ("json", []) => Ok(Draw::Json),
        ("bool", []) => Ok(Draw::Bool(0.5)),
        ("bool", [share]) => Ok(Draw::Bool(number(share)?)),
        ("int", [least, most]) => {
            let (least, most) = range(number::<i32>(least)?.into(), number::<i32>(most)?.into())?;
            Ok(Draw::Int(least, most))
        }
        ("long", [least, most]) => range(number(least)?, number(most)?).map(|(least, most)| Draw::Long(least, most)),
        ("double", [least, most]) => Ok(Draw::Double(number(least)?, number(most)?)),
        ("decimal", [scale, least, most]) => decimal(number(scale)?, number(least)?, number(most)?),
        ("string", [length]) => Ok(Draw::Letters(length_of(length)?)),
        ("bytes", [length]) => Ok(Draw::Bytes(length_of(length)?)),
        ("one", [_, ..]) => Ok(Draw::One(args.iter().map(|arg| Text::from(*arg)).collect())),
        ("zipf", [count, exponent]) => zipf(number(count)?, number(exponent)?),
        ("timestamp", [start, step]) => Ok(Draw::Timestamp { start_ms: date_ms(start)?, step_ms: duration_ms(step)? }),
        ("text", [least, most]) => {
            range(number(least)?, number(most)?).map(|(least, most)| Draw::Words(least, most.min(10_000)))
        }
        ("nullable", [inner, share]) => Ok(Draw::Nullable(Box::new(draw(inner, depth)?), number(share)?)),
        _ => Err(format!(
            "kind {text} is not known; there are seq, task, uuid, int(a,b), long(a,b), double(a,b), decimal(scale,a,b), bool(p), \
             string(n), bytes(n), one(a,b,..), zipf(n,s), now, timestamp(yyyy-MM-dd,1s), name, email, city, text(a,b), json, \
             nullable(kind,p)"
        )),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number of the kind that is needed"))
}

fn range(least: i64, most: i64) -> Result<(i64, i64), String> {
    if least <= most { Ok((least, most)) } else { Err(format!("{least} is more than {most}")) }
}

fn length_of(text: &str) -> Result<u64, String> {
    let length = number(text)?;
    if length <= TEXT_MAX { Ok(length) } else { Err(format!("{length} bytes are more than {TEXT_MAX}")) }
}

fn decimal(scale: u32, least: i64, most: i64) -> Result<Draw, String> {
    let factor = 10_i64.checked_pow(scale).ok_or("the scale is more than 18")?;
    let grown = |n: i64| n.checked_mul(factor).ok_or("the bounds are too large for this scale");
    let (least, most) = range(grown(least)?, grown(most)?)?;
    Ok(Draw::Decimal { scale, least, most })
}

#[expect(clippy::cast_precision_loss, reason = "weights need no more than they get")]
pub(crate) fn zipf(count: u64, exponent: f64) -> Result<Draw, String> {
    if !(1..=ZIPF_MAX).contains(&count) || !exponent.is_finite() || exponent < 0.0 {
        return Err(format!("zipf needs 1 to {ZIPF_MAX} values and an exponent of at least 0"));
    }
    let mut sum = 0.0;
    let cumulated = (1..=count).map(|rank| {
        sum += (rank as f64).powf(-exponent);
        sum
    });
    Ok(Draw::Zipf(cumulated.collect()))
}

/// Milliseconds of `yyyy-MM-dd`.
fn date_ms(text: &str) -> Result<i64, String> {
    let problem = || format!("{text} is not a date like 2026-01-31");
    let parts: Vec<i64> = text.split('-').map(|part| part.parse().map_err(|_| problem())).collect::<Result<_, _>>()?;
    let [year, month, day] = parts.as_slice() else { return Err(problem()) };
    if !(1970..=9999).contains(year) || !(1..=12).contains(month) || !(1..=31).contains(day) {
        return Err(problem());
    }
    Ok(elasticflow_formats::calendar::days_from_civil(*year, *month, *day) * 86_400_000)
}

/// Milliseconds of `500ms`, `1s`, `2m`, `1h`, `1d`.
fn duration_ms(text: &str) -> Result<i64, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let found = units.iter().find_map(|(unit, ms)| text.strip_suffix(unit)?.parse::<i64>().ok()?.checked_mul(*ms));
    found.ok_or_else(|| format!("{text} is not a duration like 500ms, 1s, 2m, 1h, 1d"))
}

/// The schema of records with these fields.
pub(crate) fn schema_of(fields: &[FieldSpec], name: &str) -> SchemaRef {
    let of = |field: &FieldSpec| Field { name: Arc::clone(&field.name), schema: Arc::new(field.kind.schema()) };
    let fields: Vec<Field> = fields.iter().map(of).collect();
    Arc::new(Schema { name: Some(name.into()), ..plain(Kind::Struct(fields.into())) })
}

pub(crate) fn plain(kind: Kind) -> Schema {
    Schema { kind, name: None, version: None, optional: false, default: None, doc: None, parameters: BTreeMap::new() }
}

pub(crate) fn named(kind: Kind, name: &str) -> Schema {
    Schema { name: Some(name.into()), version: Some(1), ..plain(kind) }
}

impl FieldSpec {
    /// A field.
    pub(crate) fn new(name: &str, kind: Draw) -> Self {
        Self { name: name.into(), kind }
    }

    /// Draws a value.
    pub(crate) fn value(&self, random: &mut Random, place: Place) -> Value {
        self.kind.value(random, place)
    }
}

impl Draw {
    pub(crate) fn schema(&self) -> Schema {
        match self {
            Self::Seq | Self::Long(..) => plain(Kind::Int64),
            Self::Task | Self::Int(..) | Self::Zipf(_) => plain(Kind::Int32),
            Self::Double(..) => plain(Kind::Float64),
            Self::Bool(_) => plain(Kind::Boolean),
            Self::Bytes(_) => plain(Kind::Bytes),
            Self::Decimal { scale, .. } => {
                let mut schema = named(Kind::Bytes, DECIMAL);
                schema.parameters.insert("scale".into(), scale.to_string().into());
                schema
            }
            Self::Now | Self::Timestamp { .. } => named(Kind::Int64, TIMESTAMP),
            Self::Nullable(inner, _) => Schema { optional: true, ..inner.schema() },
            Self::Nested(nested) => nested.schema(),
            Self::Uuid
            | Self::Letters(_)
            | Self::One(_)
            | Self::Name
            | Self::Email
            | Self::City
            | Self::Words(..)
            | Self::Json => plain(Kind::String),
        }
    }

    pub(crate) fn value(&self, random: &mut Random, place: Place) -> Value {
        match self {
            Self::Nested(nested) => nested.value(random, place),
            Self::Seq => Value::Int64(i64::try_from(place.n).unwrap_or(i64::MAX)),
            Self::Task => Value::Int32(i32::try_from(place.task).unwrap_or(i32::MAX)),
            Self::Uuid => Value::String(uuid(random).into()),
            Self::Int(least, most) => Value::Int32(i32::try_from(random.between(*least, *most)).unwrap_or(0)),
            Self::Long(least, most) => Value::Int64(random.between(*least, *most)),
            Self::Double(least, most) => Value::Float64(least + (most - least) * random.unit()),
            Self::Bool(share) => Value::Boolean(random.unit() < *share),
            Self::Decimal { least, most, .. } => Value::Bytes(unscaled(random.between(*least, *most))),
            Self::Letters(length) => Value::String(letters(random, *length).into()),
            Self::Bytes(length) => Value::Bytes((0..*length).map(|_| random.next().to_le_bytes()[0]).collect()),
            Self::One(choices) => {
                let at = usize::try_from(random.below(choices.len() as u64)).unwrap_or(0);
                choices.get(at).cloned().map_or(Value::Null, Value::String)
            }
            Self::Zipf(cumulated) => {
                let target = random.unit() * cumulated.last().copied().unwrap_or(0.0);
                Value::Int32(i32::try_from(cumulated.partition_point(|sum| *sum <= target)).unwrap_or(i32::MAX))
            }
            Self::Now => Value::Int64(place.now_ms),
            Self::Timestamp { start_ms, step_ms } => {
                let n = i64::try_from(place.n).unwrap_or(i64::MAX);
                Value::Int64(start_ms.saturating_add(step_ms.saturating_mul(n)))
            }
            Self::City => Value::String(Text::from_static(random.one(CITIES).unwrap_or_default())),
            Self::Name => {
                let (first, last) =
                    (random.one(FIRST_NAMES).unwrap_or_default(), random.one(LAST_NAMES).unwrap_or_default());
                Value::String(format!("{first} {last}").into())
            }
            Self::Email => {
                let (name, domain) =
                    (random.one(FIRST_NAMES).unwrap_or_default(), random.one(DOMAINS).unwrap_or_default());
                Value::String(format!("{}.{}@{domain}", name.to_lowercase(), random.below(10_000)).into())
            }
            Self::Words(least, most) => Value::String(words(random, *least, *most).into()),
            Self::Json => {
                let word = random.one(WORDS).unwrap_or_default();
                Value::String(format!("{{\"{word}\":{},\"n\":{}}}", random.below(1000), place.n).into())
            }
            Self::Nullable(inner, share) => {
                // The value is drawn all the same, so that the fields after it do not depend on this one.
                let null = random.unit() < *share;
                let value = inner.value(random, place);
                if null { Value::Null } else { value }
            }
        }
    }
}

fn uuid(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    let high = high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000;
    let low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
    let text = format!("{high:016x}{low:016x}");
    let mut out = String::with_capacity(36);
    for (at, character) in text.char_indices() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(character);
    }
    out
}

pub(crate) fn letters(random: &mut Random, length: u64) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut out = String::new();
    let (mut bits, mut left) = (0_u64, 0);
    for _ in 0..length {
        if left == 0 {
            (bits, left) = (random.next(), 10);
        }
        out.push(char::from(LETTERS[(bits & 63) as usize]));
        bits >>= 6;
        left -= 1;
    }
    out
}

fn words(random: &mut Random, least: i64, most: i64) -> String {
    let mut out = String::new();
    for i in 0..random.between(least, most) {
        let word = random.one(WORDS).unwrap_or_default();
        // Writing into a text cannot fail.
        let _ = write!(out, "{}{word}", if i > 0 { " " } else { "" });
    }
    out
}

/// The shortest two's complement.
fn unscaled(n: i64) -> Bytes {
    let bytes = n.to_be_bytes();
    let sign = if n < 0 { 0xFF } else { 0 };
    let superfluous = |pair: &[u8]| matches!(pair, [first, second] if *first == sign && (second ^ sign) & 0x80 == 0);
    let start = bytes.windows(2).take_while(|pair| superfluous(pair)).count();
    Bytes::copy_from_slice(bytes.get(start..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_the_field() {
        for (text, problem) in [
            ("", "at least one field"),
            ("a", "name:kind"),
            ("a:seq,a:seq", "used once"),
            ("a:nope", "field a: kind nope is not known"),
            ("a:int(5,1)", "5 is more than 1"),
            ("a:int(1", "closing one"),
            ("a:int(1))", "opening one"),
            ("a:int(x,2)", "x is not a number"),
            ("a:int(1,3000000000)", "not a number of the kind"),
            ("a:string(99999999)", "more than"),
            ("a:timestamp(soon,1s)", "not a date"),
            ("a:timestamp(2026-01-01,1w)", "not a duration"),
            ("a:zipf(0,1)", "zipf needs"),
            ("a:decimal(30,0,1)", "scale"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
        let deep = format!("a:{}seq{}", "nullable(".repeat(20), ",0.5)".repeat(20));
        assert!(parse(&deep).unwrap_err().contains("nested"));
    }

    #[test]
    fn every_value_is_of_the_type_that_its_schema_declares() {
        let all = "a:seq,b:task,c:uuid,d:int(-5,5),e:long(1,9),f:double(0,1),g:bool,h:decimal(2,-9,9),i:string(3),j:bytes(4),k:one(x,y),\
                   l:zipf(10,1),m:now,n:timestamp(2026-01-01,1s),o:name,p:email,q:city,r:text(1,3),s:json,t:nullable(int(1,2),0.5)";
        let fields = parse(all).unwrap();
        let schema = schema_of(&fields, "r");
        let plan = elasticflow_formats::json::Plan::new(&schema, &elasticflow_formats::json::Style::CONNECT).unwrap();
        for n in 0..200 {
            let mut random = Random::of_record(1, 0, n);
            let place = Place { task: 0, n, now_ms: 5 };
            let values = fields.iter().map(|field| field.value(&mut random, place)).collect();
            let value = Value::Struct(elasticflow_api::data::Struct { schema: Arc::clone(&schema), values });
            plan.write(&value, &mut bytes::BytesMut::new()).unwrap();
        }
    }

    #[test]
    fn unscaled_bytes_are_the_shortest() {
        for (n, bytes) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (-1, vec![255]),
            (-128, vec![128]),
            (-129, vec![255, 127]),
        ] {
            assert_eq!(unscaled(n).to_vec(), bytes, "{n}");
        }
    }

    #[test]
    fn zipf_prefers_small_numbers() {
        let fields = parse("a:zipf(100,1.2)").unwrap();
        let mut counts = [0_u32; 100];
        for n in 0..10_000 {
            let place = Place { task: 0, n, now_ms: 0 };
            let Value::Int32(drawn) = fields[0].value(&mut Random::of_record(9, 0, n), place) else { panic!("no int") };
            counts[usize::try_from(drawn).unwrap()] += 1;
        }
        assert!(counts[0] > counts[9] && counts[9] > counts[99], "{counts:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_notation_is_read_or_refused(text in r"[a-z:(),0-9. -]{0,60}") {
            let _ = parse(&text);
        }
    }
}

//! The text of a header to a value.
use crate::calendar::{DAY_MS, days_from_civil};
use crate::decimal::Written;
use crate::logical::{DATE, DECIMAL, TIME, TIMESTAMP};
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use num_bigint::BigInt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deepest nesting of lists and maps; deeper texts stay texts.
const DEPTH_MAX: u32 = 64;
/// Most digits that an exact integer is looked for in: those of the largest int64.
const INTEGER_DIGITS: i64 = 19;

/// A value and what is known of its type.
#[derive(Debug, Clone)]
struct Parsed {
    value: Value,
    schema: Option<SchemaRef>,
}

/// Reads the text of a header; what fits no rule is a STRING.
pub fn parse(text: &str) -> Datum {
    let parsed = match text {
        "null" => return Datum { schema: None, value: Value::Null },
        "true" | "false" => Some(plain(Value::Boolean(text == "true"), Kind::Boolean)),
        _ => temporal(text).or_else(|| number(text.trim())).or_else(|| container(text)),
    };
    let parsed = parsed.unwrap_or_else(|| plain(Value::String(text.into()), Kind::String));
    Datum { schema: parsed.schema, value: parsed.value }
}

fn schema(kind: Kind, name: Option<&str>) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: name.map(Arc::from),
        version: name.map(|_| 1),
        optional: false,
        default: None,
        doc: None,
        parameters: BTreeMap::new(),
    })
}

fn plain(value: Value, kind: Kind) -> Parsed {
    Parsed { value, schema: Some(schema(kind, None)) }
}

/// Numbers at a fixed place of a text; `None` if one of the characters is no digit.
fn digits(text: &str, range: std::ops::Range<usize>) -> Option<i64> {
    text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

fn marks(text: &str, expected: &[(usize, u8)]) -> bool {
    expected.iter().all(|(at, mark)| text.as_bytes().get(*at) == Some(mark))
}

/// `12:34:56.789Z`, `2020-01-02T03:04:05.678Z`, `2020-01-02`; fields out of range carry over.
fn temporal(text: &str) -> Option<Parsed> {
    match text.len() {
        10 => {
            let days = i32::try_from(date(text)?).ok()?;
            Some(Parsed { value: Value::Int32(days), schema: Some(schema(Kind::Int32, Some(DATE))) })
        }
        13 => {
            let ms = i32::try_from(time(text)?).ok()?;
            Some(Parsed { value: Value::Int32(ms), schema: Some(schema(Kind::Int32, Some(TIME))) })
        }
        24 => {
            let (day, rest) = text.split_once('T')?;
            let ms = date(day)? * DAY_MS + time(rest)?;
            Some(Parsed { value: Value::Int64(ms), schema: Some(schema(Kind::Int64, Some(TIMESTAMP))) })
        }
        _ => None,
    }
}

fn date(text: &str) -> Option<i64> {
    if text.len() != 10 || !marks(text, &[(4, b'-'), (7, b'-')]) {
        return None;
    }
    Some(days_from_civil(digits(text, 0..4)?, digits(text, 5..7)?, digits(text, 8..10)?))
}

fn time(text: &str) -> Option<i64> {
    if text.len() != 13 || !marks(text, &[(2, b':'), (5, b':'), (8, b'.'), (12, b'Z')]) {
        return None;
    }
    let seconds = (digits(text, 0..2)? * 60 + digits(text, 3..5)?) * 60 + digits(text, 6..8)?;
    Some(seconds * 1000 + digits(text, 9..12)?)
}

/// The smallest type that holds the number.
fn number(text: &str) -> Option<Parsed> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-') {
        return None;
    }
    let written = Written::parse(text)?;
    if let Some(n) = exact_integer(&written) {
        return Some(integer(n));
    }
    if written.scale != 0 {
        let float: f32 = text.parse().ok()?;
        if float.is_finite() {
            return Some(plain(Value::Float32(float), Kind::Float32));
        }
        let double: f64 = text.parse().ok()?;
        if double.is_finite() {
            return Some(plain(Value::Float64(double), Kind::Float64));
        }
    }
    Some(decimal(&written))
}

fn exact_integer(written: &Written) -> Option<i64> {
    let digits = i64::try_from(written.unscaled.magnitude().to_string().len()).ok()?;
    if digits - i64::from(written.scale) > INTEGER_DIGITS {
        return None;
    }
    let whole = BigInt::from_signed_bytes_be(&written.at_scale(0)?);
    i64::try_from(whole).ok()
}

fn integer(n: i64) -> Parsed {
    if let Ok(n) = i8::try_from(n) {
        plain(Value::Int8(n), Kind::Int8)
    } else if let Ok(n) = i16::try_from(n) {
        plain(Value::Int16(n), Kind::Int16)
    } else if let Ok(n) = i32::try_from(n) {
        plain(Value::Int32(n), Kind::Int32)
    } else {
        plain(Value::Int64(n), Kind::Int64)
    }
}

fn decimal(written: &Written) -> Parsed {
    let mut schema = Schema {
        kind: Kind::Bytes,
        name: Some(DECIMAL.into()),
        version: Some(1),
        optional: false,
        default: None,
        doc: None,
        parameters: BTreeMap::new(),
    };
    schema.parameters.insert("scale".into(), written.scale.to_string().into());
    Parsed { value: Value::Bytes(written.unscaled.to_signed_bytes_be().into()), schema: Some(Arc::new(schema)) }
}

/// A list or a map that is the whole text.
fn container(text: &str) -> Option<Parsed> {
    let mut scanner = Scanner { rest: text, depth: DEPTH_MAX };
    let parsed = if text.starts_with('[') {
        scanner.list()?
    } else if text.starts_with('{') {
        scanner.map()?
    } else {
        return None;
    };
    scanner.rest.is_empty().then_some(parsed)
}

struct Scanner<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Scanner<'a> {
    fn take(&mut self, mark: char) -> bool {
        match self.rest.trim_start().strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn list(&mut self) -> Option<Parsed> {
        self.depth = self.depth.checked_sub(1)?;
        self.take('[').then_some(())?;
        let mut items = Vec::new();
        if !self.take(']') {
            loop {
                items.push(self.element()?);
                if self.take(']') {
                    break;
                }
                self.take(',').then_some(())?;
            }
        }
        self.depth += 1;
        let item = unify(&mut items)?;
        Some(Parsed {
            value: Value::Array(items.into_iter().map(|item| item.value).collect()),
            schema: item.map(|item| schema(Kind::Array(item), None)),
        })
    }

    fn map(&mut self) -> Option<Parsed> {
        self.depth = self.depth.checked_sub(1)?;
        self.take('{').then_some(())?;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        if !self.take('}') {
            loop {
                keys.push(self.element().filter(|key| key.value != Value::Null)?);
                self.take(':').then_some(())?;
                values.push(self.element()?);
                if self.take('}') {
                    break;
                }
                self.take(',').then_some(())?;
            }
        }
        self.depth += 1;
        let (key, value) = (unify(&mut keys)?, unify(&mut values)?);
        let keys = keys.into_iter().map(|key| key.value);
        let schema = key.zip(value).map(|(key, value)| schema(Kind::Map { key, value }, None));
        Some(Parsed { value: Value::Map(keys.zip(values.into_iter().map(|value| value.value)).collect()), schema })
    }

    fn element(&mut self) -> Option<Parsed> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '[' => self.list(),
            '{' => self.map(),
            '"' => self.quoted(),
            _ => self.bare(),
        }
    }

    /// Ends at the next quote without a backslash before it; backslashes stay in the value.
    fn quoted(&mut self) -> Option<Parsed> {
        let inner = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inner.char_indices().find_map(|(at, character)| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes.then_some(at)
        })?;
        let (text, rest) = inner.split_at_checked(end)?;
        self.rest = rest.strip_prefix('"')?;
        Some(temporal(text).unwrap_or_else(|| plain(Value::String(text.into()), Kind::String)))
    }

    /// A temporal, a number, a boolean or null without quotes.
    fn bare(&mut self) -> Option<Parsed> {
        for length in [24, 13, 10] {
            let Some((text, rest)) = self.rest.split_at_checked(length) else { continue };
            let ends = rest.trim_start().starts_with([',', ':', ']', '}']);
            if let (true, Some(parsed)) = (ends, temporal(text)) {
                self.rest = rest;
                return Some(parsed);
            }
        }
        let end = self.rest.find([',', ':', '{', '}', '[', ']', '"'])?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        match text.trim() {
            "null" => Some(Parsed { value: Value::Null, schema: None }),
            word @ ("true" | "false") => Some(plain(Value::Boolean(word == "true"), Kind::Boolean)),
            text => number(text),
        }
    }
}

/// The schema that all elements share, numbers widened to the widest.
///
/// The outer `None` makes the whole text a STRING: a null beside other elements, or elements of several kinds of which
/// one would lose its meaning without a schema.
fn unify(items: &mut [Parsed]) -> Option<Option<SchemaRef>> {
    let nulls = items.iter().filter(|item| item.value == Value::Null).count();
    if nulls > 0 {
        return (nulls == items.len()).then_some(None);
    }
    let Some(first) = items.first().and_then(|item| item.schema.clone()) else {
        return without_schema(items);
    };
    if items.iter().all(|item| item.schema.as_ref() == Some(&first)) {
        return Some(Some(first));
    }
    let ranks: Option<Vec<u8>> = items.iter().map(|item| rank(&item.value, item.schema.as_deref()?)).collect();
    let Some(widest) = ranks.and_then(|ranks| ranks.into_iter().max()) else { return without_schema(items) };
    for item in items.iter_mut() {
        widen(&mut item.value, widest);
    }
    Some(Some(schema(kind_of_rank(widest), None)))
}

fn without_schema(items: &[Parsed]) -> Option<Option<SchemaRef>> {
    let named = |item: &Parsed| item.schema.as_ref().is_some_and(|schema| means_more(schema));
    if items.iter().any(named) { None } else { Some(None) }
}

/// Whether values of this schema cannot be written back without it.
fn means_more(schema: &Schema) -> bool {
    match &schema.kind {
        Kind::Array(item) => means_more(item),
        Kind::Map { key, value } => means_more(key) || means_more(value),
        _ => schema.name.is_some(),
    }
}

fn rank(value: &Value, schema: &Schema) -> Option<u8> {
    if schema.name.is_some() {
        return None;
    }
    Some(match value {
        Value::Int8(_) => 0,
        Value::Int16(_) => 1,
        Value::Int32(_) => 2,
        Value::Int64(_) => 3,
        Value::Float32(_) => 4,
        Value::Float64(_) => 5,
        _ => return None,
    })
}

fn kind_of_rank(rank: u8) -> Kind {
    match rank {
        0 => Kind::Int8,
        1 => Kind::Int16,
        2 => Kind::Int32,
        3 => Kind::Int64,
        4 => Kind::Float32,
        _ => Kind::Float64,
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "Connect widens integers to floats so"
)]
fn widen(value: &mut Value, rank: u8) {
    let whole = match value {
        Value::Int8(n) => i64::from(*n),
        Value::Int16(n) => i64::from(*n),
        Value::Int32(n) => i64::from(*n),
        Value::Int64(n) => *n,
        Value::Float32(n) => {
            if rank == 5 {
                *value = Value::Float64(f64::from(*n));
            }
            return;
        }
        _ => return,
    };
    *value = match rank {
        1 => Value::Int16(whole as i16),
        2 => Value::Int32(whole as i32),
        3 => Value::Int64(whole),
        4 => Value::Float32(whole as f32),
        5 => Value::Float64(whole as f64),
        _ => return,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simple_header::write_datum;

    #[test]
    fn a_list_that_would_lose_its_dates_stays_a_text() {
        assert_eq!(parse("[2020-01-02,\"a\"]").value, Value::String("[2020-01-02,\"a\"]".into()));
        let dates = parse("[2020-01-02, \"1970-01-02\"]");
        assert_eq!(dates.value, Value::Array(vec![Value::Int32(18_263), Value::Int32(1)]));
    }

    #[test]
    fn times_in_containers_keep_their_colons() {
        let map = parse("{\"a\":12:34:56.789Z}");
        assert_eq!(map.value, Value::Map(vec![(Value::String("a".into()), Value::Int32(45_296_789))]));
    }

    #[test]
    fn hostile_texts_stay_texts() {
        for text in
            ["[".repeat(10_000), "1e99999999999".to_owned(), "9".repeat(5000), "[1,".to_owned(), "{\"a\"".to_owned()]
        {
            assert_eq!(parse(&text).value, Value::String(text.as_str().into()));
        }
        assert_eq!(parse("1e999999999").schema.unwrap().parameters.values().next().unwrap().as_ref(), "-999999999");
    }

    proptest::proptest! {
        #[test]
        fn what_was_read_and_written_reads_the_same(text in r#"[\[\]{}":,0-9a-z.+eTZ\- ]{0,40}"#) {
            let first = parse(&text);
            let mut written = String::new();
            write_datum(&first, &mut written);
            let second = parse(&written);
            let mut again = String::new();
            write_datum(&second, &mut again);
            proptest::prop_assert_eq!(again, written);
        }
    }
}

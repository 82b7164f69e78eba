//! Texts of cells as values of a type, read strictly: what is not wholly of the type is no value.
use elasticflow_api::data::{Kind, Schema, Value};
use elasticflow_formats::calendar::days_from_civil;
use elasticflow_formats::decimal::Written;
use elasticflow_formats::logical::{Logical, logical_of};

const DAY_MS: i64 = 86_400_000;

/// Whether cells can be of this type.
pub(crate) fn is_readable(schema: &Schema) -> bool {
    match &schema.kind {
        Kind::Bytes => matches!(logical_of(schema), Some(Logical::Decimal(Some(_)))),
        Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => false,
        _ => true,
    }
}

/// A text as a value: numbers in decimal digits, `true` and `false`, Decimal with no more digits than its scale, Date as
/// `2024-12-31`, Time as `23:59:59.999`, Timestamp as both with a blank or `T` between and perhaps a `Z`, in UTC. The
/// physical number of a date or time is taken too.
pub(crate) fn parsed(text: &str, schema: &Schema) -> Option<Value> {
    match (logical_of(schema), physical(text, &schema.kind)) {
        (_, Some(value)) => Some(value),
        (Some(Logical::Decimal(Some(scale))), None) => Some(Value::Bytes(Written::parse(text)?.at_scale(scale)?)),
        (Some(Logical::Date), None) => Some(Value::Int32(i32::try_from(date(text)?).ok()?)),
        (Some(Logical::Time), None) => Some(Value::Int32(i32::try_from(time(text)?).ok()?)),
        (Some(Logical::Timestamp), None) => Some(Value::Int64(timestamp(text)?)),
        (Some(Logical::Decimal(None)) | None, None) => None,
    }
}

fn physical(text: &str, kind: &Kind) -> Option<Value> {
    Some(match kind {
        Kind::Int8 => Value::Int8(text.parse().ok()?),
        Kind::Int16 => Value::Int16(text.parse().ok()?),
        Kind::Int32 => Value::Int32(text.parse().ok()?),
        Kind::Int64 => Value::Int64(text.parse().ok()?),
        Kind::Float32 => Value::Float32(text.parse().ok()?),
        Kind::Float64 => Value::Float64(text.parse().ok()?),
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
        _ => return None,
    })
}

/// So many digits and nothing else.
fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Days since 1970.
fn date(text: &str) -> Option<i64> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let days = days_from_civil(year, month, day);
    // A day that its month does not have becomes one of the next month.
    let is_real = (1..=12).contains(&month)
        && day >= 1
        && elasticflow_formats::calendar::civil_from_days(days)
            == (year, u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    is_real.then_some(days)
}

/// Milliseconds of the day.
fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let (hour, rest) = clock.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    // Digits beyond the millisecond would be lost.
    let is_short = (1..=3).contains(&fraction.len());
    let fraction = if is_short { digits(&format!("{fraction:0<3}"), 3)? } else { return None };
    let is_real = hour < 24 && minute < 60 && second < 60;
    is_real.then_some(((hour * 60 + minute) * 60 + second) * 1000 + fraction)
}

/// Milliseconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (day, clock) = text.split_once(['T', ' '])?;
    Some(date(day)? * DAY_MS + time(clock)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_formats::logical::{DATE, DECIMAL, TIME, TIMESTAMP};

    fn schema(kind: Kind, name: &str) -> Schema {
        let parameters = [("scale".into(), "2".into())].into();
        Schema { kind, name: Some(name.into()), version: None, optional: true, default: None, doc: None, parameters }
    }

    #[test]
    fn dates_times_and_decimals_are_read_strictly() {
        let (date, time) = (schema(Kind::Int32, DATE), schema(Kind::Int32, TIME));
        let (timestamp, decimal) = (schema(Kind::Int64, TIMESTAMP), schema(Kind::Bytes, DECIMAL));
        for (text, schema, value) in [
            ("1970-01-02", &date, Some(Value::Int32(1))),
            ("2", &date, Some(Value::Int32(2))),
            ("2023-02-29", &date, None),
            ("2024-02-29", &date, Some(Value::Int32(19_782))),
            ("1970-1-2", &date, None),
            ("2024-13-01", &date, None),
            ("00:00:01.5", &time, Some(Value::Int32(1500))),
            ("24:00:00", &time, None),
            ("00:00:00.0001", &time, None),
            ("1970-01-01T00:00:01Z", &timestamp, Some(Value::Int64(1000))),
            ("1970-01-01 00:00:00.001", &timestamp, Some(Value::Int64(1))),
            ("1970-01-01", &timestamp, None),
            ("1.5", &decimal, Some(Value::Bytes(vec![0, 150].into()))),
            ("1.555", &decimal, None),
            ("x", &decimal, None),
        ] {
            assert_eq!(parsed(text, schema), value, "{text} as {:?}", schema.name);
        }
    }
}

//! `TimestampConverter`: a moment in another form.
use crate::date_format::DateFormat;
use crate::error::{config, data};
use crate::require::{entry, fields_of, map_of, put, struct_of};
use crate::schemas::{Defaults, PLANS_MAX, field, index_of, like, logical, plain};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::choice;
use elasticflow_formats::calendar::DAY_MS;
use elasticflow_formats::java::{class_of, type_name};
use elasticflow_formats::logical::{DATE, Logical, TIME, TIMESTAMP, logical_of};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

const PURPOSE: &str = "converting timestamp formats";

choice! {
    /// Forms of a moment.
    pub(crate) enum Form {
        /// Text by `format`.
        String = "string",
        /// A count since 1970 by `unix.precision`.
        Unix = "unix",
        /// Days since 1970.
        Date = "Date",
        /// Milliseconds of the day.
        Time = "Time",
        /// Milliseconds since 1970.
        Timestamp = "Timestamp",
    }
}

choice! {
    /// Unit of a count since 1970.
    pub(crate) enum Precision {
        /// 10^-9 s.
        Nanoseconds = "nanoseconds",
        /// 10^-6 s.
        Microseconds = "microseconds",
        /// 10^-3 s.
        Milliseconds = "milliseconds",
        /// 1 s.
        Seconds = "seconds",
    }
}

elasticflow_config::settings! {
    /// Settings of `TimestampConverter`.
    pub(crate) struct TimestampConverterConfig {
        /// Field to convert; empty converts the whole key or value.
        "field" => field: String { default: "", importance: High },
        /// Form to convert to.
        "target.type" => target: Form { importance: High },
        /// Pattern of texts, of Java's `SimpleDateFormat`, in UTC; needed where a text is written or read.
        "format" => format: String { default: "" },
        /// Unit of `unix`, written and read; what is finer than a millisecond is cut.
        "unix.precision" => precision: Precision { default: "milliseconds", importance: Low },
        /// Whether a null field counts as its default.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct TimestampConverter {
    field: String,
    to: Form,
    format: Option<DateFormat>,
    precision: Precision,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    schema: SchemaRef,
    /// Index and form of the field, if it is there.
    field: Option<(usize, Form)>,
    defaults: Defaults,
}

impl Configured for TimestampConverter {
    type Config = TimestampConverterConfig;
    fn configured(c: TimestampConverterConfig, _: Side) -> Result<Self> {
        let pattern = c.format.trim();
        if c.target == Form::String && pattern.is_empty() {
            return Err(config(
                "TimestampConverter requires format option to be specified when using string timestamps",
            ));
        }
        let format = (!pattern.is_empty()).then(|| DateFormat::new(pattern)).transpose().map_err(|reason| {
            config(format!(
                "Invalid value java.lang.IllegalArgumentException: {reason} for configuration TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}"
            ))
        })?;
        let (to, precision) = (c.target, c.precision);
        Ok(Self { field: c.field, to, format, precision, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for TimestampConverter {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        match (datum.schema.clone(), self.field.is_empty()) {
            (None, _) if datum.value == Value::Null => Ok(()),
            (None, true) => {
                datum.value = self.without_schema(&datum.value)?;
                Ok(())
            }
            (None, false) => {
                let pairs = map_of(datum, PURPOSE)?;
                let value = self.without_schema(entry(pairs, &self.field).unwrap_or(&Value::Null))?;
                put(pairs, &self.field, value);
                Ok(())
            }
            (Some(schema), true) => {
                let plan = self.plans.of(&schema, |schema| self.plan_whole(schema))?;
                datum.value = self.convert(&datum.value, form_of(&schema)?)?;
                datum.schema = Some(Arc::clone(&plan.schema));
                Ok(())
            }
            (Some(_), false) if datum.value == Value::Null => Ok(()),
            (Some(schema), false) => self.of_struct(datum, &schema),
        }
    }
}

impl TimestampConverter {
    fn of_struct(&self, datum: &mut Datum, schema: &SchemaRef) -> Result<(), RecordError> {
        let record = struct_of(datum, PURPOSE)?;
        let plan = self.plans.of(schema, |schema| self.plan(schema))?;
        plan.defaults.fill(&mut record.values);
        if let Some((index, form)) = plan.field
            && let Some(value) = record.values.get_mut(index)
        {
            *value = self.convert(value, form)?;
        }
        record.schema = Arc::clone(&plan.schema);
        datum.schema = Some(Arc::clone(&plan.schema));
        Ok(())
    }

    fn plan_whole(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        form_of(schema)?;
        let schema = Arc::new(schema_of(self.to, schema.optional));
        Ok(Plan { schema, field: None, defaults: Defaults::default() })
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let before = fields_of(schema)?;
        let mut after = before.to_vec();
        let index = index_of(before, &self.field);
        let mut converted = None;
        if let Some(place) = index.and_then(|i| after.get_mut(i)) {
            converted = Some(form_of(&place.schema)?);
            *place = field(Arc::clone(&place.name), Arc::new(schema_of(self.to, place.schema.optional)));
        }
        let derived = Schema { optional: schema.optional, ..like(schema, after)? };
        let defaults = Defaults::of(before, self.replace);
        Ok(Plan { schema: Arc::new(derived), field: index.zip(converted), defaults })
    }

    fn without_schema(&self, value: &Value) -> Result<Value, RecordError> {
        let form = match value {
            Value::Null => return Ok(Value::Null),
            Value::String(_) => Form::String,
            Value::Int64(_) => Form::Unix,
            other => {
                let class = class_of(other, None);
                return Err(data(format!("TimestampConverter does not support class {class} objects as timestamps")));
            }
        };
        self.convert(value, form)
    }

    fn convert(&self, value: &Value, form: Form) -> Result<Value, RecordError> {
        if *value == Value::Null {
            return Ok(Value::Null);
        }
        let ms = self.read(value, form)?;
        Ok(match self.to {
            Form::String => match &self.format {
                Some(format) => Value::String(format.write(ms).into()),
                None => return Err(no_format()),
            },
            Form::Unix => Value::Int64(match self.precision {
                Precision::Nanoseconds => ms.saturating_mul(1_000_000),
                Precision::Microseconds => ms.saturating_mul(1000),
                Precision::Milliseconds => ms,
                Precision::Seconds => ms / 1000,
            }),
            Form::Date => Value::Int32(i32::try_from(ms.div_euclid(DAY_MS)).map_err(|_| out_of_range())?),
            Form::Time => Value::Int32(i32::try_from(ms.rem_euclid(DAY_MS)).map_err(|_| out_of_range())?),
            Form::Timestamp => Value::Int64(ms),
        })
    }

    /// Milliseconds since 1970.
    fn read(&self, value: &Value, form: Form) -> Result<i64, RecordError> {
        match (form, value) {
            (Form::String, Value::String(text)) => {
                let format = self.format.as_ref().ok_or_else(no_format)?;
                format.read(text).ok_or_else(|| unreadable(text, format))
            }
            (Form::Unix, Value::Int64(n)) => Ok(match self.precision {
                Precision::Nanoseconds => n / 1_000_000,
                Precision::Microseconds => n / 1000,
                Precision::Milliseconds => *n,
                Precision::Seconds => n.saturating_mul(1000),
            }),
            (Form::Date, Value::Int32(days)) => Ok(i64::from(*days) * DAY_MS),
            (Form::Time, Value::Int32(ms)) => Ok((*ms).into()),
            (Form::Timestamp, Value::Int64(ms)) => Ok(*ms),
            (_, other) => Err(data(format!("Expected a timestamp, but found class {}", class_of(other, None)))),
        }
    }
}

/// The form that values of a schema have.
fn form_of(schema: &Schema) -> Result<Form, RecordError> {
    match (logical_of(schema), &schema.kind) {
        (Some(Logical::Date), _) => Ok(Form::Date),
        (Some(Logical::Time), _) => Ok(Form::Time),
        (Some(Logical::Timestamp), _) => Ok(Form::Timestamp),
        (_, Kind::String) => Ok(Form::String),
        (_, Kind::Int64) => Ok(Form::Unix),
        (_, kind) => {
            // Java's text of a schema: its name where it has one.
            let shown = schema.name.as_deref().map_or_else(
                || format!("Schema{{{}}}", type_name(kind)),
                |name| format!("Schema{{{name}:{}}}", type_name(kind)),
            );
            Err(data(format!("Schema {shown} does not correspond to a known timestamp type format")))
        }
    }
}

fn schema_of(form: Form, optional: bool) -> Schema {
    match form {
        Form::String => plain(Kind::String, optional),
        Form::Unix => plain(Kind::Int64, optional),
        Form::Date => logical(Kind::Int32, DATE, optional),
        Form::Time => logical(Kind::Int32, TIME, optional),
        Form::Timestamp => logical(Kind::Int64, TIMESTAMP, optional),
    }
}

fn no_format() -> RecordError {
    data("the timestamp is a text, and `format` does not say how to read it")
}

fn out_of_range() -> RecordError {
    data("the timestamp lies outside the days that a Date can hold")
}

/// Connect shows the text itself; contents of records stay out of messages here.
fn unreadable(text: &str, format: &DateFormat) -> RecordError {
    let (length, pattern) = (text.chars().count(), format.text());
    data(format!("Could not parse timestamp: value (text of {length} characters) does not match pattern ({pattern})"))
}

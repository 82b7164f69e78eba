//! What records look like: their fields, wherever these come from, and what is done to them.
use crate::avro;
use crate::change::{Change, Ops, changed, envelope};
use crate::config::DatagenConfig;
use crate::fields::{self, Draw, FieldSpec, Place, letters, plain, schema_of};
use crate::nested::Nested;
use crate::quickstart;
use crate::random::Random;
use elasticflow_api::data::{Datum, Kind, SchemaRef, Struct, Value};
use elasticflow_config::ValidationReport;
use std::sync::Arc;

/// The field that fills a record up.
const PAD: &str = "pad";
/// How much more often the first keys come than the others.
const KEY_EXPONENT: f64 = 1.1;
/// Numbers of records of which no row is ever made: streams of random numbers for other purposes.
const BESIDE: u64 = 1 << 63;

/// What records are made of.
pub(crate) struct Shape {
    fields: Vec<FieldSpec>,
    /// Place of the key field.
    key: Option<usize>,
    schema: SchemaRef,
    /// Of the changes, where records are changes.
    envelope: Option<SchemaRef>,
    ops: Option<Ops>,
    /// Which key comes, where keys come again.
    keys: Option<Draw>,
    bytes: u64,
    poison: f64,
}

/// A row of the generated table, at a version.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Numbers the key.
    key: u64,
    /// Numbers the random numbers of the other fields.
    rest: u64,
    /// What counts on with each record.
    n: u64,
}

fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

/// Reads the fields; every problem by its key.
pub(crate) fn shape_of(config: &DatagenConfig) -> Result<Shape, ValidationReport> {
    let mut report = ValidationReport::default();
    let (fields, name, default_key) = fields_of(config, &mut report).ok_or_else(|| report.clone())?;
    let key_name = config.key_field.as_deref().unwrap_or(&default_key);
    let key = fields.iter().position(|field| &*field.name == key_name);
    if key.is_none() && !key_name.is_empty() {
        report.error("schema.keyfield", format!("there is no field {key_name}"));
    }
    let ops = Ops::parse(&config.ops).ok().flatten();
    for (at, is_set) in [("key.cardinality", config.key_cardinality > 0), ("ops", ops.is_some())] {
        if is_set && key.is_none() {
            report.error(at, format!("{at} needs a key: name one of the fields in schema.keyfield"));
        }
    }
    if config.key_cardinality > 0 && ops.is_some() {
        report.error("key.cardinality", "key.cardinality and ops both say which keys come: leave one of them out");
    }
    if config.record_bytes > 0 && fields.iter().any(|field| &*field.name == PAD) {
        report.error("record.bytes", format!("record.bytes fills a field {PAD}, and there is one of that name"));
    }
    let keys = (config.key_cardinality > 0).then(|| fields::zipf(config.key_cardinality, KEY_EXPONENT)).transpose();
    let keys = keys.unwrap_or_else(|problem| {
        report.error("key.cardinality", problem);
        None
    });
    if !report.is_ok() {
        return Err(report);
    }
    let mut all = fields;
    if config.record_bytes > 0 {
        all.push(FieldSpec::new(PAD, Draw::Nested(Nested::Text(0, 0))));
    }
    let schema = schema_of(&all, &name);
    let envelope = ops.map(|_| envelope(&schema));
    Ok(Shape { fields: all, key, schema, envelope, ops, keys, bytes: config.record_bytes, poison: config.poison })
}

/// Fields, name of the record, and the key that comes with them.
fn fields_of(config: &DatagenConfig, report: &mut ValidationReport) -> Option<(Vec<FieldSpec>, Arc<str>, String)> {
    const NAME: &str = "elasticflow.datagen.Record";
    let sources = [
        ("quickstart", &config.quickstart),
        ("fields", &config.fields),
        ("schema.string", &config.schema_string),
        ("schema.filename", &config.schema_filename),
    ];
    let set: Vec<_> = sources.into_iter().filter_map(|(key, text)| Some((key, given(text.as_ref())?))).collect();
    let [(at, text)] = set.as_slice() else {
        report.error("fields", "DATAGEN-0012: set exactly one of quickstart, schema.string, schema.filename, fields");
        return None;
    };
    let read = match *at {
        "quickstart" => match quickstart::quickstart(text) {
            Some((notation, key)) => fields::parse(notation).map(|fields| (fields, NAME.into(), key.to_owned())),
            None => {
                let names = quickstart::names();
                report.error(at, format!("DATAGEN-0010: quickstart {text} is not known; available: {names}"));
                return None;
            }
        },
        "fields" => fields::parse(text).map(|fields| (fields, NAME.into(), String::new())),
        "schema.string" => avro::parse(text).map(|(name, fields)| (fields, name, String::new())),
        _ => {
            read_file(text).and_then(|schema| avro::parse(&schema)).map(|(name, fields)| (fields, name, String::new()))
        }
    };
    read.map_err(|problem| report.error(at, format!("DATAGEN-0011: {problem}"))).ok()
}

fn read_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path.trim()).map_err(|error| format!("schema {path} cannot be read: {error}"))
}

/// What a record is made from.
#[derive(Clone, Copy)]
pub(crate) struct Maker<'a> {
    pub(crate) seed: u64,
    pub(crate) place: Place,
    /// Names the generator in changes.
    pub(crate) name: &'a str,
}

impl Shape {
    /// Key and value of a record.
    pub(crate) fn record(&self, maker: Maker<'_>) -> (Datum, Datum) {
        let Place { task, n, now_ms } = maker.place;
        let (key, schema, mut value) = match (self.ops, &self.envelope) {
            (Some(ops), Some(envelope)) => {
                let step = ops.step(n);
                let row = |version: u64| {
                    self.values(maker, Row { key: step.row, rest: rest_of(step.row, version), n: step.row })
                };
                let (before, after) = match step.change {
                    Change::Create => (None, Some(row(0))),
                    Change::Update => (Some(row(step.version - 1)), Some(row(step.version))),
                    Change::Delete => (Some(row(step.version)), None),
                };
                let key = self.key_of(after.as_ref().or(before.as_ref()));
                (key, envelope, changed(envelope, (step.change, maker.name, now_ms), (before, after)))
            }
            _ => {
                let values = self.values(maker, Row { key: self.which_key(maker), rest: n, n });
                let key = self.key_of(Some(&values));
                (key, &self.schema, Value::Struct(Struct { schema: Arc::clone(&self.schema), values }))
            }
        };
        if self.poison > 0.0 && Random::of_record(maker.seed, task, n ^ BESIDE).unit() < self.poison {
            poison(&mut value);
        }
        (key, Datum { schema: Some(Arc::clone(schema)), value })
    }

    /// The number of the key of a record.
    fn which_key(&self, maker: Maker<'_>) -> u64 {
        let mut random = Random::of_record(maker.seed, maker.place.task, maker.place.n ^ (BESIDE >> 1));
        match self.keys.as_ref().map(|keys| keys.value(&mut random, maker.place)) {
            Some(Value::Int32(key)) => u64::from(key.unsigned_abs()),
            _ => maker.place.n,
        }
    }

    fn values(&self, maker: Maker<'_>, row: Row) -> Vec<Value> {
        let place = Place { n: row.n, ..maker.place };
        let mut random = Random::of_record(maker.seed, place.task, row.rest);
        let mut values: Vec<Value> = self.fields.iter().map(|field| field.value(&mut random, place)).collect();
        if let Some((field, value)) = self.key.and_then(|at| self.fields.get(at).zip(values.get_mut(at)))
            && row.key != row.rest
        {
            let mut random = Random::of_record(maker.seed, place.task, row.key);
            *value = field.value(&mut random, Place { n: row.key, ..place });
        }
        if self.bytes > 0 {
            self.fill(&mut values, &mut random);
        }
        values
    }

    /// Fills the record up to its size.
    fn fill(&self, values: &mut [Value], random: &mut Random) {
        let names: usize = self.fields.iter().map(|field| field.name.len() + 4).sum();
        let size = 1 + names + values.iter().map(size_of).sum::<usize>();
        let missing = self.bytes.saturating_sub(size as u64);
        if let Some(pad) = values.last_mut() {
            *pad = Value::String(letters(random, missing).into());
        }
    }

    fn key_of(&self, values: Option<&Vec<Value>>) -> Datum {
        let Kind::Struct(fields) = &self.schema.kind else { return Datum { schema: None, value: Value::Null } };
        match self.key.and_then(|at| fields.get(at).zip(values?.get(at))) {
            Some((field, value)) => Datum { schema: Some(Arc::clone(&field.schema)), value: value.clone() },
            None => Datum { schema: None, value: Value::Null },
        }
    }
}

/// The number that the fields of a version of a row are drawn from.
fn rest_of(row: u64, version: u64) -> u64 {
    if version == 0 { row } else { row ^ (BESIDE >> 2) ^ (version << 40) }
}

/// Puts something where the schema allows nothing of the kind.
fn poison(value: &mut Value) {
    if let Value::Struct(record) = value
        && let Some(first) = record.values.first_mut()
    {
        let schema = Arc::new(plain(Kind::Struct([].into())));
        *first = Value::Struct(Struct { schema, values: Vec::new() });
    }
}

/// Bytes of a value as JSON, about.
fn size_of(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Boolean(yes) => 5 - usize::from(*yes),
        Value::Int8(n) => digits(i64::from(*n)),
        Value::Int16(n) => digits(i64::from(*n)),
        Value::Int32(n) => digits(i64::from(*n)),
        Value::Int64(n) => digits(*n),
        Value::Float32(_) => 10,
        Value::Float64(_) => 18,
        Value::String(text) => text.len() + 2,
        Value::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + 2,
        Value::Array(values) => 1 + values.iter().map(|value| size_of(value) + 1).sum::<usize>().max(1),
        Value::Map(entries) => {
            1 + entries.iter().map(|(key, value)| size_of(key) + size_of(value) + 2).sum::<usize>().max(1)
        }
        Value::Struct(record) => {
            let Kind::Struct(fields) = &record.schema.kind else { return 2 };
            let field = |(field, value): (&elasticflow_api::data::Field, &Value)| field.name.len() + 4 + size_of(value);
            1 + fields.iter().zip(&record.values).map(field).sum::<usize>().max(1)
        }
    }
}

fn digits(n: i64) -> usize {
    usize::from(n < 0) + usize::try_from(n.unsigned_abs().checked_ilog10().unwrap_or(0)).unwrap_or(0) + 1
}

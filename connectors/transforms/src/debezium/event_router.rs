//! The outbox `EventRouter`: rows of an outbox table become events of their own topics.
use super::envelope::{op, places};
use super::event_json::expand;
use crate::error::{config, data};
use crate::java_regex;
use crate::regex_router::Router;
use crate::schemas::{PLANS_MAX, index_of, plain, record as struct_value, take};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Field, Kind, Record, Schema, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::choice;
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

choice! {
    /// What an update of the outbox table does.
    pub(crate) enum InvalidOperation {
        /// It is dropped, with a warning in the log.
        Warn = "warn",
        /// It is dropped, with an error in the log.
        Error = "error",
        /// The record fails.
        Fatal = "fatal",
    }
}

choice! {
    /// What becomes of nulls in expanded JSON.
    pub(crate) enum JsonNulls {
        /// They are left out.
        Ignore = "ignore",
        /// They are optional bytes.
        OptionalBytes = "optional_bytes",
    }
}

elasticflow_config::settings! {
    /// Settings of `EventRouter`.
    pub(crate) struct EventRouterConfig {
        /// Column of the event's id; becomes the header `id`.
        "table.field.event.id" => id: String { default: "id", importance: Low },
        /// Column of the event's key.
        "table.field.event.key" => key: String { default: "aggregateid", importance: Low },
        /// Column of the event's payload, which becomes the value.
        "table.field.event.payload" => payload: String { default: "payload", importance: Low },
        /// Column of the event's time; without it, the time of the change is taken.
        "table.field.event.timestamp" => timestamp: Option<String> {},
        /// Column of the version of the value's schema.
        "table.field.event.schema.version" => version: Option<String> { importance: Low },
        /// Further columns, as `column:placement` or `column:placement:name`; placements are header, envelope and partition.
        "table.fields.additional.placement" => additional: Vec<String> { default: "", importance: High },
        /// Whether a further column that the table does not have fails the record.
        "table.fields.additional.error.on.missing" => missing_fails: bool { default: "true", importance: High },
        /// What an update of a row of the outbox table does.
        "table.op.invalid.behavior" => invalid: InvalidOperation { default: "warn" },
        /// Whether a payload of JSON text becomes a struct.
        "table.expand.json.payload" => expand: bool { default: "false" },
        /// What becomes of nulls in such a payload.
        "table.json.payload.null.behavior" => json_nulls: JsonNulls { default: "ignore" },
        /// Column whose text the topic is made of.
        "route.by.field" => route: String { default: "aggregatetype", importance: High },
        /// Pattern that the text of that column must match.
        "route.topic.regex" => route_regex: String {
            default: "(?<routedByValue>.*)", importance: Low, valid: java_regex::VALID
        },
        /// The topic; `${routedByValue}` is the text of the column.
        "route.topic.replacement" => route_replacement: String {
            default: "outbox.event.${routedByValue}", importance: High
        },
        /// Whether an event without payload becomes a tombstone.
        "route.tombstone.on.empty.payload" => tombstones: bool { default: "false" },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    Header,
    Envelope,
    Partition,
}

struct Additional {
    column: String,
    name: Arc<str>,
    placement: Placement,
}

pub(crate) struct EventRouter {
    config: EventRouterConfig,
    additional: Vec<Additional>,
    router: Router,
    plans: SchemaCache<Option<Plan>>,
}

/// Columns of one outbox table.
struct Plan {
    places: super::envelope::Places,
    columns: Vec<Field>,
    id: usize,
    key: Option<usize>,
    payload: usize,
    route: usize,
    timestamp: Option<(usize, i64)>,
    version: Option<usize>,
    additional: Vec<(usize, Arc<str>, Placement)>,
    name: Option<Arc<str>>,
}

impl Configured for EventRouter {
    type Config = EventRouterConfig;
    fn configured(c: EventRouterConfig, _: Side) -> Result<Self> {
        let additional = c.additional.iter().map(|text| additional(text)).collect::<Result<_>>()?;
        let router = Router::new(&c.route_regex, &c.route_replacement)?;
        Ok(Self { config: c, additional, router, plans: SchemaCache::new(PLANS_MAX) })
    }
}

fn additional(text: &str) -> Result<Additional> {
    let wrong = || {
        config(format!(
            "Invalid value {text} for configuration table.fields.additional.placement: give column:placement or column:placement:name, where the placement is header, envelope or partition"
        ))
    };
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let (column, placement, name) = match parts.as_slice() {
        [column, placement] => (*column, *placement, *column),
        [column, placement, name] => (*column, *placement, *name),
        _ => return Err(wrong()),
    };
    let placement = match placement.to_ascii_lowercase().as_str() {
        "header" => Placement::Header,
        "envelope" => Placement::Envelope,
        "partition" => Placement::Partition,
        _ => return Err(wrong()),
    };
    Ok(Additional { column: column.to_owned(), name: name.into(), placement })
}

impl Transform for EventRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        if record.value.value == Value::Null {
            return Ok(None);
        }
        let Some(schema) = record.value.schema.clone() else { return Ok(Some(record)) };
        let plan = self.plans.of(&schema, |schema| self.plan(schema))?;
        let Some(plan) = &*plan else { return Ok(Some(record)) };
        let Value::Struct(envelope) = std::mem::replace(&mut record.value.value, Value::Null) else {
            return Err(data("the envelope is no struct"));
        };
        let mut envelope = envelope.values;
        match op(&envelope, plan.places) {
            "d" | "t" => return Ok(None),
            "u" => return self.updated(&record).map(|()| None),
            _ => {}
        }
        let Value::Struct(row) = take(&mut envelope, plan.places.after) else {
            return Err(data("the envelope has no row"));
        };
        let ts_ms = plan.places.ts_ms.map_or(Value::Null, |i| take(&mut envelope, i));
        self.event(record, row.values, &ts_ms, plan).map(Some)
    }
}

impl EventRouter {
    /// Rows of an outbox table are written once.
    fn updated(&self, record: &Record) -> Result<(), RecordError> {
        let topic = &*record.topic;
        match self.config.invalid {
            InvalidOperation::Warn => tracing::warn!(topic, "a row of the outbox table was updated: ignored"),
            InvalidOperation::Error => tracing::error!(topic, "a row of the outbox table was updated: ignored"),
            InvalidOperation::Fatal => return Err(data("a row of the outbox table was updated")),
        }
        Ok(())
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Option<Plan>, RecordError> {
        let Some((envelope, places)) = places(schema) else { return Ok(None) };
        let Some(after) = envelope.get(places.after) else { return Ok(None) };
        let Kind::Struct(columns) = &after.schema.kind else { return Ok(None) };
        let column = |role: &str, name: &str| {
            index_of(columns, name).ok_or_else(|| data(format!("Unable to find {role} field {name} in event")))
        };
        let timestamp = self.config.timestamp.as_deref().map(|name| timestamp(columns, name)).transpose()?;
        let version = self.config.version.as_deref().map(|name| column("schema version", name)).transpose()?;
        let mut additional = Vec::new();
        for wanted in &self.additional {
            match index_of(columns, &wanted.column) {
                Some(index) => additional.push((index, Arc::clone(&wanted.name), wanted.placement)),
                None if self.config.missing_fails => return Err(missing(&wanted.column)),
                None => {}
            }
        }
        Ok(Some(Plan {
            places,
            columns: columns.to_vec(),
            id: column("event-id", &self.config.id)?,
            key: index_of(columns, &self.config.key),
            payload: column("payload", &self.config.payload)?,
            route: column("route", &self.config.route)?,
            timestamp,
            version,
            additional,
            name: after.schema.name.clone(),
        }))
    }

    fn event(
        &self,
        mut record: Record,
        mut row: Vec<Value>,
        ts_ms: &Value,
        plan: &Plan,
    ) -> Result<Record, RecordError> {
        let Some(Value::String(routed)) = row.get(plan.route) else {
            return Err(data(format!("the column {} of route.by.field is not a text", self.config.route)));
        };
        let routed: Arc<str> = (&**routed).into();
        record.topic = self.router.route(&routed)?.unwrap_or_else(|| Arc::clone(&routed));
        record.timestamp_ms = plan.time(&row).or(match ts_ms {
            Value::Int64(ms) => Some(*ms),
            _ => None,
        });
        record.partition = None;
        record.headers.push(("id".into(), plan.datum(plan.id, &row)));
        record.key = match plan.key {
            Some(index) => plan.datum(index, &row),
            None => Datum { schema: Some(Arc::new(plain(Kind::String, false))), value: Value::Null },
        };
        plan.place(&mut record, &row)?;
        let version = plan.version.and_then(|i| match row.get(i) {
            Some(Value::Int32(version)) => Some(*version),
            _ => None,
        });
        let mut payload = plan.datum(plan.payload, &row);
        let is_empty = match &payload.value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        };
        if self.config.expand {
            expand(&mut payload, self.config.json_nulls == JsonNulls::OptionalBytes);
        }
        record.value = match is_empty && self.config.tombstones {
            true => Datum { schema: None, value: Value::Null },
            false => plan.value(payload, &mut row, &routed, version),
        };
        Ok(record)
    }
}

/// Index of the column, and how many of its units a millisecond has.
fn timestamp(columns: &[Field], name: &str) -> Result<(usize, i64), RecordError> {
    let index = index_of(columns, name);
    let found = index.and_then(|i| Some((i, columns.get(i)?)));
    let (index, column) = found.ok_or_else(|| data(format!("Unable to find timestamp field {name} in event")))?;
    let of = match column.schema.name.as_deref() {
        Some("io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp") => 1,
        Some("io.debezium.time.MicroTimestamp") => 1000,
        Some("io.debezium.time.NanoTimestamp") => 1_000_000,
        other => {
            let other = other.unwrap_or("no logical type");
            return Err(data(format!("Unsupported field type {other} for event timestamp")));
        }
    };
    Ok((index, of))
}

fn missing(column: &str) -> RecordError {
    data(format!("Unable to find additional field {column} in event"))
}

impl Plan {
    fn time(&self, row: &[Value]) -> Option<i64> {
        let (index, of) = self.timestamp?;
        match row.get(index) {
            Some(Value::Int64(units)) => Some(units / of),
            _ => None,
        }
    }

    fn datum(&self, index: usize, row: &[Value]) -> Datum {
        let schema = self.columns.get(index).map(|c| Arc::clone(&c.schema));
        Datum { schema, value: row.get(index).cloned().unwrap_or(Value::Null) }
    }

    /// Columns that become headers or the partition.
    fn place(&self, record: &mut Record, row: &[Value]) -> Result<(), RecordError> {
        for (index, name, placement) in &self.additional {
            match (placement, row.get(*index)) {
                (Placement::Header, _) => record.headers.push((Arc::clone(name), self.datum(*index, row))),
                (Placement::Partition, Some(Value::Int32(partition))) => record.partition = Some(*partition),
                (Placement::Partition, Some(Value::Null)) => {}
                (Placement::Partition, _) => {
                    return Err(data(format!("the column {name} of the partition is not an int32")));
                }
                (Placement::Envelope, _) => {}
            }
        }
        Ok(())
    }

    /// The payload, or a struct of it and the columns that are placed in the envelope.
    fn value(&self, payload: Datum, row: &mut [Value], routed: &str, version: Option<i32>) -> Datum {
        let placed: Vec<&(usize, Arc<str>, Placement)> =
            self.additional.iter().filter(|(_, _, placement)| *placement == Placement::Envelope).collect();
        if placed.is_empty() {
            return payload;
        }
        let text = || Arc::new(plain(Kind::String, true));
        let mut fields = vec![Field { name: "payload".into(), schema: payload.schema.unwrap_or_else(text) }];
        let mut values = vec![payload.value];
        for (index, name, _) in placed {
            let schema = self.columns.get(*index).map_or_else(text, |c| Arc::clone(&c.schema));
            fields.push(Field { name: Arc::clone(name), schema });
            values.push(take(row, *index));
        }
        let name = Some(schema_name(self.name.as_deref(), routed));
        let schema = Arc::new(Schema { name, version, ..plain(Kind::Struct(fields.into()), false) });
        Datum { value: struct_value(&schema, values), schema: Some(schema) }
    }
}

/// The routed text stands before the last step of the table's own name.
fn schema_name(table: Option<&str>, routed: &str) -> Arc<str> {
    match table.map(|name| name.rsplit_once('.').ok_or(name)) {
        None => routed.into(),
        Some(Ok((space, last))) => format!("{space}.{routed}.{last}").into(),
        Some(Err(name)) => format!("{routed}.{name}").into(),
    }
}

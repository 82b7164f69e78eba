//! What a record does to its index: writes a document, deletes one, or nothing.
use crate::config::{DecimalHandling, ElasticsearchConfig, Envelope, NullBehavior};
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use elasticflow_api::error::Stage;
use elasticflow_formats::json::{DecimalStyle, MapStyle, NotFinite, Plan, Style, TemporalStyle, write_schemaless};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

/// Most value schemas that are kept prepared.
const SCHEMAS_MAX: usize = 1000;

/// What a record does.
pub(crate) enum Change<'a> {
    /// Writes this document.
    Write(Document<'a>),
    /// Deletes the document of the key.
    Delete,
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// A document, still as values.
pub(crate) struct Document<'a> {
    /// The whole value or the `after` of a change event.
    pub(crate) value: &'a Value,
    /// Its schema, if it has one.
    pub(crate) schema: Option<SchemaRef>,
    plan: Option<Arc<Prepared>>,
}

/// What is prepared per value schema.
struct Prepared {
    plan: Plan,
    schema: SchemaRef,
    /// Places of `op` and `after`, if the values are change events; the plan is then that of `after`.
    event: Option<(usize, usize)>,
}

/// Finds out what records do.
pub(crate) struct Changes {
    style: Style,
    envelope: Envelope,
    prepared: SchemaCache<Prepared>,
}

impl Changes {
    pub(crate) fn new(config: &ElasticsearchConfig) -> Self {
        let decimal = match config.decimals {
            DecimalHandling::Double => DecimalStyle::Double,
            DecimalHandling::String => DecimalStyle::Text,
        };
        let style = Style {
            decimal,
            temporal: TemporalStyle::Text,
            not_finite: NotFinite::Refuse,
            maps: if config.compact_maps { MapStyle::Objects } else { MapStyle::Entries },
            ..Style::CONNECT
        };
        Self { style, envelope: config.envelope, prepared: SchemaCache::new(SCHEMAS_MAX) }
    }

    /// What a record with this value does.
    pub(crate) fn of<'a>(&self, value: &'a Datum, on_null: NullBehavior) -> Result<Change<'a>, RecordError> {
        if value.value == Value::Null {
            return match on_null {
                NullBehavior::Ignore => Ok(Change::Nothing("null value")),
                NullBehavior::Delete => Ok(Change::Delete),
                NullBehavior::Fail => Err(bad("the record has no value, and behavior.on.null.values is FAIL")),
            };
        }
        match &value.schema {
            Some(schema) => self.with_schema(schema, &value.value),
            None => self.without_schema(&value.value),
        }
    }

    fn with_schema<'a>(&self, schema: &SchemaRef, value: &'a Value) -> Result<Change<'a>, RecordError> {
        let prepared = self.prepared.of(schema, |schema| self.prepare(schema))?;
        let Some((op, after)) = prepared.event else {
            return Ok(Change::Write(Document {
                value,
                schema: Some(Arc::clone(&prepared.schema)),
                plan: Some(prepared),
            }));
        };
        let Value::Struct(event) = value else { return Err(bad("a change event that is no struct")) };
        let (Some(op), Some(after)) = (event.values.get(op), event.values.get(after)) else {
            return Err(bad("a change event without op or after"));
        };
        match effect(op)? {
            Effect::Write if *after == Value::Null => Err(bad("a change event without after")),
            Effect::Write => {
                let schema = Some(Arc::clone(&prepared.schema));
                Ok(Change::Write(Document { value: after, schema, plan: Some(prepared) }))
            }
            Effect::Delete => Ok(Change::Delete),
            Effect::Nothing(reason) => Ok(Change::Nothing(reason)),
        }
    }

    fn prepare(&self, schema: &SchemaRef) -> Result<Prepared, RecordError> {
        let event = match self.envelope {
            Envelope::None => None,
            Envelope::Auto => schema.name.as_deref().is_some_and(|name| name.ends_with(".Envelope")).then_some(schema),
            Envelope::Debezium => Some(schema),
        };
        let (event, document) = match event {
            None => (None, Arc::clone(schema)),
            Some(schema) => {
                let (op, after, document) = event_places(schema)
                    .ok_or_else(|| bad("value.envelope asks for change events, and the value has no op and after"))?;
                (Some((op, after)), document)
            }
        };
        match &document.kind {
            Kind::Struct(_) => {}
            Kind::Map { key, .. } if key.kind == Kind::String => {}
            _ => return Err(bad("the value is no object: a document needs a struct or a map with text keys")),
        }
        check_names(&document)?;
        let plan = Plan::new(&document, &self.style).map_err(|error| error.at(Stage::TaskPut))?;
        Ok(Prepared { plan, schema: document, event })
    }

    fn without_schema<'a>(&self, value: &'a Value) -> Result<Change<'a>, RecordError> {
        let Value::Map(entries) = value else {
            return Err(bad("the value is no object: a document needs a struct or a map with text keys"));
        };
        let member = |wanted: &str| {
            entries.iter().find(|(name, _)| matches!(name, Value::String(name) if &**name == wanted)).map(|(_, v)| v)
        };
        let is_event = match self.envelope {
            Envelope::None => false,
            Envelope::Auto => {
                matches!(member("op"), Some(Value::String(_)))
                    && (member("after").is_some() || member("before").is_some())
            }
            Envelope::Debezium => true,
        };
        if !is_event {
            return Ok(Change::Write(Document { value, schema: None, plan: None }));
        }
        let op = member("op").ok_or_else(|| bad("value.envelope asks for change events, and the value has no op"))?;
        match effect(op)? {
            Effect::Write => match member("after") {
                Some(value @ Value::Map(_)) => Ok(Change::Write(Document { value, schema: None, plan: None })),
                _ => Err(bad("a change event without after")),
            },
            Effect::Delete => Ok(Change::Delete),
            Effect::Nothing(reason) => Ok(Change::Nothing(reason)),
        }
    }

    /// Appends the JSON of a document.
    pub(crate) fn write(&self, document: &Document<'_>, out: &mut bytes::BytesMut) -> Result<(), RecordError> {
        match &document.plan {
            Some(prepared) => prepared.plan.write(document.value, out),
            None => write_schemaless(document.value, &self.style, out),
        }
        .map_err(|error| error.at(Stage::TaskPut))
    }
}

enum Effect {
    Write,
    Delete,
    Nothing(&'static str),
}

fn effect(op: &Value) -> Result<Effect, RecordError> {
    let Value::String(op) = op else { return Err(bad("a change event whose op is no text")) };
    Ok(match &**op {
        "c" | "r" | "u" => Effect::Write,
        "d" => Effect::Delete,
        "t" => Effect::Nothing("truncate"),
        "m" => Effect::Nothing("message"),
        _ => return Err(bad("a change event with an unknown op")),
    })
}

fn event_places(schema: &Schema) -> Option<(usize, usize, SchemaRef)> {
    let Kind::Struct(fields) = &schema.kind else { return None };
    let op = fields.iter().position(|field| &*field.name == "op")?;
    let after = fields.iter().position(|field| &*field.name == "after")?;
    Some((op, after, Arc::clone(&fields.get(after)?.schema)))
}

/// Elasticsearch takes a dot for a path, so that empty steps are refused for the whole request.
fn check_names(schema: &Schema) -> Result<(), RecordError> {
    match &schema.kind {
        Kind::Struct(fields) => fields.iter().try_for_each(|field| {
            if field.name.is_empty() || field.name.starts_with('.') || field.name.ends_with('.') {
                return Err(bad(
                    "a field's name is empty or begins or ends with a dot, which Elasticsearch does not take",
                ));
            }
            check_names(&field.schema)
        }),
        Kind::Array(item) => check_names(item),
        Kind::Map { value, .. } => check_names(value),
        _ => Ok(()),
    }
}

fn bad(reason: &str) -> RecordError {
    RecordError { stage: Stage::TaskPut, reason: reason.to_owned(), source: None }
}

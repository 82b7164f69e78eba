//! What a record does to its index: writes a document, deletes one, or nothing.
use crate::config::{DecimalHandling, ElasticsearchConfig, Envelope, NullBehavior};
use bytes::Bytes;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use elasticflow_api::error::Stage;
use elasticflow_formats::FormatError;
use elasticflow_formats::json::cursor::{Cursor, Malformed};
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
    /// The document itself, where values come as the JSON they are.
    text: Option<Bytes>,
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
    /// Values come as the JSON they are.
    pub(crate) as_text: bool,
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
        Self { as_text: false, style, envelope: config.envelope, prepared: SchemaCache::new(SCHEMAS_MAX) }
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
            None => match &value.value {
                Value::Bytes(text) if self.as_text => self.of_text(text, &value.value),
                value => self.without_schema(value),
            },
        }
    }

    /// As [`Self::without_schema`], of the JSON itself.
    fn of_text<'a>(&self, text: &Bytes, value: &'a Value) -> Result<Change<'a>, RecordError> {
        let whole = |text: Bytes| Ok(Change::Write(Document { value, schema: None, plan: None, text: Some(text) }));
        if !text.starts_with(b"{") {
            return Err(bad("the value is no object: a document needs a struct or a map with text keys"));
        }
        if self.envelope == Envelope::None {
            return whole(text.clone());
        }
        let Event { op, before, after } =
            event_of(text).map_err(|error| FormatError::from(error).at(Stage::TaskPut))?;
        let is_event = matches!(op, Some(Value::String(_))) && (before || after.is_some());
        if self.envelope == Envelope::Auto && !is_event {
            return whole(text.clone());
        }
        let op = op.ok_or_else(|| bad("value.envelope asks for change events, and the value has no op"))?;
        match (effect(&op)?, after) {
            (Effect::Write, Some(after)) if after.starts_with(b"{") => whole(after),
            (Effect::Write, _) => Err(bad("a change event without after")),
            (Effect::Delete, _) => Ok(Change::Delete),
            (Effect::Nothing(reason), _) => Ok(Change::Nothing(reason)),
        }
    }

    fn with_schema<'a>(&self, schema: &SchemaRef, value: &'a Value) -> Result<Change<'a>, RecordError> {
        let prepared = self.prepared.of(schema, |schema| self.prepare(schema))?;
        let Some((op, after)) = prepared.event else {
            return Ok(Change::Write(Document {
                value,
                schema: Some(Arc::clone(&prepared.schema)),
                plan: Some(prepared),
                text: None,
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
                Ok(Change::Write(Document { value: after, schema, plan: Some(prepared), text: None }))
            }
            Effect::Delete => Ok(Change::Delete),
            Effect::Nothing(reason) => Ok(Change::Nothing(reason)),
        }
    }

    fn prepare(&self, schema: &SchemaRef) -> Result<Prepared, RecordError> {
        let event = match self.envelope {
            Envelope::None => None,
            Envelope::Auto => schema.is_envelope().then_some(schema),
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
            return Ok(Change::Write(Document { value, schema: None, plan: None, text: None }));
        }
        let op = member("op").ok_or_else(|| bad("value.envelope asks for change events, and the value has no op"))?;
        match effect(op)? {
            Effect::Write => match member("after") {
                Some(value @ Value::Map(_)) => {
                    Ok(Change::Write(Document { value, schema: None, plan: None, text: None }))
                }
                _ => Err(bad("a change event without after")),
            },
            Effect::Delete => Ok(Change::Delete),
            Effect::Nothing(reason) => Ok(Change::Nothing(reason)),
        }
    }

    /// Appends the JSON of a document.
    pub(crate) fn write(&self, document: &Document<'_>, out: &mut bytes::BytesMut) -> Result<(), RecordError> {
        if let Some(text) = &document.text {
            out.extend_from_slice(text);
            return Ok(());
        }
        match &document.plan {
            Some(prepared) => prepared.plan.write(document.value, out),
            None => write_schemaless(document.value, &self.style, out),
        }
        .map_err(|error| error.at(Stage::TaskPut))
    }
}

/// The members of a change event that say what it does.
#[derive(Default)]
struct Event {
    op: Option<Value>,
    before: bool,
    after: Option<Bytes>,
}

fn event_of(text: &Bytes) -> Result<Event, Malformed> {
    let mut event = Event::default();
    Cursor::new(text).object(|cursor, name| {
        let mut owned = None;
        let name = name.bytes(cursor, &mut owned)?;
        match name {
            b"op" => event.op = Some(cursor.value()?),
            b"after" => {
                cursor.token()?;
                let start = cursor.at();
                cursor.skip()?;
                event.after = Some(text.slice(start..cursor.at()));
            }
            _ => {
                event.before |= name == b"before";
                cursor.skip()?;
            }
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(event)
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use elasticflow_config::{Properties, parse};

    /// What a value does, as values and as text.
    fn both(envelope: &str, json: &'static str) -> [String; 2] {
        let properties =
            Properties::from_iter([("connection.url", "http://localhost:9200"), ("value.envelope", envelope)]);
        let config: ElasticsearchConfig = parse(&properties).unwrap();
        [false, true].map(|as_text| {
            let changes = Changes { as_text, ..Changes::new(&config) };
            let bytes = Bytes::from_static(json.as_bytes());
            let value = if as_text { Value::Bytes(bytes) } else { Cursor::new(&bytes).value().unwrap() };
            let datum = Datum { schema: None, value };
            match changes.of(&datum, NullBehavior::Fail) {
                Ok(Change::Write(document)) => {
                    let mut out = BytesMut::new();
                    changes.write(&document, &mut out).unwrap();
                    // A text keeps its own escapes.
                    format!("{:?}", Cursor::new(&out.freeze()).value().unwrap())
                }
                Ok(Change::Delete) => "delete".to_owned(),
                Ok(Change::Nothing(reason)) => reason.to_owned(),
                Err(error) => error.reason,
            }
        })
    }

    #[test]
    fn a_text_does_what_its_values_do() {
        for envelope in ["auto", "none", "debezium"] {
            for json in [
                r#"{"before":null,"after":{"a":1,"b":"x"},"op":"c"}"#,
                r#"{"op":"u","after":{"a":[1,{"b":null}]},"ts_ms":1}"#,
                r#"{"before":{"a":1},"after":null,"op":"d"}"#,
                r#"{"after":null,"op":"c"}"#,
                r#"{"after":{},"op":7}"#,
                r#"{"after":{},"op":"x"}"#,
                r#"{"before":{},"op":"t"}"#,
                r#"{"op":"c"}"#,
                r#"{"a":1}"#,
                r#"{"\u006fp":"d","before":{}}"#,
                "[1]",
                "7",
            ] {
                let [values, text] = both(envelope, json);
                assert_eq!(values, text, "{envelope} {json}");
            }
        }
    }
}

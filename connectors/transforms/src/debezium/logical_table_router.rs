//! `ByLogicalTableRouter`: tables that are parts of one table share a topic.
use super::envelope::{name_of, places, with_schema};
use crate::error::{config, data};
use crate::java_regex::{self, JavaRegex, Replacement};
use crate::regex_router::Router;
use crate::schemas::{PLANS_MAX, field, plain};
use crate::side::{Configured, Side};
use crate::topics::ByTopic;
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Field, Kind, Record, Schema, SchemaRef, Text, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of `ByLogicalTableRouter`.
    pub(crate) struct ByLogicalTableRouterConfig {
        /// Pattern, in Java's syntax, that the whole name of the topic must match.
        "topic.regex" => topic_regex: String { importance: Low, valid: java_regex::VALID },
        /// What the name becomes; `$1` and `${name}` are groups.
        "topic.replacement" => topic_replacement: String { importance: Low },
        /// Whether the key gets a field that names the table it comes from; needed unless keys differ over all tables.
        "key.enforce.uniqueness" => unique: bool { default: "true", importance: Low },
        /// Name of that field.
        "key.field.name" => key_field: String { default: "__dbz__physicalTableIdentifier", importance: Low },
        /// Pattern by which the field's text is made of the name of the topic before; without it the whole name is taken.
        "key.field.regex" => key_regex: Option<String> { importance: Low, valid: java_regex::VALID },
        /// What the match becomes.
        "key.field.replacement" => key_replacement: Option<String> { importance: Low },
    }
}

pub(crate) struct ByLogicalTableRouter {
    router: Router,
    /// Name of the key's field, if it gets one.
    key_field: Option<Arc<str>>,
    identifier: Option<(JavaRegex, Replacement)>,
    identifiers: ByTopic<Text>,
    derived: ByTopic<Arc<Derived>>,
}

/// Schemas for one topic.
struct Derived {
    keys: SchemaCache<SchemaRef>,
    /// Envelope and row; `None` for what is no envelope.
    values: SchemaCache<Option<(SchemaRef, SchemaRef)>>,
}

impl Configured for ByLogicalTableRouter {
    type Config = ByLogicalTableRouterConfig;
    fn configured(c: ByLogicalTableRouterConfig, _: Side) -> Result<Self> {
        let pattern = c.key_regex.filter(|p| !p.is_empty());
        let replacement = c.key_replacement.filter(|r| !r.is_empty());
        let identifier = match (pattern, replacement) {
            (None, _) => None,
            (Some(_), None) => {
                return Err(config(
                    "Invalid value null for configuration key.field.replacement: it must be non-empty if key.field.regex is set",
                ));
            }
            (Some(pattern), Some(text)) => Some((JavaRegex::new(&pattern).map_err(config)?, Replacement::new(&text))),
        };
        Ok(Self {
            router: Router::new(&c.topic_regex, &c.topic_replacement)?,
            key_field: c.unique.then(|| c.key_field.into()),
            identifier,
            identifiers: ByTopic::default(),
            derived: ByTopic::default(),
        })
    }
}

impl Transform for ByLogicalTableRouter {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        let Some(topic) = self.router.route(&record.topic)?.filter(|topic| !topic.is_empty()) else {
            return Ok(Some(record));
        };
        let derived = self.derived.of(&topic, |_| {
            Ok(Arc::new(Derived { keys: SchemaCache::new(PLANS_MAX), values: SchemaCache::new(PLANS_MAX) }))
        })?;
        if record.key.value != Value::Null {
            let identifier = self.identifiers.of(&record.topic, |topic| self.identifier(topic))?;
            self.key(&mut record.key, &derived, &topic, identifier)?;
        }
        value(&mut record.value, &derived, &topic)?;
        record.topic = topic;
        Ok(Some(record))
    }
}

impl ByLogicalTableRouter {
    fn identifier(&self, topic: &str) -> Result<Text, RecordError> {
        match &self.identifier {
            Some((pattern, replacement)) if pattern.matches(topic) => {
                Ok(pattern.replace_first(topic, replacement).map_err(data)?.into())
            }
            _ => Ok(topic.into()),
        }
    }

    fn key(&self, key: &mut Datum, derived: &Derived, topic: &str, identifier: Text) -> Result<(), RecordError> {
        let (Some(schema), Value::Struct(record)) = (&key.schema, &mut key.value) else {
            return Err(data("Only Struct objects supported for [Updating schema]: the key is none"));
        };
        let schema = derived.keys.of(schema, |schema| self.key_schema(schema, topic))?;
        if self.key_field.is_some() {
            record.values.push(Value::String(identifier));
        }
        record.schema = Arc::clone(&schema);
        key.schema = Some(Arc::clone(&schema));
        Ok(())
    }

    fn key_schema(&self, schema: &Schema, topic: &str) -> Result<SchemaRef, RecordError> {
        let Kind::Struct(fields) = &schema.kind else { return Err(data("the key's schema is no struct")) };
        let mut fields = fields.to_vec();
        if let Some(name) = &self.key_field {
            fields.push(field(Arc::clone(name), Arc::new(plain(Kind::String, false))));
        }
        Ok(renamed(schema, format!("{topic}.Key"), fields))
    }
}

/// As it was, under another name.
fn renamed(schema: &Schema, name: String, fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema { kind: Kind::Struct(fields.into()), name: Some(name.into()), default: None, ..schema.clone() })
}

fn value(datum: &mut Datum, derived: &Derived, topic: &str) -> Result<(), RecordError> {
    let (Some(schema), Value::Struct(envelope)) = (&datum.schema, &mut datum.value) else { return Ok(()) };
    let schemas = derived.values.of(schema, |schema| Ok::<_, RecordError>(envelope_schemas(schema, topic)))?;
    let (Some((whole, row)), Some((_, places))) = (&*schemas, places(schema)) else { return Ok(()) };
    for index in places.before.into_iter().chain([places.after]) {
        if let Some(image) = envelope.values.get_mut(index) {
            with_schema(image, row);
        }
    }
    envelope.schema = Arc::clone(whole);
    datum.schema = Some(Arc::clone(whole));
    Ok(())
}

fn envelope_schemas(schema: &Schema, topic: &str) -> Option<(SchemaRef, SchemaRef)> {
    let (fields, places) = places(schema)?;
    let image = &fields.get(places.after)?.schema;
    let Kind::Struct(columns) = &image.kind else { return None };
    let row = renamed(image, format!("{topic}.Value"), columns.to_vec());
    let is_image = |i: usize| i == places.after || Some(i) == places.before;
    let fields = fields.iter().enumerate().map(|(i, f)| match is_image(i) {
        true => field(Arc::clone(&f.name), Arc::clone(&row)),
        false => f.clone(),
    });
    let whole = renamed(schema, name_of(topic), fields.collect());
    Some((whole, row))
}

//! `HeaderToValue`: copies or moves headers into fields of the value.
use crate::error::config;
use crate::require::{fields_of, map_of, put, struct_of};
use crate::schemas::{field, index_of};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Kind, Record, Schema, SchemaRef, Struct, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::choice;
use parking_lot::RwLock;
use std::sync::Arc;

const PURPOSE: &str = "adding headers to value";
/// Derived schemas remembered; the list is short and searched from its end.
const SCHEMAS_MAX: usize = 64;

choice! {
    /// What becomes of the headers.
    pub(crate) enum HeaderOperation {
        /// They are taken off.
        Move = "move",
        /// They stay.
        Copy = "copy",
    }
}

elasticflow_config::settings! {
    /// Settings of `HeaderToValue`.
    pub(crate) struct HeaderToValueConfig {
        /// Headers whose values become fields.
        "headers" => headers: Vec<String> { importance: High },
        /// Names of the fields, in the order of `headers`; a dot leads into a struct, as in `source.region`.
        "fields" => fields: Vec<String> { importance: High },
        /// Whether the headers are moved or copied.
        "operation" => operation: HeaderOperation { importance: High },
    }
}

pub(crate) struct HeaderToValue {
    /// Header and path of the field.
    pairs: Vec<(String, Vec<String>)>,
    moves: bool,
    derived: RwLock<Vec<Derived>>,
}

/// A schema with a field more.
struct Derived {
    before: SchemaRef,
    pair: usize,
    header: Option<SchemaRef>,
    after: SchemaRef,
}

impl Configured for HeaderToValue {
    type Config = HeaderToValueConfig;
    fn configured(c: HeaderToValueConfig, _: Side) -> Result<Self> {
        if c.headers.len() != c.fields.len() {
            return Err(config("'fields' config must have the same number of elements as 'headers' config."));
        }
        let path = |text: String| text.split('.').map(str::to_owned).collect();
        let pairs = c.headers.into_iter().zip(c.fields.into_iter().map(path)).collect();
        let moves = c.operation == HeaderOperation::Move;
        Ok(Self { pairs, moves, derived: RwLock::default() })
    }
}

impl Transform for HeaderToValue {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        if record.value.value == Value::Null {
            return Ok(Some(record));
        }
        for (pair, (header, path)) in self.pairs.iter().enumerate() {
            let Some(at) = record.headers.iter().position(|(name, _)| **name == **header) else { continue };
            let datum = match self.moves {
                true => record.headers.remove(at).1,
                false => record.headers.get(at).map_or(Datum { schema: None, value: Value::Null }, |h| h.1.clone()),
            };
            self.add(&mut record.value, pair, path, datum)?;
        }
        Ok(Some(record))
    }
}

impl HeaderToValue {
    fn add(&self, value: &mut Datum, pair: usize, path: &[String], added: Datum) -> Result<(), RecordError> {
        let Some(before) = value.schema.clone() else {
            put(map_of(value, PURPOSE)?, &path.join("."), added.value);
            return Ok(());
        };
        let record = struct_of(value, PURPOSE)?;
        let after = self.derived(&before, pair, path, added.schema.as_ref())?;
        fill(record, &after, path, added.value);
        value.schema = Some(after);
        Ok(())
    }

    fn derived(
        &self,
        before: &SchemaRef,
        pair: usize,
        path: &[String],
        header: Option<&SchemaRef>,
    ) -> Result<SchemaRef, RecordError> {
        let same = |d: &&Derived| {
            d.pair == pair && (Arc::ptr_eq(&d.before, before) || d.before == *before) && d.header.as_ref() == header
        };
        if let Some(known) = self.derived.read().iter().rev().find(same) {
            return Ok(Arc::clone(&known.after));
        }
        let added = header.map_or_else(|| Arc::new(crate::schemas::plain(Kind::String, true)), Arc::clone);
        let after = Arc::new(extended(before, path, &added)?);
        let mut derived = self.derived.write();
        if derived.len() >= SCHEMAS_MAX {
            derived.clear();
        }
        let (before, header) = (Arc::clone(before), header.cloned());
        derived.push(Derived { before, pair, header, after: Arc::clone(&after) });
        Ok(after)
    }
}

/// The schema with the field; structs on the way keep everything else. A field that is there gets the header's schema.
fn extended(schema: &Schema, path: &[String], added: &SchemaRef) -> Result<Schema, RecordError> {
    let Some((name, rest)) = path.split_first() else { return Ok(schema.clone()) };
    let mut fields = fields_of(schema)?.to_vec();
    let at = index_of(&fields, name);
    let inner = match (at.and_then(|i| fields.get(i)), rest) {
        (_, []) => Arc::clone(added),
        (Some(inside), rest) => Arc::new(extended(&inside.schema, rest, added)?),
        (None, _) => return Err(crate::error::data(format!("Unknown field: {name}"))),
    };
    match at.and_then(|i| fields.get_mut(i)) {
        Some(there) => there.schema = inner,
        None => fields.push(field(name.as_str(), inner)),
    }
    Ok(Schema { kind: Kind::Struct(fields.into()), default: None, ..schema.clone() })
}

/// Sets the value; a struct on the way that is null stays null.
fn fill(record: &mut Struct, schema: &SchemaRef, path: &[String], added: Value) {
    record.schema = Arc::clone(schema);
    let (Some((name, rest)), Kind::Struct(fields)) = (path.split_first(), &schema.kind) else { return };
    let Some(index) = index_of(fields, name) else { return };
    match (record.values.get_mut(index), rest) {
        (None, _) => record.values.push(added),
        (Some(there), []) => *there = added,
        (Some(Value::Struct(inner)), rest) => {
            if let Some(field) = fields.get(index) {
                fill(inner, &field.schema, rest, added);
            }
        }
        (Some(_), _) => {}
    }
}

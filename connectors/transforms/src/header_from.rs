//! `HeaderFrom`: copies or moves fields into headers.
use crate::error::{config, data};
use crate::require::{Pairs, entry, fields_of, is_key, map_of, struct_of};
use crate::schemas::{PLANS_MAX, index_of, like, take, value_or_default};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Headers, Record, SchemaRef, Struct, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::{Validity, choice};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

choice! {
    /// What becomes of the fields.
    pub(crate) enum Operation {
        /// They are taken out.
        Move = "move",
        /// They stay.
        Copy = "copy",
    }
}

const NON_EMPTY: Validity =
    Validity::Check(|text| if text.trim().is_empty() { Err("Empty list".to_owned()) } else { Ok(()) });

elasticflow_config::settings! {
    /// Settings of `HeaderFrom`.
    pub(crate) struct HeaderFromConfig {
        /// Fields whose values become headers.
        "fields" => fields: Vec<String> { importance: High, valid: NON_EMPTY },
        /// Names of the headers, in the order of `fields`.
        "headers" => headers: Vec<String> { importance: High, valid: NON_EMPTY },
        /// Whether the fields are moved or copied.
        "operation" => operation: Operation { importance: High },
        /// Whether a null field counts as its default.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct HeaderFrom {
    side: Side,
    /// Field and header.
    pairs: Vec<(String, Arc<str>)>,
    moves: bool,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    /// Index and schema of each field that becomes a header.
    taken: Vec<(usize, SchemaRef)>,
    /// What stays, with its schema, when fields are moved.
    rest: Option<(Vec<usize>, SchemaRef)>,
}

impl Configured for HeaderFrom {
    type Config = HeaderFromConfig;
    fn configured(c: HeaderFromConfig, side: Side) -> Result<Self> {
        if c.fields.len() != c.headers.len() {
            return Err(config("'fields' config must have the same number of elements as 'headers' config."));
        }
        let pairs = c.fields.into_iter().zip(c.headers.into_iter().map(Arc::from)).collect();
        let moves = c.operation == Operation::Move;
        Ok(Self { side, pairs, moves, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Transform for HeaderFrom {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        let mut headers = std::mem::take(&mut record.headers);
        let datum = self.side.of(&mut record);
        match datum.schema.clone() {
            None => self.of_map(map_of(datum, self.purpose())?, &mut headers),
            Some(schema) => self.of_struct(datum, &schema, &mut headers)?,
        }
        record.headers = headers;
        Ok(Some(record))
    }
}

impl HeaderFrom {
    fn purpose(&self) -> &'static str {
        if self.moves { "header move" } else { "header copy" }
    }

    fn of_map(&self, pairs: &mut Pairs, headers: &mut Headers) {
        for (field, header) in &self.pairs {
            let value = entry(pairs, field).cloned().unwrap_or(Value::Null);
            headers.push((Arc::clone(header), Datum { schema: None, value }));
        }
        if self.moves {
            pairs.retain(|(key, _)| !self.pairs.iter().any(|(field, _)| is_key(key, field)));
        }
    }

    fn of_struct(&self, datum: &mut Datum, schema: &SchemaRef, headers: &mut Headers) -> Result<(), RecordError> {
        let record = struct_of(datum, self.purpose())?;
        let plan = self.plans.of(schema, |schema| self.plan(schema))?;
        for ((index, schema), (_, header)) in plan.taken.iter().zip(&self.pairs) {
            let value = record.values.get(*index).unwrap_or(&Value::Null);
            let value = value_or_default(value, schema, self.replace);
            headers.push((Arc::clone(header), Datum { schema: Some(Arc::clone(schema)), value }));
        }
        if let Some((kept, schema)) = &plan.rest {
            let values = kept.iter().map(|i| take(&mut record.values, *i)).collect();
            *record = Struct { schema: Arc::clone(schema), values };
            datum.schema = Some(Arc::clone(schema));
        }
        Ok(())
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let fields = fields_of(schema)?;
        let mut taken = Vec::new();
        for (name, _) in &self.pairs {
            let index = index_of(fields, name).ok_or_else(|| data(format!("Unknown field: {name}")))?;
            let field = fields.get(index).ok_or_else(|| data(format!("Unknown field: {name}")))?;
            taken.push((index, Arc::clone(&field.schema)));
        }
        if !self.moves {
            return Ok(Plan { taken, rest: None });
        }
        let stays = |i: &usize| !taken.iter().any(|(index, _)| index == i);
        let kept: Vec<usize> = (0..fields.len()).filter(stays).collect();
        let rest = kept.iter().filter_map(|i| fields.get(*i).cloned()).collect();
        Ok(Plan { taken, rest: Some((kept, Arc::new(like(schema, rest)?))) })
    }
}

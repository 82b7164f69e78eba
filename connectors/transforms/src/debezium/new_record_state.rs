//! `ExtractNewRecordState`, known as `unwrap`: the row in the place of the envelope.
use super::added_fields::{Found, Wanted, found, row_schema, wanted};
use super::dropped_fields::{drop_from, names};
use super::envelope::{Places, op, places};
use crate::error::data;
use crate::schemas::{Defaults, PLANS_MAX, index_of, take};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Text, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::choice;
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

choice! {
    /// What becomes of deletes and of the tombstones behind them.
    pub(crate) enum Deletes {
        /// Both are dropped.
        Drop = "drop",
        /// The delete becomes a null with the row's schema, the tombstone is dropped.
        Tombstone = "tombstone",
        /// The delete becomes the row as it was, marked `__deleted`; the tombstone is dropped.
        Rewrite = "rewrite",
        /// As rewrite, and the tombstone stays.
        RewriteWithTombstone = "rewrite-with-tombstone",
        /// The delete becomes a null without a schema, the tombstone is dropped.
        DeleteToTombstone = "delete-to-tombstone",
    }
}

impl Deletes {
    fn marks(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }
}

elasticflow_config::settings! {
    /// Settings of `ExtractNewRecordState`.
    pub(crate) struct ExtractNewRecordStateConfig {
        /// What becomes of a delete and of the tombstone behind it: drop drops both; tombstone makes one record with a null
        /// value and the row's schema; delete-to-tombstone the same without schema; rewrite gives the row as it was with
        /// `__deleted` = `true` (every other row has `false`); rewrite-with-tombstone keeps the tombstone as well.
        "delete.tombstone.handling.mode" => deletes: Deletes { default: "tombstone" },
        /// Column whose text becomes the topic.
        "route.by.field" => route: String { default: "", importance: Low },
        /// Begins the names of added fields.
        "add.fields.prefix" => fields_prefix: String { default: "__", importance: Low },
        /// Metadata to append to the row: `op`, `table`, `ts_ms`, `source.<field>`, `transaction.<field>`, each with `:name`
        /// for another name. What an envelope does not have is left out.
        "add.fields" => fields: Vec<String> { default: "", importance: Low },
        /// Begins the names of added headers.
        "add.headers.prefix" => headers_prefix: String { default: "__", importance: Low },
        /// Metadata to add as headers; written as in `add.fields`.
        "add.headers" => headers: Vec<String> { default: "", importance: Low },
        /// Header that lists fields of its own record to leave out.
        "drop.fields.header.name" => drop_header: Option<String> { importance: Low },
        /// Whether those fields leave the key as well.
        "drop.fields.from.key" => drop_key: bool { default: "false", importance: Low },
        /// Whether required fields stay even so, which keeps the schema compatible.
        "drop.fields.keep.schema.compatible" => drop_compatible: bool { default: "true", importance: Low },
        /// Whether null columns become their defaults where fields are added.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct ExtractNewRecordState {
    config: ExtractNewRecordStateConfig,
    fields: Vec<Wanted>,
    headers: Vec<Wanted>,
    /// `None` for schemas that are no envelope.
    plans: SchemaCache<Option<Plan>>,
}

/// What is known of one envelope schema.
struct Plan {
    places: Places,
    /// Of the row, as it is sent.
    row: SchemaRef,
    /// Of `after`, for nulls.
    after: SchemaRef,
    defaults: Defaults,
    fields: Vec<Found>,
    headers: Vec<Found>,
    route: Option<usize>,
}

impl Configured for ExtractNewRecordState {
    type Config = ExtractNewRecordStateConfig;
    fn configured(config: ExtractNewRecordStateConfig, _: Side) -> Result<Self> {
        let fields = wanted(&config.fields, &config.fields_prefix)?;
        let headers = wanted(&config.headers, &config.headers_prefix)?;
        Ok(Self { config, fields, headers, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Transform for ExtractNewRecordState {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        if record.value.value == Value::Null {
            return Ok((self.config.deletes == Deletes::RewriteWithTombstone).then_some(record));
        }
        let Some(schema) = record.value.schema.clone() else { return Ok(Some(record)) };
        let plan = self.plans.of(&schema, |schema| self.plan(schema))?;
        let Some(plan) = &*plan else { return Ok(Some(record)) };
        let Value::Struct(envelope) = std::mem::replace(&mut record.value.value, Value::Null) else {
            return Err(data("the envelope is no struct"));
        };
        self.unwrap(record, envelope.values, plan)
    }

    fn passes_plain_values(&self) -> bool {
        true
    }

    fn passes_headers(&self) -> bool {
        self.config.drop_header.is_none()
    }
}

impl ExtractNewRecordState {
    fn plan(&self, schema: &SchemaRef) -> Result<Option<Plan>, RecordError> {
        let Some((envelope, places)) = places(schema) else { return Ok(None) };
        let Some(after) = envelope.get(places.after).map(|f| Arc::clone(&f.schema)) else { return Ok(None) };
        let fields = found(&self.fields, envelope);
        let marks = self.config.deletes.marks();
        let appends = marks || !self.fields.is_empty();
        let row = row_schema(&after, marks, &fields)?;
        let Kind::Struct(columns) = &after.kind else { return Ok(None) };
        let defaults = Defaults::of(columns, self.config.replace && appends);
        let route = index_of(columns, &self.config.route);
        let headers = found(&self.headers, envelope);
        Ok(Some(Plan { places, row: Arc::new(row), after: Arc::clone(&after), defaults, fields, headers, route }))
    }

    fn unwrap(&self, mut record: Record, mut envelope: Vec<Value>, plan: &Plan) -> Result<Option<Record>, RecordError> {
        let after = take(&mut envelope, plan.places.after);
        let deleted = after == Value::Null;
        if deleted && (op(&envelope, plan.places) == "t" || self.config.deletes == Deletes::Drop) {
            return Ok(None);
        }
        let before = plan.places.before.map_or(Value::Null, |i| take(&mut envelope, i));
        let row = if deleted { before } else { after };
        self.route(&mut record, &row, plan)?;
        record.value = match row {
            row if !deleted || self.config.deletes.marks() => self.row(row, deleted, &envelope, plan),
            _ if self.config.deletes == Deletes::DeleteToTombstone => Datum { schema: None, value: Value::Null },
            _ => Datum { schema: Some(Arc::clone(&plan.after)), value: Value::Null },
        };
        for header in &plan.headers {
            let datum = Datum { schema: Some(Arc::clone(&header.schema)), value: header.value(&envelope) };
            record.headers.push((Arc::clone(&header.name), datum));
        }
        self.drop_fields(&mut record)?;
        Ok(Some(record))
    }

    /// The row with what is appended; null when the envelope has no image of it.
    fn row(&self, row: Value, deleted: bool, envelope: &[Value], plan: &Plan) -> Datum {
        let Value::Struct(Struct { mut values, .. }) = row else {
            return Datum { schema: Some(Arc::clone(&plan.after)), value: Value::Null };
        };
        plan.defaults.fill(&mut values);
        if self.config.deletes.marks() {
            values.push(Value::String(Text::from_static(if deleted { "true" } else { "false" })));
        }
        values.extend(plan.fields.iter().map(|f| f.value(envelope)));
        let value = Value::Struct(Struct { schema: Arc::clone(&plan.row), values });
        Datum { schema: Some(Arc::clone(&plan.row)), value }
    }

    fn route(&self, record: &mut Record, row: &Value, plan: &Plan) -> Result<(), RecordError> {
        let column = &self.config.route;
        if column.is_empty() {
            return Ok(());
        }
        let missing = || data(format!("route.by.field: the row has no text in the column {column}"));
        let Value::Struct(row) = row else { return Err(missing()) };
        match plan.route.and_then(|i| row.values.get(i)) {
            Some(Value::String(topic)) if !topic.is_empty() => {
                record.topic = (&**topic).into();
                Ok(())
            }
            _ => Err(missing()),
        }
    }

    fn drop_fields(&self, record: &mut Record) -> Result<(), RecordError> {
        let Some(header) = &self.config.drop_header else { return Ok(()) };
        let dropped = names(&record.headers, header);
        if dropped.is_empty() {
            return Ok(());
        }
        drop_from(&mut record.value, &dropped, self.config.drop_compatible)?;
        if self.config.drop_key {
            drop_from(&mut record.key, &dropped, self.config.drop_compatible)?;
        }
        Ok(())
    }
}

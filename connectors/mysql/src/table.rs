//! A version of a table: how its rows are read and what its records look like.
use crate::binlog::jsondiff;
use crate::binlog::rows::{Cell, Cells, Partial, Present, Raw, cell, skip};
use crate::binlog::table_map::{Op, TableMap};
use crate::binlog::{DecodeError, Reader};
use crate::column::{Column, Ty, op_for};
use crate::config::CdcConfig;
use crate::convert::Converter;
use crate::direct::Forms;
use crate::direct::record::{Parts, TableJson};
use crate::error::Result;
use crate::filters::Filters;
use crate::plan;
use bytes::Bytes;
use elasticflow_api::data::{Field, Schema, SchemaRef, Struct, Text, Value};
use elasticflow_cdc::envelope::envelope;
use elasticflow_cdc::mask::Mask;
use elasticflow_cdc::naming::topic;
use elasticflow_cdc::schema::{Shape, structure};
use std::sync::Arc;

/// A column of a version.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Name in the database.
    pub name: Arc<str>,
    /// How it is read from the log; none in a version that only a snapshot reads.
    pub op: Option<Op>,
    /// Its type.
    pub column: Arc<Column>,
    /// How it goes into records; none for a column that is left out.
    pub converter: Option<Converter>,
    /// Mask and length of the column.
    pub mask: Option<(Mask, Option<usize>)>,
    /// Lossless form, for columns of the key that identifies rows.
    pub exact: Option<Converter>,
}

/// The key of records.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its schema.
    pub schema: SchemaRef,
    /// Places of its columns among the captured ones.
    pub places: Vec<usize>,
}

/// A version of a table.
#[derive(Debug)]
pub struct Table {
    /// Database.
    pub db: Text,
    /// Table.
    pub name: Text,
    /// `db.table`.
    pub id: Arc<str>,
    /// Topic of its records.
    pub topic: Arc<str>,
    /// Every column of the table.
    pub slots: Arc<[Slot]>,
    /// Captured columns.
    pub captured: usize,
    /// Key of records.
    pub key: Option<Key>,
    /// Columns that identify a row, in key order: places among all columns.
    pub identity: Vec<usize>,
    /// Schema of an image.
    pub value: SchemaRef,
    /// Schema of records.
    pub envelope: SchemaRef,
    /// How its rows go to JSON directly, if they may.
    pub json: Option<TableJson>,
}

/// What every version is made with.
pub struct Maker {
    /// Settings.
    pub config: Arc<CdcConfig>,
    /// Filters and masks.
    pub filters: Arc<Filters>,
    /// Schema of `source`.
    pub source: SchemaRef,
    /// Schema of the transaction block.
    pub transaction: SchemaRef,
    /// Forms in which rows may go to JSON directly.
    pub forms: Option<Forms>,
}

/// What is known of a table's columns and key.
pub struct TableShape<'a> {
    /// Database.
    pub db: &'a str,
    /// Table.
    pub name: &'a str,
    /// Columns.
    pub columns: &'a [Arc<Column>],
    /// Columns that identify a row, by name.
    pub key: &'a [String],
    /// The map of the log, if the version is read from it.
    pub map: Option<&'a TableMap>,
}

impl Maker {
    /// Makes a version.
    ///
    /// # Errors
    /// A captured column has a type or a charset that is not supported.
    pub fn table(&self, shape: &TableShape<'_>) -> Result<Table> {
        let id = format!("{}.{}", shape.db, shape.name);
        let place_of = |name: &String| shape.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
        let identity: Vec<usize> = shape.key.iter().filter_map(place_of).collect();
        let mut fields = Fields::default();
        let mut slots = Vec::with_capacity(shape.columns.len());
        for (i, column) in shape.columns.iter().enumerate() {
            let op = shape.map.and_then(|m| m.columns.get(i)).map(|c| op_for(column, c));
            slots.push(self.slot(&id, column, (op, identity.contains(&i)), &mut fields)?);
        }
        let slots: Arc<[Slot]> = slots.into();
        let adjust = |suffix: &str| {
            let name = topic(&[&self.config.topic_prefix, shape.db, shape.name, suffix], ".");
            self.config.schema_adjustment.schema_name(&name)
        };
        let key = self.key((&id, &adjust("Key")), &slots, &fields.of_key, &identity);
        let value: SchemaRef = Arc::new(structure(fields.of_image).called(&adjust("Value")).nullable(true));
        let parts = [self.config.topic_prefix.as_str(), shape.db, shape.name];
        let topic: Arc<str> = Arc::from(topic(&parts, &self.config.topic_delimiter));
        let envelope = envelope(&adjust("Envelope"), &value, &self.source, &self.transaction);
        let of_json = Parts { topic: &topic, slots: &slots, key: key.as_ref(), value: &value, envelope: &envelope };
        Ok(Table {
            json: self.forms.and_then(|forms| TableJson::new(&of_json, forms)),
            db: Text::from(shape.db),
            name: Text::from(shape.name),
            topic,
            captured: slots.iter().filter(|s| s.converter.is_some()).count(),
            slots,
            key,
            identity,
            envelope,
            value,
            id: Arc::from(id),
        })
    }

    fn slot(
        &self,
        table: &str,
        column: &Arc<Column>,
        (op, identifies): (Option<Op>, bool),
        fields: &mut Fields,
    ) -> Result<Slot> {
        let name = format!("{table}.{}", column.name);
        let mut slot = Slot {
            name: Arc::from(column.name.as_str()),
            op,
            column: Arc::clone(column),
            converter: None,
            mask: None,
            exact: if identifies { Some(plan::exact(column, &name)?) } else { None },
        };
        if self.filters.column(&name) {
            let (schema, converter) = match self.filters.is_boolean(column, &name) {
                true => plan::boolean(column, &self.config),
                false => plan::plan(column, &self.config, &name)?,
            };
            slot.converter = Some(converter);
            slot.mask = self.mask(&name, column);
            let schema = self.documented(schema, column);
            let field_name: Arc<str> = Arc::from(self.config.field_adjustment.field_name(&column.name));
            fields.of_key.push(Field { name: Arc::clone(&field_name), schema: Arc::new(schema.clone()) });
            let schema = masked(self.propagated(schema, table, column, &name), slot.mask.as_ref());
            fields.of_image.push(Field { name: field_name, schema: Arc::new(schema) });
        }
        Ok(slot)
    }

    /// Masks are for text; those of other columns would put text where their schema has none.
    fn mask(&self, name: &str, column: &Column) -> Option<(Mask, Option<usize>)> {
        let mask = self.filters.mask(name)?;
        if !is_text(column) {
            tracing::warn!(
                column = name,
                "a mask has no effect: the column is no text; column.exclude.list leaves it out"
            );
            return None;
        }
        Some((mask.clone(), length_of(column)))
    }

    fn documented(&self, mut schema: Schema, column: &Column) -> Schema {
        if self.config.schema_comments && !column.comment.is_empty() {
            schema.doc = Some(Arc::from(column.comment.as_str()));
        }
        schema
    }

    fn propagated(&self, mut schema: Schema, table: &str, column: &Column, name: &str) -> Schema {
        let db = table.split('.').next().unwrap_or_default();
        if !self.filters.propagates(name, &format!("{db}.{}", column.type_name())) {
            return schema;
        }
        schema = schema
            .with("__debezium.source.column.type", &column.type_name())
            .with("__debezium.source.column.name", &column.name);
        let (length, scale) = declared_length(column);
        if let Some(length) = length {
            schema = schema.with("__debezium.source.column.length", &length);
        }
        if let Some(scale) = scale {
            schema = schema.with("__debezium.source.column.scale", &scale);
        }
        if self.config.schema_comments && !column.comment.is_empty() {
            schema = schema.with("__debezium.source.column.comment", &column.comment);
        }
        schema
    }

    fn key(&self, (id, name): (&str, &str), slots: &[Slot], fields: &[Field], identity: &[usize]) -> Option<Key> {
        let captured_place = |column: usize| {
            slots.get(column)?.converter.as_ref()?;
            Some(slots.iter().take(column).filter(|s| s.converter.is_some()).count())
        };
        let mut chosen = self.filters.key_columns(id, slots.iter().map(|s| &*s.name));
        if chosen.is_empty() {
            chosen = identity.to_vec();
        }
        let places: Vec<usize> = chosen.into_iter().filter_map(captured_place).collect();
        if places.is_empty() {
            return None;
        }
        let key_fields = places.iter().filter_map(|p| fields.get(*p)).cloned().collect();
        Some(Key { schema: Arc::new(structure(key_fields).called(name)), places })
    }
}

/// Fields of images, and the same as keys have them: without the source type.
#[derive(Default)]
struct Fields {
    of_image: Vec<Field>,
    of_key: Vec<Field>,
}

/// A masked column says so in its schema.
fn masked(schema: Schema, mask: Option<&(Mask, Option<usize>)>) -> Schema {
    match mask {
        None => schema,
        Some((Mask::Truncate(length), _)) => schema.with("truncateLength", &length.to_string()),
        Some((Mask::Stars(_) | Mask::Hash(..), _)) => schema.with("masked", "true"),
    }
}

/// Whether records have its values as plain text.
fn is_text(column: &Column) -> bool {
    match &column.ty {
        Ty::Text { charset, .. } => charset != "binary",
        Ty::Enum { .. } | Ty::Set { .. } | Ty::Uuid | Ty::Inet4 | Ty::Inet6 => true,
        _ => false,
    }
}

/// Characters a text column holds.
fn length_of(column: &Column) -> Option<usize> {
    match &column.ty {
        Ty::Text { length, .. } => length.and_then(|n| usize::try_from(n).ok()),
        _ => None,
    }
}

/// `20` of `varchar(20)`, `8` and `3` of `decimal(8,3)`; for lists of members Debezium's own numbers.
fn declared_length(column: &Column) -> (Option<String>, Option<String>) {
    match &column.ty {
        Ty::Enum { .. } => return (Some("1".to_owned()), None),
        Ty::Set { members } => return (Some((members.len() * 2).saturating_sub(1).to_string()), None),
        _ => {}
    }
    let inner = column.declared.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inner, _)| inner);
    let Some(inner) = inner else { return (None, None) };
    match inner.split_once(',') {
        Some((length, scale)) => (Some(length.to_owned()), Some(scale.to_owned())),
        None => (Some(inner.to_owned()), None),
    }
}

/// Why a row could not be read.
#[derive(Debug)]
pub enum RowError {
    /// Its bytes are broken.
    Decode(DecodeError),
    /// A captured column is not in the image.
    Absent(Arc<str>),
}

impl<E: Into<DecodeError>> From<E> for RowError {
    fn from(error: E) -> Self {
        Self::Decode(error.into())
    }
}

impl Table {
    /// Reads one image: the captured columns.
    #[inline]
    pub fn image(&self, r: &mut Reader<'_>, present: &Present, body: &Bytes) -> Result<Vec<Value>, RowError> {
        let mut cells = Cells::begin(r, present)?;
        let mut values = Vec::with_capacity(self.captured);
        for slot in self.slots.iter() {
            let state = cells.step();
            let Some(converter) = &slot.converter else {
                if let (Cell::Value, Some(op)) = (state, slot.op) {
                    skip(op, r)?;
                }
                continue;
            };
            let value = match (state, slot.op) {
                (Cell::Value, Some(op)) => converter.convert(cell(op, r)?.shared(body))?,
                (Cell::Null, _) => Value::Null,
                (Cell::Absent, _) | (_, None) => return Err(RowError::Absent(Arc::clone(&slot.name))),
            };
            values.push(match &slot.mask {
                None => value,
                Some((mask, length)) => mask.apply(value, *length),
            });
        }
        Ok(values)
    }

    /// Reads the image after a partial update: steps of JSON columns are applied to the image before.
    pub fn partial_image(
        &self,
        r: &mut Reader<'_>,
        present: &Present,
        body: &Bytes,
        before: &[Value],
    ) -> Result<Vec<Value>, RowError> {
        let partial = Partial::read(r, self.json_columns())?;
        let mut cells = Cells::begin(r, present)?;
        let mut values: Vec<Value> = Vec::with_capacity(self.captured);
        let mut json = 0;
        for slot in self.slots.iter() {
            let is_json = matches!(slot.op, Some(Op::Json { .. }));
            let steps = is_json && partial.has(json);
            json += usize::from(is_json);
            let state = cells.step();
            let Some(converter) = &slot.converter else {
                if let (Cell::Value, Some(op)) = (state, slot.op) {
                    skip(op, r)?;
                }
                continue;
            };
            let value = match (state, slot.op, before.get(values.len())) {
                (Cell::Value, Some(op), Some(Value::String(text))) if steps => match cell(op, r)? {
                    Raw::Json(diffs) => Value::String(Text::from(jsondiff::apply(text, diffs)?)),
                    _ => return Err(RowError::Decode(DecodeError::UnknownType(245))),
                },
                (Cell::Value, ..) if steps => return Err(RowError::Absent(Arc::clone(&slot.name))),
                (Cell::Value, Some(op), _) => converter.convert(cell(op, r)?.shared(body))?,
                (Cell::Null, ..) => Value::Null,
                (Cell::Absent, ..) | (_, None, _) => return Err(RowError::Absent(Arc::clone(&slot.name))),
            };
            values.push(match &slot.mask {
                None => value,
                Some((mask, length)) => mask.apply(value, *length),
            });
        }
        Ok(values)
    }

    /// Columns that may be updated in part.
    pub fn json_columns(&self) -> usize {
        self.slots.iter().filter(|s| matches!(s.op, Some(Op::Json { .. }))).count()
    }

    /// Reads one image: the columns that identify the row, without loss.
    pub fn identity_of(&self, r: &mut Reader<'_>, present: &Present, body: &Bytes) -> Result<Vec<Value>, RowError> {
        let mut cells = Cells::begin(r, present)?;
        let mut found: Vec<(usize, Value)> = Vec::with_capacity(self.identity.len());
        for (i, slot) in self.slots.iter().enumerate() {
            match (cells.step(), slot.op, &slot.exact) {
                (Cell::Value, Some(op), Some(exact)) => found.push((i, exact.convert(cell(op, r)?.shared(body))?)),
                (Cell::Value, Some(op), None) => skip(op, r)?,
                (_, None, _) | (Cell::Absent, _, Some(_)) => return Err(RowError::Absent(Arc::clone(&slot.name))),
                (Cell::Null, _, Some(_)) => found.push((i, Value::Null)),
                (Cell::Null | Cell::Absent, _, None) => {}
            }
        }
        let in_order = |i: &usize| found.iter().find(|(at, _)| at == i).map_or(Value::Null, |(_, v)| v.clone());
        Ok(self.identity.iter().map(in_order).collect())
    }

    /// Key of a record from the captured columns of an image.
    pub fn key_of(&self, image: &[Value]) -> Option<Struct> {
        let key = self.key.as_ref()?;
        let values = key.places.iter().map(|p| image.get(*p).cloned().unwrap_or(Value::Null)).collect();
        Some(Struct { schema: Arc::clone(&key.schema), values })
    }

    /// Whether two images have the same key.
    pub fn same_key(&self, a: &[Value], b: &[Value]) -> bool {
        self.key.as_ref().is_none_or(|key| key.places.iter().all(|p| a.get(*p) == b.get(*p)))
    }
}

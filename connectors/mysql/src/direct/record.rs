//! What is written once per version of a table: names, the schemas' part, how each cell is written.
use super::cell::Pen;
use super::{Forms, Scratch, Unfit};
use crate::binlog::Reader;
use crate::binlog::rows::{Cell, Cells, Present, cell, skip};
use crate::chunk::raw_of;
use crate::table::{Key, Slot};
use bytes::Bytes;
use elasticflow_api::data::{Field, Kind, SchemaRef};
use elasticflow_api::written::Target;
use elasticflow_formats::json::{Plan, Style, write_string};
use mysql_async::Value as Sql;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// How the rows of a version are written.
pub struct TableJson {
    /// Those of the version.
    slots: Arc<[Slot]>,
    /// A column of each slot.
    columns: Vec<Column>,
    /// Braces, names and colons of the key; none without a key.
    key: Vec<Box<[u8]>>,
    /// Whether two keys are equal exactly when their bytes are.
    pub(crate) tells_keys_apart: bool,
    pub(crate) target: Arc<Target>,
}

impl fmt::Debug for TableJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableJson").field("target", &self.target.topic).finish_non_exhaustive()
    }
}

/// An image with the key after it.
pub struct Image {
    bytes: Vec<u8>,
    end: usize,
}

impl Image {
    /// Image and key; no key is empty.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.end.min(self.bytes.len()))
    }
}

/// A column of the log.
struct Column {
    /// None for a column that is left out.
    pen: Option<Pen>,
    /// Its place in the key.
    in_key: Option<usize>,
}

/// The parts of a version that records are made of.
pub(crate) struct Parts<'a> {
    pub(crate) topic: &'a Arc<str>,
    pub(crate) slots: &'a Arc<[Slot]>,
    pub(crate) key: Option<&'a Key>,
    pub(crate) value: &'a SchemaRef,
    pub(crate) envelope: &'a SchemaRef,
}

impl TableJson {
    /// None for a version whose rows must be left to the assembler.
    pub(crate) fn new(parts: &Parts<'_>, forms: Forms) -> Option<Self> {
        let same = Style::from(forms.key) == Style::from(forms.value);
        let (Kind::Struct(fields), true) = (&parts.value.kind, same) else { return None };
        let style = Style::from(forms.value);
        let places: &[usize] = parts.key.map_or(&[], |key| &key.places);
        let repeats = (1..places.len()).any(|i| places.iter().take(i).any(|p| places.get(i) == Some(p)));
        if fields.is_empty() || repeats {
            return None;
        }
        let (mut columns, mut captured) = (Vec::with_capacity(parts.slots.len()), 0);
        for slot in parts.slots.iter() {
            let (mut pen, mut in_key) = (None, None);
            if slot.converter.is_some() {
                pen = Some(Pen::new(slot, (fields.get(captured)?, captured), style)?);
                in_key = places.iter().position(|p| *p == captured);
                captured += 1;
            }
            columns.push(Column { pen, in_key });
        }
        let lead = |schemas: bool, schema: &SchemaRef| match schemas {
            true => Plan::new(schema, &style).ok().map(|plan| plan.lead().clone()),
            false => Some(Bytes::new()),
        };
        let key_lead = parts.key.map_or(Some(Bytes::new()), |key| lead(forms.key.schemas, &key.schema))?;
        let target =
            Target { topic: Arc::clone(parts.topic), key_lead, value_lead: lead(forms.value.schemas, parts.envelope)? };
        let in_key = |place: &usize| fields.get(*place);
        Some(Self {
            slots: Arc::clone(parts.slots),
            columns,
            key: places.iter().filter_map(in_key).enumerate().map(|(i, field)| lead_of(field, i)).collect(),
            tells_keys_apart: places
                .iter()
                .filter_map(in_key)
                .all(|f| f.schema.default.is_none() || !f.schema.optional),
            target: Arc::new(target),
        })
    }

    /// Writes an image and notes where the cells of the key are.
    #[inline]
    pub(crate) fn image(
        &self,
        r: &mut Reader<'_>,
        (present, body): (&Present, &Bytes),
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<(), Unfit> {
        scratch.keys.clear();
        scratch.keys.resize(self.key.len(), 0..0);
        let mut cells = Cells::begin(r, present)?;
        for (slot, column) in self.slots.iter().zip(&self.columns) {
            let state = cells.step();
            let Some(pen) = &column.pen else {
                if let (Cell::Value, Some(op)) = (state, slot.op) {
                    skip(op, r)?;
                }
                continue;
            };
            out.extend_from_slice(&pen.lead);
            let start = out.len();
            match state {
                Cell::Value => {
                    let raw = cell(slot.op.ok_or(Unfit)?, r)?;
                    pen.value((slot, Some(body)), raw, out, &mut scratch.cell)?;
                }
                Cell::Null => out.extend_from_slice(pen.null.as_ref().ok_or(Unfit)?),
                Cell::Absent => return Err(Unfit),
            }
            if let Some(to) = column.in_key.and_then(|place| scratch.keys.get_mut(place)) {
                *to = start..out.len();
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// An image from the cells of a query, by columns of the table.
    pub(crate) fn read<'a>(
        &self,
        cells: impl Iterator<Item = (usize, &'a Sql)>,
        scratch: &mut Scratch,
    ) -> Result<Image, Unfit> {
        let mut out = Vec::with_capacity(scratch.expected);
        scratch.keys.clear();
        scratch.keys.resize(self.key.len(), 0..0);
        for (place, cell) in cells {
            let (slot, column) = self.slots.get(place).zip(self.columns.get(place)).ok_or(Unfit)?;
            let Some(pen) = &column.pen else { continue };
            out.extend_from_slice(&pen.lead);
            let start = out.len();
            match raw_of(cell, &slot.column.ty)? {
                Some(raw) => pen.value((slot, None), raw, &mut out, &mut scratch.cell)?,
                None => out.extend_from_slice(pen.null.as_ref().ok_or(Unfit)?),
            }
            if let Some(to) = column.in_key.and_then(|place| scratch.keys.get_mut(place)) {
                *to = start..out.len();
            }
        }
        out.push(b'}');
        let end = out.len();
        self.key(&mut out, scratch);
        scratch.expected = out.len();
        Ok(Image { bytes: out, end })
    }

    /// Writes the key from the cells of the image that was written last.
    pub(crate) fn key(&self, out: &mut Vec<u8>, scratch: &Scratch) -> Option<Range<usize>> {
        let start = out.len();
        for (lead, cell) in self.key.iter().zip(&scratch.keys) {
            out.extend_from_slice(lead);
            out.extend_from_within(cell.clone());
        }
        if self.key.is_empty() {
            return None;
        }
        out.push(b'}');
        Some(start..out.len())
    }
}

/// `{"name":` of a first field, `,"name":` of the others.
pub(super) fn lead_of(field: &Field, place: usize) -> Box<[u8]> {
    let mut lead = vec![if place == 0 { b'{' } else { b',' }];
    write_string(&field.name, &mut lead);
    lead.push(b':');
    lead.into()
}

//! Rows of a query: straight to JSON where they may be, else to values.
use super::cells::raw_of;
use super::select::Select;
use super::{ReadRow, RowForm};
use crate::binlog::DecodeError;
use crate::direct::Scratch;
use crate::direct::record::Image;
use crate::error::{Error, Result};
use crate::window::fingerprint;
use elasticflow_api::data::Value;
use mysql_async::Value as Sql;

impl Select<'_> {
    /// A row; with a scratch, as JSON if it can be.
    pub(super) fn row(&self, cells: &[Sql], scratch: Option<&mut Scratch>) -> Result<ReadRow> {
        let broken =
            |cause: DecodeError| Error::Snapshot { table: self.table.id.to_string(), reason: cause.to_string() };
        let key = if self.key.is_empty() { 0 } else { fingerprint(&self.identity(cells).map_err(broken)?) };
        let size = cells.iter().map(size_of).sum();
        let form = match scratch.and_then(|scratch| self.written(cells, scratch)) {
            Some(image) => RowForm::Json(image),
            None => RowForm::Values(self.values(cells)?),
        };
        Ok(ReadRow { form, key, size })
    }

    /// None if the row is left to its values.
    fn written(&self, cells: &[Sql], scratch: &mut Scratch) -> Option<Image> {
        let json = self.table.json.as_ref()?;
        json.read(self.columns.iter().copied().zip(cells), scratch).ok()
    }

    fn values(&self, cells: &[Sql]) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(self.table.captured);
        for (cell, column) in cells.iter().zip(&self.columns) {
            let Some(slot) = self.table.slots.get(*column) else { continue };
            let Some(converter) = &slot.converter else { continue };
            let value =
                raw_of(cell, &slot.column.ty).and_then(|raw| raw.map_or(Ok(Value::Null), |r| converter.convert(r)));
            let value = value.map_err(|cause| Error::Snapshot {
                table: self.table.id.to_string(),
                reason: format!("column {}: {cause}", slot.name),
            })?;
            values.push(match &slot.mask {
                None => value,
                Some((mask, length)) => mask.apply(value, *length),
            });
        }
        Ok(values)
    }
}

fn size_of(cell: &Sql) -> usize {
    match cell {
        Sql::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

//! Rows that go to JSON without values in between.
use super::Capture;
use super::rows::{Rows, op_of};
use crate::batch::Batch;
use crate::binlog::Reader;
use crate::direct;

impl Capture {
    /// Whether the rows of an event go to JSON directly; prepares for it.
    pub(super) fn writes_directly(&mut self, rows: &Rows, out: &mut Batch) -> bool {
        let Some(direct) = self.direct.as_mut().filter(|_| !rows.partial) else { return false };
        if self.signal_table.as_ref().is_some_and(|t| *t == rows.table.id) {
            return false;
        }
        let begins = direct.begin(&rows.table, (op_of(rows.head.kind), &rows.origin), &self.assembler);
        if begins && out.written.is_empty() {
            out.written.headers.clone_from(&self.assembler.headers);
        }
        begins
    }

    /// Writes the records of a row as JSON; none if it is left to the assembler.
    pub(super) fn write(&mut self, rows: &Rows, r: &mut Reader<'_>, out: &mut Batch) -> Option<usize> {
        let (before, after) = (rows.head.before.as_ref(), rows.head.after.as_ref());
        let images = direct::Images { before, after, body: &rows.body, row: rows.row };
        let others = out.records.len();
        self.direct.as_mut()?.row(&rows.table, r, &images, (&mut out.written, others))
    }
}

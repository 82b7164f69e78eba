//! Rows that may go out into the batch, with the marks of Debezium's snapshots, and what follows the last one of a chunk.
use super::{Outcome, Phase, Snapshot, key_names, names_of};
use crate::assemble::{Change, Origin};
use crate::batch::Batch;
use crate::capture::Capture;
use crate::chunk::{ReadRow, RowForm};
use crate::direct::Direct;
use crate::error::{Error, Result};
use crate::snapshot_notes::key_text;
use elasticflow_api::data::{Text, Value};
use elasticflow_cdc::envelope::Op;
use elasticflow_cdc::notify::Stage;

impl Snapshot {
    pub(super) fn table_done(&mut self, capture: &mut Capture) {
        if let Some(table) = self.tables.pop_front() {
            let name = format!("{}.{}", table.0, table.1);
            self.tell_table_done(capture, &name);
            capture.watch.gated.remove(name.as_str());
            self.scanned.push((name, self.progress.rows));
            match &mut self.progress.adhoc {
                Some(adhoc) => adhoc.tables.retain(|t| *t != table),
                None => self.progress.done = Some(table),
            }
        }
        self.progress.table = None;
        self.progress.key = None;
        (self.end, self.progress.end) = (None, None);
        self.progress.columns = Vec::new();
        (self.progress.rows, self.about) = (0, None);
        (self.told_table, self.maximum) = (false, None);
        self.current = None;
        self.first_of_table = true;
    }

    /// Puts rows that may go out into the batch.
    pub(super) async fn send(&mut self, capture: &mut Capture, out: &mut Batch) -> Result<Option<Outcome>> {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Sending { mut rows, next, more, outdated } => {
                let ends_table = next.is_none();
                self.tell_table(capture);
                let mut origin = read_origin(capture, self.is_initial());
                capture.direct.iter_mut().for_each(Direct::forget);
                while out.room() > 0 && !out.is_full() {
                    let Some(row) = rows.next() else { break };
                    let last = ends_table && rows.len() == 0;
                    if !outdated.contains(&row.key) {
                        self.read(capture, row, (&mut origin, last, last && !more), out)?;
                    }
                }
                if rows.len() > 0 {
                    self.phase = Phase::Sending { rows, next, more, outdated };
                    return Ok(Some(Outcome::InChunk));
                }
                self.chunk_done(capture, next).await.map(Some)
            }
            Phase::Flowing { mut rows, ended } => {
                self.tell_table(capture);
                let mut origin = read_origin(capture, self.is_initial());
                capture.direct.iter_mut().for_each(Direct::forget);
                let due = self.pace.left(capture.clock.monotonic()).is_zero();
                let portion = if due { self.pace.rows_max() } else { 0 };
                let before = out.len();
                let passed = |out: &Batch| out.len() - before;
                while out.room() > 0 && !out.is_full() && passed(out) < portion && (rows.len() > 1 || ended.is_some()) {
                    let Some(row) = rows.pop_front() else { break };
                    let last = rows.is_empty();
                    self.read(capture, row, (&mut origin, last, last && ended == Some(false)), out)?;
                }
                if ended.is_some() && rows.is_empty() {
                    return self.chunk_done(capture, None).await.map(Some);
                }
                self.phase = Phase::Flowing { rows, ended };
                Ok((!out.is_empty()).then_some(Outcome::InChunk))
            }
            other => {
                self.phase = other;
                Ok(None)
            }
        }
    }

    async fn chunk_done(&mut self, capture: &mut Capture, next: Option<Vec<String>>) -> Result<Outcome> {
        self.tell_chunk(capture);
        self.log_advance(capture);
        match (next, &self.current) {
            (Some(key), Some(table)) => {
                self.progress.columns = key_names(table);
                self.progress.key = Some(key);
                self.progress.end.clone_from(&self.end);
            }
            _ => self.table_done(capture),
        }
        if self.tables.is_empty() {
            capture.watch.window = None;
            capture.watch.gated.clear();
            capture.watch.outside = None;
            self.tell(capture, Stage::Completed);
            tracing::info!("the snapshot is complete");
            if self.only || self.progress.queue.is_empty() {
                return Ok(Outcome::Finished);
            }
            let next = self.progress.queue.remove(0);
            (self.tables, self.listed) = (next.tables.clone().into(), None);
            (self.first, self.first_of_table, self.fresh) = (true, true, true);
            self.names = names_of(&next.tables);
            (self.estimates, self.scanned) = (None, Vec::new());
            self.progress.adhoc = Some(next);
        }
        if self.is_paused() {
            return Ok(Outcome::ChunkDone);
        }
        // The next chunk is read while this one is written, if it is due.
        if self.pace.left(capture.clock.monotonic()).is_zero() {
            self.ask(capture).await?;
        }
        Ok(Outcome::ChunkDone)
    }

    fn read(
        &mut self,
        capture: &mut Capture,
        row: ReadRow,
        (origin, last, last_of_all): (&mut Origin, bool, bool),
        out: &mut Batch,
    ) -> Result<()> {
        let Some(table) = &self.current else { return Ok(()) };
        let incremental = self.is_incremental();
        if incremental && capture.notes.is_on() {
            self.last_key = match &row.form {
                RowForm::Values(values) => key_text(table, values),
                RowForm::Json(_) => None,
            };
        }
        self.progress.rows += 1;
        let now = capture.clock.monotonic();
        self.pace.passed(now, 1, row.size);
        self.advance.passed(now, 1, row.size);
        let marker = match (last_of_all, self.first, last, self.first_of_table) {
            _ if incremental => "incremental",
            (true, ..) => "last",
            (_, true, ..) => "first",
            (_, _, true, _) => "last_in_data_collection",
            (_, _, _, true) => "first_in_data_collection",
            _ => "true",
        };
        self.first = false;
        self.first_of_table = false;
        origin.snapshot = Value::String(Text::from_static(marker));
        let made = match (row.form, &mut capture.direct) {
            (RowForm::Json(image), Some(direct)) => {
                if out.written.is_empty() {
                    out.written.headers.clone_from(&capture.assembler.headers);
                }
                let others = out.records.len();
                direct.read(table, &image, (origin, &capture.assembler), (&mut out.written, others))
            }
            (RowForm::Values(values), _) => {
                let change = Change { op: Op::Read, before: None, after: Some(values), row: 0 };
                capture.assembler.change(table, change, origin, &mut out.records)
            }
            (RowForm::Json(_), None) => return Err(Error::Bug("a row came as JSON that was not asked for")),
        };
        out.count(made, row.size);
        Ok(())
    }
}

/// Where rows of a snapshot come from: the place that the log has reached.
pub(crate) fn read_origin(capture: &Capture, initial: bool) -> Origin {
    Origin {
        ts_us: capture.assembler.now_ms * 1000,
        snapshot: Value::Null,
        // Beside the stream, that of the last event.
        server_id: if initial { 0 } else { i64::from(capture.last.1) },
        gtid: None,
        file: Text::from(capture.boundary.file.as_ref()),
        pos: capture.boundary.pos.cast_signed(),
        thread: None,
        query: None,
    }
}

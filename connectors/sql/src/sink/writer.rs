//! One batch, one transaction: plan, lock, write, move the offsets, commit.
use super::offsets::{Offsets, Stored};
use super::rows::{Rows, Run, fitting};
use super::shape::{NoShape, Planned, Shape, Shapes};
use super::staging::{self, Stage};
use super::statement::Frame;
use super::tables::Tables;
use crate::config::{InsertMode, SinkKeys};
use crate::error::{Error, SqlError, Trouble, bad};
use crate::session::{Database, Session};
use elasticflow_api::RecordError;
use elasticflow_api::context::SinkContext;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_api::sink::SinkBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Longest statement that is written, whatever the server would take: beyond it nothing gets faster.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Name of the savepoint before a statement.
const SAVEPOINT: &str = "SAVEPOINT elasticflow;";
const RELEASE: &str = ";RELEASE SAVEPOINT elasticflow";
const ROLL_BACK: &str = "ROLLBACK TO SAVEPOINT elasticflow";

/// A rejected record of a batch.
pub(crate) type Rejected = (usize, RecordError);

/// Writes batches through a session that it does not own.
pub(crate) struct Writer {
    database: Arc<dyn Database>,
    keys: Arc<SinkKeys>,
    tables: Tables,
    shapes: Shapes,
    rows: Rows,
    sql: String,
    /// Of the batch that is staged.
    stage: Option<Stage>,
}

/// The transaction of one batch.
pub(crate) struct Transaction<'a> {
    pub(crate) session: &'a mut dyn Session,
    pub(crate) batch: &'a SinkBatch,
    /// Bad records found so far.
    pub(crate) rejected: Vec<Rejected>,
}

/// Records that were handed to the error policy: a transaction that is tried again hands them over once.
pub(crate) type Handed = BTreeSet<(TopicPartition, Offset)>;

impl Transaction<'_> {
    /// Hands bad records at or above the stored offsets to the error policy.
    pub(crate) fn hand_over(
        &mut self,
        stored: &BTreeMap<TopicPartition, Stored>,
        cx: &SinkContext,
        handed: &mut Handed,
    ) -> Result<(), Error> {
        for (at, error) in std::mem::take(&mut self.rejected) {
            let Some(record) = self.batch.records.get(at) else { continue };
            let applied = stored.get(&record.origin.at).and_then(|row| row.next);
            let is_new = applied.is_none_or(|next| record.origin.offset >= next)
                && handed.insert((record.origin.at.clone(), record.origin.offset));
            if is_new {
                cx.errant.reject(record, error)?;
            }
        }
        Ok(())
    }
}

impl Writer {
    pub(crate) fn new(database: Arc<dyn Database>, keys: Arc<SinkKeys>) -> Self {
        Self {
            database,
            keys,
            tables: Tables::default(),
            shapes: Shapes::default(),
            rows: Rows::default(),
            sql: String::new(),
            stage: None,
        }
    }

    /// What follows is staged.
    pub(crate) fn direct_to(&mut self, stage: Stage) {
        if self.stage.as_ref().is_none_or(|known| known.suffix != stage.suffix) {
            self.tables.clear();
            self.shapes.direct_to(&stage.suffix);
            self.stage = Some(stage);
        }
    }

    /// Where rows of a batch go; none without a batch.
    pub(crate) fn stage(&self) -> Option<&Stage> {
        self.stage.as_ref()
    }

    /// Makes the staging table of a shape.
    async fn make_staging(&mut self, session: &mut dyn Session, shape: &Shape) -> Result<(), Error> {
        let Some(stage) = &mut self.stage else { return Ok(()) };
        let dialect = self.database.dialect();
        staging::make(dialect, session, shape, self.keys.auto_create).await?;
        let key: Vec<&str> = shape.columns.iter().filter(|c| c.in_key).map(|c| &*c.name).collect();
        let key = serde_json::to_string(&key).unwrap_or_default();
        stage.tables.insert(shape.live.clone(), (shape.table.clone(), key));
        Ok(())
    }

    /// Forgets what is known of tables: one of them has changed.
    pub(crate) fn forget_tables(&mut self) {
        self.tables.clear();
        self.shapes.clear();
    }

    /// Finds the shape of every record; creates and extends tables before the data's transaction begins.
    pub(crate) async fn plan(&mut self, tx: &mut Transaction<'_>) -> Result<Vec<Planned>, Error> {
        let dialect = self.database.dialect();
        let mut planned = Vec::with_capacity(tx.batch.records.len());
        for (at, record) in tx.batch.records.iter().enumerate() {
            let (shape, is_first, row) = match self.shapes.of(&self.keys, dialect, record) {
                Ok(found) => found,
                Err(NoShape::Nothing) => continue,
                Err(NoShape::Bad(error)) => {
                    tx.rejected.push((at, error));
                    continue;
                }
                Err(NoShape::Stop(error)) => return Err(error),
            };
            if is_first {
                self.make_staging(&mut *tx.session, &shape).await?;
                let there = self.tables.ensure(self.database.as_ref(), &mut *tx.session, &shape, &self.keys).await?;
                if !there {
                    // A delete for a table that a later record creates: no row can be there.
                    self.shapes.clear();
                    continue;
                }
            }
            planned.push(Planned { at, shape, row });
        }
        Ok(planned)
    }

    /// Writes the planned rows above the stored offsets.
    pub(crate) async fn write(
        &mut self,
        tx: &mut Transaction<'_>,
        planned: &[Planned],
        stored: &BTreeMap<TopicPartition, Stored>,
    ) -> Result<(), Error> {
        self.render(tx, planned, stored);
        let rows = std::mem::take(&mut self.rows);
        let written = self.write_tables(tx, &rows).await;
        self.rows = rows;
        written
    }

    fn render(&mut self, tx: &mut Transaction<'_>, planned: &[Planned], stored: &BTreeMap<TopicPartition, Stored>) {
        let dialect = self.database.dialect();
        self.rows.clear();
        for plan in planned {
            let Some(record) = tx.batch.records.get(plan.at) else { continue };
            let next = stored.get(&record.origin.at).and_then(|row| row.next);
            if next.is_some_and(|next| record.origin.offset < next) {
                continue;
            }
            if let Err(error) = self.rows.add(&self.keys, dialect, plan, record) {
                tx.rejected.push((plan.at, error));
            }
        }
    }

    async fn write_tables(&mut self, tx: &mut Transaction<'_>, rows: &Rows) -> Result<(), Error> {
        let is_insert = self.keys.insert_mode == InsertMode::Insert;
        for segments in rows.tables.values() {
            for segment in segments {
                let in_order = self.database.dialect().always_in_order()
                    || is_insert
                    || segment.write.iter().chain(&segment.delete).any(|shape| !self.tables.has_exact_key(shape));
                for run in segment.runs(in_order) {
                    self.write_run(tx, rows, &run).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes rows in statements; a statement that is refused because of its rows is halved until the bad ones are alone.
    async fn write_run(&mut self, tx: &mut Transaction<'_>, rows: &Rows, run: &Run) -> Result<(), Error> {
        let dialect = self.database.dialect();
        let frame = Frame::new(dialect, self.keys.insert_mode, &run.shape);
        let most = frame.rows_max(self.keys.batch_size.min(dialect.rows_max()));
        let bytes = STATEMENT_BYTES_MAX.min(tx.session.statement_bytes_max()).saturating_sub(frame.overhead());
        let job = Job { rows, run, frame };
        let mut from = 0;
        while from < run.rows.len() {
            let part = fitting(rows, run, from, most, bytes);
            from = part.end;
            let mut waiting = vec![part];
            while let Some(part) = waiting.pop() {
                let Err(answer) = self.execute(tx, &job, part.clone()).await else { continue };
                if !is_of_rows(&answer) {
                    return Err(Error::at(format!("writing to table {}", run.shape.table))(answer));
                }
                if part.len() > 1 {
                    let middle = part.start + part.len() / 2;
                    waiting.push(middle..part.end);
                    waiting.push(part.start..middle);
                } else {
                    self.reject(tx, run, part.start, &answer)?;
                }
            }
        }
        Ok(())
    }

    fn reject(&self, tx: &mut Transaction<'_>, run: &Run, at: usize, answer: &SqlError) -> Result<(), Error> {
        if let Some(row) = run.rows.get(at) {
            let error = bad(format!("table {}: {answer}", run.shape.table));
            let code = Some(answer.code.clone()).filter(|code| !code.is_empty());
            tx.rejected.push((row.at, error.blaming(answer.fault(), answer.column(), code)));
        }
        let (bad, max) = (tx.rejected.len(), self.keys.isolate_max);
        if bad > max { Err(Error::TooManyBadRows { bad, max }) } else { Ok(()) }
    }

    async fn execute(&mut self, tx: &mut Transaction<'_>, job: &Job<'_>, part: Range<usize>) -> Result<(), SqlError> {
        let shape = &job.run.shape;
        let spoils = self.database.dialect().error_spoils_transaction();
        self.sql.clear();
        if spoils {
            self.sql.push_str(SAVEPOINT);
        }
        job.frame.write(job.rows, shape, job.run.rows.get(part).unwrap_or_default(), &mut self.sql);
        if spoils {
            self.sql.push_str(RELEASE);
        }
        match tx.session.execute(&self.sql).await {
            Ok(0) if self.keys.insert_mode == InsertMode::Update && !shape.is_delete => {
                tracing::debug!(table = %shape.table, "an update found no row or changed nothing");
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(answer) => {
                if spoils && is_of_rows(&answer) {
                    tx.session.execute(ROLL_BACK).await?;
                }
                Err(answer)
            }
        }
    }
}

/// What the statements of a run are made of.
struct Job<'a> {
    rows: &'a Rows,
    run: &'a Run,
    frame: Frame,
}

/// Whether the rows of a statement are to blame.
fn is_of_rows(answer: &SqlError) -> bool {
    matches!(answer.trouble, Trouble::Row | Trouble::TooLarge)
}

/// The rows of a batch's partitions under the lock; a larger epoch is another owner's.
pub(crate) async fn locked(
    offsets: &Offsets,
    session: &mut dyn Session,
    epochs: &BTreeMap<TopicPartition, i64>,
    batch: &SinkBatch,
) -> Result<BTreeMap<TopicPartition, Stored>, Error> {
    let partitions: Vec<TopicPartition> = batch.consumed.0.keys().cloned().collect();
    let rows = offsets.lock(session, &partitions).await?;
    for tp in &partitions {
        match (epochs.get(tp), rows.get(tp)) {
            (Some(mine), Some(row)) if row.epoch == *mine => {}
            (Some(mine), Some(row)) if row.epoch > *mine => return Err(Error::Fenced),
            _ => {
                let text = format!(
                    "the offset row of {}-{} was changed by hand; restart the connector",
                    tp.topic, tp.partition
                );
                return Err(Error::Definite { code: "SQL-0060", text });
            }
        }
    }
    Ok(rows)
}

/// Where the partitions of a batch move to: never backwards.
pub(crate) fn moves(batch: &SinkBatch, stored: &BTreeMap<TopicPartition, Stored>) -> BTreeMap<TopicPartition, Offset> {
    let behind =
        |tp: &TopicPartition, next: Offset| stored.get(tp).and_then(|row| row.next).is_none_or(|stored| stored < next);
    let consumed = batch.consumed.0.iter();
    consumed.filter(|(tp, next)| behind(tp, **next)).map(|(tp, next)| (tp.clone(), *next)).collect()
}

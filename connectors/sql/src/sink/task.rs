//! The task: sessions, retries, epochs.
use super::batches::Ledger;
use super::offsets::Offsets;
use super::retry::{connected, retry_after};
use super::staging::Stage;
use super::writer::{Handed, Transaction, Writer, locked, moves};
use crate::config::{Delivery, EnvelopeMode, SinkKeys};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::session::{Database, Session};
use crate::table::TableName;
use async_trait::async_trait;
use elasticflow_api::context::SinkContext;
use elasticflow_api::error::Result;
use elasticflow_api::position::{ConsumedOffsets, TaskId, TopicPartition};
use elasticflow_api::sink::{
    AtomicBatches, BatchPart, IdempotentSink, SinkBatch, SinkKind, SinkTask, StartAt, TransactionalSink,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sink task over any database.
pub struct SqlSink {
    database: Arc<dyn Database>,
    keys: Arc<SinkKeys>,
    writer: Writer,
    session: Option<Box<dyn Session>>,
    /// `None` without a guarantee of the destination's own.
    offsets: Option<Offsets>,
    epochs: BTreeMap<TopicPartition, i64>,
    /// Known once the task has started.
    id: Option<TaskId>,
    /// Of a batch: what the next put holds.
    part: Option<BatchPart>,
    /// At-least-once: what was committed to the database.
    done: ConsumedOffsets,
}

impl SqlSink {
    /// A task of the kind that the settings ask for; connects at its start.
    pub fn kind(database: Arc<dyn Database>, keys: &SinkKeys) -> SinkKind {
        let keys = Arc::new(keys.clone());
        let task = Self {
            writer: Writer::new(Arc::clone(&database), Arc::clone(&keys)),
            database,
            session: None,
            offsets: None,
            epochs: BTreeMap::new(),
            id: None,
            part: None,
            done: ConsumedOffsets::default(),
            keys,
        };
        match task.keys.delivery {
            Delivery::ExactlyOnce => SinkKind::Transactional(Box::new(task)),
            Delivery::AtLeastOnce => SinkKind::Idempotent(Box::new(task)),
        }
    }

    /// The session, connected again after it was dropped.
    async fn session(&mut self) -> Result<&mut Box<dyn Session>, Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.database.connect().await.map_err(Error::at("connecting"))?,
        };
        Ok(self.session.insert(session))
    }

    pub(super) fn id(&self) -> Result<&TaskId, Error> {
        self.id.as_ref().ok_or(Error::Bug("the sink was used before start"))
    }

    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        self.database.dialect()
    }

    /// The next put is staged; without offsets of its own the destination could hold a staged row twice.
    pub(super) fn direct_to(&mut self, part: &BatchPart) -> Result<(), Error> {
        if self.offsets.is_none() {
            let text = "BATCH_NOT_ATOMIC: flow.batch.publish=atomic needs delivery.guarantee=exactly-once";
            return Err(Error::Config { code: "SQL-0061", text: text.to_owned() });
        }
        self.writer.direct_to(Stage::new(self.id()?, &part.batch, part.attempt));
        self.part = Some(part.clone());
        Ok(())
    }

    /// The ledger of batches stands where the offset table stands.
    pub(super) fn ledger_schema(&self) -> Option<String> {
        TableName::parse(&self.keys.offset_table).schema
    }

    /// The session, for a while; one that is not kept is dropped.
    pub(super) async fn take_session(&mut self) -> Result<Box<dyn Session>, Error> {
        self.session().await?;
        self.session.take().ok_or(Error::Bug("a session was lost"))
    }

    pub(super) fn keep_session(&mut self, session: Box<dyn Session>) {
        self.session = Some(session);
        self.writer.forget_tables();
    }

    async fn take_over(&mut self, new: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, StartAt>, Error> {
        let begin = self.database.dialect().begin();
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.database.connect().await.map_err(Error::at("connecting"))?,
        };
        let Some(offsets) = &self.offsets else { return Ok(BTreeMap::new()) };
        session.execute(begin).await.map_err(Error::at("beginning the take-over of partitions"))?;
        let rows = offsets.raise(session.as_mut(), new).await?;
        session.execute("COMMIT").await.map_err(Error::at("committing the take-over of partitions"))?;
        self.session = Some(session);
        self.epochs.extend(rows.iter().map(|(tp, row)| (tp.clone(), row.epoch)));
        Ok(rows.into_iter().map(|(tp, row)| (tp, row.next.map_or(StartAt::Group, StartAt::Stored))).collect())
    }

    /// One try of a batch. The session is put back only when everything has succeeded: a dropped one ends its transaction,
    /// and what became of a commit without an answer is read from the offset table by the next try.
    async fn attempt(
        &mut self,
        batch: &SinkBatch,
        part: Option<&BatchPart>,
        cx: &SinkContext,
        handed: &mut Handed,
    ) -> Result<(), Error> {
        self.session().await?;
        let Some(mut session) = self.session.take() else { return Err(Error::Bug("a session was lost")) };
        let mut tx = Transaction { session: session.as_mut(), batch, rejected: Vec::new() };
        let planned = self.writer.plan(&mut tx).await?;
        if part.is_some() {
            self.ledger(&mut *tx.session)?.create().await?;
        }
        tx.session.execute(self.database.dialect().begin()).await.map_err(Error::at("beginning a transaction"))?;
        let stored = match &self.offsets {
            Some(offsets) => locked(offsets, &mut *tx.session, &self.epochs, batch).await?,
            None => BTreeMap::new(),
        };
        self.writer.write(&mut tx, &planned, &stored).await?;
        tx.hand_over(&stored, cx, handed)?;
        // Before the commit: a crash in between repeats the dead letters and loses none.
        cx.errant.settle().await?;
        if let Some(offsets) = &self.offsets {
            let moved = moves(batch, &stored);
            offsets.advance(session.as_mut(), &moved).await?;
            if let (Some(part), Some(stage)) = (part, self.writer.stage()) {
                let records = part.records.iter().filter(|(tp, _)| moved.contains_key(*tp)).map(|(_, n)| n).sum();
                self.ledger(session.as_mut())?.note(part, &stage.rows(), records).await?;
            }
        }
        session.execute("COMMIT").await.map_err(Error::at("committing a batch"))?;
        self.session = Some(session);
        Ok(())
    }

    fn ledger<'a>(&'a self, session: &'a mut dyn Session) -> Result<Ledger<'a>, Error> {
        Ok(Ledger { dialect: self.dialect(), id: self.id()?, session, schema: self.ledger_schema() })
    }
}

#[async_trait]
impl SinkTask for SqlSink {
    fn reads_headers(&self) -> bool {
        false
    }

    fn reads_rows_alone(&self) -> bool {
        self.keys.envelope != EnvelopeMode::None
    }

    async fn start(&mut self, cx: &SinkContext) -> Result<()> {
        self.id = Some(cx.task.clone());
        self.session = Some(connected(self.database.as_ref(), &self.keys, cx.clock.as_ref()).await?);
        if self.keys.delivery == Delivery::ExactlyOnce {
            let offsets = Offsets::new(self.database.dialect(), &cx.task, &self.keys.offset_table);
            offsets.create(self.session().await?.as_mut()).await?;
            self.offsets = Some(offsets);
        }
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        if new.is_empty() || self.offsets.is_none() {
            return Ok(BTreeMap::new());
        }
        Ok(self.take_over(new).await?)
    }

    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()> {
        if batch.consumed.0.is_empty() {
            return Ok(());
        }
        let part = self.part.take();
        let mut handed = Handed::new();
        let mut tries = 0;
        loop {
            let Err(error) = self.attempt(&batch, part.as_ref(), cx, &mut handed).await else { break };
            let Some(wait) = retry_after(&self.keys, &error, tries) else { return Err(error.into()) };
            if error.is_structure() {
                // Somebody changed a table: it is described again.
                self.writer.forget_tables();
            }
            tracing::warn!(%error, tries, "a batch was not written; trying it again");
            cx.flow.waiting(&error.to_string());
            tries += 1;
            cx.clock.sleep(wait).await;
        }
        self.done.0.extend(batch.consumed.0);
        Ok(())
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        self.epochs.retain(|tp, _| !gone.contains(tp));
        self.done.0.retain(|tp, _| !gone.contains(tp));
        Ok(())
    }

    async fn stop(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    fn batches(&mut self) -> Option<&mut dyn AtomicBatches> {
        Some(self)
    }
}

impl TransactionalSink for SqlSink {}

#[async_trait]
impl IdempotentSink for SqlSink {
    async fn flush(&mut self, _: &SinkContext) -> Result<ConsumedOffsets> {
        Ok(self.done.clone())
    }
}

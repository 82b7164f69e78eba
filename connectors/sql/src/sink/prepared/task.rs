//! The task: records wait, a unit is a branch.
use super::name::{connector_of, name_of, unit_of};
use super::server::Server;
use crate::branches::Branches;
use crate::config::{EnvelopeMode, SinkKeys};
use crate::error::Error;
use crate::session::{Database, Session};
use crate::sink::offsets::Offsets;
use crate::sink::retry::{connected, retry_after};
use crate::sink::writer::{Handed, Transaction, Writer};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::clock::Clock;
use elasticflow_api::context::SinkContext;
use elasticflow_api::error::Result;
use elasticflow_api::position::{ConsumedOffsets, TaskId, TopicPartition, UnitId};
use elasticflow_api::sink::{Committed, Handle, SinkBatch, SinkKind, SinkTask, StartAt, TwoPhaseSink};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Waits before a branch that is neither prepared nor committed is looked for again: another caller may be in the middle.
const LOOK_AGAIN: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_secs(1), Duration::from_secs(9), Duration::from_secs(20)];
/// A table is looked at sooner than files are; a unit costs some ten round trips.
const UNIT_EVERY: Duration = Duration::from_secs(1);
/// First byte of tokens.
const FORMAT: u8 = 1;

/// A two-phase sink task over a database that keeps prepared branches.
pub struct PreparedSink {
    server: Server,
    keys: Arc<SinkKeys>,
    writer: Writer,
    started: Option<Started>,
    /// What waits for the next unit.
    waiting: SinkBatch,
    /// Partitions whose offsets still stand in the offset table, from before the technique was changed.
    former: BTreeSet<TopicPartition>,
    /// The session that has prepared a unit: it may be the only one that can commit it as long as it is there.
    held: Option<(UnitId, Box<dyn Session>)>,
}

struct Started {
    id: TaskId,
    clock: Arc<dyn Clock>,
    offsets: Offsets,
}

impl PreparedSink {
    /// A task; connects at its start.
    pub fn kind(database: Arc<dyn Database>, keys: &SinkKeys, branches: &'static dyn Branches) -> SinkKind {
        let keys = Arc::new(keys.clone());
        SinkKind::TwoPhase(Box::new(Self {
            writer: Writer::new(Arc::clone(&database), Arc::clone(&keys)),
            server: Server::new(database, branches, &keys.offset_table),
            keys,
            started: None,
            waiting: nothing(),
            former: BTreeSet::new(),
            held: None,
        }))
    }

    /// One try of a unit: whatever is not prepared in the end goes with the session.
    async fn attempt(
        &mut self,
        unit: &UnitId,
        batch: &SinkBatch,
        cx: &SinkContext,
        handed: &mut Handed,
    ) -> Result<Box<dyn Session>, Error> {
        let (name, former) = (name_of(unit), self.former_of(batch));
        let mut session = self.server.session().await?;
        let mut tx = Transaction { session: session.as_mut(), batch, rejected: Vec::new() };
        let planned = self.writer.plan(&mut tx).await?;
        tx.session.execute(&self.server.branches.begin(&name)).await.map_err(Error::at("beginning a branch"))?;
        if !former.is_empty() {
            started(&self.started)?.offsets.empty(&mut *tx.session, &former).await?;
        }
        let stored = BTreeMap::new();
        self.writer.write(&mut tx, &planned, &stored).await?;
        tx.hand_over(&stored, cx, handed)?;
        cx.errant.settle().await?;
        self.server.units.note(session.as_mut(), unit).await?;
        for statement in self.server.branches.prepare(&name) {
            session.execute(&statement).await.map_err(Error::at("preparing a branch"))?;
        }
        Ok(session)
    }

    /// Partitions of a batch that move from the offset table to the group.
    fn former_of(&self, batch: &SinkBatch) -> Vec<TopicPartition> {
        self.former.iter().filter(|tp| batch.consumed.0.contains_key(*tp)).cloned().collect()
    }

    /// Tries until the unit is prepared. What a try has prepared without our hearing of it is rolled back first.
    async fn prepared(&mut self, unit: &UnitId, batch: &SinkBatch, cx: &SinkContext) -> Result<(), Error> {
        let (mut handed, mut tries) = (Handed::new(), 0);
        loop {
            let error = match self.attempt(unit, batch, cx, &mut handed).await {
                Ok(session) => {
                    // Without a decision this instance goes, and the next one reads them again.
                    self.former.retain(|tp| !batch.consumed.0.contains_key(tp));
                    self.held = Some((unit.clone(), session));
                    return Ok(());
                }
                Err(Error::TooManyBadRows { bad, max }) => {
                    let text = format!("{bad} bad rows in one unit, limit errors.batch.isolate.max={max}");
                    return Err(Error::Definite { code: "SQL-0056", text });
                }
                Err(error) => error,
            };
            let Some(wait) = retry_after(&self.keys, &error, tries) else { return Err(error) };
            if error.is_structure() {
                self.writer.forget_tables();
            }
            tracing::warn!(%error, tries, "a unit was not prepared; trying it again");
            cx.flow.waiting(&error.to_string());
            tries += 1;
            cx.clock.sleep(wait).await;
            if let Err(error) = self.server.rolled_back(None, unit).await {
                tracing::warn!(%error, "what a try has left is not rolled back yet");
            }
        }
    }

    /// The session that holds a unit, if it is of this task.
    fn holder(&mut self, unit: &UnitId) -> Option<Box<dyn Session>> {
        self.held.take_if(|(held, _)| held == unit).map(|(_, session)| session)
    }

    /// Offsets from before the technique was changed; their owner, if it still runs, is refused from here on.
    async fn former_offsets(&mut self, new: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, StartAt>, Error> {
        let mut session = self.server.session().await?;
        let offsets = &started(&self.started)?.offsets;
        if !offsets.exists(session.as_mut()).await? {
            return Ok(BTreeMap::new());
        }
        let doing = || Error::at("taking offsets over from the offset table");
        session.execute(self.server.database.dialect().begin()).await.map_err(doing())?;
        let known: Vec<TopicPartition> = offsets.lock(session.as_mut(), new).await?.into_keys().collect();
        let rows = match known.is_empty() {
            true => BTreeMap::new(),
            false => offsets.raise(session.as_mut(), &known).await?,
        };
        session.execute("COMMIT").await.map_err(doing())?;
        session.close().await;
        let stored = rows.into_iter().filter_map(|(tp, row)| Some((tp, StartAt::Stored(row.next?)))).collect();
        Ok(stored)
    }
}

#[async_trait]
impl SinkTask for PreparedSink {
    fn reads_headers(&self) -> bool {
        false
    }

    fn reads_rows_alone(&self) -> bool {
        self.keys.envelope != EnvelopeMode::None
    }

    async fn start(&mut self, cx: &SinkContext) -> Result<()> {
        let mut session = connected(self.server.database.as_ref(), &self.keys, cx.clock.as_ref()).await?;
        self.server.database.check_branches(session.as_mut()).await?;
        self.server.units.create(session.as_mut()).await?;
        session.close().await;
        let offsets = Offsets::new(self.server.database.dialect(), &cx.task, &self.keys.offset_table);
        self.started = Some(Started { id: cx.task.clone(), clock: Arc::clone(&cx.clock), offsets });
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        if new.is_empty() {
            return Ok(BTreeMap::new());
        }
        let stored = self.former_offsets(new).await?;
        self.former.extend(stored.keys().cloned());
        let start = |tp: &TopicPartition| stored.get(tp).copied().unwrap_or(StartAt::Group);
        Ok(new.iter().map(|tp| (tp.clone(), start(tp))).collect())
    }

    async fn put(&mut self, batch: SinkBatch, _: &SinkContext) -> Result<()> {
        self.waiting.records.extend(batch.records);
        self.waiting.consumed.0.extend(batch.consumed.0);
        Ok(())
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        self.waiting.records.retain(|record| !gone.contains(&record.origin.at));
        self.waiting.consumed.0.retain(|tp, _| !gone.contains(tp));
        self.former.retain(|tp| !gone.contains(tp));
        Ok(())
    }

    async fn stop(&mut self) {
        // What is prepared stays; who comes next commits it or rolls it back.
        self.held = None;
    }
}

#[async_trait]
impl TwoPhaseSink for PreparedSink {
    fn unit_every(&self) -> Duration {
        UNIT_EVERY
    }

    async fn prepare(&mut self, unit: &UnitId, cx: &SinkContext) -> Result<Option<Handle>> {
        let batch = std::mem::replace(&mut self.waiting, nothing());
        if batch.records.is_empty() && self.former_of(&batch).is_empty() {
            return Ok(None);
        }
        self.prepared(unit, &batch, cx).await?;
        Ok(Some(handle(unit.clone())))
    }

    async fn commit(&mut self, handle: &Handle) -> Result<Committed> {
        readable(handle)?;
        let clock = Arc::clone(&started(&self.started)?.clock);
        let mut waits = LOOK_AGAIN.iter();
        loop {
            let held = self.holder(&handle.unit);
            if let Some(committed) = self.server.committed(held, &handle.unit).await? {
                return Ok(committed);
            }
            let Some(wait) = waits.next() else {
                let text = "a decided unit is neither prepared nor committed: somebody has rolled its branch back by hand, or removed its row from the table of units";
                return Err(Error::Bug(text).into());
            };
            clock.sleep(*wait).await;
        }
    }

    async fn abort(&mut self, handle: &Handle) -> Result<()> {
        readable(handle)?;
        let held = self.holder(&handle.unit);
        Ok(self.server.rolled_back(held, &handle.unit).await?)
    }

    async fn in_doubt(&mut self) -> Result<Vec<Handle>> {
        let connector = connector_of(&started(&self.started)?.id);
        let mut session = self.server.session().await?;
        let names = self.server.listed(session.as_mut()).await?;
        session.close().await;
        Ok(names.iter().filter_map(|name| Some(handle(unit_of(name, &connector)?))).collect())
    }
}

fn started(started: &Option<Started>) -> Result<&Started, Error> {
    started.as_ref().ok_or(Error::Bug("the sink was used before start"))
}

fn nothing() -> SinkBatch {
    SinkBatch { records: Vec::new(), consumed: ConsumedOffsets::default() }
}

fn handle(unit: UnitId) -> Handle {
    Handle { unit, token: Bytes::from_static(&[FORMAT]) }
}

/// What a later version has written is not to be guessed at.
fn readable(handle: &Handle) -> Result<(), Error> {
    if *handle.token == [FORMAT] {
        return Ok(());
    }
    let text = "a decided unit was prepared by a later version, which must run this connector";
    Err(Error::Definite { code: "SQL-0063", text: text.to_owned() })
}

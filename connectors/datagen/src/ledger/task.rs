//! The task: looks at each record, and makes units of what has come.
use super::config::{LedgerConfig, LedgerMode, Violation};
use super::page::{Entries, Entry, Page, Stream};
use super::report::report;
use super::shelf::{Attempt, Shelf};
use super::stamp::{Stamp, digest_of};
use async_trait::async_trait;
use elasticflow_api::clock::Clock;
use elasticflow_api::context::SinkContext;
use elasticflow_api::error::Stage;
use elasticflow_api::position::{TopicPartition, UnitId};
use elasticflow_api::sink::{Committed, Handle, SinkBatch, SinkRecord, SinkTask, StartAt, TwoPhaseSink};
use elasticflow_api::{ConnectorError, ErrorClass, RecordError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Looks for a unit that another caller may be in the middle of.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A task of the ledger.
pub(crate) struct LedgerTask {
    config: LedgerConfig,
    fail_on: Vec<Violation>,
    /// It is the only one, so that it reads every partition.
    is_alone: bool,
    shelf: Option<Shelf>,
    clock: Option<Arc<dyn Clock>>,
    task: u32,
    assigned: BTreeSet<TopicPartition>,
    /// Of committed units.
    known: Entries,
    /// Of the unit on its way; there is one at a time.
    prepared: Option<(UnitId, Entries)>,
    /// Since the last unit.
    fresh: Entries,
}

impl LedgerTask {
    pub(crate) fn new(config: LedgerConfig, fail_on: Vec<Violation>, is_alone: bool) -> Self {
        Self {
            config,
            fail_on,
            is_alone,
            shelf: None,
            clock: None,
            task: 0,
            assigned: BTreeSet::new(),
            known: Entries::new(),
            prepared: None,
            fresh: Entries::new(),
        }
    }

    /// Entries of a stream, older ones first.
    fn of<'a>(&'a self, stream: &'a Stream) -> impl Iterator<Item = &'a Entry> {
        let before = self.prepared.iter().filter_map(|(_, entries)| entries.get(stream));
        self.known.get(stream).into_iter().chain(before).chain(self.fresh.get(stream))
    }

    /// Looks at a record and counts it.
    fn take(&mut self, stream: &Stream, stamp: Stamp, record: &SinkRecord) -> Result<()> {
        let n = stamp.n;
        let last = self.of(stream).filter_map(|entry| entry.seen.last()).max();
        let is_double = self.of(stream).any(|entry| entry.seen.contains(n));
        let is_late = last.is_some_and(|last| n.saturating_add(self.config.window) < last);
        let is_changed = stamp.digest.is_some_and(|wanted| wanted != digest_of(&record.record.value.value));
        let mode = self.config.mode;
        let is_ahead = n > last.map_or(0, |last| last + 1).saturating_add(self.config.window);
        let found = [
            (Violation::Corrupt, is_changed),
            (Violation::Duplicate, mode != LedgerMode::Count && is_double),
            (Violation::Order, mode == LedgerMode::Ordered && is_late && !is_double),
            (Violation::Gap, mode == LedgerMode::Ordered && is_ahead && self.sees_all_of(&stream.0)),
        ];
        let found: Vec<_> = found.into_iter().filter(|(_, is_so)| *is_so).map(|(kind, _)| kind).collect();
        if let Some(kind) = found.iter().find(|kind| self.fail_on.contains(kind)) {
            return Err(violated(stream, *kind, n));
        }
        let took = self.clock.as_ref().filter(|_| self.config.latency);
        let took = took.zip(record.record.timestamp_ms).map(|(clock, then)| clock.wall_ms() - then);
        let entry = self.fresh.entry(stream.clone()).or_default();
        entry.records += 1;
        if mode != LedgerMode::Count && !is_double {
            entry.seen.insert(n);
        }
        for kind in found {
            match kind {
                Violation::Duplicate => entry.duplicates += 1,
                Violation::Corrupt => entry.corrupt += 1,
                Violation::Order => entry.order += 1,
                // What is missing is known from what has come.
                Violation::Gap => {}
            }
        }
        if let Some(ms) = took {
            entry.took(ms);
        }
        Ok(())
    }

    /// Whether nobody else can have seen what is missing here.
    fn sees_all_of(&self, at: &TopicPartition) -> bool {
        self.is_alone && self.assigned.iter().filter(|other| other.topic == at.topic).count() == 1
    }

    async fn shelf<T: Send + 'static>(&self, call: impl FnOnce(&Shelf) -> io::Result<T> + Send + 'static) -> Result<T> {
        let shelf = self.shelf.clone().ok_or_else(|| bug("the ledger was used before it was started"))?;
        aside(move || call(&shelf)).await
    }

    /// Shows what is counted for the partitions of this task.
    async fn tell(&self) -> Result<()> {
        let text = format!("{:#}\n", report(&self.known, &self.config));
        let task = self.task;
        self.shelf(move |shelf| shelf.report(task, text.as_bytes())).await
    }
}

async fn aside<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(call).await.map_err(|_| bug("a call of the ledger has ended early"))?;
    done.map_err(|error| ConnectorError {
        class: match error.kind() {
            io::ErrorKind::InvalidData => ErrorClass::Definite,
            io::ErrorKind::PermissionDenied => ErrorClass::Config,
            _ => ErrorClass::Transient { retry_after: None },
        },
        code: "LEDGER-0003",
        message: "the folder of the ledger (ledger.path) cannot be used".to_owned(),
        source: Some(Box::new(error)),
    })
}

fn bug(text: &str) -> ConnectorError {
    ConnectorError { class: ErrorClass::Bug, code: "LEDGER-0030", message: text.to_owned(), source: None }
}

fn violated((at, task): &Stream, kind: Violation, n: u64) -> ConnectorError {
    let message = format!("{}-{}: {} at task {task}, record {n}", at.topic, at.partition, kind.name());
    ConnectorError { class: ErrorClass::Definite, code: "LEDGER-0001", message, source: None }
}

fn unstamped() -> RecordError {
    let reason = "LEDGER-0002: no generator stamp: give the generator stamp=true".to_owned();
    RecordError { stage: Stage::TaskPut, reason, source: None }
}

#[async_trait]
impl SinkTask for LedgerTask {
    async fn start(&mut self, cx: &SinkContext) -> Result<()> {
        self.clock = Some(Arc::clone(&cx.clock));
        self.task = cx.task.task.0;
        // Two ledgers may share a folder.
        let path = PathBuf::from(self.config.path.trim()).join(&*cx.task.connector);
        self.shelf = Some(aside(move || Shelf::open(&path)).await?);
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        self.assigned.extend(new.iter().cloned());
        let wanted = self.assigned.clone();
        self.known = self
            .shelf(move |shelf| {
                let mut known = Entries::new();
                for page in shelf.units()? {
                    page.add_to(&mut known, |at| wanted.contains(at));
                }
                Ok(known)
            })
            .await?;
        // What an earlier instance has made final may be all that there is.
        self.tell().await?;
        Ok(new.iter().map(|at| (at.clone(), StartAt::Group)).collect())
    }

    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()> {
        for record in &batch.records {
            match Stamp::of(&record.record.headers) {
                Some(stamp) => self.take(&(record.origin.at.clone(), stamp.task), stamp, record)?,
                None => cx.errant.reject(record, unstamped())?,
            }
        }
        Ok(())
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        let stays = |stream: &Stream| !gone.contains(&stream.0);
        self.assigned.retain(|at| !gone.contains(at));
        self.known.retain(|stream, _| stays(stream));
        self.fresh.retain(|stream, _| stays(stream));
        Ok(())
    }

    async fn stop(&mut self) {}
}

#[async_trait]
impl TwoPhaseSink for LedgerTask {
    async fn prepare(&mut self, unit: &UnitId, _: &SinkContext) -> Result<Option<Handle>> {
        if self.fresh.is_empty() {
            return Ok(None);
        }
        let entries = std::mem::take(&mut self.fresh);
        let page = Page::new(unit, &entries);
        self.prepared = Some((unit.clone(), entries));
        self.shelf(move |shelf| shelf.prepare(&page)).await?;
        Ok(Some(Handle { unit: unit.clone(), token: bytes::Bytes::new() }))
    }

    async fn commit(&mut self, handle: &Handle) -> Result<Committed> {
        for look in 0..LOOKS {
            let unit = handle.unit.clone();
            if let Attempt::Applied(how) = self.shelf(move |shelf| shelf.commit(&unit)).await? {
                let own = self.prepared.take_if(|(unit, _)| *unit == handle.unit);
                for (stream, entry) in own.map(|(_, entries)| entries).unwrap_or_default() {
                    self.known.entry(stream).or_default().add(&entry);
                }
                self.tell().await?;
                return Ok(how);
            }
            if let Some(clock) = &self.clock {
                clock.sleep(BETWEEN_LOOKS * (look + 1)).await;
            }
        }
        Err(bug("a decided unit of the ledger is neither prepared nor committed"))
    }

    async fn abort(&mut self, handle: &Handle) -> Result<()> {
        let unit = handle.unit.clone();
        self.shelf(move |shelf| shelf.abort(&unit)).await
    }

    async fn in_doubt(&mut self) -> Result<Vec<Handle>> {
        self.shelf(Shelf::in_doubt).await
    }
}

//! The task: one reader of the log, and a snapshot beside it when there is one.
use crate::assemble::Assembler;
use crate::batch::Batch;
use crate::capture::{Capture, Start, Until};
use crate::config::{CdcConfig, SnapshotMode};
use crate::direct::{Direct, Forms};
use crate::error::{Error, Result};
use crate::filters::Filters;
use crate::heartbeat::Heartbeat;
use crate::information;
use crate::joined::{FILTERS_FIELD, joined, stored_form};
use crate::link::{open_log, reopen};
use crate::log::Log;
use crate::position::{Parts, Resume, offset};
use crate::preflight;
use crate::reopen::Reopen;
use crate::schema_log::SchemaLog;
use crate::signal_file::SignalFile;
use crate::signal_topic::{self, PLACE_FIELD, SignalPlace};
use crate::snapshot::{Outcome, Snapshot};
use crate::sources::Sources;
use crate::start::{Beginning, beginning, fresh};
use crate::table::Maker;
use crate::tables::{Control, Tables};
use crate::txmeta::TxMeta;
use crate::wire::{self, Session};
use async_trait::async_trait;
use elasticflow_api::context::{Limits, SourceContext};
use elasticflow_api::position::{SourcePartition, SourcePosition};
use elasticflow_api::source::{Boundary, Inbox, Instruction, Read, Report, SourceBatch, SourceTask};
use elasticflow_api::written::JsonForm;
use elasticflow_cdc::naming::topic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often the position is stored while nothing captured happens.
const IDLE_PROGRESS: Duration = Duration::from_secs(10);

/// The task of a connector.
pub struct CdcTask {
    config: Arc<CdcConfig>,
    partition: Arc<SourcePartition>,
    running: Option<Box<Running>>,
    /// How the worker writes records, if the task may write them itself.
    forms: Option<Forms>,
}

pub(crate) struct Running {
    pub(crate) capture: Capture,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) wake: Arc<Notify>,
    /// When a position was handed over last.
    told: Duration,
    pub(crate) finished: bool,
    /// Connections to the log that were lost.
    pub(crate) losses: u64,
    /// Which server is read.
    pub(crate) server: String,
    pub(crate) reopen: Reopen,
    heartbeat: Option<Heartbeat>,
    /// The filters as they are stored with each position.
    filters: Option<String>,
    signal_file: Option<SignalFile>,
    signal_place: SignalPlace,
    /// Bytes that the batch before has written.
    usual_bytes: usize,
    /// What became of the last signal, in words.
    pub(crate) last_signal: Option<String>,
}

impl CdcTask {
    /// Without I/O.
    pub fn new(config: CdcConfig) -> Self {
        let mut partition = serde_json::Map::new();
        partition.insert("server".to_owned(), config.topic_prefix.clone().into());
        Self { config: Arc::new(config), partition: Arc::new(SourcePartition(partition)), running: None, forms: None }
    }

    async fn connect(&self, cx: &SourceContext) -> Result<Running> {
        let config = &self.config;
        let filters = Arc::new(Filters::of_task(config)?);
        let mut session = wire::connect(config).await?;
        preflight::require(&mut session).await?;
        let stored = cx.offsets.get(&self.partition).map_err(|e| Error::OffsetUndecodable { reason: e.to_string() })?;
        let joined = joined(&mut session, (config, &filters), stored.as_ref()).await?;
        let signal_place = stored.as_ref().and_then(|offset| offset.0.get(PLACE_FIELD)?.as_i64());
        let stored = stored.as_ref().map(Resume::read).transpose()?;
        let goes_on = stored.is_some();
        let mut begin = beginning(&mut session, config, stored).await?;
        let log = match open_log(config, cx, &session, (&begin.from, &begin.at), begin.snapshot.is_some()).await {
            // MariaDB tells only when asked for the log itself.
            Err(Error::PositionLost { position, .. }) if config.snapshot_mode == SnapshotMode::WhenNeeded => {
                tracing::warn!(position, "the stored position is no longer on the server: taking a new snapshot");
                begin = fresh(&mut session, config).await?;
                open_log(config, cx, &session, (&begin.from, &begin.at), begin.snapshot.is_some()).await?
            }
            other => other?,
        };
        let wake = Arc::new(Notify::new());
        let mut snapshot = match &begin.snapshot {
            Some(progress) => {
                Some(Snapshot::plan(config, &filters, &mut session, progress.as_deref(), Arc::clone(&wake)).await?)
            }
            None => None,
        };
        // A snapshot that begins anew reads every table anyway.
        let anew = !goes_on || begin.snapshot == Some(None);
        match (joined.filter(|_| !anew), &mut snapshot) {
            (Some(joined), Some(snapshot)) => snapshot.enqueue_missed(joined),
            (Some(joined), none) => *none = Some(Snapshot::adhoc(config, joined, Arc::clone(&wake))),
            (None, _) => {}
        }
        let server = session.server.clone();
        let mut capture = self.capture(cx, session, (&filters, &begin), log).await?;
        if begin.snapshot == Some(None) {
            // A dump by GTIDs looks through its file from the start; what is read of tables belongs to its end.
            capture.boundary = begin.at.clone();
        }
        if let Some(snapshot) = &snapshot {
            capture.watch.gated = snapshot.waiting();
            capture.watch.outside = snapshot.outside();
        }
        let now = cx.clock.monotonic();
        let mut reopen = Reopen::default();
        reopen.opened(now);
        Ok(Running {
            capture,
            snapshot,
            wake,
            told: now,
            finished: begin.finished,
            losses: 0,
            server,
            reopen,
            heartbeat: Heartbeat::new(config),
            filters: stored_form(config),
            signal_file: config.hears("file").then(|| SignalFile::new(&config.signal_file)),
            signal_place: SignalPlace::stored(signal_place),
            usual_bytes: 0,
            last_signal: None,
        })
    }

    async fn capture(
        &self,
        cx: &SourceContext,
        mut session: Session,
        (filters, begin): (&Arc<Filters>, &Beginning),
        log: Log,
    ) -> Result<Capture> {
        let config = &self.config;
        let flavour = session.flavour;
        let collations = information::collations(&mut session).await?;
        let run = uuid::Uuid::new_v4().to_string();
        let assembler = Assembler::new(config, flavour, cx.task.task.0, &run);
        let meta = config.transaction_metadata.then(|| {
            let topic = topic(&[&config.topic_prefix, &config.transaction_topic], &config.topic_delimiter);
            TxMeta::new(topic, assembler.transaction_schema(), begin.transaction.clone())
        });
        let schema_log = SchemaLog::new(config, flavour, &assembler);
        let maker = Maker {
            config: Arc::clone(config),
            filters: Arc::clone(filters),
            source: Arc::clone(assembler.source_schema()),
            transaction: Arc::clone(assembler.transaction_schema()),
            // The block of a transaction is put into records afterwards.
            forms: self.forms.filter(|_| meta.is_none()),
        };
        let direct = maker.forms.map(|forms| Direct::new(forms, &assembler));
        tracing::info!(connector = %cx.task.connector, task = cx.task.task.0, position = %begin.at, "reading the binary log");
        Ok(Capture::new(Start {
            log,
            tables: Tables::new(maker, Arc::clone(filters), collations, flavour),
            control: Control::new(Arc::clone(config), Some(session)),
            assembler,
            clock: Arc::clone(&cx.clock),
            gtids: begin.gtids.clone(),
            skip: begin.skip.clone(),
            include_query: config.include_query,
            signal_table: config.signal_table.as_deref().filter(|_| config.hears("source")).map(Arc::from),
            meta,
            schema_log,
            sources: Sources::of_task(config)?,
            notes: config.notes(),
            direct,
        }))
    }

    fn limits(&self, cx: &SourceContext) -> Limits {
        Limits { records: cx.batch_max.records.min(self.config.batch_size).max(1), bytes: cx.batch_max.bytes.max(1) }
    }
}

#[async_trait]
impl SourceTask for CdcTask {
    fn written_as(&mut self, key: JsonForm, value: JsonForm) {
        self.forms = Some(Forms { key, value });
    }

    async fn start(&mut self, cx: &SourceContext) -> elasticflow_api::Result<()> {
        cx.clock.sleep(self.config.snapshot_delay.duration()).await;
        self.running = Some(Box::new(self.connect(cx).await?));
        Ok(())
    }

    async fn poll(&mut self, cx: &SourceContext) -> elasticflow_api::Result<SourceBatch> {
        let limits = self.limits(cx);
        let partition = Arc::clone(&self.partition);
        let running = self.running.as_mut().ok_or(Error::Bug("a poll before the start"))?;
        if running.finished {
            return Ok(SourceBatch { end_of_data: true, ..SourceBatch::default() });
        }
        if running.capture.lost.is_some() && !reopen(&self.config, cx, running).await? {
            let boundary = if running.capture.is_inside() { Boundary::Inside } else { Boundary::Complete };
            return Ok(SourceBatch { boundary, ..SourceBatch::default() });
        }
        if let Some(heartbeat) = running.heartbeat.as_ref().filter(|h| h.is_due(cx.clock.monotonic())) {
            heartbeat.act(&mut running.capture.control).await;
        }
        let read = if running.is_in_initial_snapshot() { Read::Snapshot } else { Read::Stream };
        let mut batch = running.poll(cx, &self.config, limits, &partition).await?;
        batch.read = read;
        if let Some(error) = &running.capture.lost {
            tracing::warn!(connector = %cx.task.connector, %error, "the connection was lost: connecting again");
            running.reopen.lost();
            running.losses += 1;
        }
        running.finished = batch.end_of_data;
        running.usual_bytes = batch.written.bytes.len();
        Ok(batch)
    }

    async fn committed(&mut self, _: &[SourcePosition]) -> elasticflow_api::Result<()> {
        if let Some(file) = self.running.as_mut().and_then(|r| r.signal_file.as_mut()) {
            file.stored();
        }
        Ok(())
    }

    fn report(&self) -> Option<Report> {
        self.running.as_deref().map(Running::report)
    }

    fn inbox(&self) -> Option<Inbox> {
        let next = self.running.as_ref()?.signal_place.followed;
        Some(Inbox { topic: self.config.signal_topic()?, next })
    }

    fn instruct(&mut self, records: Vec<Instruction>, next: i64) {
        let Some(running) = &mut self.running else { return };
        let signals = records.iter().filter_map(|record| signal_topic::signal(record, &self.config.topic_prefix));
        running.capture.signals.extend(signals);
        running.signal_place.read(next);
    }

    async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            if let Some(snapshot) = running.snapshot.take() {
                snapshot.stop().await;
            }
            running.capture.control.close().await;
        }
    }
}

impl Running {
    pub(crate) fn is_in_initial_snapshot(&self) -> bool {
        self.snapshot.as_ref().is_some_and(Snapshot::is_initial)
    }

    async fn poll(
        &mut self,
        cx: &SourceContext,
        config: &Arc<CdcConfig>,
        limits: Limits,
        partition: &Arc<SourcePartition>,
    ) -> Result<SourceBatch> {
        self.capture.assembler.now_ms = cx.clock.wall_ms();
        let began_inside = self.capture.is_inside();
        let mut out = Batch::new(limits, began_inside);
        // A buffer that grows by doubling takes up to twice of what is in it, in every batch that is on its way.
        out.written.bytes.reserve(self.usual_bytes + self.usual_bytes / 8);
        if let Some(snapshot) = &mut self.snapshot {
            match snapshot.step(&mut self.capture, &mut out, cx.poll_max).await? {
                Outcome::InChunk => return Ok(out.finish(None, Boundary::Inside)),
                Outcome::Streamed => {}
                Outcome::ChunkDone => {
                    if snapshot.is_initial() {
                        self.capture.last = (0, 0);
                    }
                    return Ok(self.finish(cx, out, partition, true));
                }
                Outcome::Finished => {
                    let only = snapshot.is_only();
                    if snapshot.is_initial() {
                        self.capture.last = (0, 0);
                    }
                    self.snapshot = None;
                    let mut batch = self.finish(cx, out, partition, true);
                    batch.end_of_data = only;
                    return Ok(batch);
                }
            }
        } else {
            let until = Until { wait: cx.poll_max, place: None, wake: &self.wake };
            self.capture.fill(&mut out, until).await?;
        }
        if let Some(file) = &mut self.signal_file {
            self.capture.signals.append(&mut file.look(cx.clock.monotonic()));
        }
        self.obey(config).await?;
        let followed = self.signal_place.follow();
        Ok(self.finish(cx, out, partition, began_inside || followed))
    }

    /// Hands a batch over; `due` says that the position must be told even without a record.
    fn finish(&mut self, cx: &SourceContext, out: Batch, partition: &Arc<SourcePartition>, due: bool) -> SourceBatch {
        let mut out = out;
        let inside = self.capture.is_inside();
        let boundary = if inside { Boundary::Inside } else { Boundary::Complete };
        let now = cx.clock.monotonic();
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|h| !inside && h.is_due(now)) {
            out.records.push(heartbeat.record(now, self.capture.assembler.now_ms));
        }
        if !inside {
            out.records.append(&mut self.capture.notes.take());
        }
        if self.capture.is_between_positions() {
            return out.finish(None, boundary);
        }
        let idle = out.is_empty();
        if idle && (inside || !due && now.saturating_sub(self.told) < IDLE_PROGRESS) {
            return out.finish(None, boundary);
        }
        self.told = now;
        let position = self.position(cx, partition);
        out.finish(Some(position), boundary)
    }

    fn position(&self, cx: &SourceContext, partition: &Arc<SourcePartition>) -> SourcePosition {
        let capture = &self.capture;
        let gtids = capture.gtids.text();
        let progress = self.snapshot.as_ref().map(|snapshot| snapshot.progress(&capture.watch));
        let (seconds, server) = capture.last;
        let (at, part) = capture.resume();
        let parts = Parts {
            ts_sec: if seconds == 0 { cx.clock.wall_ms() / 1000 } else { i64::from(seconds) },
            at,
            gtids: gtids.as_deref(),
            part,
            server_id: (server != 0).then_some(server),
            snapshot: progress.as_deref(),
            initial: self.snapshot.as_ref().is_some_and(Snapshot::is_initial),
        };
        let mut offset = offset(&parts);
        if let Some(place) = self.signal_place.followed {
            offset.0.insert(PLACE_FIELD.to_owned(), place.into());
        }
        if let Some(filters) = &self.filters {
            offset.0.insert(FILTERS_FIELD.to_owned(), filters.clone().into());
        }
        if let Some(meta) = &capture.meta {
            meta.store(&mut offset.0);
        }
        SourcePosition { partition: Arc::clone(partition), offset: Arc::new(offset) }
    }
}

/// Where a task stands, for people and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// End of what has been read of the log.
    pub position: crate::position::LogPosition,
    /// Whether a snapshot runs.
    pub snapshot: bool,
    /// Whether every record that was read has been handed over, up to the end of its transaction.
    pub between: bool,
}

impl CdcTask {
    /// Where the task stands; none before its start.
    pub fn standing(&self) -> Option<Standing> {
        let running = self.running.as_ref()?;
        Some(Standing {
            position: running.capture.log.at().clone(),
            snapshot: running.snapshot.is_some(),
            between: running.capture.is_between(),
        })
    }
}

//! Owns the connector's task: polls it, tells it what is committed, stops it. It goes on while the writer waits, so that
//! reading and writing overlap; what waits between them is bounded in records.
//!
//! Reader and writer are one task of the executor: a record is made, encoded and dropped on one core. On two, the counters
//! of what records share (schemas, names, headers) travel between the cores for every record, which costs more than the
//! second core brings.
use super::inbox::OpenInbox;
use super::telling::Telling;
use super::writing::Writing;
use crate::error::TaskError;
use crate::failpoint::failpoint;
use crate::limit::{Charge, Leave};
use crate::supervise::{Supervision, panicked, target_changed};
use elasticflow_api::context::{Limits, SourceContext};
use elasticflow_api::error::Stage;
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::{Boundary, Read, Rejected, SourceBatch, SourceTask};
use elasticflow_api::{ErrorClass, RecordError};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Batches between poller and writer. Their records are bounded by a semaphore; this bounds empty ones.
const BATCHES_MAX: usize = 16;

/// An empty poll that took less than this did not wait for anything.
const TOO_QUICK: Duration = Duration::from_millis(1);

/// The pause after such a poll: the connector breaks its contract and must not cost a whole core.
const QUICK_PAUSE: Duration = Duration::from_millis(20);

/// A batch on its way to the writer.
pub(super) struct Polled {
    pub(super) batch: SourceBatch,
    /// What it was counted as.
    pub(super) charge: Charge,
    /// Room of its records, given back when this is dropped.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// The writer's end.
pub(super) struct Poller {
    batches: mpsc::Receiver<Result<Polled, TaskError>>,
    committed: Arc<Committed>,
    writing: Arc<Writing>,
    stop: CancellationToken,
    /// Runs only while it is polled here; none after its end.
    actor: Option<Running>,
    /// Why the actor ended, until somebody asks.
    failed: Option<TaskError>,
}

/// Positions that the connector has not been told yet, the latest of each partition.
#[derive(Default)]
struct Committed {
    positions: Mutex<Vec<SourcePosition>>,
    news: Notify,
}

impl Poller {
    /// Starts polling a task that has started.
    pub(super) fn new(
        connector: Box<dyn SourceTask>,
        cx: SourceContext,
        task: Arc<Supervision>,
        inbox: Option<OpenInbox>,
    ) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        task.limit.begin();
        let committed = Arc::new(Committed::default());
        let writing = Arc::new(Writing::default());
        let stop = CancellationToken::new();
        let actor = Actor {
            room: Arc::new(Semaphore::new(cx.batch_max.records.max(1))),
            paused: task.paused.clone(),
            batch_max: cx.batch_max,
            connector,
            cx,
            task,
            batches: sender,
            committed: Arc::clone(&committed),
            writing: Arc::clone(&writing),
            stop: stop.clone(),
            boundary: Boundary::Complete,
            read: Read::default(),
            telling: Telling::default(),
            inbox,
        };
        // A panic is an error of the connector alone: the writer still ends its transaction.
        let run = AssertUnwindSafe(actor.run()).catch_unwind().map(|ended| ended.map_err(|panic| panicked(&*panic)));
        Self { batches, committed, writing, stop, actor: Some(Box::pin(run)), failed: None }
    }

    /// A batch is sent, and the rule was asked; `open` says whether that left a transaction open.
    pub(super) fn written(&self, open: bool) {
        self.writing.wrote(open);
    }

    /// Does the writer's work while the connector goes on reading.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = read_on(&mut self.actor, &mut self.failed) => {}
            }
        }
    }

    /// The next batch; cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Polled, TaskError> {
        loop {
            tokio::select! {
                biased;
                polled = self.batches.recv() => {
                    return polled.unwrap_or_else(|| Err(self.failed.take().unwrap_or_else(ended)));
                }
                () = read_on(&mut self.actor, &mut self.failed) => {}
            }
        }
    }

    /// Whether a batch is there without waiting.
    pub(super) async fn has_more(&mut self) -> bool {
        if self.batches.is_empty() {
            // One step: what has come from upstream is read.
            let mut step = pin!(read_on(&mut self.actor, &mut self.failed));
            poll_fn(|cx| Poll::Ready(step.as_mut().poll(cx).is_ready())).await;
        }
        !self.batches.is_empty()
    }

    /// Positions that are durable.
    pub(super) fn committed(&self, positions: Vec<SourcePosition>) {
        let mut waiting = self.committed.positions.lock();
        for position in positions {
            match waiting.iter_mut().find(|p| p.partition == position.partition) {
                Some(older) => older.offset = position.offset,
                None => waiting.push(position),
            }
        }
        drop(waiting);
        self.committed.news.notify_one();
    }

    /// Ends polling and releases the connector; one that does not end in time is abandoned.
    pub(super) async fn stop(mut self, task: &Supervision) {
        self.stop.cancel();
        self.batches.close();
        while self.batches.try_recv().is_ok() {}
        let options = &task.services.options;
        let too_late = options.clock.sleep(options.graceful_timeout);
        tokio::select! {
            biased;
            () = read_on(&mut self.actor, &mut self.failed) => {}
            () = too_late => tracing::warn!(task = %task.spec.id, "the source did not stop in time and is abandoned"),
        }
    }
}

/// The actor's run.
type Running = Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send>>;

/// Lets the actor go on; ends when it does, and never again.
async fn read_on(actor: &mut Option<Running>, failed: &mut Option<TaskError>) {
    let Some(running) = actor else { return std::future::pending().await };
    *failed = running.as_mut().await.err();
    *actor = None;
}

fn ended() -> TaskError {
    TaskError::Bug("polling ended without an error".to_owned())
}

struct Actor {
    connector: Box<dyn SourceTask>,
    cx: SourceContext,
    task: Arc<Supervision>,
    paused: watch::Receiver<bool>,
    batches: mpsc::Sender<Result<Polled, TaskError>>,
    room: Arc<Semaphore>,
    committed: Arc<Committed>,
    writing: Arc<Writing>,
    stop: CancellationToken,
    boundary: Boundary,
    /// What the last batch was read from.
    read: Read,
    /// Most of a batch where no rate limits it.
    batch_max: Limits,
    telling: Telling,
    inbox: Option<OpenInbox>,
}

impl Actor {
    /// Polls until it is stopped or fails. Whatever happens, the connector is stopped last.
    async fn run(mut self) {
        let stop = self.stop.clone();
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            ended = self.poll_on() => ended,
        };
        if let Err(error) = ended {
            let _ = self.batches.send(Err(error)).await;
        } else if self.stop.is_cancelled() {
            // Positions of the last commit: the connector may release them.
            self.tell_committed().await;
        }
        *self.task.metrics.report.lock() = None;
        self.connector.stop().await;
    }

    async fn poll_on(&mut self) -> Result<(), TaskError> {
        loop {
            self.tell_committed().await;
            self.wait_for_leave().await;
            self.instruct()?;
            failpoint!("source.poll.before");
            let clock = Arc::clone(&self.cx.clock);
            let began = clock.monotonic();
            let batch = self.poll().await?;
            self.task.breaker.called(None);
            self.telling.look(&*self.connector, &self.task, clock.monotonic());
            let took = clock.monotonic().saturating_sub(began);
            let is_idle = batch.is_empty() && batch.rejected.is_empty();
            if is_idle && took < TOO_QUICK && !batch.end_of_data {
                clock.sleep(QUICK_PAUSE).await;
            }
            if !batch.is_empty() {
                failpoint!("source.poll.after");
                self.task.metrics.poll_time.time(took);
                self.task.metrics.polled.add(batch.len() as u64);
            }
            let end = batch.end_of_data;
            self.hand_over(batch).await;
            if end {
                self.only_tell_committed().await;
            }
        }
    }

    /// Hands over what the connector is told to do.
    fn instruct(&mut self) -> Result<(), TaskError> {
        if let Some(inbox) = &mut self.inbox {
            let found = inbox.look(self.cx.clock.monotonic())?;
            if !found.is_empty() {
                self.connector.instruct(found, inbox.next());
            }
        }
        Ok(())
    }

    /// A record that cannot be read is not the end of the task: the writer asks the tolerance.
    async fn poll(&mut self) -> Result<SourceBatch, TaskError> {
        match self.connector.poll(&self.cx).await {
            Err(error) if error.class == ErrorClass::Record => {
                let reason = error.to_string();
                let error = RecordError { stage: Stage::TaskPoll, reason, source: error.source };
                let (value, timestamp_ms, position) = (None, None, None);
                let bad = Rejected { after: 0, topic: "".into(), value, timestamp_ms, error, position };
                Ok(SourceBatch { rejected: vec![bad], boundary: self.boundary, ..SourceBatch::default() })
            }
            polled => Ok(polled?),
        }
    }

    /// Gives a batch to the writer once there is room for its records.
    async fn hand_over(&mut self, batch: SourceBatch) {
        let no_record = batch.is_empty() && batch.rejected.is_empty();
        let says_nothing = no_record && batch.progress.is_empty() && !batch.end_of_data && !batch.end_of_run;
        if says_nothing && batch.boundary == self.boundary {
            return;
        }
        self.boundary = batch.boundary;
        // A batch larger than the bound takes all of it, or it would wait for ever.
        let most = self.batch_max.records.max(1);
        let count = batch.len() + batch.rejected.len();
        let wanted = u32::try_from(count.min(most)).unwrap_or(u32::MAX);
        self.read = batch.read;
        let charge = self.task.limit.charge(batch.read, batch.len());
        let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.ok();
        // The writer has gone only when this actor is about to be stopped.
        self.writing.handed_over();
        let _ = self.batches.send(Ok(Polled { batch, charge, room })).await;
    }

    async fn tell_committed(&mut self) {
        let positions = std::mem::take(&mut *self.committed.positions.lock());
        if positions.is_empty() {
            return;
        }
        if let Err(error) = self.connector.committed(&positions).await {
            let task = &self.task.spec.id;
            tracing::warn!(%task, %error, "the source could not take note of a commit; the next one covers it");
        }
        failpoint!("source.committed.after");
    }

    /// Waits while the task is paused, and until its limits let it read. Never inside a transaction that is open in Kafka:
    /// inside an upstream transaction it goes on into debt, unless a limit has cut that and nothing of it is open.
    async fn wait_for_leave(&mut self) {
        let clock = Arc::clone(&self.cx.clock);
        loop {
            self.wait_while_paused().await;
            let wait = match self.task.limit.ask(self.read, self.batch_max) {
                Leave::Go(most) => {
                    self.cx.batch_max = most;
                    return;
                }
                Leave::Wait(wait) => wait,
            };
            if self.boundary == Boundary::Inside {
                self.writing.idle().await;
                if self.writing.is_open() {
                    self.cx.batch_max = self.batch_max;
                    return;
                }
            }
            let (committed, task) = (Arc::clone(&self.committed), Arc::clone(&self.task));
            tokio::select! {
                biased;
                () = target_changed(&mut self.paused) => {}
                () = task.limit.changed() => {}
                () = committed.news.notified() => self.tell_committed().await,
                () = clock.sleep(wait) => {}
            }
        }
    }

    /// A pause takes effect between upstream transactions, so that none stays open in Kafka.
    async fn wait_while_paused(&mut self) {
        while *self.paused.borrow_and_update() && self.boundary != Boundary::Inside {
            self.task.limit.rest();
            let committed = Arc::clone(&self.committed);
            tokio::select! {
                biased;
                () = target_changed(&mut self.paused) => {}
                () = committed.news.notified() => self.tell_committed().await,
            }
        }
    }

    /// A bounded source has ended: nothing is polled any more.
    async fn only_tell_committed(&mut self) {
        let committed = Arc::clone(&self.committed);
        loop {
            self.tell_committed().await;
            committed.news.notified().await;
        }
    }
}

//! The loop of a sink task.
use super::batches::{self, Batches, Marked};
use super::flow::{Flow, Wish};
use super::intake::{Gathered, Intake, Judging};
use super::leave::Backlog;
use super::pending::shown;
use super::precedence::Precedence;
use super::settings::SinkSettings;
use super::two_phase::TwoPhase;
use crate::error::{Doing, TaskError};
use crate::event::Happening;
use crate::failpoint::failpoint;
use crate::supervise::{Owned, Supervision, target_changed};
use elasticflow_api::ErrorClass;
use elasticflow_api::context::{Limits, SinkContext};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_api::sink::{IdempotentSink, SinkTask, TransactionalSink};
use elasticflow_api::source::Read;
use elasticflow_kafka::ports::{Consumed, Consumer, InRecord};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How often offsets move at most where every put could move them: they are a round trip each.
const OFFSETS_EVERY: Duration = Duration::from_millis(200);

/// Time between two looks for units that fenced owners have left: nothing stays in doubt, and locked, for more than 30 s.
const SWEEP_EVERY: Duration = Duration::from_secs(20);

/// The sink, by kind.
pub(super) enum Kind {
    Idempotent(Box<dyn IdempotentSink>),
    Transactional(Box<dyn TransactionalSink>),
    TwoPhase(Box<TwoPhase>),
}

impl Kind {
    pub(super) fn task(&mut self) -> &mut dyn SinkTask {
        match self {
            Self::Idempotent(sink) => sink.as_mut(),
            Self::Transactional(sink) => sink.as_mut(),
            Self::TwoPhase(two_phase) => two_phase.sink.as_mut(),
        }
    }
}

/// One instance of a sink task.
pub(super) struct Cycle {
    pub(super) task: Arc<Supervision>,
    pub(super) settings: SinkSettings,
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) sink: Kind,
    pub(super) cx: SinkContext,
    pub(super) intake: Intake,
    pub(super) flow: Arc<Flow>,
    /// Of a sink that publishes batches as a whole.
    pub(super) batches: Option<Batches>,
    pub(super) assigned: BTreeSet<TopicPartition>,
    /// Held by the instance before this one, not taken over yet.
    pub(super) adopted: BTreeSet<TopicPartition>,
    /// Paused by the sink.
    pub(super) held: BTreeSet<TopicPartition>,
    /// Consumed, and not let through by the limits yet.
    pub(super) backlog: Backlog,
    pub(super) precedence: Precedence,
    /// Put, not committed: what the next commit may move to.
    pub(super) consumed: BTreeMap<TopicPartition, Offset>,
    /// Idempotent: acknowledged by the destination, not committed to the group.
    pub(super) durable: BTreeMap<TopicPartition, Offset>,
    /// Records put and not known to be durable.
    pub(super) unflushed: usize,
    pub(super) unflushed_bytes: usize,
    /// Since when something waits for a commit.
    pub(super) since: Option<Duration>,
    pub(super) lag_asked: Option<Duration>,
    pub(super) lag_task: Option<Owned<()>>,
    pub(super) topics: HashSet<Arc<str>>,
}

impl Cycle {
    /// Runs until it is stopped or fails. A soft stop commits everything that was put.
    pub(super) async fn run(&mut self) -> Result<(), TaskError> {
        let stop = self.task.stop.clone();
        let mut target = self.task.paused.clone();
        let flow = Arc::clone(&self.flow);
        if let Kind::TwoPhase(two_phase) = &mut self.sink {
            two_phase.take_over(&[], self.consumer.as_mut()).await?;
        }
        self.adopt().await?;
        let mut look = self.task.services.options.clock.sleep(batches::LOOK_EVERY);
        let mut sweep = self.task.services.options.clock.sleep(SWEEP_EVERY);
        let (task, has_budget) = (Arc::clone(&self.task), self.intake.rejects.has_budget());
        let mut used_up = std::pin::pin!(task.budget.used_up());
        loop {
            self.rank().await?;
            let (deadline, leave) = (self.deadline(), self.leave());
            // A paused one has its partitions paused, and must answer for them.
            let reads = self.backlog.reads() || self.task.is_paused();
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.finish().await,
                () = target_changed(&mut target) => self.on_target().await?,
                () = flow.wished() => self.on_wishes().await?,
                error = &mut used_up, if has_budget => return self.end_with(error).await,
                () = deadline => self.commit().await?,
                () = leave => self.on_leave().await?,
                () = &mut sweep => {
                    self.on_sweep().await?;
                    sweep = self.task.services.options.clock.sleep(SWEEP_EVERY);
                }
                () = &mut look, if self.batches.is_some() => {
                    self.publish_due().await?;
                    look = self.task.services.options.clock.sleep(batches::LOOK_EVERY);
                }
                event = self.consumer.next(), if reads => self.on_event(event.doing("consuming")?).await?,
            }
        }
    }

    /// A frozen owner may have prepared after its successor looked.
    async fn on_sweep(&mut self) -> Result<(), TaskError> {
        match &mut self.sink {
            Kind::TwoPhase(two_phase) => two_phase.sweep().await,
            Kind::Idempotent(_) | Kind::Transactional(_) => Ok(()),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.task.services.options.clock.monotonic()
    }

    /// When what waits must be committed.
    fn deadline(&self) -> impl Future<Output = ()> + use<> {
        let clock = Arc::clone(&self.task.services.options.clock);
        let every = self.settings.interval.unwrap_or(match &self.sink {
            Kind::TwoPhase(two_phase) => two_phase.sink.unit_every(),
            Kind::Idempotent(_) | Kind::Transactional(_) => OFFSETS_EVERY,
        });
        let wait = self.since.map(|since| (since + every).saturating_sub(clock.monotonic()));
        async move {
            match wait {
                Some(wait) => clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    async fn on_event(&mut self, event: Consumed) -> Result<(), TaskError> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            match event {
                Consumed::Records(at, records) => next = self.on_records(at, records).await?,
                Consumed::Assigned(new) => self.on_assigned(new).await?,
                Consumed::Revoked(gone) => self.on_revoked(gone).await?,
                Consumed::Lost(gone) => self.on_lost(gone).await?,
                Consumed::Gone(at, expected) => self.on_gone(&at, expected).await?,
            }
        }
        Ok(())
    }

    /// Puts records with what else arrives at once; gives back the event that ended the gathering.
    async fn on_records(&mut self, at: TopicPartition, records: Vec<InRecord>) -> Result<Option<Consumed>, TaskError> {
        let mut gathered = Gathered::default();
        gathered.add(at, records);
        let ended_by = self.gather(&mut gathered).await?;
        let is_all = gathered.records < self.settings.batch_records && gathered.bytes < self.settings.batch_bytes;
        let (began, records) = (self.now(), gathered.records);
        let is_all = self.put_on(gathered).await? && is_all;
        // Nothing more waits: what was put is made durable at once. Under load the sink may keep requests in flight
        // across puts, until offsets are due or its buffer is full.
        if is_all && self.settings.interval.is_none() {
            self.flush().await?;
        }
        self.precedence.put(records, self.now().saturating_sub(began));
        Ok(ended_by)
    }

    async fn gather(&mut self, gathered: &mut Gathered) -> Result<Option<Consumed>, TaskError> {
        let mut linger = self.task.services.options.clock.sleep(self.settings.linger);
        let Limits { records: records_max, bytes: bytes_max } = self.gather_max();
        while gathered.records < records_max && gathered.bytes < bytes_max {
            tokio::select! {
                biased;
                event = self.consumer.next() => match event.doing("consuming")? {
                    Consumed::Records(at, records) => gathered.add(at, records),
                    other => return Ok(Some(other)),
                },
                () = &mut linger => break,
            }
        }
        Ok(None)
    }

    pub(super) async fn put(&mut self, Marked { mark, gathered }: Marked) -> Result<(), TaskError> {
        let (read, bytes) = (gathered.records as u64, gathered.bytes);
        let metrics = Arc::clone(&self.task.metrics);
        metrics.polled.add(read);
        metrics.bytes.add(bytes as u64);
        metrics.batch_size.add(read);
        self.task.limit.count(Read::Stream, gathered.records, bytes);
        failpoint!("sink.poll.after");
        let began = self.now();
        let again = gathered.clone();
        let mut batch = self.intake.batch(gathered, Judging::First).await?;
        if !self.stage(mark.as_ref(), &again, &batch.consumed).await? {
            batch.records.clear();
        }
        if batch.consumed.0.is_empty() && self.intake.rejects.is_stop_met() {
            let error = self.task.budget.error();
            return self.end_with(error).await;
        }
        for at in batch.consumed.0.keys() {
            if !self.topics.contains(&at.topic) && *at.topic != *self.intake.replays {
                self.topics.insert(Arc::clone(&at.topic));
                self.task.happened(Happening::Topic(Arc::clone(&at.topic)));
            }
        }
        let (mut put, consumed) = (batch.records.len(), batch.consumed.clone());
        if matches!(self.sink, Kind::Transactional(_)) {
            // A put is a commit: what was rejected before it must be durable before it.
            self.intake.rejects.write().await?;
        }
        let letters = self.intake.rejects.waiting();
        failpoint!("sink.put.before");
        let put_all = self.sink.task().put(batch, &self.cx);
        match shown(&self.task, &self.flow, "put", put_all).await {
            Err(error) if error.class == ErrorClass::Record && !self.intake.rejects.has_refused() => {
                self.intake.rejects.forget_after(letters);
                put = self.isolate(Marked { mark, gathered: again }, error).await?;
            }
            ended => ended?,
        }
        failpoint!("sink.put.after");
        metrics.put_time.time(self.now().saturating_sub(began));
        metrics.written.add(put as u64);
        self.unflushed += put;
        self.unflushed_bytes += bytes;
        self.consumed.extend(consumed.0);
        self.since.get_or_insert(began);
        metrics.active.set(i64::try_from(self.unflushed).unwrap_or(i64::MAX));
        self.after_put().await?;
        if !self.intake.rejects.is_stop_met() {
            return Ok(());
        }
        let error = self.task.budget.error();
        self.end_with(error).await
    }

    /// The error budget is used up: what was put is made final.
    async fn end_with(&mut self, error: TaskError) -> Result<(), TaskError> {
        self.commit().await?;
        Err(error)
    }

    /// What the kind of sink does after every put; a full buffer is committed at once.
    async fn after_put(&mut self) -> Result<(), TaskError> {
        let most = self.cx.buffer_max;
        let full = self.unflushed >= most.records || self.unflushed_bytes >= most.bytes;
        match &self.sink {
            Kind::Transactional(_) => self.put_is_durable().await,
            Kind::Idempotent(_) | Kind::TwoPhase(_) if full => self.commit().await,
            Kind::Idempotent(_) | Kind::TwoPhase(_) => Ok(()),
        }
    }

    async fn on_wishes(&mut self) -> Result<(), TaskError> {
        for wish in self.flow.take() {
            match wish {
                Wish::Commit => self.commit().await?,
                Wish::Pause(partitions) => {
                    let of: Vec<_> = partitions.into_iter().filter(|at| self.assigned.contains(at)).collect();
                    self.consumer.pause(&of).doing("pausing partitions")?;
                    self.held.extend(of);
                }
                Wish::Resume(partitions) => {
                    let of: Vec<_> = partitions.into_iter().filter(|at| self.held.remove(at)).collect();
                    if !self.task.is_paused() && !self.backlog.pauses() {
                        self.consumer.resume(&of).doing("resuming partitions")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A paused sink stays in its group with every partition paused.
    async fn on_target(&mut self) -> Result<(), TaskError> {
        if self.task.is_paused() {
            let all: Vec<_> = self.assigned.iter().cloned().collect();
            self.consumer.pause(&all).doing("pausing partitions")?;
            self.task.limit.rest();
            self.commit().await?;
        } else if !self.backlog.pauses() {
            let free: Vec<_> = self.assigned.difference(&self.held).cloned().collect();
            self.consumer.resume(&free).doing("resuming partitions")?;
        }
        self.task.report_target();
        // What waits asks anew, so that it is told why.
        if !self.task.is_paused() {
            self.put_on(Gathered::default()).await?;
        }
        Ok(())
    }

    /// A soft stop.
    async fn finish(&mut self) -> Result<(), TaskError> {
        self.commit().await?;
        if let Kind::TwoPhase(two_phase) = &mut self.sink {
            two_phase.forget_now().await?;
        }
        let all: Vec<_> = std::mem::take(&mut self.assigned).into_iter().collect();
        if !all.is_empty() {
            self.sink.task().close(&all, false).await?;
        }
        Ok(())
    }
}

//! A sink's side of its limits: what was consumed and may not be put yet waits here, and partitions are paused meanwhile.
//!
//! The member stays in its group and answers rebalances. For moments the consumer is just not asked, since a pause throws
//! away what it has fetched ahead; from [`PAUSED_AFTER`] on partitions are paused. What waits is never more than the one
//! batch that was on its way.
use super::cycle::Cycle;
use super::intake::Gathered;
use crate::error::{Doing, TaskError};
use crate::limit::Leave;
use elasticflow_api::context::Limits;
use elasticflow_api::position::TopicPartition;
use elasticflow_api::source::Read;
use std::time::Duration;

/// How long the group's events may wait: well below any session.
const PAUSED_AFTER: Duration = Duration::from_millis(500);

/// What may not be put yet.
#[derive(Default)]
pub(super) struct Backlog {
    gathered: Gathered,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Duration,
    until: Duration,
    /// Partitions are paused for it.
    paused: bool,
}

impl Backlog {
    /// Whether partitions are paused because of limits.
    pub(super) fn pauses(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.paused)
    }

    /// Whether the task waits for leave.
    pub(super) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether the consumer is to be asked.
    pub(super) fn reads(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| waiting.paused)
    }

    /// Partitions that are not ours any more: their records are read by whoever has them.
    pub(super) fn forget(&mut self, gone: &[TopicPartition]) {
        self.gathered.forget(gone);
    }
}

impl Cycle {
    /// Most that may be gathered for the next puts.
    pub(super) fn gather_max(&self) -> Limits {
        let most = Limits { records: self.settings.batch_records, bytes: self.settings.batch_bytes };
        match self.task.limit.ask(Read::Stream, self.precedence.most(most)) {
            Leave::Go(most) => most,
            // What has come already is all.
            Leave::Wait(_) => Limits { records: 1, bytes: 1 },
        }
    }

    /// Puts what was gathered as far as limits let it; the rest waits. True when nothing waits.
    pub(super) async fn put_on(&mut self, gathered: Gathered) -> Result<bool, TaskError> {
        self.backlog.gathered.append(gathered);
        let most = Limits { records: self.settings.batch_records, bytes: self.settings.batch_bytes };
        while self.backlog.gathered.records > 0 {
            match self.task.limit.ask(Read::Stream, most) {
                Leave::Go(most) => {
                    // A trial is one record, made durable before the next.
                    let is_trial = self.task.breaker.is_trial();
                    let records = if is_trial { 1 } else { most.records };
                    let next = self.backlog.gathered.take(records, most.bytes);
                    for part in self.split_by_batch(next) {
                        self.put(part).await?;
                    }
                    if is_trial {
                        self.commit().await?;
                    }
                }
                Leave::Wait(wait) => {
                    self.wait_for_leave(wait)?;
                    return Ok(false);
                }
            }
        }
        self.waited()?;
        Ok(true)
    }

    pub(super) fn wait_for_leave(&mut self, wait: Duration) -> Result<(), TaskError> {
        let now = self.now();
        let waiting = self.backlog.waiting.get_or_insert(Waiting { since: now, until: now, paused: false });
        waiting.until = now.saturating_add(wait);
        if !waiting.paused && waiting.until.saturating_sub(waiting.since) >= PAUSED_AFTER {
            waiting.paused = true;
            let all: Vec<_> = self.assigned.iter().cloned().collect();
            self.consumer.pause(&all).doing("pausing partitions")?;
        }
        Ok(())
    }

    /// Nothing waits any more.
    fn waited(&mut self) -> Result<(), TaskError> {
        let paused = self.backlog.waiting.take().is_some_and(|waiting| waiting.paused);
        if paused && !self.task.is_paused() {
            let free: Vec<_> = self.assigned.difference(&self.held).cloned().collect();
            self.consumer.resume(&free).doing("resuming partitions")?;
        }
        Ok(())
    }

    /// When what waits may be put; never while the task is paused.
    pub(super) fn leave(&self) -> impl Future<Output = ()> + use<> {
        let (task, clock) = (std::sync::Arc::clone(&self.task), &self.task.services.options.clock);
        let waiting = self.backlog.waiting.as_ref().filter(|_| !self.task.is_paused());
        let sleep = waiting.map(|waiting| clock.sleep(waiting.until.saturating_sub(self.now())));
        async move {
            let Some(sleep) = sleep else { return std::future::pending().await };
            tokio::select! {
                biased;
                () = task.limit.changed() => {}
                () = sleep => {}
            }
        }
    }

    /// A wait is over, or limits have changed.
    pub(super) async fn on_leave(&mut self) -> Result<(), TaskError> {
        if self.put_on(Gathered::default()).await? && self.settings.interval.is_none() {
            self.flush().await?;
        }
        Ok(())
    }
}

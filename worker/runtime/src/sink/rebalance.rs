//! Partitions that come and go.
use super::cycle::{Cycle, Kind};
use super::loss::loss;
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_api::sink::StartAt;
use std::collections::BTreeMap;

impl Cycle {
    /// New partitions: taken over where that is needed, opened at the sink, read from where the sink says.
    pub(super) async fn on_assigned(&mut self, new: Vec<TopicPartition>) -> Result<(), TaskError> {
        // Until they are started, they are left to the next instance: the group gives them out once.
        self.adopted.extend(new.iter().cloned());
        let mut known = BTreeMap::new();
        if let Kind::TwoPhase(two_phase) = &mut self.sink {
            known = two_phase.take_over(&new, self.consumer.as_mut()).await?;
        }
        let stored = self.sink.task().open(&new, &self.cx).await?;
        failpoint!("sink.open.after");
        self.task.budget.join(&new).await?;
        self.check_stored(&stored).await?;
        let start: BTreeMap<TopicPartition, Option<Offset>> = new
            .iter()
            .map(|at| match stored.get(at) {
                Some(StartAt::Stored(offset)) => (at.clone(), Some(*offset)),
                Some(StartAt::Group) | None => (at.clone(), known.get(at).copied().flatten()),
            })
            .collect();
        let mut start = start;
        for (at, known) in start.iter_mut().filter(|(at, _)| *at.topic == *self.intake.replays) {
            *known = super::replay::start(at, *known, self.consumer.as_mut()).await?;
        }
        self.consumer.start_at(&start).await.doing("starting partitions")?;
        if self.task.is_paused() || self.backlog.pauses() {
            self.consumer.pause(&new).doing("pausing partitions")?;
        }
        self.adopted.retain(|at| !new.contains(at));
        self.assigned.extend(new);
        self.repair_group(&stored);
        self.count_partitions();
        Ok(())
    }

    /// The destination's offsets decide; the group's are brought up to them, so that lag is shown right.
    fn repair_group(&mut self, stored: &BTreeMap<TopicPartition, StartAt>) {
        if !matches!(self.sink, Kind::Transactional(_)) {
            return;
        }
        let now = self.task.services.options.clock.monotonic();
        for (at, start) in stored {
            if let StartAt::Stored(offset) = start {
                self.consumed.insert(at.clone(), *offset);
                self.since.get_or_insert(now);
            }
        }
    }

    /// What the destination has stored must be there: an offset that the topic has never reached belongs to another topic of
    /// that name. The group is brought up to the destination, which decides, so that the loss is counted from there.
    async fn check_stored(&mut self, stored: &BTreeMap<TopicPartition, StartAt>) -> Result<(), TaskError> {
        let offset = |start: &StartAt| match start {
            StartAt::Stored(offset) => Some(*offset),
            StartAt::Group => None,
        };
        let known: BTreeMap<_, _> = stored.iter().filter_map(|(at, s)| Some((at.clone(), offset(s)?))).collect();
        if known.is_empty() {
            return Ok(());
        }
        let loss = loss(self.task.services.options.kafka.admin(), &known).await?;
        if loss.is_none() {
            return Ok(());
        }
        if let Err(error) = self.consumer.commit(&ConsumedOffsets(known)).await {
            tracing::warn!(task = %self.task.spec.id, %error, "group offsets were not committed; the destination holds the real ones");
        }
        Err(self.gone(&loss))
    }

    /// Partitions asked back: what was put for them is committed first.
    pub(super) async fn on_revoked(&mut self, gone: Vec<TopicPartition>) -> Result<(), TaskError> {
        failpoint!("sink.revoke.before");
        self.commit().await?;
        self.task.budget.share.leave(&gone).await?;
        self.sink.task().close(&gone, false).await?;
        self.forget_partitions(&gone);
        failpoint!("sink.revoke.after");
        self.consumer.confirm_revoked().await.doing("giving partitions up")
    }

    /// Partitions that somebody else may own already: nothing is written for them. A sink that holds records of theirs
    /// together with others is dropped and reads the others again.
    pub(super) async fn on_lost(&mut self, gone: Vec<TopicPartition>) -> Result<(), TaskError> {
        let mixed =
            gone.iter().any(|at| self.consumed.contains_key(at)) && !matches!(self.sink, Kind::Transactional(_));
        self.sink.task().close(&gone, true).await?;
        self.forget_partitions(&gone);
        if mixed { Err(TaskError::Lost) } else { Ok(()) }
    }

    fn forget_partitions(&mut self, gone: &[TopicPartition]) {
        self.backlog.forget(gone);
        self.task.budget.share.forget(gone);
        for at in gone {
            self.assigned.remove(at);
            self.held.remove(at);
            self.consumed.remove(at);
            self.durable.remove(at);
        }
        self.count_partitions();
    }

    fn count_partitions(&self) {
        self.task.metrics.partitions.set(i64::try_from(self.assigned.len()).unwrap_or(i64::MAX));
    }
}

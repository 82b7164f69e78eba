//! How what was put becomes final, by kind of sink.
use super::cycle::{Cycle, Kind};
use super::pending::shown;
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_kafka::ports::KafkaError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the lag is asked for.
const LAG_EVERY: Duration = Duration::from_secs(10);

impl Cycle {
    /// Makes everything that was put final and moves the group's offsets.
    pub(super) async fn commit(&mut self) -> Result<(), TaskError> {
        if self.since.is_none() {
            return Ok(());
        }
        let began = self.task.services.options.clock.monotonic();
        match self.sink {
            Kind::TwoPhase(_) => self.unit().await?,
            Kind::Idempotent(_) => {
                if !self.consumed.is_empty() {
                    self.flush().await?;
                }
                self.move_offsets().await?;
            }
            Kind::Transactional(_) => self.move_offsets().await?,
        }
        let metrics = &self.task.metrics;
        metrics.commit_time.time(self.task.services.options.clock.monotonic().saturating_sub(began));
        metrics.transactions.add(1);
        self.ask_for_lag().await;
        Ok(())
    }

    /// Idempotent: waits for the destination's acknowledgement. What it says is durable is what may be committed.
    pub(super) async fn flush(&mut self) -> Result<(), TaskError> {
        let Kind::Idempotent(sink) = &mut self.sink else { return Ok(()) };
        let durable = shown(&self.task, &self.flow, "flush", sink.flush(&self.cx)).await?;
        self.task.breaker.called(None);
        failpoint!("sink.flush.after");
        self.intake.rejects.write().await?;
        // A sink may lag behind what was put; it never moves an offset beyond that.
        let reached =
            |at: &TopicPartition, put: Offset| durable.0.get(at).copied().filter(|o| o.0 > 0).map(|o| o.min(put));
        let behind = self.consumed.iter().any(|(at, put)| reached(at, *put).is_none_or(|o| o < *put));
        let moved = self.consumed.iter().filter_map(|(at, put)| Some((at.clone(), reached(at, *put)?)));
        self.durable.extend(moved);
        if !behind {
            self.consumed.clear();
            self.counted_durable();
        }
        Ok(())
    }

    /// Transactional: `put` has committed rows and offsets.
    pub(super) async fn put_is_durable(&mut self) -> Result<(), TaskError> {
        self.task.breaker.called(None);
        self.counted_durable();
        self.intake.rejects.write().await
    }

    fn counted_durable(&mut self) {
        self.task.metrics.committed.add(self.unflushed as u64);
        self.task.metrics.active.set(0);
        (self.unflushed, self.unflushed_bytes) = (0, 0);
    }

    /// Moves the group's offsets. For a transactional sink they are for display, and an error is only logged.
    async fn move_offsets(&mut self) -> Result<(), TaskError> {
        let offsets = self.taken_offsets();
        if offsets.0.is_empty() {
            return Ok(());
        }
        self.task.budget.settle(&offsets);
        let moved = self.consumer.commit(&offsets).await;
        failpoint!("sink.offsets.after");
        match moved {
            Err(KafkaError::Fenced) => Err(TaskError::Fenced),
            Err(error) if matches!(self.sink, Kind::Transactional(_)) => {
                self.task.metrics.commit_failures.add(1);
                tracing::warn!(task = %self.task.spec.id, %error, "group offsets were not committed; the destination holds the real ones");
                Ok(())
            }
            Err(error) => {
                self.task.metrics.commit_failures.add(1);
                Err(error).doing("committing group offsets")
            }
            Ok(()) => Ok(()),
        }
    }

    fn taken_offsets(&mut self) -> ConsumedOffsets {
        let from = if matches!(self.sink, Kind::Idempotent(_)) { &mut self.durable } else { &mut self.consumed };
        let all: BTreeMap<TopicPartition, Offset> = std::mem::take(from);
        self.since = (!self.consumed.is_empty()).then(|| self.task.services.options.clock.monotonic());
        ConsumedOffsets(all.into_iter().filter(|(at, _)| self.assigned.contains(at)).collect())
    }

    /// Two-phase: prepare, decide, commit.
    async fn unit(&mut self) -> Result<(), TaskError> {
        self.intake.rejects.claim().await?;
        let offsets = self.taken_offsets();
        if offsets.0.is_empty() {
            return Ok(());
        }
        let Kind::TwoPhase(two_phase) = &mut self.sink else { return Ok(()) };
        let unit = two_phase.run_unit(&self.cx, &offsets, self.consumer.as_mut(), &self.intake.rejects);
        shown(&self.task, &self.flow, "prepare or commit", unit).await?;
        self.task.breaker.called(None);
        self.counted_durable();
        Ok(())
    }

    /// The largest lag of a partition; unknown when the broker does not answer.
    async fn ask_for_lag(&mut self) {
        let options = &self.task.services.options;
        let now = options.clock.monotonic();
        if self.lag_asked.is_some_and(|at| now.saturating_sub(at) < LAG_EVERY) {
            return;
        }
        self.lag_asked = Some(now);
        let admin = options.kafka.admin();
        let (group, metrics) = (self.settings.group.clone(), Arc::clone(&self.task.metrics));
        let mine: Vec<_> = self.assigned.iter().cloned().collect();
        // Off the loop: a slow answer must not hold up records.
        self.lag_task = Some(crate::supervise::spawn(async move {
            let (Ok(ends), Ok(at)) = (admin.end_offsets(&mine).await, admin.group_offsets(&group).await) else {
                return;
            };
            let lag = ends.iter().filter_map(|(tp, end)| Some(end.0 - at.get(tp)?.0)).max();
            if let Some(lag) = lag {
                metrics.lag.set(lag.max(0));
            }
        }));
    }
}

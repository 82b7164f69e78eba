//! One unit: prepare, decide, commit, forget.
use super::super::pending::pending;
use super::super::rejects::Rejects;
use super::TwoPhase;
use super::records::{connector_name, unit_key, unit_value};
use crate::dead_letters::{DeadLetters, Letter};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::policy::backoff;
use crate::supervise::Supervision;
use elasticflow_api::ErrorClass;
use elasticflow_api::context::SinkContext;
use elasticflow_api::position::{CommitEpoch, ConsumedOffsets, UnitId};
use elasticflow_api::sink::{Committed, Handle};
use elasticflow_kafka::ports::{CommitError, Consumer, KafkaError};
use elasticflow_protocol::{Answer, Consequence, after_decide};
use std::time::Duration;

/// How long a unit is decided again after transactions that certainly were not committed, and the pause before each.
const AGAIN_MAX: Duration = Duration::from_secs(5);
const AGAIN_PAUSE: Duration = Duration::from_millis(50);

/// Dead letters of a unit with their topic.
type Dead<'a> = Option<(&'a DeadLetters, &'a [Letter])>;

fn answer_of(error: &CommitError) -> Answer {
    match error {
        CommitError::NotCommitted(_) => Answer::NotCommitted,
        CommitError::Fenced => Answer::Fenced,
        CommitError::Unknown(_) => Answer::Unknown,
    }
}

impl TwoPhase {
    /// Runs one unit. After Ok its records are visible and its offsets are committed.
    pub(in crate::sink) async fn run_unit(
        &mut self,
        cx: &SinkContext,
        offsets: &ConsumedOffsets,
        consumer: &mut dyn Consumer,
        rejects: &Rejects,
    ) -> Result<(), TaskError> {
        let unit = self.next_unit()?;
        failpoint!("sink.prepare.before");
        let handle = self.sink.prepare(&unit, cx).await?;
        failpoint!("sink.prepare.after");
        if let Some(handle) = &handle
            && handle.token.len() > Handle::TOKEN_MAX
        {
            return Err(TaskError::Bug(format!("a handle's token is longer than {} bytes", Handle::TOKEN_MAX)));
        }
        failpoint!("sink.decide.before");
        self.task.budget.settle(offsets);
        // Preparing may find bad records too.
        let letters = rejects.drain();
        let dead = rejects.topic().map(|topic| (topic, letters.as_slice()));
        let forgotten = self.forget.len();
        self.decide(handle.as_ref(), offsets, consumer, dead).await?;
        failpoint!("sink.decide.after");
        self.forget.drain(..forgotten);
        if let Some(handle) = handle {
            self.commit_until_done(&handle).await?;
            failpoint!("sink.commit.after");
            self.forget.push(unit_key(&self.task.spec.id, &handle.unit));
        }
        Ok(())
    }

    fn next_unit(&mut self) -> Result<UnitId, TaskError> {
        let owner = self.owner.filter(|_| self.order.is_complete());
        let owner = owner.ok_or_else(|| TaskError::Bug("a unit before the take-over was complete".to_owned()))?;
        self.commits += 1;
        let id = &self.task.spec.id;
        Ok(UnitId { connector: connector_name(id), task: id.task, owner, commit: CommitEpoch(self.commits) })
    }

    /// The commit point. An error other than a certain "not committed" leaves everything as it is for the successor.
    async fn decide(
        &mut self,
        handle: Option<&Handle>,
        offsets: &ConsumedOffsets,
        consumer: &mut dyn Consumer,
        dead: Dead<'_>,
    ) -> Result<(), TaskError> {
        let task = std::sync::Arc::clone(&self.task);
        let options = &task.services.options;
        let began = options.clock.monotonic();
        loop {
            self.producer.begin().doing("opening the decide transaction")?;
            let Err(error) = self.fill(handle, offsets, consumer, dead).await else { break };
            // A generation that has moved on meanwhile, mostly: it is not decided, and may be decided in the new one.
            let kafka =
                matches!(error, TaskError::Kafka { source: KafkaError::Retriable(_) | KafkaError::Abortable(_), .. });
            let may_pass = kafka && options.clock.monotonic().saturating_sub(began) < AGAIN_MAX;
            if !may_pass || self.producer.abort().await.is_err() {
                return Err(self.not_decided(handle, error).await);
            }
            task.metrics.transactions_aborted.add(1);
            tracing::debug!(task = %task.spec.id, %error, "a unit is to be decided again");
            options.clock.sleep(AGAIN_PAUSE).await;
        }
        failpoint!("sink.decide.sent");
        let Err(error) = self.producer.commit().await else { return Ok(()) };
        if after_decide(answer_of(&error)) == Consequence::RemoveOwnUnit {
            self.abort_own(handle).await;
        }
        Err(TaskError::Commit(error))
    }

    async fn fill(
        &mut self,
        handle: Option<&Handle>,
        offsets: &ConsumedOffsets,
        consumer: &mut dyn Consumer,
        dead: Dead<'_>,
    ) -> Result<(), TaskError> {
        if let Some(handle) = handle {
            let value = unit_value(handle, &offsets.0, self.task.services.options.clock.wall_ms());
            self.write(&unit_key(&self.task.spec.id, &handle.unit), Some(&value)).await?;
        }
        self.send_tombstones().await?;
        if let Some((topic, letters)) = dead {
            topic.send(letters, self.writer()).await?;
        }
        // An abort while librdkafka still registers a partition ends the process: it counts the answer below zero.
        self.producer.drain().await.doing("writing decisions")?;
        let group = consumer.group_metadata().ok_or(TaskError::Lost)?;
        self.producer.send_offsets(offsets, &group).await.doing("sending consumed offsets")
    }

    async fn send_tombstones(&mut self) -> Result<(), TaskError> {
        for key in self.forget.clone() {
            self.write(&key, None).await?;
        }
        Ok(())
    }

    /// The end of the transaction was never asked for. Unless a successor exists, it is aborted, and then the unit is
    /// certainly undecided and ours to remove.
    async fn not_decided(&mut self, handle: Option<&Handle>, error: TaskError) -> TaskError {
        let fenced = matches!(error, TaskError::Kafka { source: KafkaError::Fenced | KafkaError::Fatal(_), .. });
        if !fenced && self.producer.abort().await.is_ok() {
            self.task.metrics.transactions_aborted.add(1);
            self.abort_own(handle).await;
        }
        error
    }

    /// What cannot be removed here is removed by the next owner.
    async fn abort_own(&mut self, handle: Option<&Handle>) {
        if let Some(handle) = handle
            && let Err(error) = self.sink.abort(handle).await
        {
            tracing::warn!(task = %self.task.spec.id, %error, "an undecided unit could not be removed; the next owner does it");
        }
    }

    /// Commits a decided unit, for as long as it takes: order and completeness come before availability.
    pub(super) async fn commit_until_done(&mut self, handle: &Handle) -> Result<(), TaskError> {
        self.task.metrics.units_in_doubt.set(1);
        self.commit_at_last(handle).await?;
        self.task.metrics.units_in_doubt.set(0);
        Ok(())
    }

    async fn commit_at_last(&mut self, handle: &Handle) -> Result<(), TaskError> {
        let task = std::sync::Arc::clone(&self.task);
        let options = &task.services.options;
        let mut tried = 0;
        loop {
            match self.sink.commit(handle).await {
                Ok(Committed::Now) => {
                    show_settled(&task, tried);
                    return Ok(());
                }
                Ok(Committed::Before) => {
                    show_settled(&task, tried);
                    tracing::info!(task = %task.spec.id, owner = handle.unit.owner.0, commit = handle.unit.commit.0, "a unit had been committed before");
                    return Ok(());
                }
                // A right that is missing may come back; what is decided is not given up for it.
                Err(error) if matches!(error.class, ErrorClass::Transient { .. } | ErrorClass::Config) => {
                    tried += 1;
                    task.metrics.retries.add(1);
                    task.report(pending(&format!("commit of a decided unit: {error}")));
                    tracing::warn!(task = %task.spec.id, %error, tried, "a decided unit could not be committed; it is tried until it is");
                    tokio::select! {
                        biased;
                        // A successor adopts it.
                        () = task.stop.cancelled() => return Err(error.into()),
                        () = options.clock.sleep(backoff(tried, &options.restart, options.random.unit())) => {}
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes the outstanding tombstones, so that a soft stop leaves nothing to adopt.
    pub(in crate::sink) async fn forget_now(&mut self) -> Result<(), TaskError> {
        if self.forget.is_empty() {
            return Ok(());
        }
        self.producer.begin().doing("opening a transaction")?;
        self.send_tombstones().await?;
        self.producer.commit().await.map_err(TaskError::Commit)?;
        self.forget.clear();
        failpoint!("sink.forget.after");
        Ok(())
    }
}

/// The status of a task whose unit is committed after all.
fn show_settled(task: &Supervision, tried: u32) {
    if tried > 0 {
        task.report_target();
    }
}

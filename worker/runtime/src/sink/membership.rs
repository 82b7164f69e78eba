//! The place in the consumer group between two instances of a task: nobody else's partitions move because this one waits.
use super::cycle::Cycle;
use crate::error::{Doing, TaskError};
use elasticflow_api::position::TopicPartition;
use elasticflow_api::{ConnectorError, ErrorClass};
use elasticflow_kafka::ports::{Consumed, Consumer, KafkaError};
use std::collections::BTreeSet;

/// A member without a task: every partition of it is paused.
pub(crate) struct Kept {
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) assigned: BTreeSet<TopicPartition>,
}

/// Stays in the group for as long as nothing moves in it; then the member leaves and joins again later. Never returns.
pub(crate) async fn hold(kept: &mut Option<Kept>) {
    if let Some(member) = kept {
        let ended = member.stay().await;
        tracing::info!(?ended, "a waiting sink leaves its consumer group, which changes, and joins again later");
        *kept = None;
    }
    std::future::pending().await
}

impl Kept {
    async fn stay(&mut self) -> Result<(), KafkaError> {
        let all: Vec<_> = self.assigned.iter().cloned().collect();
        self.consumer.pause(&all)?;
        loop {
            match self.consumer.next().await? {
                // Those of a moment before the pause: the next instance begins at what is committed.
                Consumed::Records(..) => {}
                // Nothing is delivered of the partition any more: the next instance has to meet it itself.
                Consumed::Gone(..) => return Ok(()),
                // Who has what is settled with an instance that takes part, not without one.
                Consumed::Assigned(_) | Consumed::Revoked(_) | Consumed::Lost(_) => return Ok(()),
            }
        }
    }
}

impl Cycle {
    /// Takes over the partitions of the instance before this one, as if they had come just now.
    pub(super) async fn adopt(&mut self) -> Result<(), TaskError> {
        let adopted: Vec<_> = std::mem::take(&mut self.adopted).into_iter().collect();
        if adopted.is_empty() {
            return Ok(());
        }
        // Until it is done they are still to be adopted by the next instance.
        self.adopted.extend(adopted.iter().cloned());
        self.on_assigned(adopted.clone()).await?;
        self.adopted.clear();
        if !self.task.is_paused() && !self.backlog.pauses() {
            self.consumer.resume(&adopted).doing("resuming partitions")?;
        }
        Ok(())
    }

    /// Leaves the place in the group to the next instance, when the system at the other end is why this one ended, or an
    /// error budget.
    pub(super) fn leave_to_next(self, error: &TaskError) {
        let is_passing = |error: &ConnectorError| matches!(error.class, ErrorClass::Transient { .. });
        let passing = matches!(error, TaskError::Connector(error) if is_passing(error));
        if passing || self.task.budget.is_refused() {
            let mut assigned = self.assigned;
            assigned.extend(self.adopted);
            *self.task.kept.lock() = Some(Kept { consumer: self.consumer, assigned });
        }
    }
}

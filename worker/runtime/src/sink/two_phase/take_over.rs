//! How an owner begins, and how partitions that come later are taken over.
use super::records::{Decisions, claim_key, claim_value, connector_name};
use super::{TwoPhase, in_order};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use elasticflow_api::position::{Offset, OwnerEpoch, TopicPartition};
use elasticflow_kafka::ports::Consumer;
use elasticflow_protocol::{Step, may_abort};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest that offsets of another owner's undecided transaction are waited for; its transaction time-out is shorter.
pub(in crate::sink) const STABLE_MAX: Duration = Duration::from_secs(30);

impl TwoPhase {
    /// Takes partitions over and answers where their reading begins. The order is that of the delivery contract.
    ///
    /// The first round is without partitions and needs no group: it settles what older owners of this id have left, so
    /// that nothing stays in doubt until their session in the group has ended.
    pub(in crate::sink) async fn take_over(
        &mut self,
        new: &[TopicPartition],
        consumer: &mut dyn Consumer,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, TaskError> {
        let stable = match new {
            [] => BTreeMap::new(),
            _ => consumer.stable_offsets(new, STABLE_MAX).await.doing("reading stable offsets")?,
        };
        in_order(self.order.reached(Step::Offsets))?;
        self.decisions.read_to_end().await?;
        in_order(self.order.reached(Step::Decisions))?;
        failpoint!("sink.take_over.read");
        let decisions = self.read_decisions()?;
        for (at, offset) in &stable {
            if offset.is_none() && decisions.was_committed(at) {
                return Err(TaskError::Definite(format!(
                    "the group has no offset for {}-{} although one was committed: it has expired; stop the connector and set its offsets",
                    at.topic, at.partition
                )));
            }
        }
        self.claim(&decisions, &stable).await?;
        in_order(self.order.reached(Step::Claimed))?;
        failpoint!("sink.take_over.claim");
        let mine = self.owner.unwrap_or(OwnerEpoch(0));
        for (key, handle) in decisions.to_adopt(new, self.task.spec.id.task, mine) {
            self.commit_until_done(&handle).await?;
            self.task.metrics.recovered_units.add(1);
            if !self.forget.contains(&key) {
                self.forget.push(key);
            }
        }
        in_order(self.order.reached(Step::Adopted))?;
        failpoint!("sink.take_over.adopt");
        self.abort_older(&decisions).await?;
        in_order(self.order.reached(Step::Cleaned))?;
        failpoint!("sink.take_over.abort");
        Ok(stable)
    }

    /// Removes what owners that had been fenced prepared after this one looked. What is decided of theirs was read then.
    pub(in crate::sink) async fn sweep(&mut self) -> Result<(), TaskError> {
        self.decisions.read_to_end().await?;
        let decisions = self.read_decisions()?;
        self.abort_older(&decisions).await
    }

    /// Commits everything of this connector that is decided, whoever prepared it.
    pub(in crate::sink) async fn commit_all(&mut self) -> Result<(), TaskError> {
        self.decisions.read_to_end().await?;
        for handle in self.read_decisions()?.handles() {
            self.commit_until_done(&handle).await?;
        }
        Ok(())
    }

    fn read_decisions(&self) -> Result<Decisions, TaskError> {
        let id = &self.task.spec.id;
        Decisions::read(id, &self.decisions.rows(&id.connector))
    }

    /// Writes the claim: the first time with a new owner epoch, later with more partitions.
    async fn claim(
        &mut self,
        decisions: &Decisions,
        stable: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), TaskError> {
        let id = self.task.spec.id.clone();
        let owner = match self.owner {
            Some(owner) => owner,
            None => {
                // Claims are for ever: what the last one tells of partitions is kept.
                self.claimed = decisions.claimed(id.task);
                decisions.next_owner(id.task)
            }
        };
        self.claimed.extend(stable.iter().map(|(at, offset)| (at.clone(), *offset)));
        let value = claim_value(owner, &self.claimed, self.task.services.options.clock.wall_ms());
        self.producer.begin().doing("opening the claim's transaction")?;
        self.write(&claim_key(&id), Some(&value)).await?;
        self.producer.commit().await.map_err(TaskError::Commit)?;
        self.owner = Some(owner);
        Ok(())
    }

    /// Removes what older owners of this task prepared and never decided. Units of other tasks are theirs to remove.
    async fn abort_older(&mut self, decisions: &Decisions) -> Result<(), TaskError> {
        let id = &self.task.spec.id;
        let (connector, index) = (connector_name(id), id.task);
        let Some(mine) = self.owner else { return Ok(()) };
        for handle in self.sink.in_doubt().await? {
            let unit = &handle.unit;
            let is_own_id = unit.connector == connector && unit.task == index;
            if is_own_id && may_abort(unit.owner.0, mine.0, decisions.is_decided(unit)) {
                tracing::info!(task = %self.task.spec.id, owner = unit.owner.0, commit = unit.commit.0, "an undecided unit of an older owner is removed");
                self.sink.abort(&handle).await?;
            }
        }
        Ok(())
    }
}

//! Records that were deleted before they were read: the sink does not jump over them.
use super::cycle::{Cycle, Kind};
use crate::error::{Doing, TaskError};
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_config::flow::ReasonCode;
use elasticflow_kafka::ports::{Admin, KafkaError};
use elasticflow_protocol::{Gone, Loss};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Cycle {
    /// The next record of a partition is not there. What was put is made final, so that the group stands where the sink
    /// does; then every partition of the task is looked at, and the task ends.
    pub(super) async fn on_gone(&mut self, at: &TopicPartition, expected: Offset) -> Result<(), TaskError> {
        self.commit().await?;
        let mine: Vec<_> = self.assigned.iter().cloned().collect();
        let committed = self.consumer.stable_offsets(&mine, super::two_phase::STABLE_MAX).await;
        let committed = committed.doing("reading the group's offsets")?;
        let known = committed.into_iter().filter_map(|(at, offset)| Some((at, offset?)));
        let mut expects: BTreeMap<_, _> = known.collect();
        expects.insert(at.clone(), expected);
        let loss = loss(self.task.services.options.kafka.admin(), &expects).await?;
        if loss.is_none() {
            // A broker that was behind, or a log that was cut and written again.
            let text = format!(
                "the broker refuses offset {} of {}-{}, which it says is there",
                expected.0, at.topic, at.partition
            );
            return Err(KafkaError::Retriable(text)).doing("consuming");
        }
        // Offsets of a topic that is deleted go with it: the group keeps where the sink stood, for whoever accepts the loss.
        let stood = loss.partitions.iter().map(|gone| {
            let at = TopicPartition { topic: gone.topic.as_str().into(), partition: gone.partition };
            (at, Offset(gone.expected))
        });
        self.consumer.commit(&ConsumedOffsets(stood.collect())).await.doing("committing group offsets")?;
        Err(self.gone(&loss))
    }

    /// What a task ends with that has lost records.
    pub(super) fn gone(&self, loss: &Loss) -> TaskError {
        let (reason, name) = (ReasonCode::OffsetGone, &self.task.spec.id.connector);
        let whose = match self.sink {
            Kind::Transactional(_) => " (the destination has stored the offsets)",
            Kind::Idempotent(_) | Kind::TwoPhase(_) => "",
        };
        TaskError::Definite(format!(
            "{} {}: the next record is not in the topic any more, {} records are lost{whose}: {loss}. The sink does not jump over them. Accept the loss with POST /flow/v1/connectors/{name}/accept-loss and the number that GET tells there, which is that of all tasks, or fill in what is missing from the source",
            reason.number(),
            reason.code(),
            loss.records,
        ))
    }
}

/// What is missing at offsets that are read next.
pub(super) async fn loss(admin: Arc<dyn Admin>, expects: &BTreeMap<TopicPartition, Offset>) -> Result<Loss, TaskError> {
    let at: Vec<_> = expects.keys().cloned().collect();
    let ends = admin.end_offsets(&at).await.doing("reading end offsets")?;
    let begins = admin.begin_offsets(&at).await.doing("reading the first offsets")?;
    Ok(Loss::of(expects.iter().filter_map(|(at, expected)| {
        let bounds = (begins.get(at)?.0, ends.get(at)?.0);
        Gone::of(&at.topic, at.partition, expected.0, bounds)
    })))
}

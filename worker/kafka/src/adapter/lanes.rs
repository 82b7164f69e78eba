//! Queues of a consumer's records, one for each rank of their topics: what is important does not stand behind what is not.
//!
//! Each holds as much ahead as one would. A partition changes its queue by being read again from its next record: what
//! lies in the old queue is thrown away there, so that its order stays.
use super::consumer::RdConsumer;
use super::errors;
use crate::native::{Code, Fetched, Handle, Queue, Refusal};
use crate::ports::KafkaError;
use elasticflow_api::position::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Rank of topics of which nothing is known.
const ORDINARY: u8 = 5;

/// The queues.
pub(super) struct Lanes {
    ready: Arc<Notify>,
    /// By rank, the most important last.
    queues: BTreeMap<u8, Queue>,
    ranks: BTreeMap<String, u8>,
    /// Where each partition's records go.
    placed: BTreeMap<TopicPartition, u8>,
}

impl Lanes {
    /// No rank is known yet; whatever comes is told to `ready`.
    pub(super) fn new(ready: &Arc<Notify>) -> Self {
        let (queues, ranks, placed) = Default::default();
        Self { ready: Arc::clone(ready), queues, ranks, placed }
    }

    pub(super) fn rank(&self, topic: &str) -> u8 {
        self.ranks.get(topic).copied().unwrap_or(ORDINARY)
    }

    /// Sends a partition's records to the queue of its topic. Before every assignment.
    pub(super) fn place(&mut self, client: &Arc<Handle>, at: &TopicPartition) -> Result<(), Refusal> {
        let rank = self.rank(&at.topic);
        if !self.queues.contains_key(&rank) {
            let mut queue = client.fresh_queue().ok_or_else(|| Refusal::of(Code::CriticalSystemResource))?;
            queue.notify(&self.ready);
            self.queues.insert(rank, queue);
        }
        if let Some(queue) = self.queues.get(&rank) {
            client.forward(at, queue)?;
            self.placed.insert(at.clone(), rank);
        }
        Ok(())
    }

    /// Takes records of the highest rank that has any; says whether there were any.
    pub(super) fn take(&self, into: &mut Fetched, most: usize) -> bool {
        self.queues.values().rev().any(|queue| into.take(queue, most))
    }
}

impl RdConsumer {
    /// Notes ranks and moves what is read to the queues of its rank; says whether everything is there.
    pub(super) async fn rank(&mut self, topics: &BTreeMap<String, u8>) -> Result<bool, KafkaError> {
        self.lanes.ranks.clone_from(topics);
        let active = self.active.iter();
        let misplaced = active.filter(|at| self.lanes.placed.get(*at) != Some(&self.lanes.rank(&at.topic)));
        let mut is_all = true;
        let mut rows = BTreeMap::new();
        for at in misplaced {
            match self.next_of(at) {
                Some(next) => drop(rows.insert(at.clone(), next)),
                // Its place follows from its first record.
                None => is_all = false,
            }
        }
        let client = Arc::clone(self.handle());
        for at in rows.keys() {
            let placed = self.lanes.place(&client, at);
            placed.map_err(|refusal| errors::refused_plainly(&self.doing("cannot rank the topics"), &refusal))?;
        }
        self.seek(rows).await?;
        Ok(is_all)
    }

    /// The offset that the next record of a partition has, or comes after.
    fn next_of(&self, at: &TopicPartition) -> Option<i64> {
        let mut waiting = self.taken.iter().filter(|(of, _)| of == at);
        let first = waiting.next().and_then(|(_, records)| records.first()).map(|record| record.offset.0);
        first.or_else(|| self.next.get(at).copied())
    }
}

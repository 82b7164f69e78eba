//! What happens to a member of a group, taken by the client's thread at all times.
use super::client::{Complaint, Happenings};
use super::errors;
use crate::native::{Code, Event, EventKind, Handle, Message, Partitions, Queue, Refusal};
use crate::ports::KafkaError;
use elasticflow_api::position::{Offset, TopicPartition};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long leaving the group may take before the client is destroyed all the same.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Errors that nobody has taken yet; later ones say the same again.
const ERRORS_MAX: usize = 16;

/// What the thread hands to the owner.
pub(super) enum Happening {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    Failed(KafkaError),
}

/// Shared by the client's thread and the owner.
pub(super) struct Member {
    pub(super) happenings: Mutex<VecDeque<Happening>>,
    /// How often partitions were lost.
    pub(super) losses: AtomicU64,
    pub(super) ready: Arc<Notify>,
    pub(super) complaint: Complaint,
    pub(super) group: String,
}

impl Member {
    fn push(&self, happening: Happening) {
        let mut happenings = self.happenings.lock();
        if matches!(happening, Happening::Failed(_)) && happenings.len() >= ERRORS_MAX {
            return;
        }
        happenings.push_back(happening);
        drop(happenings);
        self.ready.notify_one();
    }

    fn on_rebalance(&self, client: &Arc<Handle>, event: &Event<'_>) {
        let partitions: Vec<_> = event.partitions().into_iter().map(|row| row.at).collect();
        let is_assignment = event.code() == Code::AssignPartitions;
        let is_lost = !is_assignment && client.is_assignment_lost();
        if is_lost && !partitions.is_empty() {
            self.losses.fetch_add(1, Ordering::AcqRel);
        }
        // Nothing to wait for: nothing is given, or it is gone already.
        if partitions.is_empty() || is_lost {
            answer(client, is_assignment, &partitions);
        }
        match (is_assignment, is_lost) {
            _ if partitions.is_empty() => {}
            (true, _) => self.push(Happening::Assigned(partitions)),
            (false, false) => self.push(Happening::Revoked(partitions)),
            (false, true) => self.push(Happening::Lost(partitions)),
        }
    }

    /// Something is wrong with what is read. Answers the partition whose next record is not there, if that is it.
    pub(super) fn on_refused(&self, client: &Arc<Handle>, message: Message<'_>) -> Option<(TopicPartition, Offset)> {
        let refusal = message.refusal();
        let Some(at) = message.place().filter(|_| refusal.code == Code::AutoOffsetReset) else {
            self.on_error(client, &refusal);
            return None;
        };
        if message.offset() >= 0 {
            return Some((at, Offset(message.offset())));
        }
        self.push(Happening::Failed(KafkaError::Retriable(format!(
            "consumer group `{}` cannot find where {}-{} begins: {}",
            self.group, at.topic, at.partition, refusal.text
        ))));
        None
    }

    fn cannot_consume(&self, refusal: &Refusal) -> KafkaError {
        errors::refused_plainly(&format!("cannot consume as a member of consumer group `{}`", self.group), refusal)
    }

    pub(super) fn on_error(&self, client: &Arc<Handle>, refusal: &Refusal) {
        self.complaint.note(refusal);
        if refusal.fatal || refusal.code == Code::Fatal {
            let refusal = client.fatal().unwrap_or_else(|| refusal.clone());
            self.push(Happening::Failed(errors::refused("the consumer cannot go on", &refusal)));
        } else if matches!(refusal.code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) {
            // A sink may be started before its source has created the topic: the subscription waits for it.
            tracing::warn!("a subscribed topic does not exist yet, and is waited for: {}", refusal.text);
        } else if let error @ KafkaError::Config(_) = self.cannot_consume(refusal) {
            self.push(Happening::Failed(error));
        }
    }
}

/// Ends a rebalance on the spot.
fn answer(client: &Arc<Handle>, is_assignment: bool, partitions: &[TopicPartition]) {
    let list = Partitions::of(partitions.iter().map(|at| (at, Partitions::COMMITTED)));
    let done = list.and_then(|list| if is_assignment { client.assign(&list) } else { client.unassign(&list) });
    if let Err(refusal) = done {
        tracing::warn!("a rebalance could not be ended: {}", refusal.text);
    }
}

impl Happenings for Member {
    fn on_event(&self, client: &Arc<Handle>, event: Event<'_>) {
        match event.kind() {
            EventKind::Rebalance => self.on_rebalance(client, &event),
            EventKind::Error => self.on_error(client, &event.refusal()),
            EventKind::Delivery | EventKind::Fetch | EventKind::Commit | EventKind::Other => {}
        }
    }

    /// Leaves the group, so that others need not wait for the session's end.
    fn on_stop(&self, queue: &Queue) {
        let client = queue.client();
        let deadline = Instant::now() + CLOSE_LIMIT;
        if client.close(queue).is_err() {
            return;
        }
        while !client.is_closed() && Instant::now() < deadline {
            let Some(event) = queue.poll(Duration::from_millis(100)) else { continue };
            if event.kind() == EventKind::Rebalance {
                let partitions: Vec<_> = event.partitions().into_iter().map(|row| row.at).collect();
                answer(client, event.code() == Code::AssignPartitions, &partitions);
            }
        }
    }
}

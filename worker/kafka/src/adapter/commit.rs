//! Commits of a group's offsets.
//!
//! The library's own call waits for the answer without a limit, and it also waits for a coordinator that is gone: a thread
//! that makes it may never come back. So the answer is asked for in a queue, and waiting for it has an end.
use crate::native::{Code, EventKind, Handle, Partitions, Refusal};
use elasticflow_api::position::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Pause before a commit that came between two generations is tried in the new one.
const PAUSE: Duration = Duration::from_millis(50);

/// Commits offsets of partitions that this member holds, for at most `limit`.
///
/// A broker takes the requests of a connection one after the other: a commit behind the member's own request to join is
/// answered when its generation is over. It is tried in the next one, since the partitions are still held: those that are
/// asked back are given up later, and `is_holder` ends it when the group has taken some away.
pub(super) async fn while_held(
    client: &Arc<Handle>,
    rows: &BTreeMap<TopicPartition, i64>,
    limit: Duration,
    is_holder: impl Fn() -> bool,
) -> Result<(), Refusal> {
    let began = Instant::now();
    loop {
        let list = Partitions::of(rows.iter().map(|(at, offset)| (at, *offset)))?;
        let left = limit.saturating_sub(began.elapsed());
        let Err(refusal) = commit(client, list, left).await else { return Ok(()) };
        let is_between = matches!(refusal.code, Code::IllegalGeneration | Code::RebalanceInProgress);
        if !is_between || !is_holder() || began.elapsed() + PAUSE >= limit {
            return Err(refusal);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Commits and waits for the answer, at most `limit`; what was not answered in time may happen still. Cancel-safe: nobody
/// takes the answer then.
async fn commit(client: &Arc<Handle>, offsets: Partitions, limit: Duration) -> Result<(), Refusal> {
    let mut answers = client.fresh_queue().ok_or_else(|| Refusal::of(Code::CriticalSystemResource))?;
    let ready = Arc::new(Notify::new());
    answers.notify(&ready);
    client.commit(&offsets, &answers)?;
    let answered = async {
        loop {
            ready.notified().await;
            match answers.poll(Duration::ZERO) {
                Some(answer) if answer.kind() == EventKind::Commit => return answer.committed(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(limit, answered).await.unwrap_or_else(|_| Err(Refusal::of(Code::OperationTimedOut)))
}

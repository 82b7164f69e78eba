//! Commits of a group's offsets.
//!
//! The library's own call waits for the answer without a limit, and it also waits for a coordinator that is gone: a thread
//! that makes it may never come back. So the answer is asked for in a queue, and waiting for it has an end.
use crate::native::{Code, EventKind, Handle, Partitions, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Commits and waits for the answer, at most `limit`; what was not answered in time may happen still. Cancel-safe: nobody
/// takes the answer then.
pub(super) async fn commit(client: &Arc<Handle>, offsets: Partitions, limit: Duration) -> Result<(), Refusal> {
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

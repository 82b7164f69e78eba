//! Questions that the coordinator of a consumer group answers.
//!
//! They have a client of their own, for two reasons that lie in librdkafka (2.12). Asked through a producer, the answer that
//! the group has another coordinator by now is handed to a membership that a producer does not have, and that ends the
//! process: every restart of a broker leads to such answers. And a coordinator that was found once is asked for ever,
//! wherever the group has moved and whether the broker is still there. So the client is a consumer, which never joins
//! anything, and one that asks the wrong broker is thrown away. What it has asked is not given up before it ends: see
//! `native::groups`.
use super::client::{Alive, Client, Complaints, blocking};
use super::properties::ClientKind;
use super::settings::Worker;
use crate::native::{Code, EventKind, Handle, Kind, Refusal};
use crate::ports::{ClientProperties, KafkaError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest that one client asks: the library waits for a coordinator that is gone, and does not look for another one.
const ASK_MAX: Duration = Duration::from_secs(5);
/// Wait before another client asks: brokers need a moment to agree on who coordinates.
const AGAIN: Duration = Duration::from_millis(200);

/// The client and its successors.
pub(crate) struct Groups {
    worker: Arc<Worker>,
    alive: Arc<Alive>,
    complaints: Arc<Complaints>,
    limit: Duration,
    client: Mutex<Option<Arc<Client>>>,
}

impl Groups {
    pub(crate) fn new(worker: &Arc<Worker>, alive: &Arc<Alive>, limit: Duration) -> Self {
        Self {
            worker: Arc::clone(worker),
            alive: Arc::clone(alive),
            complaints: Arc::default(),
            limit,
            client: Mutex::default(),
        }
    }

    /// Asks on a thread where it may block, again with another client while the group's coordinator cannot be reached.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        group: &str,
        doing: &str,
        call: impl Fn(&Arc<Handle>, Duration) -> Result<T, Refusal> + Clone + Send + 'static,
    ) -> Result<T, KafkaError> {
        let began = Instant::now();
        loop {
            let client = self.client(group)?;
            let (asked, call) = (Arc::clone(&client), call.clone());
            let limit = self.limit.saturating_sub(began.elapsed()).min(ASK_MAX).max(AGAIN);
            let refusal = match blocking(move || call(asked.handle(), limit)).await? {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            if !is_elsewhere(refusal.code) {
                return Err(self.complaints.0.explain(doing, &refusal));
            }
            self.forget(&client);
            if began.elapsed() + AGAIN >= self.limit {
                return Err(self.complaints.0.explain(doing, &refusal));
            }
            tracing::debug!(group, error = refusal.text, "the coordinator is looked for again");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The client; the first group that is asked about gives it its name: whoever asks may look for that coordinator.
    fn client(&self, group: &str) -> Result<Arc<Client>, KafkaError> {
        let mut known = self.client.lock();
        if let Some(client) = &*known {
            return Ok(Arc::clone(client));
        }
        let settings = self.worker.client(ClientKind::Admin, &ClientProperties::new(), None)?;
        let settings = settings
            .with("group.id", group)
            .with("enable.auto.commit", "false")
            .with("allow.auto.create.topics", "false");
        let handle = settings.start(Kind::Consumer, EventKind::CONSUMER)?;
        let queue = handle.group_queue().ok_or_else(|| KafkaError::Fatal("a Kafka client has no queue".to_owned()))?;
        drop(handle);
        let client = Arc::new(Client::run(queue, Arc::clone(&self.complaints) as _, &self.alive)?);
        *known = Some(Arc::clone(&client));
        Ok(client)
    }

    /// Throws a client away, unless somebody else has done that already.
    fn forget(&self, client: &Arc<Client>) {
        let mut known = self.client.lock();
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, client)) {
            *known = None;
        }
    }
}

/// Whether the broker that was asked does not coordinate the group, or is not there.
fn is_elsewhere(code: Code) -> bool {
    matches!(
        code,
        Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::WaitingForCoordinator
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::DestroyBroker
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_broker_may_answer_is_asked_again() {
        assert!(is_elsewhere(Code::NotCoordinator) && is_elsewhere(Code::OperationTimedOut));
        assert!(!is_elsewhere(Code::GroupAuthorizationFailed) && !is_elsewhere(Code::NonEmptyGroup));
        assert!(!is_elsewhere(Code::UnstableOffsetCommit), "it is asked again as it is");
    }
}

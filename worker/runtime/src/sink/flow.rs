//! What a sink asks of its loop: pauses, resumes, an early commit.
use elasticflow_api::context::{Lease, SinkFlow};
use elasticflow_api::position::TopicPartition;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A wish of the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Pause(Vec<TopicPartition>),
    Resume(Vec<TopicPartition>),
    Commit,
}

/// Wishes that the loop has not seen yet, in order.
#[derive(Default)]
pub(super) struct Flow {
    wishes: Mutex<Vec<Wish>>,
    reason: Mutex<Option<String>>,
    news: Notify,
}

impl Flow {
    fn wish(&self, wish: Wish) {
        let mut wishes = self.wishes.lock();
        // The same wish again says nothing more; so the list stays short however often it is uttered.
        if wishes.last() != Some(&wish) {
            wishes.push(wish);
        }
        drop(wishes);
        self.news.notify_one();
    }

    /// Why the call that runs now lasts.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// The call has ended.
    pub(super) fn forget_reason(&self) {
        *self.reason.lock() = None;
    }

    /// Waits for wishes; cancel-safe.
    pub(super) async fn wished(&self) {
        loop {
            if !self.wishes.lock().is_empty() {
                return;
            }
            self.news.notified().await;
        }
    }

    pub(super) fn take(&self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes.lock())
    }
}

impl SinkFlow for Flow {
    fn pause(&self, partitions: &[TopicPartition]) {
        self.wish(Wish::Pause(partitions.to_vec()));
    }
    fn resume(&self, partitions: &[TopicPartition]) {
        self.wish(Wish::Resume(partitions.to_vec()));
    }
    fn request_commit(&self) {
        self.wish(Wish::Commit);
    }
    fn waiting(&self, reason: &str) {
        *self.reason.lock() = Some(reason.to_owned());
    }
}

/// The lease of a worker group of one: nobody else can take it.
pub(super) struct Held;

impl Lease for Held {
    fn valid(&self) -> bool {
        true
    }
}

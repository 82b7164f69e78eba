//! How far the writer is, for a poller that wants to wait: it must not while a transaction is open in Kafka.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// Shared by poller and writer, which are one task of the executor.
#[derive(Default)]
pub(super) struct Writing {
    /// Batches on their way.
    batches: AtomicUsize,
    /// What was sent last is not committed.
    open: AtomicBool,
    news: Notify,
}

impl Writing {
    /// A batch is on its way.
    pub(super) fn handed_over(&self) {
        self.batches.fetch_add(1, Relaxed);
    }

    /// A batch is sent, and committed unless `open`.
    pub(super) fn wrote(&self, open: bool) {
        self.open.store(open, Relaxed);
        self.batches.fetch_sub(1, Relaxed);
        self.news.notify_one();
    }

    /// Returns once no batch is on its way; cancel-safe, for one poller.
    pub(super) async fn idle(&self) {
        while self.batches.load(Relaxed) > 0 {
            self.news.notified().await;
        }
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }
}

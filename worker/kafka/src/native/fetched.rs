//! Records taken from a queue many at a time: one by one, each costs two looks at the clock and two locks.
use super::{Code, Message, Queue, Refusal, text};
use elasticflow_api::position::TopicPartition;
use rdkafka_sys as sys;
use std::ptr::NonNull;

/// What was taken; given back to the library when it is dropped or filled again.
pub(crate) struct Fetched {
    raw: Vec<*mut sys::rd_kafka_message_t>,
    /// How many of them are there.
    count: usize,
}

// SAFETY: messages are memory of the library without thread affinity, and the type does not share them.
unsafe impl Send for Fetched {}
// SAFETY: a shared reference gives access to nothing.
unsafe impl Sync for Fetched {}

impl Fetched {
    /// Room for so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { raw: vec![std::ptr::null_mut(); most], count: 0 }
    }

    /// Takes at most `most` messages that are there already; says whether there were any.
    pub(crate) fn take(&mut self, from: &Queue, most: usize) -> bool {
        self.give_back();
        let most = most.clamp(1, self.raw.len().max(1)).min(self.raw.len());
        // SAFETY: the queue is live, and `raw` has room for `most` pointers; those written are ours.
        let taken = unsafe { sys::rd_kafka_consume_batch_queue(from.raw(), 0, self.raw.as_mut_ptr(), most) };
        self.count = usize::try_from(taken).unwrap_or(0);
        self.count > 0
    }

    /// What was taken, in order. Reading a message may change it, so that one reader has them all.
    pub(crate) fn messages(&mut self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: the first `count` pointers are live until they are given back, which needs `self` mutably.
        self.raw.iter().take(self.count).filter_map(|raw| unsafe { raw.as_ref() }).map(Message::of)
    }

    /// Gives everything back: nothing may be held when the client ends.
    pub(crate) fn give_back(&mut self) {
        for raw in self.raw.iter_mut().take(self.count) {
            if let Some(message) = NonNull::new(std::mem::replace(raw, std::ptr::null_mut())) {
                // SAFETY: ours, and not used afterwards.
                unsafe { sys::rd_kafka_message_destroy(message.as_ptr()) };
            }
        }
        self.count = 0;
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Message<'_> {
    /// What is said instead of a record.
    pub(crate) fn refusal(self) -> Refusal {
        // SAFETY: the message is live; the string is copied.
        let words = unsafe { text(sys::rd_kafka_message_errstr(self.raw())) };
        Refusal { text: words, fatal: self.code() == Code::Fatal, ..Refusal::of(self.code()) }
    }

    /// Where it is from, if it is from a partition.
    pub(crate) fn place(self) -> Option<TopicPartition> {
        let is_placed = !self.raw().rkt.is_null() && self.partition() >= 0;
        is_placed.then(|| TopicPartition { topic: self.topic().into(), partition: self.partition() })
    }
}

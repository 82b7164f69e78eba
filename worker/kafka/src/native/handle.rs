//! A client instance.
use super::token::Source;
use super::{Code, Conf, Queue, Refusal, millis, name, text};
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// Producers also do administration: librdkafka has no third kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Producer,
    Consumer,
}

/// Owns an `rd_kafka_t`; shared by the threads that call it. Dropping the last owner blocks until the client's threads
/// have ended, so the polling thread is made to be the last.
pub(crate) struct Handle(NonNull<sys::rd_kafka_t>, Option<Source>);

// SAFETY: librdkafka documents its client object as completely thread-safe.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Starts a client; no I/O happens before it returns.
    pub(crate) fn start(kind: Kind, conf: Conf) -> Result<Arc<Self>, String> {
        let mut reason = [0 as c_char; 512];
        let kind = match kind {
            Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Kind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        let (conf, source) = conf.into_raw();
        // SAFETY: `conf` is live and the client's from here on success; the buffer has the length given.
        let client = unsafe { sys::rd_kafka_new(kind, conf, reason.as_mut_ptr(), reason.len()) };
        match NonNull::new(client) {
            Some(client) => Self(client, source).asking(),
            None => {
                // The library leaves the configuration to the caller when it refuses.
                drop(Conf::from_raw(conf));
                Err(text(reason.as_ptr()))
            }
        }
    }

    /// Has questions for tokens answered by a thread of the library, whoever polls whatever.
    fn asking(self) -> Result<Arc<Self>, String> {
        if self.1.is_some() {
            // SAFETY: the client is live; the error is ours.
            Refusal::take(unsafe { sys::rd_kafka_sasl_background_callbacks_enable(self.raw()) })
                .map_err(|refusal| refusal.text)?;
        }
        Ok(Arc::new(self))
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_t {
        self.0.as_ptr()
    }

    /// The queue of everything that is no record: delivery reports, errors, statistics.
    pub(crate) fn main_queue(self: &Arc<Self>) -> Option<Queue> {
        // SAFETY: the client is live; the returned reference is owned by the queue type.
        Queue::own(self, unsafe { sys::rd_kafka_queue_get_main(self.raw()) })
    }

    /// A queue of its own, for partitions or answers.
    pub(crate) fn fresh_queue(self: &Arc<Self>) -> Option<Queue> {
        // SAFETY: as above.
        Queue::own(self, unsafe { sys::rd_kafka_queue_new(self.raw()) })
    }

    /// The group consumer's queue, with the main queue's happenings in it.
    pub(crate) fn group_queue(self: &Arc<Self>) -> Option<Queue> {
        // SAFETY: the client is live; failing calls return an error or null.
        unsafe {
            sys::rd_kafka_poll_set_consumer(self.raw());
            Queue::own(self, sys::rd_kafka_queue_get_consumer(self.raw()))
        }
    }

    /// The first fatal error, once there is one.
    pub(crate) fn fatal(&self) -> Option<Refusal> {
        let mut reason = [0 as c_char; 512];
        // SAFETY: the client is live; the buffer has the length given.
        let code = unsafe { sys::rd_kafka_fatal_error(self.raw(), reason.as_mut_ptr(), reason.len()) };
        match Code::from(code) {
            Code::NoError => None,
            code => Some(Refusal { code, text: text(reason.as_ptr()), fatal: true, abortable: false }),
        }
    }

    /// Asks brokers for the cluster's id; `None` when none answered in time.
    pub(crate) fn cluster_id(&self, limit: Duration) -> Option<String> {
        // SAFETY: the client is live; the string is owned by us and freed with the library's own allocator.
        unsafe {
            let id = sys::rd_kafka_clusterid(self.raw(), millis(limit));
            let found = (!id.is_null()).then(|| text(id));
            if !id.is_null() {
                sys::rd_kafka_mem_free(self.raw(), id.cast());
            }
            found
        }
    }

    /// Topics (all, or one) with their number of partitions, and the number of live brokers.
    pub(crate) fn metadata(&self, topic: Option<&str>, limit: Duration) -> Result<Metadata, Refusal> {
        let topic = match topic {
            Some(topic) => Some(super::Topic::open(self, topic)?),
            None => None,
        };
        let mut found: *const sys::rd_kafka_metadata = std::ptr::null();
        let (all, only) = (i32::from(topic.is_none()), topic.as_ref().map_or(std::ptr::null_mut(), super::Topic::raw));
        // SAFETY: the client and the topic are live; `found` is written on success only.
        Refusal::check(unsafe { sys::rd_kafka_metadata(self.raw(), all, only, &raw mut found, millis(limit)) })?;
        // SAFETY: the call succeeded, so `found` and its arrays are valid until destroyed, below.
        let metadata = unsafe { read_metadata(&*found) };
        // SAFETY: ours, and not used afterwards.
        unsafe { sys::rd_kafka_metadata_destroy(found) };
        Ok(metadata)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the last owner; queues and topics hold an owner each, so none of them is left.
        unsafe { sys::rd_kafka_destroy(self.raw()) };
    }
}

/// What brokers say about themselves and their topics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata {
    pub(crate) brokers: usize,
    pub(crate) topics: BTreeMap<String, Result<i32, Code>>,
}

/// # Safety
/// `found` comes from a successful `rd_kafka_metadata` and is not destroyed yet.
unsafe fn read_metadata(found: &sys::rd_kafka_metadata) -> Metadata {
    let count = usize::try_from(found.topic_cnt).unwrap_or(0);
    let topics = (0..count)
        .map(|index| {
            // SAFETY: `index` is below the count of the array the library filled.
            let topic = unsafe { &*found.topics.add(index) };
            let partitions = match Code::from(topic.err) {
                Code::NoError => Ok(topic.partition_cnt),
                code => Err(code),
            };
            (text(topic.topic), partitions)
        })
        .collect();
    Metadata { brokers: usize::try_from(found.broker_cnt).unwrap_or(0), topics }
}

/// Names of a subscription, checked.
pub(super) fn check_name(topic: &str) -> Result<std::ffi::CString, Refusal> {
    name(topic)
}

//! Queues and what comes out of them.
use super::{Code, Handle, Partition, Refusal, list, millis, text};
use rdkafka_sys as sys;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Owns a reference to a queue and to its client.
pub(crate) struct Queue {
    raw: NonNull<sys::rd_kafka_queue_t>,
    client: Arc<Handle>,
    /// Told when the queue stops being empty; kept alive as long as the library may call it.
    ready: Option<Arc<Notify>>,
}

// SAFETY: librdkafka's queues are thread-safe.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    pub(super) fn own(client: &Arc<Handle>, raw: *mut sys::rd_kafka_queue_t) -> Option<Self> {
        Some(Self { raw: NonNull::new(raw)?, client: Arc::clone(client), ready: None })
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_queue_t {
        self.raw.as_ptr()
    }

    /// The client of this queue.
    pub(crate) fn client(&self) -> &Arc<Handle> {
        &self.client
    }

    /// Lets `ready` know whenever the queue stops being empty.
    pub(crate) fn notify(&mut self, ready: &Arc<Notify>) {
        let opaque = Arc::as_ptr(ready).cast_mut().cast();
        // SAFETY: the queue is live; `ready` is kept in `self` and the callback is removed before it is dropped.
        unsafe { sys::rd_kafka_queue_cb_event_enable(self.raw(), Some(wake), opaque) };
        self.ready = Some(Arc::clone(ready));
    }

    /// Waits for the next event, at most `limit`; zero does not wait.
    pub(crate) fn poll(&self, limit: Duration) -> Option<Event<'_>> {
        // SAFETY: the queue is live; the returned event is ours.
        let raw = unsafe { sys::rd_kafka_queue_poll(self.raw(), millis(limit)) };
        NonNull::new(raw).map(|raw| Event { raw, queue: PhantomData })
    }

    /// Ends a poll that waits.
    pub(crate) fn interrupt(&self) {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_yield(self.raw()) };
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours; the callback is taken off under the queue's lock, so none runs afterwards.
        unsafe {
            if self.ready.is_some() {
                sys::rd_kafka_queue_cb_event_enable(self.raw(), None, std::ptr::null_mut());
            }
            sys::rd_kafka_queue_destroy(self.raw());
        }
    }
}

unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, opaque: *mut std::ffi::c_void) {
    // SAFETY: `opaque` is the notifier that the queue keeps alive while this callback is set.
    unsafe { &*opaque.cast::<Notify>() }.notify_one();
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Delivery,
    Fetch,
    Rebalance,
    /// The answer to a commit.
    Commit,
    Error,
    Other,
}

impl EventKind {
    /// For [`super::Conf::events`].
    pub(crate) const PRODUCER: i32 = sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR;
    /// For [`super::Conf::events`].
    pub(crate) const CONSUMER: i32 =
        sys::RD_KAFKA_EVENT_FETCH | sys::RD_KAFKA_EVENT_REBALANCE | sys::RD_KAFKA_EVENT_ERROR;
}

/// One event; lives no longer than its queue.
pub(crate) struct Event<'q> {
    raw: NonNull<sys::rd_kafka_event_t>,
    queue: PhantomData<&'q Queue>,
}

// SAFETY: an event is plain memory of the library without thread affinity.
unsafe impl Send for Event<'_> {}

impl Event<'_> {
    pub(super) fn raw(&self) -> *mut sys::rd_kafka_event_t {
        self.raw.as_ptr()
    }

    /// What it is.
    pub(crate) fn kind(&self) -> EventKind {
        // SAFETY: the event is live.
        match unsafe { sys::rd_kafka_event_type(self.raw()) } {
            sys::RD_KAFKA_EVENT_DR => EventKind::Delivery,
            sys::RD_KAFKA_EVENT_FETCH => EventKind::Fetch,
            sys::RD_KAFKA_EVENT_REBALANCE => EventKind::Rebalance,
            sys::RD_KAFKA_EVENT_OFFSET_COMMIT => EventKind::Commit,
            sys::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            _ => EventKind::Other,
        }
    }

    /// The code it carries; `NoError` if none.
    pub(crate) fn code(&self) -> Code {
        // SAFETY: the event is live.
        Code::from(unsafe { sys::rd_kafka_event_error(self.raw()) })
    }

    /// The code with words and the fatal flag.
    pub(crate) fn refusal(&self) -> Refusal {
        // SAFETY: the event is live; the string is copied.
        let (words, fatal) = unsafe {
            (text(sys::rd_kafka_event_error_string(self.raw())), sys::rd_kafka_event_error_is_fatal(self.raw()) != 0)
        };
        Refusal { code: self.code(), text: words, fatal, abortable: false }
    }

    /// The next message or delivery report in it.
    pub(crate) fn next_message(&mut self) -> Option<Message<'_>> {
        // SAFETY: the event is live; the message lives as long as the event, which the lifetime says.
        unsafe { sys::rd_kafka_event_message_next(self.raw()).as_ref() }.map(Message)
    }

    /// The partitions of a rebalance or a commit.
    pub(crate) fn partitions(&self) -> Vec<Partition> {
        // SAFETY: the event is live and owns the list.
        unsafe { list::read(sys::rd_kafka_event_topic_partition_list(self.raw())) }
    }

    /// The one partition an error is about.
    pub(crate) fn partition(&self) -> Option<Partition> {
        // SAFETY: the event is live; the row is a copy of ours, destroyed after reading.
        unsafe {
            let row = sys::rd_kafka_event_topic_partition(self.raw());
            let read = row.as_ref().map(|row| list::read_row(row));
            if !row.is_null() {
                sys::rd_kafka_topic_partition_destroy(row);
            }
            read
        }
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_event_destroy(self.raw()) };
    }
}

/// A record that was read, or the report about one that was sent.
#[derive(Clone, Copy)]
pub(crate) struct Message<'e>(&'e sys::rd_kafka_message_t);

impl<'e> Message<'e> {
    pub(super) fn of(raw: &'e sys::rd_kafka_message_t) -> Self {
        Self(raw)
    }

    pub(super) fn raw(self) -> &'e sys::rd_kafka_message_t {
        self.0
    }

    /// Why it failed; `NoError` for a good one.
    pub(crate) fn code(self) -> Code {
        Code::from(self.0.err)
    }

    /// The number given when it was sent.
    pub(crate) fn number(self) -> u64 {
        self.0._private as usize as u64
    }

    /// Bytes of key and value.
    pub(crate) fn bytes(self) -> u64 {
        (self.0.len + self.0.key_len) as u64
    }

    /// The topic's name.
    pub(crate) fn topic(self) -> &'e str {
        // SAFETY: a message of a live event has a live topic, whose name is a C string with the topic's lifetime.
        let name = unsafe { std::ffi::CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)) };
        name.to_str().unwrap_or("")
    }

    /// Partition number.
    pub(crate) fn partition(self) -> i32 {
        self.0.partition
    }

    /// Offset in the partition.
    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    /// Key; `None` is Kafka's null.
    pub(crate) fn key(self) -> Option<&'e [u8]> {
        // SAFETY: the pair belongs to the message, which lives as long as the event.
        unsafe { slice(self.0.key, self.0.key_len) }
    }

    /// Value; `None` is a tombstone.
    pub(crate) fn value(self) -> Option<&'e [u8]> {
        // SAFETY: as above.
        unsafe { slice(self.0.payload, self.0.len) }
    }

    /// Milliseconds since 1970 UTC.
    pub(crate) fn timestamp_ms(self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live.
        let at = unsafe { sys::rd_kafka_message_timestamp(self.0, &raw mut kind) };
        (kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(at)
    }

    /// Calls `each` with every header in order.
    pub(crate) fn headers(self, mut each: impl FnMut(&'e str, Option<&'e [u8]>)) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is live; the headers stay its own.
        let code = unsafe { sys::rd_kafka_message_headers(self.0, &raw mut headers) };
        if Code::from(code) != Code::NoError || headers.is_null() {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: the headers are live; an index past the end answers with a code and writes nothing.
            let code =
                unsafe { sys::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size) };
            if Code::from(code) != Code::NoError || name.is_null() {
                return;
            }
            // SAFETY: name is a C string and value a pair of the message.
            let (name, value) = unsafe { (std::ffi::CStr::from_ptr(name), slice(value.cast_mut(), size)) };
            each(name.to_str().unwrap_or(""), value);
        }
    }
}

/// # Safety
/// `start` is null, or points to `length` bytes that live for `'e`.
unsafe fn slice<'e>(start: *mut std::ffi::c_void, length: usize) -> Option<&'e [u8]> {
    // SAFETY: see the function.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) })
}

//! Queueing records.
use super::{Code, Handle, Refusal, handle::check_name};
use bytes::Bytes;
use rdkafka_sys as sys;
use std::ffi::c_void;
use std::ptr::{NonNull, null, null_mut};
use std::sync::Arc;

/// A topic of a client, looked up once. Valid as long as the client it was opened with.
pub(crate) struct Topic(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: librdkafka's topic objects are thread-safe.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    /// Local, no round trip.
    pub(crate) fn open(client: &Handle, topic: &str) -> Result<Self, Refusal> {
        let topic = check_name(topic)?;
        // SAFETY: the client is live; null configuration means the client's defaults. The topic holds a count on the
        // client's internals, and every owner of a `Topic` also owns its client.
        let raw = unsafe { sys::rd_kafka_topic_new(client.raw(), topic.as_ptr(), null_mut()) };
        NonNull::new(raw).map(Self).ok_or_else(|| Refusal::of(Code::InvalidTopic))
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_topic_destroy(self.raw()) };
    }
}

/// A record on its way into the queue; the library copies every byte.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(Arc<str>, Option<Bytes>)],
    pub(crate) timestamp_ms: Option<i64>,
    /// Comes back with the delivery report.
    pub(crate) number: u64,
}

impl Handle {
    /// Queues a record, never waits.
    pub(crate) fn produce(&self, topic: &Topic, record: Outgoing<'_>) -> Result<(), Refusal> {
        let headers = if record.headers.is_empty() { null_mut() } else { headers(record.headers)? };
        let (key, key_length) = pair(record.key);
        let (value, value_length) = pair(record.value);
        let partition = record.partition.unwrap_or(-1);
        let number = record.number as usize as *mut c_void;
        // SAFETY: the client and the topic are live; each tag is followed by the arguments the library reads for it;
        // MSG_F_COPY makes it copy key and value before it returns. Headers become the library's on success only.
        let code = unsafe {
            sys::rd_kafka_producev(
                self.raw(),
                TAG_TOPIC,
                topic.raw(),
                TAG_PARTITION,
                partition,
                TAG_FLAGS,
                sys::RD_KAFKA_MSG_F_COPY,
                TAG_VALUE,
                value,
                value_length,
                TAG_KEY,
                key,
                key_length,
                TAG_OPAQUE,
                number,
                TAG_TIMESTAMP,
                record.timestamp_ms.unwrap_or(0),
                TAG_HEADERS,
                headers,
                TAG_END,
            )
        };
        Refusal::check(code).inspect_err(|_| {
            if !headers.is_null() {
                // SAFETY: refused, so still ours.
                unsafe { sys::rd_kafka_headers_destroy(headers) };
            }
        })
    }

    /// Asks broker threads to send what lingers, and waits at most `limit` until nothing is in flight.
    pub(crate) fn flush(&self, limit: std::time::Duration) -> Result<(), Refusal> {
        // SAFETY: the client is live. Delivery reports are events here, which the polling thread takes.
        Refusal::check(unsafe { sys::rd_kafka_flush(self.raw(), super::millis(limit)) })
    }
}

const TAG_END: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END as i32;
const TAG_TOPIC: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT as i32;
const TAG_PARTITION: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION as i32;
const TAG_VALUE: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE as i32;
const TAG_KEY: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY as i32;
const TAG_OPAQUE: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE as i32;
const TAG_FLAGS: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS as i32;
const TAG_TIMESTAMP: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP as i32;
const TAG_HEADERS: i32 = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS as i32;

/// Pointer and length; null is Kafka's null, an empty slice is not.
fn pair(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

fn headers(from: &[(Arc<str>, Option<Bytes>)]) -> Result<*mut sys::rd_kafka_headers_t, Refusal> {
    // SAFETY: no preconditions; the list is ours until produced.
    let list = unsafe { sys::rd_kafka_headers_new(from.len()) };
    for (name, value) in from {
        let (value, length) = pair(value.as_deref());
        // SAFETY: the list is live; name and value are pairs of pointer and length, copied by the library.
        let code = unsafe {
            sys::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, value, length as isize)
        };
        if let Err(refusal) = Refusal::check(code) {
            // SAFETY: ours, not used afterwards.
            unsafe { sys::rd_kafka_headers_destroy(list) };
            return Err(refusal);
        }
    }
    Ok(list)
}

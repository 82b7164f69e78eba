//! Transactions: librdkafka's own functions, which return as soon as the broker has answered. They block, so callers run
//! them on a blocking thread while the polling thread takes delivery reports.
use super::{Handle, Partitions, Refusal, millis};
use rdkafka_sys as sys;
use std::time::Duration;

impl Handle {
    pub(crate) fn init_transactions(&self, limit: Duration) -> Result<(), Refusal> {
        // SAFETY: the client is live; the returned error is ours.
        Refusal::take(unsafe { sys::rd_kafka_init_transactions(self.raw(), millis(limit)) })
    }

    pub(crate) fn begin_transaction(&self) -> Result<(), Refusal> {
        // SAFETY: as above.
        Refusal::take(unsafe { sys::rd_kafka_begin_transaction(self.raw()) })
    }

    pub(crate) fn commit_transaction(&self, limit: Duration) -> Result<(), Refusal> {
        // SAFETY: as above.
        Refusal::take(unsafe { sys::rd_kafka_commit_transaction(self.raw(), millis(limit)) })
    }

    pub(crate) fn abort_transaction(&self, limit: Duration) -> Result<(), Refusal> {
        // SAFETY: as above.
        Refusal::take(unsafe { sys::rd_kafka_abort_transaction(self.raw(), millis(limit)) })
    }

    /// `group` is what [`Handle::group_metadata`] of the consumer returned.
    pub(crate) fn send_offsets(&self, offsets: &Partitions, group: &[u8], limit: Duration) -> Result<(), Refusal> {
        let mut metadata = std::ptr::null_mut();
        // SAFETY: the buffer is live and has the length given; the library checks its format and allocates the result.
        Refusal::take(unsafe {
            sys::rd_kafka_consumer_group_metadata_read(&raw mut metadata, group.as_ptr().cast(), group.len())
        })?;
        // SAFETY: the client, the list and the metadata are live; the library copies what it keeps.
        let sent =
            unsafe { sys::rd_kafka_send_offsets_to_transaction(self.raw(), offsets.raw(), metadata, millis(limit)) };
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(metadata) };
        Refusal::take(sent)
    }
}

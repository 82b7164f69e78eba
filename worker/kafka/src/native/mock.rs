//! The library's own brokers in memory, for what real ones do too rarely.
use super::{Conf, Handle, Kind, text};
use rdkafka_sys as sys;
use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

/// Brokers that live in threads of a client of their own, numbered from 1.
pub(super) struct Cluster {
    raw: NonNull<sys::rd_kafka_mock_cluster_t>,
    /// Ends after the cluster.
    _client: Arc<Handle>,
}

impl Cluster {
    pub(super) fn start(brokers: i32) -> Self {
        let client = Handle::start(Kind::Producer, Conf::new().unwrap()).unwrap();
        // SAFETY: the client is live and outlives the cluster.
        let raw = unsafe { sys::rd_kafka_mock_cluster_new(client.raw(), brokers) };
        Self { raw: NonNull::new(raw).unwrap(), _client: client }
    }

    /// The value of `bootstrap.servers`.
    pub(super) fn brokers(&self) -> String {
        // SAFETY: the cluster is live; the string is the cluster's and copied.
        text(unsafe { sys::rd_kafka_mock_cluster_bootstraps(self.raw.as_ptr()) })
    }

    /// Has a broker coordinate a group.
    pub(super) fn coordinate(&self, group: &str, broker: i32) {
        let group = CString::new(group).unwrap();
        // SAFETY: the cluster is live; the strings are copied.
        let code =
            unsafe { sys::rd_kafka_mock_coordinator_set(self.raw.as_ptr(), c"group".as_ptr(), group.as_ptr(), broker) };
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// Creates a topic of one partition.
    pub(super) fn topic(&self, name: &str) {
        let name = CString::new(name).unwrap();
        // SAFETY: as above.
        let code = unsafe { sys::rd_kafka_mock_topic_create(self.raw.as_ptr(), name.as_ptr(), 1, 1) };
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// Has a broker lead the topic's partition.
    pub(super) fn lead(&self, topic: &str, broker: i32) {
        let topic = CString::new(topic).unwrap();
        // SAFETY: as above.
        let code = unsafe { sys::rd_kafka_mock_partition_set_leader(self.raw.as_ptr(), topic.as_ptr(), 0, broker) };
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// Ends a broker's connections and refuses new ones.
    pub(super) fn down(&self, broker: i32) {
        // SAFETY: the cluster is live.
        let code = unsafe { sys::rd_kafka_mock_broker_set_down(self.raw.as_ptr(), broker) };
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    pub(super) fn up(&self, broker: i32) {
        // SAFETY: as above.
        let code = unsafe { sys::rd_kafka_mock_broker_set_up(self.raw.as_ptr(), broker) };
        assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_mock_cluster_destroy(self.raw.as_ptr()) };
    }
}

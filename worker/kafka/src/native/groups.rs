//! What the coordinator of a consumer group is asked.
//!
//! The library must not give such a call up: one that waits for a coordinator which cannot be reached, and is given up, is
//! sent all the same once that broker is back, and frees its memory twice (librdkafka 2.12, `rd_kafka_admin_coord_request`:
//! it ends the process). So its own limit is its longest, and whoever asks waits for the answer only so long as it likes.
use super::admin::Call;
use super::{Code, Handle, Partition, Partitions, Refusal, list, name};
use rdkafka_sys as sys;
use std::ptr::null;
use std::sync::Arc;
use std::time::Duration;
use sys::rd_kafka_admin_op_t as Op;

/// The longest that librdkafka takes.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What to do to the offsets of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupChange {
    Set,
    Delete,
}

impl Handle {
    /// Committed offsets of a group, stable ones only.
    pub(crate) fn group_offsets(self: &Arc<Self>, group: &str, limit: Duration) -> Result<Vec<Partition>, Refusal> {
        let call = ask(self, Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, limit)?;
        let group = name(group)?;
        // SAFETY: everything is live; null asks for all partitions; the request copies what it keeps.
        unsafe {
            Refusal::take(sys::rd_kafka_AdminOptions_set_require_stable_offsets(call.options(), 1))?;
            let mut request = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), null());
            sys::rd_kafka_ListConsumerGroupOffsets(self.raw(), &raw mut request, 1, call.options(), call.queue());
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
        }
        let answer = call.answer()?;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(answer.raw());
            let mut count = 0;
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
            group_rows(rows, count)
        }
    }

    /// Sets or deletes offsets of a group without members.
    pub(crate) fn change_group_offsets(
        self: &Arc<Self>,
        group: &str,
        change: GroupChange,
        offsets: &Partitions,
        limit: Duration,
    ) -> Result<Vec<Partition>, Refusal> {
        match change {
            GroupChange::Set => self.set_group_offsets(group, offsets, limit),
            GroupChange::Delete => self.delete_group_offsets(group, offsets, limit),
        }
    }

    fn set_group_offsets(
        self: &Arc<Self>,
        group: &str,
        offsets: &Partitions,
        limit: Duration,
    ) -> Result<Vec<Partition>, Refusal> {
        let group = name(group)?;
        let call = ask(self, Op::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, limit)?;
        // SAFETY: everything is live; the request copies what it keeps.
        unsafe {
            let mut request = sys::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), offsets.raw());
            sys::rd_kafka_AlterConsumerGroupOffsets(self.raw(), &raw mut request, 1, call.options(), call.queue());
            sys::rd_kafka_AlterConsumerGroupOffsets_destroy(request);
        }
        let answer = call.answer()?;
        let mut count = 0;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_AlterConsumerGroupOffsets_result(answer.raw());
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &raw mut count);
            group_rows(rows, count)
        }
    }

    fn delete_group_offsets(
        self: &Arc<Self>,
        group: &str,
        offsets: &Partitions,
        limit: Duration,
    ) -> Result<Vec<Partition>, Refusal> {
        let group = name(group)?;
        let call = ask(self, Op::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS, limit)?;
        // SAFETY: everything is live; the request copies what it keeps.
        unsafe {
            let mut request = sys::rd_kafka_DeleteConsumerGroupOffsets_new(group.as_ptr(), offsets.raw());
            sys::rd_kafka_DeleteConsumerGroupOffsets(self.raw(), &raw mut request, 1, call.options(), call.queue());
            sys::rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
        }
        let answer = call.answer()?;
        let mut count = 0;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_DeleteConsumerGroupOffsets_result(answer.raw());
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &raw mut count);
            group_rows(rows, count)
        }
    }

    /// Deletes a group without members.
    pub(crate) fn delete_group(self: &Arc<Self>, group: &str, limit: Duration) -> Result<(), Refusal> {
        let call = ask(self, Op::RD_KAFKA_ADMIN_OP_DELETEGROUPS, limit)?;
        let group = name(group)?;
        // SAFETY: everything is live; the request copies what it keeps.
        unsafe {
            let mut request = sys::rd_kafka_DeleteGroup_new(group.as_ptr());
            sys::rd_kafka_DeleteGroups(self.raw(), &raw mut request, 1, call.options(), call.queue());
            sys::rd_kafka_DeleteGroup_destroy(request);
        }
        let answer = call.answer()?;
        let mut count = 0;
        // SAFETY: the answer is live while its rows are read.
        unsafe {
            let result = sys::rd_kafka_event_DeleteGroups_result(answer.raw());
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let rows = sys::rd_kafka_DeleteGroups_result_groups(result, &raw mut count);
            group_rows(rows, count).map(drop)
        }
    }
}

/// A call that lasts until it is answered or the client ends, whose answer is waited for so long.
fn ask(client: &Arc<Handle>, op: Op, wait: Duration) -> Result<Call, Refusal> {
    Call::open(client, op, LONGEST, wait)
}

/// # Safety
/// `rows` has `count` live entries.
unsafe fn group_rows(rows: *mut *const sys::rd_kafka_group_result_t, count: usize) -> Result<Vec<Partition>, Refusal> {
    let mut found = Vec::new();
    for index in 0..count {
        // SAFETY: see the function; error and list belong to the row.
        unsafe {
            let row = *rows.add(index);
            let error = sys::rd_kafka_group_result_error(row);
            if !error.is_null() {
                return Err(Refusal::read(error));
            }
            found.extend(list::read(sys::rd_kafka_group_result_partitions(row)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::mock::Cluster;
    use super::super::{Conf, Kind};
    use super::*;

    const SOON: Duration = Duration::from_millis(500);
    const LATE: Duration = Duration::from_secs(30);

    fn consumer(brokers: &str) -> Arc<Handle> {
        let mut conf = Conf::new().unwrap();
        for (key, value) in [("bootstrap.servers", brokers), ("group.id", "g"), ("reconnect.backoff.max.ms", "100")] {
            conf.set(key, value).unwrap();
        }
        Handle::start(Kind::Consumer, conf).unwrap()
    }

    #[test]
    fn a_coordinator_that_comes_back_after_nobody_waits_any_more_ends_nothing() {
        let cluster = Cluster::start(2);
        cluster.coordinate("g", 2);
        cluster.down(2);
        let client = consumer(&cluster.brokers());
        let refusal = client.group_offsets("g", SOON).unwrap_err();
        assert_eq!(refusal.code, Code::OperationTimedOut);
        cluster.up(2);
        assert_eq!(client.group_offsets("g", LATE).unwrap(), []);
    }

    #[test]
    fn a_client_ends_while_a_coordinator_has_not_answered() {
        let cluster = Cluster::start(2);
        cluster.coordinate("g", 2);
        cluster.down(2);
        let client = consumer(&cluster.brokers());
        assert_eq!(client.group_offsets("g", SOON).unwrap_err().code, Code::OperationTimedOut);
        assert_eq!(client.delete_group("g", SOON).unwrap_err().code, Code::OperationTimedOut);
        assert_eq!(Arc::strong_count(&client), 1);
    }
}

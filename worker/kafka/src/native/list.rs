//! Lists of topic partitions with offsets.
use super::{Code, Refusal, name, text};
use elasticflow_api::position::TopicPartition;
use rdkafka_sys as sys;
use std::ptr::NonNull;

/// One row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) at: TopicPartition,
    /// Raw: negative values are librdkafka's logical offsets.
    pub(crate) offset: i64,
    pub(crate) code: Code,
}

impl Partition {
    /// A position, if the row has one.
    pub(crate) fn position(&self) -> Option<i64> {
        (self.offset >= 0).then_some(self.offset)
    }
}

/// Owns an `rd_kafka_topic_partition_list_t`.
pub(crate) struct Partitions(NonNull<sys::rd_kafka_topic_partition_list_t>);

// SAFETY: plain memory without thread affinity, and the type does not share it.
unsafe impl Send for Partitions {}

impl Partitions {
    /// No offset given: the committed one, or as `auto.offset.reset` says.
    pub(crate) const COMMITTED: i64 = sys::RD_KAFKA_OFFSET_INVALID as i64;
    /// The start of the log.
    pub(crate) const BEGINNING: i64 = sys::RD_KAFKA_OFFSET_BEGINNING as i64;
    /// The end of the log.
    pub(crate) const END: i64 = sys::RD_KAFKA_OFFSET_END as i64;

    /// A list of partitions with raw offsets.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = (&'a TopicPartition, i64)>) -> Result<Self, Refusal> {
        let list = Self::empty()?;
        for (at, offset) in rows {
            list.add(&at.topic, at.partition, offset)?;
        }
        Ok(list)
    }

    /// A list of topic names, as a subscription wants them.
    pub(crate) fn names<'a>(topics: impl IntoIterator<Item = &'a str>) -> Result<Self, Refusal> {
        let list = Self::empty()?;
        for topic in topics {
            list.add(topic, -1, Self::COMMITTED)?;
        }
        Ok(list)
    }

    fn empty() -> Result<Self, Refusal> {
        // SAFETY: no preconditions; ownership is ours.
        NonNull::new(unsafe { sys::rd_kafka_topic_partition_list_new(8) })
            .map(Self)
            .ok_or_else(|| Refusal::of(Code::CriticalSystemResource))
    }

    fn add(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Refusal> {
        let topic = name(topic)?;
        // SAFETY: the list is live and ours; the returned element is valid until the list changes, which it does not
        // before the assignment.
        unsafe {
            let row = sys::rd_kafka_topic_partition_list_add(self.raw(), topic.as_ptr(), partition);
            (*row).offset = offset;
        }
        Ok(())
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// Copies the rows.
    pub(crate) fn rows(&self) -> Vec<Partition> {
        // SAFETY: the list is live.
        unsafe { read(self.raw()) }
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.raw()) };
    }
}

/// Copies the rows of a list; null is empty.
///
/// # Safety
/// `list` is null or live for the length of the call.
pub(super) unsafe fn read(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Partition> {
    // SAFETY: see the function.
    let Some(list) = (unsafe { list.as_ref() }) else { return Vec::new() };
    let count = usize::try_from(list.cnt).unwrap_or(0);
    // SAFETY: `index` is below the count of the array.
    (0..count).map(|index| unsafe { read_row(&*list.elems.add(index)) }).collect()
}

/// # Safety
/// `row` is live, its topic a C string.
pub(super) unsafe fn read_row(row: &sys::rd_kafka_topic_partition_t) -> Partition {
    Partition {
        at: TopicPartition { topic: text(row.topic).into(), partition: row.partition },
        offset: row.offset,
        code: Code::from(row.err),
    }
}

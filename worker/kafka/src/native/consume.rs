//! Group membership, positions and fetching.
use super::{Code, Event, Handle, Partition, Partitions, Queue, Refusal, Topic, handle::check_name, millis};
use elasticflow_api::position::TopicPartition;
use rdkafka_sys as sys;
use std::time::Duration;

impl Handle {
    /// Joins the group in the background.
    pub(crate) fn subscribe(&self, topics: &Partitions) -> Result<(), Refusal> {
        // SAFETY: client and list are live; the list is copied.
        Refusal::check(unsafe { sys::rd_kafka_subscribe(self.raw(), topics.raw()) })
    }

    /// Whether the group's protocol hands partitions over one by one.
    pub(crate) fn is_cooperative(&self) -> bool {
        // SAFETY: the client is live; the string is static.
        super::text(unsafe { sys::rd_kafka_rebalance_protocol(self.raw()) }) == "COOPERATIVE"
    }

    /// Whether the assignment is gone already, instead of being asked back.
    pub(crate) fn is_assignment_lost(&self) -> bool {
        // SAFETY: the client is live.
        unsafe { sys::rd_kafka_assignment_lost(self.raw()) != 0 }
    }

    /// Adds partitions (all of them at once under the eager protocol) and ends the rebalance.
    pub(crate) fn assign(&self, partitions: &Partitions) -> Result<(), Refusal> {
        if self.is_cooperative() {
            // SAFETY: client and list are live; the list is copied.
            return Refusal::take(unsafe { sys::rd_kafka_incremental_assign(self.raw(), partitions.raw()) });
        }
        // SAFETY: as above.
        Refusal::check(unsafe { sys::rd_kafka_assign(self.raw(), partitions.raw()) })
    }

    /// Gives partitions up (all of them under the eager protocol) and ends the rebalance.
    pub(crate) fn unassign(&self, partitions: &Partitions) -> Result<(), Refusal> {
        if self.is_cooperative() {
            // SAFETY: client and list are live; the list is copied.
            return Refusal::take(unsafe { sys::rd_kafka_incremental_unassign(self.raw(), partitions.raw()) });
        }
        // SAFETY: the client is live; null means none.
        Refusal::check(unsafe { sys::rd_kafka_assign(self.raw(), std::ptr::null()) })
    }

    /// Sends a partition's records to `records` instead of the queue of happenings. Before every assignment.
    pub(crate) fn forward(&self, at: &TopicPartition, records: &Queue) -> Result<(), Refusal> {
        let topic = check_name(&at.topic)?;
        // SAFETY: client and queue are live; the partition's queue is a reference of ours, given back at once.
        unsafe {
            let own = sys::rd_kafka_queue_get_partition(self.raw(), topic.as_ptr(), at.partition);
            if own.is_null() {
                return Err(Refusal::of(Code::UnknownPartition));
            }
            sys::rd_kafka_queue_forward(own, records.raw());
            sys::rd_kafka_queue_destroy(own);
        }
        Ok(())
    }

    /// Starts reading one partition without a group.
    pub(crate) fn read_from(&self, topic: &Topic, partition: i32, offset: i64, into: &Queue) -> Result<(), Refusal> {
        // SAFETY: client, topic and queue are live.
        match unsafe { sys::rd_kafka_consume_start_queue(topic.raw(), partition, offset, into.raw()) } {
            0 => Ok(()),
            // SAFETY: reads a thread-local code.
            _ => Err(Refusal::of(Code::from(unsafe { sys::rd_kafka_last_error() }))),
        }
    }

    /// Moves partitions that are being read.
    pub(crate) fn seek(&self, partitions: &Partitions, limit: Duration) -> Result<(), Refusal> {
        // SAFETY: client and list are live.
        Refusal::take(unsafe { sys::rd_kafka_seek_partitions(self.raw(), partitions.raw(), millis(limit)) })?;
        row_errors(&partitions.rows())
    }

    /// Fills in committed offsets; under read_committed only stable ones, waiting for open transactions.
    pub(crate) fn committed(&self, partitions: &Partitions, limit: Duration) -> Result<(), Refusal> {
        // SAFETY: client and list are live.
        Refusal::check(unsafe { sys::rd_kafka_committed(self.raw(), partitions.raw(), millis(limit)) })?;
        row_errors(&partitions.rows())
    }

    /// Asks for a commit; what came of it arrives in `answers`.
    pub(crate) fn commit(&self, offsets: &Partitions, answers: &Queue) -> Result<(), Refusal> {
        // SAFETY: client, list and queue are live; the list is copied, and null is no callback.
        Refusal::check(unsafe {
            sys::rd_kafka_commit_queue(self.raw(), offsets.raw(), answers.raw(), None, std::ptr::null_mut())
        })
    }

    pub(crate) fn pause(&self, partitions: &Partitions) -> Result<(), Refusal> {
        // SAFETY: client and list are live.
        Refusal::check(unsafe { sys::rd_kafka_pause_partitions(self.raw(), partitions.raw()) })?;
        row_errors(&partitions.rows())
    }

    pub(crate) fn resume(&self, partitions: &Partitions) -> Result<(), Refusal> {
        // SAFETY: client and list are live.
        Refusal::check(unsafe { sys::rd_kafka_resume_partitions(self.raw(), partitions.raw()) })?;
        row_errors(&partitions.rows())
    }

    /// Member, generation and group, in the library's own format.
    pub(crate) fn group_metadata(&self) -> Option<Vec<u8>> {
        // SAFETY: the client is live; the metadata and the buffer are ours and freed below.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(self.raw());
            if metadata.is_null() {
                return None;
            }
            let (mut buffer, mut size) = (std::ptr::null_mut(), 0);
            let written = sys::rd_kafka_consumer_group_metadata_write(metadata, &raw mut buffer, &raw mut size);
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            Refusal::take(written).ok()?;
            let copy = std::slice::from_raw_parts(buffer.cast::<u8>(), size).to_vec();
            sys::rd_kafka_mem_free(self.raw(), buffer);
            Some(copy)
        }
    }

    /// Leaves the group in the background; its last rebalance arrives in `queue`.
    pub(crate) fn close(&self, queue: &Queue) -> Result<(), Refusal> {
        // SAFETY: client and queue are live.
        Refusal::take(unsafe { sys::rd_kafka_consumer_close_queue(self.raw(), queue.raw()) })
    }

    /// Whether `close` has finished.
    pub(crate) fn is_closed(&self) -> bool {
        // SAFETY: the client is live.
        unsafe { sys::rd_kafka_consumer_closed(self.raw()) != 0 }
    }
}

impl Event<'_> {
    /// What came of a commit.
    pub(crate) fn committed(&self) -> Result<(), Refusal> {
        match self.code() {
            Code::NoError => row_errors(&self.partitions()),
            _ => Err(self.refusal()),
        }
    }
}

/// The first row that failed.
fn row_errors(partitions: &[Partition]) -> Result<(), Refusal> {
    match partitions.iter().find(|row| row.code != Code::NoError) {
        None => Ok(()),
        Some(row) => Err(Refusal {
            text: format!("{} (partition {} of topic {})", super::describe(row.code), row.at.partition, row.at.topic),
            ..Refusal::of(row.code)
        }),
    }
}

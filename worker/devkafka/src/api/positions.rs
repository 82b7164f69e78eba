//! ListOffsets, DeleteRecords, OffsetForLeaderEpoch: where partitions begin and end.
use crate::code;
use crate::state::State;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

const READ_COMMITTED: i8 = 1;
/// First version of ListOffsets whose answer has a leader epoch.
const LEADER_EPOCH_SINCE: i16 = 4;

impl State {
    pub(crate) fn list_offsets(&self, r: &ListOffsetsRequest, v: i16) -> ListOffsetsResponse {
        let committed = r.isolation_level == READ_COMMITTED;
        let topics = r.topics.iter().map(|t| {
            let one = |p| {
                let listed = self.list_offset(&t.name, p, committed);
                if v >= LEADER_EPOCH_SINCE { listed.with_leader_epoch(0) } else { listed }
            };
            let listed = t.partitions.iter().map(one).collect();
            ListOffsetsTopicResponse::default().with_name(t.name.clone()).with_partitions(listed)
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    /// -1 the end, -2 and -4 the start, -3 the largest timestamp, else the first record not older than a time.
    fn list_offset(&self, topic: &str, p: &ListOffsetsPartition, committed: bool) -> ListOffsetsPartitionResponse {
        let answer = ListOffsetsPartitionResponse::default()
            .with_partition_index(p.partition_index)
            .with_timestamp(-1)
            .with_offset(-1);
        let Some(x) = self.topics.get(topic).and_then(|t| t.partition(p.partition_index)) else {
            return answer.with_error_code(code::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let end = if committed { x.last_stable() } else { x.next() };
        let found = match p.timestamp {
            -1 => return answer.with_offset(end),
            -2 | -4 => return answer.with_offset(x.start()),
            -3 => x.at_max_time(),
            time if time >= 0 => x.at_time(time, end),
            _ => return answer.with_error_code(code::UNSUPPORTED_VERSION),
        };
        match found {
            Some((offset, time)) => answer.with_offset(offset).with_timestamp(time),
            None => answer,
        }
    }

    pub(crate) fn delete_records(&mut self, r: DeleteRecordsRequest) -> DeleteRecordsResponse {
        let topics = r.topics.into_iter().map(|t| {
            let cut = t.partitions.iter().map(|p| {
                let result = self.delete_below(&t.name, p.partition_index, p.offset);
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(super::code_of(&result))
                    .with_low_watermark(result.unwrap_or(-1))
            });
            let partitions = cut.collect();
            DeleteRecordsTopicResult::default().with_name(t.name).with_partitions(partitions)
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    }

    /// -1 stands for the end.
    fn delete_below(&mut self, topic: &str, partition: i32, offset: i64) -> Result<i64, code::Code> {
        let next = self.partition(topic, partition).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?.next();
        let offset = if offset == -1 { next } else { offset };
        if offset > next || offset < 0 {
            return Err(code::OFFSET_OUT_OF_RANGE);
        }
        self.cut_partition(topic, partition, offset).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)
    }

    /// There is one leader epoch: it never ends.
    pub(crate) fn offset_for_leader_epoch(&self, r: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let topics = r.topics.into_iter().map(|t| {
            let known = |p: i32| self.topics.get(t.topic.as_str()).and_then(|x| x.partition(p));
            let ends = t.partitions.iter().map(|p| {
                let end = EpochEndOffset::default().with_partition(p.partition);
                match known(p.partition) {
                    None => end.with_error_code(code::UNKNOWN_TOPIC_OR_PARTITION),
                    Some(x) => end.with_leader_epoch(0).with_end_offset(x.next()),
                }
            });
            let partitions = ends.collect();
            OffsetForLeaderTopicResult::default().with_topic(t.topic).with_partitions(partitions)
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }
}

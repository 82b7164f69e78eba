//! Produce.
use crate::code::{self, Code};
use crate::log::record::visit;
use crate::log::{Batch, split};
use crate::state::State;
use crate::topics::Topic;
use crate::txn::Identity;
use bytes::Bytes;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

/// What a topic's configuration says about its batches.
#[derive(Clone, Copy)]
struct Rules {
    batch_bytes_max: usize,
    stamp: bool,
    keys_required: bool,
}

impl Rules {
    fn of(topic: &Topic) -> Rules {
        Rules {
            batch_bytes_max: usize::try_from(topic.number("max.message.bytes")).unwrap_or(0),
            stamp: topic.config("message.timestamp.type") == "LogAppendTime",
            keys_required: topic.compacted(),
        }
    }
}

/// Where batches go, and under which transaction.
struct Target<'a> {
    topic: &'a str,
    partition: i32,
    transactional_id: Option<&'a str>,
    rules: Rules,
}

impl State {
    pub(crate) fn produce(&mut self, r: ProduceRequest) -> ProduceResponse {
        let id = r.transactional_id.map(|t| t.to_string());
        let topics = r.topic_data.into_iter().map(|t| self.produce_topic(t, id.as_deref())).collect();
        ProduceResponse::default().with_responses(topics)
    }

    fn produce_topic(&mut self, t: TopicProduceData, id: Option<&str>) -> TopicProduceResponse {
        let rules = self.topics.get(t.name.as_str()).map(Rules::of);
        let stored = t.partition_data.into_iter().map(|p| {
            let result = rules.ok_or(code::UNKNOWN_TOPIC_OR_PARTITION).and_then(|rules| {
                let target = Target { topic: &t.name, partition: p.index, transactional_id: id, rules };
                self.store(&target, p.records.unwrap_or_default())
            });
            let start = self.partition(&t.name, p.index).map_or(-1, |x| x.start());
            let stamp = result.is_ok() && rules.is_some_and(|r| r.stamp);
            PartitionProduceResponse::default()
                .with_index(p.index)
                .with_error_code(super::code_of(&result))
                .with_base_offset(result.unwrap_or(-1))
                .with_log_append_time_ms(if stamp { self.now.wall_ms } else { -1 })
                .with_log_start_offset(start)
        });
        let partitions = stored.collect();
        TopicProduceResponse::default().with_name(t.name).with_partition_responses(partitions)
    }

    /// Stores the batches of one partition; the offset of the first.
    fn store(&mut self, to: &Target<'_>, records: Bytes) -> Result<i64, Code> {
        let batches = split(records)?;
        for batch in &batches {
            self.admit(to, batch)?;
        }
        let now_ms = self.now.wall_ms;
        let partition = self.partition(to.topic, to.partition).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?;
        let mut first = None;
        for batch in &batches {
            let appended = partition.append(batch, now_ms, to.rules.stamp)?;
            first.get_or_insert(appended.base);
        }
        self.changed = true;
        first.ok_or(code::INVALID_RECORD)
    }

    fn admit(&self, to: &Target<'_>, batch: &Batch) -> Result<(), Code> {
        if batch.bytes.len() > to.rules.batch_bytes_max {
            return Err(code::MESSAGE_TOO_LARGE);
        }
        if to.rules.keys_required && !every_record_has_a_key(batch) {
            return Err(code::INVALID_RECORD);
        }
        if batch.header.transactional() {
            let who = Identity { producer_id: batch.header.producer_id, epoch: batch.header.epoch };
            self.may_write(to.transactional_id, who, to.topic, to.partition)?;
        }
        Ok(())
    }
}

/// Compaction goes by keys: a record without one could never go.
fn every_record_has_a_key(batch: &Batch) -> bool {
    let mut keyed = true;
    let read = visit(batch, |r| {
        keyed &= r.key.is_some();
        keyed
    });
    keyed && read.is_some()
}

//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn.
use crate::code::{self, Code};
use crate::groups::group::{Committed, Pending};
use crate::journal::Line;
use crate::state::State;
use crate::txn::{Identity, NamesFencing};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

impl State {
    pub(crate) fn init_producer_id(&mut self, r: InitProducerIdRequest, v: i16) -> InitProducerIdResponse {
        let claimed = Identity { producer_id: r.producer_id.0, epoch: r.producer_epoch };
        let claimed = Some(claimed).filter(|c| v >= 3 && c.producer_id >= 0);
        let result = match r.transactional_id {
            None => Ok(Identity { producer_id: self.new_producer_id(), epoch: 0 }),
            Some(id) => self.take_over(&id, r.transaction_timeout_ms, claimed, NamesFencing(v >= 4)),
        };
        let code = super::code_of(&result);
        let who = result.unwrap_or(Identity { producer_id: -1, epoch: -1 });
        InitProducerIdResponse::default()
            .with_error_code(code)
            .with_producer_id(ProducerId(who.producer_id))
            .with_producer_epoch(who.epoch)
    }

    /// All partitions or none: one that is unknown keeps the others out.
    pub(crate) fn add_partitions_to_txn(&mut self, r: AddPartitionsToTxnRequest, v: i16) -> AddPartitionsToTxnResponse {
        let id = r.v3_and_below_transactional_id.to_string();
        let who = Identity { producer_id: r.v3_and_below_producer_id.0, epoch: r.v3_and_below_producer_epoch };
        let owner = self.owner(&id, who, NamesFencing(v >= 2));
        let topics = r.v3_and_below_topics;
        let known = |s: &Self, t: &str, p: i32| s.topics.get(t).and_then(|x| x.partition(p)).is_some();
        let all_known = topics.iter().all(|t| t.partitions.iter().all(|p| known(self, &t.name, *p)));
        if owner.is_ok() && all_known {
            let added = topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.to_string(), *p)));
            self.extend_txn(&id, |txn| txn.partitions.extend(added));
        }
        let code = |t: &str, p: i32| match owner {
            Err(why) => why,
            Ok(()) if !known(self, t, p) => code::UNKNOWN_TOPIC_OR_PARTITION,
            Ok(()) if !all_known => code::OPERATION_NOT_ATTEMPTED,
            Ok(()) => code::NONE,
        };
        let results = topics.into_iter().map(|t| {
            let result = |p: &i32| {
                let answer = AddPartitionsToTxnPartitionResult::default().with_partition_index(*p);
                answer.with_partition_error_code(code(&t.name, *p))
            };
            let partitions = t.partitions.iter().map(result).collect();
            AddPartitionsToTxnTopicResult::default().with_name(t.name).with_results_by_partition(partitions)
        });
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
    }

    pub(crate) fn add_offsets_to_txn(&mut self, r: &AddOffsetsToTxnRequest, v: i16) -> AddOffsetsToTxnResponse {
        let who = Identity { producer_id: r.producer_id.0, epoch: r.producer_epoch };
        let owner = self.owner(&r.transactional_id, who, NamesFencing(v >= 2));
        let result = owner.and_then(|()| self.group(&r.group_id).map(drop));
        if result.is_ok() {
            self.extend_txn(&r.transactional_id, |txn| {
                txn.groups.insert(r.group_id.to_string());
            });
        }
        AddOffsetsToTxnResponse::default().with_error_code(super::code_of(&result))
    }

    pub(crate) fn txn_offset_commit(&mut self, r: TxnOffsetCommitRequest, v: i16) -> TxnOffsetCommitResponse {
        let allowed = self.may_commit_in_txn(&r, v);
        let (producer, group) = (r.producer_id.0, r.group_id.to_string());
        let topics = r.topics.into_iter().map(|t| {
            let noted = t.partitions.into_iter().map(|p| {
                let committed = Committed {
                    offset: p.committed_offset,
                    leader_epoch: p.committed_leader_epoch,
                    metadata: p.committed_metadata.map(|m| m.to_string()),
                };
                let pending = Pending { topic: t.name.to_string(), partition: p.partition_index, committed };
                let result = allowed.and_then(|()| self.note_offset(producer, &group, pending));
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(super::code_of(&result))
            });
            let partitions = noted.collect();
            TxnOffsetCommitResponseTopic::default().with_name(t.name).with_partitions(partitions)
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn may_commit_in_txn(&mut self, r: &TxnOffsetCommitRequest, v: i16) -> Result<(), Code> {
        let who = Identity { producer_id: r.producer_id.0, epoch: r.producer_epoch };
        self.owner(&r.transactional_id, who, NamesFencing(v >= 2))?;
        let txn = self.txns.get(r.transactional_id.as_str());
        if !txn.is_some_and(|t| t.ongoing && t.groups.contains(r.group_id.as_str())) {
            return Err(code::INVALID_TXN_STATE);
        }
        if r.generation_id < 0 && r.member_id.is_empty() {
            return Ok(()); // a producer without a consumer: nobody's membership to check
        }
        let allowed = self.may_commit(&r.group_id, r.generation_id, &r.member_id, r.group_instance_id.as_deref());
        // This API has no code for the newer protocol's stale epochs.
        allowed.map_err(|e| if e == code::STALE_MEMBER_EPOCH { code::ILLEGAL_GENERATION } else { e })
    }

    /// Notes an offset until the transaction ends.
    fn note_offset(&mut self, producer: i64, group: &str, p: Pending) -> Result<(), Code> {
        self.check_offset(&p.topic, p.partition, &p.committed)?;
        self.journal.write(&Line::txn_offset(producer, group, &p.topic, p.partition, &p.committed));
        self.group(group)?.pending_offsets.entry(producer).or_default().push(p);
        Ok(())
    }

    pub(crate) fn end_txn(&mut self, r: &EndTxnRequest, v: i16) -> EndTxnResponse {
        let who = Identity { producer_id: r.producer_id.0, epoch: r.producer_epoch };
        let result = self.end(&r.transactional_id, who, r.committed, NamesFencing(v >= 2));
        EndTxnResponse::default().with_error_code(super::code_of(&result))
    }
}

//! OffsetCommit and OffsetDelete.
use crate::code::{self, Code};
use crate::groups::group::{Committed, Group};
use crate::journal::Line;
use crate::state::State;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse};

/// Longest metadata of an offset; Kafka's `offset.metadata.max.bytes`.
const METADATA_MAX: usize = 4096;
/// Kafka's code for longer ones.
const METADATA_TOO_LARGE: Code = 12;

impl State {
    /// Stores an offset of a group.
    pub(crate) fn commit_offset(&mut self, group: &str, topic: &str, partition: i32, committed: Committed) {
        self.journal.write(&Line::offset(group, topic, partition, &committed));
        if let Ok(g) = self.group(group) {
            g.offsets.insert((topic.into(), partition), committed);
        }
    }

    pub(crate) fn offset_commit(&mut self, r: OffsetCommitRequest) -> OffsetCommitResponse {
        let group = r.group_id.to_string();
        let allowed =
            self.may_commit(&group, r.generation_id_or_member_epoch, &r.member_id, r.group_instance_id.as_deref());
        let topics = r.topics.into_iter().map(|t| {
            let stored = t.partitions.into_iter().map(|p| {
                let committed = Committed {
                    offset: p.committed_offset,
                    leader_epoch: p.committed_leader_epoch,
                    metadata: p.committed_metadata.map(|m| m.to_string()),
                };
                let result = allowed.and_then(|()| self.check_offset(&t.name, p.partition_index, &committed));
                if result.is_ok() {
                    self.commit_offset(&group, &t.name, p.partition_index, committed);
                }
                OffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(super::code_of(&result))
            });
            let partitions = stored.collect();
            OffsetCommitResponseTopic::default().with_name(t.name).with_partitions(partitions)
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    /// Whether a member may commit; one that may is alive.
    pub(crate) fn may_commit(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), Code> {
        let g = self.group(group)?;
        g.may_commit(generation, member, instance)?;
        g.classic.touch(member, g.now);
        Ok(())
    }

    pub(crate) fn check_offset(&self, topic: &str, partition: i32, committed: &Committed) -> Result<(), Code> {
        self.topics.get(topic).and_then(|t| t.partition(partition)).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?;
        let long = committed.metadata.as_ref().is_some_and(|m| m.len() > METADATA_MAX);
        if long { Err(METADATA_TOO_LARGE) } else { Ok(()) }
    }

    pub(crate) fn offset_delete(&mut self, r: OffsetDeleteRequest) -> OffsetDeleteResponse {
        let answer = OffsetDeleteResponse::default();
        let group = r.group_id.to_string();
        if !self.groups.contains_key(&group) {
            return answer.with_error_code(code::GROUP_ID_NOT_FOUND);
        }
        // Kafka asks whether a member subscribes to the topic; here a group with members is taken to.
        let is_subscribed = self.groups.get(&group).is_some_and(Group::has_members);
        let topics = r.topics.into_iter().map(|t| {
            let deleted = t.partitions.iter().map(|p| {
                let answer = OffsetDeleteResponsePartition::default().with_partition_index(p.partition_index);
                if is_subscribed {
                    return answer.with_error_code(code::GROUP_SUBSCRIBED_TO_TOPIC);
                }
                self.delete_offset(&group, &t.name, p.partition_index);
                answer
            });
            let partitions = deleted.collect();
            OffsetDeleteResponseTopic::default().with_name(t.name).with_partitions(partitions)
        });
        answer.with_topics(topics.collect())
    }

    fn delete_offset(&mut self, group: &str, topic: &str, partition: i32) {
        if let Some(g) = self.groups.get_mut(group) {
            g.offsets.remove(&(topic.to_owned(), partition));
        }
        self.write(&Line::OffsetDelete { g: group.into(), t: topic.into(), p: partition });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn offsets_of_unknown_partitions_and_with_long_metadata_are_refused() {
        let mut s = State::new(&Config::default(), SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)));
        s.create_topic("t", 1, BTreeMap::new()).unwrap();
        let with = |n: usize| Committed { offset: 1, leader_epoch: -1, metadata: Some("x".repeat(n)) };
        assert_eq!(s.check_offset("t", 0, &with(METADATA_MAX)), Ok(()));
        assert_eq!(s.check_offset("t", 0, &with(METADATA_MAX + 1)), Err(METADATA_TOO_LARGE));
        for (topic, partition) in [("t", 1), ("t", -1), ("other", 0)] {
            assert_eq!(s.check_offset(topic, partition, &with(0)), Err(code::UNKNOWN_TOPIC_OR_PARTITION));
        }
    }
}

//! OffsetFetch: one group in versions up to 7, several from 8 on.
use crate::code::{self, Code};
use crate::groups::classic::text;
use crate::groups::group::{Committed, Group};
use crate::state::State;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use std::collections::BTreeMap;

/// Topics and partitions somebody asks for; all of them if `None`.
type Asked = Option<Vec<(TopicName, Vec<i32>)>>;

/// What is known about one partition.
struct Found {
    partition: i32,
    result: Result<Option<Committed>, Code>,
}

impl Found {
    fn code(&self) -> Code {
        super::code_of(&self.result)
    }

    /// -1 stands for no offset.
    fn committed(self) -> Committed {
        self.result.ok().flatten().unwrap_or(Committed { offset: -1, leader_epoch: -1, metadata: None })
    }
}

impl State {
    pub(crate) fn offset_fetch(&self, r: OffsetFetchRequest, v: i16) -> OffsetFetchResponse {
        let answer = OffsetFetchResponse::default();
        if v < 8 {
            let asked = r.topics.map(|ts| ts.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
            let found = find(self.groups.get(r.group_id.as_str()), asked, r.require_stable);
            return answer.with_topics(found.into_iter().map(old_topic).collect());
        }
        let groups = r.groups.into_iter().map(|g| {
            let asked = g.topics.map(|ts| ts.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
            let found = find(self.groups.get(g.group_id.as_str()), asked, r.require_stable);
            let topics = found.into_iter().map(new_topic).collect();
            OffsetFetchResponseGroup::default().with_group_id(g.group_id).with_topics(topics)
        });
        answer.with_groups(groups.collect())
    }
}

fn find(group: Option<&Group>, asked: Asked, stable: bool) -> Vec<(TopicName, Vec<Found>)> {
    let asked = asked.unwrap_or_else(|| all(group));
    let one = |t: &TopicName, partition: i32| {
        let undecided = stable && group.is_some_and(|g| g.undecided(t, partition));
        let committed = group.and_then(|g| g.offsets.get(&(t.to_string(), partition)).cloned());
        Found { partition, result: if undecided { Err(code::UNSTABLE_OFFSET_COMMIT) } else { Ok(committed) } }
    };
    let found = |(t, ps): (TopicName, Vec<i32>)| {
        let found = ps.into_iter().map(|p| one(&t, p)).collect();
        (t, found)
    };
    asked.into_iter().map(found).collect()
}

fn all(group: Option<&Group>) -> Vec<(TopicName, Vec<i32>)> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (t, p) in group.into_iter().flat_map(|g| g.offsets.keys()) {
        topics.entry(t).or_default().push(*p);
    }
    topics.into_iter().map(|(t, ps)| (TopicName(text(t)), ps)).collect()
}

fn old_topic((name, found): (TopicName, Vec<Found>)) -> OffsetFetchResponseTopic {
    let partition = |f: Found| {
        let (partition, code) = (f.partition, f.code());
        let c = f.committed();
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition)
            .with_committed_offset(c.offset)
            .with_committed_leader_epoch(c.leader_epoch)
            .with_metadata(Some(text(c.metadata.unwrap_or_default())))
            .with_error_code(code)
    };
    OffsetFetchResponseTopic::default().with_name(name).with_partitions(found.into_iter().map(partition).collect())
}

fn new_topic((name, found): (TopicName, Vec<Found>)) -> OffsetFetchResponseTopics {
    let partition = |f: Found| {
        let (partition, code) = (f.partition, f.code());
        let c = f.committed();
        OffsetFetchResponsePartitions::default()
            .with_partition_index(partition)
            .with_committed_offset(c.offset)
            .with_committed_leader_epoch(c.leader_epoch)
            .with_metadata(Some(text(c.metadata.unwrap_or_default())))
            .with_error_code(code)
    };
    OffsetFetchResponseTopics::default().with_name(name).with_partitions(found.into_iter().map(partition).collect())
}

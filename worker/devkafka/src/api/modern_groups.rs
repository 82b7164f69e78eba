//! ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848).
use crate::code::{self, Code};
use crate::groups::classic::text;
use crate::groups::group::Group;
use crate::groups::modern::{Answer, Beat, HEARTBEAT, Member, Place};
use crate::state::State;
use kafka_protocol::messages::consumer_group_describe_response as described;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, GroupId, TopicName,
};
use std::collections::{BTreeMap, BTreeSet};

impl State {
    pub(crate) fn consumer_group_heartbeat(
        &mut self,
        r: ConsumerGroupHeartbeatRequest,
        client: &str,
    ) -> ConsumerGroupHeartbeatResponse {
        let answer = ConsumerGroupHeartbeatResponse::default();
        let group = r.group_id.to_string();
        let beat = self.beat(r, client);
        let member = beat.member.clone();
        match self.beat_group(&group, beat) {
            Err(why) => answer.with_error_code(why),
            Ok(a) => answer
                .with_member_id(Some(text(member)))
                .with_member_epoch(a.epoch)
                .with_heartbeat_interval_ms(i32::try_from(HEARTBEAT.as_millis()).unwrap_or(i32::MAX))
                .with_assignment(a.assignment.map(|places| self.assignment(&places))),
        }
    }

    /// Frees a heartbeat of its wire form: topics get their names, a member without an id gets one.
    fn beat(&self, r: ConsumerGroupHeartbeatRequest, client: &str) -> Beat {
        let names: BTreeMap<uuid::Uuid, &str> = self.topics.iter().map(|(n, t)| (t.id, n.as_str())).collect();
        let owned = r.topic_partitions.map(|topics| {
            let named = topics.into_iter().filter_map(|t| names.get(&t.topic_id).map(|n| (*n, t.partitions)));
            named.flat_map(|(n, ps)| ps.into_iter().map(|p| (n.to_owned(), p))).collect()
        });
        let member = if r.member_id.is_empty() { uuid::Uuid::new_v4().to_string() } else { r.member_id.to_string() };
        Beat {
            member,
            epoch: r.member_epoch,
            instance: r.instance_id.map(|i| i.to_string()),
            client: client.into(),
            subscribed: r.subscribed_topic_names.map(|ts| ts.iter().map(|t| t.to_string()).collect()),
            owned,
            now: self.now.mono,
        }
    }

    fn beat_group(&mut self, id: &str, beat: Beat) -> Result<Answer, Code> {
        let counts: BTreeMap<String, i32> = self.topics.iter().map(|(n, t)| (n.clone(), t.count())).collect();
        let group = self.group(id)?;
        if !group.classic.members.is_empty() {
            return Err(code::GROUP_ID_NOT_FOUND);
        }
        let newcomer = !group.modern.members.contains_key(&beat.member);
        if newcomer && group.modern.members.len() >= group.members_max {
            return Err(code::GROUP_MAX_SIZE_REACHED);
        }
        group.modern.heartbeat(beat, &counts)
    }

    fn assignment(&self, places: &BTreeSet<Place>) -> Assignment {
        let topics = by_topic(places).into_iter().filter_map(|(t, ps)| {
            let id = self.topics.get(t)?.id;
            Some(TopicPartitions::default().with_topic_id(id).with_partitions(ps))
        });
        Assignment::default().with_topic_partitions(topics.collect())
    }

    pub(crate) fn consumer_group_describe(&self, r: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
        let groups = r.group_ids.into_iter().map(|id| match self.groups.get(id.as_str()) {
            Some(g) if !g.modern.members.is_empty() => self.describe_modern(id, g),
            _ => described::DescribedGroup::default().with_group_id(id).with_error_code(code::GROUP_ID_NOT_FOUND),
        });
        ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
    }

    fn describe_modern(&self, id: GroupId, g: &Group) -> described::DescribedGroup {
        let none = BTreeSet::new();
        let member = |(id, m): (&String, &Member)| {
            described::Member::default()
                .with_member_id(text(id))
                .with_instance_id(m.instance.as_ref().map(text))
                .with_client_id(text(&m.client))
                .with_client_host(text("/127.0.0.1"))
                .with_member_epoch(m.epoch)
                .with_subscribed_topic_names(m.subscribed.iter().map(|t| TopicName(text(t))).collect())
                .with_assignment(self.described(&m.owned))
                .with_target_assignment(self.described(g.modern.target.get(id).unwrap_or(&none)))
        };
        described::DescribedGroup::default()
            .with_group_id(id)
            .with_group_state(text(g.state_name()))
            .with_group_epoch(g.modern.epoch)
            .with_assignment_epoch(g.modern.epoch)
            .with_assignor_name(text("uniform"))
            .with_members(g.modern.members.iter().map(member).collect())
    }

    fn described(&self, places: &BTreeSet<Place>) -> described::Assignment {
        let topics = by_topic(places).into_iter().filter_map(|(t, ps)| {
            let id = self.topics.get(t)?.id;
            let topic = described::TopicPartitions::default().with_topic_id(id).with_topic_name(TopicName(text(t)));
            Some(topic.with_partitions(ps))
        });
        described::Assignment::default().with_topic_partitions(topics.collect())
    }
}

fn by_topic(places: &BTreeSet<Place>) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (t, p) in places {
        topics.entry(t).or_default().push(*p);
    }
    topics
}

//! Metadata, FindCoordinator, DescribeCluster: there is one node, and it is everything.
use crate::CLUSTER_ID;
use crate::code;
use crate::groups::classic::text;
use crate::state::State;
use crate::topics::{Topic, valid_name};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use std::collections::BTreeMap;

/// The one node.
const NODE: BrokerId = BrokerId(1);

impl State {
    fn host(&self) -> String {
        self.addr.ip().to_string()
    }

    fn port(&self) -> i32 {
        i32::from(self.addr.port())
    }

    pub(crate) fn metadata(&mut self, r: &MetadataRequest, v: i16) -> MetadataResponse {
        let may_create = v < 4 || r.allow_auto_topic_creation;
        let asked = r.topics.as_deref().filter(|t| v > 0 || !t.is_empty());
        let topics = match asked {
            None => self.topics.iter().map(|(n, t)| describe(n, Some(t))).collect(),
            Some(asked) => {
                let by_name = |s: &mut Self, n: &str| {
                    if may_create && !s.topics.contains_key(n) {
                        let partitions = s.default_partitions;
                        // What is wrong with the name is told below.
                        let _ = s.create_topic(n, partitions, BTreeMap::new());
                    }
                    describe(n, s.topics.get(n))
                };
                let mut topics = Vec::with_capacity(asked.len());
                for t in asked {
                    topics.push(match &t.name {
                        Some(n) => by_name(self, n),
                        None => self.describe_by_id(t.topic_id),
                    });
                }
                topics
            }
        };
        let node =
            MetadataResponseBroker::default().with_node_id(NODE).with_host(text(self.host())).with_port(self.port());
        MetadataResponse::default()
            .with_brokers(vec![node])
            .with_cluster_id(Some(text(CLUSTER_ID)))
            .with_controller_id(NODE)
            .with_topics(topics)
    }

    fn describe_by_id(&self, id: uuid::Uuid) -> MetadataResponseTopic {
        match self.topics.iter().find(|(_, t)| t.id == id) {
            Some((n, t)) => describe(n, Some(t)),
            None => describe("", None).with_topic_id(id),
        }
    }

    pub(crate) fn find_coordinator(&self, r: FindCoordinatorRequest, v: i16) -> FindCoordinatorResponse {
        if v < 4 {
            let answer = FindCoordinatorResponse::default().with_node_id(NODE);
            return answer.with_host(text(self.host())).with_port(self.port()).with_error_message(None);
        }
        let found = r.coordinator_keys.into_iter().map(|key| {
            let here = Coordinator::default().with_key(key).with_node_id(NODE);
            here.with_host(text(self.host())).with_port(self.port())
        });
        FindCoordinatorResponse::default().with_coordinators(found.collect())
    }

    pub(crate) fn describe_cluster(&self, _: &DescribeClusterRequest) -> DescribeClusterResponse {
        let node = DescribeClusterBroker::default().with_broker_id(NODE);
        DescribeClusterResponse::default()
            .with_cluster_id(text(CLUSTER_ID))
            .with_controller_id(NODE)
            .with_brokers(vec![node.with_host(text(self.host())).with_port(self.port())])
    }
}

fn describe(name: &str, topic: Option<&Topic>) -> MetadataResponseTopic {
    let answer = MetadataResponseTopic::default().with_name(Some(TopicName(text(name))));
    let Some(topic) = topic else {
        let valid = name.is_empty() || valid_name(name);
        return answer.with_error_code(if valid { code::UNKNOWN_TOPIC_OR_PARTITION } else { code::INVALID_TOPIC });
    };
    let partition = |p| {
        MetadataResponsePartition::default()
            .with_partition_index(p)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    answer.with_topic_id(topic.id).with_partitions((0..topic.count()).map(partition).collect())
}

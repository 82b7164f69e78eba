//! What became of letters.
use super::{Addressee, Letters, failed};
use crate::error::HerderError;
use crate::positions::group;
use elasticflow_api::position::TopicPartition;
use elasticflow_kafka::ports::KafkaError;
use elasticflow_protocol::{LetterState, ReplayEntry, replay_topic};
use elasticflow_store::follow::read_to_end;
use std::collections::HashMap;

/// The replay topic of one connector, folded.
#[derive(Default)]
pub(super) struct States {
    last: HashMap<String, (ReplayEntry, i64)>,
    /// First offset that the group has not passed.
    passed: i64,
    /// Whether the group has ever read the topic.
    pub(super) is_read: bool,
}

impl States {
    pub(super) fn of(&self, id: &str) -> LetterState {
        LetterState::of(self.last.get(id).map(|(entry, offset)| (entry, *offset)), self.passed)
    }
}

impl Letters {
    pub(super) fn replay_topic(&self, of: &Addressee) -> String {
        replay_topic(&self.cx.options.group_id, &of.name)
    }

    /// Reads the replay topic to its end; a connector without one has only open letters.
    pub(super) async fn states(&self, of: &Addressee) -> Result<States, HerderError> {
        let topic = self.replay_topic(of);
        let there = self.kafka.admin().partitions_of(&topic).await.map_err(|e| failed("look a topic up", &e))?;
        if there.is_none() {
            return Ok(States::default());
        }
        let group = group(&of.name, &of.config);
        let offsets = self.kafka.admin().group_offsets(&group).await.map_err(|e| failed("read offsets", &e))?;
        let at = TopicPartition { topic: topic.as_str().into(), partition: 0 };
        let passed = offsets.get(&at).map(|offset| offset.0);
        let mut states = States { last: HashMap::new(), passed: passed.unwrap_or(0), is_read: passed.is_some() };
        self.fold(&topic, &mut states).await.map_err(|e| failed("read the replay topic", &e))?;
        Ok(states)
    }

    async fn fold(&self, topic: &str, states: &mut States) -> Result<(), KafkaError> {
        let log = self.kafka.log(topic).await?;
        read_to_end(log.as_ref(), |record| {
            let id = String::from_utf8_lossy(&record.key).into_owned();
            let entry = record.value.as_deref().and_then(ReplayEntry::decode);
            match entry {
                // Only whether it is to be put again matters here, not with what.
                Some(ReplayEntry::Put(put)) => {
                    let slim = ReplayEntry::Put(elasticflow_protocol::Replayed {
                        value: None,
                        key: None,
                        headers: Vec::new(),
                        ..put
                    });
                    states.last.insert(id, (slim, record.offset.0));
                }
                Some(entry) => drop(states.last.insert(id, (entry, record.offset.0))),
                None => drop(states.last.remove(&id)),
            }
        })
        .await
    }
}

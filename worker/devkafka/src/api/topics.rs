//! CreateTopics, DeleteTopics, CreatePartitions.
use crate::code::{self, Code};
use crate::groups::classic::text;
use crate::state::State;
use crate::topics::{DEFAULTS, valid_config, valid_name};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse,
};

/// A code, and what to do about it.
type Refusal = (Code, String);

impl State {
    pub(crate) fn create_topics(&mut self, r: CreateTopicsRequest) -> CreateTopicsResponse {
        let topics = r.topics.into_iter().map(|t| {
            let n = self.asked_partitions(&t);
            let result = self.create(&t, n, r.validate_only);
            let id = self.topics.get(t.name.as_str()).map(|t| t.id).unwrap_or_default();
            let answer = CreatableTopicResult::default()
                .with_name(t.name)
                .with_topic_id(id)
                .with_num_partitions(n)
                .with_replication_factor(1)
                .with_configs(Some(vec![]));
            match result {
                Ok(()) => answer,
                Err((code, why)) => answer.with_error_code(code).with_error_message(Some(text(why))),
            }
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    }

    fn asked_partitions(&self, t: &CreatableTopic) -> i32 {
        match (t.assignments.len(), t.num_partitions) {
            (0, n) if n < 0 => self.default_partitions,
            (0, n) => n,
            (assigned, _) => i32::try_from(assigned).unwrap_or(i32::MAX),
        }
    }

    fn create(&mut self, t: &CreatableTopic, n: i32, dry: bool) -> Result<(), Refusal> {
        if n < 1 {
            return Err((code::INVALID_PARTITIONS, "a topic has at least one partition".into()));
        }
        if t.replication_factor > 1 {
            let why = "the development broker is one node: set the replication factor to 1 or -1";
            return Err((code::INVALID_REPLICATION_FACTOR, why.into()));
        }
        check_configs(t)?;
        if dry {
            return self.creatable(&t.name).map_err(|c| (c, explain(c, &t.name)));
        }
        let set = t.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
        self.create_topic(&t.name, n, set.collect()).map_err(|c| (c, explain(c, &t.name)))
    }

    fn creatable(&self, name: &str) -> Result<(), Code> {
        if !valid_name(name) {
            return Err(code::INVALID_TOPIC);
        }
        if self.topics.contains_key(name) { Err(code::TOPIC_ALREADY_EXISTS) } else { Ok(()) }
    }

    pub(crate) fn delete_topics(&mut self, r: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let deleted = r.topic_names.into_iter().map(|t| {
            let result = self.delete_topic(&t);
            DeletableTopicResult::default().with_name(Some(t)).with_error_code(super::code_of(&result))
        });
        DeleteTopicsResponse::default().with_responses(deleted.collect())
    }

    pub(crate) fn create_partitions(&mut self, r: CreatePartitionsRequest) -> CreatePartitionsResponse {
        let grown = r.topics.into_iter().map(|t| {
            let result = self.grow_topic(&t.name, t.count, r.validate_only);
            CreatePartitionsTopicResult::default().with_name(t.name).with_error_code(super::code_of(&result))
        });
        CreatePartitionsResponse::default().with_results(grown.collect())
    }
}

fn check_configs(t: &CreatableTopic) -> Result<(), Refusal> {
    for c in &t.configs {
        if !DEFAULTS.iter().any(|d| d.0 == c.name.as_str()) {
            return Err((code::INVALID_CONFIG, format!("unknown topic configuration {}", c.name.as_str())));
        }
        if c.value.as_ref().is_some_and(|v| !valid_config(&c.name, v)) {
            return Err((
                code::INVALID_CONFIG,
                format!("the value of topic configuration {} is wrong", c.name.as_str()),
            ));
        }
    }
    Ok(())
}

fn explain(code: Code, topic: &str) -> String {
    match code {
        code::INVALID_TOPIC => "a topic name has 1 to 249 letters, digits, dots, underscores and hyphens".into(),
        code::TOPIC_ALREADY_EXISTS => format!("topic {topic} exists already"),
        code::POLICY_VIOLATION => "the development broker holds no more partitions: delete topics, or use Kafka".into(),
        _ => "the partition files cannot be created: see the broker's log".into(),
    }
}

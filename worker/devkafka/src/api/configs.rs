//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.
use crate::code;
use crate::groups::classic::text;
use crate::state::State;
use crate::topics::{ConfigChange, DEFAULTS, Topic};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Incremented;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

/// Resource types.
const TOPIC: i8 = 2;
/// Sources of a value.
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;

impl State {
    pub(crate) fn describe_configs(&self, r: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let results = r.resources.into_iter().map(|q| {
            let answer = DescribeConfigsResult::default()
                .with_resource_type(q.resource_type)
                .with_resource_name(q.resource_name.clone());
            if q.resource_type != TOPIC {
                return answer.with_configs(vec![self.broker_config()]);
            }
            match self.topics.get(q.resource_name.as_str()) {
                None => answer.with_error_code(code::UNKNOWN_TOPIC_OR_PARTITION),
                Some(topic) => answer.with_configs(topic_configs(&q, topic)),
            }
        });
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn broker_config(&self) -> DescribeConfigsResourceResult {
        DescribeConfigsResourceResult::default()
            .with_name(text("num.partitions"))
            .with_value(Some(text(self.default_partitions.to_string())))
            .with_config_source(FROM_DEFAULT)
            .with_read_only(true)
    }

    pub(crate) fn alter_configs(&mut self, r: AlterConfigsRequest) -> AlterConfigsResponse {
        let results = r.resources.into_iter().map(|q| {
            let change = |(name, value)| ConfigChange { name, operation: 0, value };
            let set = q.configs.iter().map(|c| (c.name.to_string(), c.value.as_ref().map(ToString::to_string)));
            let result = if q.resource_type == TOPIC {
                self.alter_topic(&q.resource_name, set.map(change).collect(), true, r.validate_only)
            } else {
                Err(code::INVALID_REQUEST)
            };
            Altered::default()
                .with_error_code(super::code_of(&result))
                .with_resource_type(q.resource_type)
                .with_resource_name(q.resource_name)
        });
        AlterConfigsResponse::default().with_responses(results.collect())
    }

    pub(crate) fn incremental_alter_configs(
        &mut self,
        r: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let results = r.resources.into_iter().map(|q| {
            let changes = q.configs.iter().map(|c| ConfigChange {
                name: c.name.to_string(),
                operation: c.config_operation,
                value: c.value.as_ref().map(ToString::to_string),
            });
            let result = if q.resource_type == TOPIC {
                self.alter_topic(&q.resource_name, changes.collect(), false, r.validate_only)
            } else {
                Err(code::INVALID_REQUEST)
            };
            Incremented::default()
                .with_error_code(super::code_of(&result))
                .with_resource_type(q.resource_type)
                .with_resource_name(q.resource_name)
        });
        IncrementalAlterConfigsResponse::default().with_responses(results.collect())
    }
}

fn topic_configs(q: &DescribeConfigsResource, topic: &Topic) -> Vec<DescribeConfigsResourceResult> {
    let asked = |name: &str| q.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|k| k.as_str() == name));
    DEFAULTS
        .iter()
        .filter(|d| asked(d.0))
        .map(|d| {
            let source = if topic.configs.contains_key(d.0) { FROM_TOPIC } else { FROM_DEFAULT };
            DescribeConfigsResourceResult::default()
                .with_name(text(d.0))
                .with_value(Some(text(topic.config(d.0))))
                .with_config_source(source)
        })
        .collect()
}

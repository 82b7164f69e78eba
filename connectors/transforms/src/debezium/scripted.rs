//! What would run a script on every record: refused by name, so that the reason is seen.
use crate::error::config;
use crate::plugins::entry;
use elasticflow_api::Result;
use elasticflow_api::convert::Transform;
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::Properties;
use std::sync::Arc;

const REMARKS: &str = "refused: scripts are not run";

pub(super) fn plugins() -> Vec<PluginEntry> {
    let refused = |class, plugin| PluginEntry { remarks: REMARKS, ..entry(class, &[], plugin) };
    vec![
        refused("io.debezium.transforms.ContentBasedRouter", Plugin::Transform(router)),
        refused("io.debezium.transforms.Filter", Plugin::Transform(filter)),
    ]
}

fn router(_: &Properties) -> Result<Arc<dyn Transform>> {
    Err(config(
        "io.debezium.transforms.ContentBasedRouter runs a script on every record, and scripts are not run here: use RegexRouter, TimestampRouter or ByLogicalTableRouter, with a predicate where only some records are to be routed",
    ))
}

fn filter(_: &Properties) -> Result<Arc<dyn Transform>> {
    Err(config(
        "io.debezium.transforms.Filter runs a script on every record, and scripts are not run here: use org.apache.kafka.connect.transforms.Filter with one of the predicates HasHeaderKey, RecordIsTombstone, TopicNameMatches",
    ))
}

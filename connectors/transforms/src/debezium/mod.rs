//! Transforms under Debezium's names, for its envelopes.
//!
//! Records that are no envelopes (schema changes, heartbeats) pass unchanged. What would run a script is refused by name
//! with the reason and what to use instead.
mod added_fields;
mod dropped_fields;
mod envelope;
mod event_json;
mod event_router;
mod header_to_value;
mod logical_table_router;
mod new_record_state;
mod scripted;

use crate::plugins::entry;
use crate::side::{Side, whole};
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::Settings;
use event_router::{EventRouter, EventRouterConfig};
use header_to_value::{HeaderToValue, HeaderToValueConfig};
use logical_table_router::{ByLogicalTableRouter, ByLogicalTableRouterConfig};
use new_record_state::{ExtractNewRecordState, ExtractNewRecordStateConfig};

/// Every one of them.
pub(crate) fn plugins() -> Vec<PluginEntry> {
    let mut entries = vec![
        PluginEntry {
            aliases: &["unwrap"],
            ..entry(
                "io.debezium.transforms.ExtractNewRecordState",
                ExtractNewRecordStateConfig::keys(),
                Plugin::Transform(|p| whole::<ExtractNewRecordState>(p, Side::Value)),
            )
        },
        entry(
            "io.debezium.transforms.ByLogicalTableRouter",
            ByLogicalTableRouterConfig::keys(),
            Plugin::Transform(|p| whole::<ByLogicalTableRouter>(p, Side::Value)),
        ),
        PluginEntry {
            aliases: &["outbox"],
            ..entry(
                "io.debezium.transforms.outbox.EventRouter",
                EventRouterConfig::keys(),
                Plugin::Transform(|p| whole::<EventRouter>(p, Side::Value)),
            )
        },
        entry(
            "io.debezium.transforms.HeaderToValue",
            HeaderToValueConfig::keys(),
            Plugin::Transform(|p| whole::<HeaderToValue>(p, Side::Value)),
        ),
    ];
    entries.extend(scripted::plugins());
    entries
}

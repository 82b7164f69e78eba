//! What every SQL sink connector does beside its tasks.
use super::offsets::Offsets;
use crate::config::{Delivery, InsertMode, PkMode, SinkKeys};
use crate::error::Error;
use crate::session::Database;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::error::Result;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::PublishKind;
use std::collections::BTreeMap;

/// What the settings promise. Upserts and deletes end in the same rows when they are repeated, but in between a reader may
/// see older ones, so that this is no more than at-least-once without the offset table.
pub fn guarantee(keys: &SinkKeys) -> Guarantee {
    match keys.delivery {
        Delivery::ExactlyOnce => Guarantee::ExactlyOnce,
        Delivery::AtLeastOnce => Guarantee::AtLeastOnce,
    }
}

/// Equal tasks: the consumer group spreads the partitions.
pub fn plan(tasks_max: usize) -> Vec<TaskConfig> {
    vec![TaskConfig::default(); tasks_max.max(1)]
}

/// What a batch can do when it is published as a whole. Deletes are of rows of the batch itself, so that they mean something
/// only where the batch is everything; changes of rows that exist need rows that a staging table does not have.
pub fn publishes(keys: &SinkKeys) -> &'static [PublishKind] {
    if keys.delivery == Delivery::AtLeastOnce || keys.insert_mode == InsertMode::Update {
        return &[];
    }
    match (keys.delete_enabled, keys.pk_mode) {
        (true, _) => &[PublishKind::Replace],
        (false, PkMode::None) => &[PublishKind::Append, PublishKind::Replace],
        (false, _) => &[PublishKind::Append, PublishKind::Upsert, PublishKind::Replace],
    }
}

/// Settings that contradict each other.
pub fn check_keys(keys: &SinkKeys, report: &mut ValidationReport) {
    if keys.insert_mode != InsertMode::Insert && keys.pk_mode == PkMode::None {
        report.error("pk.mode", format!("insert.mode={} needs a primary key; set pk.mode", keys.insert_mode.word()));
    }
    if keys.delete_enabled && keys.pk_mode != PkMode::RecordKey {
        report.error("delete.enabled", "deletes need pk.mode=record_key: a null value carries the key alone");
    }
    if keys.pk_mode == PkMode::Kafka && !matches!(keys.pk_fields.len(), 0 | 3) {
        report.error("pk.fields", "pk.mode=kafka takes no names or three: for topic, partition and offset");
    }
    if keys.pk_mode == PkMode::RecordValue && keys.pk_fields.is_empty() {
        report.error("pk.fields", "pk.mode=record_value needs the names of the fields");
    }
    let rest = keys.table_name_format.replace("${topic.last}", "").replace("${topic}", "");
    if rest.contains("${") {
        report.error("table.name.format", "knows ${topic} and ${topic.last} alone");
    }
    if keys.table_name_format.is_empty() || keys.offset_table.is_empty() {
        report.error("table.name.format", "names of tables must not be empty");
    }
}

/// Writes offsets that a user has changed, and raises the epochs.
///
/// # Errors
/// The database does not take them.
pub async fn alter_offsets(
    database: &dyn Database,
    keys: &SinkKeys,
    id: &TaskId,
    offsets: &BTreeMap<TopicPartition, Option<Offset>>,
) -> Result<()> {
    if keys.delivery == Delivery::AtLeastOnce {
        return Ok(());
    }
    let mut session = database.connect().await.map_err(Error::at("connecting"))?;
    let table = Offsets::new(database.dialect(), id, &keys.offset_table);
    table.create(session.as_mut()).await?;
    super::reset::unstage(database.dialect(), session.as_mut(), keys, id, offsets).await?;
    table.alter(session.as_mut(), offsets).await?;
    session.close().await;
    Ok(())
}

/// Empties the rows of partitions whose offsets a user has changed, for a sink whose offsets are the group's: the offset
/// table may hold older ones, which would count.
///
/// # Errors
/// The database does not take it.
pub async fn forget_offsets(
    database: &dyn Database,
    keys: &SinkKeys,
    id: &TaskId,
    offsets: &BTreeMap<TopicPartition, Option<Offset>>,
) -> Result<()> {
    let mut session = database.connect().await.map_err(Error::at("connecting"))?;
    let table = Offsets::new(database.dialect(), id, &keys.offset_table);
    if table.exists(session.as_mut()).await? {
        let none = offsets.keys().map(|tp| (tp.clone(), None)).collect();
        table.alter(session.as_mut(), &none).await?;
    }
    session.close().await;
    Ok(())
}

//! What an altered offset does to batches that are being staged.
use super::batches::Ledger;
use super::staging::exists;
use crate::config::SinkKeys;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::session::Session;
use crate::table::TableName;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use std::collections::BTreeMap;

/// Throws away what is staged when every offset is forgotten: it is staged again. Offsets of a part of what is staged cannot
/// be altered: rows would be there twice, or not at all.
///
/// # Errors
/// `Config` when a part is to be altered.
pub(super) async fn unstage(
    dialect: &'static dyn Dialect,
    session: &mut dyn Session,
    keys: &SinkKeys,
    id: &TaskId,
    offsets: &BTreeMap<TopicPartition, Option<Offset>>,
) -> Result<(), Error> {
    let schema = TableName::parse(&keys.offset_table).schema;
    let mut ledger = Ledger { dialect, id, session, schema };
    let name = ledger.name();
    if offsets.is_empty() || !exists(dialect, &mut *ledger.session, &name).await? {
        return Ok(());
    }
    let staged = ledger.rows(None, "").await?;
    if staged.is_empty() {
        return Ok(());
    }
    if offsets.values().any(Option::is_some) {
        let text = "a batch is staged and not published, so that its offsets cannot be moved in part; wait until it is published, or delete all offsets of the connector: the batch is then staged again".to_owned();
        return Err(Error::Config { code: "SQL-0062", text });
    }
    ledger.settle(&staged, "dropped").await?;
    ledger.clean(&staged, false).await;
    Ok(())
}

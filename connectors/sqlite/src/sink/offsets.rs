//! The offset table: next offset and owner epoch of each partition, in the data's own transaction.
use crate::connection::quoted;
use crate::error::Error;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;

/// Access to the offset table; the statements are built once.
pub(crate) struct Offsets {
    id: TaskId,
    insert: String,
    select: String,
    raise: String,
    update: String,
}

/// What the table says of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// First offset that is not applied; `None` before the first put.
    pub(crate) next: Option<Offset>,
    /// Raised by each owner.
    pub(crate) epoch: i64,
}

impl Offsets {
    /// Creates the table where it is missing.
    pub(crate) fn create(connection: &Connection, table: &str, id: &TaskId) -> Result<Self, Error> {
        let t = quoted(table);
        let ddl = format!(
            "CREATE TABLE IF NOT EXISTS {t} (group_id TEXT NOT NULL, connector TEXT NOT NULL, topic TEXT NOT NULL, \
             kafka_partition INTEGER NOT NULL, next_offset INTEGER, epoch INTEGER NOT NULL, owner TEXT, updated_at INTEGER, \
             PRIMARY KEY (group_id, connector, topic, kafka_partition)) WITHOUT ROWID"
        );
        connection.execute(&ddl, []).map_err(Error::at(format!("cannot create the offset table {table}")))?;
        let one = "group_id = ?1 AND connector = ?2 AND topic = ?3 AND kafka_partition = ?4";
        Ok(Self {
            id: id.clone(),
            insert: format!("INSERT INTO {t} VALUES (?1, ?2, ?3, ?4, NULL, 0, NULL, NULL) ON CONFLICT DO NOTHING"),
            select: format!("SELECT next_offset, epoch FROM {t} WHERE {one}"),
            raise: format!("UPDATE {t} SET epoch = epoch + 1, owner = ?5 WHERE {one}"),
            update: format!("UPDATE {t} SET next_offset = ?5, updated_at = ?6 WHERE {one}"),
        })
    }

    /// Raises the epoch of a partition and answers the row as it is then.
    pub(crate) fn raise(&self, tx: &Transaction<'_>, tp: &TopicPartition) -> Result<Stored, Error> {
        let (group, connector) = (&*self.id.group, &*self.id.connector);
        let at = || Error::at("cannot raise the owner epoch in the offset table");
        let mut insert = tx.prepare_cached(&self.insert).map_err(at())?;
        insert.execute(params![group, connector, &*tp.topic, tp.partition]).map_err(at())?;
        let mut raise = tx.prepare_cached(&self.raise).map_err(at())?;
        raise.execute(params![group, connector, &*tp.topic, tp.partition, self.id.to_string()]).map_err(at())?;
        let stored = self.read(tx, tp)?;
        stored.ok_or_else(|| Error::Bug("the row of a partition vanished inside a transaction".to_owned()))
    }

    /// Reads the row of a partition.
    pub(crate) fn read(&self, tx: &Transaction<'_>, tp: &TopicPartition) -> Result<Option<Stored>, Error> {
        let at = || Error::at("cannot read the offset table");
        let mut select = tx.prepare_cached(&self.select).map_err(at())?;
        let row = select.query_row(params![&*self.id.group, &*self.id.connector, &*tp.topic, tp.partition], |row| {
            Ok(Stored { next: row.get::<_, Option<i64>>(0)?.map(Offset), epoch: row.get(1)? })
        });
        row.optional().map_err(at())
    }

    /// Moves the next offset.
    pub(crate) fn advance(
        &self,
        tx: &Transaction<'_>,
        tp: &TopicPartition,
        next: Offset,
        now_ms: i64,
    ) -> Result<(), Error> {
        let at = || Error::at("cannot move the offset in the offset table");
        let mut update = tx.prepare_cached(&self.update).map_err(at())?;
        let (group, connector) = (&*self.id.group, &*self.id.connector);
        let changed =
            update.execute(params![group, connector, &*tp.topic, tp.partition, next.0, now_ms]).map_err(at())?;
        if changed == 1 { Ok(()) } else { Err(Error::Bug("the offset row of an open partition is missing".to_owned())) }
    }

    /// Sets or forgets offsets on behalf of a user, and raises the epochs so that an owner that still runs is refused.
    pub(crate) fn alter(
        &self,
        connection: &mut Connection,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), Error> {
        let at = || Error::at("cannot alter the offset table");
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at())?;
        for (tp, next) in offsets {
            self.raise(&tx, tp)?;
            let next = next.map(|Offset(next)| next);
            let (group, connector) = (&*self.id.group, &*self.id.connector);
            tx.execute(&self.update, params![group, connector, &*tp.topic, tp.partition, next, None::<i64>])
                .map_err(at())?;
        }
        tx.commit().map_err(at())
    }
}

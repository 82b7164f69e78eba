//! The offset table: next offset and owner epoch of each partition, in the data's own transaction.
use crate::dialect::Dialect;
use crate::error::{Error, Trouble};
use crate::session::{Session, number, text};
use crate::table::TableName;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Access to the offset table of one connector.
pub(crate) struct Offsets {
    dialect: &'static dyn Dialect,
    id: TaskId,
    table: TableName,
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
    pub(crate) fn new(dialect: &'static dyn Dialect, id: &TaskId, table: &str) -> Self {
        Self { dialect, id: id.clone(), table: TableName::parse(table) }
    }

    /// Creates the table where it is missing.
    pub(crate) async fn create(&self, session: &mut dyn Session) -> Result<(), Error> {
        if self.exists(session).await? {
            return Ok(());
        }
        let ddl = self.dialect.offset_table_ddl(&self.table.quoted(self.dialect));
        let Err(answer) = session.execute(&ddl).await else { return Ok(()) };
        // Another task creates it at the same moment.
        if answer.trouble == Trouble::Passing && self.exists(session).await? {
            return Ok(());
        }
        Err(match answer.trouble {
            Trouble::Config | Trouble::Structure => Error::Config {
                code: "SQL-0050",
                text: format!(
                    "offset table {} does not exist and cannot be created ({}); create it with: {ddl}",
                    self.table, answer.text
                ),
            },
            _ => Error::Database { doing: format!("creating the offset table {}", self.table), answer },
        })
    }

    /// Whether the table is there.
    pub(crate) async fn exists(&self, session: &mut dyn Session) -> Result<bool, Error> {
        let columns = session.rows(&self.dialect.describe(&self.table)).await;
        Ok(columns.map_err(Error::at("looking for the offset table"))?.len() >= COLUMNS)
    }

    /// Raises the epochs of partitions, inside a transaction, and answers the rows as they are then.
    pub(crate) async fn raise(
        &self,
        session: &mut dyn Session,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Stored>, Error> {
        let doing = || Error::at("raising owner epochs in the offset table");
        let (head, tail) = self.dialect.insert_absent();
        let quoted = self.table.quoted(self.dialect);
        let mut by_slot: Vec<(String, &TopicPartition)> = partitions.iter().map(|tp| (self.slot(tp), tp)).collect();
        by_slot.sort();
        let rows: Vec<String> = by_slot.iter().map(|(slot, tp)| self.fresh_row(slot, tp)).collect();
        let insert = format!(
            "{head} {quoted} (slot_id,group_id,connector,topic,kafka_partition,next_offset,epoch,owner,updated_at) VALUES {}{tail}",
            rows.join(",")
        );
        session.execute(&insert).await.map_err(doing())?;
        let before = self.lock(session, partitions).await?;
        let slots: Vec<String> = by_slot.iter().map(|(slot, _)| format!("'{slot}'")).collect();
        let owner = self.dialect.text_literal(&self.id.to_string());
        let update = format!(
            "UPDATE {quoted} SET epoch = epoch + 1, owner = {owner}, updated_at = {} WHERE slot_id IN ({})",
            self.dialect.now(),
            slots.join(",")
        );
        session.execute(&update).await.map_err(doing())?;
        if before.len() != partitions.len() {
            return Err(Error::Bug("the row of a partition vanished inside a transaction"));
        }
        Ok(before.into_iter().map(|(tp, row)| (tp, Stored { epoch: row.epoch + 1, ..row })).collect())
    }

    fn fresh_row(&self, slot: &str, tp: &TopicPartition) -> String {
        let literal = |text: &str| self.dialect.text_literal(text);
        format!(
            "('{slot}',{},{},{},{},NULL,0,NULL,{})",
            literal(&self.id.group),
            literal(&self.id.connector),
            literal(&tp.topic),
            tp.partition,
            self.dialect.now()
        )
    }

    /// Reads the rows of partitions with a lock that lasts until the transaction ends, in the order of their slots.
    pub(crate) async fn lock(
        &self,
        session: &mut dyn Session,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Stored>, Error> {
        let by_slot: BTreeMap<String, &TopicPartition> = partitions.iter().map(|tp| (self.slot(tp), tp)).collect();
        let slots: Vec<String> = by_slot.keys().map(|slot| format!("'{slot}'")).collect();
        let select = format!(
            "SELECT slot_id, next_offset, epoch FROM {} WHERE slot_id IN ({}) ORDER BY slot_id{}",
            self.table.quoted(self.dialect),
            slots.join(","),
            self.dialect.lock_suffix()
        );
        let rows = session.rows(&select).await.map_err(Error::at("locking rows of the offset table"))?;
        let mut stored = BTreeMap::new();
        for row in &rows {
            let tp = text(row, 0).and_then(|slot| by_slot.get(slot));
            let (Some(tp), Some(epoch)) = (tp, number(row, 2)) else {
                return Err(Error::Bug("a row of the offset table cannot be read"));
            };
            stored.insert((*tp).clone(), Stored { next: number(row, 1).map(Offset), epoch });
        }
        Ok(stored)
    }

    /// Moves next offsets of an owner, inside the transaction that has locked the rows.
    pub(crate) async fn advance(
        &self,
        session: &mut dyn Session,
        next: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), Error> {
        if next.is_empty() {
            return Ok(());
        }
        let moved: BTreeMap<String, Option<Offset>> = next.iter().map(|(tp, o)| (self.slot(tp), Some(*o))).collect();
        let changed = self.set(session, &moved, "moving offsets in the offset table").await?;
        if changed == moved.len() as u64 {
            Ok(())
        } else {
            Err(Error::Bug("an offset row of an open partition is missing"))
        }
    }

    async fn set(
        &self,
        session: &mut dyn Session,
        slots: &BTreeMap<String, Option<Offset>>,
        doing: &'static str,
    ) -> Result<u64, Error> {
        let case = |(slot, next): (&String, &Option<Offset>)| {
            let next = next.map_or_else(|| "NULL".to_owned(), |Offset(next)| next.to_string());
            format!(" WHEN '{slot}' THEN {next}")
        };
        let cases: String = slots.iter().map(case).collect();
        let list: Vec<String> = slots.keys().map(|slot| format!("'{slot}'")).collect();
        let update = format!(
            "UPDATE {} SET next_offset = CASE slot_id{cases} ELSE next_offset END, updated_at = {} WHERE slot_id IN ({})",
            self.table.quoted(self.dialect),
            self.dialect.now(),
            list.join(",")
        );
        session.execute(&update).await.map_err(Error::at(doing))
    }

    /// Empties rows of partitions whose offsets are kept elsewhere from now on, inside a transaction.
    pub(crate) async fn empty(&self, session: &mut dyn Session, partitions: &[TopicPartition]) -> Result<(), Error> {
        let slots = partitions.iter().map(|tp| (self.slot(tp), None)).collect();
        self.set(session, &slots, "emptying rows of the offset table").await.map(drop)
    }

    /// Sets or forgets offsets on behalf of a user, and raises the epochs so that an owner that still runs is refused.
    pub(crate) async fn alter(
        &self,
        session: &mut dyn Session,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let doing = || Error::at("altering the offset table");
        session.execute(self.dialect.begin()).await.map_err(doing())?;
        let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
        self.raise(session, &partitions).await?;
        let slots = offsets.iter().map(|(tp, next)| (self.slot(tp), *next)).collect();
        self.set(session, &slots, "altering the offset table").await?;
        session.execute("COMMIT").await.map(drop).map_err(doing())
    }

    /// Key of a partition's row: short, and free of collations.
    fn slot(&self, tp: &TopicPartition) -> String {
        let mut hash = Sha256::new();
        for part in [&*self.id.group, &*self.id.connector, &*tp.topic] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(tp.partition.to_string().as_bytes());
        let mut out = String::with_capacity(64);
        crate::cell::write_hex(&hash.finalize(), &mut out);
        out
    }
}

/// Columns of the offset table.
const COLUMNS: usize = 9;

//! Atomic batches: rows are written to tables beside the real ones, and join these or take their place at once.
//!
//! A ledger in the same database says for each batch, attempt and table how far it is, and how many records each task has
//! staged; it is written in the transaction that stages and in the one that publishes, under the owner epochs, so that what
//! was done is recognised by whoever comes later. Creating a staging table destroys nothing, so an owner that was frozen in
//! the middle of it harms nobody. Publishing is one transaction. Where statements that define tables commit by themselves
//! (MySQL), replacing is one `RENAME TABLE` over all tables instead: a table that is no longer there under its staging name
//! has been renamed.
use super::kept::KEPT;
use super::staging::{columns, copy_ddl, exists, hash, name_of};
use super::task::SqlSink;
use crate::dialect::Dialect;
use crate::error::{Error, Trouble};
use crate::session::{Session, TextRow, number, text};
use crate::table::TableName;
use async_trait::async_trait;
use elasticflow_api::position::{BatchId, TaskId};
use elasticflow_api::sink::{Announced, AtomicBatches, BatchPart, PublishKind, Published};

/// The ledger; it stands in the schema of the offset table.
const LEDGER: &str = "elasticflow_batches";

/// A row of the ledger: of a table, or of what a task has staged.
pub(super) struct Row {
    key: String,
    /// Empty in the row of a task.
    pub(super) live: String,
    stage: String,
    key_columns: String,
    attempt: i64,
    /// Of a task: what it has staged. Of a table whose replaced version is kept: which of its versions that is, in order.
    pub(super) records: i64,
    state: String,
}

/// What a batch has staged of one table.
pub(super) struct Staged {
    pub(super) key: String,
    pub(super) live: TableName,
    pub(super) stage: TableName,
    key_columns: String,
}

/// The ledger of one connector.
pub(crate) struct Ledger<'a> {
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) id: &'a TaskId,
    pub(crate) session: &'a mut dyn Session,
    /// Schema of the offset table.
    pub(crate) schema: Option<String>,
}

impl Ledger<'_> {
    pub(super) fn name(&self) -> TableName {
        TableName { schema: self.schema.clone(), table: LEDGER.to_owned() }
    }

    pub(super) fn table(&self) -> String {
        self.name().quoted(self.dialect)
    }

    fn owner(&self) -> String {
        hash(&[&self.id.group, &self.id.connector])
    }

    pub(super) async fn run(&mut self, sql: &str, doing: &'static str) -> Result<u64, Error> {
        self.session.execute(sql).await.map_err(Error::at(doing))
    }

    /// Creates the ledger where it is missing.
    pub(crate) async fn create(&mut self) -> Result<(), Error> {
        let name = self.name();
        if exists(self.dialect, &mut *self.session, &name).await? {
            return Ok(());
        }
        let ddl = format!(
            "CREATE TABLE IF NOT EXISTS {} (slot_id CHAR(64) NOT NULL PRIMARY KEY, owner CHAR(64) NOT NULL, \
             batch_id VARCHAR(400) NOT NULL, live VARCHAR(255) NOT NULL, stage VARCHAR(255) NOT NULL, \
             key_columns VARCHAR(4000) NOT NULL, attempt INTEGER NOT NULL, records BIGINT NOT NULL, state VARCHAR(16) NOT NULL)",
            self.table()
        );
        let Err(answer) = self.session.execute(&ddl).await else { return Ok(()) };
        // Another task creates it at the same moment.
        if answer.trouble == Trouble::Passing && exists(self.dialect, &mut *self.session, &name).await? {
            return Ok(());
        }
        let text = format!("the ledger of batches cannot be created ({answer}); create it with: {ddl}");
        Err(Error::Config { code: "SQL-0050", text })
    }

    /// In the transaction that stages: what it adds to the batch.
    pub(crate) async fn note(
        &mut self,
        part: &BatchPart,
        tables: &[(TableName, TableName, String)],
        records: u64,
    ) -> Result<(), Error> {
        let doing = "writing the ledger of batches";
        let task = self.id.task.0.to_string();
        let key_of =
            |what: &str| hash(&[&self.id.group, &self.id.connector, &part.batch.0, &part.attempt.to_string(), what]);
        let counter = key_of(&format!("\0{task}"));
        let mut rows = vec![self.row(&counter, part, ["", &task, ""])];
        let mut keys = Vec::new();
        for (live, stage, key_columns) in tables {
            let (live, stage) = (live.to_string(), stage.to_string());
            let key = key_of(&live);
            rows.push(self.row(&key, part, [&live, &stage, key_columns]));
            keys.push(format!("'{key}'"));
        }
        let (head, tail) = self.dialect.insert_absent();
        let insert = format!(
            "{head} {} (slot_id,owner,batch_id,live,stage,key_columns,attempt,records,state) VALUES {}{tail}",
            self.table(),
            rows.join(",")
        );
        self.run(&insert, doing).await?;
        // A batch that was published or dropped is staged again when its offsets were set back: it counts from nothing.
        let count = format!(
            "UPDATE {} SET records = CASE state WHEN 'staging' THEN records + {records} ELSE {records} END, state = 'staging' \
             WHERE slot_id = '{counter}'",
            self.table()
        );
        self.run(&count, doing).await?;
        if keys.is_empty() {
            return Ok(());
        }
        let again =
            format!("UPDATE {} SET state = 'staging', records = 0 WHERE slot_id IN ({})", self.table(), keys.join(","));
        self.run(&again, doing).await.map(drop)
    }

    fn row(&self, key: &str, part: &BatchPart, [live, stage, key_columns]: [&str; 3]) -> String {
        let literal = |text: &str| self.dialect.text_literal(text);
        format!(
            "('{key}','{}',{},{},{},{},{},0,'staging')",
            self.owner(),
            literal(&part.batch.0),
            literal(live),
            literal(stage),
            literal(key_columns),
            part.attempt
        )
    }

    /// The rows of a batch, or of all that are being staged.
    pub(super) async fn rows(&mut self, batch: Option<&BatchId>, lock: &str) -> Result<Vec<Row>, Error> {
        let which = match batch {
            Some(batch) => format!("batch_id = {}", self.dialect.text_literal(&batch.0)),
            None => "state = 'staging'".to_owned(),
        };
        self.select(&which, lock).await
    }

    pub(super) async fn select(&mut self, which: &str, lock: &str) -> Result<Vec<Row>, Error> {
        let query = format!(
            "SELECT slot_id, live, stage, key_columns, attempt, records, state FROM {} WHERE owner = '{}' AND {which} \
             ORDER BY slot_id{lock}",
            self.table(),
            self.owner(),
        );
        let rows = self.session.rows(&query).await.map_err(Error::at("reading the ledger of batches"))?;
        let read = |row: &TextRow| {
            let text = |at| text(row, at).map(|text| text.trim_end().to_owned());
            Some(Row {
                key: text(0)?,
                live: text(1)?,
                stage: text(2)?,
                key_columns: text(3)?,
                attempt: number(row, 4)?,
                records: number(row, 5)?,
                state: text(6)?,
            })
        };
        rows.iter().map(|row| read(row).ok_or(Error::Bug("a row of the ledger of batches cannot be read"))).collect()
    }

    /// The tables that rows are about.
    pub(super) fn tables(&self, rows: &[Row]) -> Vec<Staged> {
        let staged = |row: &Row| Staged {
            key: row.key.clone(),
            live: name_of(&row.live, self.dialect),
            stage: name_of(&row.stage, self.dialect),
            key_columns: row.key_columns.clone(),
        };
        rows.iter().filter(|row| !row.live.is_empty()).map(staged).collect()
    }

    pub(super) async fn settle(&mut self, rows: &[Row], state: &str) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = rows.iter().map(|row| format!("'{}'", row.key)).collect();
        let update = format!("UPDATE {} SET state = '{state}' WHERE slot_id IN ({})", self.table(), keys.join(","));
        self.run(&update, "writing the ledger of batches").await.map(drop)
    }

    /// Publishes what is complete.
    async fn publish(&mut self, batch: &Announced, kind: PublishKind) -> Result<Published, Error> {
        self.create().await?;
        let mut rows = self.rows(Some(&batch.batch), "").await?;
        let is_current = |row: &Row| row.attempt == i64::from(batch.attempt);
        if rows.iter().any(|row| is_current(row) && row.state == "published") {
            self.clean(&rows, batch.keep > 0).await;
            self.prune(&rows, batch.keep).await?;
            return Ok(Published::Before);
        }
        rows.retain(|row| row.state == "staging");
        let (all, void): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(is_current);
        let staged: i64 = all.iter().filter(|row| row.live.is_empty()).map(|row| row.records).sum();
        let staged = u64::try_from(staged).unwrap_or(0);
        if staged < batch.records {
            return Ok(Published::Incomplete { staged });
        }
        if staged > batch.records {
            let text = format!(
                "batch {}: {staged} records staged, {} announced; nothing was published. Stop the connector, delete its offsets and resume it: the batch is staged again",
                batch.batch.0, batch.records
            );
            return Err(Error::Definite { code: "SQL-0058", text });
        }
        let is_now = match kind {
            PublishKind::Replace if self.dialect.swaps_by_rename() => self.swap(&all, batch.keep > 0).await?,
            _ => self.copy(batch, &all, kind).await?,
        };
        self.settle(&void, "dropped").await?;
        self.clean(&all, batch.keep > 0).await;
        self.clean(&void, false).await;
        self.prune(&all, batch.keep).await?;
        Ok(if is_now { Published::Now } else { Published::Before })
    }

    /// One statement renames all tables.
    async fn swap(&mut self, all: &[Row], keeps: bool) -> Result<bool, Error> {
        let dialect = self.dialect;
        let (tables, mut renames) = (self.tables(all), Vec::new());
        for staged in &tables {
            if !exists(dialect, &mut *self.session, &staged.stage).await? {
                continue;
            }
            let replaced = staged.replaced(dialect);
            let old = replaced.quoted(dialect);
            let (live, stage) = (staged.live.quoted(dialect), staged.stage.quoted(dialect));
            if exists(dialect, &mut *self.session, &replaced).await? {
                // Of an earlier publication of this batch. It goes away in the same statement: an owner that was frozen
                // here must not take away what its successor has kept.
                let away = staged.away(dialect).quoted(dialect);
                self.run(&format!("DROP TABLE IF EXISTS {away}"), "dropping a replaced table").await?;
                renames.push(format!("{old} TO {away}"));
            }
            if exists(dialect, &mut *self.session, &staged.live).await? {
                renames.push(format!("{live} TO {old}"));
            }
            renames.push(format!("{stage} TO {live}"));
        }
        if !renames.is_empty() {
            self.run(&format!("RENAME TABLE {}", renames.join(", ")), "putting a batch in place").await?;
        }
        let mut kept = Vec::new();
        for staged in tables.iter().filter(|_| keeps) {
            if exists(dialect, &mut *self.session, &staged.replaced(dialect)).await? {
                kept.push(staged.key.clone());
            }
        }
        self.settle_published(all, &kept).await?;
        Ok(!renames.is_empty())
    }

    /// One transaction copies the rows. The ledger is read again under its lock: somebody may have been faster.
    async fn copy(&mut self, batch: &Announced, all: &[Row], kind: PublishKind) -> Result<bool, Error> {
        let dialect = self.dialect;
        let (tables, mut kept) = (self.tables(all), Vec::new());
        for staged in &tables {
            if !exists(dialect, &mut *self.session, &staged.live).await? {
                let quoted = staged.live.quoted(dialect);
                let copy = copy_ddl(dialect, &mut *self.session, &staged.stage, &quoted).await?;
                self.run(&copy, "creating the table of a batch").await?;
            } else if kind == PublishKind::Replace && batch.keep > 0 {
                kept.push(staged.key.clone());
            }
        }
        self.run(dialect.begin(), "beginning to publish a batch").await?;
        let now = self.rows(Some(&batch.batch), dialect.lock_suffix()).await?;
        let is_staged = |row: &Row| now.iter().any(|other| other.key == row.key && other.state == "staging");
        if !all.iter().all(is_staged) {
            self.run("ROLLBACK", "ending a publication that was done").await?;
            return Ok(false);
        }
        for staged in &tables {
            if kept.contains(&staged.key) {
                self.set_aside(staged).await?;
            }
            self.join(staged, kind).await?;
        }
        self.settle_published(all, &kept).await?;
        self.run("COMMIT", "committing the publication of a batch").await?;
        Ok(true)
    }

    /// Rows of one staging table join the real one.
    async fn join(&mut self, staged: &Staged, kind: PublishKind) -> Result<(), Error> {
        let dialect = self.dialect;
        let columns = columns(dialect, &mut *self.session, &staged.stage).await?;
        let (live, stage) = (staged.live.quoted(dialect), staged.stage.quoted(dialect));
        if kind == PublishKind::Replace {
            self.run(&format!("DELETE FROM {live}"), "removing what a batch replaces").await?;
        }
        let tail = match kind {
            PublishKind::Replace | PublishKind::Append => String::new(),
            PublishKind::Upsert => {
                let key: Vec<String> = serde_json::from_str(&staged.key_columns).unwrap_or_default();
                let key: Vec<String> = key.iter().map(|name| dialect.quoted(name)).collect();
                let rest: Vec<String> = columns.iter().filter(|name| !key.contains(name)).cloned().collect();
                dialect.upsert_tail(&key, &rest)
            }
        };
        let list = columns.join(",");
        // The condition keeps SQLite from reading `ON CONFLICT` as the condition of a join.
        let copy = format!("INSERT INTO {live} ({list}) SELECT {list} FROM {stage} WHERE 1=1{tail}");
        self.run(&copy, "adding the rows of a batch").await.map(drop)
    }
}

#[async_trait]
impl AtomicBatches for SqlSink {
    async fn stage(&mut self, part: &BatchPart) -> elasticflow_api::Result<()> {
        Ok(self.direct_to(part)?)
    }

    async fn publish(&mut self, batch: &Announced, kind: PublishKind) -> elasticflow_api::Result<Published> {
        let (id, dialect, schema) = (self.id()?.clone(), self.dialect(), self.ledger_schema());
        let mut session = self.take_session().await?;
        let mut ledger = Ledger { dialect, id: &id, session: session.as_mut(), schema };
        let published = ledger.publish(batch, kind).await?;
        self.keep_session(session);
        Ok(published)
    }

    async fn drop_staged(&mut self, batch: &BatchId) -> elasticflow_api::Result<()> {
        let (id, dialect, schema) = (self.id()?.clone(), self.dialect(), self.ledger_schema());
        let mut session = self.take_session().await?;
        let mut ledger = Ledger { dialect, id: &id, session: session.as_mut(), schema };
        ledger.create().await?;
        let mut rows = ledger.rows(Some(batch), "").await?;
        rows.retain(|row| row.state != "published" && row.state != KEPT);
        ledger.settle(&rows, "dropped").await?;
        ledger.clean(&rows, false).await;
        self.keep_session(session);
        Ok(())
    }
}

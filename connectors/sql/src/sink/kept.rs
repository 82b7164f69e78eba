//! What batches have replaced: the last versions of a table stay beside it, older ones are dropped.
//!
//! The ledger says which there are, in the row of the batch that has taken their place. Where a rename puts a batch in place,
//! it puts what was there aside; elsewhere the rows are copied in the transaction that publishes.
use super::batches::{Ledger, Row, Staged};
use super::staging::{SHORT, columns, copy_ddl};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::table::TableName;
use std::collections::BTreeSet;

/// State of a table's row whose replaced version is still there.
pub(super) const KEPT: &str = "kept";

impl Ledger<'_> {
    /// Copies what a batch replaces: views, keys and rights that belong to the table stay with it.
    pub(super) async fn set_aside(&mut self, staged: &Staged) -> Result<(), Error> {
        let dialect = self.dialect;
        let doing = "keeping what a batch replaces";
        let (live, old) = (staged.live.quoted(dialect), staged.replaced(dialect).quoted(dialect));
        self.run(&format!("DROP TABLE IF EXISTS {old}"), doing).await?;
        let copy = copy_ddl(dialect, &mut *self.session, &staged.live, &old).await?;
        self.run(&copy, doing).await?;
        let list = columns(dialect, &mut *self.session, &staged.live).await?.join(",");
        self.run(&format!("INSERT INTO {old} ({list}) SELECT {list} FROM {live}"), doing).await.map(drop)
    }

    /// Notes that a batch is published, and for which tables the version before it is kept.
    pub(super) async fn settle_published(&mut self, all: &[Row], kept: &[String]) -> Result<(), Error> {
        self.settle(all, "published").await?;
        if kept.is_empty() {
            return Ok(());
        }
        let last = self.select(&format!("state = '{KEPT}'"), "").await?.iter().map(|row| row.records).max();
        let keys: Vec<String> = kept.iter().map(|key| format!("'{key}'")).collect();
        let (table, keys, place) = (self.table(), keys.join(","), last.unwrap_or(0) + 1);
        let update = format!("UPDATE {table} SET state = '{KEPT}', records = {place} WHERE slot_id IN ({keys})");
        self.run(&update, "writing the ledger of batches").await.map(drop)
    }

    /// Drops the replaced versions of tables but for the last ones.
    pub(super) async fn prune(&mut self, of: &[Row], keep: usize) -> Result<(), Error> {
        let mut kept = self.select(&format!("state = '{KEPT}'"), "").await?;
        kept.sort_by_key(|row| std::cmp::Reverse(row.records));
        let lives: BTreeSet<&str> = of.iter().map(|row| row.live.as_str()).filter(|live| !live.is_empty()).collect();
        for live in lives {
            for row in kept.iter().filter(|row| row.live == live).skip(keep) {
                let row = std::slice::from_ref(row);
                if self.clean(row, false).await {
                    self.settle(row, "published").await?;
                }
            }
        }
        Ok(())
    }

    /// Drops tables that nobody needs any more, and what was replaced unless that is kept; whether all of them are gone.
    pub(super) async fn clean(&mut self, rows: &[Row], keeps: bool) -> bool {
        let mut all = true;
        for staged in self.tables(rows) {
            let away = self.dialect.swaps_by_rename().then(|| staged.away(self.dialect));
            let replaced = (!keeps).then(|| staged.replaced(self.dialect));
            let tables = std::iter::once(staged.stage).chain(away).chain(replaced);
            for table in tables {
                let table = table.quoted(self.dialect);
                if let Err(answer) = self.session.execute(&format!("DROP TABLE IF EXISTS {table}")).await {
                    tracing::warn!(table, %answer, "a table of a published batch was not dropped; drop it by hand");
                    all = false;
                }
            }
        }
        all
    }
}

impl Staged {
    /// Name of what a batch replaces, until it is dropped.
    pub(super) fn replaced(&self, dialect: &dyn Dialect) -> TableName {
        self.beside("flow", dialect)
    }

    /// Name of what was replaced by an earlier publication of the same batch.
    pub(super) fn away(&self, dialect: &dyn Dialect) -> TableName {
        self.beside("gone", dialect)
    }

    fn beside(&self, word: &str, dialect: &dyn Dialect) -> TableName {
        let mut short = self.key.clone();
        short.truncate(SHORT);
        self.live.staged(&format!("__{word}_{short}"), dialect)
    }
}

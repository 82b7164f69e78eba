//! Opening snapshots whose place in the log is known well enough.
use super::{Ask, ChunkReader, OPENING};
use crate::config::LockingMode;
use crate::error::{Error, Result, of_client};
use crate::gtid::Gtids;
use crate::position::LogPosition;
use crate::preflight::end_of_log;
use crate::start::{executed, maria_snapshot_position};
use crate::window::Mark;
use crate::wire::Flavour;
use mysql_async::prelude::Queryable;
use std::time::Duration;

const SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
/// How long a commit that is in the log may take to become visible; mostly nothing.
const BARRIER: Duration = Duration::from_millis(2);

impl ChunkReader {
    async fn run(&mut self, sql: &str) -> Result<()> {
        self.session.conn.query_drop(sql).await.map_err(|e| of_client(e, OPENING))
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        self.run("COMMIT").await
    }

    /// Opens a snapshot that covers what the reader of the log has processed; says what it sees at least.
    pub(super) async fn open(&mut self, (gtids, place): &(Gtids, LogPosition)) -> Result<Mark> {
        if self.session.flavour == Flavour::MariaDb {
            return self.open_maria(place).await.map(Mark::Position);
        }
        let Gtids::MySql(processed) = gtids else {
            return self.open_without_gtids(place).await;
        };
        if !self.numbered {
            return self.open_without_gtids(place).await;
        }
        loop {
            // The set, never the position: a transaction is in the set only when queries see it.
            let seen = executed(&mut self.session).await?;
            if seen.contains_all(processed) {
                self.run(SNAPSHOT).await?;
                return Ok(Mark::Gtids(seen));
            }
            tokio::time::sleep(BARRIER).await;
        }
    }

    async fn open_maria(&mut self, place: &LogPosition) -> Result<LogPosition> {
        loop {
            let at = maria_snapshot_position(&mut self.session).await?;
            if at >= *place {
                return Ok(at);
            }
            self.run("ROLLBACK").await?;
            tokio::time::sleep(BARRIER).await;
        }
    }

    async fn open_without_gtids(&mut self, place: &LogPosition) -> Result<Mark> {
        loop {
            let Some(seen) = self.log_status().await? else {
                return self.open_locked().await.map(Mark::Position);
            };
            if seen >= *place {
                self.run(SNAPSHOT).await?;
                return Ok(Mark::Position(seen));
            }
            tokio::time::sleep(BARRIER).await;
        }
    }

    /// The place that `performance_schema` gives; none without the privilege or the schema.
    async fn log_status(&mut self) -> Result<Option<LogPosition>> {
        let sql = "SELECT LOCAL->>'$.binary_log_file', CAST(LOCAL->>'$.binary_log_position' AS UNSIGNED) \
                   FROM performance_schema.log_status";
        let row: Result<Option<(Option<String>, Option<u64>)>, _> = self.session.conn.query_first(sql).await;
        match row {
            Ok(Some((Some(file), Some(pos)))) => Ok(Some(LogPosition::new(&file, pos))),
            Ok(_) | Err(mysql_async::Error::Server(_)) => Ok(None),
            Err(e) => Err(of_client(e, OPENING)),
        }
    }

    /// Under a lock of milliseconds the place is exact.
    async fn open_locked(&mut self) -> Result<LogPosition> {
        if self.config.locking_mode == LockingMode::None {
            return Err(Error::Preflight {
                text: "without a lock (snapshot.locking.mode=none) a snapshot needs gtid_mode=ON, or BACKUP_ADMIN and SELECT on performance_schema.log_status".to_owned(),
            });
        }
        self.run("SET SESSION lock_wait_timeout = 2").await?;
        let mut tries = 0;
        loop {
            match self.session.conn.query_drop("FLUSH TABLES WITH READ LOCK").await {
                Ok(()) => break,
                // A long statement holds a table: let others pass, and try again.
                Err(mysql_async::Error::Server(e)) if e.code == 1205 && tries < 150 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(e) => return Err(of_client(e, "locking the tables for a moment (RELOAD)")),
            }
        }
        let at = end_of_log(&mut self.session).await;
        let opened = self.run(SNAPSHOT).await;
        self.run("UNLOCK TABLES").await?;
        opened.and(at)
    }

    pub(super) async fn open_exactly(&mut self, ask: &Ask) -> Result<LogPosition> {
        match self.session.flavour {
            Flavour::MariaDb => self.open_maria(&ask.covers.1).await,
            Flavour::MySql => self.open_locked().await,
        }
    }
}

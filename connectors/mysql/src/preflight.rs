//! What the server must offer. Every finding names the statement that mends it.
use crate::config::{CdcConfig, SnapshotMode};
use crate::error::{Error, Result, of_client};
use crate::filters::Filters;
use crate::information;
use crate::position::LogPosition;
use crate::wire::{Flavour, Session};
use mysql_async::prelude::Queryable;

/// One thing that is wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Configuration key it belongs to.
    pub key: &'static str,
    /// Whether the connector cannot run.
    pub fatal: bool,
    /// What is wrong and what to do.
    pub text: String,
}

fn fatal(key: &'static str, text: impl Into<String>) -> Finding {
    Finding { key, fatal: true, text: text.into() }
}

fn odd(key: &'static str, text: impl Into<String>) -> Finding {
    Finding { key, fatal: false, text: text.into() }
}

const HOST: &str = "database.hostname";

async fn variable(session: &mut Session, name: &str) -> Result<Option<String>> {
    let sql = format!("SHOW GLOBAL VARIABLES LIKE '{name}'");
    let row: Option<(String, String)> =
        session.conn.query_first(sql).await.map_err(|e| of_client(e, "reading server variables"))?;
    Ok(row.map(|(_, value)| value))
}

/// Whether the server numbers transactions in the log.
pub async fn gtid_mode(session: &mut Session) -> Result<bool> {
    Ok(match session.flavour {
        Flavour::MariaDb => true,
        Flavour::MySql => variable(session, "gtid_mode").await?.is_some_and(|v| v.eq_ignore_ascii_case("ON")),
    })
}

/// Checks the server; everything is found at once.
pub async fn check(session: &mut Session, config: &CdcConfig, filters: &Filters) -> Result<Vec<Finding>> {
    let mut found = log_settings(session).await?;
    found.extend(grants(session, config).await?);
    if let Some(id) = variable(session, "server_id").await?
        && config.server_id.is_some_and(|own| own.to_string() == id)
    {
        found.push(fatal("database.server.id", format!("database.server.id {id} is the id of the server itself.")));
    }
    found.extend(tables(session, config, filters).await?);
    Ok(found)
}

async fn log_settings(session: &mut Session) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut read = async |name| variable(session, name).await.map(|v| v.unwrap_or_default().to_ascii_uppercase());
    if read("log_bin").await? == "OFF" {
        found.push(fatal(
            HOST,
            "log_bin is OFF: there is no binary log to read. Set log_bin in the server configuration and restart the server.",
        ));
    }
    let format = read("binlog_format").await?;
    if !format.is_empty() && format != "ROW" {
        found.push(fatal(
            HOST,
            format!("binlog_format is {format}, must be ROW. Run: SET GLOBAL binlog_format=ROW; and reconnect the writers."),
        ));
    }
    let image = read("binlog_row_image").await?;
    if !image.is_empty() && image != "FULL" {
        found.push(fatal(
            HOST,
            format!("binlog_row_image is {image}, must be FULL. Run: SET GLOBAL binlog_row_image=FULL; and reconnect the writers."),
        ));
    }
    let metadata = read("binlog_row_metadata").await?;
    if metadata != "FULL" {
        let metadata = if metadata.is_empty() { "not known to this server" } else { &metadata };
        found.push(odd(
            HOST,
            format!("binlog_row_metadata is {metadata}: column names are taken from information_schema, which may be newer than the row. Run: SET GLOBAL binlog_row_metadata=FULL;"),
        ));
    }
    let options = read("binlog_row_value_options").await?;
    if options.contains("PARTIAL_JSON") {
        found.push(fatal(
            HOST,
            "binlog_row_value_options is PARTIAL_JSON, which is not supported. Run: SET GLOBAL binlog_row_value_options=''; and reconnect the writers.",
        ));
    }
    if read("log_bin_compress").await? == "ON" {
        found.push(fatal(
            HOST,
            "log_bin_compress is ON, which is not supported. Run: SET GLOBAL log_bin_compress=OFF; and reconnect the writers.",
        ));
    }
    let expire: u64 = read("binlog_expire_logs_seconds").await?.parse().unwrap_or(0);
    if expire > 0 && expire < 86_400 {
        found.push(odd(
            HOST,
            format!("the server deletes binary logs after {expire} s: a connector that is down longer has to take a new snapshot."),
        ));
    }
    Ok(found)
}

async fn grants(session: &mut Session, config: &CdcConfig) -> Result<Vec<Finding>> {
    let lines: Vec<String> = session
        .conn
        .query("SHOW GRANTS FOR CURRENT_USER()")
        .await
        .map_err(|e| of_client(e, "reading the privileges of the user"))?;
    let client = match session.flavour {
        Flavour::MySql => "REPLICATION CLIENT",
        Flavour::MariaDb => "BINLOG MONITOR",
    };
    let missing = |needed: &&str| !lines.iter().any(|line| grants_globally(line, needed));
    let found = ["REPLICATION SLAVE", client].into_iter().filter(missing).map(|privilege| {
        let user = &config.user;
        fatal(
            "database.user",
            format!("user {user} lacks {privilege}. Run: GRANT {privilege} ON *.* TO '{user}'@'%';"),
        )
    });
    Ok(found.collect())
}

/// Whether a line of SHOW GRANTS gives a privilege on everything.
fn grants_globally(line: &str, privilege: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    let Some((list, rest)) = upper.strip_prefix("GRANT ").and_then(|l| l.split_once(" ON ")) else { return false };
    let same = |given: &str| {
        given == privilege || given.starts_with("ALL PRIVILEGES") || (privilege == "BINLOG MONITOR" && given == "REPLICATION CLIENT")
    };
    rest.starts_with("*.*") && list.split(',').map(str::trim).any(same)
}

async fn tables(session: &mut Session, config: &CdcConfig, filters: &Filters) -> Result<Vec<Finding>> {
    let all = information::tables(session).await?;
    if all.iter().any(|(db, name)| filters.table(db, name)) {
        return Ok(Vec::new());
    }
    let key = if config.table_include.is_some() { "table.include.list" } else { "database.include.list" };
    let n = all.len();
    Ok(vec![odd(key, format!("no table of the {n} that the user can see matches the filters."))])
}

/// For a task that starts: the first fatal finding ends it.
pub async fn require(session: &mut Session) -> Result<()> {
    let fatal: Vec<String> = log_settings(session).await?.into_iter().filter(|f| f.fatal).map(|f| f.text).collect();
    if fatal.is_empty() { Ok(()) } else { Err(Error::Preflight { text: fatal.join(" ") }) }
}

/// The end of the log at this moment. Transactions before it may not be visible to a query yet.
pub async fn end_of_log(session: &mut Session) -> Result<LogPosition> {
    let doing = "reading the position of the binary log";
    for sql in ["SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"] {
        let row: Result<Option<mysql_async::Row>, _> = session.conn.query_first(sql).await;
        match row {
            Ok(Some(mut row)) => {
                let (file, pos): (Option<String>, Option<u64>) = (row.take(0), row.take(1));
                return file
                    .zip(pos)
                    .map(|(file, pos)| LogPosition::new(&file, pos))
                    .ok_or(Error::Bug("the position of the log has no file"));
            }
            Ok(None) => return Err(Error::Preflight { text: "log_bin is OFF: there is no binary log to read. Set log_bin in the server configuration and restart the server.".to_owned() }),
            // The statement has another name from MySQL 8.4 on.
            Err(mysql_async::Error::Server(e)) if e.code == 1064 => {}
            Err(e) => return Err(of_client(e, doing)),
        }
    }
    Err(Error::Bug("the server knows no statement for the position of its log"))
}

/// Names of the log files, oldest first.
pub async fn files(session: &mut Session) -> Result<Vec<String>> {
    let rows: Vec<mysql_async::Row> =
        session.conn.query("SHOW BINARY LOGS").await.map_err(|e| of_client(e, "listing the binary logs"))?;
    Ok(rows.into_iter().filter_map(|mut row| row.take(0)).collect())
}

/// Whether a mode reads rows when there is no position.
pub fn reads_rows(mode: SnapshotMode) -> bool {
    match mode {
        SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::Always | SnapshotMode::WhenNeeded => true,
        SnapshotMode::NoData
        | SnapshotMode::SchemaOnly
        | SnapshotMode::Recovery
        | SnapshotMode::SchemaOnlyRecovery
        | SnapshotMode::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_global_grants_count() {
        assert!(grants_globally("GRANT SELECT, REPLICATION SLAVE ON *.* TO `u`@`%`", "REPLICATION SLAVE"));
        assert!(grants_globally("GRANT ALL PRIVILEGES ON *.* TO `u`@`%`", "REPLICATION SLAVE"));
        assert!(!grants_globally("GRANT ALL PRIVILEGES ON `db`.* TO `u`@`%`", "REPLICATION SLAVE"));
        assert!(!grants_globally("GRANT USAGE ON *.* TO `u`@`%`", "REPLICATION SLAVE"));
    }
}

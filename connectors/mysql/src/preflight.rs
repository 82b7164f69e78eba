//! What the server must offer. Every finding names the statement that mends it.
use crate::config::{CdcConfig, SnapshotMode};
use crate::error::{Error, Result, of_client};
use crate::filters::Filters;
use crate::information;
use crate::position::LogPosition;
use crate::wire::{Flavour, Session};
use mysql_async::prelude::Queryable;
use std::collections::HashMap;

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
const LOG_BIN_OFF: &str =
    "log_bin is OFF: there is no binary log to read. Set log_bin in the server configuration and restart the server.";

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

const SETTINGS: &str =
    "'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'binlog_expire_logs_seconds'";

async fn log_settings(session: &mut Session) -> Result<Vec<Finding>> {
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({SETTINGS})");
    let rows: Vec<(String, String)> =
        session.conn.query(sql).await.map_err(|e| of_client(e, "reading server variables"))?;
    Ok(judge(&rows.into_iter().map(|(name, value)| (name, value.to_ascii_uppercase())).collect()))
}

/// What the server's settings of its log mean. A setting that is absent is not known to the server.
fn judge(settings: &HashMap<String, String>) -> Vec<Finding> {
    let of = |name: &str| settings.get(name).map(String::as_str);
    let mut found = Vec::new();
    if of("log_bin") == Some("OFF") {
        found.push(fatal(HOST, LOG_BIN_OFF));
    }
    if let Some(format) = of("binlog_format").filter(|f| *f != "ROW") {
        found.push(fatal(
            HOST,
            format!(
                "binlog_format is {format}, must be ROW. Run: SET GLOBAL binlog_format=ROW; and reconnect the writers."
            ),
        ));
    }
    if let Some(image) = of("binlog_row_image").filter(|i| *i != "FULL") {
        found.push(fatal(
            HOST,
            format!("binlog_row_image is {image}, must be FULL. Run: SET GLOBAL binlog_row_image=FULL; and reconnect the writers."),
        ));
    }
    if of("binlog_row_metadata") != Some("FULL") {
        let metadata = of("binlog_row_metadata").unwrap_or("not known to this server");
        found.push(odd(
            HOST,
            format!("binlog_row_metadata is {metadata}: column names are taken from information_schema, which may be newer than the row. Run: SET GLOBAL binlog_row_metadata=FULL;"),
        ));
    }
    let expire: u64 = of("binlog_expire_logs_seconds").and_then(|s| s.parse().ok()).unwrap_or(0);
    if (1..86_400).contains(&expire) {
        found.push(odd(
            HOST,
            format!("the server deletes binary logs after {expire} s: a connector that is down longer has to take a new snapshot."),
        ));
    }
    found
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
        fatal("database.user", format!("user {user} lacks {privilege}. Run: GRANT {privilege} ON *.* TO '{user}'@'%';"))
    });
    Ok(found.collect())
}

/// Whether a line of SHOW GRANTS gives a privilege on everything.
fn grants_globally(line: &str, privilege: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    let Some((list, rest)) = upper.strip_prefix("GRANT ").and_then(|l| l.split_once(" ON ")) else { return false };
    let same = |given: &str| {
        given == privilege
            || given.starts_with("ALL PRIVILEGES")
            || (privilege == "BINLOG MONITOR" && given == "REPLICATION CLIENT")
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
            Ok(None) => return Err(Error::Preflight { text: LOG_BIN_OFF.to_owned() }),
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
    fn every_wrong_setting_of_the_log_is_found_at_once_with_what_mends_it() {
        let wrong = [
            ("log_bin", "OFF"),
            ("binlog_format", "MIXED"),
            ("binlog_row_image", "MINIMAL"),
            ("binlog_row_metadata", "MINIMAL"),
            ("binlog_expire_logs_seconds", "3600"),
        ];
        let found = judge(&wrong.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        let fatal: Vec<bool> = found.iter().map(|f| f.fatal).collect();
        assert_eq!(fatal, [true, true, true, false, false]);
        for (finding, words) in found.iter().zip(["Set log_bin", "binlog_format=ROW", "image=FULL", "metadata=FULL"]) {
            assert!(finding.text.contains(words), "{}", finding.text);
        }
    }

    #[test]
    fn a_server_set_up_well_has_no_finding() {
        let right = [
            ("log_bin", "ON"),
            ("binlog_format", "ROW"),
            ("binlog_row_image", "FULL"),
            ("binlog_row_metadata", "FULL"),
        ];
        assert_eq!(judge(&right.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()), []);
    }

    #[test]
    fn only_global_grants_count() {
        assert!(grants_globally("GRANT SELECT, REPLICATION SLAVE ON *.* TO `u`@`%`", "REPLICATION SLAVE"));
        assert!(grants_globally("GRANT ALL PRIVILEGES ON *.* TO `u`@`%`", "REPLICATION SLAVE"));
        assert!(!grants_globally("GRANT ALL PRIVILEGES ON `db`.* TO `u`@`%`", "REPLICATION SLAVE"));
        assert!(!grants_globally("GRANT USAGE ON *.* TO `u`@`%`", "REPLICATION SLAVE"));
    }
}

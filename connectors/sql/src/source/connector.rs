//! What every batch source connector does beside its tasks.
use super::config::{SourceKeys, SourceMode};
use super::dialect::SourceDatabase;
use super::table::Table;
use crate::error::Error;
use crate::session::text;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::error::Result;
use elasticflow_api::registry::TaskConfig;
use std::collections::BTreeMap;

/// Key of a task's configuration with its tables.
const TABLES: &str = "tables";
/// Between names of tables; no name holds it.
const BETWEEN: char = '\u{1f}';

/// Whether a run comes to an end: one read of every table.
pub fn ends(keys: &SourceKeys) -> bool {
    keys.mode == SourceMode::Bulk
}

/// Settings that contradict each other.
pub fn check_keys(keys: &SourceKeys, report: &mut ValidationReport) {
    let needs_time = matches!(keys.mode, SourceMode::Timestamp | SourceMode::TimestampIncrementing);
    if needs_time && keys.timestamps.is_empty() {
        report.error("timestamp.column.name", format!("mode {} needs timestamp.column.name", keys.mode.word()));
    }
    if !needs_time && keys.audit.0 > 0 {
        let text =
            format!("mode {} has no time that rows could come behind; leave late.row.audit.ms out", keys.mode.word());
        report.error("late.row.audit.ms", text);
    }
    if !keys.tables.is_empty() && !keys.excluded.is_empty() {
        report.error("table.blacklist", "table.whitelist and table.blacklist exclude each other");
    }
}

/// Connects and describes every table; the report says what does not work.
pub async fn check_database(database: &dyn SourceDatabase, keys: &SourceKeys, report: &mut ValidationReport) {
    let names = match names(database, keys).await {
        Ok(names) => names,
        Err(error @ Error::Database { .. }) => return report.error("connection.url", error.to_string()),
        Err(error) => return report.error("table.whitelist", error.to_string()),
    };
    let Ok(mut session) = database.connect().await else { return };
    for name in names {
        if let Err(error) = Table::describe(session.as_mut(), database.source_dialect(), keys, &name).await {
            report.error("mode", error.to_string());
        }
    }
    session.close().await;
}

async fn names(database: &dyn SourceDatabase, keys: &SourceKeys) -> Result<Vec<String>, Error> {
    let mut session = database.connect().await.map_err(Error::at("connecting"))?;
    let rows = session.rows(database.source_dialect().tables()).await.map_err(Error::at("listing tables"))?;
    session.close().await;
    let all: Vec<String> = rows.iter().filter_map(|row| text(row, 0).map(str::to_owned)).collect();
    // `db.table` names a table of the connected database as well.
    let bare = |name: &String| name.rsplit('.').next().unwrap_or(name).to_owned();
    let missing: Vec<&String> = keys.tables.iter().filter(|t| !all.contains(t) && !all.contains(&bare(t))).collect();
    if !missing.is_empty() {
        let text = format!("table.whitelist names {missing:?}, which the database does not have");
        return Err(Error::Config { code: "SQL-0010", text });
    }
    let listed = |list: &[String], name: &String| list.iter().any(|t| t == name || bare(t) == *name);
    let wanted =
        |name: &String| (keys.tables.is_empty() || listed(&keys.tables, name)) && !listed(&keys.excluded, name);
    let names: Vec<String> = all.into_iter().filter(wanted).collect();
    if names.is_empty() {
        return Err(Error::Config {
            code: "SQL-0010",
            text: "no table matches table.whitelist and table.blacklist".to_owned(),
        });
    }
    Ok(names)
}

/// Spreads the tables over tasks.
///
/// # Errors
/// The database cannot be asked, or no table matches.
pub async fn plan(database: &dyn SourceDatabase, keys: &SourceKeys, tasks_max: usize) -> Result<Vec<TaskConfig>> {
    let names = names(database, keys).await?;
    let count = tasks_max.clamp(1, names.len());
    let mut tasks = vec![Vec::new(); count];
    for (at, name) in names.into_iter().enumerate() {
        if let Some(task) = tasks.get_mut(at % count) {
            task.push(name);
        }
    }
    let config =
        |names: Vec<String>| TaskConfig(BTreeMap::from([(TABLES.to_owned(), names.join(&BETWEEN.to_string()))]));
    Ok(tasks.into_iter().map(config).collect())
}

/// The tables of a task's configuration.
pub fn tables_of(task: &TaskConfig) -> Vec<String> {
    task.0.get(TABLES).map(|names| names.split(BETWEEN).map(str::to_owned).collect()).unwrap_or_default()
}

//! Where numbered records go, what a sink there is told, and what its readers see.
use crate::search::Search;
use crate::tables::Tables;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The table of every database.
const TABLE: &str = "CREATE TABLE numbered (p INTEGER, n INTEGER, total INTEGER)";

/// Where the records go.
#[derive(Clone)]
pub enum Target {
    /// A directory of the file sink.
    Files(PathBuf),
    /// A database file.
    Sqlite(PathBuf),
    /// A server; the index has the topic's name.
    Elasticsearch(Search),
    /// A schema of MySQL or PostgreSQL.
    Sql(Tables),
    /// A schema of MySQL that is written in XA transactions.
    Branches(Tables),
}

impl Target {
    /// Configuration of a sink that takes the topic there.
    pub(super) fn config(&self, topic: &str) -> Value {
        let mut config = json!({
            "tasks.max": "1", "topics": topic, "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
            "consumer.override.auto.offset.reset": "earliest",
        });
        let own = match self {
            Self::Files(path) => json!({
                "connector.class": "elasticflow.connectors.FileSinkConnector", "output.path": path, "format": "json",
                "commit.interval.ms": "300", "flush.size": "1000",
            }),
            Self::Sqlite(path) => json!({
                "connector.class": "elasticflow.connectors.SqliteSinkConnector", "connection.url": path,
                "table.name.format": "numbered", "insert.mode": "insert", "pk.mode": "none", "batch.max.records": "50",
            }),
            Self::Elasticsearch(search) => json!({
                "connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
                "connection.url": search.url(), "key.ignore": "true", "schema.ignore": "true",
            }),
            Self::Sql(tables) => json!({
                "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection.url": tables.url(),
                "connection.user": tables.account().0, "connection.password": tables.account().1,
                "table.name.format": "numbered", "insert.mode": "insert", "pk.mode": "none", "batch.max.records": "50",
            }),
            Self::Branches(tables) => json!({
                "connector.class": "elasticflow.connectors.MysqlSinkConnector", "connection.url": tables.url(),
                "connection.user": tables.account().0, "connection.password": tables.account().1,
                "table.name.format": "numbered", "insert.mode": "insert", "pk.mode": "none",
                "delivery.technique": "xa", "commit.interval.ms": "300",
            }),
        };
        if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
            config.extend(own);
        }
        config
    }

    /// What the destination needs beforehand.
    pub(super) async fn prepare(&self) -> Result<()> {
        match self {
            Self::Files(path) => Ok(std::fs::create_dir_all(path)?),
            Self::Sqlite(path) => {
                if let Some(directory) = path.parent() {
                    std::fs::create_dir_all(directory)?;
                }
                let database = rusqlite::Connection::open(path)?;
                database.pragma_update(None, "journal_mode", "wal")?;
                Ok(database.execute_batch(TABLE)?)
            }
            Self::Elasticsearch(_) => Ok(()),
            Self::Sql(tables) | Self::Branches(tables) => tables.run(TABLE).await,
        }
    }

    /// Whether what is read has the order in which it was written.
    pub(super) fn has_order(&self) -> bool {
        !matches!(self, Self::Elasticsearch(_) | Self::Sql(_) | Self::Branches(_))
    }

    /// Partition and number of every record that a reader sees.
    pub(super) async fn rows(&self, topic: &str) -> Result<Vec<(usize, u64)>> {
        match self {
            Self::Files(path) => rows_of_files(&path.join("topics").join(topic)),
            Self::Sqlite(path) => {
                let database = rusqlite::Connection::open(path)?;
                database.busy_timeout(Duration::from_secs(10))?;
                let mut query = database.prepare("SELECT p, n FROM numbered ORDER BY rowid")?;
                let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
                rows.map(|row| row.map_err(anyhow::Error::from)).map(|row| numbers(row?)).collect()
            }
            Self::Elasticsearch(search) => {
                search.refresh(topic).await?;
                if search.count(topic).await? == 0 {
                    return Ok(Vec::new());
                }
                let all = search.all(topic, "total").await?;
                all.iter().map(|(_, document)| row_of(document)).collect()
            }
            Self::Sql(tables) | Self::Branches(tables) => {
                let rows = tables.all_numbers("SELECT p, n FROM numbered").await?;
                let pair = |row: Vec<i64>| row.first().copied().zip(row.get(1).copied()).context("two columns");
                rows.into_iter().map(|row| numbers(pair(row)?)).collect()
            }
        }
    }

    /// What is staged.
    pub(super) fn left_over(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        if let Self::Files(path) = self {
            walk(&path.join(".elasticflow"), &mut |file| {
                let name = file.to_string_lossy().into_owned();
                // What was shown is remembered for a while, so that a second commit of it is recognised.
                if name.contains("/done/") {
                    return;
                }
                if name.ends_with(".part") || name.ends_with("manifest.json") {
                    found.push(name);
                }
            })?;
        }
        Ok(found)
    }
}

fn numbers((p, n): (i64, i64)) -> Result<(usize, u64)> {
    Ok((usize::try_from(p)?, u64::try_from(n)?))
}

fn row_of(value: &Value) -> Result<(usize, u64)> {
    let number = |key: &str| value[key].as_i64().with_context(|| format!("a record without {key}: {value}"));
    numbers((number("p")?, number("n")?))
}

fn rows_of_files(directory: &Path) -> Result<Vec<(usize, u64)>> {
    let mut files = Vec::new();
    walk(directory, &mut |file| files.push(file.to_path_buf()))?;
    // Names carry the first offset, padded: their order is the order of the records.
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        for line in text.lines() {
            let value = serde_json::from_str(line).with_context(|| format!("half a record in {}", file.display()))?;
            rows.push(row_of(&value)?);
        }
    }
    Ok(rows)
}

/// Files below a directory; what vanishes meanwhile was never there.
pub(in crate::scenes) fn walk(directory: &Path, each: &mut dyn FnMut(&Path)) -> Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { walk(&path, each)? } else { each(&path) }
    }
    Ok(())
}

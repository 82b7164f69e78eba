use crate::fakes::source_context;
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::data::Value;
use elasticflow_api::position::{SourceOffset, SourcePartition};
use elasticflow_api::registry::{DynSourceConnector, TaskConfig};
use elasticflow_api::source::{SourceBatch, SourceTask};
use elasticflow_sqlite::SqliteSource;
use rusqlite::Connection;
use std::path::Path;

type Stored = Vec<(SourcePartition, SourceOffset)>;

fn file_with_rows(folder: &Path, rows: i64) -> Connection {
    let connection = Connection::open(folder.join("in.db")).unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT)").unwrap();
    for id in 1..=rows {
        connection.execute("INSERT INTO t (name) VALUES (?1)", [format!("n{id}")]).unwrap();
    }
    connection
}

fn properties(folder: &Path, mode: &str) -> Properties {
    let url = format!("jdbc:sqlite:{}", folder.join("in.db").display());
    Properties::from_iter([("connection.url", url.as_str()), ("mode", mode), ("topic.prefix", "db-")])
}

async fn started(props: &Properties, stored: Stored) -> Box<dyn SourceTask> {
    let config = TaskConfig([("tables".to_owned(), "t".to_owned())].into());
    let mut task = DynSourceConnector::task(&SqliteSource, props, config).unwrap();
    task.start(&source_context(stored)).await.unwrap();
    task
}

fn ids(batch: &SourceBatch) -> Vec<i64> {
    let id = |r: &elasticflow_api::source::SourceRecord| match &r.record.value.value {
        Value::Struct(s) => match s.values[0] {
            Value::Int64(id) => id,
            _ => panic!("id is an int64"),
        },
        _ => panic!("a row is a struct"),
    };
    batch.records.iter().map(id).collect()
}

fn last_position(batch: &SourceBatch) -> Stored {
    let position = batch.records.last().unwrap().position.clone().unwrap();
    vec![((*position.partition).clone(), (*position.offset).clone())]
}

#[tokio::test]
async fn goes_on_after_the_last_committed_row() {
    let folder = tempfile::tempdir().unwrap();
    let writer = file_with_rows(folder.path(), 4);
    let props = properties(folder.path(), "incrementing");
    let mut task = started(&props, Vec::new()).await;
    let first = task.poll(&source_context(Vec::new())).await.unwrap();
    assert_eq!(ids(&first), [1, 2, 3]);
    let stored = last_position(&first);
    writer.execute("INSERT INTO t (name) VALUES ('late')", []).unwrap();
    let mut successor = started(&props, stored).await;
    assert_eq!(ids(&successor.poll(&source_context(Vec::new())).await.unwrap()), [4, 5]);
}

#[tokio::test]
async fn a_bulk_read_ends_with_a_position_that_starts_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    drop(file_with_rows(folder.path(), 2));
    let props = properties(folder.path(), "bulk");
    let mut task = started(&props, Vec::new()).await;
    let batch = task.poll(&source_context(Vec::new())).await.unwrap();
    assert_eq!(ids(&batch), [1, 2]);
    let done = batch.progress.last().unwrap();
    assert_eq!(done.offset.0["bulk_done"], true);
    let stored = vec![((*done.partition).clone(), (*done.offset).clone())];
    let mut again = started(&props, stored).await;
    // Whoever ran before may have ended without telling that its run was over.
    let over = again.poll(&source_context(Vec::new())).await.unwrap();
    assert!(over.end_of_run && over.records.is_empty());
    assert_eq!(ids(&again.poll(&source_context(Vec::new())).await.unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_stored_offset_of_another_mode_is_definite() {
    let folder = tempfile::tempdir().unwrap();
    drop(file_with_rows(folder.path(), 1));
    let mut bulk = started(&properties(folder.path(), "bulk"), Vec::new()).await;
    let stored = last_position(&bulk.poll(&source_context(Vec::new())).await.unwrap());
    let config = TaskConfig([("tables".to_owned(), "t".to_owned())].into());
    let props = properties(folder.path(), "incrementing");
    let mut task = DynSourceConnector::task(&SqliteSource, &props, config).unwrap();
    let error = task.start(&source_context(stored)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Definite);
}

use crate::fakes::{Still, source_context};
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::data::Value;
use elasticflow_api::position::{SourceOffset, SourcePartition};
use elasticflow_api::registry::{DynSourceConnector, TaskConfig};
use elasticflow_api::source::{SourceBatch, SourceTask};
use elasticflow_sqlite::SqliteSource;
use elasticflow_testkit::sql_source::{SqlSourceCase, check_sql_source};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

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

/// A file of its own.
struct File(tempfile::TempDir);

#[async_trait::async_trait]
impl SqlSourceCase for File {
    fn source(&self) -> &dyn DynSourceConnector {
        &SqliteSource
    }
    fn connection(&self) -> Properties {
        properties(self.0.path(), "bulk")
    }
    async fn run(&self, sql: &str) {
        Connection::open(self.0.path().join("in.db")).unwrap().execute_batch(sql).unwrap();
    }
    fn time_type(&self) -> &'static str {
        "TEXT"
    }
    fn numbers_every_row(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn keeps_the_promises_of_every_sql_source() {
    check_sql_source(&File(tempfile::tempdir().unwrap())).await;
}

/// A table of times, and who reads it by them; pages are of three rows.
fn timed(folder: &Path, declared: &str, rows: &[(i64, &str)]) -> (Connection, Properties) {
    let connection = Connection::open(folder.join("in.db")).unwrap();
    connection.execute_batch(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, at {declared})")).unwrap();
    for (id, at) in rows {
        connection.execute(&format!("INSERT INTO t VALUES (?1, {at})"), [id]).unwrap();
    }
    let mut props = properties(folder, "timestamp");
    props.0.insert("timestamp.column.name".to_owned(), "at".to_owned());
    (connection, props)
}

/// Reads from a position until nothing comes, page by page, each with the position of the page before.
async fn pages(props: &Properties, mut stored: Stored) -> (Vec<Vec<i64>>, Stored) {
    let mut pages = Vec::new();
    loop {
        let mut task = started(props, stored.clone()).await;
        let batch = task.poll(&source_context(Vec::new())).await.unwrap();
        if batch.records.is_empty() {
            return (pages, stored);
        }
        stored = last_position(&batch);
        pages.push(ids(&batch));
    }
}

#[tokio::test]
async fn rows_of_one_time_are_never_cut_apart() {
    let folder = tempfile::tempdir().unwrap();
    let time = |s: u32| format!("'2023-11-14 22:13:{s:02}'");
    let times: Vec<String> = [1, 2, 2, 3, 3, 3, 3, 3, 4].into_iter().map(time).collect();
    let rows: Vec<(i64, &str)> = (1..).zip(times.iter().map(String::as_str)).collect();
    let (writer, props) = timed(folder.path(), "TEXT NOT NULL", &rows);
    let (read, stored) = pages(&props, Vec::new()).await;
    assert_eq!(read, [vec![1], vec![2, 3], vec![4, 5, 6, 7, 8], vec![9]]);
    assert_eq!(stored[0].1.0["timestamp"], 1_699_999_984_000_i64);
    writer
        .execute_batch("UPDATE t SET at = '2023-11-14T22:14:00.5Z' WHERE id = 4; DELETE FROM t WHERE id = 1")
        .unwrap();
    let (read, stored) = pages(&props, stored).await;
    assert_eq!(read, [[4]], "what has changed since");
    assert_eq!(stored[0].1.0["timestamp_nanos"], 500_000_000);
}

#[tokio::test]
async fn within_a_page_only_the_last_row_of_a_time_has_a_position() {
    let folder = tempfile::tempdir().unwrap();
    let (_writer, props) = timed(folder.path(), "INTEGER NOT NULL", &[(1, "1700000001"), (2, "1700000001")]);
    let mut task = started(&props, Vec::new()).await;
    let batch = task.poll(&source_context(Vec::new())).await.unwrap();
    let has: Vec<bool> = batch.records.iter().map(|record| record.position.is_some()).collect();
    assert_eq!(has, [false, true]);
}

#[tokio::test]
async fn a_time_and_a_growing_column_go_on_between_rows_of_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [(1, "1700000001000"), (7, "1700000001000"), (2, "1700000001000"), (9, "1700000000"), (8, "1700000001")];
    let (_writer, mut props) = timed(folder.path(), "INTEGER NOT NULL", &rows);
    props.0.insert("mode".to_owned(), "timestamp+incrementing".to_owned());
    let (read, stored) = pages(&props, Vec::new()).await;
    assert_eq!(read, [vec![9, 1, 2], vec![7, 8]], "seconds and milliseconds are told apart");
    assert_eq!(stored[0].1.0["incrementing"], 8);
}

#[tokio::test]
async fn rows_that_are_too_young_wait_and_the_first_read_begins_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [(1, "'2001-01-01'"), (2, "datetime('now', '-1 day')"), (3, "strftime('%Y-%m-%d %H:%M:%f', 'now')")];
    let (_writer, mut props) = timed(folder.path(), "TEXT NOT NULL", &rows);
    props.0.insert("timestamp.delay.interval.ms".to_owned(), "3600000".to_owned());
    props.0.insert("timestamp.initial".to_owned(), "1000000000000".to_owned());
    assert_eq!(pages(&props, Vec::new()).await.0, [[2]]);
    props.0.insert("timestamp.initial".to_owned(), "-1".to_owned());
    assert!(pages(&props, Vec::new()).await.0.is_empty());
}

#[tokio::test]
async fn a_value_that_is_no_time_stops_the_task_and_a_column_that_may_be_null_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, props) = timed(folder.path(), "TEXT", &[(1, "'2001-01-01'"), (2, "'tomorrow'")]);
    let report = |props: Properties| async move {
        let context = ConnectorContext { clock: Arc::new(Still), replan: Arc::new(|| {}) };
        DynSourceConnector::validate(&SqliteSource, &props, &context).await
    };
    let refused = report(props.clone()).await;
    assert!(format!("{refused:?}").contains("may be NULL"), "{refused:?}");
    let mut lenient = props;
    lenient.0.insert("validate.non.null".to_owned(), "false".to_owned());
    let mut task = started(&lenient, Vec::new()).await;
    let error = task.poll(&source_context(Vec::new())).await.unwrap_err();
    assert_eq!((error.class, error.message.contains("no time")), (ErrorClass::Definite, true));
    writer.execute_batch("UPDATE t SET at = NULL WHERE id = 2").unwrap();
    assert_eq!(pages(&lenient, Vec::new()).await.0, [[1]]);
}

use crate::fakes::{Rejected, sink_context, task_id};
use crate::sink::{at, batch, row, rows, started};
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::position::{BatchId, Offset};
use elasticflow_api::registry::DynSinkConnector;
use elasticflow_api::sink::{Announced, BatchPart, PublishKind, Published, SinkBatch, TransactionalSink};
use elasticflow_sqlite::SqliteSink;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

fn properties(folder: &Path, more: &[(&'static str, &str)]) -> Properties {
    let url = format!("jdbc:sqlite:{}", folder.join("out.db").display());
    let keys = [("connection.url", url.as_str()), ("auto.create", "true"), ("auto.evolve", "true")];
    Properties::from_iter(keys.iter().chain(more).copied())
}

fn upserting(folder: &Path) -> Properties {
    properties(folder, &[("insert.mode", "upsert"), ("pk.mode", "record_key")])
}

fn part(id: &str, attempt: u32, records: u64) -> BatchPart {
    BatchPart { batch: BatchId(id.into()), attempt, records: [(at(), records)].into() }
}

fn announced(id: &str, attempt: u32, records: u64) -> Announced {
    Announced { batch: BatchId(id.into()), attempt, records, keep: 0 }
}

async fn staged(task: &mut Box<dyn TransactionalSink>, part: &BatchPart, batch: SinkBatch) {
    task.batches().unwrap().stage(part).await.unwrap();
    task.put(batch, &sink_context(Arc::new(Rejected::default()))).await.unwrap();
}

async fn published(task: &mut Box<dyn TransactionalSink>, batch: &Announced, kind: PublishKind) -> Published {
    task.batches().unwrap().publish(batch, kind).await.unwrap()
}

fn tables(folder: &Path) -> Vec<String> {
    let connection = Connection::open(folder.join("out.db")).unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'elasticflow%' ORDER BY name";
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn staged_rows_are_seen_when_the_batch_is_published_and_no_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&upserting(folder.path()), &errant).await;
    staged(&mut task, &part("b", 1, 2), batch(vec![(0, 1, row(1, "a")), (1, 2, row(2, "b"))])).await;
    assert!(!tables(folder.path()).contains(&"people".to_owned()));
    let early = published(&mut task, &announced("b", 1, 3), PublishKind::Append).await;
    assert_eq!(early, Published::Incomplete { staged: 2 });
    assert!(!tables(folder.path()).contains(&"people".to_owned()), "nothing of an incomplete batch is visible");
    staged(&mut task, &part("b", 1, 1), batch(vec![(2, 3, row(3, "c"))])).await;
    assert_eq!(published(&mut task, &announced("b", 1, 3), PublishKind::Append).await, Published::Now);
    assert_eq!(rows(folder.path()).len(), 3);
    assert_eq!(published(&mut task, &announced("b", 1, 3), PublishKind::Append).await, Published::Before);
    assert_eq!(rows(folder.path()).len(), 3, "a repeated publication changes nothing");
    assert_eq!(tables(folder.path()), ["people"], "no staging table is left");
}

#[tokio::test]
async fn the_kind_says_what_becomes_of_the_rows_before() {
    for (kind, expected) in [
        (PublishKind::Replace, vec![(2, "new"), (3, "new")]),
        (PublishKind::Upsert, vec![(1, "old"), (2, "new"), (3, "new")]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let errant = Arc::new(Rejected::default());
        let (mut task, _) = started(&upserting(folder.path()), &errant).await;
        staged(&mut task, &part("a", 1, 2), batch(vec![(0, 1, row(1, "old")), (1, 2, row(2, "old"))])).await;
        published(&mut task, &announced("a", 1, 2), PublishKind::Append).await;
        staged(&mut task, &part("b", 1, 2), batch(vec![(2, 2, row(2, "new")), (3, 3, row(3, "new"))])).await;
        assert_eq!(published(&mut task, &announced("b", 1, 2), kind).await, Published::Now);
        let expected: Vec<(i64, String)> = expected.into_iter().map(|(id, name)| (id, name.to_owned())).collect();
        assert_eq!(rows(folder.path()), expected, "{}", kind.word());
    }
}

/// The versions of a table beside the one that readers see: which ids each has, in order.
fn kept(folder: &Path) -> Vec<i64> {
    let connection = Connection::open(folder.join("out.db")).unwrap();
    let names = tables(folder).into_iter().filter(|name| name.starts_with("people__flow_"));
    let sole = |name: String| {
        connection.query_row(&format!("SELECT id FROM \"{name}\""), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut ids: Vec<i64> = names.map(sole).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn as_many_replaced_versions_stay_as_are_to_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&upserting(folder.path()), &errant).await;
    let expected =
        [(1, 2, vec![]), (2, 2, vec![1]), (3, 2, vec![1, 2]), (4, 2, vec![2, 3]), (5, 1, vec![4]), (6, 0, vec![])];
    for (offset, (id, keep, expected)) in (0..).zip(expected) {
        let name = format!("b{id}");
        staged(&mut task, &part(&name, 1, 1), batch(vec![(offset, id, row(id, "a"))])).await;
        let batch = Announced { keep, ..announced(&name, 1, 1) };
        assert_eq!(published(&mut task, &batch, PublishKind::Replace).await, Published::Now);
        assert_eq!(published(&mut task, &batch, PublishKind::Replace).await, Published::Before);
        assert_eq!((rows(folder.path()), kept(folder.path())), (vec![(id, "a".to_owned())], expected), "batch {id}");
    }
}

#[tokio::test]
async fn a_new_attempt_makes_the_one_before_void() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&upserting(folder.path()), &errant).await;
    staged(&mut task, &part("b", 1, 1), batch(vec![(0, 9, row(9, "void"))])).await;
    staged(&mut task, &part("b", 2, 1), batch(vec![(1, 1, row(1, "a"))])).await;
    published(&mut task, &announced("b", 2, 1), PublishKind::Append).await;
    assert_eq!(rows(folder.path()), [(1, "a".to_owned())]);
    assert_eq!(tables(folder.path()), ["people"]);
}

#[tokio::test]
async fn what_a_batch_has_staged_is_thrown_away_when_it_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&upserting(folder.path()), &errant).await;
    staged(&mut task, &part("b", 1, 1), batch(vec![(0, 1, row(1, "a"))])).await;
    task.batches().unwrap().drop_staged(&BatchId("b".into())).await.unwrap();
    assert_eq!(tables(folder.path()), Vec::<String>::new());
    let nothing = published(&mut task, &announced("b", 1, 1), PublishKind::Append).await;
    assert_eq!(nothing, Published::Incomplete { staged: 0 });
}

#[tokio::test]
async fn more_rows_than_announced_are_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&upserting(folder.path()), &errant).await;
    staged(&mut task, &part("b", 1, 2), batch(vec![(0, 1, row(1, "a")), (1, 2, row(2, "b"))])).await;
    let error = task.batches().unwrap().publish(&announced("b", 1, 1), PublishKind::Append).await.unwrap_err();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "SQL-0058"), "{error}");
    assert!(!tables(folder.path()).contains(&"people".to_owned()));
}

#[tokio::test]
async fn a_put_that_is_repeated_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&upserting(folder.path()), &errant).await;
    for _ in 0..2 {
        staged(&mut task, &part("b", 1, 1), batch(vec![(0, 1, row(1, "a"))])).await;
    }
    assert_eq!(published(&mut task, &announced("b", 1, 1), PublishKind::Append).await, Published::Now);
}

#[tokio::test]
async fn offsets_under_a_staged_batch_are_forgotten_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let props = upserting(folder.path());
    let (mut task, _) = started(&props, &errant).await;
    staged(&mut task, &part("b", 1, 1), batch(vec![(0, 1, row(1, "a"))])).await;
    drop(task);
    let moved = [(at(), Some(Offset(0)))].into();
    let refused = DynSinkConnector::alter_offsets(&SqliteSink, &props, &task_id(), &moved).await.unwrap_err();
    assert_eq!((refused.class, refused.code), (ErrorClass::Config, "SQL-0062"), "{refused}");
    DynSinkConnector::alter_offsets(&SqliteSink, &props, &task_id(), &[(at(), None)].into()).await.unwrap();
    let (mut task, _) = started(&props, &errant).await;
    staged(&mut task, &part("b", 1, 2), batch(vec![(0, 1, row(1, "a")), (1, 2, row(2, "b"))])).await;
    assert_eq!(published(&mut task, &announced("b", 1, 2), PublishKind::Append).await, Published::Now);
    assert_eq!(rows(folder.path()).len(), 2);
}

#[test]
fn what_cannot_be_published_as_a_whole_is_told_by_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let can = |more: &[(&'static str, &str)]| {
        let kinds = DynSinkConnector::publishes(&SqliteSink, &properties(folder.path(), more));
        kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>()
    };
    assert_eq!(can(&[]), ["append", "replace"]);
    assert_eq!(can(&[("pk.mode", "record_key")]), ["append", "upsert", "replace"]);
    assert_eq!(can(&[("pk.mode", "record_key"), ("delete.enabled", "true")]), ["replace"]);
    assert!(can(&[("delivery.guarantee", "at-least-once")]).is_empty());
    assert!(can(&[("pk.mode", "record_key"), ("insert.mode", "update")]).is_empty());
}

use crate::fakes::{Rejected, sink_context, task_id};
use bytes::Bytes;
use elasticflow_api::ErrorClass;
use elasticflow_api::config::Properties;
use elasticflow_api::data::{Datum, Field, Kind, Record, Schema, SchemaRef, Struct, Text, Value};
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{SinkBatch, SinkKind, SinkRecord, StartAt, TransactionalSink};
use elasticflow_sqlite::SqliteSink;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

fn schema(kind: Kind, name: Option<&str>, optional: bool) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: name.map(Arc::from),
        version: None,
        optional,
        default: None,
        doc: None,
        parameters: [].into(),
    })
}

fn structure(fields: &[(&str, Kind, Value)]) -> Datum {
    let field = |(name, kind, _): &(&str, Kind, Value)| Field {
        name: Arc::from(*name),
        schema: schema(kind.clone(), None, *name != "id"),
    };
    let of = schema(Kind::Struct(fields.iter().map(field).collect::<Vec<_>>().into()), None, true);
    let values = fields.iter().map(|(_, _, v)| v.clone()).collect();
    Datum { schema: Some(Arc::clone(&of)), value: Value::Struct(Struct { schema: of, values }) }
}

pub(crate) fn row(id: i64, name: &str) -> Datum {
    structure(&[("id", Kind::Int64, Value::Int64(id)), ("name", Kind::String, Value::String(Text::from(name)))])
}

fn tombstone() -> Datum {
    Datum { schema: None, value: Value::Null }
}

pub(crate) fn at() -> TopicPartition {
    TopicPartition { topic: Arc::from("people"), partition: 0 }
}

pub(crate) fn batch(records: Vec<(i64, i64, Datum)>) -> SinkBatch {
    let next = records.iter().map(|(offset, ..)| offset + 1).max().unwrap_or(0);
    let record = |(offset, id, value): (i64, i64, Datum)| SinkRecord {
        record: Record {
            topic: Arc::from("people"),
            partition: Some(0),
            key: structure(&[("id", Kind::Int64, Value::Int64(id))]),
            value,
            headers: Vec::new(),
            timestamp_ms: None,
        },
        origin: elasticflow_api::data::Origin {
            at: at(),
            offset: Offset(offset),
            key: None,
            value: Some(Bytes::new()),
            headers: elasticflow_api::data::RawHeaders::default(),
            timestamp_ms: None,
            replay: None,
        },
    };
    SinkBatch {
        records: records.into_iter().map(record).collect(),
        consumed: ConsumedOffsets([(at(), Offset(next))].into()),
    }
}

fn properties(folder: &Path) -> Properties {
    let url = format!("jdbc:sqlite:{}", folder.join("out.db").display());
    Properties::from_iter([
        ("connection.url", url.as_str()),
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("delete.enabled", "true"),
        ("auto.create", "true"),
        ("auto.evolve", "true"),
    ])
}

pub(crate) async fn started(props: &Properties, errant: &Arc<Rejected>) -> (Box<dyn TransactionalSink>, StartAt) {
    let SinkKind::Transactional(mut task) = DynSinkConnector::task(&SqliteSink, props, TaskConfig::default()).unwrap()
    else {
        panic!("the sink is transactional");
    };
    let cx = sink_context(Arc::clone(errant));
    task.start(&cx).await.unwrap();
    let from = task.open(&[at()], &cx).await.unwrap()[&at()];
    (task, from)
}

pub(crate) fn rows(folder: &Path) -> Vec<(i64, String)> {
    let connection = Connection::open(folder.join("out.db")).unwrap();
    let mut statement = connection.prepare("SELECT id, name FROM people ORDER BY id").unwrap();
    let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn upserts_and_deletes_reach_the_table_that_it_creates() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, from) = started(&properties(folder.path()), &errant).await;
    assert_eq!(from, StartAt::Group);
    let cx = sink_context(Arc::clone(&errant));
    task.put(batch(vec![(0, 1, row(1, "a")), (1, 2, row(2, "b")), (2, 1, row(1, "c"))]), &cx).await.unwrap();
    task.put(batch(vec![(3, 2, tombstone())]), &cx).await.unwrap();
    assert_eq!(rows(folder.path()), [(1, "c".to_owned())]);
}

#[tokio::test]
async fn a_successor_starts_at_the_stored_offset_and_a_replay_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut first, _) = started(&properties(folder.path()), &errant).await;
    let cx = sink_context(Arc::clone(&errant));
    first.put(batch(vec![(0, 1, row(1, "a")), (1, 1, tombstone())]), &cx).await.unwrap();
    let (mut second, from) = started(&properties(folder.path()), &errant).await;
    assert_eq!(from, StartAt::Stored(Offset(2)));
    second.put(batch(vec![(0, 1, row(1, "a"))]), &cx).await.unwrap();
    assert_eq!(rows(folder.path()), []);
}

#[tokio::test]
async fn a_replaced_owner_is_fenced_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut zombie, _) = started(&properties(folder.path()), &errant).await;
    let (mut owner, _) = started(&properties(folder.path()), &errant).await;
    let cx = sink_context(Arc::clone(&errant));
    owner.put(batch(vec![(0, 1, row(1, "owner"))]), &cx).await.unwrap();
    let refused = zombie.put(batch(vec![(1, 1, row(1, "zombie"))]), &cx).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Fenced);
    assert_eq!(rows(folder.path()), [(1, "owner".to_owned())]);
}

#[tokio::test]
async fn a_bad_row_is_rejected_alone_and_an_intolerant_policy_rolls_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&properties(folder.path()), &errant).await;
    let cx = sink_context(Arc::clone(&errant));
    let bad = structure(&[("id", Kind::Int64, Value::Int64(2)), ("name", Kind::Float64, Value::Float64(f64::NAN))]);
    task.put(batch(vec![(0, 1, row(1, "a")), (1, 2, bad.clone())]), &cx).await.unwrap();
    assert_eq!(*errant.offsets.lock().unwrap(), [1]);
    let strict = sink_context(Arc::new(Rejected { intolerant: true, ..Rejected::default() }));
    let error = task.put(batch(vec![(2, 3, row(3, "c")), (3, 4, bad)]), &strict).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Record);
    assert_eq!(rows(folder.path()), [(1, "a".to_owned())]);
}

#[tokio::test]
async fn a_new_optional_field_becomes_a_column() {
    let folder = tempfile::tempdir().unwrap();
    let errant = Arc::new(Rejected::default());
    let (mut task, _) = started(&properties(folder.path()), &errant).await;
    let cx = sink_context(Arc::clone(&errant));
    task.put(batch(vec![(0, 1, row(1, "a"))]), &cx).await.unwrap();
    let wider = structure(&[
        ("id", Kind::Int64, Value::Int64(2)),
        ("name", Kind::String, Value::String(Text::from("b"))),
        ("age", Kind::Int32, Value::Int32(7)),
    ]);
    task.put(batch(vec![(1, 2, wider)]), &cx).await.unwrap();
    let connection = Connection::open(folder.path().join("out.db")).unwrap();
    let age: Option<i64> = connection.query_row("SELECT age FROM people WHERE id = 2", [], |r| r.get(0)).unwrap();
    assert_eq!(age, Some(7));
}

#[tokio::test]
async fn altered_offsets_move_the_start_and_fence_the_running_owner() {
    let folder = tempfile::tempdir().unwrap();
    let props = properties(folder.path());
    let errant = Arc::new(Rejected::default());
    let (mut running, _) = started(&props, &errant).await;
    let cx = sink_context(Arc::clone(&errant));
    running.put(batch(vec![(0, 1, row(1, "a"))]), &cx).await.unwrap();
    let to = [(at(), Some(Offset(40)))].into();
    DynSinkConnector::alter_offsets(&SqliteSink, &props, &task_id(), &to).await.unwrap();
    let refused = running.put(batch(vec![(1, 1, row(1, "b"))]), &cx).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Fenced);
    let (_, from) = started(&props, &errant).await;
    assert_eq!(from, StartAt::Stored(Offset(40)));
}

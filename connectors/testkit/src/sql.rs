//! Bodies of tests that every SQL sink passes on its own server.
use crate::context::{Rejected, sink_context, task_id};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::context::SinkContext;
use elasticflow_api::data::{Datum, Field, Kind, Origin, RawHeaders, Record, Schema, SchemaRef, Struct, Text, Value};
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{SinkBatch, SinkKind, SinkRecord, StartAt, TransactionalSink};
use elasticflow_api::{ConnectorError, ErrorClass};
use elasticflow_config::Properties;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A server with an empty schema of the case's own.
#[async_trait]
pub trait SqlCase: Send + Sync {
    /// The connector.
    fn sink(&self) -> &dyn DynSinkConnector;
    /// Where it connects to.
    fn connection(&self) -> Properties;
    /// A quoted name.
    fn quoted(&self, name: &str) -> String;
    /// Runs statements.
    async fn run(&self, sql: &str);
    /// Runs a query; values as text.
    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>>;
}

/// A schema without a default.
pub fn schema(kind: Kind, name: Option<&str>, optional: bool) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: name.map(Arc::from),
        version: None,
        optional,
        default: None,
        doc: None,
        parameters: BTreeMap::new(),
    })
}

fn with_default(kind: Kind, name: Option<&str>, optional: bool, default: Value) -> SchemaRef {
    let plain = schema(kind, name, optional);
    Arc::new(Schema { default: Some(default), ..Schema::clone(&plain) })
}

/// A struct of fields; every field but `id` is optional.
pub fn structure(name: Option<&str>, fields: &[(&str, SchemaRef, Value)]) -> Datum {
    let field =
        |(name, schema, _): &(&str, SchemaRef, Value)| Field { name: Arc::from(*name), schema: Arc::clone(schema) };
    let of = schema(Kind::Struct(fields.iter().map(field).collect::<Vec<_>>().into()), name, true);
    let values = fields.iter().map(|(_, _, v)| v.clone()).collect();
    Datum { schema: Some(Arc::clone(&of)), value: Value::Struct(Struct { schema: of, values }) }
}

/// A row of `id` and `name`.
pub fn row(id: i64, name: &str) -> Datum {
    structure(
        None,
        &[
            ("id", schema(Kind::Int64, None, false), Value::Int64(id)),
            ("name", schema(Kind::String, None, true), Value::String(Text::from(name))),
        ],
    )
}

/// A null value.
pub fn tombstone() -> Datum {
    Datum { schema: None, value: Value::Null }
}

/// A key of the one field `id`.
pub fn key(id: i64) -> Datum {
    structure(None, &[("id", schema(Kind::Int64, None, false), Value::Int64(id))])
}

/// A change event in Debezium's form.
pub fn event(op: &str, before: Option<Datum>, after: Option<Datum>) -> Datum {
    let side = |datum: Option<Datum>| match datum {
        Some(datum) => (datum.schema.clone().unwrap_or_else(|| schema(Kind::String, None, true)), datum.value),
        None => (row(0, "").schema.unwrap_or_else(|| schema(Kind::String, None, true)), Value::Null),
    };
    let ((before_schema, before), (after_schema, after)) = (side(before), side(after));
    let op = ("op", schema(Kind::String, None, false), Value::String(Text::from(op)));
    structure(Some("srv.db.people.Envelope"), &[("before", before_schema, before), ("after", after_schema, after), op])
}

/// Partition 0 of a topic.
pub fn at(topic: &str) -> TopicPartition {
    TopicPartition { topic: Arc::from(topic), partition: 0 }
}

/// A record of a topic's partition 0.
pub fn record(topic: &str, offset: i64, key: Datum, value: Datum) -> SinkRecord {
    SinkRecord {
        record: Record {
            topic: Arc::from(topic),
            partition: Some(0),
            key,
            value,
            headers: Vec::new(),
            timestamp_ms: None,
        },
        origin: Origin {
            at: at(topic),
            offset: Offset(offset),
            key: None,
            value: Some(Bytes::new()),
            headers: RawHeaders::default(),
            timestamp_ms: None,
            replay: None,
        },
    }
}

/// A batch of records of one topic.
pub fn batch(records: Vec<SinkRecord>) -> SinkBatch {
    let consumed = records.iter().map(|r| (r.origin.at.clone(), Offset(r.origin.offset.0 + 1))).collect();
    SinkBatch { records, consumed: ConsumedOffsets(consumed) }
}

/// Upserts with deletes into tables that the sink creates.
pub fn upserting(case: &dyn SqlCase) -> Properties {
    let mut properties = case.connection();
    for (key, value) in [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("delete.enabled", "true"),
        ("auto.create", "true"),
        ("auto.evolve", "true"),
        ("retry.backoff.ms", "50"),
    ] {
        properties = properties.with(key, value);
    }
    properties
}

/// A started task of a connector with its context.
pub struct Started {
    /// The task.
    pub task: Box<dyn TransactionalSink>,
    /// Its context.
    pub cx: SinkContext,
    /// What it rejected.
    pub rejected: Arc<Rejected>,
    /// Where it begins.
    pub from: StartAt,
}

impl Started {
    /// Starts a task of the connector `connector` on one topic.
    pub async fn new(case: &dyn SqlCase, properties: &Properties, connector: &str, topic: &str) -> Self {
        let SinkKind::Transactional(mut task) =
            case.sink().task(properties, TaskConfig::default()).expect("the settings are good")
        else {
            panic!("an SQL sink is transactional")
        };
        let (cx, rejected, _) = sink_context(task_id(connector, 0));
        task.start(&cx).await.expect("the sink starts");
        let start = task.open(&[at(topic)], &cx).await.expect("the sink opens its partitions");
        let from = start.get(&at(topic)).copied().expect("every partition has a start");
        Self { task, cx, rejected, from }
    }

    /// Puts records.
    pub async fn put(&mut self, records: Vec<SinkRecord>) -> Result<(), ConnectorError> {
        self.task.put(batch(records), &self.cx).await
    }
}

async fn people(case: &dyn SqlCase, topic: &str) -> Vec<(String, String)> {
    let rows = case.query(&format!("SELECT id, name FROM {} ORDER BY id", case.quoted(topic))).await;
    let text = |v: Option<&Option<String>>| v.cloned().flatten().unwrap_or_else(|| "NULL".to_owned());
    rows.iter().map(|r| (text(r.first()), text(r.get(1)))).collect()
}

fn pairs(of: &[(i64, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(id, name)| (id.to_string(), (*name).to_owned())).collect()
}

/// Every body; `prefix` begins the names of topics and connectors, so that cases do not meet.
///
/// # Panics
/// When one of them finds a broken promise.
pub async fn check_sql_sink(case: &dyn SqlCase, prefix: &str) {
    let topic = |name: &str| format!("{prefix}_{name}");
    upserts_and_deletes_end_in_the_last_state(case, &topic("last")).await;
    change_events_become_rows(case, &topic("events")).await;
    a_successor_starts_at_the_stored_offset(case, &topic("successor")).await;
    a_replaced_owner_is_fenced(case, &topic("fenced")).await;
    a_bad_row_is_alone(case, &topic("bad")).await;
    a_new_field_becomes_a_column(case, &topic("evolve")).await;
    rows_that_are_there_get_the_default_of_a_new_field(case, &topic("default")).await;
    altered_offsets_really_rewrite(case, &topic("altered")).await;
    two_connectors_share_a_table(case, &topic("shared")).await;
    names_and_values_cannot_leave_their_quotes(case, &topic("hostile")).await;
    updates_change_existing_rows_alone(case, &topic("update")).await;
    inserts_keep_every_record(case, &topic("insert")).await;
    a_missing_table_is_a_config_error(case, &topic("missing")).await;
}

async fn upserts_and_deletes_end_in_the_last_state(case: &dyn SqlCase, topic: &str) {
    let mut sink = Started::new(case, &upserting(case), topic, topic).await;
    assert_eq!(sink.from, StartAt::Group, "an empty destination has stored no offset");
    let r = |offset, id, value| record(topic, offset, key(id), value);
    sink.put(vec![
        r(0, 1, row(1, "a")),
        r(1, 2, row(2, "b")),
        r(2, 1, row(1, "c")),
        r(3, 2, tombstone()),
        r(4, 3, row(3, "x")),
        r(5, 3, tombstone()),
        r(6, 3, row(3, "y")),
    ])
    .await
    .expect("the batch is written");
    assert_eq!(people(case, topic).await, pairs(&[(1, "c"), (3, "y")]), "the last record of a key wins");
    sink.put(vec![r(7, 3, tombstone()), r(8, 9, tombstone())]).await.expect("deletes of absent rows are fine");
    assert_eq!(people(case, topic).await, pairs(&[(1, "c")]));
    sink.task.stop().await;
}

async fn change_events_become_rows(case: &dyn SqlCase, topic: &str) {
    let mut sink = Started::new(case, &upserting(case), topic, topic).await;
    let r = |offset, id, value| record(topic, offset, key(id), value);
    sink.put(vec![
        r(0, 1, event("c", None, Some(row(1, "a")))),
        r(1, 2, event("r", None, Some(row(2, "b")))),
        r(2, 1, event("u", Some(row(1, "a")), Some(row(1, "a2")))),
        r(3, 2, event("d", Some(row(2, "b")), None)),
        r(4, 2, tombstone()),
        r(5, 5, event("m", None, None)),
    ])
    .await
    .expect("change events are written");
    assert_eq!(people(case, topic).await, pairs(&[(1, "a2")]));
    sink.task.stop().await;
}

async fn a_successor_starts_at_the_stored_offset(case: &dyn SqlCase, topic: &str) {
    let mut first = Started::new(case, &upserting(case), topic, topic).await;
    first
        .put(vec![record(topic, 0, key(1), row(1, "a")), record(topic, 1, key(1), tombstone())])
        .await
        .expect("written");
    let mut second = Started::new(case, &upserting(case), topic, topic).await;
    assert_eq!(second.from, StartAt::Stored(Offset(2)), "the offset was stored with the rows");
    second.put(vec![record(topic, 0, key(1), row(1, "a"))]).await.expect("a replay is skipped");
    assert_eq!(people(case, topic).await, pairs(&[]), "a replay changes nothing");
    second.task.stop().await;
}

async fn a_replaced_owner_is_fenced(case: &dyn SqlCase, topic: &str) {
    let mut zombie = Started::new(case, &upserting(case), topic, topic).await;
    zombie.put(vec![record(topic, 0, key(1), row(1, "before"))]).await.expect("written");
    let mut owner = Started::new(case, &upserting(case), topic, topic).await;
    let refused =
        zombie.put(vec![record(topic, 1, key(1), row(1, "zombie"))]).await.expect_err("an older owner cannot write");
    assert_eq!(refused.class, ErrorClass::Fenced, "{refused}");
    owner.put(vec![record(topic, 1, key(1), row(1, "owner"))]).await.expect("the owner writes");
    assert_eq!(people(case, topic).await, pairs(&[(1, "owner")]));
    owner.task.stop().await;
}

async fn a_bad_row_is_alone(case: &dyn SqlCase, topic: &str) {
    case.run(&format!(
        "CREATE TABLE {} (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(5) NOT NULL CHECK (LENGTH(name) < 6))",
        case.quoted(topic)
    ))
    .await;
    let mut sink = Started::new(case, &upserting(case), topic, topic).await;
    let long = "much longer than five";
    let records = (0..9_i64).map(|n| record(topic, n, key(n), row(n, if n % 4 == 1 { long } else { "ok" }))).collect();
    sink.put(records).await.expect("good rows land");
    let kept = people(case, topic).await.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(kept, ["0", "2", "3", "4", "6", "7", "8"], "the bad rows alone are missing");
    let rejected = sink.rejected.0.lock().iter().map(|(_, o, why)| (o.0, why.clone())).collect::<Vec<_>>();
    assert_eq!(rejected.iter().map(|(o, _)| *o).collect::<Vec<_>>(), [1, 5]);
    assert!(rejected.iter().all(|(_, why)| !why.contains(long)), "a reason holds no value: {rejected:?}");
    let next = Started::new(case, &upserting(case), topic, topic).await;
    assert_eq!(next.from, StartAt::Stored(Offset(9)), "bad rows move the offset too");
}

async fn a_new_field_becomes_a_column(case: &dyn SqlCase, topic: &str) {
    let mut sink = Started::new(case, &upserting(case), topic, topic).await;
    sink.put(vec![record(topic, 0, key(1), row(1, "a"))]).await.expect("written");
    let wider = structure(
        None,
        &[
            ("id", schema(Kind::Int64, None, false), Value::Int64(2)),
            ("name", schema(Kind::String, None, true), Value::String(Text::from("b"))),
            ("age", schema(Kind::Int32, None, true), Value::Int32(7)),
        ],
    );
    sink.put(vec![record(topic, 1, key(2), wider.clone()), record(topic, 2, key(1), row(1, "c"))])
        .await
        .expect("written");
    let ages = case.query(&format!("SELECT age FROM {} ORDER BY id", case.quoted(topic))).await;
    assert_eq!(ages, [vec![None], vec![Some("7".to_owned())]]);
    case.run(&format!("ALTER TABLE {} DROP COLUMN age", case.quoted(topic))).await;
    sink.put(vec![record(topic, 3, key(2), wider)]).await.expect("a dropped column is added again");
    sink.task.stop().await;
}

/// A source that adds a column with a default sends no change of the rows that it has.
async fn rows_that_are_there_get_the_default_of_a_new_field(case: &dyn SqlCase, topic: &str) {
    let mut sink = Started::new(case, &upserting(case), topic, topic).await;
    sink.put(vec![record(topic, 0, key(1), row(1, "a"))]).await.expect("written");
    let text = |t: &str| Value::String(Text::from(t));
    let (day, zoned) = (Some("org.apache.kafka.connect.data.Date"), Some("io.debezium.time.ZonedTimestamp"));
    let added = [
        ("state", with_default(Kind::String, None, false, text("it's new")), text("x")),
        ("note", with_default(Kind::String, None, true, text("none")), text("y")),
        ("since", with_default(Kind::Int32, day, false, Value::Int32(19_782)), Value::Int32(19_783)),
        ("size", with_default(Kind::Int32, None, false, Value::Int32(7)), Value::Int32(8)),
        ("ratio", with_default(Kind::Float64, None, true, Value::Float64(1.1e-300)), Value::Float64(0.5)),
        // What Debezium says for CURRENT_TIMESTAMP, which MySQL has no TIMESTAMP for.
        ("seen", with_default(Kind::String, zoned, false, text("1970-01-01T00:00:00Z")), text("2024-03-01T00:00:00Z")),
    ];
    let mut fields = vec![
        ("id", schema(Kind::Int64, None, false), Value::Int64(2)),
        ("name", schema(Kind::String, None, true), text("b")),
    ];
    fields.extend(added);
    sink.put(vec![record(topic, 1, key(2), structure(None, &fields))]).await.expect("columns are added");
    let rows = case.query(&format!("SELECT state, note, since, size FROM {} ORDER BY id", case.quoted(topic))).await;
    let expected = [["it's new", "none", "2024-02-29", "7"], ["x", "y", "2024-03-01", "8"]];
    assert_eq!(rows, expected.map(|row| row.map(|value| Some(value.to_owned())).to_vec()));
    sink.task.stop().await;
}

async fn altered_offsets_really_rewrite(case: &dyn SqlCase, topic: &str) {
    let properties = upserting(case);
    let mut running = Started::new(case, &properties, topic, topic).await;
    let all = |name: &str| (0..3_i64).map(|n| record(topic, n, key(n), row(n, name))).collect::<Vec<_>>();
    running.put(all("first")).await.expect("written");
    let id = task_id(topic, 0);
    let to = [(at(topic), Some(Offset(1)))].into();
    case.sink().alter_offsets(&properties, &id, &to).await.expect("offsets are altered");
    let refused =
        running.put(vec![record(topic, 3, key(1), row(1, "x"))]).await.expect_err("a running owner is refused");
    assert_eq!(refused.class, ErrorClass::Fenced);
    let mut next = Started::new(case, &properties, topic, topic).await;
    assert_eq!(next.from, StartAt::Stored(Offset(1)));
    next.put(all("again")).await.expect("written");
    assert_eq!(people(case, topic).await, pairs(&[(0, "first"), (1, "again"), (2, "again")]));
    case.sink().alter_offsets(&properties, &id, &[(at(topic), None)].into()).await.expect("offsets are reset");
    let mut reset = Started::new(case, &properties, topic, topic).await;
    assert_eq!(reset.from, StartAt::Group);
    reset.put(all("reset")).await.expect("written");
    assert_eq!(people(case, topic).await, pairs(&[(0, "reset"), (1, "reset"), (2, "reset")]));
}

async fn two_connectors_share_a_table(case: &dyn SqlCase, topic: &str) {
    let mut a = Started::new(case, &upserting(case), &format!("{topic}_a"), topic).await;
    let mut b = Started::new(case, &upserting(case), &format!("{topic}_b"), topic).await;
    a.put(vec![record(topic, 0, key(1), row(1, "a"))]).await.expect("one connector writes");
    b.put(vec![record(topic, 0, key(2), row(2, "b"))]).await.expect("the other writes");
    a.put(vec![record(topic, 1, key(3), row(3, "a"))]).await.expect("neither fences the other");
    assert_eq!(people(case, topic).await, pairs(&[(1, "a"), (2, "b"), (3, "a")]));
}

async fn names_and_values_cannot_leave_their_quotes(case: &dyn SqlCase, topic: &str) {
    let hostile = format!("{topic}'`\"]; DROP TABLE x; --");
    let odd = "a`b\"c'd]e; --";
    let text = "'; DROP TABLE x; -- \\ \u{1F600} \\' \"` %s ${x} \n\t\r \u{7f}";
    let value = structure(
        None,
        &[
            ("id", schema(Kind::Int64, None, false), Value::Int64(1)),
            (odd, schema(Kind::String, None, true), Value::String(Text::from(text))),
        ],
    );
    let mut sink = Started::new(case, &upserting(case), &hostile, &hostile).await;
    sink.put(vec![record(&hostile, 0, key(1), value)]).await.expect("odd names are quoted");
    let found = case.query(&format!("SELECT {} FROM {}", case.quoted(odd), case.quoted(&hostile))).await;
    assert_eq!(found, [vec![Some(text.to_owned())]]);
}

async fn updates_change_existing_rows_alone(case: &dyn SqlCase, topic: &str) {
    let mut first = Started::new(case, &upserting(case), topic, topic).await;
    first.put(vec![record(topic, 0, key(1), row(1, "a"))]).await.expect("written");
    first.task.stop().await;
    let updating = upserting(case).with("insert.mode", "update");
    let mut sink = Started::new(case, &updating, topic, topic).await;
    sink.put(vec![record(topic, 1, key(1), row(1, "b")), record(topic, 2, key(2), row(2, "c"))])
        .await
        .expect("written");
    assert_eq!(people(case, topic).await, pairs(&[(1, "b")]));
}

async fn inserts_keep_every_record(case: &dyn SqlCase, topic: &str) {
    let inserting = case.connection().with("auto.create", "true").with("pk.mode", "kafka");
    let mut sink = Started::new(case, &inserting, topic, topic).await;
    sink.put((0..5).map(|n| record(topic, n, key(1), row(1, "same"))).collect()).await.expect("written");
    assert_eq!(people(case, topic).await.len(), 5, "every record is a row of its own");
}

async fn a_missing_table_is_a_config_error(case: &dyn SqlCase, topic: &str) {
    let properties = upserting(case).with("auto.create", "false");
    let mut sink = Started::new(case, &properties, topic, topic).await;
    let refused = sink.put(vec![record(topic, 0, key(1), row(1, "a"))]).await.expect_err("there is no table");
    assert_eq!(refused.class, ErrorClass::Config, "{refused}");
    assert!(refused.message.contains("auto.create"), "{refused}");
}

/// A cell of a type table: name of the column, schema, value, the text that the database answers.
pub type TypeCell = (&'static str, SchemaRef, Value, &'static str);

/// A schema with parameters.
pub fn logical(kind: Kind, name: &str, parameters: &[(&str, &str)]) -> SchemaRef {
    let plain = schema(kind, Some(name), true);
    let parameters = parameters.iter().map(|(k, v)| (Arc::from(*k), Arc::from(*v))).collect();
    Arc::new(Schema { parameters, ..(*plain).clone() })
}

/// Cells that mean the same in every system, with their largest and smallest values; what a system answers is up to it.
pub fn every_type() -> Vec<(&'static str, SchemaRef, Value)> {
    let plain = |kind: Kind| schema(kind, None, true);
    let connect = |name: &str| format!("org.apache.kafka.connect.data.{name}");
    let time = |name: &str| format!("io.debezium.time.{name}");
    let text = |t: &str| Value::String(Text::from(t));
    vec![
        ("i8", plain(Kind::Int8), Value::Int8(i8::MIN)),
        ("i16", plain(Kind::Int16), Value::Int16(i16::MIN)),
        ("i32", plain(Kind::Int32), Value::Int32(i32::MIN)),
        ("i64", plain(Kind::Int64), Value::Int64(i64::MIN)),
        ("i64max", plain(Kind::Int64), Value::Int64(i64::MAX)),
        ("f32", plain(Kind::Float32), Value::Float32(1.5)),
        ("f64", plain(Kind::Float64), Value::Float64(0.1)),
        ("b", plain(Kind::Boolean), Value::Boolean(true)),
        ("s", plain(Kind::String), text("größe \u{1F600} \\ ' \"")),
        ("bytes", plain(Kind::Bytes), Value::Bytes(Bytes::from_static(b"plain"))),
        (
            "dec",
            logical(Kind::Bytes, &connect("Decimal"), &[("scale", "2")]),
            Value::Bytes(Bytes::from_static(&[0xfb, 0x2e])),
        ),
        ("d", logical(Kind::Int32, &connect("Date"), &[]), Value::Int32(19_723)),
        ("t", logical(Kind::Int32, &connect("Time"), &[]), Value::Int32(86_399_999)),
        ("ts", logical(Kind::Int64, &connect("Timestamp"), &[]), Value::Int64(1_704_164_645_678)),
        ("dd", logical(Kind::Int32, &time("Date"), &[]), Value::Int32(19_723)),
        ("mt", logical(Kind::Int64, &time("MicroTime"), &[]), Value::Int64(3_661_000_001)),
        ("mts", logical(Kind::Int64, &time("MicroTimestamp"), &[]), Value::Int64(1_704_164_645_678_901)),
        ("nts", logical(Kind::Int64, &time("NanoTimestamp"), &[]), Value::Int64(1_704_164_645_678_901_000)),
        ("zts", logical(Kind::String, &time("ZonedTimestamp"), &[]), text("2024-01-02T05:04:05.678901+02:00")),
        ("y", logical(Kind::Int32, &time("Year"), &[]), Value::Int32(2024)),
        ("j", logical(Kind::String, "io.debezium.data.Json", &[]), text("{\"a\": 1}")),
        ("u", logical(Kind::String, "io.debezium.data.Uuid", &[]), text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("e", logical(Kind::String, "io.debezium.data.Enum", &[("allowed", "a,b")]), text("a")),
        ("nul", plain(Kind::String), Value::Null),
    ]
}

/// Writes every cell of [`every_type`] into a table that the sink creates and compares the texts that the database answers.
///
/// # Panics
/// When a cell differs.
pub async fn check_types(case: &dyn SqlCase, topic: &str, expected: &[(&str, Option<&str>)]) {
    let cells = every_type();
    let id = ("id", schema(Kind::Int64, None, false), Value::Int64(1));
    let fields: Vec<_> = std::iter::once(id).chain(cells.iter().cloned()).collect();
    let mut sink = Started::new(case, &upserting(case), topic, topic).await;
    sink.put(vec![record(topic, 0, key(1), structure(None, &fields))]).await.expect("the row is written");
    assert!(sink.rejected.0.lock().is_empty(), "{:?}", sink.rejected.0.lock());
    let names: Vec<String> = cells.iter().map(|(name, ..)| case.quoted(name)).collect();
    let found = case.query(&format!("SELECT {} FROM {}", names.join(", "), case.quoted(topic))).await;
    let found = found.first().cloned().unwrap_or_default();
    let shown: Vec<(&str, Option<&str>)> =
        cells.iter().zip(&found).map(|((name, ..), text)| (*name, text.as_deref())).collect();
    assert_eq!(shown, expected, "a cell of the type table differs");
}

//! Records of changes: envelope, source block, keys, tombstones.
use crate::config::CdcConfig;
use crate::table::Table;
use crate::wire::Flavour;
use elasticflow_api::data::{Datum, Headers, Kind, Record, SchemaRef, Struct, Text, Value};
use elasticflow_api::source::SourceRecord;
use elasticflow_cdc::envelope::{Op, snapshot_marker, transaction_block};
use elasticflow_cdc::schema::{Shape, field, of, structure};
use std::sync::Arc;

/// Version in `source.version`.
const VERSION: &str = concat!("elasticflow ", env!("CARGO_PKG_VERSION"));

/// Where a change comes from; one per event.
#[derive(Debug, Clone)]
pub struct Origin {
    /// When it was committed, in microseconds.
    pub ts_us: i64,
    /// Marker of the snapshot; null while streaming.
    pub snapshot: Value,
    /// Server that wrote it; 0 in a snapshot.
    pub server_id: i64,
    /// Transaction id.
    pub gtid: Option<Text>,
    /// Log file.
    pub file: Text,
    /// Start of the event.
    pub pos: i64,
    /// Connection that wrote it.
    pub thread: Option<i64>,
    /// The statement.
    pub query: Option<Text>,
}

/// One change of one row.
pub struct Change {
    /// What happened.
    pub op: Op,
    /// Image before.
    pub before: Option<Vec<Value>>,
    /// Image after.
    pub after: Option<Vec<Value>>,
    /// Place of the row in its event.
    pub row: i32,
}

/// Makes records.
pub struct Assembler {
    pub(crate) connector: Text,
    pub(crate) prefix: Text,
    pub(crate) version: Text,
    source: SchemaRef,
    transaction: SchemaRef,
    pub(crate) headers: Headers,
    new_key: Arc<str>,
    old_key: Arc<str>,
    pub(crate) tombstones: bool,
    skipped: [bool; 4],
    pub(crate) skip_unchanged: bool,
    /// Time of the batch in milliseconds.
    pub now_ms: i64,
}

/// What names of schemas begin with.
pub(crate) fn package(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::MySql => "io.debezium.connector.mysql",
        Flavour::MariaDb => "io.debezium.connector.mariadb",
    }
}

/// Schema of the source block.
fn source_schema(flavour: Flavour) -> SchemaRef {
    let name = format!("{}.Source", package(flavour));
    let text = || of(Kind::String);
    let long = || of(Kind::Int64);
    Arc::new(
        structure(vec![
            field("version", text()),
            field("connector", text()),
            field("name", text()),
            field("ts_ms", long()),
            field("snapshot", snapshot_marker()),
            field("db", text()),
            field("sequence", text().nullable(true)),
            field("ts_us", long().nullable(true)),
            field("ts_ns", long().nullable(true)),
            field("table", text().nullable(true)),
            field("server_id", long()),
            field("gtid", text().nullable(true)),
            field("file", text()),
            field("pos", long()),
            field("row", of(Kind::Int32)),
            field("thread", long().nullable(true)),
            field("query", text().nullable(true)),
        ])
        .named(&name, 1),
    )
}

impl Assembler {
    /// For a task; `run` is different at every start.
    pub fn new(config: &CdcConfig, flavour: Flavour, task: u32, run: &str) -> Self {
        let string = Arc::new(of(Kind::String));
        let text = |t: &str| Datum { schema: Some(Arc::clone(&string)), value: Value::String(Text::from(t)) };
        let name = match flavour {
            Flavour::MySql => "mysql",
            Flavour::MariaDb => "mariadb",
        };
        let context = |key: &str, value: &str| (Arc::from(format!("__debezium.context.{key}")), text(value));
        let headers = if config.extended_headers {
            vec![
                context("connectorLogicalName", &config.topic_prefix),
                context("taskId", &task.to_string()),
                context("connectorName", name),
                context("runId", run),
            ]
        } else {
            Vec::new()
        };
        let skips = |letter: &str| config.skipped.iter().any(|s| s.eq_ignore_ascii_case(letter));
        Self {
            connector: Text::from(name),
            prefix: Text::from(config.topic_prefix.as_str()),
            version: Text::from_static(VERSION),
            source: source_schema(flavour),
            transaction: Arc::new(transaction_block()),
            headers,
            new_key: Arc::from("__debezium.newkey"),
            old_key: Arc::from("__debezium.oldkey"),
            tombstones: config.tombstones,
            skipped: [skips("c"), skips("u"), skips("d"), skips("t")],
            skip_unchanged: config.skip_unchanged,
            now_ms: 0,
        }
    }

    /// Schema of `source`.
    pub fn source_schema(&self) -> &SchemaRef {
        &self.source
    }

    /// Schema of the transaction block.
    pub fn transaction_schema(&self) -> &SchemaRef {
        &self.transaction
    }

    pub(crate) fn skips(&self, op: Op) -> bool {
        let [create, update, delete, truncate] = self.skipped;
        match op {
            Op::Create => create,
            Op::Update => update,
            Op::Delete => delete,
            Op::Truncate => truncate,
            Op::Read => false,
        }
    }

    /// Whether truncations produce records.
    pub fn emits_truncate(&self) -> bool {
        !self.skips(Op::Truncate)
    }

    /// The source block.
    pub fn source(&self, db: &Text, table: &Text, origin: &Origin, row: i32) -> Value {
        let text = |t: &Option<Text>| t.as_ref().map_or(Value::Null, |t| Value::String(t.clone()));
        let values = vec![
            Value::String(self.version.clone()),
            Value::String(self.connector.clone()),
            Value::String(self.prefix.clone()),
            Value::Int64(origin.ts_us.div_euclid(1000)),
            origin.snapshot.clone(),
            Value::String(db.clone()),
            Value::Null,
            Value::Int64(origin.ts_us),
            Value::Int64(origin.ts_us.saturating_mul(1000)),
            Value::String(table.clone()),
            Value::Int64(origin.server_id),
            text(&origin.gtid),
            Value::String(origin.file.clone()),
            Value::Int64(origin.pos),
            Value::Int32(row),
            origin.thread.map_or(Value::Null, Value::Int64),
            text(&origin.query),
        ];
        Value::Struct(Struct { schema: Arc::clone(&self.source), values })
    }

    /// Appends the records of a change; says how many.
    pub fn change(&self, table: &Table, change: Change, origin: &Origin, out: &mut Vec<SourceRecord>) -> usize {
        let before_len = out.len();
        match change {
            Change { op: Op::Update, before: Some(before), after: Some(after), row } => {
                if self.skip_unchanged && before == after {
                    return 0;
                }
                if table.same_key(&before, &after) {
                    if !self.skips(Op::Update) {
                        let key = self.key(table, &after);
                        let change = Change { op: Op::Update, before: Some(before), after: Some(after), row };
                        out.push(self.record(table, key, change, origin));
                    }
                } else {
                    self.key_change(table, (before, after), (origin, row), out);
                }
            }
            change if self.skips(change.op) => {}
            change => {
                let key = change.after.as_ref().or(change.before.as_ref()).map(|image| self.key(table, image));
                let key = key.unwrap_or_else(null);
                let tombstone = change.op == Op::Delete && self.tombstones;
                let dead = tombstone.then(|| self.tombstone(table, key.clone()));
                out.push(self.record(table, key, change, origin));
                out.extend(dead);
            }
        }
        out.len() - before_len
    }

    /// A change of the key: the row goes under the one key and comes under the other.
    fn key_change(
        &self,
        table: &Table,
        (before, after): (Vec<Value>, Vec<Value>),
        (origin, row): (&Origin, i32),
        out: &mut Vec<SourceRecord>,
    ) {
        let (old, new) = (self.key(table, &before), self.key(table, &after));
        let gone = Change { op: Op::Delete, before: Some(before), after: None, row };
        let mut delete = self.record(table, old.clone(), gone, origin);
        delete.record.headers.push((Arc::clone(&self.new_key), new.clone()));
        out.push(delete);
        if self.tombstones {
            let mut tombstone = self.tombstone(table, old.clone());
            tombstone.record.headers.push((Arc::clone(&self.new_key), new.clone()));
            out.push(tombstone);
        }
        let come = Change { op: Op::Create, before: None, after: Some(after), row };
        let mut create = self.record(table, new, come, origin);
        create.record.headers.push((Arc::clone(&self.old_key), old));
        out.push(create);
    }

    fn key(&self, table: &Table, image: &[Value]) -> Datum {
        match table.key_of(image) {
            Some(key) => Datum { schema: Some(Arc::clone(&key.schema)), value: Value::Struct(key) },
            None => null(),
        }
    }

    fn tombstone(&self, table: &Table, key: Datum) -> SourceRecord {
        self.bare(Arc::clone(&table.topic), key, null())
    }

    /// A record with the headers that every one has.
    pub(crate) fn bare(&self, topic: Arc<str>, key: Datum, value: Datum) -> SourceRecord {
        let record = Record { topic, partition: None, key, value, headers: self.headers.clone(), timestamp_ms: None };
        SourceRecord { record, position: None }
    }

    fn record(&self, table: &Table, key: Datum, change: Change, origin: &Origin) -> SourceRecord {
        let image = |values: Option<Vec<Value>>| match values {
            Some(values) => Value::Struct(Struct { schema: Arc::clone(&table.value), values }),
            None => Value::Null,
        };
        let values = vec![
            image(change.before),
            image(change.after),
            self.source(&table.db, &table.name, origin, change.row),
            Value::Null,
            Value::String(change.op.text()),
            Value::Int64(self.now_ms),
            Value::Int64(self.now_ms * 1000),
            Value::Int64(self.now_ms * 1_000_000),
        ];
        let value = Value::Struct(Struct { schema: Arc::clone(&table.envelope), values });
        self.bare(Arc::clone(&table.topic), key, Datum { schema: Some(Arc::clone(&table.envelope)), value })
    }
}

fn null() -> Datum {
    Datum { schema: None, value: Value::Null }
}

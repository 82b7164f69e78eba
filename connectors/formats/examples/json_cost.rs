//! What JSON costs per record: a change event of a table of 14 columns, written and read, with and without its schema.
//!
//! `cargo run --release -p elasticflow-formats --example json_cost`
#![expect(clippy::print_stdout, clippy::expect_used, reason = "prints figures; stops at the first surprise")]
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Datum, Field, Kind, Schema, SchemaRef, Struct, Value};
use elasticflow_config::{Properties, parse};
use elasticflow_formats::json::{JsonConfig, JsonConverter};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: u32 = 300_000;

fn schema(kind: Kind, name: Option<&str>, optional: bool) -> Schema {
    let version = name.map(|_| 1);
    Schema { kind, name: name.map(Arc::from), version, optional, default: None, doc: None, parameters: BTreeMap::new() }
}

fn field(name: &str, kind: Kind, logical: Option<&str>, optional: bool) -> Field {
    Field { name: name.into(), schema: Arc::new(schema(kind, logical, optional)) }
}

fn row_fields() -> Vec<Field> {
    let mut decimal = schema(Kind::Bytes, Some("org.apache.kafka.connect.data.Decimal"), true);
    decimal.parameters.insert("scale".into(), "2".into());
    vec![
        field("id", Kind::Int64, None, false),
        field("customer_id", Kind::Int32, None, false),
        field("status", Kind::String, Some("io.debezium.data.Enum"), false),
        field("email", Kind::String, None, true),
        field("first_name", Kind::String, None, true),
        field("last_name", Kind::String, None, true),
        Field { name: "amount".into(), schema: Arc::new(decimal) },
        field("weight", Kind::Float64, None, true),
        field("active", Kind::Int16, None, false),
        field("born", Kind::Int32, Some("io.debezium.time.Date"), true),
        field("created_at", Kind::Int64, Some("io.debezium.time.Timestamp"), false),
        field("updated_at", Kind::String, Some("io.debezium.time.ZonedTimestamp"), true),
        field("note", Kind::String, None, true),
        field("token", Kind::Bytes, None, true),
    ]
}

fn source_fields() -> Vec<Field> {
    let mut fields: Vec<Field> = ["version", "connector", "name"].map(|n| field(n, Kind::String, None, false)).into();
    fields.push(field("ts_ms", Kind::Int64, None, false));
    fields.push(field("snapshot", Kind::String, Some("io.debezium.data.Enum"), true));
    fields.push(field("db", Kind::String, None, false));
    fields.push(field("sequence", Kind::String, None, true));
    fields.extend(["ts_us", "ts_ns"].map(|n| field(n, Kind::Int64, None, true)));
    fields.push(field("table", Kind::String, None, true));
    fields.push(field("server_id", Kind::Int64, None, false));
    fields.extend(["gtid", "file"].map(|n| field(n, Kind::String, None, true)));
    fields.push(field("pos", Kind::Int64, None, false));
    fields.push(field("row", Kind::Int32, None, false));
    fields.push(field("thread", Kind::Int64, None, true));
    fields.push(field("query", Kind::String, None, true));
    fields
}

fn row() -> Vec<Value> {
    let text = |t: &'static str| Value::String(t.into());
    vec![
        Value::Int64(1_234_567),
        Value::Int32(98_765),
        text("shipped"),
        text("someone.somewhere@example.com"),
        text("Annalena"),
        text("Müller-Lüdenscheidt"),
        Value::Bytes(Bytes::from_static(&[0x01, 0xE2, 0x40])),
        Value::Float64(12.625),
        Value::Int16(1),
        Value::Int32(4_321),
        Value::Int64(1_700_000_000_123),
        text("2024-05-06T07:08:09Z"),
        text("please leave the parcel at the neighbour's \"green\" door"),
        Value::Bytes(Bytes::from_static(&[7; 16])),
    ]
}

fn source() -> Vec<Value> {
    let text = |t: &'static str| Value::String(t.into());
    vec![
        text("3.0.0.Final"),
        text("mysql"),
        text("shop"),
        Value::Int64(1_700_000_000_000),
        text("false"),
        text("inventory"),
        Value::Null,
        Value::Int64(1_700_000_000_000_000),
        Value::Int64(1_700_000_000_000_000_000),
        text("orders"),
        Value::Int64(184_054),
        text("3e11fa47-71ca-11e1-9e33-c80aa9429562:1234567"),
        text("binlog.000042"),
        Value::Int64(123_456_789),
        Value::Int32(0),
        Value::Int64(42),
        Value::Null,
    ]
}

fn event() -> Datum {
    let named = |fields: Vec<Field>, name: &str, optional| {
        Arc::new(Schema { version: None, ..schema(Kind::Struct(fields.into()), Some(name), optional) })
    };
    let row_schema: SchemaRef = named(row_fields(), "shop.inventory.orders.Value", true);
    let source_schema = named(source_fields(), "io.debezium.connector.mysql.Source", false);
    let field_of = |name: &str, schema: &SchemaRef| Field { name: name.into(), schema: Arc::clone(schema) };
    let mut fields =
        vec![field_of("before", &row_schema), field_of("after", &row_schema), field_of("source", &source_schema)];
    fields.push(field("op", Kind::String, None, false));
    fields.extend(["ts_ms", "ts_us", "ts_ns"].map(|n| field(n, Kind::Int64, None, true)));
    let envelope = named(fields, "shop.inventory.orders.Envelope", false);
    let values = vec![
        Value::Null,
        Value::Struct(Struct { schema: row_schema, values: row() }),
        Value::Struct(Struct { schema: source_schema, values: source() }),
        Value::String("c".into()),
        Value::Int64(1_700_000_000_456),
        Value::Int64(1_700_000_000_456_789),
        Value::Int64(1_700_000_000_456_789_012),
    ];
    Datum { schema: Some(Arc::clone(&envelope)), value: Value::Struct(Struct { schema: envelope, values }) }
}

fn main() {
    let event = event();
    for schemas in ["false", "true"] {
        let properties = Properties::default().with("converter.type", "value").with("schemas.enable", schemas);
        let converter = JsonConverter::new(&parse::<JsonConfig>(&properties).expect("valid"), false).expect("valid");
        let mut out = BytesMut::with_capacity(1 << 16);
        let started = Instant::now();
        for _ in 0..ROUNDS {
            out.clear();
            converter.write(black_box(&event), &mut out).expect("written");
            black_box(&out);
        }
        let write = started.elapsed() / ROUNDS;
        let bytes = out.split().freeze();
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(converter.read(Some(black_box(&bytes))).expect("read"));
        }
        let read = started.elapsed() / ROUNDS;
        println!(
            "schemas.enable={schemas}: {} bytes, write {} ns, read {} ns",
            bytes.len(),
            write.as_nanos(),
            read.as_nanos()
        );
    }
}

//! Protobuf: the texts that are registered, the bytes, foreign schemas.
use crate::converting::{PROTOBUF, converter, decode, encode, field, named, schema};
use crate::round_trip::same;
use crate::server::TestRegistry;
use bytes::Bytes;
use elasticflow_api::ErrorClass;
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Struct, Value};
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::sync::Arc;

fn logical(kind: Kind, name: &str, parameters: &[(&str, &str)]) -> SchemaRef {
    Arc::new(Schema {
        name: Some(format!("org.apache.kafka.connect.data.{name}").into()),
        version: Some(1),
        parameters: parameters.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        ..(*schema(kind, true)).clone()
    })
}

fn row() -> Datum {
    let inner = named(Kind::Struct(Arc::new([field("b", &schema(Kind::Bytes, true))])), true, Some("com.x.Inner"));
    let members = Kind::Map { key: schema(Kind::String, false), value: schema(Kind::Int64, false) };
    let fields = [
        field("id", &schema(Kind::Int64, false)),
        field("note", &schema(Kind::String, true)),
        field("small", &schema(Kind::Int8, false)),
        field("price", &logical(Kind::Bytes, "Decimal", &[("scale", "2"), ("connect.decimal.precision", "9")])),
        field("born", &logical(Kind::Int32, "Date", &[])),
        field("at", &logical(Kind::Int32, "Time", &[])),
        field("seen", &logical(Kind::Int64, "Timestamp", &[])),
        field("before", &inner),
        field("after", &inner),
        field("list", &schema(Kind::Array(schema(Kind::Int32, false)), false)),
        field("texts", &schema(Kind::Array(schema(Kind::String, false)), false)),
        field("members", &schema(members, false)),
        field("ratio", &schema(Kind::Float64, false)),
    ];
    let schema: SchemaRef = named(Kind::Struct(Arc::new(fields)), false, Some("com.x.Row"));
    let Kind::Struct(fields) = &schema.kind else { unreachable!() };
    let nested = |bytes: &'static [u8]| {
        let values = vec![Value::Bytes(Bytes::from_static(bytes))];
        Value::Struct(Struct { schema: Arc::clone(&fields[7].schema), values })
    };
    let values = vec![
        Value::Int64(-5),
        Value::Null,
        Value::Int8(-1),
        Value::Bytes(Bytes::from_static(&[0xFF, 0x6A])),
        Value::Int32(19_000),
        Value::Int32(3_723_004),
        Value::Int64(-1),
        Value::Null,
        nested(b"xy"),
        Value::Array(vec![Value::Int32(1), Value::Int32(-1), Value::Int32(300)]),
        Value::Array(vec![Value::String("a".into()), Value::String("".into())]),
        Value::Map(vec![(Value::String("k".into()), Value::Int64(0))]),
        Value::Float64(1.5),
    ];
    Datum { schema: Some(Arc::clone(&schema)), value: Value::Struct(Struct { schema, values }) }
}

fn values(datum: Datum) -> Vec<Value> {
    match datum.value {
        Value::Struct(record) => record.values,
        other => panic!("no struct: {other:?}"),
    }
}

const TEXT: &str = r#"syntax = "proto3";
package com.x;

import "confluent/meta.proto";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";

message Row {
  int64 id = 1;
  optional string note = 2;
  int32 small = 3 [(confluent.field_meta) = { params: [ { key: "connect.type", value: "int8" } ] }];
  confluent.type.Decimal price = 4 [(confluent.field_meta) = { params: [ { key: "precision", value: "9" }, { key: "scale", value: "2" } ] }];
  google.type.Date born = 5;
  google.type.TimeOfDay at = 6;
  google.protobuf.Timestamp seen = 7;
  Inner before = 8;
  .com.x.Row.Inner after = 9;
  repeated int32 list = 10;
  repeated string texts = 11;
  map<string, int64> members = 12;
  double ratio = 13;
  message Inner {
    optional bytes b = 1;
  }
}
"#;

#[tokio::test]
async fn a_row_is_a_message_and_reads_back_as_itself() {
    let server = TestRegistry::start().await;
    let both = converter(PROTOBUF, &server.url, &[("optional.for.nullables", "true")]);
    let bytes = encode(&*both, "t", &row()).await.unwrap_or_else(|e| panic!("{}", e.text())).unwrap();
    assert_eq!(server.state.lock().unwrap().schemas[0].1, TEXT);
    // What protoc 3.21 writes for the same text and values, behind id and message index.
    let by_protoc = "\
         08fbffffffffffffffff0118ffffffffffffffffff0122080a02ff6a100318022a0708e60f10011808320b080110021803208092f4013a\
         1108ffffffffffffffffff0110c08faedc034a040a027879520d01ffffffffffffffffff01ac025a01615a0062050a016b100069000000\
         000000f83f";
    let hex: String = bytes.iter().skip(6).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&bytes[..6], hex.as_str()), (&[0, 0, 0, 0, 1, 0][..], by_protoc));
    let read = decode(&*both, "t", Some(&bytes)).await.unwrap_or_else(|e| panic!("{}", e.text()));
    let names = read.schema.as_ref().map(|s| s.name.clone());
    assert_eq!(names, Some(Some("Row".into())));
    assert_eq!(read.schema.as_ref().unwrap().version, Some(1));
    let wanted = values(row());
    for (n, (is, wanted)) in values(read).iter().zip(&wanted).enumerate() {
        let equal = match (is, wanted) {
            (Value::Struct(is), Value::Struct(wanted)) => is.values == wanted.values,
            _ => same(is, wanted),
        };
        assert!(equal, "field {n}: {is:?} is not {wanted:?}");
    }
}

#[tokio::test]
async fn nulls_and_zeros_are_told_apart_as_the_options_say() {
    let server = TestRegistry::start().await;
    let fields = [field("n", &schema(Kind::Int32, true)), field("s", &schema(Kind::String, true))];
    let schema = named(Kind::Struct(Arc::new(fields)), false, Some("R"));
    let of = |values: Vec<Value>| Datum {
        schema: Some(Arc::clone(&schema)),
        value: Value::Struct(Struct { schema: Arc::clone(&schema), values }),
    };
    let nulls = of(vec![Value::Null, Value::Null]);
    let zeros = of(vec![Value::Int32(0), Value::String("".into())]);
    for (topic, option, kept) in
        [("a", None, false), ("b", Some("optional.for.nullables"), true), ("c", Some("wrapper.for.nullables"), true)]
    {
        let options: Vec<(&str, &str)> = option.into_iter().map(|key| (key, "true")).collect();
        let both = converter(PROTOBUF, &server.url, &options);
        let bytes = encode(&*both, topic, &nulls).await.unwrap_or_else(|e| panic!("{}", e.text())).unwrap();
        assert_eq!(bytes.len(), 6, "nulls take no room");
        let read = values(decode(&*both, topic, Some(&bytes)).await.unwrap());
        assert_eq!(read == [Value::Null, Value::Null], kept, "{topic}: {read:?}");
        let bytes = encode(&*both, topic, &zeros).await.unwrap().unwrap();
        let read = values(decode(&*both, topic, Some(&bytes)).await.unwrap());
        assert_eq!(read, [Value::Int32(0), Value::String("".into())], "{topic}");
    }
}

#[tokio::test]
async fn foreign_messages_are_read_with_what_they_import() {
    let server = TestRegistry::start().await;
    server.put("other", "PROTOBUF", "syntax = \"proto3\"; package o; message Other { string name = 1; }", json!([]));
    let text = r#"
        syntax = "proto3"; package com.x; import "other.proto";
        message First { int32 a = 1; }
        message Second {
            enum Kind { NONE = 0; SOME = 1; }
            message Deep { sint32 z = 1; fixed64 f = 2; }
            Kind kind = 1; Deep deep = 2; o.Other other = 3;
            oneof choice { string text = 4; uint32 number = 5; }
            repeated fixed32 packed = 6; repeated fixed32 single = 7 [packed = false];
        }"#;
    server.put("t-value", "PROTOBUF", text, json!([{"name": "other.proto", "subject": "other", "version": 1}]));
    let reading = converter(PROTOBUF, &server.url, &[]);
    // Message type 1; an unknown field 99 is passed over.
    let message =
        b"\0\0\0\0\x02\x02\x02\x08\x01\x12\x0b\x08\x03\x11\x07\0\0\0\0\0\0\0\x1a\x03\x0a\x01n\x28\x80\x80\x80\x80\x08\
        \x32\x08\x01\0\0\0\x02\0\0\0\x3d\x05\0\0\0\x9a\x06\x01x";
    let read =
        decode(&*reading, "t", Some(&Bytes::from_static(message))).await.unwrap_or_else(|e| panic!("{}", e.text()));
    assert_eq!(read.schema.as_ref().unwrap().name.as_deref(), Some("Second"));
    let read = values(read);
    let Value::Struct(choice) = &read[0] else { panic!("no struct") };
    assert_eq!(choice.values, [Value::Null, Value::Int64(0x8000_0000)]);
    assert_eq!(read[1], Value::String("SOME".into()));
    let Value::Struct(deep) = &read[2] else { panic!("no struct") };
    assert_eq!(deep.values, [Value::Int32(-2), Value::Int64(7)]);
    let Value::Struct(other) = &read[3] else { panic!("no struct") };
    assert_eq!(other.values, [Value::String("n".into())]);
    assert_eq!(read[4], Value::Array(vec![Value::Int64(1), Value::Int64(2)]));
    assert_eq!(read[5], Value::Array(vec![Value::Int64(5)]));
    // A message inside a message type: its place is 1, 0.
    let deep = decode(&*reading, "t", Some(&Bytes::from_static(b"\0\0\0\0\x02\x04\x02\0\x08\x03"))).await.unwrap();
    assert_eq!(values(deep), [Value::Int32(-2), Value::Int64(0)]);
}

#[tokio::test]
async fn what_protobuf_cannot_say_is_a_bad_record_that_says_so() {
    let server = TestRegistry::start().await;
    let both = converter(PROTOBUF, &server.url, &[]);
    let plain = Datum { schema: Some(schema(Kind::Int32, false)), value: Value::Int32(1) };
    assert!(encode(&*both, "t", &plain).await.unwrap_err().text().contains("structs"));
    let nested = schema(Kind::Array(schema(Kind::Array(schema(Kind::Int32, false)), false)), false);
    let row = named(Kind::Struct(Arc::new([field("l", &nested)])), false, Some("R"));
    let values = vec![Value::Array(Vec::new())];
    let datum = Datum { schema: Some(Arc::clone(&row)), value: Value::Struct(Struct { schema: row, values }) };
    assert!(encode(&*both, "t", &datum).await.unwrap_err().text().contains("lists and maps"));
    server.put("r-value", "PROTOBUF", "syntax = \"proto3\"; message R { R r = 1; }", json!([]));
    let failed = decode(&*both, "r", Some(&Bytes::from_static(b"\0\0\0\0\x01\0"))).await.unwrap_err();
    assert!(failed.text().contains("holds itself"), "{}", failed.text());
}

#[tokio::test]
async fn records_that_do_not_fit_the_newest_version_stop_the_task() {
    let server = TestRegistry::start().await;
    server.put("t-value", "PROTOBUF", "syntax = \"proto3\"; message R { string id = 1; }", json!([]));
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let error = encode(&*converter(PROTOBUF, &server.url, &latest), "t", &row()).await.unwrap_err().task();
    assert_eq!(error.class, ErrorClass::Definite);
    assert!(error.message.contains("field id"), "{error}");
}

#[tokio::test]
async fn any_bytes_are_read_or_refused() {
    let server = TestRegistry::start().await;
    server.put("t-value", "PROTOBUF", TEXT, json!([]));
    let reading = converter(PROTOBUF, &server.url, &[("wrapper.for.nullables", "true")]);
    let mut runner = TestRunner::deterministic();
    for n in 0..4000_u32 {
        let mut message = vec![0, 0, 0, 0, 1];
        if n % 2 == 0 {
            message.push(0);
        }
        message.extend(
            proptest::collection::vec(any::<u8>().prop_map(|b| b & 0x7F), 0..40)
                .new_tree(&mut runner)
                .unwrap()
                .current(),
        );
        let _ = decode(&*reading, "t", Some(&Bytes::from(message))).await;
    }
}

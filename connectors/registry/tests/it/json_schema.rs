//! JSON Schema: the schemas that are registered, the bodies, foreign schemas.
use crate::converting::{JSON, converter, decode, encode, field, named, schema};
use crate::round_trip::{same, typed};
use crate::server::TestRegistry;
use bytes::Bytes;
use elasticflow_api::ErrorClass;
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Struct, Value};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn message(id: u8, body: &str) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, id];
    bytes.extend_from_slice(body.as_bytes());
    bytes.into()
}

fn row() -> Datum {
    let decimal = Schema {
        name: Some("org.apache.kafka.connect.data.Decimal".into()),
        version: Some(1),
        parameters: [("scale".into(), "2".into())].into(),
        ..(*schema(Kind::Bytes, false)).clone()
    };
    let entries = Kind::Map { key: schema(Kind::Int32, false), value: schema(Kind::String, false) };
    let members = Kind::Map { key: schema(Kind::String, false), value: schema(Kind::Int64, true) };
    let fields = [
        field("id", &schema(Kind::Int64, false)),
        field("note", &schema(Kind::String, true)),
        field("small", &schema(Kind::Int8, false)),
        field("price", &Arc::new(decimal)),
        field("entries", &schema(entries, false)),
        field("members", &schema(members, false)),
        field("list", &schema(Kind::Array(schema(Kind::Boolean, false)), false)),
    ];
    let schema: SchemaRef = named(Kind::Struct(Arc::new(fields)), false, Some("com.x.Row"));
    let values = vec![
        Value::Int64(5),
        Value::Null,
        Value::Int8(-1),
        Value::Bytes(Bytes::from_static(&[0, 150])),
        Value::Map(vec![(Value::Int32(1), Value::String("x".into()))]),
        Value::Map(vec![(Value::String("k".into()), Value::Null)]),
        Value::Array(vec![Value::Boolean(true)]),
    ];
    Datum { schema: Some(Arc::clone(&schema)), value: Value::Struct(Struct { schema, values }) }
}

#[tokio::test]
async fn a_row_is_json_and_its_schema_says_what_connect_means() {
    let server = TestRegistry::start().await;
    let writing = converter(JSON, &server.url, &[]);
    let bytes = encode(&*writing, "t", &row()).await.unwrap().unwrap();
    assert_eq!(
        std::str::from_utf8(&bytes[5..]).unwrap(),
        r#"{"id":5,"note":null,"small":-1,"price":"AJY=","entries":[{"key":1,"value":"x"}],"members":{"k":null},"list":[true]}"#
    );
    let (kind, text, _) = server.state.lock().unwrap().schemas[0].clone();
    assert_eq!(kind, "JSON");
    let nullable = |of: Json| json!({"oneOf": [{"type": "null"}, of]});
    let at = |mut of: Json, n: u32| {
        of["connect.index"] = n.into();
        of
    };
    let entry = json!({"type": "object", "properties": {
        "key": {"type": "integer", "connect.type": "int32", "connect.index": 0}, "value": {"type": "string", "connect.index": 1}}});
    let decimal = json!({"type": "number", "title": "org.apache.kafka.connect.data.Decimal", "connect.type": "bytes",
        "connect.version": 1, "connect.parameters": {"scale": "2"}, "connect.index": 3});
    let wanted = json!({"type": "object", "title": "com.x.Row", "properties": {
        "id": {"type": "integer", "connect.type": "int64", "connect.index": 0},
        "note": at(nullable(json!({"type": "string"})), 1),
        "small": {"type": "integer", "connect.type": "int8", "connect.index": 2},
        "price": decimal,
        "entries": {"type": "array", "items": entry, "connect.type": "map", "connect.index": 4},
        "members": {"type": "object", "additionalProperties": nullable(json!({"type": "integer", "connect.type": "int64"})),
            "connect.type": "map", "connect.index": 5},
        "list": {"type": "array", "items": {"type": "boolean"}, "connect.index": 6},
    }});
    assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), wanted, "{text}");
    let read = decode(&*writing, "t", Some(&bytes)).await.unwrap();
    assert!(same(&read.value, &row().value), "{read:?}");
    assert_eq!(read.schema.unwrap().version, Some(1), "the registry's");
}

#[tokio::test]
async fn a_nullable_field_may_be_one_that_is_not_required() {
    let server = TestRegistry::start().await;
    let options = [("use.optional.for.nonrequired", "true"), ("decimal.format", "NUMERIC")];
    let writing = converter(JSON, &server.url, &options);
    let bytes = encode(&*writing, "t", &row()).await.unwrap().unwrap();
    assert!(bytes[5..].starts_with(br#"{"id":5,"small":-1,"price":1.50,"#), "{bytes:?}");
    let text = server.state.lock().unwrap().schemas[0].1.clone();
    let registered: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(registered["properties"]["note"], json!({"type": "string", "connect.index": 1}));
    assert_eq!(registered["required"], json!(["id", "small", "price", "entries", "members", "list"]));
    assert!(same(&decode(&*writing, "t", Some(&bytes)).await.unwrap().value, &row().value));
}

#[tokio::test]
async fn records_read_back_as_themselves() {
    let server = TestRegistry::start().await;
    let mut runner = TestRunner::deterministic();
    for n in 0..200 {
        let (schema, value) =
            typed().prop_filter("JSON has no negative zero", |(_, v)| !odd(v)).new_tree(&mut runner).unwrap().current();
        let inside = Datum { schema: Some(schema), value };
        let (topic, writing) = (format!("t{n}"), converter(JSON, &server.url, &[]));
        let bytes = encode(&*writing, &topic, &inside).await.unwrap_or_else(|e| panic!("{inside:?}: {}", e.text()));
        let Some(bytes) = bytes else { continue };
        let read = decode(&*writing, &topic, Some(&bytes)).await.unwrap_or_else(|e| panic!("{inside:?}: {}", e.text()));
        assert!(same(&read.value, &inside.value), "{inside:?}\n{read:?}");
    }
}

/// Numbers that JSON does not keep: infinities are texts, negative zero is zero.
fn odd(value: &Value) -> bool {
    match value {
        Value::Float32(n) => !n.is_finite() || (*n == 0.0 && n.is_sign_negative()),
        Value::Float64(n) => !n.is_finite() || (*n == 0.0 && n.is_sign_negative()),
        Value::Array(values) => values.iter().any(odd),
        Value::Map(entries) => entries.iter().any(|(k, v)| odd(k) || odd(v)),
        Value::Struct(record) => record.values.iter().any(odd),
        _ => false,
    }
}

#[tokio::test]
async fn foreign_schemas_are_read() {
    let server = TestRegistry::start().await;
    let text = json!({
        "$id": "order", "type": "object", "title": "Order",
        "definitions": {"money": {"type": "number"}, "line": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "properties": {
            "id": {"type": "integer"},
            "total": {"$ref": "#/definitions/money"},
            "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}},
            "state": {"enum": ["open", "closed"]},
            "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "maybe": {"type": ["null", "boolean"]},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "other": {"$ref": "customer.json"},
        },
    });
    server.put("customer", "JSON", r#"{"type":"object","properties":{"name":{"type":"string"}}}"#, json!([]));
    server.put(
        "t-value",
        "JSON",
        &text.to_string(),
        json!([{"name": "customer.json", "subject": "customer", "version": 1}]),
    );
    let body = r#"{"id":1,"total":2.5,"lines":[{"sku":"a"}],"state":"open","either":7,"maybe":null,"tags":{"k":"v"},"other":{"name":"n"}}"#;
    let read = decode(&*converter(JSON, &server.url, &[]), "t", Some(&message(2, body)))
        .await
        .unwrap_or_else(|e| panic!("{}", e.text()));
    let Value::Struct(order) = read.value else { panic!("no struct") };
    assert_eq!(order.values[0], Value::Int64(1));
    assert_eq!(order.values[1], Value::Float64(2.5));
    assert_eq!(order.values[3], Value::String("open".into()));
    let Value::Struct(either) = &order.values[4] else { panic!("no struct") };
    assert_eq!(either.values, [Value::Null, Value::Int64(7)]);
    assert_eq!(order.values[5], Value::Null);
    assert_eq!(order.values[6], Value::Map(vec![(Value::String("k".into()), Value::String("v".into()))]));
    let Value::Struct(other) = &order.values[7] else { panic!("no struct") };
    assert_eq!(other.values, [Value::String("n".into())]);
}

#[tokio::test]
async fn schemas_that_cannot_be_read_are_bad_records_that_say_so() {
    let server = TestRegistry::start().await;
    for (n, (text, said)) in [
        (r##"{"type":"object","properties":{"self":{"$ref":"#"}}}"##, "holds itself"),
        (r#"{"type":"array"}"#, "items type"),
        (r##"{"$ref":"#/definitions/none"}"##, "names nothing"),
        (r#"{"type":"nope"}"#, "nope is unknown"),
    ]
    .into_iter()
    .enumerate()
    {
        let subject = format!("t{n}-value");
        let id = server.put(&subject, "JSON", text, json!([]));
        let topic = format!("t{n}");
        let bytes = message(u8::try_from(id).unwrap(), "{}");
        let failed = decode(&*converter(JSON, &server.url, &[]), &topic, Some(&bytes)).await.unwrap_err();
        assert!(failed.text().contains(said), "{}", failed.text());
    }
}

#[tokio::test]
async fn data_without_a_schema_is_written_under_the_schema_that_allows_anything() {
    let server = TestRegistry::start().await;
    let both = converter(JSON, &server.url, &[]);
    let inside = Datum { schema: None, value: Value::Map(vec![(Value::String("a".into()), Value::Int64(1))]) };
    let bytes = encode(&*both, "t", &inside).await.unwrap().unwrap();
    assert_eq!(&bytes[5..], br#"{"a":1}"#);
    assert_eq!(decode(&*both, "t", Some(&bytes)).await.unwrap(), inside);
}

#[tokio::test]
async fn records_that_do_not_fit_the_newest_version_stop_the_task() {
    let server = TestRegistry::start().await;
    server.put("t-value", "JSON", r#"{"type":"object","properties":{"id":{"type":"string"}}}"#, json!([]));
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let error = encode(&*converter(JSON, &server.url, &latest), "t", &row()).await.unwrap_err().task();
    assert_eq!(error.class, ErrorClass::Definite);
    assert!(error.message.contains("field id"), "{error}");
}

#[tokio::test]
async fn any_bytes_are_read_or_refused() {
    let server = TestRegistry::start().await;
    let text = r#"{"type":"object","properties":{"a":{"oneOf":[{"type":"object","properties":{"b":{"type":"integer"}}},{"type":"array","items":{"type":"string"}}]}}}"#;
    server.put("t-value", "JSON", text, json!([]));
    let reading = converter(JSON, &server.url, &[]);
    let mut runner = TestRunner::deterministic();
    for _ in 0..2000 {
        let body = r#"[{}\[\]"ab:,0-9 nul]{0,40}"#.new_tree(&mut runner).unwrap().current();
        let _ = decode(&*reading, "t", Some(&message(1, &body))).await;
        let inside = format!("{{\"a\":{body}}}");
        let _ = decode(&*reading, "t", Some(&message(1, &inside))).await;
    }
}

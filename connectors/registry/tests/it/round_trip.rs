//! What is written reads back as itself, and no bytes end the process.
use crate::converting::{AVRO, converter, decode, encode, field, named, schema};
use crate::server::TestRegistry;
use bytes::Bytes;
use elasticflow_api::data::{Datum, Kind, SchemaRef, Struct, Value};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::sync::Arc;

fn leaf() -> impl Strategy<Value = (Kind, Value)> {
    prop_oneof![
        any::<i8>().prop_map(|n| (Kind::Int8, Value::Int8(n))),
        any::<i16>().prop_map(|n| (Kind::Int16, Value::Int16(n))),
        any::<i32>().prop_map(|n| (Kind::Int32, Value::Int32(n))),
        any::<i64>().prop_map(|n| (Kind::Int64, Value::Int64(n))),
        any::<f32>().prop_filter("a number", |n| !n.is_nan()).prop_map(|n| (Kind::Float32, Value::Float32(n))),
        any::<f64>().prop_filter("a number", |n| !n.is_nan()).prop_map(|n| (Kind::Float64, Value::Float64(n))),
        any::<bool>().prop_map(|b| (Kind::Boolean, Value::Boolean(b))),
        any::<String>().prop_map(|s| (Kind::String, Value::String(s.into()))),
        any::<Vec<u8>>().prop_map(|b| (Kind::Bytes, Value::Bytes(b.into()))),
    ]
}

/// Values with their schemas; structs carry names of their own, so that no two are called alike.
pub(crate) fn typed() -> impl Strategy<Value = (SchemaRef, Value)> {
    let leaf = (leaf(), any::<bool>()).prop_flat_map(|((kind, value), optional)| {
        let value = if optional { prop_oneof![Just(Value::Null), Just(value)].boxed() } else { Just(value).boxed() };
        (Just(schema(kind, optional)), value)
    });
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize)
                .prop_map(|((item, value), n)| (schema(Kind::Array(item), false), Value::Array(vec![value; n]))),
            (inner.clone(), proptest::collection::btree_set("[a-z]{0,5}", 0..4)).prop_map(|((of, value), keys)| {
                let kind = Kind::Map { key: schema(Kind::String, false), value: of };
                let entries = keys.into_iter().map(|k| (Value::String(k.into()), value.clone())).collect();
                (schema(kind, false), Value::Map(entries))
            }),
            (inner.clone(), any::<i32>()).prop_map(|((of, value), key)| {
                let kind = Kind::Map { key: schema(Kind::Int32, false), value: of };
                (schema(kind, false), Value::Map(vec![(Value::Int32(key), value)]))
            }),
            (proptest::collection::btree_map("[a-z_][a-z0-9]{0,6}", inner, 0..5), any::<u64>()).prop_map(
                |(fields, n)| {
                    let (fields, values): (Vec<_>, Vec<_>) =
                        fields.into_iter().map(|(name, (schema, value))| (field(&name, &schema), value)).unzip();
                    let schema = named(Kind::Struct(fields.into()), false, Some(&format!("com.x.S{n}")));
                    (Arc::clone(&schema), Value::Struct(Struct { schema, values }))
                }
            ),
        ]
    })
}

#[tokio::test]
async fn a_record_reads_back_as_itself() {
    let server = TestRegistry::start().await;
    let mut runner = TestRunner::deterministic();
    for n in 0..300 {
        let (schema, value) = typed().new_tree(&mut runner).unwrap().current();
        let inside = Datum { schema: Some(schema), value };
        // One topic each: the version of a schema is that of its subject.
        let (topic, writing) = (format!("t{n}"), converter(AVRO, &server.url, &[]));
        let bytes = encode(&*writing, &topic, &inside).await.unwrap_or_else(|e| panic!("{inside:?}: {}", e.text()));
        let Some(bytes) = bytes else { continue };
        let read = decode(&*writing, &topic, Some(&bytes)).await.unwrap_or_else(|e| panic!("{inside:?}: {}", e.text()));
        assert!(same(&read.value, &inside.value), "{inside:?}\n{read:?}");
        assert_eq!(encode(&*writing, &topic, &read).await.unwrap().unwrap()[5..], bytes[5..]);
    }
}

/// Equal but for the version that the registry gives the whole.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Struct(a), Value::Struct(b)) => {
            a.schema.kind == b.schema.kind
                && a.values.len() == b.values.len()
                && a.values.iter().zip(&b.values).all(|(a, b)| same(a, b))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a.0, &b.0) && same(&a.1, &b.1))
        }
        (a, b) => a == b,
    }
}

#[tokio::test]
async fn any_bytes_are_read_or_refused() {
    let server = TestRegistry::start().await;
    let schemas = [
        r#""string""#,
        r#"["null","long"]"#,
        r#"["int","string",{"type":"array","items":"null"}]"#,
        r#"{"type":"array","items":"int"}"#,
        r#"{"type":"map","values":{"type":"fixed","name":"F","size":3}}"#,
        r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"int","connect.type":"int8"}},{"name":"b","type":{"type":"enum","name":"N","symbols":["A"]}},{"name":"c","type":"double"}]}"#,
        r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[]}"#,
    ];
    let reading = converter(AVRO, &server.url, &[]);
    let ids: Vec<usize> = schemas.iter().map(|text| server.put("t-value", "AVRO", text, json!([]))).collect();
    let mut runner = TestRunner::deterministic();
    for n in 0..4000 {
        let body = proptest::collection::vec(any::<u8>(), 0..40).new_tree(&mut runner).unwrap().current();
        let mut message = vec![0];
        message.extend(u32::try_from(ids[n % ids.len()]).unwrap().to_be_bytes());
        message.extend(body);
        let _ = decode(&*reading, "t", Some(&Bytes::from(message))).await;
    }
    for n in 0..8 {
        assert!(decode(&*reading, "t", Some(&Bytes::from(vec![0xFF; n]))).await.is_err());
    }
}

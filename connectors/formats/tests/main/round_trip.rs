//! What is written reads back as itself, whatever its schema.
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::{Datum, Field, Kind, Schema, SchemaRef, Struct, Value};
use elasticflow_config::{Properties, parse};
use elasticflow_formats::json::{JsonConfig, JsonConverter};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use std::sync::Arc;

fn converter(schemas: bool) -> JsonConverter {
    let properties = Properties::default().with("converter.type", "value").with("schemas.enable", schemas.to_string());
    JsonConverter::new(&parse::<JsonConfig>(&properties).unwrap(), false).unwrap()
}

fn schema(kind: Kind, optional: bool) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: None,
        version: None,
        optional,
        default: None,
        doc: None,
        parameters: std::collections::BTreeMap::new(),
    })
}

fn leaf() -> impl Strategy<Value = (Kind, Value)> {
    // Negative zero and NaN do not survive Connect's reader.
    prop_oneof![
        any::<i8>().prop_map(|n| (Kind::Int8, Value::Int8(n))),
        any::<i16>().prop_map(|n| (Kind::Int16, Value::Int16(n))),
        any::<i32>().prop_map(|n| (Kind::Int32, Value::Int32(n))),
        any::<i64>().prop_map(|n| (Kind::Int64, Value::Int64(n))),
        any::<f32>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| (Kind::Float32, Value::Float32(n + 0.0))),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| (Kind::Float64, Value::Float64(n + 0.0))),
        any::<bool>().prop_map(|b| (Kind::Boolean, Value::Boolean(b))),
        any::<String>().prop_map(|s| (Kind::String, Value::String(s.into()))),
        any::<Vec<u8>>().prop_map(|b| (Kind::Bytes, Value::Bytes(b.into()))),
    ]
}

fn typed() -> impl Strategy<Value = (SchemaRef, Value)> {
    let leaf = (leaf(), any::<bool>()).prop_flat_map(|((kind, value), optional)| {
        let value = if optional { prop_oneof![Just(Value::Null), Just(value)].boxed() } else { Just(value).boxed() };
        (Just(schema(kind, optional)), value)
    });
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize)
                .prop_map(|((item, value), n)| { (schema(Kind::Array(item), false), Value::Array(vec![value; n])) }),
            (inner.clone(), proptest::collection::btree_set(any::<String>(), 0..4)).prop_map(|((of, value), keys)| {
                let kind = Kind::Map { key: schema(Kind::String, false), value: of };
                (
                    schema(kind, false),
                    Value::Map(keys.into_iter().map(|k| (Value::String(k.into()), value.clone())).collect()),
                )
            }),
            (inner.clone(), any::<i32>()).prop_map(|((of, value), key)| {
                let kind = Kind::Map { key: schema(Kind::Int32, false), value: of };
                (schema(kind, false), Value::Map(vec![(Value::Int32(key), value)]))
            }),
            proptest::collection::btree_map(any::<String>().prop_filter("named", |n| !n.is_empty()), inner, 0..5)
                .prop_map(|fields| {
                    let (names, values): (Vec<_>, Vec<_>) = fields
                        .into_iter()
                        .map(|(name, (schema, value))| (Field { name: name.into(), schema }, value))
                        .unzip();
                    let schema = schema(Kind::Struct(names.into()), false);
                    (Arc::clone(&schema), Value::Struct(Struct { schema, values }))
                }),
        ]
    })
}

proptest! {
    #[test]
    fn a_record_with_its_schema_reads_back_as_itself((schema, value) in typed()) {
        let datum = Datum { schema: Some(schema), value };
        let converter = converter(true);
        let mut out = BytesMut::new();
        assert!(converter.write(&datum, &mut out).unwrap());
        let bytes = out.freeze();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
        // Twice: by the long way and by the way of a schema that is known.
        prop_assert_eq!(&converter.read(Some(&bytes)).unwrap(), &datum);
        prop_assert_eq!(&converter.read(Some(&bytes)).unwrap(), &datum);
    }

    #[test]
    fn any_bytes_beside_a_schema_are_read_or_refused(payload: Vec<u8>, kind in 0..12_usize) {
        const SCHEMAS: [&str; 12] = [
            r#"{"type":"int8"}"#, r#"{"type":"float"}"#, r#"{"type":"boolean"}"#, r#"{"type":"string"}"#, r#"{"type":"bytes"}"#,
            r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}"#,
            r#"{"type":"int32","name":"org.apache.kafka.connect.data.Time"}"#,
            r#"{"type":"array","items":{"type":"int32"}}"#,
            r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int32"}}"#,
            r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"int32"}}"#,
            r#"{"type":"struct","fields":[{"field":"a","type":"int32"}]}"#, "null",
        ];
        let mut message = format!("{{\"schema\":{},\"payload\":", SCHEMAS[kind]).into_bytes();
        message.extend(payload);
        message.push(b'}');
        let _ = converter(true).read(Some(&Bytes::from(message)));
    }

    #[test]
    fn any_bytes_as_a_schema_are_read_or_refused(text in r#"[\[\]{}":,0-9a-z]{0,60}"#) {
        let message = format!("{{\"schema\":{{\"type\":\"struct\",\"fields\":[{text}]}},\"payload\":{{}}}}");
        let _ = converter(true).read(Some(&Bytes::from(message)));
    }
}

#[test]
fn a_schema_nested_without_end_is_refused() {
    let deep = "{\"type\":\"array\",\"items\":".repeat(200) + "{\"type\":\"int8\"}" + &"}".repeat(200);
    let message = format!("{{\"schema\":{deep},\"payload\":[]}}");
    let error = converter(true).read(Some(&Bytes::from(message))).unwrap_err();
    assert!(error.to_string().contains("nested deeper than 64"), "{error}");
}

#[test]
fn a_struct_whose_fields_stand_elsewhere_is_refused_not_written_under_wrong_names() {
    let of = |names: [&str; 2]| {
        let fields: Vec<Field> =
            names.iter().map(|n| Field { name: (*n).into(), schema: schema(Kind::Int32, false) }).collect();
        schema(Kind::Struct(fields.into()), false)
    };
    let value = Value::Struct(Struct { schema: of(["b", "a"]), values: vec![Value::Int32(1), Value::Int32(2)] });
    let datum = Datum { schema: Some(of(["a", "b"])), value };
    assert_eq!(converter(false).write(&datum, &mut BytesMut::new()).unwrap_err().to_string(), "Mismatching schema.");
}

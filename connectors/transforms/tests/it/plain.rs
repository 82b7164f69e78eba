//! Values without schemas that transforms neither look at nor change: JSON goes through them unread.
use bytes::Bytes;
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Record, Text, Value};
use elasticflow_api::registry::Plugin;
use elasticflow_config::Properties;
use std::sync::Arc;

fn made(class: &str, keys: &[(&str, &str)]) -> Arc<dyn Transform> {
    let entry = elasticflow_transforms::plugins().into_iter().find(|e| e.class == class).unwrap();
    let Plugin::Transform(make) = entry.plugin else { panic!("{class} is no transform") };
    make(&keys.iter().copied().collect::<Properties>()).unwrap()
}

fn record(value: Value) -> Record {
    let id = (Value::String(Text::from_static("id")), Value::Int64(7));
    Record {
        topic: "server.db.table".into(),
        partition: Some(0),
        key: Datum { schema: None, value: Value::Map(vec![id]) },
        value: Datum { schema: None, value },
        headers: Vec::new(),
        timestamp_ms: Some(1_700_000_000_000),
    }
}

const CONNECT: &str = "org.apache.kafka.connect.transforms.";

#[test]
fn transforms_that_pass_plain_values_leave_them_as_they_are_whatever_they_are() {
    let passing: [(String, &[(&str, &str)]); 6] = [
        ("io.debezium.transforms.ExtractNewRecordState".to_owned(), &[("add.fields", "op"), ("add.headers", "db")]),
        (format!("{CONNECT}ExtractField$Key"), &[("field", "id")]),
        (format!("{CONNECT}RegexRouter"), &[("regex", "(.*)"), ("replacement", "x-$1")]),
        (format!("{CONNECT}InsertHeader"), &[("header", "h"), ("value.literal", "1")]),
        (format!("{CONNECT}DropHeaders"), &[("headers", "h")]),
        (format!("{CONNECT}TimestampRouter"), &[]),
    ];
    let json = Value::Bytes(Bytes::from_static(br#"{"after":{"id":1},"op":"d"}"#));
    for (class, keys) in passing {
        let transform = made(&class, keys);
        assert!(transform.passes_plain_values(), "{class}");
        for value in [json.clone(), Value::Int64(1)] {
            let passed = transform.apply(record(value.clone())).unwrap().unwrap();
            assert_eq!(passed.value, Datum { schema: None, value }, "{class}");
        }
    }
}

#[test]
fn transforms_of_values_do_not() {
    for (class, keys) in [
        ("ExtractField$Value", &[("field", "id")][..]),
        ("ValueToKey", &[("fields", "id")]),
        ("InsertField$Value", &[("topic.field", "t")]),
        ("MaskField$Value", &[("fields", "id")]),
    ] {
        assert!(!made(&format!("{CONNECT}{class}"), keys).passes_plain_values(), "{class}");
    }
}

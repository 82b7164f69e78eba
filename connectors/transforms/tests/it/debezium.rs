//! Debezium's transforms on envelopes as its connectors write them; expectations are those of recorded runs.
use crate::typed::datum;
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Kind, Record, Value};
use elasticflow_api::registry::Plugin;
use elasticflow_config::Properties;
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn made(class: &str, keys: &[(&str, &str)]) -> Result<Arc<dyn Transform>, String> {
    let entry = elasticflow_transforms::plugins().into_iter().find(|e| e.class == class).unwrap();
    let Plugin::Transform(make) = entry.plugin else { panic!("{class} is no transform") };
    make(&keys.iter().copied().collect::<Properties>()).map_err(|e| e.message)
}

fn unwrap(keys: &[(&str, &str)]) -> Arc<dyn Transform> {
    made("io.debezium.transforms.ExtractNewRecordState", keys).unwrap()
}

fn row_schema(name: &str) -> Json {
    json!({"type": "struct", "optional": true, "name": format!("{name}.Value"), "fields": [
        {"type": "int32", "optional": false, "field": "id"},
        {"type": "int32", "optional": true, "default": 3, "field": "v"},
        {"type": "string", "optional": true, "field": "route"},
    ]})
}

fn with(mut schema: Json, field: &str) -> Json {
    schema["field"] = field.into();
    schema
}

fn envelope_schema(name: &str) -> Json {
    json!({"type": "struct", "optional": false, "name": format!("{name}.Envelope"), "version": 2, "fields": [
        with(row_schema(name), "before"),
        with(row_schema(name), "after"),
        {"type": "struct", "optional": false, "name": "io.debezium.connector.mysql.Source", "field": "source", "fields": [
            {"type": "string", "optional": true, "name": "io.debezium.data.Enum", "version": 1, "default": "false",
             "parameters": {"allowed": "true,false"}, "field": "snapshot"},
            {"type": "string", "optional": false, "field": "db"},
            {"type": "string", "optional": true, "field": "table"},
        ]},
        {"type": "string", "optional": false, "field": "op"},
        {"type": "int64", "optional": true, "field": "ts_ms"},
    ]})
}

fn row(id: i32, v: Option<i32>) -> Json {
    json!({"struct": {"id": {"int32": id}, "v": v.map(|v| json!({"int32": v})), "route": {"string": "elsewhere"}}})
}

fn key(name: &str, id: i32) -> Json {
    json!({"schema": {"type": "struct", "optional": false, "name": format!("{name}.Key"), "fields": [
        {"type": "int32", "optional": false, "field": "id"}]}, "value": {"struct": {"id": {"int32": id}}}})
}

/// A change of a row of the table `name`.
fn change(name: &str, op: &str, before: Option<Json>, after: Option<Json>) -> Record {
    let value = json!({"struct": {
        "before": before, "after": after, "op": {"string": op}, "ts_ms": {"int64": "1700000000123"},
        "source": {"struct": {"snapshot": null, "db": {"string": "inv"}, "table": {"string": "t"}}},
    }});
    record(name, key(name, 1), json!({"schema": envelope_schema(name), "value": value}))
}

fn record(topic: &str, key: Json, value: Json) -> Record {
    Record {
        topic: topic.into(),
        partition: Some(2),
        key: datum(&key).unwrap(),
        value: datum(&value).unwrap(),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

fn tombstone(name: &str) -> Record {
    record(name, key(name, 1), json!({"schema": null, "value": null}))
}

/// Fields of a struct with their values, as text.
fn shown(datum: &Datum) -> String {
    let Value::Struct(record) = &datum.value else { return format!("{:?}", datum.value) };
    assert_eq!(datum.schema.as_ref(), Some(&record.schema), "schema and struct agree");
    let Kind::Struct(fields) = &record.schema.kind else { panic!("no struct") };
    assert_eq!(fields.len(), record.values.len(), "as many values as fields");
    let text = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Int32(n) => n.to_string(),
        Value::String(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    fields.iter().zip(&record.values).map(|(f, v)| format!("{}={}", f.name, text(v))).collect::<Vec<_>>().join(" ")
}

#[test]
fn unwrap_gives_the_row_and_one_null_for_a_delete_and_its_tombstone() {
    let unwrap = unwrap(&[]);
    let sent = unwrap.apply(change("srv.inv.t", "c", None, Some(row(1, None)))).unwrap().unwrap();
    assert_eq!(shown(&sent.value), "id=1 v=null route=elsewhere");
    let schema = sent.value.schema.unwrap();
    assert_eq!((schema.name.as_deref(), schema.optional), (Some("srv.inv.t.Value"), false));
    let deleted = unwrap.apply(change("srv.inv.t", "d", Some(row(1, Some(5))), None)).unwrap().unwrap();
    assert_eq!(deleted.value.value, Value::Null);
    assert!(deleted.value.schema.unwrap().optional, "the null keeps the row's schema");
    assert!(unwrap.apply(tombstone("srv.inv.t")).unwrap().is_none());
}

#[test]
fn an_envelope_that_protobuf_has_left_without_its_package_is_one() {
    let mut schema = envelope_schema("t");
    schema["name"] = "Envelope".into();
    let value = json!({"struct": {"before": null, "after": row(1, Some(5)), "source": null, "op": {"string": "c"}, "ts_ms": null}});
    let sent = unwrap(&[]).apply(record("t", key("t", 1), json!({"schema": schema, "value": value}))).unwrap().unwrap();
    assert_eq!(shown(&sent.value), "id=1 v=5 route=elsewhere");
}

#[test]
fn every_way_to_handle_deletes_gives_the_records_it_promises() {
    // Mode, what becomes of the delete, whether the tombstone stays, what becomes of an insert.
    let cases = [
        ("drop", None, false, "id=1 v=5 route=elsewhere"),
        ("tombstone", Some("Null"), false, "id=1 v=5 route=elsewhere"),
        ("delete-to-tombstone", Some("Null"), false, "id=1 v=5 route=elsewhere"),
        ("rewrite", Some("id=1 v=5 route=elsewhere __deleted=true"), false, "id=1 v=5 route=elsewhere __deleted=false"),
        (
            "rewrite-with-tombstone",
            Some("id=1 v=5 route=elsewhere __deleted=true"),
            true,
            "id=1 v=5 route=elsewhere __deleted=false",
        ),
    ];
    for (mode, deleted, keeps, inserted) in cases {
        let unwrap = unwrap(&[("delete.tombstone.handling.mode", mode)]);
        let apply = |record| unwrap.apply(record).unwrap();
        let after_delete = apply(change("t", "d", Some(row(1, Some(5))), None));
        assert_eq!(after_delete.as_ref().map(|r| shown(&r.value)).as_deref(), deleted, "{mode}");
        assert_eq!(apply(tombstone("t")).is_some(), keeps, "{mode}");
        assert_eq!(shown(&apply(change("t", "c", None, Some(row(1, Some(5))))).unwrap().value), inserted, "{mode}");
        if mode == "delete-to-tombstone" {
            assert!(after_delete.unwrap().value.schema.is_none(), "a tombstone has no schema");
        }
    }
}

#[test]
fn added_fields_and_headers_are_named_as_debezium_names_them_and_missing_ones_are_left_out() {
    let unwrap = unwrap(&[
        ("delete.tombstone.handling.mode", "rewrite"),
        ("add.fields", "op,table,source.snapshot,lsn,source.db:dbname"),
        ("add.headers", "op,source.table"),
    ]);
    let sent = unwrap.apply(change("t", "c", None, Some(row(2, None)))).unwrap().unwrap();
    let expected = "id=2 v=3 route=elsewhere __deleted=false __op=c __table=t __source_snapshot=null __dbname=inv";
    assert_eq!(shown(&sent.value), expected);
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["__op", "__source_table"]);
    let schema = sent.headers[0].1.schema.as_ref().unwrap();
    assert!(schema.optional && schema.default.is_none());
}

#[test]
fn a_column_routes_and_a_header_drops_fields() {
    let unwrap = unwrap(&[
        ("route.by.field", "route"),
        ("drop.fields.header.name", "gone"),
        ("drop.fields.keep.schema.compatible", "true"),
    ]);
    let mut input = change("t", "u", Some(row(1, None)), Some(row(1, Some(9))));
    input.headers.push(("gone".into(), Datum { schema: None, value: Value::String("v,id".into()) }));
    let sent = unwrap.apply(input).unwrap().unwrap();
    assert_eq!(&*sent.topic, "elsewhere");
    assert_eq!(shown(&sent.value), "id=1 route=elsewhere", "the required field stays");
}

#[test]
fn what_is_no_envelope_passes_unchanged() {
    let plain = record("t", key("t", 1), key("t", 1));
    for class in ["ExtractNewRecordState", "outbox.EventRouter"] {
        let transform = made(&format!("io.debezium.transforms.{class}"), &[]).unwrap();
        assert_eq!(transform.apply(plain.clone()).unwrap().as_ref(), Some(&plain), "{class}");
    }
}

#[test]
fn shards_of_a_table_share_a_topic_and_keep_their_keys_apart() {
    let router = made(
        "io.debezium.transforms.ByLogicalTableRouter",
        &[
            ("topic.regex", r"srv\.inv\.shard_(.*)"),
            ("topic.replacement", "srv.inv.all"),
            ("key.field.regex", r"srv\.inv\.shard_(.*)"),
            ("key.field.replacement", "$1"),
        ],
    )
    .unwrap();
    for shard in ["a", "b"] {
        let topic = format!("srv.inv.shard_{shard}");
        let sent = router.apply(change(&topic, "c", None, Some(row(1, Some(1))))).unwrap().unwrap();
        assert_eq!(&*sent.topic, "srv.inv.all");
        assert_eq!(shown(&sent.key), format!("id=1 __dbz__physicalTableIdentifier={shard}"));
        assert_eq!(sent.key.schema.as_ref().unwrap().name.as_deref(), Some("srv.inv.all.Key"));
        let Value::Struct(envelope) = &sent.value.value else { panic!("no struct") };
        assert_eq!(envelope.schema.name.as_deref(), Some("srv.inv.all.Envelope"));
        let Value::Struct(after) = &envelope.values[1] else { panic!("no row") };
        assert_eq!(after.schema.name.as_deref(), Some("srv.inv.all.Value"));
        let gone = router.apply(tombstone(&topic)).unwrap().unwrap();
        assert_eq!((&*gone.topic, gone.value.value), ("srv.inv.all", Value::Null));
        assert_eq!(gone.key, sent.key);
    }
    let other = change("srv.inv.t", "c", None, Some(row(1, Some(1))));
    assert_eq!(router.apply(other.clone()).unwrap(), Some(other));
}

fn outbox_event(op: &str, payload: &str) -> Record {
    let columns = json!([
        {"type": "string", "optional": false, "field": "id"},
        {"type": "string", "optional": false, "field": "aggregatetype"},
        {"type": "string", "optional": false, "field": "aggregateid"},
        {"type": "string", "optional": false, "field": "type"},
        {"type": "string", "optional": true, "name": "io.debezium.data.Json", "version": 1, "field": "payload"},
    ]);
    let image = |field: &str| json!({"type": "struct", "optional": true, "name": "srv.inv.outbox.Value", "fields": columns, "field": field});
    let schema = json!({"type": "struct", "optional": false, "name": "srv.inv.outbox.Envelope", "fields": [
        image("before"), image("after"),
        {"type": "string", "optional": false, "field": "op"},
        {"type": "int64", "optional": true, "field": "ts_ms"},
    ]});
    let text = |text: &str| json!({"string": text});
    let after = json!({"struct": {"id": text("e-1"), "aggregatetype": text("order"), "aggregateid": text("o-1"),
        "type": text("OrderCreated"), "payload": text(payload)}});
    let value = json!({"struct": {"before": null, "after": after, "op": text(op), "ts_ms": {"int64": "77"}}});
    record("srv.inv.outbox", key("srv.inv.outbox", 1), json!({"schema": schema, "value": value}))
}

fn outbox(keys: &[(&str, &str)]) -> Arc<dyn Transform> {
    made("io.debezium.transforms.outbox.EventRouter", keys).unwrap()
}

#[test]
fn an_outbox_row_becomes_an_event_of_its_own_topic() {
    let sent = outbox(&[]).apply(outbox_event("c", r#"{"id":1}"#)).unwrap().unwrap();
    assert_eq!((&*sent.topic, sent.partition, sent.timestamp_ms), ("outbox.event.order", None, Some(77)));
    assert_eq!(sent.key.value, Value::String("o-1".into()));
    assert_eq!(sent.value.value, Value::String(r#"{"id":1}"#.into()));
    assert_eq!(sent.value.schema.unwrap().name.as_deref(), Some("io.debezium.data.Json"));
    assert_eq!((&*sent.headers[0].0, &sent.headers[0].1.value), ("id", &Value::String("e-1".into())));
}

#[test]
fn deletes_updates_and_tombstones_of_the_outbox_are_no_events() {
    let router = outbox(&[]);
    for op in ["d", "u"] {
        assert!(router.apply(outbox_event(op, "{}")).unwrap().is_none(), "{op}");
    }
    assert!(router.apply(tombstone("srv.inv.outbox")).unwrap().is_none());
    assert!(outbox(&[("table.op.invalid.behavior", "fatal")]).apply(outbox_event("u", "{}")).is_err());
}

#[test]
fn further_columns_go_where_they_are_placed_and_json_is_expanded() {
    let router = outbox(&[
        ("table.fields.additional.placement", "type:header:eventType,aggregateid:envelope:of"),
        ("table.expand.json.payload", "true"),
    ]);
    let sent = router.apply(outbox_event("c", r#"{"n":1,"lines":[{"a":1},{"b":"x","c":null}]}"#)).unwrap().unwrap();
    assert_eq!((&*sent.headers[1].0, &sent.headers[1].1.value), ("eventType", &Value::String("OrderCreated".into())));
    let Value::Struct(value) = &sent.value.value else { panic!("no struct") };
    assert_eq!(value.schema.name.as_deref(), Some("srv.inv.outbox.order.Value"));
    assert_eq!(value.values[1], Value::String("o-1".into()));
    let Value::Struct(payload) = &value.values[0] else { panic!("payload is not expanded") };
    assert_eq!(payload.values[0], Value::Int32(1));
    let Value::Array(lines) = &payload.values[1] else { panic!("no list") };
    let Value::Struct(second) = &lines[1] else { panic!("no struct") };
    assert_eq!(second.values, [Value::Null, Value::String("x".into())]);
}

#[test]
fn an_empty_payload_becomes_a_tombstone_where_that_is_asked_for() {
    let sent = outbox(&[("route.tombstone.on.empty.payload", "true")]).apply(outbox_event("c", " ")).unwrap().unwrap();
    assert_eq!(sent.value, Datum { schema: None, value: Value::Null });
}

#[test]
fn headers_become_fields_of_the_value_also_inside_a_struct() {
    let transform = made(
        "io.debezium.transforms.HeaderToValue",
        &[("headers", "h,absent"), ("fields", "source.region,x"), ("operation", "move")],
    )
    .unwrap();
    let text = datum(&json!({"schema": {"type": "string", "optional": false}, "value": {"string": "eu"}})).unwrap();
    for _ in 0..2 {
        let mut input = change("t", "c", None, Some(row(1, Some(1))));
        input.headers.push(("h".into(), text.clone()));
        let sent = transform.apply(input).unwrap().unwrap();
        assert!(sent.headers.is_empty());
        let Value::Struct(envelope) = &sent.value.value else { panic!("no struct") };
        assert_eq!(sent.value.schema.as_ref(), Some(&envelope.schema));
        let Value::Struct(source) = &envelope.values[2] else { panic!("no source") };
        let Kind::Struct(fields) = &source.schema.kind else { panic!("no struct") };
        assert_eq!((&*fields[3].name, &source.values[3]), ("region", &Value::String("eu".into())));
    }
}

#[test]
fn scripts_are_refused_with_the_reason_and_what_to_use() {
    for (class, instead) in [("ContentBasedRouter", "RegexRouter"), ("Filter", "predicates")] {
        let refused = made(&format!("io.debezium.transforms.{class}"), &[("condition", "value.op == 'u'")]);
        let message = refused.err().unwrap();
        assert!(message.contains("scripts are not run") && message.contains(instead), "{message}");
    }
}

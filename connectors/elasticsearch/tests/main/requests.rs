//! What records become.
use crate::harness::{Harness, documents, event, flat, key, partition, record, schema, struct_of, tombstone};
use elasticflow_api::data::{Datum, Kind, Value};
use elasticflow_api::position::Offset;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn change_events_end_as_the_last_one_says() {
    let mut sink = Harness::new(&[]).await;
    let records = vec![
        record(10, key(1), event("r", 1, 1)),
        record(11, key(2), event("c", 2, 1)),
        record(12, key(1), event("u", 1, 2)),
        record(13, key(2), event("d", 2, 1)),
        record(14, key(2), tombstone()),
        record(15, key(3), event("t", 3, 1)),
        record(16, key(3), event("c", 3, 5)),
    ];
    let consumed = sink.put_and_flush(records).await.unwrap();
    assert_eq!(consumed.0[&partition()], Offset(17));
    let live = sink.server.lock().unwrap().live("orders");
    let expected = [("1", (12, json!({"id": 1, "n": 2}))), ("3", (16, json!({"id": 3, "n": 5})))];
    assert_eq!(live, expected.map(|(id, doc)| (id.to_owned(), doc)).into());
}

#[tokio::test]
async fn change_events_without_schema_are_understood_and_flat_maps_are_documents() {
    let mut sink = Harness::new(&[]).await;
    let text = |t: &str| Value::String(t.into());
    let map = |entries: Vec<(&str, Value)>| Value::Map(entries.into_iter().map(|(k, v)| (text(k), v)).collect());
    let bare = |value| Datum { schema: None, value };
    let key = |id| bare(map(vec![("id", Value::Int64(id))]));
    let row = map(vec![("id", Value::Int64(1)), ("s", text("x"))]);
    let records = vec![
        record(0, key(1), bare(map(vec![("before", Value::Null), ("after", row.clone()), ("op", text("c"))]))),
        record(1, key(2), bare(row.clone())),
        record(2, key(3), bare(row.clone())),
        record(3, key(3), bare(map(vec![("before", row), ("after", Value::Null), ("op", text("d"))]))),
    ];
    sink.put_and_flush(records).await.unwrap();
    let live = sink.server.lock().unwrap().live("orders");
    assert_eq!(live.keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(live["1"].1, json!({"id": 1, "s": "x"}));
}

#[tokio::test]
async fn a_replay_of_the_whole_topic_changes_nothing() {
    let mut sink = Harness::new(&[]).await;
    let records = || {
        let mut records = documents(0, 50);
        records.push(record(50, key(3), event("u", 3, 9)));
        records.push(record(51, key(4), tombstone()));
        records
    };
    sink.put_and_flush(records()).await.unwrap();
    let first = sink.server.lock().unwrap().documents.clone();
    sink.restart().await;
    sink.put_and_flush(records()).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().documents, first);
    assert!(sink.rejections().is_empty());
}

#[tokio::test]
async fn a_late_older_write_does_not_revive_a_deleted_document() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(vec![record(5, key(1), flat(1, 1)), record(9, key(1), tombstone())]).await.unwrap();
    sink.put_and_flush(vec![record(7, key(1), flat(1, 7))]).await.unwrap();
    assert!(sink.server.lock().unwrap().live("orders").is_empty());
}

#[tokio::test]
async fn a_raised_epoch_lets_low_offsets_overwrite() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(vec![record(1000, key(1), flat(1, 1))]).await.unwrap();
    sink.cx.version_epoch = 1;
    sink.put_and_flush(vec![record(0, key(1), flat(1, 2))]).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders")["1"], (1 << 48, json!({"id": 1, "n": 2})));
}

#[tokio::test]
async fn ignored_keys_number_documents_by_their_offsets() {
    let mut sink = Harness::new(&[("key.ignore", "true")]).await;
    for _ in 0..2 {
        sink.put_and_flush(vec![record(4, tombstone(), flat(1, 1))]).await.unwrap();
    }
    let live = sink.server.lock().unwrap().live("orders");
    assert_eq!(live.keys().collect::<Vec<_>>(), ["Orders+0+4"]);
}

#[tokio::test]
async fn soft_deletes_leave_a_mark() {
    let mut sink = Harness::new(&[("delete.mode", "soft")]).await;
    sink.put_and_flush(vec![record(0, key(1), flat(1, 1)), record(1, key(1), tombstone())]).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders")["1"], (1, json!({"_deleted": true})));
}

#[tokio::test]
async fn upserts_merge_and_keep_their_order_when_one_is_sent_again() {
    let mut sink = Harness::new(&[("write.method", "UPSERT")]).await;
    let error = json!({"type": "es_rejected_execution_exception", "reason": "queue full"});
    sink.server.lock().unwrap().faults.push_back(crate::fake::Fault::Items(vec!["1"], 429, error));
    let only_n = struct_of(Some("k.Part"), vec![("n", schema(Kind::Int32, None, true), Value::Int32(2))]);
    let records = vec![record(0, key(1), flat(1, 1)), record(1, key(2), flat(2, 1)), record(2, key(2), only_n)];
    sink.put_and_flush(records).await.unwrap();
    let server = sink.server.lock().unwrap();
    assert_eq!(server.requests, [vec!["1", "2", "2"], vec!["1", "2", "2"]]);
    assert_eq!(server.live("orders")["2"].1, json!({"id": 2, "n": 2}));
}

#[tokio::test]
async fn an_index_is_made_with_the_mapping_of_the_schema_and_given_new_fields_later() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(vec![record(0, key(1), event("c", 1, 1))]).await.unwrap();
    let index = sink.server.lock().unwrap().indices["orders"].clone();
    assert_eq!(index["settings"]["index.gc_deletes"], "1h");
    assert_eq!(index["mappings"]["properties"], json!({"id": {"type": "long"}, "n": {"type": "integer"}}));
    let wider = struct_of(
        Some("k.Value"),
        vec![
            ("id", schema(Kind::Int64, None, false), Value::Int64(1)),
            ("born", schema(Kind::Int32, Some("io.debezium.time.Date"), true), Value::Int32(19_000)),
        ],
    );
    sink.put_and_flush(vec![record(1, key(1), wider)]).await.unwrap();
    let server = sink.server.lock().unwrap();
    assert_eq!(server.indices["orders"]["mappings"]["properties"]["born"], json!({"type": "date"}));
    assert_eq!(server.live("orders")["1"].1, json!({"id": 1, "born": "2022-01-08"}));
}

#[tokio::test]
async fn an_index_that_vanishes_is_made_again() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(documents(0, 2)).await.unwrap();
    {
        let mut server = sink.server.lock().unwrap();
        server.indices.clear();
        server.documents.clear();
    }
    sink.put_and_flush(documents(2, 2)).await.unwrap();
    let server = sink.server.lock().unwrap();
    assert_eq!(server.live("orders").len(), 2);
    assert!(server.indices["orders"]["mappings"]["properties"].get("n").is_some());
}

#[tokio::test]
async fn records_that_are_no_document_are_rejected_with_a_reason_and_the_others_are_written() {
    let mut sink = Harness::new(&[("behavior.on.null.values", "FAIL")]).await;
    let nan = struct_of(None, vec![("x", schema(Kind::Float64, None, true), Value::Float64(f64::NAN))]);
    let text = Datum { schema: Some(schema(Kind::String, None, true)), value: Value::String("s".into()) };
    let dotted = struct_of(None, vec![(".x", schema(Kind::Int32, None, true), Value::Int32(1))]);
    let long_key = Datum { schema: None, value: Value::String("k".repeat(513).into()) };
    let records = vec![
        record(0, key(0), tombstone()),
        record(1, key(1), nan),
        record(2, key(2), text),
        record(3, key(3), dotted),
        record(4, tombstone(), flat(4, 1)),
        record(5, long_key, flat(5, 1)),
        record(6, key(6), event("x", 6, 1)),
        record(7, key(7), flat(7, 1)),
    ];
    let consumed = sink.put_and_flush(records).await.unwrap();
    assert_eq!(consumed.0[&partition()], Offset(8));
    let rejections = sink.rejections();
    let words = ["no value", "NaN", "no object", "dot", "no key", "513 bytes", "unknown op"];
    assert_eq!(rejections.len(), words.len());
    for ((offset, reason), (i, word)) in rejections.iter().zip((0..).zip(words)) {
        assert_eq!(*offset, i);
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(sink.server.lock().unwrap().live("orders").keys().collect::<Vec<_>>(), ["7"]);
}

#[tokio::test]
async fn two_topics_on_one_index_stop_the_task() {
    let mut sink = Harness::new(&[]).await;
    sink.put_and_flush(documents(0, 1)).await.unwrap();
    let mut other = record(0, key(1), flat(1, 1));
    other.record.topic = "orders".into();
    let error = sink.put(vec![other]).await.unwrap_err();
    assert_eq!(error.code, "ES-0016");
    assert!(error.message.contains("Orders") && error.message.contains("orders"), "{error}");
}

#[tokio::test]
async fn requests_hold_no_more_than_the_batch_size() {
    let mut sink = Harness::new(&[("batch.size", "7"), ("max.in.flight.requests", "2")]).await;
    sink.put_and_flush(documents(0, 100)).await.unwrap();
    let server = sink.server.lock().unwrap();
    assert_eq!(server.requests.len(), 15);
    assert!(server.requests.iter().all(|ids| ids.len() <= 7));
    assert_eq!(server.live("orders").len(), 100);
}

#[tokio::test]
async fn a_header_can_give_the_version() {
    let mut sink = Harness::new(&[("external.version.header", "v")]).await;
    let mut first = record(0, key(1), flat(1, 1));
    first.record.headers.push((Arc::from("v"), Datum { schema: None, value: Value::String("77".into()) }));
    sink.put_and_flush(vec![first, record(1, key(2), flat(2, 1))]).await.unwrap();
    assert_eq!(sink.server.lock().unwrap().live("orders")["1"].0, 77);
    assert!(sink.rejections()[0].1.contains("header v holds no version"));
}
